//! From logits to the next token.

use rand::Rng;
use taggant_core::{Candidates, Error, ErrorKind, Reshaped, Result, Scheme, Scratch};

use crate::listing::Listing;
use crate::sampling::Sampling;
use crate::stream::Stream;
use crate::truncate::Truncation;

/// Chooses tokens. Holds the sampling parameters and working memory; one serves any number of streams, one after the other.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    listing: Listing,
    truncation: Truncation,
    scratch: Scratch,
}

impl Sampler {
    /// A sampler with these parameters.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a parameter outside its range.
    pub fn new(sampling: Sampling) -> Result<Self> {
        Ok(Self {
            sampling: sampling.checked()?,
            listing: Listing::default(),
            truncation: Truncation::default(),
            scratch: Scratch::default(),
        })
    }

    /// Goes on with other parameters and the same working memory, for whoever serves requests that each have their own.
    ///
    /// # Errors
    /// As [`new`](Self::new); the sampler is unchanged.
    pub fn set_sampling(&mut self, sampling: Sampling) -> Result<()> {
        self.sampling = sampling.checked()?;
        Ok(())
    }

    /// Chooses the next token of `stream` from raw `logits` (one per token of the vocabulary) and appends it.
    ///
    /// One number is drawn from `rng` for every token, whether or not the scheme needs it, so that marked and plain runs of one
    /// seed stay in step.
    ///
    /// # Errors
    /// [`ErrorKind::Logits`] when there are not as many logits as tokens, one is NaN or +∞, or none is finite (−∞ masks a token).
    /// The stream is unchanged.
    pub fn select(
        &mut self,
        stream: &mut Stream,
        logits: &[f32],
        rng: &mut impl Rng,
    ) -> Result<u32> {
        check_length(stream, logits)?;
        let all = Candidates::all(logits, self.sampling.scale())?;
        let candidates = self.truncation.apply(all, &self.sampling);
        let token = choose(stream, &candidates, &mut self.scratch, rng)?;
        stream.push(token)?;
        Ok(token)
    }

    /// Chooses the next token of `stream` among the tokens `ids` that an engine's truncation has left, in any order, and appends it.
    /// `logits` are theirs, one each; the time taken depends on their number alone.
    ///
    /// This sampler's temperature and truncation are applied to the list: with [`Sampling::default`], when they were applied before.
    /// The result is that of [`select`](Self::select) with every other token masked. Where that draws from several candidates it does
    /// so in the order of ids, so one random number gives one token however the list is sorted.
    ///
    /// # Errors
    /// [`ErrorKind::Token`] when an id occurs twice or is outside the vocabulary, else as [`select`](Self::select).
    pub fn select_listed(
        &mut self,
        stream: &mut Stream,
        ids: &[u32],
        logits: &[f32],
        rng: &mut impl Rng,
    ) -> Result<u32> {
        let token = self.choose_listed(stream, ids, logits, rng)?;
        stream.push(token)?;
        Ok(token)
    }

    /// Chooses as [`select_listed`](Self::select_listed) does and appends nothing: for engines that may still refuse a token, and report
    /// with [`Stream::push`] what was taken in the end.
    ///
    /// # Errors
    /// As [`select_listed`](Self::select_listed).
    pub fn choose_listed(
        &mut self,
        stream: &Stream,
        ids: &[u32],
        logits: &[f32],
        rng: &mut impl Rng,
    ) -> Result<u32> {
        let scale = self.sampling.scale();
        let all = self.listing.read(ids, logits, vocabulary(stream), scale)?;
        let candidates = self.truncation.apply(all, &self.sampling);
        choose(stream, &candidates, &mut self.scratch, rng)
    }

    /// [`select`](Self::select) for a batch: row `i` of `logits` (row-major, `streams.len()` rows) with `rngs[i]`, into `out[i]`.
    ///
    /// # Errors
    /// As [`select`](Self::select), naming the row; rows before it have advanced.
    pub fn select_batch<R: Rng>(
        &mut self,
        streams: &mut [Stream],
        logits: &[f32],
        rngs: &mut [R],
        out: &mut [u32],
    ) -> Result<()> {
        let rows = streams.len();
        if rngs.len() != rows
            || out.len() != rows
            || rows == 0
            || !logits.len().is_multiple_of(rows)
        {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!(
                    "{rows} streams with {} logits, {} random sources and room for {} tokens; one row each is needed",
                    logits.len(),
                    rngs.len(),
                    out.len()
                ),
            ));
        }
        let width = logits.len() / rows;
        for (row, (stream, (rng, out))) in
            streams.iter_mut().zip(rngs.iter_mut().zip(out)).enumerate()
        {
            let logits = &logits[row * width..][..width];
            *out = self
                .select(stream, logits, rng)
                .map_err(|error| error.context(format_args!("row {row}")))?;
        }
        Ok(())
    }

    /// Changes `logits` so that an engine that samples from their softmax, at temperature 1 and without further truncation, draws
    /// from the marked distribution. The engine then reports its choice with [`Stream::push`].
    ///
    /// Temperature and truncation of this sampler are applied first; with [`Sampling::default`] nothing but the mark is, and a
    /// position without a mark is left alone. A green list then only adds δ, so the engine may go on with its own temperature and
    /// truncation; the other schemes have chosen, and an engine must not reshape their result.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn bias(&mut self, stream: &Stream, logits: &mut [f32]) -> Result<()> {
        check_length(stream, logits)?;
        let marking = stream.marking();
        if self.sampling.neutral() {
            return self.mark_alone(marking, logits);
        }
        let all = Candidates::all(logits, self.sampling.scale())?;
        let candidates = self.truncation.apply(all, &self.sampling);
        let reshaped = reshape(marking, &candidates, &mut self.scratch)?;
        let places = (!self.sampling.keeps_all()).then(|| self.truncation.places());
        self.scratch.write_logits(reshaped, places, logits);
        Ok(())
    }

    /// [`bias`](Self::bias) for the tokens `ids` that an engine's truncation has left, in any order: `logits` are theirs, and every
    /// other token has to stay impossible.
    ///
    /// # Errors
    /// As [`select_listed`](Self::select_listed).
    pub fn bias_listed(&mut self, stream: &Stream, ids: &[u32], logits: &mut [f32]) -> Result<()> {
        let scale = self.sampling.scale();
        let all = self.listing.read(ids, logits, vocabulary(stream), scale)?;
        let marking = stream.marking();
        if self.sampling.neutral() {
            let Some((scheme, window)) = marking else {
                return Ok(());
            };
            let (ids, biased) = self.listing.parts();
            scheme.bias_listed(window, ids, biased, &mut self.scratch)?;
            self.listing.put_back(logits);
            return Ok(());
        }
        let candidates = self.truncation.apply(all, &self.sampling);
        let reshaped = reshape(marking, &candidates, &mut self.scratch)?;
        let listed = self.listing.places();
        if self.sampling.keeps_all() {
            self.scratch.write_logits(reshaped, Some(listed), logits);
        } else {
            self.truncation.move_places(listed);
            let places = self.truncation.places();
            self.scratch.write_logits(reshaped, Some(places), logits);
        }
        Ok(())
    }

    /// [`bias`](Self::bias) of `logits` into another row, kept from token to token: `out` is −∞ but at the places in `written`, and is
    /// so again afterwards. With truncation, only those places are touched. After an error, nothing has changed.
    ///
    /// # Errors
    /// As [`select`](Self::select), and [`ErrorKind::Logits`] when `out` has another length than `logits`.
    pub fn bias_into(
        &mut self,
        stream: &Stream,
        logits: &[f32],
        out: &mut [f32],
        written: &mut Vec<u32>,
    ) -> Result<()> {
        check_length(stream, logits)?;
        if out.len() != logits.len() {
            return Err(Error::new(
                ErrorKind::Logits,
                format!(
                    "a row of {} for {} logits; both must be as long",
                    out.len(),
                    logits.len()
                ),
            ));
        }
        let all = Candidates::all(logits, self.sampling.scale())?;
        let candidates = self.truncation.apply(all, &self.sampling);
        let reshaped = reshape(stream.marking(), &candidates, &mut self.scratch)?;
        for place in written.drain(..) {
            out[place as usize] = f32::NEG_INFINITY;
        }
        if let Reshaped::Chosen(index) = reshaped {
            written.push(candidates.token(index));
            out[written[0] as usize] = 0.0;
        } else {
            written.extend((0..candidates.len()).map(|index| candidates.token(index)));
            self.scratch.put_logits(written, out);
        }
        Ok(())
    }

    /// The mark and nothing else. Where an engine has masked most tokens, the others are listed first and only they are changed.
    fn mark_alone(
        &mut self,
        marking: Option<(&dyn Scheme, &[u32])>,
        logits: &mut [f32],
    ) -> Result<()> {
        if !self.listing.gather(logits) {
            return match marking {
                Some((scheme, window)) => scheme.bias(window, logits, &mut self.scratch),
                // A fault is one at every position, not only at those that the mark looks at.
                None => Candidates::all(logits, 1.0).map(|_| ()),
            };
        }
        let (ids, listed) = self.listing.parts();
        let Some((scheme, window)) = marking else {
            return Candidates::only(ids, listed, 1.0).map(|_| ());
        };
        scheme.bias_listed(window, ids, listed, &mut self.scratch)?;
        for (&id, &logit) in ids.iter().zip(&*listed) {
            logits[id as usize] = logit;
        }
        Ok(())
    }
}

/// Draws the next token of `stream`.
fn choose(
    stream: &Stream,
    candidates: &Candidates<'_>,
    scratch: &mut Scratch,
    rng: &mut impl Rng,
) -> Result<u32> {
    let reshaped = reshape(stream.marking(), candidates, scratch)?;
    let coin = unit_interval(rng.next_u64());
    let index = match reshaped {
        Reshaped::Chosen(index) => index,
        _ => scratch.draw(coin),
    };
    Ok(candidates.token(index))
}

/// The distribution that the next token is drawn from: the mark's, or the candidates' own.
fn reshape(
    marking: Option<(&dyn Scheme, &[u32])>,
    candidates: &Candidates<'_>,
    scratch: &mut Scratch,
) -> Result<Reshaped> {
    match marking {
        Some((scheme, window)) => scheme.reshape(window, candidates, scratch),
        None => {
            scratch.plain(candidates);
            Ok(Reshaped::Weights)
        }
    }
}

/// 53 random bits as a number in [0, 1).
fn unit_interval(bits: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    let numerator = (bits >> 11) as f64;
    numerator / 9_007_199_254_740_992.0
}

fn vocabulary(stream: &Stream) -> Option<usize> {
    let mark = stream.mark()?;
    Some(mark.record().tokenizer().vocabulary)
}

fn check_length(stream: &Stream, logits: &[f32]) -> Result<()> {
    match vocabulary(stream) {
        Some(vocabulary) if logits.len() != vocabulary => Err(Error::new(
            ErrorKind::Logits,
            format!(
                "{} logits for a vocabulary of {vocabulary} tokens; one logit per token is needed",
                logits.len()
            ),
        )),
        _ => Ok(()),
    }
}

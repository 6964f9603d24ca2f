//! From logits to the next token.

use rand::Rng;
use taggant_core::{Candidates, Error, ErrorKind, Reshaped, Result, Scheme, Scratch};

use crate::sampling::Sampling;
use crate::stream::Stream;
use crate::truncate::Truncation;

/// Chooses tokens. Holds the sampling parameters and working memory; one serves any number of streams, one after the other.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
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
            truncation: Truncation::default(),
            scratch: Scratch::default(),
        })
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
        let candidates = self.truncation.apply(logits, &self.sampling)?;
        let reshaped = reshape(stream.marking(), &candidates, &mut self.scratch)?;
        let coin = unit_interval(rng.next_u64());
        let index = match reshaped {
            Reshaped::Chosen(index) => index,
            _ => self.scratch.draw(coin),
        };
        let token = candidates.token(index);
        stream.push(token)?;
        Ok(token)
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
        let neutral =
            self.sampling.keeps_all() && self.sampling.temperature.to_bits() == 1.0_f32.to_bits();
        if neutral {
            return match marking {
                Some((scheme, window)) => scheme.bias(window, logits, &mut self.scratch),
                None => Ok(()),
            };
        }
        let candidates = self.truncation.apply(logits, &self.sampling)?;
        let reshaped = reshape(marking, &candidates, &mut self.scratch)?;
        let ids = (!self.sampling.keeps_all()).then(|| self.truncation.ids());
        self.scratch.write_logits(reshaped, ids, logits);
        Ok(())
    }
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

fn check_length(stream: &Stream, logits: &[f32]) -> Result<()> {
    match stream
        .mark()
        .map(|mark| mark.record().tokenizer().vocabulary)
    {
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

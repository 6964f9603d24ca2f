//! The distinct units of a corpus, collected once and scored under any number of keys.

use std::num::NonZero;

use libm::exp;
use taggant_core::{
    Decoys, Error, ErrorKind, LayerRecord, LeafKey, Null, Partition, Record, Result, Role, Scheme,
    Set, TILE, Tile,
};

use crate::detect::Response;
use crate::reader::Reader;
use crate::statistic::{Statistic, shares};
use crate::stats::{PValue, Rank, WeightedSum, binomial_tail};

/// The distinct units of one layer of a mark, over all responses added.
///
/// Collecting needs no key of the layer: which positions count is a function of the text. Weights enter here or nowhere, as functions of
/// what stands *before* a position. Neither a key nor the token at the position is in scope when a weight is made, because a weight
/// that has seen marked (window, token) pairs accuses the innocent (z ≈ +19, `tests/calibration`):
///
/// ```
/// # use taggant_core::{schemes::Parameters, Record, Role, RootKey, TokenizerId};
/// # use taggant_detector::{Response, Units};
/// # let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse()?);
/// # let record = Record::new(Parameters::new("gumbel", &[])?, 2, &[&key], TokenizerId::new([0; 32], 50_000)?)?;
/// let mut units = Units::new(&record, Role::Campaign, None)?;
/// units.add_weighted(&Response::ids(&[5, 7, 11, 13]), |before| if before.window() == [5, 7] { 2.0 } else { 1.0 })?;
/// let scored = units.score(&[&key], 1);
/// assert_eq!(units.len(), 2);
/// # Ok::<(), taggant_core::Error>(())
/// ```
///
/// ```compile_fail
/// # use taggant_core::{schemes::Parameters, Record, Role, RootKey, TokenizerId};
/// # use taggant_detector::{Response, Units};
/// # let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse().unwrap());
/// # let record = Record::new(Parameters::new("gumbel", &[]).unwrap(), 2, &[&key], TokenizerId::new([0; 32], 50_000).unwrap()).unwrap();
/// let mut units = Units::new(&record, Role::Campaign, None).unwrap();
/// units.add_weighted(&Response::ids(&[5, 7, 11]), |before| if before.token() == 11 { 2.0 } else { 1.0 }); // no such thing
/// ```
///
/// ```compile_fail
/// # use taggant_core::{schemes::Parameters, Record, Role, RootKey, TokenizerId};
/// # use taggant_detector::{Response, Units};
/// # let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse().unwrap());
/// # let record = Record::new(Parameters::new("gumbel", &[]).unwrap(), 2, &[&key], TokenizerId::new([0; 32], 50_000).unwrap()).unwrap();
/// let mut units = Units::new(&record, Role::Campaign, None).unwrap();
/// units.add(&Response::ids(&[5, 7, 11])).unwrap();
/// let scored = units.score(&[&key], 1);
/// units.weigh(|before| scored[0].score); // weights after keys: no such thing
/// ```
#[derive(Debug)]
pub struct Units {
    record: Record,
    layer: LayerRecord,
    index: usize,
    partition: Partition,
    reader: Reader,
    seen: Set,
    /// Windows and tokens, one unit after another.
    tokens: Vec<u32>,
    /// One for each unit, or none when all are 1.
    weights: Vec<f64>,
}

/// Which layer of a record has this role.
pub(crate) fn layer_of(record: &Record, role: Role) -> Result<usize> {
    let index = record.layers().iter().position(|layer| layer.role == role);
    index.ok_or_else(|| {
        Error::new(
            ErrorKind::Mismatch,
            format!("the record has no {role} layer"),
        )
    })
}

/// What stands before a position: all that a weight may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    tokens: &'a [u32],
    window: usize,
    prompt: Option<&'a [u32]>,
}

impl<'a> Before<'a> {
    /// The window of the position.
    #[must_use]
    pub fn window(&self) -> &'a [u32] {
        &self.tokens[self.tokens.len() - self.window..]
    }

    /// The response up to the position.
    #[must_use]
    pub fn response(&self) -> &'a [u32] {
        self.tokens
    }

    /// The prompt, if known.
    #[must_use]
    pub fn prompt(&self) -> Option<&'a [u32]> {
        self.prompt
    }
}

/// What the units say about one key.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Scored {
    /// Weighted sum of the units' scores.
    pub score: f64,
    /// `P(sum ≥ score)` if the text is independent of the key: exact without weights, Chernoff's bound with them.
    pub p_value: PValue,
}

impl Units {
    /// No units yet, of the layer `role` of `record`. A record of two layers needs the campaign key to tell whose a window is.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when the record has no such layer, or has two and no campaign key is given.
    pub fn new(record: &Record, role: Role, campaign: Option<&LeafKey>) -> Result<Self> {
        let index = layer_of(record, role)?;
        Ok(Self {
            record: record.clone(),
            layer: record.layers()[index],
            index,
            partition: Partition::new(record, campaign)?,
            reader: Reader::new(record, |layer| layer == index),
            seen: Set::default(),
            tokens: Vec::new(),
            weights: Vec::new(),
        })
    }

    /// Adds a response's units, each new one with weight 1.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when its tokenizer is another than the record's, [`ErrorKind::Token`] and [`ErrorKind::Limit`] as for
    /// [`Detector::row`](crate::Detector::row); nothing is added.
    pub fn add(&mut self, response: &Response<'_>) -> Result<()> {
        self.find(response)?;
        self.keep(response, |_| ());
        if !self.weights.is_empty() {
            self.weights.resize(self.len(), 1.0);
        }
        Ok(())
    }

    /// Adds a response's units, each new one with the weight of what stands before it. A unit keeps the weight it first got.
    ///
    /// # Errors
    /// As [`add`](Self::add), and [`ErrorKind::Parameter`] for a weight that is negative or not a number.
    pub fn add_weighted(
        &mut self,
        response: &Response<'_>,
        mut weigh: impl FnMut(Before<'_>) -> f64,
    ) -> Result<()> {
        self.find(response)?;
        let found = &self.reader.layers()[self.index];
        let weights: Vec<f64> = found
            .positions
            .iter()
            .map(|&position| {
                weigh(Before {
                    tokens: &response.tokens[..position as usize],
                    window: self.layer.window,
                    prompt: response.prompt,
                })
            })
            .collect();
        if let Some(bad) = weights
            .iter()
            .find(|weight| !(weight.is_finite() && **weight >= 0.0))
        {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("weight {bad}; weights are numbers from 0 up"),
            ));
        }
        self.weights.resize(self.len(), 1.0);
        let mut kept = std::mem::take(&mut self.weights);
        self.keep(response, |index| kept.push(weights[index]));
        self.weights = kept;
        Ok(())
    }

    fn find(&mut self, response: &Response<'_>) -> Result<()> {
        let expected = self.record.tokenizer().digest;
        if response.tokenizer().is_some_and(|found| found != expected) {
            return Err(Error::new(
                ErrorKind::Mismatch,
                "the text's tokenizer is not the record's; detect with the tokenizer that was marked",
            ));
        }
        self.reader.check(response)?;
        let _ = self.reader.read(&self.partition, response);
        Ok(())
    }

    /// Keeps the units found that are new to the pool; `note` hears their index among those found.
    fn keep(&mut self, response: &Response<'_>, mut note: impl FnMut(usize)) {
        let found = &self.reader.layers()[self.index];
        for (index, (&position, &unit)) in found.positions.iter().zip(&found.units).enumerate() {
            if self.seen.insert(unit) {
                note(index);
                let end = position as usize;
                self.tokens
                    .extend_from_slice(&response.tokens[end - self.layer.window..=end]);
            }
        }
    }

    /// Number of distinct units.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len() / (self.layer.window + 1)
    }

    /// Whether there is no unit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// What the units say about each of `keys`, on `threads` threads. The record need not name the keys.
    #[must_use]
    pub fn score(&self, keys: &[&LeafKey], threads: usize) -> Vec<Scored> {
        let statistic = self.statistic();
        let schemes: Vec<_> = keys
            .iter()
            .map(|key| self.record.keyed(&self.layer, key))
            .collect();
        let scores = self.sweep(&statistic, &schemes, threads);
        let law = (!self.weights.is_empty()).then(|| self.law(&statistic));
        let tail = |score: f64| match &law {
            None => statistic.tail(self.len() as u64, score),
            Some(law) => law.chernoff(score),
        };
        scores
            .into_iter()
            .map(|score| Scored {
                score,
                p_value: tail(score),
            })
            .collect()
    }

    /// The scores of decoys `from .. from + count` of `seed`: what scores look like where nothing is. `done` hears how many more are ready.
    #[must_use]
    pub fn decoys(
        &self,
        seed: u64,
        count: u32,
        threads: usize,
        mut done: impl FnMut(u64),
    ) -> Vec<f64> {
        // So many at once that a thread's share stays in the second cache, and memory does not grow with their number.
        const TOGETHER: u32 = 4096;
        let statistic = self.statistic();
        let source = Decoys::new(&self.record, &self.layer, seed);
        let mut scores = Vec::new();
        let mut start = 0;
        while start < count {
            let end = count.min(start.saturating_add(TOGETHER));
            let schemes: Vec<_> = (start..end).map(|index| source.scheme(index)).collect();
            scores.extend(self.sweep(&statistic, &schemes, threads));
            done(u64::from(end - start));
            start = end;
        }
        scores
    }

    /// The place of `key` among decoys `0 .. count` of `seed` by a statistic of the units' own p-values, such as
    /// [`tr_gof`](crate::stats::tr_gof) or [`higher_criticism`](crate::stats::higher_criticism): for marks in few of the units. Weights play no part.
    #[must_use]
    pub fn rank_by(
        &self,
        statistic: fn(&mut [f64]) -> f64,
        key: &LeafKey,
        seed: u64,
        count: u32,
        threads: usize,
    ) -> Rank {
        let source = Decoys::new(&self.record, &self.layer, seed);
        let own = self.record.keyed(&self.layer, key);
        let observed = self.spread(statistic, &*own);
        let threads = u32::try_from(threads).unwrap_or(u32::MAX).max(1);
        let at_least = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|worker| {
                    let source = &source;
                    scope.spawn(move || {
                        let mut own = (worker..count).step_by(threads as usize);
                        let reaches =
                            |index| self.spread(statistic, &*source.scheme(index)) >= observed;
                        own.by_ref().filter(|&index| reaches(index)).count() as u64
                    })
                })
                .collect();
            // A worker cannot fail; one that did would count every decoy against the key.
            let all = workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or(u64::from(count)));
            all.sum::<u64>().min(u64::from(count))
        });
        Rank {
            at_least,
            trials: u64::from(count),
        }
    }

    /// A statistic of the units' own p-values under one key.
    fn spread(&self, statistic: fn(&mut [f64]) -> f64, scheme: &dyn Scheme) -> f64 {
        let null = scheme.null();
        let tails = unit_tails(null);
        let stride = self.layer.window + 1;
        let mut tile = Tile::default();
        let mut words = vec![0; TILE];
        let mut scores = vec![0.0; TILE];
        let mut p_values = Vec::with_capacity(self.len());
        for units in self.tokens.chunks(TILE * stride) {
            tile.fill(self.layer.window, units);
            let (words, scores) = (&mut words[..tile.len()], &mut scores[..tile.len()]);
            scheme.tile(&tile, words);
            scheme.scores(words, scores);
            p_values.extend(scores.iter().map(|&score| match null {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a count of at most 32"
                )]
                Null::Binomial { .. } => tails.get(score as usize).copied().unwrap_or(0.0),
                _ => exp(-score),
            }));
        }
        statistic(&mut p_values)
    }

    /// The null law of the weighted sum of all units.
    #[must_use]
    pub fn null(&self) -> WeightedSum {
        self.law(&self.statistic())
    }

    /// `P(sum ≥ score)` as in [`Scored`].
    #[must_use]
    pub fn tail(&self, score: f64) -> PValue {
        let statistic = self.statistic();
        if self.weights.is_empty() {
            return statistic.tail(self.len() as u64, score);
        }
        self.law(&statistic).chernoff(score)
    }

    /// `P(sum ≥ score)` as near as it can be computed: [`tail`](Self::tail) where that is exact, the saddle point elsewhere. What decoys are
    /// compared with; never a headline.
    #[must_use]
    pub fn near_tail(&self, score: f64) -> PValue {
        let statistic = self.statistic();
        if self.weights.is_empty() && statistic.is_exact() {
            return statistic.tail(self.len() as u64, score);
        }
        self.law(&statistic).saddlepoint(score)
    }

    fn law(&self, statistic: &Statistic) -> WeightedSum {
        if self.weights.is_empty() {
            return statistic.total(self.len() as u64);
        }
        let mut weights = self.weights.clone();
        weights.sort_by(f64::total_cmp);
        let mut sum = WeightedSum::default();
        for equal in weights.chunk_by(|a, b| a.total_cmp(b).is_eq()) {
            sum.add(statistic.law(), equal[0], equal.len() as u64);
        }
        sum
    }

    /// The statistic; its law does not depend on a key, so any decoy shows it.
    fn statistic(&self) -> Statistic {
        let any = Decoys::new(&self.record, &self.layer, 0).scheme(0);
        Statistic::new(&self.record, any.null())
    }

    /// The scores of all units under every scheme: tiles outside, keys inside, so that units are read from memory once for each
    /// thread whatever the number of keys.
    fn sweep(
        &self,
        statistic: &Statistic,
        schemes: &[Box<dyn Scheme>],
        threads: usize,
    ) -> Vec<f64> {
        let mut scores = vec![0.0; schemes.len()];
        let threads = NonZero::new(threads.min(schemes.len())).map_or(1, NonZero::get);
        let share = schemes.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            for (schemes, scores) in schemes.chunks(share).zip(scores.chunks_mut(share)) {
                scope.spawn(move || self.sweep_share(statistic, schemes, scores));
            }
        });
        scores
    }

    fn sweep_share(&self, statistic: &Statistic, schemes: &[Box<dyn Scheme>], scores: &mut [f64]) {
        let stride = self.layer.window + 1;
        let mut tile = Tile::default();
        let mut words = vec![0; TILE];
        let (mut own, mut weights) = (vec![0.0; TILE], Vec::new());
        for (number, units) in self.tokens.chunks(TILE * stride).enumerate() {
            tile.fill(self.layer.window, units);
            let words = &mut words[..tile.len()];
            weights.clear();
            if !self.weights.is_empty() {
                let start = number * TILE;
                let order = tile.order().iter();
                weights.extend(order.map(|&unit| self.weights[start + unit as usize]));
            }
            for (scheme, score) in schemes.iter().zip(&mut *scores) {
                scheme.tile(&tile, words);
                *score += if weights.is_empty() {
                    statistic.sum(&**scheme, words)
                } else {
                    let own = &mut own[..words.len()];
                    statistic.scores(&**scheme, words, own);
                    own.iter()
                        .zip(&weights)
                        .map(|(own, weight)| own * weight)
                        .sum()
                };
            }
        }
    }
}

/// `P(X ≥ k)` of one unit's count, for every k; none for other laws.
fn unit_tails(null: Null) -> Vec<f64> {
    match null {
        Null::Binomial { trials, .. } => {
            let (p, q) = shares(null);
            (0..=u64::from(trials))
                .map(|k| binomial_tail(k, u64::from(trials), p, q).get())
                .collect()
        }
        _ => Vec::new(),
    }
}

//! The distinct units of a corpus, scored under any number of keys.

use std::num::NonZero;

use libm::exp;
use taggant_core::{Decoys, LayerRecord, LeafKey, Null, Record, Scheme, TILE, Tile};

use crate::statistic::{Statistic, shares};
use crate::stats::{PValue, Rank, WeightedSum, binomial_tail};

/// The distinct units of one layer of a mark, with their weights, ready to be scored. A [`Collector`](crate::Collector) or a
/// [`Difference`](crate::Difference) makes them; nothing about them can be changed afterwards.
#[derive(Clone, Debug)]
pub struct Units {
    record: Record,
    layer: LayerRecord,
    /// Windows and tokens, one unit after another.
    tokens: Vec<u32>,
    /// One for each unit, or none when all are 1.
    weights: Vec<f64>,
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
    /// Units that were told apart already, with a weight for each or none.
    pub(crate) fn of(
        record: Record,
        layer: LayerRecord,
        tokens: Vec<u32>,
        weights: Vec<f64>,
    ) -> Self {
        Self {
            record,
            layer,
            tokens,
            weights,
        }
    }

    /// Adds a unit that is new. Weights are kept only once one is not 1.
    pub(crate) fn push(&mut self, unit: &[u32], weight: f64) {
        let count = self.len();
        self.tokens.extend_from_slice(unit);
        if weight.total_cmp(&1.0).is_ne() || !self.weights.is_empty() {
            self.weights.resize(count, 1.0);
            self.weights.push(weight);
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

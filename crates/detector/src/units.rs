//! The distinct units of a corpus, scored under any number of keys.

use std::num::NonZero;

use libm::exp;
use taggant_core::window::identity;
use taggant_core::{Decoys, LayerRecord, LeafKey, Null, Record, Scheme, TILE, Tile};

use crate::statistic::{Statistic, shares};
use crate::stats::{Law, PValue, Rank, WeightedSum, binomial_tail, real};
use crate::windows::WindowIndex;

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
    /// How many of the suspect's tokens each unit stands for, times their windows' weights; none where that is the unit's weight.
    masses: Vec<f32>,
}

/// The null law of a set of units: what their score is compared with. Made once, asked for any number of scores.
#[derive(Clone, Debug)]
pub struct Tails {
    statistic: Statistic,
    units: u64,
    weighted: bool,
    law: WeightedSum,
}

impl Tails {
    /// `P(sum ≥ score)` as in [`Scored`].
    #[must_use]
    pub fn bound(&self, score: f64) -> PValue {
        if self.weighted {
            self.law.chernoff(score)
        } else {
            self.statistic.tail(self.units, score)
        }
    }

    /// `P(sum ≥ score)` as near as it can be computed: [`bound`](Self::bound) where that is exact, the saddle point elsewhere. What decoys
    /// are compared with; never a headline.
    #[must_use]
    pub fn near(&self, score: f64) -> PValue {
        if self.is_exact() {
            self.bound(score)
        } else {
            self.law.saddlepoint(score)
        }
    }

    /// Whether [`bound`](Self::bound) is the tail itself.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.weighted && self.statistic.is_exact()
    }

    /// The law of the weighted sum.
    #[must_use]
    pub fn law(&self) -> &WeightedSum {
        &self.law
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
            masses: Vec::new(),
        }
    }

    /// The same units, each standing for so many of the suspect's tokens.
    pub(crate) fn with_masses(self, masses: Vec<f32>) -> Self {
        Self { masses, ..self }
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
        let tails = self.tails_of(&statistic);
        scores
            .into_iter()
            .map(|score| Scored {
                score,
                p_value: tails.bound(score),
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
        self.tails().bound(score)
    }

    /// [`Tails::near`]; for more than one score, ask [`tails`](Self::tails).
    #[must_use]
    pub fn near_tail(&self, score: f64) -> PValue {
        self.tails().near(score)
    }

    /// The null law, to be asked about many scores.
    #[must_use]
    pub fn tails(&self) -> Tails {
        self.tails_of(&self.statistic())
    }

    fn tails_of(&self, statistic: &Statistic) -> Tails {
        Tails {
            statistic: statistic.clone(),
            units: self.len() as u64,
            weighted: !self.weights.is_empty(),
            law: self.law(statistic),
        }
    }

    /// How many units of weight 1 would show a suspect's mark as clearly as these do: `(Σ m)² / Σ w²`, with m the suspect's tokens that a unit
    /// stands for, times the weight of their window. Without weights it is the number of units.
    #[must_use]
    pub fn effective(&self) -> f64 {
        let mass: f64 = match (&self.masses[..], &self.weights[..]) {
            ([], []) => return real(self.len() as u64),
            ([], weights) => weights.iter().sum(),
            (masses, _) => masses.iter().map(|&mass| f64::from(mass)).sum(),
        };
        let squares: f64 = self.weights.iter().map(|weight| weight * weight).sum();
        if mass > 0.0 {
            mass * mass / squares
        } else {
            0.0
        }
    }

    /// The law of one unit's score.
    pub(crate) fn unit_law(&self) -> Law {
        self.statistic().law().clone()
    }

    /// The units in the order of their windows, to be joined with [`WindowIndex`]es.
    #[must_use]
    pub fn by_window(&self) -> ByWindow<'_> {
        ByWindow::new(self)
    }

    /// The score under one key with everything that belongs to it, on this thread.
    fn own_score(&self, statistic: &Statistic, key: &LeafKey) -> OwnScore {
        let scheme = [self.record.keyed(&self.layer, key)];
        let mut score = [0.0];
        self.sweep_share(statistic, &scheme, &mut score);
        let law = self.law(statistic);
        OwnScore {
            units: self.len() as u64,
            effective: self.effective(),
            score: score[0],
            mean: law.mean(),
            deviation: law.deviation(),
            p_value: law.chernoff(score[0]),
        }
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

/// Units in the order of their windows' identities: what a merge with a served index, sorted as well, runs along.
///
/// Joining is the only way to weigh units that are collected already, and it takes nothing but counts of windows: a token, a score or a
/// key cannot reach the weight. Its cost is that of the index, not of the units: each of an account's windows is looked for in the units ahead
/// of the last one found, with steps that double, so 24,000 accounts cost what their own windows do.
///
/// ```
/// # use taggant_core::{schemes::Parameters, Record, Role, RootKey, TokenizerId};
/// # use taggant_detector::{Collector, Response, ServedWindows, WindowIndex};
/// # let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse()?);
/// # let record = Record::new(Parameters::new("gumbel", &[])?, 2, &[&key], TokenizerId::new([0; 32], 50_000)?)?;
/// let mut served = WindowIndex::default();
/// served.add(ServedWindows::new(&record, Role::Campaign, None)?.of(&[5, 7, 11])?);
/// let mut collector = Collector::new(&record, Role::Campaign, None)?;
/// collector.add(&Response::ids(&[2, 3, 5, 7, 13]))?;
/// let units = collector.finish();
/// let weighed = units.by_window().weighed(&served, 10.0); // of 3 units, the one after 5 7
/// assert_eq!((units.len(), weighed.len()), (3, 1));
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ByWindow<'a> {
    units: &'a Units,
    /// Distinct windows, ascending.
    identities: Vec<u64>,
    /// Where each window's units begin in `order`, and the end.
    starts: Vec<u32>,
    order: Vec<u32>,
}

/// What one account's key shows on the windows that the account was served.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct OwnScore {
    /// Units whose window the account was served.
    pub units: u64,
    /// As [`Units::effective`].
    pub effective: f64,
    /// Weighted sum of the units' scores under the account's key.
    pub score: f64,
    /// Its mean if the suspect is independent of the key.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
    /// Chernoff's bound of `P(sum ≥ score)`.
    pub p_value: PValue,
}

impl<'a> ByWindow<'a> {
    fn new(units: &'a Units) -> Self {
        let (window, stride) = (units.layer.window, units.layer.window + 1);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "2^32 units would be 48 GB of tokens"
        )]
        let mut named: Vec<(u64, u32)> = units
            .tokens
            .chunks_exact(stride)
            .enumerate()
            .map(|(place, unit)| (identity(&unit[..window]), place as u32))
            .collect();
        named.sort_unstable();
        let (mut identities, mut starts) = (Vec::new(), Vec::new());
        for (start, &(name, _)) in (0_u32..).zip(&named) {
            if identities.last() != Some(&name) {
                identities.push(name);
                starts.push(start);
            }
        }
        let order: Vec<u32> = named.into_iter().map(|(_, place)| place).collect();
        #[expect(clippy::cast_possible_truncation, reason = "as above")]
        starts.push(order.len() as u32);
        Self {
            units,
            identities,
            starts,
            order,
        }
    }

    /// The units whose window is in `index`, their weights times `n_w / (m + n_w)`.
    #[must_use]
    pub fn weighed(&self, index: &WindowIndex, m: f64) -> Units {
        let units = self.units;
        let mut own = Units::of(units.record.clone(), units.layer, Vec::new(), Vec::new());
        self.join(index, m, &mut own);
        own
    }

    /// Each account's key on the account's own windows, on `threads` threads; `done` hears how many more are ready.
    pub fn accounts(
        &self,
        accounts: &[(&LeafKey, &WindowIndex)],
        m: f64,
        threads: usize,
        done: impl Fn(u64) + Sync,
    ) -> Vec<OwnScore> {
        let units = self.units;
        let statistic = units.statistic();
        let share = accounts.len().div_ceil(threads.max(1)).max(1);
        let none = OwnScore {
            units: 0,
            effective: 0.0,
            score: 0.0,
            mean: 0.0,
            deviation: 0.0,
            p_value: PValue::ONE,
        };
        let mut found = vec![none; accounts.len()];
        std::thread::scope(|scope| {
            for (accounts, found) in accounts.chunks(share).zip(found.chunks_mut(share)) {
                let (statistic, done) = (&statistic, &done);
                scope.spawn(move || {
                    let mut own =
                        Units::of(units.record.clone(), units.layer, Vec::new(), Vec::new());
                    for ((key, index), found) in accounts.iter().zip(found) {
                        self.join(index, m, &mut own);
                        if !own.is_empty() {
                            *found = own.own_score(statistic, key);
                        }
                        done(1);
                    }
                });
            }
        });
        found
    }

    /// Fills `own` with the units whose windows the index holds.
    fn join(&self, index: &WindowIndex, m: f64, own: &mut Units) {
        let (units, stride) = (self.units, self.units.layer.window + 1);
        own.tokens.clear();
        own.weights.clear();
        own.masses.clear();
        let index = index.ascending();
        let mut place = 0;
        for (name, count) in index.entries() {
            place = ahead(&self.identities, place, name);
            if self.identities.get(place) != Some(&name) {
                continue;
            }
            let soft = f64::from(count) / (m + f64::from(count));
            for &unit in &self.order[self.starts[place] as usize..self.starts[place + 1] as usize] {
                let unit = unit as usize;
                let weight = units.weights.get(unit).copied();
                own.tokens
                    .extend_from_slice(&units.tokens[unit * stride..(unit + 1) * stride]);
                own.weights.push(match weight {
                    Some(weight) => rounded(soft * weight),
                    None => soft,
                });
                if let Some(&mass) = units.masses.get(unit) {
                    #[expect(clippy::cast_possible_truncation, reason = "for planning only")]
                    own.masses.push(soft as f32 * mass);
                }
            }
        }
    }
}

/// The first place from `from` on whose identity is not below `name`, by steps that double and then halve.
fn ahead(identities: &[u64], from: usize, name: u64) -> usize {
    let mut step = 1;
    let mut low = from;
    while identities
        .get(low + step - 1)
        .is_some_and(|&other| other < name)
    {
        low += step;
        step *= 2;
    }
    let high = identities.len().min(low + step);
    low + identities[low.min(high)..high].partition_point(|&other| other < name)
}

/// A weight with six binary digits behind the first. Weights that nobody's key knows may be rounded as one likes; so few different ones make the law of
/// millions of units a sum of some thousand parts, at 1/50,000 of the power.
pub(crate) fn rounded(weight: f64) -> f64 {
    const DROPPED: u32 = 52 - 6;
    let half = 1 << (DROPPED - 1);
    f64::from_bits((weight.to_bits() + half) >> DROPPED << DROPPED)
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

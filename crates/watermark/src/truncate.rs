//! Temperature, top-k, top-p and min-p: from logits to candidates.

use std::cmp::Ordering;

use taggant_core::Candidates;
use taggant_core::simd::vectorise;

use crate::sampling::Sampling;

/// Buffers of the truncation, reused from token to token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truncation {
    kept: Vec<Entry>,
    places: Vec<u32>,
    ids: Vec<u32>,
    logits: Vec<f32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    logit: f32,
    place: u32,
}

impl Entry {
    /// Larger logits first; equal logits by place, which is by id, so that the result never depends on how a partition swaps them.
    fn before(&self, other: &Self) -> Ordering {
        let by_logit = other.logit.total_cmp(&self.logit);
        by_logit.then(self.place.cmp(&other.place))
    }
}

impl Truncation {
    /// The candidates that `sampling` leaves of `all`, whose scale is the sampling's. At least one is left.
    pub(crate) fn apply<'a>(
        &'a mut self,
        all: Candidates<'a>,
        sampling: &Sampling,
    ) -> Candidates<'a> {
        if sampling.keeps_all() {
            return all;
        }
        let (logits, scale) = (all.logits(), all.scale());
        let floor = sampling.min_p.ln();
        // What top-p takes its share of, when that is not what was kept before it.
        let mut whole = None;
        if sampling.greedy() {
            self.largest(logits, 1);
        } else if sampling.top_k > 0 {
            self.largest(logits, sampling.top_k);
        } else if sampling.top_p < 1.0 {
            whole = Some(self.gather(&all, logits, sampling.top_p));
        } else {
            self.at_least(logits, all.max() + (floor - 1.0) / scale);
        }
        if sampling.top_p < 1.0 {
            let weight = |entry: &Entry| f64::from(all.weight(entry.logit));
            let whole = whole.unwrap_or_else(|| self.kept.iter().map(weight).sum());
            let enough = cut(&mut self.kept, f64::from(sampling.top_p) * whole, weight);
            self.kept.truncate(enough);
        }
        if sampling.min_p > 0.0 {
            self.kept
                .retain(|entry| (entry.logit - all.max()) * scale >= floor);
        }
        self.places.clear();
        self.places
            .extend(self.kept.iter().map(|entry| entry.place));
        self.ids.clear();
        let token = |&place: &u32| all.token(place as usize);
        self.ids.extend(self.places.iter().map(token));
        self.logits.clear();
        self.logits
            .extend(self.kept.iter().map(|entry| entry.logit));
        Candidates::listed(&self.ids, &self.logits, all.max(), scale)
    }

    /// Where the candidates last kept stood among all.
    pub(crate) fn places(&self) -> &[u32] {
        &self.places
    }

    /// Says the places in a list whose items stand at `listed` of another.
    pub(crate) fn move_places(&mut self, listed: &[u32]) {
        for place in &mut self.places {
            *place = listed[*place as usize];
        }
    }

    /// Keeps the `count` largest logits, the lower ids among equals.
    ///
    /// The vocabulary is dealt into `GROUPS` groups. The `count`-th largest of the groups' largest logits has at least `count`
    /// logits at or above it and few more, so one pass finds the groups' largest and another gathers little more than is kept.
    fn largest(&mut self, logits: &[f32], count: usize) {
        let mut threshold = f32::NEG_INFINITY;
        if count < GROUPS && logits.len() > GROUPS {
            let maxima = &mut self.logits;
            maxima.clear();
            maxima.resize(GROUPS, f32::NEG_INFINITY);
            let slots = &mut maxima[..];
            vectorise(
                #[inline(always)]
                move || {
                    for row in logits.chunks(GROUPS) {
                        for (max, &logit) in slots.iter_mut().zip(row) {
                            *max = if logit > *max { logit } else { *max };
                        }
                    }
                },
            );
            threshold = *maxima
                .select_nth_unstable_by(GROUPS - count, f32::total_cmp)
                .1;
        }
        self.at_least(logits, threshold);
        if self.kept.len() > count {
            self.kept.select_nth_unstable_by(count, Entry::before);
            self.kept.truncate(count);
        }
    }

    /// Keeps every possible token whose logit is at least `threshold`.
    fn at_least(&mut self, logits: &[f32], threshold: f32) {
        self.kept.clear();
        let threshold = threshold.max(f32::MIN);
        vectorise(
            #[inline(always)]
            || {
                for (run, logits) in logits.chunks(RUN).enumerate() {
                    let hits: u32 = logits
                        .iter()
                        .map(|&logit| u32::from(logit >= threshold))
                        .sum();
                    if hits > 0 {
                        self.push(run * RUN, logits, threshold);
                    }
                }
            },
        );
    }

    /// Keeps at least as many of the largest logits as hold `share` of the probability, without sorting a vocabulary: the
    /// threshold is lowered until the mass above it suffices. Returns the mass of the whole vocabulary.
    fn gather(&mut self, all: &Candidates<'_>, logits: &[f32], share: f32) -> f64 {
        let whole = all.mass();
        let mut depth = 4.0;
        while depth < 100.0 {
            self.at_least(logits, all.max() - depth / all.scale());
            let mass: f64 = self
                .kept
                .iter()
                .map(|entry| f64::from(all.weight(entry.logit)))
                .sum();
            if mass >= f64::from(share) * whole {
                return whole;
            }
            depth *= 1.5;
        }
        self.at_least(logits, f32::NEG_INFINITY);
        whole
    }

    #[inline(never)]
    fn push(&mut self, first: usize, logits: &[f32], threshold: f32) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "vocabularies are below 2^21"
        )]
        self.kept.extend(
            logits
                .iter()
                .enumerate()
                .filter(|&(_, &logit)| logit >= threshold)
                .map(|(offset, &logit)| Entry {
                    logit,
                    place: (first + offset) as u32,
                }),
        );
    }
}

/// Moves to the front the fewest entries, largest first, whose mass reaches `needed`, and returns how many they are. Each step
/// halves the range in question, so a flat distribution with a nucleus of thousands is not sorted.
fn cut(entries: &mut [Entry], mut needed: f64, weight: impl Fn(&Entry) -> f64) -> usize {
    let (mut low, mut high) = (0, entries.len());
    while high - low > 1 {
        let middle = low.midpoint(high);
        let range = &mut entries[low..high];
        range.select_nth_unstable_by(middle - low, Entry::before);
        let mass: f64 = range[..middle - low].iter().map(&weight).sum();
        if mass >= needed {
            high = middle;
        } else {
            needed -= mass;
            low = middle;
        }
    }
    high
}

/// Tokens looked at together.
const RUN: usize = 64;

/// Groups of the top-k pass: many more than any usual k, few enough to stay in the first cache.
const GROUPS: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, by a full sort in double precision.
    fn slow(logits: &[f32], sampling: &Sampling) -> Vec<u32> {
        let finite = |&id: &usize| logits[id] > f32::NEG_INFINITY;
        let mut order: Vec<usize> = (0..logits.len()).filter(finite).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        let mut scale = 1.0;
        if sampling.temperature <= 0.0 {
            order.truncate(1);
        } else {
            scale = f64::from(sampling.temperature).recip();
            if sampling.top_k > 0 {
                order.truncate(sampling.top_k);
            }
        }
        let max = f64::from(logits[order[0]]);
        let weight = |id: usize| ((f64::from(logits[id]) - max) * scale).exp();
        if sampling.top_p < 1.0 {
            let whole: f64 = order.iter().map(|&id| weight(id)).sum();
            let mut mass = 0.0;
            let enough = order.iter().position(|&id| {
                mass += weight(id);
                mass >= f64::from(sampling.top_p) * whole
            });
            order.truncate(enough.map_or(order.len(), |last| last + 1));
        }
        order.retain(|&id| weight(id) >= f64::from(sampling.min_p));
        order.sort_unstable();
        order
            .into_iter()
            .map(|id| u32::try_from(id).unwrap())
            .collect()
    }

    proptest! {
        #[test]
        fn truncation_keeps_what_its_definition_keeps(
            logits in proptest::collection::vec(
                prop_oneof![9 => -30.0_f32..30.0, 1 => Just(f32::NEG_INFINITY), 1 => Just(3.0)],
                1..5000,
            ),
            temperature in prop_oneof![1 => Just(0.0_f32), 5 => 0.1_f32..3.0],
            top_k in prop_oneof![Just(0_usize), 1_usize..3000],
            top_p in prop_oneof![Just(1.0_f32), 0.05_f32..0.999],
            min_p in prop_oneof![Just(0.0_f32), 0.001_f32..1.0],
        ) {
            prop_assume!(logits.iter().any(|logit| logit.is_finite()));
            let sampling = Sampling { temperature, top_k, top_p, min_p }.checked().unwrap();
            let mut truncation = Truncation::default();
            let all = Candidates::all(&logits, sampling.scale()).unwrap();
            let candidates = truncation.apply(all, &sampling);
            let mut kept: Vec<u32> = (0..candidates.len())
                .map(|index| candidates.token(index))
                .filter(|&token| logits[token as usize] > f32::NEG_INFINITY)
                .collect();
            kept.sort_unstable();
            let expected = slow(&logits, &sampling);
            // Single precision may decide the last token of a nucleus or a floor either way.
            let differ = kept.iter().filter(|id| !expected.contains(id)).count()
                + expected.iter().filter(|id| !kept.contains(id)).count();
            prop_assert!(differ <= usize::from(top_p < 1.0 || min_p > 0.0), "{kept:?} {expected:?}");
            prop_assert!(!kept.is_empty());
        }
    }
}

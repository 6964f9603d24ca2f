//! Tokens that an engine has truncated to by itself, with their logits: checked, and put in the order of their ids.

use taggant_core::simd::vectorise;
use taggant_core::{Candidates, Error, ErrorKind, Result};

/// Buffers of a list, reused from token to token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    order: Vec<u64>,
    places: Vec<u32>,
    ids: Vec<u32>,
    logits: Vec<f32>,
}

impl Listing {
    /// The candidates of a list in any order. In the order of ids, so that a draw does not depend on how an engine sorts.
    ///
    /// # Errors
    /// [`ErrorKind::Token`] when an id occurs twice or is not below `vocabulary`; [`ErrorKind::Logits`] when there is not one logit
    /// for each id, or no distribution can be made of them.
    pub(crate) fn read(
        &mut self,
        ids: &[u32],
        logits: &[f32],
        vocabulary: Option<usize>,
        scale: f32,
    ) -> Result<Candidates<'_>> {
        if ids.len() != logits.len() {
            return Err(Error::new(
                ErrorKind::Logits,
                format!(
                    "{} logits for a list of {} tokens; one logit per token is needed",
                    logits.len(),
                    ids.len()
                ),
            ));
        }
        self.order.clear();
        // The id above, the place below: one key for a sort of plain integers.
        let key = |(&id, place): (&u32, u64)| u64::from(id) << 32 | place;
        self.order.extend(ids.iter().zip(0..).map(key));
        if !self.order.is_sorted() {
            self.order.sort_unstable();
        }
        self.places.clear();
        self.places.extend(self.order.iter().map(|&key| low(key)));
        self.ids.clear();
        self.ids
            .extend(self.order.iter().map(|&key| low(key >> 32)));
        self.check(vocabulary)?;
        self.logits.clear();
        let logit = |&place: &u32| logits[place as usize];
        self.logits.extend(self.places.iter().map(logit));
        Candidates::only(&self.ids, &self.logits, scale)
    }

    /// Lists the possible tokens of a vocabulary, in one pass, if an engine has masked most of it. NaN and +∞ are listed too.
    pub(crate) fn gather(&mut self, logits: &[f32]) -> bool {
        self.ids.clear();
        let sparse = vectorise(
            #[inline(always)]
            || {
                for (run, logits) in logits.chunks(RUN).enumerate() {
                    let hits: u32 = logits
                        .iter()
                        .map(|&logit| u32::from(logit != f32::NEG_INFINITY))
                        .sum();
                    if hits > 0 {
                        let few = self.push(run * RUN, logits);
                        if !few {
                            return false;
                        }
                    }
                }
                !self.ids.is_empty()
            },
        );
        self.logits.clear();
        if sparse {
            let logit = |&id: &u32| logits[id as usize];
            self.logits.extend(self.ids.iter().map(logit));
        }
        sparse
    }

    /// Adds the possible tokens of a run; false once they are too many for a list to be worth it.
    #[inline(never)]
    fn push(&mut self, first: usize, logits: &[f32]) -> bool {
        let possible = |&(_, &logit): &(u32, &f32)| logit != f32::NEG_INFINITY;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "vocabularies are below 2^21"
        )]
        let tokens = (first as u32..).zip(logits);
        self.ids.extend(tokens.filter(possible).map(|(id, _)| id));
        self.ids.len() <= ALWAYS + first / 8
    }

    /// Ids and logits that [`read`](Self::read) or [`gather`](Self::gather) has listed.
    pub(crate) fn parts(&mut self) -> (&[u32], &mut [f32]) {
        (&self.ids, &mut self.logits)
    }

    /// Writes changed logits to where they stood in the list.
    pub(crate) fn put_back(&self, logits: &mut [f32]) {
        for (&place, &logit) in self.places.iter().zip(&self.logits) {
            logits[place as usize] = logit;
        }
    }

    /// Where candidates that [`read`](Self::read) gave stood in the list.
    pub(crate) fn places(&self) -> &[u32] {
        &self.places
    }

    fn check(&self, vocabulary: Option<usize>) -> Result<()> {
        if let Some(at) = self.ids.windows(2).position(|pair| pair[0] == pair[1]) {
            return Err(Error::new(
                ErrorKind::Token,
                format!(
                    "token id {} stands at positions {} and {} of the list; each token may stand there once",
                    self.ids[at],
                    self.places[at],
                    self.places[at + 1]
                ),
            ));
        }
        match (self.ids.last(), self.places.last(), vocabulary) {
            (Some(&id), Some(place), Some(vocabulary)) if id as usize >= vocabulary => {
                Err(Error::new(
                    ErrorKind::Token,
                    format!(
                        "token id {id} at position {place} of the list is not in the vocabulary of {vocabulary} tokens"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Tokens looked at together.
const RUN: usize = 64;

/// So many possible tokens are listed whatever their share; beyond it, an eighth of the vocabulary.
const ALWAYS: usize = 256;

#[expect(clippy::cast_possible_truncation, reason = "half of a key")]
fn low(key: u64) -> u32 {
    key as u32
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use taggant_core::schemes::{self, Parameters};
    use taggant_core::{ErrorKind, Mark, Record, RootKey, TokenizerId};

    use crate::{Sampler, Sampling, Stream};

    const VOCABULARY: usize = 3000;

    fn sampler(temperature: f32, top_k: usize, top_p: f32, min_p: f32) -> Sampler {
        let sampling = Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
        };
        Sampler::new(sampling).unwrap()
    }

    /// A stream of each scheme, and a plain one, where the mark has a window.
    fn streams() -> Vec<(&'static str, Stream)> {
        let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/c".parse().unwrap());
        let tokenizer = TokenizerId::new([0; 32], VOCABULARY).unwrap();
        let marked = |definition: &&schemes::Definition| {
            let parameters = Parameters::new(definition.id, &[]).unwrap();
            let record = Record::new(parameters, 2, &[&key], tokenizer).unwrap();
            let mark = Arc::new(Mark::new(&record, &[&key]).unwrap());
            (definition.id, Stream::resume(mark, &[3, 1]).unwrap())
        };
        let plain = ("plain", Stream::plain());
        schemes::ALL.iter().map(marked).chain([plain]).collect()
    }

    /// Logits with ties, the ids of the `count` largest (the lower among equals) in a random order, and their logits.
    fn row(rng: &mut ChaCha8Rng, count: usize) -> (Vec<f32>, Vec<u32>, Vec<f32>) {
        let mut some = || f32::from((rng.next_u32() >> 24) as u8) / 64.0;
        let logits: Vec<f32> = (0..VOCABULARY).map(|_| some() + some() - some()).collect();
        let mut ids: Vec<u32> = (0..).take(VOCABULARY).collect();
        let logit = |id: &u32| logits[*id as usize];
        ids.sort_by(|a, b| logit(b).total_cmp(&logit(a)).then(a.cmp(b)));
        ids.truncate(count);
        let mut shuffled: Vec<(u32, u32)> = ids.iter().map(|&id| (rng.next_u32(), id)).collect();
        shuffled.sort_unstable();
        let ids: Vec<u32> = shuffled.into_iter().map(|(_, id)| id).collect();
        let listed = ids.iter().map(logit).collect();
        (logits, ids, listed)
    }

    fn masked(logits: &[f32], ids: &[u32]) -> Vec<f32> {
        let mut masked = vec![f32::NEG_INFINITY; logits.len()];
        for &id in ids {
            masked[id as usize] = logits[id as usize];
        }
        masked
    }

    /// One number, again and again.
    struct Coin(u64);

    impl rand::TryRng for Coin {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok((self.0 >> 32) as u32)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(self.0)
        }

        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
            unreachable!("samplers take one number")
        }
    }

    #[test]
    fn a_race_among_what_truncation_keeps_is_the_race_of_the_whole_vocabulary() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (name, start) = streams().swap_remove(0);
        assert_eq!(name, "gumbel/1");
        for (truncated, rest, count) in [
            // The engine has done all of it, the first part, or a part that ours goes on from.
            ((0.8, 60, 1.0, 0.0), (0.8, 0, 1.0, 0.0), 60),
            ((0.8, 60, 0.9, 0.01), (0.8, 0, 0.9, 0.01), 60),
            ((1.3, 20, 1.0, 0.2), (1.3, 20, 1.0, 0.2), 100),
            ((0.0, 0, 1.0, 0.0), (0.0, 0, 1.0, 0.0), 40),
        ] {
            let [mut by_all, mut by_list] =
                [truncated, rest].map(|(t, k, p, m)| sampler(t, k, p, m));
            let mut chosen = std::collections::BTreeSet::new();
            for token in 0..300 {
                let (logits, ids, listed) = row(&mut rng, count);
                let mut stream = start.clone();
                stream.push(token).unwrap();
                let mut twin = stream.clone();
                let one = by_all.select(&mut stream, &logits, &mut rng).unwrap();
                let same = by_list.select_listed(&mut twin, &ids, &listed, &mut rng);
                assert_eq!(same.unwrap(), one, "{truncated:?}");
                assert_eq!(twin.tokens(), stream.tokens());
                chosen.insert(one);
            }
            assert!(chosen.len() > 100, "{} tokens", chosen.len());
        }
    }

    #[test]
    fn a_list_in_any_order_draws_as_the_vocabulary_does_with_all_else_masked() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut neutral = sampler(0.9, 0, 1.0, 0.0);
        for (name, mut stream) in streams() {
            for _ in 0..300 {
                let (logits, mut ids, mut listed) = row(&mut rng, 50);
                let mut twins = [stream.clone(), stream.clone()];
                let coin = rng.next_u64();
                let one = neutral
                    .select(&mut stream, &masked(&logits, &ids), &mut Coin(coin))
                    .unwrap();
                for twin in &mut twins {
                    let same = neutral.select_listed(twin, &ids, &listed, &mut Coin(coin));
                    assert_eq!(same.unwrap(), one, "{name}");
                    ids.reverse();
                    listed.reverse();
                }
            }
        }
    }

    #[test]
    fn a_draw_from_a_list_is_as_likely_as_after_truncation_of_the_whole_vocabulary() {
        const COINS: u64 = 4096;
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut by_all, mut by_list) = (sampler(0.8, 12, 1.0, 0.0), sampler(0.8, 0, 1.0, 0.0));
        for (name, stream) in streams() {
            let (logits, ids, listed) = row(&mut rng, 12);
            let mut counts = vec![[0_i32; 2]; VOCABULARY];
            for step in 0..COINS {
                let mut coin = Coin(step * (u64::MAX / COINS));
                let (mut one, mut two) = (stream.clone(), stream.clone());
                let token = by_all.select(&mut one, &logits, &mut coin).unwrap();
                counts[token as usize][0] += 1;
                let token = by_list
                    .select_listed(&mut two, &ids, &listed, &mut coin)
                    .unwrap();
                counts[token as usize][1] += 1;
            }
            let far = counts.iter().map(|[a, b]| (a - b).abs()).max();
            assert!(far <= Some(1), "{name}: {far:?} coins of {COINS} apart");
            let found = counts.iter().filter(|count| count[1] > 0).count();
            assert_eq!(found > 1, name != "gumbel/1", "{name}: {found} tokens");
        }
    }

    #[test]
    fn biased_lists_are_the_biased_vocabulary_with_all_else_masked() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (temperature, top_k, top_p) in [(1.0, 0, 1.0), (0.7, 0, 1.0), (0.7, 20, 0.9)] {
            let mut sampler = sampler(temperature, top_k, top_p, 0.0);
            for (name, mut stream) in streams() {
                for token in 0..40 {
                    let (logits, ids, mut listed) = row(&mut rng, 50);
                    let mut whole = masked(&logits, &ids);
                    let before = listed.clone();
                    sampler.bias(&stream, &mut whole).unwrap();
                    sampler.bias_listed(&stream, &ids, &mut listed).unwrap();
                    let (whole, own) = (probabilities(&whole), probabilities(&listed));
                    for (&id, own) in ids.iter().zip(own) {
                        let far = (whole[id as usize] - own).abs();
                        assert!(far < 1e-5, "{name}: token {id} is {far} apart");
                    }
                    let neutral = (temperature, top_k) == (1.0, 0);
                    assert_eq!(listed == before, neutral && name == "plain", "{name}");
                    stream.push(token).unwrap();
                }
            }
        }
    }

    fn probabilities(logits: &[f32]) -> Vec<f64> {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f64> = logits.iter().map(|&l| f64::from(l - max).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    #[test]
    fn a_row_that_is_mostly_masked_is_biased_as_any_other() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        // Top-k of as many as there are drops none and takes the other way.
        let mut neutral = sampler(1.0, 0, 1.0, 0.0);
        let mut through = sampler(1.0, VOCABULARY, 1.0, 0.0);
        for count in [1, 50, 255, 400, 2000, VOCABULARY] {
            for (name, mut stream) in streams() {
                for token in 0..20 {
                    let (logits, ids, _) = row(&mut rng, count);
                    let mut one = masked(&logits, &ids);
                    let mut two = one.clone();
                    neutral.bias(&stream, &mut one).unwrap();
                    through.bias(&stream, &mut two).unwrap();
                    let pairs = probabilities(&one).into_iter().zip(probabilities(&two));
                    let far = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(far < 1e-5, "{name}, {count} possible: {far} apart");
                    if name == "greenlist/1" {
                        let gain = |&id: &u32| one[id as usize] - logits[id as usize];
                        assert!(
                            ids.iter()
                                .map(gain)
                                .all(|gain| gain == 0.0 || (gain - 2.0).abs() < 1e-6)
                        );
                    }
                    stream.push(token).unwrap();
                }
                // A fault is found at marked positions and at others, in rows of either kind.
                for bad in [f32::NAN, f32::INFINITY] {
                    let (logits, ids, _) = row(&mut rng, count);
                    let mut row = masked(&logits, &ids);
                    row[1234] = bad;
                    let error = neutral.bias(&stream, &mut row).unwrap_err().to_string();
                    assert!(
                        error.contains("the logit of token 1234 is"),
                        "{name}: {error}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_row_that_is_kept_from_token_to_token_holds_what_bias_gives() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for (temperature, top_k, top_p) in [(1.0, 0, 1.0), (0.7, 20, 1.0), (0.7, 0, 0.5)] {
            let mut sampler = sampler(temperature, top_k, top_p, 0.0);
            for (name, mut stream) in streams() {
                let (mut kept, mut written) = (vec![f32::NEG_INFINITY; VOCABULARY], vec![]);
                for token in 0..20 {
                    let (logits, _, _) = row(&mut rng, 1);
                    let mut biased = logits.clone();
                    sampler.bias(&stream, &mut biased).unwrap();
                    sampler
                        .bias_into(&stream, &logits, &mut kept, &mut written)
                        .unwrap();
                    let pairs = probabilities(&biased).into_iter().zip(probabilities(&kept));
                    let far = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(far < 1e-5, "{name}: {far} apart");
                    let before = kept.clone();
                    let nan = vec![f32::NAN; VOCABULARY];
                    sampler
                        .bias_into(&stream, &nan, &mut kept, &mut written)
                        .unwrap_err();
                    let short = &mut kept[1..];
                    sampler
                        .bias_into(&stream, &logits, short, &mut written)
                        .unwrap_err();
                    assert_eq!(kept, before);
                    stream.push(token).unwrap();
                }
            }
        }
    }

    #[test]
    fn lists_that_mean_nothing_are_refused_and_change_nothing() {
        use ErrorKind::{Logits, Token};
        let nan = f32::NAN;
        let none = f32::NEG_INFINITY;
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for mut sampler in [sampler(1.0, 0, 1.0, 0.0), sampler(0.8, 2, 0.9, 0.0)] {
            for (name, mut stream) in streams() {
                let before = stream.tokens().to_vec();
                let cases: [(&[u32], &[f32], ErrorKind, &str); 8] = [
                    (
                        &[9, 4, 9],
                        &[0.0; 3],
                        Token,
                        "token id 9 stands at positions 0 and 2",
                    ),
                    (
                        &[4, 9, 9],
                        &[0.0; 3],
                        Token,
                        "token id 9 stands at positions 1 and 2",
                    ),
                    (
                        &[4, 3000, 9],
                        &[0.0; 3],
                        Token,
                        "token id 3000 at position 1 of the list is not in the vocabulary of 3000",
                    ),
                    (
                        &[4, 9],
                        &[0.0; 3],
                        Logits,
                        "3 logits for a list of 2 tokens",
                    ),
                    (&[], &[], Logits, "no logits"),
                    (&[9, 4], &[0.0, nan], Logits, "the logit of token 4 is NaN"),
                    (
                        &[9, 4],
                        &[f32::INFINITY, 0.0],
                        Logits,
                        "the logit of token 9 is inf",
                    ),
                    (&[9, 4], &[none, none], Logits, "all 2 logits are -inf"),
                ];
                for (ids, logits, kind, message) in cases {
                    if name == "plain" && message.contains("vocabulary") {
                        continue; // a stream without a mark knows no vocabulary
                    }
                    let mut own = logits.to_vec();
                    let errors = [
                        sampler.bias_listed(&stream, ids, &mut own).unwrap_err(),
                        sampler
                            .select_listed(&mut stream, ids, logits, &mut rng)
                            .unwrap_err(),
                    ];
                    for error in errors {
                        assert_eq!(error.kind(), kind, "{name}: {error}");
                        assert!(error.to_string().contains(message), "{name}: {error}");
                    }
                    assert_eq!(stream.tokens(), before);
                }
                let mut once = stream.clone();
                let only = sampler.select_listed(&mut once, &[9, 4], &[none, 0.0], &mut rng);
                assert_eq!(only.unwrap(), 4, "{name}: a masked token");
            }
        }
    }
}

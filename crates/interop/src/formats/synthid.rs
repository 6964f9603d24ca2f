//! SynthID text marks with published code: Hugging Face transformers (`SynthIDTextWatermarkLogitsProcessor`, read in 5.24), DeepMind's
//! synthid-text 0.2.1 of PyPI, and its main branch since June 2025. The first two are one function; the third is another.

use sha2::{Digest, Sha256};
use taggant_core::simd::vectorise;
use taggant_core::window::extend;
use taggant_core::{Error, ErrorKind, Null, Result, Scheme};
use taggant_detector::stats::PValue;

use super::Definition;
use crate::config::Fields;
use crate::contract::Contract;
use crate::fourier::{Empirical, correlate};
use crate::hash::torch;
use crate::law::UnitLaw;
use crate::mark::{Mark, Reading};
use crate::peer::{self, Counts, Rule, Statistic};

pub(crate) const HF: Definition = Definition {
    id: "hf-synthid",
    about: "Hugging Face transformers, SynthIDTextWatermarkingConfig",
    warning: Some(TABLE_WARNING),
    build: |definition, fields| {
        let (keys, window) = common(fields)?;
        let size = table_size(fields, Some(1 << 16))?.unwrap_or(1 << 16);
        let seed = fields.whole("sampling_table_seed", Some(0), 0..=u64::MAX)?;
        fields.ignore(&[
            "context_history_size",
            "skip_first_ngram_calls",
            "debug_mode",
        ]);
        let reading = reading(fields)?;
        Ok(table_mark(
            definition,
            &keys,
            window,
            size,
            seed,
            reading,
            "transformers SynthID mean",
        ))
    },
};

pub(crate) const DEEPMIND: Definition = Definition {
    id: "deepmind-synthid",
    about: "DeepMind synthid-text: 0.2.1 of PyPI with sampling_table_size, the main branch since June 2025 without",
    warning: Some(
        "layers of the table form have 65,536 keys, which can be read off some hundred tokens of marked text; the main branch's hash is linear but for \
         its shifts and no cryptographic function: a finding does not exclude forgery",
    ),
    build: |definition, fields| {
        let (keys, window) = common(fields)?;
        let size = table_size(fields, None)?;
        let seed = fields.whole("sampling_table_seed", Some(0), 0..=u64::MAX)?;
        fields.ignore(&[
            "context_history_size",
            "temperature",
            "top_k",
            "num_leaves",
            "device",
            "apply_top_k",
            "skip_first_ngram_calls",
        ]);
        let reading = reading(fields)?;
        let detector = "synthid-text weighted_mean_score";
        if let Some(size) = size {
            return Ok(table_mark(
                definition, &keys, window, size, seed, reading, detector,
            ));
        }
        let scrambled = Scrambled::new(&keys, window);
        let depth = depth(&keys);
        Ok(Mark::single(
            definition,
            scrambled,
            UnitLaw::Bits(depth),
            reading,
            rule(detector, depth),
        ))
    },
};

const TABLE_WARNING: &str = "each layer has one of `sampling_table_size` keys, which can be read off some hundred tokens of marked text in milliseconds \
                             (`taggant_interop::recover`): a finding does not exclude forgery";

/// Most layers: a word has a bit for each.
const DEEPEST: usize = 32;

/// Multiplier of the linear congruential generator that hashes.
const A: u64 = 6_364_136_223_846_793_005;

#[inline(always)]
fn accumulate(hash: u64, data: u64) -> u64 {
    hash.wrapping_add(data).wrapping_mul(A).wrapping_add(1)
}

#[inline(always)]
fn absorb(start: u64, tokens: &[u32]) -> u64 {
    tokens
        .iter()
        .fold(start, |hash, &token| accumulate(hash, u64::from(token)))
}

/// Keys as the engine holds them, and tokens in a window.
fn common(fields: &mut Fields) -> Result<(Vec<i64>, usize)> {
    let keys = fields.keys("keys", DEEPEST, i128::from(i64::MIN)..=i128::from(i64::MAX))?;
    #[expect(clippy::cast_possible_truncation, reason = "in range")]
    let keys = keys.into_iter().map(|key| key as i64).collect();
    let ngram = fields.size("ngram_len", None, 2..=65)?;
    Ok((keys, ngram - 1))
}

/// A power of two, small enough that the null can be counted out over all keys.
fn table_size(fields: &mut Fields, default: Option<u64>) -> Result<Option<usize>> {
    const LARGEST: u64 = 1 << 18;
    let size = fields.whole("sampling_table_size", default.or(Some(0)), 0..=1 << 24)?;
    if size == 0 && default.is_none() {
        return Ok(None);
    }
    if !size.is_power_of_two() || !(2..=LARGEST).contains(&size) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "`sampling_table_size` is {size}; this version reads powers of two from 2 to {LARGEST}, whose null law is counted out over all keys: \
                 other sizes do not divide 2^64, so a key is not one of so many"
            ),
        ));
    }
    Ok(usize::try_from(size).ok())
}

fn reading(fields: &mut Fields) -> Result<Reading> {
    Ok(Reading {
        vocabulary: fields.vocabulary_if_given()?,
        eos: fields.token("eos_token_id")?,
        ..Reading::default()
    })
}

#[expect(clippy::cast_possible_truncation, reason = "at most 32")]
fn depth(keys: &[i64]) -> u32 {
    keys.len() as u32
}

fn rule(detector: &'static str, depth: u32) -> Rule {
    Rule {
        detector,
        counts: Counts::Windows,
        most: None,
        statistic: Statistic::Means { depth },
    }
}

fn table_mark(
    definition: &'static Definition,
    keys: &[i64],
    window: usize,
    size: usize,
    seed: u64,
    reading: Reading,
    detector: &'static str,
) -> Mark {
    let table = Table::new(&sampled(seed, size), keys);
    let depth = depth(keys);
    let tabled = Tabled {
        words: table.words(),
        window,
        depth,
    };
    let mut mark = Mark::single(
        definition,
        tabled,
        UnitLaw::Bits(depth),
        reading,
        rule(detector, depth),
    );
    mark.table = Some(table);
    mark
}

/// `T'[y] = T[(yA + 1) mod S]`, where `T` is the engine's table of bits: what a layer says of hash and key that sum to `y` modulo `S`.
pub(crate) fn sampled(seed: u64, size: usize) -> Vec<u8> {
    let table = torch::bits(seed, size);
    #[expect(clippy::cast_possible_truncation, reason = "masked")]
    (0..size as u64)
        .map(|y| table[accumulate(y, 0) as usize & (size - 1)])
        .collect()
}

/// Where a unit stands among the `S` that a table of this size tells apart.
#[expect(clippy::cast_possible_truncation, reason = "masked")]
pub(crate) fn bucket(unit: &[u32], size: usize) -> usize {
    absorb(1, unit) as usize & (size - 1)
}

/// `X(k) = Σ_x counts[x] T'[(x + k) mod S]` for every key `k` below `S`: the ones of a layer under that key.
pub(crate) fn ones_by_key(counts: &[u32], bits: &[u8]) -> Vec<u64> {
    /// Above so many units, transforms are faster than the loop.
    const FEW: u64 = 4000;
    const BLOCK: usize = 4096;
    let size = bits.len();
    if counts.iter().map(|&count| u64::from(count)).sum::<u64>() > FEW {
        return correlate(counts, bits);
    }
    let mut places = Vec::new();
    for (place, &count) in counts.iter().enumerate() {
        for _ in 0..count {
            places.push(place);
        }
    }
    // Twice around, so that rotations are slices.
    let twice = [bits, bits].concat();
    let block = BLOCK.min(size);
    let mut ones = vec![0_u64; size];
    for (start, out) in (0..size).step_by(block).zip(ones.chunks_mut(block)) {
        // Sums of so many bits fit a byte.
        for places in places.chunks(252) {
            let mut sums = [0_u8; BLOCK];
            let (sums, from, out) = (&mut sums[..block], &twice[start..], &mut out[..]);
            vectorise(
                #[inline(always)]
                move || {
                    let bits = |place: usize| &from[place..place + block];
                    let (fours, rest) = places.as_chunks::<4>();
                    for &[a, b, c, d] in fours {
                        for ((((sum, a), b), c), d) in sums
                            .iter_mut()
                            .zip(bits(a))
                            .zip(bits(b))
                            .zip(bits(c))
                            .zip(bits(d))
                        {
                            *sum += a + b + c + d;
                        }
                    }
                    for &place in rest {
                        for (sum, bit) in sums.iter_mut().zip(bits(place)) {
                            *sum += bit;
                        }
                    }
                    for (out, sum) in out.iter_mut().zip(sums) {
                        *out += u64::from(*sum);
                    }
                },
            );
        }
    }
    ones
}

/// A table of bits under its layers' keys: the form whose null law can be counted out.
///
/// The table's size `S` divides 2^64, so a layer's key `k` acts only through `k mod S`, and a unit of hash `h` (before the key) only through
/// `h mod S`, its bucket. Under the null the keys are independent of the text and uniform, so the ones of one layer over all units are one of
/// the `S` numbers `X(k)`, each equally likely, and layers are independent draws of them. That holds whatever the units share: neither the
/// table's share of ones nor buckets that collide make it wrong, where a test against ½ drifts.
pub(crate) struct Table {
    bits: Vec<u8>,
    /// Each layer's key modulo `S`.
    keys: Vec<usize>,
}

/// What the units of a table-driven mark say.
#[derive(Clone, Debug)]
pub(crate) struct Assessed {
    pub(crate) score: f64,
    pub(crate) expected: f64,
    pub(crate) p_value: PValue,
    pub(crate) exact: bool,
    pub(crate) weighted: Option<(f64, PValue)>,
}

impl Table {
    fn new(bits: &[u8], keys: &[i64]) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "two's complement, masked"
        )]
        let keys = keys
            .iter()
            .map(|&key| key as u64 as usize & (bits.len() - 1))
            .collect();
        Self {
            bits: bits.to_vec(),
            keys,
        }
    }

    /// Buckets.
    pub(crate) fn size(&self) -> usize {
        self.bits.len()
    }

    /// The bucket of a window and its token.
    pub(crate) fn bucket(&self, unit: &[u32]) -> usize {
        bucket(unit, self.size())
    }

    /// What counts of units by bucket say; microseconds for a row, milliseconds for a million units.
    #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
    pub(crate) fn assess(&self, buckets: &[u32]) -> Assessed {
        let by_key = ones_by_key(buckets, &self.bits);
        let law = Empirical::of(&by_key);
        let ones: Vec<u64> = self.keys.iter().map(|&key| by_key[key]).collect();
        let score: u64 = ones.iter().sum();
        let depth = u32::try_from(self.keys.len()).unwrap_or(0);
        let weights = peer::weights(depth);
        let weighted: f64 = weights
            .iter()
            .zip(&ones)
            .map(|(weight, &ones)| weight * ones as f64)
            .sum();
        let (p_value, exact) = law.tail(score, depth);
        Assessed {
            score: score as f64,
            expected: f64::from(depth) * law.mean(),
            p_value,
            exact,
            weighted: Some((weighted, law.weighted_bound(weighted, &weights))),
        }
    }

    /// Each bucket's word: the bit of each layer.
    fn words(&self) -> Vec<u32> {
        let mut words = vec![0; self.size()];
        for (layer, &key) in self.keys.iter().enumerate() {
            for (word, &bit) in words
                .iter_mut()
                .zip(self.bits[key..].iter().chain(&self.bits[..key]))
            {
                *word |= u32::from(bit) << layer;
            }
        }
        words
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

/// The keyed function with a table: a word for each bucket.
struct Tabled {
    words: Vec<u32>,
    window: usize,
    depth: u32,
}

impl Scheme for Tabled {
    fn id(&self) -> &'static str {
        "synthid/table"
    }

    fn window(&self) -> usize {
        self.window
    }

    fn words(&self, tokens: &[u32], positions: &[u32], out: &mut [u32]) {
        for (out, &position) in out.iter_mut().zip(positions) {
            let end = position as usize;
            *out = self.words[bucket(&tokens[end - self.window..=end], self.words.len())];
        }
    }

    fn null(&self) -> Null {
        Null::Binomial {
            trials: self.depth,
            threshold: 1 << 31,
        }
    }

    fn score(&self, words: &[u32]) -> f64 {
        ones(words)
    }
}

impl Contract for Tabled {}

impl std::fmt::Debug for Tabled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tabled")
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn ones(words: &[u32]) -> f64 {
    words
        .iter()
        .map(|word| u64::from(word.count_ones()))
        .sum::<u64>() as f64
}

/// The keyed function of the main branch: no table, twelve rounds that scramble.
struct Scrambled {
    start: u64,
    keys: [u64; DEEPEST],
    depth: u32,
    window: usize,
}

impl Scrambled {
    const ROUNDS: u32 = 12;

    fn new(keys: &[i64], window: usize) -> Self {
        /// Remainder by which the hash of the keys starts all others.
        const MODULUS: u128 = (1 << 63) - 1;
        let digest = keys
            .iter()
            .fold(Sha256::new(), |hash, key| {
                hash.chain_update(key.to_le_bytes())
            })
            .finalize();
        #[expect(clippy::cast_possible_truncation, reason = "below 2^63")]
        let start = digest.iter().fold(0_u128, |number, &byte| {
            (number << 8 | u128::from(byte)) % MODULUS
        }) as u64;
        let mut padded = [0; DEEPEST];
        for (own, &key) in padded.iter_mut().zip(keys) {
            *own = key.cast_unsigned();
        }
        Self {
            start,
            keys: padded,
            depth: depth(keys),
            window,
        }
    }

    #[inline(always)]
    fn word(&self, unit: &[u32]) -> u32 {
        self.bits(absorb(self.start, unit), 0)
    }

    /// The bits that follow from a unit's hash, keys moved by draws from `shift`. All layers side by side, so that they fill vector registers.
    #[inline(always)]
    fn bits(&self, hash: u64, shift: u64) -> u32 {
        let mut layer = 0;
        let mut states = self.keys.map(|key| {
            layer += 1;
            // Odd multiples of one random number would be related; mixed, they are not.
            let moved = if shift == 0 { 0 } else { extend(shift, layer) };
            accumulate(hash, key.wrapping_add(moved)).cast_signed()
        });
        for _ in 0..Self::ROUNDS {
            for state in &mut states {
                *state = state
                    .wrapping_add(1)
                    .wrapping_mul(A.cast_signed())
                    .wrapping_add(1)
                    >> 5;
            }
        }
        let mut word = 0;
        for (layer, state) in states.iter().enumerate() {
            word |= u32::from(state >> 30 & 1 == 1) << layer;
        }
        word & (u32::MAX >> (32 - self.depth))
    }
}

impl Scheme for Scrambled {
    fn id(&self) -> &'static str {
        "synthid/scrambled"
    }

    fn window(&self) -> usize {
        self.window
    }

    fn words(&self, tokens: &[u32], positions: &[u32], out: &mut [u32]) {
        vectorise(
            #[inline(always)]
            || {
                for (out, &position) in out.iter_mut().zip(positions) {
                    let end = position as usize;
                    *out = self.word(&tokens[end - self.window..=end]);
                }
            },
        );
    }

    fn null(&self) -> Null {
        Null::Binomial {
            trials: self.depth,
            threshold: 1 << 31,
        }
    }

    fn score(&self, words: &[u32]) -> f64 {
        ones(words)
    }
}

impl Contract for Scrambled {
    /// The hash is affine in where it starts, so units that lead from 0 to one state lead from every start to one state.
    fn name(&self, window: &[u32], token: u32) -> u64 {
        accumulate(absorb(0, window), u64::from(token))
    }

    /// Where the hash starts and the layers' keys move the state alike, so drawing the keys draws both.
    fn shifted(&self, name: u64, shift: u64) -> Option<u32> {
        Some(self.bits(name, shift))
    }
}

impl std::fmt::Debug for Scrambled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrambled")
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "small counts"
)]
mod tests {
    use super::*;
    use crate::Detector;
    use taggant_core::window::extend;
    use taggant_detector::Response;

    const TOKENS: [u32; 10] = [464, 3290, 318, 257, 922, 3290, 11, 50_256, 0, 128_255];
    const TEN: [i64; 10] = [654, 400, 836, 123, 340, 443, 597, 160, 57, 29];
    const THIRTY: [i64; 30] = [
        2671521945691753783,
        -3720958657989204912,
        -2875293200062377941,
        -651203574895259915,
        -3026239342489546536,
        3102228744887297882,
        -172237242060633201,
        -3521289658049934810,
        -3470532647126757975,
        -3696924657747961324,
        -533446135244924212,
        -2155044242747779381,
        3120064639642359190,
        -2710643736215022197,
        -1146077295382899385,
        -2814409114471009789,
        4545545051961931231,
        3977152430548447983,
        2058331227076944944,
        -29024395561433171,
        -1295574776892591065,
        -3101727527882908677,
        926932650219630255,
        4521598660742694689,
        1724322089114600135,
        3667843499152960800,
        -3261368302312833736,
        -1568672327019128600,
        1698129939222756607,
        3167275638275747714,
    ];

    fn words(format: &str, keys: &[i64], ngram: usize, more: &str) -> Vec<u32> {
        let json = format!(r#"{{"keys": {keys:?}, "ngram_len": {ngram}{more}}}"#);
        let mut detector = Detector::new(Mark::from_json(format, &json).unwrap());
        let _ = detector.row(&Response::ids(&TOKENS)).unwrap();
        detector.units().map(|unit| unit.words[0]).collect()
    }

    /// Of `compute_g_values` in transformers 5.24 and in synthid-text 0.2.1, which agree, under torch 2.13.
    #[test]
    fn bits_of_the_table_form_are_those_of_the_packages() {
        let thirty = [
            26452880, 648677199, 200473277, 136944420, 222858506, 262039663,
        ];
        assert_eq!(words("hf-synthid", &THIRTY, 5, ""), thirty);
        assert_eq!(
            words(
                "deepmind-synthid",
                &THIRTY,
                5,
                r#", "sampling_table_size": 65536"#
            ),
            thirty
        );
        assert_eq!(
            words("hf-synthid", &TEN, 5, ""),
            [351, 688, 956, 288, 908, 988]
        );
        let small = words(
            "hf-synthid",
            &TEN,
            2,
            r#", "sampling_table_size": 1024, "sampling_table_seed": 3"#,
        );
        assert_eq!(small[..4], [688, 628, 339, 7]);
    }

    /// The main branch is no package: from its formula, worked out in Python.
    #[test]
    fn bits_of_the_main_branch_are_those_of_the_formula() {
        let thirty = [
            902571115, 638459134, 991849971, 818976833, 1069548466, 585817053,
        ];
        assert_eq!(words("deepmind-synthid", &THIRTY, 5, ""), thirty);
        assert_eq!(
            words("deepmind-synthid", &TEN, 3, ""),
            [21, 1019, 553, 614, 1021, 902, 894, 981]
        );
    }

    #[test]
    fn other_sizes_of_table_are_refused_with_their_reason() {
        for size in [0_u32, 1, 3, 1000, 1 << 19, 1 << 24] {
            let json = format!(r#"{{"keys": [1], "ngram_len": 5, "sampling_table_size": {size}}}"#);
            let error = Mark::from_json("hf-synthid", &json).unwrap_err();
            assert!(
                error.kind() == ErrorKind::Unsupported && error.to_string().contains("262144"),
                "{error}"
            );
        }
        let many = format!(r#"{{"keys": {:?}, "ngram_len": 5}}"#, [73_737; 33]);
        let error = Mark::from_json("hf-synthid", &many)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("1 to 32") && !error.contains("73737"),
            "{error}"
        );
    }

    /// Both ways to count, and what the keyed function itself says.
    #[test]
    fn the_ones_of_all_keys_are_counted_right() {
        let mut random = random(3);
        let bits = sampled(2, 1 << 12);
        for units in [0_u32, 1, 300, 3999, 9000] {
            let mut counts = vec![0; bits.len()];
            (0..units).for_each(|_| counts[random() as usize & (bits.len() - 1)] += 1);
            let found = ones_by_key(&counts, &bits);
            assert_eq!(found, correlate(&counts, &bits));
            let table = Table::new(&bits, &TEN);
            let words = table.words();
            let score: u32 = counts
                .iter()
                .zip(&words)
                .map(|(count, word)| count * word.count_ones())
                .sum();
            assert!((table.assess(&counts).score - f64::from(score)).abs() < 0.5);
        }
    }

    fn random(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = extend(state, 1);
            state
        }
    }

    fn share(values: &[f64], alpha: f64) -> f64 {
        values.iter().filter(|&&p| p <= alpha).count() as f64 / values.len() as f64
    }

    /// Fixed units under keys drawn at random: p-values are uniform, however many units, whatever the table's share of ones, where the
    /// z-test against ½ gives up a true null. Seeds of the tables as in their known means.
    #[test]
    fn p_values_are_uniform_over_keys_at_any_length() {
        let mut random = random(11);
        for (seed, mean) in [(0_u64, 0.499_619), (2, 0.497_833), (3, 0.502_426)] {
            let bits = sampled(seed, 1 << 16);
            let own = bits.iter().map(|&bit| f64::from(bit)).sum::<f64>() / 65_536.0;
            assert!((own - mean).abs() < 1e-6, "{seed}: {own}");
            for (units, keyings) in [(300_u32, 400_u32), (1_000_000, 60)] {
                let mut counts = vec![0; 1 << 16];
                (0..units).for_each(|_| counts[random() as usize & 0xFFFF] += 1);
                let (mut values, mut bounds, mut drift) = (Vec::new(), Vec::new(), 0.0);
                for _ in 0..keyings {
                    let keys: Vec<i64> = (0..30).map(|_| random().cast_signed()).collect();
                    let found = Table::new(&bits, &keys).assess(&counts);
                    assert!(found.exact);
                    values.push(found.p_value.get());
                    bounds.push(found.weighted.unwrap().1.get());
                    let trials = 30.0 * f64::from(units);
                    drift +=
                        (found.score - 0.5 * trials) / (0.25 * trials).sqrt() / f64::from(keyings);
                }
                // Kolmogorov and Smirnov's distance, at most 1.95 / √n at level 0.001.
                values.sort_by(f64::total_cmp);
                let n = f64::from(keyings);
                let gap = values
                    .iter()
                    .enumerate()
                    .map(|(at, p)| {
                        (p - at as f64 / n)
                            .abs()
                            .max((p - (at + 1) as f64 / n).abs())
                    })
                    .fold(0.0, f64::max);
                println!(
                    "seed {seed}, {units} units, {keyings} keys: gap {gap:.3}, at most 0.05 {:.3}, 0.5 {:.3}; bound at most 0.05 {:.3}; mean z against 1/2 {drift:.1}",
                    share(&values, 0.05),
                    share(&values, 0.5),
                    share(&bounds, 0.05)
                );
                assert!(gap < 1.95 / n.sqrt(), "{seed} {units}: {gap}");
                assert!(share(&bounds, 0.05) <= share(&values, 0.05) + 0.05);
                if units == 1_000_000 {
                    // −4.2, −23.7, 26.6 on average.
                    assert!(drift.abs() > 3.0, "{drift}");
                }
            }
        }
    }
}

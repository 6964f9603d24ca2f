//! Keys read off marked text, without the key: what the warnings of the formats rest on, for auditors of marks.
//!
//! A mark whose key can be found is a mark that anyone can write: a finding under it then shows that the text was made with the key, not by
//! whom. These functions measure how much text and time that takes; `examples/recover_keys.rs` prints a table of it.
//!
//! ```
//! use taggant_interop::recover::synthid_layers;
//!
//! let innocent: Vec<u32> = (0..500_u32).map(|i| i.wrapping_mul(2_654_435_761) % 50_257).collect();
//! assert!(synthid_layers(&innocent, 5, 65_536, 0)?.is_empty());
//! # Ok::<(), taggant_core::Error>(())
//! ```

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use taggant_core::window::identity;
use taggant_core::{Error, ErrorKind, Result, Set};
use taggant_detector::stats::{Law, WeightedSum, binomial_tail, gamma_tail};

use crate::formats::{synthid, textseal};
use crate::hash::torch;

/// A layer of a tournament that marked text gives away.
#[derive(Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Layer {
    /// Its key modulo the table's size, which is all of it that the mark uses.
    pub key: u64,
    /// Units whose bit is 1 under this key.
    pub ones: u64,
    /// Units.
    pub units: u64,
    /// How far `ones` lies above its mean without a mark, in standard deviations.
    pub z: f64,
}

/// Without the key.
impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer")
            .field("units", &self.units)
            .field("z", &self.z)
            .finish_non_exhaustive()
    }
}

/// Where a share of false answers below this is asked for.
const FALSE: f64 = 0.01;

/// The layers of a table-driven SynthID mark that `tokens` give away, strongest first: `ngram` tokens in a unit (2 and more), the table's
/// size (a power of two from 2 to 2^18) and seed as the engine was given them; keys are not needed.
///
/// A layer's key acts through `key mod size` only, so all `size` of them are tried, each layer by itself, and those are returned under which
/// bits are 1 too often for chance: an innocent text yields one in a hundred runs. The order of the layers does not show, but early layers of
/// a tournament decide most and are the strongest (Dathathri et al. 2024), and a mean over layers needs no order.
///
/// # Errors
/// [`ErrorKind::Parameter`] for an n-gram below 2 or a size that is no such power of two.
#[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
pub fn synthid_layers(tokens: &[u32], ngram: usize, size: usize, seed: u64) -> Result<Vec<Layer>> {
    if ngram < 2 || !size.is_power_of_two() || !(2..=1 << 18).contains(&size) {
        return Err(Error::new(
            ErrorKind::Parameter,
            format!(
                "n-grams of {ngram} and a table of {size}; n-grams must be of 2 and more, the table's size a power of two from 2 to 2^18"
            ),
        ));
    }
    let bits = synthid::sampled(seed, size);
    let mut counts = vec![0; size];
    let mut units = 0;
    for unit in distinct(tokens, ngram - 1) {
        counts[synthid::bucket(unit, size)] += 1;
        units += 1;
    }
    let share = bits.iter().map(|&bit| f64::from(bit)).sum::<f64>() / size as f64;
    // A strong mark finds itself in few buckets, whose bits are one each however many units are in them.
    let (coin, mut sum, mut sorted) = (
        Law::Binomial {
            trials: 1,
            p: share,
            q: 1.0 - share,
        },
        WeightedSum::default(),
        counts.clone(),
    );
    sorted.sort_unstable();
    for equal in sorted.chunk_by(|a, b| a == b) {
        sum.add(&coin, f64::from(equal[0]), equal.len() as u64);
    }
    let (mean, deviation) = (sum.mean(), sum.deviation());
    let mut layers: Vec<Layer> = synthid::ones_by_key(&counts, &bits)
        .into_iter()
        .zip(0_u64..)
        .map(|(ones, key)| Layer {
            key,
            ones,
            units,
            z: (ones as f64 - mean) / deviation,
        })
        .filter(|layer| {
            layer.z > 4.0 && sum.chernoff(layer.ones as f64).at_most(FALSE / size as f64)
        })
        .collect();
    layers.sort_by(|a, b| b.z.total_cmp(&a.z));
    Ok(layers)
}

/// The table of bits of a table-driven SynthID mark as its layers use it: the bit of an n-gram whose hash (before the key) is `h` is the one
/// at `(h + key) mod size`, where hashes start from 1 and take in a token `t` as `(h + t) 6364136223846793005 + 1` modulo 2^64.
#[must_use]
pub fn synthid_bits(size: usize, seed: u64) -> Vec<u8> {
    if size.is_power_of_two() {
        synthid::sampled(seed, size)
    } else {
        Vec::new()
    }
}

/// Which of TextSeal's marks is searched for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TextSeal {
    /// `watermark_type` greenlist, with its share of green tokens.
    Greenlist {
        /// `gamma`.
        gamma: f64,
    },
    /// `watermark_type` gumbelmax.
    Gumbel,
}

/// The key below `bound` under which `tokens` are marked by TextSeal with `ngram` tokens in a window (1 to 10), if there is one: all keys are
/// tried, `threads` at a time.
///
/// A key is dropped after the first 16, 48 or 144 units unless its score stays above what 1 in 4, 200 and 10^5 others reach; that drops the
/// true key of weakly marked text too. What is left is tested with all units, and kept if `bound` others would yield it once in a hundred runs;
/// the largest score is found. It need not be the key's own: the hash leaves some keys' scores alike, and where the key itself lies above the
/// bound, one of those may be found. It reads and writes the same marks, only more weakly.
///
/// # Errors
/// [`ErrorKind::Parameter`] for an n-gram outside 1 to 10, a share outside 0 to 1, or text of fewer than 16 units.
pub fn textseal_key(
    tokens: &[u32],
    ngram: usize,
    mark: TextSeal,
    bound: u64,
    threads: usize,
) -> Result<Option<u64>> {
    /// Units after which a key may be dropped, and the share of wrong keys that stay.
    const STAGES: [(usize, f64); 3] = [(16, 0.25), (48, 5e-3), (144, 1e-5)];
    let fault = |message: String| Err(Error::new(ErrorKind::Parameter, message));
    if !(1..=textseal::LONGEST).contains(&ngram) {
        return fault(format!(
            "n-gram of {ngram}; it must be 1 to {}",
            textseal::LONGEST
        ));
    }
    let green = match mark {
        TextSeal::Greenlist { gamma } if gamma > 0.0 && gamma < 1.0 => textseal::green(gamma),
        TextSeal::Greenlist { gamma } => {
            return fault(format!("gamma is {gamma}; it must lie between 0 and 1"));
        }
        TextSeal::Gumbel => 0,
    };
    let p = f64::from(green) / f64::from(textseal::LEVELS);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of ones"
    )]
    let tail = |score: f64, units: usize| match mark {
        TextSeal::Greenlist { .. } => {
            binomial_tail(libm::ceil(score) as u64, units as u64, p, 1.0 - p).get()
        }
        TextSeal::Gumbel => gamma_tail(score, units as u64).get(),
    };
    let scores: Vec<f32> = (0..textseal::LEVELS)
        .map(|level| match mark {
            TextSeal::Greenlist { .. } => f32::from(u8::from(level < green)),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "precise enough to search with"
            )]
            TextSeal::Gumbel => textseal::surprise(level) as f32,
        })
        .collect();
    let mut seen = Set::default();
    seen.clear(2 * tokens.len());
    let forms: Vec<u64> = distinct(tokens, ngram)
        .filter_map(|unit| {
            unit.split_last()
                .map(|(token, window)| textseal::form(window, *token))
        })
        .filter(|form| seen.insert(*form))
        .collect();
    if forms.len() < STAGES[0].0 {
        return fault(format!(
            "{} distinct units; at least {} are needed",
            forms.len(),
            STAGES[0].0
        ));
    }
    // The least score with which a key stays, by bisection of the tail.
    let least = |(units, share): (usize, f64)| {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let (mut low, mut high) = (0.0, 10.0 * units as f64);
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if tail(middle, units) > share {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    };
    let stages: Vec<(usize, f64)> = STAGES
        .into_iter()
        .filter(|(units, _)| *units <= forms.len())
        .map(|stage| (stage.0, least(stage)))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a bound")]
    let enough = FALSE / bound.max(1) as f64;
    let matches = |key: u64| {
        let shift = textseal::shift(key.cast_signed());
        let score =
            |form: &u64| f64::from(scores[usize::from(textseal::level(form.wrapping_add(shift)))]);
        let (mut sum, mut done) = (0.0, 0);
        for &(units, least) in &stages {
            sum += forms[done..units].iter().map(score).sum::<f64>();
            if sum < least {
                return None;
            }
            done = units;
        }
        sum += forms[done..].iter().map(score).sum::<f64>();
        (tail(sum, forms.len()) <= enough).then_some(sum)
    };
    Ok(search(0..bound, threads, &matches))
}

/// The low 32 bits of the key of Hugging Face's or lm-watermarking's `lefthash`, searched for among `keys`: all of the key that the mark uses,
/// since torch seeds its generator with the low 32 bits of key times token. `vocabulary` is the width of the logits, `gamma` the share
/// of green tokens, `pairs` units of marked text, as token before and token: 20 and more. `threads` work at a time.
///
/// A key is dropped as soon as more than two tenths of the units are red, fewer than under the true key of a strong mark; of what is left, the
/// one with most green units is found. What a key costs tells what all 2^32 cost.
///
/// # Errors
/// [`ErrorKind::Parameter`] for a share outside 0 to 1 or of fewer than 20 pairs.
pub fn lefthash_key(
    pairs: &[(u32, u32)],
    vocabulary: u32,
    gamma: f64,
    keys: Range<u64>,
    threads: usize,
) -> Result<Option<u64>> {
    if !(gamma > 0.0 && gamma < 1.0) || pairs.len() < 20 {
        return Err(Error::new(
            ErrorKind::Parameter,
            format!(
                "gamma {gamma} and {} pairs; gamma must lie between 0 and 1, and 20 pairs are needed",
                pairs.len()
            ),
        ));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a vocabulary"
    )]
    let shuffle = torch::Shuffle::new(vocabulary, (f64::from(vocabulary) * gamma) as u32);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small"
    )]
    let spare = (0.2 * pairs.len() as f64) as usize;
    let matches = |key: u64| {
        let mut questions = shuffle.questions();
        let mut red = 0;
        for &(before, token) in pairs {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the generator takes the low bits"
            )]
            let seed = key.wrapping_mul(u64::from(before)) as u32;
            red += usize::from(!questions.among_first(seed, token));
            if red > spare {
                return None;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "small")]
        Some(-(red as f64))
    };
    Ok(search(keys, threads, &matches))
}

/// Units of text, `window` tokens and one more, the first after each window.
fn distinct(tokens: &[u32], window: usize) -> impl Iterator<Item = &[u32]> {
    let mut seen = Set::default();
    seen.clear(2 * tokens.len());
    tokens
        .windows(window + 1)
        .filter(move |unit| seen.insert(identity(&unit[..window])))
}

/// The key with the largest score of those that have one.
fn search(
    keys: Range<u64>,
    threads: usize,
    score: &(impl Fn(u64) -> Option<f64> + Sync),
) -> Option<u64> {
    let best = Mutex::new(None::<(f64, u64)>);
    let next = AtomicU64::new(keys.start);
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    /// Keys that a thread takes at a time.
                    const TURN: u64 = 256;
                    let start = next.fetch_add(TURN, Ordering::Relaxed);
                    if start >= keys.end {
                        break;
                    }
                    for key in start..keys.end.min(start.saturating_add(TURN)) {
                        let Some(score) = score(key) else { continue };
                        if let Ok(mut best) = best.lock()
                            && best.is_none_or(|(most, _)| score > most)
                        {
                            *best = Some((score, key));
                        }
                    }
                }
            });
        }
    });
    best.into_inner().ok().flatten().map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taggant_core::window::extend;

    fn random(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = extend(state, 1);
            state
        }
    }

    /// Each token the best of a few under the key: a mark as strong as high entropy allows.
    fn marked(length: usize, window: usize, score: impl Fn(&[u32], u32) -> f64) -> Vec<u32> {
        let mut random = random(7);
        let mut draw = move || u32::try_from(random() % 50_257).unwrap();
        let mut tokens: Vec<u32> = (0..window).map(|_| draw()).collect();
        while tokens.len() < length {
            let before = &tokens[tokens.len() - window..];
            let drawn: Vec<u32> = (0..8).map(|_| draw()).collect();
            let best = drawn
                .into_iter()
                .max_by(|a, b| score(before, *a).total_cmp(&score(before, *b)))
                .unwrap();
            tokens.push(best);
        }
        tokens
    }

    #[test]
    fn keys_of_layers_are_found_in_marked_text_only() {
        let (bits, keys) = (synthid_bits(65_536, 0), [7_u64, 500, 60_000]);
        let score = |before: &[u32], token: u32| {
            let unit = [before, &[token]].concat();
            let place = synthid::bucket(&unit, 65_536) as u64;
            keys.iter()
                .map(|key| f64::from(bits[usize::try_from((place + key) % 65_536).unwrap()]))
                .sum::<f64>()
        };
        let mut found: Vec<u64> = synthid_layers(&marked(300, 4, score), 5, 65_536, 0)
            .unwrap()
            .iter()
            .map(|layer| layer.key)
            .collect();
        found.sort_unstable();
        assert_eq!(found, keys);
        assert!(
            synthid_layers(&marked(300, 4, |_, _| 0.0), 5, 65_536, 0)
                .unwrap()
                .is_empty()
        );
        assert!(
            synthid_layers(&[1], 1, 65_536, 0).is_err()
                && synthid_layers(&[1], 5, 1000, 0).is_err()
        );
    }

    #[test]
    fn small_keys_are_found_by_trying_all() {
        const KEY: u64 = 150_000;
        let value = |before: &[u32], token: u32| {
            textseal::level(
                textseal::form(before, token).wrapping_add(textseal::shift(KEY.cast_signed())),
            )
        };
        let gumbel = marked(200, 2, |before, token| f64::from(value(before, token)));
        assert_eq!(
            textseal_key(&gumbel, 2, TextSeal::Gumbel, 1 << 18, 2).unwrap(),
            Some(KEY)
        );
        let innocent = marked(200, 2, |_, _| 0.0);
        assert_eq!(
            textseal_key(&innocent, 2, TextSeal::Gumbel, 1 << 18, 2).unwrap(),
            None
        );
        let list = TextSeal::Greenlist { gamma: 0.25 };
        let green = marked(200, 1, |before, token| {
            f64::from(u8::from(value(before, token) < textseal::green(0.25)))
        });
        assert_eq!(
            textseal_key(&green, 1, list, 1 << 18, 2).unwrap(),
            Some(KEY)
        );
        assert!(
            textseal_key(&green, 0, list, 2, 1).is_err()
                && textseal_key(&green[..9], 1, list, 2, 1).is_err()
        );
    }

    #[test]
    fn a_key_of_lefthash_is_found_in_its_range() {
        const KEY: u64 = 15_485_863;
        let pairs: Vec<(u32, u32)> = (1..=40)
            .map(|before| {
                let seed = u32::try_from((KEY * u64::from(before)) & 0xFFFF_FFFF).unwrap();
                (before, torch::randperm(seed, 5000)[7 * before as usize])
            })
            .collect();
        let near = KEY - 300..KEY + 300;
        assert_eq!(
            lefthash_key(&pairs, 5000, 0.25, near, 2).unwrap(),
            Some(KEY)
        );
        assert_eq!(lefthash_key(&pairs, 5000, 0.25, 1..300, 2).unwrap(), None);
        assert!(lefthash_key(&pairs[..3], 5000, 0.25, 1..300, 2).is_err());
    }
}

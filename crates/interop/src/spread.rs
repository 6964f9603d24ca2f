//! Units that are not independent, because the engine's function is not good enough.
//!
//! Functions that take key and unit as one sum and then scramble it badly give related words to related sums: TextSeal's scores of token ids that differ
//! by 743 correlate at 0.25 under every key. The law of a sum of independent units is then too narrow for a text of few kinds. But other keys
//! can be tried, since one is another by a random shift of the sum: how far the text's score spreads over them is measured, and the tail widened by as much.

use taggant_core::window::extend;
use taggant_detector::stats::PValue;

use crate::mark::Mark;

/// Only p-values that could mislead are looked at: widening makes them larger, never smaller.
pub(crate) const LOOKED_AT: f64 = 0.1;

/// Keys that are tried: the spread is known to 4.5 %, one standard error.
const KEYS: u32 = 999;

/// And no more than so many words, which is seconds; a text of 10^6 units is tried under fewer keys.
const WORDS: usize = 1 << 28;
const FEWEST: u32 = 99;

/// The ratio of variances between the score's spread over other keys and that of independent units, 1 where it is no more than chance, and the
/// p-value that allows for it.
///
/// The score's distance from its mean is measured in the spread that was seen, and the tail taken at as many units as would spread so: their sum is skewed
/// more. Where a key that was tried scores as high, the rank among them is a p-value that is exact whatever the function does
/// (Besag, Clifford 1989), and the larger of the two counts.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are below 2^53; units do not grow"
)]
pub(crate) fn assess(mark: &Mark, names: &[u64], score: f64) -> (f64, PValue) {
    let keys = (WORDS / names.len().max(1)).clamp(FEWEST as usize, KEYS as usize) as u32;
    let law = mark.law.law();
    let count = names.len() as f64;
    let (mean, deviation) = (count * law.mean(), law.deviation());
    let mut words = Vec::with_capacity(names.len());
    let (mut squares, mut reached) = (0.0, 0);
    for key in 1..=keys {
        let other = under(mark, names, extend(SEED, key), &mut words);
        squares += (other - mean) * (other - mean);
        reached += u32::from(other >= score);
    }
    let ratio = squares / f64::from(keys) / (count * deviation * deviation);
    // Three standard errors of a variance over so many keys.
    let chance = 3.0 * libm::sqrt(2.0 / f64::from(keys));
    if ratio <= 1.0 + chance {
        return (1.0, mark.law.tail(names.len() as u64, score).0);
    }
    let ratio = ratio * (1.0 + chance);
    let units = libm::floor(count / ratio);
    let z = (score - mean) / (deviation * libm::sqrt(count * ratio));
    let equivalent = units * law.mean() + z * deviation * libm::sqrt(units);
    let wide = mark.law.tail(units as u64, equivalent.max(0.0)).0;
    let rank = f64::from(reached + 1) / f64::from(keys + 1);
    let ranked = if reached > 0 {
        PValue::from_ln(libm::log(rank))
    } else {
        wide
    };
    (
        ratio,
        if ranked.ln() > wide.ln() {
            ranked
        } else {
            wide
        },
    )
}

/// Where shifts are drawn from: a report is the same whenever it is made.
const SEED: u64 = 0x7461_6767_616E_7400;

/// The text's score under a key that is another by `shift`.
fn under(mark: &Mark, names: &[u64], shift: u64, words: &mut Vec<u32>) -> f64 {
    let voices = mark.voices.iter().map(|(contract, weight)| {
        words.clear();
        words.extend(
            names
                .iter()
                .filter_map(|&name| contract.shifted(name, shift)),
        );
        weight * contract.score(words)
    });
    voices.sum()
}

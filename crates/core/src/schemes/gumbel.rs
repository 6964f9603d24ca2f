//! Gumbel-max sampling (Aaronson 2022): the token is `argmax u^(1/p)`, so the choice is a function of key and window and, over
//! keys, distributed as the model's own.

use std::cmp::Ordering;

use super::Definition;
use crate::candidates::{Candidates, Scratch};
use crate::error::Result;
use crate::prf::Prf;
use crate::scheme::{Null, Reshaped, Scheme};
use crate::simd::vectorise;
use crate::tile::Tile;

pub(super) const DEFINITION: Definition = Definition {
    id: "gumbel/1",
    about: "chooses the token by a keyed race; distortion-free",
    parameters: &[],
    build: |_, prf| Box::new(Gumbel { prf }),
};

#[derive(Debug)]
struct Gumbel {
    prf: Prf,
}

const TWO_32: f64 = 4_294_967_296.0;

impl Scheme for Gumbel {
    fn id(&self) -> &'static str {
        DEFINITION.id
    }

    fn window(&self) -> usize {
        self.prf.window()
    }

    fn words(&self, tokens: &[u32], positions: &[u32], out: &mut [u32]) {
        self.prf.units(tokens, positions, out);
    }

    fn tile(&self, tile: &Tile, out: &mut [u32]) {
        self.prf.tile(tile, out);
    }

    fn null(&self) -> Null {
        Null::Exponential
    }

    fn scores(&self, words: &[u32], out: &mut [f64]) {
        for (out, &word) in out.iter_mut().zip(words) {
            *out = -libm::log1p(-f64::from(word) / TWO_32);
        }
    }

    fn score(&self, words: &[u32]) -> f64 {
        // Σ −ln(1 − x/2^32) as the logarithm of one product in eight lanes. A factor is at least 2^-32, so 24 of them stay far above the
        // smallest double; then the exponent is moved to a counter, and only the last mantissas need a logarithm.
        const DEEP: usize = 24;
        const EXPONENT: u32 = 52;
        const ONE: u64 = 1023 << EXPONENT;
        let (products, halvings) = vectorise(
            #[inline(always)]
            || {
                let (mut products, mut halvings) = ([1.0; 8], [0; 8]);
                for words in words.chunks(8 * DEEP) {
                    let (runs, rest) = words.as_chunks::<8>();
                    for run in runs {
                        for lane in 0..8 {
                            products[lane] *= 1.0 - f64::from(run[lane]) / TWO_32;
                        }
                    }
                    for (product, &word) in products.iter_mut().zip(rest) {
                        *product *= 1.0 - f64::from(word) / TWO_32;
                    }
                    for lane in 0..8 {
                        let bits = f64::to_bits(products[lane]);
                        halvings[lane] += 1023 - (bits >> EXPONENT);
                        products[lane] = f64::from_bits(bits & ((1 << EXPONENT) - 1) | ONE);
                    }
                }
                (products, halvings)
            },
        );
        #[expect(
            clippy::cast_precision_loss,
            reason = "32 a unit: exact below 2^48 units"
        )]
        let halvings = halvings.into_iter().sum::<u64>() as f64;
        halvings * std::f64::consts::LN_2 - products.into_iter().map(libm::log).sum::<f64>()
    }

    fn reshape(
        &self,
        window: &[u32],
        candidates: &Candidates<'_>,
        _: &mut Scratch,
    ) -> Result<Reshaped> {
        let mut best = Best {
            value: f64::NEG_INFINITY,
            threshold: f32::NEG_INFINITY,
            index: 0,
        };
        candidates.scan(
            &self.prf,
            window,
            #[inline(always)]
            |first, log_weights, words| {
                let mut top = [f32::NEG_INFINITY; 16];
                let (log_runs, log_rest) = log_weights.as_chunks::<16>();
                let (word_runs, word_rest) = words.as_chunks::<16>();
                for (log_weights, words) in log_runs.iter().zip(word_runs) {
                    for lane in 0..16 {
                        top[lane] = top[lane].max(log_weights[lane] + noise_bound(words[lane]));
                    }
                }
                for (log_weight, &word) in log_rest.iter().zip(word_rest) {
                    top[0] = top[0].max(log_weight + noise_bound(word));
                }
                if top.into_iter().fold(f32::NEG_INFINITY, f32::max) >= best.threshold {
                    best.race(first, log_weights, words, candidates);
                }
            },
        );
        Ok(Reshaped::Chosen(best.index))
    }
}

/// The leader of the race so far.
struct Best {
    value: f64,
    /// Below this no candidate's bound can hide a winner.
    threshold: f32,
    index: usize,
}

impl Best {
    /// Exact values for the candidates of one run whose bound reaches the leader: a handful in a whole vocabulary.
    #[inline(never)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the threshold's slack covers the rounding"
    )]
    fn race(
        &mut self,
        first: usize,
        log_weights: &[f32],
        words: &[u32],
        candidates: &Candidates<'_>,
    ) {
        for (offset, (&log_weight, &word)) in log_weights.iter().zip(words).enumerate() {
            if log_weight == f32::NEG_INFINITY || log_weight + noise_bound(word) < self.threshold {
                continue;
            }
            let value = f64::from(log_weight) + noise(word);
            let index = first + offset;
            let ahead = match value.total_cmp(&self.value) {
                Ordering::Less => false,
                Ordering::Equal => candidates.token(index) < candidates.token(self.index),
                Ordering::Greater => true,
            };
            if ahead {
                *self = Self {
                    value,
                    threshold: value as f32 - BOUND_SLACK,
                    index,
                };
            }
        }
    }
}

/// `−ln(−ln u)` with `u = (word + ½) / 2^32`.
fn noise(word: u32) -> f64 {
    let complement = (f64::from(!word) + 0.5) / TWO_32;
    -libm::log(-libm::log1p(-complement))
}

/// What single precision may hide: log weights above −2^16 carry 2^-8 at most, and a candidate that far down cannot win.
const BOUND_SLACK: f32 = 0.01;

/// An upper bound of [`noise`], to single precision: `−ln u ≥ 1 − u`, and reading a float's exponent and mantissa bits as a
/// fixed-point number gives a lower bound of its binary logarithm (a chord of a concave function), at most 0.087 low.
#[inline(always)]
#[expect(
    clippy::cast_precision_loss,
    reason = "rounding moves the bound by less than the slack"
)]
fn noise_bound(word: u32) -> f32 {
    let complement = !word as f32 + 0.5;
    let log2 = complement.to_bits() as f32 * (1.0 / 8_388_608.0) - 127.0;
    (32.0 - log2) * std::f32::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_above_the_noise_and_not_by_much_where_it_matters() {
        let words = (0..=u32::MAX)
            .step_by(65_521)
            .chain([u32::MAX - 1, u32::MAX]);
        for word in words {
            let (bound, noise) = (f64::from(noise_bound(word)), noise(word));
            assert!(
                bound > noise - f64::from(BOUND_SLACK) / 2.0,
                "{word}: {bound} under {noise}"
            );
            if noise > 2.0 {
                assert!(bound < noise + 0.2, "{word}: {bound} far above {noise}");
            }
        }
    }

    #[test]
    fn the_score_is_the_sum_of_minus_log_one_minus_u() {
        let scheme = Gumbel {
            prf: Prf::new(&[1; 16], 1),
        };
        let words: Vec<u32> = (0..100_u32)
            .map(|n| n.wrapping_mul(0x9E37_79B9))
            .chain([0, u32::MAX])
            .collect();
        let slow: f64 = words
            .iter()
            .map(|&word| -(1.0 - f64::from(word) / TWO_32).ln())
            .sum();
        assert!((scheme.score(&words) / slow - 1.0).abs() < 1e-14);
        assert!(scheme.score(&[]) == 0.0);
        assert!((scheme.score(&[u32::MAX]) - 32.0 * std::f64::consts::LN_2).abs() < 1e-14);
    }
}

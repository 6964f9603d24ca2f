//! The distribution over next tokens that a scheme bends: candidates, their weights, and a draw from them.

use crate::error::{Error, ErrorKind, Result};
use crate::prf::Prf;
use crate::scheme::Reshaped;
use crate::simd::vectorise;

/// The tokens that temperature and truncation leave, with their logits.
///
/// Candidate `i` has weight `exp((logits[i] − max) · scale)`, where `scale` is one over the temperature.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    ids: Option<&'a [u32]>,
    logits: &'a [f32],
    max: f32,
    scale: f32,
}

/// Candidates handled together: few enough for the first cache.
const RUN: usize = 256;

impl<'a> Candidates<'a> {
    /// The whole vocabulary: candidate `i` is token `i`.
    ///
    /// # Errors
    /// [`ErrorKind::Logits`] when `logits` is empty, holds NaN or +∞, or has no finite value. −∞ is a masked token.
    pub fn all(logits: &'a [f32], scale: f32) -> Result<Self> {
        let max = largest(None, logits)?;
        Ok(Self {
            ids: None,
            logits,
            max,
            scale,
        })
    }

    /// The tokens `ids` and no others, with their logits, as an engine lists them. Ids must be ascending.
    ///
    /// # Errors
    /// As [`all`](Self::all).
    pub fn only(ids: &'a [u32], logits: &'a [f32], scale: f32) -> Result<Self> {
        debug_assert!(ids.is_sorted_by(|one, next| one < next));
        let max = largest(Some(ids), logits)?;
        Ok(Self::listed(ids, logits, max, scale))
    }

    /// The tokens `ids` of those that [`all`](Self::all) or [`only`](Self::only) accepted, with their logits, of which the largest is `max`.
    #[must_use]
    pub fn listed(ids: &'a [u32], logits: &'a [f32], max: f32, scale: f32) -> Self {
        debug_assert_eq!(ids.len(), logits.len());
        Self {
            ids: Some(ids),
            logits,
            max,
            scale,
        }
    }

    /// Number of candidates.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always a candidate")]
    pub fn len(&self) -> usize {
        self.logits.len()
    }

    /// The token of candidate `index`.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "vocabularies are below 2^21"
    )]
    pub fn token(&self, index: usize) -> u32 {
        self.ids.map_or(index as u32, |ids| ids[index])
    }

    /// The candidates' logits.
    #[must_use]
    pub fn logits(&self) -> &'a [f32] {
        self.logits
    }

    /// The largest logit.
    #[must_use]
    pub fn max(&self) -> f32 {
        self.max
    }

    /// One over the temperature.
    #[must_use]
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// The weight of a candidate with this logit: 1 for the largest.
    #[must_use]
    #[inline(always)]
    pub fn weight(&self, logit: f32) -> f32 {
        exp((logit - self.max) * self.scale)
    }

    /// The sum of all weights.
    #[must_use]
    pub fn mass(&self) -> f64 {
        let candidates = *self;
        vectorise(
            #[inline(always)]
            move || {
                let mut weights = [0.0; RUN];
                let mut mass = 0.0;
                for logits in candidates.logits.chunks(RUN) {
                    let weights = &mut weights[..logits.len()];
                    for (weight, &logit) in weights.iter_mut().zip(logits) {
                        *weight = candidates.weight(logit);
                    }
                    mass += sum(weights);
                }
                mass
            },
        )
    }

    /// Calls `visit(first, log_weights, words)` for consecutive runs of candidates, inside a loop compiled for the best
    /// instruction set of the machine.
    #[inline(always)]
    pub(crate) fn scan(
        &self,
        prf: &Prf,
        window: &[u32],
        mut visit: impl FnMut(usize, &[f32], &[u32]),
    ) {
        let mut words = [0; RUN];
        let mut log_weights = [0.0; RUN];
        let Self {
            max,
            scale,
            logits,
            ids,
        } = *self;
        match ids {
            None => prf.scan(
                window,
                logits.len(),
                #[inline(always)]
                |first, found| {
                    let count = found.len();
                    for (word, found) in words[..count].iter_mut().zip(found) {
                        *word = u32::from_le_bytes(*found);
                    }
                    for (log_weight, logit) in log_weights[..count].iter_mut().zip(&logits[first..])
                    {
                        *log_weight = (logit - max) * scale;
                    }
                    visit(first, &log_weights[..count], &words[..count]);
                },
            ),
            Some(ids) => {
                let runs = ids.chunks(RUN).zip(logits.chunks(RUN));
                for (first, (ids, logits)) in (0..).step_by(RUN).zip(runs) {
                    let count = ids.len();
                    prf.candidates(window, ids, &mut words[..count]);
                    vectorise(
                        #[inline(always)]
                        || {
                            for (log_weight, logit) in log_weights[..count].iter_mut().zip(logits) {
                                *log_weight = (logit - max) * scale;
                            }
                            visit(first, &log_weights[..count], &words[..count]);
                        },
                    );
                }
            }
        }
    }
}

/// The largest logit, once all are known to be numbers. They are those of the tokens `ids`, or of the whole vocabulary.
fn largest(ids: Option<&[u32]>, logits: &[f32]) -> Result<f32> {
    // One branch-free pass; the message is worked out only when something is wrong. A plain comparison, false for NaN, is one
    // instruction where `f32::max` is four.
    let (max, bad) = vectorise(
        #[inline(always)]
        || {
            let (mut max, mut bad) = ([f32::NEG_INFINITY; 32], [0_u32; 32]);
            let (runs, rest) = logits.as_chunks::<32>();
            for run in runs {
                for lane in 0..32 {
                    let logit = run[lane];
                    max[lane] = if logit > max[lane] { logit } else { max[lane] };
                    bad[lane] |= u32::from(logit.is_nan());
                }
            }
            let max = max
                .iter()
                .chain(rest)
                .copied()
                .fold(f32::NEG_INFINITY, f32::max);
            (
                max,
                bad != [0; 32] || rest.iter().any(|logit| logit.is_nan()),
            )
        },
    );
    if max.is_finite() && !bad {
        return Ok(max);
    }
    let unusable = |logit: &f32| logit.is_nan() || *logit == f32::INFINITY;
    let fault = match logits.iter().position(unusable) {
        Some(place) => format!(
            "the logit of token {} is {}; logits must be numbers below infinity",
            ids.map_or(place, |ids| ids[place] as usize),
            logits[place]
        ),
        None if logits.is_empty() => {
            "there are no logits; at least one token must be possible".to_owned()
        }
        None => format!(
            "all {} logits are -inf; at least one token must be possible",
            logits.len()
        ),
    };
    Err(Error::new(ErrorKind::Logits, fault))
}

/// Working memory of a scheme, reused from token to token.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Unnormalised probabilities of the candidates.
    pub weights: Vec<f32>,
    /// The candidates' words.
    pub(crate) words: Vec<u32>,
}

impl Scratch {
    /// Fills [`weights`](Self::weights) with the candidates' own distribution.
    pub fn plain(&mut self, candidates: &Candidates<'_>) {
        self.weights.resize(candidates.len(), 0.0);
        let (weights, candidates) = (&mut self.weights[..], *candidates);
        vectorise(
            #[inline(always)]
            move || {
                for (weight, &logit) in weights.iter_mut().zip(candidates.logits) {
                    *weight = candidates.weight(logit);
                }
            },
        );
    }

    /// Draws an index with probability proportional to its weight; `coin` is uniform in [0, 1).
    #[must_use]
    pub fn draw(&self, coin: f64) -> usize {
        let weights = &self.weights[..];
        // The run first, then the candidate in it: one chain of dependent additions over a vocabulary would cost four cycles
        // a token.
        let (run, mut left) = vectorise(
            #[inline(always)]
            move || {
                let mut left = coin * weights.chunks(RUN).map(sum).sum::<f64>();
                let mut last = 0;
                for (run, weights) in weights.chunks(RUN).enumerate() {
                    let sum = sum(weights);
                    if sum > 0.0 {
                        last = run;
                    }
                    if left < sum {
                        break;
                    }
                    left -= sum;
                }
                (last, left)
            },
        );
        // Rounding may leave a remainder at the end; the last possible candidate takes it.
        let mut chosen = 0;
        for (index, &weight) in weights.iter().enumerate().skip(run * RUN).take(RUN) {
            if weight > 0.0 {
                chosen = index;
            }
            if left < f64::from(weight) {
                break;
            }
            left -= f64::from(weight);
        }
        chosen
    }

    /// Writes a reshaped distribution over `ids` (all tokens if `None`) as logits; every other token becomes −∞.
    pub fn write_logits(&self, reshaped: Reshaped, ids: Option<&[u32]>, logits: &mut [f32]) {
        let token = |index: usize| ids.map_or(index, |ids| ids[index] as usize);
        logits.fill(f32::NEG_INFINITY);
        match reshaped {
            Reshaped::Chosen(index) => logits[token(index)] = 0.0,
            Reshaped::Weights => {
                for (index, &weight) in self.weights.iter().enumerate() {
                    logits[token(index)] = libm::logf(weight);
                }
            }
        }
    }

    /// Writes the weights as the logits of `ids`; the others stay as they are.
    pub fn put_logits(&self, ids: &[u32], logits: &mut [f32]) {
        for (&weight, &id) in self.weights.iter().zip(ids) {
            logits[id as usize] = libm::logf(weight);
        }
    }
}

/// Sum in double precision, in lanes that fill a vector register.
#[inline(always)]
pub(crate) fn sum(values: &[f32]) -> f64 {
    let mut lanes = [0.0_f64; 16];
    let (runs, rest) = values.as_chunks::<16>();
    for run in runs {
        for lane in 0..16 {
            lanes[lane] += f64::from(run[lane]);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += f64::from(value);
    }
    lanes.iter().sum()
}

/// `e^x` for `x ≤ 0`, within 3e-7 of its value, and 0 below −87. Straight-line code that vectorises; the library function does not.
///
/// Cody–Waite reduction to |r| ≤ ln2/2 and a Taylor polynomial of degree 6, whose remainder r^7/5040 is below 1.3e-7 of the value.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 355.0 / 512.0; // nine bits: n · LN2_HIGH is exact
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2^23: adding it rounds to an integer, left in the low bits
    let clamped = if x > -87.0 { x } else { -87.0 };
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    let series = [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let mut power = 1.0 / 720.0;
    for coefficient in series {
        power = power * r + coefficient;
    }
    let scale = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { power * scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::cast_precision_loss,
        clippy::float_cmp,
        reason = "a grid; exact values at the ends"
    )]
    fn exp_is_within_its_stated_error() {
        let worst = (0..=870_000)
            .map(|step| {
                let x = -(step as f32) / 10_000.0;
                let truth = f64::from(x).exp();
                (f64::from(exp(x)) / truth - 1.0).abs()
            })
            .fold(0.0, f64::max);
        assert!(worst < 3e-7, "worst relative error {worst}");
        assert!(exp(0.0) == 1.0 && exp(-87.1) == 0.0 && exp(f32::NEG_INFINITY) == 0.0);
    }

    #[test]
    fn draws_follow_the_weights_at_the_edges_of_every_candidate() {
        let mut weights = vec![0.0; 700];
        for (index, weight) in [(0, 1.0), (3, 2.0), (256, 1.0), (530, 4.0)] {
            weights[index] = weight;
        }
        let scratch = Scratch {
            weights,
            words: Vec::new(),
        };
        let below = 1.0 - f64::EPSILON / 2.0;
        for (coin, index) in [
            (0.0, 0),
            (0.124, 0),
            (0.125, 3),
            (0.374, 3),
            (0.375, 256),
            (0.5, 530),
            (below, 530),
            (1.0, 530),
        ] {
            assert_eq!(scratch.draw(coin), index, "coin {coin}");
        }
    }

    #[test]
    fn logits_no_distribution_can_be_made_of_are_named() {
        let all = |logits: &[f32]| {
            Candidates::all(logits, 1.0)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        let mut logits = vec![0.5; 100];
        assert_eq!(all(&logits), Ok(()));
        logits[7] = f32::NEG_INFINITY;
        assert_eq!(all(&logits), Ok(()));
        for bad in [f32::NAN, f32::INFINITY] {
            for place in [0, 15, 32, 97] {
                let mut logits = logits.clone();
                logits[place] = bad;
                let error = all(&logits).unwrap_err();
                assert!(
                    error.contains(&format!("token {place} is")),
                    "{bad} at {place}: {error}"
                );
            }
        }
        assert!(all(&[]).unwrap_err().contains("no logits"));
        assert!(
            all(&[f32::NEG_INFINITY; 40])
                .unwrap_err()
                .contains("all 40 logits")
        );
    }
}

//! What the engine's own detector would say of a row: printed beside our figure where a user will compare the two.

use std::collections::HashSet;

use libm::{erfc, exp, lgamma, log, sqrt};
use taggant_core::window::identity;
use taggant_detector::stats::{binomial_tail, gamma_tail};

/// The figure of an engine's own detector, by its own rules.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Peer {
    /// The detector, as it is called where it comes from.
    pub detector: &'static str,
    /// Units that it counts.
    pub units: u64,
    /// The sum of their scores.
    pub score: f64,
    /// Its z, where it has one.
    pub z: Option<f64>,
    /// Its p-value, where it has one.
    pub p_value: Option<f64>,
    /// Its mean over units and layers, and the mean in which early layers weigh more: SynthID.
    pub means: Option<(f64, f64)>,
}

/// How an engine's detector counts and tests.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) detector: &'static str,
    pub(crate) counts: Counts,
    /// Most units that it looks at.
    pub(crate) most: Option<usize>,
    pub(crate) statistic: Statistic,
}

/// Which positions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// All.
    All,
    /// The first after each window.
    Windows,
    /// The first of each window and token.
    Units,
    /// As the other says, from the second position on.
    Late(&'static Counts),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Statistic {
    /// `P(Gamma(n, 1) ≥ S)`.
    Gamma,
    /// `P(Gamma(n/b, 1) ≥ S/b)`, which matches mean and variance.
    MatchedGamma { variance: f64 },
    /// `(S − γn) / √(γ(1−γ)n)` with its normal tail.
    Z { gamma: f64 },
    /// The binomial tail.
    Binomial { gamma: f64 },
    /// The binomial tail less half of its first term.
    MidBinomial { gamma: f64 },
    /// Means of bits.
    Means { depth: u32 },
}

/// A row as a rule sees it: all positions that have a whole window.
pub(crate) struct Row<'a> {
    pub(crate) tokens: &'a [u32],
    pub(crate) window: usize,
    pub(crate) positions: &'a [u32],
    /// Each position's score, and its bits where it has any.
    pub(crate) scores: &'a [f64],
    pub(crate) words: &'a [u32],
}

impl Rule {
    #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
    pub(crate) fn figure(&self, row: &Row<'_>) -> Peer {
        let mut seen = HashSet::new();
        let mut counted = Vec::new();
        let (counts, first) = match self.counts {
            Counts::Late(counts) => (*counts, 1),
            counts => (counts, 0),
        };
        for (index, &position) in row.positions.iter().enumerate().skip(first) {
            let end = position as usize;
            let start = end - row.window;
            let fresh = match counts {
                Counts::All | Counts::Late(_) => true,
                Counts::Windows => seen.insert(identity(&row.tokens[start..end])),
                Counts::Units => seen.insert(identity(&row.tokens[start..=end])),
            };
            if fresh {
                counted.push(index);
            }
            if self.most.is_some_and(|most| counted.len() >= most) {
                break;
            }
        }
        let units = counted.len() as u64;
        let count = units as f64;
        let score: f64 = counted.iter().map(|&index| row.scores[index]).sum();
        let mut peer = Peer {
            detector: self.detector,
            units,
            score,
            z: None,
            p_value: None,
            means: None,
        };
        if units == 0 {
            return peer;
        }
        match self.statistic {
            Statistic::Gamma => peer.p_value = Some(gamma_tail(score, units).get()),
            Statistic::MatchedGamma { variance } => {
                peer.p_value = Some(upper_gamma(count / variance, score / variance))
            }
            Statistic::Z { gamma } => {
                let z = (score - gamma * count) / sqrt(count * gamma * (1.0 - gamma));
                peer.z = Some(z);
                peer.p_value = Some(0.5 * erfc(z / std::f64::consts::SQRT_2));
            }
            Statistic::Binomial { gamma } => peer.p_value = Some(at_least(score, units, gamma)),
            Statistic::MidBinomial { gamma } => {
                peer.p_value = Some(
                    0.5 * (at_least(score, units, gamma) + at_least(score + 1.0, units, gamma)),
                );
            }
            Statistic::Means { depth } => peer.means = Some(means(row.words, &counted, depth)),
        }
        peer
    }
}

/// `P(Binomial(units, gamma) ≥ count)`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count"
)]
fn at_least(count: f64, units: u64, gamma: f64) -> f64 {
    binomial_tail(count as u64, units, gamma, 1.0 - gamma).get()
}

/// The mean of all bits, and the mean in which layers weigh 10 to 1 in equal steps, rescaled to sum to the depth.
#[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn means(words: &[u32], counted: &[usize], depth: u32) -> (f64, f64) {
    let weights = weights(depth);
    let (mut plain, mut weighted) = (0.0, 0.0);
    for (layer, weight) in weights.iter().enumerate() {
        let ones = counted
            .iter()
            .filter(|&&index| words[index] >> layer & 1 == 1)
            .count() as f64;
        plain += ones;
        weighted += weight * ones;
    }
    let all = f64::from(depth) * counted.len() as f64;
    (plain / all, weighted / all)
}

/// Weights of the layers of a tournament, from 10 down to 1, rescaled to sum to the depth (Dathathri et al. 2024, weighted mean).
pub(crate) fn weights(depth: u32) -> Vec<f64> {
    let raw: Vec<f64> = (0..depth)
        .map(|layer| 10.0 - 9.0 * f64::from(layer) / f64::from(depth.max(2) - 1))
        .collect();
    let total: f64 = raw.iter().sum();
    raw.into_iter()
        .map(|weight| weight * f64::from(depth) / total)
        .collect()
}

/// `Q(a, x)`, the regularised upper incomplete gamma function for any shape: a series below the mean, a continued fraction (Lentz) above.
/// Ours where the shape is no whole number, which only an engine's matched law needs; good to 1e-12.
fn upper_gamma(shape: f64, x: f64) -> f64 {
    const STEPS: u32 = 100_000;
    if x <= 0.0 {
        return 1.0;
    }
    let front = exp(shape * log(x) - x - lgamma(shape));
    if x < shape + 1.0 {
        let (mut term, mut sum, mut a) = (1.0 / shape, 1.0 / shape, shape);
        for _ in 0..STEPS {
            a += 1.0;
            term *= x / a;
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        return 1.0 - front * sum;
    }
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - shape;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut h = d;
    for step in 1..STEPS {
        let i = f64::from(step);
        let a = -i * (i - shape);
        b += 2.0;
        d = 1.0 / (a * d + b + if a * d + b == 0.0 { TINY } else { 0.0 });
        c = b + a / c;
        let delta = d * c;
        h *= delta;
        if (delta - 1.0).abs() < 1e-16 {
            break;
        }
    }
    front * h
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gamma_function_agrees_with_the_exact_tail_and_knows_halves() {
        for (shape, x) in [(1_u64, 3.0), (20, 12.0), (20, 40.0), (500, 620.0)] {
            let exact = gamma_tail(x, shape).get();
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let found = upper_gamma(shape as f64, x);
            assert!(
                (found / exact - 1.0).abs() < 1e-10,
                "{shape} {x}: {found} {exact}"
            );
        }
        // Q(½, x) = erfc √x.
        for x in [0.3, 2.0, 20.0] {
            assert!((upper_gamma(0.5, x) / erfc(sqrt(x)) - 1.0).abs() < 1e-12);
        }
    }
}

//! Null laws of scores, and of weighted sums of independent scores.
//!
//! Everything beyond an exact tail rests on the cumulant generating function `K(θ) = ln E e^{θX}`: Chernoff bounds, the
//! saddle-point tail, and the martingales of [`EProcess`](super::EProcess).

use libm::{exp, expm1, log, log1p, sqrt};

use super::PValue;
use super::normal::{ln_density, mills, normal_tail};
use super::tails::real;

/// The law of one independent score.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Law {
    /// A count of successes in independent trials.
    Binomial {
        /// Trials.
        trials: u32,
        /// Probability of success.
        p: f64,
        /// One minus `p`, given separately so that neither is rounded.
        q: f64,
    },
    /// Exponential with mean 1.
    Exponential,
    /// One of finitely many equally likely values.
    Uniform(Vec<f64>),
    /// One of finitely many values, each with its own probability.
    Discrete {
        /// The values.
        values: Vec<f64>,
        /// Their probabilities, in the same order, in any unit: they are divided by their sum.
        probabilities: Vec<f64>,
    },
    /// A sum of independent scores.
    Sum(WeightedSum),
}

/// `K(θ)` and its first two derivatives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cumulants {
    /// `ln E e^{θX}`.
    pub k: f64,
    /// `K'`: the mean under the law tilted by `e^{θx}`.
    pub mean: f64,
    /// `K''`: its variance.
    pub variance: f64,
}

impl Law {
    /// Mean of the score.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.cumulants(0.0).mean
    }

    /// Standard deviation of the score.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        sqrt(self.cumulants(0.0).variance)
    }

    /// `K(θ)` with derivatives; infinite where `E e^{θX}` is.
    #[must_use]
    pub fn cumulants(&self, theta: f64) -> Cumulants {
        match self {
            Self::Binomial { trials, p, q } => bernoulli(theta, *p, *q).times(f64::from(*trials)),
            Self::Exponential => exponential(theta),
            Self::Uniform(values) => discrete(theta, values.iter().map(|&value| (value, 1.0))),
            Self::Discrete {
                values,
                probabilities,
            } => discrete(
                theta,
                values.iter().copied().zip(probabilities.iter().copied()),
            ),
            Self::Sum(sum) => sum.cumulants(theta),
        }
    }

    /// By how much `K(θ)` of a score made of a 32-bit word may exceed this one. Such a score falls short of an exponential variable by the
    /// grain of the word, which lowers K where θ > 0; where θ < 0, as under negative weights, `E e^{θX}` is a Riemann sum of a falling
    /// function from the left, at most 2^-32 above `1/(1−θ)`.
    fn grain(&self, theta: f64) -> f64 {
        match self {
            Self::Exponential if theta < 0.0 => log1p((1.0 - theta) / 4_294_967_296.0),
            _ => 0.0,
        }
    }

    /// The interval of `θ` in which `E e^{θX}` is finite: `(−∞, limit)`.
    #[must_use]
    pub fn limit(&self) -> f64 {
        match self {
            Self::Exponential => 1.0,
            Self::Sum(sum) => sum.limits().1,
            _ => f64::INFINITY,
        }
    }
}

/// `ln(q + p e^θ)`.
fn bernoulli(theta: f64, p: f64, q: f64) -> Cumulants {
    let (k, mean) = if theta > 0.0 {
        (theta + log1p(q * expm1(-theta)), p / (p + q * exp(-theta)))
    } else {
        (
            log1p(p * expm1(theta)),
            p * exp(theta) / (q + p * exp(theta)),
        )
    };
    Cumulants {
        k,
        mean,
        variance: mean * (1.0 - mean),
    }
}

/// `−ln(1 − θ)`.
fn exponential(theta: f64) -> Cumulants {
    if theta >= 1.0 {
        return Cumulants {
            k: f64::INFINITY,
            mean: f64::INFINITY,
            variance: f64::INFINITY,
        };
    }
    let mean = 1.0 / (1.0 - theta);
    Cumulants {
        k: -log1p(-theta),
        mean,
        variance: mean * mean,
    }
}

/// Values with their probabilities, in any unit.
fn discrete(theta: f64, points: impl Iterator<Item = (f64, f64)> + Clone) -> Cumulants {
    let points = points.filter(|&(_, probability)| probability > 0.0);
    // Shifted by the largest exponent, so that nothing overflows.
    let shift = points
        .clone()
        .map(|(value, _)| theta * value)
        .fold(f64::NEG_INFINITY, f64::max);
    let (mut total, mut mass, mut first) = (0.0, 0.0, 0.0);
    for (value, probability) in points.clone() {
        let weight = probability * exp(theta * value - shift);
        total += probability;
        mass += weight;
        first += weight * value;
    }
    let mean = first / mass;
    let second: f64 = points
        .map(|(value, probability)| {
            probability * exp(theta * value - shift) * (value - mean) * (value - mean)
        })
        .sum();
    Cumulants {
        k: shift + log(mass / total),
        mean,
        variance: second / mass,
    }
}

impl Cumulants {
    fn times(self, count: f64) -> Self {
        Self {
            k: count * self.k,
            mean: count * self.mean,
            variance: count * self.variance,
        }
    }
}

/// A sum `Σ w X` of independent scores with fixed weights, which may be negative.
///
/// ```
/// use taggant_detector::stats::{Law, WeightedSum};
///
/// let coin = Law::Binomial { trials: 1, p: 0.25, q: 0.75 };
/// let mut sum = WeightedSum::default();
/// sum.add(&coin, 1.0, 300); // 300 units of weight 1
/// sum.add(&coin, 2.5, 40);
/// let observed = sum.mean() + 5.0 * sum.deviation();
/// assert!(sum.chernoff(observed).ln() > sum.saddlepoint(observed).ln());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightedSum {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
struct Part {
    law: Law,
    weight: f64,
    count: f64,
}

impl WeightedSum {
    /// Adds `count` independent scores of one law and one weight. Weights that are zero or not finite are left out: they carry nothing
    /// that could be summed.
    pub fn add(&mut self, law: &Law, weight: f64, count: u64) {
        if count == 0 || weight == 0.0 || !weight.is_finite() {
            return;
        }
        self.parts.push(Part {
            law: law.clone(),
            weight,
            count: real(count),
        });
    }

    /// Mean of the sum.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.cumulants(0.0).mean
    }

    /// Standard deviation of the sum.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        sqrt(self.cumulants(0.0).variance)
    }

    /// `K(θ)` of the sum with derivatives.
    #[must_use]
    pub fn cumulants(&self, theta: f64) -> Cumulants {
        self.parts.iter().fold(Cumulants::default(), |sum, part| {
            let one = part.law.cumulants(theta * part.weight);
            let grain = if part.weight < 0.0 {
                part.law.grain(theta * part.weight)
            } else {
                0.0
            };
            Cumulants {
                k: sum.k + part.count * (one.k + grain),
                mean: sum.mean + part.count * part.weight * one.mean,
                variance: sum.variance + part.count * part.weight * part.weight * one.variance,
            }
        })
    }

    /// Where `K` is finite: the open interval of `θ`.
    fn limits(&self) -> (f64, f64) {
        self.parts
            .iter()
            .fold((f64::NEG_INFINITY, f64::INFINITY), |(low, high), part| {
                let limit = part.law.limit() / part.weight;
                if part.weight > 0.0 {
                    (low, high.min(limit))
                } else {
                    (low.max(limit), high)
                }
            })
    }

    /// The `θ` at which the tilted mean is `target`, as near as doubles come; at the end of the range if none is.
    pub(crate) fn tilt(&self, target: f64) -> f64 {
        let (least, most) = self.limits();
        let mean = |theta: f64| self.cumulants(theta).mean;
        let up = target >= mean(0.0);
        let end = if up { most } else { least };
        // An end of the interval, or steps that double until the mean has passed the target.
        let (mut near, mut far) = (
            0.0,
            if up { 1.0 } else { -1.0 } / self.deviation().max(1e-300),
        );
        for _ in 0..200 {
            if end.is_finite() && far.abs() >= end.abs() {
                far = end;
                break;
            }
            if (mean(far) >= target) == up {
                break;
            }
            near = far;
            far *= 2.0;
        }
        // Newton's steps, kept inside the bracket; halving where one would leave it.
        let mut theta = 0.5 * (near + far);
        for _ in 0..100 {
            let Cumulants { mean, variance, .. } = self.cumulants(theta);
            if (mean >= target) == up {
                far = theta;
            } else {
                near = theta;
            }
            let newton = theta - (mean - target) / variance;
            let inside = (newton > near.min(far)) & (newton < near.max(far));
            let next = if inside { newton } else { 0.5 * (near + far) };
            if (next - theta).abs() <= 1e-14 * theta.abs() {
                break;
            }
            theta = next;
        }
        theta
    }

    /// An upper bound of `P(sum ≥ observed)`: `inf_θ e^{K(θ) − θ observed}` (Chernoff 1952).
    ///
    /// Rigorous for every θ ≥ 0, so an imperfect minimum only makes it larger. It exceeds the truth by about `√(2π) z`, a decade at
    /// z = 4.
    #[must_use]
    pub fn chernoff(&self, observed: f64) -> PValue {
        if self.parts.is_empty() || observed <= self.mean() {
            return PValue::ONE;
        }
        let theta = self.tilt(observed);
        PValue::from_ln(self.cumulants(theta).k - theta * observed)
    }

    /// `P(sum ≥ observed)` by the saddle point (Lugannani and Rice 1980, for scores without a lattice).
    ///
    /// An approximation, as close as a few per cent for some dozens of units; never a headline.
    #[must_use]
    pub fn saddlepoint(&self, observed: f64) -> PValue {
        self.lugannani_rice(observed, None)
    }

    /// [`saddlepoint`](Self::saddlepoint) for sums that take only values `span` apart, such as counts (Daniels 1987, first form): the
    /// observed value must be one of them.
    #[must_use]
    pub fn saddlepoint_lattice(&self, observed: f64, span: f64) -> PValue {
        self.lugannani_rice(observed, Some(span))
    }

    fn lugannani_rice(&self, observed: f64, span: Option<f64>) -> PValue {
        let (mean, deviation) = (self.mean(), self.deviation());
        if self.parts.is_empty() || deviation <= 0.0 {
            return if observed <= mean {
                PValue::ONE
            } else {
                PValue::from_ln(f64::NEG_INFINITY)
            };
        }
        // At the mean the formula is 0/0; it is smooth there, so its neighbours' average serves.
        let near = 0.01 * deviation;
        if (observed - mean).abs() < near {
            let tail = |shift: f64| self.lugannani_rice_at(mean + shift, span).get();
            return PValue::from_ln(log(0.5 * (tail(2.0 * near) + tail(-2.0 * near))));
        }
        self.lugannani_rice_at(observed, span)
    }

    fn lugannani_rice_at(&self, observed: f64, span: Option<f64>) -> PValue {
        let theta = self.tilt(observed);
        let Cumulants { k, variance, .. } = self.cumulants(theta);
        let r = theta.signum() * sqrt((2.0 * (theta * observed - k)).max(0.0));
        let width = match span {
            Some(span) => -expm1(-theta * span) / span,
            None => theta,
        };
        let v = width * sqrt(variance);
        if r > 0.0 {
            // φ(r) (Mills(r) + 1/v − 1/r): nothing underflows.
            let factor = mills(r) + 1.0 / v - 1.0 / r;
            let ln = ln_density(r) + log(factor.max(f64::MIN_POSITIVE));
            // At the end of the range the variance vanishes and the expansion with it; the bound, exact there, takes over.
            return PValue::from_ln(ln.min(k - theta * observed));
        }
        let tail = normal_tail(r).get() + exp(ln_density(r)) * (1.0 / v - 1.0 / r);
        PValue::from_ln(log(tail.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{binomial_tail, gamma_tail};
    use proptest::prelude::*;

    const COIN: Law = Law::Binomial {
        trials: 1,
        p: 0.25,
        q: 0.75,
    };

    fn of(law: &Law, count: u64) -> WeightedSum {
        let mut sum = WeightedSum::default();
        sum.add(law, 1.0, count);
        sum
    }

    #[test]
    fn cumulants_are_those_of_the_laws() {
        let table = Law::Uniform(vec![0.0, 1.0, 1.0, 4.0]);
        let sum = Law::Sum(of(&COIN, 3));
        let uneven = Law::Discrete {
            values: vec![4.0, -1.0, 100.0, 0.5],
            probabilities: vec![1.0, 3.0, 0.0, 2.5],
        };
        for law in [COIN, Law::Exponential, table.clone(), uneven, sum] {
            for theta in [-2.0, -0.1, 0.0, 0.1, 0.7] {
                let step = 1e-5;
                let [below, here, above] =
                    [theta - step, theta, theta + step].map(|theta| law.cumulants(theta));
                let slope = (above.k - below.k) / (2.0 * step);
                let bend = (above.mean - below.mean) / (2.0 * step);
                assert!(
                    (slope - here.mean).abs() < 1e-6 * (1.0 + here.mean),
                    "{law:?} {theta}"
                );
                assert!(
                    (bend - here.variance).abs() < 1e-5 * (1.0 + here.variance),
                    "{law:?} {theta}"
                );
            }
            assert!(law.cumulants(0.0).k.abs() < 1e-12);
        }
        assert!((table.mean() - 1.5).abs() < 1e-15);
        let weighted = Law::Discrete {
            values: vec![0.0, 4.0, 1.0],
            probabilities: vec![0.25, 0.25, 0.5],
        };
        for theta in [-1.0, 0.0, 3.0] {
            let (a, b) = (weighted.cumulants(theta), table.cumulants(theta));
            assert!((a.k - b.k).abs() < 1e-14 && (a.mean - b.mean).abs() < 1e-14);
        }
        assert!((table.deviation() - 2.25_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn the_saddle_point_agrees_with_exact_tails_and_chernoff_is_above_them() {
        for n in [20_u64, 400, 100_000] {
            let coins = of(&COIN, n);
            let waits = of(&Law::Exponential, n);
            for z in [-2.0, 0.0, 1.0, 4.0, 8.0] {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "small counts"
                )]
                let k = (coins.mean() + z * coins.deviation())
                    .round()
                    .clamp(1.0, n as f64) as u64;
                let exact = binomial_tail(k, n, 0.25, 0.75);
                #[expect(clippy::cast_precision_loss, reason = "small counts")]
                let k = k as f64;
                let ratio = (coins.saddlepoint_lattice(k, 1.0).ln() - exact.ln()).abs();
                assert!(
                    ratio < if n < 100 { 0.1 } else { 0.02 },
                    "binomial n {n} z {z}: {ratio}"
                );
                assert!(coins.chernoff(k).ln() >= exact.ln());

                let t = waits.mean() + z * waits.deviation();
                let exact = gamma_tail(t, n);
                let ratio = (waits.saddlepoint(t).ln() - exact.ln()).abs();
                assert!(
                    ratio < if n < 100 { 0.1 } else { 0.01 },
                    "gamma n {n} z {z}: {ratio}"
                );
                assert!(waits.chernoff(t).ln() >= exact.ln());
            }
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        let coins = of(&COIN, 10);
        assert!((coins.chernoff(10.0).ln() - 10.0 * 0.25_f64.ln()).abs() < 1e-6);
        assert!(coins.chernoff(10.5).ln() < -1e6);
        assert_eq!(coins.chernoff(0.0), PValue::ONE);
        assert_eq!(WeightedSum::default().chernoff(1.0), PValue::ONE);
        let mut signed = of(&Law::Exponential, 50);
        signed.add(&Law::Exponential, -2.0, 50);
        let far = signed.mean() + 6.0 * signed.deviation();
        assert!(
            signed.chernoff(far).ln() < -10.0
                && signed.saddlepoint(far).ln() < signed.chernoff(far).ln()
        );
    }

    proptest! {
        #[test]
        fn bounds_are_probabilities_and_fall(weights in proptest::collection::vec(-3.0_f64..3.0, 1..12), z in -3.0_f64..9.0, law in 0_usize..3) {
            let law = [COIN, Law::Exponential, Law::Uniform(vec![0.0, 1.0, 3.0])][law].clone();
            let mut sum = WeightedSum::default();
            for weight in weights {
                sum.add(&law, weight, 5);
            }
            let t = sum.mean() + z * sum.deviation();
            let (a, b) = (sum.chernoff(t), sum.chernoff(t + 0.1 * sum.deviation()));
            prop_assert!(b.ln() <= a.ln() + 1e-9 && a.ln() <= 0.0);
            let p = sum.saddlepoint(t).get();
            prop_assert!((0.0..=1.0).contains(&p));
        }
    }
}

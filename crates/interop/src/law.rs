//! Null laws of foreign units. Scores of distinct units are independent if the text says nothing about the key.

use taggant_detector::stats::{Law, PValue, WeightedSum, binomial_tail, gamma_tail};

/// The law of one unit's score under the null.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum UnitLaw {
    /// 1 with probability `green / of`. Tokens after one window are drawn without replacement, which only narrows their sum.
    Green { green: u64, of: u64 },
    /// At most `slack` above an exponential variable of mean 1: what the grain of the engine's uniform numbers can add.
    Exponential { slack: f64 },
    /// A sum of exponential variables, each times its weight, with the same slack.
    Exponentials { weights: Vec<f64>, slack: f64 },
    /// A count of so many fair bits.
    Bits(u32),
}

impl UnitLaw {
    pub(crate) fn law(&self) -> Law {
        match self {
            Self::Green { green, of } => {
                let (p, q) = shares(*green, *of);
                Law::Binomial { trials: 1, p, q }
            }
            Self::Exponential { .. } => Law::Exponential,
            Self::Exponentials { weights, .. } => {
                let mut sum = WeightedSum::default();
                for weight in weights {
                    sum.add(&Law::Exponential, *weight, 1);
                }
                Law::Sum(sum)
            }
            Self::Bits(depth) => Law::Binomial {
                trials: *depth,
                p: 0.5,
                q: 0.5,
            },
        }
    }

    /// `P(sum over units ≥ score)`, and whether it is exact or Chernoff's bound.
    pub(crate) fn tail(&self, units: u64, score: f64) -> (PValue, bool) {
        #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
        let count = units as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a sum of ones below 2^53"
        )]
        match self {
            Self::Green { green, of } => {
                let (p, q) = shares(*green, *of);
                (binomial_tail(score as u64, units, p, q), true)
            }
            Self::Bits(depth) => (
                binomial_tail(score as u64, units * u64::from(*depth), 0.5, 0.5),
                true,
            ),
            Self::Exponential { slack } => (gamma_tail(score - count * slack, units), true),
            Self::Exponentials { weights, slack } => {
                let total: f64 = weights.iter().sum();
                let score = score - count * slack * total;
                match weights.split_first() {
                    Some((first, rest))
                        if rest.iter().all(|weight| weight.total_cmp(first).is_eq()) =>
                    {
                        (
                            gamma_tail(score / first, units * weights.len() as u64),
                            true,
                        )
                    }
                    _ => {
                        let mut sum = WeightedSum::default();
                        for weight in weights.iter().filter(|weight| **weight > 0.0) {
                            sum.add(&Law::Exponential, *weight, units);
                        }
                        (sum.chernoff(score), false)
                    }
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a vocabulary is below 2^53")]
fn shares(green: u64, of: u64) -> (f64, f64) {
    (green as f64 / of as f64, (of - green) as f64 / of as f64)
}

//! E-values of exchanges: evidence that may be looked at after each of them, and added to later.

use libm::{exp, exp2, log};

use super::scale::real;
use crate::stats::Peak;

/// A mixture over λ of `Π exp(λ z_served) / mean_j exp(λ z_j)`, z the scores of an exchange's drafts in standard deviations of their
/// own. Each factor has mean exactly 1 when every draft is equally likely to be the served one, so the mixture is a martingale
/// from 1 (Ville 1939; Robbins 1970).
///
/// λ runs over 15 values a factor √2 apart from 0.03 to 3.84, all with the same prior mass, so `ln M` is at most `ln 15 = 2.7` below
/// the best of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Evidence {
    sums: [f64; STEPS],
    exchanges: u64,
    peak: Peak,
}

const STEPS: usize = 15;
const LEAST: f64 = 0.03;

impl Evidence {
    pub(super) fn new() -> Self {
        Self {
            sums: [0.0; STEPS],
            exchanges: 0,
            peak: Peak::default(),
        }
    }

    /// Adds an exchange, whose drafts stand at `z`, and looks.
    pub(super) fn observe(&mut self, z: &[f64], served: usize) {
        for (sum, step) in self.sums.iter_mut().zip(0..) {
            let lambda = LEAST * exp2(0.5 * f64::from(step));
            let mass: f64 = z
                .iter()
                .map(|other| exp(lambda * (other - z[served])))
                .sum();
            *sum -= log(mass / real(z.len()));
        }
        self.exchanges += 1;
        let ln = self.ln();
        if ln > self.peak.ln {
            self.peak = Peak {
                ln,
                units: self.exchanges,
            };
        }
    }

    /// `ln M` now.
    pub(super) fn ln(&self) -> f64 {
        crate::stats::mean(&self.sums)
    }

    /// Its largest value so far.
    pub(super) fn peak(&self) -> Peak {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twins::scale::standardised;

    /// Every choice in two exchanges written out: the mean over them is 1.
    #[test]
    fn the_mean_over_all_choices_is_one() {
        let exchanges = [
            standardised(&[0.0, 1.0, 1.0, 40.0]),
            standardised(&[2.0, 7.0, -3.0]),
        ];
        let mut total = 0.0;
        for first in 0..4 {
            for second in 0..3 {
                let mut evidence = Evidence::new();
                evidence.observe(&exchanges[0], first);
                evidence.observe(&exchanges[1], second);
                total += evidence.ln().exp();
            }
        }
        assert!((total / 12.0 - 1.0).abs() < 1e-12, "{total}");
    }

    #[test]
    fn what_says_nothing_changes_nothing() {
        let mut evidence = Evidence::new();
        evidence.observe(&[5.0], 0);
        evidence.observe(&[0.0, 0.0], 1);
        assert!(evidence.ln().abs() < 1e-12 && evidence.peak().ln.abs() < 1e-12);
    }
}

//! The number of marked items in a sample without replacement.

use libm::log;

use super::PValue;
use super::tails::{ln_binomial_point, real, series, upper_or_complement};

/// `P(X ≥ successes)`, X the number of marked items among `draws` drawn without replacement from `population`, of which `marked`
/// are marked. `marked` and `draws` above `population` count as `population`.
///
/// Relative error below 1e-10 for populations to 10^8 and probabilities to e^-800. Time grows as the standard deviation of X.
#[must_use]
pub fn hypergeometric_tail(successes: u64, population: u64, marked: u64, draws: u64) -> PValue {
    let (marked, draws) = (marked.min(population), draws.min(population));
    if successes <= marked.saturating_sub(population - draws) {
        return PValue::ONE;
    }
    if successes > marked.min(draws) {
        return PValue::from_ln(f64::NEG_INFINITY);
    }
    let urn = Urn {
        marked: real(marked),
        plain: real(population - marked),
        drawn: real(draws),
        left: real(population - draws),
    };
    let k = real(successes);
    upper_or_complement(
        k > urn.drawn * (urn.marked / real(population)),
        || urn.ln_at_least(k),
        || urn.ln_at_most(k - 1.0),
    )
}

/// An urn and a sample of it. All four numbers are whole, hence their sums and differences exact.
struct Urn {
    marked: f64,
    plain: f64,
    drawn: f64,
    left: f64,
}

impl Urn {
    /// `ln P(X = k)`: three binomial points, of which the draws' share of the population, whatever it is, falls out (Loader 2000).
    fn ln_point(&self, k: f64) -> f64 {
        let population = self.marked + self.plain;
        let (p, q) = (self.drawn / population, self.left / population);
        ln_binomial_point(k, self.marked, p, q)
            + ln_binomial_point(self.drawn - k, self.plain, p, q)
            - ln_binomial_point(self.drawn, population, p, q)
    }

    /// `ln P(X ≥ k)`, summed upwards.
    fn ln_at_least(&self, k: f64) -> f64 {
        // Plain items that were not drawn, when k marked ones were.
        let rest = self.plain - (self.drawn - k);
        let series = series(|i| {
            (self.marked - k - i) / (k + 1.0 + i) * ((self.drawn - k - i) / (rest + 1.0 + i))
        });
        self.ln_point(k) + log(series)
    }

    /// `ln P(X ≤ k)`, summed downwards.
    fn ln_at_most(&self, k: f64) -> f64 {
        let rest = self.plain - (self.drawn - k);
        let series = series(|i| {
            (k - i) / (self.marked - k + 1.0 + i) * ((rest - i) / (self.drawn - k + 1.0 + i))
        });
        self.ln_point(k) + log(series)
    }
}

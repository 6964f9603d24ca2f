//! The standard normal law, for planning and for approximations that say so. Never the source of a headline p-value.

use libm::{erfc, exp, log, sqrt};

use super::PValue;

/// `P(Z ≥ z)`, relative error below 1e-13 at any `z`.
#[must_use]
pub fn normal_tail(z: f64) -> PValue {
    PValue::from_ln(if z < CENTRE {
        log(0.5 * erfc(z / std::f64::consts::SQRT_2))
    } else {
        ln_density(z) + log(mills(z))
    })
}

/// The `z` with `P(Z ≥ z) = p`; infinite at the ends.
#[must_use]
pub fn normal_quantile(p: PValue) -> f64 {
    if p.ln() >= 0.0 {
        return f64::NEG_INFINITY;
    }
    // ln P(Z ≥ z) < −z²/2, so z < √(−2 ln p).
    let (mut low, mut high) = (-40.0, sqrt(-2.0 * p.ln()).max(1.0));
    if high.is_infinite() {
        return high;
    }
    // The tail falls, so bisection cannot miss; it ends, after some 60 halvings, when no double is left between the ends.
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if normal_tail(middle).ln() > p.ln() {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// `ln φ(z)`.
pub(super) fn ln_density(z: f64) -> f64 {
    -0.5 * z * z - 0.5 * log(std::f64::consts::TAU)
}

/// Where the continued fraction takes over from `erfc`, which underflows further out.
const CENTRE: f64 = 5.0;

/// Mills' ratio `P(Z ≥ z) / φ(z)`.
pub(super) fn mills(z: f64) -> f64 {
    if z < CENTRE {
        return 0.5
            * erfc(z / std::f64::consts::SQRT_2)
            * exp(0.5 * z * z)
            * sqrt(std::f64::consts::TAU);
    }
    // Laplace's continued fraction 1/(z + 1/(z + 2/(z + 3/…))); 60 levels are exact to a double from z = 5 on.
    let fraction = (1..=60)
        .rev()
        .fold(0.0, |rest, k| f64::from(k) / (z + rest));
    1.0 / (z + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_and_quantiles_of_the_tables() {
        // Abramowitz and Stegun 26.1, and mpmath at 40 digits for z = 10 and 38.
        for (z, ln) in [
            (0.0, -std::f64::consts::LN_2),
            (1.959_963_984_540_054, -3.688_879_454_113_936),
            (-1.0, -0.172_753_779_023_449_88),
            (4.999_999_999, -15.064_998_388_802_22),
            (5.0, -15.064_998_393_988_726),
            (10.0, -53.231_285_150_512_47),
            (38.0, -726.557_216_018_820),
        ] {
            assert!(
                (normal_tail(z).ln() / ln - 1.0).abs() < 1e-9,
                "{z}: {}",
                normal_tail(z).ln()
            );
            assert!(
                (normal_quantile(PValue::from_ln(ln)) - z).abs() < 1e-8,
                "{z}"
            );
        }
        assert!(normal_quantile(PValue::ONE) == f64::NEG_INFINITY);
        assert!(normal_quantile(PValue::from_ln(f64::NEG_INFINITY)) == f64::INFINITY);
    }
}

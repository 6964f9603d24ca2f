//! Upper tails in log space, exact for every n.
//!
//! A tail is the probability of one point, by Loader's saddle-point form (C. Loader, "Fast and accurate computation of
//! binomial probabilities", 2000), times a series of positive terms. Nothing cancels: the general-purpose formulas, differences of
//! log-gamma functions of size 10^9, lose all digits where n is 10^8 and return probabilities above 1.

use std::fmt;

use libm::{exp, expm1, log, log1p};

/// A probability, kept as its natural logarithm so that 1e-400 is still a number.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct PValue(f64);

impl PValue {
    /// Certainty: the p-value of no evidence.
    pub const ONE: Self = Self(0.0);

    /// From a natural logarithm; rounding above 0 is cut off.
    #[must_use]
    pub fn from_ln(ln: f64) -> Self {
        Self(ln.min(0.0))
    }

    /// `1 − e^ln` of this probability.
    fn complement(self) -> Self {
        // log1p(-e^x) for small e^x, log(-expm1(x)) near one: each is exact where the other cancels.
        Self::from_ln(if self.0 < -std::f64::consts::LN_2 {
            log1p(-exp(self.0))
        } else {
            log(-expm1(self.0))
        })
    }

    /// Natural logarithm, at most 0.
    #[must_use]
    pub fn ln(self) -> f64 {
        self.0
    }

    /// Decimal logarithm, at most 0.
    #[must_use]
    pub fn log10(self) -> f64 {
        self.0 * std::f64::consts::LOG10_E
    }

    /// The probability itself; 0 below 5e-324.
    #[must_use]
    pub fn get(self) -> f64 {
        exp(self.0)
    }

    /// Whether the probability is at most `alpha`.
    #[must_use]
    pub fn at_most(self, alpha: f64) -> bool {
        self.0 <= log(alpha)
    }
}

impl fmt::Display for PValue {
    /// Two significant digits, as `0.37`, `0.0021` or `1.4e-57`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log10 = self.log10();
        if log10 > -3.0 {
            let digits = if log10 > -1.0 { 2 } else { 4 };
            return write!(f, "{:.digits$}", self.get());
        }
        let mut exponent = log10.floor();
        let mut mantissa = libm::pow(10.0, log10 - exponent);
        if mantissa >= 9.95 {
            (mantissa, exponent) = (1.0, exponent + 1.0);
        }
        write!(f, "{mantissa:.1}e{exponent}")
    }
}

/// `P(X ≥ successes)` for X ~ Binomial(`trials`, `p`), with `complement` = 1 − `p` given separately so that neither is rounded.
///
/// Relative error below 1e-10 for `trials` to 10^8 and probabilities to e^-800 (`tests/tails.rs`); 1 where `p` or `complement` is
/// not a number. Time grows as √`trials` near the centre: 0.2 µs at 200, 0.1 ms at 10^8.
#[must_use]
pub fn binomial_tail(successes: u64, trials: u64, p: f64, complement: f64) -> PValue {
    if successes == 0 || p.is_nan() || complement.is_nan() {
        return PValue::ONE;
    }
    if successes > trials {
        return PValue::from_ln(f64::NEG_INFINITY);
    }
    let n = real(trials);
    let k = real(successes);
    if k > n * p {
        // P(X = k) (1 + (n−k)/(k+1)·p/q + …), each ratio below 1.
        let odds = p / complement;
        let series = series(|i| (n - k - i) / (k + 1.0 + i) * odds);
        PValue::from_ln(ln_binomial_point(k, n, p, complement) + log(series))
    } else {
        // One minus the lower tail P(X ≤ k−1), summed downwards.
        let (k, odds) = (k - 1.0, complement / p);
        let series = series(|i| (k - i) / (n - k + 1.0 + i) * odds);
        PValue::from_ln(ln_binomial_point(k, n, p, complement) + log(series)).complement()
    }
}

/// `P(X ≥ sum)` for X ~ Gamma(`shape`, 1), the sum of `shape` exponential variables.
///
/// Relative error below 1e-10 for `shape` to 10^8 and probabilities to e^-800 (`tests/tails.rs`); 1 where there are no variables
/// or `sum` is not a number. Time grows as √`shape` near the centre.
#[must_use]
pub fn gamma_tail(sum: f64, shape: u64) -> PValue {
    if shape == 0 || sum <= 0.0 || sum.is_nan() {
        return PValue::ONE;
    }
    if sum.is_infinite() {
        return PValue::from_ln(f64::NEG_INFINITY);
    }
    let n = real(shape);
    if sum > n {
        // Poisson(sum) ≤ n−1, summed downwards.
        let series = series(|i| (n - 1.0 - i) / sum);
        PValue::from_ln(ln_poisson_point(n - 1.0, sum) + log(series))
    } else {
        // One minus Poisson(sum) ≥ n, summed upwards.
        let series = series(|i| sum / (n + 1.0 + i));
        PValue::from_ln(ln_poisson_point(n, sum) + log(series)).complement()
    }
}

/// An upper tail, from its own logarithm where `above` the mean and from that of the lower tail elsewhere: neither sum is then
/// long, and a probability near 1 keeps the digits of its complement.
pub(super) fn upper_or_complement(
    above: bool,
    upper: impl FnOnce() -> f64,
    lower: impl FnOnce() -> f64,
) -> PValue {
    if above {
        let ln = upper();
        if ln <= -std::f64::consts::LN_2 {
            return PValue(ln);
        }
    }
    PValue::from_ln(lower()).complement()
}

/// A sum that carries along what rounding took from it (Neumaier 1974).
#[derive(Clone, Copy, Default)]
pub(super) struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    pub(super) fn plus(self, x: f64) -> Self {
        let sum = self.sum + x;
        let lost = if self.sum.abs() >= x.abs() {
            (self.sum - sum) + x
        } else {
            (x - sum) + self.sum
        };
        Self {
            sum,
            lost: self.lost + lost,
        }
    }

    pub(super) fn value(self) -> f64 {
        self.sum + self.lost
    }
}

/// `1 + r(0) + r(0) r(1) + …` for ratios that fall; stops when a term no longer counts.
pub(super) fn series(ratio: impl Fn(f64) -> f64) -> f64 {
    let (mut sum, mut term, mut i) = (1.0, 1.0, 0.0);
    // The ratios fall, so what is left is below term · r/(1−r); 2^-60 covers r up to 0.99.., where terms fall slowly. A term that
    // is not a number ends the series too.
    while term > sum * 1e-18 {
        term *= ratio(i);
        sum += term;
        i += 1.0;
    }
    sum
}

/// `ln P(X = k)`, X ~ Binomial(n, p).
pub(super) fn ln_binomial_point(k: f64, n: f64, p: f64, q: f64) -> f64 {
    if k <= 0.0 {
        return ln_power(n, q, p);
    }
    if k >= n {
        return ln_power(n, p, q);
    }
    stirling_error(n)
        - stirling_error(k)
        - stirling_error(n - k)
        - deviance(k, n * p)
        - deviance(n - k, n * q)
        + 0.5 * log(n / (std::f64::consts::TAU * k * (n - k)))
}

/// `ln p^n`, with `q` = 1 − `p`.
pub(super) fn ln_power(n: f64, p: f64, q: f64) -> f64 {
    n * if p > 0.5 { log1p(-q) } else { log(p) }
}

/// `ln P(X = k)`, X ~ Poisson(mean).
fn ln_poisson_point(k: f64, mean: f64) -> f64 {
    if k <= 0.0 {
        return -mean;
    }
    -stirling_error(k) - deviance(k, mean) - 0.5 * log(std::f64::consts::TAU * k)
}

/// `ln n! − (½ ln 2πn + n ln n − n)` for whole n ≥ 1.
fn stirling_error(n: f64) -> f64 {
    // Below 16 the asymptotic series is too coarse; these are its values to 17 digits.
    const SMALL: [f64; 16] = [
        0.0,
        0.081_061_466_795_327_26,
        0.041_340_695_955_409_29,
        0.027_677_925_684_998_34,
        0.020_790_672_103_765_093,
        0.016_644_691_189_821_193,
        0.013_876_128_823_070_747,
        0.011_896_709_945_891_77,
        0.010_411_265_261_972_096,
        0.009_255_462_182_712_733,
        0.008_330_563_433_362_87,
        0.007_573_675_487_951_841,
        0.006_942_840_107_209_53,
        0.006_408_994_188_004_207,
        0.005_951_370_112_758_848,
        0.005_554_733_551_962_801,
    ];
    if n < 16.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, 0 to 15"
        )]
        return SMALL[n as usize];
    }
    let m = 1.0 / (n * n);
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - m * (1.0 / 1188.0)) * m) * m) * m)
        / n
}

/// Loader's deviance `x ln(x/m) + m − x`, without cancellation where x is near m.
fn deviance(x: f64, m: f64) -> f64 {
    let difference = x - m;
    if difference.abs() >= 0.1 * (x + m) {
        return x * log(x / m) + m - x;
    }
    let v = difference / (x + m);
    let mut sum = difference * v;
    let mut term = 2.0 * x * v;
    let mut odd = 1.0;
    loop {
        term *= v * v;
        odd += 2.0;
        let next = sum + term / odd;
        if next.total_cmp(&sum).is_eq() {
            return sum;
        }
        sum = next;
    }
}

/// Counts as numbers: exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(p: PValue, truth: f64) {
        assert!(
            (p.get() / truth - 1.0).abs() < 1e-13,
            "{} is not {truth}",
            p.get()
        );
    }

    #[test]
    fn small_cases_by_hand() {
        close(binomial_tail(0, 3, 0.25, 0.75), 1.0);
        close(binomial_tail(1, 3, 0.25, 0.75), 37.0 / 64.0);
        close(binomial_tail(2, 3, 0.25, 0.75), 10.0 / 64.0);
        close(binomial_tail(3, 3, 0.25, 0.75), 1.0 / 64.0);
        assert_eq!(binomial_tail(4, 3, 0.25, 0.75).get().to_bits(), 0);
        close(gamma_tail(1.5, 1), (-1.5_f64).exp());
        close(gamma_tail(0.3, 2), (-0.3_f64).exp() * 1.3);
        close(gamma_tail(4.0, 2), (-4.0_f64).exp() * 5.0);
        close(gamma_tail(0.0, 2), 1.0);
        close(gamma_tail(3.0, 0), 1.0);
    }

    #[test]
    fn p_values_are_written_with_two_digits() {
        for (p, text) in [
            (1.0, "1.00"),
            (0.373, "0.37"),
            (0.0212, "0.0212"),
            (9.96e-4, "1.0e-3"),
            (1.44e-57, "1.4e-57"),
        ] {
            assert_eq!(PValue::from_ln(f64::ln(p)).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn tails_are_probabilities_and_fall(n in 1_u64..2_000_000, share in 0.0_f64..1.0, threshold in 1_u32..u32::MAX) {
            let p = f64::from(threshold) / 4_294_967_296.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of n")]
            let k = (share * n as f64) as u64;
            let (a, b) = (binomial_tail(k, n, p, 1.0 - p), binomial_tail(k + 1, n, p, 1.0 - p));
            prop_assert!(b.ln() <= a.ln() && a.ln() <= 0.0, "{a:?} {b:?}");
            #[expect(clippy::cast_precision_loss, reason = "a multiple of n")]
            let sum = 3.0 * share * n as f64;
            let (a, b) = (gamma_tail(sum, n), gamma_tail(sum + 0.01, n));
            prop_assert!(b.ln() <= a.ln() && a.ln() <= 0.0, "{a:?} {b:?}");
        }
    }
}

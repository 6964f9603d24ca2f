//! Many p-values or e-values at once: what is left of each when all are counted, and one answer from several.

use libm::log;

use super::tails::{PValue, gamma_tail, real};

/// Adjusted p-values of a family of exactly these: each times their number (Bonferroni), in the input's order.
///
/// Those at most α are wrong anywhere in the family with probability at most α, whatever the dependence.
#[must_use]
pub fn bonferroni(p_values: &[PValue]) -> Vec<PValue> {
    let family = p_values.len() as u64;
    p_values.iter().map(|&p| times(p, family)).collect()
}

/// Adjusted p-values of a family of exactly these by Holm's (1979) step-down method, in the input's order.
///
/// The guarantee is [`bonferroni`]'s, the values are never larger: the i-th smallest is multiplied by the number of those not
/// smaller.
#[must_use]
pub fn holm(p_values: &[PValue]) -> Vec<PValue> {
    holm_among(p_values, 0)
}

/// [`holm`] where `family` hypotheses could have been tested and only some of their p-values are here, such as those of many
/// keys. A family smaller than the list counts as the list.
///
/// The others count as not rejected, whatever their p-values would have been: before the first false rejection all smaller
/// p-values are of true alternatives, so the multiplier still covers every true null.
#[must_use]
pub fn holm_among(p_values: &[PValue], family: u64) -> Vec<PValue> {
    let family = family.max(p_values.len() as u64);
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].ln().total_cmp(&p_values[b].ln()));
    let mut adjusted = p_values.to_vec();
    let mut least = f64::NEG_INFINITY;
    for (left, index) in (0..family).rev().zip(order) {
        least = times(p_values[index], left + 1).ln().max(least);
        adjusted[index] = PValue::from_ln(least);
    }
    adjusted
}

/// The hypotheses that e-BH rejects (Wang and Ramdas 2022), as indices in rising order: the k with the largest e-values, for the
/// largest k whose k-th e-value is at least `n/(αk)`.
///
/// The expected share of wrong ones among them is at most `alpha`, whatever the dependence. For lists of leads, not for
/// accusations: some of the accepted are expected to be wrong.
#[must_use]
pub fn e_bh(ln_e: &[f64], alpha: f64) -> Vec<usize> {
    let n = real(ln_e.len() as u64);
    // What is not a number is not evidence.
    let mut order: Vec<usize> = (0..ln_e.len()).filter(|&i| !ln_e[i].is_nan()).collect();
    order.sort_by(|&a, &b| ln_e[b].total_cmp(&ln_e[a]));
    let accepted = (1..=order.len())
        .rev()
        .find(|&k| ln_e[order[k - 1]] >= log(n) - log(alpha) - log(real(k as u64)))
        .unwrap_or(0);
    order.truncate(accepted);
    order.sort_unstable();
    order
}

/// Fisher's (1932) combination of independent p-values: `−Σ ln p` has a gamma tail. Exact for p-values that are uniform under the
/// null; for discrete ones, which are larger, so is the result. Certainty for none.
#[must_use]
pub fn fisher(p_values: &[PValue]) -> PValue {
    let sum: f64 = p_values.iter().map(|p| -p.ln()).sum();
    if sum.is_infinite() {
        return PValue::from_ln(f64::NEG_INFINITY);
    }
    gamma_tail(sum, p_values.len() as u64)
}

/// The least of several p-values times their number: one p-value, whatever their dependence. Certainty for none.
#[must_use]
pub fn least_of(p_values: &[PValue]) -> PValue {
    let least = p_values
        .iter()
        .fold(PValue::ONE, |least, &p| if p < least { p } else { least });
    times(least, p_values.len() as u64)
}

/// `min(1, count · p)`; certainty for a count of 0.
pub(crate) fn times(p: PValue, count: u64) -> PValue {
    PValue::from_ln(p.ln() + log(real(count.max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ps<const N: usize>(values: [f64; N]) -> [PValue; N] {
        values.map(|p| PValue::from_ln(p.ln()))
    }

    fn close(found: &[PValue], truth: &[f64]) {
        assert_eq!(found.len(), truth.len());
        for (found, truth) in found.iter().zip(truth) {
            assert!(
                (found.get() - truth).abs() < 1e-14 + 1e-12 * truth,
                "{found:?} is not {truth}"
            );
        }
    }

    #[test]
    fn adjusted_by_hand() {
        let p = ps([0.01, 0.04, 0.03, 0.005]);
        close(&bonferroni(&p), &[0.04, 0.16, 0.12, 0.02]);
        // Sorted 0.005, 0.01, 0.03, 0.04; times 4, 3, 2, 1; the last must not fall below the one before.
        close(&holm(&p), &[0.03, 0.06, 0.06, 0.02]);
        close(&holm_among(&p, 2), &[0.03, 0.06, 0.06, 0.02]);
        // Times 10, 9, 8, 7.
        close(&holm_among(&p, 10), &[0.09, 0.28, 0.24, 0.05]);
        close(&holm(&ps([0.6, 0.9])), &[1.0, 1.0]);
        close(&bonferroni(&ps([0.6, 0.9])), &[1.0, 1.0]);
        assert!(holm(&[]).is_empty() && bonferroni(&[]).is_empty());
        // Far below the smallest double.
        let tiny = [PValue::from_ln(-2000.0), PValue::ONE];
        assert!((holm(&tiny)[0].ln() - (2_f64.ln() - 2000.0)).abs() < 1e-12);
        // As many keys as anyone could try.
        let among = holm_among(&[PValue::from_ln(-100.0)], u64::MAX)[0];
        assert!((among.ln() - (64.0 * 2_f64.ln() - 100.0)).abs() < 1e-9);
    }

    #[test]
    fn e_bh_by_hand() {
        // n = 4, alpha = 0.1: thresholds 40, 20, 13.3, 10.
        let ln = |e: [f64; 4]| e.map(f64::ln);
        assert_eq!(e_bh(&ln([50.0, 1.0, 25.0, 3.0]), 0.1), [0, 2]);
        // The second alone would fail at 40, but two stand at 20.
        assert_eq!(e_bh(&ln([21.0, 1.0, 22.0, 3.0]), 0.1), [0, 2]);
        assert_eq!(e_bh(&ln([39.0, 1.0, 19.0, 3.0]), 0.1), [] as [usize; 0]);
        assert_eq!(e_bh(&ln([10.5, 11.0, 12.0, 13.0]), 0.1), [0, 1, 2, 3]);
        assert_eq!(e_bh(&[f64::NAN, 50_f64.ln()], 0.1), [1]);
        assert_eq!(e_bh(&[], 0.1), [] as [usize; 0]);
    }

    #[test]
    fn combined_by_hand() {
        let p = ps([0.1, 0.2]);
        // e^-s (1 + s) with s = -ln 0.02.
        close(&[fisher(&p)], &[0.02 * (1.0 - 0.02_f64.ln())]);
        close(&[fisher(&p[..1]), fisher(&[])], &[0.1, 1.0]);
        assert!(fisher(&[PValue::ONE, PValue::from_ln(f64::NEG_INFINITY)]).ln() < -1e300);
        close(&[least_of(&p), least_of(&ps([0.7, 0.8]))], &[0.2, 1.0]);
        assert_eq!(least_of(&[]), PValue::ONE);
    }
}

//! Statistics that look for a few small p-values among many ordinary ones, as edited or mixed text has.
//!
//! They are statistics, not p-values: their laws are known only in the limit, where they are poor. Their p-values come from the
//! same statistic under decoy keys ([`Rank`](super::Rank)).

use libm::{log, sqrt};

use super::tails::real;

/// P-values below this are left to the others: a single tiny one would otherwise decide, and its ratio has no finite moments.
const TRUNCATION: f64 = 1e-3;

/// Higher criticism (Donoho and Jin 2004): the largest of `√n (i/n − p_(i)) / √(p_(i) (1 − p_(i)))` over the smaller half of the
/// sorted p-values, those below 1/n left out. Sorts them; −∞ if none is left.
#[must_use]
pub fn higher_criticism(p: &mut [f64]) -> f64 {
    let n = real(p.len() as u64);
    ranked(p)
        .filter(|&(share, p)| share <= 0.5 && (1.0 / n..1.0).contains(&p))
        .map(|(share, p)| sqrt(n) * (share - p) / sqrt(p * (1.0 - p)))
        .fold(f64::NEG_INFINITY, f64::max)
}

/// Truncated goodness of fit (Li, Ruan, Wang, Long and Su 2024, arXiv 2411.13868), with divergence index 2: `ln n K`, with K the
/// largest of `(i/n − p_(i))² / (2 p_(i) (1 − p_(i)))` over the sorted p-values with `p_(i) ≥ 10^-3` and `i/n ≥ p_(i)`. Sorts
/// them; −∞ if none is left.
#[must_use]
pub fn tr_gof(p: &mut [f64]) -> f64 {
    let n = real(p.len() as u64);
    let most = ranked(p)
        .filter(|&(share, p)| (TRUNCATION..1.0).contains(&p) && share >= p)
        .map(|(share, p)| (share - p) * (share - p) / (2.0 * p * (1.0 - p)))
        .fold(0.0, f64::max);
    log(n * most)
}

/// `(i/n, p_(i))` for the sorted p-values.
fn ranked(p: &mut [f64]) -> impl Iterator<Item = (f64, f64)> {
    p.sort_by(f64::total_cmp);
    let n = real(p.len() as u64);
    (1..).zip(&*p).map(move |(i, &p)| (real(i) / n, p))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::stats::Rank;

    #[test]
    fn by_hand() {
        // Shares 1/4 to 1. HC: p = 0.3 at 1/2, z = 2 · 0.2 / √0.21; 0.1 is below 1/n.
        let mut p = [0.9, 0.1, 0.3, 0.8];
        assert!((higher_criticism(&mut p) - 0.4 / 0.21_f64.sqrt()).abs() < 1e-12);
        // K: 0.15²/0.18 = 0.125 at 0.1, 0.2²/0.42 = 0.0952 at 0.3; 0.8 has share 3/4.
        let mut p = [0.9, 0.1, 0.3, 0.8];
        assert!((tr_gof(&mut p) - (4.0 * 0.125_f64).ln()).abs() < 1e-12);
        assert!((p[0] - 0.1).abs() <= 0.0);

        for p in [
            &mut [][..],
            &mut [1.0, 1.0],
            &mut [f64::NAN],
            &mut [1e-9, 1.0],
        ] {
            assert!(higher_criticism(p) == f64::NEG_INFINITY);
            assert!(tr_gof(p) == f64::NEG_INFINITY);
        }
    }

    /// 40 of 1,000 p-values are small: both statistics rank above 199 draws of uniform ones. Seed 7.
    #[test]
    fn a_few_small_ones_stand_out() {
        let mut random = Random(7);
        let mut draw = |marked: usize| -> Vec<f64> {
            let small = (0..marked).map(|i| 0.001 + 1e-5 * real(i as u64));
            let mut p: Vec<f64> = small.collect();
            p.extend((marked..1000).map(|_| random.uniform()));
            p
        };
        for statistic in [higher_criticism, tr_gof] {
            let decoys: Vec<f64> = (0..199).map(|_| statistic(&mut draw(0))).collect();
            let rank = Rank::of(statistic(&mut draw(40)), &decoys);
            assert_eq!(rank.at_least, 0);
            let innocent = Rank::of(statistic(&mut draw(0)), &decoys);
            assert!(innocent.at_least > 2, "{innocent:?}");
        }
    }
}

//! P-values from decoys: ranks among draws of the null, exact for any statistic, and how well draws follow a law.

use libm::{exp, log, sqrt};
use taggant_core::{Error, ErrorKind, Result};

use super::tails::{PValue, real};

/// The rank of an observed statistic among decoys that are exchangeable with it under the null.
///
/// ```
/// use taggant_detector::stats::Rank;
///
/// let rank = Rank { at_least: 0, trials: 999 };
/// assert!((rank.p_value().get() - 0.001).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Decoys whose statistic is at least the observed one.
    pub at_least: u64,
    /// All decoys.
    pub trials: u64,
}

impl Rank {
    /// Ranks `observed` among `decoys`.
    #[must_use]
    pub fn of(observed: f64, decoys: &[f64]) -> Self {
        let below = decoys.iter().filter(|&&decoy| decoy < observed).count();
        Self {
            // What is not a number counts against the observed value.
            at_least: (decoys.len() - below) as u64,
            trials: decoys.len() as u64,
        }
    }

    /// `(1 + at_least) / (1 + trials)`: the observed value is one of the draws (Barnard 1963), so this is a p-value at every
    /// number of decoys.
    #[must_use]
    pub fn p_value(self) -> PValue {
        share(
            self.at_least.saturating_add(1),
            self.trials.saturating_add(1),
        )
    }
}

/// Decoys drawn one by one until enough of them reach the observed statistic (Besag and Clifford 1991).
///
/// Innocent text is acquitted after a few draws, and the p-value is still exact: `h/l` if the `h`-th to reach it is the `l`-th
/// draw, `(1 + reached) / (1 + most)` if all `most` draws were needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BesagClifford {
    exceedances: u64,
    most: u64,
    reached: u64,
    drawn: u64,
}

impl BesagClifford {
    /// Stops after `exceedances` decoys that reach the observed statistic, or after `most` decoys. Both must be settled
    /// beforehand.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless both are at least 1.
    pub fn new(exceedances: u64, most: u64) -> Result<Self> {
        if exceedances == 0 || most == 0 {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!(
                    "{exceedances} exceedances in at most {most} decoys; both must be at least 1"
                ),
            ));
        }
        Ok(Self {
            exceedances,
            most,
            reached: 0,
            drawn: 0,
        })
    }

    /// Adds a decoy, which reached the observed statistic or did not; says whether another is wanted. One too many is not
    /// counted.
    pub fn observe(&mut self, at_least: bool) -> bool {
        if !self.finished() {
            self.drawn += 1;
            self.reached += u64::from(at_least);
        }
        !self.finished()
    }

    /// Whether the p-value is settled.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.reached == self.exceedances || self.drawn == self.most
    }

    /// Decoys drawn so far, and how many of them reached the observed statistic.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank {
            at_least: self.reached,
            trials: self.drawn,
        }
    }

    /// The p-value once it is settled.
    #[must_use]
    pub fn p_value(&self) -> Option<PValue> {
        self.finished().then(|| {
            if self.reached == self.exceedances {
                share(self.reached, self.drawn)
            } else {
                self.rank().p_value()
            }
        })
    }
}

fn share(part: u64, whole: u64) -> PValue {
    PValue::from_ln(log(real(part)) - log(real(whole)))
}

/// Kolmogorov–Smirnov: the p-value of "these numbers are independent and uniform on [0, 1]". 1 for none.
///
/// Asymptotic law with Stephens' correction (Stephens 1970), good to a percent of itself from n = 10 on: a diagnostic, never a
/// headline.
#[must_use]
pub fn uniformity(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = real(sorted.len() as u64);
    let distance = (0..)
        .zip(&sorted)
        .map(|(i, &value)| (value - real(i) / n).max(real(i + 1) / n - value))
        .fold(0.0, f64::max);
    kolmogorov(distance, n)
}

/// The chance that the empirical distribution of `n` draws lies `distance` or more from a continuous law.
fn kolmogorov(distance: f64, n: f64) -> f64 {
    let t = (sqrt(n) + 0.12 + 0.11 / sqrt(n)) * distance;
    // Below, the alternating series needs more terms than it has, and the sum is 1 to 15 digits.
    if n <= 0.0 || t < 0.17 {
        return 1.0;
    }
    let terms = (1..=100).map(|k| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * exp(-2.0 * f64::from(k * k) * t * t)
    });
    terms.sum::<f64>().clamp(0.0, 1.0)
}

/// How well decoys' scores follow their law.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fit {
    /// Kolmogorov–Smirnov distance: the largest difference between the share of scores that are at least x and `P(X ≥ x)`.
    pub distance: f64,
    /// The chance of such a distance or a larger one if the scores do follow the law. Conservative for laws on a lattice. A diagnostic,
    /// good to a percent of itself, never a headline.
    pub p_value: f64,
}

/// Compares decoys' scores with `tail(x) = P(X ≥ x)`, at the observed x. Sorts the scores.
///
/// Both sides include x itself, so that the distance is right for laws on a lattice, where many scores coincide. It looks at no
/// point between the observed ones, and the critical values are those of continuous laws.
pub fn fit_to_law(scores: &mut [f64], tail: impl Fn(f64) -> f64) -> Fit {
    scores.sort_by(f64::total_cmp);
    let n = real(scores.len() as u64);
    let mut distance = 0.0_f64;
    let mut below = 0_u64;
    for equal in scores.chunk_by(|a, b| a.total_cmp(b).is_eq()) {
        let share = (n - real(below)) / n;
        distance = distance.max((share - tail(equal[0])).abs());
        below += equal.len() as u64;
    }
    Fit {
        distance,
        p_value: kolmogorov(distance, n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Binomial, Random};
    use crate::stats::binomial_tail;

    fn close(p: PValue, truth: f64) {
        assert!((p.get() - truth).abs() < 1e-15, "{p:?} is not {truth}");
    }

    #[test]
    fn ranks_by_hand() {
        let rank = Rank::of(2.0, &[1.0, 2.0, 3.0, f64::NAN]);
        assert_eq!((rank.at_least, rank.trials), (3, 4));
        close(rank.p_value(), 0.8);
        close(Rank::of(2.0, &[]).p_value(), 1.0);
        let all = Rank {
            at_least: u64::MAX,
            trials: u64::MAX,
        };
        close(all.p_value(), 1.0);

        let mut early = BesagClifford::new(2, 10).unwrap();
        assert!(early.p_value().is_none());
        assert!(early.observe(true) && early.observe(false) && early.observe(false));
        assert!(!early.observe(true) && !early.observe(true));
        close(early.p_value().unwrap(), 0.5);
        assert_eq!(
            early.rank(),
            Rank {
                at_least: 2,
                trials: 4
            }
        );
        let mut late = BesagClifford::new(2, 4).unwrap();
        for reached in [false, true, false, false] {
            late.observe(reached);
        }
        close(late.p_value().unwrap(), 0.4);
        // The last draw is the second to reach it: h/l, not (1 + h)/(1 + l).
        let mut last = BesagClifford::new(2, 4).unwrap();
        for reached in [false, true, false, true] {
            last.observe(reached);
        }
        close(last.p_value().unwrap(), 0.5);
        assert!(BesagClifford::new(0, 4).is_err() && BesagClifford::new(2, 0).is_err());
    }

    /// Null: observed and decoys alike. Theory: P(p ≤ a) ≤ a, with equality at the attainable values. n = 100,000 tests of at
    /// most 99 decoys and 10 exceedances; alpha 1e-6 each way; seed 5.
    #[test]
    fn sequential_ranks_are_exact() {
        let mut random = Random(5);
        let mut hits = [0_u64; 3];
        let levels = [0.01, 0.05, 0.25];
        for _ in 0..100_000 {
            let observed = random.uniform();
            let mut test = BesagClifford::new(10, 99).unwrap();
            while test.observe(random.uniform() >= observed) {}
            let p = test.p_value().unwrap().get();
            for (hits, level) in hits.iter_mut().zip(levels) {
                *hits += u64::from(p <= level + 1e-12);
            }
        }
        println!("Besag and Clifford: {hits:?} of 100000 at {levels:?}");
        for (hits, level) in hits.into_iter().zip(levels) {
            assert!(binomial_tail(hits, 100_000, level, 1.0 - level).get() > 1e-6);
            assert!(binomial_tail(100_000 - hits, 100_000, 1.0 - level, level).get() > 1e-6);
        }
    }

    #[test]
    fn uniform_numbers_and_others() {
        let uniform: Vec<f64> = (0..1000).map(|i| (f64::from(i) + 0.5) / 1000.0).collect();
        assert!(uniformity(&uniform) > 0.99);
        let bent: Vec<f64> = uniform.iter().map(|value| value.powf(1.2)).collect();
        assert!(uniformity(&bent) < 0.01);
        assert!((uniformity(&[]) - 1.0).abs() <= 0.0);
        // The 5 % point of Kolmogorov's law is 1.3581.
        assert!((kolmogorov(1.3581 / 1e4, 1e8) - 0.05).abs() < 1e-4);
    }

    /// Null: draws of the law they are compared with. n = 2,000 samples of 200, seed 6; the continuous law's 5 % point is passed
    /// by at most 5 % of them, by fewer on a lattice (alpha 1e-6).
    #[test]
    fn draws_fit_their_law() {
        let mut random = Random(6);
        let binomial = Binomial::new(20, 0.25);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let coins = |x: f64| binomial_tail(x as u64, 20, 0.25, 0.75).get();
        let mut far = [0_u64; 2];
        for _ in 0..2000 {
            let mut waits: Vec<f64> = (0..200).map(|_| random.exponentials(1)).collect();
            let mut counts: Vec<f64> = (0..200).map(|_| binomial.draw(&mut random)).collect();
            let distances = [
                fit_to_law(&mut waits, |x| (-x).exp()).distance,
                fit_to_law(&mut counts, coins).distance,
            ];
            for (far, distance) in far.iter_mut().zip(distances) {
                *far += u64::from(kolmogorov(distance, 200.0) <= 0.05);
            }
        }
        println!("far from their law: {far:?} of 2000 at 0.05");
        assert!(
            far.iter()
                .all(|&far| binomial_tail(far, 2000, 0.05, 0.95).get() > 1e-6)
        );
        assert!(far[1] < far[0]);
        // By hand: shares 1, 2/3 and 1/3 against 1, 1/2 and 1/4.
        let distance = fit_to_law(&mut [2.0, 0.0, 1.0], |x| 0.5_f64.powf(x)).distance;
        assert!((distance - 1.0 / 6.0).abs() < 1e-15);
        assert!(fit_to_law(&mut [], |_| 1.0).p_value >= 1.0);
    }
}

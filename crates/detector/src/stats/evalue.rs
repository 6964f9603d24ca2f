//! E-values: evidence that may be looked at after every unit, and added to later.
//!
//! An e-value is a number that is never negative and has mean at most 1 under the null; a large one is evidence. A process of
//! e-values `M` built unit by unit as a martingale passes `1/α` at any time whatever with probability at most α (Ville 1939). So
//! nobody has to fix the amount of text beforehand: look as often as you like, stop when it is enough, buy more when it is not.
//! Everything here is kept as a natural logarithm.

use libm::{exp, log};
use taggant_core::{Error, ErrorKind, Result};

use super::law::{Cumulants, Law, WeightedSum};
use super::tails::{PValue, real};

/// The largest value that a process has had, and when: the first look at which it stood that high.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Peak {
    /// `ln M` there; at least 0, for every process starts at `M = 1`.
    pub ln: f64,
    /// Units observed by then.
    pub units: u64,
}

impl Peak {
    fn raise(&mut self, ln: f64, units: u64) {
        if ln > self.ln {
            *self = Self { ln, units };
        }
    }

    /// `1 / sup M`: a p-value at every stopping time (Ville).
    #[must_use]
    pub fn p_value(self) -> PValue {
        e_to_p(self.ln)
    }
}

/// All that an [`EProcess`] has to remember.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Evidence {
    /// Units observed.
    pub units: u64,
    /// Sum of their scores.
    pub score: f64,
    /// The largest value so far.
    pub most: Peak,
}

/// A mixture of exponential martingales over independent scores of one law: `M = Σ_j π_j exp(θ_j S − n K(θ_j))`.
///
/// Each term is the likelihood ratio of the law tilted by `e^{θ_j x}`, Wald's (1945) for that alternative; a mixture of
/// martingales is one (Robbins 1970). `M` depends on the units only through their number `n` and the sum `S` of their scores, so
/// they may come one by one or in blocks, and the state is four numbers.
///
/// The prior π has 3/4 on the tilt of the planned effect and spreads 1/4 evenly over J ≤ 23 others, whose effects are a factor √2
/// apart from 0.002 to 4.1 null standard deviations a unit, as far as the law reaches. Hence, on every sequence of scores, `ln M`
/// is at most `ln 4/3 = 0.29` below the process made for the planned effect, and at most `ln 4J ≤ 4.6` below the one made for any
/// other effect of the grid.
///
/// At α = 10^-6 and the planned effect, 0.02, it stops after 77 % of the units that a fixed number with power 0.9 needs, on
/// average; where 0.1 or 0.005 had been planned, after 95 % (exponential scores, 2,000 simulated paths). With the right plan one
/// path in five takes longer than the fixed number.
///
/// ```
/// use taggant_detector::stats::{EProcess, Law};
///
/// let mut process = EProcess::new(&Law::Exponential, 0.1)?;
/// process.observe(3000, 3010.0)?;
/// assert!(process.p_value().get() > 0.1);
/// process.observe(4000, 4650.0)?; // more was bought
/// assert!(process.p_value().at_most(1e-6));
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EProcess {
    tilts: Vec<Tilt>,
    evidence: Evidence,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Tilt {
    theta: f64,
    k: f64,
    ln_prior: f64,
}

/// Prior mass of the planned effect.
const PLANNED: f64 = 0.75;

/// The grid's smallest effect, and how many steps of √2 it has.
const LEAST: f64 = 0.002;
const STEPS: i32 = 23;

impl EProcess {
    /// A process for independent scores of `law`, made for an effect of `planned` null standard deviations a unit.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a law without spread, and unless `planned` is above 0 and an effect that the law can have.
    pub fn new(law: &Law, planned: f64) -> Result<Self> {
        let (mean, deviation) = (law.mean(), law.deviation());
        if !(deviation > 0.0 && deviation.is_finite() && mean.is_finite()) {
            return Err(parameter(format!(
                "scores with standard deviation {deviation}; it must be above 0"
            )));
        }
        check_planned(planned)?;
        let mut unit = WeightedSum::default();
        unit.add(law, 1.0, 1);
        let tilt = |effect: f64| {
            let theta = unit.tilt(mean + effect * deviation);
            let reached = law.cumulants(theta);
            // A bounded law has no tilt with a mean beyond its largest value; the search then stops short.
            (reached.mean - mean > 0.999 * effect * deviation && reached.k.is_finite())
                .then_some((theta, reached.k))
        };
        let (theta, k) = tilt(planned).ok_or_else(|| {
            parameter(format!(
                "planned effect of {planned} standard deviations a unit is more than the scores can show"
            ))
        })?;
        let spread: Vec<(f64, f64)> = (0..STEPS)
            .filter_map(|step| tilt(LEAST * libm::exp2(0.5 * f64::from(step))))
            .collect();
        let each = (1.0 - PLANNED) / real(spread.len() as u64);
        let first = if spread.is_empty() { 1.0 } else { PLANNED };
        let tilts = std::iter::once((theta, k, first))
            .chain(spread.into_iter().map(|(theta, k)| (theta, k, each)))
            .map(|(theta, k, prior)| Tilt {
                theta,
                k,
                ln_prior: log(prior),
            })
            .collect();
        Ok(Self {
            tilts,
            evidence: Evidence::default(),
        })
    }

    /// Goes on from where another process of the same law and plan stopped. Adding units after a look is legal.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a state that no process can have had.
    pub fn resume(mut self, state: Evidence) -> Result<Self> {
        let Evidence { units, score, most } = state;
        let possible = score.is_finite()
            && (units > 0 || score.abs() <= 0.0)
            && most.ln.is_finite()
            && most.ln >= 0.0
            && most.units <= units;
        if !possible {
            return Err(parameter(format!(
                "{units} units with score {score} and largest value e^{} at {} units are no state of a process",
                most.ln, most.units
            )));
        }
        self.evidence = state;
        self.look();
        Ok(self)
    }

    /// What [`resume`](Self::resume) goes on from.
    #[must_use]
    pub fn state(&self) -> Evidence {
        self.evidence
    }

    /// Adds `units` independent scores with sum `score`, and looks.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a score that is not finite or belongs to no unit, [`ErrorKind::Limit`] from 2^53 units on;
    /// the process is unchanged.
    pub fn observe(&mut self, units: u64, score: f64) -> Result<()> {
        check_score(score)?;
        if units == 0 {
            return if score.abs() <= 0.0 {
                Ok(())
            } else {
                Err(parameter(format!(
                    "score {score} of no units; it must be 0"
                )))
            };
        }
        let total = self.evidence.units.checked_add(units);
        let Some(total) = total.filter(|&total| total < 1 << 53) else {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "{units} units after {}; at most 2^53 − 1 can be counted",
                    self.evidence.units
                ),
            ));
        };
        self.evidence.units = total;
        self.evidence.score += score;
        self.look();
        Ok(())
    }

    fn look(&mut self) {
        // A mixture is never above its largest term, which costs no exponentials.
        if self.largest() > self.evidence.most.ln {
            self.evidence.most.raise(self.ln(), self.evidence.units);
        }
    }

    /// `θ S − n K(θ)`.
    fn exponent(&self, tilt: &Tilt) -> f64 {
        tilt.theta * self.evidence.score - real(self.evidence.units) * tilt.k
    }

    fn largest(&self) -> f64 {
        self.tilts
            .iter()
            .map(|tilt| self.exponent(tilt))
            .fold(f64::NEG_INFINITY, f64::max)
    }

    /// `ln M` now: an e-value.
    #[must_use]
    pub fn ln(&self) -> f64 {
        if self.evidence.units == 0 {
            return 0.0;
        }
        let shift = self.largest();
        let mass: f64 = self
            .tilts
            .iter()
            .map(|tilt| exp(tilt.ln_prior + self.exponent(tilt) - shift))
            .sum();
        shift + log(mass)
    }

    /// The largest value over all looks so far.
    #[must_use]
    pub fn most(&self) -> Peak {
        self.evidence.most
    }

    /// `1 / sup M` over all looks so far: a p-value whenever one stops. It never rises.
    #[must_use]
    pub fn p_value(&self) -> PValue {
        self.evidence.most.p_value()
    }

    /// Units observed.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.evidence.units
    }

    /// Sum of their scores.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.evidence.score
    }
}

/// A betting martingale over independent scores whose laws may differ: `M_n = Π exp(θ_i x_i − K_i(θ_i))`, with θ_i settled before
/// x_i is seen.
///
/// Any such choice gives a martingale. This one bets on a tilt that all units share: `t = Σ (x − μ) / Σ σ²` over the past, to
/// first order the most likely one, shrunk towards the planned effect as if `1/planned²` units had shown it. θ_i is the tilt
/// whose mean is `μ_i + t σ_i²`, not below 0, not above half of what the law allows, so that no single score can ruin the
/// process, and not above `2t`.
///
/// A score's scale says how much is expected of it: multiplied by a weight, it counts as one whose mark is stronger by that
/// weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Betting {
    planned: f64,
    ln: f64,
    most: Peak,
    units: u64,
    excess: f64,
    variance: f64,
}

impl Betting {
    /// A process that starts from an effect of `planned` null standard deviations of the first unit.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `planned` is finite and above 0.
    pub fn new(planned: f64) -> Result<Self> {
        check_planned(planned)?;
        Ok(Self {
            planned,
            ln: 0.0,
            most: Peak::default(),
            units: 0,
            excess: 0.0,
            variance: 0.0,
        })
    }

    /// Adds one score, whose law given everything before it is `law`, and looks. A constant adds nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a score that is not finite; the process is unchanged.
    pub fn observe(&mut self, law: &Law, score: f64) -> Result<()> {
        check_score(score)?;
        let Cumulants { mean, variance, .. } = law.cumulants(0.0);
        self.units += 1;
        if !(variance > 0.0 && variance.is_finite()) {
            return Ok(());
        }
        if self.variance <= 0.0 {
            self.variance = variance / (self.planned * self.planned);
            self.excess = libm::sqrt(variance) / self.planned;
        }
        let theta = bet(law, self.excess / self.variance, mean, variance);
        if theta > 0.0 {
            self.ln += theta * score - law.cumulants(theta).k;
            self.most.raise(self.ln, self.units);
        }
        self.excess += score - mean;
        self.variance += variance;
        Ok(())
    }

    /// `ln M` now: an e-value.
    #[must_use]
    pub fn ln(&self) -> f64 {
        self.ln
    }

    /// The largest value over all units so far.
    #[must_use]
    pub fn most(&self) -> Peak {
        self.most
    }

    /// `1 / sup M` over all units so far: a p-value whenever one stops. It never rises.
    #[must_use]
    pub fn p_value(&self) -> PValue {
        self.most.p_value()
    }

    /// Units observed.
    #[must_use]
    pub fn units(&self) -> u64 {
        self.units
    }
}

/// The tilt with mean `mean + tilt · variance`, nearly, within the bounds that [`Betting`] names. Every value is legal, so
/// Newton's method need not converge.
fn bet(law: &Law, tilt: f64, mean: f64, variance: f64) -> f64 {
    let cap = (2.0 * tilt).min(0.5 * law.limit());
    if !(cap > 0.0 && cap.is_finite()) {
        return 0.0;
    }
    let mut theta = tilt.min(cap);
    for _ in 0..3 {
        let here = law.cumulants(theta);
        let step = (mean + tilt * variance - here.mean) / here.variance;
        if !step.is_finite() {
            break;
        }
        theta = (theta + step).clamp(0.0, cap);
    }
    theta
}

/// `ln` of the product of e-values given by their logarithms: an e-value if each has mean at most 1 given those before it, as
/// independent ones have. 0 for none.
#[must_use]
pub fn product(ln_e: &[f64]) -> f64 {
    ln_e.iter().sum()
}

/// `ln` of the mean of e-values given by their logarithms: an e-value whatever their dependence. 0 for none.
///
/// Essentially no other symmetric way of merging is valid for every dependence and larger (Vovk and Wang 2021).
#[must_use]
pub fn mean(ln_e: &[f64]) -> f64 {
    let most = ln_e.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if ln_e.is_empty() {
        return 0.0;
    }
    if most.is_infinite() {
        return most;
    }
    let sum: f64 = ln_e.iter().map(|ln| exp(ln - most)).sum();
    most + log(sum) - log(real(ln_e.len() as u64))
}

/// `min(1, 1/e)`: a p-value, by Markov's inequality.
#[must_use]
pub fn e_to_p(ln_e: f64) -> PValue {
    PValue::from_ln(-ln_e)
}

fn check_planned(planned: f64) -> Result<()> {
    if planned > 0.0 && planned.is_finite() {
        return Ok(());
    }
    Err(parameter(format!(
        "planned effect of {planned} standard deviations a unit; it must be above 0"
    )))
}

fn check_score(score: f64) -> Result<()> {
    if score.is_finite() {
        return Ok(());
    }
    Err(parameter(format!("score {score}; it must be finite")))
}

fn parameter(message: String) -> Error {
    Error::new(ErrorKind::Parameter, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Binomial, Random};
    use crate::stats::{binomial_tail, gamma_tail};
    use proptest::prelude::*;

    const COIN: Law = Law::Binomial {
        trials: 1,
        p: 0.25,
        q: 0.75,
    };
    const BITS: Law = Law::Binomial {
        trials: 30,
        p: 0.5,
        q: 0.5,
    };
    const LAWS: [(&str, Law); 3] = [
        ("exponential", Law::Exponential),
        ("binomial(1, 1/4)", COIN),
        ("binomial(30, 1/2)", BITS),
    ];

    /// Sums of `block` scores at a time, whose mean is `effect` null standard deviations a unit above the null's.
    fn blocks(law: &Law, effect: f64, block: u32) -> Box<dyn Fn(&mut Random) -> f64> {
        match *law {
            Law::Binomial { trials, p, q } => {
                let p = p + effect * (f64::from(trials) * p * q).sqrt() / f64::from(trials);
                let binomial = Binomial::new(block * trials, p);
                Box::new(move |random| binomial.draw(random))
            }
            _ => Box::new(move |random| (1.0 + effect) * random.exponentials(block)),
        }
    }

    /// P-values of "the rate of Ville's bound is kept", which must not be small, after printing the rate; and the rate is not
    /// vacuous.
    fn check_rates(name: &str, hits: [u64; 2], paths: u64) {
        for (alpha, hits) in [0.05, 0.01].into_iter().zip(hits) {
            let rate = real(hits) / real(paths);
            let above = binomial_tail(hits, paths, alpha, 1.0 - alpha);
            println!("{name:18} alpha {alpha}: {hits} of {paths} paths, {rate:.4}");
            assert!(above.get() > 1e-6, "{name}: {rate} at {alpha}, p = {above}");
            assert!(rate > alpha / 50.0, "{name}: {rate} at {alpha}");
        }
    }

    /// Null: independent scores of the law. Theory (Ville): P(sup M ≥ 1/α) ≤ α over all looks. n = 20,000 paths of 2,000 units,
    /// looked at after every unit; alpha 0.05 and 0.01, and 1e-6 for each comparison; seed 1.
    #[test]
    fn looking_after_every_unit_keeps_the_level() {
        const PATHS: u64 = 20_000;
        for (name, law) in LAWS {
            let mut random = Random(1);
            let draw = blocks(&law, 0.0, 1);
            let fresh = EProcess::new(&law, 0.2).unwrap();
            let mut hits = [0; 2];
            for _ in 0..PATHS {
                let mut process = fresh.clone();
                for _ in 0..2000 {
                    process.observe(1, draw(&mut random)).unwrap();
                }
                for (hits, alpha) in hits.iter_mut().zip([0.05, 0.01]) {
                    *hits += u64::from(process.p_value().at_most(alpha));
                }
            }
            check_rates(name, hits, PATHS);
        }
    }

    /// Null: independent scores, whose law is exponential, binomial(1, 1/4), binomial(30, 1/2) and twice an exponential less a
    /// coin, in turn. Theory, alpha as above. n = 20,000 paths of 500 units, seed 2.
    #[test]
    fn betting_on_scores_of_different_laws_keeps_the_level() {
        const PATHS: u64 = 20_000;
        let mut mixed = WeightedSum::default();
        mixed.add(&Law::Exponential, 2.0, 1);
        mixed.add(&COIN, -1.0, 1);
        let mixed = Law::Sum(mixed);
        let draws = LAWS.map(|(_, law)| blocks(&law, 0.0, 1));
        let mut random = Random(2);
        let mut hits = [0; 2];
        for _ in 0..PATHS {
            let mut process = Betting::new(0.3).unwrap();
            for _ in 0..125 {
                for ((_, law), draw) in LAWS.iter().zip(&draws) {
                    process.observe(law, draw(&mut random)).unwrap();
                }
                let score = 2.0 * draws[0](&mut random) - draws[1](&mut random);
                process.observe(&mixed, score).unwrap();
            }
            for (hits, alpha) in hits.iter_mut().zip([0.05, 0.01]) {
                *hits += u64::from(process.p_value().at_most(alpha));
            }
        }
        check_rates("betting", hits, PATHS);
    }

    /// `P(sum of n scores ≥ sum)` under the law tilted to `effect` null standard deviations a unit.
    fn tail(law: &Law, effect: f64, sum: f64, n: u64) -> f64 {
        match *law {
            Law::Binomial { trials, p, q } => {
                let p = p + effect * (f64::from(trials) * p * q).sqrt() / f64::from(trials);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a count"
                )]
                let successes = sum.ceil() as u64;
                binomial_tail(successes, n * u64::from(trials), p, 1.0 - p).get()
            }
            _ => gamma_tail(sum / (1.0 + effect), n).get(),
        }
    }

    /// The fewest units at which the fixed test at `alpha` has power 0.9 against `effect`, by exact tails.
    fn fixed(law: &Law, effect: f64, alpha: f64) -> u64 {
        let (mut low, mut high) = (1, 1 << 20);
        while high - low > 1 {
            let n = u64::midpoint(low, high);
            // The critical value, from above: the test keeps its level.
            let (mut misses, mut keeps) = (0.0, 2.0 * real(n) * (law.mean() + law.deviation()));
            for _ in 0..60 {
                let middle = f64::midpoint(misses, keeps);
                if tail(law, 0.0, middle, n) <= alpha {
                    keeps = middle;
                } else {
                    misses = middle;
                }
            }
            if tail(law, effect, keeps, n) >= 0.9 {
                high = n;
            } else {
                low = n;
            }
        }
        high
    }

    /// Marked scores at an effect of 0.02 a unit, which is the plan; alpha = 1e-6. Theory: `2 (ln 1/α + ln 4/3) / d²`, about
    /// 70,500 units on average, against 91,000 for a fixed number with power 0.9. n = 2,000 paths a law, a look at every 100
    /// units, seed 3.
    #[test]
    fn stopping_early_saves_a_fifth_of_the_units() {
        const PATHS: u64 = 2000;
        for (name, law) in LAWS {
            let mut random = Random(3);
            let draw = blocks(&law, 0.02, 100);
            let fresh = EProcess::new(&law, 0.02).unwrap();
            let mut stops: Vec<u64> = (0..PATHS)
                .map(|_| {
                    let mut process = fresh.clone();
                    while !process.p_value().at_most(1e-6) {
                        process.observe(100, draw(&mut random)).unwrap();
                    }
                    process.units()
                })
                .collect();
            let fixed = fixed(&law, 0.02, 1e-6);
            let mean = real(stops.iter().sum()) / real(PATHS);
            let variance = stops
                .iter()
                .map(|&units| (real(units) - mean).powi(2))
                .sum::<f64>()
                / real(PATHS);
            let late = stops.iter().filter(|&&units| units > fixed).count();
            stops.sort_unstable();
            println!(
                "{name:18} mean {mean:.0} ± {:.0} units, median {}, 90 % {}; fixed {fixed}; ratio {:.3}; {late} of {PATHS} later",
                (variance / real(PATHS)).sqrt(),
                stops[stops.len() / 2],
                stops[stops.len() * 9 / 10],
                mean / real(fixed)
            );
            assert!(mean < 0.8 * real(fixed), "{name}: {mean} of {fixed}");
        }
    }

    /// Marked scores of different laws with a common tilt, about 0.1 deviations a unit: betting finds it, whatever was planned.
    /// 200 paths, seed 4.
    #[test]
    fn betting_finds_marks() {
        let laws = [Law::Exponential, COIN];
        for planned in [0.02, 0.1, 0.5] {
            let mut random = Random(4);
            let draws = [blocks(&laws[0], 0.1, 1), blocks(&laws[1], 0.0433, 1)];
            let mut stops: Vec<u64> = (0..200)
                .map(|_| {
                    let mut process = Betting::new(planned).unwrap();
                    while !process.p_value().at_most(1e-6) {
                        for (law, draw) in laws.iter().zip(&draws) {
                            process.observe(law, draw(&mut random)).unwrap();
                        }
                    }
                    process.most().units
                })
                .collect();
            stops.sort_unstable();
            println!(
                "planned {planned}: median {} units, 90 % {}",
                stops[100], stops[180]
            );
            // An oracle needs 2 ln 1e6 / ((0.1² + 0.0433²)/2) = 4,650 on average.
            assert!(stops[100] < 7500, "planned {planned}: {}", stops[100]);
        }
    }

    #[test]
    fn by_hand() {
        // One planned tilt with mean 1 + 1, θ = 1/2, K = ln 2; two units with sum 6: e^3 / 4.
        let mut process = EProcess::new(&Law::Exponential, 1.0).unwrap();
        assert!(process.ln().abs() <= 0.0 && process.p_value() == PValue::ONE);
        process.observe(2, 6.0).unwrap();
        let planned = process.tilts[0];
        assert!((planned.theta - 0.5).abs() < 1e-12 && (planned.k - 2_f64.ln()).abs() < 1e-12);
        assert!((process.exponent(&planned) - (3.0 - 4_f64.ln())).abs() < 1e-12);
        let peak = process.most();
        assert!((peak.ln - process.ln()).abs() < 1e-12 && peak.units == 2);
        process.observe(5, 0.1).unwrap();
        assert_eq!(process.most(), peak);
        assert!(process.ln() < peak.ln);
        assert_eq!((process.units(), process.score()), (7, 6.1));
        assert!((process.p_value().ln() + peak.ln).abs() < 1e-15);

        // The first bet on a coin: t = planned/σ; three Newton steps solve q(θ) = p + planned σ.
        let mut betting = Betting::new(0.2).unwrap();
        betting.observe(&COIN, 1.0).unwrap();
        let q = 0.25 + 0.2 * 0.1875_f64.sqrt();
        assert!(
            (betting.ln() - (q / 0.25).ln()).abs() < 1e-6,
            "{}",
            betting.ln()
        );

        assert!((product(&[1.0, -3.0, 0.5]) + 1.5).abs() < 1e-15 && product(&[]).abs() <= 0.0);
        assert!(
            (mean(&[2_f64.ln(), 6_f64.ln(), f64::NEG_INFINITY, 0.0]) - 2.25_f64.ln()).abs() < 1e-15
        );
        assert!((mean(&[1000.0, 0.0]) - (1000.0 - 2_f64.ln())).abs() < 1e-12);
        assert!(mean(&[]).abs() <= 0.0);
        assert!(mean(&[f64::NEG_INFINITY; 2]) == f64::NEG_INFINITY);
        assert!(mean(&[f64::INFINITY, 0.0]) == f64::INFINITY);
        assert_eq!(e_to_p(-2.0), PValue::ONE);
        assert!((e_to_p(20_f64.ln()).get() - 0.05).abs() < 1e-15);
    }

    #[test]
    fn what_is_no_evidence_is_refused() {
        let kind = |error: Error| error.kind();
        let mut process = EProcess::new(&COIN, 0.1).unwrap();
        process.observe(10, 6.0).unwrap();
        let before = process.clone();
        process.observe(0, 0.0).unwrap();
        for (units, score, expected) in [
            (1, f64::NAN, ErrorKind::Parameter),
            (1, f64::INFINITY, ErrorKind::Parameter),
            (0, 1.0, ErrorKind::Parameter),
            (u64::MAX, 1.0, ErrorKind::Limit),
            (1 << 53, 1.0, ErrorKind::Limit),
        ] {
            assert_eq!(process.observe(units, score).map_err(kind), Err(expected));
        }
        assert_eq!(process, before);
        let mut betting = Betting::new(0.1).unwrap();
        assert_eq!(
            betting.observe(&COIN, f64::NAN).map_err(kind),
            Err(ErrorKind::Parameter)
        );
        betting.observe(&Law::Uniform(vec![3.0]), 3.0).unwrap();
        assert!(betting.units() == 1 && betting.ln().abs() <= 0.0);

        // A coin with p = 1/4 can be at most √3 deviations above its mean; the grid leaves out what is more.
        assert_eq!(process.tilts.len(), 1 + 20);
        assert_eq!(
            EProcess::new(&Law::Exponential, 0.1).unwrap().tilts.len(),
            24
        );
        for planned in [0.0, -1.0, f64::NAN, f64::INFINITY, 1.8] {
            assert_eq!(
                EProcess::new(&COIN, planned).map_err(kind),
                Err(ErrorKind::Parameter)
            );
        }
        assert!(EProcess::new(&Law::Uniform(vec![3.0]), 0.1).is_err());
        assert!(Betting::new(f64::NAN).is_err());

        let state = process.state();
        let fresh = EProcess::new(&COIN, 0.1).unwrap();
        for wrong in [
            Evidence {
                score: f64::NAN,
                ..state
            },
            Evidence { units: 0, ..state },
            Evidence {
                most: Peak { ln: -1.0, units: 1 },
                ..state
            },
            Evidence {
                most: Peak { ln: 1.0, units: 11 },
                ..state
            },
        ] {
            assert!(fresh.clone().resume(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn blocks_and_interruptions_change_nothing(scores in proptest::collection::vec(0.0_f64..8.0, 1..60), cut in 0_usize..60) {
            let fresh = || EProcess::new(&Law::Exponential, 0.3).unwrap();
            let (mut one, mut block) = (fresh(), fresh());
            let mut highest = 0.0_f64;
            for (i, &score) in scores.iter().enumerate() {
                if i == cut {
                    one = fresh().resume(one.state()).unwrap();
                }
                one.observe(1, score).unwrap();
                highest = highest.max(one.ln());
            }
            block.observe(scores.len() as u64, scores.iter().sum()).unwrap();
            prop_assert!((one.ln() - block.ln()).abs() < 1e-9);
            prop_assert!((one.most().ln - highest).abs() < 1e-12);
            prop_assert!(block.most().ln <= one.most().ln + 1e-9);
        }

        /// The losses that the documentation promises.
        #[test]
        fn the_mixture_is_near_every_one_of_its_terms(n in 1_u64..1_000_000, z in -9.0_f64..40.0, law in 0_usize..3) {
            let law = &LAWS[law].1;
            let mut process = EProcess::new(law, 0.05).unwrap();
            process.observe(n, real(n) * law.mean() + z * law.deviation() * real(n).sqrt()).unwrap();
            let others = real(process.tilts.len() as u64 - 1);
            for (i, tilt) in process.tilts.iter().enumerate() {
                let loss = if i == 0 { 4.0_f64 / 3.0 } else { 4.0 * others }.ln();
                prop_assert!(process.ln() >= process.exponent(tilt) - loss - 1e-9);
            }
            prop_assert!(process.ln() <= process.largest() + 1e-9);
        }
    }
}

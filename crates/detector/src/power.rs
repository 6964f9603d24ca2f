//! Planning: how much text shows how much mark, and what a given amount could have shown.
//!
//! ```
//! use taggant_detector::power::{Effect, Goal, detectable_effect, units_needed};
//! use taggant_detector::stats::Law;
//!
//! let goal = Goal::new(1e-6, 0.9)?;
//! let size = units_needed(&Law::Exponential, Effect::new(0.5)?, goal)?;
//! assert_eq!((size.units, size.exact), (206.0, true));
//! let least = detectable_effect(&Law::Exponential, 206, goal);
//! assert!(least.is_some_and(|least| (0.49..=0.5).contains(&least.get())));
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! Everything is measured in **effects**: by how many standard deviations of the null law a mark shifts the score of one unit. Numbers of
//! units are `f64`, since what is infeasible may exceed any integer; they are whole below 2^53.
//!
//! Nothing here is evidence. A plan says what a test would do if the effect were as assumed; the test itself stays valid if it is not.

use libm::{ceil, floor, log, log1p, pow, sqrt};
use taggant_core::{Error, ErrorKind, Result};

use crate::stats::{Law, PValue, binomial_tail, gamma_tail, normal_quantile, normal_tail};

/// A shift of one unit's score, in standard deviations of its null law. Positive.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Effect(f64);

impl Effect {
    /// An effect of `shift` standard deviations.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `shift` is positive and finite.
    pub fn new(shift: f64) -> Result<Self> {
        if shift > 0.0 && shift.is_finite() {
            Ok(Self(shift))
        } else {
            Err(parameter(format!(
                "effect is {shift}; it must be a positive number of standard deviations"
            )))
        }
    }

    /// The shift in standard deviations.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// What a test is planned for: its significance level, and the probability with which it shall succeed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    alpha: f64,
    power: f64,
}

impl Goal {
    /// A test at level `alpha` that succeeds with probability `power` if the effect is as planned.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless both lie between 0 and 1, ends excluded, and `power` above `alpha`.
    pub fn new(alpha: f64, power: f64) -> Result<Self> {
        check_alpha(alpha)?;
        if !(power > alpha && power < 1.0) {
            return Err(parameter(format!(
                "power is {power}; it must lie between alpha ({alpha:e}) and 1"
            )));
        }
        Ok(Self { alpha, power })
    }

    /// The goal of each of `keys` tests, of which any may accuse: alpha is shared out among them (Bonferroni).
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] when there are no keys.
    pub fn shared_by(self, keys: u64) -> Result<Self> {
        if keys == 0 {
            return Err(parameter("keys is 0; there must be at least 1".to_owned()));
        }
        Self::new(self.alpha / real(keys), self.power)
    }

    /// Significance level.
    #[must_use]
    pub fn alpha(self) -> f64 {
        self.alpha
    }

    /// Probability of success.
    #[must_use]
    pub fn power(self) -> f64 {
        self.power
    }

    /// `z_α + z_β`: how many standard deviations the score must be shifted by.
    #[must_use]
    pub fn shift(self) -> f64 {
        upper(self.alpha) - upper(self.power)
    }
}

/// Beyond this many units no plan is called feasible: a thousand times the tokens of the longest published tests.
pub const FEASIBLE: f64 = 1e12;

/// How many units a test needs.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Size {
    /// Scored units, a whole number.
    pub units: f64,
    /// Whether exact tails gave it; otherwise the normal formula did.
    pub exact: bool,
}

/// Exact tails are checked to 10^8 trials (`tests/calibration`); beyond that, where the normal formula errs by less than a thousandth,
/// that formula serves.
const EXACT_TRIALS: u64 = 100_000_000;

/// Units up to which a law's tail is computed exactly; 0 for laws without an exact tail of sums.
fn exact_units(law: &Law) -> u64 {
    match law {
        Law::Binomial { trials, .. } => EXACT_TRIALS / u64::from(*trials).max(1),
        Law::Exponential => EXACT_TRIALS,
        _ => 0,
    }
}

/// The smallest number of units at which a test of the summed score meets `goal`.
///
/// Under the alternative a count has the success probability that shifts its mean by `effect`, and an exponential score the mean
/// 1 + `effect`. Exact tails to 10^8 trials, the normal formula beyond and for laws without exact tails.
///
/// The power of a count falls a little whenever its critical value steps up. To 10^5 units the answer is the very smallest number; above,
/// it is one at which the power crosses the goal, and at most a fraction of a per cent more.
///
/// # Errors
/// [`ErrorKind::Parameter`] when a unit of this law cannot show such an effect.
pub fn units_needed(law: &Law, effect: Effect, goal: Goal) -> Result<Size> {
    check_effect(law, effect)?;
    let normal = Size {
        units: ceil(normal_units(effect, goal)),
        exact: false,
    };
    let limit = exact_units(law);
    if normal.units >= real(limit) {
        return Ok(normal);
    }
    let reaches = |units: u64| {
        exact_power(law, units, effect, goal.alpha).is_some_and(|power| power >= goal.power)
    };
    let mut units = first(whole(normal.units).max(1), limit, reaches);
    if units == limit {
        return Ok(normal);
    }
    // A step of the critical value costs as much power as 2/(dσ) units bring, σ² being the variance of a unit's count.
    if let Law::Binomial { .. } = law
        && units <= 100_000
    {
        let steps = whole(ceil(8.0 / (effect.0 * law.deviation()))) + 16;
        let earliest = if units <= 1_000 {
            1
        } else {
            units.saturating_sub(steps).max(1)
        };
        units = (earliest..units)
            .find(|units| reaches(*units))
            .unwrap_or(units);
    }
    Ok(Size {
        units: real(units),
        exact: true,
    })
}

/// The normal-theory number of units, `((z_α + z_β) / d)²`, not rounded. For comparison with [`units_needed`].
#[must_use]
pub fn normal_units(effect: Effect, goal: Goal) -> f64 {
    pow(goal.shift() / effect.0, 2.0)
}

/// The probability that a test of `units` units at level `alpha` succeeds; with no units, 0.
///
/// # Errors
/// [`ErrorKind::Parameter`] when `alpha` is not between 0 and 1 or a unit of this law cannot show such an effect.
pub fn power_at(law: &Law, units: u64, effect: Effect, alpha: f64) -> Result<f64> {
    check_alpha(alpha)?;
    check_effect(law, effect)?;
    Ok(exact_power(law, units, effect, alpha)
        .unwrap_or_else(|| normal_power(effect.0 * sqrt(real(units)), alpha)))
}

/// The smallest effect that a test of `units` units meets `goal` with: what this much data could have shown. `None` when no effect is
/// large enough, as when every unit green is not yet significant.
#[must_use]
pub fn detectable_effect(law: &Law, units: u64, goal: Goal) -> Option<Effect> {
    let largest = largest_effect(law);
    if units == 0 {
        return None;
    }
    if units > exact_units(law) {
        let effect = goal.shift() / sqrt(real(units));
        return (effect < largest).then_some(Effect(effect));
    }
    let critical = Critical::new(law, units, goal.alpha)?;
    if let (Critical::Successes(successes), Law::Binomial { trials, .. }) = (critical, law)
        && successes > units * u64::from(*trials)
    {
        return None;
    }
    let reaches = |effect: f64| critical.exceeded(law, units, effect) >= goal.power;
    let (mut low, mut high) = (0.0, goal.shift() / sqrt(real(units)));
    while high < largest && !reaches(high) {
        (low, high) = (high, 2.0 * high);
    }
    high = high.min(largest);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if reaches(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(Effect(high))
}

/// Expected units until the sequential test stops, if the effect is as planned: `(ln 1/α + ln 4/3) / KL`.
///
/// The test's e-process puts three quarters of its stake on the planned alternative, the null law tilted to the planned mean; its
/// logarithm grows by KL = `θK'(θ) − K(θ)` a unit. What the last unit overshoots is not counted: add about one unit's largest gain.
///
/// # Errors
/// As [`units_needed`].
pub fn sequential_units(law: &Law, effect: Effect, goal: Goal) -> Result<f64> {
    check_effect(law, effect)?;
    Ok((log(PRIOR_MASS.recip()) - log(goal.alpha)) / divergence(law, effect))
}

/// The share of the e-process's stake that is on the plan.
const PRIOR_MASS: f64 = 0.75;

/// The Kullback–Leibler divergence from the null law to its tilt whose mean is `effect` standard deviations higher, in nats.
fn divergence(law: &Law, effect: Effect) -> f64 {
    // Below this the difference of θx and K(θ) would lose its digits, and the quadratic is right to 10^-6.
    const SMALL: f64 = 1e-6;
    if effect.0 < SMALL {
        return 0.5 * effect.0 * effect.0;
    }
    let null = law.cumulants(0.0);
    let target = null.mean + effect.0 * sqrt(null.variance);
    let limit = law.limit();
    let (mut low, mut high) = (0.0, effect.0 / sqrt(null.variance));
    while high < limit && law.cumulants(high).mean < target {
        (low, high) = (high, 2.0 * high);
    }
    high = high.min(limit);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if law.cumulants(middle).mean < target {
            low = middle;
        } else {
            high = middle;
        }
    }
    low * target - law.cumulants(low).k
}

/// The largest effect that one unit of a law can show; the supremum, not reached.
fn largest_effect(law: &Law) -> f64 {
    match law {
        // All trials succeed.
        Law::Binomial { trials, p, q } => sqrt(f64::from(*trials) * q / p),
        _ => f64::INFINITY,
    }
}

fn check_effect(law: &Law, effect: Effect) -> Result<()> {
    let deviation = law.deviation();
    if !(deviation > 0.0 && deviation.is_finite()) {
        return Err(parameter(format!(
            "a unit's null law has the standard deviation {deviation}; it must be positive"
        )));
    }
    let largest = largest_effect(law);
    if effect.0 >= largest {
        return Err(parameter(format!(
            "effect is {}; with every trial a success a unit of this law shifts by {largest:.4} standard deviations, so it must be less",
            effect.0
        )));
    }
    Ok(())
}

fn check_alpha(alpha: f64) -> Result<()> {
    if alpha > 0.0 && alpha < 1.0 {
        Ok(())
    } else {
        Err(parameter(format!(
            "alpha is {alpha}; it must lie between 0 and 1"
        )))
    }
}

/// The smallest score that is significant.
#[derive(Clone, Copy, Debug)]
enum Critical {
    /// Of all trials; one more than there are if none is.
    Successes(u64),
    Sum(f64),
}

impl Critical {
    fn new(law: &Law, units: u64, alpha: f64) -> Option<Self> {
        match law {
            Law::Binomial { trials, p, q } => {
                let trials = units * u64::from(*trials);
                let n = real(trials);
                let guess = n * p + upper(alpha) * sqrt(n * p * q);
                Some(Self::Successes(first(
                    whole(guess.clamp(0.0, n)),
                    trials + 1,
                    |successes| binomial_tail(successes, trials, *p, *q).at_most(alpha),
                )))
            }
            Law::Exponential => Some(Self::Sum(critical_sum(units, alpha))),
            _ => None,
        }
    }

    /// The probability of a score at least this large when every unit is shifted by `effect`.
    fn exceeded(self, law: &Law, units: u64, effect: f64) -> f64 {
        match (self, law) {
            (Self::Successes(successes), Law::Binomial { trials, p, q }) => {
                let shift = effect * sqrt(p * q / f64::from(*trials));
                let trials = units * u64::from(*trials);
                // Rounding could take q − shift to 0 or below just under the largest effect.
                let q = (q - shift).max(f64::MIN_POSITIVE);
                binomial_tail(successes, trials, p + shift, q).get()
            }
            (Self::Sum(sum), _) => gamma_tail(sum / (1.0 + effect), units).get(),
            (Self::Successes(_), _) => 0.0,
        }
    }
}

/// The power by exact tails; `None` where there are none.
fn exact_power(law: &Law, units: u64, effect: Effect, alpha: f64) -> Option<f64> {
    if units == 0 {
        return Some(0.0);
    }
    if units > exact_units(law) {
        return None;
    }
    Critical::new(law, units, alpha).map(|critical| critical.exceeded(law, units, effect.0))
}

/// The power of a test whose standardised score has mean `shift`.
fn normal_power(shift: f64, alpha: f64) -> f64 {
    normal_tail(upper(alpha) - shift).get()
}

/// The `z` that a standard normal variable exceeds with probability `p`.
fn upper(p: f64) -> f64 {
    normal_quantile(PValue::from_ln(log(p)))
}

/// The sum of `units` exponential scores that is exceeded with probability `alpha`, to 12 digits and never too small.
fn critical_sum(units: u64, alpha: f64) -> f64 {
    let significant = |sum: f64| gamma_tail(sum, units).at_most(alpha);
    let (n, z) = (real(units), upper(alpha));
    // Cornish and Fisher's first two terms, then steps that double until the truth is between.
    let guess = (n + z * sqrt(n) + (z * z - 1.0) / 3.0).max(0.0);
    let (mut low, mut high) = (guess, guess);
    let mut step = 0.01 * sqrt(n);
    if significant(guess) {
        while low > 0.0 && significant(low) {
            (low, high) = ((low - step).max(0.0), low);
            step *= 2.0;
        }
    } else {
        while !significant(high) {
            (low, high) = (high, high + step);
            step *= 2.0;
        }
    }
    while high - low > 1e-12 * high {
        let middle = 0.5 * (low + high);
        if significant(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// The smallest number from 0 to `most` for which `holds`, which must hold from some number on; `most` if for none below. Looks near
/// `guess` first.
fn first(guess: u64, most: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let guess = guess.min(most);
    let mut step = 1;
    let (mut low, mut high) = (guess, guess);
    if guess == most || holds(guess) {
        loop {
            if high == 0 {
                return 0;
            }
            low = high.saturating_sub(step);
            if !holds(low) {
                break;
            }
            high = low;
            step *= 2;
        }
    } else {
        loop {
            high = low.saturating_add(step).min(most);
            if high == most || holds(high) {
                break;
            }
            low = high;
            step *= 2;
        }
    }
    while high - low > 1 {
        let middle = low.midpoint(high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// Effect of a unit at a student trained on nothing but marked text: greenlist with γ = 0.25 and δ = 3, windows of 2 tokens, the text of
/// a 7B student that only answers questions ("closed"), scored on windows of the training text ("supervised").
///
/// From one published point: Sander et al. 2024 (arXiv 2402.14904) report z = 10.1 from 248,200 scored units at a share of 5 %, so
/// d = 0.0203 and κ = 0.0203/0.05 ≈ 0.407. It assumes that the effect is linear in the share: a planning number, not a law.
pub const CLOSED_KAPPA: f64 = 0.407;

/// Effect of a unit at a student trained on nothing but marked text: gumbel, windows of 3 tokens, a 3B student whose weights are open,
/// scored by the tokens it would choose after the marked text ("reading mode").
///
/// Between what one publication says in two places: TextSeal's Figure 8 (p between 1e-25 and 1e-35 from 1.4 to 2.2 million
/// units, share 100 %) means κ ≈ 0.0085, the 3.7e-110 of its Figure 9 κ ≈ 0.015. It assumes that the effect is linear in the share: a
/// planning number, not a law.
pub const OPEN_KAPPA: f64 = 0.0137;

/// Generated tokens for each scored unit: repeated units and windows that training never saw are not scored. Sander et al. report
/// 735,324 tokens for 248,200 units.
pub const TOKENS_PER_UNIT: f64 = 3.0;

/// A student, part of whose training text carries a mark: d = κ · share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distillation {
    kappa: Effect,
    share: f64,
}

impl Distillation {
    /// A student whose training text carries the mark in the share `share`, and which would show the effect `kappa` if all of it did.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `share` is above 0 and at most 1.
    pub fn new(kappa: Effect, share: f64) -> Result<Self> {
        if share > 0.0 && share <= 1.0 {
            Ok(Self { kappa, share })
        } else {
            Err(parameter(format!(
                "share is {share}; it must be above 0 and at most 1"
            )))
        }
    }

    /// The effect of one scored unit.
    #[must_use]
    pub fn effect(&self) -> Effect {
        Effect(self.kappa.0 * self.share)
    }

    /// The smallest share that `units` scored units could have shown. `None` when not even a student trained on nothing else would have
    /// shown it.
    #[must_use]
    pub fn detectable_share(&self, law: &Law, units: u64, goal: Goal) -> Option<f64> {
        detectable_effect(law, units, goal)
            .map(|effect| effect.0 / self.kappa.0)
            .filter(|share| *share <= 1.0)
    }
}

/// What asking a suspect costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    tokens_per_unit: f64,
    tokens_per_answer: f64,
    per_million: f64,
}

/// What a number of scored units costs.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Cost {
    /// Generated tokens.
    pub tokens: f64,
    /// Answers to ask for, a whole number.
    pub queries: f64,
    /// In the currency of the price.
    pub price: f64,
}

impl Prices {
    /// `tokens_per_unit` generated tokens for each scored unit ([`TOKENS_PER_UNIT`] in the one published case), `tokens_per_answer` in an
    /// answer, `per_million` the price of a million generated tokens in any currency.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless tokens are positive and the price is not negative.
    pub fn new(tokens_per_unit: f64, tokens_per_answer: f64, per_million: f64) -> Result<Self> {
        for (name, value, allowed) in [
            ("tokens per unit", tokens_per_unit, tokens_per_unit > 0.0),
            (
                "tokens per answer",
                tokens_per_answer,
                tokens_per_answer > 0.0,
            ),
            ("price per million", per_million, per_million >= 0.0),
        ] {
            if !(allowed && value.is_finite()) {
                return Err(parameter(format!(
                    "{name} is {value}; it must be a positive number"
                )));
            }
        }
        Ok(Self {
            tokens_per_unit,
            tokens_per_answer,
            per_million,
        })
    }

    /// The cost of `units` scored units. Input tokens are not counted.
    #[must_use]
    pub fn cost(&self, units: f64) -> Cost {
        let tokens = units * self.tokens_per_unit;
        Cost {
            tokens,
            queries: ceil(tokens / self.tokens_per_answer),
            price: tokens * self.per_million / 1e6,
        }
    }
}

/// Scored units that each route to a campaign of many accounts needs, by normal theory: the sizes differ by orders of magnitude, so a
/// per cent does not matter, but the routes must be comparable.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Attribution {
    /// One key for all accounts. It shows the campaign and names nobody.
    pub shared: f64,
    /// A key for each account, all tested together by `Σ z²`. It shows that some accounts are in and names none.
    ///
    /// An account's key has `z = d √N` with `d = κ · share / accounts`, so `Σ z²` has the noncentrality `accounts · N d²`. The critical
    /// value of chi-square is exact, and the normal law around the shifted mean has the variance that it has when the accounts are in.
    pub omnibus: f64,
    /// The same by the normal law alone, which asks for the noncentrality `(z_α + z_β) √(2 accounts)`: N grows with accounts^1.5. For
    /// α = 1e-6 and power 0.9 it is a quarter too small at 100 accounts, a tenth at 1,000, a fiftieth at 24,000, and half at ten.
    pub omnibus_formula: f64,
    /// A key for each account, one account accused: alpha is shared out among all.
    pub single: f64,
    goal: Goal,
    one: Goal,
    square: ChiSquare,
    /// `accounts · d²`: the noncentrality that a unit adds.
    gain: f64,
}

impl Attribution {
    /// The routes to `accounts` accounts that carry equal parts of the student's marked share.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] when there are no accounts.
    pub fn new(student: &Distillation, accounts: u64, goal: Goal) -> Result<Self> {
        if accounts == 0 {
            return Err(parameter(
                "accounts is 0; there must be at least 1".to_owned(),
            ));
        }
        let count = real(accounts);
        let effect = student.effect();
        let one = Effect(effect.0 / count);
        let gain = count * one.0 * one.0;
        let square = ChiSquare::new(accounts, goal.alpha);
        Ok(Self {
            shared: normal_units(effect, goal),
            omnibus: square.noncentrality(goal.power) / gain,
            omnibus_formula: goal.shift() * sqrt(2.0 * count) / gain,
            single: normal_units(one, goal.shared_by(accounts)?),
            goal,
            one: goal.shared_by(accounts)?,
            square,
            gain,
        })
    }

    /// The power of the routes at `units` scored units, in the order shared, omnibus, single.
    #[must_use]
    pub fn powers_at(&self, units: f64) -> [f64; 3] {
        let power = |goal: Goal, part: f64| normal_power(goal.shift() * part, goal.alpha);
        [
            power(self.goal, sqrt(units / self.shared)),
            self.square.power(units * self.gain),
            power(self.one, sqrt(units / self.single)),
        ]
    }
}

/// A test by chi-square: exact critical value, normal law around the shifted mean. An odd number of degrees of freedom counts as one
/// more. The noncentrality is within 3 % of what the noncentral law needs at α = 1e-6 and power 0.9, from 2 degrees on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ChiSquare {
    degrees: f64,
    /// Critical value less its mean.
    excess: f64,
}

impl ChiSquare {
    fn new(degrees: u64, alpha: f64) -> Self {
        // Half a chi-square of 2h degrees is a sum of h exponentials.
        let half = degrees.div_ceil(2);
        let degrees = 2.0 * real(half);
        let excess = if half > EXACT_TRIALS {
            upper(alpha) * sqrt(2.0 * degrees)
        } else {
            2.0 * critical_sum(half, alpha) - degrees
        };
        Self { degrees, excess }
    }

    fn power(self, noncentrality: f64) -> f64 {
        let deviation = sqrt(2.0 * self.degrees + 4.0 * noncentrality);
        normal_tail((self.excess - noncentrality) / deviation).get()
    }

    fn noncentrality(self, power: f64) -> f64 {
        // λ − excess = z √(2 degrees + 4λ), solved for λ; z is negative below a power of one half, and takes the other root.
        let z = -upper(power);
        let centre = self.excess + 2.0 * z * z;
        let square = centre * centre - self.excess * self.excess + 2.0 * self.degrees * z * z;
        (centre + sqrt(square.max(0.0)) * z.signum()).max(0.0)
    }
}

/// The sealed-twin test: each exchange's served answer is ranked among `twins` sealed ones by how well the suspect knows it.
///
/// Normal theory: each exchange's score shifts by `d = √2 Φ⁻¹(AUC)` standard deviations, and comparing with the mean of m twins
/// costs the factor m/(m + 1): `z = d √(n m/(m+1))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Twins {
    effect: Effect,
    twins: u32,
}

impl Twins {
    /// Exchanges with `twins` sealed answers each; `auc` is the probability that the suspect scores a served answer above a sealed one.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] when `auc` is 0.5 or less, which no number of exchanges makes up for, or 1 or more, or there are no twins.
    pub fn new(auc: f64, twins: u32) -> Result<Self> {
        if auc <= 0.5 {
            return Err(parameter(format!(
                "auc is {auc}, which is no separation: no number of exchanges suffices; it must be above 0.5"
            )));
        }
        if auc.is_nan() || auc >= 1.0 {
            return Err(parameter(format!(
                "auc is {auc}; it must be above 0.5 and below 1"
            )));
        }
        if twins == 0 {
            return Err(parameter(
                "twins is 0; an exchange needs at least 1 sealed answer to compare with".to_owned(),
            ));
        }
        // Φ⁻¹(AUC): what is exceeded with probability 1 − AUC.
        let effect = Effect(std::f64::consts::SQRT_2 * upper(1.0 - auc));
        Ok(Self { effect, twins })
    }

    /// The shift of one exchange's score, in standard deviations.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Exchanges needed: `((z_α + z_β)/d)² (m+1)/m`, and no fewer than it takes for `(m+1)^n` orders of served and sealed answers to
    /// make a p-value of α possible.
    #[must_use]
    pub fn exchanges_needed(&self, goal: Goal) -> f64 {
        let n = normal_units(self.effect, goal) / self.kept();
        ceil(n.max(self.fewest(goal.alpha)))
    }

    /// The expected z-score of `exchanges` exchanges.
    #[must_use]
    pub fn z_at(&self, exchanges: u64) -> f64 {
        self.effect.0 * sqrt(real(exchanges) * self.kept())
    }

    /// The probability that `exchanges` exchanges succeed at level `alpha`.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `alpha` is between 0 and 1.
    pub fn power_at(&self, exchanges: u64, alpha: f64) -> Result<f64> {
        check_alpha(alpha)?;
        if real(exchanges) < self.fewest(alpha) {
            return Ok(0.0);
        }
        Ok(normal_power(self.z_at(exchanges), alpha))
    }

    /// The smallest AUC that `exchanges` exchanges could have shown. `None` when they are too few for any.
    #[must_use]
    pub fn detectable_auc(&self, exchanges: u64, goal: Goal) -> Option<f64> {
        if exchanges == 0 || real(exchanges) < self.fewest(goal.alpha) {
            return None;
        }
        let effect = goal.shift() / sqrt(real(exchanges) * self.kept());
        Some(normal_tail(-effect / std::f64::consts::SQRT_2).get())
    }

    /// m/(m+1): what is left of the evidence when m twins stand for their mean.
    fn kept(&self) -> f64 {
        let twins = f64::from(self.twins);
        twins / (twins + 1.0)
    }

    /// The fewest exchanges at which `(m+1)^−n`, the smallest possible p-value, is at most `alpha`.
    #[must_use]
    pub fn fewest(&self, alpha: f64) -> f64 {
        ceil(-log(alpha) / log1p(f64::from(self.twins)))
    }
}

fn parameter(message: String) -> Error {
    Error::new(ErrorKind::Parameter, message)
}

/// The whole part of a number that is not negative; the largest integer if it is beyond all.
fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a cast saturates"
    )]
    {
        floor(number) as u64
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "planning needs no more than 53 bits"
)]
fn real(count: u64) -> f64 {
    count as f64
}

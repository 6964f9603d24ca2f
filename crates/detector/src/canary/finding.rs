//! Accounts, or clusters of them, against what a suspect shows: scores, tails, decoys and verdicts.

use libm::sqrt;
use taggant_core::{Canary, Error, ErrorKind, Result};

use super::slots::Slots;
use crate::power::{Effect, Goal, units_needed};
use crate::report::{Reason, Verdict};
use crate::stats::{Law, PValue, WeightedSum, binomial_tail, holm, poisson_binomial_tail};

/// What the slots say of one account, or of a cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// Slots that could tell keys apart by the statistic: those whose value is not the same for every filler.
    pub slots: u64,
    /// Slots of these in which the account's filler is the suspect's first choice.
    pub hits: u64,
    /// Hits on average, if what the suspect shows is independent of the key.
    pub expected_hits: f64,
    /// The statistic.
    pub score: f64,
    /// What it would be on average.
    pub expected: f64,
    /// Probability of a score at least this large if what the suspect shows is independent of the key; or a bound of it.
    pub p_value: PValue,
    /// Whether the p-value is exact, not a bound.
    pub exact: bool,
    /// The p-value by the saddle point, an approximation; the p-value itself where that is exact.
    pub near: PValue,
    /// The logarithm of the product of all slots' e-values.
    pub ln_e: f64,
    /// Mean exposure, in bits; 1.44 at most in the long run if there is nothing. A description, not a test. 0 for no slots.
    pub exposure: f64,
    chance: f64,
}

/// A finding's place among all that were made, and the answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Judgement {
    /// The p-value, adjusted for all findings (Holm).
    pub adjusted: PValue,
    /// The answer.
    pub verdict: Verdict,
}

/// Tests an account by the slots it was served, or a cluster by those of each member: choices of distinct keys are independent, so that
/// their scores add up.
///
/// # Errors
/// [`ErrorKind::Parameter`] when two members have one key, or slots are tabulated for different statistics.
pub fn test(members: &[(&Slots, &Canary)]) -> Result<Finding> {
    for (index, (slots, key)) in members.iter().enumerate() {
        if members[..index].iter().any(|(_, other)| other == key) {
            return Err(parameter(
                "two members of a cluster have one key; each account counts once",
            ));
        }
        if slots.statistic() != members[0].0.statistic() {
            return Err(parameter(
                "slots of a cluster are tabulated for different statistics; one decides",
            ));
        }
    }
    let mut tally = Tally::default();
    for (slots, key) in members {
        tally.add(slots, key)?;
    }
    tally.finding()
}

#[derive(Default)]
struct Tally {
    all: u64,
    slots: u64,
    hits: u64,
    score: f64,
    ln_e: f64,
    exposure: f64,
    expected_hits: f64,
    chance: f64,
    sum: WeightedSum,
    /// Probabilities of 1 and of 0, as long as every slot has no other value.
    trials: Vec<(f64, f64)>,
    successes: u64,
}

impl Tally {
    fn add(&mut self, slots: &Slots, key: &Canary) -> Result<()> {
        for table in slots.tables() {
            let choice = table.choice(key)?;
            let outcome = table.outcome(choice)?;
            self.all += 1;
            self.ln_e += outcome.ln_e;
            self.exposure += outcome.exposure;
            if !table.tells() {
                continue;
            }
            let value = table.value(choice)?;
            self.slots += 1;
            self.hits += u64::from(outcome.rank == 1);
            self.score += value;
            self.expected_hits += table.hit();
            self.chance += table.chance();
            self.sum.add(&table.law, 1.0, 1);
            if let Some(trial) = table.trial() {
                self.trials.push(trial);
                self.successes += u64::from(value > 0.5);
            }
        }
        Ok(())
    }

    fn finding(self) -> Result<Finding> {
        let exact = self.trials.len() as u64 == self.slots;
        let (p_value, near) = if exact {
            let p = tail(self.successes, &self.trials)?;
            (p, p)
        } else {
            let bound = self.sum.chernoff(self.score);
            (bound, self.sum.saddlepoint(self.score))
        };
        let mean = |sum: f64, count: u64| if count == 0 { 0.0 } else { sum / real(count) };
        Ok(Finding {
            slots: self.slots,
            hits: self.hits,
            expected_hits: self.expected_hits,
            score: self.score,
            expected: self.sum.mean(),
            p_value,
            exact,
            near,
            ln_e: self.ln_e,
            exposure: mean(self.exposure, self.all),
            chance: mean(self.chance, self.slots),
        })
    }
}

/// The tail of a count of successes: binomial where all trials are alike, which is a thousand times as fast, Poisson-binomial where not.
fn tail(successes: u64, trials: &[(f64, f64)]) -> Result<PValue> {
    let bits = |trial: &(f64, f64)| (trial.0.to_bits(), trial.1.to_bits());
    match trials.first() {
        Some(first) if trials.iter().all(|trial| bits(trial) == bits(first)) => Ok(binomial_tail(
            successes,
            trials.len() as u64,
            first.0,
            first.1,
        )),
        _ => {
            let probabilities: Vec<f64> = trials.iter().map(|trial| trial.0).collect();
            poisson_binomial_tail(successes, &probabilities)
        }
    }
}

/// Scores of `count` decoys of `seed` by the slots that the members of a cluster were served; one list of slots for a single account. The
/// finding's rank among them ([`Rank::of`](crate::stats::Rank::of)) is a p-value that needs no law.
///
/// Decoys are the same for every account, so that accounts that were served the same slots share one list.
///
/// # Errors
/// None for slots that were added.
pub fn decoys(members: &[&Slots], seed: u64, count: u32) -> Result<Vec<f64>> {
    let each = members.len() as u64;
    (0..u64::from(count))
        .map(|decoy| {
            (0..)
                .zip(members)
                .map(|(member, slots)| slots.score(&Canary::decoy(seed, decoy * each + member)))
                .sum()
        })
        .collect()
}

/// A student of planning strength follows an account's choice in this share of the slots and is as independent of it as any in the
/// others: of eight equally likely fillers, its first choice is the account's in three tenths of the slots.
const PLANNED_SHARE: f64 = 0.2;

/// The probability with which such a student shall be found before its slots count as enough.
const PLANNED_POWER: f64 = 0.9;

/// Adjusts the p-values of all findings for each other (Holm) and answers each at `alpha`: the probability that any innocent account is
/// accused is at most `alpha`.
///
/// A finding that is not significant says no only where there were slots enough to find a student that follows a fifth of the choices, with
/// probability 0.9, by its hits, at `alpha` shared out among all findings; the number is searched for with exact tails. Other statistics
/// than hits may need more.
///
/// # Errors
/// [`ErrorKind::Parameter`] for an alpha outside 0 to 0.9, ends excluded.
pub fn judge(findings: &[Finding], alpha: f64) -> Result<Vec<Judgement>> {
    let family = findings.len() as u64;
    let goal = Goal::new(alpha, PLANNED_POWER)?.shared_by(family.max(1))?;
    let p_values: Vec<PValue> = findings.iter().map(|finding| finding.p_value).collect();
    // Accounts that were served the same slots need the same number.
    let mut known: Option<(u64, u64)> = None;
    let judged = findings.iter().zip(holm(&p_values));
    judged
        .map(|(finding, adjusted)| {
            let verdict = if adjusted.at_most(alpha) {
                Verdict::Detected
            } else {
                let bits = finding.chance.to_bits();
                let needed = match known {
                    Some((chance, needed)) if chance == bits => needed,
                    _ => slots_needed(finding.chance, goal)?,
                };
                known = Some((bits, needed));
                let slots = finding.slots;
                if slots < needed {
                    Verdict::Inconclusive(Reason::TooFewSlots {
                        slots,
                        needed,
                        alpha: goal.alpha(),
                    })
                } else {
                    Verdict::NotDetected
                }
            };
            Ok(Judgement { adjusted, verdict })
        })
        .collect()
}

/// The fewest slots that find a student of planning strength, `chance` being that of a hit at random.
fn slots_needed(chance: f64, goal: Goal) -> Result<u64> {
    // No slots say nothing of their fillers: as if there were two of them, the least that a choice can have. Chances at either end
    // cannot be planned with.
    let p = if chance > 0.0 {
        chance.clamp(1e-6, 1.0 - 1e-6)
    } else {
        0.5
    };
    let q = 1.0 - p;
    let law = Law::Binomial { trials: 1, p, q };
    let size = units_needed(&law, Effect::new(PLANNED_SHARE * sqrt(q / p))?, goal)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and positive; a cast saturates"
    )]
    Ok(size.units as u64)
}

#[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

fn parameter(message: &str) -> Error {
    Error::new(ErrorKind::Parameter, message)
}

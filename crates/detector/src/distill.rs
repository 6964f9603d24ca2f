//! Was this model trained on text that carries a key? The distillation test, for models that show answers only and for models that show
//! probabilities.
//!
//! ```
//! use taggant_core::schemes::Parameters;
//! use taggant_core::{Record, Role, RootKey, TokenizerId};
//! use taggant_detector::distill::{Plan, Test};
//! use taggant_detector::{Response, Verdict};
//!
//! let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse()?);
//! let record = Record::new(Parameters::new("gumbel", &[])?, 2, &[&key], TokenizerId::new([0; 32], 50_000)?)?;
//! let mut test = Test::closed(&record, Role::Campaign, None, Plan::new(1e-6)?)?;
//! let answer: Vec<u32> = (0..500).collect(); // a model that never saw the key
//! test.suspect(&Response::ids(&answer).with_prompt(&[1, 2, 3]))?;
//! let findings = test.findings(&[&key], None, 1, |_| ())?;
//! assert!(matches!(findings.keys[0].verdict, Verdict::Inconclusive(_)));
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! A student shows its teacher's mark much more weakly than the teacher's text does, in the windows it saw often more than elsewhere. So there are
//! three statistics, of which one decides and is settled before anyone looks:
//!
//! - [`Plain`](Statistic::Plain): every distinct unit of the suspect counts once;
//! - [`Supervised`](Statistic::Supervised): units weigh `n_w / (M + n_w)`, by how often the provider served their window;
//! - [`Difference`](Statistic::Difference): what the suspect says more often than a reference that no key has touched.
//!
//! The null hypothesis is that of the whole crate: the suspect is independent of the key. Under it each statistic has the law that its p-value
//! is from, whatever the weights, because they are functions of windows alone.

use taggant_core::{Error, ErrorKind, LeafKey, Record, Result, Role};

use crate::collector::Collector;
use crate::detect::{Detector, Response, short};
use crate::difference::Difference;
use crate::power::{Effect, Goal, units_needed};
use crate::report::{Check, Reason, Status, Verdict, check};
use crate::stats::{EProcess, Fit, PValue, Rank, fit_to_law, holm};
use crate::units::{OwnScore, Units};
use crate::windows::WindowIndex;

/// What is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Every distinct unit with weight 1; with probabilities, every candidate with the suspect's probability.
    Plain,
    /// The same, weighted by how often the window was served.
    Supervised,
    /// What the suspect says more often than the reference, weighted as well where it is known what was served.
    Difference,
}

impl Statistic {
    /// `plain`, `supervised` or `difference`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Supervised => "supervised",
            Self::Difference => "difference",
        }
    }
}

/// What is settled before the test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    alpha: f64,
    statistic: Option<Statistic>,
    soft: f64,
    effect: Effect,
    decoys: u32,
    seed: u64,
}

/// `M` unless said: what a student's own pretraining counts for, in responses.
const SOFT: f64 = 10.0;

/// The planning effect unless said: 0.407, the largest shift of a unit at a share of 1 that was published for closed models, times a
/// share of 1/20, at which it was measured.
const EFFECT: f64 = 0.02;

/// The power with which the planned effect is found by as many units as are called enough.
const POWER: f64 = 0.9;

impl Plan {
    /// A plan at significance level `alpha`.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `alpha` is between 0 and 0.9, ends excluded.
    pub fn new(alpha: f64) -> Result<Self> {
        Goal::new(alpha, POWER)?;
        Ok(Self {
            alpha,
            statistic: None,
            soft: SOFT,
            effect: Effect::new(EFFECT)?,
            decoys: 0,
            seed: 0,
        })
    }

    /// The statistic that decides. Unless said: the difference for probabilities with a reference, else the supervised one where
    /// it is known what was served, else the plain one.
    #[must_use]
    pub fn with_statistic(self, statistic: Statistic) -> Self {
        Self {
            statistic: Some(statistic),
            ..self
        }
    }

    /// `M` of the weights `n_w / (M + n_w)`; 10 unless said.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless it is above 0 and finite.
    pub fn with_soft(self, soft: f64) -> Result<Self> {
        if soft > 0.0 && soft.is_finite() {
            return Ok(Self { soft, ..self });
        }
        Err(parameter(format!(
            "soft is {soft}; what pretraining counts for is a number of responses above 0"
        )))
    }

    /// The effect that is looked for, in standard deviations of a unit: it says how much is enough to say no. 0.02 unless said.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless it is above 0 and finite.
    pub fn with_effect(self, effect: f64) -> Result<Self> {
        Ok(Self {
            effect: Effect::new(effect)?,
            ..self
        })
    }

    /// Also rank every key among this many decoys of `seed`.
    #[must_use]
    pub fn with_decoys(self, decoys: u32, seed: u64) -> Self {
        Self {
            decoys,
            seed,
            ..self
        }
    }
}

/// What one statistic shows of one key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// Which statistic.
    pub statistic: Statistic,
    /// Whether it decides; the others are only reported.
    pub primary: bool,
    /// Distinct units with a weight other than 0.
    pub units: u64,
    /// Units of weight 1 that would show as much ([`Units::effective`]).
    pub effective: f64,
    /// Weighted sum of the units' scores.
    pub score: f64,
    /// Its mean if the suspect is independent of the key.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
    /// `P(sum ≥ score)` if the suspect is independent of the key; a bound where not [`exact`](Self::exact).
    pub p_value: PValue,
    /// Whether the p-value is the tail itself.
    pub exact: bool,
    /// The tail as near as it can be computed; no headline.
    pub near: PValue,
    /// The key's place among decoys, and whether they follow the law.
    pub decoys: Option<(Rank, Fit)>,
}

impl Outcome {
    /// By how many standard deviations the score exceeds its mean. A description; p-values come from the law.
    #[must_use]
    pub fn z(&self) -> f64 {
        z(self.score, self.mean, self.deviation)
    }

    /// The shift of a unit's score that the suspect shows, in standard deviations: `z / √effective`.
    #[must_use]
    pub fn effect(&self) -> f64 {
        effect(self.z(), self.effective)
    }
}

/// What is found about one key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The statistic that decides, then the others.
    pub outcomes: Vec<Outcome>,
    /// The deciding p-value, adjusted for all keys that are tested (Holm).
    pub adjusted: PValue,
    /// The answer.
    pub verdict: Verdict,
}

/// What is found about one account's key on the windows that the account was served.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AccountFinding {
    /// The numbers.
    pub own: OwnScore,
    /// The p-value, adjusted for all accounts that are tested (Holm).
    pub adjusted: PValue,
    /// The answer.
    pub verdict: Verdict,
}

impl AccountFinding {
    /// As [`Outcome::z`].
    #[must_use]
    pub fn z(&self) -> f64 {
        z(self.own.score, self.own.mean, self.own.deviation)
    }

    /// As [`Outcome::effect`].
    #[must_use]
    pub fn effect(&self) -> f64 {
        effect(self.z(), self.own.effective)
    }
}

/// What may be looked at after every row.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sequential {
    /// `ln` of the e-value after the last row.
    pub ln_e: f64,
    /// A p-value whenever one stops.
    pub p_value: PValue,
    /// The row after which `1/alpha` was first passed: where one could have stopped.
    pub stopped: Option<u64>,
}

/// What is found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Findings {
    /// For each key, in the order given.
    pub keys: Vec<Finding>,
    /// The sequential test, where one was asked for.
    pub sequential: Option<Sequential>,
    /// Rows of the suspect.
    pub rows: u64,
    /// Units of weight 1 that are enough to say no.
    pub needed: f64,
    /// Every check that the verdicts rest on.
    pub checks: Vec<Check>,
}

/// A distillation test that takes rows as they come.
#[derive(Debug)]
pub struct Test {
    plan: Plan,
    record: Record,
    seen: Seen,
    mismatch: Option<Reason>,
    sequential: Option<Watch>,
    rows: Rows,
}

/// What is kept of the rows.
#[derive(Debug)]
enum Seen {
    /// Answers, and counts against a reference where there is one.
    Closed {
        units: Box<Collector>,
        difference: Option<Box<Difference>>,
        role: Role,
        campaign: Option<LeafKey>,
    },
    /// Probabilities.
    Open {
        difference: Box<Difference>,
        reference: bool,
    },
}

#[derive(Debug)]
struct Watch {
    detector: Detector,
    process: EProcess,
    stopped: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rows {
    suspect: u64,
    reference: u64,
    with_prompt: u64,
    with_tokenizer: u64,
}

/// Next-token probabilities at one position: the suspect's and the reference's lists of (token, probability).
pub type Lists<'a> = [&'a [(u32, f64)]; 2];

impl Test {
    /// A test of a model that shows answers only, on the layer `role` of `record`. A record of two layers needs the campaign key to tell whose a
    /// window is.
    ///
    /// # Errors
    /// As [`Collector::new`].
    pub fn closed(
        record: &Record,
        role: Role,
        campaign: Option<&LeafKey>,
        plan: Plan,
    ) -> Result<Self> {
        let seen = Seen::Closed {
            units: Box::new(Collector::new(record, role, campaign)?),
            difference: None,
            role,
            campaign: campaign.cloned(),
        };
        Ok(Self::of(record, seen, plan))
    }

    /// A test of a model that shows next-token probabilities, with those of a reference model beside them or without.
    ///
    /// # Errors
    /// As [`closed`](Self::closed).
    pub fn open(
        record: &Record,
        role: Role,
        campaign: Option<&LeafKey>,
        plan: Plan,
        reference: bool,
    ) -> Result<Self> {
        let seen = Seen::Open {
            difference: Box::new(Difference::new(record, role, campaign)?),
            reference,
        };
        Ok(Self::of(record, seen, plan))
    }

    fn of(record: &Record, seen: Seen, plan: Plan) -> Self {
        Self {
            plan,
            record: record.clone(),
            seen,
            mismatch: None,
            sequential: None,
            rows: Rows::default(),
        }
    }

    /// Also keeps an e-value of `key` that may be looked at after every answer: a bet on an effect of `planned` standard deviations a unit. It
    /// counts every distinct unit with weight 1.
    ///
    /// # Errors
    /// As [`EProcess::new`]; [`ErrorKind::Parameter`] for probabilities.
    pub fn with_sequential(mut self, key: &LeafKey, planned: f64) -> Result<Self> {
        if let Seen::Open { .. } = self.seen {
            return Err(parameter(
                "probabilities come all at once; only answers are watched one by one".to_owned(),
            ));
        }
        let detector = Detector::control(&self.record, &[key])?;
        self.sequential = Some(Watch {
            process: EProcess::new(detector.law(), planned)?,
            detector,
            stopped: None,
        });
        Ok(self)
    }

    /// Adds an answer of the suspect. Windows of its prompt, and those met before in the answer, are not scored.
    ///
    /// # Errors
    /// As [`Collector::add`], except that another tokenizer than the record's makes the test inconclusive.
    pub fn suspect(&mut self, answer: &Response<'_>) -> Result<()> {
        let Seen::Closed {
            units, difference, ..
        } = &mut self.seen
        else {
            return Err(parameter("an answer in a test of probabilities".to_owned()));
        };
        if differs(&self.record, answer, &mut self.mismatch) {
            return Ok(());
        }
        units.add(answer)?;
        if let Some(difference) = difference {
            difference.suspect(answer)?;
        }
        self.rows.suspect(answer);
        if let Some(watch) = &mut self.sequential {
            let (units, score) = watch.detector.evidence();
            let _ = watch.detector.row(answer)?;
            let (after, total) = watch.detector.evidence();
            watch.process.observe(after - units, total - score)?;
            if watch.stopped.is_none() && watch.process.p_value().at_most(self.plan.alpha) {
                watch.stopped = Some(self.rows.suspect);
            }
        }
        Ok(())
    }

    /// Says that answers of a reference will come: the suspect's are counted for the difference, too.
    ///
    /// # Errors
    /// As [`Difference::new`]; [`ErrorKind::Parameter`] once answers were added.
    pub fn with_reference(mut self) -> Result<Self> {
        let Seen::Closed {
            difference,
            role,
            campaign,
            ..
        } = &mut self.seen
        else {
            return Ok(self);
        };
        if self.rows.suspect > 0 {
            return Err(parameter(
                "the reference is announced after answers of the suspect".to_owned(),
            ));
        }
        let own = Difference::new(&self.record, *role, campaign.as_ref())?;
        *difference = Some(Box::new(own));
        Ok(self)
    }

    /// Adds an answer of the reference, best to a prompt that the suspect was asked, too.
    ///
    /// # Errors
    /// As [`suspect`](Self::suspect), and [`ErrorKind::Parameter`] if no reference was [announced](Self::with_reference).
    pub fn reference(&mut self, answer: &Response<'_>) -> Result<()> {
        let Seen::Closed {
            difference: Some(difference),
            ..
        } = &mut self.seen
        else {
            return Err(parameter(
                "no answers of a reference are expected".to_owned(),
            ));
        };
        if differs(&self.record, answer, &mut self.mismatch) {
            return Ok(());
        }
        difference.reference(answer)?;
        self.rows.reference += 1;
        Ok(())
    }

    /// Adds next-token probabilities, teacher-forced over a text; `at(position)` gives the lists. They must have been cut by a rule that is the same for
    /// both models and does not look at the text's own next token, which a key may have chosen.
    ///
    /// # Errors
    /// As [`Difference::probabilities`], except that another tokenizer than the record's makes the test inconclusive.
    pub fn probabilities<'a>(
        &mut self,
        text: &Response<'_>,
        at: impl FnMut(usize) -> Lists<'a>,
    ) -> Result<()> {
        let Seen::Open {
            difference,
            reference,
        } = &mut self.seen
        else {
            return Err(parameter("probabilities in a test of answers".to_owned()));
        };
        if differs(&self.record, text, &mut self.mismatch) {
            return Ok(());
        }
        difference.probabilities(text, at)?;
        self.rows.suspect(text);
        self.rows.reference += u64::from(*reference);
        Ok(())
    }

    /// The statistic that decides.
    fn primary(&self, served: bool) -> Result<Statistic> {
        let reference = match &self.seen {
            Seen::Closed { difference, .. } => difference.is_some(),
            Seen::Open { reference, .. } => *reference,
        };
        let open = matches!(self.seen, Seen::Open { .. });
        let primary = self
            .plan
            .statistic
            .unwrap_or(match (open && reference, served) {
                (true, _) => Statistic::Difference,
                (false, true) => Statistic::Supervised,
                (false, false) => Statistic::Plain,
            });
        match primary {
            Statistic::Supervised if !served => Err(parameter(
                "the supervised statistic needs to know what was served".to_owned(),
            )),
            Statistic::Difference if !reference => Err(parameter(
                "the difference needs a reference: a model that no key has touched".to_owned(),
            )),
            _ => Ok(primary),
        }
    }

    /// The units of a statistic before they are weighed by what was served.
    fn units(self, statistic: Statistic) -> Result<Units> {
        match (self.seen, statistic) {
            (
                Seen::Closed {
                    difference: Some(difference),
                    ..
                },
                Statistic::Difference,
            ) => difference.units(|_| 1.0),
            (Seen::Closed { units, .. }, _) => Ok(units.finish()),
            (Seen::Open { difference, .. }, Statistic::Difference) => difference.units(|_| 1.0),
            (Seen::Open { difference, .. }, _) => difference.suspect_units(|_| 1.0),
        }
    }

    /// Every set of units that can be made, the deciding one first.
    fn all(
        self,
        primary: Statistic,
        served: Option<&WindowIndex>,
    ) -> Result<Vec<(Statistic, Units)>> {
        let soft = self.plan.soft;
        let (alone, difference) = match self.seen {
            Seen::Closed {
                units, difference, ..
            } => {
                let difference = difference.map(|difference| difference.units(|_| 1.0));
                (units.finish(), difference.transpose()?)
            }
            Seen::Open {
                difference,
                reference,
            } => {
                let subtracted = reference.then(|| difference.units(|_| 1.0));
                (difference.suspect_units(|_| 1.0)?, subtracted.transpose()?)
            }
        };
        let mut all = Vec::new();
        if let Some(difference) = difference {
            all.push((
                Statistic::Difference,
                match served {
                    Some(served) => difference.by_window().weighed(served, soft),
                    None => difference,
                },
            ));
        }
        if let Some(served) = served {
            all.push((
                Statistic::Supervised,
                alone.by_window().weighed(served, soft),
            ));
        }
        all.push((Statistic::Plain, alone));
        all.sort_by_key(|&(statistic, _)| statistic != primary);
        Ok(all)
    }

    /// What is found about `keys`, whose p-values are held together by Holm's method: all of one layer of one layout, named by the record or not.
    /// `served` is what was served under them. `done` hears how many more decoys are scored.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a statistic that needs a reference or what was served, where that is not there.
    pub fn findings(
        self,
        keys: &[&LeafKey],
        served: Option<&WindowIndex>,
        threads: usize,
        mut done: impl FnMut(u64),
    ) -> Result<Findings> {
        let primary = self.primary(served.is_some())?;
        let (plan, rows, mismatch) = (self.plan, self.rows, self.mismatch.clone());
        let mut checks = self.checks(served);
        let sequential = self.sequential.as_ref().map(|watch| Sequential {
            ln_e: watch.process.ln(),
            p_value: watch.process.p_value(),
            stopped: watch.stopped,
        });
        let agrees = match &self.seen {
            Seen::Closed {
                difference: Some(difference),
                ..
            }
            | Seen::Open { difference, .. } => {
                difference.positions() > 0 && difference.units(|_| 1.0)?.is_empty()
            }
            Seen::Closed { .. } => false,
        };
        let all = self.all(primary, served)?;
        let goal = Goal::new(plan.alpha, POWER)?.shared_by(keys.len() as u64)?;
        let law = all.first().map(|(_, units)| units.unit_law());
        let needed = match law {
            Some(law) => units_needed(&law, plan.effect, goal)?.units,
            None => 0.0,
        };

        let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); keys.len()];
        for (statistic, units) in &all {
            let tails = units.tails();
            // A suspect that says exactly what the reference says: the least effect would show.
            let agree = *statistic == Statistic::Difference && agrees;
            let effective = if agree {
                f64::INFINITY
            } else {
                units.effective()
            };
            let (mean, deviation) = (tails.law().mean(), tails.law().deviation());
            let scored = units.score(keys, threads);
            let mut decoys = units.decoys(plan.seed, plan.decoys, threads, &mut done);
            let ranks: Vec<Rank> = scored
                .iter()
                .map(|scored| Rank::of(scored.score, &decoys))
                .collect();
            let fit =
                (plan.decoys > 0).then(|| fit_to_law(&mut decoys, |score| tails.near(score).get()));
            for ((scored, rank), outcomes) in scored.iter().zip(ranks).zip(&mut outcomes) {
                outcomes.push(Outcome {
                    statistic: *statistic,
                    primary: *statistic == primary,
                    units: units.len() as u64,
                    effective,
                    score: scored.score,
                    mean,
                    deviation,
                    p_value: scored.p_value,
                    exact: tails.is_exact(),
                    near: tails.near(scored.score),
                    decoys: fit.map(|fit| (rank, fit)),
                });
            }
        }
        let p_values: Vec<PValue> = outcomes
            .iter()
            .map(|outcomes| outcomes.first().map_or(PValue::ONE, |first| first.p_value))
            .collect();
        let judge = Judge {
            plan,
            rows: rows.suspect,
            needed,
            alpha: goal.alpha(),
            mismatch,
        };
        let keys = outcomes
            .into_iter()
            .zip(holm(&p_values))
            .map(|(outcomes, adjusted)| {
                let effective = outcomes.first().map_or(0.0, |first| first.effective);
                Finding {
                    verdict: judge.verdict(adjusted, effective),
                    adjusted,
                    outcomes,
                }
            })
            .collect();
        checks.push(check(
            "size",
            Status::Run(format!(
                "{needed} units of weight 1 find an effect of {} with power {POWER}",
                plan.effect.get()
            )),
        ));
        Ok(Findings {
            keys,
            sequential,
            rows: rows.suspect,
            needed,
            checks,
        })
    }

    /// What is found about accounts, each by its own key on the windows that it was served; p-values are held together by Holm's method. The statistic is the
    /// supervised one, or the difference where the plan says so. `done` hears how many more accounts are through.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for the plain statistic, and for a difference without a reference.
    pub fn accounts(
        self,
        accounts: &[(&LeafKey, &WindowIndex)],
        threads: usize,
        done: impl Fn(u64) + Sync,
    ) -> Result<(Statistic, Vec<AccountFinding>)> {
        let statistic = match self.primary(true)? {
            Statistic::Plain => Statistic::Supervised,
            other => other,
        };
        let (plan, rows, mismatch) = (self.plan, self.rows, self.mismatch.clone());
        let units = self.units(statistic)?;
        let goal = Goal::new(plan.alpha, POWER)?.shared_by(accounts.len() as u64)?;
        let judge = Judge {
            plan,
            rows: rows.suspect,
            needed: units_needed(&units.unit_law(), plan.effect, goal)?.units,
            alpha: goal.alpha(),
            mismatch,
        };
        let found = units
            .by_window()
            .accounts(accounts, plan.soft, threads, done);
        let p_values: Vec<PValue> = found.iter().map(|own| own.p_value).collect();
        let findings = found
            .into_iter()
            .zip(holm(&p_values))
            .map(|(own, adjusted)| AccountFinding {
                verdict: judge.verdict(adjusted, own.effective),
                adjusted,
                own,
            });
        Ok((statistic, findings.collect()))
    }

    fn checks(&self, served: Option<&WindowIndex>) -> Vec<Check> {
        let rows = self.rows;
        let of_all = |count: u64, done: &str, otherwise: &str| match count == rows.suspect {
            true => Status::Run(format!("{done} in all {count} rows")),
            false => Status::Skipped(format!(
                "{done} in {count} of {} rows{otherwise}",
                rows.suspect
            )),
        };
        let tokenizer = match &self.mismatch {
            Some(reason) => Status::Run(reason.to_string()),
            None => of_all(
                rows.with_tokenizer,
                "checked against the record",
                "; the others' ids came without a tokenizer",
            ),
        };
        let reference = match (&self.seen, rows.reference) {
            (_, 0) => Status::Skipped(
                "no reference; what every model says is noise that stays in".to_owned(),
            ),
            (_, count) => Status::Run(format!(
                "{count} rows of a reference, taken to be independent of the key"
            )),
        };
        let served = match served {
            Some(index) => Status::Run(format!(
                "weights by {} windows that were served",
                index.len()
            )),
            None => Status::Skipped("it is not known what was served".to_owned()),
        };
        let decoys = match self.plan.decoys {
            0 => Status::Skipped("no decoy keys were asked for".to_owned()),
            count => Status::Run(format!("{count} decoy keys, seed {}", self.plan.seed)),
        };
        vec![
            check("tokenizer", tokenizer),
            check(
                "prompt",
                of_all(
                    rows.with_prompt,
                    "windows of the prompt left out",
                    "; text copied from the other prompts would count",
                ),
            ),
            check("reference", reference),
            check("served", served),
            check("decoys", decoys),
        ]
    }
}

impl Rows {
    fn suspect(&mut self, response: &Response<'_>) {
        self.suspect += 1;
        self.with_prompt += u64::from(response.prompt.is_some());
        self.with_tokenizer += u64::from(response.tokenizer().is_some());
    }
}

struct Judge {
    plan: Plan,
    rows: u64,
    needed: f64,
    /// Each key's share of alpha.
    alpha: f64,
    mismatch: Option<Reason>,
}

impl Judge {
    fn verdict(&self, adjusted: PValue, effective: f64) -> Verdict {
        if let Some(reason) = &self.mismatch {
            return Verdict::Inconclusive(reason.clone());
        }
        if adjusted.at_most(self.plan.alpha) {
            return Verdict::Detected;
        }
        if effective >= self.needed {
            return Verdict::NotDetected;
        }
        Verdict::Inconclusive(Reason::TooFewRows {
            rows: self.rows,
            effective,
            needed: self.needed,
            effect: self.plan.effect.get(),
            alpha: self.alpha,
        })
    }
}

/// Whether a row is of another tokenizer than the record's, which is then noted.
fn differs(record: &Record, response: &Response<'_>, mismatch: &mut Option<Reason>) -> bool {
    let expected = record.tokenizer().digest;
    let Some(found) = response.tokenizer().filter(|&found| found != expected) else {
        return false;
    };
    *mismatch = Some(Reason::TokenizerMismatch {
        record: short(&expected),
        text: short(&found),
    });
    true
}

fn z(score: f64, mean: f64, deviation: f64) -> f64 {
    if deviation > 0.0 {
        (score - mean) / deviation
    } else {
        0.0
    }
}

fn effect(z: f64, effective: f64) -> f64 {
    if effective > 0.0 {
        z / effective.sqrt()
    } else {
        0.0
    }
}

fn parameter(message: String) -> Error {
    Error::new(ErrorKind::Parameter, message)
}

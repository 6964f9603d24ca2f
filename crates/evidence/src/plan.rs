//! What a test will be, settled before it is run (requirement P-1): every choice that could later be made to fit is in the plan.
//!
//! All fields are required and unknown ones are refused, so that silence is never a choice. Numbers that are no counts are decimal strings, because what is
//! signed and compared must not depend on how somebody prints a float.

mod check;
mod sealed;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use taggant_core::{Error, ErrorKind, Result};

use crate::decimal::Decimal;
use crate::digest::Digest;
use crate::statement::Predicate;

pub use check::{MAX_LIST, MAX_REQUESTS, MAX_TEXT};
pub use sealed::{MAX_PLAN, SealedPlan};

/// A plan (SPEC.md §7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The case's label.
    pub case: String,
    /// What is weighed against what.
    pub propositions: Propositions,
    /// The models that are asked, each by a label and its version.
    pub suspects: Vec<Suspect>,
    /// The keys that are tested, by commitment.
    pub keys: Vec<CommittedKey>,
    /// SHA-256 of the mark record's file: scheme and parameters.
    pub mark: Digest,
    /// What will compute the scores.
    pub scorer: Scorer,
    /// The tokenizer's digest, as the mark record has it.
    pub tokenizer: Digest,
    /// The prompts that are drawn from.
    pub pool: Pool,
    /// The public value that settles the draw after the plan is sealed.
    pub beacon: Round,
    /// How suspects are asked.
    pub sampling: Sampling,
    /// When asking stops.
    pub stopping: Stopping,
    /// What counts as a unit.
    pub units: Units,
    /// What is left out, and why; may be empty.
    pub exclusions: Vec<String>,
    /// The one test whose result is the finding.
    pub primary: Test,
    /// How error is held over everything that is tested.
    pub error: ErrorRate,
    /// What the pipeline is run on besides.
    pub controls: Controls,
    /// What the plan can find.
    pub power: Power,
    /// Further assumption sets under which the result is told beside the primary one; may be empty.
    pub sensitivity: Vec<Test>,
    /// How the result is put into words.
    pub reporting: Reporting,
    /// What happens when the plan cannot be kept to.
    pub deviations: String,
    /// What may be spent.
    pub budget: Budget,
}

/// Two propositions, and what else could explain a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Propositions {
    /// What the finding would support.
    pub main: String,
    /// What it is weighed against.
    pub opposing: String,
    /// Other explanations, each to be answered in the report.
    pub alternatives: Vec<String>,
}

/// A model that is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspect {
    /// Its label in every file until scores are frozen: it must not say which model it is.
    pub id: String,
    /// Digest of name and version under a salt, opened when scores are frozen.
    pub identity: Digest,
    /// How it is reached.
    pub access: Access,
}

/// How a model is reached, which decides what a transcript of it can prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Its weights are at hand: anyone can run it again.
    Weights,
    /// Over an interface, by two collectors that do not depend on each other.
    TwoCollectors,
    /// Over an interface, by one.
    OneCollector,
}

/// A key that is tested, by its commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommittedKey {
    /// The leaf's commitment.
    pub commitment: Digest,
    /// The root of the epoch that it stands in.
    pub epoch: Digest,
}

/// The program that scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scorer {
    /// Its version.
    pub version: String,
    /// Digest of its source.
    pub source: Digest,
    /// Digest of the program itself.
    pub binary: Digest,
}

/// A file of prompts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its rows.
    pub prompts: u32,
    /// How many of them are drawn.
    pub drawn: u32,
}

/// A round of a public randomness beacon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// Which beacon, as the trust file calls it.
    pub chain: String,
    /// Which round, from 1.
    pub round: u64,
}

/// How answers are drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Temperature.
    pub temperature: Decimal,
    /// Nucleus; 1 for all.
    pub top_p: Decimal,
    /// Most tokens of an answer.
    pub max_tokens: u32,
}

/// When asking stops. The rule is executed by the collector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Stopping {
    /// After so many answers to every prompt that was drawn.
    Fixed {
        /// Answers to a prompt.
        answers: u32,
    },
    /// As soon as an e-process has reached 1/alpha, at the latest after so many answers to every prompt.
    Sequential {
        /// Answers to a prompt, at most.
        answers: u32,
    },
}

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// When two units are one.
    pub deduplication: Deduplication,
    /// What is not scored.
    pub masking: Masking,
}

/// When two units are one. There is one rule, and it is named so that nobody need guess it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deduplication {
    /// Each pair of window and token counts once over everything pooled.
    WindowToken,
}

/// What is not scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Masking {
    /// Windows that occur in the prompt, or earlier in the suspect's own context.
    PromptWindows,
}

/// A test: its mode and statistic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// Closed (answers) or open (probabilities), or sealed twins.
    pub mode: Mode,
    /// The statistic's name, as `taggant test` prints it.
    pub statistic: String,
}

/// What is asked of a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Its answers.
    Closed,
    /// Its next-token probabilities.
    Open,
    /// Which of several drafts it knows.
    Twins,
}

/// How error is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRate {
    /// The family-wise rate, above 0 and below 1.
    pub alpha: Decimal,
    /// How it is shared.
    pub correction: Correction,
    /// What is in the family, in words.
    pub family: String,
}

/// How a rate is shared by a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Correction {
    /// Holm, over suspects × keys × schemes × plans of the case, abandoned ones included.
    Holm,
}

/// What the pipeline is run on besides the suspects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controls {
    /// Committed control keys that every text is scored under, at least 999.
    pub keys: u32,
    /// Models that cannot have learned from the mark, each with the digest of its weights or the date of its release, and why it cannot have.
    pub negative: Vec<String>,
    /// Models that learned from a known dose.
    pub positive: Vec<String>,
}

/// What the plan can find.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// The smallest effect that is looked for, in standard deviations a unit.
    pub effect: Decimal,
    /// Units that are expected.
    pub units: u64,
    /// The probability of finding it, above 0 and below 1.
    pub power: Decimal,
}

/// How the result is put into words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reporting {
    /// The verbal scale, by name and version.
    pub scale: String,
    /// The smallest probability that is printed, above 0 and below 1.
    pub floor: Decimal,
}

/// What may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Requests, retries included.
    pub requests: u64,
    /// Tokens of answers.
    pub tokens: u64,
}

impl Predicate for Plan {
    const TYPE: &'static str = "urn:taggant:plan:v1";
}

impl Plan {
    /// Reads a plan that is not sealed yet, as its author writes it.
    ///
    /// # Errors
    /// [`ErrorKind::Format`], naming the field that is missing, unknown or wrong.
    pub fn from_json(text: &str) -> Result<Self> {
        let wrong = |error| Error::new(ErrorKind::Format, format!("not a plan: {error}"));
        let plan: Self = serde_json::from_str(text).map_err(wrong)?;
        plan.is_spelled(&serde_json::from_str(text).map_err(wrong)?)?;
        plan.check()?;
        Ok(plan)
    }

    /// Refuses JSON that says the same in another shape, such as a list in place of an object: a plan's fields have names.
    fn is_spelled(&self, found: &Value) -> Result<()> {
        if serde_json::to_value(self).is_ok_and(|own| own == *found) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Format,
            "not a plan: a list stands where an object should be",
        ))
    }
}

//! What a test will be, settled before it is run (requirement P-1): every choice that could later be made to fit is in the plan.
//!
//! All fields are required and unknown ones are refused, so that silence is never a choice. Numbers that are no counts are decimal strings, because what is
//! signed and compared must not depend on how somebody prints a float.

use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use taggant_core::{CONTROLS, Error, ErrorKind, Result, check_label};

use crate::digest::{Digest, Parsed};
use crate::dsse::{Envelope, Predicate, Subject, state, stated};
use crate::signing::{PublicKey, SigningKey};

/// Most requests of a plan.
pub const MAX_REQUESTS: u32 = 1 << 30;

/// Most suspects, or keys.
pub const MAX_LIST: usize = 1024;

/// Longest text of a plan's field, in bytes.
pub const MAX_TEXT: usize = 16_384;

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

/// A decimal number in the spelling it was written in: digits with at most one point, or one digit with a power of ten.
#[derive(Clone, PartialEq, Eq)]
pub struct Decimal {
    text: String,
}

impl Decimal {
    /// Its value, for computing. Never printed.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.text.parse().unwrap_or(f64::NAN)
    }
}

impl FromStr for Decimal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (digits, power) = text.split_once("e-").unwrap_or((text, "0"));
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let known =
            text.len() <= 24 && plain(whole) && plain(part) && plain(power) && power.len() <= 3;
        if known && text.parse::<f64>().is_ok_and(f64::is_finite) {
            return Ok(Self {
                text: text.to_owned(),
            });
        }
        let shown: String = text.escape_debug().take(40).collect();
        Err(Error::new(
            ErrorKind::Format,
            format!("`{shown}` is no decimal number like 0.7 or 1e-6"),
        ))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed(
            "a decimal number in quotes, like \"0.7\" or \"1e-6\"",
            std::marker::PhantomData,
        ))
    }
}

/// A plan as bare JSON.
#[derive(Serialize, Deserialize)]
struct Shape(Value);

impl Predicate for Shape {
    const TYPE: &'static str = Plan::TYPE;
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
        check_shape::<Self>(serde_json::from_str(text).map_err(wrong)?)?;
        plan.check()?;
        Ok(plan)
    }

    /// What serde cannot see: ranges, and things that must be there.
    fn check(&self) -> Result<()> {
        let wrong = |field: &str, fault: String| {
            Err(Error::new(
                ErrorKind::Format,
                format!("plan, {field}: {fault}"),
            ))
        };
        check_label(&self.case).map_err(|error| error.context("plan, case"))?;
        let texts = [
            ("propositions.main", &self.propositions.main),
            ("propositions.opposing", &self.propositions.opposing),
            ("scorer.version", &self.scorer.version),
            ("beacon.chain", &self.beacon.chain),
            ("primary.statistic", &self.primary.statistic),
            ("error.family", &self.error.family),
            ("reporting.scale", &self.reporting.scale),
            ("deviations", &self.deviations),
        ];
        let lists = [
            ("propositions.alternatives", &self.propositions.alternatives),
            ("exclusions", &self.exclusions),
            ("controls.negative", &self.controls.negative),
            ("controls.positive", &self.controls.positive),
        ];
        let sensitivity = self
            .sensitivity
            .iter()
            .map(|test| ("sensitivity", &test.statistic));
        let listed = lists
            .iter()
            .flat_map(|(field, list)| list.iter().map(|text| (*field, text)));
        for (field, text) in texts.into_iter().chain(listed).chain(sensitivity) {
            if text.trim().is_empty() || text.len() > MAX_TEXT {
                return wrong(
                    field,
                    format!(
                        "a text of {} bytes; 1 to {MAX_TEXT} are allowed",
                        text.len()
                    ),
                );
            }
        }
        for (field, count) in [
            (
                "propositions.alternatives",
                self.propositions.alternatives.len(),
            ),
            ("suspects", self.suspects.len()),
            ("keys", self.keys.len()),
            ("controls.negative", self.controls.negative.len()),
        ] {
            if count == 0 {
                return wrong(field, "empty; at least one is needed".to_owned());
            }
            if count > MAX_LIST {
                return wrong(field, format!("{count}; at most {MAX_LIST} are allowed"));
            }
        }
        let digests = [
            ("mark", self.mark),
            ("scorer.source", self.scorer.source),
            ("scorer.binary", self.scorer.binary),
            ("tokenizer", self.tokenizer),
            ("pool.sha256", self.pool.sha256),
        ];
        let keys = self
            .keys
            .iter()
            .flat_map(|key| [("keys", key.commitment), ("keys", key.epoch)]);
        let suspects = self
            .suspects
            .iter()
            .map(|suspect| ("suspects", suspect.identity));
        for (field, digest) in digests.into_iter().chain(keys).chain(suspects) {
            if digest == Digest::default() {
                return wrong(
                    field,
                    "64 zeros, which is the example's placeholder and no digest".to_owned(),
                );
            }
        }
        for (index, suspect) in self.suspects.iter().enumerate() {
            check_label(&suspect.id).map_err(|error| error.context("plan, suspects"))?;
            if self.suspects[..index]
                .iter()
                .any(|other| other.id == suspect.id)
            {
                return wrong("suspects", format!("`{}` stands there twice", suspect.id));
            }
        }
        for (field, value) in [
            ("error.alpha", &self.error.alpha),
            ("power.power", &self.power.power),
            ("reporting.floor", &self.reporting.floor),
        ] {
            if !(value.value() > 0.0 && value.value() < 1.0) {
                return wrong(field, format!("{value} is not above 0 and below 1"));
            }
        }
        if self.sampling.top_p.value() > 1.0 || self.sampling.top_p.value() <= 0.0 {
            return wrong(
                "sampling.top_p",
                format!("{} is not above 0 and at most 1", self.sampling.top_p),
            );
        }
        let answers = match self.stopping {
            Stopping::Fixed { answers } | Stopping::Sequential { answers } => answers,
        };
        for (field, count) in [
            ("sampling.max_tokens", self.sampling.max_tokens),
            ("stopping", answers),
            ("pool.drawn", self.pool.drawn),
        ] {
            if count == 0 {
                return wrong(field, "0; at least 1 is needed".to_owned());
            }
        }
        if self.pool.drawn > self.pool.prompts {
            return wrong(
                "pool.drawn",
                format!("{} of {} prompts", self.pool.drawn, self.pool.prompts),
            );
        }
        if (self.controls.keys as usize) < CONTROLS {
            return wrong(
                "controls.keys",
                format!(
                    "{}; every epoch commits to {CONTROLS}, and all are scored",
                    self.controls.keys
                ),
            );
        }
        if self.beacon.round == 0 {
            return wrong("beacon.round", "0; rounds count from 1".to_owned());
        }
        // Whole numbers of any size, so that no product wraps.
        let asked = u128::from(self.pool.drawn) * u128::from(answers) * self.suspects.len() as u128;
        if asked > u128::from(MAX_REQUESTS) {
            return wrong(
                "stopping",
                format!("the plan asks {asked} times; at most {MAX_REQUESTS} are possible"),
            );
        }
        let tokens = asked * u128::from(self.sampling.max_tokens);
        for (field, budget, needed) in [
            ("budget.requests", self.budget.requests, asked),
            ("budget.tokens", self.budget.tokens, tokens),
        ] {
            if u128::from(budget) < needed {
                return wrong(field, format!("{budget}; the plan asks for {needed}"));
            }
        }
        for (index, key) in self.keys.iter().enumerate() {
            if self.keys[..index].contains(key) {
                return wrong("keys", format!("{} stands there twice", key.commitment));
            }
        }
        if self.power.units == 0
            || self.power.effect.value() <= 0.0
            || self.sampling.temperature.value() > 100.0
        {
            return wrong(
                "power and sampling",
                "units and effect must be above 0, the temperature at most 100".to_owned(),
            );
        }
        Ok(())
    }

    /// The files that a plan rests on, which its statement is about.
    fn subjects(&self) -> Vec<Subject> {
        vec![
            Subject::new("pool", self.pool.sha256),
            Subject::new("mark", self.mark),
        ]
    }

    /// Seals the plan: a signed statement about the files it rests on.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for a plan that breaks a rule, [`ErrorKind::Limit`] for one that would be longer than [`MAX_PLAN`] when sealed.
    pub fn seal(&self, key: &SigningKey) -> Result<Envelope> {
        self.check()?;
        let mut envelope = state(self.subjects(), self)?;
        envelope.sign(key);
        let length = envelope.to_json().len();
        if length > MAX_PLAN {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("a sealed plan of {length} bytes; at most {MAX_PLAN} are read"),
            ));
        }
        Ok(envelope)
    }
}

/// Longest sealed plan, in bytes.
pub const MAX_PLAN: usize = 1 << 24;

/// Refuses JSON that says the same in another shape, such as a list in place of an object: a plan's fields have names.
fn check_shape<T: DeserializeOwned + Serialize>(value: Value) -> Result<()> {
    let parsed: T = serde_json::from_value(value.clone())
        .map_err(|error| Error::new(ErrorKind::Format, format!("not a plan: {error}")))?;
    if serde_json::to_value(&parsed).ok() == Some(value) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Format,
        "not a plan: a list stands where an object should be",
    ))
}

/// A plan whose signatures were verified.
#[derive(Clone, Debug)]
pub struct SealedPlan {
    envelope: Envelope,
    plan: Plan,
    digest: Digest,
    file: Digest,
}

impl SealedPlan {
    /// Reads a sealed plan that at least one of `keys` signed.
    ///
    /// # Errors
    /// As [`stated`]; [`ErrorKind::Format`] for a plan that breaks a rule, or a statement about other files than those the plan names; [`ErrorKind::Limit`] above [`MAX_PLAN`] bytes.
    pub fn from_json(bytes: &[u8], keys: &[PublicKey]) -> Result<Self> {
        if bytes.len() > MAX_PLAN {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("a sealed plan of more than {MAX_PLAN} bytes"),
            ));
        }
        let envelope = Envelope::from_json(bytes)?;
        let (_, shape) = stated::<Shape>(&envelope, keys, 1)?;
        check_shape::<Plan>(shape.0)?;
        let (subjects, plan) = stated::<Plan>(&envelope, keys, 1)?;
        plan.check()?;
        if subjects != plan.subjects() {
            return Err(Error::new(
                ErrorKind::Format,
                "a sealed plan whose statement is about other files than the plan names",
            ));
        }
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        Ok(Self {
            digest: payload_digest(&envelope),
            envelope,
            plan,
            file: hash.into(),
        })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The envelope, for further signatures and for its file.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// SHA-256 of the envelope's file, which is what is stamped and entered in logs.
    #[must_use]
    pub fn file(&self) -> Digest {
        self.file
    }

    /// The digest that stands for the plan in draws and transcripts: that of what is signed, which a further signature does not change.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

fn payload_digest(envelope: &Envelope) -> Digest {
    let hash: [u8; 32] = Sha256::digest(envelope.signed_bytes()).into();
    hash.into()
}

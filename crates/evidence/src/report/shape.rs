//! What `report.json` holds (SPEC.md). Every field is required: where there is nothing to say, that is said.

use serde::{Deserialize, Serialize};

use super::number::{LogP, Number};
use crate::decimal::Decimal;
use crate::digest::Digest;
use crate::plan::{Access, Power};
use crate::time::Time;

/// A report. It speaks of one model and one key; a case with more of them has more reports, and what was tested besides stands in each as further rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`FORMAT`](super::FORMAT).
    pub format: String,
    /// The case's label.
    pub case: String,
    /// When the report was made, by the caller's clock.
    pub made: Time,
    /// Of what it speaks.
    pub subject: Subject,
    /// What its author has to disclose.
    pub disclosure: Disclosure,
    /// All plans of the case, abandoned ones too.
    pub plans: Vec<PlanEntry>,
    /// The files that were considered.
    pub materials: Vec<Material>,
    /// What was weighed.
    pub propositions: Propositions,
    /// How.
    pub method: Method,
    /// When.
    pub timeline: Timeline,
    /// How answers were collected and kept.
    pub collection: Collection,
    /// What page one is made of.
    pub finding: Finding,
    /// Everything that was computed.
    pub results: Results,
    /// Where the plan was not kept to; may be empty.
    pub deviations: Vec<String>,
    /// How anyone can check it again.
    pub verification: Vec<Step>,
}

/// The model and the key that a report speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The model's name and version.
    pub model: String,
    /// The key's path, as the reveal has it.
    pub key: String,
    /// The key's commitment.
    pub commitment: Digest,
}

/// What only a person can write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Field {
    /// Not written yet, and what belongs there.
    Open(String),
    /// Written.
    Filled(String),
}

/// The author's part: the assignment, and what Rule 26(a)(2)(B) of the Federal Rules of Civil Procedure asks of an expert's report beyond what the rest of it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    /// Who asked which questions.
    pub assignment: Field,
    /// (i) The author's opinions, with basis and reasons.
    pub opinions: Field,
    /// (ii) Facts or data considered besides the files that are listed.
    pub facts: Field,
    /// (iii) Exhibits that will be used.
    pub exhibits: Field,
    /// (iv) Qualifications.
    pub qualifications: Field,
    /// (iv) Publications of the last ten years.
    pub publications: Field,
    /// (v) Testimony of the last four years.
    pub testimony: Field,
    /// (vi) What is paid for study and testimony.
    pub compensation: Field,
}

/// A plan of the case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanEntry {
    /// The sealed plan's digest (SPEC.md §7).
    pub digest: Digest,
    /// When it was sealed.
    pub sealed: Time,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Fate {
    /// It was carried out, with what result.
    CarriedOut(String),
    /// It was given up, and why.
    Abandoned(String),
    /// It is still to be carried out.
    Pending(String),
}

/// A file that was considered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Material {
    /// Its path in the bundle.
    pub name: String,
    /// What it holds.
    pub holds: String,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// Two propositions, and what else could explain a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Propositions {
    /// What the finding would support.
    pub main: String,
    /// What it is weighed against.
    pub opposing: String,
    /// Other explanations.
    pub alternatives: Vec<Alternative>,
}

/// Another explanation, and what the evidence says about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// The explanation.
    pub explanation: String,
    /// The answer; that there is none is one.
    pub answer: String,
}

/// How results were computed, and why that can be relied on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// In words.
    pub summary: String,
    /// Published methods, by name and version; may be empty.
    pub published: Vec<String>,
    /// The program's name and version.
    pub program: String,
    /// Digest of its source.
    pub source: Digest,
    /// Digest of the program itself.
    pub binary: Digest,
    /// The machine that it ran on.
    pub machine: String,
    /// Studies of its error.
    pub validation: Vec<Study>,
    /// Known answers that were computed on that machine.
    pub self_test: SelfTest,
}

/// A study of error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// What was asked.
    pub question: String,
    /// What was found.
    pub result: String,
    /// Digest of its record.
    pub sha256: Digest,
}

/// Known answers, computed where the results were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// When.
    pub at: Time,
    /// How many were computed.
    pub answers: u32,
    /// How many came out right.
    pub right: u32,
    /// Digest of its record.
    pub sha256: Digest,
}

/// The order on which the argument rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeline {
    /// The key was committed to.
    pub key: Moment,
    /// The first marked answer was served.
    pub issuance: Moment,
    /// The plan was sealed.
    pub plan: Moment,
    /// The beacon's round.
    pub beacon: Moment,
    /// The model was asked first.
    pub first_query: Moment,
    /// It was asked last.
    pub last_query: Moment,
    /// The key was disclosed.
    pub reveal: Moment,
}

/// A moment, and what vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// When; nothing where that has not been shown.
    pub at: Option<Time>,
    /// What vouches for it, or what is missing.
    pub shown_by: String,
}

/// How answers were collected and kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collection {
    /// The evidence profile.
    pub profile: Access,
    /// Who collected, by the names of their keys.
    pub collectors: Vec<String>,
    /// Attempts on record, failed ones included.
    pub attempts: u64,
    /// Of them, answers that were scored.
    pub scored: u64,
    /// What the provider's search for relay canaries found, and who attests it; nothing where there was none.
    pub relay_search: Option<String>,
    /// Who had what in hand, when and why.
    pub custody: Vec<Custody>,
}

/// An event of custody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Custody {
    /// When.
    pub at: Time,
    /// Who.
    pub who: String,
    /// What and why.
    pub what: String,
}

/// What page one is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// How the primary test came out, which is link 3.
    pub outcome: Outcome,
    /// Link 1: these accounts are what their custodian says they are.
    pub accounts: Link,
    /// Link 2: what was served to them carried the key.
    pub issued: Link,
    /// The family-wise error rate of the plan.
    pub alpha: Decimal,
    /// The smallest probability that is put into words.
    pub floor: Decimal,
    /// The scale of the plan, by name and version.
    pub scale: String,
    /// What the plan could find.
    pub power: Power,
    /// How often the procedure errs where nothing is to be found.
    pub null_runs: NullRuns,
}

/// How the primary test came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Outcome {
    /// Its error rate is at most alpha.
    Support,
    /// There was enough to find an effect of the planned size, and none was found.
    NoSupport,
    /// The question cannot be answered, and why.
    Inconclusive(String),
}

/// A link of the claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Link {
    /// The exhibits that show it.
    Shown(Vec<String>),
    /// What is missing.
    Missing(String),
}

/// Complete runs of the procedure on models and keys that have nothing to do with each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NullRuns {
    /// Runs.
    pub runs: u32,
    /// Runs that ended in support.
    pub findings: u32,
    /// Models among them; runs of one model are not wholly independent.
    pub models: u32,
    /// Models with a run that ended in support.
    pub models_with_findings: u32,
}

/// Everything that was computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Digest of the file of analysis, which everything here is a summary of.
    pub analysis: Digest,
    /// Tests over which the error rate was shared: suspects × keys × schemes × plans.
    pub family: u32,
    /// Tests. One is the primary one.
    pub rows: Vec<Row>,
    /// Controls.
    pub controls: Vec<Control>,
    /// Scores of control keys on the primary test's text.
    pub decoys: Option<Decoys>,
    /// How evidence grew, in a sequential test.
    pub path: Option<Path>,
    /// Results by account.
    pub accounts: Option<Accounts>,
    /// The primary result under the other assumptions that the plan declared; may be empty.
    pub sensitivity: Vec<Assumption>,
    /// What was withheld.
    pub redaction: Option<Redaction>,
}

/// Whether a test was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The plan's primary test. Page one is about it and no other.
    Primary,
    /// Another test of the plan.
    Planned,
    /// Not in the plan.
    Exploratory,
}

/// A test's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What was tested.
    pub test: String,
    /// Whether that was planned.
    pub standing: Standing,
    /// Distinct units scored.
    pub units: u64,
    /// How large the effect is.
    pub effect: Effect,
    /// The error rate of this test by itself.
    pub p: Probability,
    /// After correction for the family; nothing for a test outside of it.
    pub adjusted: Option<Probability>,
    /// Against the alternative that the plan fixed; nothing where it fixed none.
    pub e: Option<EValue>,
    /// Among the control keys, on the same text.
    pub rank: Option<Rank>,
}

/// An effect with its interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// The estimate.
    pub estimate: Number,
    /// Lower end.
    pub low: Number,
    /// Upper end.
    pub high: Number,
    /// What it is measured in, and how much the interval covers.
    pub unit: String,
}

/// A probability and how it was computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probability {
    /// Its common logarithm.
    pub log10: LogP,
    /// The method.
    pub method: String,
}

/// An e-value and how it was computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EValue {
    /// Its common logarithm.
    pub log10: Number,
    /// The method and the alternative.
    pub method: String,
}

/// Where a key stands among control keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rank {
    /// Control keys.
    pub keys: u32,
    /// Control keys that scored at least as high.
    pub as_high: u32,
}

/// A control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Its name.
    pub name: String,
    /// Of what kind.
    pub kind: ControlKind,
    /// Why it is one: its date, its digest, its dose.
    pub basis: String,
    /// What came out.
    pub p: Probability,
}

/// Kinds of control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControlKind {
    /// A model that cannot have learned from the mark.
    Negative,
    /// The model that the suspect was made from.
    BaseModel,
    /// A model that learned from a known dose.
    Positive,
    /// The suspect under a key of other accounts.
    OtherAccount,
    /// The primary result with one control left out.
    LeftOut,
}

/// A histogram of control keys' scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoys {
    /// What the scores are.
    pub score: String,
    /// Bins in order, each beginning where the last one ends.
    pub bins: Vec<Bin>,
    /// The tested key's score.
    pub tested: Number,
    /// How well the scores fit the law that the error rate was computed by.
    pub fit: Probability,
}

/// A bin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// Where it begins.
    pub from: Number,
    /// Where it ends.
    pub to: Number,
    /// Control keys in it.
    pub keys: u32,
}

/// The path of an e-process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Path {
    /// The method and the alternative.
    pub method: String,
    /// In order.
    pub points: Vec<Point>,
}

/// A point of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Answers so far.
    pub answers: u32,
    /// The common logarithm of the e-value so far.
    pub log10_e: Number,
}

/// Results by account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// How they were computed, and how error was held over them.
    pub method: String,
    /// Accounts.
    pub rows: Vec<Account>,
}

/// An account's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its pseudonym.
    pub pseudonym: Digest,
    /// What it is and what came out.
    pub role: Role,
    /// Exchanges that were used.
    pub exchanges: u64,
    /// The common logarithm of its p-value.
    pub log10_p: LogP,
}

/// What an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Tested, and supported after correction.
    Supported,
    /// Tested, and not supported.
    NotSupported,
    /// An innocent account that was run through the same procedure.
    Control,
}

/// The primary result under other assumptions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumption {
    /// What was assumed.
    pub assumed: String,
    /// What comes out.
    pub p: Probability,
    /// And the e-value, if there is one.
    pub e: Option<EValue>,
}

/// What was withheld, and what difference that makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redaction {
    /// Records with withheld fields.
    pub records: u64,
    /// Who withheld what, and why.
    pub reasons: Vec<String>,
    /// The primary result over all records.
    pub all: Probability,
    /// Over disclosed records only.
    pub disclosed: Probability,
}

/// A step that anyone can take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it checks.
    pub checks: String,
    /// What is typed.
    pub command: String,
    /// What must come out.
    pub expected: String,
}

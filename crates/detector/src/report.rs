//! What a detector answers.

use std::fmt;

use taggant_core::Role;

use crate::stats::{PValue, real};

/// The answer to "does this text carry the mark?".
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[must_use]
pub enum Verdict {
    /// The p-value is at most alpha.
    Detected,
    /// There was enough text to see a mark of planning strength, and none was seen.
    NotDetected,
    /// The question cannot be answered from this text.
    Inconclusive(Reason),
}

impl Verdict {
    /// The verdict's name: `Detected`, `NotDetected` or `Inconclusive`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Detected => "Detected",
            Self::NotDetected => "NotDetected",
            Self::Inconclusive(_) => "Inconclusive",
        }
    }

    /// Why the question cannot be answered.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Inconclusive(reason) => Some(reason),
            _ => None,
        }
    }
}

/// Why a question cannot be answered, with the number that would change that.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// Too little text.
    TooFewUnits {
        /// Scorable units found.
        units: u64,
        /// Units at which a mark of planning strength reaches alpha.
        needed: u64,
        /// The alpha asked for.
        alpha: f64,
    },
    /// Too few slots of keyed choices.
    TooFewSlots {
        /// Slots that could tell.
        slots: u64,
        /// Slots at which a student of planning strength reaches alpha with probability 0.9.
        needed: u64,
        /// The alpha asked for, shared out among all findings.
        alpha: f64,
    },
    /// Too few exchanges of sealed twins.
    TooFewExchanges {
        /// Informative exchanges found.
        exchanges: u64,
        /// Exchanges at which a leak of the planned AUC is found with power 0.9.
        needed: f64,
        /// The planned AUC.
        auc: f64,
        /// The alpha asked for, over all that are tested.
        alpha: f64,
    },
    /// Too few rows of a suspect.
    TooFewRows {
        /// Rows tested.
        rows: u64,
        /// What they come to in units of weight 1.
        effective: f64,
        /// Such units at which the planned effect is found with power 0.9.
        needed: f64,
        /// The planned effect, in standard deviations of a unit.
        effect: f64,
        /// The alpha asked for, shared out among all keys that are tested.
        alpha: f64,
    },
    /// Too little evidence of any kind to name an account or a cluster.
    TooLittleEvidence {
        /// Units of the kind of evidence that says most: exchanges, slots or scored units. 0 where no file tells.
        units: f64,
        /// Units at which the effect seen, or the planned one where none is seen, would be found with power 0.9: an estimate.
        /// `None` where there is nothing to estimate from.
        needed: Option<f64>,
        /// What the units are.
        unit: &'static str,
    },
    /// Innocent accounts, run through the same pipeline, look guilty: it accuses wrongly.
    ControlsFire {
        /// Control accounts.
        controls: u64,
        /// Those that would have been named.
        named: u64,
        /// `log10` of the p-value of "controls are innocent and the pipeline is sound".
        log10_p: f64,
    },
    /// The evidence rests on texts that another account is said to have been served as well.
    SharedTexts {
        /// One such account.
        with: String,
    },
    /// A key fires where sealed twins, of which there were enough, say nothing: marked text may have been forged.
    SuspectedSpoof {
        /// Exchanges of twins.
        exchanges: f64,
        /// `log10` of the twins' p-value.
        log10_p: f64,
    },
    /// The token ids are not those of the record's tokenizer, so windows mean nothing.
    TokenizerMismatch {
        /// First digits of the digest in the record.
        record: String,
        /// First digits of the digest of the text's tokenizer.
        text: String,
    },
}

impl Reason {
    /// The reason's name, such as `TooFewUnits`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooFewUnits { .. } => "TooFewUnits",
            Self::TooFewSlots { .. } => "TooFewSlots",
            Self::TooFewExchanges { .. } => "TooFewExchanges",
            Self::TooFewRows { .. } => "TooFewRows",
            Self::TooLittleEvidence { .. } => "TooLittleEvidence",
            Self::ControlsFire { .. } => "ControlsFire",
            Self::SharedTexts { .. } => "SharedTexts",
            Self::SuspectedSpoof { .. } => "SuspectedSpoof",
            Self::TokenizerMismatch { .. } => "TokenizerMismatch",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewUnits {
                units,
                needed,
                alpha,
            } => {
                write!(
                    f,
                    "{units} scorable units; {needed} needed for p < {alpha:e}"
                )
            }
            Self::TooFewSlots {
                slots,
                needed,
                alpha,
            } => write!(
                f,
                "{slots} slots that can tell; {needed} needed for p < {alpha:e}"
            ),
            Self::TooFewExchanges {
                exchanges,
                needed,
                auc,
                alpha,
            } => {
                write!(
                    f,
                    "{exchanges} informative exchanges; {needed} needed to find a leak of AUC {auc} at alpha {alpha:e}"
                )
            }
            Self::TooFewRows {
                rows,
                effective,
                needed,
                effect,
                alpha,
            } => {
                write!(
                    f,
                    "{rows} rows come to {effective:.0} units of weight 1; {needed} needed to find an effect of {effect} a unit at alpha {alpha:e}"
                )?;
                let more = (real(*rows) * needed / effective).ceil();
                if more.is_finite() && *effective >= 1.0 {
                    write!(f, ", about {more} rows like these")?;
                }
                Ok(())
            }
            Self::TooLittleEvidence {
                units,
                needed,
                unit,
            } => match needed {
                Some(needed) => write!(f, "{units} {unit}; about {needed} needed (estimated)"),
                None => write!(f, "{units} {unit}, and no effect to plan with"),
            },
            Self::ControlsFire {
                controls,
                named,
                log10_p,
            } => write!(
                f,
                "control accounts fire: {named} of {controls} would have been named, p = {} that they are as innocent accounts should be; find the fault before accusing anyone",
                PValue::from_ln(log10_p * std::f64::consts::LN_10)
            ),
            Self::SharedTexts { with } => write!(
                f,
                "rests on texts that `{}` is said to have been served as well; name neither without other evidence",
                with.escape_debug()
            ),
            Self::SuspectedSpoof { exchanges, log10_p } => write!(
                f,
                "spoofing plausible: the key fires, twins are silent (p = {} over {exchanges} exchanges, which would have been enough)",
                PValue::from_ln(log10_p * std::f64::consts::LN_10)
            ),
            Self::TokenizerMismatch { record, text } => write!(
                f,
                "the text's tokenizer is {text}…, the record's is {record}…; detect with the tokenizer that was marked"
            ),
        }
    }
}

/// How far a check got.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It was made, with this result.
    Run(String),
    /// It has no meaning here, and why.
    NotApplicable(String),
    /// It could have been made and was not, and why.
    Skipped(String),
}

impl Status {
    /// `run`, `not applicable` or `skipped`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::NotApplicable(_) => "not applicable",
            Self::Skipped(_) => "skipped",
        }
    }

    /// The result, or why there is none.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Run(detail) | Self::NotApplicable(detail) | Self::Skipped(detail) => detail,
        }
    }
}

/// One step of SPEC.md that a detection rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What was to be checked.
    pub name: &'static str,
    /// How far it got.
    pub status: Status,
}

/// The result for one response or for a pool of them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct Report {
    /// Tokens looked at.
    pub tokens: u64,
    /// Distinct units scored.
    pub units: u64,
    /// Sum of the units' scores; larger means more mark. Its unit is the scheme's (SPEC.md §5).
    pub score: f64,
    /// What the score would be on average if the text were independent of the key.
    pub expected: f64,
    /// Probability of a score at least this large if the text is independent of the key.
    pub p_value: PValue,
    /// The answer.
    pub verdict: Verdict,
    pub(crate) facts: Facts,
}

/// What the checks of a report rest on. Put into words only when asked for: most reports of a large corpus are never read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    /// Whether the record commits to the keys.
    pub(crate) named: bool,
    /// Roles of the layers with a key, and of those without.
    pub(crate) scored: [Option<Role>; 2],
    pub(crate) keyless: [Option<Role>; 2],
    pub(crate) repeats: u64,
    pub(crate) needed: u64,
    pub(crate) alpha: f64,
    pub(crate) subject: Subject,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Subject {
    Row {
        tokenizer: bool,
        folding: Option<String>,
        prompt: Option<usize>,
    },
    Pool(Rows),
}

/// What the rows of a pool were.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rows {
    pub(crate) scored: u64,
    pub(crate) refused: u64,
    pub(crate) with_prompt: u64,
    pub(crate) with_tokenizer: u64,
    pub(crate) text: u64,
}

impl Report {
    /// Every check that the verdict rests on, in the order they are made.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let facts = &self.facts;
        let key = if facts.named {
            Status::Run("the record commits to every key used".to_owned())
        } else {
            Status::Skipped("control: the record need not know the key".to_owned())
        };
        let mut checks = vec![check("key", key)];
        if let Verdict::Inconclusive(reason @ Reason::TokenizerMismatch { .. }) = &self.verdict {
            checks.push(check("tokenizer", Status::Run(reason.to_string())));
            let unscored = [
                "layers",
                "folding",
                "prompt",
                "repeats",
                "length",
                "significance",
            ];
            let why = || Status::Skipped("nothing was scored: the tokenizer differs".to_owned());
            checks.extend(unscored.map(|name| check(name, why())));
            return checks;
        }
        let (tokenizer, folding, prompt) = facts.subject.checks();
        let roles = |roles: [Option<Role>; 2]| {
            roles
                .into_iter()
                .flatten()
                .map(Role::name)
                .collect::<Vec<_>>()
                .join(" and ")
        };
        let (scored, keyless) = (roles(facts.scored), roles(facts.keyless));
        let layers = if keyless.is_empty() {
            Status::Run(format!("scored: {scored}"))
        } else {
            Status::Skipped(format!("scored: {scored}; no key for: {keyless}"))
        };
        let significance = format!("p = {} against alpha = {:e}", self.p_value, facts.alpha);
        checks.extend([
            check("tokenizer", tokenizer),
            check("layers", layers),
            check("folding", folding),
            check("prompt", prompt),
            check(
                "repeats",
                Status::Run(format!("{} repeats left out", facts.repeats)),
            ),
            check(
                "length",
                Status::Run(format!(
                    "{} units; {} needed to say no",
                    self.units, facts.needed
                )),
            ),
            check("significance", Status::Run(significance)),
        ]);
        checks
    }
}

impl Subject {
    /// Tokenizer, folding and prompt.
    fn checks(&self) -> (Status, Status, Status) {
        match self {
            Self::Row {
                tokenizer,
                folding,
                prompt,
            } => (
                match tokenizer {
                    true => Status::Run("the text's tokenizer is the record's".to_owned()),
                    false => Status::Skipped("ids were given without a tokenizer".to_owned()),
                },
                match folding {
                    Some(changes) => Status::Run(changes.clone()),
                    None => Status::NotApplicable("ids were given, not text".to_owned()),
                },
                match prompt {
                    Some(tokens) => {
                        Status::Run(format!("windows of {tokens} prompt tokens left out"))
                    }
                    None => Status::Skipped(
                        "no prompt ids; text copied from a prompt would count".to_owned(),
                    ),
                },
            ),
            Self::Pool(rows) => (
                rows.of_all(rows.with_tokenizer, "checked against the record"),
                match rows.text {
                    0 => Status::NotApplicable("ids were given, not text".to_owned()),
                    text => Status::Run(format!("{text} of {} rows were text", rows.scored)),
                },
                rows.of_all(rows.with_prompt, "prompt windows left out"),
            ),
        }
    }
}

impl Rows {
    fn of_all(&self, count: u64, done: &str) -> Status {
        let detail = format!("{done} in {count} of {} rows", self.scored);
        if count == self.scored && self.refused == 0 {
            Status::Run(detail)
        } else if self.refused == 0 {
            Status::Skipped(detail)
        } else {
            Status::Skipped(format!(
                "{detail}; {} more have another tokenizer and are not in the pool",
                self.refused
            ))
        }
    }
}

pub(crate) fn check(name: &'static str, status: Status) -> Check {
    Check { name, status }
}

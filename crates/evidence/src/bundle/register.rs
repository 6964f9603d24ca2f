//! All plans of a case, as its log has them (P-4): a case has a log of its own, and whatever was entered there is in its bundle.

use serde::{Deserialize, Serialize};
use taggant_core::Result;

use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::report::Fate;
use crate::statement::{Predicate, Subject, state};
use crate::time::Time;

/// The entries of the case's log.
pub const LOG: &str = "register/log.txt";
/// The log's head over them, with its witnesses' cosignatures.
pub const LOG_HEAD: &str = "register/log.note";
/// The statement on what became of each plan.
pub const REGISTER: &str = "register/plans.dsse.json";

/// A plan of the case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registered {
    /// The sealed plan's file in the bundle.
    pub file: String,
    /// What became of it.
    pub fate: Fate,
}

/// The plans of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// In the order in which they were entered in the log.
    pub plans: Vec<Registered>,
}

impl Predicate for Register {
    const TYPE: &'static str = "urn:taggant:register:v1";
}

impl Register {
    /// The statement, not signed yet, about the log's entries.
    ///
    /// # Errors
    /// As [`state`].
    pub fn state(&self, log: Digest) -> Result<Envelope> {
        state(vec![Subject::new(LOG, log)], self)
    }
}

/// A plan that was found in the register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The plan's digest.
    pub plan: Digest,
    /// Its file in the bundle.
    pub file: String,
    /// By when it was sealed: on the word of two authorities, or else of the witnesses of the log's head.
    pub sealed: Time,
    /// Its tests: suspects × keys.
    pub tests: u64,
    /// What became of it.
    pub fate: Fate,
}

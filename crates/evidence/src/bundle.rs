//! A case as one folder that anyone can check, offline, against a trust file of their own (SPEC.md §9).
//!
//! [`Contents::seal`] lists and signs a folder; [`verify`] checks it, link by link. Each [`Check`] passes, fails or was not run, under a code that does not change.

mod accounts;
mod ageing;
mod check;
mod folder;
mod identity;
mod order;
mod register;
mod stock;
mod verify;

use serde::{Deserialize, Serialize};
use taggant_core::{Error, ErrorKind, Result};

use crate::digest::Digest;
use crate::signing::SigningKey;
use crate::statement::{Predicate, Subject, state};

pub use accounts::{ACCOUNTS, Account, Accounts};
pub use ageing::{ageing, to_renew};
pub use check::{Check, Outcome, Status};
pub use folder::{Folder, MAX_BYTES, MAX_DEPTH, MAX_FILES, Proofs};
pub use identity::{Identity, Named, SUSPECTS};
pub use register::{LOG, LOG_HEAD, Planned, REGISTER, Register, Registered};
pub use stock::{STOCK, stock_lines};
pub use verify::{Answer, Proven, Times, verify, verify_files};

/// The signed list of a bundle's files.
pub const MANIFEST: &str = "manifest.dsse.json";
/// The same list for `sha256sum -c`.
pub const SUMS: &str = "manifest-sha256.txt";
/// The epoch commitment.
pub const EPOCH: &str = "commitment/epoch.json";
/// The mark record.
pub const RECORD: &str = "mark/record.json";
/// The tokenizer that the mark record names, where it is in the bundle: a GGUF file or a `tokenizer.json`.
pub const TOKENIZERS: [&str; 2] = ["mark/tokenizer.gguf", "mark/tokenizer.json"];
/// The sealed plan.
pub const PLAN: &str = "plan/plan.dsse.json";
/// The prompts that were drawn from.
pub const POOL: &str = "plan/pool.jsonl";
/// What was asked.
pub const ASKED: &str = "transcript/asked.jsonl";
/// The transcript.
pub const RECORDS: &str = "transcript/records.jsonl";
/// The texts behind its digests.
pub const OPENINGS: &str = "transcript/openings.jsonl";
/// The collector's word on it.
pub const TRANSCRIPT: &str = "transcript/transcript.dsse.json";
/// The keys that were tested, opened.
pub const REVEAL: &str = "reveal/keys.jsonl";
/// The control keys, opened.
pub const CONTROLS: &str = "reveal/controls.jsonl";
/// What came out.
pub const ANALYSIS: &str = "analysis/analysis.json";
/// What comes out of the texts that are disclosed, where some are withheld.
pub const DISCLOSED: &str = "analysis/disclosed.json";

/// Every package that the program which closed the bundle may hold.
pub const SBOM: &str = "sbom.cdx.json";

/// What a collector says of a transcript when nothing more is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collected {
    /// The plan's digest.
    pub plan: Digest,
    /// Lines of the transcript.
    pub lines: u64,
    /// Hash of the last.
    pub head: Digest,
    /// Attempts.
    pub attempts: u64,
    /// Answers.
    pub answers: u64,
    /// How it ended.
    pub because: crate::transcript::Ending,
}

impl Predicate for Collected {
    const TYPE: &'static str = "urn:taggant:transcript:v1";
}

/// What a bundle is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// The case's label.
    pub case: String,
    /// The plan's digest.
    pub plan: Digest,
}

impl Predicate for Contents {
    const TYPE: &'static str = "urn:taggant:bundle:v1";
}

/// The two files that close a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The signed manifest.
    pub manifest: String,
    /// The list for `sha256sum -c`.
    pub sums: String,
}

impl Contents {
    /// Lists every file of a folder and signs the list; what the caller writes to [`MANIFEST`] and [`SUMS`].
    ///
    /// # Errors
    /// Those of [`Folder::open`] and of reading; [`ErrorKind::Parameter`] without a signer.
    pub fn seal(&self, folder: &Folder, signers: &[SigningKey]) -> Result<Sealed> {
        if signers.is_empty() {
            return Err(Error::new(
                ErrorKind::Parameter,
                "a bundle that nobody signs; give a signer",
            ));
        }
        let subjects = folder
            .listed()
            .map(|name| Ok(Subject::new(name, folder.digest(name)?)))
            .collect::<Result<Vec<_>>>()?;
        let sums = sums(&subjects);
        let mut envelope = state(subjects, self)?;
        for signer in signers {
            envelope.sign(signer);
        }
        Ok(Sealed {
            manifest: envelope.to_json(),
            sums,
        })
    }
}

/// The list that `sha256sum -c` reads.
fn sums(subjects: &[Subject]) -> String {
    subjects
        .iter()
        .map(|subject| format!("{}  {}\n", subject.digest.sha256, subject.name))
        .collect()
}

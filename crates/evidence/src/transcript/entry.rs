//! What a line of a transcript says (SPEC.md §8.1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// Headers that are written down: what a server calls a request, so that whoever runs it can be asked for it.
pub const HEADERS: [&str; 8] = [
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-amzn-requestid",
    "cf-ray",
    "openai-version",
    "date",
    "server",
];

pub(super) const FORMAT: &str = "taggant-transcript/1";
const FIELD: &[u8] = b"taggant/v1/transcript-field";

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Entry {
    /// The first line: under which plan who asks whom.
    Opened(Box<Opened>),
    /// A request that is about to leave.
    Sent(Sent),
    /// The answer to it.
    Answered(Box<Answered>),
    /// It brought no answer.
    Failed(Box<Failed>),
    /// The collector ended before it knew: what became of it is not known.
    Lost(Attempt),
    /// The collector was started again.
    Resumed(Program),
    /// Nothing more is asked.
    Closed(Closed),
}

/// Under which plan who asks whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    pub(super) format: String,
    /// Digest of the plan.
    pub plan: Digest,
    /// SHA-256 of the file of what is asked, as `case draw` writes it.
    pub asked: Digest,
    /// Prompts in it.
    pub prompts: u32,
    /// Answers to each.
    pub answers: u32,
    /// Most tokens of an answer, by the plan: what an attempt can cost whatever a suspect counts.
    pub max_tokens: u32,
    /// Name of the key that the collector signs with.
    pub collector: String,
    /// The program that asks.
    pub program: Program,
    pub(super) suspects: Vec<SuspectDoor>,
}

impl Opened {
    /// The first line of a transcript, its suspects still to be added.
    #[must_use]
    pub fn new(
        plan: Digest,
        asked: Digest,
        (prompts, answers, max_tokens): (u32, u32, u32),
        collector: &str,
        program: Program,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            plan,
            asked,
            prompts,
            answers,
            max_tokens,
            collector: collector.to_owned(),
            program,
            suspects: Vec::new(),
        }
    }

    /// The suspects, in the plan's order.
    #[must_use]
    pub fn suspects(&self) -> &[SuspectDoor] {
        &self.suspects
    }
}

/// A program, so that anyone can tell which one it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// SHA-256 of it.
    pub binary: Digest,
}

/// A suspect, and where it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuspectDoor {
    /// The plan's label for it.
    pub id: String,
    /// Field digest of where it was asked: address and model name. Whoever scores does not learn it.
    pub door: Digest,
}

/// An attempt by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Its number, from 1.
    pub attempt: u64,
}

/// A request that is about to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// The attempt's number: one more than the last.
    pub attempt: u64,
    /// Which suspect, from 0 in the order of the first line.
    pub suspect: u32,
    /// Which prompt, from 0 in the order drawn.
    pub prompt: u32,
    /// Which of its answers, from 0.
    pub answer: u32,
    /// Field digest of the request's body.
    pub request: Digest,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// Which attempt.
    pub attempt: u64,
    /// Field digest of the answer's body.
    pub body: Digest,
    /// Its length in bytes.
    pub bytes: u64,
    /// Tokens of the answer, as the suspect counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// What the server calls the request: whoever runs it can be asked for it by this name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How long it took.
    pub milliseconds: u64,
}

/// No answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// Which attempt.
    pub attempt: u64,
    /// Why.
    pub cause: Failure,
    /// The HTTP status, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Field digest of the body that came in place of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Digest>,
    /// What the server calls the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How long it took.
    pub milliseconds: u64,
}

/// Why an attempt brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Failure {
    /// No connection.
    Unreachable,
    /// No complete answer in time.
    TimedOut,
    /// The connection ended before the answer did.
    CutOff,
    /// Too many requests; worth another attempt.
    Throttled,
    /// A fault on the other side; worth another attempt.
    ServerError,
    /// A refusal that asking again will not change.
    Refused,
    /// An answer that is none: no JSON of the kind, or too long.
    Unreadable,
}

/// Nothing more is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// Why.
    pub because: super::Ending,
    /// In words, where somebody decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

/// The digest that stands for a field: bound to its attempt and name, so that no opening can stand for another.
#[must_use]
pub fn field_digest(attempt: u64, name: &str, salt: &[u8; 32], bytes: &[u8]) -> Digest {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(FIELD)
        .chain_update(attempt.to_be_bytes())
        .chain_update((name.len() as u64).to_be_bytes())
        .chain_update(name)
        .chain_update(salt)
        .chain_update(bytes)
        .finalize()
        .into();
    hash.into()
}

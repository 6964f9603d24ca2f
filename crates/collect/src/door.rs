//! A way to a suspect.

use std::collections::BTreeMap;
use std::time::Duration;

use taggant_evidence::plan::Sampling;
use taggant_evidence::transcript::Failure;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The prompt.
    pub prompt: &'a str,
    /// The seed that was drawn for this answer.
    pub seed: u64,
    /// How answers are drawn, by the plan.
    pub sampling: &'a Sampling,
}

/// What came back for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The body, as it came. [`answer_text`](taggant_evidence::transcript::answer_text) finds a text in it.
    pub body: Vec<u8>,
    /// What the server calls the request.
    pub headers: BTreeMap<String, String>,
}

/// No answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// Why.
    pub cause: Failure,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// What came in place of an answer.
    pub body: Option<Vec<u8>>,
    /// What the server calls the request.
    pub headers: BTreeMap<String, String>,
    /// How long the other side asks to wait.
    pub wait: Option<Duration>,
}

impl Miss {
    /// A miss of which nothing more is known.
    #[must_use]
    pub fn bare(cause: Failure) -> Self {
        Self {
            cause,
            status: None,
            body: None,
            headers: BTreeMap::new(),
            wait: None,
        }
    }
}

/// A way to a suspect. Asking is one attempt: a door never tries again by itself, because every attempt has its record.
pub trait Door: Sync {
    /// The body of a request, which is written down before it leaves. It holds no credential.
    fn body(&self, request: &Request<'_>) -> Vec<u8>;

    /// Sends a body and waits for what comes back.
    ///
    /// # Errors
    /// What came in place of an answer.
    fn ask(&self, body: &[u8]) -> Result<Reply, Miss>;
}

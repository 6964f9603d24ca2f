//! Everything that is printed. Standard output is data; standard error is talk.

#![expect(clippy::print_stderr, reason = "the one place that talks")]

use serde::Serialize;
use taggant_detector::Check;

use crate::failure::Failure;

/// A check of a report, as JSON.
#[derive(Serialize)]
pub(crate) struct CheckLine {
    name: &'static str,
    status: &'static str,
    detail: String,
}

impl CheckLine {
    pub(crate) fn all(checks: &[Check]) -> Vec<Self> {
        let line = |check: &Check| Self {
            name: check.name,
            status: check.status.name(),
            detail: check.status.detail().to_owned(),
        };
        checks.iter().map(line).collect()
    }
}

/// Says on standard error why the command failed and what to do.
pub(crate) fn complain(failure: &Failure) {
    let (message, hint) = failure.lines();
    eprintln!("taggant: {message}");
    if let Some(hint) = hint {
        eprintln!("  next: {hint}");
    }
}

/// Says something on standard error.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

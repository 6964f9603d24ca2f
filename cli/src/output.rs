//! Everything that is printed. Standard output is data; standard error is talk.

#![expect(clippy::print_stderr, reason = "the one place that talks")]

use crate::failure::Failure;

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

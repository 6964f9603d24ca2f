//! Why a command could not answer, and what to do about it.

use std::fmt;
use std::io;
use std::path::Path;

use taggant_core::Error;

/// A failure: exit code 2.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Standard output was closed. Not a fault.
    BrokenPipe,
    /// Everything else, in words.
    Told {
        /// What went wrong, with the value and the limit.
        message: String,
        /// The next step.
        hint: Option<String>,
    },
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Told {
            message: message.into(),
            hint: None,
        }
    }

    /// The failure of an operation on `path`; `-` is named as the stream it stands for.
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe && path == Path::new("-") {
            return Self::BrokenPipe;
        }
        let place = if path == Path::new("-") {
            "standard stream".into()
        } else {
            path.to_string_lossy()
        };
        let failure = Self::new(format!("{place}: {}", plain(error)));
        match error.kind() {
            io::ErrorKind::NotFound => failure.hint("check the path"),
            io::ErrorKind::StorageFull => {
                failure.hint("free some room and run the same command again")
            }
            _ => failure,
        }
    }

    /// The same failure with its next step.
    pub(crate) fn hint(self, next: impl Into<String>) -> Self {
        match self {
            Self::Told {
                message,
                hint: None,
            } => Self::Told {
                message,
                hint: Some(next.into()),
            },
            other => other,
        }
    }

    /// The same failure, its message prefixed with where it happened.
    pub(crate) fn context(self, place: impl fmt::Display) -> Self {
        match self {
            Self::Told { message, hint } => Self::Told {
                message: format!("{place}: {message}"),
                hint,
            },
            other => other,
        }
    }

    /// The message, then the next step.
    pub(crate) fn lines(&self) -> (String, Option<&str>) {
        match self {
            Self::BrokenPipe => ("standard output was closed".to_owned(), None),
            Self::Told { message, hint } => (message.clone(), hint.as_deref()),
        }
    }
}

/// The system's words without the error number, lower case like ours.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.to_string())
    }
}

//! One error type for the whole toolkit.
//!
//! An [`Error`] is one word wide, so a `Result` stays cheap on the token path. Callers branch on
//! [`Error::kind`]; people read the message, which names the offending value and the limit and
//! never contains key material.

use std::{error, fmt};

/// What went wrong, coarsely enough to branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A parameter lies outside its range.
    Parameter,
    /// Key bytes or a key file are malformed, or a key may not be used this way.
    Key,
    /// A key path breaks the grammar of SPEC.md §2.
    Path,
    /// A mark record is malformed.
    Record,
    /// Two things that must belong together do not (key and record, model and tokenizer).
    Mismatch,
    /// Logits that no distribution can be made from.
    Logits,
    /// A token id that is not in the vocabulary.
    Token,
    /// A file or line that is not what its format demands.
    Format,
    /// A size limit was exceeded.
    Limit,
    /// The request is well formed but this version cannot serve it.
    Unsupported,
    /// Reading or writing failed.
    Io,
}

/// The error of every Taggant library.
///
/// ```
/// use taggant_core::{ErrorKind, Path};
///
/// let error = "2026-12/campaign".parse::<Path>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Path);
/// assert_eq!(
///     error.to_string(),
///     "key path `2026-12/campaign` has 2 labels; 3 are needed: epoch/role/id"
/// );
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn error::Error + Send + Sync>>,
}

/// `Result` with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind`. The message is lower case, without a full stop, and names the value
    /// and the limit; it must never contain key material.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            source: None,
        }))
    }

    /// The same error with its cause attached.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error, its message prefixed with where it happened (`"line 3"`, a file name).
    #[must_use]
    pub fn context(mut self, place: impl fmt::Display) -> Self {
        self.0.message = format!("{place}: {}", self.0.message);
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn context_comes_first_and_the_kind_stays() {
        let error = Error::new(ErrorKind::Token, "token 9 is not below 8").context("line 3");
        assert_eq!(error.to_string(), "line 3: token 9 is not below 8");
        assert_eq!(error.kind(), ErrorKind::Token);
    }
}

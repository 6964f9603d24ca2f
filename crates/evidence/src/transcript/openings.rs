//! The texts behind a transcript's digests, each of which can be withheld (SPEC.md §8.2).

use std::io::{BufRead, Read};

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};
use taggant_core::{Error, ErrorKind, Result};

use super::entry::field_digest;
use crate::digest::Digest;

/// Longest field, in bytes.
pub const MAX_FIELD: usize = 1 << 24;

/// Longest line: a field of control characters, of which JSON makes six bytes each, and the rest.
const MAX_LINE: u64 = (MAX_FIELD as u64) * 6 + 4096;

/// One line of the file of openings: a field that is shown, as text or in base64 if it is none, or withheld.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    attempt: u64,
    field: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    salt: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    withheld: Option<Withheld>,
}

/// Who withholds a field, and why. Nobody does it in silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withheld {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What an opening shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Bytes, and the digest that stands for them in the transcript.
    Bytes(Vec<u8>, Digest),
    /// Nothing.
    Withheld(Withheld),
}

impl Opening {
    /// An opening, and the digest that stands for it.
    #[must_use]
    pub fn new(attempt: u64, field: &str, salt: [u8; 32], bytes: &[u8]) -> (Self, Digest) {
        let text = std::str::from_utf8(bytes).ok().map(str::to_owned);
        let opening = Self {
            base64: text.is_none().then(|| Base64::encode_string(bytes)),
            text,
            salt: Some(salt.into()),
            ..Self::bare(attempt, field)
        };
        (opening, field_digest(attempt, field, &salt, bytes))
    }

    /// The same place with nothing shown.
    #[must_use]
    pub fn withhold(&self, withheld: Withheld) -> Self {
        Self {
            withheld: Some(withheld),
            ..Self::bare(self.attempt, &self.field)
        }
    }

    fn bare(attempt: u64, field: &str) -> Self {
        Self {
            attempt,
            field: field.to_owned(),
            salt: None,
            text: None,
            base64: None,
            withheld: None,
        }
    }

    /// The attempt's number; 0 for what belongs to no attempt.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.attempt
    }

    /// The field's name.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What it shows.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for bytes that are not in base64, and for an opening that neither shows nor withholds, or does both.
    pub fn shown(&self) -> Result<Shown> {
        let wrong = |fault: &str| {
            let place = format!("attempt {}, {}", self.attempt, self.field.escape_debug());
            Error::new(ErrorKind::Format, format!("{place}: {fault}"))
        };
        let (salt, bytes) = match (&self.salt, &self.text, &self.base64, &self.withheld) {
            (Some(salt), Some(text), None, None) => (salt, text.clone().into_bytes()),
            (Some(salt), None, Some(text), None) => {
                let bytes = Base64::decode_vec(text).map_err(|_| wrong("not base64"))?;
                // One field has one spelling.
                if std::str::from_utf8(&bytes).is_ok() {
                    return Err(wrong("text in base64"));
                }
                (salt, bytes)
            }
            (None, None, None, Some(withheld)) => return Ok(Shown::Withheld(withheld.clone())),
            _ => {
                return Err(wrong(
                    "it needs a salt and a text, or the reason why they are withheld",
                ));
            }
        };
        let digest = field_digest(self.attempt, &self.field, salt.bytes(), &bytes);
        Ok(Shown::Bytes(bytes, digest))
    }
}

/// Reads openings one at a time.
#[derive(Debug)]
pub struct Openings<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
}

/// Reads a file of openings.
pub fn read_openings<R: BufRead>(input: R) -> Openings<R> {
    Openings {
        input,
        line: Vec::new(),
        number: 0,
    }
}

impl<R: BufRead> Openings<R> {
    /// Bytes of the line that was read last.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.line.len() as u64
    }
}

/// Openings in order; the end is that of the file, or a last line that is not whole. [`ErrorKind::Io`], and [`ErrorKind::Format`] for a line that is no opening.
impl<R: BufRead> Iterator for Openings<R> {
    type Item = Result<Opening>;

    fn next(&mut self) -> Option<Result<Opening>> {
        self.line.clear();
        self.number += 1;
        let number = self.number;
        let wrong = |kind, fault: String| {
            Some(Err(Error::new(
                kind,
                format!("openings, line {number}: {fault}"),
            )))
        };
        let read = (&mut self.input)
            .take(MAX_LINE)
            .read_until(b'\n', &mut self.line);
        if let Err(error) = read {
            return wrong(ErrorKind::Io, error.to_string());
        }
        let Some(text) = self.line.strip_suffix(b"\n") else {
            if self.line.len() as u64 == MAX_LINE {
                return wrong(ErrorKind::Limit, format!("more than {MAX_LINE} bytes"));
            }
            return None;
        };
        match serde_json::from_slice::<Opening>(text) {
            Ok(opening) if serde_json::to_vec(&opening).is_ok_and(|own| own == text) => {
                Some(Ok(opening))
            }
            Ok(_) => wrong(
                ErrorKind::Format,
                "spelled in another way than openings are".to_owned(),
            ),
            // The parser's own words may quote what was said.
            Err(error) => wrong(
                ErrorKind::Format,
                format!("no opening (column {})", error.column()),
            ),
        }
    }
}

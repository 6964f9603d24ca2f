//! Numbers that are signed as they were written.

use std::fmt;
use std::str::FromStr;

use taggant_core::{Error, ErrorKind, Result};

use crate::text::as_text;

/// A decimal number in the spelling it was written in: digits with at most one point, or one digit with a power of ten.
#[derive(Clone, PartialEq, Eq)]
pub struct Decimal {
    text: String,
}

impl Decimal {
    /// Its value, for computing. Never printed.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.text.parse().unwrap_or(f64::NAN)
    }
}

impl FromStr for Decimal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (digits, power) = text.split_once("e-").unwrap_or((text, "0"));
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        let known =
            text.len() <= 24 && plain(whole) && plain(part) && plain(power) && power.len() <= 3;
        if known && text.parse::<f64>().is_ok_and(f64::is_finite) {
            return Ok(Self {
                text: text.to_owned(),
            });
        }
        let shown: String = text.escape_debug().take(40).collect();
        Err(Error::new(
            ErrorKind::Format,
            format!("`{shown}` is no decimal number like 0.7 or 1e-6"),
        ))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(
    Decimal,
    "a decimal number in quotes, like \"0.7\" or \"1e-6\""
);

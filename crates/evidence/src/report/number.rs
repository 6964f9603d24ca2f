//! Numbers of a report, as decimal strings: what is printed is what is stored, and nothing depends on how a float prints.

use std::fmt;
use std::str::FromStr;

use taggant_core::{Error, ErrorKind, Result};

use crate::text::as_text;

/// More digits than this would claim a precision that no assumption behind the number has.
const DIGITS: i32 = 4;

/// A decimal number of at most four significant digits, maybe with a minus, such as `-12.3` or `0.052`.
#[derive(Clone, PartialEq, Eq)]
pub struct Number {
    text: String,
}

impl Number {
    /// The smallest such number that is not below `value`: for probabilities and other upper limits.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a value that is not finite or that is 1e12 or more in size.
    pub fn up(value: f64) -> Result<Self> {
        Self::rounded(value, f64::ceil)
    }

    /// The largest such number that is not above `value`: for e-values and other lower limits.
    ///
    /// # Errors
    /// As [`Number::up`].
    pub fn down(value: f64) -> Result<Self> {
        Self::rounded(value, f64::floor)
    }

    fn rounded(value: f64, direction: fn(f64) -> f64) -> Result<Self> {
        if value.is_finite() && value.abs() < 1e12 {
            return Ok(Self {
                text: decimal(value, DIGITS, direction),
            });
        }
        Err(Error::new(
            ErrorKind::Parameter,
            format!("{value} cannot stand in a report; a finite number below 1e12 can"),
        ))
    }

    /// Its value, for comparing and drawing. Never printed.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.text.parse().unwrap_or(f64::NAN)
    }
}

/// `value` with at most `digits` significant digits, rounded by `direction`, in one spelling: no exponent, no zeros at the end of a fraction.
pub(super) fn decimal(value: f64, digits: i32, direction: fn(f64) -> f64) -> String {
    let spelled = format!("{value:e}");
    let exponent = spelled.split_once('e').map_or("0", |(_, power)| power);
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let decimals = (digits - 1 - exponent).min(12);
    let scale = 10_f64.powi(decimals.abs());
    let scaled = if decimals < 0 {
        value / scale
    } else {
        value * scale
    };
    // 0.3 % is not exactly 0.003: what a float cannot hold does not count as more.
    let near = scaled.round();
    let whole = if (scaled - near).abs() < 1e-6 {
        near
    } else {
        direction(scaled)
    };
    let text = if decimals < 0 {
        format!("{:.0}", whole * scale)
    } else {
        format!("{:.*}", decimals.unsigned_abs() as usize, whole / scale)
    };
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    match text {
        "-0" => "0".to_owned(),
        text => text.to_owned(),
    }
}

impl FromStr for Number {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let size = text.strip_prefix('-').unwrap_or(text);
        let (whole, part) = size.split_once('.').unwrap_or((size, "0"));
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let spelled = text.len() <= 24
            && plain(whole)
            && plain(part)
            && (whole == "0" || !whole.starts_with('0'))
            && !(text.starts_with('-') && size.bytes().all(|byte| b"0.".contains(&byte)));
        let digits = size.replace('.', "");
        let digits = digits.trim_start_matches('0');
        let significant = if size.contains('.') {
            digits
        } else {
            digits.trim_end_matches('0')
        };
        if spelled && significant.len() <= DIGITS.unsigned_abs() as usize {
            return Ok(Self {
                text: text.to_owned(),
            });
        }
        let shown: String = text.escape_debug().take(40).collect();
        Err(Error::new(
            ErrorKind::Format,
            format!("`{shown}` is no decimal number of at most {DIGITS} significant digits"),
        ))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

as_text!(
    Number,
    "a decimal number of at most 4 significant digits in quotes, like \"-12.34\""
);

/// The common logarithm of a probability: a [`Number`] that is not above 0. Some widely used libraries return tails above 1, and none such gets in here.
#[derive(Clone, PartialEq, Eq)]
pub struct LogP(Number);

impl LogP {
    /// Rounded up, so that the probability is never stated smaller than it is.
    ///
    /// # Errors
    /// As [`Number::up`], and for a logarithm above 0.
    pub fn up(log10: f64) -> Result<Self> {
        Number::up(log10).and_then(Self::of)
    }

    fn of(number: Number) -> Result<Self> {
        if number.value() <= 0.0 {
            return Ok(Self(number));
        }
        Err(Error::new(
            ErrorKind::Format,
            format!("{number} as log10 of a probability: the probability would be above 1"),
        ))
    }

    /// Its value, for comparing and drawing. Never printed.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.0.value()
    }
}

impl FromStr for LogP {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().and_then(Self::of)
    }
}

impl fmt::Display for LogP {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

as_text!(
    LogP,
    "the log10 of a probability in quotes: at most 0, with at most 4 significant digits"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_keeps_four_digits_and_never_flatters() {
        for (value, up, down) in [
            (-12.345_67, "-12.34", "-12.35"),
            (0.0, "0", "0"),
            (-40.0, "-40", "-40"),
            (0.003, "0.003", "0.003"),
            (-0.000_012_345, "-0.000012", "-0.000013"),
            (99_999.0, "100000", "99990"),
            (-34_743.9, "-34740", "-34750"),
        ] {
            let value: f64 = value;
            let (found_up, found_down) = (Number::up(value).unwrap(), Number::down(value).unwrap());
            if value.abs() >= 1e-4 || value == 0.0 {
                assert_eq!(
                    (found_up.to_string(), found_down.to_string()),
                    (up.to_owned(), down.to_owned())
                );
            }
            assert!(found_down.value() <= value && value <= found_up.value());
            for number in [found_up, found_down] {
                assert_eq!(number.to_string().parse::<Number>().unwrap(), number);
            }
        }
        assert!(Number::up(f64::NEG_INFINITY).is_err());
    }

    #[test]
    fn a_number_has_one_spelling_and_a_probability_is_at_most_one() {
        for bad in [
            "", "-", "+1", "01", "1.", ".5", "1e-3", "-0", "-0.0", "12345", "0.12345", "1.2345",
            "½",
        ] {
            assert!(bad.parse::<Number>().is_err(), "{bad}");
        }
        assert!("12340000".parse::<Number>().is_ok());
        assert!("0.1877".parse::<LogP>().is_err());
        assert!("-0.1877".parse::<LogP>().is_ok());
    }
}

//! Moments in UTC. The caller brings the clock.

use std::fmt;
use std::str::FromStr;

use taggant_core::{Error, ErrorKind, Result};

use crate::text::as_text;

/// A moment in UTC, to the millisecond, from 1970 to 9999, without leap seconds; written `2026-12-01T09:30:00.000Z` (RFC 3339).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

/// 10000-01-01T00:00:00Z.
const END: u64 = 253_402_300_800_000;

const DAY: u64 = 86_400_000;

impl Time {
    /// The moment this many milliseconds after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] from the year 10000 on.
    pub fn from_unix_millis(millis: u64) -> Result<Self> {
        if millis < END {
            return Ok(Self(millis));
        }
        Err(Error::new(
            ErrorKind::Parameter,
            format!("{millis} ms after 1970 is past the year 9999; check the clock"),
        ))
    }

    /// Milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_millis(self) -> u64 {
        self.0
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms", 2013). Years count
/// from March, so that the leap day is a year's last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

/// The inverse of [`days`].
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * of_era + of_era / 4 - of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let month = (march + 2) % 12 + 1;
    let year = 400 * era + of_era + u64::from(month <= 2);
    (year, month, of_year - (153 * march + 2) / 5 + 1)
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.0 / DAY);
        let millis = self.0 % DAY;
        let (hour, minute) = (millis / 3_600_000, millis / 60_000 % 60);
        let (second, rest) = (millis / 1000 % 60, millis % 1000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{rest:03}Z"
        )
    }
}

impl FromStr for Time {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = parse(text).filter(|time| time.to_string() == text);
        parsed.ok_or_else(|| {
            let shown: String = text.escape_debug().take(40).collect();
            Error::new(
                ErrorKind::Format,
                format!("time `{shown}` is not YYYY-MM-DDThh:mm:ss.sssZ from 1970 to 9999"),
            )
        })
    }
}

/// Reads the numbers where they should stand; what it makes of anything else does not print as the same text.
fn parse(text: &str) -> Option<Time> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if year < 1970 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let clock = (number(11, 13)? * 60 + number(14, 16)?) * 60 + number(17, 19)?;
    let millis = days(year, month, day) * DAY + clock * 1000 + number(20, 23)?;
    (millis < END).then_some(Time(millis))
}

as_text!(Time, "a time in UTC");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_until_the_year_10000_goes_there_and_back() {
        let mut expected = (1970, 1, 1);
        for day in 0..END / DAY {
            assert_eq!(date(day), expected);
            assert_eq!(days(expected.0, expected.1, expected.2), day);
            let leap = expected.0 % 4 == 0 && (expected.0 % 100 != 0 || expected.0 % 400 == 0);
            let last = match expected.1 {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            expected = match expected {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == last => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
        }
    }

    #[test]
    fn one_moment_has_one_spelling() {
        let text = "2026-12-01T09:30:05.007Z";
        let time: Time = text.parse().unwrap();
        assert_eq!(
            (time.unix_millis(), time.to_string()),
            (1_796_117_405_007, text.to_owned())
        );
        assert!(Time::from_unix_millis(END).is_err());
        assert_eq!(
            Time::from_unix_millis(END - 1).unwrap().to_string(),
            "9999-12-31T23:59:59.999Z"
        );
        for bad in [
            "",
            "2026-12-01T09:30:05Z",
            "2026-12-01 09:30:05.007Z",
            "2026-12-01T09:30:05.007+00:00",
            "2026-02-29T09:30:05.007Z",
            "2026-13-01T09:30:05.007Z",
            "2026-12-01T24:00:00.000Z",
            "2026-12-01T09:60:05.007Z",
            "1969-12-31T23:59:59.999Z",
            "+026-12-01T09:30:05.007Z",
            "2026-12-0éT09:30:05.007Z",
        ] {
            assert_eq!(
                bad.parse::<Time>().unwrap_err().kind(),
                ErrorKind::Format,
                "{bad}"
            );
        }
    }
}

//! Which statistic of the words is primary (SPEC.md §5.1). A record fixes it before anything is seen.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// The primary statistic of a mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Score {
    /// The sum of the scheme's own unit scores: exact tails.
    #[default]
    Sum,
    /// `tournament`: early rounds count more, 10 to 1 (Dathathri et al. 2024, weighted mean).
    Weighted,
    /// `gumbel`: the maximin score against models whose largest probability is at most 0.9 (Li et al. 2025, Theorem 3.1).
    Maximin,
}

impl Score {
    /// Every statistic.
    pub const ALL: [Self; 3] = [Self::Sum, Self::Weighted, Self::Maximin];

    /// The statistic's name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Weighted => "weighted",
            Self::Maximin => "maximin",
        }
    }

    /// Checks that the statistic is one of `scheme`'s.
    pub(crate) fn check(self, scheme: &str) -> Result<()> {
        let wants = match self {
            Self::Sum => return Ok(()),
            Self::Weighted => "tournament/1",
            Self::Maximin => "gumbel/1",
        };
        if scheme == wants {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Parameter,
            format!("score `{self}` is a statistic of {wants}; the scheme is {scheme}"),
        ))
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Score {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|score| score.name() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::name).join(", ");
                Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "score `{}` is unknown; this version knows {known}",
                        text.escape_debug()
                    ),
                )
            })
    }
}

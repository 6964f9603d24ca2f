//! What a check says.

use std::fmt;

/// One check of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its code (SPEC.md §9.2), which does not change.
    pub code: &'static str,
    /// What came of it.
    pub status: Status,
    /// What it rests on, or what is wrong: files, values and limits.
    pub detail: String,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It could not be run: what it rests on is missing or failed.
    NotChecked,
}

impl Status {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::NotChecked => "NOT CHECKED",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:11}  {:22}  {}",
            self.status.name(),
            self.code,
            self.detail
        )
    }
}

/// All checks of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// In the order they were run.
    pub checks: Vec<Check>,
}

impl Outcome {
    /// The weakest of all: a bundle holds when every check does.
    #[must_use]
    pub fn status(&self) -> Status {
        let any = |status| self.checks.iter().any(|check| check.status == status);
        if any(Status::Fail) {
            Status::Fail
        } else if self.checks.is_empty() || any(Status::NotChecked) {
            Status::NotChecked
        } else {
            Status::Pass
        }
    }

    /// Keeps what a check says; gives its value if it holds.
    pub(super) fn keep<T>(
        &mut self,
        code: &'static str,
        found: Result<(T, String), String>,
    ) -> Option<T> {
        let (status, detail, value) = match found {
            Ok((value, detail)) => (Status::Pass, detail, Some(value)),
            Err(fault) => (Status::Fail, fault, None),
        };
        self.checks.push(Check {
            code,
            status,
            detail,
        });
        value
    }

    /// Runs a check on what it rests on, if that is there.
    pub(super) fn run<T, U>(
        &mut self,
        code: &'static str,
        rests_on: Option<T>,
        check: impl FnOnce(T) -> Result<(U, String), String>,
    ) -> Option<U> {
        let Some(rests_on) = rests_on else {
            self.skip(code, "what it rests on is missing or does not hold");
            return None;
        };
        self.keep(code, check(rests_on))
    }

    /// Keeps that something is as it should be, or why that cannot be said: no fault of the bundle, and no bundle passes without it.
    pub(super) fn require(&mut self, code: &'static str, holds: Option<Result<String, String>>) {
        match holds {
            Some(Err(why)) => self.skip(code, &why),
            holds => {
                let holds = holds.and_then(Result::ok);
                self.run(code, holds, |detail| Ok(((), detail)));
            }
        }
    }

    /// Keeps that a check could not be run.
    pub(super) fn skip(&mut self, code: &'static str, why: &str) {
        self.checks.push(Check {
            code,
            status: Status::NotChecked,
            detail: why.to_owned(),
        });
    }
}

//! The primary test under other assumptions, settled in the plan (`sensitivity`): a result that hangs on one of them shows it.

use serde::Serialize;
use taggant_core::LeafKey;
use taggant_detector::{Scored, Units};
use taggant_evidence::plan::{Mode, Test};

/// What is assumed otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Assumption {
    /// Nothing of the keyed function: the score's rank among the committed control keys.
    Rank,
    /// Answers to one prompt depend on each other: only the first of each counts.
    FirstAnswers,
    /// Half of the prompts, as drawn: the first, the third and so on.
    OddPrompts,
    /// The other half.
    EvenPrompts,
}

impl Assumption {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Rank, "rank"),
        (Self::FirstAnswers, "first-answers"),
        (Self::OddPrompts, "odd-prompts"),
        (Self::EvenPrompts, "even-prompts"),
    ];

    /// Those that a plan asks for.
    pub(super) fn planned(tests: &[Test]) -> Result<Vec<Self>, String> {
        let one = |test: &Test| {
            let own = Self::ALL.iter().find(|(_, name)| *name == test.statistic);
            match (test.mode, own) {
                (Mode::Closed, Some((own, _))) => Ok(*own),
                _ => {
                    let known: Vec<&str> = Self::ALL.iter().map(|(_, name)| *name).collect();
                    Err(format!(
                        "the plan's sensitivity set asks for `{}`; this version computes, for the closed test, {}",
                        test.statistic.escape_debug(),
                        known.join(", ")
                    ))
                }
            }
        };
        tests.iter().map(one).collect()
    }

    /// Whether an answer counts: prompts and answers are numbered from 0.
    pub(super) fn takes(self, prompt: u32, answer: u32) -> bool {
        match self {
            Self::Rank => false,
            Self::FirstAnswers => answer == 0,
            Self::OddPrompts => prompt.is_multiple_of(2),
            Self::EvenPrompts => !prompt.is_multiple_of(2),
        }
    }

    /// In the words of a report.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Rank => "nothing of the keyed function: the rank among the control keys alone",
            Self::FirstAnswers => {
                "that answers to one prompt depend on each other: only the first to each counts"
            }
            Self::OddPrompts => "only the first, third, fifth … of the prompts drawn",
            Self::EvenPrompts => "only the second, fourth, sixth … of the prompts drawn",
        }
    }
}

/// The tested keys' scores on the units that an assumption leaves.
pub(super) struct Set {
    pub(super) assumption: Assumption,
    pub(super) units: u64,
    pub(super) tested: Vec<Scored>,
}

impl Set {
    pub(super) fn of(assumption: Assumption, units: &Units, keys: &[LeafKey]) -> Self {
        Self {
            assumption,
            units: units.len() as u64,
            tested: units.score(&keys.iter().collect::<Vec<_>>(), 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_in_one_half_and_names_are_those_that_are_written() {
        for (assumption, name) in Assumption::ALL {
            assert_eq!(serde_json::to_value(assumption).unwrap(), name);
        }
        for prompt in 0..5 {
            let [odd, even] =
                [Assumption::OddPrompts, Assumption::EvenPrompts].map(|half| half.takes(prompt, 1));
            assert!(odd != even);
        }
        let test = |mode, statistic: &str| Test {
            mode,
            statistic: statistic.to_owned(),
        };
        assert_eq!(
            Assumption::planned(&[test(Mode::Closed, "rank")]),
            Ok(vec![Assumption::Rank])
        );
        for other in [test(Mode::Open, "rank"), test(Mode::Closed, "plain")] {
            assert!(
                Assumption::planned(&[other])
                    .unwrap_err()
                    .contains("first-answers")
            );
        }
    }
}

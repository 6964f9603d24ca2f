//! What the lines of a transcript add up to, and which may stand next (SPEC.md §8.1).

use std::collections::{HashMap, HashSet};

use serde::de::{Error as _, MapAccess};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};

use super::entry::{Attempt, Closed, Entry, FORMAT, Failure, HEADERS, Opened, Sent};
use crate::chain::{self, FaultKind, Flaw};

/// Most questions of a transcript: suspects × prompts × answers.
const MAX_QUESTIONS: u64 = 1 << 30;

/// Why nothing more is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Ending {
    /// Every question was answered.
    Complete,
    /// The plan's budget does not cover another attempt.
    Budget,
    /// Questions remain that were tried as often as is allowed.
    Unanswered,
    /// Somebody ended it; words say why.
    Abandoned,
}

/// The questions of a transcript: one for each suspect, prompt and answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    suspects: u32,
    prompts: u32,
    answers: u32,
    /// A bit for each question that was answered.
    answered: Vec<u64>,
}

impl Questions {
    fn new(suspects: u32, prompts: u32, answers: u32) -> Option<Self> {
        let questions = u64::from(suspects)
            .checked_mul(u64::from(prompts))?
            .checked_mul(u64::from(answers))?;
        let words = usize::try_from(questions.div_ceil(64)).ok()?;
        (1..=MAX_QUESTIONS).contains(&questions).then(|| Self {
            suspects,
            prompts,
            answers,
            answered: vec![0; words],
        })
    }

    /// All of them.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::from(self.suspects) * u64::from(self.prompts) * u64::from(self.answers)
    }

    /// Those that were answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum()
    }

    /// The place of a question, if it is one.
    #[must_use]
    pub fn place(&self, suspect: u32, prompt: u32, answer: u32) -> Option<u64> {
        let is_one = suspect < self.suspects && prompt < self.prompts && answer < self.answers;
        // Suspects change fastest, then answers: whatever ends a collection, all suspects were asked about alike.
        is_one.then(|| {
            (u64::from(prompt) * u64::from(self.answers) + u64::from(answer))
                * u64::from(self.suspects)
                + u64::from(suspect)
        })
    }

    /// Suspect, prompt and answer at a place.
    #[must_use]
    pub fn at(&self, place: u64) -> Option<(u32, u32, u32)> {
        let (suspects, answers) = (u64::from(self.suspects), u64::from(self.answers));
        let narrow = |number: u64| u32::try_from(number).ok();
        (place < self.count()).then_some(())?;
        Some((
            narrow(place % suspects)?,
            narrow(place / suspects / answers)?,
            narrow(place / suspects % answers)?,
        ))
    }

    /// Whether the question at a place was answered.
    #[must_use]
    pub fn is_answered(&self, place: u64) -> bool {
        let (word, bit) = Self::bit(place);
        self.answered.get(word).is_some_and(|word| word & bit != 0)
    }

    fn set(&mut self, place: u64) {
        let (word, bit) = Self::bit(place);
        if let Some(word) = self.answered.get_mut(word) {
            *word |= bit;
        }
    }

    fn bit(place: u64) -> (usize, u64) {
        (
            usize::try_from(place / 64).unwrap_or(usize::MAX),
            1 << (place % 64),
        )
    }
}

/// What the lines of a transcript add up to.
#[derive(Clone, Debug, Default)]
pub struct Story {
    opened: Option<Box<Opened>>,
    questions: Questions,
    /// Attempts under way, and the places of their questions.
    open: HashMap<u64, u64>,
    /// The same places.
    asked: HashSet<u64>,
    attempts: u64,
    answers: u64,
    failed: u64,
    lost: u64,
    tokens: u64,
    unknown: u64,
    closed: Option<Closed>,
}

impl Story {
    /// The first line.
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_deref()
    }

    /// What is asked, and what of it was answered.
    #[must_use]
    pub fn questions(&self) -> &Questions {
        &self.questions
    }

    /// Attempts, however they ended.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Attempts that brought an answer.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// Attempts that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Attempts of which nobody knows what became.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Attempts under way, by number.
    #[must_use]
    pub fn under_way(&self) -> Vec<u64> {
        let mut open: Vec<u64> = self.open.keys().copied().collect();
        open.sort_unstable();
        open
    }

    /// Tokens that may have been spent: those that suspects counted, never more for an answer than it may have; and as many as it may have for each attempt that is under way, was lost or
    /// timed out, or whose answer was not counted.
    #[must_use]
    pub fn spent(&self) -> u64 {
        let unknown = self.unknown + self.open.len() as u64;
        self.tokens
            .saturating_add(unknown.saturating_mul(self.most()))
    }

    /// Most tokens of an answer.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.opened
            .as_ref()
            .map_or(0, |opened| opened.max_tokens.into())
    }

    fn over(&mut self, attempt: u64) -> Option<u64> {
        let place = self.open.remove(&attempt)?;
        self.asked.remove(&place);
        Some(place)
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn closed(&self) -> Option<&Closed> {
        self.closed.as_ref()
    }

    fn sends(&self, sent: &Sent) -> Result<(), Flaw> {
        let next = self.attempts + 1;
        if sent.attempt != next {
            return Err((
                FaultKind::Misplaced,
                format!(
                    "attempt {} stands where attempt {next} should",
                    sent.attempt
                ),
            ));
        }
        let unknown = |detail: String| Err((FaultKind::Unknown, detail));
        let Some(place) = self.questions.place(sent.suspect, sent.prompt, sent.answer) else {
            return unknown(format!(
                "it asks suspect {}, prompt {}, answer {}, which is none of the questions",
                sent.suspect, sent.prompt, sent.answer
            ));
        };
        if self.questions.is_answered(place) || self.asked.contains(&place) {
            return unknown(format!(
                "attempt {next} asks what was answered or is being asked"
            ));
        }
        Ok(())
    }

    fn ends(&self, attempt: u64) -> Result<(), Flaw> {
        if self.open.contains_key(&attempt) {
            return Ok(());
        }
        Err((
            FaultKind::Unknown,
            format!("attempt {attempt} is not under way"),
        ))
    }
}

impl chain::Story for Story {
    const NAME: &'static str = "a transcript";
    const DOMAIN: &'static [u8] = b"taggant/v1/transcript-line";
    const ONE_SPELLING: bool = true;
    type Entry = Entry;

    fn write<M: SerializeMap>(entry: &Entry, line: &mut M) -> Result<(), M::Error> {
        match entry {
            Entry::Opened(opened) => line.serialize_entry("opened", opened),
            Entry::Sent(sent) => line.serialize_entry("sent", sent),
            Entry::Answered(answered) => line.serialize_entry("answered", answered),
            Entry::Failed(failed) => line.serialize_entry("failed", failed),
            Entry::Lost(attempt) => line.serialize_entry("lost", attempt),
            Entry::Resumed(program) => line.serialize_entry("resumed", program),
            Entry::Closed(closed) => line.serialize_entry("closed", closed),
        }
    }

    fn read<'de, M: MapAccess<'de>>(
        name: &str,
        line: &mut M,
    ) -> Result<Option<Result<Entry, String>>, M::Error> {
        let entry = match name {
            "opened" => {
                let opened: Box<Opened> = line.next_value()?;
                if opened.format != FORMAT {
                    return Ok(Some(Err(format!("its format is not {FORMAT}"))));
                }
                Entry::Opened(opened)
            }
            "sent" => Entry::Sent(line.next_value()?),
            "answered" => Entry::Answered(line.next_value()?),
            "failed" => Entry::Failed(line.next_value()?),
            "lost" => Entry::Lost(line.next_value()?),
            "resumed" => Entry::Resumed(line.next_value()?),
            "closed" => Entry::Closed(line.next_value()?),
            _ => return Err(M::Error::custom("a field that is not known")),
        };
        let headers = match &entry {
            Entry::Answered(answered) => Some(&answered.headers),
            Entry::Failed(failed) => Some(&failed.headers),
            _ => None,
        };
        let mut names = headers.into_iter().flat_map(|headers| headers.keys());
        if names.any(|name| !HEADERS.contains(&name.as_str())) {
            return Ok(Some(Err("it keeps a header that is not kept".to_owned())));
        }
        if let Entry::Closed(closed) = &entry
            && (closed.because == Ending::Abandoned) != closed.words.is_some()
        {
            return Ok(Some(Err(
                "it was abandoned without words, or has words and was not".to_owned(),
            )));
        }
        Ok(Some(Ok(entry)))
    }

    fn follows(&self, first: bool, entry: &Entry) -> Result<(), Flaw> {
        if first != matches!(entry, Entry::Opened(_)) {
            return Err((
                FaultKind::Misplaced,
                "a transcript is opened in line 1 and nowhere else".to_owned(),
            ));
        }
        if self.closed.is_some() {
            return Err((
                FaultKind::Misplaced,
                "it stands behind the end of the transcript".to_owned(),
            ));
        }
        match entry {
            Entry::Opened(opened) => {
                let suspects = u32::try_from(opened.suspects.len()).unwrap_or(u32::MAX);
                Questions::new(suspects, opened.prompts, opened.answers).map(drop).ok_or_else(|| {
                    let detail = format!(
                        "{suspects} suspects, {} prompts and {} answers; 1 to {MAX_QUESTIONS} questions are allowed",
                        opened.prompts, opened.answers
                    );
                    (FaultKind::Malformed, detail)
                })
            }
            Entry::Sent(sent) => self.sends(sent),
            Entry::Answered(answered) => self.ends(answered.attempt),
            Entry::Failed(failed) => self.ends(failed.attempt),
            Entry::Lost(Attempt { attempt }) => self.ends(*attempt),
            Entry::Resumed(_) => Ok(()),
            Entry::Closed(closed) => {
                let complete = self.questions.answered() == self.questions.count();
                if !self.open.is_empty() {
                    return Err((
                        FaultKind::Misplaced,
                        "it ends while attempts are under way".to_owned(),
                    ));
                }
                if complete != (closed.because == Ending::Complete) {
                    return Err((
                        FaultKind::Misplaced,
                        format!(
                            "it ends as {:?}, and complete is {complete}",
                            closed.because
                        ),
                    ));
                }
                Ok(())
            }
        }
    }

    fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Opened(opened) => {
                let suspects = u32::try_from(opened.suspects.len()).unwrap_or(u32::MAX);
                self.questions =
                    Questions::new(suspects, opened.prompts, opened.answers).unwrap_or_default();
                self.opened = Some(opened.clone());
            }
            Entry::Sent(sent) => {
                self.attempts = sent.attempt;
                if let Some(place) = self.questions.place(sent.suspect, sent.prompt, sent.answer) {
                    self.open.insert(sent.attempt, place);
                    self.asked.insert(place);
                }
            }
            Entry::Answered(answered) => {
                if let Some(place) = self.over(answered.attempt) {
                    self.questions.set(place);
                }
                self.answers += 1;
                match answered.tokens {
                    Some(tokens) => {
                        self.tokens = self.tokens.saturating_add(tokens.min(self.most()));
                    }
                    None => self.unknown += 1,
                }
            }
            Entry::Failed(failed) => {
                self.over(failed.attempt);
                self.failed += 1;
                let answering = matches!(
                    failed.cause,
                    Failure::TimedOut | Failure::CutOff | Failure::Unreadable
                );
                self.unknown += u64::from(answering);
            }
            Entry::Lost(Attempt { attempt }) => {
                self.over(*attempt);
                self.lost += 1;
                self.unknown += 1;
            }
            Entry::Resumed(_) => {}
            Entry::Closed(closed) => self.closed = Some(closed.clone()),
        }
    }
}

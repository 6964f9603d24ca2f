//! Checks a chain line by line (SPEC.md §1.3).

use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead, Read};

use super::line::{Line, MAX_LINE, read};
use super::{Flaw, Story};
use crate::digest::Digest;
use crate::time::Time;

/// How a line is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// It has no line break at its end.
    Torn,
    /// It is not of the format.
    Malformed,
    /// It has another hash than it says.
    Changed,
    /// It says another number: lines are missing, or it was moved or repeated. Or it says out of turn what it says.
    Misplaced,
    /// It does not carry the hash of the line before it.
    Unlinked,
    /// Its time is before that of the line before it.
    Backwards,
    /// It names something that no earlier line holds.
    Unknown,
    /// A hash known from elsewhere is no line's.
    Absent,
}

impl FaultKind {
    /// The kind's name in SPEC.md §1.3.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Torn => "torn",
            Self::Malformed => "malformed",
            Self::Changed => "changed",
            Self::Misplaced => "misplaced",
            Self::Unlinked => "unlinked",
            Self::Backwards => "backwards",
            Self::Unknown => "unknown",
            Self::Absent => "absent",
        }
    }
}

/// The first thing that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The line's number in the file, from 1.
    pub line: u64,
    /// How it is wrong.
    pub kind: FaultKind,
    /// What differs. Never what was served.
    pub detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: {}: {}",
            self.line,
            self.kind.name(),
            self.detail
        )
    }
}

/// What the lines of a log add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Lines, the first included.
    pub lines: u64,
    /// Hash of the last line; make it known elsewhere and nothing up to it can be changed unseen. Zeros for no lines.
    pub head: Digest,
    /// Times of the first and the last line.
    pub times: Option<(Time, Time)>,
}

/// Takes the lines of a chain in order. Memory grows with what its [`Story`] keeps and no further.
#[derive(Clone, Debug, Default)]
pub struct Verifier<S> {
    summary: Summary,
    story: S,
    expected: HashSet<Digest>,
}

impl<S: Story> Verifier<S> {
    /// Before the first line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also looks for the line with this hash, which became known elsewhere when it was written.
    #[must_use]
    pub fn expecting(mut self, hash: Digest) -> Self {
        self.expected.insert(hash);
        self
    }

    /// Takes the next line, without its line break.
    ///
    /// # Errors
    /// What is wrong with it; the verifier stays where it was.
    pub fn line(&mut self, bytes: &[u8]) -> Result<Line<S::Entry>, Fault> {
        let number = self.summary.lines + 1;
        let fault = |(kind, detail)| Fault {
            line: number,
            kind,
            detail,
        };
        let line = read::<S>(bytes).map_err(fault)?;
        self.follows(&line).map_err(fault)?;
        self.take(&line.entry, line.hash, line.time);
        Ok(line)
    }

    /// What keeps a line from standing next in the chain.
    fn follows(&self, line: &Line<S::Entry>) -> Result<(), Flaw> {
        let number = self.summary.lines + 1;
        if line.number != number {
            let says = line.number;
            return Err((FaultKind::Misplaced, format!("it says it is line {says}")));
        }
        let told = self.story.follows(number == 1, &line.entry);
        if let Err((FaultKind::Misplaced, _)) = told {
            return told;
        }
        if line.previous != self.summary.head {
            return Err((
                FaultKind::Unlinked,
                format!(
                    "it follows a line with hash {}, the line before it has {}",
                    line.previous, self.summary.head
                ),
            ));
        }
        if let Some(last) = self.last_time().filter(|last| line.time < *last) {
            let time = line.time;
            return Err((
                FaultKind::Backwards,
                format!("its time is {time}, that of the line before it {last}"),
            ));
        }
        told
    }

    /// Takes an entry that may stand next.
    pub(super) fn take(&mut self, entry: &S::Entry, hash: Digest, time: Time) {
        self.story.take(entry);
        self.expected.remove(&hash);
        self.summary.lines += 1;
        self.summary.head = hash;
        let first = self.summary.times.map_or(time, |(first, _)| first);
        self.summary.times = Some((first, time));
    }

    pub(super) fn last_time(&self) -> Option<Time> {
        self.summary.times.map(|(_, last)| last)
    }

    /// What the lines so far add up to.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// What the lines so far tell.
    #[must_use]
    pub fn story(&self) -> &S {
        &self.story
    }

    /// What is wrong with a chain that ends here.
    #[must_use]
    pub fn end(&self) -> Option<Fault> {
        let line = self.summary.lines + 1;
        if line == 1 {
            return Some(Fault {
                line,
                kind: FaultKind::Torn,
                detail: "it ends before its first line".to_owned(),
            });
        }
        // The smallest, so that the answer is the same every time.
        self.expected.iter().min().map(|hash| Fault {
            line,
            kind: FaultKind::Absent,
            detail: format!("no line has the hash {hash} that is known from elsewhere"),
        })
    }
}

/// What became of checking a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome<S> {
    /// The lines before the fault, or all of them.
    pub summary: Summary,
    /// What they tell.
    pub story: S,
    /// The first fault, or none if the log is intact.
    pub fault: Option<Fault>,
}

impl<S: Story> Verifier<S> {
    /// Checks the lines of `input` up to its end or the first fault; `each` sees every good line and its bytes.
    ///
    /// # Errors
    /// Those of reading.
    pub fn verify(
        mut self,
        input: impl BufRead,
        mut each: impl FnMut(&Line<S::Entry>, &[u8]),
    ) -> io::Result<Outcome<S>> {
        let mut lines = Lines::new(input);
        let fault = loop {
            match self.next(&mut lines)? {
                Some(Ok(line)) => each(&line, lines.text()),
                Some(Err(fault)) => break Some(fault),
                None => break self.end(),
            }
        };
        Ok(Outcome {
            summary: self.summary,
            story: self.story,
            fault,
        })
    }

    /// Takes the next line of a file; `None` at its end.
    pub(super) fn next(
        &mut self,
        lines: &mut Lines<impl BufRead>,
    ) -> io::Result<Option<Result<Line<S::Entry>, Fault>>> {
        if !lines.advance()? {
            return Ok(None);
        }
        if lines.whole() || lines.text().len() > MAX_LINE {
            return Ok(Some(self.line(lines.text())));
        }
        Ok(Some(Err(Fault {
            line: self.summary.lines + 1,
            kind: FaultKind::Torn,
            detail: format!(
                "it ends after {} bytes without a line break",
                lines.text().len()
            ),
        })))
    }
}

/// Lines as bytes, one at a time, none longer than [`MAX_LINE`] held in full.
pub(super) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
        }
    }

    /// Reads a line; false at the end.
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        let limit = MAX_LINE as u64 + 1;
        let read = (&mut self.input)
            .take(limit)
            .read_until(b'\n', &mut self.buffer)?;
        Ok(read > 0)
    }

    /// Whether the line has its line break.
    pub(super) fn whole(&self) -> bool {
        self.buffer.last() == Some(&b'\n')
    }

    /// The line without its line break.
    pub(super) fn text(&self) -> &[u8] {
        self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer)
    }

    /// Bytes of the line, its line break included.
    pub(super) fn bytes(&self) -> u64 {
        self.buffer.len() as u64
    }

    /// Whether nothing follows.
    pub(super) fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.input.fill_buf()?.is_empty())
    }
}

//! Writes a transcript: texts first, then the lines that speak of them (SPEC.md §8.3).

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use taggant_core::{Error, ErrorKind, Result};

use super::entry::{self, Answered, Closed, Entry, Failed, Failure, Opened, Sent, SuspectDoor};
use super::openings::{MAX_FIELD, Opening, Shown, read_openings};
use super::story::{Ending, Story};
use crate::chain::{self, Lock, Log, Receipt};
use crate::digest::Digest;
use crate::time::Time;

/// An open transcript; the only writer of its two files.
#[derive(Debug)]
pub struct Transcript {
    log: Log<Story>,
    path: PathBuf,
    openings: File,
    /// Bytes of the openings that lines speak of.
    length: u64,
}

/// What opening a transcript found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Whether it is new.
    pub created: bool,
    /// The incomplete last line of a collector that was killed, now elsewhere.
    pub torn: Option<chain::Torn>,
    /// Attempts of which nobody knows what became.
    pub lost: Vec<u64>,
}

/// What is written down for good of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Its body.
    pub body: &'a [u8],
    /// Tokens, as the suspect counts them.
    pub tokens: Option<u64>,
    /// What the server calls the request.
    pub headers: std::collections::BTreeMap<String, String>,
    /// How long it took.
    pub milliseconds: u64,
}

/// What is written down for good of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer<'a> {
    /// Why.
    pub cause: Failure,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// What came in place of an answer.
    pub body: Option<&'a [u8]>,
    /// What the server calls the request.
    pub headers: std::collections::BTreeMap<String, String>,
    /// How long it took.
    pub milliseconds: u64,
}

/// Where suspects are asked: for each the plan's label, and address and model name in words with a salt.
pub type Doors<'a> = &'a [(&'a str, &'a str, [u8; 32])];

impl Transcript {
    /// Opens the transcript in a folder, `records.jsonl` and `openings.jsonl`, or makes it. Attempts that were under way when its last writer ended are written down as lost.
    ///
    /// # Errors
    /// Those of [`Log::open`]; [`ErrorKind::Mismatch`] for a transcript of another plan, draw or suspects, or of texts that are not there.
    pub fn open(
        folder: &Path,
        opened: Opened,
        doors: Doors<'_>,
        now: Time,
    ) -> Result<(Self, Found)> {
        let path = folder.join("openings.jsonl");
        let mut opened = opened;
        let mut first = Vec::new();
        for (number, (id, door, salt)) in (0_u32..).zip(doors) {
            let (opening, digest) =
                Opening::new(0, &format!("door.{number}"), *salt, door.as_bytes());
            first.push(opening);
            opened.suspects.push(SuspectDoor {
                id: (*id).to_owned(),
                door: digest,
            });
        }
        let records = folder.join("records.jsonl");
        // Before anything is touched: another collector may be at work.
        let lock = Lock::take(&records)?;
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let openings = options.open(&path).map_err(|error| failed(&path, error))?;
        let mut fields = 0_u64;
        let program = opened.program.clone();
        let fresh = !begun(&records)?;
        if fresh {
            // Of a writer that was killed before its first line.
            openings.set_len(0).map_err(|error| failed(&path, error))?;
            put(&openings, &path, &first)?;
        }
        let entry = Entry::Opened(Box::new(opened.clone()));
        let (log, found) = Log::<Story>::open_locked(lock, &records, &entry, now, |entry| {
            fields += u64::from(entry.fields())
        })?;
        if let Some(kept) = log.story().opened().filter(|_| !fresh) {
            same(kept, &opened)?;
        }
        let mut transcript = Self {
            log,
            path,
            openings,
            length: 0,
        };
        // A new transcript's first line was written, not read.
        let fields = if fresh { first.len() as u64 } else { fields };
        transcript.length = transcript.cut(fields, doors)?;
        let lost = transcript.log.story().under_way();
        if !fresh && transcript.log.story().closed().is_none() {
            let mut entries: Vec<Entry> = lost
                .iter()
                .map(|attempt| Entry::Lost(entry::Attempt { attempt: *attempt }))
                .collect();
            entries.push(Entry::Resumed(program));
            transcript
                .log
                .append(&entries, transcript.not_before(now))?;
        }
        Ok((
            transcript,
            Found {
                created: fresh,
                torn: found.torn,
                lost,
            },
        ))
    }

    /// Writes down a request that is about to leave; it may leave when this returns.
    ///
    /// # Errors
    /// Those of [`Log::append`]; [`ErrorKind::Limit`] for a body above [`MAX_FIELD`] bytes.
    pub fn send(
        &mut self,
        (suspect, prompt, answer): (u32, u32, u32),
        request: &[u8],
        salt: [u8; 32],
        now: Time,
    ) -> Result<u64> {
        let attempt = self.log.story().attempts() + 1;
        let request = self.show(attempt, "request", request, salt)?;
        let sent = Sent {
            attempt,
            suspect,
            prompt,
            answer,
            request,
        };
        self.write(Entry::Sent(sent), now)?;
        Ok(attempt)
    }

    /// Writes down an answer; it counts when this returns.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn answered(
        &mut self,
        attempt: u64,
        answer: Answer<'_>,
        salt: [u8; 32],
        now: Time,
    ) -> Result<Receipt> {
        let body = self.show(attempt, "body", answer.body, salt)?;
        let answered = Answered {
            attempt,
            body,
            bytes: answer.body.len() as u64,
            tokens: answer.tokens,
            headers: answer.headers,
            milliseconds: answer.milliseconds,
        };
        self.write(Entry::Answered(Box::new(answered)), now)
    }

    /// Writes down that an attempt brought no answer.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn failed(
        &mut self,
        attempt: u64,
        outcome: NoAnswer<'_>,
        salt: [u8; 32],
        now: Time,
    ) -> Result<Receipt> {
        let body = match outcome.body {
            Some(body) => Some(self.show(attempt, "body", body, salt)?),
            None => None,
        };
        let failed = Failed {
            attempt,
            cause: outcome.cause,
            status: outcome.status,
            body,
            headers: outcome.headers,
            milliseconds: outcome.milliseconds,
        };
        self.write(Entry::Failed(Box::new(failed)), now)
    }

    /// Ends the transcript: nothing can be added after it.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`ErrorKind::Mismatch`] while attempts are under way.
    pub fn close(&mut self, because: Ending, words: Option<String>, now: Time) -> Result<Receipt> {
        self.write(Entry::Closed(Closed { because, words }), now)
    }

    /// What its lines add up to.
    #[must_use]
    pub fn story(&self) -> &Story {
        self.log.story()
    }

    /// Lines, head and times.
    #[must_use]
    pub fn summary(&self) -> &chain::Summary {
        self.log.summary()
    }

    /// Threads take the time before they take turns, and clocks are set back: no line is before the last.
    fn not_before(&self, now: Time) -> Time {
        self.log
            .summary()
            .times
            .map_or(now, |(_, last)| now.max(last))
    }

    fn write(&mut self, entry: Entry, now: Time) -> Result<Receipt> {
        let now = self.not_before(now);
        let written = self.log.append(&[entry], now);
        let receipt = written.and_then(|receipts| {
            receipts
                .first()
                .copied()
                .ok_or_else(|| Error::new(ErrorKind::Io, "an entry that was not written"))
        });
        if receipt.is_ok() {
            self.length = self
                .openings
                .metadata()
                .map_err(|error| failed(&self.path, error))?
                .len();
        } else if !self.log.is_in_doubt() {
            // Texts that no line speaks of would shift all that follow. In doubt, opening it again tells which those are.
            let _ = self.openings.set_len(self.length);
        }
        receipt
    }

    /// Brings a text to the disk; returns the digest that stands for it.
    fn show(&mut self, attempt: u64, field: &str, bytes: &[u8], salt: [u8; 32]) -> Result<Digest> {
        if bytes.len() > MAX_FIELD {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "{field} of {} bytes; at most {MAX_FIELD} are kept",
                    bytes.len()
                ),
            ));
        }
        let (opening, digest) = Opening::new(attempt, field, salt, bytes);
        put(&self.openings, &self.path, &[opening]).inspect_err(|_| {
            let _ = self.openings.set_len(self.length);
        })?;
        Ok(digest)
    }

    /// Cuts off texts behind the first `fields`, which no line speaks of: their writer was killed before it wrote one. Returns what is left, in bytes.
    fn cut(&mut self, fields: u64, doors: Doors<'_>) -> Result<u64> {
        let io = |error| failed(&self.path, error);
        let mut file = &self.openings;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut openings = read_openings(BufReader::new(file));
        let mut length = 0;
        for number in 0..fields {
            let opening = openings
                .next()
                .transpose()
                .map_err(|error| error.context(self.path.display()))?;
            let Some(opening) = opening else {
                return Err(Error::new(
                    ErrorKind::Mismatch,
                    format!(
                        "{}: {number} texts; the transcript speaks of {fields}",
                        self.path.display()
                    ),
                ));
            };
            let door = usize::try_from(number)
                .ok()
                .and_then(|number| doors.get(number));
            if let (Some((id, door, _)), Shown::Bytes(bytes, _)) = (door, opening.shown()?)
                && bytes != door.as_bytes()
            {
                return Err(Error::new(
                    ErrorKind::Mismatch,
                    format!(
                        "suspect `{id}` was asked elsewhere before; a transcript has one door for each suspect"
                    ),
                ));
            }
            length += openings.bytes();
        }
        self.openings
            .set_len(length)
            .and_then(|()| self.openings.sync_all())
            .map_err(io)?;
        Ok(length)
    }
}

impl Entry {
    /// Texts that a line speaks of.
    #[must_use]
    pub fn fields(&self) -> u32 {
        match self {
            Self::Opened(opened) => u32::try_from(opened.suspects.len()).unwrap_or(u32::MAX),
            Self::Sent(_) | Self::Answered(_) => 1,
            Self::Failed(failed) => u32::from(failed.body.is_some()),
            Self::Lost(_) | Self::Resumed(_) | Self::Closed(_) => 0,
        }
    }
}

/// Whether a file has its first line.
fn begun(path: &Path) -> Result<bool> {
    let mut line = Vec::new();
    match File::open(path) {
        Ok(file) => BufReader::new(file)
            .read_until(b'\n', &mut line)
            .map_err(|error| failed(path, error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(failed(path, error)),
    };
    Ok(line.ends_with(b"\n"))
}

/// Refuses to go on with a transcript of something else.
fn same(kept: &Opened, given: &Opened) -> Result<()> {
    let ids = |opened: &Opened| {
        opened
            .suspects
            .iter()
            .map(|suspect| suspect.id.clone())
            .collect::<Vec<_>>()
    };
    for (what, is_same) in [
        ("plan", kept.plan == given.plan),
        (
            "draw",
            kept.asked == given.asked
                && kept.prompts == given.prompts
                && (kept.answers, kept.max_tokens) == (given.answers, given.max_tokens),
        ),
        ("collector", kept.collector == given.collector),
        ("suspects", ids(kept) == ids(given)),
    ] {
        if !is_same {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "the transcript is of another {what}; give what it was begun with, or another folder"
                ),
            ));
        }
    }
    Ok(())
}

fn put(mut file: &File, path: &Path, openings: &[Opening]) -> Result<()> {
    let mut bytes = Vec::new();
    for opening in openings {
        serde_json::to_writer(&mut bytes, opening).map_err(|error| {
            Error::new(ErrorKind::Format, "an opening that JSON cannot hold").with_source(error)
        })?;
        bytes.push(b'\n');
    }
    file.write_all(&bytes)
        .and_then(|()| file.sync_data())
        .map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {error}", path.display())).with_source(error)
}

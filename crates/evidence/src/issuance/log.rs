//! Writes a log (SPEC.md §1.4). A record counts as kept when it is on the disk, and a failure leaves the log as it was.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use taggant_core::{Error, ErrorKind, Record, Result};

use super::exchange::Exchange;
use super::line::{MAX_LINE, Said, mark_digest, write};
use super::verify::{Fault, FaultKind, Lines, Summary, Verifier};
use crate::digest::Digest;
use crate::time::Time;

/// An open log; the only writer of its file.
#[derive(Debug)]
pub struct IssuanceLog {
    path: PathBuf,
    file: File,
    /// Held until the writer ends, however it ends.
    _lock: Lock,
    /// Bytes that are on the disk and checked.
    length: u64,
    state: Verifier,
    /// The file may not be what `state` says: nothing more is written to it.
    lost: bool,
}

/// What opening a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// Whether the log is new.
    pub created: bool,
    /// The incomplete tail of a writer that was killed, now elsewhere.
    pub torn: Option<Torn>,
}

/// An incomplete last line that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Torn {
    /// The line's number.
    pub line: u64,
    /// Its bytes.
    pub bytes: u64,
    /// The file at whose end they are.
    pub path: PathBuf,
}

/// That an exchange is in the log and on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The number of its line.
    pub line: u64,
    /// The hash of its line.
    pub hash: Digest,
}

impl IssuanceLog {
    /// Opens a log for writing, checks it from its first line and mends an incomplete tail; makes it if it is not there, with the marks of
    /// `records` and the time `now` in its first line. [`add_marks`](Self::add_marks) adds to a log that is there.
    ///
    /// The time this takes grows with the log.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when another writer has it open, [`ErrorKind::Format`] when a line is wrong, named, and
    /// [`ErrorKind::Io`].
    pub fn open(path: &Path, records: &[Record], now: Time) -> Result<(Self, Opened)> {
        let lock = lock(path)?;
        let created = !path.exists();
        let mut file = options()
            .read(true)
            .append(true)
            .open(path)
            .map_err(failed(path))?;
        let Scanned {
            state,
            length,
            torn,
        } = scan(path, &mut file)?;
        let torn = match torn {
            Some((line, bytes)) => Some(cut(path, &file, length, line, bytes)?),
            None => None,
        };
        let mut log = Self {
            path: path.to_owned(),
            file,
            _lock: lock,
            length,
            state,
            lost: false,
        };
        if log.length == 0 {
            log.put(&[Said::Genesis(records)], now)?;
            sync_folder(path)?;
        }
        Ok((log, Opened { created, torn }))
    }

    /// Appends one exchange. It is on the disk when this returns.
    ///
    /// # Errors
    /// As [`append_all`](Self::append_all).
    pub fn append(&mut self, exchange: &Exchange, now: Time) -> Result<Receipt> {
        let receipts = self.append_all(std::slice::from_ref(exchange), now)?;
        receipts.first().copied().ok_or_else(|| self.is_lost())
    }

    /// Appends exchanges in order and brings them to the disk together, which costs as much as for one. All are there when this returns;
    /// none is when it fails.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] for a mark or key that the log does not hold, [`ErrorKind::Token`] for tokens that the mark's tokenizer
    /// lacks, [`ErrorKind::Parameter`] for an exchange that is not as SPEC.md says or a time before the last line's,
    /// [`ErrorKind::Limit`] for one longer than a line may be, [`ErrorKind::Io`] when the disk fails. After a failure that leaves the
    /// file in doubt, every further call fails until the log is opened again.
    pub fn append_all(&mut self, exchanges: &[Exchange], now: Time) -> Result<Vec<Receipt>> {
        for exchange in exchanges {
            self.check(exchange).map_err(|error| {
                error.context(format_args!("exchange `{}`", exchange.id.escape_debug()))
            })?;
        }
        let said: Vec<Said<'_>> = exchanges.iter().map(Said::Exchange).collect();
        self.put(&said, now)
    }

    /// Adds marks that came into use; those the log holds already are left out.
    ///
    /// # Errors
    /// As [`append_all`](Self::append_all).
    pub fn add_marks(&mut self, records: &[Record], now: Time) -> Result<()> {
        let mut seen = HashSet::new();
        let new = |record: &&Record| {
            let digest = mark_digest(record);
            self.state.mark(&digest).is_none() && seen.insert(digest)
        };
        let said: Vec<Said<'_>> = records.iter().filter(new).map(Said::Mark).collect();
        self.put(&said, now).map(drop)
    }

    /// What the log's lines add up to.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        self.state.summary()
    }

    /// Checks an exchange as the verifier will, and its tokens besides.
    fn check(&self, exchange: &Exchange) -> Result<()> {
        if let Some(flaw) = exchange.flaw() {
            return Err(Error::new(ErrorKind::Parameter, flaw));
        }
        self.state
            .knows(exchange)
            .map_err(|(_, detail)| Error::new(ErrorKind::Mismatch, detail))?;
        let record = exchange
            .mark
            .as_ref()
            .and_then(|mark| self.state.mark(mark));
        if let Some(record) = record {
            for content in [&exchange.prompt, &exchange.response] {
                record
                    .tokenizer()
                    .check(content.tokens().unwrap_or_default())?;
            }
        }
        Ok(())
    }

    /// Writes lines and brings them to the disk; all or none.
    fn put(&mut self, said: &[Said<'_>], now: Time) -> Result<Vec<Receipt>> {
        if self.lost {
            return Err(self.is_lost());
        }
        if said.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(last) = self.state.last_time().filter(|last| now < *last) {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!(
                    "time {now} is before the log's last line, {last}; times may not go backwards"
                ),
            ));
        }
        let Summary {
            mut lines,
            mut head,
            ..
        } = *self.state.summary();
        let mut bytes = Vec::new();
        let mut receipts = Vec::with_capacity(said.len());
        for &what in said {
            let start = bytes.len();
            lines += 1;
            head = write(lines, head, now, what, &mut bytes).map_err(|error| {
                Error::new(ErrorKind::Format, "a line cannot be written as JSON").with_source(error)
            })?;
            let length = bytes.len() - start - 1;
            if length > MAX_LINE {
                return Err(Error::new(
                    ErrorKind::Limit,
                    format!("a line of {length} bytes; at most {MAX_LINE} are kept"),
                ));
            }
            receipts.push(Receipt {
                line: lines,
                hash: head,
            });
        }
        self.bring_to_disk(&bytes)?;
        for (what, receipt) in said.iter().zip(&receipts) {
            match what {
                Said::Genesis(records) => {
                    records.iter().for_each(|record| self.state.learn(record))
                }
                Said::Mark(record) => self.state.learn(record),
                Said::Exchange(_) => {}
            }
            let exchange = matches!(what, Said::Exchange(_));
            self.state.advance(receipt.hash, now, exchange);
        }
        Ok(receipts)
    }

    fn bring_to_disk(&mut self, bytes: &[u8]) -> Result<()> {
        let found = self.file.metadata().map_err(failed(&self.path))?.len();
        if found != self.length {
            self.lost = true;
            return Err(Error::new(
                ErrorKind::Io,
                format!(
                    "{}: has {found} bytes where this writer left {}; something else wrote to it",
                    self.path.display(),
                    self.length
                ),
            ));
        }
        if let Err(error) = self.file.write_all(bytes) {
            // What was written of it is not acknowledged and goes again.
            self.lost = self.file.set_len(self.length).is_err();
            return Err(failed(&self.path)(error));
        }
        if let Err(error) = self.file.sync_data() {
            // After a failed flush nobody knows what is on the disk (Rebello et al., "Can applications recover from fsync failures?",
            // 2020): only reading it anew can tell.
            self.lost = true;
            let _ = self.file.set_len(self.length);
            return Err(failed(&self.path)(error));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn is_lost(&self) -> Error {
        Error::new(
            ErrorKind::Io,
            format!(
                "{}: an earlier write failed and left it in doubt; open the log again",
                self.path.display()
            ),
        )
    }
}

/// The lock that one writer at a time can hold.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that another thread is about to start shares the open file until it runs its own program, and
        // the lock would outlive the writer by that moment. Nothing is lost if it fails; closing then does it.
        let _ = self.0.unlock();
    }
}

/// Takes the lock that one writer at a time can hold.
fn lock(path: &Path) -> Result<Lock> {
    let name = beside(path, ".lock");
    let file = options().write(true).open(&name).map_err(failed(&name))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            ErrorKind::Limit,
            format!(
                "{}: another writer has it open; a log has one writer at a time",
                path.display()
            ),
        )),
        Err(TryLockError::Error(error)) => Err(failed(&name)(error)),
    }
}

/// A log as it was found.
struct Scanned {
    state: Verifier,
    /// Bytes of its good lines.
    length: u64,
    /// Number and bytes of an incomplete last line.
    torn: Option<(u64, u64)>,
}

/// Checks a log from its start.
fn scan(path: &Path, file: &mut File) -> Result<Scanned> {
    file.seek(SeekFrom::Start(0)).map_err(failed(path))?;
    let mut lines = Lines::new(BufReader::with_capacity(1 << 18, &mut *file));
    let mut state = Verifier::new();
    let mut length = 0;
    loop {
        match state.next(&mut lines).map_err(failed(path))? {
            None => {
                return Ok(Scanned {
                    state,
                    length,
                    torn: None,
                });
            }
            Some(Ok(_)) => length += lines.bytes(),
            Some(Err(fault)) => {
                let last = lines.at_end().map_err(failed(path))?;
                if last && incomplete(&fault, lines.text()) {
                    let torn = Some((fault.line, lines.bytes()));
                    return Ok(Scanned {
                        state,
                        length,
                        torn,
                    });
                }
                return Err(Error::new(
                    ErrorKind::Format,
                    format!("{}, {fault}", path.display()),
                ));
            }
        }
    }
}

/// Whether a last line is what a killed writer or a power failure leaves, and no record that was changed.
fn incomplete(fault: &Fault, text: &[u8]) -> bool {
    let unread = matches!(fault.kind, FaultKind::Malformed | FaultKind::Changed)
        && serde_json::from_slice::<IgnoredAny>(text).is_err();
    fault.kind == FaultKind::Torn || unread
}

/// Moves the tail of a log after `length` bytes to the end of its `.torn` file.
fn cut(path: &Path, file: &File, length: u64, line: u64, bytes: u64) -> Result<Torn> {
    let name = beside(path, ".torn");
    let mut tail = Vec::new();
    let mut source = file;
    source
        .seek(SeekFrom::Start(length))
        .and_then(|_| source.read_to_end(&mut tail))
        .map_err(failed(path))?;
    tail.push(b'\n');
    // Kept before it is cut: a kill in between leaves it in both places.
    options()
        .append(true)
        .open(&name)
        .and_then(|mut torn| torn.write_all(&tail).and_then(|()| torn.sync_all()))
        .map_err(failed(&name))?;
    file.set_len(length)
        .and_then(|()| file.sync_all())
        .map_err(failed(path))?;
    sync_folder(path)?;
    Ok(Torn {
        line,
        bytes,
        path: name,
    })
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Files that only their owner can read: what was served is private.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A new file's name is on the disk only when its folder is.
#[cfg(unix)]
fn sync_folder(path: &Path) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed(folder))
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<()> {
    Ok(())
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.display().to_string();
    move |error| {
        // The system's words without its number.
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or(&text).to_owned();
        Error::new(ErrorKind::Io, format!("{path}: {text}")).with_source(error)
    }
}

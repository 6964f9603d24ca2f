//! Writes a chain (SPEC.md §1.4). A record counts as kept when it is on the disk, and a failure leaves the log as it was.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use taggant_core::{Error, ErrorKind, Result};

use super::Story;
use super::line::{MAX_LINE, write};
use super::verify::{Fault, FaultKind, Lines, Summary, Verifier};
use crate::digest::Digest;
use crate::time::Time;

/// An open log; the only writer of its file.
#[derive(Debug)]
pub struct Log<S> {
    path: PathBuf,
    file: File,
    /// Held until the writer ends, however it ends.
    _lock: Lock,
    /// Bytes that are on the disk and checked.
    length: u64,
    state: Verifier<S>,
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

/// That an entry is in the log and on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The number of its line.
    pub line: u64,
    /// The hash of its line.
    pub hash: Digest,
}

impl<S: Story> Log<S> {
    /// Opens a log for writing, checks it from its first line and mends an incomplete tail; makes it if it is not there, with the entry `first` and the time `now` in
    /// its first line. `each` sees the entries that are there.
    ///
    /// The time this takes grows with the log.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when another writer has it open, [`ErrorKind::Format`] when a line is wrong, named, and
    /// [`ErrorKind::Io`].
    pub fn open(
        path: &Path,
        first: &S::Entry,
        now: Time,
        each: impl FnMut(&S::Entry),
    ) -> Result<(Self, Opened)> {
        Self::open_locked(Lock::take(path)?, path, first, now, each)
    }

    /// As [`open`](Self::open), for whoever holds the lock already and had to touch other files under it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_locked(
        lock: Lock,
        path: &Path,
        first: &S::Entry,
        now: Time,
        each: impl FnMut(&S::Entry),
    ) -> Result<(Self, Opened)> {
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
        } = scan(path, &mut file, each)?;
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
            log.put(std::slice::from_ref(first), now)?;
            sync_folder(path)?;
        }
        Ok((log, Opened { created, torn }))
    }

    /// Appends entries in order and brings them to the disk together, which costs as much as for one. All are there when this returns;
    /// none is when it fails. Each must be one that may stand next by itself: none may rest on another of the same call.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] for an entry that may not stand next, [`ErrorKind::Parameter`] for a time before the last line's,
    /// [`ErrorKind::Limit`] for one longer than a line may be, [`ErrorKind::Io`] when the disk fails. After a failure that leaves the
    /// file in doubt, every further call fails until the log is opened again.
    pub fn append(&mut self, entries: &[S::Entry], now: Time) -> Result<Vec<Receipt>> {
        self.put(entries, now)
    }

    /// Whether an earlier write left the file in doubt, so that only opening it again can tell what is in it.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.lost
    }

    /// What the log's lines tell.
    #[must_use]
    pub fn story(&self) -> &S {
        self.state.story()
    }

    /// What the log's lines add up to.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        self.state.summary()
    }

    /// Writes lines and brings them to the disk; all or none.
    fn put(&mut self, entries: &[S::Entry], now: Time) -> Result<Vec<Receipt>> {
        if self.lost {
            return Err(self.is_lost());
        }
        if entries.is_empty() {
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
        let mut receipts = Vec::with_capacity(entries.len());
        for entry in entries {
            self.state
                .story()
                .follows(lines == 0, entry)
                .map_err(|(_, detail)| Error::new(ErrorKind::Mismatch, detail))?;
            let start = bytes.len();
            lines += 1;
            head = write::<S>(lines, head, now, entry, &mut bytes).map_err(|error| {
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
        for (entry, receipt) in entries.iter().zip(&receipts) {
            self.state.take(entry, receipt.hash, now);
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
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that another thread is about to start shares the open file until it runs its own program, and
        // the lock would outlive the writer by that moment. Nothing is lost if it fails; closing then does it.
        let _ = self.0.unlock();
    }
}

impl Lock {
    /// Takes the lock of the log at `path`, in the file beside it.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when another writer holds it, [`ErrorKind::Io`].
    pub fn take(path: &Path) -> Result<Self> {
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
}

/// A log as it was found.
struct Scanned<S> {
    state: Verifier<S>,
    /// Bytes of its good lines.
    length: u64,
    /// Number and bytes of an incomplete last line.
    torn: Option<(u64, u64)>,
}

/// Checks a log from its start.
fn scan<S: Story>(
    path: &Path,
    file: &mut File,
    mut each: impl FnMut(&S::Entry),
) -> Result<Scanned<S>> {
    file.seek(SeekFrom::Start(0)).map_err(failed(path))?;
    let mut lines = Lines::new(BufReader::with_capacity(1 << 18, &mut *file));
    let mut state = Verifier::<S>::new();
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
            Some(Ok(line)) => {
                length += lines.bytes();
                each(&line.entry);
            }
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

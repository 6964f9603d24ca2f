//! Reading and writing files: `-` is a standard stream, an output appears only when it is whole, and secrets are the owner's alone.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use taggant_core::{LeafKey, RootKey};
use taggant_evidence::{Digest, SigningKey};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::failure::{Failure, Result};

/// Whether `path` stands for a standard stream.
pub(crate) fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

/// Opens an input for reading line by line.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    if is_stream(path) {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).map_err(|error| Failure::io(path, &error))?;
    Ok(Box::new(BufReader::with_capacity(1 << 18, file)))
}

/// Reads a small text file whole.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::new());
    open(path)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io(path, &error))?;
    if bytes.len() as u64 > limit {
        return Err(
            Failure::new(format!("{}: larger than {limit} bytes", path.display()))
                .hint("check that this is the right file"),
        );
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => Err(Failure::new(format!(
            "{}: not UTF-8 at byte {}",
            path.display(),
            error.valid_up_to()
        ))),
    }
}

/// A key file is one line of JSON; this is ten times the longest.
const MAX_KEY_FILE: u64 = 4096;

/// A million keys of 300 bytes.
const MAX_KEYS_FILE: u64 = 300 << 20;

/// Reads the root key file at `path`.
pub(crate) fn read_root(path: &Path) -> Result<RootKey> {
    let text = read_secret(path)?;
    RootKey::from_json(&text).map_err(|error| {
        Failure::from(error.context(path.display()))
            .hint("a root key file is made by `taggant key new`")
    })
}

/// Reads the signing key file at `path`.
pub(crate) fn read_signer(path: &Path) -> Result<SigningKey> {
    let text = read_secret(path)?;
    SigningKey::from_json(&text).map_err(|error| {
        Failure::from(error.context(path.display()))
            .hint("a signing key file is made by `taggant case signer`")
    })
}

/// Reads the leaf key file at `path`.
pub(crate) fn read_key(path: &Path) -> Result<LeafKey> {
    let text = read_secret(path)?;
    let key = LeafKey::from_json(&text).map_err(|error| {
        Failure::from(error.context(path.display()))
            .hint("a key file is made by `taggant key derive`")
    })?;
    forensic(path, key)
}

/// Reads a file of many leaf keys, one a line.
pub(crate) fn read_keys(path: &Path) -> Result<Vec<LeafKey>> {
    check_private(path)?;
    let text = read_text(path, MAX_KEYS_FILE)?;
    let lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty());
    let keys = lines.map(|(number, line)| {
        let key = LeafKey::from_json(line).map_err(|error| {
            Failure::from(error.context(format_args!("{}, line {number}", path.display())))
                .hint("a file of keys is made by `taggant key derive --paths`")
        })?;
        forensic(path, key)
    });
    let keys: Vec<LeafKey> = keys.collect::<Result<_>>()?;
    if keys.is_empty() {
        return Err(Failure::new(format!("{}: no keys", path.display()))
            .hint("a file of keys is made by `taggant key derive --paths`"));
    }
    Ok(keys)
}

/// Opens a file of secrets for reading line by line.
pub(crate) fn open_private(path: &Path) -> Result<Box<dyn BufRead>> {
    check_private(path)?;
    open(path)
}

/// The two families never mix.
fn forensic(path: &Path, key: LeafKey) -> Result<LeafKey> {
    if key.family() == taggant_core::Family::Forensic {
        return Ok(key);
    }
    Err(
        Failure::new(format!("{}: a key of the public family", path.display()))
            .hint("this command serves forensic keys; the two families never mix"),
    )
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>> {
    check_private(path)?;
    read_text(path, MAX_KEY_FILE)
}

/// A secret that others can read is no secret.
fn check_private(path: &Path) -> Result<()> {
    match open_mode(path).map_err(|error| Failure::io(path, &error))? {
        None => Ok(()),
        Some(mode) => Err(Failure::new(format!(
            "{}: others can read this key file (mode {mode:03o}); only its owner may",
            path.display()
        ))
        .hint(format!("run `chmod 600 {}`", path.display()))),
    }
}

/// Whether others than the owner can read a file.
pub(crate) fn is_open_to_others(path: &Path) -> bool {
    open_mode(path).is_ok_and(|mode| mode.is_some())
}

/// The mode of a file that others can read.
#[cfg(unix)]
fn open_mode(path: &Path) -> io::Result<Option<u32>> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};

    if is_stream(path) {
        return Ok(None);
    }
    let metadata = fs::metadata(path)?;
    let mode = metadata.permissions().mode() & 0o777;
    // A pipe, such as a shell's process substitution, has no lasting permissions.
    Ok((mode & 0o077 != 0 && !metadata.file_type().is_fifo()).then_some(mode))
}

#[cfg(not(unix))]
fn open_mode(_: &Path) -> io::Result<Option<u32>> {
    Ok(None)
}

/// An output that appears under its name only when it is whole. Dropped before [`finish`](Self::finish), it leaves nothing.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    sink: Sink,
    private: bool,
    /// Whether a file that is there already stays.
    keeps: bool,
}

#[derive(Debug)]
enum Sink {
    /// Standard output, or an existing pipe or device: written as it comes.
    Direct(BufWriter<Box<dyn WriteDebug>>),
    /// A temporary file beside the output.
    File(BufWriter<NamedTempFile>),
}

trait WriteDebug: Write + std::fmt::Debug {}
impl<T: Write + std::fmt::Debug> WriteDebug for T {}

impl Output {
    /// An output that others may read.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let fail = |error: io::Error| Failure::io(path, &error);
        let special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        let sink = if is_stream(path) {
            Sink::Direct(BufWriter::new(Box::new(io::stdout())))
        } else if special {
            let file = File::options().write(true).open(path).map_err(fail)?;
            Sink::Direct(BufWriter::new(Box::new(file)))
        } else {
            Sink::File(BufWriter::new(beside(path)?))
        };
        Ok(Self {
            path: path.to_owned(),
            sink,
            private: false,
            keeps: false,
        })
    }

    /// An output that others may read, and that never replaces a file.
    pub(crate) fn fresh(path: &Path) -> Result<Self> {
        Ok(Self {
            keeps: true,
            ..Self::create_unless_there(path)?
        })
    }

    /// An output that only its owner can read, and that never replaces a file.
    pub(crate) fn private(path: &Path) -> Result<Self> {
        Ok(Self {
            private: true,
            keeps: true,
            ..Self::create_unless_there(path)?
        })
    }

    fn create_unless_there(path: &Path) -> Result<Self> {
        if fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            return Err(exists(path));
        }
        Self::create(path)
    }

    fn write_with(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        match &mut self.sink {
            Sink::Direct(sink) => write(sink),
            Sink::File(sink) => write(sink),
        }
        .map_err(|error| Failure::io(&self.path, &error))
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: &str) -> Result<()> {
        self.write_with(|sink| writeln!(sink, "{line}"))
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_with(|sink| sink.write_all(bytes))
    }

    /// Shows what was written so far, where readers can see it already.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.write_with(|sink| sink.flush())
    }

    /// Puts the output under its name.
    pub(crate) fn finish(self) -> Result<()> {
        self.seal()?.publish()
    }

    /// Brings everything to the disk. What can fail for want of room fails here, so that outputs which belong together are sealed
    /// first and published after.
    pub(crate) fn seal(mut self) -> Result<Sealed> {
        self.flush()?;
        let path = self.path;
        let fail = |error: io::Error| Failure::io(&path, &error);
        let Sink::File(sink) = self.sink else {
            return Ok(Sealed {
                path,
                file: None,
                keeps: self.keeps,
            });
        };
        let file = sink
            .into_inner()
            .map_err(|error| fail(error.into_error()))?;
        if !self.private {
            publish_mode(&file).map_err(fail)?;
        }
        file.as_file().sync_all().map_err(fail)?;
        Ok(Sealed {
            path,
            file: Some(file),
            keeps: self.keeps,
        })
    }
}

/// A whole output, not yet under its name.
#[derive(Debug)]
pub(crate) struct Sealed {
    path: PathBuf,
    file: Option<NamedTempFile>,
    keeps: bool,
}

impl Sealed {
    /// Puts the output under its name.
    pub(crate) fn publish(self) -> Result<()> {
        let Some(file) = self.file else {
            return Ok(());
        };
        let persisted = if self.keeps {
            file.persist_noclobber(&self.path)
        } else {
            file.persist(&self.path)
        };
        persisted
            .map(|_| ())
            .map_err(|error| match error.error.kind() {
                io::ErrorKind::AlreadyExists => exists(&self.path),
                _ => Failure::io(&self.path, &error.error),
            })
    }
}

fn exists(path: &Path) -> Failure {
    Failure::new(format!("{}: exists already", path.display()))
        .hint("it may be the only copy and is never overwritten; choose another name or move the old file away")
}

/// A temporary file in the folder of `path`, so that the last step is a rename within one file system.
fn beside(path: &Path) -> Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".taggant-")
        .tempfile_in(folder)
        .map_err(|error| Failure::io(path, &error))
}

/// Temporary files are private; an ordinary output is as readable as the user's other files.
#[cfg(unix)]
fn publish_mode(file: &NamedTempFile) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn publish_mode(_: &NamedTempFile) -> io::Result<()> {
    Ok(())
}

/// Writes a secret to a new file that only its owner can read. An existing file is never replaced: it may hold the only copy of a key.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<()> {
    if is_stream(path) {
        let mut output = Output::create(path)?;
        output.line(text)?;
        return output.finish();
    }
    let fail = |error: io::Error| Failure::io(path, &error);
    let mut file = beside(path)?;
    writeln!(file, "{text}").map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist_noclobber(path)
        .map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => {
                Failure::new(format!("{}: exists already", path.display())).hint(
                    "keys are never overwritten; choose another name or move the old file away",
                )
            }
            _ => Failure::io(path, &error.error),
        })?;
    Ok(())
}
/// The SHA-256 of a file of any size.
pub(crate) fn digest(path: &Path) -> Result<Digest> {
    let mut file = open(path)?;
    let mut hash = Sha256::new();
    loop {
        let chunk = file.fill_buf().map_err(|error| Failure::io(path, &error))?;
        if chunk.is_empty() {
            break;
        }
        hash.update(chunk);
        let read = chunk.len();
        file.consume(read);
    }
    let hash: [u8; 32] = hash.finalize().into();
    Ok(hash.into())
}

//! Reading and writing small files as the command does: secrets are the owner's alone, and no file is replaced by a secret.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use taggant_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// A key file is one line of JSON; this is ten times the longest.
pub(crate) const MAX_KEY_FILE: u64 = 4096;

/// A million keys of 300 bytes, as the command reads them.
pub(crate) const MAX_KEYS_FILE: u64 = 300 << 20;

/// A record is a few hundred bytes; 24,000 accounts have one each.
pub(crate) const MAX_RECORDS: u64 = 1 << 26;

/// Reads a text file of at most `limit` bytes; whatever it holds is wiped when dropped.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|error| failed(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(
            ErrorKind::Limit,
            format!(
                "{}: larger than {limit} bytes; check that this is the right file",
                path.display()
            ),
        ));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => Err(Error::new(
            ErrorKind::Format,
            format!(
                "{}: not UTF-8 at byte {}",
                path.display(),
                error.valid_up_to()
            ),
        )),
    }
}

/// [`read`], for files that only their owner may read: a secret that others can read is no secret.
pub(crate) fn read_secret(path: &Path, limit: u64) -> Result<Zeroizing<String>> {
    if let Some(mode) = open_mode(path).map_err(|error| failed(path, error))? {
        let shown = path.display();
        return Err(Error::new(
            ErrorKind::Key,
            format!(
                "{shown}: others can read this key file (mode {mode:03o}); only its owner may: run `chmod 600 {shown}`"
            ),
        ));
    }
    read(path, limit)
}

/// Writes a secret to a new file that only its owner can read. An existing file is never replaced: it may hold the only copy of a key.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::new(
            ErrorKind::Io,
            format!(
                "{}: exists already, and keys are never overwritten; choose another name or move the old file away",
                path.display()
            ),
        ),
        _ => failed(path, error),
    })?;
    whole(path, file, text)
}

/// Writes a file that others may read, in place of one that is there, which stays until the new one is whole.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let file = File::create(partial).map_err(|error| failed(partial, error))?;
    whole(partial, file, text)?;
    fs::rename(partial, path).map_err(|error| failed(path, error))
}

/// All of `text` and a line's end, on the disk; a file that could not be finished is taken away again.
fn whole(path: &Path, mut file: File, text: &str) -> Result<()> {
    writeln!(file, "{text}")
        .and_then(|()| file.sync_all())
        .map_err(|error| {
            // The first error is what the caller must hear of.
            let _ = fs::remove_file(path);
            failed(path, error)
        })
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {error}", path.display())).with_source(error)
}

/// The mode of a file that others can read.
#[cfg(unix)]
fn open_mode(path: &Path) -> io::Result<Option<u32>> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};

    let metadata = fs::metadata(path)?;
    let mode = metadata.permissions().mode() & 0o777;
    // A pipe, such as a shell's process substitution, has no lasting permissions.
    Ok((mode & 0o077 != 0 && !metadata.file_type().is_fifo()).then_some(mode))
}

#[cfg(not(unix))]
fn open_mode(_: &Path) -> io::Result<Option<u32>> {
    Ok(None)
}

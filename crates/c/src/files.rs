//! Reading small files as the command does: a key file is its owner's alone.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use taggant_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// A key file is one line of JSON; this is ten times the longest.
pub(crate) const MAX_KEY_FILE: u64 = 4096;

/// A record is a few hundred bytes; a file of them is not one.
pub(crate) const MAX_RECORD_FILE: u64 = 1 << 16;

/// The text in a file of at most `limit` bytes, wiped when dropped.
pub(crate) fn read(path: &str, limit: u64) -> Result<Zeroizing<String>> {
    // Room for all of it at once: memory that a growing buffer leaves behind is not wiped.
    let room = usize::try_from(limit + 1).unwrap_or(0);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|error| failed(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("{path}: larger than {limit} bytes; check that this is the right file"),
        ));
    }
    text(&bytes).map_err(|error| error.context(path))
}

/// [`read`], for files that only their owner may read: a secret that others can read is no secret.
pub(crate) fn read_secret(path: &str, limit: u64) -> Result<Zeroizing<String>> {
    if let Some(mode) = open_mode(Path::new(path)).map_err(|error| failed(path, error))? {
        return Err(Error::new(
            ErrorKind::Key,
            format!(
                "{path}: others can read this key file (mode {mode:03o}); only its owner may: run `chmod 600 {path}`"
            ),
        ));
    }
    read(path, limit)
}

/// The bytes of a file, which must be UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Result<Zeroizing<String>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(error) => Err(Error::new(
            ErrorKind::Format,
            format!("not UTF-8 at byte {}", error.valid_up_to()),
        )),
    }
}

fn failed(path: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{path}: {error}")).with_source(error)
}

/// The mode of a file that others can read.
#[cfg(unix)]
fn open_mode(path: &Path) -> io::Result<Option<u32>> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};

    let metadata = std::fs::metadata(path)?;
    let mode = metadata.permissions().mode() & 0o777;
    // A pipe, such as a shell's process substitution, has no lasting permissions.
    Ok((mode & 0o077 != 0 && !metadata.file_type().is_fifo()).then_some(mode))
}

#[cfg(not(unix))]
fn open_mode(_: &Path) -> io::Result<Option<u32>> {
    Ok(None)
}

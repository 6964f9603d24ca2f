//! A bundle's folder, which somebody else made: nothing in it is followed, and nothing is read without a limit.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use taggant_core::{Error, ErrorKind, Result};

use super::{MANIFEST, SUMS};
use crate::digest::Digest;

/// Most files of a bundle.
pub const MAX_FILES: usize = 100_000;

/// Deepest file, in folders.
pub const MAX_DEPTH: usize = 4;

/// Largest file that is read whole.
pub const MAX_BYTES: u64 = 1 << 28;

/// Most bytes of all files together.
const MAX_TOTAL: u64 = 1 << 36;

/// Most time-stamps over one file.
const MAX_TOKENS: usize = 64;

/// Longest name.
const MAX_NAME: usize = 255;

/// A folder and the names of its files.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    names: BTreeSet<String>,
    bytes: u64,
    empty: Option<String>,
}

/// What stands beside a file to show when it existed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proofs {
    /// Time-stamps: names and bytes.
    pub tokens: Vec<(String, Vec<u8>)>,
    /// The text of a tlog-proof.
    pub log: Option<String>,
}

impl Folder {
    /// Lists a folder.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; [`ErrorKind::Format`] for a link or anything else that is no file or folder, and for names that are not of lower-case letters, digits, `.`, `-` and
    /// `_`; [`ErrorKind::Limit`] for more than [`MAX_FILES`] files or deeper ones than [`MAX_DEPTH`].
    pub fn open(root: &Path) -> Result<Self> {
        let mut folder = Self {
            root: root.to_owned(),
            names: BTreeSet::new(),
            bytes: 0,
            empty: None,
        };
        folder.list(root, "", 0)?;
        Ok(folder)
    }

    fn list(&mut self, path: &Path, prefix: &str, depth: usize) -> Result<()> {
        let io = |error| failed(path, error);
        let before = self.names.len();
        for entry in fs::read_dir(path).map_err(io)? {
            let entry = entry.map_err(io)?;
            let own = entry.file_name();
            let own = own.to_str().filter(|name| is_plain(name)).ok_or_else(|| {
                let shown: String = entry.file_name().to_string_lossy().escape_debug().take(80).collect();
                Error::new(
                    ErrorKind::Format,
                    format!("{prefix}{shown}: a name in a bundle has lower-case letters, digits, `.`, `-` and `_`, and begins with a letter or digit"),
                )
            })?;
            let name = format!("{prefix}{own}");
            // Of the entry itself, not of what a link leads to.
            let kind = entry.file_type().map_err(io)?;
            if kind.is_dir() {
                if depth + 1 >= MAX_DEPTH {
                    return Err(Error::new(
                        ErrorKind::Limit,
                        format!("{name}: deeper than {MAX_DEPTH} folders"),
                    ));
                }
                self.list(&entry.path(), &format!("{name}/"), depth + 1)?;
            } else if kind.is_file() {
                self.bytes += entry.metadata().map_err(io)?.len();
                if self.bytes > MAX_TOTAL {
                    return Err(Error::new(
                        ErrorKind::Limit,
                        format!("{name}: more than {MAX_TOTAL} bytes in all"),
                    ));
                }
                self.names.insert(name);
                if self.names.len() > MAX_FILES {
                    return Err(Error::new(
                        ErrorKind::Limit,
                        format!("more than {MAX_FILES} files"),
                    ));
                }
            } else {
                return Err(Error::new(
                    ErrorKind::Format,
                    format!("{name}: neither a file nor a folder; a bundle holds no links"),
                ));
            }
        }
        if depth > 0 && self.names.len() == before {
            self.empty.get_or_insert_with(|| prefix.to_owned());
        }
        Ok(())
    }

    /// All files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Files that a manifest lists: all but the manifest, its sums, and what vouches for it.
    pub fn listed(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| !is_seal(name))
    }

    /// A folder without files, if there is one: no manifest can list it.
    #[must_use]
    pub fn empty(&self) -> Option<&str> {
        self.empty.as_deref()
    }

    /// Whether it has a file.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// What stands beside a file to show when it existed.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn proofs(&self, name: &str) -> Result<Proofs> {
        let own = |found: &&str| {
            found
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('.'))
                .and_then(|rest| rest.strip_suffix(".tsr"))
                .is_some_and(|authority| !authority.is_empty() && !authority.contains(['/', '.']))
        };
        let count = self.names().filter(own).count();
        if count > MAX_TOKENS {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("{name}: {count} time-stamps; at most {MAX_TOKENS} are read"),
            ));
        }
        let tokens = self
            .names()
            .filter(own)
            .map(|token| {
                Ok((
                    token.to_owned(),
                    self.read(token, crate::timestamp::MAX_TOKEN as u64 + 1)?,
                ))
            })
            .collect::<Result<_>>()?;
        let proof = format!("{name}.tlog-proof");
        let log = match self.has(&proof) {
            true => Some(self.text(&proof)?),
            false => None,
        };
        Ok(Proofs { tokens, log })
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], also for one that is not there; [`ErrorKind::Limit`] above `limit` bytes.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.file(name)?.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| failed(Path::new(name), error))?;
        if bytes.len() as u64 > limit {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("{name}: more than {limit} bytes"),
            ));
        }
        Ok(bytes)
    }

    /// A file's text.
    ///
    /// # Errors
    /// As [`read`](Self::read), with [`MAX_BYTES`]; [`ErrorKind::Format`] for bytes that are no text.
    pub fn text(&self, name: &str) -> Result<String> {
        String::from_utf8(self.read(name, MAX_BYTES)?).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::new(ErrorKind::Format, format!("{name}: not UTF-8 at byte {at}"))
        })
    }

    /// A file, to be read piece by piece.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn file(&self, name: &str) -> Result<BufReader<File>> {
        if !self.has(name) {
            return Err(Error::new(
                ErrorKind::Io,
                format!("{name}: it is not in the bundle"),
            ));
        }
        let file =
            File::open(self.root.join(name)).map_err(|error| failed(Path::new(name), error))?;
        Ok(BufReader::with_capacity(1 << 17, file))
    }

    /// SHA-256 of a file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub fn digest(&self, name: &str) -> Result<Digest> {
        let mut file = self.file(name)?;
        let mut hash = Sha256::new();
        let mut piece = vec![0; 1 << 17];
        loop {
            let read = file
                .read(&mut piece)
                .map_err(|error| failed(Path::new(name), error))?;
            if read == 0 {
                return Ok(<[u8; 32]>::from(hash.finalize()).into());
            }
            hash.update(&piece[..read]);
        }
    }
}

/// Whether a file closes the bundle and so is not listed in it: the manifest, its sums, what vouches for the manifest, and stamps over such stamps.
pub(super) fn is_seal(name: &str) -> bool {
    if name == SUMS || name == MANIFEST || name.strip_prefix(MANIFEST) == Some(".tlog-proof") {
        return true;
    }
    let stamped = name
        .strip_suffix(".tsr")
        .and_then(|rest| rest.rsplit_once('.'));
    stamped.is_some_and(|(file, authority)| {
        !authority.is_empty()
            && !authority.contains('/')
            && file != SUMS
            && !file.ends_with(".tlog-proof")
            && is_seal(file)
    })
}

fn is_plain(name: &str) -> bool {
    let first = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    first
        && name.len() <= MAX_NAME
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
        })
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{}: {error}", path.display())).with_source(error)
}

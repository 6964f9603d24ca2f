//! A log of one's own, as plain files.

use std::str::FromStr;

use taggant_core::merkle;
use taggant_core::{Error, ErrorKind, Result};

use super::{Proof, entry};
use crate::digest::Digest;
use crate::note::{Checkpoint, Note};
use crate::signing::{PublicKey, SigningKey};

/// A log kept as plain text: one SHA-256 digest a line, in the order entered, lower-case hex. Together with its last signed checkpoint it is all that a log needs to be;
/// whoever keeps the two files can serve them from anywhere.
///
/// ```
/// use taggant_evidence::{SigningKey, tlog::Entries};
///
/// let key = SigningKey::from_seed("log.example/case-1", [7; 32])?;
/// let mut entries = Entries::default();
/// entries.push([1; 32].into());
/// let checkpoint = entries.checkpoint(&key)?;
/// entries.push([2; 32].into());
/// entries.continues(&checkpoint, &key.public())?; // nothing was taken out or changed since
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    digests: Vec<Digest>,
    leaves: Vec<merkle::Hash>,
}

impl Entries {
    /// The digests, in order.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// Enters a file by its digest.
    pub fn push(&mut self, file: Digest) {
        self.digests.push(file);
        self.leaves.push(entry(&file));
    }

    /// The head as it stands, signed by the log's key under its own name.
    ///
    /// # Errors
    /// None for a key that was made; those of [`Note::new`].
    pub fn checkpoint(&self, key: &SigningKey) -> Result<Note> {
        let head = Checkpoint {
            origin: key.name().to_owned(),
            size: self.leaves.len() as u64,
            root: merkle::root(&self.leaves).into(),
        };
        let mut note = Note::new(&head.to_string())?;
        note.sign(key);
        Ok(note)
    }

    /// The proof that the entry with this number is there, under a checkpoint of as many entries as there are.
    #[must_use]
    pub fn prove(&self, index: usize, checkpoint: Note) -> Option<Proof> {
        let path = merkle::inclusion(&self.leaves, index)?;
        Some(Proof::new(index as u64, &path, checkpoint))
    }

    /// Whether the entries begin with those of an earlier checkpoint of `log`.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] for a checkpoint that `log` did not sign, or of entries that are not these; [`ErrorKind::Format`] for a note that is none.
    pub fn continues(&self, checkpoint: &Note, log: &PublicKey) -> Result<()> {
        checkpoint.verify(std::slice::from_ref(log))?;
        let head: Checkpoint = checkpoint.text().parse()?;
        if head.origin == log.name() && self.begin_with(head.size, &head.root) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "the {} entries do not continue the checkpoint of {} entries of `{}`: something was taken out or changed",
                self.leaves.len(),
                head.size,
                head.origin.escape_debug()
            ),
        ))
    }

    /// Whether the first `size` entries have this root.
    #[must_use]
    pub fn begin_with(&self, size: u64, root: &Digest) -> bool {
        let earlier = usize::try_from(size)
            .ok()
            .and_then(|size| self.leaves.get(..size));
        earlier.is_some_and(|leaves| merkle::root(leaves) == *root.bytes())
    }
}

impl FromStr for Entries {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut entries = Self::default();
        for (number, line) in (1..).zip(text.split_terminator('\n')) {
            entries.push(
                line.parse()
                    .map_err(|error: Error| error.context(format_args!("line {number}")))?,
            );
        }
        if text.is_empty() || text.ends_with('\n') {
            return Ok(entries);
        }
        Err(Error::new(
            ErrorKind::Format,
            format!("line {} has no end", entries.digests.len()),
        ))
    }
}

//! Opening one leaf of an epoch (SPEC.md §2.7): its key and salt, and the path that leads from its commitment to the epoch's root.

use crate::commit::{CONTROLS, Epoch};
use crate::error::{Error, ErrorKind, Result};
use crate::key::LeafKey;
use crate::merkle::{self, Hash};

/// Leaves of the smallest epoch: its controls and as many decoys.
const LEAST: u64 = (2 * CONTROLS).next_power_of_two() as u64;

/// A leaf key shown to have been committed to. It discloses this leaf and nothing else of the tree, and from then on anyone can write
/// text under the key.
///
/// ```
/// use taggant_core::{Epoch, RootKey};
///
/// let root = RootKey::from_bytes([7; 32]);
/// let east = "2026-12/campaign/east".parse()?;
/// let epoch = Epoch::commit(&root, "2026-12", &[east])?;
/// let reveal = epoch.reveal(&root.derive(&"2026-12/campaign/east".parse()?))?;
/// assert_eq!(reveal.root(), epoch.root()); // what was time-stamped before anything was served
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reveal {
    key: LeafKey,
    index: u64,
    size: u64,
    path: Vec<Hash>,
    root: Hash,
}

impl Epoch {
    /// Opens the leaf of `key`.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when the epoch does not commit to the key.
    pub fn reveal(&self, key: &LeafKey) -> Result<Reveal> {
        let same = key.family() == self.family() && key.path().epoch() == self.label();
        let place = self
            .leaves()
            .binary_search(&key.commitment())
            .ok()
            .filter(|_| same);
        let opened =
            place.and_then(|index| Some((index, merkle::inclusion(&self.hashes(), index)?)));
        let (index, path) = opened.ok_or_else(|| {
            Error::new(
                ErrorKind::Mismatch,
                format!(
                    "epoch `{}` does not commit to the {} key {}; name the epoch and the key that belong together",
                    self.label(),
                    key.family().name(),
                    key.path()
                ),
            )
        })?;
        Reveal::new(
            key.clone(),
            index as u64,
            self.leaves().len() as u64,
            path,
            self.root(),
        )
    }
}

impl Reveal {
    /// # Errors
    /// [`ErrorKind::Mismatch`] unless the path leads from the key's commitment to the root.
    pub(crate) fn new(
        key: LeafKey,
        index: u64,
        size: u64,
        path: Vec<Hash>,
        root: Hash,
    ) -> Result<Self> {
        let leaf = merkle::leaf(&key.commitment());
        // An epoch's tree is full; a root by itself does not say how many leaves it has.
        let full =
            size.is_power_of_two() && size >= LEAST && path.len() == size.trailing_zeros() as usize;
        if full && merkle::includes(&root, size, index, &leaf, &path) {
            return Ok(Self {
                key,
                index,
                size,
                path,
                root,
            });
        }
        Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "the path of {} hashes does not lead from the {} key {}, as leaf {index} of {size}, to the root it names",
                path.len(),
                key.family().name(),
                key.path()
            ),
        ))
    }

    /// The opened key.
    #[must_use]
    pub fn key(&self) -> &LeafKey {
        &self.key
    }

    /// The leaf's place among the epoch's, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The epoch's leaves, as many as its file says; the root by itself does not.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The audit path, from the leaf's sibling up.
    #[must_use]
    pub fn path(&self) -> &[Hash] {
        &self.path
    }

    /// The root it leads to: the commitment of the epoch, if it is that.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::RootKey;

    #[test]
    fn a_leaf_is_opened_and_no_other_key_place_or_path_passes() {
        let root = RootKey::from_bytes([3; 32]);
        let named = ["e/campaign/east", "e/account/a"].map(|path| path.parse().unwrap());
        let epoch = Epoch::commit(&root, "e", &named).unwrap();
        for path in [
            "e/campaign/east",
            "e/account/a",
            "e/control/0000",
            "e/decoy/0007",
        ] {
            let key = root.derive(&path.parse().unwrap());
            let reveal = epoch.reveal(&key).unwrap();
            assert_eq!((reveal.root(), reveal.size()), (epoch.root(), 2048));
            let again = |key: &LeafKey, index, size, path| {
                Reveal::new(key.clone(), index, size, path, epoch.root())
            };
            let (index, size, path) = (reveal.index(), reveal.size(), reveal.path().to_vec());
            assert!(again(&key, index, size, path.clone()).is_ok());
            let other = root.derive(&"e/campaign/west".parse().unwrap());
            assert!(again(&other, index, size, path.clone()).is_err());
            assert!(again(&key, index ^ 1, size, path.clone()).is_err());
            assert!(again(&key, index, size * 2, path.clone()).is_err());
            assert!(again(&key, index, size, path[1..].to_vec()).is_err());
        }
        let stranger = RootKey::from_bytes([4; 32]).derive(&"e/campaign/east".parse().unwrap());
        let error = epoch.reveal(&stranger).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
    }
}

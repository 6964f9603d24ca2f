//! Epoch commitments (SPEC.md §2.3): one hash that fixes every key of an epoch before any text is served.

use crate::error::{Error, ErrorKind, Result};
use crate::key::{Family, Path, Role, RootKey, check_label};
use crate::merkle;

/// Control keys in every epoch. A finding's rank among them can say p ≤ 1/1000 without any theory.
pub const CONTROLS: usize = 999;

/// The commitment to all keys of an epoch.
///
/// ```
/// use taggant_core::{Epoch, RootKey};
///
/// let root = RootKey::from_bytes([7; 32]);
/// let east = "2026-12/campaign/east".parse()?;
/// let epoch = Epoch::commit(&root, "2026-12", &[east])?;
/// assert_eq!(epoch.leaves().len(), 2048); // 1 named, 999 controls, the rest decoys
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    family: Family,
    label: String,
    leaves: Vec<[u8; 32]>,
}

impl Epoch {
    /// Commits to the `named` leaves, to 999 control keys and to decoys that hide how many were named.
    ///
    /// # Errors
    /// [`ErrorKind::Path`] when the label is malformed or a named leaf is of another epoch, named twice, or a control or decoy.
    pub fn commit(root: &RootKey, label: &str, named: &[Path]) -> Result<Self> {
        check_label(label)?;
        let mut named = named.to_vec();
        named.sort_unstable();
        for (index, path) in named.iter().enumerate() {
            let fault = if path.epoch() != label {
                "is of another epoch"
            } else if matches!(path.role(), Role::Control | Role::Decoy) {
                "is committed by itself"
            } else if index > 0 && named[index - 1] == *path {
                "is named twice"
            } else {
                continue;
            };
            return Err(Error::new(
                ErrorKind::Path,
                format!("leaf `{path}` {fault}; epoch `{label}` cannot name it"),
            ));
        }
        let real = named.len() + CONTROLS;
        let decoys = (2 * real).next_power_of_two() - real;
        let numbered = |role, count: usize| {
            (0..count).map(move |number| Path::new(label, role, &format!("{number:04}")))
        };
        let mut leaves = named
            .into_iter()
            .map(Ok)
            .chain(numbered(Role::Control, CONTROLS))
            .chain(numbered(Role::Decoy, decoys))
            .map(|path| Ok(root.derive(&path?).commitment()))
            .collect::<Result<Vec<_>>>()?;
        leaves.sort_unstable();
        Self::from_leaves(root.family(), label, leaves)
    }

    /// # Errors
    /// [`ErrorKind::Path`] for a malformed label, [`ErrorKind::Format`] unless the leaves ascend and are enough to hold the controls and to
    /// hide how many are named.
    pub(crate) fn from_leaves(family: Family, label: &str, leaves: Vec<[u8; 32]>) -> Result<Self> {
        check_label(label)?;
        if !leaves.is_sorted_by(|a, b| a < b)
            || !leaves.len().is_power_of_two()
            || leaves.len() < 2 * CONTROLS
        {
            return Err(Error::new(
                ErrorKind::Format,
                format!(
                    "{} leaves; an epoch has a power of two, at least {}, ascending and all different",
                    leaves.len(),
                    (2 * CONTROLS).next_power_of_two()
                ),
            ));
        }
        Ok(Self {
            family,
            label: label.to_owned(),
            leaves,
        })
    }

    /// The family of every key committed to.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The epoch's label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The leaf commitments, ascending: order tells nothing.
    #[must_use]
    pub fn leaves(&self) -> &[[u8; 32]] {
        &self.leaves
    }

    /// The RFC 6962 tree root over [`leaves`](Self::leaves). What is time-stamped is the epoch's file, which says the number of leaves too.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        merkle::root_of(&self.leaves)
    }

    /// The leaves as the tree hashes them.
    pub(crate) fn hashes(&self) -> Vec<merkle::Hash> {
        self.leaves.iter().map(|leaf| merkle::leaf(leaf)).collect()
    }

    /// Whether a leaf commitment is among those committed to.
    #[must_use]
    pub fn contains(&self, commitment: &[u8; 32]) -> bool {
        self.leaves.binary_search(commitment).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_hides_how_many_leaves_are_named() {
        let root = RootKey::from_bytes([1; 32]);
        let name = |count: usize| -> Vec<Path> {
            (0..count)
                .map(|n| Path::new("e", Role::Account, &format!("a{n}")).unwrap())
                .collect()
        };
        for count in [0, 1, 25] {
            assert_eq!(
                Epoch::commit(&root, "e", &name(count))
                    .unwrap()
                    .leaves()
                    .len(),
                2048
            );
        }
        assert_eq!(
            Epoch::commit(&root, "e", &name(26)).unwrap().leaves().len(),
            4096
        );
    }

    #[test]
    fn the_root_moves_with_every_leaf_and_holds_the_named_ones() {
        let root = RootKey::from_bytes([1; 32]);
        let east: Path = "e/campaign/east".parse().unwrap();
        let epoch = Epoch::commit(&root, "e", std::slice::from_ref(&east)).unwrap();
        assert!(epoch.contains(&root.derive(&east).commitment()));
        assert!(
            !epoch.contains(
                &root
                    .derive(&"e/campaign/west".parse().unwrap())
                    .commitment()
            )
        );
        assert_ne!(epoch.root(), Epoch::commit(&root, "e", &[]).unwrap().root());
    }

    #[test]
    fn leaves_that_do_not_belong_are_refused() {
        let root = RootKey::from_bytes([1; 32]);
        let path = |text: &str| -> Path { text.parse().unwrap() };
        for named in [
            vec![path("f/campaign/east")],
            vec![path("e/control/0001")],
            vec![
                path("e/account/a"),
                path("e/account/b"),
                path("e/account/a"),
            ],
        ] {
            assert_eq!(
                Epoch::commit(&root, "e", &named).unwrap_err().kind(),
                ErrorKind::Path
            );
        }
    }
}

//! Merkle trees as RFC 6962 §2.1 hashes them: one hash fixes a sequence, and short proofs show that something stands in it at its place, or
//! that it only grew.
//!
//! ```
//! use taggant_core::merkle;
//!
//! let leaves: Vec<_> = ["one", "two", "three"].iter().map(|text| merkle::leaf(text.as_bytes())).collect();
//! let proof = merkle::inclusion(&leaves, 1).unwrap();
//! assert!(merkle::includes(&merkle::root(&leaves), 3, 1, &leaves[1], &proof));
//! ```

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf that holds `bytes`.
#[must_use]
pub fn leaf(bytes: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(bytes)
        .finalize()
        .into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// A tree that grows leaf by leaf and keeps one hash for each one-bit of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// Roots of the full subtrees that the leaves divide into, the largest first.
    peaks: Vec<Hash>,
}

impl Tree {
    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // A carry: subtrees of the same height become one.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over the leaves so far; that of no leaves is the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let peaks = self.peaks.iter().rev().copied();
        peaks
            .reduce(|right, left| node(&left, &right))
            .unwrap_or_else(|| Sha256::digest([]).into())
    }
}

/// The root over leaf hashes.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    for leaf in leaves {
        tree.push(*leaf);
    }
    tree.root()
}

/// The root over leaves that hold 32 bytes each.
pub(crate) fn root_of(leaves: &[[u8; 32]]) -> Hash {
    let mut tree = Tree::default();
    for bytes in leaves {
        tree.push(leaf(bytes));
    }
    tree.root()
}

/// Where a tree of two leaves or more divides: the largest power of two below its size.
fn division(size: usize) -> usize {
    size.next_power_of_two() / 2
}

/// The audit path of one leaf, from its sibling up (`PATH` of RFC 6962 §2.1.1); none when there is no such leaf.
#[must_use]
pub fn inclusion(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let mut path = Vec::new();
    let (mut leaves, mut index) = (leaves, index);
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(division(leaves.len()));
        if index < left.len() {
            path.push(root(right));
            leaves = left;
        } else {
            path.push(root(left));
            index -= left.len();
            leaves = right;
        }
    }
    path.reverse();
    Some(path)
}

/// Whether an audit path leads from a leaf at `index` of `size` leaves to the root (RFC 9162 §2.1.3.2).
#[must_use]
pub fn includes(root: &Hash, size: u64, index: u64, leaf: &Hash, path: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            hash = node(sibling, &hash);
            climb(&mut place, &mut last);
        } else {
            hash = node(&hash, sibling);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Skips the levels on which the rightmost node of a tree has no sibling.
fn climb(place: &mut u64, last: &mut u64) {
    let levels = place.trailing_zeros().min(63);
    if *place != 0 {
        (*place, *last) = (*place >> levels, *last >> levels);
    }
}

/// What shows that the tree over all leaves only grew from that over the first `old` (`PROOF` of RFC 6962 §2.1.2); none when there
/// are fewer.
#[must_use]
pub fn consistency(leaves: &[Hash], old: usize) -> Option<Vec<Hash>> {
    if old > leaves.len() {
        return None;
    }
    let mut proof = Vec::new();
    let (mut leaves, mut old, mut known) = (leaves, old, true);
    while old != 0 && old != leaves.len() {
        let (left, right) = leaves.split_at(division(leaves.len()));
        if old <= left.len() {
            proof.push(root(right));
            leaves = left;
        } else {
            proof.push(root(left));
            old -= left.len();
            leaves = right;
            known = false;
        }
    }
    // The old tree's own root is known to whoever checks; a part of it is not.
    if !known {
        proof.push(root(leaves));
    }
    proof.reverse();
    Some(proof)
}

/// Whether a proof shows that the tree of `new` leaves only grew from that of `old` (RFC 9162 §2.1.4.2).
#[must_use]
pub fn grew(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old, old_root), (new, new_root)) = (old, new);
    if old > new || (old == new && old_root != new_root) {
        return false;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == Tree::default().root();
    }
    if old == new {
        return proof.is_empty();
    }
    let whole = old.is_power_of_two().then_some(old_root);
    let mut path = whole.into_iter().chain(proof);
    let Some(first) = path.next() else {
        return false;
    };
    let levels = (old - 1).trailing_ones();
    let (mut place, mut last) = ((old - 1) >> levels, (new - 1) >> levels);
    let (mut from, mut to) = (*first, *first);
    for hash in path {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            (from, to) = (node(hash, &from), node(hash, &to));
            climb(&mut place, &mut last);
        } else {
            to = node(&to, hash);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && from == *old_root && to == *new_root
}

#[cfg(test)]
mod tests {
    use ct_merkle::ConsistencyProof;
    use ct_merkle::InclusionProof;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;

    use super::*;

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|n| leaf(&[n])).collect()
    }

    /// RFC 6962 trees of one to three leaves, written out.
    #[test]
    fn small_trees_follow_the_rfc() {
        let hash = |parts: &[&[u8]]| -> Hash {
            let parts = parts.iter();
            parts
                .fold(Sha256::new(), |hash, part| hash.chain_update(part))
                .finalize()
                .into()
        };
        let [a, b, c] = [[1], [2], [3]].map(|byte: [u8; 1]| hash(&[&[0], &byte]));
        assert_eq!((leaf(&[1]), root(&[a])), (a, a));
        let ab = hash(&[&[1], &a, &b]);
        assert_eq!(root(&[a, b]), ab);
        assert_eq!(root(&[a, b, c]), hash(&[&[1], &ab, &c]));
        assert_eq!(root(&[]), hash(&[]));
    }

    /// Roots and proofs of every tree up to 70 leaves are those of another implementation, and nothing but them is accepted.
    #[test]
    fn every_small_tree_agrees_with_another_implementation() {
        for size in 1..=70_u8 {
            let leaves = leaves(size);
            let mut other: MemoryBackedTree<Sha256, Vec<u8>> = MemoryBackedTree::new();
            (0..size).for_each(|n| other.push(vec![n]));
            let root = root(&leaves);
            assert_eq!(root[..], other.root().as_bytes()[..]);
            for index in 0..size {
                let proof = inclusion(&leaves, usize::from(index)).unwrap();
                let theirs: InclusionProof<Sha256> = other.prove_inclusion(usize::from(index));
                assert_eq!(proof.concat(), theirs.as_bytes());
                for (place, at) in leaves.iter().enumerate() {
                    let right = place == usize::from(index);
                    assert_eq!(
                        includes(&root, size.into(), index.into(), at, &proof),
                        right
                    );
                }
                assert!(
                    !includes(
                        &root,
                        size.into(),
                        u64::from(index) + 1,
                        &leaves[usize::from(index)],
                        &proof
                    ) || size == 1
                );
                let mut long = proof.clone();
                long.push([0; 32]);
                assert!(!includes(
                    &root,
                    size.into(),
                    index.into(),
                    &leaves[usize::from(index)],
                    &long
                ));
            }
            for old in 1..size {
                let before = super::root(&leaves[..old.into()]);
                let proof = consistency(&leaves, old.into()).unwrap();
                let theirs: ConsistencyProof<Sha256> =
                    other.prove_consistency(usize::from(size - old));
                assert_eq!(proof.concat(), theirs.as_bytes(), "{old} of {size}");
                assert!(grew((old.into(), &before), (size.into(), &root), &proof));
                assert!(!grew((old.into(), &root), (size.into(), &root), &proof));
                assert!(!grew((old.into(), &before), (size.into(), &before), &proof));
                for n in 0..proof.len() {
                    let mut bad = proof.clone();
                    bad[n][0] ^= 1;
                    assert!(!grew((old.into(), &before), (size.into(), &root), &bad));
                    bad.remove(n);
                    assert!(!grew((old.into(), &before), (size.into(), &root), &bad));
                }
            }
        }
    }

    #[test]
    fn the_ends_are_no_special_cases_for_whoever_calls() {
        let leaves = leaves(5);
        let (root, none) = (root(&leaves), Tree::default().root());
        assert_eq!(
            (inclusion(&leaves, 5), consistency(&leaves, 6)),
            (None, None)
        );
        assert!(grew(
            (5, &root),
            (5, &root),
            &consistency(&leaves, 5).unwrap()
        ));
        assert!(grew(
            (0, &none),
            (5, &root),
            &consistency(&leaves, 0).unwrap()
        ));
        assert!(!grew((0, &root), (5, &root), &[]) && !grew((6, &root), (5, &root), &[]));
        assert!(!grew((5, &root), (5, &root), &[none]) && !includes(&root, 0, 0, &root, &[]));
        assert!(!includes(
            &root,
            u64::MAX,
            u64::MAX - 1,
            &root,
            &vec![root; 70]
        ));
    }
}

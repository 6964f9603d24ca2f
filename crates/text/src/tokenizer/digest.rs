//! What identifies a vocabulary.
//!
//! SHA-256 over a domain string, the number of ids, each id's spelling, the number of merges and
//! each merge; lengths and counts are u32, big endian. An id without an entry has length 0.
//! Spellings and merges together fix a byte-level encoder up to its pre-tokenizer, and both file
//! formats hold them literally.
//!
//! SentencePiece-style vocabularies count as having no merges: their order is implied by scores
//! in a GGUF file and by a list in a `tokenizer.json`, and no exact conversion exists.

use sha2::{Digest as _, Sha256};

const DOMAIN: &[u8] = b"taggant/v1/tokenizer";

/// `literals` and `merges` may each hold at most 2^32 - 1 strings of at most 2^32 - 1 bytes,
/// which the limits of their readers ensure.
pub(super) fn digest<'a>(
    literals: &[String],
    merges: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(DOMAIN);
    hash.update(length(literals.len()));
    for literal in literals {
        hash.update(length(literal.len()));
        hash.update(literal);
    }
    hash.update(length(merges.len()));
    for (left, right) in merges {
        hash.update(length(left.len() + 1 + right.len()));
        hash.update(left);
        hash.update(" ");
        hash.update(right);
    }
    hash.finalize().into()
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_as_specified() {
        let literals = ["a", "", "Ġb"].map(str::to_owned);
        let merges = [("a", "Ġb")];
        let mut bytes = b"taggant/v1/tokenizer".to_vec();
        bytes.extend(b"\0\0\0\x03\0\0\0\x01a\0\0\0\0\0\0\0\x03\xC4\xA0b");
        bytes.extend(b"\0\0\0\x01\0\0\0\x05a \xC4\xA0b");
        let expected: [u8; 32] = Sha256::digest(bytes).into();
        assert_eq!(digest(&literals, merges.into_iter()), expected);
    }
}

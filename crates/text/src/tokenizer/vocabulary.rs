//! The entries of a vocabulary: spelling, kind and bytes of each id.

use taggant_core::{Error, ErrorKind, Result};

use super::{MAX_VOCABULARY, alphabet};

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Produced by the encoder.
    Normal,
    /// Cut out of every text before the encoder runs.
    UserDefined,
    /// Cut out of chat text only; carries no text.
    Control,
    /// No entry, or an entry that is never used.
    Unused,
}

/// How entries spell bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// GPT-2's alphabet.
    ByteLevel,
    /// `▁` for a space, `<0x0A>` for a byte.
    SentencePiece {
        /// Whether the encoder puts a space before each text.
        space_prefix: bool,
    },
}

#[derive(Debug)]
pub(super) struct Vocabulary {
    spelling: Spelling,
    literals: Vec<String>,
    kinds: Vec<Kind>,
    bytes: Vec<Box<[u8]>>,
}

impl Vocabulary {
    /// `entries` in id order; an empty literal is an id without an entry. Entries `[PAD<own id>]`,
    /// which converters write where a model has more logits than tokens, count as none.
    pub(super) fn new(
        spelling: Spelling,
        entries: impl IntoIterator<Item = (String, Kind)>,
    ) -> Result<Self> {
        let mut literals = Vec::new();
        let mut kinds = Vec::new();
        for (id, (literal, kind)) in entries.into_iter().enumerate() {
            if id == MAX_VOCABULARY {
                return Err(too_large());
            }
            if literal.is_empty() || is_padding(&literal, id) {
                literals.push(String::new());
                kinds.push(Kind::Unused);
            } else {
                literals.push(literal);
                kinds.push(kind);
            }
        }
        let len = literals
            .iter()
            .rposition(|literal| !literal.is_empty())
            .map_or(0, |last| last + 1);
        if len == 0 {
            return Err(Error::new(ErrorKind::Format, "the vocabulary is empty"));
        }
        literals.truncate(len);
        kinds.truncate(len);
        let bytes = literals
            .iter()
            .zip(&kinds)
            .map(|(literal, &kind)| spelling.bytes(literal, kind).into_boxed_slice())
            .collect();
        Ok(Self {
            spelling,
            literals,
            kinds,
            bytes,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.literals.len()
    }

    pub(super) fn literal(&self, id: usize) -> &str {
        &self.literals[id]
    }

    pub(super) fn kind(&self, id: usize) -> Kind {
        self.kinds[id]
    }

    pub(super) fn bytes(&self, id: usize) -> &[u8] {
        &self.bytes[id]
    }

    pub(super) fn literals(&self) -> &[String] {
        &self.literals
    }

    /// Whether decoding drops one space at the start.
    pub(super) fn prefixes_space(&self) -> bool {
        self.spelling == Spelling::SentencePiece { space_prefix: true }
    }

    /// Ids, spellings and kinds of all entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, &str, Kind)> {
        // `MAX_VOCABULARY` fits in 32 bits, so the ids do not run out.
        (0_u32..)
            .zip(&self.literals)
            .zip(&self.kinds)
            .filter(|((_, literal), _)| !literal.is_empty())
            .map(|((id, literal), &kind)| (id, literal.as_str(), kind))
    }
}

impl Spelling {
    fn bytes(self, literal: &str, kind: Kind) -> Vec<u8> {
        match (self, kind) {
            (_, Kind::Control | Kind::Unused) => Vec::new(),
            (Self::ByteLevel, Kind::UserDefined) => literal.into(),
            (Self::ByteLevel, Kind::Normal) => {
                alphabet::bytes(literal).unwrap_or_else(|| literal.into())
            }
            (Self::SentencePiece { .. }, _) => match fallback_byte(literal) {
                Some(byte) => vec![byte],
                None => literal.replace('▁', " ").into_bytes(),
            },
        }
    }
}

/// The byte that an entry such as `<0x0A>` stands for.
pub(super) fn fallback_byte(literal: &str) -> Option<u8> {
    let hex = literal.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_plain = hex.len() == 2 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    u8::from_str_radix(hex, 16).ok().filter(|_| is_plain)
}

fn is_padding(literal: &str, id: usize) -> bool {
    literal
        .strip_prefix("[PAD")
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|number| number == id.to_string())
}

pub(super) fn too_large() -> Error {
    Error::new(
        ErrorKind::Limit,
        format!("the vocabulary has more than {MAX_VOCABULARY} token ids"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spell(literals: &[&str]) -> Vocabulary {
        let entries = literals.iter().map(|&l| (l.to_owned(), Kind::Normal));
        Vocabulary::new(Spelling::ByteLevel, entries).unwrap()
    }

    #[test]
    fn padding_is_no_entry_and_trailing_padding_is_dropped() {
        assert_eq!(spell(&["a", "b", "[PAD2]", "[PAD3]"]).len(), 2);
        let inner = spell(&["a", "[PAD1]", "b"]);
        assert_eq!((inner.len(), inner.literal(1)), (3, ""));
        // A spelling that names another id is an entry like any other.
        assert_eq!(spell(&["a", "[PAD7]", "[PAD]"]).len(), 3);
    }

    #[test]
    fn nothing_but_padding_is_an_error() {
        let empty = Vocabulary::new(Spelling::ByteLevel, [("[PAD0]".to_owned(), Kind::Unused)]);
        assert_eq!(empty.unwrap_err().kind(), ErrorKind::Format);
    }

    #[test]
    fn fallback_bytes_have_exactly_two_digits() {
        assert_eq!(fallback_byte("<0x0A>"), Some(10));
        assert_eq!(fallback_byte("<0xfF>"), Some(255));
        for other in ["<0x+A>", "<0xA>", "<0x00A>", "0x0A", "<0x0A", "<0xG0>"] {
            assert_eq!(fallback_byte(other), None, "{other}");
        }
    }
}

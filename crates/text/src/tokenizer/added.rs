//! Tokens that are found in the text before the encoder sees it.

use aho_corasick::{AhoCorasick, MatchKind};
use taggant_core::{Error, ErrorKind, Result};

use super::vocabulary::{Kind, Vocabulary};

/// Most bytes of all added tokens together. Gemma 3 has 6,414 of them in 84 kB.
const MAX_ADDED_BYTES: usize = 1 << 20;

/// Finds added tokens: at each place the longest, from left to right.
pub(super) struct Added {
    automaton: Option<AhoCorasick>,
    ids: Vec<u32>,
}

/// A piece of text between added tokens, or one of them.
pub(super) enum Fragment<'a> {
    Text(&'a str),
    Token(u32),
}

impl Added {
    pub(super) fn new(vocabulary: &Vocabulary, kinds: &[Kind]) -> Result<Self> {
        let (ids, literals): (Vec<_>, Vec<_>) = vocabulary
            .entries()
            .filter(|(_, _, kind)| kinds.contains(kind))
            .map(|(id, literal, _)| (id, literal))
            .unzip();
        let bytes: usize = literals.iter().map(|literal| literal.len()).sum();
        if bytes > MAX_ADDED_BYTES {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "the added tokens have {bytes} bytes; at most {MAX_ADDED_BYTES} are searched for"
                ),
            ));
        }
        let automaton = if ids.is_empty() {
            None
        } else {
            let automaton = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(literals)
                .map_err(|error| {
                    Error::new(
                        ErrorKind::Limit,
                        "the added tokens do not fit one automaton",
                    )
                    .with_source(error)
                })?;
            Some(automaton)
        };
        Ok(Self { automaton, ids })
    }

    /// Calls `each` with the fragments of `text`, none of them empty.
    pub(super) fn split<'a>(&self, text: &'a str, mut each: impl FnMut(Fragment<'a>)) {
        let mut end = 0;
        for found in self.automaton.iter().flat_map(|a| a.find_iter(text)) {
            if end < found.start() {
                each(Fragment::Text(&text[end..found.start()]));
            }
            each(Fragment::Token(self.ids[found.pattern()]));
            end = found.end();
        }
        if end < text.len() {
            each(Fragment::Text(&text[end..]));
        }
    }
}

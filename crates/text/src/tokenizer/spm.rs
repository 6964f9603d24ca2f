//! SentencePiece-style encoding as llama.cpp does it: neighbours whose union is a token are
//! merged, best score first, and what is left over is spelled in bytes.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap, HashSet},
};

use taggant_core::{Error, ErrorKind, Result};

use super::{
    alone::Alone,
    vocabulary::{Kind, Vocabulary, fallback_byte},
};

pub(super) struct Spm {
    /// The tokens that text can become.
    tokens: HashMap<Box<str>, u32>,
    alone: Alone,
    /// By id; no NaN.
    scores: Vec<f32>,
    /// The tokens `<0x00>` to `<0xFF>`.
    bytes: [u32; 256],
    longest: usize,
    /// Characters that some token has right before a `▁`. After any other, no merge crosses the
    /// start of a word, so words are encoded one by one. (Gemma 3 has one such token, `>▁</`.)
    glued: HashSet<char>,
    space_prefix: bool,
}

/// A run of characters that are one token or will be spelled in bytes.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    /// Bytes; 0 when it was merged into the one before.
    len: usize,
    previous: u32,
    next: u32,
}

const NONE: u32 = u32::MAX;

/// A possible merge of the symbol at `place` with the next one.
struct Merge {
    score: f32,
    place: u32,
    len: usize,
}

/// An encoder with its working memory.
pub(super) struct Session<'a> {
    spm: &'a Spm,
    text: String,
    symbols: Vec<Symbol>,
    queue: BinaryHeap<Merge>,
}

impl Spm {
    pub(super) fn new(vocabulary: &Vocabulary, scores: &[f32], space_prefix: bool) -> Result<Self> {
        let scores = scores.get(..vocabulary.len()).ok_or_else(|| {
            Error::new(
                ErrorKind::Format,
                format!(
                    "there are {} scores for {} tokens",
                    scores.len(),
                    vocabulary.len()
                ),
            )
        })?;
        if let Some(id) = scores.iter().position(|score| score.is_nan()) {
            return Err(Error::new(
                ErrorKind::Format,
                format!("the score of token {id} is not a number"),
            ));
        }
        // Control tokens are left out: no text may become one.
        let tokens: HashMap<Box<str>, u32> = vocabulary
            .entries()
            .filter(|(_, _, kind)| matches!(kind, Kind::Normal | Kind::UserDefined))
            .map(|(id, literal, _)| (literal.into(), id))
            .collect();
        let mut bytes = [None; 256];
        for (id, literal, kind) in vocabulary.entries() {
            if let Some(byte) = fallback_byte(literal).filter(|_| kind == Kind::Normal) {
                bytes[usize::from(byte)] = Some(id);
            }
        }
        if let Some(byte) = bytes.iter().position(Option::is_none) {
            return Err(Error::new(
                ErrorKind::Format,
                format!("the vocabulary has no token `<0x{byte:02X}>` to spell that byte"),
            ));
        }
        Ok(Self {
            longest: tokens
                .keys()
                .map(|literal| literal.len())
                .max()
                .unwrap_or(0),
            glued: tokens
                .keys()
                .flat_map(|literal| word_ends(literal))
                .map(|(_, last)| last)
                .collect(),
            tokens,
            alone: Alone::new(vocabulary.len()),
            // Adding 0 turns -0 into 0, which `total_cmp` would tell apart.
            scores: scores.iter().map(|score| score + 0.0).collect(),
            bytes: bytes.map(|id| id.unwrap_or_default()),
            space_prefix,
        })
    }

    pub(super) fn session(&self) -> Session<'_> {
        Session {
            spm: self,
            text: String::new(),
            symbols: Vec::new(),
            queue: BinaryHeap::new(),
        }
    }
}

/// Where a `▁` follows another character in `text`, and that character.
fn word_ends(text: &str) -> impl Iterator<Item = (usize, char)> {
    text.match_indices('▁').filter_map(|(at, _)| {
        let last = text[..at].chars().next_back()?;
        (last != '▁').then_some((at, last))
    })
}

impl Session<'_> {
    /// Appends the ids of `text`.
    pub(super) fn encode(&mut self, text: &str, ids: &mut Vec<u32>) {
        let mut escaped = std::mem::take(&mut self.text);
        escaped.clear();
        if self.spm.space_prefix {
            escaped.push('▁');
        }
        for part in text.split_inclusive(' ') {
            match part.strip_suffix(' ') {
                Some(word) => {
                    escaped.push_str(word);
                    escaped.push('▁');
                }
                None => escaped.push_str(part),
            }
        }
        let mut start = 0;
        for (end, _) in word_ends(&escaped).filter(|(_, last)| !self.spm.glued.contains(last)) {
            self.encode_word(&escaped[start..end], ids);
            start = end;
        }
        self.encode_word(&escaped[start..], ids);
        self.text = escaped;
    }

    fn encode_word(&mut self, word: &str, ids: &mut Vec<u32>) {
        let Spm { tokens, alone, .. } = self.spm;
        match tokens.get(word) {
            Some(&id) => alone.encode(id, ids, |ids| self.merge(word, ids)),
            None => self.merge(word, ids),
        }
    }

    /// Appends the ids of one word. O(n log n), because a word can be a whole file.
    fn merge(&mut self, word: &str, ids: &mut Vec<u32>) {
        self.symbols.clear();
        // `MAX_TEXT_BYTES` keeps places far below `NONE`.
        for (place, (start, letter)) in (0_u32..).zip(word.char_indices()) {
            self.symbols.push(Symbol {
                start,
                len: letter.len_utf8(),
                previous: place.wrapping_sub(1),
                next: place + 1,
            });
        }
        let Some(last) = self.symbols.last_mut() else {
            return;
        };
        last.next = NONE;

        let mut place = 0;
        while place != NONE {
            place = self.propose(word, place);
        }
        while let Some(merge) = self.queue.pop() {
            let symbol = self.symbols[merge.place as usize];
            if symbol.len == 0 || symbol.next == NONE {
                continue;
            }
            let removed = self.symbols[symbol.next as usize];
            // Either may have been merged with another neighbour in the meantime.
            if symbol.len + removed.len != merge.len {
                continue;
            }
            self.symbols[symbol.next as usize].len = 0;
            self.symbols[merge.place as usize].len = merge.len;
            self.symbols[merge.place as usize].next = removed.next;
            if removed.next != NONE {
                self.symbols[removed.next as usize].previous = merge.place;
            }
            if symbol.previous != NONE {
                self.propose(word, symbol.previous);
            }
            self.propose(word, merge.place);
        }
        for symbol in self.symbols.iter().filter(|symbol| symbol.len > 0) {
            let text = &word[symbol.start..symbol.start + symbol.len];
            match self.spm.tokens.get(text) {
                Some(&id) => ids.push(id),
                None => ids.extend(text.bytes().map(|b| self.spm.bytes[usize::from(b)])),
            }
        }
    }

    /// Queues the merge of the symbol at `place` with the next one, if their union is a token,
    /// and returns the next place.
    fn propose(&mut self, word: &str, place: u32) -> u32 {
        let symbol = self.symbols[place as usize];
        if symbol.next != NONE {
            let len = symbol.len + self.symbols[symbol.next as usize].len;
            if len <= self.spm.longest
                && let Some(&id) = self.spm.tokens.get(&word[symbol.start..symbol.start + len])
            {
                self.queue.push(Merge {
                    score: self.spm.scores[id as usize],
                    place,
                    len,
                });
            }
        }
        symbol.next
    }
}

/// Best score first, then leftmost.
impl Ord for Merge {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then_with(|| other.place.cmp(&self.place))
    }
}

impl PartialOrd for Merge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Merge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Merge {}

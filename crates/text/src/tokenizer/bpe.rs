//! Byte-level byte-pair encoding.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

use taggant_core::{Error, ErrorKind, Result};

use super::{
    alone::Alone,
    alphabet,
    split::Split,
    vocabulary::{Kind, Vocabulary},
};

pub(super) struct Bpe {
    split: Split,
    /// The token of each single byte.
    letters: [Option<u32>; 256],
    /// The tokens that text can become.
    tokens: HashMap<Box<[u8]>, u32>,
    alone: Alone,
    merges: Merges,
}

/// The merges, to be looked up by pair and by rank.
struct Merges {
    /// By rank: left, right and merged token.
    ranked: Vec<[u32; 3]>,
    /// By pair: rows of one left token each, sorted by the right one.
    pairs: Vec<(u32, u32)>,
    /// Where each left token's row begins.
    rows: Vec<usize>,
}

/// A token in the linked list that a piece shrinks to.
#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    previous: u32,
    next: u32,
}

/// No symbol, and the id of a symbol that was merged away.
const NONE: u32 = u32::MAX;

/// An encoder with its working memory.
pub(super) struct Session<'a> {
    bpe: &'a Bpe,
    merger: Merger<'a>,
}

struct Merger<'a> {
    merges: &'a Merges,
    letters: &'a [Option<u32>; 256],
    symbols: Vec<Symbol>,
    /// Possible merges: rank, then place.
    queue: BinaryHeap<Reverse<(u32, u32)>>,
}

impl Bpe {
    pub(super) fn new(
        vocabulary: &Vocabulary,
        merges: &[(&str, &str)],
        split: Split,
    ) -> Result<Self> {
        // Control tokens are left out: no text may become one.
        let tokens: HashMap<Box<[u8]>, u32> = vocabulary
            .entries()
            .filter(|(_, _, kind)| matches!(kind, Kind::Normal | Kind::UserDefined))
            .filter_map(|(id, literal, _)| Some((alphabet::bytes(literal)?.into(), id)))
            .collect();
        let mut letters = [None; 256];
        for (byte, letter) in (0..=u8::MAX).zip(&mut letters) {
            *letter = tokens.get([byte].as_slice()).copied();
        }
        let merges = Merges::new(vocabulary, &tokens, merges)?;
        Ok(Self {
            split,
            letters,
            tokens,
            alone: Alone::new(vocabulary.len()),
            merges,
        })
    }

    pub(super) fn session(&self) -> Session<'_> {
        Session {
            bpe: self,
            merger: Merger::new(&self.merges, &self.letters),
        }
    }
}

impl Merges {
    fn new(
        vocabulary: &Vocabulary,
        tokens: &HashMap<Box<[u8]>, u32>,
        merges: &[(&str, &str)],
    ) -> Result<Self> {
        let controls: HashSet<&str> = vocabulary
            .entries()
            .filter(|&(_, _, kind)| kind == Kind::Control)
            .map(|(_, literal, _)| literal)
            .collect();
        let mut ranked = Vec::with_capacity(merges.len());
        let mut pairs = Vec::with_capacity(merges.len());
        for (rank, &(left, right)) in (0_u32..).zip(merges) {
            let Some(merge) = parse(tokens, left, right) else {
                let merged = [left, right].concat();
                if [left, right, &merged]
                    .iter()
                    .any(|text| controls.contains(text))
                {
                    // Keeps the ranks of the others; never found, because it has no pair.
                    ranked.push([NONE; 3]);
                    continue;
                }
                return Err(Error::new(
                    ErrorKind::Format,
                    format!(
                        "merge {rank}, `{} {}`, uses a token that is not in the vocabulary",
                        left.escape_debug(),
                        right.escape_debug()
                    ),
                ));
            };
            ranked.push(merge);
            pairs.push((merge[0], merge[1], rank));
        }
        // Sorted by rank within a pair, so that of two equal pairs the first counts.
        pairs.sort_unstable();
        pairs.dedup_by_key(|&mut (left, right, _)| (left, right));
        let mut rows = vec![0; vocabulary.len() + 1];
        for &(left, ..) in &pairs {
            rows[left as usize + 1] += 1;
        }
        for at in 1..rows.len() {
            rows[at] += rows[at - 1];
        }
        Ok(Self {
            ranked,
            pairs: pairs
                .into_iter()
                .map(|(_, right, rank)| (right, rank))
                .collect(),
            rows,
        })
    }

    fn rank(&self, left: u32, right: u32) -> Option<u32> {
        let left = left as usize;
        let row = &self.pairs[self.rows[left]..self.rows[left + 1]];
        let at = row.binary_search_by_key(&right, |&(right, _)| right).ok()?;
        Some(row[at].1)
    }
}

fn parse(tokens: &HashMap<Box<[u8]>, u32>, left: &str, right: &str) -> Option<[u32; 3]> {
    let (left, right) = (alphabet::bytes(left)?, alphabet::bytes(right)?);
    let merged = [left.as_slice(), &right].concat();
    Some([
        *tokens.get(left.as_slice())?,
        *tokens.get(right.as_slice())?,
        *tokens.get(merged.as_slice())?,
    ])
}

impl Session<'_> {
    /// Appends the ids of `text`.
    pub(super) fn encode(&mut self, text: &str, ids: &mut Vec<u32>) {
        let Bpe {
            split,
            tokens,
            alone,
            ..
        } = self.bpe;
        let merger = &mut self.merger;
        split.split(&split.normalise(text), &mut |piece| {
            let piece = piece.as_bytes();
            match tokens.get(piece) {
                Some(&id) if split.whole_words => ids.push(id),
                Some(&id) => alone.encode(id, ids, |ids| merger.merge(piece, ids)),
                None => merger.merge(piece, ids),
            }
        });
    }
}

impl<'a> Merger<'a> {
    fn new(merges: &'a Merges, letters: &'a [Option<u32>; 256]) -> Self {
        Self {
            merges,
            letters,
            symbols: Vec::new(),
            queue: BinaryHeap::new(),
        }
    }

    /// Appends the ids of one piece: its letters, merged lowest rank first and leftmost first.
    /// O(n log n), because a piece can be a whole file.
    fn merge(&mut self, piece: &[u8], ids: &mut Vec<u32>) {
        self.symbols.clear();
        // `MAX_TEXT_BYTES` keeps places far below `NONE`.
        let letters = piece
            .iter()
            .filter_map(|&byte| self.letters[usize::from(byte)]);
        for (place, id) in (0_u32..).zip(letters) {
            self.symbols.push(Symbol {
                id,
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
            place = self.propose(place);
        }
        while let Some(Reverse((rank, place))) = self.queue.pop() {
            let [left, right, merged] = self.merges.ranked[rank as usize];
            let symbol = self.symbols[place as usize];
            // Either may have been merged with another neighbour in the meantime.
            if symbol.id != left || symbol.next == NONE {
                continue;
            }
            let removed = self.symbols[symbol.next as usize];
            if removed.id != right {
                continue;
            }
            self.symbols[symbol.next as usize].id = NONE;
            self.symbols[place as usize].id = merged;
            self.symbols[place as usize].next = removed.next;
            if removed.next != NONE {
                self.symbols[removed.next as usize].previous = place;
            }
            if symbol.previous != NONE {
                self.propose(symbol.previous);
            }
            self.propose(place);
        }
        ids.extend(
            self.symbols
                .iter()
                .map(|symbol| symbol.id)
                .filter(|&id| id != NONE),
        );
    }

    /// Queues the merge of the symbol at `place` with the next one, if there is such a merge, and
    /// returns the next place.
    fn propose(&mut self, place: u32) -> u32 {
        let symbol = self.symbols[place as usize];
        if symbol.next != NONE {
            let next = self.symbols[symbol.next as usize].id;
            if let Some(rank) = self.merges.rank(symbol.id, next) {
                self.queue.push(Reverse((rank, place)));
            }
        }
        symbol.next
    }
}

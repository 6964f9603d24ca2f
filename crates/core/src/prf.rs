//! The keyed function (SPEC.md §3): AES-128 over a window and a candidate, 32 bits for each of four neighbouring candidates.
//!
//! Every kernel runs inside the `aes` crate's dispatch closure. The closure is compiled once for each instruction set the
//! crate knows (VAES-512, VAES-256, AES-NI, portable) and chosen at run time, so loops that fill blocks and consume words are
//! vectorised for the machine at hand without a line of `unsafe` or of feature detection here.

use std::fmt;

use aes::Aes128Enc;
use aes::cipher::consts::U16;
use aes::cipher::{
    Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, InOut,
    KeyInit, ParBlocks,
};
use zeroize::Zeroizing;

use crate::tile::Tile;

/// The longest window, in tokens.
pub const MAX_WINDOW: usize = 8;

/// Token ids are below 2^21 (SPEC.md §1), eight times the largest vocabulary in use.
pub const MAX_VOCABULARY: usize = 1 << 21;

/// Stands for "no candidate", and pads the first block.
const NONE: u32 = u32::MAX;

/// A block as the cipher sees it.
pub(crate) type Block = [u8; 16];

/// Candidates that share a block, 32 bits each.
pub(crate) const LANES: usize = 4;

/// A block as four little-endian words.
pub(crate) type Words = [u32; LANES];

/// A word of a [`scan`](Prf::scan) in the bytes the cipher left; `u32::from_le_bytes` reads it. A slice of these vectorises
/// like a slice of integers, without a copy in between.
pub type WordBytes = [u8; 4];

/// The keyed function under one key, for windows of one length.
///
/// ```
/// use taggant_core::hazmat::Prf;
///
/// let prf = Prf::new(&[7; 16], 2);
/// assert_eq!(prf.word(&[318, 257], 922), prf.word(&[318, 257], 922));
/// assert_ne!(prf.word(&[318, 257], 922), prf.word(&[257, 318], 922));
/// ```
#[derive(Clone)]
pub struct Prf {
    cipher: Aes128Enc,
    window: usize,
}

impl Prf {
    /// The function under `key` for windows of `window` tokens, `1 ≤ window ≤` [`MAX_WINDOW`].
    #[must_use]
    pub fn new(key: &[u8; 16], window: usize) -> Self {
        debug_assert!((1..=MAX_WINDOW).contains(&window));
        Self {
            cipher: Aes128Enc::new(&Array::from(*key)),
            window,
        }
    }

    /// Tokens in a window.
    #[must_use]
    pub fn window(&self) -> usize {
        self.window
    }

    /// `F(k, window, token)`.
    #[must_use]
    pub fn word(&self, window: &[u32], token: u32) -> u32 {
        lane(&self.block(window, token / 4), token)
    }

    /// `F(k, window, context)`: the window's own word.
    #[must_use]
    pub fn context(&self, window: &[u32]) -> u32 {
        lane(&self.block(window, NONE), 0)
    }

    /// The words of `candidates` after one window, into `out` (same length).
    pub fn candidates(&self, window: &[u32], candidates: &[u32], out: &mut [u32]) {
        let state = self.state(window);
        self.pipeline(
            candidates.len(),
            |index| xor(state, [0, 0, 0, candidates[index] / 4]),
            |start, blocks| {
                for ((out, &candidate), block) in out[start..]
                    .iter_mut()
                    .zip(&candidates[start..])
                    .zip(blocks)
                {
                    *out = lane(block, candidate);
                }
            },
        );
    }

    /// Calls `visit(first, words)` for consecutive runs that together hold the words of all tokens `0 … vocabulary − 1`.
    /// `visit` is inlined into the vectorised loop; keep it small and branch-free.
    pub fn scan(
        &self,
        window: &[u32],
        vocabulary: usize,
        mut visit: impl FnMut(usize, &[WordBytes]),
    ) {
        let state = self.state(window);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "vocabularies are below 2^21"
        )]
        self.pipeline(
            vocabulary.div_ceil(4),
            |group| xor(state, [0, 0, 0, group as u32]),
            #[inline(always)]
            move |start, blocks| {
                let (words, _) = blocks.as_flattened().as_chunks();
                let first = 4 * start;
                visit(first, &words[..words.len().min(vocabulary - first)]);
            },
        );
    }

    /// The words of the units that end at `positions` of `tokens`, into `out` (same length as `positions`).
    /// Each position is at least the window and below `tokens.len()`.
    pub fn units(&self, tokens: &[u32], positions: &[u32], out: &mut [u32]) {
        let token = |position: u32| tokens[position as usize];
        self.at(
            tokens,
            positions,
            out,
            |position| token(position) / 4,
            |block, position| lane(block, token(position)),
        );
    }

    /// The words of the units of a tile, in the tile's order, into `out` (same length).
    pub fn tile(&self, tile: &Tile, out: &mut [u32]) {
        debug_assert_eq!((tile.window(), tile.len()), (self.window, out.len()));
        if tile.blocks.len() > tile.len() {
            return self.chained_tile(tile, out);
        }
        let mut start = 0;
        let [a, b, c, d] = tile.ends;
        self.lane::<0>(&tile.blocks[start..a], &mut out[start..a]);
        start = a;
        self.lane::<1>(&tile.blocks[start..b], &mut out[start..b]);
        start = b;
        self.lane::<2>(&tile.blocks[start..c], &mut out[start..c]);
        start = c;
        self.lane::<3>(&tile.blocks[start..d], &mut out[start..d]);
    }

    /// Word `LANE` of each encrypted block.
    #[inline(always)]
    fn lane<const LANE: usize>(&self, blocks: &[Block], out: &mut [u32]) {
        self.laid(
            blocks,
            #[inline(always)]
            |start, done| {
                // Four bytes at a time, sixteen bytes apart: a stride that vectorises.
                let (words, _) = done.as_flattened().as_chunks::<4>();
                for (out, words) in out[start..].iter_mut().zip(words.chunks_exact(LANES)) {
                    *out = u32::from_le_bytes(words[LANE]);
                }
            },
        );
    }

    /// Encrypts blocks that lie finished in memory; `drain(start, blocks)` takes consecutive results.
    #[inline(always)]
    fn laid(&self, blocks: &[Block], drain: impl FnMut(usize, &[Block])) {
        self.cipher.encrypt_with_backend(Laid { blocks, drain });
    }

    fn chained_tile(&self, tile: &Tile, out: &mut [u32]) {
        const TOGETHER: usize = 64;
        let mut chained = [Array([0; 16]); TOGETHER];
        let count = tile.len();
        for start in (0..count).step_by(TOGETHER) {
            let end = count.min(start + TOGETHER);
            let chained = &mut chained[..end - start];
            chained.fill(Array([0; 16]));
            for message in tile.blocks.chunks_exact(count) {
                for (chained, block) in chained.iter_mut().zip(&message[start..end]) {
                    *chained = Array(bytes(xor(words(&chained.0), words(block))));
                }
                self.cipher.encrypt_blocks(chained);
            }
            for (index, block) in (start..end).zip(&*chained) {
                let lane = tile.ends.iter().take_while(|&&end| index >= end).count();
                out[index] = words(&block.0)[lane];
            }
        }
    }

    /// All 128 bits for a window without a candidate: what decoy keys are made of.
    pub(crate) fn wide(&self, window: &[u32]) -> Zeroizing<Block> {
        Zeroizing::new(self.block(window, NONE))
    }

    /// The words of the windows that end before `positions` of `tokens`, into `out` (same length as `positions`).
    pub fn contexts(&self, tokens: &[u32], positions: &[u32], out: &mut [u32]) {
        self.at(tokens, positions, out, |_| NONE, |block, _| lane(block, 0));
    }

    /// Runs the function over the windows that end before `positions`: `group` gives the last word of the input, `take` what
    /// is wanted of the output.
    #[inline(always)]
    fn at(
        &self,
        tokens: &[u32],
        positions: &[u32],
        out: &mut [u32],
        group: impl Fn(u32) -> u32,
        take: impl Fn(&Block, u32) -> u32,
    ) {
        // A window of up to three tokens is one block, by far the common case, and needs no chaining; a length known at
        // compile time halves its cost.
        match self.window {
            1 => self.single::<1>(tokens, positions, out, group, take),
            2 => self.single::<2>(tokens, positions, out, group, take),
            3 => self.single::<3>(tokens, positions, out, group, take),
            _ => self.chained(tokens, positions, out, group, take),
        }
    }

    #[inline(always)]
    fn single<const WINDOW: usize>(
        &self,
        tokens: &[u32],
        positions: &[u32],
        out: &mut [u32],
        group: impl Fn(u32) -> u32,
        take: impl Fn(&Block, u32) -> u32,
    ) {
        self.pipeline(
            positions.len(),
            #[inline(always)]
            |index| {
                let end = positions[index];
                let mut words = [NONE; 4];
                words[3 - WINDOW..3].copy_from_slice(&tokens[end as usize - WINDOW..end as usize]);
                words[3] = group(end);
                words
            },
            #[inline(always)]
            |start, blocks| {
                let ends = &positions[start..start + blocks.len()];
                for ((out, block), &end) in out[start..].iter_mut().zip(blocks).zip(ends) {
                    *out = take(block, end);
                }
            },
        );
    }

    fn chained(
        &self,
        tokens: &[u32],
        positions: &[u32],
        out: &mut [u32],
        group: impl Fn(u32) -> u32,
        take: impl Fn(&Block, u32) -> u32,
    ) {
        const TOGETHER: usize = 64;
        let mut chained = [Array([0; 16]); TOGETHER];
        for (ends, out) in positions.chunks(TOGETHER).zip(out.chunks_mut(TOGETHER)) {
            let chained = &mut chained[..ends.len()];
            chained.fill(Array([0; 16]));
            for block in 0..blocks(self.window) {
                for (chained, &end) in chained.iter_mut().zip(ends) {
                    let window = &tokens[end as usize - self.window..end as usize];
                    *chained = Array(bytes(xor(
                        words(&chained.0),
                        input(window, block, group(end)),
                    )));
                }
                self.cipher.encrypt_blocks(chained);
            }
            for ((out, block), &end) in out.iter_mut().zip(&*chained).zip(ends) {
                *out = take(&block.0, end);
            }
        }
    }

    /// The last block's input, but for the group: what all candidates after one window share.
    fn state(&self, window: &[u32]) -> Words {
        debug_assert_eq!(window.len(), self.window);
        let last = blocks(self.window) - 1;
        let chained = (0..last).fold([0; 4], |state, block| {
            words(&self.encrypt(xor(state, input(window, block, 0))))
        });
        xor(chained, input(window, last, 0))
    }

    fn block(&self, window: &[u32], group: u32) -> Block {
        self.encrypt(xor(self.state(window), [0, 0, 0, group]))
    }

    fn encrypt(&self, words: Words) -> Block {
        let mut block = Array(bytes(words));
        self.cipher.encrypt_block(&mut block);
        block.0
    }

    /// Encrypts `count` blocks: `fill(i)` gives block `i`, `drain(start, blocks)` takes consecutive results.
    #[inline(always)]
    fn pipeline(
        &self,
        count: usize,
        fill: impl FnMut(usize) -> Words,
        drain: impl FnMut(usize, &[Block]),
    ) {
        self.cipher
            .encrypt_with_backend(Pipeline { count, fill, drain });
    }
}

impl fmt::Debug for Prf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prf")
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// A closure of the `aes` crate: its body is compiled for, and run on, the best instruction set of the machine.
struct Pipeline<F, D> {
    count: usize,
    fill: F,
    drain: D,
}

impl<F, D> BlockSizeUser for Pipeline<F, D> {
    type BlockSize = U16;
}

impl<F: FnMut(usize) -> Words, D: FnMut(usize, &[Block])> BlockCipherEncClosure for Pipeline<F, D> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(mut self, backend: &B) {
        let mut blocks = ParBlocks::<B>::default();
        // Whole batches and the rest are written apart: a loop of known length is one the compiler vectorises.
        let whole = self.count - self.count % blocks.len();
        for start in (0..whole).step_by(blocks.len()) {
            for (offset, block) in blocks.iter_mut().enumerate() {
                *block = Array(bytes((self.fill)(start + offset)));
            }
            backend.encrypt_par_blocks(InOut::from(&mut blocks));
            (self.drain)(start, Array::cast_slice_to_core(&blocks));
        }
        let rest = self.count - whole;
        if rest > 0 {
            for (offset, block) in blocks[..rest].iter_mut().enumerate() {
                *block = Array(bytes((self.fill)(whole + offset)));
            }
            backend.encrypt_par_blocks(InOut::from(&mut blocks));
            (self.drain)(whole, Array::cast_slice_to_core(&blocks[..rest]));
        }
    }
}

/// As [`Pipeline`], for blocks that lie finished in memory: the cipher reads them where they are.
struct Laid<'a, D> {
    blocks: &'a [Block],
    drain: D,
}

impl<D> BlockSizeUser for Laid<'_, D> {
    type BlockSize = U16;
}

impl<D: FnMut(usize, &[Block])> BlockCipherEncClosure for Laid<'_, D> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(mut self, backend: &B) {
        let (whole, rest) =
            ParBlocks::<B>::slice_as_chunks(Array::cast_slice_from_core(self.blocks));
        let mut done = ParBlocks::<B>::default();
        let together = done.len();
        for (number, blocks) in whole.iter().enumerate() {
            backend.encrypt_par_blocks(InOut::from((blocks, &mut done)));
            (self.drain)(number * together, Array::cast_slice_to_core(&done));
        }
        if !rest.is_empty() {
            done[..rest.len()].copy_from_slice(rest);
            backend.encrypt_par_blocks(InOut::from(&mut done));
            (self.drain)(
                whole.len() * together,
                Array::cast_slice_to_core(&done[..rest.len()]),
            );
        }
    }
}

/// Blocks of the message `window ‖ group`.
pub(crate) fn blocks(window: usize) -> usize {
    (window + 1).div_ceil(4)
}

/// Block `block` of the message `window ‖ group`, which is padded at the front.
#[inline(always)]
pub(crate) fn input(window: &[u32], block: usize, group: u32) -> Words {
    let padding = 4 * blocks(window.len()) - window.len() - 1;
    std::array::from_fn(|slot| match (4 * block + slot).checked_sub(padding) {
        None => NONE,
        Some(index) => window.get(index).copied().unwrap_or(group),
    })
}

/// The word of `token` among the four candidates that share `block`.
#[inline(always)]
fn lane(block: &Block, token: u32) -> u32 {
    let (words, _) = block.as_chunks::<4>();
    u32::from_le_bytes(words[(token % 4) as usize])
}

#[inline(always)]
fn xor(a: Words, b: Words) -> Words {
    std::array::from_fn(|slot| a[slot] ^ b[slot])
}

#[inline(always)]
pub(crate) fn bytes(words: Words) -> Block {
    let mut bytes = [0; 16];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

#[inline(always)]
fn words(block: &Block) -> Words {
    std::array::from_fn(|slot| {
        let at = 4 * slot;
        u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
    })
}

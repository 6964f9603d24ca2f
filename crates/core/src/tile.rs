//! Units laid out once to be evaluated under many keys.

use crate::prf::{Block, LANES, blocks, bytes, input};

/// Units that fit the second cache together with their words, so that thousands of keys pass over them without touching memory.
pub const TILE: usize = 4096;

/// Up to [`TILE`] units of one window length.
///
/// Inside a tile the units are sorted by which quarter of a block holds their word, so that taking it out is the same instruction for
/// whole runs; [`order`](Self::order) tells where each came from.
#[derive(Clone, Debug, Default)]
pub struct Tile {
    window: usize,
    /// Windows and tokens, one unit after another.
    tokens: Vec<u32>,
    positions: Vec<u32>,
    order: Vec<u32>,
    /// Block `j` of unit `i` at `j · len + i`.
    pub(crate) blocks: Vec<Block>,
    /// Units before `ends[l]` have a lane of at most `l`.
    pub(crate) ends: [usize; LANES],
}

impl Tile {
    /// Lays out `units`, each a window of `window` tokens and the token after it, in place of what the tile held.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a tile has 4,096 units of nine tokens at most"
    )]
    pub fn fill(&mut self, window: usize, units: &[u32]) {
        let stride = window + 1;
        debug_assert!(units.len().is_multiple_of(stride) && units.len() <= TILE * stride);
        let count = units.len() / stride;
        let unit = |index: usize| &units[index * stride..(index + 1) * stride];
        self.window = window;
        self.order.clear();
        for lane in 0..LANES {
            self.order.extend(
                (0..count as u32)
                    .filter(|&index| unit(index as usize)[window] as usize % LANES == lane),
            );
            self.ends[lane] = self.order.len();
        }
        self.tokens.clear();
        self.positions.clear();
        for (place, &index) in self.order.iter().enumerate() {
            self.tokens.extend_from_slice(unit(index as usize));
            self.positions.push((place * stride + window) as u32);
        }
        self.blocks.clear();
        for block in 0..blocks(window) {
            self.blocks.extend(self.order.iter().map(|&index| {
                let unit = unit(index as usize);
                bytes(input(&unit[..window], block, unit[window] / LANES as u32))
            }));
        }
    }

    /// Number of units.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is no unit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Tokens in a window.
    #[must_use]
    pub fn window(&self) -> usize {
        self.window
    }

    /// The units as tokens, and the positions at which they end: what [`Scheme::words`](crate::Scheme::words) takes.
    #[must_use]
    pub fn tokens(&self) -> (&[u32], &[u32]) {
        (&self.tokens, &self.positions)
    }

    /// For each unit of the tile its index among the units that were laid out.
    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.order
    }
}

//! The joint between embedding and detection.

use std::fmt;

use crate::candidates::{Candidates, Scratch};
use crate::error::{Error, ErrorKind, Result};
use crate::tile::Tile;

/// The law of one unit's score when the text is independent of the key. Scores of distinct units are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Null {
    /// A count of successes in `trials` independent trials, each with probability `threshold / 2^32`.
    Binomial {
        /// Trials in a unit.
        trials: u32,
        /// 2^32 times the probability of success.
        threshold: u64,
    },
    /// Stochastically at most an exponential variable of mean 1.
    Exponential,
}

/// What a scheme does with the candidates' distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reshaped {
    /// All mass is on the candidate at this index.
    Chosen(usize),
    /// The new, unnormalised distribution is in [`Scratch::weights`].
    Weights,
}

/// A watermark under one key: a keyed function that gives every unit a word, a score for words with a known null
/// law, and, for schemes that also embed, a way to bend a distribution towards high scores.
///
/// Larger scores mean more mark. A unit is a window and the token after it; `positions` index tokens whose window lies
/// before them in the same slice.
pub trait Scheme: fmt::Debug + Send + Sync {
    /// The scheme's id in records, such as `gumbel/1`.
    fn id(&self) -> &'static str;

    /// Tokens in a window.
    fn window(&self) -> usize;

    /// The words of the units that end at `positions` of `tokens`, into `out` (same length as `positions`).
    /// Every position is at least [`window`](Self::window) and below `tokens.len()`.
    fn words(&self, tokens: &[u32], positions: &[u32], out: &mut [u32]);

    /// The words of a tile's units, in the tile's order, into `out` (same length).
    fn tile(&self, tile: &Tile, out: &mut [u32]) {
        let (tokens, positions) = tile.tokens();
        self.words(tokens, positions, out);
    }

    /// The law of a unit's score under the null.
    fn null(&self) -> Null;

    /// Each unit's score, into `out` (same length).
    fn scores(&self, words: &[u32], out: &mut [f64]) {
        for (out, word) in out.iter_mut().zip(words) {
            *out = self.score(std::slice::from_ref(word));
        }
    }

    /// The sum of the units' scores. Counts are exact.
    fn score(&self, words: &[u32]) -> f64;

    /// Whether a window that already occurred in the response is sampled plainly, so that one window does not give one
    /// token again and again. True of distortion-free schemes.
    fn plain_on_repeat(&self) -> bool {
        true
    }

    /// Bends the candidates' distribution after `window`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for schemes that only detect.
    fn reshape(
        &self,
        window: &[u32],
        candidates: &Candidates<'_>,
        scratch: &mut Scratch,
    ) -> Result<Reshaped> {
        let _ = (window, candidates, scratch);
        Err(Error::new(
            ErrorKind::Unsupported,
            format!("scheme {} detects only; it cannot mark", self.id()),
        ))
    }

    /// Changes full-vocabulary logits so that sampling from their softmax gives the marked distribution.
    ///
    /// # Errors
    /// As [`reshape`](Self::reshape), and [`ErrorKind::Logits`] when no distribution can be made of the logits.
    fn bias(&self, window: &[u32], logits: &mut [f32], scratch: &mut Scratch) -> Result<()> {
        let reshaped = self.reshape(window, &Candidates::all(logits, 1.0)?, scratch)?;
        scratch.write_logits(reshaped, None, logits);
        Ok(())
    }

    /// [`bias`](Self::bias) for a vocabulary of which only the tokens `ids`, ascending, are possible; `logits` are theirs.
    ///
    /// # Errors
    /// As [`bias`](Self::bias).
    fn bias_listed(
        &self,
        window: &[u32],
        ids: &[u32],
        logits: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<()> {
        let candidates = Candidates::only(ids, logits, 1.0)?;
        let reshaped = self.reshape(window, &candidates, scratch)?;
        scratch.write_logits(reshaped, None, logits);
        Ok(())
    }
}

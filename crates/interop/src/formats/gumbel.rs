//! Gumbel-max (Aaronson 2022) under other systems' keyed functions: a uniform number for each window and token, of which a unit scores
//! `−ln(1 − u)`.

use std::fmt;

use taggant_core::window::{extend, identity};
use taggant_core::{Null, Scheme};

use crate::contract::Contract;

/// How an engine makes uniform numbers.
pub(crate) trait Race: Send + Sync + 'static {
    /// The scheme's id.
    fn id(&self) -> &'static str;

    /// Tokens before the token that are read.
    fn window(&self) -> usize;

    /// The word of a unit, before it becomes a number.
    fn word(&self, window: &[u32], token: u32) -> u32;

    /// The number, in the engine's precision; below 1.
    fn uniform(word: u32) -> f64;

    /// As [`Contract::name`].
    fn name(&self, window: &[u32], token: u32) -> u64 {
        extend(identity(window), token)
    }

    /// As [`Contract::keyed`].
    fn keyed(&self, _window: &[u32]) -> bool {
        true
    }
}

/// A number of torch's `rand`, from its 24 bits.
pub(crate) fn of_rand(word: u32) -> f64 {
    f64::from(word) / 16_777_216.0
}

/// The mark of a race.
pub(crate) struct Gumbel<R>(pub(crate) R);

impl<R: Race> Scheme for Gumbel<R> {
    fn id(&self) -> &'static str {
        self.0.id()
    }

    fn window(&self) -> usize {
        self.0.window()
    }

    fn words(&self, tokens: &[u32], positions: &[u32], out: &mut [u32]) {
        let window = self.0.window();
        for (out, &position) in out.iter_mut().zip(positions) {
            let end = position as usize;
            *out = self.0.word(&tokens[end - window..end], tokens[end]);
        }
    }

    fn null(&self) -> Null {
        Null::Exponential
    }

    fn score(&self, words: &[u32]) -> f64 {
        words
            .iter()
            .map(|&word| -libm::log1p(-R::uniform(word)))
            .sum()
    }
}

impl<R: Race> Contract for Gumbel<R> {
    fn name(&self, window: &[u32], token: u32) -> u64 {
        self.0.name(window, token)
    }

    fn keyed(&self, window: &[u32], _token: u32) -> bool {
        self.0.keyed(window)
    }

    fn raw(&self, word: u32) -> f64 {
        R::uniform(word)
    }
}

impl<R: Race> fmt::Debug for Gumbel<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gumbel")
            .field("id", &self.0.id())
            .field("window", &self.0.window())
            .finish_non_exhaustive()
    }
}

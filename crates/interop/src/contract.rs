//! What a foreign keyed function promises beyond a [`Scheme`].

use taggant_core::Scheme;
use taggant_core::window::{extend, identity};

/// A keyed function of another system.
pub trait Contract: Scheme {
    /// Names a unit by what the keyed function sees of it: units of one name have one word, whatever else differs, and count once.
    fn name(&self, window: &[u32], token: u32) -> u64 {
        extend(identity(window), token)
    }

    /// Whether the key has a say in the unit's word. Where it has none, as where a key is multiplied by token id 0, the word is the same under every
    /// key and is evidence of nothing.
    fn keyed(&self, window: &[u32], token: u32) -> bool {
        let _ = (window, token);
        true
    }

    /// The word of the unit of that name under a key that is another by a random `shift`, for functions that take key and unit as one sum and are not
    /// to be trusted to scramble it: related sums may have related words. `None` for all others.
    fn shifted(&self, name: u64, shift: u64) -> Option<u32> {
        let _ = (name, shift);
        None
    }

    /// The word as the engine writes it: a uniform number, a green flag, or the bits of a tournament.
    fn raw(&self, word: u32) -> f64 {
        f64::from(word)
    }
}

//! Windows and what counts as a repeat (SPEC.md §4): one implementation for embedding and detection.

use hashbrown::HashSet;

use crate::domain;
use crate::prf::Prf;

/// Names windows of one length by 64 bits, under no secret.
#[derive(Clone, Debug)]
pub struct Identity {
    window: usize,
    /// For windows of more than three tokens, which do not fit 64 bits.
    long: Option<Prf>,
}

impl Identity {
    /// For windows of `window` tokens.
    #[must_use]
    pub fn new(window: usize) -> Self {
        Self {
            window,
            long: (window > 3).then(|| Prf::new(&domain::IDENTITY_KEY, window)),
        }
    }

    /// The identity of the window that ends before `position` of `tokens`.
    #[must_use]
    #[inline]
    pub fn of(&self, tokens: &[u32], position: usize) -> u64 {
        let window = &tokens[position - self.window..position];
        match &self.long {
            None => window
                .iter()
                .rev()
                .fold(0, |packed, &token| packed << 21 | u64::from(token)),
            Some(prf) => prf.context_u64(window),
        }
    }
}

/// The windows seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen(HashSet<u64>);

impl Seen {
    /// Room for `windows` without allocating again.
    #[must_use]
    pub fn with_capacity(windows: usize) -> Self {
        Self(HashSet::with_capacity(windows))
    }

    /// Notes a window; true when it is the first time.
    #[inline]
    pub fn first(&mut self, identity: u64) -> bool {
        self.0.insert(identity)
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prf::{MAX_VOCABULARY, MAX_WINDOW};

    #[test]
    fn different_windows_have_different_identities() {
        let last = u32::try_from(MAX_VOCABULARY).unwrap() - 1;
        for window in 1..=MAX_WINDOW {
            let identity = Identity::new(window);
            let mut seen = Seen::default();
            for place in 0..window {
                for token in [1, last / 2, last] {
                    let mut tokens = vec![0; window];
                    tokens[place] = token;
                    assert!(
                        seen.first(identity.of(&tokens, window)),
                        "{window} {tokens:?}"
                    );
                    assert!(!seen.first(identity.of(&tokens, window)));
                }
            }
        }
    }
}

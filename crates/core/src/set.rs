//! A set of 64-bit keys: what decides, token by token, whether a window or a unit was seen before.
//!
//! Ours because it is the hot path of detection; against the general-purpose set it more than halves the cost of a token
//! (benches/results). Open addressing with linear probing.

use std::hash::{BuildHasher, RandomState};

/// A set of 64-bit keys.
#[derive(Clone, Debug)]
pub struct Set {
    /// Zero is an empty slot.
    slots: Vec<u64>,
    shift: u32,
    len: usize,
    zero: bool,
    /// Odd, and unknown to whoever wrote the text, so that nobody can make tokens that collide. It moves slots, never results.
    multiplier: u64,
}

impl Default for Set {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl Set {
    /// Room for `len` keys without growing.
    #[must_use]
    pub fn with_capacity(len: usize) -> Self {
        let mut set = Self {
            slots: Vec::new(),
            shift: 0,
            len: 0,
            zero: false,
            multiplier: RandomState::new().hash_one(0) | 1,
        };
        set.renew(slots_for(len));
        set
    }

    /// Adds a key; true when it is new.
    #[inline]
    pub fn insert(&mut self, key: u64) -> bool {
        if SPARSE * self.len >= self.slots.len() {
            self.grow();
        }
        let fresh = self.place(key);
        self.len += usize::from(fresh);
        fresh
    }

    /// Brings the slots of keys that are about to be inserted into the cache. These loads wait for nothing, so many are under way
    /// at once; in a large set an insertion by itself waits for memory, and often guesses wrong about what it will find there.
    #[inline]
    pub fn touch(&self, keys: &[u64]) {
        let read = keys
            .iter()
            .fold(0, |read, &key| read ^ self.slots[self.slot(key)]);
        std::hint::black_box(read);
    }

    /// Forgets everything and makes room for `len` keys.
    pub fn clear(&mut self, len: usize) {
        // A row of a few hundred tokens after one of a million must not wipe the million's room.
        if self.slots.len() < slots_for(len) || self.slots.len() > 16 * slots_for(len) {
            self.renew(slots_for(len));
        } else {
            self.slots.fill(0);
        }
        self.len = 0;
        self.zero = false;
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes `slots` empty slots, a power of two, and gives back the old ones.
    fn renew(&mut self, slots: usize) -> Vec<u64> {
        self.shift = 64 - slots.trailing_zeros();
        std::mem::replace(&mut self.slots, vec![0; slots])
    }

    #[cold]
    fn grow(&mut self) {
        // Small sets grow fast, so that few keys are moved often; large ones double, so that little memory is idle.
        let factor = if self.slots.len() < 1 << 17 { 8 } else { 2 };
        for key in self.renew(factor * self.slots.len()) {
            if key != 0 {
                self.place(key);
            }
        }
    }

    #[inline]
    fn place(&mut self, key: u64) -> bool {
        if key == 0 {
            return !std::mem::replace(&mut self.zero, true);
        }
        let slot = self.slot(key);
        let first = &mut self.slots[slot];
        let found = *first;
        // Whether a key is new is what nobody can predict, so it must not be a branch; that another key is in its place is rare.
        *first = if found == 0 { key } else { found };
        if (found == 0) | (found == key) {
            return found == 0;
        }
        self.place_after(slot, key)
    }

    #[cold]
    fn place_after(&mut self, taken: usize, key: u64) -> bool {
        let mask = self.slots.len() - 1;
        let mut slot = taken;
        loop {
            slot = (slot + 1) & mask;
            let found = &mut self.slots[slot];
            if *found == 0 {
                *found = key;
                return true;
            }
            if *found == key {
                return false;
            }
        }
    }

    /// Multiplicative hashing: the top bits of a product with a random odd number.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "shifted to fewer bits than a usize has"
    )]
    fn slot(&self, key: u64) -> usize {
        (key.wrapping_mul(self.multiplier) >> self.shift) as usize
    }
}

/// Slots for each key, at least. Sparse on purpose: a key that finds its first slot taken by another costs a mispredicted branch,
/// which is most of an insertion's time.
const SPARSE: usize = 2;

fn slots_for(len: usize) -> usize {
    (SPARSE * len).next_power_of_two().max(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn it_agrees_with_the_standard_set_while_it_grows() {
        let (mut ours, mut theirs) = (Set::default(), HashSet::new());
        let mut state = 1_u64;
        for _ in 0..300_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let key = state >> 46; // few enough that many repeat
            ours.touch(&[key]);
            assert_eq!(ours.insert(key), theirs.insert(key));
            assert_eq!(ours.len(), theirs.len());
        }
        assert_eq!(ours.insert(0), theirs.insert(0));
        assert!(!ours.insert(0) && theirs.len() > 100_000);
    }

    #[test]
    fn clearing_forgets_and_gives_back_room() {
        let mut set = Set::with_capacity(1_000_000);
        assert!(set.insert(5) && set.insert(0));
        set.clear(10);
        assert!(set.slots.len() < 100);
        assert!(set.is_empty() && set.insert(5) && set.insert(0) && set.len() == 2);
    }
}

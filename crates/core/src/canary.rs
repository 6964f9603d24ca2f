//! Keyed free choices (SPEC.md §9): where any of several answers is equally good, an account's key picks the one it is served.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{LeafKey, Role, Secret};

/// Longest id of a slot, in bytes.
pub const MAX_SLOT: usize = 65_535;

/// Most items of a keyed order.
pub const MAX_ORDER: usize = 65_536;

/// The choices of one account: a function of slot ids that nobody without the key can tell from dice.
///
/// A *slot* is a place in a response where any of several *fillers* is equally good: an example's name or number, one of two synonyms,
/// the order of a list, a grade between two neighbours. Its id is public, names one choice for ever, and is best made of the exchange
/// and the place in it.
///
/// ```
/// use taggant_core::{Canary, RootKey};
///
/// let root = RootKey::from_bytes([7; 32]);
/// let canary = Canary::new(&root.derive(&"2026-12/canary/7f3a".parse()?))?;
/// let city = ["Lyon", "Turin", "Graz", "Porto"][canary.choose(b"q17/city", 4)? as usize];
/// assert_eq!(city, "Lyon");
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Canary {
    secret: Secret,
}

impl Canary {
    /// The choices of a leaf key.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] for a key whose role is not [`Role::Canary`].
    pub fn new(leaf: &LeafKey) -> Result<Self> {
        if leaf.path().role() != Role::Canary {
            return Err(Error::new(
                ErrorKind::Key,
                format!(
                    "a key of role {} makes no keyed choices; derive one at epoch/canary/account",
                    leaf.path().role()
                ),
            ));
        }
        Ok(Self {
            secret: Secret::new(*leaf.expand(&[domain::CANARY])),
        })
    }

    /// Decoy `index` of `seed`: choices that were never served to anyone, to see what a score looks like where nothing is.
    #[must_use]
    pub fn decoy(seed: u64, index: u64) -> Self {
        let digest = Sha256::new()
            .chain_update(domain::CANARY_DECOY)
            .chain_update(seed.to_be_bytes())
            .chain_update(index.to_be_bytes())
            .finalize();
        Self {
            secret: Secret::new(digest.into()),
        }
    }

    /// The filler of `slot`, one of `0 … fillers − 1`, each exactly equally likely.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for no fillers, [`ErrorKind::Limit`] for a slot id that is empty or longer than [`MAX_SLOT`] bytes.
    pub fn choose(&self, slot: &[u8], fillers: u32) -> Result<u32> {
        if fillers == 0 {
            return Err(parameter(
                "no fillers to choose from; at least 1 is needed".to_owned(),
            ));
        }
        let chosen = self.words(slot)?.below(u64::from(fillers));
        Ok(narrow(chosen))
    }

    /// The filler of `slot`, each with a probability exactly proportional to its weight.
    ///
    /// With the teacher's own probabilities as weights, rounded to integers, what is served averages to what the teacher would have said:
    /// the choice distorts nothing. Equal weights of 1 give [`choose`](Self::choose).
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless some weight is above 0, [`ErrorKind::Limit`] for more than 2^32 − 1 weights and as
    /// [`choose`](Self::choose).
    pub fn choose_weighted(&self, slot: &[u8], weights: &[u32]) -> Result<u32> {
        if u32::try_from(weights.len()).is_err() {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("{} weights; at most 2^32 − 1 are allowed", weights.len()),
            ));
        }
        // Fewer than 2^32 weights below 2^32: no overflow.
        let total = weights.iter().map(|&weight| u64::from(weight)).sum();
        if total == 0 {
            return Err(parameter(format!(
                "{} weights with sum 0; at least one must be above 0",
                weights.len()
            )));
        }
        let mut left = self.words(slot)?.below(total);
        let mut chosen = 0;
        for (index, &weight) in (0..).zip(weights) {
            chosen = index;
            match left.checked_sub(u64::from(weight)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
        Ok(chosen)
    }

    /// The order of `items` things at `slot`: a permutation of `0 … items − 1`, each exactly equally likely.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for more than [`MAX_ORDER`] items and as [`choose`](Self::choose).
    pub fn order(&self, slot: &[u8], items: usize) -> Result<Vec<u32>> {
        let count = u32::try_from(items)
            .ok()
            .filter(|_| items <= MAX_ORDER)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Limit,
                    format!("{items} items to order; at most {MAX_ORDER} are allowed"),
                )
            })?;
        let mut words = self.words(slot)?;
        let mut order: Vec<u32> = (0..count).collect();
        for last in (1..count).rev() {
            let other = narrow(words.below(u64::from(last) + 1));
            order.swap(last as usize, other as usize);
        }
        Ok(order)
    }

    /// Breaks a tie at `slot`: one of the `candidates`, each equally likely.
    ///
    /// For a teacher that grades: where two grades, or two answers that are compared, are equally right, the account's key decides. It
    /// is [`choose`](Self::choose) among as many fillers, and is tested the same way: the slot's fillers are the candidates, in this
    /// order. No other mark reaches a student that learns from grades alone.
    ///
    /// # Errors
    /// As [`choose`](Self::choose).
    pub fn tie_break<'a, T>(&self, slot: &[u8], candidates: &'a [T]) -> Result<&'a T> {
        // More candidates than a u32 counts are more than a slice of anything but units holds in practice.
        let fillers = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
        let chosen = self.choose(slot, fillers)?;
        candidates
            .get(chosen as usize)
            .ok_or_else(|| parameter("no candidates to choose from".to_owned()))
    }

    fn words(&self, slot: &[u8]) -> Result<Words<'_>> {
        let length = u16::try_from(slot.len())
            .ok()
            .filter(|&length| length > 0)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Limit,
                    format!(
                        "a slot id of {} bytes; 1 to {MAX_SLOT} are allowed",
                        slot.len()
                    ),
                )
            })?;
        let message = [domain::CANARY_SLOT, &length.to_be_bytes(), slot].concat();
        Ok(Words {
            secret: &self.secret,
            message,
            block: 0,
            words: [0; 4],
            left: 0,
        })
    }
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canary").finish_non_exhaustive()
    }
}

/// A slot's stream of 64-bit words, four to a block.
struct Words<'a> {
    secret: &'a Secret,
    message: Vec<u8>,
    block: u32,
    words: [u64; 4],
    left: usize,
}

impl Words<'_> {
    fn next(&mut self) -> u64 {
        if self.left == 0 {
            let bytes: Zeroizing<[u8; 32]> = self
                .secret
                .expand(&[&self.message, &self.block.to_be_bytes()]);
            for (word, bytes) in self.words.iter_mut().zip(bytes.as_chunks().0) {
                *word = u64::from_be_bytes(*bytes);
            }
            // No choice needs a second pass: 2^34 words in a row are skipped with probability below 2^(−2^34).
            self.block = self.block.wrapping_add(1);
            self.left = 4;
        }
        self.left -= 1;
        self.words[3 - self.left]
    }

    /// Uniform below n by rejection: words at or above the largest multiple of n are skipped, so that no remainder is likelier.
    fn below(&mut self, n: u64) -> u64 {
        // 2^64 mod n.
        let surplus = (u64::MAX % n + 1) % n;
        loop {
            let word = self.next();
            if word <= u64::MAX - surplus {
                return word % n;
            }
        }
    }
}

/// A number below a `u32`.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn parameter(message: String) -> Error {
    Error::new(ErrorKind::Parameter, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RootKey;
    use proptest::prelude::*;

    fn canary(id: &str) -> Canary {
        let path = format!("e/canary/{id}").parse().unwrap();
        Canary::new(&RootKey::from_bytes([7; 32]).derive(&path)).unwrap()
    }

    /// Pearson's statistic of counts against weights.
    fn pearson(counts: &[u32], weights: &[u32]) -> f64 {
        let (n, total): (u32, u32) = (counts.iter().sum(), weights.iter().sum());
        let cell = |(&count, &weight): (&u32, &u32)| {
            let expected = f64::from(n) * f64::from(weight) / f64::from(total);
            (f64::from(count) - expected).powi(2) / expected
        };
        counts.iter().zip(weights).map(cell).sum()
    }

    /// Null: each filler as often as its weight says. Theory: chi-square with 4, 5 and 5 degrees of freedom, whose upper 1e-6 points are
    /// 33.4, 35.9 and 35.9. n = 70,000 slots each; one fixed key.
    #[test]
    fn choices_follow_their_weights() {
        let canary = canary("a");
        let slots = |count: u32| (0..count).map(|slot| slot.to_be_bytes());
        let tally = |cells: usize, draw: &dyn Fn(&[u8]) -> u32| {
            let mut counts = vec![0; cells];
            for slot in slots(70_000) {
                counts[draw(&slot) as usize] += 1;
            }
            counts
        };
        let even = tally(5, &|slot| canary.choose(slot, 5).unwrap());
        let weights = [7, 1, 0, 2, 100, 3, 20];
        let uneven = tally(7, &|slot| canary.choose_weighted(slot, &weights).unwrap());
        assert_eq!(uneven[2], 0);
        let (counts, kept): (Vec<u32>, Vec<u32>) = uneven
            .iter()
            .zip(weights)
            .filter(|(_, weight)| *weight > 0)
            .unzip();
        let last = tally(6, &|slot| {
            let order = canary.order(slot, 3).unwrap();
            [
                [0, 1, 2],
                [0, 2, 1],
                [1, 0, 2],
                [1, 2, 0],
                [2, 0, 1],
                [2, 1, 0],
            ]
            .iter()
            .position(|known| order == known)
            .and_then(|place| u32::try_from(place).ok())
            .unwrap()
        });
        let found = [
            pearson(&even, &[1; 5]),
            pearson(&counts, &kept),
            pearson(&last, &[1; 6]),
        ];
        println!("chi-square: {found:?}");
        assert!(
            found[0] < 33.4 && found[1] < 35.9 && found[2] < 35.9,
            "{found:?}"
        );
    }

    #[test]
    fn accounts_slots_and_decoys_choose_apart() {
        let served = |canary: &Canary| -> Vec<u32> {
            (0..64_u8)
                .map(|slot| canary.choose(&[slot], 1_000_000).unwrap())
                .collect()
        };
        let all = [
            served(&canary("a")),
            served(&canary("b")),
            served(&Canary::decoy(0, 0)),
            served(&Canary::decoy(0, 1)),
            served(&Canary::decoy(1, 0)),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|other| other != one));
        }
        assert_eq!(served(&canary("a")), all[0]);
    }

    #[test]
    fn a_choice_that_cannot_be_made_is_refused() {
        let leaf = RootKey::from_bytes([7; 32]).derive(&"e/account/a".parse().unwrap());
        assert_eq!(Canary::new(&leaf).unwrap_err().kind(), ErrorKind::Key);
        let canary = canary("a");
        assert_eq!(canary.choose(b"s", 1).unwrap(), 0);
        assert_eq!(canary.order(b"s", 0).unwrap(), [] as [u32; 0]);
        assert_eq!(*canary.tie_break(b"s", &["7"]).unwrap(), "7");
        for (error, kind) in [
            (canary.choose(b"s", 0).unwrap_err(), ErrorKind::Parameter),
            (canary.choose(b"", 2).unwrap_err(), ErrorKind::Limit),
            (
                canary.choose(&vec![0; MAX_SLOT + 1], 2).unwrap_err(),
                ErrorKind::Limit,
            ),
            (
                canary.choose_weighted(b"s", &[]).unwrap_err(),
                ErrorKind::Parameter,
            ),
            (
                canary.choose_weighted(b"s", &[0, 0]).unwrap_err(),
                ErrorKind::Parameter,
            ),
            (
                canary.order(b"s", MAX_ORDER + 1).unwrap_err(),
                ErrorKind::Limit,
            ),
            (
                canary.tie_break::<u8>(b"s", &[]).unwrap_err(),
                ErrorKind::Parameter,
            ),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
        }
        assert_eq!(format!("{canary:?}"), "Canary { .. }");
    }

    /// Just above half of 2^64, the hardest case: every second word is skipped.
    #[test]
    fn words_beyond_the_last_multiple_are_skipped() {
        let canary = canary("a");
        let n = (1 << 63) + 1;
        let (mut draws, mut skipped) = (canary.words(b"s").unwrap(), canary.words(b"s").unwrap());
        for _ in 0..100 {
            let word = loop {
                let word = skipped.next();
                if word < n {
                    break word;
                }
            };
            assert_eq!(draws.below(n), word);
        }
    }

    proptest! {
        #[test]
        fn every_choice_is_one_of_those_offered(slot in proptest::collection::vec(0_u8.., 1..40), fillers in 1_u32.., items in 0_usize..200) {
            let canary = canary("a");
            prop_assert!(canary.choose(&slot, fillers).unwrap() < fillers);
            prop_assert_eq!(canary.choose(&slot, 7).unwrap(), canary.choose_weighted(&slot, &[1; 7]).unwrap());
            let mut order = canary.order(&slot, items).unwrap();
            order.sort_unstable();
            prop_assert!(order.iter().zip(0..).all(|(&item, place)| item == place) && order.len() == items);
        }
    }
}

//! What chance decides in a test, from two things that nobody had together before the plan was sealed: its digest, and a public value of
//! later (requirement P-3). Anyone can draw again.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use taggant_core::{Error, ErrorKind, Result};

use crate::digest::Digest;

const DOMAIN: &[u8] = b"taggant/v1/draw";

/// Longest beacon value, in bytes.
pub const MAX_VALUE: usize = 1024;

/// The draws of a plan (SPEC.md §7.2).
///
/// ```
/// use taggant_evidence::Draw;
///
/// let draw = Draw::new(&[7; 32].into(), b"the round's value")?;
/// let prompts = draw.some("prompts", 100, 1000); // 100 of 1,000, in the order they are asked
/// assert_eq!(prompts.len(), 100);
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    seed: [u8; 32],
}

impl Draw {
    /// The draws that a plan and a beacon's value make.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a value that is empty or longer than [`MAX_VALUE`].
    pub fn new(plan: &Digest, value: &[u8]) -> Result<Self> {
        let length = u16::try_from(value.len())
            .ok()
            .filter(|_| (1..=MAX_VALUE).contains(&value.len()));
        let length = length.ok_or_else(|| {
            Error::new(
                ErrorKind::Parameter,
                format!(
                    "a beacon value of {} bytes; 1 to {MAX_VALUE} are allowed",
                    value.len()
                ),
            )
        })?;
        let seed = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(plan.bytes())
            .chain_update(length.to_be_bytes())
            .chain_update(value)
            .finalize();
        Ok(Self { seed: seed.into() })
    }

    /// `count` different numbers below `of`, in the order drawn, every sequence equally likely. All of them if `count` is not below `of`.
    #[must_use]
    pub fn some(&self, purpose: &str, count: u32, of: u32) -> Vec<u32> {
        let mut words = self.words(purpose);
        // Fisher–Yates from the front; only what was moved is kept.
        let mut moved: HashMap<u32, u32> = HashMap::new();
        (0..count.min(of))
            .map(|place| {
                let other = place + narrow(words.below(u64::from(of - place)));
                let here = moved.get(&place).copied().unwrap_or(place);
                moved.insert(other, here).unwrap_or(other)
            })
            .collect()
    }

    /// The seed with this number, for a request's sampling: 53 bits, which every JSON reader and every interface takes.
    #[must_use]
    pub fn seed(&self, purpose: &str, number: u32) -> u64 {
        self.block(purpose, number)[0] >> 11
    }

    fn block(&self, purpose: &str, number: u32) -> [u64; 4] {
        let block: [u8; 32] = Sha256::new()
            .chain_update(self.seed)
            .chain_update((purpose.len() as u64).to_be_bytes())
            .chain_update(purpose)
            .chain_update(number.to_be_bytes())
            .finalize()
            .into();
        let word = |at: usize| {
            block[8 * at..]
                .first_chunk()
                .map_or(0, |bytes| u64::from_be_bytes(*bytes))
        };
        [word(0), word(1), word(2), word(3)]
    }

    fn words<'a>(&'a self, purpose: &'a str) -> Words<'a> {
        Words {
            draw: self,
            purpose,
            next: 0,
        }
    }
}

/// Below `u32::MAX`, by construction.
fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

struct Words<'a> {
    draw: &'a Draw,
    purpose: &'a str,
    next: u32,
}

impl Words<'_> {
    /// A number below `limit`, exactly uniform: words beyond the last whole multiple are skipped.
    fn below(&mut self, limit: u64) -> u64 {
        loop {
            let word = self.draw.block(self.purpose, self.next / 4)[self.next as usize % 4];
            self.next = self.next.wrapping_add(1);
            let whole = u64::MAX - u64::MAX % limit;
            if word < whole {
                return word % limit;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(value: u8) -> Draw {
        Draw::new(&[1; 32].into(), &[value]).unwrap()
    }

    #[test]
    fn draws_are_of_different_numbers_and_depend_on_plan_value_and_purpose() {
        for (count, of) in [(0, 5), (5, 5), (9, 5), (3, 1000), (1000, 1000)] {
            let mut drawn = draw(0).some("p", count, of);
            assert_eq!(drawn.len(), count.min(of) as usize);
            drawn.sort_unstable();
            drawn.dedup();
            assert!(
                drawn.len() == count.min(of) as usize && drawn.iter().all(|number| *number < of)
            );
        }
        let base = draw(0).some("p", 20, 1000);
        assert_ne!(base, draw(1).some("p", 20, 1000));
        assert_ne!(base, draw(0).some("q", 20, 1000));
        assert_ne!(
            base,
            Draw::new(&[2; 32].into(), &[0])
                .unwrap()
                .some("p", 20, 1000)
        );
        assert_ne!(draw(0).seed("p", 0), draw(0).seed("p", 1));
        assert!(
            Draw::new(&[1; 32].into(), &[]).is_err()
                && Draw::new(&[1; 32].into(), &[0; 1025]).is_err()
        );
    }

    /// Null: every order of 3 of 5 is equally likely. 60 orders, n = 6,000 draws under values 0 … 5,999, chi-squared with 59 degrees of
    /// freedom, alpha = 1e-6: below 125.
    #[test]
    fn every_sequence_is_equally_likely() {
        let mut counts: HashMap<Vec<u32>, u32> = HashMap::new();
        for value in 0..6000_u32 {
            let draw = Draw::new(&[3; 32].into(), &value.to_be_bytes()).unwrap();
            *counts.entry(draw.some("p", 3, 5)).or_default() += 1;
        }
        assert_eq!(counts.len(), 60);
        let chi: f64 = counts
            .values()
            .map(|count| (f64::from(*count) - 100.0).powi(2) / 100.0)
            .sum();
        assert!(chi < 125.0, "{chi}");
    }
}

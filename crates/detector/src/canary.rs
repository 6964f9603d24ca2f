//! Keyed free choices: does a suspect favour the fillers that one account was served?
//!
//! ```
//! use taggant_core::{Canary, RootKey};
//! use taggant_detector::Verdict;
//! use taggant_detector::canary::{Shown, Slot, Slots, Statistic, judge, test};
//!
//! let root = RootKey::from_bytes([7; 32]);
//! let served = Canary::new(&root.derive(&"2026-12/canary/7f3a".parse()?))?;
//! let other = Canary::new(&root.derive(&"2026-12/canary/90c2".parse()?))?;
//!
//! let mut slots = Slots::new(Statistic::Hits);
//! for number in 0..60 {
//!     let id = format!("q{number}/city");
//!     let mut answers = vec![1; 8]; // of ten answers, three give what the account was served
//!     answers[served.choose(id.as_bytes(), 8)? as usize] = 3;
//!     slots.add(&Slot::new(id, 8, Shown::Counts(answers)))?;
//! }
//! let findings = [test(&[(&slots, &served)])?, test(&[(&slots, &other)])?];
//! let judged = judge(&findings, 1e-3)?;
//! assert_eq!(judged[0].verdict, Verdict::Detected);
//! assert_ne!(judged[1].verdict, Verdict::Detected);
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! **The null hypothesis** is that what the suspect shows is independent of the account's key, which was drawn at random. What it shows
//! is held fixed, with every preference it may have: a model that answers *Paris* wherever a city is free is innocent of the keys that
//! did not choose *Paris*, and those that did are as many as chance has it. So every law below is that of the key's choices, exact
//! for every number of slots and every suspect.
//!
//! **The copy trap.** An answer whose prompt held one of the slot's fillers may repeat it. Such a slot is left out whichever filler it
//! was: leaving it out for the account's own filler alone would let the key decide what is scored, and the law would be another.
//!
//! Grades whose ties a key broke ([`Canary::tie_break`](taggant_core::Canary::tie_break)) are slots like others: the fillers are the
//! candidates, the answers those of the suspect as a grader.

mod finding;
mod slots;

pub use finding::{Finding, Judgement, decoys, judge, test};
pub use slots::{Outcome, Shown, Slot, Slots, Statistic};

#[cfg(test)]
mod tests;

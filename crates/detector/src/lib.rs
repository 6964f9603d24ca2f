//! Decide whether text carries a mark, with an error rate that anyone can check.
//!
//! ```
//! use taggant_core::schemes::Parameters;
//! use taggant_core::{Record, RootKey, TokenizerId};
//! use taggant_detector::{Response, Verdict, detect};
//!
//! let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse()?);
//! let record = Record::new(Parameters::new("gumbel", &[])?, 2, &[&key], TokenizerId::new([0; 32], 50_000)?)?;
//!
//! let tokens: Vec<u32> = (0..500).collect(); // innocent: no key was near it
//! let report = detect(&record, &[&key], [Response::ids(&tokens)], 1e-6)?;
//! assert_eq!(report.units, 498);
//! assert_eq!(report.verdict, Verdict::NotDetected);
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! [`detect`] pools responses and answers once; a [`Detector`] also answers row by row and takes rows as they come. [`distill`] asks whether a model was trained
//! on marked text. [`twins`] needs no mark: it asks whether a suspect knows which of several sealed drafts was served. [`attribution`] puts what several tests
//! say of each account together and decides whom to name.
//!
//! **The null hypothesis** is that the text is independent of the key, which was drawn at random. The text is held fixed; what was
//! random is the key. Every distinct unit (window, token) is then an independent draw of the keyed function, whatever the
//! language, the repetition or the author, so the tails of [`stats`] are exact at every length.
//!
//! A detection says that the text depends on the key. It does not say who wrote the text, nor who copied it.

pub mod attribution;
pub mod canary;
mod collector;
mod detect;
mod difference;
pub mod distill;
mod localise;
pub mod power;
pub mod public;
#[cfg(test)]
mod random;
mod reader;
mod report;
mod statistic;
pub mod stats;
pub mod twins;
mod units;
mod windows;

pub use collector::{Before, Collector};
pub use detect::{Detector, Response, Source, detect, units_needed};
pub use difference::Difference;
pub use localise::{Passage, localise};
pub use report::{Check, Reason, Report, Status, Verdict};
pub use units::{ByWindow, OwnScore, Scored, Tails, Units};
pub use windows::{Served, ServedWindows, WindowIndex};

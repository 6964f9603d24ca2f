//! Other systems' marks: read bit for bit, tested with tails that hold.
//!
//! An engine's own configuration names its parameters and its key; with it, a [`Detector`] reads rows of token ids:
//!
//! ```
//! use taggant_detector::{Response, Verdict};
//! use taggant_interop::{Detector, Mark};
//!
//! let mark = Mark::from_json("vllm-gumbel", r#"{"key": 42, "context_width": 4}"#)?;
//! let mut detector = Detector::new(mark).with_alpha(1e-6)?;
//! let tokens: Vec<u32> = (0..500).collect(); // innocent
//! let found = detector.row(&Response::ids(&tokens))?;
//! assert_eq!((found.units, &found.verdict), (500, &Verdict::NotDetected));
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! [`FORMATS`] lists what is understood. Each format is a file in `formats`: its keyed function as a [`Scheme`](taggant_core::Scheme), what
//! it takes from the engine's configuration, and what the engine's own detector would say of the same row, which is printed beside ours.
//!
//! The statistics are the native ones (`taggant-detector`): a unit counts once, a window that occurred before in prompt or response does not
//! count, and tails are exact or rigorous bounds, whatever the engine's detector does. What counts as one unit is what the engine's keyed
//! function sees: two windows that a hash throws together are one.
//!
//! A finding under such a mark says what the mark can: where keys are short or the function is no cryptographic one,
//! [`Definition::warning`] says what that excludes.

mod candidate;
mod config;
mod contract;
mod detector;
pub mod doctor;
mod export;
mod formats;
mod fourier;
mod hash;
mod law;
mod mark;
mod peer;
pub mod recover;
mod spread;

pub use candidate::{Candidate, Candidates, candidates};
pub use contract::Contract;
pub use detector::{Detector, Found, Unit};
pub use export::{ENGINES, Engine, Exported, commitment_of_imported, export};
pub use formats::{Definition, FORMATS};
pub use mark::Mark;
pub use peer::Peer;

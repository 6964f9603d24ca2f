//! What embedding and detection share: keys, the keyed function, windows, schemes and the mark record.
//!
//! From a root key to a mark that both sides agree on:
//!
//! ```
//! use taggant_core::schemes::Parameters;
//! use taggant_core::{Mark, Record, RootKey, TokenizerId};
//!
//! let root = RootKey::from_bytes([7; 32]); // in earnest: 32 random bytes, kept offline
//! let east = root.derive(&"2026-12/campaign/east".parse()?);
//! let tokenizer = TokenizerId::new([0; 32], 49_152)?;
//!
//! let record = Record::new(Parameters::new("gumbel", &[])?, 2, &[&east], tokenizer)?;
//! let mark = Mark::new(&record, &[&east])?;
//! assert_eq!(mark.layers()[0].window(), 2);
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! `taggant-watermark` makes marked text with a [`Mark`], `taggant-detector` scores text with one; neither knows the other.
//! [`Scheme`] is the only trait between them. The bytes are fixed by the [specification](spec), the reasons are in the
//! [design notes](design).
//!
//! This crate promises that words, windows and units are reproduced bit for bit on every machine. It does not read files, draw
//! random numbers, know text, or compute p-values.

mod canary;
mod candidates;
mod commit;
mod decoy;
mod domain;
pub mod error;
pub mod hazmat;
#[cfg(feature = "json")]
mod json;
mod key;
mod mark;
pub mod merkle;
mod partition;
mod prf;
mod record;
mod reveal;
mod scheme;
pub mod schemes;
mod score;
mod set;
pub mod simd;
mod tile;
pub mod twin;
pub mod window;

#[doc = include_str!("../SPEC.md")]
pub mod spec {}

#[doc = include_str!("../DESIGN.md")]
pub mod design {}

pub use canary::{Canary, MAX_ORDER, MAX_SLOT};
pub use candidates::{Candidates, Scratch};
pub use commit::{CONTROLS, Epoch};
pub use decoy::Decoys;
pub use error::{Error, ErrorKind, Result};
pub use key::{Family, LeafKey, MAX_ID, MAX_LABEL, Path, Role, RootKey, check_id, check_label};
pub use mark::{Layer, Mark};
pub use partition::Partition;
pub use prf::{MAX_VOCABULARY, MAX_WINDOW};
pub use record::{LayerRecord, Record, RouteRecord, TokenizerId};
pub use reveal::Reveal;
pub use scheme::{Null, Reshaped, Scheme};
pub use score::Score;
pub use set::Set;
pub use tile::{TILE, Tile};
pub use twin::TwinKey;

//! Choose marked tokens, or bias logits for an engine that chooses.
//!
//! A [`Stream`] is one response in the making and knows its mark; a [`Sampler`] turns logits into the next token:
//!
//! ```
//! use std::sync::Arc;
//!
//! use rand::SeedableRng;
//! use rand_chacha::ChaCha8Rng;
//! use taggant_core::schemes::Parameters;
//! use taggant_core::{Mark, Record, RootKey, TokenizerId};
//! use taggant_watermark::{Sampler, Sampling, Stream};
//!
//! let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/campaign/east".parse()?);
//! let record = Record::new(Parameters::new("gumbel", &[])?, 2, &[&key], TokenizerId::new([0; 32], 4)?)?;
//!
//! let mut sampler = Sampler::new(Sampling { top_p: 0.95, ..Sampling::default() })?;
//! let mut stream = Stream::new(Arc::new(Mark::new(&record, &[&key])?))?;
//! let mut rng = ChaCha8Rng::seed_from_u64(1);
//! for _ in 0..5 {
//!     let logits = [0.5, 1.0, -1.0, 0.0]; // from the model
//!     sampler.select(&mut stream, &logits, &mut rng)?;
//! }
//! assert_eq!(stream.tokens().len(), 5);
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! Four ways to use it, from simplest to fullest:
//! - [`Sampler::select`] applies temperature, top-k, top-p and min-p, marks, chooses and remembers;
//! - [`Sampler::select_batch`] does so for many sequences, each with its own mark (so each account can have its own key);
//! - [`Sampler::select_listed`] chooses among the tokens that an engine's own top-k has left, without a pass over the vocabulary;
//! - [`Sampler::bias`] changes logits for an engine that samples by itself and reports the token with [`Stream::push`].
//!
//! A stream's state is a function of the tokens so far, so [`Stream::resume`] restores one in the middle of a response from its
//! tokens alone.
//!
//! This crate promises that over keys the distortion-free schemes leave each next-token distribution as it was, up to the
//! resolution of 32-bit words (2^-32). It does not promise a mark in text without entropy: at temperature 0 nothing is marked, and
//! a certain token carries no evidence.

mod listing;
mod sampler;
mod sampling;
mod stream;
mod truncate;

pub use sampler::Sampler;
pub use sampling::Sampling;
pub use stream::Stream;

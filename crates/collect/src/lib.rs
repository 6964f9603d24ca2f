//! Asks suspects what a sealed plan has drawn, and writes down every attempt.
//!
//! A [`Door`] is a way to a suspect: [`Http`] for OpenAI-compatible servers; others implement the trait. [`collect`] goes through what is [`Asked`]
//! with several requests at once, and keeps to the plan's budget whatever happens: an attempt is in the [`Transcript`] before its request leaves.
//! `Asked` is made of a plan whose proofs hold, so there is no way to ask earlier.
//!
//! ```no_run
//! use taggant_collect::{Door, Effort, Http, Style, collect};
//! # fn example(asked: taggant_evidence::Asked, plan: taggant_evidence::Plan, transcript: taggant_evidence::transcript::Transcript) -> taggant_core::Result<()> {
//! let door = Http::new("https://api.example/v1", "model-7", Style::Chat, None, std::time::Duration::from_secs(60))?;
//! let doors: [&dyn Door; 1] = [&door];
//! # let (now, salt) = (|| taggant_evidence::Time::from_unix_millis(0), || Ok([0; 32]));
//! let (transcript, ended) = collect(transcript, &asked, &plan, &doors, Effort::default(), &now, &salt, |done| {
//!     eprintln!("{} of {}", done.answered, done.questions);
//! })?;
//! println!("{} attempts, {ended:?}", transcript.story().attempts());
//! # Ok(())
//! # }
//! ```
//!
//! This is the one crate with network code; nothing that verifies depends on it.
//!
//! [`Asked`]: taggant_evidence::Asked
//! [`Transcript`]: taggant_evidence::transcript::Transcript

mod collect;
mod door;
mod http;
mod pace;

pub use collect::{Effort, Ended, Progress, collect};
pub use door::{Door, Miss, Reply, Request};
pub use http::{Credential, Http, Style};

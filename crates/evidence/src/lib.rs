//! Records that stand up without trusting who made them.
//!
//! The [issuance log](issuance) is what a provider keeps of what it served: hash-chained, append-only, without account ids. [Time-stamps](timestamp) and
//! [transparency logs](tlog) show that a commitment, a plan or a log existed by some time; a [`Trust`] file says whose word counts for that. What is
//! signed is an [in-toto statement](statement) in a [DSSE envelope](dsse): first a [`Plan`], after which a later public value [draws](Draw) what is asked. A
//! [transcript] holds every attempt, a [bundle] the whole case, and a [report] says what it shows and where that ends.
//!
//! ```
//! use taggant_core::schemes::Parameters;
//! use taggant_core::{Record, RootKey, TokenizerId};
//! use taggant_evidence::Time;
//! use taggant_evidence::issuance::{Content, Exchange, IssuanceLog, verify};
//!
//! let root = RootKey::from_bytes([7; 32]);
//! let east = root.derive(&"2026-12/campaign/east".parse()?);
//! let accounts = root.derive(&"2026-12/pseudonym/accounts".parse()?);
//! let record = Record::new(Parameters::new("gumbel", &[])?, 2, &[&east], TokenizerId::new([0; 32], 50_000)?)?;
//!
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("issuance.jsonl");
//! let now = Time::from_unix_millis(1_796_083_200_000)?; // the caller's clock
//! let (mut log, _) = IssuanceLog::open(&path, &[record.clone()], now)?;
//! let exchange = Exchange::marked("q1", Content::of_tokens(&[5, 7]), Content::of_tokens(&[11, 13]), &record)
//!     .with_account(accounts.pseudonym("alice")?);
//! log.append(&exchange, now)?; // on the disk when this returns
//!
//! let outcome = verify(std::io::BufReader::new(std::fs::File::open(&path).unwrap()), |_, _| ()).unwrap();
//! assert_eq!((outcome.fault, outcome.story.exchanges()), (None, 1));
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! The bytes are fixed by the [specification](spec). This crate has no clock, no network and no randomness: times, seeds and the answers of authorities come from the caller.

mod anchors;
mod asked;
mod beacon;
pub mod bundle;
pub mod chain;
mod decimal;
mod digest;
mod draw;
pub mod dsse;
pub mod issuance;
pub mod note;
pub mod plan;
pub mod report;
mod signing;
pub mod statement;
mod text;
mod time;
pub mod timestamp;
pub mod tlog;
pub mod transcript;
mod trust;

#[doc = include_str!("../SPEC.md")]
pub mod spec {}

pub use anchors::{AUTHORITIES, Anchors, Stamp};
pub use asked::{Asked, Question};
pub use beacon::{Beacon, Value};
pub use decimal::Decimal;
pub use digest::Digest;
pub use draw::{Draw, MAX_VALUE};
pub use plan::{Plan, SealedPlan};
pub use signing::{Kind, MAX_NAME, PublicKey, SigningKey};
pub use time::Time;
pub use trust::{Ready, Signer, SignerRole, Trust};

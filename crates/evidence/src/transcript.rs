//! The transcript: what suspects were asked and what came back, an entry for every attempt, hash-chained (SPEC.md §8).
//!
//! An attempt is on the disk before its request leaves, and its outcome before it counts. So whatever ends the collector, nothing is asked without
//! a record, and no budget is spent twice. [`Transcript`] writes, [`Verifier`] reads; texts stand beside the chain as [openings](Openings) of the
//! salted digests in it, where each can be withheld without touching it.

mod answer;
mod entry;
mod openings;
mod story;
mod writer;

use crate::chain;

pub use answer::{Asks, answer_text, request_terms};
pub use entry::{
    Answered, Attempt, Closed, Entry, Failed, Failure, HEADERS, Opened, Program, Sent, SuspectDoor,
    field_digest,
};
pub use openings::{MAX_FIELD, Opening, Openings, Shown, Withheld, read_openings};
pub use story::{Ending, Questions, Story};
pub use writer::{Answer, Doors, Found, NoAnswer, Transcript};

/// One line of a transcript.
pub type Line = chain::Line<Entry>;
/// Takes the lines of a transcript in order.
pub type Verifier = chain::Verifier<Story>;
/// What became of checking a transcript.
pub type Outcome = chain::Outcome<Story>;

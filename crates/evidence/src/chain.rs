//! Lines that nobody can change, remove or reorder unseen: each carries the hash of the one before it (SPEC.md §1.1, §1.3, §1.4).
//!
//! What the lines are about is a [`Story`]: what was served ([`issuance`](crate::issuance)), what a suspect was asked
//! ([`transcript`](crate::transcript)).

mod line;
mod log;
mod verify;

use std::fmt;

use serde::de::MapAccess;
use serde::ser::SerializeMap;

pub use line::{Line, MAX_LINE};
pub use log::{Lock, Log, Opened, Receipt, Torn};
pub use verify::{Fault, FaultKind, Outcome, Summary, Verifier};

/// How a line is wrong, and what differs.
pub type Flaw = (FaultKind, String);

/// What a kind of chain tells, and what its lines so far add up to.
pub trait Story: Clone + fmt::Debug + Default {
    /// What errors call it, with its article.
    const NAME: &'static str;
    /// Separates its hashes from those of other chains.
    const DOMAIN: &'static [u8];
    /// Whether a line must be spelled as this library writes it. What is hashed is a line's bytes either way; where others read the same lines, one spelling leaves no room for reading them otherwise.
    const ONE_SPELLING: bool;
    /// What a line says.
    type Entry: Clone + fmt::Debug + PartialEq;

    /// Writes the one field that says it.
    ///
    /// # Errors
    /// The serializer's.
    fn write<M: SerializeMap>(entry: &Self::Entry, line: &mut M) -> Result<(), M::Error>;

    /// Reads the field of this name: nothing if the story has no such field, an error in words if what it says cannot be.
    ///
    /// # Errors
    /// The deserializer's.
    fn read<'de, M: MapAccess<'de>>(
        name: &str,
        line: &mut M,
    ) -> Result<Option<Result<Self::Entry, String>>, M::Error>;

    /// Whether an entry may stand next; the first is line 1.
    ///
    /// # Errors
    /// Why it may not.
    fn follows(&self, first: bool, entry: &Self::Entry) -> Result<(), Flaw>;

    /// Takes an entry that may stand next.
    fn take(&mut self, entry: &Self::Entry);
}

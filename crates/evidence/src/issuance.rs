//! The issuance log: what was served, hash-chained (SPEC.md §1).
//!
//! [`IssuanceLog`] writes, [`verify`] checks from the first line to the last in constant memory, an [`Exchange`] is what a line says.

mod entry;
mod exchange;
mod log;

use std::io::{self, BufRead};

use crate::chain;

pub use crate::chain::{Fault, FaultKind, MAX_LINE, Opened, Receipt, Summary, Torn};
pub use entry::{Entry, Served, mark_digest};
pub use exchange::{Content, Exchange, field_digest};
pub use log::IssuanceLog;

/// One line of an issuance log.
pub type Line = chain::Line<Entry>;
/// Takes the lines of an issuance log in order.
pub type Verifier = chain::Verifier<Served>;
/// What became of checking an issuance log.
pub type Outcome = chain::Outcome<Served>;

/// Checks a whole log in constant memory; `each` sees every good line and its bytes.
///
/// # Errors
/// Those of reading.
pub fn verify(input: impl BufRead, each: impl FnMut(&Line, &[u8])) -> io::Result<Outcome> {
    Verifier::new().verify(input, each)
}

//! The issuance log: what was served, hash-chained (SPEC.md §1).
//!
//! [`IssuanceLog`] writes, [`verify`] checks from the first line to the last in constant memory, an [`Exchange`] is what a line says.

mod exchange;
mod line;
mod log;
mod verify;

pub use exchange::{Content, Exchange, field_digest};
pub use line::{Entry, Line, MAX_LINE, mark_digest};
pub use log::{IssuanceLog, Opened, Receipt, Torn};
pub use verify::{Fault, FaultKind, Outcome, Summary, Verifier, verify};

//! RFC 3161 time-stamps: what a request asks, and what a token proves.
//!
//! A token is judged at its own time, by an [`Authority`] that the verifier pinned beforehand: root, signer and the span in which it is believed
//! are one unit. A certificate that has run out since does not undo what it signed while it held; one that the token brings along proves nothing.

mod authority;
mod der;
mod request;
mod token;

pub use authority::{Authority, Certificate};
pub use request::request;
pub use token::{MAX_TOKEN, Token};

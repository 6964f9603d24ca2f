//! C programs, compiled by the system's compiler, linked with the static library, and run.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "tests fail loudly and cast freely"
)]

mod choices;
mod errors;
mod example;
mod llama;
mod stress;
mod support;
mod wipe;

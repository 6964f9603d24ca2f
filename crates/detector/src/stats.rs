//! Exact tails. This module knows no keys and no tokens.

mod tails;

pub use tails::{PValue, binomial_tail, gamma_tail};

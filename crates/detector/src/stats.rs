//! Tails, bounds and e-values. This module knows no keys and no tokens.

mod law;
mod normal;
mod tails;

pub use law::{Cumulants, Law, WeightedSum};
pub use normal::{normal_quantile, normal_tail};
pub use tails::{PValue, binomial_tail, gamma_tail};

//! Tails, bounds and e-values. This module knows no keys and no tokens.

mod hypergeometric;
mod law;
mod normal;
mod poisson_binomial;
mod tails;

pub use hypergeometric::hypergeometric_tail;
pub use law::{Cumulants, Law, WeightedSum};
pub use normal::{normal_quantile, normal_tail};
pub use poisson_binomial::poisson_binomial_tail;
pub use tails::{PValue, binomial_tail, gamma_tail};

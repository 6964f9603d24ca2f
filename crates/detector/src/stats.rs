//! Tails, bounds and e-values. This module knows no keys and no tokens.

mod evalue;
mod goodness;
mod hypergeometric;
mod lattice;
mod law;
mod multiple;
mod normal;
mod rank;
mod tails;

pub use evalue::{Betting, EProcess, Evidence, Peak, e_to_p, mean, product};
pub use goodness::{higher_criticism, tr_gof};
mod poisson_binomial;

pub use hypergeometric::hypergeometric_tail;
pub use lattice::lattice_tail;
pub(crate) use lattice::lattice_work;
pub use law::{Cumulants, Law, WeightedSum};
pub(crate) use multiple::times;
pub use multiple::{bonferroni, e_bh, fisher, holm, holm_among, least_of};
pub use normal::{normal_quantile, normal_tail};
pub use poisson_binomial::poisson_binomial_tail;
pub use rank::{BesagClifford, Fit, Rank, fit_to_law, uniformity};
pub(crate) use tails::real;
pub use tails::{PValue, binomial_tail, gamma_tail};

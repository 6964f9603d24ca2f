//! The raw keyed function, for researchers and for tests.
//!
//! Words by themselves prove nothing. A p-value needs distinct units, windows that did not occur before, and a key that
//! the text is independent of; [`Mark`](crate::Mark) and the detector keep those rules, this module does not.

pub use crate::prf::{Prf, WordBytes};

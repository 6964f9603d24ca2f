//! Vector instructions without `unsafe` and without writing any.

/// Runs `work` compiled for the best instruction set of the machine, chosen at run time; loops inside it are vectorised
/// accordingly. Results do not depend on the choice: the compiler never reorders floating-point operations.
///
/// Give it a `#[inline(always)]` closure that owns or copies what it reads: a value behind a reference that a write might change
/// is read again for every element, and the loop stays scalar.
#[inline(always)]
pub fn vectorise<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

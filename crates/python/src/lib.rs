//! The compiled half of the `taggant` wheel: conversions, and nothing else.
//!
//! Every function here takes Python's values apart, calls `taggant-core`, `taggant-watermark`, `taggant-detector` or `taggant-evidence` without the
//! interpreter's lock, and puts the answer together again. What a name means is documented where Python's users read it: on the classes
//! and functions themselves, whose examples are run.

mod arrays;
mod batch;
mod cases;
mod desks;
mod detector;
mod errors;
mod files;
mod issuance;
mod keys;
mod many;
mod page;
mod record;
mod report;
mod rows;
mod sampler;
mod stream;
mod tokens;

use pyo3::prelude::*;

#[pymodule]
mod _taggant {
    use super::errors;
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::batch::{bias_batch, select_batch};
    #[pymodule_export]
    use super::cases::{CaseCheck, LogReport, verify_case, verify_log};
    #[pymodule_export]
    use super::detector::{Detector, detect};
    #[pymodule_export]
    use super::issuance::IssuanceLog;
    #[pymodule_export]
    use super::keys::{Key, RootKey};
    #[pymodule_export]
    use super::many::{KeyReport, detect_each};
    #[pymodule_export]
    use super::page::Page;
    #[pymodule_export]
    use super::record::{Layer, Record};
    #[pymodule_export]
    use super::report::{Check, Report};
    #[pymodule_export]
    use super::sampler::Sampler;
    #[pymodule_export]
    use super::stream::Stream;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        errors::register(module)
    }
}

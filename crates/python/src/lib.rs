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
mod distill;
mod errors;
mod files;
mod interop;
mod issuance;
mod keys;
mod many;
mod page;
mod record;
mod report;
mod rows;
mod sampler;
mod stats;
mod stream;
mod tokens;
mod twins;

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

    /// What `taggant.distill` shows.
    #[pymodule]
    mod _distill {
        #[pymodule_export]
        use crate::distill::{
            AccountFinding, Finding, Findings, Outcome, Plan, Sequential, Test, WindowIndex,
        };
    }

    /// What `taggant.interop` shows.
    #[pymodule]
    mod _interop {
        #[pymodule_export]
        use crate::interop::{Scan, Tried, formats, scan};
    }

    /// What `taggant.stats` shows.
    #[pymodule]
    mod _stats {
        #[pymodule_export]
        use crate::stats::{
            binomial_tail, bonferroni, detectable_effect, e_bh, fisher, gamma_tail, holm,
            hypergeometric_tail, poisson_binomial_tail, power_at, uniformity, units_needed,
        };
    }

    /// What `taggant.twins` shows.
    #[pymodule]
    mod _twins {
        #[pymodule_export]
        use crate::twins::{
            Finding, Findings, Plan, Sealed, TwinReport, TwinTest, batch_root, exchange_commitment,
            seal, serve, twin_commitment,
        };
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        errors::register(module)
    }
}

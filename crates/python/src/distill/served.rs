//! What was served: how often each window.

use pyo3::prelude::*;
use taggant_core::ErrorKind;
use taggant_detector::ServedWindows;

use super::TestedLayer;
use crate::errors::{Result, fault};
use crate::keys::Key;
use crate::record::Record;
use crate::rows::each_some;
use crate::tokens::token_ids;

/// In how many served responses each window stood, on one layer of a mark. It weighs the evidence of the supervised statistic.
///
/// `rows` are responses as they were served, as for `detect`; prompts are not looked at. `role` and `campaign` as for `Test`.
///
/// >>> from taggant.distill import WindowIndex
/// >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
/// >>> record = Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=50_000)
/// >>> served = WindowIndex(record, [[5, 7, 11], [5, 7, 13]])
/// >>> served.count([5, 7]), served.count([7, 5]), len(served)
/// (2, 0, 1)
#[pyclass(frozen, module = "taggant.distill")]
pub(crate) struct WindowIndex {
    pub(super) index: taggant_detector::WindowIndex,
    rows: u64,
}

#[pymethods]
impl WindowIndex {
    #[new]
    #[pyo3(signature = (record, rows, *, role = None, campaign = None))]
    fn new(
        record: &Record,
        rows: &Bound<'_, PyAny>,
        role: Option<&str>,
        campaign: Option<&Bound<'_, Key>>,
    ) -> Result<Self> {
        let layer = TestedLayer::new(record, role, campaign)?;
        let mut windows = ServedWindows::new(&layer.record, layer.role, layer.campaign.as_ref())?;
        let (mut index, mut count) = (taggant_detector::WindowIndex::default(), 0);
        each_some(rows, |rows| {
            for row in rows {
                index.add(windows.of(&row.tokens).map_err(|error| row.fault(error))?);
                count += 1;
            }
            Ok::<(), taggant_core::Error>(())
        })?;
        rows.py().detach(|| index.compact());
        if count == 0 {
            return Err(fault(
                ErrorKind::Parameter,
                "no rows; give the responses that were served",
            ));
        }
        Ok(Self { index, rows: count })
    }

    /// The number of responses that a window stood in.
    fn count(&self, window: &Bound<'_, PyAny>) -> Result<u32> {
        Ok(self.index.count(&token_ids("window", window)?))
    }

    /// Responses that were read.
    #[getter]
    fn rows(&self) -> u64 {
        self.rows
    }

    fn __len__(&self) -> usize {
        self.index.len()
    }

    fn __repr__(&self) -> String {
        format!(
            "WindowIndex({} windows of {} responses)",
            self.index.len(),
            self.rows
        )
    }
}

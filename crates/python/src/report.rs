//! What a detector answers, as Python sees it.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::record::Record;

/// What a report is about, the same for all reports of a detector.
pub(crate) struct Subject {
    pub(crate) record: taggant_core::Record,
    pub(crate) alpha: f64,
}

/// The answer for one row, or for a pool of them.
///
/// `verdict` is "Detected" (the p-value is at most `alpha`), "NotDetected" (there was text enough to see a mark) or "Inconclusive",
/// and then `reason` says what would change that. A detection says that the text depends on the key; not who wrote it.
#[pyclass(frozen, module = "taggant")]
pub(crate) struct Report {
    pub(crate) report: taggant_detector::Report,
    pub(crate) subject: Arc<Subject>,
}

#[pymethods]
impl Report {
    /// "Detected", "NotDetected" or "Inconclusive".
    #[getter]
    fn verdict(&self) -> &'static str {
        self.report.verdict.name()
    }

    /// Why the verdict is "Inconclusive", with the number that would change it; None otherwise.
    #[getter]
    fn reason(&self) -> Option<String> {
        let reason = self.report.verdict.reason()?;
        Some(format!("{}: {reason}", reason.name()))
    }

    /// Whether the verdict is "Detected".
    #[getter]
    fn detected(&self) -> bool {
        self.report.verdict == taggant_detector::Verdict::Detected
    }

    /// The decimal logarithm of the p-value, exact where the p-value itself is too small for a float.
    #[getter]
    fn log10_p(&self) -> f64 {
        self.report.p_value.log10()
    }

    /// The probability of a score at least this large if the text is independent of the key. 0.0 when too small for a float.
    #[getter]
    fn p_value(&self) -> f64 {
        self.report.p_value.get()
    }

    /// Distinct units (a window and the token after it) that were scored.
    #[getter]
    fn units(&self) -> u64 {
        self.report.units
    }

    /// Tokens looked at.
    #[getter]
    fn tokens(&self) -> u64 {
        self.report.tokens
    }

    /// The statistic's value: larger means more mark.
    #[getter]
    fn score(&self) -> f64 {
        self.report.score
    }

    /// What the score would be on average if the text were independent of the key.
    #[getter]
    fn expected(&self) -> f64 {
        self.report.expected
    }

    /// The statistic's name: "sum", "weighted" or "maximin".
    #[getter]
    fn statistic(&self) -> &'static str {
        self.subject.record.score().name()
    }

    /// The scheme's id, such as "gumbel/1".
    #[getter]
    fn scheme(&self) -> &'static str {
        self.subject.record.scheme().id()
    }

    /// The record that the text was held against: parameters, layers, tokenizer.
    #[getter]
    fn record(&self) -> Record {
        Record {
            record: self.subject.record.clone(),
        }
    }

    /// The significance level of the verdict.
    #[getter]
    fn alpha(&self) -> f64 {
        self.subject.alpha
    }

    /// Every check that the verdict rests on, made or not, in the order they are made.
    #[getter]
    fn checks(&self) -> Vec<Check> {
        self.report.checks().iter().map(Check::of).collect()
    }

    /// The report as a dict, by the names that `taggant detect --json` uses.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let fields = PyDict::new(py);
        fields.set_item("tokens", self.tokens())?;
        fields.set_item("units", self.units())?;
        fields.set_item("score", self.score())?;
        fields.set_item("expected", self.expected())?;
        fields.set_item("log10_p", self.log10_p())?;
        fields.set_item("verdict", self.verdict())?;
        fields.set_item("reason", self.reason())?;
        let checks = PyList::empty(py);
        for check in self.checks() {
            let line = PyDict::new(py);
            line.set_item("name", check.name)?;
            line.set_item("status", check.status)?;
            line.set_item("detail", check.detail)?;
            checks.append(line)?;
        }
        fields.set_item("checks", checks)?;
        Ok(fields)
    }

    /// An object is true whatever it says, and "inconclusive" is neither: whoever asks must say what.
    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err(
            "a report is not a yes or a no; ask its `detected` or `verdict`",
        ))
    }

    fn __str__(&self) -> String {
        let reason = self
            .reason()
            .map_or_else(String::new, |reason| format!(" ({reason})"));
        format!(
            "{}{reason}: p = {} over {} units of {} tokens; {}, alpha = {:e}",
            self.verdict(),
            self.report.p_value,
            self.units(),
            self.tokens(),
            self.scheme(),
            self.alpha()
        )
    }

    fn __repr__(&self) -> String {
        format!(
            "Report(verdict='{}', log10_p={:.4}, units={}, score={:.4}, expected={:.4}, scheme='{}', statistic='{}')",
            self.verdict(),
            self.log10_p(),
            self.units(),
            self.score(),
            self.expected(),
            self.scheme(),
            self.statistic()
        )
    }
}

/// One step that a verdict rests on.
#[pyclass(frozen, get_all, module = "taggant")]
pub(crate) struct Check {
    /// What was to be checked.
    name: &'static str,
    /// "run", "not applicable" or "skipped".
    status: &'static str,
    /// The result, or why there is none.
    detail: String,
}

impl Check {
    pub(crate) fn of(check: &taggant_detector::Check) -> Self {
        Self {
            name: check.name,
            status: check.status.name(),
            detail: check.status.detail().to_owned(),
        }
    }
}

#[pymethods]
impl Check {
    fn __repr__(&self) -> String {
        format!("Check('{}', {}: {})", self.name, self.status, self.detail)
    }
}

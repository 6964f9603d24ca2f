//! What the test of twins finds, as Python sees it.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use taggant_detector::Verdict;
use taggant_detector::twins;

use crate::errors::Result;

/// The answer at three levels. Each level is a family of its own: its verdicts hold together at alpha.
#[pyclass(frozen, module = "taggant.twins")]
pub(crate) struct Findings {
    accounts: Vec<Py<Finding>>,
    clusters: Vec<Py<Finding>>,
    pooled: TwinReport,
}

/// The findings for Python.
pub(super) fn found(py: Python<'_>, findings: twins::Findings, alpha: f64) -> Result<Findings> {
    let report = |report| TwinReport {
        report: Arc::new(report),
        alpha,
    };
    let family = |family: Vec<twins::Finding>| {
        let family = family.into_iter().map(|finding| {
            let finding = Finding {
                name: finding.name,
                lead: finding.lead,
                report: report(finding.report),
            };
            Ok(Py::new(py, finding)?)
        });
        family.collect::<Result<Vec<_>>>()
    };
    Ok(Findings {
        accounts: family(findings.accounts)?,
        clusters: family(findings.clusters)?,
        pooled: report(findings.pooled),
    })
}

#[pymethods]
impl Findings {
    /// A Finding for each account, in the order of names.
    #[getter]
    fn accounts(&self, py: Python<'_>) -> Vec<Py<Finding>> {
        let accounts = self.accounts.iter();
        accounts.map(|finding| finding.clone_ref(py)).collect()
    }

    /// A Finding for each cluster, in the order of names. Exchanges without a cluster are in none.
    #[getter]
    fn clusters(&self, py: Python<'_>) -> Vec<Py<Finding>> {
        let clusters = self.clusters.iter();
        clusters.map(|finding| finding.clone_ref(py)).collect()
    }

    /// The report on all exchanges. Detected here with no account named: some accounts leak, and which is not shown.
    #[getter]
    fn pooled(&self) -> TwinReport {
        self.pooled.clone()
    }

    /// An object is true whatever it says: whoever asks must say what.
    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err(
            "findings are not a yes or a no; ask the `report` of each of `accounts`, or `pooled`",
        ))
    }

    fn __repr__(&self) -> String {
        let accused = self.accounts.iter().filter(|finding| {
            let report = &finding.get().report.report;
            report.verdict == Verdict::Detected
        });
        format!(
            "Findings({} of {} accounts detected, {} clusters, pooled='{}')",
            accused.count(),
            self.accounts.len(),
            self.clusters.len(),
            self.pooled.verdict()
        )
    }
}

/// An account's or cluster's name and what it shows.
#[pyclass(frozen, get_all, module = "taggant.twins")]
pub(crate) struct Finding {
    /// The account or cluster, as given.
    name: String,
    /// What its exchanges show.
    report: TwinReport,
    /// Whether it is on the list of leads, some of which are expected to be wrong.
    lead: bool,
}

#[pymethods]
impl Finding {
    /// An object is true whatever it says: whoever asks must say what.
    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err(
            "a finding is not a yes or a no; ask its `report`",
        ))
    }

    fn __repr__(&self) -> String {
        format!(
            "Finding('{}', lead={}, {})",
            self.name.escape_debug(),
            if self.lead { "True" } else { "False" },
            self.report.__repr__()
        )
    }
}

/// What a group of exchanges shows.
#[pyclass(frozen, module = "taggant.twins")]
#[derive(Clone)]
pub(crate) struct TwinReport {
    report: Arc<twins::TwinReport>,
    alpha: f64,
}

#[pymethods]
impl TwinReport {
    /// "Detected", "NotDetected" (there were exchanges enough to see the planned AUC) or "Inconclusive".
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
        self.report.verdict == Verdict::Detected
    }

    /// The decimal logarithm of the p-value, a bound where not `exact`.
    #[getter]
    fn log10_p(&self) -> f64 {
        self.report.p_value.log10()
    }

    /// The same, adjusted for all groups of this kind (Holm).
    #[getter]
    fn log10_p_holm(&self) -> f64 {
        self.report.adjusted.log10()
    }

    /// The p-value. 0.0 when too small for a float.
    #[getter]
    fn p_value(&self) -> f64 {
        self.report.p_value.get()
    }

    /// Whether the p-value is the tail itself.
    #[getter]
    fn exact(&self) -> bool {
        self.report.exact
    }

    /// The decimal logarithm of the tail as near as it can be computed; no headline.
    #[getter]
    fn log10_p_near(&self) -> f64 {
        self.report.near.log10()
    }

    /// The decimal logarithm of the p-value by ranks, whatever the statistic is.
    #[getter]
    fn log10_p_ranks(&self) -> f64 {
        self.report.rank_p.log10()
    }

    /// Decoy choices that score as high, and all decoy choices; None without.
    #[getter]
    fn rank(&self) -> Option<(u64, u64)> {
        let rank = self.report.permutations?;
        Some((rank.at_least, rank.trials))
    }

    /// The statistic in standard deviations of its null law. A description; the p-value is not made from it.
    #[getter]
    fn z(&self) -> f64 {
        self.report.z
    }

    /// Exchanges of the group.
    #[getter]
    fn exchanges(&self) -> u64 {
        self.report.exchanges
    }

    /// Those whose drafts the suspect does not score all alike.
    #[getter]
    fn informative(&self) -> u64 {
        self.report.informative
    }

    /// Twins of an exchange, on average.
    #[getter]
    fn twins(&self) -> f64 {
        self.report.twins
    }

    /// Estimated probability that the suspect scores a served draft above one of its twins. None without twins.
    #[getter]
    fn auc(&self) -> Option<f64> {
        self.report.auc
    }

    /// Its standard error. None with fewer than two exchanges.
    #[getter]
    fn auc_error(&self) -> Option<f64> {
        self.report.auc_error
    }

    /// Informative exchanges that a leak of the planned AUC needs to be found.
    #[getter]
    fn needed(&self) -> f64 {
        self.report.needed
    }

    /// Exchanges that would be needed if the AUC is as estimated; None where that is 0.5 or less, or 1.
    #[getter]
    fn needed_as_estimated(&self) -> Option<f64> {
        self.report.needed_as_estimated(self.alpha)
    }

    /// The natural logarithm of the e-value at the end.
    #[getter]
    fn ln_e(&self) -> f64 {
        self.report.ln_e
    }

    /// The decimal logarithm of a p-value whenever one stops, in the order in which exchanges were added.
    #[getter]
    fn log10_p_anytime(&self) -> f64 {
        self.report.peak.p_value().log10()
    }

    /// An object is true whatever it says, and "inconclusive" is neither: whoever asks must say what.
    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err(
            "a report is not a yes or a no; ask its `detected` or `verdict`",
        ))
    }

    fn __repr__(&self) -> String {
        format!(
            "TwinReport(verdict='{}', log10_p={:.4}, log10_p_holm={:.4}, exchanges={}, z={:.2})",
            self.verdict(),
            self.log10_p(),
            self.log10_p_holm(),
            self.report.exchanges,
            self.report.z
        )
    }
}

//! What a distillation test finds, as Python sees it.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use taggant_detector::Verdict;
use taggant_detector::distill::{self, Statistic};
use taggant_detector::stats::{Fit, Rank};

use crate::keys::Key;
use crate::report::Check;

/// What a test finds.
#[pyclass(frozen, module = "taggant.distill")]
pub(crate) struct Findings {
    keys: Vec<Py<Finding>>,
    found: Facts,
}

struct Facts {
    mode: &'static str,
    rows: u64,
    needed: f64,
    detected: bool,
    sequential: Option<distill::Sequential>,
    checks: Vec<taggant_detector::Check>,
}

impl Findings {
    pub(super) fn new(
        keys: &[Bound<'_, Key>],
        found: distill::Findings,
        open: bool,
    ) -> PyResult<Self> {
        let detected = found
            .keys
            .iter()
            .any(|finding| finding.verdict == Verdict::Detected);
        let findings = keys.iter().zip(found.keys).map(|(key, finding)| {
            let finding = Finding {
                key: key.clone().unbind(),
                outcomes: finding.outcomes,
                adjusted: finding.adjusted.log10(),
                verdict: finding.verdict,
            };
            Py::new(key.py(), finding)
        });
        Ok(Self {
            keys: findings.collect::<PyResult<_>>()?,
            found: Facts {
                mode: if open { "open" } else { "closed" },
                rows: found.rows,
                needed: found.needed,
                detected,
                sequential: found.sequential,
                checks: found.checks,
            },
        })
    }
}

#[pymethods]
impl Findings {
    /// A Finding for each key, in the order given.
    #[getter]
    fn keys(&self, py: Python<'_>) -> Vec<Py<Finding>> {
        self.keys.iter().map(|key| key.clone_ref(py)).collect()
    }

    /// Whether any key was detected.
    #[getter]
    fn detected(&self) -> bool {
        self.found.detected
    }

    /// "closed" for answers, "open" for probabilities.
    #[getter]
    fn mode(&self) -> &'static str {
        self.found.mode
    }

    /// Rows of the suspect.
    #[getter]
    fn rows(&self) -> u64 {
        self.found.rows
    }

    /// Units of weight 1 that are enough to say no.
    #[getter]
    fn needed(&self) -> f64 {
        self.found.needed
    }

    /// The sequential test, where one was asked for.
    #[getter]
    fn sequential(&self) -> Option<Sequential> {
        let seen = self.found.sequential?;
        Some(Sequential {
            ln_e: seen.ln_e,
            log10_p: seen.p_value.log10(),
            stopped: seen.stopped,
        })
    }

    /// Every check that the verdicts rest on, made or not.
    #[getter]
    fn checks(&self) -> Vec<Check> {
        self.found.checks.iter().map(Check::of).collect()
    }

    /// An object is true whatever it says: whoever asks must say what.
    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err(
            "findings are not a yes or a no; ask `detected`, or the `verdict` of each of `keys`",
        ))
    }

    fn __repr__(&self) -> String {
        format!(
            "Findings(mode='{}', keys={}, detected={}, rows={}, needed={})",
            self.found.mode,
            self.keys.len(),
            if self.found.detected { "True" } else { "False" },
            self.found.rows,
            self.found.needed
        )
    }
}

/// What is found about one key. Its numbers are those of the statistic that decides.
#[pyclass(frozen, module = "taggant.distill")]
pub(crate) struct Finding {
    key: Py<Key>,
    outcomes: Vec<distill::Outcome>,
    adjusted: f64,
    verdict: Verdict,
}

#[pymethods]
impl Finding {
    /// The key.
    #[getter]
    fn key(&self, py: Python<'_>) -> Py<Key> {
        self.key.clone_ref(py)
    }

    /// "Detected" when the adjusted p-value is at most alpha, "NotDetected" when there was enough to see the planned effect, or
    /// "Inconclusive".
    #[getter]
    fn verdict(&self) -> &'static str {
        self.verdict.name()
    }

    /// Why the verdict is "Inconclusive", with the number that would change it; None otherwise.
    #[getter]
    fn reason(&self) -> Option<String> {
        reason(&self.verdict)
    }

    /// Whether the verdict is "Detected".
    #[getter]
    fn detected(&self) -> bool {
        self.verdict == Verdict::Detected
    }

    /// The decimal logarithm of the p-value, adjusted for the number of keys (Holm).
    #[getter]
    fn log10_p_holm(&self) -> f64 {
        self.adjusted
    }

    /// The Outcome that decides, then those of the other statistics.
    #[getter]
    fn outcomes(&self) -> Vec<Outcome> {
        let outcomes = self.outcomes.iter().cloned();
        outcomes.map(|outcome| Outcome { outcome }).collect()
    }

    /// The statistic that decides: "plain", "supervised" or "difference".
    #[getter]
    fn statistic(&self) -> Option<&'static str> {
        self.first().map(|first| first.statistic.name())
    }

    /// The decimal logarithm of the key's own p-value, exact where the p-value itself is too small for a float.
    #[getter]
    fn log10_p(&self) -> f64 {
        self.first().map_or(0.0, |first| first.p_value.log10())
    }

    /// The probability of a score at least this large if the suspect is independent of the key. 0.0 when too small for a float.
    #[getter]
    fn p_value(&self) -> f64 {
        self.first().map_or(1.0, |first| first.p_value.get())
    }

    /// Distinct units with a weight other than 0.
    #[getter]
    fn units(&self) -> u64 {
        self.first().map_or(0, |first| first.units)
    }

    /// Units of weight 1 that would show as much.
    #[getter]
    fn effective(&self) -> f64 {
        self.first().map_or(0.0, |first| first.effective)
    }

    /// By how many standard deviations the score exceeds its mean. A description; the p-value is not made from it.
    #[getter]
    fn z(&self) -> f64 {
        self.first().map_or(0.0, distill::Outcome::z)
    }

    /// The shift of a unit's score that the suspect shows, in standard deviations.
    #[getter]
    fn effect(&self) -> f64 {
        self.first().map_or(0.0, distill::Outcome::effect)
    }

    /// An object is true whatever it says, and "inconclusive" is neither: whoever asks must say what.
    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err(
            "a finding is not a yes or a no; ask its `detected` or `verdict`",
        ))
    }

    fn __repr__(&self) -> String {
        format!(
            "Finding('{}', verdict='{}', statistic='{}', log10_p={:.4}, log10_p_holm={:.4}, units={}, z={:.2}, effect={:.4})",
            self.key.get().leaf.path(),
            self.verdict(),
            self.statistic().unwrap_or("-"),
            self.log10_p(),
            self.adjusted,
            self.units(),
            self.z(),
            self.effect()
        )
    }
}

impl Finding {
    fn first(&self) -> Option<&distill::Outcome> {
        self.outcomes.first()
    }
}

/// What one statistic shows of one key.
#[pyclass(frozen, module = "taggant.distill")]
pub(crate) struct Outcome {
    outcome: distill::Outcome,
}

#[pymethods]
impl Outcome {
    /// "plain", "supervised" or "difference".
    #[getter]
    fn statistic(&self) -> &'static str {
        self.outcome.statistic.name()
    }

    /// Whether it decides; the others are only reported.
    #[getter]
    fn primary(&self) -> bool {
        self.outcome.primary
    }

    /// Distinct units with a weight other than 0.
    #[getter]
    fn units(&self) -> u64 {
        self.outcome.units
    }

    /// Units of weight 1 that would show as much.
    #[getter]
    fn effective(&self) -> f64 {
        self.outcome.effective
    }

    /// Weighted sum of the units' scores.
    #[getter]
    fn score(&self) -> f64 {
        self.outcome.score
    }

    /// Its mean if the suspect is independent of the key.
    #[getter]
    fn mean(&self) -> f64 {
        self.outcome.mean
    }

    /// Its standard deviation.
    #[getter]
    fn deviation(&self) -> f64 {
        self.outcome.deviation
    }

    /// By how many standard deviations the score exceeds its mean. A description; the p-value is not made from it.
    #[getter]
    fn z(&self) -> f64 {
        self.outcome.z()
    }

    /// The shift of a unit's score that the suspect shows, in standard deviations.
    #[getter]
    fn effect(&self) -> f64 {
        self.outcome.effect()
    }

    /// The decimal logarithm of the p-value, a bound where not `exact`.
    #[getter]
    fn log10_p(&self) -> f64 {
        self.outcome.p_value.log10()
    }

    /// The p-value. 0.0 when too small for a float.
    #[getter]
    fn p_value(&self) -> f64 {
        self.outcome.p_value.get()
    }

    /// Whether the p-value is the tail itself.
    #[getter]
    fn exact(&self) -> bool {
        self.outcome.exact
    }

    /// The decimal logarithm of the tail as near as it can be computed; no headline.
    #[getter]
    fn log10_p_near(&self) -> f64 {
        self.outcome.near.log10()
    }

    /// Decoy keys that score as high, and all decoy keys; None without.
    #[getter]
    fn rank(&self) -> Option<(u64, u64)> {
        let (rank, _): (Rank, Fit) = self.outcome.decoys?;
        Some((rank.at_least, rank.trials))
    }

    /// The decimal logarithm of the p-value by that rank; None without decoys.
    #[getter]
    fn log10_p_rank(&self) -> Option<f64> {
        self.outcome.decoys.map(|(rank, _)| rank.p_value().log10())
    }

    /// The p-value of "the decoys follow the law that p-values are from"; None without decoys.
    #[getter]
    fn decoys_fit(&self) -> Option<f64> {
        self.outcome.decoys.map(|(_, fit)| fit.p_value)
    }

    fn __repr__(&self) -> String {
        format!(
            "Outcome('{}', primary={}, log10_p={:.4}, units={}, z={:.2}, effect={:.4})",
            self.statistic(),
            if self.outcome.primary {
                "True"
            } else {
                "False"
            },
            self.log10_p(),
            self.outcome.units,
            self.z(),
            self.effect()
        )
    }
}

/// What is found about one account's key on the windows that the account was served.
#[pyclass(frozen, module = "taggant.distill")]
pub(crate) struct AccountFinding {
    key: Py<Key>,
    statistic: Statistic,
    found: distill::AccountFinding,
}

impl AccountFinding {
    pub(super) fn new(
        key: &Bound<'_, Key>,
        statistic: Statistic,
        found: distill::AccountFinding,
    ) -> Self {
        Self {
            key: key.clone().unbind(),
            statistic,
            found,
        }
    }
}

#[pymethods]
impl AccountFinding {
    /// The key.
    #[getter]
    fn key(&self, py: Python<'_>) -> Py<Key> {
        self.key.clone_ref(py)
    }

    /// "supervised" or "difference".
    #[getter]
    fn statistic(&self) -> &'static str {
        self.statistic.name()
    }

    /// As for `Finding`.
    #[getter]
    fn verdict(&self) -> &'static str {
        self.found.verdict.name()
    }

    /// As for `Finding`.
    #[getter]
    fn reason(&self) -> Option<String> {
        reason(&self.found.verdict)
    }

    /// Whether the verdict is "Detected".
    #[getter]
    fn detected(&self) -> bool {
        self.found.verdict == Verdict::Detected
    }

    /// Units whose window the account was served.
    #[getter]
    fn units(&self) -> u64 {
        self.found.own.units
    }

    /// Units of weight 1 that would show as much.
    #[getter]
    fn effective(&self) -> f64 {
        self.found.own.effective
    }

    /// Weighted sum of the units' scores under the account's key.
    #[getter]
    fn score(&self) -> f64 {
        self.found.own.score
    }

    /// By how many standard deviations the score exceeds its mean. A description; the p-value is not made from it.
    #[getter]
    fn z(&self) -> f64 {
        self.found.z()
    }

    /// The shift of a unit's score that the suspect shows, in standard deviations.
    #[getter]
    fn effect(&self) -> f64 {
        self.found.effect()
    }

    /// The decimal logarithm of Chernoff's bound of the p-value.
    #[getter]
    fn log10_p(&self) -> f64 {
        self.found.own.p_value.log10()
    }

    /// The same, adjusted for the number of accounts (Holm).
    #[getter]
    fn log10_p_holm(&self) -> f64 {
        self.found.adjusted.log10()
    }

    /// An object is true whatever it says, and "inconclusive" is neither: whoever asks must say what.
    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err(
            "a finding is not a yes or a no; ask its `detected` or `verdict`",
        ))
    }

    fn __repr__(&self) -> String {
        format!(
            "AccountFinding('{}', verdict='{}', log10_p={:.4}, log10_p_holm={:.4}, units={}, z={:.2})",
            self.key.get().leaf.path(),
            self.verdict(),
            self.log10_p(),
            self.log10_p_holm(),
            self.found.own.units,
            self.z()
        )
    }
}

/// What may be looked at after every answer.
#[pyclass(frozen, get_all, module = "taggant.distill")]
pub(crate) struct Sequential {
    /// The natural logarithm of the e-value after the last answer.
    ln_e: f64,
    /// The decimal logarithm of a p-value whenever one stops.
    log10_p: f64,
    /// The answer after which 1/alpha was first passed: where one could have stopped. None if it never was.
    stopped: Option<u64>,
}

#[pymethods]
impl Sequential {
    fn __repr__(&self) -> String {
        let stopped = self
            .stopped
            .map_or("None".to_owned(), |stopped| stopped.to_string());
        format!(
            "Sequential(ln_e={:.4}, log10_p={:.4}, stopped={stopped})",
            self.ln_e, self.log10_p
        )
    }
}

fn reason(verdict: &Verdict) -> Option<String> {
    let reason = verdict.reason()?;
    Some(format!("{}: {reason}", reason.name()))
}

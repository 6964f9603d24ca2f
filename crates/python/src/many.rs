//! Which of many keys is it?

use pyo3::prelude::*;
use taggant_core::{LeafKey, Mark, Role};
use taggant_detector::Collector;
use taggant_detector::stats::{PValue, holm};

use crate::errors::Result;
use crate::keys::Key;
use crate::record::{Digest, Record};
use crate::rows::each_some;

/// Holds one pool of rows against many keys, as `taggant detect --many-keys`: one report for each, in the order of the keys.
///
/// The keys are those of the record's account layer, or of its only layer; `campaign` is the campaign key of a record of two layers,
/// which tells whose a window is. P-values are adjusted for the number of keys (Holm), so `alpha` bounds the chance of any false
/// detection. `threads` is how many threads compute; rows are as for `detect`.
///
/// >>> root = RootKey.from_bytes(bytes(32))
/// >>> keys = [root.derive(f"2026-12/campaign/{name}") for name in ("east", "west")]
/// >>> record = Record("gumbel", 2, keys[0], tokenizer="00" * 32, vocabulary=50_000)
/// >>> [report.verdict for report in detect_each(keys, record, [range(500)])]
/// ['NotDetected', 'NotDetected']
#[pyfunction]
#[pyo3(signature = (keys, record, rows, *, campaign = None, alpha = 1e-6, threads = 1, tokenizer = None))]
#[expect(
    clippy::too_many_arguments,
    reason = "named arguments are what Python has for a table of options"
)]
pub(crate) fn detect_each<'py>(
    py: Python<'py>,
    keys: Vec<Bound<'py, Key>>,
    record: &Record,
    rows: &Bound<'py, PyAny>,
    campaign: Option<&Bound<'py, Key>>,
    alpha: f64,
    threads: usize,
    tokenizer: Option<Digest>,
) -> Result<Vec<KeyReport>> {
    let record = &record.record;
    let campaign = campaign.map(|key| &key.get().leaf);
    if let Some(campaign) = campaign {
        // Another campaign's key would share out the windows wrongly and find nothing, without a word.
        Mark::new(record, &[campaign])?;
    }
    let role = match record.layers() {
        [only] => only.role,
        _ => Role::Account,
    };
    let mut collector = Collector::new(record, role, campaign)?;
    let tokenizer = tokenizer.map(|digest| digest.0);
    each_some(rows, |rows| {
        for row in rows {
            collector
                .add(&row.response(tokenizer))
                .map_err(|error| row.fault(error))?;
        }
        Ok::<(), taggant_core::Error>(())
    })?;
    let leaves: Vec<&LeafKey> = keys.iter().map(|key| &key.get().leaf).collect();
    let (units, scored, adjusted) = py.detach(|| {
        let units = collector.finish();
        let scored = units.score(&leaves, threads);
        let p_values: Vec<PValue> = scored.iter().map(|scored| scored.p_value).collect();
        (units.len(), scored, holm(&p_values))
    });
    let reports = keys.iter().zip(scored).zip(adjusted);
    Ok(reports
        .map(|((key, scored), adjusted)| KeyReport {
            key: key.clone().unbind(),
            units,
            score: scored.score,
            log10_p: scored.p_value.log10(),
            log10_p_holm: adjusted.log10(),
            verdict: if adjusted.at_most(alpha) {
                "Detected"
            } else {
                "NotDetected"
            },
        })
        .collect())
}

/// What one of many keys shows.
#[pyclass(frozen, get_all, module = "taggant")]
pub(crate) struct KeyReport {
    /// The key.
    key: Py<Key>,
    /// Distinct units that were scored.
    units: usize,
    /// The statistic's value.
    score: f64,
    /// The decimal logarithm of the key's own p-value.
    log10_p: f64,
    /// The same, adjusted for the number of keys.
    log10_p_holm: f64,
    /// "Detected" when the adjusted p-value is at most alpha, else "NotDetected".
    verdict: &'static str,
}

#[pymethods]
impl KeyReport {
    fn __repr__(&self) -> String {
        format!(
            "KeyReport('{}', verdict='{}', log10_p={:.4}, log10_p_holm={:.4}, units={})",
            self.key.get().leaf.path(),
            self.verdict,
            self.log10_p,
            self.log10_p_holm,
            self.units
        )
    }
}

//! Detection under the keys of one mark.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;

use crate::errors::{Fault, Result};
use crate::keys::Keys;
use crate::record::{Digest, Record};
use crate::report::{Report, Subject};
use crate::rows::{Row, each_some};

/// Pools rows and answers once: does this text carry the mark?
///
/// `key` is a Key, or a list with the campaign key and perhaps the account key of the record. A row is a list or NumPy array of token
/// ids, or a dict with `tokens` and perhaps `prompt_tokens`, as in the command's JSONL: windows that occur in the prompt are then left
/// out. `rows` may also be an Arrow column of lists, or a table with these columns, of pyarrow, polars or pandas: it is read where it
/// lies. `tokenizer` is the digest of the tokenizer that the ids belong to, if you know it.
///
/// >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
/// >>> record = Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=50_000)
/// >>> report = detect(key, record, [range(500)])      # innocent: no key was near it
/// >>> report.verdict, report.units
/// ('NotDetected', 498)
#[pyfunction]
#[pyo3(signature = (key, record, rows, *, alpha = 1e-6, tokenizer = None))]
pub(crate) fn detect(
    key: Keys<'_>,
    record: &Record,
    rows: &Bound<'_, PyAny>,
    alpha: f64,
    tokenizer: Option<Digest>,
) -> Result<Report> {
    let detector = taggant_detector::Detector::new(&record.record, &key.leaves())?;
    let mut detector = detector.with_alpha(alpha)?;
    let tokenizer = tokenizer.map(|digest| digest.0);
    each_some(rows, |rows| score_all(&mut detector, rows, tokenizer))?;
    Ok(Report {
        report: detector.pooled(),
        subject: Arc::new(Subject {
            record: record.record.clone(),
            alpha,
        }),
    })
}

fn score_all(
    detector: &mut taggant_detector::Detector,
    rows: &[Row<'_>],
    tokenizer: Option<[u8; 32]>,
) -> taggant_core::Result<()> {
    for row in rows {
        let _ = detector
            .row(&row.response(tokenizer))
            .map_err(|error| row.fault(error))?;
    }
    Ok(())
}

/// Scores rows one by one and keeps the pool of their distinct units. Arguments as for `detect`.
///
/// >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
/// >>> record = Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=50_000)
/// >>> detector = Detector(key, record)
/// >>> detector.row(range(300)).units, detector.row(range(200, 400)).units
/// (298, 198)
/// >>> detector.pooled().units                         # what both rows hold counts once
/// 398
#[pyclass(frozen, module = "taggant")]
pub(crate) struct Detector {
    /// Taken only without the interpreter's lock, so that neither can wait for the other.
    detector: Mutex<taggant_detector::Detector>,
    subject: Arc<Subject>,
    tokenizer: Option<[u8; 32]>,
}

#[pymethods]
impl Detector {
    #[new]
    #[pyo3(signature = (key, record, *, alpha = 1e-6, tokenizer = None))]
    fn new(key: Keys<'_>, record: &Record, alpha: f64, tokenizer: Option<Digest>) -> Result<Self> {
        let detector = taggant_detector::Detector::new(&record.record, &key.leaves())?;
        Self::of(detector, record, alpha, tokenizer)
    }

    /// A detector under keys that the record does not name: a control, whose p-values are uniform on any text.
    #[staticmethod]
    #[pyo3(signature = (key, record, *, alpha = 1e-6, tokenizer = None))]
    fn control(
        key: Keys<'_>,
        record: &Record,
        alpha: f64,
        tokenizer: Option<Digest>,
    ) -> Result<Self> {
        let detector = taggant_detector::Detector::control(&record.record, &key.leaves())?;
        Self::of(detector, record, alpha, tokenizer)
    }

    /// Scores one row by itself and adds its units to the pool.
    fn row(&self, py: Python<'_>, row: &Bound<'_, PyAny>) -> Result<Report> {
        let row = Row::new(0, row)?;
        let report = py.detach(|| {
            let mut detector = self.detector.lock().unwrap_or_else(PoisonError::into_inner);
            detector.row(&row.response(self.tokenizer))
        });
        Ok(self.report(report?))
    }

    /// The report on all units of all rows so far, each distinct unit counted once.
    fn pooled(&self, py: Python<'_>) -> Report {
        let report = py.detach(|| {
            let detector = self.detector.lock().unwrap_or_else(PoisonError::into_inner);
            detector.pooled()
        });
        self.report(report)
    }

    fn __repr__(&self) -> String {
        let Subject { record, alpha } = &*self.subject;
        format!("Detector('{}', alpha={alpha:e})", record.scheme().id())
    }
}

impl Detector {
    fn of(
        detector: taggant_detector::Detector,
        record: &Record,
        alpha: f64,
        tokenizer: Option<Digest>,
    ) -> std::result::Result<Self, Fault> {
        Ok(Self {
            detector: Mutex::new(detector.with_alpha(alpha)?),
            subject: Arc::new(Subject {
                record: record.record.clone(),
                alpha,
            }),
            tokenizer: tokenizer.map(|digest| digest.0),
        })
    }

    fn report(&self, report: taggant_detector::Report) -> Report {
        Report {
            report,
            subject: Arc::clone(&self.subject),
        }
    }
}

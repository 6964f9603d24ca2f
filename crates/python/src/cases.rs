//! Checking what others made: issuance logs and cases.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use pyo3::prelude::*;
use taggant_core::{Error, ErrorKind};
use taggant_evidence::bundle::{self, Folder};
use taggant_evidence::issuance::Verifier;
use taggant_evidence::{Digest, Trust};

use crate::errors::Result;
use crate::files;

/// Largest trust file read.
const MAX_TRUST: u64 = 1 << 24;

/// One check of a case: its `code` (SPEC.md §9.2 of the evidence formats), `status` ("PASS", "FAIL" or "NOT CHECKED") and `detail`.
#[pyclass(frozen, get_all, module = "taggant")]
pub(crate) struct CaseCheck {
    /// The check's code, which does not change.
    code: &'static str,
    /// "PASS", "FAIL" or "NOT CHECKED".
    status: &'static str,
    /// What it rests on, or what is wrong: files, values and limits.
    detail: String,
}

#[pymethods]
impl CaseCheck {
    fn __repr__(&self) -> String {
        format!("CaseCheck('{}', '{}')", self.code, self.status)
    }
}

/// Checks a case's folder against the trust file of whoever checks it, link by link and without a network.
///
/// All but the numbers of the analysis: that check says NOT CHECKED here, because it needs the tokenizer; `taggant case verify` does all.
///
/// >>> checks = verify_case("case", "trust.json")
/// >>> [check.code for check in checks if check.status != "PASS"]
/// ['analysis.recomputed']
#[pyfunction]
pub(crate) fn verify_case(
    py: Python<'_>,
    folder: PathBuf,
    trust: PathBuf,
) -> Result<Vec<CaseCheck>> {
    let outcome = py.detach(|| {
        let trust = files::read(&trust, MAX_TRUST).and_then(|text| {
            Trust::from_json(&text).map_err(|error| error.context(trust.display()))
        })?;
        let folder = Folder::open(&folder)?;
        let left_out = |_: &bundle::Proven<'_>| {
            Err("the numbers are computed again by `taggant case verify`".to_owned())
        };
        Ok::<_, Error>(bundle::verify(&folder, &trust, left_out))
    })?;
    let checks = outcome.checks.into_iter().map(|check| CaseCheck {
        code: check.code,
        status: check.status.name(),
        detail: check.detail,
    });
    Ok(checks.collect())
}

/// What checking an issuance log showed: how many `lines`, `exchanges` and `marks` it has, the `head` (hash of its last line), and the `fault`, or None.
#[pyclass(frozen, get_all, module = "taggant")]
pub(crate) struct LogReport {
    /// Lines that hold.
    lines: u64,
    /// Exchanges among them.
    exchanges: u64,
    /// Marks that were in use.
    marks: u64,
    /// The hash of the last line that holds.
    head: String,
    /// The first line that does not, and why; None for a log that holds.
    fault: Option<String>,
}

#[pymethods]
impl LogReport {
    fn __repr__(&self) -> String {
        let state = if self.fault.is_none() {
            "intact"
        } else {
            "broken"
        };
        format!(
            "LogReport({state}, lines={}, exchanges={})",
            self.lines, self.exchanges
        )
    }
}

/// Checks an issuance log from its first line to its last, in constant memory. `anchored` are hashes of lines that were made known elsewhere; one that the log does not have is
/// a fault.
///
/// >>> with IssuanceLog("issuance.jsonl") as log:
/// ...     line, receipt = log.append({"id": "r1", "response": "[]", "unmarked": "JSON has no choice to mark"})
/// >>> verify_log("issuance.jsonl", [receipt])
/// LogReport(intact, lines=2, exchanges=1)
#[pyfunction]
#[pyo3(signature = (path, anchored = None))]
pub(crate) fn verify_log(
    py: Python<'_>,
    path: PathBuf,
    anchored: Option<Vec<String>>,
) -> Result<LogReport> {
    Ok(py.detach(|| {
        let mut verifier = Verifier::new();
        for hash in anchored.iter().flatten() {
            verifier = verifier.expecting(hash.parse::<Digest>()?);
        }
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Io, format!("{}: {error}", path.display())).with_source(error)
        };
        let file = File::open(&path).map_err(failed)?;
        let outcome = verifier
            .verify(BufReader::with_capacity(1 << 17, file), |_, _| ())
            .map_err(failed)?;
        Ok::<_, Error>(LogReport {
            lines: outcome.summary.lines,
            exchanges: outcome.story.exchanges(),
            marks: outcome.story.marks(),
            head: outcome.summary.head.to_string(),
            fault: outcome.fault.map(|fault| fault.to_string()),
        })
    })?)
}

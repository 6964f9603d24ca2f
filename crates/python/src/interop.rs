//! Other systems' marks: keys × formats over one corpus, corrected for all of them.

use std::num::NonZero;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Map, Value};
use taggant_core::ErrorKind;
use taggant_detector::Response;
use taggant_detector::stats::{PValue, holm};
use taggant_interop::{Candidate, Definition, Detector, FORMATS, Found, Mark, candidates};

use crate::errors::{Result, fault, type_name};
use crate::rows::each_some;

/// The formats that are read: id and what writes it.
///
/// >>> from taggant.interop import formats
/// >>> "vllm-gumbel" in formats()
/// True
#[pyfunction]
pub(crate) fn formats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let formats = PyDict::new(py);
    for definition in FORMATS {
        formats.set_item(definition.id, definition.about)?;
    }
    Ok(formats)
}

/// Holds rows of token ids against keys of other systems, as `taggant scan`: one Tried for each key in each format, in the order given.
///
/// A key is a dict. {"format": F, "config": {…}} is tried as it is. {"key": K} is tried in every format that can take it, K being a whole
/// number, hex digits as a text, or a list of whole numbers; what else it holds is a hint for formats that know it, and "name" is what it
/// is called here. `formats` are the ids of those to try, or None for all; `vocabulary` is the width of the model's logits, for formats
/// that need it. P-values are adjusted for all that is tried (Holm). `threads` is how many threads compute; rows are as for `detect`.
///
/// >>> from taggant.interop import scan
/// >>> [tried] = scan([{"name": "ours", "key": 42, "context_width": 4}], [range(500)], formats=["vllm-gumbel"]).tried
/// >>> tried.name, tried.format, tried.verdict, tried.units
/// ('ours', 'vllm-gumbel', 'NotDetected', 500)
#[pyfunction]
#[pyo3(signature = (keys, rows, *, formats = None, vocabulary = None, alpha = 1e-6, threads = 1))]
pub(crate) fn scan(
    py: Python<'_>,
    keys: &Bound<'_, PyAny>,
    rows: &Bound<'_, PyAny>,
    formats: Option<Vec<String>>,
    vocabulary: Option<u32>,
    alpha: f64,
    threads: usize,
) -> Result<Scan> {
    if !(alpha > 0.0 && alpha < 1.0) {
        return Err(fault(
            ErrorKind::Parameter,
            format!("alpha is {alpha}; it must lie between 0 and 1"),
        ));
    }
    let formats = named(formats.as_deref())?;
    let (mut tries, mut skipped) = (Vec::new(), Vec::new());
    for (place, key) in entries(keys)?.into_iter().enumerate() {
        let name = key.get("name").and_then(Value::as_str);
        let name = name.map_or_else(|| format!("key {place}"), str::to_owned);
        let found = candidates(&key, &formats, vocabulary)
            .map_err(|error| error.context(format_args!("key {place}")))?;
        for (format, error) in found.skipped {
            skipped.push((name.clone(), format, error.to_string()));
        }
        for candidate in found.ready {
            tries.push((name.clone(), candidate));
        }
    }
    let mut held: Vec<(Vec<u32>, Option<Vec<u32>>)> = Vec::new();
    each_some(rows, |rows| {
        held.extend(rows.iter().map(|row| row.parts()));
        Ok::<(), taggant_core::Error>(())
    })?;
    let found = py.detach(|| read_all(&tries, &held, alpha, threads));
    let tried = judged(tries, found, alpha);
    if let Some(error) = tried.first().and_then(|first| first.error.as_ref())
        && tried.iter().all(|tried| tried.error.is_some())
    {
        return Err(fault(
            ErrorKind::Parameter,
            format!("no key could be tried: {error}; check the tokenizer and `vocabulary`"),
        ));
    }
    let tried = tried.into_iter().map(|tried| Py::new(py, tried));
    Ok(Scan {
        tried: tried.collect::<PyResult<_>>()?,
        skipped,
    })
}

/// The formats of these ids, or all.
fn named(ids: Option<&[String]>) -> Result<Vec<&'static Definition>> {
    let Some(ids) = ids else {
        return Ok(FORMATS.to_vec());
    };
    ids.iter()
        .map(|id| {
            let known = FORMATS.iter().copied().find(|known| known.id == id);
            known.ok_or_else(|| {
                fault(
                    ErrorKind::Unsupported,
                    format!(
                        "format `{}` is unknown; `taggant.interop.formats()` names those that are read",
                        id.escape_debug()
                    ),
                )
            })
        })
        .collect()
}

/// The keys as JSON objects. Errors show nothing of them.
fn entries(keys: &Bound<'_, PyAny>) -> Result<Vec<Map<String, Value>>> {
    let json = keys.py().import("json")?;
    let mut entries = Vec::new();
    let not = |place: usize, key: &Bound<'_, PyAny>| {
        fault(
            ErrorKind::Parameter,
            format!(
                "key {place}: of type {}; a key is a dict of numbers, texts, and lists and dicts of them",
                type_name(key)
            ),
        )
    };
    if keys.is_instance_of::<PyDict>() {
        return Err(fault(
            ErrorKind::Parameter,
            "keys are one dict; give a list of dicts, one for each key",
        ));
    }
    for (place, key) in keys.try_iter()?.enumerate() {
        let key = key?;
        if !key.is_instance_of::<PyDict>() {
            return Err(not(place, &key));
        }
        let text = json.call_method1("dumps", (&key,));
        let text = text.map_err(|_| not(place, &key))?.extract::<String>()?;
        entries.push(serde_json::from_str(&text).map_err(|_| not(place, &key))?);
    }
    if entries.is_empty() {
        return Err(fault(ErrorKind::Parameter, "no keys; give at least one"));
    }
    Ok(entries)
}

/// What each try finds, or why it could not be read.
fn read_all(
    tries: &[(String, Candidate)],
    rows: &[(Vec<u32>, Option<Vec<u32>>)],
    alpha: f64,
    threads: usize,
) -> Vec<taggant_core::Result<Found>> {
    let threads = NonZero::new(threads).map_or(1, NonZero::get);
    let share = tries.len().div_ceil(threads).max(1);
    let read = |tries: &[(String, Candidate)]| -> Vec<_> {
        let tries = tries.iter();
        tries.map(|(_, tried)| read(tried, rows, alpha)).collect()
    };
    if threads == 1 {
        return read(tries);
    }
    let mut found: Vec<Vec<_>> = Vec::new();
    found.resize_with(tries.len().div_ceil(share), Vec::new);
    std::thread::scope(|scope| {
        for (tries, found) in tries.chunks(share).zip(&mut found) {
            scope.spawn(move || *found = read(tries));
        }
    });
    found.into_iter().flatten().collect()
}

/// All rows under one candidate. A token that its vocabulary does not have ends it: the wrong model's format.
fn read(
    candidate: &Candidate,
    rows: &[(Vec<u32>, Option<Vec<u32>>)],
    alpha: f64,
) -> taggant_core::Result<Found> {
    let config = Value::Object(candidate.config.clone()).to_string();
    let vocabulary = candidate.mark.vocabulary();
    let mark = Mark::with_vocabulary(candidate.format, &config, vocabulary)?;
    let mut detector = Detector::new(mark).with_alpha(alpha)?;
    for (tokens, prompt) in rows {
        let response = Response::ids(tokens);
        let _ = detector.row(&match prompt {
            Some(prompt) => response.with_prompt(prompt),
            None => response,
        })?;
    }
    Ok(detector.pooled())
}

fn judged(
    tries: Vec<(String, Candidate)>,
    found: Vec<taggant_core::Result<Found>>,
    alpha: f64,
) -> Vec<Tried> {
    let p_values: Vec<PValue> = found
        .iter()
        .map(|found| found.as_ref().map_or(PValue::ONE, |found| found.p_value))
        .collect();
    let tries = tries.into_iter().zip(found).zip(holm(&p_values));
    tries
        .map(|(((name, candidate), found), adjusted)| {
            let detected = found.is_ok() && adjusted.at_most(alpha);
            let verdict = match &found {
                Err(_) => "Unreadable",
                Ok(_) if detected => "Detected",
                Ok(found) if found.verdict.reason().is_some() => "Inconclusive",
                Ok(_) => "NotDetected",
            };
            let warning = candidate.mark.definition().warning;
            let (found, error) = match found {
                Ok(found) => (Some(found), None),
                Err(error) => (None, Some(error.to_string())),
            };
            Tried {
                name,
                format: candidate.format,
                adjusted: adjusted.log10(),
                verdict,
                warning: warning.filter(|_| detected),
                found,
                error,
            }
        })
        .collect()
}

/// What a scan finds.
#[pyclass(frozen, module = "taggant.interop")]
pub(crate) struct Scan {
    tried: Vec<Py<Tried>>,
    skipped: Vec<(String, &'static str, String)>,
}

#[pymethods]
impl Scan {
    /// A Tried for each key in each format, in the order of the keys.
    #[getter]
    fn tried(&self, py: Python<'_>) -> Vec<Py<Tried>> {
        self.tried.iter().map(|tried| tried.clone_ref(py)).collect()
    }

    /// Those that are detected, the smallest p-value first.
    #[getter]
    fn detected(&self, py: Python<'_>) -> Vec<Py<Tried>> {
        let tried = self.tried.iter();
        let mut detected: Vec<_> = tried
            .filter(|tried| tried.get().verdict == "Detected")
            .collect();
        detected.sort_by(|a, b| a.get().log10_p().total_cmp(&b.get().log10_p()));
        detected
            .into_iter()
            .map(|tried| tried.clone_ref(py))
            .collect()
    }

    /// Formats that would take a key and lack something: name of the key, format, and what is missing.
    #[getter]
    fn skipped(&self) -> Vec<(String, &'static str, String)> {
        self.skipped.clone()
    }

    /// An object is true whatever it says: whoever asks must say what.
    fn __bool__(&self) -> PyResult<bool> {
        Err(pyo3::exceptions::PyTypeError::new_err(
            "a scan is not a yes or a no; ask whether it has `detected` any",
        ))
    }

    fn __repr__(&self) -> String {
        let detected = self
            .tried
            .iter()
            .filter(|tried| tried.get().verdict == "Detected");
        format!(
            "Scan({} of {} detected, {} skipped)",
            detected.count(),
            self.tried.len(),
            self.skipped.len()
        )
    }
}

/// What a key in a format shows. The key itself is not shown.
#[pyclass(frozen, module = "taggant.interop")]
pub(crate) struct Tried {
    name: String,
    format: &'static str,
    adjusted: f64,
    verdict: &'static str,
    warning: Option<&'static str>,
    found: Option<Found>,
    error: Option<String>,
}

#[pymethods]
impl Tried {
    /// What the key is called.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// The format's id.
    #[getter]
    fn format(&self) -> &'static str {
        self.format
    }

    /// "Detected" when the adjusted p-value is at most alpha, "NotDetected", "Inconclusive" (too little text), or "Unreadable".
    #[getter]
    fn verdict(&self) -> &'static str {
        self.verdict
    }

    /// Why the rows could not be read so, such as a token id beyond the vocabulary; None if they could.
    #[getter]
    fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// What a detection under this format does not exclude, because of how its keys are used; None where nothing of the kind is known.
    #[getter]
    fn warning(&self) -> Option<&'static str> {
        self.warning
    }

    /// The decimal logarithm of the p-value, a bound where not `exact`.
    #[getter]
    fn log10_p(&self) -> f64 {
        self.found
            .as_ref()
            .map_or(0.0, |found| found.p_value.log10())
    }

    /// The same, adjusted for all that was tried (Holm).
    #[getter]
    fn log10_p_holm(&self) -> f64 {
        self.adjusted
    }

    /// Whether the p-value is the tail itself.
    #[getter]
    fn exact(&self) -> bool {
        self.found.as_ref().is_some_and(|found| found.exact)
    }

    /// Distinct units that were scored.
    #[getter]
    fn units(&self) -> u64 {
        self.found.as_ref().map_or(0, |found| found.units)
    }

    /// Sum of the units' scores; larger means more mark.
    #[getter]
    fn score(&self) -> f64 {
        self.found.as_ref().map_or(0.0, |found| found.score)
    }

    /// What the score would be on average if the text said nothing about the key.
    #[getter]
    fn expected(&self) -> f64 {
        self.found.as_ref().map_or(0.0, |found| found.expected)
    }

    fn __repr__(&self) -> String {
        format!(
            "Tried('{}', '{}', verdict='{}', log10_p={:.4}, log10_p_holm={:.4}, units={})",
            self.name.escape_debug(),
            self.format,
            self.verdict,
            self.log10_p(),
            self.adjusted,
            self.units()
        )
    }
}

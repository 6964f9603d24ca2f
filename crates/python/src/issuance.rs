//! The issuance log: what was served, written as it is served.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyTuple};
use taggant_core::ErrorKind;
use taggant_evidence::issuance::{self, Content, Exchange};
use taggant_evidence::{Digest, Time};

use crate::errors::{Fault, Result, fault, type_name};
use crate::keys::Key;
use crate::record::Record;
use crate::tokens::token_ids;

/// The hash-chained log of what was served, as `taggant log` keeps and checks it. One process writes a log at a time.
///
/// `records` are the marks in use. Account ids never enter it: with `pseudonyms`, a key of the role pseudonym, each becomes a keyed
/// pseudonym. With `digests_only` texts and tokens stay out too, and salted digests of them stand in their place.
///
/// >>> import tempfile, os
/// >>> root = RootKey.from_bytes(bytes(32))
/// >>> key = root.derive("2026-12/campaign/east")
/// >>> record = Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=50_000)
/// >>> path = os.path.join(tempfile.mkdtemp(), "issuance.jsonl")
/// >>> log = IssuanceLog(path, [record], pseudonyms=root.derive("2026-12/pseudonym/all"))
/// >>> line, receipt = log.append({"id": "r1", "account": "ada", "prompt": "Hello", "tokens": [5, 6, 7], "record": record})
/// >>> line, receipt == log.head
/// (2, True)
/// >>> log.append({"id": "r2", "prompt": "{}", "response": "[]", "unmarked": "JSON has no choice to mark"})[0]
/// 3
#[pyclass(frozen, module = "taggant")]
pub(crate) struct IssuanceLog {
    /// None once it is closed.
    log: Mutex<Option<issuance::IssuanceLog>>,
    path: PathBuf,
    pseudonyms: Option<taggant_core::LeafKey>,
    digests_only: bool,
}

#[pymethods]
impl IssuanceLog {
    #[new]
    #[pyo3(signature = (path, records = None, *, pseudonyms = None, digests_only = false))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        records: Option<Vec<PyRef<'_, Record>>>,
        pseudonyms: Option<PyRef<'_, Key>>,
        digests_only: bool,
    ) -> Result<Self> {
        let records = records.unwrap_or_default();
        let records: Vec<_> = records.iter().map(|record| record.record.clone()).collect();
        let pseudonyms = pseudonyms.map(|key| key.leaf.clone());
        if let Some(key) = &pseudonyms {
            // A key of another role is told before anything is written.
            key.pseudonym("-")?;
        } else if digests_only {
            return Err(fault(
                ErrorKind::Parameter,
                "digests_only needs pseudonyms: their key is what salts are drawn from",
            ));
        }
        let log = py.detach(|| {
            let (mut log, _) = issuance::IssuanceLog::open(&path, &records, now()?)?;
            let time = no_earlier(now()?, &log)?;
            log.add_marks(&records, time)?;
            Ok::<_, Fault>(log)
        })?;
        Ok(Self {
            log: Mutex::new(Some(log)),
            path,
            pseudonyms,
            digests_only,
        })
    }

    /// Appends one row, or a list of rows which are brought to the disk together; they are there when this returns, and none is when it raises.
    ///
    /// A row is a dict: `id`; `prompt` or `prompt_tokens`; `response` or `tokens`, or both; `record`, the Record that it was marked under, or
    /// `unmarked`, why it was not; and `account` and `twins` (the commitment to its sealed answers, in hex) if there are any. Gives the number and hash of
    /// each line, or of the one.
    fn append<'py>(&self, py: Python<'py>, rows: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>> {
        let one = rows.cast::<PyMapping>().is_ok();
        let exchanges = if one {
            vec![self.exchange(rows)?]
        } else {
            rows.try_iter()?
                .map(|row| self.exchange(&row?))
                .collect::<Result<Vec<_>>>()?
        };
        let receipts = py.detach(|| {
            let mut log = self.lock();
            let log = log.as_mut().ok_or_else(|| self.closed())?;
            let time = no_earlier(now()?, log)?;
            Ok::<_, Fault>(log.append_all(&exchanges, time)?)
        })?;
        let lines: Vec<(u64, String)> = receipts
            .into_iter()
            .map(|receipt| (receipt.line, receipt.hash.to_string()))
            .collect();
        Ok(match one {
            true => lines.into_iter().next().into_pyobject(py)?.into_any(),
            false => lines.into_pyobject(py)?.into_any(),
        })
    }

    /// The hash of the last line. Publish it, or have it time-stamped, now and then: a log proves nothing to whoever has no hash of it.
    #[getter]
    fn head(&self) -> Result<String> {
        self.read(|log| log.summary().head.to_string())
    }

    /// How many lines there are.
    #[getter]
    fn lines(&self) -> Result<u64> {
        self.read(|log| log.summary().lines)
    }

    /// Lets another process write it. What was appended is on the disk already.
    fn close(&self) {
        *self.lock() = None;
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyTuple>) {
        self.close();
    }

    fn __repr__(&self) -> String {
        match self.lines() {
            Ok(lines) => format!("IssuanceLog('{}', lines={lines})", self.path.display()),
            Err(_) => format!("IssuanceLog('{}', closed)", self.path.display()),
        }
    }
}

impl IssuanceLog {
    fn lock(&self) -> MutexGuard<'_, Option<issuance::IssuanceLog>> {
        // A call that panicked while it held the log has written whole lines or none: the log itself says so when it goes on.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, read: impl FnOnce(&issuance::IssuanceLog) -> T) -> Result<T> {
        match &*self.lock() {
            Some(log) => Ok(read(log)),
            None => Err(self.closed()),
        }
    }

    fn closed(&self) -> Fault {
        wrong(format!(
            "{}: the log is closed; open it again to go on",
            self.path.display()
        ))
    }

    fn exchange(&self, row: &Bound<'_, PyAny>) -> Result<Exchange> {
        const KNOWN: [&str; 9] = [
            "id",
            "account",
            "prompt",
            "prompt_tokens",
            "response",
            "tokens",
            "record",
            "unmarked",
            "twins",
        ];
        let Ok(row) = row.cast::<PyMapping>() else {
            return Err(wrong(format!(
                "a row of type {}; give a dict",
                type_name(row)
            )));
        };
        for name in row.keys()?.iter() {
            let name: String = name.extract()?;
            if !KNOWN.contains(&name.as_str()) {
                return Err(wrong(format!(
                    "a row with the field `{}`; known are {}",
                    name.escape_debug(),
                    KNOWN.join(", ")
                )));
            }
        }
        let get = |name: &str| -> Result<Option<Bound<'_, PyAny>>> {
            Ok(match row.contains(name)? {
                true => Some(row.get_item(name)?).filter(|value| !value.is_none()),
                false => None,
            })
        };
        let text = |name: &str| -> Result<Option<String>> {
            let value = get(name)?;
            value
                .map(|value| {
                    value.extract().map_err(|_| {
                        wrong(format!(
                            "a row whose `{name}` is of type {}; it must be text",
                            type_name(&value)
                        ))
                    })
                })
                .transpose()
        };
        let ids = |name: &str| get(name)?.map(|value| token_ids(name, &value)).transpose();
        let id = text("id")?.ok_or_else(|| wrong("a row without `id`".to_owned()))?;
        let prompt = Content::new(text("prompt")?, ids("prompt_tokens")?);
        let (response, tokens) = (text("response")?, ids("tokens")?);
        if response.is_none() && tokens.is_none() {
            return Err(wrong(format!(
                "row `{}` has neither `tokens` nor `response`",
                id.escape_debug()
            )));
        }
        let response = Content::new(response, tokens);
        let mut exchange = match (get("record")?, text("unmarked")?) {
            (Some(record), None) => {
                let record = record.cast::<Record>().map_err(|_| {
                    wrong(format!(
                        "a row whose `record` is of type {}; give a Record",
                        type_name(&record)
                    ))
                })?;
                Exchange::marked(id, prompt, response, &record.get().record)
            }
            (None, Some(reason)) => Exchange::unmarked(id, prompt, response, reason),
            _ => {
                return Err(wrong(format!(
                    "row `{}` needs either `record`, what it was marked under, or `unmarked`, why it was not",
                    id.escape_debug()
                )));
            }
        };
        if let Some(account) = text("account")? {
            let Some(key) = &self.pseudonyms else {
                return Err(wrong(
                    "a row that names an account, in a log without pseudonyms: account ids are never logged as they are; give pseudonyms".to_owned(),
                ));
            };
            exchange = exchange.with_account(key.pseudonym(&account)?);
        }
        if let Some(twins) = text("twins")? {
            exchange = exchange.with_twins(twins.parse::<Digest>()?);
        }
        match &self.pseudonyms {
            Some(key) if self.digests_only => Ok(exchange.sealed(key)?),
            _ => Ok(exchange),
        }
    }
}

fn wrong(message: String) -> Fault {
    fault(ErrorKind::Parameter, message)
}

fn now() -> Result<Time> {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|passed| u64::try_from(passed.as_millis()).ok())
        .ok_or_else(|| {
            fault(
                ErrorKind::Io,
                "the system's clock stands before 1970; set it",
            )
        })?;
    Ok(Time::from_unix_millis(millis)?)
}

/// How far the clock may have been set back, as clocks are in operation, before a person has to look: a minute.
const STEP: u64 = 60_000;

/// A time for the next line: times in a log never go backwards.
fn no_earlier(time: Time, log: &issuance::IssuanceLog) -> Result<Time> {
    match log.summary().times {
        Some((_, last)) if last > time => {
            if last.unix_millis() - time.unix_millis() > STEP {
                return Err(fault(
                    ErrorKind::Parameter,
                    format!(
                        "the system's clock says {time}, the log's last line {last}; set the clock, or go on in a new log"
                    ),
                ));
            }
            Ok(last)
        }
        _ => Ok(time),
    }
}

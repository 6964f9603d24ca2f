//! Rows of a corpus: token ids, what a line of the command's JSONL holds, or a column of an Arrow table.

use std::borrow::Cow;

use numpy::{Element, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use taggant_core::{Error, ErrorKind};
use taggant_detector::{Response, Source};

use crate::errors::{Fault, Result, fault, type_name};
use crate::tokens::{gives_arrow, token_ids};

/// A row taken out of Python's hands.
pub(crate) struct Row<'a> {
    number: usize,
    pub(crate) tokens: Cow<'a, [u32]>,
    prompt: Option<Cow<'a, [u32]>>,
}

/// Token ids that are taken over before they are scored: enough that giving up the lock costs nothing, few enough to hold.
const TOGETHER: usize = 1 << 16;

impl Row<'_> {
    /// Row `number`: ids, or a dict with `tokens` and perhaps `prompt_tokens`.
    pub(crate) fn new(number: usize, value: &Bound<'_, PyAny>) -> Result<Self> {
        let what = format!("row {number}");
        let Ok(columns) = value.cast::<PyDict>() else {
            return Ok(Self {
                number,
                tokens: Cow::Owned(token_ids(&what, value)?),
                prompt: None,
            });
        };
        let column = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
            Ok(columns.get_item(name)?.filter(|value| !value.is_none()))
        };
        let Some(tokens) = column("tokens")? else {
            return Err(fault(
                ErrorKind::Format,
                format!("{what}: no `tokens`; encode its text with the tokenizer that was marked"),
            ));
        };
        let prompt = column("prompt_tokens")?
            .map(|prompt| token_ids(&format!("{what}, prompt_tokens"), &prompt))
            .transpose()?
            .map(Cow::Owned);
        Ok(Self {
            number,
            tokens: Cow::Owned(token_ids(&what, &tokens)?),
            prompt,
        })
    }

    /// The row as detectors take it.
    pub(crate) fn response(&self, tokenizer: Option<[u8; 32]>) -> Response<'_> {
        let response = Response::ids(&self.tokens).with_source(Source::Ids { tokenizer });
        match &self.prompt {
            Some(prompt) => response.with_prompt(prompt),
            None => response,
        }
    }

    /// The row's ids and its prompt's, to keep.
    pub(crate) fn parts(&self) -> (Vec<u32>, Option<Vec<u32>>) {
        (
            self.tokens.to_vec(),
            self.prompt.as_deref().map(<[u32]>::to_vec),
        )
    }

    /// An error of this row.
    pub(crate) fn fault(&self, error: Error) -> Error {
        error.context(format_args!("row {}", self.number))
    }

    fn len(&self) -> usize {
        self.tokens.len() + self.prompt.as_ref().map_or(0, |prompt| prompt.len())
    }
}

/// Hands all of `rows` to `score`, some at a time and without the interpreter's lock.
pub(crate) fn each_some<E: Into<Fault> + Send>(
    rows: &Bound<'_, PyAny>,
    mut score: impl FnMut(&[Row<'_>]) -> std::result::Result<(), E> + Send,
) -> Result<()> {
    let py = rows.py();
    if let Some(chunks) = arrow_chunks(rows)? {
        return each_of_arrow(&chunks, score);
    }
    let list = rows.try_iter().map_err(|_| {
        fault(
            ErrorKind::Format,
            format!(
                "rows are of type {}; give a list of rows of token ids",
                type_name(rows)
            ),
        )
    })?;
    let (mut some, mut held) = (Vec::new(), 0);
    for (number, row) in list.enumerate() {
        let row = row?;
        if number == 0 && row.extract::<i64>().is_ok() {
            return Err(fault(
                ErrorKind::Format,
                "rows are token ids, not rows of them; give [tokens] for a single row",
            ));
        }
        let row = Row::new(number, &row)?;
        held += row.len();
        some.push(row);
        if held >= TOGETHER {
            py.detach(|| score(&some)).map_err(Into::into)?;
            some.clear();
            held = 0;
        }
    }
    py.detach(|| score(&some)).map_err(Into::into)
}

/// The chunks of an object that gives its rows away by the Arrow PyCapsule interface.
fn arrow_chunks<'py>(rows: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyAny>>> {
    if !gives_arrow(rows)? {
        return Ok(None);
    }
    let reader = rows.py().import("taggant._arrow")?;
    let chunks = reader.call_method1("chunks", (rows,))?;
    Ok(Some(chunks).filter(|chunks| !chunks.is_none()))
}

/// [`each_some`] of Arrow's chunks, whose ids stay where they are.
fn each_of_arrow<E: Into<Fault> + Send>(
    chunks: &Bound<'_, PyAny>,
    mut score: impl FnMut(&[Row<'_>]) -> std::result::Result<(), E> + Send,
) -> Result<()> {
    let (py, mut number) = (chunks.py(), 0);
    for chunk in chunks.try_iter()? {
        let (tokens, prompts): (Bound<'_, PyAny>, Option<Bound<'_, PyAny>>) = chunk?.extract()?;
        let tokens = Lists::new(&tokens)?;
        let prompts = prompts.map(|prompts| Lists::new(&prompts)).transpose()?;
        let (mut some, mut held) = (Vec::new(), 0);
        for place in 0..tokens.starts.len()? {
            let row = Row {
                number,
                tokens: Cow::Borrowed(tokens.row(place)?.unwrap_or_default()),
                prompt: match &prompts {
                    Some(prompts) => prompts.row(place)?.map(Cow::Borrowed),
                    None => None,
                },
            };
            number += 1;
            held += row.len();
            some.push(row);
            if held >= TOGETHER {
                py.detach(|| score(&some)).map_err(Into::into)?;
                some.clear();
                held = 0;
            }
        }
        py.detach(|| score(&some)).map_err(Into::into)?;
    }
    Ok(())
}

/// A column of one chunk, as `taggant._arrow.Lists`.
struct Lists<'py> {
    values: PyReadonlyArray1<'py, u32>,
    starts: PyReadonlyArray1<'py, i64>,
    ends: PyReadonlyArray1<'py, i64>,
    valid: PyReadonlyArray1<'py, bool>,
}

impl<'py> Lists<'py> {
    fn new(value: &Bound<'py, PyAny>) -> PyResult<Self> {
        fn column<'py, T: Element>(
            value: &Bound<'py, PyAny>,
            name: &str,
        ) -> PyResult<PyReadonlyArray1<'py, T>> {
            let array = value.getattr(name)?.cast_into::<PyArray1<T>>()?;
            array.try_readonly().map_err(PyErr::from)
        }
        Ok(Self {
            values: column(value, "values")?,
            starts: column(value, "starts")?,
            ends: column(value, "ends")?,
            valid: column(value, "valid")?,
        })
    }

    /// The ids of a row, where there is one.
    fn row(&self, place: usize) -> PyResult<Option<&[u32]>> {
        let at = |bounds: &[i64]| bounds.get(place).and_then(|&at| usize::try_from(at).ok());
        if self.valid.as_slice()?.get(place) != Some(&true) {
            return Ok(None);
        }
        let bounds = at(self.starts.as_slice()?).zip(at(self.ends.as_slice()?));
        let values = self.values.as_slice()?;
        Ok(bounds.and_then(|(start, end)| values.get(start..end)))
    }
}

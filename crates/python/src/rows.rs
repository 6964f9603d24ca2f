//! Rows of a corpus: token ids, or what a line of the command's JSONL holds.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use taggant_core::{Error, ErrorKind};
use taggant_detector::{Response, Source};

use crate::errors::{Fault, Result, fault, type_name};
use crate::tokens::token_ids;

/// A row taken out of Python's hands.
pub(crate) struct Row {
    number: usize,
    pub(crate) tokens: Vec<u32>,
    prompt: Option<Vec<u32>>,
}

/// Token ids that are taken over before they are scored: enough that giving up the lock costs nothing, few enough to hold.
const TOGETHER: usize = 1 << 16;

impl Row {
    /// Row `number`: ids, or a dict with `tokens` and perhaps `prompt_tokens`.
    pub(crate) fn new(number: usize, value: &Bound<'_, PyAny>) -> Result<Self> {
        let what = format!("row {number}");
        let Ok(columns) = value.cast::<PyDict>() else {
            return Ok(Self {
                number,
                tokens: token_ids(&what, value)?,
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
            .transpose()?;
        Ok(Self {
            number,
            tokens: token_ids(&what, &tokens)?,
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

    /// An error of this row.
    pub(crate) fn fault(&self, error: Error) -> Error {
        error.context(format_args!("row {}", self.number))
    }

    fn len(&self) -> usize {
        self.tokens.len() + self.prompt.as_ref().map_or(0, Vec::len)
    }
}

/// Hands all of `rows` to `score`, some at a time and without the interpreter's lock.
pub(crate) fn each_some<E: Into<Fault> + Send>(
    rows: &Bound<'_, PyAny>,
    mut score: impl FnMut(&[Row]) -> std::result::Result<(), E> + Send,
) -> Result<()> {
    let py = rows.py();
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

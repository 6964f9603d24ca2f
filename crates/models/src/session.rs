//! The checks every engine makes before it touches a session.

use taggant_core::{Error, ErrorKind, Result};

use crate::Model;

/// Checks one call of [`Session::advance`](crate::Session::advance): `lengths` are the tokens
/// each row holds already.
pub(crate) fn check_advance(model: &dyn Model, lengths: &[usize], tokens: &[&[u32]]) -> Result<()> {
    check_rows(lengths.len(), tokens.len())?;
    for (row, (length, tokens)) in lengths.iter().zip(tokens).enumerate() {
        check_tokens(model, tokens)
            .and_then(|()| check_length(model, length + tokens.len()))
            .map_err(|e| e.context(format_args!("row {row}")))?;
    }
    Ok(())
}

/// Checks that a prompt can be followed by `more` tokens.
pub(crate) fn check_prompt(model: &dyn Model, prompt: &[u32], more: usize) -> Result<()> {
    if prompt.is_empty() {
        return Err(Error::new(
            ErrorKind::Parameter,
            "the prompt is empty; at least 1 token is needed",
        ));
    }
    check_tokens(model, prompt)?;
    let length = prompt.len().saturating_add(more);
    check_length(model, length).map_err(|e| {
        e.context(format_args!(
            "a prompt of {} tokens and {more} more",
            prompt.len()
        ))
    })
}

/// Checks that every token is an id of the vocabulary.
pub(crate) fn check_tokens(model: &dyn Model, tokens: &[u32]) -> Result<()> {
    match tokens.iter().find(|&&token| !in_vocabulary(model, token)) {
        None => Ok(()),
        Some(token) => Err(Error::new(
            ErrorKind::Token,
            format!(
                "token {token} is not below the vocabulary of {}",
                model.vocabulary()
            ),
        )),
    }
}

fn check_length(model: &dyn Model, length: usize) -> Result<()> {
    if length <= model.context() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Limit,
        format!(
            "{length} tokens do not fit the context of {}",
            model.context()
        ),
    ))
}

/// Checks that there is one item for each row.
pub(crate) fn check_rows(rows: usize, given: usize) -> Result<()> {
    if rows == given {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Parameter,
        format!("{given} items given for {rows} rows"),
    ))
}

/// Whether `token` is an id of the model's vocabulary.
pub(crate) fn in_vocabulary(model: &dyn Model, token: u32) -> bool {
    usize::try_from(token).is_ok_and(|token| token < model.vocabulary())
}

/// Tokens with which both begin.
pub(crate) fn in_common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Checks that row `row` of rows of these lengths begins with `length` tokens.
pub(crate) fn check_fork(lengths: &[usize], row: usize, length: usize) -> Result<()> {
    let fault = match lengths.get(row) {
        Some(tokens) if *tokens >= length => return Ok(()),
        Some(tokens) => format!("the first {length} tokens of a row of {tokens}"),
        None => format!("row {row} of {} rows", lengths.len()),
    };
    Err(Error::new(ErrorKind::Parameter, fault))
}

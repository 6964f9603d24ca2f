//! What every [`Model`] must keep, as a function that tries it.

use taggant_core::{Error, ErrorKind, Result};

use crate::{Answers, Model};

/// Tries the contract of [`Model`] and [`Session`](crate::Session) on `model`: one call in the
/// tests of every engine.
///
/// Rows of different lengths are run alone and together, whole and token by token, with rows that
/// join late and leave early, and their logits compared bit for bit; then come the calls that
/// must fail. The model needs a context of at least 16 tokens.
///
/// ```
/// use taggant_models::{Toy, conformance};
///
/// conformance::check(&Toy::new(50, 16))?;
/// # Ok::<(), taggant_core::Error>(())
/// ```
///
/// # Errors
/// [`Mismatch`](ErrorKind::Mismatch) naming the first promise that is broken, or an error of the
/// model's own where it should have answered.
pub fn check(model: &dyn Model) -> Result<()> {
    let rows = rows(model);
    let alone = rows
        .iter()
        .map(|row| all(model, row))
        .collect::<Result<Vec<_>>>()?;

    token_by_token(model, &rows, &alone)?;
    together(model, &rows, &alone)?;
    coming_and_going(model, &rows, &alone)?;
    forking(model, &rows, &alone)?;
    refusals(model, &alone)
}

/// Rows of 1 to 13 tokens: one more than the number of rows, and unequal.
fn rows(model: &dyn Model) -> Vec<Vec<u32>> {
    let vocabulary = u32::try_from(model.vocabulary()).unwrap_or(u32::MAX);
    (1..=12_u32)
        .map(|row| {
            let length = 1 + row * 5 % 13;
            (0..length)
                .map(|i| (row * 31 + i * i * 7) % vocabulary)
                .collect()
        })
        .collect()
}

/// The logits of every token of a row on its own.
fn all(model: &dyn Model, row: &[u32]) -> Result<Vec<f32>> {
    let mut session = model.session();
    session.open();
    let logits = session.advance(&[row], Answers::All)?;
    expect(
        logits.len() == row.len() * model.vocabulary(),
        "answers for every token",
    )?;
    Ok(logits.to_vec())
}

fn token_by_token(model: &dyn Model, rows: &[Vec<u32>], alone: &[Vec<f32>]) -> Result<()> {
    for (row, alone) in rows.iter().zip(alone) {
        let mut session = model.session();
        session.open();
        for (token, want) in row.iter().zip(alone.chunks_exact(model.vocabulary())) {
            let logits = session.advance(&[&[*token]], Answers::Last)?;
            expect(same(logits, want), "the same logits token by token")?;
        }
    }
    Ok(())
}

fn together(model: &dyn Model, rows: &[Vec<u32>], alone: &[Vec<f32>]) -> Result<()> {
    let mut session = model.session();
    rows.iter().for_each(|_| session.open());
    expect(session.rows() == rows.len(), "a row for every `open`")?;
    let tokens: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
    let logits = session.advance(&tokens, Answers::All)?;
    expect(same(logits, &alone.concat()), "the same logits in a batch")
}

/// Rows of even index start first; then they shrink to those whose index 4 divides, and the odd
/// ones join them.
fn coming_and_going(model: &dyn Model, rows: &[Vec<u32>], alone: &[Vec<f32>]) -> Result<()> {
    let last = |row: usize| &alone[row][alone[row].len() - model.vocabulary()..];
    let even: Vec<usize> = (0..rows.len()).step_by(2).collect();
    let mut session = model.session();
    even.iter().for_each(|_| session.open());
    let firsts: Vec<&[u32]> = even
        .iter()
        .map(|&row| &rows[row][..rows[row].len() / 2])
        .collect();
    session.advance(&firsts, Answers::Last)?;
    let keep: Vec<bool> = even.iter().map(|row| row % 4 == 0).collect();
    session.retain(&keep)?;

    let kept = even.into_iter().filter(|row| row % 4 == 0);
    let odd = (0..rows.len()).skip(1).step_by(2);
    odd.clone().for_each(|_| session.open());
    let now: Vec<usize> = kept.chain(odd).collect();
    let rest: Vec<&[u32]> = now
        .iter()
        .map(|&row| match row % 2 {
            0 => &rows[row][rows[row].len() / 2..],
            _ => &rows[row][..],
        })
        .collect();
    let logits = session.advance(&rest, Answers::Last)?;
    let want: Vec<f32> = now.iter().flat_map(|&row| last(row)).copied().collect();
    expect(same(logits, &want), "the same logits when rows come and go")?;
    expect(
        session.retain(&[true]).is_err(),
        "a refusal of flags for other rows",
    )
}

/// Every row is begun, forked and ended twice, and a third time from its beginning alone.
fn forking(model: &dyn Model, rows: &[Vec<u32>], alone: &[Vec<f32>]) -> Result<()> {
    for (row, alone) in rows.iter().zip(alone) {
        let (begin, end) = row.split_at(row.len() / 2);
        let mut session = model.session();
        session.open();
        session.advance(&[begin], Answers::Last)?;
        session.fork(0, begin.len())?;
        let rest = &alone[begin.len() * model.vocabulary()..];
        let logits = session.advance(&[end, end], Answers::All)?;
        expect(
            same(logits, &[rest, rest].concat()),
            "the same logits in a fork",
        )?;
        expect(
            session.fork(2, 0).is_err() && session.fork(0, row.len() + 1).is_err(),
            "a refusal to fork what is not there",
        )?;
        session.fork(1, begin.len())?;
        let logits = session.advance(&[&[], &[], end], Answers::All)?;
        expect(
            same(logits, rest),
            "the same logits in a fork from the beginning of a row",
        )?;
    }
    Ok(())
}

/// Calls that must fail and change nothing.
fn refusals(model: &dyn Model, alone: &[Vec<f32>]) -> Result<()> {
    let mut session = model.session();
    session.open();
    let beyond = u32::try_from(model.vocabulary()).unwrap_or(u32::MAX);
    let long = vec![0; model.context() + 1];
    for (tokens, kind, what) in [
        (
            &[&[0][..], &[0]][..],
            ErrorKind::Parameter,
            "a refusal of more slices than rows",
        ),
        (
            &[&[0, beyond]],
            ErrorKind::Token,
            "a refusal of ids beyond the vocabulary",
        ),
        (
            &[&long],
            ErrorKind::Limit,
            "a refusal of rows beyond the context",
        ),
    ] {
        let refused = session.advance(tokens, Answers::Last);
        expect(refused.is_err_and(|e| e.kind() == kind), what)?;
    }
    expect(
        session.advance(&[&[]], Answers::All)?.is_empty(),
        "no answer without a token",
    )?;
    let first = rows(model);
    let logits = session.advance(&[&first[0]], Answers::All)?;
    expect(same(logits, &alone[0]), "the same logits after refusals")
}

fn same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn expect(kept: bool, promise: &str) -> Result<()> {
    if kept {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Mismatch,
        format!("the model breaks its contract; expected: {promise}"),
    ))
}

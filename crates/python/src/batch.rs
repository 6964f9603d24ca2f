//! Many responses at once: a row of logits and a stream, with its own keys, for each.

use std::sync::Arc;

use numpy::{Ix2, PyArray1, PyArray2, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use taggant_core::ErrorKind;
use taggant_watermark::Sampling;

use crate::arrays;
use crate::desks::Desks;
use crate::errors::{Result, fault};
use crate::sampler::Coin;
use crate::stream::Stream;
use crate::tokens::{self, token_rows};

/// Chooses the next token of every stream from its row of logits, appends it, and gives the tokens as an array.
///
/// `logits` has shape (rows, vocabulary). Streams may be of different samplers, so that each account has its own keys; the same stream
/// must not stand in two rows. `contexts`, if given, are the responses so far: each stream first follows its own. `coins` are 64 random
/// bits for each row, such as `numpy.random.default_rng(1).integers(2**64, size=rows, dtype=numpy.uint64)`.
///
/// An engine that has truncated by itself gives `ids`, the tokens that it has left in each row, in any order but each once; `logits` are
/// then theirs, of the same shape, and what this takes no longer depends on the vocabulary. -inf stands for a token that is not possible.
///
/// >>> import numpy
/// >>> root = RootKey.from_bytes(bytes(32))
/// >>> keys = [root.derive(f"2026-12/account/{name}") for name in ("a", "b")]
/// >>> records = [Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=4) for key in keys]
/// >>> streams = [Sampler(record, key).stream([3, 1]) for record, key in zip(records, keys)]
/// >>> select_batch(streams, numpy.zeros((2, 4), dtype=numpy.float32)).tolist()
/// [2, 1]
/// >>> select_batch(streams, numpy.zeros((2, 1), dtype=numpy.float32), ids=[[3], [0]]).tolist()
/// [3, 0]
#[pyfunction]
#[pyo3(signature = (streams, logits, contexts = None, *, ids = None, temperature = 1.0, top_k = 0, top_p = 1.0, min_p = 0.0, coins = None))]
#[expect(
    clippy::too_many_arguments,
    reason = "named arguments are what Python has for a table of options"
)]
pub(crate) fn select_batch<'py>(
    py: Python<'py>,
    streams: Vec<Bound<'py, Stream>>,
    logits: &Bound<'py, PyAny>,
    contexts: Option<&Bound<'py, PyAny>>,
    ids: Option<&Bound<'py, PyAny>>,
    temperature: f32,
    top_k: usize,
    top_p: f32,
    min_p: f32,
    coins: Option<&Bound<'py, PyAny>>,
) -> Result<Bound<'py, PyArray1<u32>>> {
    let sampling = Sampling {
        temperature,
        top_k,
        top_p,
        min_p,
    };
    let logits = arrays::read::<Ix2>(logits)?;
    arrays::check_rows(logits.shape(), streams.len())?;
    let logits = arrays::rows(&logits)?;
    let lists = Lists::read(ids, logits.len())?;
    let mut coins = read_coins(coins, streams.len())?;
    let mut held = hold(&streams)?;
    let mut streams = own(&mut held);
    follow(&mut streams, contexts)?;
    let tokens = py.detach(|| {
        at_desk(&streams).with(sampling, |sampler| {
            let rows = streams.iter_mut().zip(&mut coins).zip(logits).enumerate();
            rows.map(|(row, ((stream, coin), logits))| {
                let stream = &mut stream.stream;
                match lists.row(row) {
                    None => sampler.select(stream, logits, coin),
                    Some(ids) => sampler.select_listed(stream, ids, logits, coin),
                }
                .map_err(|error| error.context(format_args!("row {row}")))
            })
            .collect::<taggant_core::Result<Vec<u32>>>()
        })
    })?;
    Ok(PyArray1::from_vec(py, tokens))
}

/// Logits of many streams for an engine to sample from, as `Sampler.bias` gives them. Arguments as for `select_batch`; with `ids`, tokens
/// that are not listed must stay impossible.
///
/// Gives a new array, or fills `out`, which may be `logits` itself; after an error rows before the faulty one are filled.
#[pyfunction]
#[pyo3(signature = (streams, logits, contexts = None, *, ids = None, temperature = 1.0, top_k = 0, top_p = 1.0, min_p = 0.0, out = None))]
#[expect(
    clippy::too_many_arguments,
    reason = "named arguments are what Python has for a table of options"
)]
pub(crate) fn bias_batch<'py>(
    py: Python<'py>,
    streams: Vec<Bound<'py, Stream>>,
    logits: &Bound<'py, PyAny>,
    contexts: Option<&Bound<'py, PyAny>>,
    ids: Option<&Bound<'py, PyAny>>,
    temperature: f32,
    top_k: usize,
    top_p: f32,
    min_p: f32,
    out: Option<&Bound<'py, PyAny>>,
) -> Result<Bound<'py, PyArray2<f32>>> {
    let sampling = Sampling {
        temperature,
        top_k,
        top_p,
        min_p,
    };
    let mut target = arrays::target::<Ix2>(logits, out)?;
    arrays::check_rows(target.shape(), streams.len())?;
    let logits = target.rows()?;
    let lists = Lists::read(ids, logits.len())?;
    let mut held = hold(&streams)?;
    let mut streams = own(&mut held);
    follow(&mut streams, contexts)?;
    py.detach(|| {
        at_desk(&streams).with(sampling, |sampler| {
            for (row, (stream, logits)) in streams.iter().zip(logits).enumerate() {
                match lists.row(row) {
                    None => sampler.bias(&stream.stream, logits),
                    Some(ids) => sampler.bias_listed(&stream.stream, ids, logits),
                }
                .map_err(|error| error.context(format_args!("row {row}")))?;
            }
            Ok(())
        })
    })?;
    Ok(target.done())
}

/// The tokens that an engine has left in each row, if it says so.
struct Lists(Option<Vec<Vec<u32>>>);

impl Lists {
    fn read(ids: Option<&Bound<'_, PyAny>>, rows: usize) -> Result<Self> {
        let Some(ids) = ids else {
            return Ok(Self(None));
        };
        let read = || token_rows("ids", ids);
        let lists = tokens::matrix(ids).and_then(|ids| tokens::narrow(&ids));
        let lists = lists.map_or_else(read, Ok)?;
        if lists.len() != rows {
            return Err(fault(
                ErrorKind::Parameter,
                format!(
                    "{} rows of ids for {rows} of logits; one for each is needed",
                    lists.len()
                ),
            ));
        }
        Ok(Self(Some(lists)))
    }

    fn row(&self, row: usize) -> Option<&[u32]> {
        self.0.as_ref().map(|lists| &lists[row][..])
    }
}

/// The desks of the first stream serve the whole batch.
pub(crate) fn at_desk(streams: &[&mut Stream]) -> Arc<Desks> {
    let first = streams.first();
    first.map_or_else(Arc::default, |stream| Arc::clone(&stream.desks))
}

/// Takes the streams for this call. One that is taken already stands in two rows, or another thread is at work on it.
pub(crate) fn hold<'py>(streams: &[Bound<'py, Stream>]) -> Result<Vec<PyRefMut<'py, Stream>>> {
    let rows = streams.iter().enumerate();
    rows.map(|(row, stream)| {
        stream.try_borrow_mut().map_err(|_| {
            fault(
                ErrorKind::Parameter,
                format!(
                    "the stream of row {row} is in use: it stands in two rows, or another thread has it; each response needs its own"
                ),
            )
        })
    })
    .collect()
}

pub(crate) fn own<'a>(held: &'a mut [PyRefMut<'_, Stream>]) -> Vec<&'a mut Stream> {
    held.iter_mut().map(|stream| &mut **stream).collect()
}

pub(crate) fn follow(
    streams: &mut [&mut Stream],
    contexts: Option<&Bound<'_, PyAny>>,
) -> Result<()> {
    let Some(contexts) = contexts else {
        return Ok(());
    };
    if let Some(rows) = tokens::matrix(contexts)
        && rows.shape()[0] == streams.len()
        && follow_new(streams, &rows)
    {
        return Ok(());
    }
    let contexts = token_rows("contexts", contexts)?;
    if contexts.len() != streams.len() {
        return Err(fault(
            ErrorKind::Parameter,
            format!(
                "{} contexts for {} streams; one for each is needed",
                contexts.len(),
                streams.len()
            ),
        ));
    }
    for (row, (stream, context)) in streams.iter_mut().zip(&contexts).enumerate() {
        stream
            .catch_up(context)
            .map_err(|error| error.context(format_args!("contexts, row {row}")))?;
    }
    Ok(())
}

/// Appends what is new, if that is all: every row begins with what its stream has, and all ids are good. Else nothing is changed.
fn follow_new(streams: &mut [&mut Stream], rows: &PyReadonlyArray2<'_, i64>) -> bool {
    let rows = rows.as_array().into_outer_iter();
    let fresh: Option<Vec<&[i64]>> = streams
        .iter()
        .zip(rows)
        .map(|(stream, row)| stream.fresh(row.to_slice()?))
        .collect();
    let Some(fresh) = fresh else { return false };
    let mut rows = streams.iter_mut().zip(fresh);
    rows.all(|(stream, fresh)| stream.append(fresh))
}

fn read_coins(coins: Option<&Bound<'_, PyAny>>, rows: usize) -> Result<Vec<Coin>> {
    let Some(coins) = coins else {
        return Coin::many(rows);
    };
    let coins = match arrays::vector::<u64>(coins) {
        Some(coins) => coins,
        None => coins.extract::<Vec<u64>>()?,
    };
    if coins.len() != rows {
        return Err(fault(
            ErrorKind::Parameter,
            format!(
                "{} coins for {rows} streams; one for each is needed",
                coins.len()
            ),
        ));
    }
    coins
        .into_iter()
        .map(|coin| Coin::new(Some(coin)))
        .collect()
}

//! Many responses at once: a row of logits and a stream, with its own keys, for each.

use std::sync::Arc;

use numpy::{Ix2, PyArray1, PyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use taggant_core::ErrorKind;
use taggant_watermark::Sampling;

use crate::arrays;
use crate::errors::{Result, fault};
use crate::sampler::Coin;
use crate::stream::Stream;
use crate::tokens::token_rows;

/// Chooses the next token of every stream from its row of logits, appends it, and gives the tokens as an array.
///
/// `logits` has shape (rows, vocabulary). Streams may be of different samplers, so that each account has its own keys; the same stream
/// must not stand in two rows. `contexts`, if given, are the responses so far: each stream first follows its own. `coins` are 64 random
/// bits for each row, such as `numpy.random.default_rng(1).integers(2**64, size=rows, dtype=numpy.uint64)`.
///
/// >>> import numpy
/// >>> root = RootKey.from_bytes(bytes(32))
/// >>> keys = [root.derive(f"2026-12/account/{name}") for name in ("a", "b")]
/// >>> records = [Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=4) for key in keys]
/// >>> streams = [Sampler(record, key).stream([3, 1]) for record, key in zip(records, keys)]
/// >>> select_batch(streams, numpy.zeros((2, 4), dtype=numpy.float32)).tolist()
/// [2, 1]
#[pyfunction]
#[pyo3(signature = (streams, logits, contexts = None, *, temperature = 1.0, top_k = 0, top_p = 1.0, min_p = 0.0, coins = None))]
#[expect(
    clippy::too_many_arguments,
    reason = "named arguments are what Python has for a table of options"
)]
pub(crate) fn select_batch<'py>(
    py: Python<'py>,
    streams: Vec<Bound<'py, Stream>>,
    logits: &Bound<'py, PyAny>,
    contexts: Option<&Bound<'py, PyAny>>,
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
    let width = arrays::width(logits.shape(), streams.len())?;
    let logits = arrays::slice(&logits)?;
    let mut coins = read_coins(coins, streams.len())?;
    let mut held = hold(&streams)?;
    let mut streams = own(&mut held);
    follow(&mut streams, contexts)?;
    let tokens = py.detach(|| {
        let desks = streams.first().map(|stream| Arc::clone(&stream.desks));
        desks.unwrap_or_default().with(sampling, |sampler| {
            let rows = streams.iter_mut().zip(&mut coins);
            let rows = rows.zip(logits.chunks_exact(width)).enumerate();
            rows.map(|(row, ((stream, coin), logits))| {
                sampler
                    .select(&mut stream.stream, logits, coin)
                    .map_err(|error| error.context(format_args!("row {row}")))
            })
            .collect::<taggant_core::Result<Vec<u32>>>()
        })
    })?;
    Ok(PyArray1::from_vec(py, tokens))
}

/// Logits of many streams for an engine to sample from, as `Sampler.bias` gives them. Arguments as for `select_batch`.
///
/// Gives a new array, or fills `out`, which may be `logits` itself; after an error rows before the faulty one are filled.
#[pyfunction]
#[pyo3(signature = (streams, logits, contexts = None, *, temperature = 1.0, top_k = 0, top_p = 1.0, min_p = 0.0, out = None))]
#[expect(
    clippy::too_many_arguments,
    reason = "named arguments are what Python has for a table of options"
)]
pub(crate) fn bias_batch<'py>(
    py: Python<'py>,
    streams: Vec<Bound<'py, Stream>>,
    logits: &Bound<'py, PyAny>,
    contexts: Option<&Bound<'py, PyAny>>,
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
    let width = arrays::width(target.shape(), streams.len())?;
    let logits = target.slice()?;
    let mut held = hold(&streams)?;
    let mut streams = own(&mut held);
    follow(&mut streams, contexts)?;
    py.detach(|| {
        let desks = streams.first().map(|stream| Arc::clone(&stream.desks));
        desks.unwrap_or_default().with(sampling, |sampler| {
            let rows = streams.iter().zip(logits.chunks_exact_mut(width));
            for (row, (stream, logits)) in rows.enumerate() {
                sampler
                    .bias(&stream.stream, logits)
                    .map_err(|error| error.context(format_args!("row {row}")))?;
            }
            Ok(())
        })
    })?;
    Ok(target.done())
}

/// Takes the streams for this call. One that is taken already stands in two rows, or another thread is at work on it.
fn hold<'py>(streams: &[Bound<'py, Stream>]) -> Result<Vec<PyRefMut<'py, Stream>>> {
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

fn own<'a>(held: &'a mut [PyRefMut<'_, Stream>]) -> Vec<&'a mut Stream> {
    held.iter_mut().map(|stream| &mut **stream).collect()
}

fn follow(streams: &mut [&mut Stream], contexts: Option<&Bound<'_, PyAny>>) -> Result<()> {
    let Some(contexts) = contexts else {
        return Ok(());
    };
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

fn read_coins(coins: Option<&Bound<'_, PyAny>>, rows: usize) -> Result<Vec<Coin>> {
    let Some(coins) = coins else {
        return (0..rows).map(|_| Coin::new(None)).collect();
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

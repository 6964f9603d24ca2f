//! Choosing tokens for a response that Python keeps.

use std::convert::Infallible;
use std::sync::Arc;

use numpy::{Ix1, PyArray1};
use pyo3::prelude::*;
use taggant_core::{ErrorKind, Mark};
use taggant_watermark::Sampling;

use crate::arrays;
use crate::desks::Desks;
use crate::errors::{Fault, Result, fault};
use crate::keys::Keys;
use crate::record::Record;
use crate::stream::Stream;
use crate::tokens::token_ids;

/// Chooses marked tokens under a record and its keys. Holds no state of a response, so any number of threads may share one.
///
/// `keys` is the Key of the record's only layer, or a list with the campaign key and the account key. `context` is always the
/// *response* so far, as token ids, without the prompt.
///
/// >>> import numpy
/// >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
/// >>> record = Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=4)
/// >>> sampler = Sampler(record, key)
/// >>> logits = numpy.array([0.5, 1.0, -1.0, 0.0], dtype=numpy.float32)    # from the model
/// >>> sampler.select(logits, [3, 1], temperature=0.8, top_k=3)
/// 1
#[pyclass(frozen, module = "taggant")]
pub(crate) struct Sampler {
    mark: Arc<Mark>,
    desks: Arc<Desks>,
}

#[pymethods]
impl Sampler {
    #[new]
    fn new(record: &Record, keys: Keys<'_>) -> Result<Self> {
        let mark = Arc::new(Mark::new(&record.record, &keys.leaves())?);
        // Marking needs the key of every layer, and here is where its user should hear of it.
        let _ = taggant_watermark::Stream::new(Arc::clone(&mark))?;
        Ok(Self {
            mark,
            desks: Arc::default(),
        })
    }

    /// The next token after `context`, from raw logits: one float32 for each token of the vocabulary.
    ///
    /// Applies temperature, top-k, top-p and min-p in this order, then the mark. `coin` is 64 random bits for the positions that the
    /// mark leaves to chance; without it the operating system is asked. At temperature 0 nothing is marked.
    #[pyo3(signature = (logits, context, *, temperature = 1.0, top_k = 0, top_p = 1.0, min_p = 0.0, coin = None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "named arguments are what Python has for a table of options"
    )]
    fn select(
        &self,
        py: Python<'_>,
        logits: &Bound<'_, PyAny>,
        context: &Bound<'_, PyAny>,
        temperature: f32,
        top_k: usize,
        top_p: f32,
        min_p: f32,
        coin: Option<u64>,
    ) -> Result<u32> {
        let sampling = Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
        };
        let (logits, context) = (arrays::read::<Ix1>(logits)?, token_ids("context", context)?);
        let (logits, mut coin) = (arrays::slice(&logits)?, Coin::new(coin)?);
        Ok(py.detach(|| {
            let mark = Arc::clone(&self.mark);
            let mut stream = taggant_watermark::Stream::resume(mark, &context)?;
            self.desks.with(sampling, |sampler| {
                sampler.select(&mut stream, logits, &mut coin)
            })
        })?)
    }

    /// Logits that an engine may sample from, at temperature 1 and without further truncation, so that its tokens are marked.
    ///
    /// Temperature and truncation given here are applied first; with none, a position that the mark leaves to chance keeps its logits.
    /// A green list then only adds delta, and the engine may go on with its own temperature and truncation; the other schemes have chosen,
    /// and their result must not be reshaped. Gives a new array, or fills `out`, which may be `logits` itself.
    #[pyo3(signature = (logits, context, *, temperature = 1.0, top_k = 0, top_p = 1.0, min_p = 0.0, out = None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "named arguments are what Python has for a table of options"
    )]
    fn bias<'py>(
        &self,
        py: Python<'py>,
        logits: &Bound<'py, PyAny>,
        context: &Bound<'py, PyAny>,
        temperature: f32,
        top_k: usize,
        top_p: f32,
        min_p: f32,
        out: Option<&Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyArray1<f32>>> {
        let sampling = Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
        };
        let context = token_ids("context", context)?;
        let mut target = arrays::target::<Ix1>(logits, out)?;
        let logits = target.slice()?;
        py.detach(|| {
            let mark = Arc::clone(&self.mark);
            let stream = taggant_watermark::Stream::resume(mark, &context)?;
            self.desks
                .with(sampling, |sampler| sampler.bias(&stream, logits))
        })?;
        Ok(target.done())
    }

    /// The state of one response, after `context`: its cost for a token does not grow with the response.
    #[pyo3(signature = (context = None))]
    fn stream(&self, context: Option<&Bound<'_, PyAny>>) -> Result<Stream> {
        let context = match context {
            Some(context) => token_ids("context", context)?,
            None => Vec::new(),
        };
        Stream::new(Arc::clone(&self.mark), Arc::clone(&self.desks), &context)
    }

    /// The record.
    #[getter]
    fn record(&self) -> Record {
        Record {
            record: self.mark.record().clone(),
        }
    }

    fn __repr__(&self) -> String {
        format!("Sampler('{}')", self.mark.record().scheme().id())
    }
}

/// 64 random bits, drawn by whoever calls, as the random source that samplers take one number from.
pub(crate) struct Coin(u64);

impl Coin {
    /// `given`, or bits from the operating system.
    pub(crate) fn new(given: Option<u64>) -> Result<Self> {
        match given {
            Some(bits) => Ok(Self(bits)),
            None => Ok(Self(getrandom::u64().map_err(no_chance)?)),
        }
    }
}

impl Coin {
    /// One for each of `rows`, from the operating system.
    pub(crate) fn many(rows: usize) -> Result<Vec<Self>> {
        let mut bytes = vec![0; rows * size_of::<u64>()];
        getrandom::fill(&mut bytes).map_err(no_chance)?;
        let (coins, _) = bytes.as_chunks();
        Ok(coins
            .iter()
            .map(|&coin| Self(u64::from_le_bytes(coin)))
            .collect())
    }
}

fn no_chance(error: getrandom::Error) -> Fault {
    fault(
        ErrorKind::Io,
        format!("the system gives no random numbers: {error}"),
    )
}

impl rand::TryRng for Coin {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> std::result::Result<u32, Infallible> {
        Ok((self.0 >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, Infallible> {
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> std::result::Result<(), Infallible> {
        let bytes = self.0.to_le_bytes();
        for (out, byte) in out.iter_mut().zip(bytes.into_iter().cycle()) {
            *out = byte;
        }
        Ok(())
    }
}

//! One response in the making.

use std::sync::Arc;

use numpy::{Ix1, PyArray1};
use pyo3::prelude::*;
use taggant_core::Mark;
use taggant_core::simd::vectorise;
use taggant_watermark::Sampling;

use crate::arrays;
use crate::desks::Desks;
use crate::errors::Result;
use crate::sampler::Coin;
use crate::tokens::token_ids;

/// The tokens of one response so far, with the mark it carries: `sampler.stream()` begins one.
///
/// A stream is one response and so one thread's at a time; different streams may be used by different threads at once.
///
/// >>> import numpy
/// >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
/// >>> record = Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=4)
/// >>> stream = Sampler(record, key).stream([3, 1])
/// >>> stream.select(numpy.array([0.5, 1.0, -1.0, 0.0], dtype=numpy.float32))
/// 1
/// >>> stream.tokens
/// [3, 1, 1]
#[pyclass(module = "taggant")]
pub(crate) struct Stream {
    pub(crate) stream: taggant_watermark::Stream,
    pub(crate) desks: Arc<Desks>,
    mark: Option<Arc<Mark>>,
}

#[pymethods]
impl Stream {
    /// A response without a mark, through the same code.
    #[staticmethod]
    fn plain() -> Self {
        Self {
            stream: taggant_watermark::Stream::plain(),
            desks: Arc::default(),
            mark: None,
        }
    }

    /// The response so far.
    #[getter]
    fn tokens(&self) -> Vec<u32> {
        self.stream.tokens().to_vec()
    }

    /// Chooses the next token as `Sampler.select` does, and appends it.
    #[pyo3(signature = (logits, *, temperature = 1.0, top_k = 0, top_p = 1.0, min_p = 0.0, coin = None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "named arguments are what Python has for a table of options"
    )]
    fn select(
        &mut self,
        py: Python<'_>,
        logits: &Bound<'_, PyAny>,
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
        let logits = arrays::read::<Ix1>(logits)?;
        let (logits, mut coin) = (arrays::slice(&logits)?, Coin::new(coin)?);
        let Self { stream, desks, .. } = self;
        Ok(py.detach(|| {
            desks.with(sampling, |sampler| {
                sampler.select(stream, logits, &mut coin)
            })
        })?)
    }

    /// Logits for an engine to sample from, as `Sampler.bias` gives them. Report the engine's choice with `push`.
    #[pyo3(signature = (logits, *, temperature = 1.0, top_k = 0, top_p = 1.0, min_p = 0.0, out = None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "named arguments are what Python has for a table of options"
    )]
    fn bias<'py>(
        &self,
        py: Python<'py>,
        logits: &Bound<'py, PyAny>,
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
        let mut target = arrays::target::<Ix1>(logits, out)?;
        let logits = target.slice()?;
        let Self { stream, desks, .. } = self;
        py.detach(|| desks.with(sampling, |sampler| sampler.bias(stream, logits)))?;
        Ok(target.done())
    }

    /// Appends a token that was chosen elsewhere.
    fn push(&mut self, token: u32) -> Result<()> {
        Ok(self.stream.push(token)?)
    }

    /// Makes this the state after `context`, the whole response so far: what is new is appended, and where tokens differ the state is
    /// made again from the start. For engines that keep the tokens themselves.
    fn follow(&mut self, context: &Bound<'_, PyAny>) -> Result<()> {
        let context = token_ids("context", context)?;
        Ok(self.catch_up(&context)?)
    }

    fn __len__(&self) -> usize {
        self.stream.tokens().len()
    }

    fn __repr__(&self) -> String {
        let scheme = self
            .mark
            .as_ref()
            .map_or("plain", |mark| mark.record().scheme().id());
        format!("Stream('{scheme}', {} tokens)", self.__len__())
    }
}

impl Stream {
    /// The state of a marked response after `context`.
    pub(crate) fn new(mark: Arc<Mark>, desks: Arc<Desks>, context: &[u32]) -> Result<Self> {
        Ok(Self {
            stream: taggant_watermark::Stream::resume(Arc::clone(&mark), context)?,
            desks,
            mark: Some(mark),
        })
    }

    /// The state after `context`; unchanged after an error.
    pub(crate) fn catch_up(&mut self, context: &[u32]) -> taggant_core::Result<()> {
        let fresh = match (context.strip_prefix(self.stream.tokens()), &self.mark) {
            (Some(fresh), Some(mark)) => {
                mark.record().tokenizer().check(fresh)?;
                fresh
            }
            (Some(fresh), None) => fresh,
            (None, Some(mark)) => {
                self.stream = taggant_watermark::Stream::resume(Arc::clone(mark), context)?;
                &[]
            }
            (None, None) => {
                self.stream = taggant_watermark::Stream::plain();
                context
            }
        };
        fresh.iter().try_for_each(|&token| self.stream.push(token))
    }

    /// What `context` adds to the tokens so far; nothing if it begins with others, or adds what is no token.
    pub(crate) fn fresh<'a>(&self, context: &'a [i64]) -> Option<&'a [i64]> {
        let known = self.stream.tokens();
        let (begun, fresh) = context.split_at_checked(known.len())?;
        let differ = vectorise(
            #[inline(always)]
            || {
                let pairs = begun.iter().zip(known);
                pairs.fold(0, |differ, (&one, &other)| {
                    differ | (one ^ i64::from(other))
                })
            },
        );
        let limit = self.mark.as_ref().map_or(u32::MAX as usize, |mark| {
            mark.record().tokenizer().vocabulary - 1
        });
        let good = |&id: &i64| usize::try_from(id).is_ok_and(|id| id <= limit);
        (differ == 0 && fresh.iter().all(good)).then_some(fresh)
    }

    /// Appends tokens that [`fresh`](Self::fresh) gave.
    pub(crate) fn append(&mut self, fresh: &[i64]) -> bool {
        fresh
            .iter()
            .all(|&id| u32::try_from(id).is_ok_and(|id| self.stream.push(id).is_ok()))
    }
}

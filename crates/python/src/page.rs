//! Biased rows that are kept from token to token.

use numpy::{Ix2, PyArray2, PyUntypedArrayMethods, dtype};
use pyo3::prelude::*;
use taggant_core::ErrorKind;
use taggant_watermark::Sampling;

use crate::arrays;
use crate::batch::{at_desk, follow, hold, own};
use crate::errors::{Result, fault};
use crate::stream::Stream;

/// Rows of biased logits for an engine that samples by itself, kept from token to token.
///
/// Under truncation all but a few logits are -inf, and they are again at the next token: a page writes only those that change, where
/// `bias_batch` fills whole rows. Nobody else may write into it, and each call replaces what the last one gave.
///
/// >>> import numpy
/// >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
/// >>> sampler = Sampler(Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=4), key)
/// >>> page = Page(1, 4)
/// >>> page.bias([sampler.stream([3, 1])], numpy.array([[0.5, 1.0, -1.0, 0.0]], dtype=numpy.float32), top_k=3).tolist()
/// [[-inf, 0.0, -inf, -inf]]
#[pyclass(module = "taggant")]
pub(crate) struct Page {
    rows: Py<PyArray2<f32>>,
    written: Vec<Vec<u32>>,
}

#[pymethods]
impl Page {
    #[new]
    fn new(py: Python<'_>, rows: usize, vocabulary: usize) -> Result<Self> {
        if rows == 0 || vocabulary == 0 {
            return Err(fault(
                ErrorKind::Parameter,
                format!(
                    "a page of {rows} rows and {vocabulary} columns; it has at least one of each"
                ),
            ));
        }
        // By NumPy, so that too much is a MemoryError and not a panic.
        let shape = ((rows, vocabulary), f32::NEG_INFINITY, dtype::<f32>(py));
        let array = py.import("numpy")?.call_method1("full", shape)?;
        Ok(Self {
            rows: array.cast_into().map_err(PyErr::from)?.unbind(),
            written: vec![Vec::new(); rows],
        })
    }

    /// The rows, of shape (rows, vocabulary): always the same array.
    #[getter]
    fn logits<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f32>> {
        self.rows.bind(py).clone()
    }

    /// `logits` as `bias_batch` changes them, in this page's own array. Arguments as for `bias_batch`. A page may be wider than the logits, as
    /// models are wider than their tokenizers.
    #[pyo3(signature = (streams, logits, contexts = None, *, temperature = 1.0, top_k = 0, top_p = 1.0, min_p = 0.0))]
    #[expect(
        clippy::too_many_arguments,
        reason = "named arguments are what Python has for a table of options"
    )]
    fn bias<'py>(
        &mut self,
        py: Python<'py>,
        streams: Vec<Bound<'py, Stream>>,
        logits: &Bound<'py, PyAny>,
        contexts: Option<&Bound<'py, PyAny>>,
        temperature: f32,
        top_k: usize,
        top_p: f32,
        min_p: f32,
    ) -> Result<Bound<'py, PyArray2<f32>>> {
        let sampling = Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
        };
        let page = self.logits(py);
        let logits = arrays::read::<Ix2>(logits)?;
        arrays::check_rows(logits.shape(), streams.len())?;
        let (rows, columns) = (logits.shape()[0], logits.shape()[1]);
        if rows != self.written.len() || columns > page.shape()[1] {
            return Err(fault(
                ErrorKind::Logits,
                format!(
                    "logits have shape {:?} on a page of {:?}; it must have as many rows and no fewer columns",
                    logits.shape(),
                    page.shape()
                ),
            ));
        }
        let mut target = arrays::whole::<Ix2>(&page)?;
        let (logits, out) = (arrays::rows(&logits)?, target.rows()?);
        let mut held = hold(&streams)?;
        let mut streams = own(&mut held);
        follow(&mut streams, contexts)?;
        let written = &mut self.written;
        py.detach(|| {
            at_desk(&streams).with(sampling, |sampler| {
                let rows = streams.iter().zip(logits).zip(out.into_iter().zip(written));
                for (row, ((stream, logits), (out, written))) in rows.enumerate() {
                    sampler
                        .bias_into(&stream.stream, logits, &mut out[..columns], written)
                        .map_err(|error| error.context(format_args!("row {row}")))?;
                }
                Ok(())
            })
        })?;
        Ok(page)
    }
}

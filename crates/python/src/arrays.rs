//! Logits as NumPy holds them: read where they lie, or refused by name.

use numpy::ndarray::{Dimension, Ix2};
use numpy::{
    Element, PyArray, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray, PyReadwriteArray,
    PyUntypedArray, PyUntypedArrayMethods, dtype,
};
use pyo3::prelude::*;
use taggant_core::ErrorKind;

use crate::errors::{Fault, Result, fault, type_name};

/// An array that is all that a slice of floats must be; `what` names it in errors.
fn checked<'a, 'py, D: Dimension>(
    what: &str,
    value: &'a Bound<'py, PyAny>,
) -> Result<&'a Bound<'py, PyArray<f32, D>>> {
    let refused = |message: String| fault(ErrorKind::Logits, format!("{what} {message}"));
    let Ok(array) = value.cast::<PyUntypedArray>() else {
        return Err(refused(format!(
            "are of type {}; give a NumPy array of float32, for a tensor `tensor.float().cpu().numpy()`",
            type_name(value)
        )));
    };
    let (found, wanted) = (array.dtype(), dtype::<f32>(value.py()));
    if !found.is_equiv_to(&wanted) {
        return Err(refused(format!(
            "are of dtype {}; float32 is needed: `logits.astype(numpy.float32)`",
            found.str()?
        )));
    }
    let dimensions = D::NDIM.unwrap_or_default();
    if array.ndim() != dimensions {
        let needed = match dimensions {
            1 => "(vocabulary,)",
            _ => "(rows, vocabulary)",
        };
        return Err(refused(format!(
            "have shape {:?}; {needed} is needed",
            array.shape()
        )));
    }
    // Of a matrix each row must be one piece; rows may lie apart, as in the first columns of a wider one.
    let pieces = match (array.shape(), array.strides()) {
        (&[rows, columns], &[_, step]) => {
            rows == 0 || columns < 2 || usize::try_from(step) == Ok(size_of::<f32>())
        }
        _ => array.is_c_contiguous(),
    };
    if !(pieces && array.is_aligned()) {
        return Err(refused(format!(
            "of shape {:?} have strides {:?} and are not contiguous; use `numpy.ascontiguousarray(logits)`",
            array.shape(),
            array.strides()
        )));
    }
    Ok(value.cast::<PyArray<f32, D>>().map_err(PyErr::from)?)
}

/// Logits to read, without a copy.
pub(crate) fn read<'py, D: Dimension>(
    value: &Bound<'py, PyAny>,
) -> Result<PyReadonlyArray<'py, f32, D>> {
    let array = checked::<D>("logits", value)?;
    array.try_readonly().map_err(|error| taken("logits", error))
}

/// The floats of an array that [`checked`] accepted.
pub(crate) fn slice<'a, D: Dimension>(array: &'a PyReadonlyArray<'_, f32, D>) -> Result<&'a [f32]> {
    array
        .as_slice()
        .map_err(|error| fault(ErrorKind::Logits, format!("logits: {error}")))
}

/// The rows of a matrix that [`checked`] accepted.
pub(crate) fn rows<'a>(array: &'a PyReadonlyArray<'_, f32, Ix2>) -> Result<Vec<&'a [f32]>> {
    let rows = array.as_array().into_outer_iter();
    let rows: Option<Vec<_>> = rows.map(|row| row.to_slice()).collect();
    rows.ok_or_else(|| apart("logits"))
}

/// Where changed logits go, with the logits already in it: `out` if there is one, which may be `value` itself, or a new array.
pub(crate) fn target<'py, D: Dimension>(
    value: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
) -> Result<Target<'py, D>> {
    let logits = checked::<D>("logits", value)?;
    let Some(out) = out else {
        let array = PyArray::from_array(value.py(), &read::<D>(value)?.as_array());
        return Target::of(&array);
    };
    let array = checked::<D>("out", out)?;
    let target = Target::of(array)?;
    if out.is(value) {
        return Ok(target);
    }
    if array.shape() != logits.shape() {
        return Err(fault(
            ErrorKind::Logits,
            format!(
                "out has shape {:?}, the logits have {:?}; both must agree",
                array.shape(),
                logits.shape()
            ),
        ));
    }
    let mut target = target;
    target
        .held
        .as_array_mut()
        .assign(&read::<D>(value)?.as_array());
    Ok(target)
}

/// An array to change as a whole.
pub(crate) fn whole<'py, D: Dimension>(
    array: &Bound<'py, PyArray<f32, D>>,
) -> Result<Target<'py, D>> {
    Target::of(array)
}

/// An array that is being changed.
pub(crate) struct Target<'py, D: Dimension> {
    array: Bound<'py, PyArray<f32, D>>,
    held: PyReadwriteArray<'py, f32, D>,
}

impl<'py, D: Dimension> Target<'py, D> {
    fn of(array: &Bound<'py, PyArray<f32, D>>) -> Result<Self> {
        let held = array.try_readwrite().map_err(|error| taken("out", error))?;
        Ok(Self {
            array: array.clone(),
            held,
        })
    }

    /// The array's shape.
    pub(crate) fn shape(&self) -> &[usize] {
        self.array.shape()
    }

    /// The floats to change.
    pub(crate) fn slice(&mut self) -> Result<&mut [f32]> {
        self.held
            .as_slice_mut()
            .map_err(|error| fault(ErrorKind::Logits, format!("out: {error}")))
    }

    /// The changed array, for Python.
    pub(crate) fn done(self) -> Bound<'py, PyArray<f32, D>> {
        self.array
    }
}

impl Target<'_, Ix2> {
    /// The rows to change.
    pub(crate) fn rows(&mut self) -> Result<Vec<&mut [f32]>> {
        if let (&[rows, columns], &[step, _]) = (self.array.shape(), self.array.strides())
            && rows > 1
            && step.unsigned_abs() < columns * size_of::<f32>()
        {
            return Err(apart("out"));
        }
        let rows = self.held.as_array_mut().into_outer_iter_mut();
        let rows: Option<Vec<_>> = rows.map(|row| row.into_slice()).collect();
        rows.ok_or_else(|| apart("out"))
    }
}

fn apart(what: &str) -> Fault {
    fault(
        ErrorKind::Logits,
        format!(
            "{what}: rows that overlap or are not one piece each; use `numpy.ascontiguousarray`"
        ),
    )
}

/// An array that someone else is writing, or that nobody may write.
fn taken(what: &str, error: impl std::fmt::Display) -> Fault {
    fault(ErrorKind::Logits, format!("{what}: {error}"))
}

/// A matrix has as many rows as there are streams, and columns.
pub(crate) fn check_rows(shape: &[usize], streams: usize) -> Result<()> {
    match *shape {
        [rows, columns] if rows == streams && rows > 0 && columns > 0 => Ok(()),
        _ => Err(fault(
            ErrorKind::Logits,
            format!(
                "logits have shape {shape:?} for {streams} streams; one row for each, and at least one, is needed"
            ),
        )),
    }
}

/// The items of a one-dimensional array of `T`s, or nothing.
pub(crate) fn vector<T: Element + Copy>(value: &Bound<'_, PyAny>) -> Option<Vec<T>> {
    let array = value.cast::<numpy::PyArray1<T>>().ok()?;
    array
        .try_readonly()
        .ok()?
        .as_slice()
        .ok()
        .map(<[T]>::to_vec)
}

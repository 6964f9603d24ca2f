//! Numbers, or arrays of them.

use numpy::{PyArray1, PyArrayDescrMethods, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyFloat;
use taggant_core::ErrorKind;

use crate::errors::{Result, fault, type_name};

/// A number that stands for itself everywhere, or one for each place.
pub(crate) enum Input<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Copy + std::fmt::Display> Input<T> {
    /// The number at a place that [`each`] gave.
    pub(super) fn get(&self, place: usize) -> T {
        match self {
            Self::One(only) => *only,
            Self::Many(all) => all[place],
        }
    }

    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Self::One(_) => None,
            Self::Many(all) => Some(all.len()),
        }
    }

    fn items(&self) -> &[T] {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
    }

    /// Refuses the first number that does not fit.
    pub(super) fn check(&self, what: &str, fits: impl Fn(T) -> bool, limit: &str) -> Result<()> {
        let mut items = self.items().iter().enumerate();
        let Some((place, item)) = items.find(|&(_, &item)| !fits(item)) else {
            return Ok(());
        };
        let place = match self {
            Self::One(_) => String::new(),
            Self::Many(_) => format!(" at position {place}"),
        };
        Err(fault(
            ErrorKind::Parameter,
            format!("{what} is {item}{place}; it must be {limit}"),
        ))
    }

    /// All numbers, where a single one is not meant.
    pub(crate) fn list(self, what: &str) -> Result<Vec<T>> {
        match self {
            Self::Many(all) => Ok(all),
            Self::One(only) => Err(fault(
                ErrorKind::Parameter,
                format!("{what} is {only}, one number; give a list or an array"),
            )),
        }
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Input<f64> {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Some(only) = single(&value, |value| value.extract::<f64>().ok()) {
            return Ok(Self::One(only));
        }
        Ok(Self::Many(array(&value, "biuf", "float64")?))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Input<u64> {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Some(only) = single(&value, |value| value.extract::<i128>().ok()) {
            return Ok(Self::One(count(only)?));
        }
        let all: Vec<i64> = array(&value, "iu", "int64")?;
        let all = all.into_iter().map(|item| count(i128::from(item)));
        Ok(Self::Many(all.collect::<Result<_>>()?))
    }
}

fn count(item: i128) -> Result<u64> {
    u64::try_from(item).map_err(|_| {
        fault(
            ErrorKind::Parameter,
            format!("a count is {item}; counts are from 0 to 2^64 - 1"),
        )
    })
}

/// A number, but not an array that holds just one.
fn single<'py, T>(
    value: &Bound<'py, PyAny>,
    read: impl Fn(&Bound<'py, PyAny>) -> Option<T>,
) -> Option<T> {
    match value.cast::<PyUntypedArray>() {
        Ok(array) if array.ndim() > 0 => None,
        _ => read(value),
    }
}

fn array<T: numpy::Element + Copy>(
    value: &Bound<'_, PyAny>,
    kinds: &str,
    dtype: &str,
) -> PyResult<Vec<T>> {
    let refused = |found: String| {
        let needed = if dtype == "int64" {
            "whole numbers"
        } else {
            "numbers"
        };
        PyErr::from(fault(
            ErrorKind::Parameter,
            format!("{found}; give {needed}: one, a list, or an array of one dimension"),
        ))
    };
    let numpy = value.py().import("numpy")?;
    let Ok(array) = numpy.call_method1("asarray", (value,)) else {
        return Err(refused(format!("of type {}", type_name(value))));
    };
    let Ok(untyped) = array.cast::<PyUntypedArray>() else {
        return Err(refused(format!("of type {}", type_name(value))));
    };
    let fits = kinds.as_bytes().contains(&untyped.dtype().kind()) || untyped.len() == 0;
    if !fits || untyped.ndim() != 1 {
        return Err(refused(format!(
            "of type {}, as an array of dtype {} and shape {:?}",
            type_name(value),
            untyped.dtype().str()?,
            untyped.shape()
        )));
    }
    let array = numpy.call_method1("ascontiguousarray", (array, dtype))?;
    let array = array.cast::<PyArray1<T>>()?;
    array.to_vec().map_err(Into::into)
}

/// Computes a number, or one for each place of the arrays among the inputs, without the interpreter's lock.
pub(super) fn each<'py>(
    py: Python<'py>,
    lengths: &[Option<usize>],
    compute: impl Fn(usize) -> taggant_core::Result<f64> + Sync,
) -> Result<Bound<'py, PyAny>> {
    let given: Vec<usize> = lengths.iter().copied().flatten().collect();
    let Some(&length) = given.first() else {
        let number = py.detach(|| compute(0))?;
        return Ok(PyFloat::new(py, number).into_any());
    };
    if let Some(other) = given.iter().find(|&&other| other != length) {
        return Err(fault(
            ErrorKind::Parameter,
            format!("arrays of {length} and of {other} numbers; all must be of one length"),
        ));
    }
    let numbers = py.detach(|| {
        (0..length)
            .map(&compute)
            .collect::<taggant_core::Result<Vec<_>>>()
    })?;
    Ok(PyArray1::from_vec(py, numbers).into_any())
}

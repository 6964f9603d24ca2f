//! Token ids from Python: lists of ints and NumPy arrays of integers.

use numpy::{
    PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyList, PySequence, PyString, PyTuple};
use taggant_core::ErrorKind;

use crate::errors::{Fault, Result, fault, type_name};

/// The ids in `value`; `what` names them in errors.
pub(crate) fn token_ids(what: &str, value: &Bound<'_, PyAny>) -> Result<Vec<u32>> {
    if let Ok(array) = value.cast::<PyUntypedArray>() {
        return from_array(what, array);
    }
    let text = value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>();
    if text {
        return Err(fault(
            ErrorKind::Token,
            format!("{what}: text, not token ids; encode it with the tokenizer that was marked"),
        ));
    }
    // Asking after an attribute that is not there costs more than a short list does.
    let sequence = value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>();
    if !sequence && gives_arrow(value)? {
        let reader = value.py().import("taggant._arrow")?;
        let ids = reader.call_method1("ids", (what, value))?;
        if let Ok(ids) = ids.cast::<PyUntypedArray>() {
            return from_array(what, ids);
        }
    }
    match value.extract::<Vec<u32>>() {
        Ok(ids) => Ok(ids),
        Err(_) => Err(named(what, value)),
    }
}

/// Whether a value gives what it holds away by the Arrow PyCapsule interface.
pub(crate) fn gives_arrow(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.hasattr("__arrow_c_array__")? || value.hasattr("__arrow_c_stream__")?)
}

/// What is wrong with a value that is no list of ids.
fn named(what: &str, value: &Bound<'_, PyAny>) -> Fault {
    let wrong = || {
        fault(
            ErrorKind::Token,
            format!(
                "{what}: of type {}; give a list of ints or a NumPy array of integers",
                type_name(value)
            ),
        )
    };
    let Ok(items) = value.cast::<PySequence>().map(|_| value.try_iter()) else {
        return wrong();
    };
    for (position, item) in items.into_iter().flatten().enumerate() {
        let Ok(item) = item else { return wrong() };
        if item.extract::<u32>().is_ok() {
            continue;
        }
        return match item.extract::<i128>() {
            Ok(id) => out_of_range(what, id, position),
            Err(_) => fault(
                ErrorKind::Token,
                format!(
                    "{what}: position {position} holds a value of type {}; token ids are ints",
                    type_name(&item)
                ),
            ),
        };
    }
    wrong()
}

fn out_of_range(what: &str, id: i128, position: usize) -> Fault {
    let hint = if id < 0 {
        "; a negative id stands for padding or for a token that was not sampled yet: leave it out"
    } else {
        ""
    };
    fault(
        ErrorKind::Token,
        format!(
            "{what}: token id {id} at position {position} is not from 0 to {}{hint}",
            u32::MAX
        ),
    )
}

fn from_array(what: &str, array: &Bound<'_, PyUntypedArray>) -> Result<Vec<u32>> {
    if array.ndim() != 1 {
        return Err(fault(
            ErrorKind::Token,
            format!(
                "{what}: an array of shape {:?}; one row of token ids has one dimension",
                array.shape()
            ),
        ));
    }
    // A view with steps, such as a column, is copied once more.
    let whole = if array.is_c_contiguous() && array.is_aligned() {
        array.as_any().clone()
    } else {
        array.call_method0("copy")?
    };
    macro_rules! integers {
        ($($integer:ty)*) => {
            $(if let Ok(ids) = whole.cast::<PyArray1<$integer>>() {
                return checked(what, ids);
            })*
        };
    }
    integers!(i64 u32 i32 u16 u64 i16 u8 i8);
    Err(fault(
        ErrorKind::Token,
        format!(
            "{what}: an array of dtype {}; token ids are integers",
            array.dtype().str()?
        ),
    ))
}

fn checked<T>(what: &str, ids: &Bound<'_, PyArray1<T>>) -> Result<Vec<u32>>
where
    T: numpy::Element + Copy + Into<i128>,
{
    let ids = ids
        .try_readonly()
        .map_err(|error| fault(ErrorKind::Token, format!("{what}: {error}")))?;
    let ids = ids
        .as_slice()
        .map_err(|error| fault(ErrorKind::Token, format!("{what}: {error}")))?;
    let wide = |id: T| -> i128 { id.into() };
    ids.iter()
        .enumerate()
        .map(|(position, &id)| {
            u32::try_from(wide(id)).map_err(|_| out_of_range(what, wide(id), position))
        })
        .collect()
}

/// The rows of token ids in a matrix, or in a sequence of rows.
pub(crate) fn token_rows(what: &str, value: &Bound<'_, PyAny>) -> Result<Vec<Vec<u32>>> {
    let rows = value.try_iter().map_err(|_| {
        fault(
            ErrorKind::Token,
            format!(
                "{what}: of type {}; give one row of token ids for each stream",
                type_name(value)
            ),
        )
    })?;
    rows.enumerate()
        .map(|(number, row)| token_ids(&format!("{what}, row {number}"), &row?))
        .collect()
}

/// A matrix of 64-bit ids whose rows are one piece each, as engines hold them: read where it lies.
pub(crate) fn matrix<'py>(value: &Bound<'py, PyAny>) -> Option<PyReadonlyArray2<'py, i64>> {
    let array = value.cast::<PyArray2<i64>>().ok()?;
    array.is_aligned().then(|| array.try_readonly().ok())?
}

/// The rows of such a matrix, if all are token ids.
pub(crate) fn narrow(ids: &PyReadonlyArray2<'_, i64>) -> Option<Vec<Vec<u32>>> {
    let narrow = |id: &i64| u32::try_from(*id).ok();
    let rows = ids.as_array().into_outer_iter();
    rows.map(|row| row.iter().map(narrow).collect()).collect()
}

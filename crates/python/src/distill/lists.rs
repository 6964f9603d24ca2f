//! Next-token probabilities from NumPy: whole rows of logits, or lists of the most probable tokens.

use numpy::{
    Element, PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadonlyArray2, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use taggant_core::{Error, ErrorKind};

use crate::errors::{Result, fault, type_name};

/// Probable tokens of suspect and reference at one position.
pub(super) type Pair = [Vec<(u32, f64)>; 2];

/// What of the lists counts.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    pub(super) top_k: usize,
    pub(super) vocabulary: usize,
    /// The first position that can count.
    pub(super) first: usize,
}

/// What numbers say.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Logits,
    LogProbabilities,
    Probabilities,
}

/// Both models' numbers, in one form, or the suspect's alone.
pub(super) enum Sides<'py> {
    /// A column for each token of the vocabulary.
    Whole(Kind, Vec<PyReadonlyArray2<'py, f32>>),
    /// Ids, and what belongs to each.
    Listed(Kind, Vec<Lists<'py>>),
}

pub(super) type Lists<'py> = (PyReadonlyArray2<'py, i64>, PyReadonlyArray2<'py, f64>);

/// The same without Python.
pub(super) enum Numbers<'a> {
    Whole(Kind, Vec<Matrix<'a, f32>>),
    Listed(Kind, Vec<(Matrix<'a, i64>, Matrix<'a, f64>)>),
}

#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    items: &'a [T],
    width: usize,
}

impl<'a, T> Matrix<'a, T> {
    fn row(&self, position: usize) -> &'a [T] {
        let start = position * self.width;
        &self.items[start..start + self.width]
    }
}

impl<'py> Sides<'py> {
    /// The suspect's numbers, and the reference's, for a text.
    pub(super) fn read(
        suspect: &Bound<'py, PyAny>,
        reference: Option<&Bound<'py, PyAny>>,
        kind: Option<&str>,
        text: &[u32],
    ) -> Result<Self> {
        let values: Vec<_> = [Some(suspect), reference].into_iter().flatten().collect();
        let named = || ["suspect", "reference"].into_iter().zip(&values);
        let tuples = values
            .iter()
            .filter(|value| value.is_instance_of::<PyTuple>());
        match tuples.count() {
            0 => {
                let kind = kind_of(kind, ("logits", Kind::Logits))?;
                let sides = named().map(|(name, value)| {
                    let side = matrix(name, value, b"f", "float32", text.len())?;
                    let width = side.shape()[1];
                    match text.iter().find(|&&token| token as usize >= width) {
                        None => Ok(side),
                        Some(token) => Err(fault(
                            ErrorKind::Logits,
                            format!(
                                "{name}: {width} columns, and the text holds token {token}; give one column for each token of the vocabulary"
                            ),
                        )),
                    }
                });
                Ok(Self::Whole(kind, sides.collect::<Result<_>>()?))
            }
            count if count == values.len() => {
                let kind = kind_of(kind, ("log-probabilities", Kind::LogProbabilities))?;
                let sides = named().map(|(name, value)| listed(name, value, text.len()));
                Ok(Self::Listed(kind, sides.collect::<Result<_>>()?))
            }
            _ => Err(fault(
                ErrorKind::Logits,
                "one of suspect and reference is a pair of arrays and the other is not; both must be cut by the same rule",
            )),
        }
    }

    /// The numbers, for as long as nobody writes to them.
    pub(super) fn numbers(&self) -> Result<Numbers<'_>> {
        Ok(match self {
            Self::Whole(kind, sides) => {
                Numbers::Whole(*kind, sides.iter().map(items).collect::<Result<_>>()?)
            }
            Self::Listed(kind, sides) => {
                let sides = sides
                    .iter()
                    .map(|(ids, values)| Ok((items(ids)?, items(values)?)));
                Numbers::Listed(*kind, sides.collect::<Result<_>>()?)
            }
        })
    }
}

fn items<'a, T: Element>(array: &'a PyReadonlyArray2<'_, T>) -> Result<Matrix<'a, T>> {
    let width = array.shape()[1];
    let items = array
        .as_slice()
        .map_err(|error| fault(ErrorKind::Logits, error.to_string()))?;
    Ok(Matrix { items, width })
}

fn kind_of(name: Option<&str>, usual: (&str, Kind)) -> Result<Kind> {
    match name {
        None => Ok(usual.1),
        Some(name) if name == usual.0 => Ok(usual.1),
        Some("probabilities") => Ok(Kind::Probabilities),
        Some(other) => Err(fault(
            ErrorKind::Parameter,
            format!(
                "kind `{}` is none of {}, probabilities",
                other.escape_debug(),
                usual.0
            ),
        )),
    }
}

/// A matrix of floats (`b"f"`) or integers (`b"iu"`) with a row for each token, as NumPy calls them, in the type that is computed with.
fn matrix<'py, T: Element>(
    what: &str,
    value: &Bound<'py, PyAny>,
    kinds: &[u8],
    dtype: &str,
    tokens: usize,
) -> Result<PyReadonlyArray2<'py, T>> {
    let refused = |message: String| fault(ErrorKind::Logits, format!("{what}: {message}"));
    let Ok(array) = value.cast::<PyUntypedArray>() else {
        return Err(refused(format!(
            "of type {}; give a NumPy array, for a tensor `tensor.float().cpu().numpy()`, or a pair of arrays (ids, log-probabilities)",
            type_name(value)
        )));
    };
    let found = array.dtype();
    if !kinds.contains(&found.kind()) {
        let needed = if kinds == b"f" { "floats" } else { "integers" };
        return Err(refused(format!(
            "dtype {}; {needed} are needed",
            found.str()?
        )));
    }
    match *array.shape() {
        [rows, columns] if rows == tokens && columns > 0 => {}
        _ => {
            return Err(refused(format!(
                "shape {:?} for a text of {tokens} tokens; a row for each token, and at least one column, is needed",
                array.shape()
            )));
        }
    }
    let numpy = value.py().import("numpy")?;
    let array = numpy.call_method1("ascontiguousarray", (value, dtype))?;
    let array = array.cast::<PyArray2<T>>().map_err(PyErr::from)?;
    array
        .try_readonly()
        .map_err(|error| refused(error.to_string()))
}

fn listed<'py>(what: &str, pair: &Bound<'py, PyAny>, tokens: usize) -> Result<Lists<'py>> {
    let Ok((ids, values)) = pair.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>() else {
        return Err(fault(
            ErrorKind::Logits,
            format!("{what}: a tuple, but not of two arrays; give (ids, log-probabilities)"),
        ));
    };
    let ids: PyReadonlyArray2<'_, i64> =
        matrix(&format!("{what}, ids"), &ids, b"iu", "int64", tokens)?;
    let values: PyReadonlyArray2<'_, f64> =
        matrix(&format!("{what}, values"), &values, b"f", "float64", tokens)?;
    if ids.shape() != values.shape() {
        return Err(fault(
            ErrorKind::Logits,
            format!(
                "{what}: ids of shape {:?}, values of shape {:?}; both must agree",
                ids.shape(),
                values.shape()
            ),
        ));
    }
    Ok((ids, values))
}

impl Numbers<'_> {
    /// The lists at each position of a text.
    pub(super) fn pairs(&self, cut: Cut, tokens: usize) -> taggant_core::Result<Vec<Pair>> {
        if cut.top_k == 0 {
            return Err(Error::new(
                ErrorKind::Parameter,
                "top_k is 0; at least the most probable token is needed",
            ));
        }
        (0..tokens)
            .map(|position| {
                if position < cut.first {
                    return Ok(Pair::default());
                }
                let pair = match self {
                    Self::Whole(kind, sides) => whole(*kind, sides, position, cut),
                    Self::Listed(kind, sides) => cut_lists(*kind, sides, position, cut),
                };
                pair.map_err(|error| error.context(format_args!("position {position}")))
            })
            .collect()
    }
}

/// Both models' probabilities at all tokens that are among the most probable of either: a rule in which suspect and reference can change
/// places.
fn whole(
    kind: Kind,
    sides: &[Matrix<'_, f32>],
    position: usize,
    cut: Cut,
) -> taggant_core::Result<Pair> {
    let rows: Vec<&[f32]> = sides.iter().map(|side| side.row(position)).collect();
    let known = rows
        .iter()
        .fold(cut.vocabulary, |known, row| known.min(row.len()));
    let mut ids: Vec<u32> = rows
        .iter()
        .flat_map(|row| most(&row[..known], cut.top_k))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut pair = Pair::default();
    for (list, row) in pair.iter_mut().zip(rows) {
        let probability: Box<dyn Fn(f64) -> f64> = match kind {
            Kind::Probabilities => {
                let total: f64 = row.iter().map(|&p| f64::from(p)).sum();
                if !row.iter().all(|p| (0.0..=1.0).contains(p)) || !sums(total) {
                    return Err(Error::new(
                        ErrorKind::Logits,
                        format!(
                            "probabilities come to {total:.3}; each is from 0 to 1, together they are 1"
                        ),
                    ));
                }
                Box::new(|p| p)
            }
            _ => {
                let total = ln_sum_exp(row);
                if !total.is_finite() {
                    return Err(Error::new(
                        ErrorKind::Logits,
                        "logits that no distribution can be made from: NaN, +∞, or nothing but −∞",
                    ));
                }
                Box::new(move |logit| (logit - total).exp().min(1.0))
            }
        };
        let own = ids
            .iter()
            .map(|&id| (id, probability(f64::from(row[id as usize]))));
        *list = own.collect();
    }
    Ok(pair)
}

/// The `k` largest numbers' places; of equals, the lowest.
fn most(numbers: &[f32], k: usize) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..).take(numbers.len()).collect();
    let value = |id: u32| numbers[id as usize];
    if k < ids.len() {
        ids.select_nth_unstable_by(k, |&a, &b| value(b).total_cmp(&value(a)).then(a.cmp(&b)));
        ids.truncate(k);
    }
    ids
}

fn ln_sum_exp(logits: &[f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let most = f64::from(most);
    let sum: f64 = logits.iter().map(|&x| (f64::from(x) - most).exp()).sum();
    most + sum.ln()
}

/// How far the sum of rounded probabilities may be from 1.
const SLACK: f64 = 1e-2;

fn sums(total: f64) -> bool {
    (total - 1.0).abs() <= SLACK
}

/// The most probable tokens of each list, of equals the lowest ids; all lists are cut to one length, so that one with more in it cannot say
/// what the text's own next token was.
fn cut_lists(
    kind: Kind,
    sides: &[(Matrix<'_, i64>, Matrix<'_, f64>)],
    position: usize,
    cut: Cut,
) -> taggant_core::Result<Pair> {
    let shortest = sides.iter().map(|(ids, _)| ids.width).min().unwrap_or(0);
    let length = cut.top_k.min(shortest);
    let mut pair = Pair::default();
    for (list, (ids, values)) in pair.iter_mut().zip(sides) {
        let tokens = ids.row(position).iter().zip(values.row(position));
        *list = tokens
            .map(|(&id, &value)| entry(kind, id, value, cut.vocabulary))
            .collect::<taggant_core::Result<_>>()?;
        let total: f64 = list.iter().map(|(_, p)| p).sum();
        if total > 1.0 + SLACK {
            return Err(Error::new(
                ErrorKind::Logits,
                format!("probabilities come to {total:.3}; they are at most 1, at temperature 1"),
            ));
        }
        list.sort_unstable_by_key(|&(id, _)| id);
        if let Some(twice) = list.windows(2).find(|two| two[0].0 == two[1].0) {
            return Err(Error::new(
                ErrorKind::Logits,
                format!("token {} occurs twice; give each token once", twice[0].0),
            ));
        }
        list.sort_by(|a, b| b.1.total_cmp(&a.1));
        list.truncate(length);
    }
    Ok(pair)
}

fn entry(kind: Kind, id: i64, value: f64, vocabulary: usize) -> taggant_core::Result<(u32, f64)> {
    let token = u32::try_from(id)
        .ok()
        .filter(|&token| (token as usize) < vocabulary);
    let Some(token) = token else {
        return Err(Error::new(
            ErrorKind::Token,
            format!("token {id} is not in the vocabulary of {vocabulary} tokens"),
        ));
    };
    let (fits, p) = match kind {
        Kind::Probabilities => ((0.0..=1.0).contains(&value), value),
        _ => (value <= 0.1 * SLACK, value.exp().min(1.0)),
    };
    if fits {
        return Ok((token, p));
    }
    let limit = match kind {
        Kind::Probabilities => "a probability is from 0 to 1",
        _ => "a logarithm of a probability is at most 0; these are not logits",
    };
    Err(Error::new(
        ErrorKind::Logits,
        format!("token {token} has {value}; {limit}"),
    ))
}

//! Which draft is served, and commitments to all.

use pyo3::prelude::*;
use pyo3::types::PyString;
use taggant_core::twin::{self, Draft};
use taggant_core::{ErrorKind, TwinKey};

use crate::errors::{Result, fault};
use crate::keys::Key;
use crate::tokens::token_ids;

/// The number of the draft that the exchange `id` serves: uniform, and the same every time. `key` is a key of role twin.
///
/// A draft's number is its place in the order of drawing. Draw first, and ask then: whoever asks first and moves drafts about breaks the
/// test that rests on the choice, and no commitment would show it. `seal` keeps that order by itself.
///
/// >>> from taggant.twins import serve
/// >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/twin/east")
/// >>> serve(key, "exchange 1", 3)
/// 0
#[pyfunction]
pub(crate) fn serve(key: &Key, id: &str, drafts: u32) -> Result<u32> {
    Ok(TwinKey::new(&key.leaf)?.serve(id.as_bytes(), drafts)?)
}

/// Commits to all `drafts` of the exchange `id` and says which is served. A draft is a text, or a list or array of token ids.
///
/// >>> from taggant.twins import seal
/// >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/twin/east")
/// >>> sealed = seal(key, "exchange 1", "7f3a", ["Rayleigh scattering.", "Blue light scatters most.", "The air does it."])
/// >>> sealed.served, len(sealed.salts), sealed.commitment[:8]
/// (0, 3, '18af3dfc')
#[pyfunction]
pub(crate) fn seal(
    py: Python<'_>,
    key: &Key,
    id: &str,
    account: &str,
    drafts: Vec<Content>,
) -> Result<Sealed> {
    let key = TwinKey::new(&key.leaf)?;
    let sealed = py.detach(|| {
        let drafts: Vec<Draft<'_>> = drafts.iter().map(Content::draft).collect();
        key.seal(id.as_bytes(), account.as_bytes(), &drafts)
    })?;
    let hex = |bytes: &[u8; 32]| base16ct::lower::encode_string(bytes);
    Ok(Sealed {
        served: sealed.served,
        salts: sealed.twins.iter().map(|twin| hex(&twin.salt)).collect(),
        twins: sealed
            .twins
            .iter()
            .map(|twin| hex(&twin.commitment))
            .collect(),
        commitment: hex(&sealed.commitment),
    })
}

/// An exchange that was committed to. `served` and `salts` are secret until it is revealed, so they are not shown.
#[pyclass(frozen, get_all, module = "taggant.twins")]
pub(crate) struct Sealed {
    /// The number of the draft to serve.
    served: u32,
    /// What opens the commitment of each draft, in hex.
    salts: Vec<String>,
    /// The commitment of each draft, in hex.
    twins: Vec<String>,
    /// The exchange's commitment, in hex.
    commitment: String,
}

#[pymethods]
impl Sealed {
    fn __repr__(&self) -> String {
        let short: String = self.commitment.chars().take(8).collect();
        format!("Sealed({} drafts, commitment='{short}…')", self.twins.len())
    }
}

/// The commitment of a draft, in hex. Needs no key: whoever is shown a draft and its salt can check it.
///
/// >>> from taggant.twins import seal, twin_commitment
/// >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/twin/east")
/// >>> sealed = seal(key, "exchange 1", "7f3a", ["yes", "no"])
/// >>> twin_commitment("exchange 1", 1, sealed.salts[1], "no") == sealed.twins[1]
/// True
#[pyfunction]
pub(crate) fn twin_commitment(id: &str, index: u32, salt: &str, draft: Content) -> Result<String> {
    let salt = unhex("a salt", salt)?;
    let commitment = twin::twin_commitment(id.as_bytes(), index, &salt, draft.draft())?;
    Ok(base16ct::lower::encode_string(&commitment))
}

/// The commitment of an exchange from those of its drafts, in their order, in hex.
///
/// >>> from taggant.twins import exchange_commitment, seal
/// >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/twin/east")
/// >>> sealed = seal(key, "exchange 1", "7f3a", ["yes", "no"])
/// >>> exchange_commitment("exchange 1", "7f3a", sealed.twins) == sealed.commitment
/// True
#[pyfunction]
pub(crate) fn exchange_commitment(id: &str, account: &str, twins: Vec<String>) -> Result<String> {
    let twins = digests(&twins)?;
    let commitment = twin::exchange_commitment(id.as_bytes(), account.as_bytes(), &twins)?;
    Ok(base16ct::lower::encode_string(&commitment))
}

/// The root over the commitments of many exchanges, whatever their order, in hex: what to have time-stamped.
///
/// >>> from taggant.twins import batch_root
/// >>> batch_root(["01" * 32, "02" * 32]) == batch_root(["02" * 32, "01" * 32])
/// True
#[pyfunction]
pub(crate) fn batch_root(py: Python<'_>, commitments: Vec<String>) -> Result<String> {
    let commitments = digests(&commitments)?;
    let root = py.detach(|| twin::batch_root(&commitments));
    Ok(base16ct::lower::encode_string(&root))
}

fn digests(texts: &[String]) -> Result<Vec<[u8; 32]>> {
    let texts = texts.iter().enumerate();
    texts
        .map(|(place, text)| unhex(&format!("commitment {place}"), text))
        .collect()
}

/// Salts are secret, so what is wrong is not shown.
fn unhex(what: &str, text: &str) -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() == 64 && base16ct::lower::decode(text, &mut bytes).is_ok() {
        return Ok(bytes);
    }
    Err(fault(
        ErrorKind::Parameter,
        format!(
            "{what} has 64 lower-case hex digits; this has {} characters",
            text.chars().count()
        ),
    ))
}

/// A draft taken out of Python's hands.
pub(crate) enum Content {
    Text(String),
    Tokens(Vec<u32>),
}

impl Content {
    fn draft(&self) -> Draft<'_> {
        match self {
            Self::Text(text) => Draft::Text(text),
            Self::Tokens(tokens) => Draft::Tokens(tokens),
        }
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Content {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Ok(match value.cast::<PyString>() {
            Ok(text) => Self::Text(text.to_str()?.to_owned()),
            Err(_) => Self::Tokens(token_ids("draft", &value)?),
        })
    }
}

//! Mark records: what a detector must know, and never a key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::de::IgnoredAny;
use taggant_core::schemes::Parameters;
use taggant_core::{ErrorKind, TokenizerId};

use crate::errors::{Result, fault};
use crate::files;
use crate::keys::Keys;

/// What was marked, how, and by which keys; never the keys.
///
/// `keys` is a Key, or a campaign key and an account key that share the windows evenly. `tokenizer` is the tokenizer's digest in
/// hex (`taggant` prints it, and every record holds it), `vocabulary` its number of token ids.
///
/// >>> key = RootKey.from_bytes(bytes(32)).derive("2026-12/campaign/east")
/// >>> record = Record("gumbel", 2, key, tokenizer="00" * 32, vocabulary=49_152)
/// >>> record
/// Record('gumbel/1', window=2, layers=['campaign'], vocabulary=49152)
/// >>> Record.from_json(record.to_json()) == record
/// True
#[pyclass(frozen, eq, module = "taggant")]
#[derive(PartialEq)]
pub(crate) struct Record {
    pub(crate) record: taggant_core::Record,
}

#[pymethods]
impl Record {
    #[new]
    #[pyo3(signature = (scheme, window, keys, *, tokenizer, vocabulary, parameters = None, statistic = "sum", profile = None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "named arguments are what Python has for a table of options"
    )]
    fn new(
        scheme: &str,
        window: usize,
        keys: Keys<'_>,
        tokenizer: Digest,
        vocabulary: usize,
        parameters: Option<BTreeMap<String, f64>>,
        statistic: &str,
        profile: Option<&str>,
    ) -> Result<Self> {
        let parameters = parameters.unwrap_or_default();
        let given: Vec<(&str, f64)> = parameters
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let scheme = Parameters::new(scheme, &given)?;
        let tokenizer = TokenizerId::new(tokenizer.0, vocabulary)?;
        let record = taggant_core::Record::new(scheme, window, &keys.leaves(), tokenizer)?;
        let record = record.with_score(statistic.parse()?)?;
        Ok(Self {
            record: match profile {
                Some(profile) => record.with_profile(profile),
                None => record,
            },
        })
    }

    /// Reads the one record in a file.
    #[staticmethod]
    fn load(path: PathBuf) -> Result<Self> {
        let text = files::read(&path, files::MAX_RECORDS)?;
        let record = taggant_core::Record::from_json(&text)
            .map_err(|error| error.context(path.display()))?;
        Ok(Self { record })
    }

    /// Reads a file of records, one after another, as `taggant generate --account-keys` writes them.
    #[staticmethod]
    fn load_many(path: PathBuf) -> Result<Vec<Self>> {
        let text = files::read(&path, files::MAX_RECORDS)?;
        let mut values = serde_json::Deserializer::from_str(&text).into_iter::<IgnoredAny>();
        let (mut records, mut start) = (Vec::new(), 0);
        while !text[start..].trim().is_empty() {
            // What is not JSON is for the record's own reader to complain about.
            let whole = matches!(values.next(), Some(Ok(_)));
            let end = if whole {
                values.byte_offset()
            } else {
                text.len()
            };
            let record = taggant_core::Record::from_json(&text[start..end]).map_err(|error| {
                let number = records.len() + 1;
                error.context(format_args!("{}, record {number}", path.display()))
            })?;
            records.push(Self { record });
            start = end;
        }
        Ok(records)
    }

    /// Reads a record from text.
    #[staticmethod]
    fn from_json(text: &str) -> Result<Self> {
        let record = taggant_core::Record::from_json(text)?;
        Ok(Self { record })
    }

    /// Writes the record to a file, in place of one that is there.
    fn save(&self, path: PathBuf) -> Result<()> {
        Ok(files::write(&path, &self.record.to_json())?)
    }

    /// The record as JSON, without a line's end.
    fn to_json(&self) -> String {
        self.record.to_json()
    }

    /// The scheme's id, such as "gumbel/1".
    #[getter]
    fn scheme(&self) -> &'static str {
        self.record.scheme().id()
    }

    /// The scheme's parameters by name.
    #[getter]
    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let parameters = PyDict::new(py);
        for (name, value) in self.record.scheme().iter() {
            parameters.set_item(name, value)?;
        }
        Ok(parameters)
    }

    /// The primary statistic: "sum", "weighted" or "maximin".
    #[getter]
    fn statistic(&self) -> &'static str {
        self.record.score().name()
    }

    /// Tokens in a window of the first layer.
    #[getter]
    fn window(&self) -> usize {
        self.record.layers().first().map_or(0, |layer| layer.window)
    }

    /// The layers: one, or campaign and account.
    #[getter]
    fn layers(&self) -> Vec<Layer> {
        self.record.layers().iter().map(Layer::of).collect()
    }

    /// The share of windows that the campaign layer owns; None with one layer.
    #[getter]
    fn share(&self) -> Option<f64> {
        let route = self.record.route()?;
        Some(f64::from(route.share) / 4_294_967_296.0)
    }

    /// The digest of the tokenizer whose ids were marked, in hex.
    #[getter]
    fn tokenizer(&self) -> String {
        base16ct::lower::encode_string(&self.record.tokenizer().digest)
    }

    /// The tokenizer's number of token ids.
    #[getter]
    fn vocabulary(&self) -> usize {
        self.record.tokenizer().vocabulary
    }

    /// The profile's label, if one was chosen.
    #[getter]
    fn profile(&self) -> Option<&str> {
        self.record.profile()
    }

    fn __repr__(&self) -> String {
        let roles: Vec<String> = self
            .record
            .layers()
            .iter()
            .map(|layer| format!("'{}'", layer.role))
            .collect();
        format!(
            "Record('{}', window={}, layers=[{}], vocabulary={})",
            self.scheme(),
            self.window(),
            roles.join(", "),
            self.vocabulary()
        )
    }
}

/// One layer of a mark.
#[pyclass(frozen, get_all, module = "taggant")]
pub(crate) struct Layer {
    /// "campaign" or "account".
    role: &'static str,
    /// Tokens in a window.
    window: usize,
    /// Commitment of the layer's key, in hex.
    commitment: String,
}

impl Layer {
    fn of(layer: &taggant_core::LayerRecord) -> Self {
        Self {
            role: layer.role.name(),
            window: layer.window,
            commitment: base16ct::lower::encode_string(&layer.key),
        }
    }
}

#[pymethods]
impl Layer {
    fn __repr__(&self) -> String {
        let short: String = self.commitment.chars().take(8).collect();
        format!(
            "Layer('{}', window={}, commitment='{short}…')",
            self.role, self.window
        )
    }
}

/// A digest of 32 bytes, given in hex.
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl<'a, 'py> FromPyObject<'a, 'py> for Digest {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let text: &str = value.extract()?;
        let mut digest = [0; 32];
        if text.len() != 64 || base16ct::lower::decode(text, &mut digest).is_err() {
            return Err(fault(
                ErrorKind::Parameter,
                format!(
                    "a tokenizer's digest has 64 lower-case hex digits; this has {} characters",
                    text.chars().count()
                ),
            )
            .into());
        }
        Ok(Self(digest))
    }
}

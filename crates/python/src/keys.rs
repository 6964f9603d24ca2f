//! Root and leaf keys. Python never sees their bytes.

use std::path::PathBuf;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use taggant_core::{ErrorKind, Family, LeafKey};
use zeroize::Zeroizing;

use crate::errors::{Fault, Result, fault, type_name};
use crate::files;

/// The root of a key tree. Whoever holds it can derive every key, so it stays offline.
///
/// >>> root = RootKey.from_bytes(bytes(32))     # in earnest: RootKey.generate()
/// >>> root.derive("2026-12/campaign/east")
/// Key('2026-12/campaign/east', commitment='9a2e886b…')
#[pyclass(frozen, eq, module = "taggant")]
#[derive(PartialEq, Eq)]
pub(crate) struct RootKey {
    root: taggant_core::RootKey,
}

#[pymethods]
impl RootKey {
    /// A new root of the forensic family, drawn from the operating system.
    #[staticmethod]
    fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|error| {
            fault(
                ErrorKind::Io,
                format!("the system gives no random numbers: {error}"),
            )
        })?;
        Ok(Self {
            root: taggant_core::RootKey::from_bytes(*bytes),
        })
    }

    /// A root from 32 bytes that are random already; `family` is "forensic" or "public".
    #[staticmethod]
    #[pyo3(signature = (secret, family = "forensic"))]
    fn from_bytes(secret: &[u8], family: &str) -> Result<Self> {
        let bytes = <[u8; 32]>::try_from(secret).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| {
            fault(
                ErrorKind::Key,
                format!("a root has 32 bytes; {} were given", secret.len()),
            )
        })?;
        Ok(Self {
            root: taggant_core::RootKey::in_family(family.parse()?, *bytes),
        })
    }

    /// Reads a root key file, as made by `taggant key new` or `save`. Only its owner may be able to read it.
    #[staticmethod]
    fn load(path: PathBuf) -> Result<Self> {
        let text = files::read_secret(&path, files::MAX_KEY_FILE)?;
        let root = taggant_core::RootKey::from_json(&text)
            .map_err(|error| error.context(path.display()))?;
        Ok(Self { root })
    }

    /// Writes a root key file that only its owner can read, and never over another.
    fn save(&self, path: PathBuf) -> Result<()> {
        Ok(files::write_secret(&path, &self.root.to_json())?)
    }

    /// The key at `path`: epoch/role/id, such as "2026-12/campaign/east".
    ///
    /// `taggant key derive` also keeps the list of paths that an epoch's commitment is made of; a key derived here is on no list.
    fn derive(&self, path: &str) -> Result<Key> {
        Ok(Key {
            leaf: self.root.derive(&path.parse()?),
        })
    }

    /// "forensic" or "public".
    #[getter]
    fn family(&self) -> &'static str {
        self.root.family().name()
    }

    fn __repr__(&self) -> String {
        format!("RootKey(family='{}')", self.family())
    }
}

/// One key of the tree: what marks are made and found with.
///
/// Its bytes never reach Python: it shows its path and its commitment, compares in constant time, and cannot be pickled.
#[pyclass(frozen, eq, module = "taggant")]
#[derive(PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) leaf: LeafKey,
}

#[pymethods]
impl Key {
    /// Reads a key file, as made by `taggant key derive` or `save`. Only its owner may be able to read it.
    #[staticmethod]
    fn load(path: PathBuf) -> Result<Self> {
        let text = files::read_secret(&path, files::MAX_KEY_FILE)?;
        Self::read(&text).map_err(|fault| at(fault, path.display()))
    }

    /// Reads a file of many keys, one a line, as made by `taggant key derive --paths`.
    #[staticmethod]
    fn load_many(path: PathBuf) -> Result<Vec<Self>> {
        let text = files::read_secret(&path, files::MAX_KEYS_FILE)?;
        let lines = (1..).zip(text.lines());
        let lines = lines.filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(number, line)| {
                let place = format_args!("{}, line {number}", path.display()).to_string();
                Self::read(line).map_err(|fault| at(fault, place))
            })
            .collect()
    }

    /// The key at `path` below `root`: the same as `root.derive(path)`.
    #[staticmethod]
    fn derive(root: &RootKey, path: &str) -> Result<Self> {
        root.derive(path)
    }

    /// Writes a key file that only its owner can read, and never over another.
    fn save(&self, path: PathBuf) -> Result<()> {
        Ok(files::write_secret(&path, &self.leaf.to_json())?)
    }

    /// Where the key hangs in its tree: epoch/role/id.
    #[getter]
    fn path(&self) -> String {
        self.leaf.path().to_string()
    }

    /// What the key is for: "campaign", "account", …
    #[getter]
    fn role(&self) -> &'static str {
        self.leaf.path().role().name()
    }

    /// "forensic" or "public".
    #[getter]
    fn family(&self) -> &'static str {
        self.leaf.family().name()
    }

    /// The commitment by which records name the key, in hex. It says nothing about the key.
    #[getter]
    fn commitment(&self) -> String {
        base16ct::lower::encode_string(&self.leaf.commitment())
    }

    fn __repr__(&self) -> String {
        let commitment = self.commitment();
        let short: String = commitment.chars().take(8).collect();
        format!("Key('{}', commitment='{short}…')", self.path())
    }
}

impl Key {
    /// As the command reads keys: what it serves are forensic keys, and the two families never mix.
    fn read(text: &str) -> Result<Self> {
        let leaf = LeafKey::from_json(text)?;
        if leaf.family() != Family::Forensic {
            return Err(fault(
                ErrorKind::Key,
                "a key of the public family; forensic keys are needed, and the two never mix",
            ));
        }
        Ok(Self { leaf })
    }
}

fn at(fault: Fault, place: impl std::fmt::Display) -> Fault {
    match fault {
        Fault::Ours(error) => Fault::Ours(error.context(place)),
        other => other,
    }
}

/// The keys of one mark: one, or one for each layer.
pub(crate) struct Keys<'py>(Vec<Bound<'py, Key>>);

impl<'a, 'py> FromPyObject<'a, 'py> for Keys<'py> {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(key) = value.cast::<Key>() {
            return Ok(Self(vec![key.to_owned()]));
        }
        value.extract().map(Self).map_err(|_| {
            let found = type_name(&value);
            PyTypeError::new_err(format!("of type {found}; give a Key, or a list of Keys"))
        })
    }
}

impl Keys<'_> {
    /// The keys as the libraries take them.
    pub(crate) fn leaves(&self) -> Vec<&LeafKey> {
        self.0.iter().map(|key| &key.get().leaf).collect()
    }
}

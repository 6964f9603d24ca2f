//! Keys. C never sees their bytes again.
#![expect(
    unsafe_code,
    reason = "a fixed name, which C needs, counts as unsafe; no unsafe block is here"
)]

use taggant_core::{Error, ErrorKind, Family, LeafKey};

use crate::fault::{Fault, Message, Result, make, needed, plain};
use crate::files;
use crate::raw::{Bytes, Keys, Text};

/// One key of a key tree: what marks are made and found with. May be shared among threads.
#[derive(Debug)]
pub struct Key {
    pub(crate) leaf: LeafKey,
}

/// Reads a key file, as `taggant key derive` makes it. Only its owner may be able to read the file (mode 0600).
///
/// Returns NULL on failure: `TAGGANT_STATUS_IO` (cannot be read), `TAGGANT_STATUS_KEY` (no key file, of the public family, or readable by others),
/// `TAGGANT_STATUS_LIMIT` (over 4096 bytes), `TAGGANT_STATUS_FORMAT` (the path or the file is not UTF-8).
/// The caller frees the key with `taggant_key_free`; samplers and detections made with it do not need it any more.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_key_load(path: Text<'_>, error: Message<'_>) -> Option<Box<Key>> {
    make(error, || {
        let path = path.read("path")?;
        let text = files::read_secret(path, files::MAX_KEY_FILE)?;
        Ok(Key {
            leaf: forensic(&text).map_err(|error| error.context(path))?,
        })
    })
}

/// Reads a key from `length` bytes: those of a key file, for keys that are kept elsewhere. Wiping `json` is the caller's.
///
/// Returns NULL on failure, as `taggant_key_load` does.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_key_parse(
    json: Bytes<'_>,
    length: usize,
    error: Message<'_>,
) -> Option<Box<Key>> {
    make(error, || {
        let text = files::text(json.read("json", length)?)?;
        Ok(Key {
            leaf: forensic(&text)?,
        })
    })
}

/// Wipes and frees a key. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_key_free(key: Option<Box<Key>>) {
    plain((), || drop(key));
}

/// As the command reads keys: what is served is marked by forensic keys, and the two families never mix.
fn forensic(text: &str) -> taggant_core::Result<LeafKey> {
    let leaf = LeafKey::from_json(text)?;
    if leaf.family() != Family::Forensic {
        return Err(Error::new(
            ErrorKind::Key,
            "a key of the public family; forensic keys are needed, and the two never mix",
        ));
    }
    Ok(leaf)
}

/// The keys of one mark.
pub(crate) fn leaves(keys: Keys<'_>, count: usize) -> Result<Vec<&LeafKey>> {
    if count == 0 {
        return Err(Fault::from(Error::new(
            ErrorKind::Parameter,
            "no keys; a mark has one key, or a campaign key and an account key",
        )));
    }
    keys.read("keys", count)?
        .iter()
        .enumerate()
        .map(|(place, key)| Ok(&needed(*key, &format!("keys[{place}]"))?.leaf))
        .collect()
}

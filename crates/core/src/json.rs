//! JSON forms of key files, mark records, epoch commitments and reveals (SPEC.md §6–§8).
//!
//! Errors from reading a key file give a line and a column and never quote the file.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::commit::{CONTROLS, Epoch};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{LeafKey, RootKey};
use crate::record::{LayerRecord, Record, RouteRecord, TokenizerId};
use crate::reveal::Reveal;
use crate::schemes::Parameters;

const ROOT_FORMAT: &str = "taggant-root/1";
const KEY_FORMAT: &str = "taggant-key/1";
const RECORD_FORMAT: &str = "taggant-record/1";
const EPOCH_FORMAT: &str = "taggant-epoch/1";
const REVEAL_FORMAT: &str = "taggant-reveal/1";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RootFile<'a> {
    format: &'a str,
    family: &'a str,
    key: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeafFile<'a> {
    format: &'a str,
    family: &'a str,
    path: &'a str,
    salt: &'a str,
    key: &'a str,
}

impl RootKey {
    /// The key file of SPEC.md §7, one line. Secret.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let key = Zeroizing::new(base16ct::lower::encode_string(self.bytes()));
        Zeroizing::new(format!(
            r#"{{"format":"{ROOT_FORMAT}","family":"{}","key":"{}"}}"#,
            self.family().name(),
            *key
        ))
    }

    /// Reads a root key file.
    ///
    /// # Errors
    /// [`ErrorKind::Key`]; the message never quotes the file.
    pub fn from_json(text: &str) -> Result<Self> {
        let file: RootFile<'_> = secret_json(text, "root key file")?;
        check_format(file.format, ROOT_FORMAT, ErrorKind::Key)?;
        Ok(Self::in_family(
            unquoted(file.family, "family")?,
            *secret_hex(file.key)?,
        ))
    }
}

impl LeafKey {
    /// The key file of SPEC.md §7, one line. Secret.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let key = Zeroizing::new(base16ct::lower::encode_string(self.bytes()));
        Zeroizing::new(format!(
            r#"{{"format":"{KEY_FORMAT}","family":"{}","path":"{}","salt":"{}","key":"{}"}}"#,
            self.family().name(),
            self.path(),
            base16ct::lower::encode_string(self.salt()),
            *key
        ))
    }

    /// Reads a leaf key file.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] or [`ErrorKind::Path`]; the message never quotes the file's secrets.
    pub fn from_json(text: &str) -> Result<Self> {
        let file: LeafFile<'_> = secret_json(text, "key file")?;
        check_format(file.format, KEY_FORMAT, ErrorKind::Key)?;
        Ok(Self::from_parts(
            unquoted(file.family, "family")?,
            unquoted(file.path, "path")?,
            *secret_hex(file.salt)?,
            *secret_hex(file.key)?,
        ))
    }
}

/// Parses a file that holds a secret. `serde_json`'s messages may quote a value, so only the place is passed on.
fn secret_json<'a, T: Deserialize<'a>>(text: &'a str, what: &str) -> Result<T> {
    serde_json::from_str(text.trim()).map_err(|error| {
        let fault = if text.trim().is_empty() {
            "it is empty".to_owned()
        } else if error.is_eof() {
            "it ends too early".to_owned()
        } else {
            format!("line {}, column {}", error.line(), error.column())
        };
        Error::new(ErrorKind::Key, format!("not a {what}: {fault}"))
    })
}

/// Reads a field of a file that holds a secret: the secret may stand in the wrong field, so what stands there is not quoted.
fn unquoted<T: std::str::FromStr<Err = Error>>(text: &str, field: &str) -> Result<T> {
    text.parse().map_err(|error: Error| {
        Error::new(
            error.kind(),
            format!("the file's {field} of {} bytes is none", text.len()),
        )
    })
}

fn secret_hex(text: &str) -> Result<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    if text.len() != 64 {
        return Err(Error::new(
            ErrorKind::Key,
            format!("a key has {} hex digits; 64 are needed", text.len()),
        ));
    }
    base16ct::lower::decode(text, &mut *bytes).map_err(|_| {
        Error::new(
            ErrorKind::Key,
            "a key holds something other than lower-case hex digits",
        )
    })?;
    Ok(bytes)
}

fn check_format(found: &str, known: &str, kind: ErrorKind) -> Result<()> {
    if found == known {
        return Ok(());
    }
    let shown: String = found.escape_debug().take(40).collect();
    Err(Error::new(
        kind,
        format!("format is `{shown}`; this version reads {known}"),
    ))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordFile {
    format: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(deserialize_with = "no_repeats")]
    scheme: Map<String, Value>,
    score: String,
    layers: Vec<LayerFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<RouteFile>,
    tokenizer: TokenizerFile,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerFile {
    role: String,
    window: usize,
    key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteFile {
    share: u32,
    key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenizerFile {
    digest: String,
    vocabulary: usize,
}

/// An object whose fields are all different; `Map` by itself would keep the last of two.
fn no_repeats<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Map<String, Value>, D::Error> {
    struct Fields;

    impl<'de> Visitor<'de> for Fields {
        type Value = Map<String, Value>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(
            self,
            mut access: A,
        ) -> std::result::Result<Self::Value, A::Error> {
            let mut fields = Map::new();
            while let Some((name, value)) = access.next_entry::<String, Value>()? {
                if fields.insert(name, value).is_some() {
                    return Err(serde::de::Error::custom("a field is repeated"));
                }
            }
            Ok(fields)
        }
    }

    deserializer.deserialize_map(Fields)
}

impl Record {
    /// The record as JSON (SPEC.md §6), with line breaks.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut scheme = Map::from_iter([("id".to_owned(), Value::from(self.scheme.id()))]);
        scheme.extend(
            self.scheme
                .iter()
                .map(|(name, value)| (name.to_owned(), number(value))),
        );
        let file = RecordFile {
            format: RECORD_FORMAT.to_owned(),
            profile: self.profile.clone(),
            scheme,
            score: self.score.name().to_owned(),
            layers: self
                .layers
                .iter()
                .map(|layer| LayerFile {
                    role: layer.role.name().to_owned(),
                    window: layer.window,
                    key: base16ct::lower::encode_string(&layer.key),
                })
                .collect(),
            route: self.route.map(|route| RouteFile {
                share: route.share,
                key: base16ct::lower::encode_string(&route.key),
            }),
            tokenizer: TokenizerFile {
                digest: base16ct::lower::encode_string(&self.tokenizer.digest),
                vocabulary: self.tokenizer.vocabulary,
            },
        };
        serde_json::to_string_pretty(&file).unwrap_or_default()
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`ErrorKind::Record`] when the text is not a record of this version, or the kind of the rule it breaks.
    pub fn from_json(text: &str) -> Result<Self> {
        let file: RecordFile = serde_json::from_str(text).map_err(|error| {
            Error::new(ErrorKind::Record, format!("not a mark record: {error}"))
        })?;
        check_format(&file.format, RECORD_FORMAT, ErrorKind::Record)?;
        let score = file.score.parse()?;
        let id = file
            .scheme
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let parameters =
            file.scheme
                .iter()
                .filter(|(name, _)| *name != "id")
                .map(|(name, value)| {
                    let value = value.as_f64().ok_or_else(|| {
                        Error::new(
                            ErrorKind::Record,
                            format!("scheme parameter `{}` is not a number", name.escape_debug()),
                        )
                    });
                    Ok((name.as_str(), value?))
                });
        let layers = file.layers.iter().map(|layer| {
            Ok(LayerRecord {
                role: layer.role.parse()?,
                window: layer.window,
                key: digest("key commitment", &layer.key)?,
            })
        });
        let route = file.route.as_ref().map(|route| {
            Ok(RouteRecord {
                share: route.share,
                key: digest("route commitment", &route.key)?,
            })
        });
        Self {
            profile: file.profile,
            scheme: Parameters::new(id, &parameters.collect::<Result<Vec<_>>>()?)?,
            score,
            layers: layers.collect::<Result<_>>()?,
            route: route.transpose()?,
            tokenizer: TokenizerId::new(
                digest("tokenizer digest", &file.tokenizer.digest)?,
                file.tokenizer.vocabulary,
            )?,
        }
        .checked()
        .map_err(|error| error.context("mark record"))
    }
}

/// Whole numbers without a fraction, as people write them.
fn number(value: f64) -> Value {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be whole and below 2^53"
    )]
    if value.fract() == 0.0 && value.abs() < 9e15 {
        Value::from(value as i64)
    } else {
        Value::from(value)
    }
}

fn digest(what: &str, text: &str) -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    match base16ct::lower::decode(text, &mut bytes) {
        Ok(found) if found.len() == 32 => Ok(bytes),
        _ => Err(Error::new(
            ErrorKind::Record,
            format!("{what} is not 64 lower-case hex digits"),
        )),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EpochFile {
    format: String,
    family: String,
    epoch: String,
    size: usize,
    controls: usize,
    root: String,
    leaves: Vec<String>,
}

impl Epoch {
    /// The epoch commitment file (SPEC.md §8), one line. Public.
    #[must_use]
    pub fn to_json(&self) -> String {
        let file = EpochFile {
            format: EPOCH_FORMAT.to_owned(),
            family: self.family().name().to_owned(),
            epoch: self.label().to_owned(),
            size: self.leaves().len(),
            controls: CONTROLS,
            root: base16ct::lower::encode_string(&self.root()),
            leaves: self
                .leaves()
                .iter()
                .map(|leaf| base16ct::lower::encode_string(leaf))
                .collect(),
        };
        serde_json::to_string(&file).unwrap_or_default()
    }

    /// Reads an epoch commitment file. Its leaves must lead to its root.
    ///
    /// # Errors
    /// [`ErrorKind::Format`], naming what is wrong with it.
    pub fn from_json(text: &str) -> Result<Self> {
        let wrong = |fault: String| {
            Error::new(
                ErrorKind::Format,
                format!("not an epoch commitment: {fault}"),
            )
        };
        let file: EpochFile =
            serde_json::from_str(text.trim()).map_err(|error| wrong(error.to_string()))?;
        check_format(&file.format, EPOCH_FORMAT, ErrorKind::Format)?;
        let leaves: Vec<_> = file
            .leaves
            .iter()
            .map(|leaf| hash(leaf))
            .collect::<Result<_>>()?;
        let (size, root) = (leaves.len(), hash(&file.root)?);
        if size != file.size || file.controls != CONTROLS {
            return Err(wrong(format!(
                "it has {size} leaves, {} of them controls, and says {}; {CONTROLS} are controls",
                file.controls, file.size
            )));
        }
        let epoch = Self::from_leaves(file.family.parse()?, &file.epoch, leaves)?;
        if epoch.root() != root {
            return Err(wrong("its leaves do not lead to its root".to_owned()));
        }
        Ok(epoch)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevealFile<'a> {
    format: &'a str,
    family: &'a str,
    path: &'a str,
    salt: &'a str,
    key: &'a str,
    index: u64,
    size: u64,
    #[serde(borrow)]
    proof: Vec<&'a str>,
    root: &'a str,
}

/// Longest audit path: that of 2^63 leaves.
const MAX_PATH: usize = 63;

impl Reveal {
    /// The reveal file of SPEC.md §8.1, one line. It discloses the key.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let key = self.key();
        let secret = Zeroizing::new(base16ct::lower::encode_string(key.bytes()));
        let proof: Vec<String> = self
            .path()
            .iter()
            .map(|hash| format!("\"{}\"", base16ct::lower::encode_string(hash)))
            .collect();
        Zeroizing::new(format!(
            r#"{{"format":"{REVEAL_FORMAT}","family":"{}","path":"{}","salt":"{}","key":"{}","index":{},"size":{},"proof":[{}],"root":"{}"}}"#,
            key.family().name(),
            key.path(),
            base16ct::lower::encode_string(key.salt()),
            *secret,
            self.index(),
            self.size(),
            proof.join(","),
            base16ct::lower::encode_string(&self.root())
        ))
    }

    /// Reads a reveal file; what it gives back is known to lead to the root it names.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] or [`ErrorKind::Path`] for a file that is none, [`ErrorKind::Mismatch`] when the proof does not lead from the key to the root. The
    /// message never quotes the file's secrets.
    pub fn from_json(text: &str) -> Result<Self> {
        let file: RevealFile<'_> = secret_json(text, "reveal")?;
        check_format(file.format, REVEAL_FORMAT, ErrorKind::Key)?;
        if file.proof.len() > MAX_PATH {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "a proof of {} hashes; at most {MAX_PATH} are possible",
                    file.proof.len()
                ),
            ));
        }
        let key = LeafKey::from_parts(
            unquoted(file.family, "family")?,
            unquoted(file.path, "path")?,
            *secret_hex(file.salt)?,
            *secret_hex(file.key)?,
        );
        let path = file
            .proof
            .iter()
            .map(|text| hash(text))
            .collect::<Result<_>>()?;
        Self::new(key, file.index, file.size, path, hash(file.root)?)
    }
}

/// A public hash.
fn hash(text: &str) -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    match base16ct::lower::decode(text, &mut bytes) {
        Ok(found) if found.len() == 32 => Ok(bytes),
        _ => Err(Error::new(
            ErrorKind::Format,
            format!(
                "a hash is {} bytes that are not 64 lower-case hex digits",
                text.len()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// K-3: an opened leaf is what was committed to, to the bit, and what is written says nothing of other leaves.
    #[test]
    fn no_bit_of_a_reveal_can_change() {
        let root = RootKey::from_bytes([9; 32]);
        let path: crate::Path = "2026-12/campaign/east".parse().unwrap();
        let epoch = Epoch::commit(&root, "2026-12", std::slice::from_ref(&path)).unwrap();
        let epoch = Epoch::from_json(&epoch.to_json()).unwrap();
        let text = epoch.reveal(&root.derive(&path)).unwrap().to_json();
        let read = Reveal::from_json(&text).unwrap();
        assert_eq!((read.to_json(), read.root()), (text.clone(), epoch.root()));
        for bit in 0..8 * text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            // The root is what a time-stamp vouches for.
            let same =
                Reveal::from_json(&changed).is_ok_and(|reveal| reveal.root() == epoch.root());
            assert!(!same, "bit {} of byte {}", bit % 8, bit / 8);
        }
        for other in ["2026-12/control/0000", "2026-12/campaign/west"] {
            let other = root.derive(&other.parse().unwrap());
            assert!(!text.contains(&base16ct::lower::encode_string(other.bytes())));
        }
        assert!(!text.contains(&base16ct::lower::encode_string(root.bytes())));
    }

    #[test]
    fn epoch_files_that_hold_something_else_are_refused() {
        let root = RootKey::from_bytes([9; 32]);
        let text = Epoch::commit(&root, "e", &[]).unwrap().to_json();
        let last = text.rfind(",\"").unwrap();
        for (bad, part) in [
            (String::new(), "EOF"),
            (text.replace("epoch/1", "epoch/2"), "taggant-epoch/2"),
            (text.replace("2048", "2047"), "says 2047"),
            (text.replace("999", "998"), "998 of them controls"),
            (text.replacen("\"root\":\"", "\"root\":\"0", 1), "65 bytes"),
            (format!("{}]}}", &text[..last]), "says 2048"),
        ] {
            let error = Epoch::from_json(&bad).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

//! Keys of unknown use: for each format that could take one, a configuration.

use std::fmt;

use serde_json::{Map, Value, json};
use taggant_core::{Error, ErrorKind, Result};

use crate::config::Fields;
use crate::formats::Definition;
use crate::mark::{self, Mark};

/// A key in one format.
#[non_exhaustive]
pub struct Candidate {
    /// The format.
    pub format: &'static str,
    /// Its configuration with the key in it.
    pub config: Map<String, Value>,
    /// The mark.
    pub mark: Mark,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// What an entry stands for, and the formats that would take its key but cannot be tried, each with the reason.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Candidates {
    /// To be tried.
    pub ready: Vec<Candidate>,
    /// Not to be tried.
    pub skipped: Vec<(&'static str, Error)>,
}

/// How a format writes its key.
enum Key {
    Whole(&'static str),
    Hex(&'static str),
    List(&'static str),
}

fn key_of(format: &str) -> Key {
    let families = [
        ("vllm-", Key::Whole("key")),
        ("sglang-", Key::Hex("key")),
        ("hf-kgw", Key::Whole("hashing_key")),
        ("hf-synthid", Key::List("keys")),
        ("deepmind-synthid", Key::List("keys")),
        ("textseal-", Key::Whole("secret_key")),
        ("maryland", Key::Whole("seed")),
        ("openai", Key::Whole("seed")),
    ];
    let found = families
        .into_iter()
        .find(|(family, _)| format.starts_with(family));
    found.map_or(Key::Whole("hash_key"), |(_, key)| key)
}

/// The candidates that an entry of a list of keys stands for, over `formats`.
///
/// An entry is an object. With `format` and `config` it is one candidate. With `key` (a whole number, hex digits as text, or a list of
/// whole numbers) it is one for each format that can take such a key; whatever else it holds, besides `name`, is a hint for the formats that
/// have such a field; one that no format knows is an error. `vocabulary` stands in for `vocab_size`.
///
/// # Errors
/// [`ErrorKind::Parameter`] for an entry that is none of these, or with a configuration that its format does not take.
pub fn candidates(
    entry: &Map<String, Value>,
    formats: &[&'static Definition],
    vocabulary: Option<u32>,
) -> Result<Candidates> {
    if let Some(config) = entry.get("config") {
        let (Some(format), Some(config)) = (
            entry.get("format").and_then(Value::as_str),
            config.as_object(),
        ) else {
            return Err(fault(
                "an entry with `config` needs `format`, a text, and `config`, an object",
            ));
        };
        let mark = Mark::with_vocabulary(
            format,
            &Value::Object(config.clone()).to_string(),
            vocabulary,
        )?;
        return Ok(Candidates {
            ready: vec![Candidate {
                format: mark.definition().id,
                config: config.clone(),
                mark,
            }],
            skipped: Vec::new(),
        });
    }
    let Some(key) = entry.get("key") else {
        return Err(fault(
            "an entry has neither `key` nor `format` and `config`",
        ));
    };
    // An entry that names its format is tried in that one, whatever else is scanned for.
    let own;
    let formats = match entry.get("format") {
        None => formats,
        Some(Value::String(format)) => {
            own = [mark::find(format)?];
            &own[..]
        }
        Some(_) => return Err(fault("`format` of an entry is no text")),
    };
    let hint = |field: &str| !["name", "format", "key"].contains(&field);
    let mut strange: Vec<&String> = entry.keys().filter(|field| hint(field)).collect();
    let mut found = Candidates::default();
    for definition in formats.iter().copied() {
        let Some((name, value)) = written(&key_of(definition.id), key) else {
            continue;
        };
        let mut config: Map<String, Value> = entry
            .iter()
            .filter(|(field, _)| hint(field))
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect();
        config.insert(name.to_owned(), value);
        if let Some((field, usual)) = usual(definition.id) {
            config.entry(field).or_insert(usual);
        }
        let mut fields = Fields::of(definition.id, config.clone()).with_vocabulary(vocabulary);
        let built = (definition.build)(definition, &mut fields);
        // Hints that are for other formats.
        let left = fields.left();
        strange.retain(|field| left.contains(field));
        for name in left {
            config.shift_remove(&name);
        }
        match built {
            Ok(mark) => found.ready.push(Candidate {
                format: definition.id,
                config,
                mark,
            }),
            Err(error) => found.skipped.push((definition.id, error)),
        }
    }
    if let Some(field) = strange.first().filter(|_| !found.ready.is_empty()) {
        return Err(fault(&format!(
            "no format that is tried has a field `{}`",
            field.escape_debug()
        )));
    }
    if !found.ready.is_empty() {
        return Ok(found);
    }
    match found.skipped.pop() {
        Some((_, error)) => Err(error),
        None => Err(fault(
            "no format takes such a `key`; it must be a whole number from 0 to 2^64 - 1, hex digits as text, or a list of whole numbers",
        )),
    }
}

/// What configurations of a format usually say where the format itself has no default: both SynthID packages' examples, and the share that
/// lm-watermarking's own experiments use.
fn usual(format: &str) -> Option<(&'static str, Value)> {
    if format.ends_with("-synthid") {
        return Some(("ngram_len", json!(5)));
    }
    format.starts_with("lmw-").then(|| ("gamma", json!(0.25)))
}

/// A key as a format writes it, if it can.
fn written(how: &Key, key: &Value) -> Option<(&'static str, Value)> {
    match (how, key) {
        (Key::Whole(name), Value::Number(number)) if number.is_u64() || number.is_i64() => {
            Some((*name, key.clone()))
        }
        (Key::Whole(name), Value::String(text)) => Some((*name, json!(hex(text)?))),
        (Key::Hex(name), Value::String(_)) => Some((*name, key.clone())),
        (Key::Hex(name), Value::Number(number)) => {
            Some((*name, json!(format!("{:x}", number.as_u64()?))))
        }
        (Key::List(name), Value::Array(_)) => Some((*name, key.clone())),
        _ => None,
    }
}

fn hex(text: &str) -> Option<u64> {
    let digits = text
        .strip_prefix("0x")
        .or(text.strip_prefix("0X"))
        .unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| plain)
}

fn fault(message: &str) -> Error {
    Error::new(ErrorKind::Parameter, message)
}

//! Keys of unknown use: for each format that could take one, a configuration.

use serde_json::{Map, Value, json};
use taggant_core::{Error, ErrorKind, Result};

use crate::config::Fields;
use crate::formats::Definition;
use crate::mark::{self, Mark};

/// A key in one format.
#[derive(Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// The format.
    pub format: &'static str,
    /// Its configuration with the key in it.
    pub config: Map<String, Value>,
    /// The mark.
    pub mark: Mark,
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
/// have such a field. `vocabulary` stands in for `vocab_size`.
///
/// # Errors
/// [`ErrorKind::Parameter`] for an entry that is none of these, or with a configuration that its format does not take.
pub fn candidates(
    entry: &Map<String, Value>,
    formats: &[&'static Definition],
    vocabulary: Option<u32>,
) -> Result<Vec<Candidate>> {
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
        return Ok(vec![Candidate {
            format: mark.definition().id,
            config: config.clone(),
            mark,
        }]);
    }
    let Some(key) = entry.get("key") else {
        return Err(fault(
            "an entry has neither `key` nor `format` and `config`",
        ));
    };
    let wanted = entry
        .get("format")
        .and_then(Value::as_str)
        .map(mark::find)
        .transpose()?;
    let mut found = Vec::new();
    let mut why = None;
    for definition in formats
        .iter()
        .copied()
        .filter(|definition| wanted.is_none_or(|wanted| wanted.id == definition.id))
    {
        let Some((name, value)) = written(&key_of(definition.id), key) else {
            continue;
        };
        let mut config: Map<String, Value> = entry
            .iter()
            .filter(|(field, _)| !["name", "format", "key"].contains(&field.as_str()))
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect();
        config.insert(name.to_owned(), value);
        if let Some((field, usual)) = usual(definition.id) {
            config.entry(field).or_insert(usual);
        }
        let mut fields = Fields::of(definition.id, config.clone()).with_vocabulary(vocabulary);
        match (definition.build)(definition, &mut fields) {
            Ok(mark) => {
                // Hints that are for other formats.
                for name in fields.left() {
                    config.shift_remove(&name);
                }
                found.push(Candidate {
                    format: definition.id,
                    config,
                    mark,
                });
            }
            Err(error) => why = Some(error),
        }
    }
    match (found.is_empty(), why) {
        (true, Some(error)) => Err(error),
        (true, None) => Err(fault(
            "no format takes such a key; it must be a whole number, hex digits as text, or a list of whole numbers",
        )),
        _ => Ok(found),
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
        (Key::Whole(name), Value::Number(_)) => Some((*name, key.clone())),
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
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

fn fault(message: &str) -> Error {
    Error::new(ErrorKind::Parameter, message)
}

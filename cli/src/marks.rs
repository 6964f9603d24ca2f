//! Files that name marks, models and tokenizers.

use std::path::{Path, PathBuf};

use taggant_core::{LeafKey, Record, Role};
use taggant_models::{Llama, catalogue};
use taggant_text::{ENCODINGS, Tokenizer};

use crate::failure::{Failure, Result};
use crate::files;
use crate::progress;

/// A record is a few hundred bytes; 24,000 accounts have one each.
const MAX_RECORDS: u64 = 1 << 26;

/// The records in a file, one after another.
pub(crate) fn read_records(path: &Path) -> Result<Vec<Record>> {
    let text = files::read_text(path, MAX_RECORDS)?;
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<serde::de::IgnoredAny>();
    let (mut records, mut start) = (Vec::new(), 0);
    loop {
        // What is not JSON is for the record's own reader to complain about.
        let more = matches!(values.next(), Some(Ok(_)));
        let end = if more {
            values.byte_offset()
        } else {
            text.len()
        };
        let own = &text[start..end];
        if !more && own.trim().is_empty() && !records.is_empty() {
            return Ok(records);
        }
        start = end;
        records.push(Record::from_json(own).map_err(|error| {
            let error = match records.len() {
                0 => error,
                before => error.context(format_args!("record {}", before + 1)),
            };
            Failure::from(error.context(path.display()))
                .hint("a mark record is written by `taggant generate --record`")
        })?);
    }
}

/// Of records that are alike, the one that names all of `keys`, or the first.
pub(crate) fn record_of(records: &[Record], keys: &[&LeafKey]) -> Option<Record> {
    let names = |record: &Record, key: &LeafKey| {
        let mut layers = record.layers().iter();
        layers.any(|layer| layer.key == key.commitment())
    };
    let own = records
        .iter()
        .find(|record| keys.iter().all(|key| names(record, key)));
    own.or(records.first()).cloned()
}

/// A record; of several that differ only in the account's key, the first: what is tested for is the keys that are given.
pub(crate) fn read_record(path: &Path) -> Result<Record> {
    record_of(&read_alike(path)?, &[]).ok_or_else(|| none(path))
}

/// Records that differ only in the account's key.
pub(crate) fn read_alike(path: &Path) -> Result<Vec<Record>> {
    let records = read_records(path)?;
    let shape = |record: &Record| {
        let layers: Vec<_> = record
            .layers()
            .iter()
            .map(|layer| {
                (
                    layer.role,
                    layer.window,
                    (layer.role == Role::Campaign).then_some(layer.key),
                )
            })
            .collect();
        (
            record.scheme().clone(),
            record.score(),
            layers,
            *record.tokenizer(),
        )
    };
    let first = records.first().map(shape);
    if records.iter().any(|record| Some(shape(record)) != first) {
        return Err(
            Failure::new(format!("{}: records of different marks", path.display()))
                .hint("give the records of one campaign"),
        );
    }
    Ok(records)
}

pub(crate) fn none(path: &Path) -> Failure {
    Failure::new(format!("{}: no record", path.display()))
}

/// Where pulled models are kept.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("TAGGANT_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("taggant")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache").join("taggant")))
        .ok_or_else(|| {
            Failure::new("no folder for models: HOME is not set")
                .hint("set TAGGANT_CACHE to a folder")
        })
}

/// The file of a model or tokenizer given as a path or as the name of a pulled model.
pub(crate) fn resolve(name: &str) -> Result<PathBuf> {
    let path = PathBuf::from(name);
    if path.exists() || catalogue().iter().all(|entry| entry.name != name) {
        return Ok(path);
    }
    let pulled = pulled(name)?;
    if pulled.exists() {
        return Ok(pulled);
    }
    Err(Failure::new(format!("model {name} is not here yet"))
        .hint(format!("run `taggant model pull {name}`")))
}

/// Where `model pull` puts a model.
pub(crate) fn pulled(name: &str) -> Result<PathBuf> {
    Ok(cache()?.join(name).with_extension("gguf"))
}

/// Loads a model, with a bar.
pub(crate) fn load_model(path: &Path) -> Result<Llama> {
    let bar = progress::bytes(0, "loading");
    let model = Llama::load(path, |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    model.map_err(|error| {
        let hint = match error.kind() {
            taggant_core::ErrorKind::Format => {
                "the file is damaged or not a GGUF model; fetch it again"
            }
            taggant_core::ErrorKind::Unsupported => {
                "use a GGUF of a supported architecture, such as `taggant model pull smollm2-135m`"
            }
            _ => "check the path; `taggant model pull smollm2-135m` gets a model",
        };
        Failure::from(error).hint(hint)
    })
}

/// The tokenizer called `name`: a file, a pulled model's, or an encoding of tiktoken.
pub(crate) fn named_tokenizer(name: &str) -> Result<Tokenizer> {
    if ENCODINGS.contains(&name) && !Path::new(name).exists() {
        return Ok(Tokenizer::tiktoken(name)?);
    }
    open_tokenizer(&resolve(name)?)
}

pub(crate) fn open_tokenizer(path: &Path) -> Result<Tokenizer> {
    Tokenizer::open(path).map_err(|error| {
        Failure::from(error).hint("give a tokenizer.json, a GGUF model, cl100k_base or o200k_base")
    })
}

/// A pulled model's tokenizer that has this digest.
pub(crate) fn find_tokenizer(digest: &[u8; 32]) -> Option<Tokenizer> {
    catalogue()
        .iter()
        .filter_map(|entry| pulled(entry.name).ok())
        .filter(|path| path.exists())
        .filter_map(|path| Tokenizer::open(path).ok())
        .find(|tokenizer| tokenizer.digest() == *digest)
}

//! Files that name marks, models and tokenizers.

use std::path::{Path, PathBuf};

use taggant_core::Record;
use taggant_models::{Llama, catalogue};
use taggant_text::Tokenizer;

use crate::failure::{Failure, Result};
use crate::files;
use crate::progress;

/// A record is a few hundred bytes.
const MAX_RECORD: u64 = 1 << 16;

pub(crate) fn read_record(path: &Path) -> Result<Record> {
    let text = files::read_text(path, MAX_RECORD)?;
    Record::from_json(&text).map_err(|error| {
        Failure::from(error.context(path.display()))
            .hint("a mark record is written by `taggant generate --record`")
    })
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

pub(crate) fn open_tokenizer(path: &Path) -> Result<Tokenizer> {
    Tokenizer::open(path)
        .map_err(|error| Failure::from(error).hint("give a tokenizer.json or a GGUF model"))
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

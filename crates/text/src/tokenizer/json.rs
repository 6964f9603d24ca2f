//! `tokenizer.json`: run by this crate's encoder if the pipeline is a common one, else by the
//! `tokenizers` crate.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use taggant_core::{Error, ErrorKind, Result};

use super::{
    Controls, Engine, MAX_JSON_BYTES, MAX_VOCABULARY, Native, Tokenizer,
    bpe::Bpe,
    digest::digest,
    pipeline,
    split::Split,
    vocabulary::{Kind, Spelling, Vocabulary, too_large},
};

/// The crate decides about control tokens by a switch inside the tokenizer, so there are two.
pub(super) struct Json {
    plain: tokenizers::Tokenizer,
    chat: tokenizers::Tokenizer,
}

/// What is read here. The rest, and pipelines that are not known, are the crate's business.
#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    decoder: Value,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    vocab: Value,
    #[serde(default)]
    merges: Vec<Merge>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    dropout: Option<f64>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
}

/// Older files write a merge as one string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Joined(String),
}

/// Who encodes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Runner {
    /// This crate where it can, else the other.
    Fastest,
    /// The `tokenizers` crate, to be compared with.
    #[cfg(test)]
    Crate,
}

pub(super) fn tokenizer(json: &[u8], runner: Runner) -> Result<Tokenizer> {
    if json.len() as u64 > MAX_JSON_BYTES {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("the tokenizer.json has more than {MAX_JSON_BYTES} bytes"),
        ));
    }
    let file: File = serde_json::from_slice(json).map_err(|error| {
        Error::new(ErrorKind::Format, format!("not a tokenizer.json: {error}")).with_source(error)
    })?;
    let spelling = spelling(&file)?;
    let vocabulary = vocabulary(&file, spelling)?;
    let merges = match spelling {
        Spelling::ByteLevel => merges(&file)?,
        Spelling::SentencePiece { .. } => Vec::new(),
    };
    let digest = digest(vocabulary.literals(), merges.iter().copied());
    let split = match runner {
        Runner::Fastest => split(&file, &vocabulary)?,
        #[cfg(test)]
        Runner::Crate => None,
    };
    let engine = match split {
        Some(split) => {
            let bpe = Bpe::new(&vocabulary, &merges, split)?;
            Engine::Bpe(Box::new(Native::new(bpe, &vocabulary)?))
        }
        None => Engine::Json(Box::new(Json::new(json, &file.added_tokens)?)),
    };
    Ok(Tokenizer {
        digest,
        engine,
        vocabulary,
        bos: None,
        eos: None,
        adds_bos: false,
        chat_template: None,
    })
}

/// The pre-tokenizer, if this crate's encoder does all that the file asks for.
fn split(file: &File, vocabulary: &Vocabulary) -> Result<Option<Split>> {
    let Some(name) = pipeline::known(&file.normalizer, &file.pre_tokenizer) else {
        return Ok(None);
    };
    let model = &file.model;
    let plain_model = !model.byte_fallback
        && [
            &model.unk_token,
            &model.continuing_subword_prefix,
            &model.end_of_word_suffix,
        ]
        .iter()
        .all(|text| text.as_ref().is_none_or(String::is_empty));
    let plain_tokens = file.added_tokens.iter().all(|token| {
        // Normalising, which can only be NFC here, leaves ASCII alone.
        let fixed = !token.normalized || token.content.is_ascii();
        !token.single_word && !token.lstrip && !token.rstrip && fixed
    });
    // The other crate numbers added tokens itself, so a gap is for it to judge.
    let no_gap = vocabulary.entries().count() == vocabulary.len();
    if !(plain_model && plain_tokens && no_gap) {
        return Ok(None);
    }
    let mut split = Split::named(name)?;
    split.whole_words = model.ignore_merges;
    Ok(Some(split))
}

fn merges(file: &File) -> Result<Vec<(&str, &str)>> {
    let merges = file.model.merges.iter().enumerate();
    merges
        .map(|(rank, merge)| match merge {
            Merge::Pair(left, right) => Ok((left.as_str(), right.as_str())),
            Merge::Joined(joined) => joined.split_once(' ').ok_or_else(|| {
                Error::new(
                    ErrorKind::Format,
                    format!("merge {rank}, `{}`, has no space", joined.escape_debug()),
                )
            }),
        })
        .collect()
}

fn spelling(File { model, decoder, .. }: &File) -> Result<Spelling> {
    // The earliest files have no type; a list of merges says as much.
    let is_bpe = match &model.kind {
        Some(kind) => kind == "BPE",
        None => !model.merges.is_empty(),
    };
    if !is_bpe {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "tokenizer model `{}` is not supported; BPE is",
                model.kind.as_deref().unwrap_or_default().escape_debug()
            ),
        ));
    }
    if model.dropout.is_some_and(|dropout| dropout > 0.0) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the tokenizer drops merges at random; a text has no fixed ids under it",
        ));
    }
    let steps = match decoder.get("decoders") {
        Some(Value::Array(steps)) => steps.as_slice(),
        _ => std::slice::from_ref(decoder),
    };
    let has = |kind: &str| steps.iter().find(|step| step["type"] == *kind);
    if has("ByteLevel").is_some() {
        return Ok(Spelling::ByteLevel);
    }
    if model.byte_fallback {
        let space_prefix = has("Strip").is_some_and(|strip| strip["start"] == 1)
            || has("Metaspace").is_some_and(|space| space["prepend_scheme"] != "never");
        return Ok(Spelling::SentencePiece { space_prefix });
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "neither byte-level bpe nor bpe with byte fallback",
    ))
}

fn vocabulary(file: &File, spelling: Spelling) -> Result<Vocabulary> {
    let vocab = file
        .model
        .vocab
        .as_object()
        .ok_or_else(|| Error::new(ErrorKind::Format, "`model.vocab` is not an object"))?;
    let mut entries: HashMap<usize, (String, Kind)> = HashMap::new();
    for (literal, id) in vocab {
        let id = id
            .as_u64()
            .and_then(|id| usize::try_from(id).ok())
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Format,
                    format!(
                        "the id of `{}` is {id}; an integer from 0 is needed",
                        literal.escape_debug()
                    ),
                )
            })?;
        if entries
            .insert(id, (literal.clone(), Kind::Normal))
            .is_some()
        {
            return Err(Error::new(
                ErrorKind::Format,
                format!("two entries have the id {id}"),
            ));
        }
    }
    for token in &file.added_tokens {
        let kind = if token.special {
            Kind::Control
        } else {
            Kind::UserDefined
        };
        entries.insert(token.id as usize, (token.content.clone(), kind));
    }
    let len = entries.keys().max().map_or(0, |&largest| largest + 1);
    if len > MAX_VOCABULARY {
        return Err(too_large());
    }
    let unused = || (String::new(), Kind::Unused);
    Vocabulary::new(
        spelling,
        (0..len).map(|id| entries.remove(&id).unwrap_or_else(unused)),
    )
}

impl Json {
    fn new(json: &[u8], added: &[AddedToken]) -> Result<Self> {
        let mut chat = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| failed("not a tokenizer.json", error))?;
        // Evidence is never cut short, and never filled up.
        chat.with_truncation(None)
            .map_err(|error| failed("truncation cannot be switched off", error))?;
        chat.with_padding(None);
        // The crate numbers added tokens itself; a gap in the file would shift them.
        for token in added {
            if chat.token_to_id(&token.content) != Some(token.id) {
                return Err(Error::new(
                    ErrorKind::Format,
                    format!(
                        "added token `{}` has id {}, which does not follow the ids before it",
                        token.content.escape_debug(),
                        token.id
                    ),
                ));
            }
        }
        let mut plain = chat.clone();
        plain.set_encode_special_tokens(true);
        Ok(Self { plain, chat })
    }

    pub(super) fn encode(&self, text: &str, controls: Controls) -> Result<Vec<u32>> {
        let tokenizer = match controls {
            Controls::AsText => &self.plain,
            Controls::Recognised => &self.chat,
        };
        tokenizer
            .encode_fast(text, false)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| {
                Error::new(
                    ErrorKind::Unsupported,
                    "the tokenizer.json cannot encode this text",
                )
                .with_source(error)
            })
    }
}

fn failed(what: &str, source: tokenizers::Error) -> Error {
    Error::new(ErrorKind::Format, format!("{what}: {source}")).with_source(source)
}

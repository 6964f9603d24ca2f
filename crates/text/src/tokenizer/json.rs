//! `tokenizer.json`, run by the `tokenizers` crate.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use taggant_core::{Error, ErrorKind, Result};

use super::{
    Controls, Engine, MAX_JSON_BYTES, MAX_VOCABULARY, Tokenizer,
    digest::digest,
    vocabulary::{Kind, Spelling, Vocabulary, too_large},
};

/// The crate decides about control tokens by a switch inside the tokenizer, so there are two.
pub(super) struct Json {
    plain: tokenizers::Tokenizer,
    chat: tokenizers::Tokenizer,
}

/// What is read here; the pipeline is the crate's business.
#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
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
    dropout: Option<f64>,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

/// Older files write a merge as one string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Joined(String),
}

pub(super) fn tokenizer(json: &[u8]) -> Result<Tokenizer> {
    if json.len() as u64 > MAX_JSON_BYTES {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("the tokenizer.json has more than {MAX_JSON_BYTES} bytes"),
        ));
    }
    let File {
        model,
        added_tokens,
        decoder,
    } = serde_json::from_slice(json).map_err(|error| {
        Error::new(ErrorKind::Format, format!("not a tokenizer.json: {error}")).with_source(error)
    })?;
    let spelling = spelling(&model, &decoder)?;
    let vocabulary = vocabulary(&model, &added_tokens, spelling)?;
    let merges = match spelling {
        Spelling::ByteLevel => model.merges,
        Spelling::SentencePiece { .. } => Vec::new(),
    };
    let merges = merges
        .iter()
        .enumerate()
        .map(|(rank, merge)| match merge {
            Merge::Pair(left, right) => Ok((left.as_str(), right.as_str())),
            Merge::Joined(joined) => joined.split_once(' ').ok_or_else(|| {
                Error::new(
                    ErrorKind::Format,
                    format!("merge {rank}, `{}`, has no space", joined.escape_debug()),
                )
            }),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Tokenizer {
        digest: digest(vocabulary.literals(), merges.into_iter()),
        engine: Engine::Json(Box::new(Json::new(json, &added_tokens)?)),
        vocabulary,
        bos: None,
        eos: None,
        adds_bos: false,
        chat_template: None,
    })
}

fn spelling(model: &Model, decoder: &Value) -> Result<Spelling> {
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

fn vocabulary(model: &Model, added: &[AddedToken], spelling: Spelling) -> Result<Vocabulary> {
    let vocab = model
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
    for token in added {
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

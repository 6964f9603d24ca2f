//! The tokenizer in a GGUF file's metadata.

use taggant_core::{Error, ErrorKind, Result};

use crate::gguf::Gguf;

use super::{
    Engine, Native, Tokenizer,
    bpe::Bpe,
    digest::digest,
    split::Split,
    spm::Spm,
    vocabulary::{Kind, Spelling, Vocabulary},
};

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TOKEN_TYPE: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";
const BOS: &str = "tokenizer.ggml.bos_token_id";
const EOS: &str = "tokenizer.ggml.eos_token_id";
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
const ADD_SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";
const CHAT_TEMPLATE: &str = "tokenizer.chat_template";

pub(super) fn tokenizer(gguf: &Gguf) -> Result<Tokenizer> {
    let (vocabulary, engine, digest, adds_bos) = match gguf.str(MODEL)? {
        "gpt2" => byte_level(gguf)?,
        "llama" => sentence_piece(gguf)?,
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "tokenizer model `{}` is not supported; gpt2 (byte-level bpe) and llama (sentencepiece) are",
                    other.escape_debug()
                ),
            ));
        }
    };
    Ok(Tokenizer {
        bos: token_id(gguf, BOS, &vocabulary)?,
        eos: token_id(gguf, EOS, &vocabulary)?,
        adds_bos: optional(gguf, ADD_BOS, Gguf::bool)?.unwrap_or(adds_bos),
        chat_template: optional(gguf, CHAT_TEMPLATE, Gguf::str)?.map(str::to_owned),
        vocabulary,
        engine,
        digest,
    })
}

type Parts = (Vocabulary, Engine, [u8; 32], bool);

fn byte_level(gguf: &Gguf) -> Result<Parts> {
    let split = Split::named(optional(gguf, PRE, Gguf::str)?.unwrap_or("default"))?;
    let adds_bos = split.adds_bos;
    let vocabulary = vocabulary(gguf, Spelling::ByteLevel)?;
    let merges = gguf
        .strings(MERGES)?
        .iter()
        .enumerate()
        .map(|(rank, merge)| {
            merge.split_once(' ').ok_or_else(|| {
                Error::new(
                    ErrorKind::Format,
                    format!("merge {rank}, `{}`, has no space", merge.escape_debug()),
                )
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let digest = digest(vocabulary.literals(), merges.iter().copied());
    let bpe = Bpe::new(&vocabulary, &merges, split)?;
    let engine = Engine::Bpe(Box::new(Native::new(bpe, &vocabulary)?));
    Ok((vocabulary, engine, digest, adds_bos))
}

fn sentence_piece(gguf: &Gguf) -> Result<Parts> {
    let space_prefix = optional(gguf, ADD_SPACE_PREFIX, Gguf::bool)?.unwrap_or(true);
    let vocabulary = vocabulary(gguf, Spelling::SentencePiece { space_prefix })?;
    // Converters write the spaces of user-defined tokens as spaces; `tokenizer.json` spells them
    // like all others, and the digest must not depend on the file format.
    let literals: Vec<_> = vocabulary
        .literals()
        .iter()
        .map(|literal| literal.replace(' ', "▁"))
        .collect();
    let digest = digest(&literals, [].into_iter());
    let spm = Spm::new(&vocabulary, gguf.f32s(SCORES)?, space_prefix)?;
    let engine = Engine::Spm(Box::new(Native::new(spm, &vocabulary)?));
    Ok((vocabulary, engine, digest, true))
}

fn vocabulary(gguf: &Gguf, spelling: Spelling) -> Result<Vocabulary> {
    let tokens = gguf.strings(TOKENS)?;
    let types = optional(gguf, TOKEN_TYPE, Gguf::i32s)?;
    if let Some(types) = types
        && types.len() != tokens.len()
    {
        return Err(Error::new(
            ErrorKind::Format,
            format!(
                "there are {} token types for {} tokens",
                types.len(),
                tokens.len()
            ),
        ));
    }
    let kinds = (0..tokens.len()).map(|id| match types.map(|types| types[id]) {
        // Unknown and control: neither is ever text.
        Some(2 | 3) => Kind::Control,
        Some(4) => Kind::UserDefined,
        Some(5) => Kind::Unused,
        _ => Kind::Normal,
    });
    Vocabulary::new(spelling, tokens.iter().cloned().zip(kinds))
}

fn token_id(gguf: &Gguf, key: &str, vocabulary: &Vocabulary) -> Result<Option<u32>> {
    let Some(id) = optional(gguf, key, Gguf::u64)? else {
        return Ok(None);
    };
    u32::try_from(id)
        .ok()
        .filter(|&id| (id as usize) < vocabulary.len())
        .map(Some)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Format,
                format!(
                    "`{key}` is {id}, not below the vocabulary's {}",
                    vocabulary.len()
                ),
            )
        })
}

fn optional<'a, T>(
    gguf: &'a Gguf,
    key: &str,
    read: impl FnOnce(&'a Gguf, &str) -> Result<T>,
) -> Result<Option<T>> {
    match gguf.get(key) {
        None => Ok(None),
        Some(_) => read(gguf, key).map(Some),
    }
}

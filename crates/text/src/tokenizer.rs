//! Text to token ids and back.
//!
//! ```no_run
//! # fn main() -> taggant_core::Result<()> {
//! use taggant_text::Tokenizer;
//!
//! let tokenizer = Tokenizer::open("model.gguf")?;
//! let ids = tokenizer.encode("The quick brown fox")?;
//! assert_eq!(tokenizer.decode(&ids)?, "The quick brown fox");
//! # Ok(())
//! # }
//! ```
//!
//! Two kinds of vocabulary are read: byte-level BPE (GPT-2, Llama 3, Qwen, SmolLM …) and
//! SentencePiece style with byte fallback (Llama 2, Gemma …), from a GGUF file or from a
//! `tokenizer.json`. GGUF files, and the common kinds of `tokenizer.json`, run on this crate's own
//! encoder; other `tokenizer.json` files on the `tokenizers` crate, several times slower, because
//! they may hold any pipeline. Where both can run, and in llama.cpp, the ids are the same, except
//! as this page says.
//!
//! # Plain text and chat text
//!
//! [`Tokenizer::encode`] never produces a control token from text that spells one: a person who
//! quotes `<|im_end|>` has not ended a turn. [`Tokenizer::encode_chat`] is for rendered chat
//! templates, where the same spelling is the control token. Neither adds a begin or end token.
//!
//! # What this does not promise
//!
//! - That encoding gives back the ids a model produced. A model may spell a text with other
//!   tokens than the encoder would; ids are evidence, text is a copy of it. Keep ids.
//! - That every text survives. Some byte-level vocabularies lack a few bytes (SmolLM2 lacks six
//!   control characters and two lead bytes of unassigned planes); these are dropped, as the
//!   model's own tokenizer drops them. The byte before and the byte after then meet and may
//!   merge, as they do there; in llama.cpp they do not.
//! - Ids equal to llama.cpp's where that departs from the published tokenizer: Qwen text that is
//!   not in Unicode form NFC, and a few spellings, such as `</s>` in Gemma 3, that it takes for
//!   control tokens although the file says they are text.
//! - Right ids from a `tokenizer.json` of an uncommon kind for a million white-space characters in
//!   a row: the `tokenizers` crate gives up on them and does not say so.

use std::{
    fmt,
    fs::File,
    io::{Read, Seek},
    ops::Range,
    path::Path,
};

use taggant_core::{Error, ErrorKind, Result};

use crate::gguf::{self, Gguf};

mod added;
mod alone;
mod alphabet;
mod bpe;
mod digest;
mod from_gguf;
mod json;
mod pipeline;
mod split;
mod spm;
#[cfg(feature = "tiktoken")]
mod tiktoken;
mod vocabulary;

use added::{Added, Fragment};
use bpe::Bpe;
use json::{Json, Runner};
use spm::Spm;
#[cfg(feature = "tiktoken")]
pub use tiktoken::ENCODINGS;
use vocabulary::{Kind, Vocabulary};

/// Most bytes of text in one call.
pub const MAX_TEXT_BYTES: usize = 1 << 30;

/// Most token ids of a vocabulary. The largest published ones have some 260,000.
pub const MAX_VOCABULARY: usize = 1 << 22;

/// Most bytes of a `tokenizer.json`. The largest published ones have some 35 MB.
pub const MAX_JSON_BYTES: u64 = 256 << 20;

/// A tokenizer: a vocabulary and the rule that cuts text into it.
pub struct Tokenizer {
    vocabulary: Vocabulary,
    engine: Engine,
    digest: [u8; 32],
    bos: Option<u32>,
    eos: Option<u32>,
    adds_bos: bool,
    chat_template: Option<String>,
}

enum Engine {
    Bpe(Box<Native<Bpe>>),
    Spm(Box<Native<Spm>>),
    Json(Box<Json>),
    #[cfg(feature = "tiktoken")]
    Tiktoken(Box<Native<&'static bpe_openai::Tokenizer>>),
}

/// An encoder of this crate, and the tokens that are cut out of the text before it runs.
struct Native<E> {
    encoder: E,
    /// User-defined tokens: part of ordinary text.
    plain: Added,
    /// User-defined and control tokens.
    chat: Added,
}

/// Which spellings become control tokens.
#[derive(Clone, Copy)]
enum Controls {
    AsText,
    Recognised,
}

impl Tokenizer {
    /// Reads a GGUF file or a `tokenizer.json`, whichever the first bytes say it is.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the file cannot be read, [`ErrorKind::Format`] if it is neither;
    /// otherwise as [`Tokenizer::from_gguf`] and [`Tokenizer::from_json`]. The message begins
    /// with the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::open_file(path).map_err(|error| error.context(path.display()))
    }

    fn open_file(path: &Path) -> Result<Self> {
        let io =
            |error: std::io::Error| Error::new(ErrorKind::Io, error.to_string()).with_source(error);
        let mut file = File::open(path).map_err(io)?;
        let mut start = Vec::new();
        (&mut file).take(64).read_to_end(&mut start).map_err(io)?;
        file.rewind().map_err(io)?;
        if start.starts_with(&gguf::MAGIC) {
            return Self::from_gguf(&Gguf::read(file)?);
        }
        if start.trim_ascii_start().first() != Some(&b'{') {
            return Err(Error::new(
                ErrorKind::Format,
                "neither a gguf file nor a tokenizer.json",
            ));
        }
        let mut json = Vec::new();
        file.take(MAX_JSON_BYTES + 1)
            .read_to_end(&mut json)
            .map_err(io)?;
        Self::from_json(&json)
    }

    /// The tokenizer in a GGUF file's metadata.
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`]: a tokenizer model or a pre-tokenizer this version does not
    ///   know; the message names it and the known ones.
    /// - [`ErrorKind::Format`]: a key is missing or its value contradicts another.
    /// - [`ErrorKind::Limit`]: more than [`MAX_VOCABULARY`] tokens.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        from_gguf::tokenizer(gguf)
    }

    /// The tokenizer in the bytes of a `tokenizer.json`. Truncation and padding that the file
    /// asks for are switched off. The file format says nothing about begin and end tokens or
    /// chat templates, so [`bos`](Self::bos), [`eos`](Self::eos) and
    /// [`chat_template`](Self::chat_template) are `None`.
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`]: not byte-level BPE and not BPE with byte fallback, or BPE
    ///   with dropout.
    /// - [`ErrorKind::Format`]: not a valid `tokenizer.json`.
    /// - [`ErrorKind::Limit`]: more than [`MAX_JSON_BYTES`] or [`MAX_VOCABULARY`].
    pub fn from_json(json: &[u8]) -> Result<Self> {
        json::tokenizer(json, Runner::Fastest)
    }

    /// The token ids of ordinary text. Text that spells a control token is ordinary text. No
    /// begin or end token is added.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] above [`MAX_TEXT_BYTES`]; [`ErrorKind::Unsupported`] if the pipeline
    /// of a `tokenizer.json` fails on this text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_as(text, Controls::AsText)
    }

    /// The token ids of a rendered chat template: spellings of control tokens become control
    /// tokens. Never use it on text that a stranger wrote.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_chat(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_as(text, Controls::Recognised)
    }

    fn encode_as(&self, text: &str, controls: Controls) -> Result<Vec<u32>> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "the text has {} bytes; at most {MAX_TEXT_BYTES} are encoded at once",
                    text.len()
                ),
            ));
        }
        let mut ids = Vec::with_capacity(text.len() / 4);
        match &self.engine {
            Engine::Bpe(native) => {
                let mut session = native.encoder.session();
                native.encode(text, controls, &mut ids, |text, ids| {
                    session.encode(text, ids)
                });
            }
            Engine::Spm(native) => {
                let mut session = native.encoder.session();
                native.encode(text, controls, &mut ids, |text, ids| {
                    session.encode(text, ids)
                });
            }
            Engine::Json(json) => ids = json.encode(text, controls)?,
            #[cfg(feature = "tiktoken")]
            Engine::Tiktoken(native) => {
                native.encode(text, controls, &mut ids, |text, ids| {
                    ids.extend(native.encoder.encode(text))
                });
            }
        }
        Ok(ids)
    }

    /// The text of `ids`. Control tokens carry no text and vanish. Bytes that are not UTF-8, such
    /// as half a character at the end of a cut response, become U+FFFD;
    /// [`decode_bytes`](Self::decode_bytes) keeps them. Vocabularies that put a space before
    /// every text lose that one space again.
    ///
    /// # Errors
    /// [`ErrorKind::Token`] for an id that is not below [`vocabulary`](Self::vocabulary).
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let bytes = self.decode_bytes(ids)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The bytes of `ids`, which [`decode`](Self::decode) turns into text.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn decode_bytes(&self, ids: &[u32]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for &id in ids {
            bytes.extend_from_slice(self.token_bytes(id)?);
        }
        if self.strips_first_space(&bytes) {
            bytes.remove(0);
        }
        Ok(bytes)
    }

    /// For each id, the range of its bytes in [`decode_bytes`](Self::decode_bytes) of the same
    /// ids: what a report needs in order to show which words a finding rests on. Ranges are
    /// adjacent, may be empty and may split a character.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn spans(&self, ids: &[u32]) -> Result<Vec<Range<usize>>> {
        let mut spans = Vec::with_capacity(ids.len());
        let mut end = 0;
        let mut at_start = true;
        for &id in ids {
            let bytes = self.token_bytes(id)?;
            let start = end;
            end += bytes.len();
            if at_start && self.strips_first_space(bytes) {
                end -= 1;
            }
            at_start &= bytes.is_empty();
            spans.push(start..end);
        }
        Ok(spans)
    }

    fn strips_first_space(&self, bytes: &[u8]) -> bool {
        self.vocabulary.prefixes_space() && bytes.first() == Some(&b' ')
    }

    /// The bytes that token `id` stands for; none for control tokens and unused ids. They need
    /// not be whole characters.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn token_bytes(&self, id: u32) -> Result<&[u8]> {
        self.check(id).map(|at| self.vocabulary.bytes(at))
    }

    /// Token `id` as the vocabulary spells it (`Ġthe`, `▁the`, `<|im_end|>`); empty for an id
    /// without an entry.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn token_literal(&self, id: u32) -> Result<&str> {
        self.check(id).map(|at| self.vocabulary.literal(at))
    }

    /// Whether `id` is a control token: one that [`encode`](Self::encode) never produces and
    /// [`decode`](Self::decode) drops.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn is_control(&self, id: u32) -> Result<bool> {
        self.check(id)
            .map(|at| self.vocabulary.kind(at) == Kind::Control)
    }

    fn check(&self, id: u32) -> Result<usize> {
        usize::try_from(id)
            .ok()
            .filter(|&at| at < self.vocabulary.len())
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Token,
                    format!(
                        "token id {id} is not below the vocabulary's {}",
                        self.vocabulary.len()
                    ),
                )
            })
    }

    /// One more than the largest token id, not counting padding. A model may have more logits
    /// than this; the ids above are never text.
    #[must_use]
    pub fn vocabulary(&self) -> usize {
        self.vocabulary.len()
    }

    /// What identifies this vocabulary in a mark record: SHA-256 over the entries and the merges,
    /// as SPEC.md lays down. A model's GGUF file and its `tokenizer.json` give the same digest.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The token a model expects before a text, if the file names one.
    #[must_use]
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that ends a response, if the file names one.
    #[must_use]
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Whether the model was made to see [`bos`](Self::bos) before every text. Encoding never
    /// adds it; who runs the model does.
    #[must_use]
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// The chat template, in Jinja, if the file holds one.
    #[must_use]
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }
}

impl<E> Native<E> {
    fn new(encoder: E, vocabulary: &Vocabulary) -> Result<Self> {
        Ok(Self {
            encoder,
            plain: Added::new(vocabulary, &[Kind::UserDefined])?,
            chat: Added::new(vocabulary, &[Kind::UserDefined, Kind::Control])?,
        })
    }

    fn encode(
        &self,
        text: &str,
        controls: Controls,
        ids: &mut Vec<u32>,
        mut encode: impl FnMut(&str, &mut Vec<u32>),
    ) {
        let added = match controls {
            Controls::AsText => &self.plain,
            Controls::Recognised => &self.chat,
        };
        added.split(text, |fragment| match fragment {
            Fragment::Text(text) => encode(text, ids),
            Fragment::Token(id) => ids.push(id),
        });
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field(
                "engine",
                &match self.engine {
                    Engine::Bpe(_) => "byte-level bpe",
                    Engine::Spm(_) => "sentencepiece",
                    Engine::Json(_) => "tokenizer.json",
                    #[cfg(feature = "tiktoken")]
                    Engine::Tiktoken(_) => "tiktoken",
                },
            )
            .field("vocabulary", &self.vocabulary.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! OpenAI's encodings, by name: `cl100k_base` and `o200k_base`.

use bpe_openai::Tokenizer as Encoding;

use super::vocabulary::{Kind, Spelling, Vocabulary};
use super::{Added, Engine, Native, Tokenizer, alphabet, digest};
use taggant_core::{Error, ErrorKind, Result};

/// The encodings that are known by name.
pub const ENCODINGS: [&str; 2] = ["cl100k_base", "o200k_base"];

/// Ids above the ranks: tiktoken's special tokens (openai_public.py).
const CL100K_SPECIAL: [(u32, &str); 5] = [
    (100_257, "<|endoftext|>"),
    (100_258, "<|fim_prefix|>"),
    (100_259, "<|fim_middle|>"),
    (100_260, "<|fim_suffix|>"),
    (100_276, "<|endofprompt|>"),
];
const O200K_SPECIAL: [(u32, &str); 2] = [(199_999, "<|endoftext|>"), (200_018, "<|endofprompt|>")];

impl Tokenizer {
    /// The encoding of that name; [`ENCODINGS`] lists them.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for another name.
    pub fn tiktoken(name: &str) -> Result<Self> {
        let (encoding, special): (&'static Encoding, &[(u32, &str)]) = match name {
            "cl100k_base" => (bpe_openai::cl100k_base(), &CL100K_SPECIAL),
            "o200k_base" => (bpe_openai::o200k_base(), &O200K_SPECIAL),
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "encoding `{}` is none of {}",
                        name.escape_debug(),
                        ENCODINGS.join(", ")
                    ),
                ));
            }
        };
        let ranks = u32::try_from(encoding.bpe.num_tokens()).unwrap_or(u32::MAX);
        let end = special.last().map_or(ranks, |(id, _)| id + 1);
        let entries = (0..end).map(
            |id| match special.iter().find(|(special, _)| *special == id) {
                Some((_, literal)) => ((*literal).to_owned(), Kind::Control),
                None if id < ranks => (
                    alphabet::spelling(encoding.bpe.token_bytes(id)),
                    Kind::Normal,
                ),
                None => (String::new(), Kind::Unused),
            },
        );
        let vocabulary = Vocabulary::new(Spelling::ByteLevel, entries)?;
        let native = Native {
            encoder: encoding,
            plain: Added::new(&vocabulary, &[Kind::UserDefined])?,
            chat: Added::new(&vocabulary, &[Kind::UserDefined, Kind::Control])?,
        };
        Ok(Self {
            // A rank file is its own list of merges: the ids are the ranks.
            digest: digest::digest(vocabulary.literals(), std::iter::empty()),
            engine: Engine::Tiktoken(Box::new(native)),
            bos: None,
            eos: special.first().map(|(id, _)| *id),
            adds_bos: false,
            chat_template: None,
            vocabulary,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_are_tiktokens() {
        // tiktoken 0.12: enc.encode(text), and enc.encode_ordinary where a control token is spelled.
        let text = "tiktoken is great!  Zürich \n\n 12345 <|endoftext|>";
        let cl100k = Tokenizer::tiktoken("cl100k_base").unwrap();
        let ids = cl100k.encode(text).unwrap();
        assert_eq!(ids[..6], [83, 1609, 5963, 374, 2294, 0]);
        assert_eq!(cl100k.decode(&ids).unwrap(), text);
        assert!(!ids.contains(&100_257));
        assert_eq!(cl100k.encode_chat("<|endoftext|>").unwrap(), [100_257]);
        assert_eq!(cl100k.vocabulary(), 100_277);
        let o200k = Tokenizer::tiktoken("o200k_base").unwrap();
        assert_eq!(o200k.decode(&o200k.encode(text).unwrap()).unwrap(), text);
        assert_eq!(o200k.encode("hello world").unwrap(), [24912, 2375]);
        assert_eq!(o200k.vocabulary(), 200_019);
        assert_ne!(cl100k.digest(), o200k.digest());
        assert_eq!(
            Tokenizer::tiktoken("p50k").unwrap_err().kind(),
            ErrorKind::Unsupported
        );
    }
}

//! Pre-tokenizers: how text is cut into pieces that merges never cross.
//!
//! Each is a list of regular expressions, applied one after the other: the pieces of one stage
//! are the texts of the next, and what an expression does not match is a piece too. They are
//! those of the models' `tokenizer.json` files, which llama.cpp's follow, except that
//! `\s+(?!\S)|\s+` is written `\s+`: the look-ahead, which would need a backtracking engine, is
//! done by hand below.

use std::borrow::Cow;

use regex::Regex;
use taggant_core::{Error, ErrorKind, Result};
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

pub(super) const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+";

pub(super) const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";

pub(super) const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";

/// The pre-tokenizers by the names GGUF files use (`tokenizer.ggml.pre`).
const KNOWN: [(&[&str], Rule); 6] = [
    (
        &["smollm", "starcoder", "refact", "command-r"],
        Rule::new(&[(r"\p{N}", Space::Plain), (GPT_2, Space::GivesBack)]),
    ),
    (
        &["gpt-2", "phi-2", "olmo", "mpt"],
        Rule::new(&[(GPT_2, Space::GivesBack)]),
    ),
    (
        &["llama-bpe", "llama3", "llama-v3"],
        Rule {
            whole_words: true,
            adds_bos: true,
            ..Rule::new(&[(LLAMA_3, Space::GivesBackUnlessNewline)])
        },
    ),
    (
        &["qwen2", "deepseek-r1-qwen"],
        Rule {
            nfc: true,
            ..Rule::new(&[(QWEN_2, Space::GivesBackUnlessNewline)])
        },
    ),
    (
        &["stablelm2"],
        Rule::new(&[(QWEN_2, Space::GivesBackUnlessNewline)]),
    ),
    // What llama.cpp does for a file that names none; no model was trained with it.
    (
        &["default"],
        Rule::new(&[
            (r"[\p{P}$+<=>^~|]+", Space::Plain),
            (GPT_2, Space::GivesBack),
            (r"\p{N}+", Space::Plain),
            ("[0-9][0-9][0-9]", Space::Plain),
        ]),
    ),
];

#[derive(Clone, Copy)]
struct Rule {
    stages: &'static [(&'static str, Space)],
    nfc: bool,
    whole_words: bool,
    adds_bos: bool,
}

/// What happens to a match that is all white space and has text after it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    /// It is a piece.
    Plain,
    /// Its last character goes to the text after it, if it has more than one.
    GivesBack,
    /// The same, unless that character ends a line: an earlier alternative took those.
    GivesBackUnlessNewline,
}

impl Rule {
    const fn new(stages: &'static [(&'static str, Space)]) -> Self {
        Self {
            stages,
            nfc: false,
            whole_words: false,
            adds_bos: false,
        }
    }
}

/// A pre-tokenizer.
pub(super) struct Split {
    stages: Vec<(Regex, Space)>,
    nfc: bool,
    /// Whether a piece that is an entry is that token, whatever the merges say.
    pub(super) whole_words: bool,
    /// Whether models with this pre-tokenizer see a begin token, unless their file says otherwise.
    pub(super) adds_bos: bool,
}

impl Split {
    pub(super) fn named(name: &str) -> Result<Self> {
        let (_, rule) = KNOWN
            .iter()
            .find(|(names, _)| names.contains(&name))
            .ok_or_else(|| {
                let known: Vec<_> = KNOWN
                    .iter()
                    .flat_map(|(names, _)| *names)
                    .copied()
                    .collect();
                Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "pre-tokenizer `{}` is not known; known are {}",
                        name.escape_debug(),
                        known.join(", ")
                    ),
                )
            })?;
        let stages = rule
            .stages
            .iter()
            .map(|&(pattern, space)| {
                let regex = Regex::new(pattern).map_err(|error| {
                    Error::new(ErrorKind::Unsupported, "a pre-tokenizer does not compile")
                        .with_source(error)
                })?;
                Ok((regex, space))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            stages,
            nfc: rule.nfc,
            whole_words: rule.whole_words,
            adds_bos: rule.adds_bos,
        })
    }

    /// The text that is split: normalised, if the model's tokenizer does that.
    pub(super) fn normalise<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.nfc && is_nfc_quick(text.chars()) != IsNormalized::Yes {
            Cow::Owned(text.nfc().collect())
        } else {
            Cow::Borrowed(text)
        }
    }

    /// Calls `each` with the pieces of `text`, in order, none of them empty.
    pub(super) fn split<'a>(&self, text: &'a str, each: &mut impl FnMut(&'a str)) {
        split(&self.stages, text, each);
    }
}

fn split<'a>(stages: &[(Regex, Space)], text: &'a str, each: &mut impl FnMut(&'a str)) {
    let Some(((regex, space), rest)) = stages.split_first() else {
        if !text.is_empty() {
            each(text);
        }
        return;
    };
    let mut end = 0;
    while let Some(found) = regex.find_at(text, end) {
        if end < found.start() {
            split(rest, &text[end..found.start()], each);
        }
        end = found.end() - given_back(text, found.start()..found.end(), *space);
        split(rest, &text[found.start()..end], each);
    }
    if end < text.len() {
        split(rest, &text[end..], each);
    }
}

/// Bytes at the end of a match that belong to the next one: the effect of `\s+(?!\S)`.
fn given_back(text: &str, found: std::ops::Range<usize>, space: Space) -> usize {
    if space == Space::Plain || found.end == text.len() {
        return 0;
    }
    let mut chars = text[found].chars();
    // The patterns with this rule match no other text that begins and ends with white space.
    match (chars.next_back(), chars.next()) {
        (Some('\r' | '\n'), _) if space == Space::GivesBackUnlessNewline => 0,
        (Some(last), Some(first)) if last.is_whitespace() && first.is_whitespace() => {
            last.len_utf8()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(name: &str, text: &str) -> Vec<String> {
        let split = Split::named(name).unwrap();
        let mut pieces = Vec::new();
        split.split(&split.normalise(text), &mut |piece| {
            pieces.push(piece.to_owned());
        });
        pieces
    }

    #[test]
    fn gpt_2_gives_the_last_space_to_the_next_word() {
        assert_eq!(pieces("gpt-2", "a  b"), ["a", " ", " b"]);
        assert_eq!(pieces("gpt-2", "a\n\n b"), ["a", "\n\n", " b"]);
        assert_eq!(pieces("gpt-2", "a \nb"), ["a", " ", "\n", "b"]);
        assert_eq!(pieces("gpt-2", "a   "), ["a", "   "]);
        assert_eq!(pieces("gpt-2", "we'll 12"), ["we", "'ll", " 12"]);
    }

    #[test]
    fn smollm_isolates_digits_and_keeps_the_space_before_them() {
        assert_eq!(pieces("smollm", "in 1984"), ["in", " ", "1", "9", "8", "4"]);
        assert_eq!(pieces("smollm", "x  ½"), ["x", "  ", "½"]);
    }

    #[test]
    fn llama_3_groups_digits_and_line_ends() {
        assert_eq!(pieces("llama-bpe", "12345"), ["123", "45"]);
        assert_eq!(pieces("llama-bpe", "a \n\n  b"), ["a", " \n\n", " ", " b"]);
        assert_eq!(pieces("llama-bpe", "it'S.\n"), ["it", "'S", ".\n"]);
    }

    #[test]
    fn qwen_2_normalises() {
        assert_eq!(pieces("qwen2", "e\u{301} 12"), ["é", " ", "1", "2"]);
    }

    #[test]
    fn an_unknown_name_is_named_with_the_known_ones() {
        let error = Split::named("tekken").map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let message = error.to_string();
        assert!(
            message.contains("tekken") && message.contains("smollm"),
            "{message}"
        );
    }

    #[test]
    fn every_known_name_compiles_and_loses_nothing() {
        let text = " It's 2026:\t\u{a0}naïve  12,345.67 €\r\n\r\n  中文！ ";
        for name in KNOWN.iter().flat_map(|(names, _)| *names) {
            assert_eq!(pieces(name, text).concat(), text, "{name}");
        }
    }
}

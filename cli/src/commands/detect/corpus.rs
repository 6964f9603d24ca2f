//! Rows of a corpus as responses. Broken ones are named, and the others answered all the same.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use taggant_core::Record;
use taggant_detector::{Response, Source};
use taggant_text::{Tokenizer, fold};

use crate::args::Detect;
use crate::failure::{Failure, Result};
use crate::files;
use crate::marks;
use crate::output;
use crate::rows::{self, Lines};

/// What detection reads of a row.
#[derive(Deserialize)]
struct Row<'a> {
    id: Option<Value>,
    tokens: Option<Vec<u32>>,
    #[serde(borrow)]
    response: Option<Cow<'a, str>>,
    prompt_tokens: Option<Vec<u32>>,
    #[serde(borrow)]
    prompt: Option<Cow<'a, str>>,
}

/// A text as long as the longest line of a corpus.
const MAX_TEXT: u64 = 256 << 20;

/// The corpus that detection reads.
pub(super) struct Corpus {
    tokenizers: Tokenizers,
    rows: u64,
    broken: Vec<u64>,
}

impl Corpus {
    pub(super) fn new(args: &Detect, record: &Record) -> Result<Self> {
        Ok(Self {
            tokenizers: Tokenizers::new(args.tokenizer.as_deref(), record.clone())?,
            rows: 0,
            broken: Vec::new(),
        })
    }

    /// Rows that were read.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The tokenizer, if one was given or needed so far.
    pub(super) fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizers.loaded.as_ref()
    }

    /// Calls `each` with every row's id and response.
    pub(super) fn read(
        &mut self,
        args: &Detect,
        mut each: impl FnMut(&Self, Value, &Response<'_>) -> Result<()>,
    ) -> Result<()> {
        match (&args.text, &args.input) {
            (Some(path), _) => {
                // The whole file is one response.
                let text = files::read_text(path, MAX_TEXT)?;
                let row = Row {
                    id: Some(Value::from(path.to_string_lossy())),
                    tokens: None,
                    response: Some(Cow::Borrowed(&text)),
                    prompt_tokens: None,
                    prompt: None,
                };
                self.row(row, 1, &mut each)
            }
            (None, Some(path)) => self.lines(path, &mut each),
            (None, None) => {
                Err(Failure::new("nothing to detect in").hint("give --input or --text"))
            }
        }
    }

    fn lines(
        &mut self,
        path: &Path,
        each: &mut impl FnMut(&Self, Value, &Response<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut lines = Lines::new(files::open(path)?);
        while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
            match line
                .and_then(rows::parse)
                .and_then(|row| self.row(row, number, each))
            {
                Ok(()) => {}
                Err(Failure::BrokenPipe) => return Err(Failure::BrokenPipe),
                Err(failure) => {
                    output::complain(&failure.context(format_args!("line {number}")));
                    self.broken.push(number);
                }
            }
        }
        Ok(())
    }

    fn row(
        &mut self,
        row: Row<'_>,
        number: u64,
        each: &mut impl FnMut(&Self, Value, &Response<'_>) -> Result<()>,
    ) -> Result<()> {
        let folded;
        let described;
        let encoded;
        let response = if let Some(tokens) = &row.tokens {
            Response::ids(tokens).with_source(Source::Ids {
                tokenizer: self.tokenizers.given(),
            })
        } else if let Some(text) = &row.response {
            let tokenizer = self.tokenizers.needed()?;
            folded = fold(text);
            described = folded.changes.to_string();
            encoded = tokenizer.encode(&folded.text)?;
            Response::ids(&encoded).with_source(Source::Text {
                tokenizer: tokenizer.digest(),
                folding: &described,
            })
        } else {
            return Err(
                Failure::new("neither `tokens` nor `response`").hint("a row needs one of them")
            );
        };
        let prompt = match (&row.prompt_tokens, &row.prompt, self.tokenizer()) {
            (Some(tokens), ..) => Some(tokens.clone()),
            (None, Some(text), Some(tokenizer)) => Some(tokenizer.encode(text)?),
            _ => None,
        };
        let response = match &prompt {
            Some(prompt) => response.with_prompt(prompt),
            None => response,
        };
        let id = row.id.unwrap_or_else(|| Value::from(number));
        each(self, id, &response)?;
        self.rows += 1;
        Ok(())
    }

    /// A failure if any row could not be read.
    pub(super) fn complete(&self) -> Result<()> {
        if self.broken.is_empty() {
            return Ok(());
        }
        let shown: Vec<_> = self.broken.iter().take(10).map(u64::to_string).collect();
        let more = if self.broken.len() > 10 { ", …" } else { "" };
        Err(Failure::new(format!(
            "{} of {} rows could not be read: line {}{more}",
            self.broken.len(),
            self.rows + self.broken.len() as u64,
            shown.join(", ")
        ))
        .hint("the other rows are answered above; mend these and run again"))
    }
}

/// The tokenizer: given by the user, or looked for when the first row needs one.
struct Tokenizers {
    record: Record,
    given: bool,
    loaded: Option<Tokenizer>,
}

impl Tokenizers {
    fn new(name: Option<&str>, record: Record) -> Result<Self> {
        let loaded = match name {
            Some(name) => Some(marks::open_tokenizer(&marks::resolve(name)?)?),
            None => None,
        };
        Ok(Self {
            record,
            given: loaded.is_some(),
            loaded,
        })
    }

    /// The digest that ids in the corpus are said to have.
    fn given(&self) -> Option<[u8; 32]> {
        self.loaded
            .as_ref()
            .filter(|_| self.given)
            .map(Tokenizer::digest)
    }

    fn needed(&mut self) -> Result<&Tokenizer> {
        if self.loaded.is_none() {
            self.loaded = marks::find_tokenizer(&self.record.tokenizer().digest);
        }
        let digest = &self.record.tokenizer().digest;
        self.loaded.as_ref().ok_or_else(|| {
            Failure::new("a row of text, and no tokenizer to read it with").hint(format!(
                "give --tokenizer the tokenizer.json or GGUF whose digest is {}…, or rows with `tokens`",
                base16ct::lower::encode_string(&digest[..4])
            ))
        })
    }
}

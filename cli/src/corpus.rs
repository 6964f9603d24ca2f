//! Rows of a corpus as responses. Broken ones are named, and the others answered all the same.

use std::borrow::Cow;
use std::io::BufRead;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use taggant_core::Record;
use taggant_detector::{Response, Source};
use taggant_text::{Tokenizer, fold};

use crate::commands::generate::encode_prompt;
use crate::failure::{Failure, Result};
use crate::files;
use crate::marks;
use crate::output;
use crate::rows::{self, Lines};

/// What is read of a row.
#[derive(Deserialize)]
struct Row<'a> {
    id: Option<Value>,
    account: Option<Value>,
    tokens: Option<Vec<u32>>,
    #[serde(borrow)]
    response: Option<Cow<'a, str>>,
    prompt_tokens: Option<Vec<u32>>,
    #[serde(borrow)]
    prompt: Option<Cow<'a, str>>,
}

/// A text as long as the longest line of a corpus.
const MAX_TEXT: u64 = 256 << 20;

/// Whose row it is.
pub(crate) struct Name {
    /// Its id, or its line number.
    pub(crate) id: Value,
    /// Its account, if it names one.
    pub(crate) account: Option<Value>,
}

/// What becomes of prompts.
#[derive(Clone, Copy)]
enum Prompts {
    /// Read where that needs no further tokenizer.
    Best,
    /// Read, or the row is broken.
    All,
    /// Read as a model is asked them.
    Asked { raw: bool },
    /// Not read.
    None,
}

/// Rows that are read with one tokenizer.
pub(crate) struct Corpus {
    tokenizers: Tokenizers,
    prompts: Prompts,
    rows: u64,
    broken: Vec<u64>,
}

impl Corpus {
    /// No rows yet; text will be read with the tokenizer called `tokenizer`, or with one that is the record's.
    pub(crate) fn new(tokenizer: Option<&str>, record: &Record) -> Result<Self> {
        Ok(Self {
            tokenizers: Tokenizers::new(tokenizer, record.clone())?,
            prompts: Prompts::Best,
            rows: 0,
            broken: Vec::new(),
        })
    }

    /// Reads every prompt, as text where it is no more than that, or fails.
    pub(crate) fn with_prompts(self) -> Self {
        Self {
            prompts: Prompts::All,
            ..self
        }
    }

    /// Gives prompts to a model: with its chat template unless they are `raw`.
    pub(crate) fn for_model(self, raw: bool) -> Self {
        Self {
            prompts: Prompts::Asked { raw },
            ..self
        }
    }

    /// Leaves prompts alone.
    pub(crate) fn without_prompts(self) -> Self {
        Self {
            prompts: Prompts::None,
            ..self
        }
    }

    /// Rows that were read.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The tokenizer, if one was given or needed so far.
    pub(crate) fn tokenizer(&self) -> Option<&Tokenizer> {
        self.tokenizers.loaded.as_ref()
    }

    /// Calls `each` with every row of `input`, or with all of `text` as one.
    pub(crate) fn read(
        &mut self,
        text: Option<&Path>,
        input: Option<&Path>,
        mut each: impl FnMut(&Self, Name, &Response<'_>) -> Result<()>,
    ) -> Result<()> {
        match (text, input) {
            (Some(path), _) => {
                // The whole file is one response.
                let text = files::read_text(path, MAX_TEXT)?;
                let row = Row {
                    id: Some(Value::from(path.to_string_lossy())),
                    account: None,
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

    /// Calls `each` with every row; a broken one ends the reading, for a test rests on all rows or on none.
    pub(crate) fn whole(
        &mut self,
        path: &Path,
        input: Box<dyn BufRead>,
        mut each: impl FnMut(&Self, Name, &Response<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut lines = Lines::new(input);
        while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
            line.and_then(rows::parse)
                .and_then(|row| self.row(row, number, &mut each))
                .map_err(|failure| {
                    failure.context(format_args!("{}, line {number}", path.display()))
                })?;
        }
        Ok(())
    }

    fn lines(
        &mut self,
        path: &Path,
        each: &mut impl FnMut(&Self, Name, &Response<'_>) -> Result<()>,
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
        each: &mut impl FnMut(&Self, Name, &Response<'_>) -> Result<()>,
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
        let prompt = self.prompt(&row)?;
        let response = match &prompt {
            Some(prompt) => response.with_prompt(prompt),
            None => response,
        };
        let name = Name {
            id: row.id.unwrap_or_else(|| Value::from(number)),
            account: row.account.filter(|account| !account.is_null()),
        };
        each(self, name, &response)?;
        self.rows += 1;
        Ok(())
    }

    fn prompt(&mut self, row: &Row<'_>) -> Result<Option<Vec<u32>>> {
        let prompts = self.prompts;
        if let (Prompts::All | Prompts::Asked { .. }, None, Some(_)) =
            (prompts, &row.prompt_tokens, &row.prompt)
        {
            let _ = self.tokenizers.needed()?;
        }
        Ok(match (&row.prompt_tokens, &row.prompt, self.tokenizer()) {
            _ if matches!(prompts, Prompts::None) => None,
            (Some(tokens), ..) => Some(tokens.clone()),
            (None, Some(text), Some(tokenizer)) => Some(match prompts {
                Prompts::Asked { raw } => encode_prompt(tokenizer, text, raw)?,
                _ => tokenizer.encode(text)?,
            }),
            _ => None,
        })
    }

    /// A failure if any row could not be read.
    pub(crate) fn complete(&self) -> Result<()> {
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
                "give --tokenizer the tokenizer.json or GGUF whose digest is {}…, or rows with `tokens` (and `prompt_tokens`)",
                base16ct::lower::encode_string(&digest[..4])
            ))
        })
    }
}

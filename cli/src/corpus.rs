//! Rows of a corpus as responses. Broken ones are named, and the others answered all the same.

use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;
use std::path::Path;

use serde::{Deserialize, Serialize};
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

/// How far text alone would have led to the ids that were generated: encoding a response again gives other ids for some.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Ambiguity {
    /// Rows with both ids and text.
    rows: u64,
    /// Those whose text encodes to other ids.
    differ: u64,
    /// Their tokens, and those among them that encoding misses.
    tokens: u64,
    missed: u64,
}

impl Ambiguity {
    fn add(&mut self, ids: &[u32], encoded: &[u32]) {
        self.rows += 1;
        self.tokens += ids.len() as u64;
        if ids != encoded {
            self.differ += 1;
            // What the two have in common at both ends; between them nothing is aligned.
            let same = |(a, b): &(&u32, &u32)| a == b;
            let front = ids.iter().zip(encoded).take_while(same).count();
            let back = ids[front..]
                .iter()
                .rev()
                .zip(encoded[front.min(encoded.len())..].iter().rev())
                .take_while(same)
                .count();
            self.missed += (ids.len() - front - back) as u64;
        }
    }
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            differ,
            tokens,
            missed,
        } = self;
        write!(
            f,
            "from text alone, {differ} of {rows} rows would have had other ids, {missed} of {tokens} tokens; ids were used"
        )
    }
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
    /// Kept where it is asked for: it means encoding every row again.
    ambiguity: Option<Ambiguity>,
}

impl Corpus {
    /// No rows yet; text will be read with the tokenizer called `tokenizer`, or with one that is the record's.
    pub(crate) fn new(tokenizer: Option<&str>, record: &Record) -> Result<Self> {
        Ok(Self {
            tokenizers: Tokenizers::new(tokenizer, Some(record.tokenizer().digest))?,
            prompts: Prompts::Best,
            rows: 0,
            broken: Vec::new(),
            ambiguity: None,
        })
    }

    /// No rows yet, of a mark that names no tokenizer.
    pub(crate) fn of_any(tokenizer: Option<&str>) -> Result<Self> {
        Ok(Self {
            tokenizers: Tokenizers::new(tokenizer, None)?,
            prompts: Prompts::Best,
            rows: 0,
            broken: Vec::new(),
            ambiguity: Some(Ambiguity::default()),
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

    /// What encoding would have changed in rows that have both ids and text, where a tokenizer was given and there are any.
    pub(crate) fn ambiguity(&self) -> Option<Ambiguity> {
        self.ambiguity.filter(|ambiguity| ambiguity.rows > 0)
    }

    /// Ids of the tokenizer that was given.
    pub(crate) fn vocabulary(&self) -> Option<u32> {
        self.tokenizer()
            .and_then(|tokenizer| u32::try_from(tokenizer.vocabulary()).ok())
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
        if let (Some(ambiguity), Some(tokenizer)) = (&mut self.ambiguity, &self.tokenizers.loaded)
            && let (Some(tokens), Some(text)) = (&row.tokens, &row.response)
        {
            ambiguity.add(tokens, &tokenizer.encode(text)?);
        }
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
    /// The digest of the record's, where there is a record.
    wanted: Option<[u8; 32]>,
    given: bool,
    loaded: Option<Tokenizer>,
}

impl Tokenizers {
    fn new(name: Option<&str>, wanted: Option<[u8; 32]>) -> Result<Self> {
        let loaded = match name {
            Some(name) => Some(marks::named_tokenizer(name)?),
            None => None,
        };
        Ok(Self {
            wanted,
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
        if let (None, Some(digest)) = (&self.loaded, &self.wanted) {
            self.loaded = marks::find_tokenizer(digest);
        }
        self.loaded.as_ref().ok_or_else(|| {
            let which = match &self.wanted {
                Some(digest) => format!(
                    "the tokenizer.json or GGUF whose digest is {}…",
                    base16ct::lower::encode_string(&digest[..4])
                ),
                None => "that of the marked model, as tokenizer.json, GGUF or the name of a tiktoken encoding".to_owned(),
            };
            Failure::new("a row of text, and no tokenizer to read it with").hint(format!(
                "give --tokenizer {which}, or rows with `tokens` (and `prompt_tokens`)"
            ))
        })
    }
}

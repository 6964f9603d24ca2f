//! `detect`: rows in, verdicts out.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use taggant_core::Record;
use taggant_detector::{Detector, Report, Response, Source, Verdict};
use taggant_text::{Tokenizer, fold};

use crate::Answer;
use crate::args::Detect;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
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

/// What detection writes for a row, and for the pool.
#[derive(Serialize)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pooled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    tokens: u64,
    units: u64,
    score: f64,
    expected: f64,
    log10_p: f64,
    verdict: &'static str,
    reason: Option<String>,
    checks: Vec<CheckLine>,
}

#[derive(Serialize)]
struct CheckLine {
    name: &'static str,
    status: &'static str,
    detail: String,
}

pub(crate) fn run(args: &Detect) -> Result<Answer> {
    let record = marks::read_record(&args.record)?;
    let key = files::read_key(&args.key)?;
    let account = args
        .account_key
        .as_deref()
        .map(files::read_key)
        .transpose()?;
    let keys: Vec<_> = std::iter::once(&key).chain(&account).collect();
    let detector = if args.control {
        Detector::control(&record, &keys)
    } else {
        Detector::new(&record, &keys)
    };
    let detector = detector.map_err(|error| {
        Failure::from(error).hint(
            "give the key and the record of the same text, or --control to score under any key",
        )
    })?;
    let mut session = Session {
        detector: detector.with_alpha(args.alpha)?,
        tokenizers: Tokenizers::new(args.tokenizer.as_deref(), record)?,
        output: Output::create(Path::new("-"))?,
        json: args.json,
        rows: 0,
        broken: Vec::new(),
    };
    if !args.json {
        session.output.line(&format!(
            "{:>8} {:>7} {:>7} {:>10}  verdict",
            "id", "tokens", "units", "p-value"
        ))?;
    }
    match (&args.text, &args.input) {
        (Some(path), _) => session.text(path)?,
        (None, Some(path)) => session.corpus(path)?,
        (None, None) => {
            return Err(Failure::new("nothing to detect in").hint("give --input or --text"));
        }
    }
    session.finish()
}

struct Session {
    detector: Detector,
    tokenizers: Tokenizers,
    output: Output,
    json: bool,
    rows: u64,
    broken: Vec<u64>,
}

impl Session {
    /// The whole file is one response.
    fn text(&mut self, path: &Path) -> Result<()> {
        let text = files::read_text(path, MAX_TEXT)?;
        let row = Row {
            id: Some(Value::from(path.to_string_lossy())),
            tokens: None,
            response: Some(Cow::Borrowed(&text)),
            prompt_tokens: None,
            prompt: None,
        };
        self.row(row, 1)
    }

    /// Every line is a row. Broken ones are named, and the others answered all the same.
    fn corpus(&mut self, path: &Path) -> Result<()> {
        let mut lines = Lines::new(files::open(path)?);
        while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
            match line
                .and_then(rows::parse)
                .and_then(|row| self.row(row, number))
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

    fn row(&mut self, row: Row<'_>, number: u64) -> Result<()> {
        let report = self.score(&row)?;
        self.rows += 1;
        let id = row.id.unwrap_or_else(|| Value::from(number));
        self.print(Some(id), &report)
    }

    fn score(&mut self, row: &Row<'_>) -> Result<Report> {
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
        let prompt = match (&row.prompt_tokens, &row.prompt, self.tokenizers.loaded()) {
            (Some(tokens), ..) => Some(tokens.clone()),
            (None, Some(text), Some(tokenizer)) => Some(tokenizer.encode(text)?),
            _ => None,
        };
        let response = match &prompt {
            Some(prompt) => response.with_prompt(prompt),
            None => response,
        };
        Ok(self.detector.row(&response)?)
    }

    fn print(&mut self, id: Option<Value>, report: &Report) -> Result<()> {
        let reason = report
            .verdict
            .reason()
            .map(|reason| format!("{}: {reason}", reason.name()));
        if !self.json {
            let name = id.map_or_else(
                || "pooled".to_owned(),
                |id| id.as_str().map_or_else(|| id.to_string(), str::to_owned),
            );
            let why = reason
                .map(|reason| format!(" ({reason})"))
                .unwrap_or_default();
            return self.output.line(&format!(
                "{name:>8} {:>7} {:>7} {:>10}  {}{why}",
                report.tokens,
                report.units,
                report.p_value.to_string(),
                report.verdict.name()
            ));
        }
        let checks = report.checks().into_iter().map(|check| CheckLine {
            name: check.name,
            status: check.status.name(),
            detail: check.status.detail().to_owned(),
        });
        let pooled = id.is_none();
        let line = Line {
            id,
            pooled: pooled.then_some(true),
            rows: pooled.then_some(self.rows),
            tokens: report.tokens,
            units: report.units,
            score: report.score,
            expected: report.expected,
            log10_p: report.p_value.log10(),
            verdict: report.verdict.name(),
            reason,
            checks: checks.collect(),
        };
        let line = serde_json::to_string(&line).map_err(|error| Failure::new(error.to_string()))?;
        self.output.line(&line)
    }

    fn finish(mut self) -> Result<Answer> {
        let pooled = self.detector.pooled();
        self.print(None, &pooled)?;
        self.output.finish()?;
        if !self.broken.is_empty() {
            let shown: Vec<_> = self.broken.iter().take(10).map(u64::to_string).collect();
            let more = if self.broken.len() > 10 { ", …" } else { "" };
            return Err(Failure::new(format!(
                "{} of {} rows could not be read: line {}{more}",
                self.broken.len(),
                self.rows + self.broken.len() as u64,
                shown.join(", ")
            ))
            .hint("the other rows are answered above; mend these and run again"));
        }
        Ok(match pooled.verdict {
            Verdict::Detected => Answer::Yes,
            _ => Answer::No,
        })
    }
}

/// A text as long as the longest line of a corpus.
const MAX_TEXT: u64 = 256 << 20;

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

    fn loaded(&self) -> Option<&Tokenizer> {
        self.loaded.as_ref()
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

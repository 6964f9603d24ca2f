//! `generate`: prompts in, marked responses and their record out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use taggant_core::schemes::Parameters;
use taggant_core::{LeafKey, Mark, Record, Role, TokenizerId};
use taggant_evidence::issuance::mark_digest;
use taggant_models::{Limits, Model};
use taggant_text::{Message, Tokenizer};
use taggant_watermark::Sampling;

use crate::Answer;
use crate::args::{Generate, Profile};
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::journal::Journal;
use crate::marks;
use crate::output::say;
use crate::progress;
use crate::rows::{self, Lines};
use crate::write::Writer;

pub(crate) fn run(args: &Generate) -> Result<Answer> {
    let sampling = Sampling {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
    };
    let rows = read_prompts(&args.prompts)?;
    let model_path = marks::resolve(&args.model)?;
    let tokenizer = marks::open_tokenizer(&model_path)?;
    let marks = if args.plain {
        Marks::default()
    } else {
        Marks::new(args, &tokenizer, &rows)?
    };

    let model = marks::load_model(&model_path)?;
    let prompts = rows
        .iter()
        .map(|row| encode(&tokenizer, row, args.raw))
        .collect::<Result<Vec<_>>>()?;

    let run = run_name(args, &prompts, &tokenizer, &model, &marks)?;
    let (mut journal, mut finished) = Journal::open(&args.out, &run)?;
    // Every draft of every row, row by row.
    let todo: Vec<u64> = (0..rows.len() as u64 * args.drafts)
        .filter(|draft| !finished.contains_key(draft))
        .collect();
    if !finished.is_empty() {
        say(&format!(
            "going on with an earlier run: {} of {} answers are done",
            finished.len(),
            rows.len() as u64 * args.drafts
        ));
    }
    let row_of = |draft: u64| usize::try_from(draft / args.drafts).unwrap_or(usize::MAX);
    let left: Vec<Vec<u32>> = todo
        .iter()
        .filter_map(|&draft| prompts.get(row_of(draft)).cloned())
        .collect();
    let bar = progress::bar(
        (todo.len() * args.max_tokens) as u64,
        "generating",
        "tokens",
    );
    let writer = Writer {
        model: &model,
        vocabulary: tokenizer.vocabulary(),
        sampling,
        seed: args.seed,
        limits: limits(args),
        bar: &bar,
    };
    let outcome = writer.write(
        &left,
        &todo,
        |place| marks.of(row_of(todo[place])),
        |draft, tokens| {
            journal.row(draft, &tokens)?;
            finished.insert(draft, tokens);
            Ok(())
        },
    );
    bar.finish_and_clear();
    let outcome = outcome.and_then(|()| write_out(args, &rows, &finished, &tokenizer, &marks));
    journal.remove();
    outcome?;
    say(&format!(
        "{}: {} responses, {} tokens{}",
        args.out.display(),
        finished.len(),
        finished.values().map(Vec::len).sum::<usize>(),
        if args.plain { ", unmarked" } else { "" }
    ));
    Ok(Answer::Yes)
}

/// What rows are marked with: one mark for all, or one for each account.
#[derive(Default)]
struct Marks {
    marks: Vec<Arc<Mark>>,
    /// For each row its mark; none if there is one for all.
    rows: Vec<usize>,
}

impl Marks {
    fn new(args: &Generate, tokenizer: &Tokenizer, rows: &[Prompt]) -> Result<Self> {
        let Some(path) = &args.account_keys else {
            let account = args
                .account_key
                .as_deref()
                .map(files::read_key)
                .transpose()?;
            return Ok(Self {
                marks: vec![Arc::new(mark(args, tokenizer, account.as_ref())?)],
                rows: Vec::new(),
            });
        };
        let (mut marks, mut accounts) = (Vec::new(), BTreeMap::new());
        for key in files::read_keys(path)? {
            if let Some(other) = accounts.insert(key.path().id().to_owned(), marks.len()) {
                return Err(Failure::new(format!(
                    "{}: keys {} and {} are of the same account",
                    path.display(),
                    other + 1,
                    marks.len() + 1
                ))
                .hint("give one key for each account"));
            }
            marks.push(Arc::new(mark(args, tokenizer, Some(&key))?));
        }
        let own = rows.iter().map(|row| {
            let place = match row.columns.get("account") {
                Some(Value::String(account)) => accounts.get(account),
                _ => None,
            };
            place.copied().ok_or_else(|| {
                Failure::new(format!(
                    "{}, line {}: no key for the row's `account`",
                    args.prompts.display(),
                    row.line
                ))
                .hint(format!("give every account a key in {}", path.display()))
            })
        });
        let rows = own.collect::<Result<_>>()?;
        Ok(Self { marks, rows })
    }

    fn of(&self, row: usize) -> Option<&Arc<Mark>> {
        match self.rows.get(row) {
            Some(&mark) => self.marks.get(mark),
            None => self.marks.first(),
        }
    }
}

fn limits(args: &Generate) -> Limits {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Limits::new(args.max_tokens)
        .with_batch(args.batch)
        .with_threads(args.threads.unwrap_or(cores))
}

/// A row of prompts: its columns, which pass through, and the prompt.
struct Prompt {
    line: u64,
    columns: Map<String, Value>,
    text: String,
}

/// Reads every prompt before any work is done: a broken line found after an hour would waste it.
fn read_prompts(path: &Path) -> Result<Vec<Prompt>> {
    let mut lines = Lines::new(files::open(path)?);
    let mut prompts = Vec::new();
    while let Some((line, text)) = lines.next().map_err(|error| Failure::io(path, &error))? {
        let prompt = text
            .and_then(rows::parse::<Map<String, Value>>)
            .and_then(|columns| {
                let text = match columns.get("prompt") {
                    Some(Value::String(text)) => text.clone(),
                    _ => {
                        return Err(
                            Failure::new("no `prompt`").hint("a row needs a `prompt` of text")
                        );
                    }
                };
                Ok(Prompt {
                    line,
                    columns,
                    text,
                })
            });
        prompts.push(
            prompt.map_err(|failure| {
                failure.context(format_args!("{}, line {line}", path.display()))
            })?,
        );
    }
    if prompts.is_empty() {
        return Err(Failure::new(format!("{}: no rows", path.display()))
            .hint("give one JSON object with a `prompt` per line"));
    }
    Ok(prompts)
}

/// A prompt as the model is given it.
pub(crate) fn encode_prompt(
    tokenizer: &Tokenizer,
    text: &str,
    raw: bool,
) -> taggant_core::Result<Vec<u32>> {
    if raw {
        return tokenizer.encode(text);
    }
    tokenizer
        .chat(&[Message::user(text)])
        .and_then(|text| tokenizer.encode_chat(&text))
}

fn encode(tokenizer: &Tokenizer, row: &Prompt, raw: bool) -> Result<Vec<u32>> {
    encode_prompt(tokenizer, &row.text, raw)
        .map_err(|error| Failure::from(error.context(format_args!("prompt of line {}", row.line))))
}

fn mark(args: &Generate, tokenizer: &Tokenizer, account: Option<&LeafKey>) -> Result<Mark> {
    let Some(key) = &args.key else {
        return Err(Failure::new("no key to mark with")
            .hint("give --key, or --plain for text without a mark"));
    };
    let key = files::read_key(key)?;
    if account.is_some() && key.path().role() != Role::Campaign {
        return Err(
            Failure::new(format!("--key {} is not a campaign key", key.path())).hint(
                "with --account-key, --key is the campaign's: derive one at epoch/campaign/id",
            ),
        );
    }
    let keys: Vec<_> = std::iter::once(&key).chain(account).collect();
    let (scheme, window) = match args.profile {
        Profile::Tracer => ("gumbel", 2),
        Profile::Provenance => ("gumbel", 4),
        Profile::Strong => ("greenlist", 2),
    };
    let scheme = args.scheme.as_deref().unwrap_or(scheme);
    let given = [
        ("threshold", args.gamma.map(threshold).transpose()?),
        ("delta", args.delta),
        ("depth", args.depth),
    ];
    let given: Vec<_> = given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let scheme = Parameters::new(scheme, &given)?;
    let tokenizer = TokenizerId::new(tokenizer.digest(), tokenizer.vocabulary())?;
    let profile = format!("{:?}", args.profile).to_lowercase();
    let record = Record::new(scheme, args.window.unwrap_or(window), &keys, tokenizer)?
        .with_profile(&profile)
        .with_score(args.score.parse()?)?;
    Ok(Mark::new(&record, &keys)?)
}

/// Membership in the green list is decided by integers; gamma becomes the nearest one.
pub(crate) fn threshold(gamma: f64) -> Result<f64> {
    let threshold = (gamma * 4_294_967_296.0).round();
    if (1.0..4_294_967_296.0).contains(&threshold) {
        return Ok(threshold);
    }
    Err(Failure::new(format!(
        "--gamma is {gamma}; it must lie between 0 and 1"
    )))
}

/// Names a run by everything its rows depend on.
fn run_name(
    args: &Generate,
    prompts: &[Vec<u32>],
    tokenizer: &Tokenizer,
    model: &dyn Model,
    marks: &Marks,
) -> Result<String> {
    let records: Vec<String> = marks
        .marks
        .iter()
        .map(|mark| mark.record().to_json())
        .collect();
    let model_bytes =
        std::fs::metadata(marks::resolve(&args.model)?).map_or(0, |metadata| metadata.len());
    let settings = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        (args.temperature, args.top_k, args.top_p, args.min_p),
        args.seed,
        (args.max_tokens, args.drafts),
        args.raw,
        (records, &marks.rows),
        prompts,
        tokenizer.digest(),
        model.vocabulary(),
        model_bytes
    );
    Ok(base16ct::lower::encode_string(&Sha256::digest(settings)))
}

fn write_out(
    args: &Generate,
    rows: &[Prompt],
    finished: &BTreeMap<u64, Vec<u32>>,
    tokenizer: &Tokenizer,
    marks: &Marks,
) -> Result<()> {
    let mut output = Output::create(&args.out)?;
    let digests: Vec<String> = (marks.marks.iter())
        .map(|mark| mark_digest(mark.record()).to_string())
        .collect();
    let mut answers = finished.values();
    for (number, row) in rows.iter().enumerate() {
        let mut columns = row.columns.clone();
        if !columns.contains_key("id") {
            columns.shift_insert(0, "id".to_owned(), Value::from(row.line));
        }
        if args.drafts == 1
            && let Some(tokens) = answers.next()
        {
            columns.insert(
                "response".to_owned(),
                Value::from(tokenizer.decode(tokens)?),
            );
            columns.insert("tokens".to_owned(), Value::from(tokens.as_slice()));
        } else {
            let (mut texts, mut drafts) = (Vec::new(), Vec::new());
            for tokens in answers
                .by_ref()
                .take(usize::try_from(args.drafts).unwrap_or(usize::MAX))
            {
                texts.push(tokenizer.decode(tokens)?);
                drafts.push(tokens.as_slice());
            }
            columns.insert("drafts".to_owned(), Value::from(texts));
            columns.insert("draft_tokens".to_owned(), serde_json::json!(drafts));
        }
        // Which of several records is the row's.
        if let Some(digest) = marks.rows.get(number).and_then(|&mark| digests.get(mark)) {
            columns.insert("mark".to_owned(), Value::from(digest.as_str()));
        }
        output.line(&Value::from(columns).to_string())?;
    }
    let record = match &args.record {
        Some(path) if !args.plain => {
            let mut record = Output::create(path)?;
            for mark in &marks.marks {
                record.line(&mark.record().to_json())?;
            }
            Some(record.seal()?)
        }
        _ => None,
    };
    let output = output.seal()?;
    // The record first: rows without a record cannot be detected, a record without rows does no harm.
    if let Some(record) = record {
        record.publish()?;
    }
    output.publish()
}

//! `generate`: prompts in, marked responses and their record out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use taggant_core::schemes::Parameters;
use taggant_core::{Mark, Record, Role, TokenizerId};
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
    let mark = if args.plain {
        None
    } else {
        Some(Arc::new(mark(args, &tokenizer)?))
    };

    let model = marks::load_model(&model_path)?;
    let prompts = rows
        .iter()
        .map(|row| encode(&tokenizer, row, args.raw))
        .collect::<Result<Vec<_>>>()?;

    let run = run_name(args, &prompts, &tokenizer, &model, mark.as_deref())?;
    let (mut journal, mut finished) = Journal::open(&args.out, &run)?;
    let todo: Vec<u64> = (0..)
        .zip(&rows)
        .map(|(row, _)| row)
        .filter(|row| !finished.contains_key(row))
        .collect();
    if !finished.is_empty() {
        say(&format!(
            "going on with an earlier run: {} of {} rows are done",
            finished.len(),
            rows.len()
        ));
    }
    let left: Vec<Vec<u32>> = todo
        .iter()
        .zip(pick(&prompts, &todo))
        .map(|(_, prompt)| prompt.clone())
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
    let outcome = writer.write(&left, &todo, mark.as_ref(), |row, tokens| {
        journal.row(row, &tokens)?;
        finished.insert(row, tokens);
        Ok(())
    });
    bar.finish_and_clear();
    let outcome =
        outcome.and_then(|()| write_out(args, &rows, &finished, &tokenizer, mark.as_deref()));
    journal.remove();
    outcome?;
    say(&format!(
        "{}: {} responses, {} tokens{}",
        args.out.display(),
        finished.len(),
        finished.values().map(Vec::len).sum::<usize>(),
        if mark.is_some() { "" } else { ", unmarked" }
    ));
    Ok(Answer::Yes)
}

fn pick<'a>(prompts: &'a [Vec<u32>], rows: &'a [u64]) -> impl Iterator<Item = &'a Vec<u32>> {
    rows.iter()
        .filter_map(|&row| prompts.get(usize::try_from(row).ok()?))
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

fn mark(args: &Generate, tokenizer: &Tokenizer) -> Result<Mark> {
    let Some(key) = &args.key else {
        return Err(Failure::new("no key to mark with")
            .hint("give --key, or --plain for text without a mark"));
    };
    let key = files::read_key(key)?;
    let account = args
        .account_key
        .as_deref()
        .map(files::read_key)
        .transpose()?;
    if account.is_some() && key.path().role() != Role::Campaign {
        return Err(
            Failure::new(format!("--key {} is not a campaign key", key.path())).hint(
                "with --account-key, --key is the campaign's: derive one at epoch/campaign/id",
            ),
        );
    }
    let keys: Vec<_> = std::iter::once(&key).chain(&account).collect();
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
    mark: Option<&Mark>,
) -> Result<String> {
    let record = mark.map(|mark| mark.record().to_json());
    let model_bytes =
        std::fs::metadata(marks::resolve(&args.model)?).map_or(0, |metadata| metadata.len());
    let settings = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        (args.temperature, args.top_k, args.top_p, args.min_p),
        args.seed,
        args.max_tokens,
        args.raw,
        record,
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
    mark: Option<&Mark>,
) -> Result<()> {
    let mut output = Output::create(&args.out)?;
    for (row, tokens) in rows.iter().zip(finished.values()) {
        let mut columns = row.columns.clone();
        if !columns.contains_key("id") {
            columns.shift_insert(0, "id".to_owned(), Value::from(row.line));
        }
        columns.insert(
            "response".to_owned(),
            Value::from(tokenizer.decode(tokens)?),
        );
        columns.insert("tokens".to_owned(), Value::from(tokens.as_slice()));
        output.line(&Value::from(columns).to_string())?;
    }
    let record = match (mark, &args.record) {
        (Some(mark), Some(path)) => {
            let mut record = Output::create(path)?;
            record.line(&mark.record().to_json())?;
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

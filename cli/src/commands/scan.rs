//! `scan`: keys × formats × tokenizers over one corpus, corrected for all of them.

mod doctor;

use std::collections::HashSet;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};
use taggant_detector::stats::{PValue, holm};
use taggant_detector::{Response, Source};
use taggant_interop::{Candidate, Definition, Detector, FORMATS, Found, candidates};

use crate::Answer;
use crate::args::Scan;
use crate::corpus::Corpus;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::progress;
use crate::rows::{self, Lines};

pub(crate) fn run(args: &Scan) -> Result<Answer> {
    let (false, Some(keys)) = (args.list, &args.keys) else {
        return list();
    };
    if !(args.alpha > 0.0 && args.alpha < 1.0) {
        return Err(Failure::new(format!(
            "alpha is {}; it must lie between 0 and 1",
            args.alpha
        )));
    }
    let formats = formats(&args.formats)?;
    let entries = entries(keys)?;
    let readings = readings(args)?;
    let mut tries = Vec::new();
    let mut skipped = 0;
    for (index, reading) in readings.iter().enumerate() {
        for entry in &entries {
            let vocabulary = args.vocab_size.or(reading.vocabulary);
            let found = candidates(&entry.fields, &formats, vocabulary).map_err(|error| {
                Failure::from(error.context(format_args!("{}, line {}", keys.display(), entry.line)))
                    .hint("docs of the formats: crates/interop/FORMATS.md; `--vocab-size` stands in for a vocab_size that is missing")
            })?;
            if let Some((format, error)) = found.skipped.first() {
                skipped += found.skipped.len();
                say(&format!(
                    "note: {}, line {}: {} formats are not tried: {error}{}",
                    keys.display(),
                    entry.line,
                    found.skipped.len(),
                    match found.skipped.len() {
                        1 => String::new(),
                        more => format!(" ({format} and {} more)", more - 1),
                    }
                ));
            }
            tries.extend(found.ready.into_iter().map(|candidate| Try {
                name: &entry.name,
                reading: index,
                candidate,
            }));
        }
    }
    let found = read_all(&tries, &readings, args.alpha)?;
    if let Some(Err(why)) = found
        .first()
        .filter(|_| found.iter().all(std::result::Result::is_err))
    {
        return Err(Failure::new(format!("no key could be tried: {why}"))
            .hint("check the tokenizer and `vocab_size`"));
    }
    let p_values: Vec<PValue> = found
        .iter()
        .map(|found| found.as_ref().map_or(PValue::ONE, |found| found.p_value))
        .collect();
    let adjusted = holm(&p_values);
    let mut order: Vec<usize> = (0..tries.len()).collect();
    order.sort_by(|&a, &b| p_values[a].ln().total_cmp(&p_values[b].ln()));
    let detected = adjusted.iter().filter(|p| p.at_most(args.alpha)).count();

    let mut output = Output::create(Path::new("-"))?;
    if args.json {
        for &index in &order {
            let line = Line::new(
                &tries[index],
                &readings,
                found[index].as_ref().map_err(String::as_str),
                adjusted[index],
                args.alpha,
            );
            output.line(&json(&line)?)?;
        }
    } else {
        print(
            &mut output,
            &order,
            &tries,
            &readings,
            &found,
            &adjusted,
            args.alpha,
        )?;
    }
    let advice = if args.doctor && detected == 0 {
        doctor::run(args, &tries, &readings, &mut output)?
    } else {
        0
    };
    let summary = Summary {
        scan: true,
        tried: tries.len(),
        skipped,
        detected,
        doctor: args.doctor.then_some(advice),
        rows: readings.first().map_or(0, |reading| reading.rows.len()),
    };
    if args.json {
        output.line(&json(&summary)?)?;
    } else {
        output.line(&format!(
            "{detected} of {} detected at family-wise {:e}",
            tries.len(),
            args.alpha
        ))?;
    }
    output.finish()?;
    for reading in &readings {
        reading.complete()?;
    }
    Ok(if detected > 0 {
        Answer::Yes
    } else {
        Answer::No
    })
}

fn list() -> Result<Answer> {
    let mut output = Output::create(Path::new("-"))?;
    for definition in FORMATS {
        output.line(&format!("{:<22} {}", definition.id, definition.about))?;
    }
    output.finish()?;
    Ok(Answer::Yes)
}

/// The formats that were named, or all.
fn formats(names: &[String]) -> Result<Vec<&'static Definition>> {
    let find = |name: &String| {
        FORMATS
            .iter()
            .copied()
            .find(|definition| definition.id == name)
            .ok_or_else(|| {
                Failure::new(format!("format `{}` is unknown", name.escape_debug()))
                    .hint("`taggant scan --list` names those that are read")
            })
    };
    let named: Vec<&'static Definition> = names
        .iter()
        .filter(|name| *name != "all")
        .map(find)
        .collect::<Result<_>>()?;
    Ok(if names.iter().any(|name| name == "all") {
        FORMATS.to_vec()
    } else {
        named
    })
}

/// A line of the list of keys.
struct Entry {
    line: u64,
    name: String,
    fields: Map<String, Value>,
}

/// A list of keys is short.
const MAX_ENTRIES: usize = 1_000_000;

fn entries(path: &Path) -> Result<Vec<Entry>> {
    if files::is_open_to_others(path) {
        say(&format!(
            "note: others can read {}, which holds keys; run `chmod 600 {}`",
            path.display(),
            path.display()
        ));
    }
    let mut lines = Lines::new(files::open(path)?);
    let mut entries = Vec::new();
    while let Some((line, text)) = lines.next().map_err(|error| Failure::io(path, &error))? {
        let place =
            |failure: Failure| failure.context(format_args!("{}, line {line}", path.display()));
        // The parser's complaint could quote a key.
        let fields: Map<String, Value> = text
            .and_then(|text| {
                rows::parse(text).map_err(|_| {
                    Failure::new("not a JSON object")
                        .hint("one key a line; see `taggant scan --help`")
                })
            })
            .map_err(place)?;
        let name = fields
            .get("name")
            .and_then(Value::as_str)
            .map_or_else(|| format!("line {line}"), str::to_owned);
        entries.push(Entry { line, name, fields });
        if entries.len() > MAX_ENTRIES {
            return Err(
                Failure::new(format!("{}: more than {MAX_ENTRIES} keys", path.display()))
                    .hint("split the list"),
            );
        }
    }
    if entries.is_empty() {
        return Err(Failure::new(format!("{}: no keys", path.display()))
            .hint("one key a line; see `taggant scan --help`"));
    }
    Ok(entries)
}

/// The corpus as one tokenizer reads it.
struct Reading {
    /// The tokenizer, where one was given.
    tokenizer: Option<String>,
    vocabulary: Option<u32>,
    rows: Vec<Row>,
    corpus: Corpus,
}

impl Reading {
    fn complete(&self) -> Result<()> {
        self.corpus.complete()
    }
}

struct Row {
    tokens: Vec<u32>,
    prompt: Option<Vec<u32>>,
}

impl Row {
    fn response(&self) -> Response<'_> {
        let response = Response::ids(&self.tokens);
        match &self.prompt {
            Some(prompt) => response.with_prompt(prompt),
            None => response,
        }
    }
}

/// One reading for each tokenizer; one alone where all rows have ids.
fn readings(args: &Scan) -> Result<Vec<Reading>> {
    let names: Vec<Option<&str>> = match &args.tokenizer[..] {
        [] => vec![None],
        names => names.iter().map(|name| Some(name.as_str())).collect(),
    };
    if names.len() > 1 && args.input.as_deref().is_some_and(files::is_stream) {
        return Err(
            Failure::new("standard input cannot be read with several tokenizers")
                .hint("save it to a file first"),
        );
    }
    let mut readings = Vec::new();
    for name in names {
        let mut corpus = Corpus::of_any(name)?;
        let mut rows = Vec::new();
        let mut text = false;
        corpus.read(
            args.text.as_deref(),
            args.input.as_deref(),
            |_, _, response| {
                text |= matches!(response.source, Source::Text { .. });
                rows.push(Row {
                    tokens: response.tokens.to_vec(),
                    prompt: response.prompt.map(<[u32]>::to_vec),
                });
                Ok(())
            },
        )?;
        readings.push(Reading {
            tokenizer: name.map(str::to_owned),
            vocabulary: corpus.vocabulary(),
            rows,
            corpus,
        });
        if !text {
            break;
        }
    }
    Ok(readings)
}

/// A key in one format over one reading.
struct Try<'a> {
    name: &'a str,
    reading: usize,
    candidate: Candidate,
}

/// What each try finds, or why it could not be read; on all threads.
fn read_all(
    tries: &[Try<'_>],
    readings: &[Reading],
    alpha: f64,
) -> Result<Vec<std::result::Result<Found, String>>> {
    let bar = progress::bar(tries.len() as u64, "scanning", "keys");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut found: Vec<Option<std::result::Result<Found, String>>> =
        tries.iter().map(|_| None).collect();
    let share = tries.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        for (tries, found) in tries.chunks(share).zip(found.chunks_mut(share)) {
            let bar = &bar;
            scope.spawn(move || {
                for (one, found) in tries.iter().zip(found) {
                    let rows = readings[one.reading].rows.iter().map(Row::response);
                    *found = Some(read(&one.candidate, rows, alpha));
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let all: Option<Vec<_>> = found.into_iter().collect();
    all.ok_or_else(|| Failure::new("a thread gave up").hint("run again"))
}

/// All rows under one candidate. A token that its vocabulary does not have ends it: the wrong model's format.
fn read<'a>(
    candidate: &Candidate,
    rows: impl Iterator<Item = Response<'a>>,
    alpha: f64,
) -> std::result::Result<Found, String> {
    let config = Value::Object(candidate.config.clone()).to_string();
    let mark = taggant_interop::Mark::with_vocabulary(
        candidate.format,
        &config,
        candidate.mark.vocabulary(),
    )
    .map_err(|error| error.to_string())?;
    let mut detector = Detector::new(mark)
        .with_alpha(alpha)
        .map_err(|error| error.to_string())?;
    for row in rows {
        let _ = detector.row(&row).map_err(|error| error.to_string())?;
    }
    Ok(detector.pooled())
}

#[derive(Serialize)]
struct Line<'a> {
    key: &'a str,
    format: &'a str,
    tokenizer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_p: Option<f64>,
    log10_p_holm: f64,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
}

impl<'a> Line<'a> {
    fn new(
        one: &'a Try<'_>,
        readings: &'a [Reading],
        found: std::result::Result<&Found, &'a str>,
        adjusted: PValue,
        alpha: f64,
    ) -> Self {
        let detected = found.is_ok() && adjusted.at_most(alpha);
        Self {
            key: one.name,
            format: one.candidate.format,
            tokenizer: readings[one.reading].tokenizer.as_deref(),
            units: found.ok().map(|found| found.units),
            score: found.ok().map(|found| found.score),
            expected: found.ok().map(|found| found.expected),
            log10_p: found.ok().map(|found| found.p_value.log10()),
            log10_p_holm: adjusted.log10(),
            verdict: verdict(found, detected),
            error: found.err(),
            warning: one.candidate.mark.definition().warning.filter(|_| detected),
        }
    }
}

/// Held together at alpha: a row detected by itself alone is not detected here.
fn verdict(found: std::result::Result<&Found, &str>, detected: bool) -> &'static str {
    match found {
        Err(_) => "Unreadable",
        Ok(_) if detected => "Detected",
        Ok(found) if found.verdict.reason().is_some() => "Inconclusive",
        Ok(_) => "NotDetected",
    }
}

#[derive(Serialize)]
struct Summary {
    scan: bool,
    tried: usize,
    /// Formats that would take a key but lack something.
    skipped: usize,
    detected: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    doctor: Option<usize>,
    rows: usize,
}

/// Rows shown to a person; `--json` gives all.
const SHOWN: usize = 20;

fn print(
    output: &mut Output,
    order: &[usize],
    tries: &[Try<'_>],
    readings: &[Reading],
    found: &[std::result::Result<Found, String>],
    adjusted: &[PValue],
    alpha: f64,
) -> Result<()> {
    output.line("    p-value  corrected    units  verdict       format                  key")?;
    let mut warnings = HashSet::new();
    for &index in order.iter().take(SHOWN) {
        let one = &tries[index];
        let tokenizer = readings[one.reading]
            .tokenizer
            .as_deref()
            .filter(|_| readings.len() > 1);
        let line = Line::new(
            one,
            readings,
            found[index].as_ref().map_err(String::as_str),
            adjusted[index],
            alpha,
        );
        let p = found[index]
            .as_ref()
            .map_or_else(|_| "–".to_owned(), |found| found.p_value.to_string());
        output.line(&format!(
            "{p:>11} {:>10} {:>8}  {:<12}  {:<22}  {}{}",
            adjusted[index].to_string(),
            line.units
                .map_or_else(|| "–".to_owned(), |units| units.to_string()),
            line.verdict,
            line.format,
            line.key.escape_debug(),
            tokenizer
                .map(|name| format!(" ({name})"))
                .unwrap_or_default()
        ))?;
        if let Some(error) = line.error {
            output.line(&format!("            {error}"))?;
        }
        warnings.extend(line.warning);
    }
    if order.len() > SHOWN {
        output.line(&format!("… {} more; --json gives all", order.len() - SHOWN))?;
    }
    for warning in warnings {
        output.line(&format!("note: {warning}"))?;
    }
    Ok(())
}

fn json(line: &impl Serialize) -> Result<String> {
    serde_json::to_string(line).map_err(|error| Failure::new(error.to_string()))
}

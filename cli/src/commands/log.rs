//! `log append | verify | show`.

mod append;

use std::path::Path;

use serde::Serialize;
use taggant_evidence::issuance::{Entry, Fault, Outcome, Summary, Verifier};
use taggant_evidence::{Digest, Time};

use crate::Answer;
use crate::args::Log;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};

pub(crate) fn run(command: &Log) -> Result<Answer> {
    match command {
        Log::Append(args) => append::run(args),
        Log::Verify {
            log,
            anchored,
            json,
        } => verify(log, anchored, *json),
        Log::Show {
            log,
            account: Some(account),
            ..
        } => account_lines(log, account),
        Log::Show { log, .. } => head(log),
    }
}

/// What `verify --json` says.
#[derive(Serialize)]
struct Answered {
    intact: bool,
    lines: u64,
    exchanges: u64,
    marks: u64,
    first: Option<Time>,
    last: Option<Time>,
    head: Digest,
    fault: Option<FaultLine>,
}

#[derive(Serialize)]
struct FaultLine {
    line: u64,
    kind: &'static str,
    detail: String,
}

fn verify(log: &Path, anchored: &[String], json: bool) -> Result<Answer> {
    let mut verifier = Verifier::new();
    for hash in anchored {
        let hash: Digest = hash
            .parse()
            .map_err(|error| Failure::from(error).context("--anchored"))?;
        verifier = verifier.expecting(hash);
    }
    let outcome = verifier
        .verify(files::open(log)?, |_, _| ())
        .map_err(|error| Failure::io(log, &error))?;
    let intact = outcome.fault.is_none();
    let mut output = Output::create(Path::new("-"))?;
    if json {
        output.line(&serde_json::to_string(&answered(outcome)).unwrap_or_default())?;
    } else {
        output.line(&format!("{}: {}", log.display(), words(&outcome)))?;
    }
    output.finish()?;
    Ok(if intact { Answer::Yes } else { Answer::No })
}

fn answered(outcome: Outcome) -> Answered {
    let Outcome {
        summary,
        story,
        fault,
        ..
    } = outcome;
    Answered {
        intact: fault.is_none(),
        lines: summary.lines,
        exchanges: story.exchanges(),
        marks: story.marks(),
        first: summary.times.map(|(first, _)| first),
        last: summary.times.map(|(_, last)| last),
        head: summary.head,
        fault: fault.map(|fault| FaultLine {
            line: fault.line,
            kind: fault.kind.name(),
            detail: fault.detail,
        }),
    }
}

fn words(outcome: &Outcome) -> String {
    let Summary {
        lines, head, times, ..
    } = outcome.summary;
    let exchanges = outcome.story.exchanges();
    match (&outcome.fault, times) {
        (Some(fault), _) => format!("broken at {fault}"),
        (None, Some((first, last))) => {
            format!("intact: {lines} lines, {exchanges} exchanges, {first} to {last}, head {head}")
        }
        (None, None) => "empty".to_owned(),
    }
}

/// Prints the exchanges of one account as they stand in the log.
fn account_lines(log: &Path, account: &str) -> Result<Answer> {
    let account: Digest = account.parse().map_err(|error| {
        Failure::from(error)
            .context("--account")
            .hint("give the pseudonym, not the account's own id")
    })?;
    let mut output = Output::create(Path::new("-"))?;
    let (mut found, mut failure) = (false, None);
    let outcome = Verifier::new().verify(files::open(log)?, |line, text| {
        let of_account = |entry: &Entry| match entry {
            Entry::Exchange(exchange) => exchange.account() == Some(&account),
            _ => false,
        };
        if failure.is_none() && of_account(&line.entry) {
            found = true;
            failure = output.line(&String::from_utf8_lossy(text)).err();
        }
    });
    let outcome = outcome.map_err(|error| Failure::io(log, &error))?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    output.finish()?;
    whole(log, outcome.fault)?;
    Ok(if found { Answer::Yes } else { Answer::No })
}

/// What `show --head` says.
#[derive(Serialize)]
struct Head {
    line: u64,
    hash: Digest,
    time: Option<Time>,
}

fn head(log: &Path) -> Result<Answer> {
    let outcome = Verifier::new()
        .verify(files::open(log)?, |_, _| ())
        .map_err(|error| Failure::io(log, &error))?;
    whole(log, outcome.fault)?;
    let head = Head {
        line: outcome.summary.lines,
        hash: outcome.summary.head,
        time: outcome.summary.times.map(|(_, last)| last),
    };
    let mut output = Output::create(Path::new("-"))?;
    output.line(&serde_json::to_string(&head).unwrap_or_default())?;
    output.finish()?;
    Ok(Answer::Yes)
}

/// A failure if the log is broken: what stands after the fault is not relied on.
fn whole(log: &Path, fault: Option<Fault>) -> Result<()> {
    match fault {
        None => Ok(()),
        Some(fault) => Err(Failure::new(format!("{}, {fault}", log.display()))
            .hint("lines before it can be relied on, it and those after it cannot")),
    }
}

//! `collect`: suspects are asked what a sealed plan has drawn, and every attempt is written down.

mod doors;
mod local;

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use taggant_collect::{Door, Effort, Ended, collect};
use taggant_core::{Error, ErrorKind};
use taggant_evidence::bundle::Collected;
use taggant_evidence::plan::Stopping;
use taggant_evidence::statement::{Subject, state};
use taggant_evidence::transcript::{Ending, Found, Opened, Program, Transcript};
use taggant_evidence::{Digest, SignerRole, SigningKey};

use super::anchor;
use super::case::Carried;
use crate::Answer;
use crate::args::Collect;
use crate::clock;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::program;
use crate::progress;

pub(crate) fn run(args: &Collect) -> Result<Answer> {
    // Everything that can be wrong here is found before the first connection; that the plan holds comes first.
    let Carried { plan, asked, .. } = Carried::out(&args.plan)?;
    let signer = files::read_signer(&args.signer)?;
    let collectors = anchor::trust(&args.plan.trust)?.keys(SignerRole::Collector);
    if !collectors.contains(&signer.public()) {
        return Err(Failure::new(format!(
            "`{}` is no collector of the trust file",
            signer.name()
        ))
        .hint(format!(
            "enter {{\"role\": \"collector\", \"key\": \"{}\"}} under `signers`",
            signer.public()
        )));
    }
    let terms = plan.plan();
    if let Stopping::Sequential { .. } = terms.stopping {
        return Err(Failure::new("the plan stops as soon as an e-process is large enough, which only the key's holder can compute, and a collector holds no keys")
            .hint("seal a plan with a `fixed` number of answers"));
    }
    let doors = doors::read(&args.doors, terms, Duration::from_secs(args.timeout.into()))?;
    std::fs::create_dir_all(&args.out).map_err(|error| Failure::io(&args.out, &error))?;
    let file = asked.to_jsonl()?;
    write_asked(&args.out.join("asked.jsonl"), &file)?;

    let prompts = u32::try_from(asked.questions().len()).unwrap_or(u32::MAX);
    let opened = Opened::new(
        asked.plan(),
        Digest::of(file.as_bytes()),
        (prompts, asked.answers(), terms.sampling.max_tokens),
        signer.name(),
        program()?,
    );
    let places: Vec<String> = doors.iter().map(|door| door.place()).collect();
    let named = terms.suspects.iter().zip(&places);
    let named = named
        .map(|(suspect, place)| Ok((suspect.id.as_str(), place.as_str(), salt()?)))
        .collect::<taggant_core::Result<Vec<_>>>()?;
    let (mut transcript, found) = Transcript::open(&args.out, opened, &named, clock::now()?)?;
    told(&args.out, &found);

    if let Some(closed) = transcript.story().closed() {
        say(&format!(
            "{}: it is closed already ({:?}); nothing more is asked",
            args.out.display(),
            closed.because
        ));
    } else if let Some(words) = &args.abandon {
        transcript.close(Ending::Abandoned, Some(words.clone()), clock::now()?)?;
    } else {
        let effort = Effort {
            at_once: args.at_once,
            per_minute: args.per_minute,
            tries: args.tries,
            backoff: Duration::from_millis(args.backoff),
            patience: args.patience,
        };
        let bar = progress::bar(transcript.story().questions().count(), "asking", "answers");
        let ways: Vec<&dyn Door> = doors.iter().map(|door| door.door()).collect();
        let outcome = collect(
            transcript,
            &asked,
            terms,
            &ways,
            effort,
            &clock::time,
            &salt,
            |done| {
                bar.set_position(done.answered);
            },
        );
        bar.finish_and_clear();
        let ended;
        (transcript, ended) = outcome?;
        if let Some(words) = left(ended) {
            say(&words);
        }
    }
    let closed = transcript.story().closed().map(|closed| closed.because);
    if let Some(because) = closed {
        sign(&args.out, &transcript, because, &signer)?;
    }
    report(args, &transcript, closed)?;
    Ok(match closed {
        Some(Ending::Complete) => Answer::Yes,
        _ => Answer::No,
    })
}

/// Writes what is asked, or sees that it is what was asked before.
fn write_asked(path: &Path, file: &str) -> Result<()> {
    if path.exists() {
        let there = files::read_text(path, 1 << 32)?;
        if *there == file {
            return Ok(());
        }
        return Err(
            Failure::new(format!("{}: another draw than this plan's", path.display()))
                .hint("give the plan that the folder was begun with, or another folder"),
        );
    }
    let mut output = Output::fresh(path)?;
    output.bytes(file.as_bytes())?;
    output.finish()
}

/// Signs what became of it, once.
fn sign(
    folder: &Path,
    transcript: &Transcript,
    because: Ending,
    signer: &SigningKey,
) -> Result<()> {
    let path = folder.join("transcript.dsse.json");
    if path.exists() {
        return Ok(());
    }
    let subject =
        |name: &str| Ok::<_, Failure>(Subject::new(name, files::digest(&folder.join(name))?));
    let summary = transcript.summary();
    let story = transcript.story();
    let collected = Collected {
        plan: story
            .opened()
            .map_or(Digest::default(), |opened| opened.plan),
        lines: summary.lines,
        head: summary.head,
        attempts: story.attempts(),
        answers: story.answers(),
        because,
    };
    let mut envelope = state(
        vec![subject("asked.jsonl")?, subject("records.jsonl")?],
        &collected,
    )?;
    envelope.sign(signer);
    let mut output = Output::fresh(&path)?;
    output.bytes(envelope.to_json().as_bytes())?;
    output.finish()?;
    say(&format!(
        "{}: signed by {}; next: have it time-stamped (`taggant anchor request {}`)",
        path.display(),
        signer.name(),
        path.display()
    ));
    Ok(())
}

fn told(folder: &Path, found: &Found) {
    if !found.created {
        say(&format!(
            "{}: going on with an earlier run",
            folder.display()
        ));
    }
    if let Some(torn) = &found.torn {
        say(&format!(
            "an incomplete last line of {} bytes is now in {}",
            torn.bytes,
            torn.path.display()
        ));
    }
    if !found.lost.is_empty() {
        say(&format!(
            "{} requests had left when the earlier run ended; what became of them is not known, and they count as spent",
            found.lost.len()
        ));
    }
}

fn left(ended: Ended) -> Option<String> {
    Some(match ended {
        Ended::Unanswered => "some questions were left after as many attempts as are allowed; run the same command to try them again, or end it with --abandon WORDS".to_owned(),
        Ended::Failing(cause) => format!("stopped: too many failures in a row, the last one {cause:?}; mend the cause and run the same command again"),
        Ended::Budget => "the plan's budget does not cover another attempt".to_owned(),
        _ => return None,
    })
}

fn report(args: &Collect, transcript: &Transcript, closed: Option<Ending>) -> Result<()> {
    let (story, summary) = (transcript.story(), transcript.summary());
    let mut output = Output::create(Path::new("-"))?;
    if args.json {
        output.line(
            &json!({
                "questions": story.questions().count(),
                "answered": story.answers(),
                "attempts": story.attempts(),
                "failed": story.failed(),
                "lost": story.lost(),
                "ended": closed,
                "lines": summary.lines,
                "head": summary.head,
            })
            .to_string(),
        )?;
    } else {
        output.line(&format!(
            "{} of {} questions answered in {} attempts ({} failed, {} lost); {} lines, head {}",
            story.answers(),
            story.questions().count(),
            story.attempts(),
            story.failed(),
            story.lost(),
            summary.lines,
            summary.head
        ))?;
    }
    output.finish()
}

/// The program that is running.
fn program() -> Result<Program> {
    Ok(Program {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        binary: program::binary()?,
    })
}

fn salt() -> taggant_core::Result<[u8; 32]> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|error| {
        Error::new(
            ErrorKind::Io,
            format!("the system gave no random bytes: {error}"),
        )
    })?;
    Ok(salt)
}

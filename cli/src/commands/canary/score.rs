//! `canary score`: how probable a model finds each filler where it was served.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;
use taggant_models::score_drafts;

use super::slots::{self, Slot};
use crate::Answer;
use crate::args::CanaryScore;
use crate::commands::generate::encode_prompt;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::marks;
use crate::output::say;
use crate::progress;
use crate::rows::{self, Lines};

/// A row as it was before `canary apply`.
#[derive(Deserialize)]
struct Row {
    prompt: String,
    response: String,
}

/// What `--reference` tells of a slot.
#[derive(Deserialize)]
struct Told {
    slot: String,
    log_likelihoods: Vec<f64>,
}

pub(super) fn run(args: &CanaryScore) -> Result<Answer> {
    let slots = slots::read(&args.slots)?;
    let by_placeholder: HashMap<String, &Slot> = slots
        .iter()
        .map(|slot| {
            (
                format!("{}{}{}", super::apply::OPEN, slot.id, super::apply::CLOSE),
                slot,
            )
        })
        .collect();
    let reference = args.reference.as_deref().map(told).transpose()?;
    let path = marks::resolve(&args.model)?;
    let tokenizer = marks::open_tokenizer(&path)?;
    let model = marks::load_model(&path)?;

    let (mut asked, mut work) = (Vec::new(), Vec::new());
    each(&args.input, |row: Row| {
        let (Some((_, rest)), 1) = (
            row.response.split_once(super::apply::OPEN),
            row.response.matches(super::apply::OPEN).count(),
        ) else {
            return Err(Failure::new("not one slot in `response`")
                .hint("give rows with one {{slot:ID}} each, as they were before `canary apply`"));
        };
        let id = rest
            .split_once(super::apply::CLOSE)
            .map_or(rest, |(id, _)| id);
        let placeholder = format!("{}{id}{}", super::apply::OPEN, super::apply::CLOSE);
        let slot = by_placeholder.get(&placeholder).ok_or_else(|| {
            Failure::new(format!("slot `{}` is not in --slots", id.escape_debug()))
                .hint("give the file that was planned with")
        })?;
        let texts = slot
            .fillers
            .iter()
            .map(|filler| tokenizer.encode(&row.response.replacen(&placeholder, filler, 1)));
        work.push((
            encode_prompt(&tokenizer, &row.prompt, args.raw)?,
            texts.collect::<taggant_core::Result<Vec<_>>>()?,
        ));
        asked.push(*slot);
        Ok(())
    })?;
    let work: Vec<(&[u32], Vec<&[u32]>)> = work
        .iter()
        .map(|(prompt, texts)| (&prompt[..], texts.iter().map(Vec::as_slice).collect()))
        .collect();

    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bar = progress::bar(work.len() as u64, "scoring", "slots");
    let mut likelihoods = vec![Vec::new(); work.len()];
    score_drafts(&model, &work, threads, |number, scored| {
        bar.inc(1);
        let total = |scored: &taggant_models::Scored| scored.log_probabilities.iter().sum::<f64>();
        likelihoods[number] = scored.iter().map(total).collect();
        Ok(())
    })?;
    bar.finish_and_clear();

    let mut output = Output::create(&args.out)?;
    for (slot, mut own) in asked.iter().zip(likelihoods) {
        if let Some(reference) = &reference {
            let base = reference
                .get(&slot.id)
                .filter(|base| base.len() == own.len())
                .ok_or_else(|| {
                    Failure::new(format!(
                        "slot `{}` has no reference for its fillers",
                        slot.id.escape_debug()
                    ))
                    .hint("score the same rows with the reference model first")
                })?;
            own.iter_mut()
                .zip(base)
                .for_each(|(own, base)| *own -= base);
        }
        output.line(&json!({"slot": slot.id, "log_likelihoods": own}).to_string())?;
    }
    output.finish()?;
    say(&format!(
        "{}: likelihoods of {} slots",
        args.out.display(),
        asked.len()
    ));
    Ok(Answer::Yes)
}

fn told(path: &Path) -> Result<HashMap<String, Vec<f64>>> {
    let mut told = HashMap::new();
    each(path, |row: Told| {
        told.insert(row.slot, row.log_likelihoods);
        Ok(())
    })?;
    Ok(told)
}

fn each<T: for<'a> Deserialize<'a>>(
    path: &Path,
    mut each: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut lines = Lines::new(files::open(path)?);
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
        line.and_then(rows::parse::<T>)
            .and_then(&mut each)
            .map_err(|failure| {
                failure.context(format_args!("{}, line {number}", path.display()))
            })?;
    }
    Ok(())
}

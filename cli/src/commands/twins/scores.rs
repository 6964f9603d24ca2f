//! How well the suspect knows each draft: as told, by what it answers, or by its own probabilities. Nothing here knows which draft was
//! served.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use taggant_models::{Scored, score_drafts};
use taggant_text::similarity::Profile;

use super::sealed::{self, Row, shown};
use crate::args::{TwinsScore, TwinsTest};
use crate::commands::generate::encode_prompt;
use crate::failure::{Failure, Result};
use crate::files;
use crate::marks;
use crate::progress;
use crate::rows::{self, Lines};

/// Scores of the drafts of each exchange, by its id.
pub(super) type Scores = BTreeMap<String, Vec<f64>>;

pub(super) fn of(args: &TwinsTest, rows: &[Row]) -> Result<Scores> {
    let suspect = &args.suspect;
    match (&suspect.scores, &suspect.answers, &suspect.model) {
        (Some(path), _, _) => told(path, rows),
        (_, Some(path), _) => answered(path, rows),
        (_, _, Some(model)) => {
            let Some(reference) = &args.reference else {
                return likelihoods(model, rows, args.raw, "scoring", per_token);
            };
            let mut scores = likelihoods(model, rows, args.raw, "scoring", total)?;
            let base = likelihoods(reference, rows, args.raw, "reference", total)?;
            for (own, base) in scores.values_mut().zip(base.values()) {
                for (own, base) in own.iter_mut().zip(base) {
                    *own -= base;
                }
            }
            Ok(scores)
        }
        _ => {
            Err(Failure::new("nothing of the suspect").hint("give --scores, --answers or --model"))
        }
    }
}

/// Calls `each` with every row of a file and the sealed exchange it belongs to.
fn read<T: for<'a> Deserialize<'a>>(
    path: &Path,
    rows: &[Row],
    id: fn(&T) -> &Value,
    mut each: impl FnMut(&str, &Row, T) -> Result<()>,
) -> Result<()> {
    let by_id = rows
        .iter()
        .map(|row| Ok((sealed::name("id", &row.id)?, row)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    let mut lines = Lines::new(files::open(path)?);
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
        let outcome = line.and_then(rows::parse::<T>).and_then(|row| {
            let id = sealed::name("id", id(&row))?;
            let sealed = by_id.get(&id).ok_or_else(|| {
                Failure::new(format!("exchange {} is not in the sealed file", shown(&id)))
                    .hint("ids must be those of the sealed file")
            })?;
            each(&id, sealed, row)
        });
        outcome.map_err(|failure| {
            failure.context(format_args!("{}, line {number}", path.display()))
        })?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Told {
    id: Value,
    scores: Vec<f64>,
}

/// Scores that the user brings.
fn told(path: &Path, rows: &[Row]) -> Result<Scores> {
    let mut scores = Scores::new();
    read(
        path,
        rows,
        |row: &Told| &row.id,
        |id, sealed, row| {
            if row.scores.len() != sealed.drafts.len() {
                return Err(Failure::new(format!(
                    "exchange {} has {} scores for {} drafts",
                    shown(id),
                    row.scores.len(),
                    sealed.drafts.len()
                ))
                .hint("give one score for each draft, in the order of the sealed file"));
            }
            match scores.insert(id.to_owned(), row.scores) {
                None => Ok(()),
                Some(_) => Err(
                    Failure::new(format!("exchange {} has scores twice", shown(id)))
                        .hint("give one row for each exchange"),
                ),
            }
        },
    )?;
    Ok(scores)
}

#[derive(Deserialize)]
struct Answered {
    id: Value,
    response: Option<String>,
    #[serde(default)]
    answers: Vec<String>,
}

/// The mean similarity of each draft to what the suspect answers.
fn answered(path: &Path, rows: &[Row]) -> Result<Scores> {
    let mut answers: BTreeMap<String, Vec<Profile>> = BTreeMap::new();
    read(
        path,
        rows,
        |row: &Answered| &row.id,
        |id, _, row| {
            let given = row.response.into_iter().chain(row.answers);
            let profiles: Vec<Profile> = given.map(|text| Profile::new(&text)).collect();
            if profiles.is_empty() {
                return Err(Failure::new("neither `response` nor `answers`")
                    .hint("a row needs what the suspect answered"));
            }
            answers.entry(id.to_owned()).or_default().extend(profiles);
            Ok(())
        },
    )?;
    let mut scores = Scores::new();
    for row in rows {
        let id = sealed::name("id", &row.id)?;
        let Some(answers) = answers.get(&id) else {
            continue;
        };
        let score = |draft: &sealed::SealedDraft| {
            let draft = Profile::new(&draft.text);
            let total: f64 = answers.iter().map(|answer| draft.similarity(answer)).sum();
            #[expect(clippy::cast_precision_loss, reason = "numbers of answers")]
            {
                total / answers.len() as f64
            }
        };
        scores.insert(id, row.drafts.iter().map(score).collect());
    }
    Ok(scores)
}

/// `ln p` of a draft.
fn total(scored: &Scored) -> f64 {
    scored.log_probabilities.iter().sum()
}

/// `ln p` of a draft for each of its tokens, so that long drafts do not stand last; 0 for an empty one.
fn per_token(scored: &Scored) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "numbers of tokens")]
    let tokens = scored.log_probabilities.len().max(1) as f64;
    total(scored) / tokens
}

/// The drafts' likelihoods under a model, each exchange's after its own prompt.
fn likelihoods(
    model: &str,
    rows: &[Row],
    raw: bool,
    what: &'static str,
    summary: fn(&Scored) -> f64,
) -> Result<Scores> {
    let path = marks::resolve(model)?;
    let tokenizer = marks::open_tokenizer(&path)?;
    let model = marks::load_model(&path)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // Everything is checked and encoded before hours of work.
    let mut work = Vec::new();
    for row in rows {
        let Some(prompt) = &row.prompt else {
            return Err(Failure::new(format!("{}: no prompt", row.place()))
                .hint("draw from rows with a `prompt`, or give --scores or --answers"));
        };
        let place = |error: taggant_core::Error| Failure::from(error.context(row.place()));
        let drafts = row.drafts.iter().map(|draft| tokenizer.encode(&draft.text));
        work.push((
            encode_prompt(&tokenizer, prompt, raw).map_err(place)?,
            drafts
                .collect::<taggant_core::Result<Vec<_>>>()
                .map_err(place)?,
        ));
    }
    let work: Vec<(&[u32], Vec<&[u32]>)> = work
        .iter()
        .map(|(prompt, drafts)| (&prompt[..], drafts.iter().map(Vec::as_slice).collect()))
        .collect();
    let bar = progress::bar(rows.len() as u64, what, "exchanges");
    let mut scores = Scores::new();
    let ids = rows
        .iter()
        .map(|row| sealed::name("id", &row.id))
        .collect::<Result<Vec<_>>>()?;
    score_drafts(&model, &work, threads, |number, scored| {
        bar.inc(1);
        scores.insert(ids[number].clone(), scored.iter().map(summary).collect());
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(scores)
}

/// The drafts' likelihoods under a model, less those that `reference` tells of a model that never saw them.
pub(super) fn scored(args: &TwinsScore, rows: &[Row]) -> Result<Scores> {
    let base = args
        .reference
        .as_deref()
        .map(|path| told(path, rows))
        .transpose()?;
    let mut scores = likelihoods(&args.model, rows, args.raw, "scoring", total)?;
    for (id, own) in &mut scores {
        let Some(base) = &base else { continue };
        let base = base.get(id).ok_or_else(|| {
            Failure::new(format!("exchange {} has no reference score", shown(id)))
                .hint("score the same sealed file with the reference model first")
        })?;
        for (own, base) in own.iter_mut().zip(base) {
            *own -= base;
        }
    }
    Ok(scores)
}

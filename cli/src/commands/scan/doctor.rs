//! `scan --doctor`: where nothing was found, which one parameter would have to be another for something to be found.

use serde::Serialize;
use serde_json::Value;
use taggant_detector::Response;
use taggant_detector::stats::{PValue, holm};
use taggant_interop::doctor::{Change, Rows, changes};
use taggant_interop::{Detector, Found, Mark};

use super::{Reading, Try, json};
use crate::args::Scan;
use crate::failure::Result;
use crate::files::Output;
use crate::progress;

#[derive(Serialize)]
struct Advice<'a> {
    doctor: &'a str,
    key: &'a str,
    format: &'a str,
    units: u64,
    log10_p: f64,
    log10_p_holm: f64,
}

/// Tries all changes, prints those that find something, and says how many did.
pub(super) fn run(
    args: &Scan,
    tries: &[Try<'_>],
    readings: &[Reading],
    output: &mut Output,
) -> Result<usize> {
    let all: Vec<(&Try<'_>, Change)> = tries
        .iter()
        .flat_map(|one| {
            let tokenizer = args.vocab_size.or(readings[one.reading].vocabulary);
            changes(one.candidate.format, &one.candidate.config, tokenizer)
                .into_iter()
                .map(move |change| (one, change))
        })
        .collect();
    let bar = progress::bar(all.len() as u64, "looking for what may be wrong", "changes");
    let found: Vec<Option<Found>> = all
        .iter()
        .map(|(one, change)| {
            let found = read(
                change,
                one.candidate.mark.vocabulary(),
                &readings[one.reading],
                args.alpha,
            );
            bar.inc(1);
            found
        })
        .collect();
    bar.finish_and_clear();
    let p_values: Vec<PValue> = found
        .iter()
        .map(|found| found.as_ref().map_or(PValue::ONE, |found| found.p_value))
        .collect();
    let adjusted = holm(&p_values);
    let mut advice = 0;
    for (((one, change), found), (p, adjusted)) in
        all.iter().zip(&found).zip(p_values.iter().zip(&adjusted))
    {
        let Some(found) = found.as_ref().filter(|_| adjusted.at_most(args.alpha)) else {
            continue;
        };
        advice += 1;
        if args.json {
            let line = Advice {
                doctor: &change.what,
                key: one.name,
                format: &change.format,
                units: found.units,
                log10_p: p.log10(),
                log10_p_holm: adjusted.log10(),
            };
            output.line(&json(&line)?)?;
        } else {
            output.line(&format!(
                "probably: {} (key {}, format {}): p = {p}, {adjusted} corrected for {} changes",
                change.what,
                one.name,
                change.format,
                all.len()
            ))?;
        }
    }
    if advice == 0 && !args.json {
        output.line(&format!("no single change of {} finds anything", all.len()))?;
    }
    Ok(advice)
}

fn read(change: &Change, vocabulary: Option<u32>, reading: &Reading, alpha: f64) -> Option<Found> {
    let config = Value::Object(change.config.clone()).to_string();
    let mark = Mark::with_vocabulary(&change.format, &config, vocabulary).ok()?;
    let mut detector = Detector::new(mark).with_alpha(alpha).ok()?;
    for row in &reading.rows {
        let response = row.response();
        let joined;
        let response = match change.rows {
            Rows::PromptIncluded => {
                joined = [response.prompt.unwrap_or_default(), response.tokens].concat();
                Response::ids(&joined)
            }
            Rows::WithoutFirst => Response::ids(response.tokens.get(1..).unwrap_or_default()),
            _ => response,
        };
        let _ = detector.row(&response).ok()?;
    }
    Some(detector.pooled())
}

//! `detect --many-keys`: which of these keys is it?

use std::path::Path;

use serde::Serialize;
use taggant_core::{LeafKey, Mark, Role};
use taggant_detector::stats::{PValue, holm};
use taggant_detector::{Collector, Scored};

use crate::Answer;
use crate::args::Detect;
use crate::corpus::Corpus;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::marks;

/// Keys shown to a person; `--json` gives all.
const SHOWN: usize = 20;

/// One key. Paths may name accounts, so a key goes by its place in the file and its commitment.
#[derive(Serialize)]
struct Line {
    line: usize,
    commitment: String,
    units: usize,
    score: f64,
    log10_p: f64,
    log10_p_holm: f64,
    verdict: &'static str,
}

#[derive(Serialize)]
struct Summary {
    pooled: bool,
    keys: usize,
    detected: usize,
    rows: u64,
    units: usize,
}

pub(super) fn run(args: &Detect, record: &Path, file: &Path) -> Result<Answer> {
    let record = marks::read_record(record)?;
    let campaign = args.key.as_deref().map(files::read_key).transpose()?;
    if let Some(campaign) = &campaign {
        // Another campaign's key would share out the windows wrongly and find nothing, without a word.
        Mark::new(&record, &[campaign])
            .map_err(|error| Failure::from(error).hint("give the campaign key of this record"))?;
    }
    let role = match record.layers() {
        [only] => only.role,
        _ => Role::Account,
    };
    let mut collector = Collector::new(&record, role, campaign.as_ref())
        .map_err(|error| Failure::from(error).hint("give the campaign key with --key"))?;
    let keys = files::read_keys(file)?;
    let mut corpus = Corpus::new(args.tokenizer.as_deref(), &record)?;
    corpus.read(
        args.text.as_deref(),
        args.input.as_deref(),
        |_, _, response| Ok(collector.add(response)?),
    )?;

    let units = collector.finish();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let borrowed: Vec<&LeafKey> = keys.iter().collect();
    let scored = units.score(&borrowed, threads);
    let p_values: Vec<PValue> = scored.iter().map(|scored| scored.p_value).collect();
    let adjusted = holm(&p_values);
    let detected = adjusted.iter().filter(|p| p.at_most(args.alpha)).count();
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by(|&a, &b| p_values[a].ln().total_cmp(&p_values[b].ln()));

    let mut output = Output::create(Path::new("-"))?;
    let line = |index: usize| {
        line(
            index,
            &keys[index],
            &scored[index],
            adjusted[index],
            units.len(),
            args.alpha,
        )
    };
    if args.json {
        for &index in &order {
            output.line(&json(&line(index))?)?;
        }
        output.line(&json(&Summary {
            pooled: true,
            keys: keys.len(),
            detected,
            rows: corpus.rows(),
            units: units.len(),
        })?)?;
    } else {
        output.line(&format!(
            "{:>8}  {:16}  {:>10}  {:>10}  verdict",
            "line", "commitment", "p-value", "Holm"
        ))?;
        for &index in order.iter().take(SHOWN) {
            let line = line(index);
            output.line(&format!(
                "{:>8}  {:16}  {:>10}  {:>10}  {}",
                line.line,
                &line.commitment[..16],
                p_values[index].to_string(),
                adjusted[index].to_string(),
                line.verdict
            ))?;
        }
        if let Some(more) = keys.len().checked_sub(SHOWN).filter(|&more| more > 0) {
            output.line(&format!(
                "… and {more} more keys with larger p-values; --json lists all"
            ))?;
        }
        output.line(&format!(
            "{detected} of {} keys detected over {} units of {} rows; the chance of any false one is at most {:e}",
            keys.len(),
            units.len(),
            corpus.rows(),
            args.alpha
        ))?;
    }
    output.finish()?;
    corpus.complete()?;
    Ok(if detected > 0 {
        Answer::Yes
    } else {
        Answer::No
    })
}

fn line(
    index: usize,
    key: &LeafKey,
    scored: &Scored,
    adjusted: PValue,
    units: usize,
    alpha: f64,
) -> Line {
    Line {
        line: index + 1,
        commitment: base16ct::lower::encode_string(&key.commitment()),
        units,
        score: scored.score,
        log10_p: scored.p_value.log10(),
        log10_p_holm: adjusted.log10(),
        verdict: if adjusted.at_most(alpha) {
            "Detected"
        } else {
            "NotDetected"
        },
    }
}

fn json(line: &impl Serialize) -> Result<String> {
    serde_json::to_string(line).map_err(|error| Failure::new(error.to_string()))
}

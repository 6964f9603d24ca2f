//! The planned tests, on what a bundle proves and nothing else. The same bundle gives the same bytes.

use serde::Serialize;
use taggant_core::LeafKey;
use taggant_detector::stats::{PValue, Rank, holm};
use taggant_detector::{Collector, Response, Source, Units};
use taggant_evidence::Digest;
use taggant_evidence::bundle::{Answer, Proven};
use taggant_evidence::plan::{Mode, Stopping, Test};
use taggant_evidence::transcript::Ending;
use taggant_text::Tokenizer;

const FORMAT: &str = "taggant-analysis/1";

/// Bins of the control keys' histogram: half a decade of p each, the last without an end.
const BINS: usize = 13;

/// What came out.
#[derive(Serialize)]
struct Analysis<'a> {
    format: &'static str,
    case: &'a str,
    plan: Digest,
    primary: &'a Test,
    alpha: String,
    /// How the transcript ended: as planned only if it is complete.
    ended: Ending,
    /// Tests whose p-values are held together: suspects × keys.
    family: usize,
    suspects: Vec<Suspect<'a>>,
}

#[derive(Serialize)]
struct Suspect<'a> {
    id: &'a str,
    answers: u64,
    withheld: u64,
    units: u64,
    keys: Vec<Key>,
    controls: Controls,
}

#[derive(Serialize)]
struct Key {
    commitment: Digest,
    score: String,
    mean: String,
    deviation: String,
    /// Standard deviations of a unit.
    effect: String,
    log10_p: String,
    method: &'static str,
    log10_p_holm: String,
    /// Control keys that score at least as much.
    at_least: u64,
    log10_p_rank: String,
    below_alpha: bool,
}

/// How the control keys score on the same text.
#[derive(Serialize)]
struct Controls {
    keys: u64,
    /// How many have −log10 p in [0, ½), [½, 1), … and at least 6.
    histogram: Vec<u64>,
}

/// Runs the plan's primary test.
pub(super) fn analyse(proven: &Proven<'_>, tokenizer: Tokenizer) -> Result<String, String> {
    let plan = proven.plan.plan();
    if plan.primary.mode != Mode::Closed
        || plan.primary.statistic != "plain"
        || !plan.sensitivity.is_empty()
    {
        return Err("this version computes the closed test with the `plain` statistic and no sensitivity set; the plan asks for another".to_owned());
    }
    if !plan.exclusions.is_empty() {
        return Err("the plan excludes answers, which this version does not do".to_owned());
    }
    if matches!(plan.stopping, Stopping::Sequential { .. }) {
        return Err("the plan stops early, which this version does not compute".to_owned());
    }
    if tokenizer.digest() != proven.record.tokenizer().digest {
        return Err("another tokenizer than the mark record names; give --tokenizer".to_owned());
    }
    let words = |error: taggant_core::Error| error.to_string();
    let [layer] = proven.record.layers() else {
        return Err("this version tests marks of one layer".to_owned());
    };
    let (mut collectors, mut counts) = (Vec::new(), Vec::new());
    for _ in &plan.suspects {
        collectors.push(Collector::new(proven.record, layer.role, None).map_err(words)?);
        counts.push((0_u64, 0_u64));
    }
    let prompts = proven
        .asked
        .questions()
        .iter()
        .map(|question| tokenizer.encode(&question.prompt).map_err(words))
        .collect::<Result<Vec<_>, _>>()?;
    let source = Source::Ids {
        tokenizer: Some(tokenizer.digest()),
    };
    proven.answers(
        |Answer {
             suspect,
             prompt,
             text,
             ..
         }| {
            let place = suspect as usize;
            let Some(text) = text else {
                counts[place].1 += 1;
                return Ok(());
            };
            counts[place].0 += 1;
            let tokens = tokenizer.encode(&text).map_err(words)?;
            let response = Response::ids(&tokens)
                .with_prompt(&prompts[prompt as usize])
                .with_source(source);
            collectors[place].add(&response).map_err(words)
        },
    )?;

    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let tested: Vec<&LeafKey> = proven.keys.iter().collect();
    let controls: Vec<&LeafKey> = proven.controls.iter().collect();
    let mut p_values = Vec::new();
    let mut suspects = Vec::new();
    for ((suspect, collector), (answers, withheld)) in
        plan.suspects.iter().zip(collectors).zip(counts)
    {
        let units = collector.finish();
        let (found, control_p) = score(&units, &tested, &controls, threads);
        p_values.extend(found.iter().map(|(_, p)| *p));
        suspects.push(Suspect {
            id: &suspect.id,
            answers,
            withheld,
            units: units.len() as u64,
            keys: found.into_iter().map(|(key, _)| key).collect(),
            controls: Controls {
                keys: control_p.len() as u64,
                histogram: histogram(&control_p),
            },
        });
    }
    let alpha = plan.error.alpha.value();
    let mut adjusted = holm(&p_values).into_iter();
    for key in suspects.iter_mut().flat_map(|suspect| &mut suspect.keys) {
        if let Some(p) = adjusted.next() {
            key.log10_p_holm = up(p.log10());
            key.below_alpha = p.get() <= alpha;
        }
    }
    let analysis = Analysis {
        format: FORMAT,
        case: &plan.case,
        plan: proven.plan.digest(),
        primary: &plan.primary,
        alpha: plan.error.alpha.to_string(),
        ended: proven.ended(),
        family: p_values.len(),
        suspects,
    };
    let text = serde_json::to_string_pretty(&analysis).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

/// The tested keys' results, with their p-values, and the control keys' p-values.
fn score(
    units: &Units,
    tested: &[&LeafKey],
    controls: &[&LeafKey],
    threads: usize,
) -> (Vec<(Key, PValue)>, Vec<PValue>) {
    let tails = units.tails();
    let (mean, deviation) = (tails.law().mean(), tails.law().deviation());
    let others = units.score(controls, threads);
    let scores: Vec<f64> = others.iter().map(|scored| scored.score).collect();
    let found = units
        .score(tested, threads)
        .into_iter()
        .zip(tested)
        .map(|(scored, key)| {
            let rank = Rank::of(scored.score, &scores);
            let z = if deviation > 0.0 {
                (scored.score - mean) / deviation
            } else {
                0.0
            };
            let root = units.effective().sqrt();
            let key = Key {
                commitment: key.commitment().into(),
                score: digits(scored.score),
                mean: digits(mean),
                deviation: digits(deviation),
                effect: digits(if root > 0.0 { z / root } else { 0.0 }),
                log10_p: up(scored.p_value.log10()),
                method: if tails.is_exact() {
                    "exact tail"
                } else {
                    "Chernoff bound"
                },
                log10_p_holm: String::new(),
                at_least: rank.at_least,
                log10_p_rank: up(rank.p_value().log10()),
                below_alpha: false,
            };
            (key, scored.p_value)
        });
    (
        found.collect(),
        others.iter().map(|scored| scored.p_value).collect(),
    )
}

fn histogram(p_values: &[PValue]) -> Vec<u64> {
    let mut bins = vec![0; BINS];
    for p in p_values {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number that is not negative"
        )]
        let bin = (-p.log10() * 2.0).max(0.0) as usize;
        bins[bin.min(BINS - 1)] += 1;
    }
    bins
}

/// Four significant digits, without an exponent.
fn digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    // Rounded first: 9.9996 has one place less than 9.999.
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    format!("{rounded:.*}", places(rounded))
}

/// The same for a p-value's logarithm, which is never rounded to a smaller p.
fn up(log10: f64) -> String {
    let text = digits(log10);
    let rounded: f64 = text.parse().unwrap_or(0.0);
    if rounded >= log10 {
        return text;
    }
    let places = places(rounded);
    #[expect(
        clippy::cast_possible_wrap,
        clippy::cast_possible_truncation,
        reason = "a few places"
    )]
    let step = 10_f64.powi(-(places as i32));
    format!("{:.*}", places, rounded + step)
}

fn places(value: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "an exponent of an f64")]
    let places = 3 - value.abs().log10().floor() as i32;
    usize::try_from(places).unwrap_or(0)
}

//! The planned tests, on what a bundle proves and nothing else. The same bundle gives the same bytes.

use serde::Serialize;
use taggant_core::LeafKey;
use taggant_detector::stats::{PValue, Rank, holm};
use taggant_detector::{Collector, Response, Scored, Source, Units};
use taggant_evidence::bundle::{Answer, Proven};
use taggant_evidence::plan::{Mode, Stopping, Test};
use taggant_evidence::report::{LogP, Number};
use taggant_evidence::transcript::Ending;
use taggant_evidence::{Decimal, Digest};
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
    alpha: &'a Decimal,
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
    score: Number,
    mean: Number,
    deviation: Number,
    /// Standard deviations of a unit.
    effect: Number,
    log10_p: LogP,
    method: &'static str,
    log10_p_holm: LogP,
    /// Control keys that score at least as much.
    at_least: u64,
    log10_p_rank: LogP,
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
    let scored: Vec<Scores> = collectors
        .into_iter()
        .map(|collector| Scores::of(&collector.finish(), proven, threads))
        .collect();
    let tested = scored.iter().flat_map(|scores| &scores.tested);
    let p_values: Vec<PValue> = tested.map(|scored| scored.p_value).collect();
    let mut adjusted = holm(&p_values).into_iter();
    let alpha = plan.error.alpha.value();
    let suspects = plan
        .suspects
        .iter()
        .zip(&scored)
        .zip(counts)
        .map(|((suspect, scores), (answers, withheld))| {
            let keys = scores.tested.iter().zip(proven.keys).zip(&mut adjusted);
            Ok(Suspect {
                id: &suspect.id,
                answers,
                withheld,
                units: scores.units,
                keys: keys
                    .map(|((scored, key), adjusted)| scores.key(scored, key, adjusted, alpha))
                    .collect::<taggant_core::Result<_>>()?,
                controls: Controls {
                    keys: scores.controls.len() as u64,
                    histogram: histogram(&scores.controls),
                },
            })
        })
        .collect::<taggant_core::Result<_>>()
        .map_err(words)?;
    let analysis = Analysis {
        format: FORMAT,
        case: &plan.case,
        plan: proven.plan.digest(),
        primary: &plan.primary,
        alpha: &plan.error.alpha,
        ended: proven.ended(),
        family: p_values.len(),
        suspects,
    };
    let text = serde_json::to_string_pretty(&analysis).map_err(|error| error.to_string())?;
    Ok(text + "\n")
}

/// What one suspect's units say of all keys.
struct Scores {
    units: u64,
    /// Units of weight 1 that would show as much.
    effective: f64,
    mean: f64,
    deviation: f64,
    exact: bool,
    tested: Vec<Scored>,
    controls: Vec<Scored>,
}

impl Scores {
    fn of(units: &Units, proven: &Proven<'_>, threads: usize) -> Self {
        let tails = units.tails();
        let score = |keys: &[LeafKey]| units.score(&keys.iter().collect::<Vec<_>>(), threads);
        Self {
            units: units.len() as u64,
            effective: units.effective(),
            mean: tails.law().mean(),
            deviation: tails.law().deviation(),
            exact: tails.is_exact(),
            tested: score(proven.keys),
            controls: score(proven.controls),
        }
    }

    /// What is told of a key. Numbers are rounded against a finding: what supports it down, probabilities up.
    fn key(
        &self,
        scored: &Scored,
        key: &LeafKey,
        adjusted: PValue,
        alpha: f64,
    ) -> taggant_core::Result<Key> {
        let others: Vec<f64> = self.controls.iter().map(|other| other.score).collect();
        let rank = Rank::of(scored.score, &others);
        let excess = scored.score - self.mean;
        let spread = self.deviation * self.effective.sqrt();
        Ok(Key {
            commitment: key.commitment().into(),
            score: Number::down(scored.score)?,
            mean: Number::up(self.mean)?,
            deviation: Number::up(self.deviation)?,
            effect: Number::down(if spread > 0.0 { excess / spread } else { 0.0 })?,
            log10_p: LogP::up(scored.p_value.log10())?,
            method: if self.exact {
                "exact tail"
            } else {
                "Chernoff bound"
            },
            log10_p_holm: LogP::up(adjusted.log10())?,
            at_least: rank.at_least,
            log10_p_rank: LogP::up(rank.p_value().log10())?,
            below_alpha: adjusted.get() <= alpha,
        })
    }
}

fn histogram(scored: &[Scored]) -> Vec<u64> {
    let mut bins = vec![0; BINS];
    for scored in scored {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number that is not negative"
        )]
        let bin = (-scored.p_value.log10() * 2.0).max(0.0) as usize;
        bins[bin.min(BINS - 1)] += 1;
    }
    bins
}

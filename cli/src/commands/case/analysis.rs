//! The planned tests, on what a bundle proves and nothing else. The same bundle gives the same bytes.

use serde::Serialize;
use taggant_core::LeafKey;
use taggant_detector::stats::{PValue, Rank, holm_among, uniformity};
use taggant_detector::{Collector, Response, Scored, Source, Units};
use taggant_evidence::bundle::{Answer, Proven};
use taggant_evidence::plan::{Mode, Stopping, Test};
use taggant_evidence::report::{LogP, Number};
use taggant_evidence::transcript::Ending;
use taggant_evidence::{Decimal, Digest};
use taggant_text::Tokenizer;

use super::sensitivity::{Assumption, Set};

const FORMAT: &str = "taggant-analysis/1";

/// Bins of the control keys' histogram: half a decade of p each, the last without an end.
const BINS: usize = 13;

/// What came out.
#[derive(Serialize)]
pub(super) struct Analysis<'a> {
    format: &'static str,
    case: &'a str,
    plan: Digest,
    primary: &'a Test,
    alpha: &'a Decimal,
    /// How the transcript ended: as planned only if it is complete.
    ended: Ending,
    /// Tests whose p-values are held together: suspects × keys, over all plans of the case's register.
    pub(super) family: u64,
    pub(super) suspects: Vec<Suspect<'a>>,
}

#[derive(Serialize)]
pub(super) struct Suspect<'a> {
    pub(super) id: &'a str,
    pub(super) answers: u64,
    withheld: u64,
    pub(super) units: u64,
    pub(super) keys: Vec<Key>,
    pub(super) controls: Controls,
}

#[derive(Serialize)]
pub(super) struct Key {
    pub(super) commitment: Digest,
    score: Number,
    mean: Number,
    deviation: Number,
    /// Standard deviations of a unit, and an interval that covers 95 %.
    pub(super) effect: Number,
    pub(super) effect_low: Number,
    pub(super) effect_high: Number,
    pub(super) log10_p: LogP,
    pub(super) method: &'static str,
    pub(super) log10_p_holm: LogP,
    /// Control keys that score at least as much.
    pub(super) at_least: u64,
    log10_p_rank: LogP,
    pub(super) below_alpha: bool,
    /// The plan's further assumptions, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) sensitivity: Vec<Other>,
}

/// The result under another assumption than the primary test's.
#[derive(Clone, Serialize)]
pub(super) struct Other {
    pub(super) statistic: Assumption,
    pub(super) units: u64,
    pub(super) log10_p: LogP,
    pub(super) method: &'static str,
}

/// How the control keys score on the same text.
#[derive(Serialize)]
pub(super) struct Controls {
    pub(super) keys: u64,
    /// How many have −log10 p in [0, ½), [½, 1), … and at least 6.
    pub(super) histogram: Vec<u64>,
    /// Whether their p-values are uniform, as those of keys must be that the text knows nothing of (Kolmogorov and Smirnov).
    pub(super) log10_p_uniform: LogP,
    /// How many would be findings: p at most alpha over the family.
    pub(super) findings: u64,
}

impl Analysis<'_> {
    /// The file.
    pub(super) fn text(&self) -> Result<String, String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        Ok(text + "\n")
    }
}

/// Runs the plan's primary test.
pub(super) fn analyse<'a>(
    proven: &Proven<'a>,
    tokenizer: &Tokenizer,
) -> Result<Analysis<'a>, String> {
    let plan = proven.plan.plan();
    if plan.primary.mode != Mode::Closed || plan.primary.statistic != "plain" {
        return Err("this version computes the closed test with the `plain` statistic; the plan asks for another".to_owned());
    }
    let assumptions = Assumption::planned(&plan.sensitivity)?;
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
    let collector = || Collector::new(proven.record, layer.role, None).map_err(words);
    let (mut collectors, mut counts) = (Vec::new(), Vec::new());
    for _ in &plan.suspects {
        // The primary test's, then one for each assumption.
        let own = assumptions.iter().map(|_| collector());
        collectors.push((collector()?, own.collect::<Result<Vec<_>, _>>()?));
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
             answer,
             text,
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
            let (primary, others) = &mut collectors[place];
            for (assumption, other) in assumptions.iter().zip(others) {
                if assumption.takes(prompt, answer) {
                    other.add(&response).map_err(words)?;
                }
            }
            primary.add(&response).map_err(words)
        },
    )?;

    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let scored: Vec<Scores> = collectors
        .into_iter()
        .map(|(primary, others)| {
            let others = assumptions.iter().zip(others);
            let others = others.map(|(name, units)| Set::of(*name, &units.finish(), proven.keys));
            Scores::of(&primary.finish(), others.collect(), proven, threads)
        })
        .collect();
    let tested = scored.iter().flat_map(|scores| &scores.tested);
    let p_values: Vec<PValue> = tested.map(|scored| scored.p_value).collect();
    let own = p_values.len() as u64;
    let planned: u64 = proven.plans.iter().map(|plan| plan.tests).sum();
    let family = own.max(planned);
    let mut adjusted = holm_among(&p_values, family).into_iter();
    let alpha = plan.error.alpha.value();
    #[expect(
        clippy::cast_precision_loss,
        reason = "suspects, keys and plans are few"
    )]
    let least_alpha = alpha / family.max(1) as f64;
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
                    .enumerate()
                    .map(|(place, ((scored, key), adjusted))| {
                        let sensitivity = scores.sensitivity(place)?;
                        scores.key(scored, key, adjusted, alpha, sensitivity)
                    })
                    .collect::<taggant_core::Result<_>>()?,
                controls: scores.controls(least_alpha)?,
            })
        })
        .collect::<taggant_core::Result<_>>()
        .map_err(words)?;
    Ok(Analysis {
        format: FORMAT,
        case: &plan.case,
        plan: proven.plan.digest(),
        primary: &plan.primary,
        alpha: &plan.error.alpha,
        ended: proven.ended(),
        family,
        suspects,
    })
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
    others: Vec<Set>,
}

impl Scores {
    fn of(units: &Units, others: Vec<Set>, proven: &Proven<'_>, threads: usize) -> Self {
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
            others,
        }
    }

    /// What the other assumptions give for a tested key.
    fn sensitivity(&self, place: usize) -> taggant_core::Result<Vec<Other>> {
        let others = self.others.iter().map(|set| {
            let (log10, exact) = match set.assumption {
                Assumption::Rank => (self.rank(&self.tested[place]).p_value().log10(), true),
                _ => (set.tested[place].p_value.log10(), self.exact),
            };
            Ok(Other {
                statistic: set.assumption,
                units: match set.assumption {
                    Assumption::Rank => self.units,
                    _ => set.units,
                },
                log10_p: LogP::up(log10)?,
                method: match (set.assumption, exact) {
                    (Assumption::Rank, _) => "rank among the control keys",
                    (_, true) => "exact tail",
                    (_, false) => "Chernoff bound",
                },
            })
        });
        others.collect()
    }

    fn rank(&self, scored: &Scored) -> Rank {
        let others: Vec<f64> = self.controls.iter().map(|other| other.score).collect();
        Rank::of(scored.score, &others)
    }

    /// What is told of a key. Numbers are rounded against a finding: what supports it down, probabilities up.
    fn key(
        &self,
        scored: &Scored,
        key: &LeafKey,
        adjusted: PValue,
        alpha: f64,
        sensitivity: Vec<Other>,
    ) -> taggant_core::Result<Key> {
        let rank = self.rank(scored);
        let excess = scored.score - self.mean;
        let spread = self.deviation * self.effective.sqrt();
        let effect = if spread > 0.0 { excess / spread } else { 0.0 };
        // The standard error of a mean of so many units.
        let error = if self.effective > 0.0 {
            1.96 / self.effective.sqrt()
        } else {
            0.0
        };
        Ok(Key {
            commitment: key.commitment().into(),
            score: Number::down(scored.score)?,
            mean: Number::up(self.mean)?,
            deviation: Number::up(self.deviation)?,
            effect: Number::down(effect)?,
            effect_low: Number::down(effect - error)?,
            effect_high: Number::up(effect + error)?,
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
            sensitivity,
        })
    }
}

impl Scores {
    /// What is told of the control keys; `alpha` is what a finding among so many tests needs at the least.
    fn controls(&self, alpha: f64) -> taggant_core::Result<Controls> {
        let p: Vec<f64> = self.controls.iter().map(|key| key.p_value.get()).collect();
        Ok(Controls {
            keys: p.len() as u64,
            histogram: histogram(&self.controls),
            // Text without a unit scores nothing under any key.
            log10_p_uniform: LogP::up(uniformity(&p).max(1e-300).log10())?,
            findings: p.iter().filter(|p| **p <= alpha).count() as u64,
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

//! `detect`: rows in, verdicts out.

mod entropy;
mod foreign;
mod line;
mod many_keys;

use std::path::Path;

use serde_json::Value;
use taggant_core::{LeafKey, Role};
use taggant_detector::stats::{EProcess, PValue, Rank, fit_to_law, higher_criticism, holm, tr_gof};
use taggant_detector::{Collector, Detector, Report, Response, Verdict};

use crate::Answer;
use crate::args::{Detect, Sparse};
use crate::corpus::Corpus;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::marks;
use crate::progress;
use entropy::Entropy;
use line::{DecoyLine, Extras, PassageLine};

pub(crate) fn run(args: &Detect) -> Result<Answer> {
    if let (Some(format), Some(config)) = (&args.format, &args.format_config) {
        return foreign::run(args, format, config);
    }
    let Some(path) = &args.record else {
        return Err(
            Failure::new("no record").hint("give --record, or --format for another system's mark")
        );
    };
    if let Some(keys) = &args.many_keys {
        return many_keys::run(args, path, keys);
    }
    let records = marks::read_alike(path)?;
    let key = match &args.key {
        Some(key) => files::read_key(key)?,
        None => return Err(Failure::new("no key").hint("give --key or --many-keys")),
    };
    let account = args
        .account_key
        .as_deref()
        .map(files::read_key)
        .transpose()?;
    let keys: Vec<_> = std::iter::once(&key).chain(&account).collect();
    let record = marks::record_of(&records, &keys).ok_or_else(|| marks::none(path))?;
    let detector = if args.control {
        Detector::control(&record, &keys)
    } else {
        Detector::new(&record, &keys)
    };
    let detector = detector.map_err(|error| {
        Failure::from(error).hint(
            "give the key and the record of the same text, or --control to score under any key",
        )
    })?;
    let detector = detector.with_alpha(args.alpha)?;
    let mut corpus = Corpus::new(args.tokenizer.as_deref(), &record)?;
    let mut session = Session {
        entropy: match &args.entropy {
            Some(name) => Some(Entropy::new(name, &record, &keys)?),
            None => None,
        },
        bet: args
            .sequential
            .map(|effect| EProcess::new(detector.law(), effect))
            .transpose()?,
        layers: match args.decoys {
            Some(_) => layers(&record, &keys)?,
            None => Vec::new(),
        },
        detector,
        output: Output::create(Path::new("-"))?,
        args,
        held: Vec::new(),
    };
    if !args.json {
        session.output.line(line::HEAD)?;
    }
    corpus.read(
        args.text.as_deref(),
        args.input.as_deref(),
        |corpus, name, response| session.row(corpus, name.id, response),
    )?;
    session.finish(&corpus)
}

/// One pool of units for each layer that has a key, to be scored under decoys.
fn layers<'a>(
    record: &taggant_core::Record,
    keys: &[&'a LeafKey],
) -> Result<Vec<(Role, &'a LeafKey, Collector)>> {
    let layers = record.layers().iter().zip(keys);
    layers
        .map(|(layer, key)| {
            let collector = Collector::new(record, layer.role, keys.first().copied())?;
            Ok((layer.role, *key, collector))
        })
        .collect()
}

/// A statistic of units' p-values and its name.
fn statistic(sparse: Sparse) -> (&'static str, fn(&mut [f64]) -> f64) {
    match sparse {
        Sparse::TrGof => ("tr-gof", tr_gof),
        Sparse::Hc => ("hc", higher_criticism),
    }
}

struct Session<'a> {
    args: &'a Detect,
    detector: Detector,
    output: Output,
    /// What the e-value rests on, where one is kept.
    bet: Option<EProcess>,
    /// Units for decoys, where some are asked for.
    layers: Vec<(Role, &'a LeafKey, Collector)>,
    /// Units weighted by entropy, where that is asked for.
    entropy: Option<Entropy<'a>>,
    /// Rows whose verdicts wait for all others.
    held: Vec<(Value, Report, Extras)>,
}

impl Session<'_> {
    fn row(&mut self, corpus: &Corpus, id: Value, response: &Response<'_>) -> Result<()> {
        let (units, score) = self.detector.evidence();
        let report = self.detector.row(response)?;
        let mut extras = Extras::default();
        if let Some(bet) = &mut self.bet {
            let (after, total) = self.detector.evidence();
            bet.observe(after - units, total - score)?;
            extras.e_value(bet);
        }
        let mismatch = report
            .verdict
            .reason()
            .is_some_and(|reason| reason.name() == "TokenizerMismatch");
        if !mismatch {
            for (_, _, collector) in &mut self.layers {
                collector.add(response)?;
            }
            if let Some(entropy) = &mut self.entropy {
                entropy.add(response)?;
            }
            if self.args.localise {
                let passages = self.detector.passages(response, self.args.alpha)?;
                let passages = passages
                    .iter()
                    .map(|passage| PassageLine::new(passage, response.tokens, corpus.tokenizer()));
                extras.passages = Some(passages.collect());
            }
        }
        if self.args.family_wise {
            self.held.push((id, report, extras));
            return Ok(());
        }
        self.print(Some(id), &report, &extras)
    }

    fn print(&mut self, id: Option<Value>, report: &Report, extras: &Extras) -> Result<()> {
        let lines = if self.args.json {
            line::json(id, report, extras)?
        } else {
            line::table(id, report, extras)
        };
        self.output.line(&lines)
    }

    /// The rows that waited, their p-values adjusted for each other.
    fn release(&mut self) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        let p_values: Vec<PValue> = held.iter().map(|(_, report, _)| report.p_value).collect();
        for ((id, mut report, mut extras), adjusted) in held.into_iter().zip(holm(&p_values)) {
            if report.verdict == Verdict::Detected && !adjusted.at_most(self.args.alpha) {
                report.verdict = Verdict::NotDetected;
            }
            extras.adjusted = Some(adjusted);
            self.print(Some(id), &report, &extras)?;
        }
        Ok(())
    }

    fn finish(mut self, corpus: &Corpus) -> Result<Answer> {
        self.release()?;
        let pooled = self.detector.pooled();
        let mut extras = Extras::pool(corpus.rows());
        if let Some(bet) = &self.bet {
            extras.e_value(bet);
        }
        if let Some(count) = self.args.decoys {
            extras.decoys = Some(self.decoys(count));
        }
        if let Some(entropy) = self.entropy.take() {
            extras.entropy = Some(entropy.lines());
        }
        self.print(None, &pooled, &extras)?;
        self.output.finish()?;
        corpus.complete()?;
        Ok(match pooled.verdict {
            Verdict::Detected => Answer::Yes,
            _ => Answer::No,
        })
    }

    /// The true key's place among the decoys, layer by layer, and whether the decoys follow the law that the p-value is from.
    fn decoys(&mut self, count: u32) -> Vec<DecoyLine> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let bar = progress::bar(
            u64::from(count) * self.layers.len() as u64,
            "decoys",
            "keys",
        );
        let lines = std::mem::take(&mut self.layers)
            .into_iter()
            .map(|(role, key, collector)| {
                let units = collector.finish();
                let scored = units.score(&[key], 1);
                let (score, p_value) = scored
                    .first()
                    .map_or((0.0, PValue::ONE), |scored| (scored.score, scored.p_value));
                let seed = self.args.decoy_seed;
                let mut decoys = units.decoys(seed, count, threads, |done| bar.inc(done));
                DecoyLine {
                    layer: role.name(),
                    decoys: count,
                    sparse: self.args.sparse.map(|sparse| {
                        let (name, statistic) = statistic(sparse);
                        (name, units.rank_by(statistic, key, seed, count, threads))
                    }),
                    rank: Rank::of(score, &decoys),
                    p_value,
                    fit: fit_to_law(&mut decoys, |score| units.near_tail(score).get()),
                }
            });
        let lines = lines.collect();
        bar.finish_and_clear();
        lines
    }
}

//! `lab quality`: what a model makes of answers, as perplexity.

use std::path::Path;

use serde_json::json;
use taggant_models::{Exchange, score};

use super::train;
use crate::Answer;
use crate::args::LabQuality;
use crate::failure::{Failure, Result};
use crate::files::Output;
use crate::marks;
use crate::progress;

pub(super) fn run(args: &LabQuality) -> Result<Answer> {
    let path = marks::resolve(&args.model)?;
    let tokenizer = marks::open_tokenizer(&path)?;
    let mut samples = Vec::new();
    train::read(&args.input, args.raw, &tokenizer, |_| None, &mut samples)?;
    if samples.is_empty() {
        return Err(Failure::new(format!("{}: no rows", args.input.display()))
            .hint("give rows with `prompt` and `response`, as `generate` writes them"));
    }
    let model = marks::load_model(&path)?;
    let exchanges: Vec<Exchange<'_>> = samples
        .iter()
        .map(|sample| Exchange {
            prompt: &sample.prompt,
            response: &sample.response,
        })
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bar = progress::bar(samples.len() as u64, "scoring", "rows");
    // By row, so that the sum is the same on any number of threads.
    let mut rows = vec![(0.0, 0_u32); samples.len()];
    score(&model, &exchanges, threads, |scored| {
        bar.inc(1);
        let length = u32::try_from(scored.log_probabilities.len()).unwrap_or(u32::MAX);
        rows[scored.row] = (scored.log_probabilities.iter().sum(), length);
        Ok(())
    })?;
    bar.finish_and_clear();
    let total: f64 = rows.iter().map(|(sum, _)| sum).sum();
    let tokens: f64 = rows.iter().map(|(_, length)| f64::from(*length)).sum();
    let mut output = Output::create(Path::new("-"))?;
    let line = json!({"rows": rows.len(), "tokens": tokens, "perplexity": (-total / tokens).exp()});
    output.line(&line.to_string())?;
    output.finish()?;
    Ok(Answer::Yes)
}

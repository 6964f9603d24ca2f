//! `lab train`: answers in, a student out.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use taggant_models::student::{Method, Sample, Settings, Size, Student};
use taggant_text::Tokenizer;

use crate::Answer;
use crate::args::{LabTrain, TrainMethod};
use crate::commands::generate::encode_prompt;
use crate::failure::{Failure, Result};
use crate::files;
use crate::marks;
use crate::output::say;
use crate::progress;
use crate::rows::{self, Lines};

#[derive(Deserialize)]
struct Row {
    prompt: Option<String>,
    response: Option<String>,
    tokens: Option<Vec<u32>>,
}

pub(super) fn run(args: &LabTrain) -> Result<Answer> {
    let path = marks::resolve(&args.model)?;
    let tokenizer = marks::open_tokenizer(&path)?;
    let mut student = start(args, &path)?;
    let stop = student.stop_tokens().first().copied();
    let mut samples = Vec::new();
    for input in &args.input {
        let end = |length| stop.filter(|_| length < args.max_tokens);
        read(input, args.raw, &tokenizer, end, &mut samples)?;
    }
    if samples.is_empty() {
        return Err(Failure::new("no rows to learn from")
            .hint("give rows with `prompt` and `response`, as `generate` writes them"));
    }

    let method = match args.method {
        TrainMethod::Full => Method::Full,
        TrainMethod::Adapters => Method::Adapters { rank: args.rank },
    };
    let mut settings = Settings::new(method);
    settings.epochs = args.epochs;
    settings.batch = args.batch;
    settings.seed = args.seed;
    settings.learning_rate = args.learning_rate.unwrap_or(settings.learning_rate);
    let positions = samples
        .iter()
        .map(|sample| sample.prompt.len() + sample.response.len());
    let total = (args.epochs * positions.sum::<usize>()) as u64;
    let bar = progress::bar(total, "training", "positions");
    let checkpoint = suffixed(&args.out, ".checkpoint");
    let mut order = |epoch: usize, count: usize| {
        let mut order: Vec<usize> = (0..count).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
        rng.set_stream(epoch as u64);
        order.shuffle(&mut rng);
        order
    };
    let (mut first, mut last) = (f64::NAN, f64::NAN);
    let outcome = student.train(
        &samples,
        &settings,
        Some(&checkpoint),
        &mut order,
        &mut |step, student| {
            bar.set_position(step.positions[0]);
            last = step.loss;
            if first.is_nan() {
                first = step.loss;
            }
            if args.each_epoch && step.ends_epoch && step.epoch + 1 < args.epochs {
                student.save(&epoch_file(&args.out, step.epoch + 1))?;
            }
            Ok(())
        },
    );
    bar.finish_and_clear();
    outcome?;
    student.save(&args.out)?;
    // A checkpoint that stays does no harm: it belongs to this training alone.
    let _ = fs::remove_file(&checkpoint);
    say(&format!(
        "{}: {} samples, {total} positions, loss {first:.3} at the first step and {last:.3} at the last",
        args.out.display(),
        samples.len()
    ));
    Ok(Answer::Yes)
}

fn start(args: &LabTrain, path: &Path) -> Result<Student> {
    let Some([layers, width, heads, feed_forward]) = args.fresh else {
        let bar = progress::bytes(0, "loading");
        let student = Student::open(path, |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        return Ok(student?);
    };
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let size = Size {
        layers,
        width,
        heads,
        feed_forward,
    };
    // Twelve uniform numbers less 6: mean 0, variance 1, and normal enough for first values.
    let mut normal = || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
    Ok(Student::new(path, size, &mut normal)?)
}

/// Reads rows as samples; `end` says what ends a response of so many tokens.
pub(super) fn read(
    path: &Path,
    raw: bool,
    tokenizer: &Tokenizer,
    end: impl Fn(usize) -> Option<u32>,
    samples: &mut Vec<Sample>,
) -> Result<()> {
    let mut lines = Lines::new(files::open(path)?);
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
        let sample = line.and_then(rows::parse::<Row>).and_then(|row| {
            let (Some(prompt), response) = (row.prompt, row.response) else {
                return Err(Failure::new("no `prompt`").hint("a row needs `prompt` and `response`"));
            };
            let mut response = match (row.tokens, response) {
                (Some(tokens), _) => tokens,
                (None, Some(text)) => tokenizer.encode(&text)?,
                (None, None) => {
                    return Err(Failure::new("neither `tokens` nor `response`")
                        .hint("a row needs one of them"));
                }
            };
            response.extend(end(response.len()));
            Ok(Sample {
                prompt: encode_prompt(tokenizer, &prompt, raw)?,
                response,
            })
        });
        samples.push(sample.map_err(|failure| {
            failure.context(format_args!("{}, line {number}", path.display()))
        })?);
    }
    Ok(())
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// `student.gguf` after the first epoch is `student.epoch1.gguf`.
fn epoch_file(path: &Path, epoch: usize) -> PathBuf {
    match path.extension() {
        None => suffixed(path, &format!(".epoch{epoch}")),
        Some(ending) => path.with_extension(format!("epoch{epoch}.{}", ending.display())),
    }
}

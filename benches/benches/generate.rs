//! Whole generation with SmolLM2-135M, tokens per second, plain and marked.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use std::sync::Arc;
use taggant_benches::mark;
use taggant_core::Mark;
use taggant_models::{Limits, Model, generate};
use taggant_tests::{model, rng};
use taggant_watermark::{Sampler, Sampling, Stream};

const TOKENS: usize = 32;

fn run(batch: usize, threads: usize, mark: Option<&Arc<Mark>>) {
    let vocabulary = model::tokenizer().vocabulary();
    // One token each: what is measured is writing, not reading a prompt.
    let prompts: Vec<Vec<u32>> = (0..batch as u32).map(|row| vec![100 + row]).collect();
    let chooser = |row: usize| {
        let mut sampler = Sampler::new(Sampling {
            top_p: 0.95,
            ..Sampling::default()
        })?;
        let mut stream = match mark {
            Some(mark) => Stream::new(mark.clone())?,
            None => Stream::plain(),
        };
        let mut own = rng(row as u64);
        // Responses of one length, whatever the model would say: a stop token is replaced by a common one.
        Ok(move |logits: &[f32]| {
            let token = sampler.select(&mut stream, &logits[..vocabulary], &mut own)?;
            Ok(if model::model().stop_tokens().contains(&token) {
                29
            } else {
                token
            })
        })
    };
    let limits = Limits::new(TOKENS).with_batch(batch).with_threads(threads);
    generate(
        model::model() as &dyn Model,
        &prompts,
        limits,
        chooser,
        |_| Ok(()),
    )
    .unwrap();
}

fn generation(c: &mut Criterion) {
    let mut group = c.benchmark_group("generate");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    let (_, _, gumbel) = mark("gumbel", &[], 2, 1, model::tokenizer().vocabulary());
    for (batch, threads) in [(1, 1), (8, 1), (32, 1), (64, 1), (64, 2)] {
        group.throughput(Throughput::Elements((batch * TOKENS) as u64));
        group.bench_function(format!("plain, batch {batch}, {threads} thread(s)"), |b| {
            b.iter(|| run(batch, threads, None))
        });
        group.bench_function(format!("gumbel, batch {batch}, {threads} thread(s)"), |b| {
            b.iter(|| run(batch, threads, Some(&gumbel)))
        });
    }
    group.finish();
}

criterion_group!(benches, generation);
criterion_main!(benches);

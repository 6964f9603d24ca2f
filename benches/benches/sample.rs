//! From raw logits to a token, and the bias alone, per token.

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;
use taggant_benches::{VOCABULARIES, aes_floor, mark, read_floor};
use taggant_core::{Candidates, Scratch};
use taggant_tests::{logits, rng};
use taggant_watermark::{Sampler, Sampling, Stream};

const WHOLE: (&str, Sampling) = (
    "whole vocabulary",
    Sampling {
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
    },
);
const TOP_K: (&str, Sampling) = (
    "top-k 100",
    Sampling {
        top_k: 100,
        ..WHOLE.1
    },
);
const TOP_P: (&str, Sampling) = (
    "top-p 0.95",
    Sampling {
        top_p: 0.95,
        ..WHOLE.1
    },
);

fn sample(c: &mut Criterion) {
    for vocabulary in VOCABULARIES {
        let mut group = c.benchmark_group(format!("sample {vocabulary}"));
        let mut rng = rng(54);
        // Logits of a model that is usually sure: most of the mass on a few hundred tokens, as measured on SmolLM2.
        let rows: Vec<Vec<f32>> = (0..64).map(|_| logits(&mut rng, vocabulary, 4.0)).collect();
        group.throughput(Throughput::Elements(1));
        group.bench_function("floor: read logits", |b| {
            let mut row = (0..64).cycle();
            b.iter(|| black_box(read_floor(&rows[row.next().unwrap() % 4])));
        });
        group.bench_function("floor: AES blocks of a vocabulary", |b| {
            b.iter(aes_floor(vocabulary / 4))
        });

        let (_, _, green) = mark("greenlist", &[], 2, 1, vocabulary);
        let stream = Stream::resume(green, &[1, 2]).unwrap();
        let mut sampler = Sampler::new(Sampling::default()).unwrap();
        for batch in [1, 8, 64] {
            let mut biased = rows[..batch].to_vec();
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(format!("greenlist, bias, batch {batch}"), |b| {
                b.iter(|| {
                    for row in &mut biased {
                        sampler.bias(&stream, black_box(row)).unwrap();
                    }
                });
            });
        }

        for (how, sampling) in [WHOLE, TOP_K, TOP_P] {
            for scheme in ["plain", "gumbel", "tournament", "greenlist"] {
                for batch in [1, 8, 64] {
                    if batch == 1 || sampling.top_k > 0 || scheme != "tournament" {
                        select(&mut group, scheme, how, sampling, &rows, batch);
                    }
                }
            }
        }
        group.finish();
    }
}

fn select(
    group: &mut BenchmarkGroup<'_, WallTime>,
    scheme: &str,
    how: &str,
    sampling: Sampling,
    rows: &[Vec<f32>],
    batch: usize,
) {
    let vocabulary = rows[0].len();
    let (_, _, marked) = mark(
        if scheme == "plain" { "gumbel" } else { scheme },
        &[],
        2,
        1,
        vocabulary,
    );
    let new = || {
        if scheme == "plain" {
            Stream::plain()
        } else {
            Stream::new(marked.clone()).unwrap()
        }
    };
    let logits: Vec<f32> = rows.iter().take(batch).flatten().copied().collect();
    let mut streams: Vec<Stream> = (0..batch).map(|_| new()).collect();
    let mut rngs: Vec<ChaCha8Rng> = (0..batch as u64).map(rng).collect();
    let mut out = vec![0; batch];
    let mut sampler = Sampler::new(sampling).unwrap();
    let mut steps = 0;
    group.throughput(Throughput::Elements(batch as u64));
    group.bench_function(format!("{scheme}, {how}, batch {batch}"), |b| {
        b.iter(|| {
            steps += 1;
            if steps % 500 == 0 {
                streams.iter_mut().for_each(|stream| *stream = new());
            }
            sampler
                .select_batch(&mut streams, black_box(&logits), &mut rngs, &mut out)
                .unwrap();
        });
    });
}

/// The mark alone, once 100 candidates are given.
fn candidates(c: &mut Criterion) {
    let mut group = c.benchmark_group("100 candidates");
    let mut rng = rng(55);
    let ids: Vec<u32> = (0..100).map(|i| i * 1237).collect();
    let mut logits = logits(&mut rng, 100, 2.0);
    logits.sort_by(|a, b| b.total_cmp(a));
    let mut scratch = Scratch::default();
    for scheme in ["gumbel", "tournament", "greenlist"] {
        let (_, _, mark) = mark(scheme, &[], 2, 1, 128_256);
        let scheme_under_key = mark.layers()[0].scheme().unwrap();
        let candidates = Candidates::listed(&ids, &logits, logits[0], 1.0);
        let mut token = 0;
        group.bench_function(scheme, |b| {
            b.iter(|| {
                token += 1;
                let window = [token, token + 1];
                let reshaped = scheme_under_key
                    .reshape(&window, &candidates, &mut scratch)
                    .unwrap();
                black_box((reshaped, scratch.draw(0.5)))
            });
        });
    }
    group.finish();
}

/// All of it for an engine that holds the 100 candidates: put in order, checked, marked, chosen, followed.
fn listed(c: &mut Criterion) {
    let mut group = c.benchmark_group("100 candidates, listed");
    let mut rng = rng(56);
    let ids: Vec<u32> = (0..100).map(|i| i * 1237 % 99_991).collect();
    let logits = logits(&mut rng, 100, 2.0);
    let mut sampler = Sampler::new(Sampling::default()).unwrap();
    for scheme in ["gumbel", "tournament", "greenlist"] {
        let (_, _, mark) = mark(scheme, &[], 2, 1, 128_256);
        let new = || Stream::new(mark.clone()).unwrap();
        let (mut stream, mut steps) = (new(), 0);
        group.bench_function(scheme, |b| {
            b.iter(|| {
                steps += 1;
                if steps % 500 == 0 {
                    stream = new();
                }
                let (ids, logits) = (black_box(&ids), black_box(&logits));
                sampler
                    .select_listed(&mut stream, ids, logits, &mut rng)
                    .unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, sample, candidates, listed);
criterion_main!(benches);

//! Detection with deduplication and the p-value, per token: 1,000 responses of 200 tokens, each answered by itself, and the pool.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use taggant_benches::{aes_floor, mark};
use taggant_core::LeafKey;
use taggant_detector::{Detector, Response};
use taggant_tests::{rng, zipf};

fn detect(c: &mut Criterion) {
    let mut rng = rng(53);
    let corpus: Vec<Vec<u32>> = (0..1000).map(|_| zipf(&mut rng, 128_256, 200)).collect();
    let mut group = c.benchmark_group("detect");
    group.throughput(Throughput::Elements(200_000));
    group.bench_function("floor: one AES block", |b| {
        let mut encrypt = aes_floor(1000);
        b.iter(|| (0..200).for_each(|_| encrypt()));
    });
    for (scheme, window, layers) in [
        ("gumbel", 2, 1),
        ("tournament", 2, 1),
        ("greenlist", 2, 1),
        ("gumbel", 4, 1),
        ("gumbel", 2, 2),
    ] {
        let (keys, record, _) = mark(scheme, &[], window, layers, 128_256);
        let keys: Vec<&LeafKey> = keys.iter().collect();
        group.bench_function(
            format!("{scheme}, window {window}, {layers} layer(s)"),
            |b| {
                b.iter_batched_ref(
                    || Detector::new(&record, &keys).unwrap(),
                    |detector| {
                        for tokens in &corpus {
                            let _ = black_box(detector.row(&Response::ids(tokens)).unwrap());
                        }
                        let _ = black_box(detector.pooled());
                    },
                    BatchSize::LargeInput,
                );
            },
        );
    }
    group.finish();
}

criterion_group!(benches, detect);
criterion_main!(benches);

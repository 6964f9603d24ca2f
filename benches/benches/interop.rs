//! Reading other systems' marks, per token: 20 responses of 200 tokens, each answered by itself, and the pool; every format, vocabulary 50,257.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use std::hint::black_box;
use taggant_detector::Response;
use taggant_interop::{Detector, FORMATS, Mark, candidates};
use taggant_tests::{rng, zipf};

fn read(c: &mut Criterion) {
    let mut rng = rng(54);
    let corpus: Vec<Vec<u32>> = (0..20).map(|_| zipf(&mut rng, 50_257, 200)).collect();
    let mut group = c.benchmark_group("interop");
    group.throughput(Throughput::Elements(4_000));
    let layers: Vec<u64> = (1..=30).map(|layer| layer * 987_654_321).collect();
    let entries = [json!({"key": 987_654_321}), json!({"key": layers})];
    for entry in entries {
        for candidate in candidates(entry.as_object().unwrap(), FORMATS, Some(50_257))
            .unwrap()
            .ready
        {
            let config = json!(candidate.config).to_string();
            group.bench_function(candidate.format, |b| {
                b.iter_batched_ref(
                    || {
                        Detector::new(
                            Mark::with_vocabulary(candidate.format, &config, Some(50_257)).unwrap(),
                        )
                    },
                    |detector| {
                        for tokens in &corpus {
                            let _ = black_box(detector.row(&Response::ids(tokens)).unwrap());
                        }
                        let _ = black_box(detector.pooled());
                    },
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);

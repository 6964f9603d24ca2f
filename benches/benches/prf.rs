//! The keyed function beside the cipher alone.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use taggant_benches::aes_floor;
use taggant_core::hazmat::Prf;
use taggant_tests::{rng, zipf};

fn prf(c: &mut Criterion) {
    let mut group = c.benchmark_group("prf");
    group.throughput(Throughput::Elements(1024));
    group.bench_function("floor: one AES block", |b| b.iter(aes_floor(1024)));
    let tokens = zipf(&mut rng(51), 128_256, 1024 + 8);
    for window in [1, 2, 3, 4, 8] {
        let prf = Prf::new(&[7; 16], window);
        let positions: Vec<u32> = (8..1032).collect();
        let mut words = vec![0; positions.len()];
        group.bench_function(format!("unit, window {window}"), |b| {
            b.iter(|| prf.units(&tokens, &positions, black_box(&mut words)))
        });
    }
    let prf = Prf::new(&[7; 16], 2);
    // One block for four neighbours, or one for each: what packing is worth.
    let mut all = vec![0; 1024];
    group.bench_function("candidate of one window, neighbours packed", |b| {
        b.iter(|| {
            prf.scan(&[1, 2], 1024, |first, words| {
                for (word, bytes) in all[first..].iter_mut().zip(words) {
                    *word = u32::from_le_bytes(*bytes);
                }
            });
            black_box(&mut all);
        });
    });
    let candidates = zipf(&mut rng(52), 128_256, 1024);
    let mut words = vec![0; 1024];
    group.bench_function("candidate of one window, one block each", |b| {
        b.iter(|| prf.candidates(&[1, 2], &candidates, black_box(&mut words)))
    });
    group.finish();
}

criterion_group!(benches, prf);
criterion_main!(benches);

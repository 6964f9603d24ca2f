//! The hot paths allocate nothing per token, once they are warm: counted by an allocator that counts, not believed.
//!
//! Its own binary, because the counting allocator serves a whole process.

use std::hint::black_box;

use allocation_counter::measure;
use taggant_core::schemes::{self, Parameters};
use taggant_core::{LeafKey, Mark, Record};
use taggant_detector::{Detector, Response};
use taggant_tests::{account_key, campaign_key, logits, rng, tokenizer, zipf};
use taggant_watermark::{Sampler, Sampling, Stream};

const VOCABULARY: usize = 5000;
const TOKENS: usize = 300;

/// Keys and records of every native scheme, with one layer and with two.
fn marks() -> Vec<(Vec<LeafKey>, Record)> {
    let mut rng = rng(60);
    let both = [campaign_key(&mut rng), account_key(&mut rng)];
    let mut marks = Vec::new();
    for definition in schemes::ALL {
        for layers in [1, 2] {
            let keys = both[..layers].to_vec();
            let borrowed: Vec<&LeafKey> = keys.iter().collect();
            let parameters = Parameters::new(definition.id, &[]).unwrap();
            let record = Record::new(parameters, 2, &borrowed, tokenizer(VOCABULARY)).unwrap();
            marks.push((keys, record));
        }
    }
    marks
}

#[test]
fn the_counter_counts() {
    let counted = measure(|| drop(black_box(vec![1_u8; 100])));
    assert_eq!(counted.count_total, 1);
}

#[test]
fn choosing_and_biasing_tokens_allocates_nothing() {
    let mut rng = rng(61);
    let rows: Vec<Vec<f32>> = (0..16).map(|_| logits(&mut rng, VOCABULARY, 3.0)).collect();
    let samplings = [
        (0, 1.0, 0.0),
        (100, 1.0, 0.0),
        (0, 0.95, 0.0),
        (50, 0.9, 0.01),
    ];
    for (keys, record) in marks() {
        let keys: Vec<&LeafKey> = keys.iter().collect();
        let mark = std::sync::Arc::new(Mark::new(&record, &keys).unwrap());
        for (top_k, top_p, min_p) in samplings {
            let sampling = Sampling {
                top_k,
                top_p,
                min_p,
                ..Sampling::default()
            };
            let mut sampler = Sampler::new(sampling).unwrap();
            // An engine's own list, in an order of its own; the row with all else masked; and a row that is kept.
            let ids: Vec<u32> = (0..100).map(|index| index * 37 % 4999).collect();
            let mut kept = vec![f32::NEG_INFINITY; VOCABULARY];
            let mut written = Vec::with_capacity(VOCABULARY);
            let mut respond = |stream: &mut Stream, biased: &mut [f32]| {
                for (step, row) in rows.iter().cycle().take(TOKENS).enumerate() {
                    biased.copy_from_slice(row);
                    sampler.bias(stream, biased).unwrap();
                    sampler
                        .bias_into(stream, row, &mut kept, &mut written)
                        .unwrap();
                    biased.fill(f32::NEG_INFINITY);
                    biased[..100].copy_from_slice(&row[..100]);
                    sampler.bias(stream, biased).unwrap();
                    biased[..100].copy_from_slice(&row[..100]);
                    let listed = &mut biased[..100];
                    sampler.bias_listed(stream, &ids, listed).unwrap();
                    if step % 2 == 0 {
                        sampler.select(stream, row, &mut rng).unwrap();
                    } else {
                        sampler
                            .select_listed(stream, &ids, &row[..100], &mut rng)
                            .unwrap();
                    }
                }
            };
            let room = || Stream::with_capacity(mark.clone(), TOKENS).unwrap();
            let (mut first, mut second) = (room(), room());
            let mut biased = vec![0.0; VOCABULARY];
            respond(&mut first, &mut biased); // working memory is made here
            let counted = measure(|| respond(&mut second, &mut biased));
            assert_eq!(
                counted.count_total,
                0,
                "{:?}, {sampling:?}: {TOKENS} tokens",
                record.layers().len()
            );
        }
    }
}

#[test]
fn scoring_rows_allocates_nothing_per_token() {
    let mut rng = rng(62);
    let texts: Vec<Vec<u32>> = (0..10)
        .map(|_| zipf(&mut rng, VOCABULARY as u32, 2000))
        .collect();
    for (keys, record) in marks() {
        let keys: Vec<&LeafKey> = keys.iter().collect();
        let mut detector = Detector::new(&record, &keys).unwrap();
        let mut score = |length: usize| {
            for text in &texts {
                let _ = black_box(detector.row(&Response::ids(&text[..length])).unwrap());
            }
        };
        score(2000); // working memory and the pool are made here
        let (long, short) = (measure(|| score(2000)), measure(|| score(20)));
        // A report may hold a few things of its own; none of them grows with the text.
        assert!(long.count_total <= short.count_total, "{long:?} {short:?}");
    }
}

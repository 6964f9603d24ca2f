//! What C chooses is what Rust chooses: the same key, logits and random bits give the same tokens, by every way there is.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use crate::support::{Bench, insecure_key, record};
use taggant_core::Mark;
use taggant_watermark::{Sampler, Sampling, Stream};

const VOCABULARY: usize = 1009;
const LISTED: usize = 40;
const STEPS: usize = 60;

/// The generator of `choices.c`.
fn random_bits(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

struct Coin(u64);

impl rand::TryRng for Coin {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0 >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("samplers draw words")
    }
}

/// What `choices.c` does for one line of answers.
fn answers(mark: &Arc<Mark>, sampling: Sampling, mut seed: u64, way: usize) -> String {
    let mut sampler = Sampler::new(sampling).unwrap();
    let mut stream = Stream::new(Arc::clone(mark)).unwrap();
    for step in 0..STEPS {
        let mut logit = |_| (random_bits(&mut seed) >> 40) as f32 * (12.0 / 16_777_216.0);
        let mut logits: Vec<f32> = (0..VOCABULARY).map(&mut logit).collect();
        let mut coin = Coin(random_bits(&mut seed));
        let ids: Vec<u32> = (0..LISTED)
            .map(|place| ((place * 37 + step) % VOCABULARY) as u32)
            .collect();
        let listed: Vec<f32> = ids.iter().map(|&id| logits[id as usize]).collect();
        match way {
            0 => {
                let _: u32 = sampler.select(&mut stream, &logits, &mut coin).unwrap();
            }
            1 | 2 => {
                let _: u32 = sampler
                    .select_listed(&mut stream, &ids, &listed, &mut coin)
                    .unwrap();
            }
            _ => {
                sampler.bias(&stream, &mut logits).unwrap();
                let best = (0..VOCABULARY).fold(0, |best, token| {
                    if logits[token] > logits[best] {
                        token
                    } else {
                        best
                    }
                });
                stream.push(best as u32).unwrap();
            }
        }
    }
    let tokens: Vec<String> = stream.tokens().iter().map(u32::to_string).collect();
    tokens.join(" ")
}

#[test]
fn c_chooses_what_rust_chooses() {
    let bench = Bench::new(&["tests/programs/choices.c"], &[]);
    let campaign = insecure_key(7, "2026-12/campaign/east");
    let account = insecure_key(7, "2026-12/account/a77");
    let settings = [
        (1.0, 0, 1.0, 0.0),
        (0.8, 40, 0.95, 0.0),
        (0.7, 0, 0.9, 0.02),
        (1.3, 12, 1.0, 0.1),
        (0.0, 0, 1.0, 0.0),
    ];
    let (mut cases, mut expected) = (String::new(), Vec::new());
    for scheme in ["gumbel", "tournament", "greenlist"] {
        for keys in [&[&campaign][..], &[&campaign, &account]] {
            let record = record(scheme, keys, VOCABULARY);
            let path = bench.file(&format!("{scheme}-{}.json", keys.len()), &record.to_json());
            let mark = Arc::new(Mark::new(&record, keys).unwrap());
            for (temperature, top_k, top_p, min_p) in settings {
                let sampling = Sampling {
                    temperature,
                    top_k,
                    top_p,
                    min_p,
                };
                for seed in [1_u64, 2, u64::MAX] {
                    let bits = f32::to_bits;
                    let (temperature, top_p, min_p) = (bits(temperature), bits(top_p), bits(min_p));
                    let count = keys.len();
                    writeln!(
                        cases,
                        "{path} {count} {temperature} {top_k} {top_p} {min_p} {seed} {STEPS}"
                    )
                    .unwrap();
                    expected.extend((0..4).map(|way| answers(&mark, sampling, seed, way)));
                }
            }
        }
    }
    let keys = [
        bench.file("campaign.key", &campaign.to_json()),
        bench.file("account.key", &account.to_json()),
    ];
    let said = bench.run_with(&[&keys[0], &keys[1]], &cases);
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said.len(), 3 * 2 * 5 * 3 * 4);
    for (number, (said, expected)) in said.iter().zip(&expected).enumerate() {
        assert_eq!(
            said,
            expected,
            "way {} of case: {}",
            number % 4,
            cases.lines().nth(number / 4).unwrap()
        );
    }
}

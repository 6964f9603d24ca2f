//! How much marked text gives its keys away, and how long that takes: `cargo run --release -p taggant-interop --example recover_keys`.
//!
//! Marks text by random distributions over 4,096 tokens (logits are normal with the standard deviation that is named) under keys that the
//! search is not told, and prints what is found.

#![expect(clippy::print_stdout, reason = "a program")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "small numbers"
)]

use std::time::Instant;

use taggant_core::Result;
use taggant_core::window::extend;
use taggant_interop::recover::{
    TextSeal, lefthash_key, synthid_bits, synthid_layers, textseal_key,
};

const VOCABULARY: usize = 4096;
const TABLE: usize = 1 << 16;
const DEPTH: usize = 30;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        extend(self.0, 0)
    }

    /// Between 0 and 1, both excluded.
    fn uniform(&mut self) -> f64 {
        ((self.word() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// The softmax of normal logits (Box and Muller).
    fn distribution(&mut self, deviation: f64) -> Vec<f64> {
        let mut weights: Vec<f64> = (0..VOCABULARY)
            .map(|_| {
                let radius = (-2.0 * self.uniform().ln()).sqrt();
                (deviation * radius * (std::f64::consts::TAU * self.uniform()).cos()).exp()
            })
            .collect();
        normalise(&mut weights);
        weights
    }

    fn draw(&mut self, weights: &[f64]) -> u32 {
        let mut left = self.uniform();
        for (token, weight) in (0..).zip(weights) {
            left -= weight;
            if left < 0.0 {
                return token;
            }
        }
        weights.len() as u32 - 1
    }
}

fn normalise(weights: &mut [f64]) {
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
}

fn entropy(weights: &[f64]) -> f64 {
    -weights
        .iter()
        .map(|weight| weight * weight.max(1e-300).log2())
        .sum::<f64>()
}

/// Tokens by tournaments of two candidates in each of 30 layers, n-grams of 5.
fn tournament(
    length: usize,
    deviation: f64,
    keys: &[u64],
    bits: &[u8],
    random: &mut Random,
) -> (Vec<u32>, f64) {
    const A: u64 = 6_364_136_223_846_793_005;
    let accumulate = |hash: u64, data: u64| hash.wrapping_add(data).wrapping_mul(A).wrapping_add(1);
    let mut tokens: Vec<u32> = (0..4)
        .map(|_| (random.word() % VOCABULARY as u64) as u32)
        .collect();
    let mut bits_of_entropy = 0.0;
    while tokens.len() < length {
        let mut weights = random.distribution(deviation);
        bits_of_entropy += entropy(&weights) / length as f64;
        let context = tokens[tokens.len() - 4..]
            .iter()
            .fold(1, |hash, &token| accumulate(hash, u64::from(token)));
        let places: Vec<u64> = (0..VOCABULARY as u64)
            .map(|token| accumulate(context, token))
            .collect();
        for key in keys {
            let ones: Vec<f64> = places
                .iter()
                .map(|place| f64::from(bits[(place.wrapping_add(*key) % TABLE as u64) as usize]))
                .collect();
            let mass: f64 = ones
                .iter()
                .zip(&weights)
                .map(|(one, weight)| one * weight)
                .sum();
            weights
                .iter_mut()
                .zip(&ones)
                .for_each(|(weight, one)| *weight *= 1.0 + one - mass);
        }
        tokens.push(random.draw(&weights));
    }
    (tokens, bits_of_entropy)
}

/// TextSeal's value of a unit of two tokens and one.
fn level(window: &[u32], token: u32, key: u64) -> u16 {
    let form = u64::from(window[0]) * 10_000_019
        + u64::from(window[1]) * 10_000_247
        + u64::from(token) * 100_000_007;
    let hash = form
        .wrapping_add(key.wrapping_mul(500_001_713))
        .wrapping_mul(15_485_863)
        .wrapping_mul(40_499)
        .cast_signed();
    (hash ^ hash >> 13).rem_euclid(8191) as u16
}

fn textseal(
    length: usize,
    deviation: f64,
    mark: TextSeal,
    key: u64,
    random: &mut Random,
) -> Vec<u32> {
    let mut tokens: Vec<u32> = (0..2)
        .map(|_| (random.word() % VOCABULARY as u64) as u32)
        .collect();
    while tokens.len() < length {
        let mut weights = random.distribution(deviation);
        let window = &tokens[tokens.len() - 2..];
        let value = |token: usize| f64::from(level(window, token as u32, key)) / 8191.0;
        let token = match mark {
            // Delta 2, as TextSeal has it.
            TextSeal::Greenlist { gamma } => {
                weights.iter_mut().enumerate().for_each(|(token, weight)| {
                    *weight *= if value(token) < gamma {
                        2_f64.exp()
                    } else {
                        1.0
                    }
                });
                normalise(&mut weights);
                random.draw(&weights)
            }
            TextSeal::Gumbel => {
                let score = |token: usize| value(token).max(1e-9).ln() / weights[token];
                (0..VOCABULARY)
                    .max_by(|&a, &b| score(a).total_cmp(&score(b)))
                    .map_or(0, |token| token as u32)
            }
        };
        tokens.push(token);
    }
    tokens
}

fn main() -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bits = synthid_bits(TABLE, 0);
    println!(
        "SynthID, table of 65,536: layers recovered of {DEPTH}, false ones, seconds (one thread)"
    );
    for deviation in [1.0, 3.0, 4.0] {
        for length in [100, 250, 500, 1000, 1500, 3000] {
            let mut random = Random(length as u64);
            let keys: Vec<u64> = (0..DEPTH).map(|_| random.word()).collect();
            let (tokens, entropy) = tournament(length, deviation, &keys, &bits, &mut random);
            let start = Instant::now();
            let layers = synthid_layers(&tokens, 5, TABLE, 0)?;
            let seconds = start.elapsed().as_secs_f64();
            let right = keys
                .iter()
                .filter(|key| layers.iter().any(|layer| layer.key == *key % TABLE as u64))
                .count();
            let repeated = layers.len().saturating_sub(right);
            println!(
                "  {entropy:4.1} bits of entropy a token, {length:5} tokens: {right:2} of {DEPTH}, {repeated} false, {seconds:.4} s"
            );
        }
    }

    println!(
        "TextSeal, windows of 2: key found, seconds ({threads} threads), core-hours for all keys of 32 bits"
    );
    for (name, mark, deviation) in [
        ("gumbelmax", TextSeal::Gumbel, 1.0),
        ("gumbelmax", TextSeal::Gumbel, 4.0),
        ("greenlist", TextSeal::Greenlist { gamma: 0.25 }, 1.0),
        ("greenlist", TextSeal::Greenlist { gamma: 0.25 }, 4.0),
    ] {
        for width in [20, 24] {
            for length in [100, 250, 1000] {
                let mut random = Random(width + length as u64);
                let key = random.word() % (1 << width);
                let tokens = textseal(length, deviation, mark, key, &mut random);
                let start = Instant::now();
                let found = textseal_key(&tokens, 2, mark, 1 << width, threads)?;
                let seconds = start.elapsed().as_secs_f64();
                let hours =
                    seconds * threads as f64 / (1_u64 << width) as f64 * 4_294_967_296.0 / 3600.0;
                let what = match found {
                    Some(found) if found == key => "found",
                    Some(_) => "a relative found",
                    None => "not found",
                };
                println!(
                    "  {name}, logits of deviation {deviation}, {width} bits, {length:4} tokens: {what}, {seconds:.3} s, {hours:.2} core-hours"
                );
            }
        }
    }

    // What a wrong key costs does not depend on the text.
    let mut random = Random(1);
    for vocabulary in [50_257, 128_256] {
        let pairs: Vec<(u32, u32)> = (0..40)
            .map(|_| {
                (
                    (random.word() % vocabulary) as u32,
                    (random.word() % vocabulary) as u32,
                )
            })
            .collect();
        let start = Instant::now();
        let keys = 4096;
        let _ = lefthash_key(
            &pairs,
            vocabulary as u32,
            0.25,
            1 << 20..(1 << 20) + keys,
            1,
        )?;
        let seconds = start.elapsed().as_secs_f64() / keys as f64;
        println!(
            "KGW lefthash, {vocabulary} tokens: {:.1} µs a key, {:.0} core-hours for all keys of 32 bits",
            1e6 * seconds,
            seconds * 4_294_967_296.0 / 3600.0
        );
    }
    Ok(())
}

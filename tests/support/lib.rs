//! What the tests that cross crates share: seeded randomness, statistics of the tests themselves, corpora and the real model.
//!
//! Every statistical test states its null hypothesis, the theory, n, alpha and the seed, and prints what it observed. Seeds are fixed,
//! so the gate is deterministic; `TEST_SEED` replays a test with another one.

pub mod corpora;
pub mod model;
pub mod reference;
pub mod stats;
pub mod vectors;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taggant_core::{LeafKey, Path, Role, RootKey, TokenizerId};

/// The random source of a test: its own number, moved by `TEST_SEED` if that is set.
#[must_use]
pub fn rng(test: u64) -> ChaCha8Rng {
    let moved = std::env::var("TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(0);
    let mut rng = ChaCha8Rng::seed_from_u64(moved);
    rng.set_stream(test);
    rng
}

/// A random root key.
pub fn root(rng: &mut impl Rng) -> RootKey {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    RootKey::from_bytes(bytes)
}

/// A random campaign key.
pub fn campaign_key(rng: &mut impl Rng) -> LeafKey {
    root(rng).derive(&Path::new("test", Role::Campaign, "c").unwrap())
}

/// A random account key.
pub fn account_key(rng: &mut impl Rng) -> LeafKey {
    root(rng).derive(&Path::new("test", Role::Account, "a").unwrap())
}

/// A tokenizer that exists only as a number of ids.
#[must_use]
pub fn tokenizer(vocabulary: usize) -> TokenizerId {
    TokenizerId::new([7; 32], vocabulary).unwrap()
}

/// A number below `bound`.
pub fn below(rng: &mut impl Rng, bound: u32) -> u32 {
    ((u64::from(rng.next_u32()) * u64::from(bound)) >> 32) as u32
}

/// A number in [0, 1).
pub fn uniform(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A standard normal number.
pub fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - uniform(rng)).ln()).sqrt();
    radius * (std::f64::consts::TAU * uniform(rng)).cos()
}

/// Tokens drawn like words of a language: few common, many rare.
pub fn zipf(rng: &mut impl Rng, vocabulary: u32, length: usize) -> Vec<u32> {
    let draw = |rng: &mut _| (f64::from(vocabulary).powf(uniform(rng)) - 1.0) as u32;
    (0..length).map(|_| draw(rng).min(vocabulary - 1)).collect()
}

/// Logits like a model's: `spread` is the standard deviation; 2 to 4 is usual.
pub fn logits(rng: &mut impl Rng, vocabulary: usize, spread: f64) -> Vec<f32> {
    (0..vocabulary)
        .map(|_| (normal(rng) * spread) as f32)
        .collect()
}

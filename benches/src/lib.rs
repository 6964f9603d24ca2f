//! What the benchmarks share: floors of the machine, and inputs.
//!
//! `cargo bench -p taggant-benches` measures, `cargo run --release -p taggant-benches --bin results` prints the table that
//! `benches/results/` keeps, every figure as a ratio to a floor of the same run.

use std::sync::Arc;

use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use taggant_core::schemes::Parameters;
use taggant_core::{LeafKey, Mark, Record};
use taggant_tests::{account_key, campaign_key, rng, tokenizer};

/// Vocabularies of the sampler benchmarks: Llama 2's and Llama 3's.
pub const VOCABULARIES: [usize; 2] = [32_000, 128_256];

/// The cipher alone: `blocks` AES-128 blocks in place, as many in flight as the machine takes.
pub fn aes_floor(blocks: usize) -> impl FnMut() {
    let cipher = Aes128Enc::new(&Array::from([7; 16]));
    let mut buffer = vec![Array::from([0; 16]); blocks];
    move || cipher.encrypt_blocks(&mut buffer)
}

/// Reading logits once, the least any sampler must do.
#[must_use]
pub fn read_floor(logits: &[f32]) -> f32 {
    taggant_core::simd::vectorise(
        #[inline(always)]
        || {
            let mut lanes = [0.0; 64];
            for run in logits.as_chunks::<64>().0 {
                for lane in 0..64 {
                    lanes[lane] += run[lane];
                }
            }
            lanes.iter().sum()
        },
    )
}

/// Keys, record and mark of a scheme with one layer or two.
#[must_use]
pub fn mark(
    scheme: &str,
    parameters: &[(&str, f64)],
    window: usize,
    layers: usize,
    vocabulary: usize,
) -> (Vec<LeafKey>, Record, Arc<Mark>) {
    let mut rng = rng(50);
    let keys: Vec<LeafKey> = [campaign_key(&mut rng), account_key(&mut rng)]
        .into_iter()
        .take(layers)
        .collect();
    let borrowed: Vec<&LeafKey> = keys.iter().collect();
    let record = Record::new(
        Parameters::new(scheme, parameters).unwrap(),
        window,
        &borrowed,
        tokenizer(vocabulary),
    )
    .unwrap();
    let mark = Arc::new(Mark::new(&record, &borrowed).unwrap());
    (keys, record, mark)
}

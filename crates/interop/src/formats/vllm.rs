//! vLLM's Philox Gumbel mark and its dual-key form (`vllm/v1/watermarking`, PRF version philox4x32-10-v1, read in 0.33.0).

use sha2::{Digest, Sha256};
use taggant_core::Result;

use super::Definition;
use super::gumbel::{Gumbel, Race};
use crate::config::Fields;
use crate::contract::Contract;
use crate::hash::philox::philox;
use crate::law::UnitLaw;
use crate::mark::{Before, Mark, Reading};
use crate::peer::{Counts, Rule, Statistic};

pub(crate) const GUMBEL: Definition = Definition {
    id: "vllm-gumbel",
    about: "vLLM --watermark-config, algorithm gumbel",
    warning: Some(WARNING),
    build: |definition, fields| {
        let key = key(fields)?;
        let width = common(fields, "gumbel")?;
        fields.ignore(&["alpha"]);
        let rule = Rule {
            detector: "vLLM GumbelWatermarkDetector",
            counts: Counts::Windows,
            most: None,
            statistic: Statistic::Gamma,
        };
        Ok(Mark::single(
            definition,
            Gumbel(Philox::new(key, width)),
            UnitLaw::Exponential { slack: SLACK },
            READING,
            rule,
        ))
    },
};

pub(crate) const DUAL: Definition = Definition {
    id: "vllm-dual",
    about: "vLLM --watermark-config, algorithm dual_key_gumbel",
    warning: Some(WARNING),
    build: |definition, fields| {
        let key = key(fields)?;
        let width = common(fields, "dual_key_gumbel")?;
        let alpha = fields.number(
            "alpha",
            0.1,
            |alpha| (0.0..=1.0).contains(&alpha),
            "a number from 0 to 1",
        )?;
        let weights = vec![1.0 - alpha, alpha];
        let contract =
            |domain| Box::new(Gumbel(Philox::new(derive(key, domain), width))) as Box<dyn Contract>;
        Ok(Mark {
            definition,
            voices: vec![
                (contract(b"key_a"), weights[0]),
                (contract(b"key_b"), weights[1]),
            ],
            law: UnitLaw::Exponentials {
                weights,
                slack: SLACK,
            },
            reading: READING,
            rule: Rule {
                detector: "vLLM DualKeyGumbelWatermarkDetector",
                counts: Counts::Windows,
                most: None,
                statistic: Statistic::MatchedGamma {
                    variance: (1.0 - alpha) * (1.0 - alpha) + alpha * alpha,
                },
            },
            table: None,
        })
    },
};

const WARNING: &str = "Philox is no cryptographic function: who can query the marked model may learn to write under its key, so a finding does not exclude forgery";

/// The first context is all padding: what the prompt says is not read.
const READING: Reading = Reading {
    before: Before::Padding(u32::MAX),
    repeats: crate::mark::Repeats::Window,
    vocabulary: None,
    eos: None,
};

/// `1 − u` is a multiple of 1/(2^24 + 1), each of 2^24 of them equally likely, so `−ln(1 − u)` exceeds an exponential variable by
/// ln(1 + 2^-24) at most; rounding `u` to single precision adds less than as much again where `u` is small.
const SLACK: f64 = 2.0 / 16_777_216.0;

fn key(fields: &mut Fields) -> Result<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range"
    )]
    fields
        .key("key", None, 0..=i128::from(u64::MAX))
        .map(|key| key as u64)
}

/// Fields of both algorithms; the context's width.
fn common(fields: &mut Fields, algorithm: &'static str) -> Result<usize> {
    let _ = fields.choice("algorithm", algorithm, &[algorithm])?;
    let _ = fields.choice("prf", "philox", &["philox"])?;
    let _ = fields.choice("version", "philox4x32-10-v1", &["philox4x32-10-v1"])?;
    fields.ignore(&[
        "deduplicate_contexts",
        "deduplicate_contexts_max_history",
        "allow_target_only_watermarking",
    ]);
    fields.size("context_width", Some(4), 1..=64)
}

/// Each of the two keys is the first eight bytes of a hash of the domain and the key.
fn derive(key: u64, domain: &[u8]) -> u64 {
    let digest = Sha256::new()
        .chain_update(domain)
        .chain_update(key.to_be_bytes())
        .finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

struct Philox {
    key: [u32; 2],
    width: usize,
}

const CONTEXT_DOMAIN: u32 = 0x574D_4358;
const TOKEN_DOMAIN: u32 = 0x574D_544B;

impl Philox {
    fn new(key: u64, width: usize) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        Self {
            key: [key as u32, (key >> 32) as u32],
            width,
        }
    }
}

impl Race for Philox {
    fn id(&self) -> &'static str {
        "vllm/philox4x32-10-v1"
    }

    fn window(&self) -> usize {
        self.width
    }

    /// A CBC-like chain over blocks of four tokens, then one block that holds the token.
    fn word(&self, window: &[u32], token: u32) -> u32 {
        let [low, high] = self.key;
        let mut state = [CONTEXT_DOMAIN, 0, 0, 0];
        for (offset, block) in (0_u32..).step_by(4).zip(window.chunks(4)) {
            if offset == 0 {
                #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
                let width = self.width as u32;
                state[1] = width;
            }
            for place in 0..4_u32 {
                state[place as usize] ^= block
                    .get(place as usize)
                    .copied()
                    .unwrap_or(u32::MAX - place);
            }
            state = philox(state, [low ^ offset, high]);
        }
        let out = philox(
            [token >> 2, state[0], state[1], state[2]],
            [low ^ state[3], high ^ TOKEN_DOMAIN],
        );
        out[(token & 3) as usize]
    }

    /// In the engine's single precision.
    fn uniform(word: u32) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the engine rounds to single precision"
        )]
        let single = ((f64::from(word >> 8) + 1.0) / 16_777_217.0) as f32;
        f64::from(single)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_reference_is_met() {
        // Key 42, computed by vLLM's own module.
        let word = Philox::new(42, 4).word(&[464, 3290, 318, 257], 922);
        assert_eq!(word, 1_262_881_516);
        assert!((Philox::uniform(word) - 0.294_037_5).abs() < 1e-7);
    }
}

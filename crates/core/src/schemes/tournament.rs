//! Tournament sampling (Dathathri et al., Nature 634, 2024), two candidates a match, in closed form over the distribution.

use super::{Definition, Parameter};
use crate::candidates::{Candidates, Scratch, exp, sum};
use crate::error::Result;
use crate::prf::Prf;
use crate::scheme::{Null, Reshaped, Scheme};

pub(super) const DEFINITION: Definition = Definition {
    id: "tournament/1",
    about: "m rounds of keyed two-candidate tournaments; distortion-free",
    parameters: &[Parameter {
        name: "depth",
        min: 1.0,
        max: 32.0,
        whole: true,
        default: 12.0,
    }],
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked: whole, 1 to 32"
    )]
    build: |values, prf| {
        Box::new(Tournament {
            depth: values[0] as u32,
            prf,
        })
    },
};

#[derive(Debug)]
struct Tournament {
    depth: u32,
    prf: Prf,
}

impl Scheme for Tournament {
    fn id(&self) -> &'static str {
        DEFINITION.id
    }

    fn window(&self) -> usize {
        self.prf.window()
    }

    fn words(&self, tokens: &[u32], positions: &[u32], out: &mut [u32]) {
        self.prf.units(tokens, positions, out);
    }

    fn null(&self) -> Null {
        Null::Binomial {
            trials: self.depth,
            threshold: 1 << 31,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "2^53 bits are more than any corpus has"
    )]
    fn score(&self, words: &[u32]) -> f64 {
        let mask = u32::MAX >> (32 - self.depth);
        words
            .iter()
            .map(|word| u64::from((word & mask).count_ones()))
            .sum::<u64>() as f64
    }

    fn reshape(
        &self,
        window: &[u32],
        candidates: &Candidates<'_>,
        scratch: &mut Scratch,
    ) -> Result<Reshaped> {
        let Scratch { weights, words } = scratch;
        weights.resize(candidates.len(), 0.0);
        words.resize(candidates.len(), 0);
        candidates.scan(
            &self.prf,
            window,
            #[inline(always)]
            |first, log_weights, found| {
                for (weight, &log_weight) in weights[first..].iter_mut().zip(log_weights) {
                    *weight = exp(log_weight);
                }
                words[first..first + found.len()].copy_from_slice(found);
            },
        );
        #[expect(
            clippy::cast_possible_truncation,
            reason = "weights are single precision"
        )]
        let norm = (1.0 / sum(weights)) as f32;
        let mut mass = 0.0;
        for (weight, word) in weights.iter_mut().zip(&*words) {
            *weight *= norm;
            mass += *weight * bit(*word, 0);
        }
        for layer in 0..self.depth {
            mass = play(weights, words, layer, mass);
        }
        Ok(Reshaped::Weights)
    }
}

/// One layer: `p ← p (1 + g − Σ p g)`, where `mass` is the sum. Returns the sum for the next layer, gathered in the same pass.
fn play(weights: &mut [f32], words: &[u32], layer: u32, mass: f32) -> f32 {
    // Eight running sums: floating-point addition may not be reordered, so one sum would be one long chain.
    let mut next = [0.0_f32; 8];
    let keep = 1.0 - mass;
    let (weight_runs, weight_rest) = weights.as_chunks_mut::<8>();
    let (word_runs, word_rest) = words.as_chunks::<8>();
    for (weights, words) in weight_runs.iter_mut().zip(word_runs) {
        for lane in 0..8 {
            weights[lane] *= keep + bit(words[lane], layer);
            next[lane] += weights[lane] * bit(words[lane], layer + 1);
        }
    }
    for (weight, &word) in weight_rest.iter_mut().zip(word_rest) {
        *weight *= keep + bit(word, layer);
        next[0] += *weight * bit(word, layer + 1);
    }
    next.iter().sum()
}

/// Bit `layer` of `word`. The sum for the layer after layer 31 is gathered but not used, so any bit will do there.
#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "zero or one")]
fn bit(word: u32, layer: u32) -> f32 {
    (word.wrapping_shr(layer) & 1) as f32
}

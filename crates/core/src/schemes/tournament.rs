//! Tournament sampling (Dathathri et al., Nature 634, 2024), two candidates a match, in closed form over the distribution.

use super::{Definition, Parameter};
use crate::candidates::{Candidates, Scratch, exp, sum};
use crate::error::Result;
use crate::prf::Prf;
use crate::scheme::{Null, Reshaped, Scheme};
use crate::simd::vectorise;
use crate::tile::Tile;

pub(super) const DEFINITION: Definition = Definition {
    id: "tournament/1",
    about: "m rounds of keyed two-candidate tournaments; distortion-free",
    parameters: &[Parameter {
        name: "depth",
        min: 1.0,
        max: 32.0,
        whole: true,
        // The unweighted sum still gains from every layer: effect 0.66, 0.95, 1.15 and 1.18 standard deviations a unit at
        // depth 4, 12, 20 and 30 (SmolLM2-135M, temperature 1, top-p 0.95). 30 is also what SynthID-Text uses.
        default: 30.0,
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

    fn tile(&self, tile: &Tile, out: &mut [u32]) {
        self.prf.tile(tile, out);
    }

    fn null(&self) -> Null {
        Null::Binomial {
            trials: self.depth,
            threshold: 1 << 31,
        }
    }

    fn scores(&self, words: &[u32], out: &mut [f64]) {
        let mask = u32::MAX >> (32 - self.depth);
        for (out, &word) in out.iter_mut().zip(words) {
            *out = f64::from((word & mask).count_ones());
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "2^53 bits are more than any corpus has"
    )]
    fn score(&self, words: &[u32]) -> f64 {
        let mask = u32::MAX >> (32 - self.depth);
        let count = |words: &[u32]| {
            vectorise(
                #[inline(always)]
                || words.iter().map(|&word| ones(word & mask)).sum::<u32>(),
            )
        };
        words
            .chunks(1 << 20)
            .map(|words| u64::from(count(words)))
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
        let (into_weights, into_words) = (&mut weights[..], &mut words[..]);
        candidates.scan(
            &self.prf,
            window,
            #[inline(always)]
            move |first, log_weights, found| {
                for (weight, &log_weight) in into_weights[first..].iter_mut().zip(log_weights) {
                    *weight = exp(log_weight);
                }
                into_words[first..first + found.len()].copy_from_slice(found);
            },
        );
        let (weights, words, depth) = (&mut weights[..], &words[..], self.depth);
        vectorise(
            #[inline(always)]
            move || play_all(weights, words, depth),
        );
        Ok(Reshaped::Weights)
    }
}

/// Ones of a word by adding neighbours, which vectorises everywhere; not every machine counts bits in vectors.
#[inline(always)]
fn ones(word: u32) -> u32 {
    let pairs = word - (word >> 1 & 0x5555_5555);
    let fours = (pairs & 0x3333_3333) + (pairs >> 2 & 0x3333_3333);
    ((fours + (fours >> 4)) & 0x0F0F_0F0F).wrapping_mul(0x0101_0101) >> 24
}

/// Normalises the weights and plays every layer over them.
#[inline(always)]
fn play_all(weights: &mut [f32], words: &[u32], depth: u32) {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weights are single precision"
    )]
    let norm = (1.0 / sum(weights)) as f32;
    for weight in &mut *weights {
        *weight *= norm;
    }
    // A step before the first layer changes nothing and gathers the first layer's mass.
    let mut mass = gather(
        weights,
        words,
        0,
        #[inline(always)]
        |_| 1.0,
    );
    for layer in 0..depth {
        // Rounding can leave a mass just above 1; a probability must not turn negative.
        let keep = (1.0 - mass).max(0.0);
        mass = gather(
            weights,
            words,
            layer + 1,
            #[inline(always)]
            |word| keep + bit(word, layer),
        );
    }
}

/// One layer, `p ← p (1 + g − Σ p g)`, where `factor` gives the bracket, and `Σ p g` for layer `next`.
#[inline(always)]
fn gather(weights: &mut [f32], words: &[u32], next: u32, factor: impl Fn(u32) -> f32) -> f32 {
    const RUN: usize = 256;
    let mut gains = [0.0; RUN];
    let mut mass = 0.0;
    for (weights, words) in weights.chunks_mut(RUN).zip(words.chunks(RUN)) {
        let gains = &mut gains[..weights.len()];
        for ((weight, &word), gain) in weights.iter_mut().zip(words).zip(&mut *gains) {
            *weight *= factor(word);
            *gain = *weight * bit(word, next);
        }
        mass += sum(gains);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weights are single precision"
    )]
    let mass = mass as f32;
    mass
}

/// Bit `layer` of `word`. The sum for the layer after layer 31 is gathered but not used, so any bit will do there.
#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "zero or one")]
fn bit(word: u32, layer: u32) -> f32 {
    (word.wrapping_shr(layer) & 1) as f32
}

//! Green lists (Kirchenbauer et al. 2023): after each window a keyed share γ of the vocabulary is green and gains δ in its logits.
//! Each token is green or red by itself, so the count is exactly binomial; it changes the distribution and says by how much (δ).

use super::{Definition, Parameter};
use crate::candidates::{Candidates, Scratch, exp};
use crate::error::Result;
use crate::prf::Prf;
use crate::scheme::{Null, Reshaped, Scheme};
use crate::simd::vectorise;
use crate::tile::Tile;

pub(super) const DEFINITION: Definition = Definition {
    id: "greenlist/1",
    about: "adds delta to the logits of a keyed share gamma of tokens; strongest, changes the distribution",
    parameters: &[
        Parameter {
            name: "threshold",
            min: 1.0,
            max: 4_294_967_295.0,
            whole: true,
            default: 1_073_741_824.0, // gamma = 1/4
        },
        Parameter {
            name: "delta",
            min: 0.01,
            max: 50.0,
            whole: false,
            default: 2.0,
        },
    ],
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked: whole, below 2^32"
    )]
    build: |values, prf| {
        Box::new(Greenlist {
            threshold: values[0] as u32,
            delta: values[1] as f32,
            prf,
        })
    },
};

#[derive(Debug)]
struct Greenlist {
    threshold: u32,
    delta: f32,
    prf: Prf,
}

impl Scheme for Greenlist {
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
            trials: 1,
            threshold: u64::from(self.threshold),
        }
    }

    fn scores(&self, words: &[u32], out: &mut [f64]) {
        for (out, &word) in out.iter_mut().zip(words) {
            *out = f64::from(u8::from(word < self.threshold));
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "2^53 tokens are more than any corpus has"
    )]
    fn score(&self, words: &[u32]) -> f64 {
        let threshold = self.threshold;
        let count = |words: &[u32]| {
            vectorise(
                #[inline(always)]
                || {
                    words
                        .iter()
                        .map(|&word| u32::from(word < threshold))
                        .sum::<u32>()
                },
            )
        };
        // Counts of 32 bits fill a register with twice as many lanes as those of 64.
        words
            .chunks(1 << 20)
            .map(|words| u64::from(count(words)))
            .sum::<u64>() as f64
    }

    fn plain_on_repeat(&self) -> bool {
        false
    }

    fn reshape(
        &self,
        window: &[u32],
        candidates: &Candidates<'_>,
        scratch: &mut Scratch,
    ) -> Result<Reshaped> {
        scratch.weights.resize(candidates.len(), 0.0);
        let weights = &mut scratch.weights[..];
        let (threshold, boost) = (self.threshold, libm::expf(self.delta));
        candidates.scan(
            &self.prf,
            window,
            #[inline(always)]
            move |first, log_weights, words| {
                let units = log_weights.iter().zip(words);
                for (weight, (&log_weight, &word)) in weights[first..].iter_mut().zip(units) {
                    *weight = exp(log_weight) * if word < threshold { boost } else { 1.0 };
                }
            },
        );
        Ok(Reshaped::Weights)
    }

    fn bias(&self, window: &[u32], logits: &mut [f32], _: &mut Scratch) -> Result<()> {
        // Checked in a pass of its own, from which the row stays in the second cache: flags kept beside the sum cost twice what they save.
        Candidates::all(logits, 1.0)?;
        let (threshold, delta, vocabulary) = (self.threshold, self.delta, logits.len());
        self.prf.scan(
            window,
            vocabulary,
            #[inline(always)]
            move |first, words| {
                for (logit, &word) in logits[first..].iter_mut().zip(words) {
                    *logit += if u32::from_le_bytes(word) < threshold {
                        delta
                    } else {
                        0.0
                    };
                }
            },
        );
        Ok(())
    }

    fn bias_listed(
        &self,
        window: &[u32],
        ids: &[u32],
        logits: &mut [f32],
        _: &mut Scratch,
    ) -> Result<()> {
        const RUN: usize = 64;
        Candidates::only(ids, logits, 1.0)?;
        let mut words = [0; RUN];
        for (ids, logits) in ids.chunks(RUN).zip(logits.chunks_mut(RUN)) {
            let words = &mut words[..ids.len()];
            self.prf.candidates(window, ids, words);
            for (logit, &mut word) in logits.iter_mut().zip(words) {
                *logit += if word < self.threshold {
                    self.delta
                } else {
                    0.0
                };
            }
        }
        Ok(())
    }
}

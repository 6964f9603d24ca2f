//! How a distribution is made of logits.

use taggant_core::{Error, ErrorKind, Result};

/// Temperature and truncation, applied in this order: temperature, top-k, top-p, min-p. The mark acts on what they leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it. 0 takes the largest logit, which leaves nothing to mark.
    pub temperature: f32,
    /// Keep this many of the largest logits; 0 keeps all.
    pub top_k: usize,
    /// Keep the fewest tokens whose probability reaches this share, in (0, 1]; 1 keeps all.
    pub top_p: f32,
    /// Drop tokens less probable than this share of the most probable one, in [0, 1]; 0 drops none.
    pub min_p: f32,
}

impl Default for Sampling {
    /// The model's own distribution: temperature 1, no truncation.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
        }
    }
}

impl Sampling {
    pub(crate) fn checked(self) -> Result<Self> {
        let fault = if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            format!(
                "temperature is {}; it must be a number from 0",
                self.temperature
            )
        } else if self.temperature > 0.0 && !self.temperature.recip().is_finite() {
            format!(
                "temperature is {}; below 1e-38 use 0, the largest logit",
                self.temperature
            )
        } else if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            format!("top-p is {}; it must be above 0 and at most 1", self.top_p)
        } else if !(0.0..=1.0).contains(&self.min_p) {
            format!("min-p is {}; it must be from 0 to 1", self.min_p)
        } else {
            return Ok(self);
        };
        Err(Error::new(ErrorKind::Parameter, fault))
    }

    /// Whether only the largest logit is possible.
    pub(crate) fn greedy(&self) -> bool {
        self.temperature <= 0.0
    }

    /// What logits are multiplied by.
    pub(crate) fn scale(&self) -> f32 {
        if self.greedy() {
            1.0
        } else {
            self.temperature.recip()
        }
    }

    /// Whether logits stay as they are.
    pub(crate) fn neutral(&self) -> bool {
        self.keeps_all() && self.temperature.to_bits() == 1.0_f32.to_bits()
    }

    /// Whether every token stays possible.
    pub(crate) fn keeps_all(&self) -> bool {
        !self.greedy() && self.top_k == 0 && self.top_p >= 1.0 && self.min_p <= 0.0
    }
}

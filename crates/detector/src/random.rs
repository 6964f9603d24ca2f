//! Seeded randomness of the unit tests.

use crate::stats::binomial_tail;

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform on (0, 1), both ends excluded.
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / 4_503_599_627_370_496.0
    }

    /// The sum of `count` exponentials with mean 1: minus the logarithm of a product of uniforms, ten at a time lest it
    /// underflow.
    pub(crate) fn exponentials(&mut self, count: u32) -> f64 {
        let mut sum = 0.0;
        for start in (0..count).step_by(10) {
            let product: f64 = (start..count.min(start + 10))
                .map(|_| self.uniform())
                .product();
            sum -= product.ln();
        }
        sum
    }
}

/// Draws of a binomial variable by inversion of its exact tail.
pub(crate) struct Binomial(Vec<f64>);

impl Binomial {
    pub(crate) fn new(trials: u32, p: f64) -> Self {
        let tail = |k: u32| binomial_tail(k.into(), trials.into(), p, 1.0 - p).get();
        Self((1..=trials).map(tail).collect())
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of thousands")]
    pub(crate) fn draw(&self, random: &mut Random) -> f64 {
        let u = random.uniform();
        self.0.partition_point(|&tail| tail > u) as f64
    }
}

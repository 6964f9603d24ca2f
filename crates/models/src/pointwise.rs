//! Functions of single values and rows: norm, gate, softmax. Vectorised by the compiler, in the
//! fixed order that [`kernel`](crate::kernel) explains.

use pulp::{Arch, Simd, WithSimd};

/// Runs `$body` compiled for the machine's widest vectors. A closure would do, were it inlined.
macro_rules! vectorised {
    ($(#[$meta:meta])* fn $name:ident $op:ident ($($arg:ident: $type:ty),*) -> $out:ty $body:block) => {
        struct $op<'a> { $($arg: $type),* }

        impl<'a> WithSimd for $op<'a> {
            type Output = $out;

            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> $out {
                let Self { $($arg),* } = self;
                $body
            }
        }

        $(#[$meta])*
        pub(crate) fn $name<'a>($($arg: $type),*) -> $out {
            Arch::new().dispatch($op { $($arg),* })
        }
    };
}

/// Independent sums of the element-wise functions: element i goes to sum i mod 16.
const SUMS: usize = 16;

/// Adds 16 sums pairwise, always in the same order.
#[inline(always)]
fn fold(mut sums: [f32; SUMS]) -> f32 {
    let mut half = SUMS / 2;
    while half > 0 {
        let (low, high) = sums.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high.iter()) {
            *low += *high;
        }
        half /= 2;
    }
    sums[0]
}

vectorised! {
    /// `out = x / √(mean(x²) + epsilon) · weight`.
    fn normalise Normalise(x: &'a [f32], weight: &'a [f32], epsilon: f32, out: &'a mut [f32]) -> () {
        let mut sums = [0.0; SUMS];
        let (chunks, rest) = x.as_chunks::<SUMS>();
        for chunk in chunks {
            for (sum, x) in sums.iter_mut().zip(chunk) {
                *sum = x.mul_add(*x, *sum);
            }
        }
        for (sum, x) in sums.iter_mut().zip(rest) {
            *sum = x.mul_add(*x, *sum);
        }
        let scale = 1.0 / (fold(sums) / length(x) + epsilon).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }
}

vectorised! {
    /// `gate = silu(gate) · up`, where `silu(x) = x / (1 + e⁻ˣ)`.
    fn gate Gate(gate: &'a mut [f32], up: &'a [f32]) -> () {
        for (gate, up) in gate.iter_mut().zip(up) {
            *gate = *gate / (1.0 + exp(-*gate)) * up;
        }
    }
}

vectorised! {
    /// The gradients of [`gate`]: `change` is that of `silu(gate) · up` and becomes that of `gate`, `up` becomes its own.
    fn gate_back GateBack(gate: &'a [f32], up: &'a mut [f32], change: &'a mut [f32]) -> () {
        for ((gate, up), change) in gate.iter().zip(up).zip(change) {
            let open = 1.0 / (1.0 + exp(-*gate));
            let by_gate = *change * *up * open * (1.0 + gate * (1.0 - open));
            *up = *change * gate * open;
            *change = by_gate;
        }
    }
}

vectorised! {
    /// `scores = e^scores / Σ e^scores`.
    fn softmax Softmax(scores: &'a mut [f32]) -> () {
        let sum = exponentials(scores, 1.0);
        for score in scores {
            *score /= sum;
        }
    }
}

vectorised! {
    /// `x += y`.
    fn add Add(x: &'a mut [f32], y: &'a [f32]) -> () {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }
}

/// Turns scores into `e^(scale·(score − max))` and returns the sum.
#[inline(always)]
pub(crate) fn exponentials(scores: &mut [f32], scale: f32) -> f32 {
    let max = maximum(scores);
    let mut sums = [0.0; SUMS];
    let (chunks, rest) = scores.as_chunks_mut::<SUMS>();
    for chunk in chunks {
        for (sum, score) in sums.iter_mut().zip(chunk) {
            *score = exp(scale * (*score - max));
            *sum += *score;
        }
    }
    for (sum, score) in sums.iter_mut().zip(rest) {
        *score = exp(scale * (*score - max));
        *sum += *score;
    }
    fold(sums)
}

/// The largest value. A maximum does not round, so its order is free.
#[inline(always)]
fn maximum(values: &[f32]) -> f32 {
    let mut best = [f32::NEG_INFINITY; SUMS];
    let (chunks, rest) = values.as_chunks::<SUMS>();
    for chunk in chunks {
        for (best, value) in best.iter_mut().zip(chunk) {
            *best = best.max(*value);
        }
    }
    for (best, value) in best.iter_mut().zip(rest) {
        *best = best.max(*value);
    }
    best.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

vectorised! {
    /// `Σ e^(logit − max)` in f64, and the maximum.
    fn sum_exp SumExp(logits: &'a [f32]) -> (f64, f32) {
        let max = maximum(logits);
        let mut sums = [0.0_f64; SUMS];
        let (chunks, rest) = logits.as_chunks::<SUMS>();
        for chunk in chunks {
            for (sum, logit) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(exp(logit - max));
            }
        }
        for (sum, logit) in sums.iter_mut().zip(rest) {
            *sum += f64::from(exp(logit - max));
        }
        (sums.into_iter().sum(), max)
    }
}

/// `ln Σ e^logit`; its error is that of [`exp`], about 1e-7.
pub(crate) fn log_sum_exp(logits: &[f32]) -> f64 {
    let (sum, max) = sum_exp(logits);
    f64::from(max) + libm::log(sum)
}

/// eˣ to within 2 units in the last place; below x = −87 it stays at e⁻⁸⁷, above 88 at e⁸⁸.
///
/// Ours, because the platform's differs between platforms and does not vectorise. x = n·ln 2 + r
/// with |r| ≤ ½ ln 2; eʳ by its Taylor polynomial of degree 7, whose remainder is below 6e-9.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding 1.5·2²³ leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, so that n·LN2_HIGH is exact for |n| < 2^9.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;

    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut power = 1.0 / 5040.0;
    for coefficient in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        power = r.mul_add(power, coefficient);
    }
    // Times 2ⁿ: n is added to the exponent's bits.
    f32::from_bits(power.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// The length as an f32; rows are shorter than 2²⁴, where that is exact.
#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "rows are shorter than 2^24")]
fn length(x: &[f32]) -> f32 {
    x.len() as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::values;

    #[test]
    fn exp_is_within_two_units_of_the_f64_function() {
        let mut worst = 0.0_f64;
        // Every 1024th float from −87 to −1e-6 and from 1e-6 to 88.
        for (from, to) in [(1e-6_f32, 88.0_f32), (-1e-6, -87.0)] {
            for bits in (from.to_bits()..to.to_bits()).step_by(1024) {
                let x = f32::from_bits(bits);
                let want = f64::from(x).exp();
                worst = worst.max((f64::from(exp(x)) - want).abs() / want);
            }
        }
        // Half a unit in the last place is at most 2^-24 of the value.
        assert!(worst < 2.0 * 2.0 * 2.0_f64.powi(-24), "{worst:e}");
        assert_eq!(exp(0.0).to_bits(), 1.0_f32.to_bits());
        assert_eq!(exp(f32::NEG_INFINITY).to_bits(), exp(-87.0).to_bits());
        assert_eq!(exp(f32::INFINITY).to_bits(), exp(88.0).to_bits());
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn normalise_and_gate_match_their_formulas() {
        let x = values(77, 3);
        let weight = values(77, 9);
        let mut out = vec![0.0; 77];
        normalise(&x, &weight, 1e-5, &mut out);
        let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 77.0;
        for ((out, x), weight) in out.iter().zip(&x).zip(&weight) {
            let want = f64::from(*x) / (mean + 1e-5).sqrt() * f64::from(*weight);
            assert!((f64::from(*out) - want).abs() < 1e-6);
        }
        let mut gated = x.clone();
        gate(&mut gated, &weight);
        for ((gated, x), up) in gated.iter().zip(&x).zip(&weight) {
            let want = f64::from(*x) / (1.0 + (-f64::from(*x)).exp()) * f64::from(*up);
            assert!((f64::from(*gated) - want).abs() < 1e-6);
        }
    }

    proptest! {
        #[test]
        fn log_sum_exp_matches_f64(logits in prop::collection::vec(-60.0_f32..60.0, 1..200)) {
            let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = logits.iter().map(|l| (f64::from(*l) - f64::from(max)).exp()).sum();
            let want = f64::from(max) + sum.ln();
            prop_assert!((log_sum_exp(&logits) - want).abs() < 1e-6);
        }
    }
}

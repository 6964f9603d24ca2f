//! Sums of many whole numbers by fast Fourier transforms: the correlation of counts with bits, and the law of a sum of equal laws.
//!
//! A transform of length N in double precision is off by at most about `4 log₂N ε` of its norm (Higham, Accuracy and Stability of Numerical
//! Algorithms, theorem 24.2). Counts come back by rounding, and tilted laws are wanted near their peak only, so neither is harmed.

use libm::{cos, exp, log, sin};
use taggant_core::simd::vectorise;
use taggant_detector::stats::PValue;

/// Complex numbers, real and imaginary parts apart.
struct Signal {
    re: Vec<f64>,
    im: Vec<f64>,
}

/// Twiddle factors of all stages: `e^{-πij/h}` at `h + j` for each half length `h` and `j < h`.
struct Plan {
    re: Vec<f64>,
    im: Vec<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "lengths are below 2^23")]
fn real(count: usize) -> f64 {
    count as f64
}

impl Plan {
    /// Of a power of two.
    fn new(length: usize) -> Self {
        let (mut re, mut im) = (vec![1.0; length.max(2)], vec![0.0; length.max(2)]);
        let top = length / 2;
        // The finest stage from fewer angles: a coarse one and the rest.
        const FINE: usize = 64;
        let angle = |j: usize| std::f64::consts::PI * real(j) / real(top);
        let turn = |j: usize| (cos(angle(j)), -sin(angle(j)));
        let fine: Vec<(f64, f64)> = (0..FINE.min(top)).map(turn).collect();
        for start in (0..top).step_by(FINE) {
            let (cr, ci) = turn(start);
            for ((&(fr, fi), re), im) in fine
                .iter()
                .zip(&mut re[top + start..])
                .zip(&mut im[top + start..])
            {
                (*re, *im) = (cr * fr - ci * fi, cr * fi + ci * fr);
            }
        }
        // The coarser stages are every second factor of the finer.
        for at in (1..top).rev() {
            let half = 1 << at.ilog2();
            re[at] = re[2 * half + 2 * (at - half)];
            im[at] = im[2 * half + 2 * (at - half)];
        }
        Self { re, im }
    }

    /// The transform, in the order of reversed bits.
    fn forward(&self, signal: &mut Signal) {
        let (plan_re, plan_im, re, im) = (
            &self.re[..],
            &self.im[..],
            &mut signal.re[..],
            &mut signal.im[..],
        );
        vectorise(
            #[inline(always)]
            move || {
                let mut half = re.len() / 2;
                while half > 0 {
                    let (wr, wi) = (&plan_re[half..2 * half], &plan_im[half..2 * half]);
                    for (re, im) in re
                        .chunks_exact_mut(2 * half)
                        .zip(im.chunks_exact_mut(2 * half))
                    {
                        let ((ar, br), (ai, bi)) = (re.split_at_mut(half), im.split_at_mut(half));
                        for (((((ar, ai), br), bi), wr), wi) in
                            ar.iter_mut().zip(ai).zip(br).zip(bi).zip(wr).zip(wi)
                        {
                            let (dr, di) = (*ar - *br, *ai - *bi);
                            *ar += *br;
                            *ai += *bi;
                            *br = dr * wr - di * wi;
                            *bi = dr * wi + di * wr;
                        }
                    }
                    half /= 2;
                }
            },
        );
    }

    /// The inverse of [`forward`](Self::forward), times the length.
    fn inverse(&self, signal: &mut Signal) {
        let (plan_re, plan_im, re, im) = (
            &self.re[..],
            &self.im[..],
            &mut signal.re[..],
            &mut signal.im[..],
        );
        vectorise(
            #[inline(always)]
            move || {
                let mut half = 1;
                while half < re.len() {
                    let (wr, wi) = (&plan_re[half..2 * half], &plan_im[half..2 * half]);
                    for (re, im) in re
                        .chunks_exact_mut(2 * half)
                        .zip(im.chunks_exact_mut(2 * half))
                    {
                        let ((ar, br), (ai, bi)) = (re.split_at_mut(half), im.split_at_mut(half));
                        for (((((ar, ai), br), bi), wr), wi) in
                            ar.iter_mut().zip(ai).zip(br).zip(bi).zip(wr).zip(wi)
                        {
                            let (tr, ti) = (*br * wr + *bi * wi, *bi * wr - *br * wi);
                            (*br, *bi) = (*ar - tr, *ai - ti);
                            *ar += tr;
                            *ai += ti;
                        }
                    }
                    half *= 2;
                }
            },
        );
    }
}

/// `Σ_x counts[x] bits[(x + k) mod S]` for every `k` below `S`, a power of two: exact while the counts sum to less than 2^40.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded, and a sum of u32 counts"
)]
pub(crate) fn correlate(counts: &[u32], bits: &[u8]) -> Vec<u64> {
    let plan = Plan::new(bits.len());
    // Less one half, so that the norm is small; what that takes off is the same for every k.
    let mut table = Signal {
        re: bits.iter().map(|&bit| f64::from(bit) - 0.5).collect(),
        im: vec![0.0; bits.len()],
    };
    let mut signal = Signal {
        re: counts.iter().map(|&count| f64::from(count)).collect(),
        im: vec![0.0; bits.len()],
    };
    plan.forward(&mut table);
    plan.forward(&mut signal);
    for index in 0..bits.len() {
        let (cr, ci, tr, ti) = (
            signal.re[index],
            -signal.im[index],
            table.re[index],
            table.im[index],
        );
        signal.re[index] = cr * tr - ci * ti;
        signal.im[index] = cr * ti + ci * tr;
    }
    plan.inverse(&mut signal);
    let half: f64 = 0.5 * counts.iter().map(|&count| f64::from(count)).sum::<f64>();
    let scale = 1.0 / real(bits.len());
    signal
        .re
        .iter()
        .map(|value| (value * scale + half).round() as u64)
        .collect()
}

/// An empirical law on whole numbers, from its least value up.
#[derive(Debug)]
pub(crate) struct Empirical {
    least: u64,
    /// Probabilities of `least`, `least + 1`, …; the first and the last are not 0.
    shares: Vec<f64>,
    /// Those that are not 0, with their distance from the least.
    points: Vec<(f64, f64)>,
    mean: f64,
    variance: f64,
}

/// `ln E e^{θ(X − least)}`, its slope and its bend.
#[derive(Clone, Copy)]
struct Tilt {
    k: f64,
    mean: f64,
    variance: f64,
}

impl Empirical {
    /// Longest transform: 2^22, under half a second.
    const LONGEST: usize = 1 << 22;

    /// All values equally likely; there must be one.
    pub(crate) fn of(values: &[u64]) -> Self {
        let least = values.iter().copied().min().unwrap_or(0);
        let most = values.iter().copied().max().unwrap_or(0);
        let mut counts = vec![0_u32; usize::try_from(most - least).unwrap_or(0) + 1];
        for &value in values {
            if let Some(count) = usize::try_from(value - least)
                .ok()
                .and_then(|place| counts.get_mut(place))
            {
                *count += 1;
            }
        }
        let one = 1.0 / real(values.len());
        let shares: Vec<f64> = counts
            .into_iter()
            .map(|count| f64::from(count) * one)
            .collect();
        let points: Vec<(f64, f64)> = shares
            .iter()
            .enumerate()
            .filter(|(_, share)| **share > 0.0)
            .map(|(at, share)| (real(at), *share))
            .collect();
        let mut law = Self {
            least,
            shares,
            points,
            mean: 0.0,
            variance: 0.0,
        };
        let plain = law.tilt(0.0);
        (law.mean, law.variance) = (plain.mean, plain.variance);
        law
    }

    /// The mean.
    #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
    pub(crate) fn mean(&self) -> f64 {
        self.least as f64 + self.mean
    }

    fn reach(&self) -> f64 {
        real(self.shares.len() - 1)
    }

    fn tilt(&self, theta: f64) -> Tilt {
        let top = if theta > 0.0 { self.reach() } else { 0.0 };
        let (mut mass, mut first, mut second) = (0.0, 0.0, 0.0);
        // About the plain mean, so that squares do not cancel.
        let middle = if theta == 0.0 {
            0.5 * self.reach()
        } else {
            self.mean
        };
        for &(value, share) in &self.points {
            let weight = share * exp(theta * (value - top));
            let off = value - middle;
            mass += weight;
            first += weight * off;
            second += weight * off * off;
        }
        let off = first / mass;
        Tilt {
            k: theta * top + log(mass),
            mean: middle + off,
            variance: (second / mass - off * off).max(0.0),
        }
    }

    /// `θ ≥ 0` at which `Σ wᵢ E_θwᵢ X` is `aim`, nearly: Newton's steps inside a bracket. Any θ gives a bound, so nearly is enough.
    fn theta(&self, weights: &[f64], aim: f64, steps: u32) -> f64 {
        let at = |theta: f64| {
            weights.iter().fold((0.0, 0.0), |(mean, variance), weight| {
                let tilt = self.tilt(theta * weight);
                (
                    mean + weight * tilt.mean,
                    variance + weight * weight * tilt.variance,
                )
            })
        };
        let squares: f64 = weights.iter().map(|weight| weight * weight).sum();
        let plain: f64 = weights.iter().sum::<f64>() * self.mean;
        let (mut low, mut high) = (0.0, f64::INFINITY);
        let mut theta = (aim - plain) / (squares * self.variance);
        for _ in 0..steps {
            let (mean, variance) = at(theta);
            if mean < aim {
                low = theta;
            } else {
                high = theta;
            }
            let newton = theta + (aim - mean) / variance;
            let next = if newton > low && newton < high {
                newton
            } else if high.is_finite() {
                0.5 * (low + high)
            } else {
                2.0 * theta
            };
            let near = (next - theta).abs() <= 1e-4 * theta;
            theta = next;
            if near {
                break;
            }
        }
        theta
    }

    /// `P(Σ ≥ observed)` of `copies` independent draws, and whether it is the tail itself or, where a transform would be too long, Chernoff's
    /// bound. Exact as the tails of `taggant-detector` are: the law is tilted until its mean is `observed` (Esscher 1932) and convolved;
    /// relative error below 1e-9.
    pub(crate) fn tail(&self, observed: u64, copies: u32) -> (PValue, bool) {
        let Some(above) = observed
            .checked_sub(u64::from(copies) * self.least)
            .filter(|&above| above > 0)
        else {
            return (PValue::ONE, true);
        };
        let most = u64::from(copies) * (self.shares.len() as u64 - 1);
        if above > most {
            return (PValue::from_ln(f64::NEG_INFINITY), true);
        }
        let count = f64::from(copies);
        if above == most {
            return (
                PValue::from_ln(count * self.shares.last().map_or(0.0, |&share| log(share))),
                true,
            );
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
        let aim = above as f64;
        let theta = if aim > count * self.mean {
            self.theta(&[1.0], aim / count, 60)
        } else {
            0.0
        };
        let tilt = self.tilt(theta);
        let bound = count * tilt.k - theta * aim;
        let (Ok(states), Ok(start)) = (usize::try_from(most + 1), usize::try_from(above)) else {
            return (PValue::from_ln(bound), false);
        };
        let length = states.next_power_of_two();
        if length > Self::LONGEST {
            return (PValue::from_ln(bound), false);
        }
        let plan = Plan::new(length);
        let mut signal = Signal {
            re: vec![0.0; length],
            im: vec![0.0; length],
        };
        for (place, (out, share)) in signal.re.iter_mut().zip(&self.shares).enumerate() {
            *out = share * exp(theta * real(place) - tilt.k);
        }
        plan.forward(&mut signal);
        for (re, im) in signal.re.iter_mut().zip(&mut signal.im) {
            (*re, *im) = power((*re, *im), copies);
        }
        plan.inverse(&mut signal);
        let fall = exp(-theta);
        let sum = signal.re[start..states]
            .iter()
            .rev()
            .fold(0.0, |rest, mass| rest * fall + mass.max(0.0));
        (
            PValue::from_ln((bound + log(sum / real(length))).min(0.0)),
            true,
        )
    }

    /// Chernoff's bound of `P(Σ wᵢXᵢ ≥ observed)` for independent draws with positive weights.
    #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
    pub(crate) fn weighted_bound(&self, observed: f64, weights: &[f64]) -> PValue {
        let aim = observed - weights.iter().sum::<f64>() * self.least as f64;
        if aim <= weights.iter().sum::<f64>() * self.mean {
            return PValue::ONE;
        }
        let theta = self.theta(weights, aim, 8);
        let k: f64 = weights
            .iter()
            .map(|weight| self.tilt(theta * weight).k)
            .sum();
        PValue::from_ln((k - theta * aim).min(0.0))
    }

    /// Standard deviation.
    #[cfg(test)]
    pub(crate) fn deviation(&self) -> f64 {
        libm::sqrt(self.variance)
    }
}

/// `z^n` by repeated squaring.
fn power(mut z: (f64, f64), mut n: u32) -> (f64, f64) {
    let times = |a: (f64, f64), b: (f64, f64)| (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0);
    let mut out = (1.0, 0.0);
    while n > 0 {
        if n & 1 == 1 {
            out = times(out, z);
        }
        z = times(z, z);
        n >>= 1;
    }
    out
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "small counts"
)]
mod tests {
    use super::*;
    use taggant_detector::stats::{Law, WeightedSum, lattice_tail};

    /// SplitMix64.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    #[test]
    fn correlations_are_those_of_the_loop() {
        let mut state = 1;
        for size in [2_usize, 8, 256, 2048] {
            let bits: Vec<u8> = (0..size).map(|_| (random(&mut state) & 1) as u8).collect();
            let counts: Vec<u32> = (0..size)
                .map(|_| (random(&mut state) % 1_000_003) as u32)
                .collect();
            let found = correlate(&counts, &bits);
            for (k, found) in found.into_iter().enumerate() {
                let slow: u64 = (0..size)
                    .map(|x| u64::from(counts[x]) * u64::from(bits[(x + k) % size]))
                    .sum();
                assert_eq!(found, slow, "{size} {k}");
            }
        }
    }

    #[test]
    fn tails_are_those_of_direct_convolution() {
        let mut state = 2;
        let values: Vec<u64> = (0..400)
            .map(|_| 40 + (random(&mut state) & random(&mut state)).count_ones() as u64)
            .collect();
        let law = Empirical::of(&values);
        let list: Vec<u32> = values.iter().map(|&value| value as u32).collect();
        for copies in [1_u32, 2, 7, 30] {
            let lists = vec![list.clone(); copies as usize];
            let (least, most) = (
                law.least * u64::from(copies),
                u64::from(copies) * *values.iter().max().unwrap(),
            );
            for step in 0..=40 {
                let observed = least + (most - least) * step / 40;
                let (found, exact) = law.tail(observed, copies);
                let truth = lattice_tail(observed, &lists);
                assert!(
                    exact && (found.ln() - truth.ln()).abs() < 1e-9,
                    "{copies} {observed}: {found:?} {truth:?}"
                );
            }
            assert!(law.tail(most + 1, copies).0.ln() < -1e300);
        }
        // The bound is a bound, and as good as the general one.
        let weights = crate::peer::weights(30);
        let mut sum = WeightedSum::default();
        for weight in &weights {
            sum.add(
                &Law::Uniform(values.iter().map(|&value| value as f64).collect()),
                *weight,
                1,
            );
        }
        for z in [-1.0, 0.5, 3.0, 8.0, 15.0] {
            let observed = sum.mean() + z * sum.deviation();
            let (found, truth) = (
                law.weighted_bound(observed, &weights).ln(),
                sum.chernoff(observed).ln(),
            );
            assert!(
                found >= truth - 1e-9 && found - truth < 1e-4,
                "{z}: {found} {truth}"
            );
        }
        assert!(law.deviation() > 0.0);
    }
}

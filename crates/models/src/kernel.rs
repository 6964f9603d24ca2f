//! The product of weights and activations, vectorised.
//!
//! Every sum is taken in one fixed order, whatever the machine's vector width, the number of
//! rows or the number of threads: a vector lane belongs to one output and adds its terms one by
//! one with fused multiply-adds, which IEEE 754 rounds alike everywhere. That is what makes a
//! row's logits equal to the last bit in any batch and on any machine. It holds for
//! [`pointwise`](crate::pointwise) too: no reassociation, no horizontal sums whose shape depends
//! on the vector width, no platform `exp`.

use pulp::{Simd, WithSimd};

/// Outputs that one step of the kernel serves.
///
/// 32 is two AVX-512 registers; with [`TILE`] rows that is 24 accumulators, enough to hide the
/// latency of the multiply-add and few enough for the 32 registers.
pub(crate) const LANES: usize = 32;

/// Inputs whose products are summed before they join the total. 128 · 32 unpacked weights are
/// 16 KiB, half of a first-level cache.
pub(crate) const CHUNK: usize = 128;

/// Most rows that one call of [`accumulate`] serves.
pub(crate) const TILE: usize = 12;

/// One value for each of 32 outputs. Aligned so that no vector load crosses a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [f32; LANES]);

impl Lanes {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
}

/// One word of packed codes for each of 32 outputs.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Words(pub(crate) [u32; LANES]);

impl Words {
    pub(crate) const ZERO: Self = Self([0; LANES]);
}

/// What turns the codes of a group of inputs into weights: `code · scale + min`, for 32 outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Map {
    pub(crate) scale: Lanes,
    pub(crate) min: Lanes,
}

impl Map {
    pub(crate) const ZERO: Self = Self {
        scale: Lanes::ZERO,
        min: Lanes::ZERO,
    };
}

/// The registers that turn codes of `BITS` bits into floats.
struct Codes<S: Simd, const BITS: u32> {
    simd: S,
    mask: S::u32s,
    by: S::u32s,
    /// 2²³, whose bits put above a code make the float 2²³ + code.
    magic: S::f32s,
}

impl<S: Simd, const BITS: u32> Codes<S, BITS> {
    const PER_WORD: usize = 32 / BITS as usize;

    #[inline(always)]
    fn new(simd: S) -> Self {
        Self {
            simd,
            mask: simd.splat_u32s((1 << BITS) - 1),
            by: simd.splat_u32s(BITS),
            magic: simd.splat_f32s(8_388_608.0),
        }
    }

    /// Takes the lowest code out of every word.
    #[inline(always)]
    fn take(&self, words: &mut S::u32s) -> S::f32s {
        let simd = self.simd;
        let code = simd.and_u32s(*words, self.mask);
        let bits = simd.or_u32s(code, simd.transmute_u32s_f32s(self.magic));
        *words = simd.wrapping_dyn_shr_u32s(*words, self.by);
        simd.sub_f32s(simd.transmute_f32s_u32s(bits), self.magic)
    }
}

/// Unpacks the codes of one group of inputs, the first one lowest in its word.
#[inline(always)]
pub(crate) fn unpack<S: Simd, const BITS: u32>(
    simd: S,
    words: &[Words],
    map: &Map,
    out: &mut [Lanes],
) {
    let codes = Codes::<S, BITS>::new(simd);
    for vector in 0..LANES / S::F32_LANES {
        let scale = S::as_simd_f32s(&map.scale.0).0[vector];
        let min = S::as_simd_f32s(&map.min.0).0[vector];
        for (words, out) in words
            .iter()
            .zip(out.chunks_exact_mut(Codes::<S, BITS>::PER_WORD))
        {
            let mut words = S::as_simd_u32s(&words.0).0[vector];
            for out in out {
                let code = codes.take(&mut words);
                S::as_mut_simd_f32s(&mut out.0).0[vector] = simd.mul_add_f32s(code, scale, min);
            }
        }
    }
}

/// Continues the sum of `w[i] · x[i]` in `y` with one group of inputs, for a single row: the same
/// operations as [`unpack`] and the inside of [`accumulate`], without the way through memory.
#[inline(always)]
pub(crate) fn continue_sum<S: Simd, const BITS: u32>(
    simd: S,
    words: &[Words],
    map: &Map,
    x: &[f32],
    y: &mut Lanes,
) {
    let codes = Codes::<S, BITS>::new(simd);
    for vector in 0..LANES / S::F32_LANES {
        let scale = S::as_simd_f32s(&map.scale.0).0[vector];
        let min = S::as_simd_f32s(&map.min.0).0[vector];
        let y = &mut S::as_mut_simd_f32s(&mut y.0).0[vector];
        let mut sum = *y;
        for (words, x) in words.iter().zip(x.chunks_exact(Codes::<S, BITS>::PER_WORD)) {
            let mut words = S::as_simd_u32s(&words.0).0[vector];
            for x in x {
                let w = simd.mul_add_f32s(codes.take(&mut words), scale, min);
                sum = simd.mul_add_f32s(w, simd.splat_f32s(*x), sum);
            }
        }
        *y = sum;
    }
}

/// `y[r] += Σᵢ w[i] · x[i·R + r]` for the R = `y.len()` rows of one tile: the sum in order of i,
/// starting from zero, is added to `y` as a whole. Called for each [`CHUNK`] of inputs, it rounds
/// a long sum far less than one running total would.
#[inline(always)]
pub(crate) fn accumulate<S: Simd>(simd: S, w: &[Lanes], x: &[f32], y: &mut [Lanes]) {
    match y.len() {
        1 => rows::<S, 1>(simd, w, x, y),
        2 => rows::<S, 2>(simd, w, x, y),
        3 => rows::<S, 3>(simd, w, x, y),
        4 => rows::<S, 4>(simd, w, x, y),
        5 => rows::<S, 5>(simd, w, x, y),
        6 => rows::<S, 6>(simd, w, x, y),
        7 => rows::<S, 7>(simd, w, x, y),
        8 => rows::<S, 8>(simd, w, x, y),
        9 => rows::<S, 9>(simd, w, x, y),
        10 => rows::<S, 10>(simd, w, x, y),
        11 => rows::<S, 11>(simd, w, x, y),
        12 => rows::<S, 12>(simd, w, x, y),
        rows => debug_assert!(rows == 0, "a tile holds at most {TILE} rows"),
    }
}

#[inline(always)]
fn rows<S: Simd, const R: usize>(simd: S, w: &[Lanes], x: &[f32], y: &mut [Lanes]) {
    simd.vectorize(Rows::<R> { w, x, y });
}

/// [`accumulate`] for a number of rows the compiler knows. Compiled once for each instruction
/// set rather than inlined where it is used.
struct Rows<'a, const R: usize> {
    w: &'a [Lanes],
    x: &'a [f32],
    y: &'a mut [Lanes],
}

impl<const R: usize> WithSimd for Rows<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Some(y) = self.y.first_chunk_mut::<R>() else {
            return;
        };
        let (x, _) = self.x.as_chunks::<R>();
        // Two vectors for each row where there are registers for it.
        let vectors = LANES / S::F32_LANES;
        if S::REGISTER_COUNT >= 32 && vectors.is_multiple_of(2) {
            for group in 0..vectors / 2 {
                columns::<S, 2, R>(simd, group, self.w, x, y);
            }
        } else {
            for group in 0..vectors {
                columns::<S, 1, R>(simd, group, self.w, x, y);
            }
        }
    }
}

/// The `group`-th G vectors of the lanes, for R rows: G·R accumulators, all in registers.
#[inline(always)]
fn columns<S: Simd, const G: usize, const R: usize>(
    simd: S,
    group: usize,
    w: &[Lanes],
    x: &[[f32; R]],
    y: &mut [Lanes; R],
) {
    let mut sums = [[simd.splat_f32s(0.0); G]; R];
    for (w, x) in w.iter().zip(x) {
        let w = &S::as_simd_f32s(&w.0).0.as_chunks::<G>().0[group];
        for (sums, &x) in sums.iter_mut().zip(x) {
            let x = simd.splat_f32s(x);
            for (sum, &w) in sums.iter_mut().zip(w) {
                *sum = simd.mul_add_f32s(w, x, *sum);
            }
        }
    }
    for (sums, y) in sums.iter().zip(y.iter_mut()) {
        let y = &mut S::as_mut_simd_f32s(&mut y.0).0.as_chunks_mut::<G>().0[group];
        for (y, &sum) in y.iter_mut().zip(sums) {
            *y = simd.add_f32s(*y, sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use pulp::Arch;

    use super::*;
    use crate::testing::values;

    /// The same sum in the same order, one multiplication at a time.
    fn plain(w: &[Lanes], x: &[f32], y: &mut [Lanes]) {
        let rows = y.len();
        for (r, y) in y.iter_mut().enumerate() {
            for (l, y) in y.0.iter_mut().enumerate() {
                let terms = w.iter().zip(x.chunks_exact(rows));
                *y += terms.fold(0.0, |sum: f32, (w, x)| w.0[l].mul_add(x[r], sum));
            }
        }
    }

    struct Accumulate<'a>(&'a [Lanes], &'a [f32], &'a mut [Lanes]);

    impl WithSimd for Accumulate<'_> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            accumulate(simd, self.0, self.1, self.2);
        }
    }

    /// The machine's widest vectors, no vectors and the plain loop give the same bits.
    #[test]
    fn a_product_is_the_same_on_every_instruction_set() {
        for rows in 1..=TILE {
            let steps = 37;
            let w = values(steps * LANES, 1);
            let w: Vec<Lanes> = w.as_chunks().0.iter().copied().map(Lanes).collect();
            let x = values(steps * rows, 2);
            let mut want = vec![Lanes([0.25; LANES]); rows];
            let (mut best, mut scalar) = (want.clone(), want.clone());
            plain(&w, &x, &mut want);
            Arch::new().dispatch(Accumulate(&w, &x, &mut best));
            Accumulate(&w, &x, &mut scalar).with_simd(pulp::Scalar);
            for (row, want) in want.iter().enumerate() {
                assert_eq!(want.0.map(f32::to_bits), best[row].0.map(f32::to_bits));
                assert_eq!(want.0.map(f32::to_bits), scalar[row].0.map(f32::to_bits));
            }
        }
    }
}

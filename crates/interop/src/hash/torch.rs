//! torch's CPU generator (read in torch 2.13): MT19937 (Matsumoto, Nishimura 1998) seeded with the low 32 bits of the seed, and what
//! `rand`, `randint` and `randperm` make of its outputs.

use taggant_core::simd::vectorise;

/// Words of the state.
const N: usize = 624;
/// The word that a word is mixed with, so many places on.
const M: usize = 397;

/// The state from which the first outputs are twisted.
fn seeded(seed: u32) -> [u32; N] {
    let mut state = [0; N];
    let mut word = seed;
    for (place, slot) in (0_u32..).zip(&mut state) {
        if place > 0 {
            word = (word ^ word >> 30)
                .wrapping_mul(1_812_433_253)
                .wrapping_add(place);
        }
        *slot = word;
    }
    state
}

#[inline(always)]
fn mixed(word: u32, next: u32, far: u32) -> u32 {
    far ^ (word & 0x8000_0000 | next & 0x7FFF_FFFF) >> 1 ^ 0x9908_B0DF & (next & 1).wrapping_neg()
}

#[inline(always)]
fn tempered(mut word: u32) -> u32 {
    word ^= word >> 11;
    word ^= word << 7 & 0x9D2C_5680;
    word ^= word << 15 & 0xEFC6_0000;
    word ^ word >> 18
}

/// The next state, in three runs of which each reads of the new words only what the runs before it wrote: each is a plain loop over arrays.
#[inline(always)]
fn twist(old: &[u32; N], new: &mut [u32; N]) {
    #[inline(always)]
    fn run(words: &[u32], nexts: &[u32], fars: &[u32], out: &mut [u32]) {
        for (((out, &word), &next), &far) in out.iter_mut().zip(words).zip(nexts).zip(fars) {
            *out = mixed(word, next, far);
        }
    }
    const FIRST: usize = N - M;
    run(&old[..FIRST], &old[1..], &old[M..], &mut new[..FIRST]);
    let (done, rest) = new.split_at_mut(FIRST);
    run(
        &old[FIRST..2 * FIRST],
        &old[FIRST + 1..],
        done,
        &mut rest[..FIRST],
    );
    let (done, rest) = new.split_at_mut(2 * FIRST);
    run(
        &old[2 * FIRST..N - 1],
        &old[2 * FIRST + 1..],
        &done[FIRST..],
        &mut rest[..N - 1 - 2 * FIRST],
    );
    new[N - 1] = mixed(old[N - 1], new[0], new[M - 1]);
}

/// A generator: successive 32-bit outputs.
pub(crate) struct Twister {
    state: [u32; N],
    next: usize,
}

impl Twister {
    pub(crate) fn new(seed: u32) -> Self {
        Self {
            state: seeded(seed),
            next: N,
        }
    }

    fn advance(&mut self) {
        let old = self.state;
        let new = &mut self.state;
        vectorise(
            #[inline(always)]
            || twist(&old, new),
        );
        self.next = 0;
    }
}

impl Iterator for Twister {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.next == N {
            self.advance();
        }
        let word = self.state[self.next];
        self.next += 1;
        Some(tempered(word))
    }
}

/// `rand(n)[index]` times 2^24. Only the words of the last state are tempered, and of those one.
pub(crate) fn rand_at(seed: u32, index: u32) -> u32 {
    let (mut state, mut spare) = (seeded(seed), [0; N]);
    let index = index as usize;
    vectorise(
        #[inline(always)]
        || {
            for _ in 0..=index / N {
                twist(&state, &mut spare);
                std::mem::swap(&mut state, &mut spare);
            }
        },
    );
    tempered(state[index % N]) & 0x00FF_FFFF
}

/// `randint(0, 2, (n,))`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "torch reads the low half of a seed; one bit"
)]
pub(crate) fn bits(seed: u64, n: usize) -> Vec<u8> {
    Twister::new(seed as u32)
        .take(n)
        .map(|word| (word & 1) as u8)
        .collect()
}

/// `randperm(n)`, for n below 2^32 / 20, from where on torch draws otherwise.
pub(crate) fn randperm(seed: u32, n: u32) -> Vec<u32> {
    let mut permutation: Vec<u32> = (0..n).collect();
    for (place, word) in (0..n.saturating_sub(1)).zip(Twister::new(seed)) {
        let other = place + word % (n - place);
        permutation.swap(place as usize, other as usize);
    }
    permutation
}

/// Which tokens are among the first entries of `randperm(size)`, for one size and number of entries and any seed.
///
/// The permutation is never written out. Step i of the shuffle swaps entry i with entry i + zᵢ and settles it; until then a token moves
/// only when the step is at its own place. So one token is followed through the swaps' targets, and steps after the last entry asked for
/// do not matter.
pub(crate) struct Shuffle {
    size: u32,
    first: usize,
    /// Just below 2 / (size − i), for steps i, while the divisor is at least [`LEAST`]; else empty.
    reciprocals: Vec<f32>,
}

/// The least divisor for which [`target`] is exact.
const LEAST: u32 = 2048;

impl Shuffle {
    pub(crate) fn new(size: u32, first: u32) -> Self {
        let steps = first.min(size.saturating_sub(1));
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounded, within the error that `target` allows for"
        )]
        let reciprocal = |step| (2.0 / f64::from(size - step) * (1.0 - f64::powi(0.5, 22))) as f32;
        let reciprocals = if size - steps >= LEAST {
            (0..steps).map(reciprocal).collect()
        } else {
            Vec::new()
        };
        Self {
            size,
            first: steps as usize,
            reciprocals,
        }
    }

    /// For the questions under one seed after another.
    pub(crate) fn questions(&self) -> Questions<'_> {
        Questions {
            shuffle: self,
            seed: None,
            state: [0; N],
            targets: vec![0; self.first],
            known: 0,
        }
    }
}

/// `step + word % divisor` without a division, which vector units lack.
///
/// With x = word / divisor, `estimate` is at most x: the reciprocal is 2^-22 too small, and its own rounding, that of the word and that of
/// the product are 2^-24 each. It is above x − 1: all four and the word's lost bit take less than (7 · 2^-24 · 2^32 + 1) / divisor ≤ 1793 / 2048.
/// Adding 2^23 − ½ rounds it to ⌊x⌋ or ⌊x⌋ − 1 in the lowest bits, so at most one divisor is left to take off, which wraps, and loses, if
/// there is none.
#[inline(always)]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "rounded, as reckoned with; below 2^31"
)]
fn target(word: u32, divisor: u32, reciprocal: f32, step: u32) -> u32 {
    let estimate = (word >> 1) as i32 as f32 * reciprocal;
    let quotient = (estimate + 8_388_607.5).to_bits().wrapping_sub(0x4B00_0000);
    let rest = word.wrapping_sub(quotient.wrapping_mul(divisor));
    step.wrapping_add(rest.min(rest.wrapping_sub(divisor)))
}

/// The swaps' targets under one seed, as far as a question needed them.
pub(crate) struct Questions<'a> {
    shuffle: &'a Shuffle,
    seed: Option<u32>,
    state: [u32; N],
    targets: Vec<u32>,
    known: usize,
}

impl Questions<'_> {
    /// Whether `token` is among the first entries under `seed`.
    pub(crate) fn among_first(&mut self, seed: u32, token: u32) -> bool {
        if self.seed != Some(seed) {
            self.seed = Some(seed);
            self.state = seeded(seed);
            self.known = 0;
        }
        let first = self.shuffle.first;
        let (mut place, mut step) = (token, 0);
        while step < first {
            if step == self.known {
                self.extend();
            }
            // Steps up to the token's own place, but one block at a time: a hit ends the work early.
            let end = self
                .known
                .min(step.next_multiple_of(N).max(step + 1))
                .min(place as usize + 1);
            if let Some(hit) = find(&self.targets[step..end], place) {
                debug_assert!(step + hit <= place as usize);
                return true;
            }
            step = end;
            if step == place as usize + 1 {
                place = self.targets[place as usize];
            }
        }
        false
    }

    /// One more state's worth of targets.
    fn extend(&mut self) {
        let Self {
            shuffle,
            state,
            targets,
            known,
            ..
        } = self;
        let (start, end) = (*known, (*known + N).min(targets.len()));
        *known = end;
        let (old, size) = (*state, shuffle.size);
        let out = &mut targets[start..end];
        let reciprocals = shuffle.reciprocals.get(start..end);
        #[expect(clippy::cast_possible_truncation, reason = "below the size")]
        let start = start as u32;
        vectorise(
            #[inline(always)]
            move || {
                twist(&old, state);
                match reciprocals {
                    Some(reciprocals) => fill(state, reciprocals, start, size, out),
                    None => {
                        for ((step, out), &word) in (start..size).zip(out).zip(&*state) {
                            *out = step + tempered(word) % (size - step);
                        }
                    }
                }
            },
        );
    }
}

/// The targets of the steps from `step` on.
#[inline(always)]
fn fill(words: &[u32; N], reciprocals: &[f32], mut step: u32, size: u32, out: &mut [u32]) {
    for ((out, &word), &reciprocal) in out.iter_mut().zip(words).zip(reciprocals) {
        *out = target(tempered(word), size.wrapping_sub(step), reciprocal, step);
        step = step.wrapping_add(1);
    }
}

/// The first place of `wanted`.
fn find(words: &[u32], wanted: u32) -> Option<usize> {
    vectorise(
        #[inline(always)]
        || {
            for (block, chunk) in words.chunks(128).enumerate() {
                if chunk
                    .iter()
                    .fold(false, |found, &word| found | (word == wanted))
                {
                    return chunk
                        .iter()
                        .position(|&word| word == wanted)
                        .map(|place| 128 * block + place);
                }
            }
            None
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torch 2.13, with `torch.Generator().manual_seed(seed)`.
    #[test]
    fn draws_of_torch_are_met() {
        assert_eq!(
            randperm(42, 50_257)[..6],
            [11_486, 49_380, 17_873, 14_459, 12_097, 4312]
        );
        assert_eq!(randperm(42, 10), [2, 6, 1, 8, 4, 5, 0, 9, 3, 7]);
        assert_eq!(
            [0, 623, 624, 50_256].map(|index| rand_at(42, index)),
            [14_802_022, 3_695_961, 8_217_316, 9_431_153]
        );
        assert_eq!(
            bits(0, 16),
            [0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0]
        );
    }

    #[test]
    fn a_shuffle_knows_the_first_entries_of_the_permutation() {
        for (size, first) in [
            (2, 1),
            (10, 3),
            (3000, 900),
            (3000, 1000),
            (5000, 2500),
            (50_257, 12_564),
            (50_257, 37_693),
        ] {
            let shuffle = Shuffle::new(size, first);
            let mut questions = shuffle.questions();
            for seed in [0, 1, 42, u32::MAX] {
                let mut green = vec![false; size as usize];
                for &token in &randperm(seed, size)[..first as usize] {
                    green[token as usize] = true;
                }
                // Both orders: a question may or may not find the targets known.
                for token in (0..size).step_by(7).chain((0..size).rev().step_by(11)) {
                    assert_eq!(
                        questions.among_first(seed, token),
                        green[token as usize],
                        "{size} {first} {seed} {token}"
                    );
                }
                let other = questions.among_first(seed ^ 1, 0);
                assert_eq!(
                    other,
                    randperm(seed ^ 1, size)[..first as usize].contains(&0)
                );
            }
        }
    }

    #[test]
    fn remainders_are_exact_at_their_edges() {
        for size in [
            LEAST,
            LEAST + 1,
            4099,
            32_000,
            50_257,
            128_256,
            262_144,
            1 << 21,
        ] {
            let shuffle = Shuffle::new(size, (size - LEAST).max(1).min(size / 4).max(1));
            for (step, &reciprocal) in (0..).zip(&shuffle.reciprocals).step_by(97) {
                let divisor = size - step;
                let top = u32::MAX / divisor;
                for quotient in [0, 1, 2, top / 2, top - 1, top] {
                    for near in [-2_i64, -1, 0, 1, 2] {
                        let Ok(word) =
                            u32::try_from(i64::from(quotient) * i64::from(divisor) + near)
                        else {
                            continue;
                        };
                        assert_eq!(
                            target(word, divisor, reciprocal, step),
                            step + word % divisor,
                            "{word} {divisor}"
                        );
                    }
                }
            }
        }
    }
}

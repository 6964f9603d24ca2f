//! numpy's `default_rng(seed)` (read in numpy 2.4): PCG64 (O'Neill 2014, XSL-RR 128/64) behind `SeedSequence`, and how it shuffles.

/// The pool of `SeedSequence(seed)` for a seed of 32 bits, drawn out to four 64-bit words.
fn seeded(seed: u32) -> [u64; 4] {
    let mut constant = 0x43B0_D7E5_u32;
    let mut hashed = |word: u32| {
        let word = word ^ constant;
        constant = constant.wrapping_mul(0x931E_8875);
        let word = word.wrapping_mul(constant);
        word ^ word >> 16
    };
    let mut pool = [seed, 0, 0, 0].map(&mut hashed);
    for from in 0..4 {
        for to in 0..4 {
            if from != to {
                let word = pool[to]
                    .wrapping_mul(0xCA01_F9DD)
                    .wrapping_sub(hashed(pool[from]).wrapping_mul(0x4973_F715));
                pool[to] = word ^ word >> 16;
            }
        }
    }
    let mut constant = 0x8B51_F9DD_u32;
    let mut words = pool.into_iter().cycle().map(|word| {
        let word = word ^ constant;
        constant = constant.wrapping_mul(0x58F3_8DED);
        let word = word.wrapping_mul(constant);
        u64::from(word ^ word >> 16)
    });
    [(); 4].map(|()| words.next().unwrap_or_default() | words.next().unwrap_or_default() << 32)
}

/// The generator.
struct Pcg64 {
    state: u128,
    increment: u128,
    /// The upper half of an output whose lower half was drawn.
    half: Option<u32>,
}

impl Pcg64 {
    fn new(seed: u32) -> Self {
        let [a, b, c, d] = seeded(seed).map(u128::from);
        let increment = (c << 64 | d) << 1 | 1;
        let mut generator = Self {
            state: increment.wrapping_add(a << 64 | b),
            increment,
            half: None,
        };
        generator.step();
        generator
    }

    fn step(&mut self) {
        self.state = self
            .state
            .wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645)
            .wrapping_add(self.increment);
    }

    #[expect(clippy::cast_possible_truncation, reason = "halves")]
    fn next(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        let word = folded.rotate_right((self.state >> 122) as u32);
        self.half = Some((word >> 32) as u32);
        word as u32
    }

    /// A whole number from 0 to `most`: bits under its mask, drawn until they fit.
    fn up_to(&mut self, most: u32) -> u32 {
        let mask = u32::MAX >> most.leading_zeros();
        loop {
            let word = self.next() & mask;
            if word <= most {
                return word;
            }
        }
    }
}

/// `default_rng(seed).shuffle(array)`, for an array of one dimension.
pub(crate) fn shuffle<T>(seed: u32, array: &mut [T]) {
    let mut generator = Pcg64::new(seed);
    let last = u32::try_from(array.len())
        .unwrap_or(u32::MAX)
        .saturating_sub(1);
    for place in (1..=last).rev() {
        array.swap(place as usize, generator.up_to(place) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::shuffle;

    /// numpy 2.4: `default_rng(seed).shuffle(numpy.arange(n))`.
    #[test]
    fn shuffles_of_numpy_are_met() {
        let shuffled = |seed, n: u32| {
            let mut array: Vec<u32> = (0..n).collect();
            shuffle(seed, &mut array);
            array
        };
        assert_eq!(shuffled(0, 10), [4, 6, 2, 7, 3, 5, 9, 0, 8, 1]);
        assert_eq!(shuffled(3_315_749_767, 10), [6, 9, 0, 1, 3, 2, 5, 4, 8, 7]);
        let long = shuffled(7, 100_003);
        assert_eq!(
            [0, 1, 50_000, 100_002].map(|place: usize| long[place]),
            [67_292, 71_763, 64_226, 84_619]
        );
        assert!(shuffled(1, 0).is_empty());
    }
}

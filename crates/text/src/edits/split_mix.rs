//! SplitMix64 (Steele, Lea and Flood, 2014): eight lines, one word of state, the same on every
//! platform.

pub(super) struct SplitMix64(u64);

impl SplitMix64 {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `count`, or 0 if that is 0. The bias is below count / 2^64.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let product = u128::from(self.next()) * count as u128;
        // The product is below count * 2^64.
        usize::try_from(product >> 64).unwrap_or(0)
    }

    /// True with `probability`, to 32 bits.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        f64::from((self.next() >> 32) as u32) < probability * 4_294_967_296.0
    }

    /// `chosen` different numbers below `count`, in random order.
    pub(super) fn choose(&mut self, count: usize, chosen: usize) -> Vec<usize> {
        let mut numbers: Vec<_> = (0..count).collect();
        for at in 0..chosen.min(count) {
            let other = at + self.below(count - at);
            numbers.swap(at, other);
        }
        numbers.truncate(chosen);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs for seed 1234567, as published with the reference implementation and
    /// used by other languages' libraries.
    #[test]
    fn the_stream_is_the_published_one() {
        let mut random = SplitMix64::new(1_234_567);
        let stream = [(); 5].map(|()| random.next());
        assert_eq!(
            stream,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821
            ]
        );
    }

    #[test]
    fn certainty_is_certain() {
        let mut random = SplitMix64::new(1);
        assert!((0..1000).all(|_| random.chance(1.0)));
        assert!(!(0..1000).any(|_| random.chance(0.0)));
    }

    #[test]
    fn chosen_numbers_differ() {
        let mut chosen = SplitMix64::new(2).choose(100, 100);
        chosen.sort_unstable();
        assert!(chosen.into_iter().eq(0..100));
        assert_eq!(SplitMix64::new(2).choose(3, 9).len(), 3);
        assert_eq!(SplitMix64::new(2).below(0), 0);
    }
}

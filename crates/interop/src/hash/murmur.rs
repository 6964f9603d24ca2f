//! MurmurHash3 x86 32-bit over whole words with seed 0: the hash contract that SGLang publishes with its wheel.

/// The state after one more word.
#[inline(always)]
pub(crate) fn mix(state: u32, word: u32) -> u32 {
    let word = word
        .wrapping_mul(0xCC9E_2D51)
        .rotate_left(15)
        .wrapping_mul(0x1B87_3593);
    (state ^ word)
        .rotate_left(13)
        .wrapping_mul(5)
        .wrapping_add(0xE654_6B64)
}

/// The hash of what `state` took in, `words` words.
#[inline(always)]
pub(crate) fn finish(state: u32, words: u32) -> u32 {
    let mut hash = state ^ (4 * words);
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85EB_CA6B);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xC2B2_AE35);
    hash ^ (hash >> 16)
}

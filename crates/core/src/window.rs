//! Windows, units, and what counts as a repeat (SPEC.md §4): one implementation for embedding and detection.

use crate::simd::vectorise;

/// Names a sequence of tokens, a window or a unit, by 64 bits; sequences of one length only are compared. No secret goes in, so
/// a collision, which drops a unit, cannot move an error rate.
#[must_use]
#[inline]
pub fn identity(tokens: &[u32]) -> u64 {
    tokens.iter().fold(0, |name, &token| extend(name, token))
}

/// The identity of a sequence that is one token longer.
#[must_use]
#[inline(always)]
pub fn extend(identity: u64, token: u32) -> u64 {
    // The finaliser of SplitMix64: a bijection in which every input bit reaches every output bit.
    let mut z = identity.wrapping_add(u64::from(token) + 1);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// The identities of all runs of `length ≥ 1` neighbouring tokens, in order, into `out`: those of `tokens.windows(length)`.
pub fn identities(tokens: &[u32], length: usize, out: &mut Vec<u64>) {
    out.clear();
    out.resize((tokens.len() + 1).saturating_sub(length), 0);
    // Token by token over all runs, not run by run: independent chains fill a vector register.
    for place in 0..length {
        extend_all(out, tokens.get(place..).unwrap_or_default());
    }
}

/// [`extend`]s every identity by the token at the same place.
pub fn extend_all(identities: &mut [u64], tokens: &[u32]) {
    vectorise(
        #[inline(always)]
        || {
            for (identity, &token) in identities.iter_mut().zip(tokens) {
                *identity = extend(*identity, token);
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prf::{MAX_VOCABULARY, MAX_WINDOW};
    use crate::set::Set;

    #[test]
    fn different_windows_have_different_identities() {
        let last = u32::try_from(MAX_VOCABULARY).unwrap() - 1;
        for window in 1..=MAX_WINDOW {
            let mut seen = Set::default();
            for place in 0..window {
                for token in 1..=1000 {
                    let mut tokens = vec![0; window];
                    tokens[place] = last / token;
                    assert!(
                        seen.insert(identity(&tokens))
                            || tokens[place] == last / (token - 1).max(1),
                        "{tokens:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_unit_is_its_window_and_one_token_more() {
        assert_eq!(extend(identity(&[5, 7]), 11), identity(&[5, 7, 11]));
        assert_ne!(identity(&[5, 7]), identity(&[7, 5]));
        let mut all = Vec::new();
        identities(&[1, 2, 3], 2, &mut all);
        assert_eq!(all, [identity(&[1, 2]), identity(&[2, 3])]);
        identities(&[1, 2, 3], 4, &mut all);
        assert!(all.is_empty());
    }
}

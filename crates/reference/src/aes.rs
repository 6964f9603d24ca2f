//! AES-128 encryption of one block, byte by byte from FIPS 197.
//!
//! A block is the standard's state read column by column: byte `i` is row `i % 4` of column `i / 4`.

/// The product of two elements of GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197 §4.2).
const fn multiply(a: u8, b: u8) -> u8 {
    let mut product = 0;
    let mut shifted = a;
    let mut bit = 0;
    while bit < 8 {
        if (b >> bit) & 1 == 1 {
            product ^= shifted;
        }
        let carry = shifted & 0x80 != 0;
        shifted <<= 1;
        if carry {
            shifted ^= 0x1b;
        }
        bit += 1;
    }
    product
}

/// The S-box at one byte: the inverse, which is the 254th power, then the affine map (FIPS 197 §5.1.1).
const fn substitute(byte: u8) -> u8 {
    // 254 = 2 + 4 + 8 + 16 + 32 + 64 + 128
    let mut square = byte;
    let mut inverse = 1;
    let mut step = 0;
    while step < 7 {
        square = multiply(square, square);
        inverse = multiply(inverse, square);
        step += 1;
    }
    inverse
        ^ inverse.rotate_left(1)
        ^ inverse.rotate_left(2)
        ^ inverse.rotate_left(3)
        ^ inverse.rotate_left(4)
        ^ 0x63
}

/// The S-box, computed once by the compiler.
static SBOX: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte: u8 = 0;
    loop {
        table[byte as usize] = substitute(byte);
        if byte == 255 {
            break;
        }
        byte += 1;
    }
    table
};

/// `SubBytes` (FIPS 197 §5.1.1).
fn sub_bytes(state: &mut [u8; 16]) {
    for byte in state.iter_mut() {
        *byte = SBOX[usize::from(*byte)];
    }
}

/// `ShiftRows`: row `r` moves `r` columns to the left (FIPS 197 §5.1.2).
fn shift_rows(state: &mut [u8; 16]) {
    let before = *state;
    for row in 0..4 {
        for column in 0..4 {
            state[4 * column + row] = before[4 * ((column + row) % 4) + row];
        }
    }
}

/// `MixColumns`: each column times the circulant matrix (2, 3, 1, 1) (FIPS 197 §5.1.3).
fn mix_columns(state: &mut [u8; 16]) {
    const MATRIX: [[u8; 4]; 4] = [[2, 3, 1, 1], [1, 2, 3, 1], [1, 1, 2, 3], [3, 1, 1, 2]];
    let before = *state;
    for column in 0..4 {
        for row in 0..4 {
            let mut sum = 0;
            for k in 0..4 {
                sum ^= multiply(MATRIX[row][k], before[4 * column + k]);
            }
            state[4 * column + row] = sum;
        }
    }
}

/// `AddRoundKey` (FIPS 197 §5.1.4).
fn add_round_key(state: &mut [u8; 16], round_key: &[u8; 16]) {
    for i in 0..16 {
        state[i] ^= round_key[i];
    }
}

/// `KeyExpansion` to eleven round keys (FIPS 197 §5.2).
fn expand_key(key: &[u8; 16]) -> [[u8; 16]; 11] {
    let mut words = [[0_u8; 4]; 44];
    for i in 0..4 {
        for j in 0..4 {
            words[i][j] = key[4 * i + j];
        }
    }
    let mut round_constant = 1;
    for i in 4..44 {
        let mut word = words[i - 1];
        if i % 4 == 0 {
            word.rotate_left(1);
            for byte in &mut word {
                *byte = SBOX[usize::from(*byte)];
            }
            word[0] ^= round_constant;
            round_constant = multiply(round_constant, 2);
        }
        for j in 0..4 {
            words[i][j] = words[i - 4][j] ^ word[j];
        }
    }
    let mut round_keys = [[0; 16]; 11];
    for (i, word) in words.iter().enumerate() {
        for j in 0..4 {
            round_keys[i / 4][4 * (i % 4) + j] = word[j];
        }
    }
    round_keys
}

/// SPEC §1: AES-128 (FIPS 197), one block, encryption direction.
#[must_use]
pub fn aes128(key: &[u8; 16], block: &[u8; 16]) -> [u8; 16] {
    let round_keys = expand_key(key);
    let mut state = *block;
    add_round_key(&mut state, &round_keys[0]);
    for round_key in &round_keys[1..10] {
        sub_bytes(&mut state);
        shift_rows(&mut state);
        mix_columns(&mut state);
        add_round_key(&mut state, round_key);
    }
    sub_bytes(&mut state);
    shift_rows(&mut state);
    add_round_key(&mut state, &round_keys[10]);
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::bytes;

    #[test]
    fn field_arithmetic_matches_the_standards_examples() {
        // FIPS 197 §4.2 and §4.2.1.
        assert_eq!(multiply(0x57, 0x83), 0xc1);
        assert_eq!(multiply(0x57, 0x13), 0xfe);
    }

    #[test]
    fn sbox_matches_the_standards_examples_and_is_a_permutation() {
        // FIPS 197 figure 7, and the example of §5.1.1.
        for (byte, image) in [
            (0x00, 0x63),
            (0x01, 0x7c),
            (0x53, 0xed),
            (0xc9, 0xdd),
            (0xff, 0x16),
        ] {
            assert_eq!(SBOX[byte], image);
        }
        let mut seen = [false; 256];
        for image in SBOX {
            assert!(!seen[usize::from(image)]);
            seen[usize::from(image)] = true;
        }
    }

    #[test]
    fn key_expansion_matches_appendix_a() {
        let round_keys = expand_key(&bytes("2b7e151628aed2a6abf7158809cf4f3c"));
        assert_eq!(round_keys[1], bytes("a0fafe1788542cb123a339392a6c7605"));
        assert_eq!(round_keys[10], bytes("d014f9a8c9ee2589e13f0cc8b6630ca6"));
    }

    #[test]
    fn encryption_matches_published_vectors() {
        let cases = [
            // FIPS 197 appendix B
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "3243f6a8885a308d313198a2e0370734",
                "3925841d02dc09fbdc118597196a0b32",
            ),
            // FIPS 197 appendix C.1
            (
                "000102030405060708090a0b0c0d0e0f",
                "00112233445566778899aabbccddeeff",
                "69c4e0d86a7b0430d8cdb78070b4c55a",
            ),
            // NIST SP 800-38A F.1.1, ECB-AES128.Encrypt, blocks 1 to 4
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "6bc1bee22e409f96e93d7e117393172a",
                "3ad77bb40d7a3660a89ecaf32466ef97",
            ),
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "ae2d8a571e03ac9c9eb76fac45af8e51",
                "f5d3d58503b9699de785895a96fdbaaf",
            ),
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "30c81c46a35ce411e5fbc1191a0a52ef",
                "43b1cd7f598ece23881b00e3ed030688",
            ),
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "f69f2445df4f9b17ad2b417be66c3710",
                "7b0c785e27e8ad3f8223207104725dd4",
            ),
        ];
        for (key, plain, cipher) in cases {
            assert_eq!(aes128(&bytes(key), &bytes(plain)), bytes(cipher));
        }
    }
}

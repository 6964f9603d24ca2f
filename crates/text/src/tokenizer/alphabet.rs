//! GPT-2's alphabet: each of the 256 bytes as one printable character.
//!
//! Printable Latin-1 stands for itself; the other 68 bytes, in order, are U+0100 and up. So a
//! space is `Ġ` and a line feed `Ċ`.

/// The byte that `letter` stands for.
pub(super) fn byte(letter: char) -> Option<u8> {
    match u32::from(letter) {
        code @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => u8::try_from(code).ok(),
        code @ 0x100..=0x143 => {
            let number = u8::try_from(code - 0x100).ok()?;
            // 0 to 0x20, then 0x7F to 0xA0, then 0xAD.
            Some(match number {
                0..=0x20 => number,
                0x21..=0x42 => number - 0x21 + 0x7F,
                _ => 0xAD,
            })
        }
        _ => None,
    }
}

/// The bytes that `literal` stands for, unless one of its characters is not of the alphabet.
pub(super) fn bytes(literal: &str) -> Option<Vec<u8>> {
    literal.chars().map(byte).collect()
}

/// The spelling of `bytes`.
#[cfg(feature = "tiktoken")]
pub(super) fn spelling(bytes: &[u8]) -> String {
    let letter = |byte: u8| {
        let code = match byte {
            0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => u32::from(byte),
            0..=0x20 => 0x100 + u32::from(byte),
            0x7F..=0xA0 => 0x100 + 0x21 + u32::from(byte) - 0x7F,
            0xAD => 0x143,
        };
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    bytes.iter().map(|&byte| letter(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The construction as OpenAI published it: printable bytes first, the rest in order.
    #[test]
    fn the_alphabet_is_gpt_2s() {
        let printable = |b: u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
        let mut next = 256;
        for b in 0..256_u32 {
            let code = if printable(b) {
                b
            } else {
                next += 1;
                next - 1
            };
            assert_eq!(byte(char::from_u32(code).unwrap()).map(u32::from), Some(b));
        }
        assert_eq!(byte(char::from_u32(next).unwrap()), None);
        assert_eq!(byte(' '), None);
        assert_eq!(bytes("Ġthe").unwrap(), b" the");
        #[cfg(feature = "tiktoken")]
        for byte in 0..=u8::MAX {
            assert_eq!(bytes(&spelling(&[byte])).unwrap(), [byte]);
        }
    }
}

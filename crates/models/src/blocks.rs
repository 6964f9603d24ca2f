//! The number formats of GGUF tensors.
//!
//! A quantised row is a sequence of blocks. Whatever its layout, a block decodes to unsigned
//! codes and, for each group of 16 or 32 of them, a scale and a minimum:
//! `weight = code · scale + minimum`. Codes have at most 8 bits and scales at most 19, so the
//! product is exact and the weight is rounded once, exactly as ggml's own dequantisation does.

/// A tensor's number format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

use Format::{Bf16, F16, F32, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};

/// Scale and minimum of a group.
pub(crate) type Affine = (f32, f32);

impl Format {
    pub(crate) const NAMES: &str =
        "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K";

    /// The format with this `ggml_type` number.
    pub(crate) fn from_id(id: u32) -> Option<Self> {
        Some(match id {
            0 => F32,
            1 => F16,
            2 => Q4_0,
            3 => Q4_1,
            6 => Q5_0,
            7 => Q5_1,
            8 => Q8_0,
            12 => Q4K,
            13 => Q5K,
            14 => Q6K,
            30 => Bf16,
            _ => return None,
        })
    }

    /// Weights in a block.
    pub(crate) fn block(self) -> usize {
        match self {
            F32 | F16 | Bf16 => 1,
            Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q8_0 => 32,
            Q4K | Q5K | Q6K => 256,
        }
    }

    /// Bytes in a block.
    pub(crate) fn block_bytes(self) -> usize {
        match self {
            F32 => 4,
            F16 | Bf16 => 2,
            Q4_0 => 18,
            Q4_1 => 20,
            Q5_0 => 22,
            Q5_1 => 24,
            Q8_0 => 34,
            Q4K => 144,
            Q5K => 176,
            Q6K => 210,
        }
    }

    /// Bits of a code (4 or 8, the sizes codes are stored in) and codes in a group; nothing for
    /// the formats that are plain floats.
    pub(crate) fn codes(self) -> Option<(u32, usize)> {
        match self {
            F32 | F16 | Bf16 => None,
            Q4_0 | Q4_1 | Q4K => Some((4, 32)),
            Q5_0 | Q5_1 | Q8_0 | Q5K => Some((8, 32)),
            Q6K => Some((8, 16)),
        }
    }

    /// One number of a float format.
    pub(crate) fn float(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (F16, &[a, b]) => half([a, b]),
            (Bf16, &[a, b]) => f32::from_bits(u32::from(u16::from_le_bytes([a, b])) << 16),
            _ => f32::NAN,
        }
    }

    /// Decodes one block of a quantised format into its codes and its groups' affine maps.
    /// The slices have the lengths that [`Self::block`] and [`Self::codes`] say.
    pub(crate) fn decode(self, block: &[u8], codes: &mut [u8], maps: &mut [Affine]) {
        match (self, block) {
            (Q4_0, &[d0, d1, ref low @ ..]) => {
                nibbles(low, codes);
                maps[0] = centred(half([d0, d1]), 8.0);
            }
            (Q4_1, &[d0, d1, m0, m1, ref low @ ..]) => {
                nibbles(low, codes);
                maps[0] = (half([d0, d1]), half([m0, m1]));
            }
            (Q5_0, &[d0, d1, h0, h1, h2, h3, ref low @ ..]) => {
                nibbles(low, codes);
                fifth_bits(u32::from_le_bytes([h0, h1, h2, h3]), codes);
                maps[0] = centred(half([d0, d1]), 16.0);
            }
            (Q5_1, &[d0, d1, m0, m1, h0, h1, h2, h3, ref low @ ..]) => {
                nibbles(low, codes);
                fifth_bits(u32::from_le_bytes([h0, h1, h2, h3]), codes);
                maps[0] = (half([d0, d1]), half([m0, m1]));
            }
            (Q8_0, &[d0, d1, ref signed @ ..]) => {
                // A signed byte plus 128.
                for (code, signed) in codes.iter_mut().zip(signed) {
                    *code = signed ^ 0x80;
                }
                maps[0] = centred(half([d0, d1]), 128.0);
            }
            (Q4K, &[d0, d1, m0, m1, ref rest @ ..]) => {
                let (scales, low) = rest.split_at(12);
                super_maps(half([d0, d1]), half([m0, m1]), scales, maps);
                for (low, codes) in low.chunks_exact(32).zip(codes.chunks_exact_mut(64)) {
                    nibbles(low, codes);
                }
            }
            (Q5K, &[d0, d1, m0, m1, ref rest @ ..]) => {
                let (scales, rest) = rest.split_at(12);
                let (high, low) = rest.split_at(32);
                super_maps(half([d0, d1]), half([m0, m1]), scales, maps);
                for (low, codes) in low.chunks_exact(32).zip(codes.chunks_exact_mut(64)) {
                    nibbles(low, codes);
                }
                for (group, codes) in codes.chunks_exact_mut(32).enumerate() {
                    for (code, high) in codes.iter_mut().zip(high) {
                        *code |= (high >> group & 1) << 4;
                    }
                }
            }
            (Q6K, block) => decode_q6k(block, codes, maps),
            _ => {}
        }
    }
}

/// `scale · (code − centre)`.
fn centred(scale: f32, centre: f32) -> Affine {
    (scale, -centre * scale)
}

/// Low halves of the bytes first, then the high halves.
fn nibbles(bytes: &[u8], codes: &mut [u8]) {
    let (low, high) = codes.split_at_mut(bytes.len());
    for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
        *low = byte & 15;
        *high = byte >> 4;
    }
}

fn fifth_bits(bits: u32, codes: &mut [u8]) {
    for (i, code) in codes.iter_mut().enumerate() {
        if bits >> i & 1 == 1 {
            *code |= 16;
        }
    }
}

/// The eight 6-bit scales and minima of a Q4_K or Q5_K block: four bytes of scales, four of
/// minima, four of the low nibbles of the later four, whose top bits sit on the first eight.
fn super_maps(d: f32, dmin: f32, packed: &[u8], maps: &mut [Affine]) {
    for (i, map) in maps.iter_mut().enumerate() {
        let (scale, min) = if i < 4 {
            (packed[i] & 63, packed[i + 4] & 63)
        } else {
            (
                packed[i + 4] & 15 | packed[i - 4] >> 6 << 4,
                packed[i + 4] >> 4 | packed[i] >> 6 << 4,
            )
        };
        *map = (d * f32::from(scale), -(dmin * f32::from(min)));
    }
}

fn decode_q6k(block: &[u8], codes: &mut [u8], maps: &mut [Affine]) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, d) = rest.split_at(16);
    let d = half([d[0], d[1]]);
    let halves = codes.chunks_exact_mut(128);
    for ((codes, low), high) in halves.zip(low.chunks_exact(64)).zip(high.chunks_exact(32)) {
        for (i, code) in codes.iter_mut().enumerate() {
            let quarter = i / 32;
            let low = low[i % 64] >> (i / 64 * 4) & 15;
            *code = low | (high[i % 32] >> (quarter * 2) & 3) << 4;
        }
    }
    for (map, scale) in maps.iter_mut().zip(scales) {
        *map = centred(d * f32::from(i8::from_le_bytes([*scale])), 32.0);
    }
}

/// A half-precision float.
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_le_bytes(bytes));
    let (sign, rest) = (bits >> 15 << 31, bits & 0x7FFF);
    // Moved into an f32's exponent and mantissa, the value is 2¹¹² too small, subnormals
    // included; infinities and NaNs keep their exponent.
    let magnitude = if rest >= 0x7C00 {
        f32::from_bits(rest << 13 | 0x7F80_0000)
    } else {
        f32::from_bits(rest << 13) * f32::from_bits((127 + 112) << 23)
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_covers_zeros_subnormals_and_infinities() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x0001, 2.0_f32.powi(-24)),
            (0x03FF, 1023.0 * 2.0_f32.powi(-24)),
            (0x7BFF, 65504.0),
            (0x7C00, f32::INFINITY),
            (0xFC00, f32::NEG_INFINITY),
        ] {
            assert_eq!(
                half(u16::to_le_bytes(bits)).to_bits(),
                f32::to_bits(value),
                "{bits:#06x}"
            );
        }
        assert!(half(u16::to_le_bytes(0x8000)).is_sign_negative());
        assert!(half(u16::to_le_bytes(0x7E00)).is_nan());
    }

    /// Decoded weights of pseudo-random blocks, against the `gguf` Python package's own
    /// `dequantize` (0.19.0), which `tests/data/blocks.py` calls.
    #[test]
    fn blocks_decode_as_ggml_decodes_them() {
        for line in include_str!("../tests/data/blocks.txt").lines() {
            let mut fields = line.split(' ');
            let id: u32 = fields.next().unwrap().parse().unwrap();
            let format = Format::from_id(id).unwrap();
            let bytes = hex(fields.next().unwrap());
            let want = hex(fields.next().unwrap());
            let want = want.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
            assert_eq!(bytes.len(), format.block_bytes());
            let got: Vec<f32> = match format.codes() {
                None => vec![format.float(&bytes)],
                Some((_, group)) => {
                    let mut codes = vec![0; format.block()];
                    let mut maps = vec![(0.0, 0.0); format.block() / group];
                    format.decode(&bytes, &mut codes, &mut maps);
                    (codes.chunks(group).zip(maps))
                        .flat_map(|(codes, (scale, min))| {
                            codes.iter().map(move |c| f32::from(*c).mul_add(scale, min))
                        })
                        .collect()
                }
            };
            assert!(got.into_iter().eq(want), "format {id}");
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }
}

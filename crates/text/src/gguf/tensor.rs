//! The table of tensors.

use std::io::Read;

use taggant_core::{Error, ErrorKind, Result};

use super::{MAX_DIMENSIONS, MAX_NAME_BYTES, source::Source};

/// Where one tensor lies and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tensor {
    /// Its name, unique in the file.
    pub name: String,
    /// Its dimensions in elements, the contiguous one first; none for a scalar.
    pub dimensions: Vec<u64>,
    /// Its element type, by the number ggml gives it.
    pub element_type: u32,
    /// Its first byte, counted from the start of the file.
    pub offset: u64,
    /// Its length in bytes; `None` for an element type this version does not know.
    pub bytes: Option<u64>,
}

impl Tensor {
    /// Reads one entry; `offset` still counts from the start of the tensor data.
    pub(super) fn read<R: Read>(source: &mut Source<R>) -> Result<Self> {
        let name = source.string(MAX_NAME_BYTES)?;
        Self::read_rest(source, name.clone())
            .map_err(|error| error.context(format!("`{}`", name.escape_debug())))
    }

    fn read_rest<R: Read>(source: &mut Source<R>, name: String) -> Result<Self> {
        let rank = u32::from_le_bytes(source.array()?);
        if rank > MAX_DIMENSIONS {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("{rank} dimensions; at most {MAX_DIMENSIONS} are read"),
            ));
        }
        let mut dimensions = Vec::new();
        for _ in 0..rank {
            dimensions.push(u64::from_le_bytes(source.array()?));
        }
        let element_type = u32::from_le_bytes(source.array()?);
        let offset = u64::from_le_bytes(source.array()?);
        let bytes = match block(element_type) {
            None => None,
            Some(block) => Some(size(&dimensions, block)?),
        };
        Ok(Self {
            name,
            dimensions,
            element_type,
            offset,
            bytes,
        })
    }
}

/// Bytes of a tensor whose rows are whole blocks.
fn size(dimensions: &[u64], (elements, bytes): (u64, u64)) -> Result<u64> {
    let row = dimensions.first().copied().unwrap_or(1);
    if !row.is_multiple_of(elements) {
        return Err(Error::new(
            ErrorKind::Format,
            format!("a row of {row} elements is not a multiple of its block of {elements}"),
        ));
    }
    dimensions
        .iter()
        .skip(1)
        .try_fold(row / elements, |blocks, &size| blocks.checked_mul(size))
        .and_then(|blocks| blocks.checked_mul(bytes))
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Format,
                format!("dimensions {dimensions:?} make 2^64 bytes or more"),
            )
        })
}

/// Elements and bytes of one block of a ggml type (`ggml_type` in ggml.h; the sizes are those of
/// `GGML_QUANT_SIZES` in the gguf Python package). Retired and later types are `None`, and so is
/// Q8_1, an intermediate that files do not hold.
fn block(element_type: u32) -> Option<(u64, u64)> {
    Some(match element_type {
        0 => (1, 4),       // F32
        1 => (1, 2),       // F16
        2 => (32, 18),     // Q4_0
        3 => (32, 20),     // Q4_1
        6 => (32, 22),     // Q5_0
        7 => (32, 24),     // Q5_1
        8 => (32, 34),     // Q8_0
        10 => (256, 84),   // Q2_K
        11 => (256, 110),  // Q3_K
        12 => (256, 144),  // Q4_K
        13 => (256, 176),  // Q5_K
        14 => (256, 210),  // Q6_K
        15 => (256, 292),  // Q8_K
        16 => (256, 66),   // IQ2_XXS
        17 => (256, 74),   // IQ2_XS
        18 => (256, 98),   // IQ3_XXS
        19 => (256, 50),   // IQ1_S
        20 => (32, 18),    // IQ4_NL
        21 => (256, 110),  // IQ3_S
        22 => (256, 82),   // IQ2_S
        23 => (256, 136),  // IQ4_XS
        24 => (1, 1),      // I8
        25 => (1, 2),      // I16
        26 => (1, 4),      // I32
        27 | 28 => (1, 8), // I64, F64
        29 => (256, 56),   // IQ1_M
        30 => (1, 2),      // BF16
        34 => (256, 54),   // TQ1_0
        35 => (256, 66),   // TQ2_0
        39 => (32, 17),    // MXFP4
        _ => return None,
    })
}

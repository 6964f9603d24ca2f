//! Weight matrices, kept as small as their file keeps them, and their product with activations.

use std::io::{BufReader, Read, Seek};

use pulp::{Arch, Simd, WithSimd};
use taggant_core::{Error, ErrorKind, Result};

use crate::{
    blocks::{Affine, Format},
    file::{ModelFile, Tensor, format_error, reading},
    kernel::{CHUNK, LANES, Lanes, Map, TILE, Words, accumulate, continue_sum, unpack},
};

/// A matrix of `outputs` × `inputs` weights, cut into panels of 32 outputs.
///
/// Within a panel the weights of one input lie side by side, one for each output, which is the
/// order the kernel reads them in. Quantised weights stay codes until a panel is used.
#[derive(Debug)]
pub(crate) struct Matrix {
    outputs: usize,
    inputs: usize,
    weights: Weights,
}

#[derive(Debug)]
enum Weights {
    /// One item for each panel and input.
    Floats(Vec<Lanes>),
    Codes(Codes),
}

/// Quantised weights: for each panel, a word for every 8 inputs (4 bits) or 4 inputs (8 bits),
/// and a map for every group of inputs.
#[derive(Debug)]
struct Codes {
    bits: u32,
    group: usize,
    words: Vec<Words>,
    maps: Vec<Map>,
}

impl Matrix {
    /// Reads a two-dimensional tensor.
    pub(crate) fn read<R: Read + Seek>(file: &mut ModelFile<R>, tensor: &Tensor) -> Result<Self> {
        let &[inputs, outputs] = tensor.shape.as_slice() else {
            return Err(format_error(format!(
                "tensor `{}` has {} dimensions; a matrix has 2",
                tensor.name,
                tensor.shape.len()
            )));
        };
        // Padding to whole panels then at most doubles a matrix.
        if outputs < LANES {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "tensor `{}` has {outputs} rows; at least {LANES} are supported",
                    tensor.name
                ),
            ));
        }
        let format = tensor.format;
        let reader = file.data(tensor)?;
        let weights = match format.codes() {
            None => Weights::Floats(read_floats(reader, format, outputs, inputs)?),
            Some((bits, group)) => {
                Weights::Codes(Codes::read(reader, format, outputs, inputs, bits, group)?)
            }
        };
        Ok(Self {
            outputs,
            inputs,
            weights,
        })
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// The weights of one output.
    pub(crate) fn row(&self, output: usize, out: &mut [f32]) {
        let (panel, lane) = (output / LANES, output % LANES);
        match &self.weights {
            Weights::Floats(floats) => {
                for (out, slot) in out.iter_mut().zip(&floats[panel * self.inputs..]) {
                    *out = slot.0[lane];
                }
            }
            Weights::Codes(codes) => {
                let groups = codes.groups(panel * self.inputs);
                for (out, (words, map)) in out.chunks_exact_mut(codes.group).zip(groups) {
                    let per_word = out.chunks_exact_mut(codes.per_word());
                    for (out, words) in per_word.zip(words) {
                        let mut word = words.0[lane];
                        for out in out {
                            // The product is exact, so this rounds once, as the kernel does.
                            let code = (word & ((1 << codes.bits) - 1)).to_le_bytes()[0];
                            *out = f32::from(code) * map.scale.0[lane] + map.min.0[lane];
                            word >>= codes.bits;
                        }
                    }
                }
            }
        }
    }

    /// `y[row] = matrix · x[row]` for every row of `x`; `y` has `outputs` values for each row.
    pub(crate) fn multiply(&self, x: &Tiles, y: &mut [f32]) {
        debug_assert_eq!(x.width, self.inputs);
        debug_assert_eq!(y.len(), x.rows * self.outputs);
        Arch::new().dispatch(Multiply { matrix: self, x, y });
    }

    /// The weights of a panel for `length` inputs from `from`, unpacked if they are codes.
    #[inline(always)]
    fn panel<'a, S: Simd>(
        &'a self,
        simd: S,
        panel: usize,
        from: usize,
        length: usize,
        unpacked: &'a mut [Lanes; CHUNK],
    ) -> &'a [Lanes] {
        let at = panel * self.inputs + from;
        match &self.weights {
            Weights::Floats(floats) => &floats[at..][..length],
            Weights::Codes(codes) => {
                let out = &mut unpacked[..length];
                for (out, (words, map)) in out.chunks_exact_mut(codes.group).zip(codes.groups(at)) {
                    match codes.bits {
                        8 => unpack::<S, 8>(simd, words, map, out),
                        _ => unpack::<S, 4>(simd, words, map, out),
                    }
                }
                out
            }
        }
    }
}

fn read_floats(
    reader: &mut BufReader<impl Read>,
    format: Format,
    outputs: usize,
    inputs: usize,
) -> Result<Vec<Lanes>> {
    let mut floats = vec![Lanes::ZERO; outputs.div_ceil(LANES) * inputs];
    let mut bytes = vec![0; inputs * format.block_bytes()];
    for output in 0..outputs {
        reader.read_exact(&mut bytes).map_err(reading)?;
        let panel = &mut floats[output / LANES * inputs..];
        for (slot, bytes) in panel
            .iter_mut()
            .zip(bytes.chunks_exact(format.block_bytes()))
        {
            slot.0[output % LANES] = format.float(bytes);
        }
    }
    Ok(floats)
}

impl Codes {
    fn read(
        reader: &mut BufReader<impl Read>,
        format: Format,
        outputs: usize,
        inputs: usize,
        bits: u32,
        group: usize,
    ) -> Result<Self> {
        let panels = outputs.div_ceil(LANES);
        let groups = inputs / group;
        let mut codes = Self {
            bits,
            group,
            words: Vec::new(),
            maps: vec![Map::ZERO; panels * groups],
        };
        let row_words = inputs / codes.per_word();
        codes.words.resize(panels * row_words, Words::ZERO);

        let mut bytes = vec![0; inputs / format.block() * format.block_bytes()];
        let mut row = vec![0; inputs];
        let mut row_maps: Vec<Affine> = vec![(0.0, 0.0); groups];
        for output in 0..outputs {
            let (panel, lane) = (output / LANES, output % LANES);
            reader.read_exact(&mut bytes).map_err(reading)?;
            let blocks = bytes.chunks_exact(format.block_bytes());
            let block_codes = row.chunks_exact_mut(format.block());
            let block_maps = row_maps.chunks_exact_mut(format.block() / group);
            for ((block, codes), maps) in blocks.zip(block_codes).zip(block_maps) {
                format.decode(block, codes, maps);
            }
            let per_word = row.chunks_exact(codes.per_word());
            for (word, row) in codes.words[panel * row_words..].iter_mut().zip(per_word) {
                let pack = |word, code: &u8| word << bits | u32::from(*code);
                word.0[lane] = row.iter().rev().fold(0, pack);
            }
            for (map, (scale, min)) in codes.maps[panel * groups..].iter_mut().zip(&row_maps) {
                map.scale.0[lane] = *scale;
                map.min.0[lane] = *min;
            }
        }
        Ok(codes)
    }

    /// Codes in a word.
    fn per_word(&self) -> usize {
        32 / self.bits as usize
    }

    /// The groups from input `at` on, counted over all panels.
    #[inline(always)]
    fn groups(&self, at: usize) -> impl Iterator<Item = (&[Words], &Map)> {
        let words = self.words[at / self.per_word()..].chunks_exact(self.group / self.per_word());
        words.zip(&self.maps[at / self.group..])
    }
}

/// Activations in the order the kernel reads them: tiles of at most 12 rows, and within a tile
/// the rows' values of one input side by side.
#[derive(Debug, Default)]
pub(crate) struct Tiles {
    width: usize,
    rows: usize,
    values: Vec<f32>,
}

impl Tiles {
    /// Takes over `x`, rows of `width` values.
    pub(crate) fn pack(&mut self, x: &[f32], width: usize) {
        self.width = width;
        self.rows = x.len() / width;
        self.values.resize(x.len(), 0.0);
        for (start, rows) in tiles(self.rows) {
            let tile = &mut self.values[start * width..][..rows * width];
            let x = &x[start * width..][..rows * width];
            for (r, row) in x.chunks_exact(width).enumerate() {
                for (slot, value) in tile[r..].iter_mut().step_by(rows).zip(row) {
                    *slot = *value;
                }
            }
        }
    }
}

/// Start and length of each tile: as few as possible, and as equal as possible, because a tile
/// of one row costs almost as much as a tile of four.
pub(crate) fn tiles(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = rows.div_ceil(TILE).max(1);
    (0..count).map(move |tile| {
        let start = tile * rows / count;
        (start, (tile + 1) * rows / count - start)
    })
}

struct Multiply<'a> {
    matrix: &'a Matrix,
    x: &'a Tiles,
    y: &'a mut [f32],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { matrix, x, y } = self;
        let outputs = matrix.outputs;
        let mut sums = vec![Lanes::ZERO; x.rows];
        for panel in 0..outputs.div_ceil(LANES) {
            sums.fill(Lanes::ZERO);
            match (&mut sums[..], &matrix.weights) {
                ([sum], Weights::Codes(codes)) => one_row(simd, codes, panel, x, sum),
                (sums, _) => many_rows(simd, matrix, panel, x, sums),
            }
            let first = panel * LANES;
            let width = LANES.min(outputs - first);
            for (row, sums) in y.chunks_exact_mut(outputs).zip(&sums) {
                row[first..][..width].copy_from_slice(&sums.0[..width]);
            }
        }
    }
}

#[inline(always)]
fn one_row<S: Simd>(simd: S, codes: &Codes, panel: usize, x: &Tiles, total: &mut Lanes) {
    let mut groups = codes.groups(panel * x.width);
    for x in x.values.chunks(CHUNK) {
        let mut sum = Lanes::ZERO;
        for (x, (words, map)) in x.chunks_exact(codes.group).zip(&mut groups) {
            match codes.bits {
                8 => continue_sum::<S, 8>(simd, words, map, x, &mut sum),
                _ => continue_sum::<S, 4>(simd, words, map, x, &mut sum),
            }
        }
        for (total, sum) in total.0.iter_mut().zip(sum.0) {
            *total += sum;
        }
    }
}

/// Weights are unpacked once, a chunk at a time, for all tiles of rows.
#[inline(always)]
fn many_rows<S: Simd>(simd: S, matrix: &Matrix, panel: usize, x: &Tiles, sums: &mut [Lanes]) {
    let mut unpacked = [Lanes::ZERO; CHUNK];
    for from in (0..x.width).step_by(CHUNK) {
        let length = CHUNK.min(x.width - from);
        let w = matrix.panel(simd, panel, from, length, &mut unpacked);
        for (start, rows) in tiles(x.rows) {
            let x = &x.values[start * x.width + from * rows..][..length * rows];
            accumulate(simd, w, x, &mut sums[start..][..rows]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{File, values};

    /// A matrix of every format, 512 inputs and 45 outputs: one whole panel and a part.
    fn every_format() -> impl Iterator<Item = Matrix> {
        [0, 1, 30, 2, 3, 6, 7, 8, 12, 13, 14]
            .into_iter()
            .map(|kind| {
                let mut file = File::default();
                if kind == 1 {
                    // Halves between 2⁻⁷ and 2⁻⁶.
                    let halves = (0..512 * 45_u16).flat_map(|i| (0x2000 + i % 1024).to_le_bytes());
                    file.tensor("w", &[512, 45], kind, &halves.collect::<Vec<u8>>());
                } else {
                    file.weights("w", &[512, 45], kind, 1.0, kind);
                }
                file.matrix("w")
            })
    }

    fn multiply(matrix: &Matrix, x: &[f32]) -> Vec<f32> {
        let mut tiles = Tiles::default();
        tiles.pack(x, matrix.inputs);
        let mut y = vec![f32::NAN; tiles.rows * matrix.outputs];
        matrix.multiply(&tiles, &mut y);
        y
    }

    #[test]
    fn a_product_is_the_sum_over_rows_in_order() {
        for matrix in every_format() {
            let x = values(512, 1);
            let mut row = vec![0.0; 512];
            for (output, y) in multiply(&matrix, &x).into_iter().enumerate() {
                matrix.row(output, &mut row);
                let want = row
                    .chunks(CHUNK)
                    .zip(x.chunks(CHUNK))
                    .fold(0.0, |total, (row, x)| {
                        let terms = row.iter().zip(x);
                        total + terms.fold(0.0, |sum, (w, x)| w.mul_add(*x, sum))
                    });
                assert_eq!(y.to_bits(), f32::to_bits(want), "{matrix:?}");
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_rows_beside_it() {
        for matrix in every_format() {
            let x = values(512 * 40, 2);
            for rows in [1, 2, 3, 11, 12, 13, 24, 25, 40] {
                let y = multiply(&matrix, &x[..512 * rows]);
                for (x, y) in x.chunks_exact(512).zip(y.chunks_exact(45)) {
                    assert_eq!(multiply(&matrix, x), y, "{rows} rows");
                }
            }
        }
    }

    /// The machine's widest vectors, narrower ones and none give the same bits.
    #[test]
    fn a_product_is_the_same_on_every_instruction_set() {
        for matrix in every_format() {
            for rows in [1, 2, 7, 13] {
                let mut tiles = Tiles::default();
                tiles.pack(&values(512 * rows, 3), 512);
                let widest = multiply(&matrix, &values(512 * rows, 3));
                let mut y = vec![f32::NAN; widest.len()];
                let (matrix, x) = (&matrix, &tiles);
                Simd::vectorize(
                    pulp::Scalar,
                    Multiply {
                        matrix,
                        x,
                        y: &mut y,
                    },
                );
                assert_eq!(widest, y, "without vectors");
                #[cfg(target_arch = "x86_64")]
                if let Some(simd) = pulp::x86::V3::try_new() {
                    y.fill(f32::NAN);
                    Simd::vectorize(
                        simd,
                        Multiply {
                            matrix,
                            x,
                            y: &mut y,
                        },
                    );
                    assert_eq!(widest, y, "with AVX2");
                }
            }
        }
    }

    #[test]
    fn tiles_cover_the_rows_evenly() {
        for rows in 1..100 {
            let tiles: Vec<_> = tiles(rows).collect();
            assert!(tiles.is_sorted());
            assert_eq!(tiles.iter().map(|t| t.1).sum::<usize>(), rows);
            assert_eq!(tiles.len(), rows.div_ceil(TILE));
            let lengths = || tiles.iter().map(|t| t.1);
            assert!(lengths().max().unwrap() - lengths().min().unwrap() <= 1);
        }
    }

    #[test]
    fn small_and_flat_matrices_are_refused() {
        for (shape, kind) in [
            (&[64, 31][..], ErrorKind::Unsupported),
            (&[64], ErrorKind::Format),
        ] {
            let mut file = File::default();
            file.weights("w", shape, 0, 1.0, 1);
            let mut file = ModelFile::open(std::io::Cursor::new(file.bytes())).unwrap();
            let tensor = file.take("w").unwrap();
            assert_eq!(Matrix::read(&mut file, &tensor).unwrap_err().kind(), kind);
        }
    }
}

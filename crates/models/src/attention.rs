//! Keys and values of one row, and attention over them.
//!
//! A row owns its memory, which grows with it, so rows of any length share a batch without
//! padding, a finished row gives its memory back, and a session costs what it uses: for
//! SmolLM2-135M 45 KiB a token.

use pulp::{Arch, Simd, WithSimd};

use crate::{
    kernel::{CHUNK, LANES, Lanes, accumulate},
    matrix::tiles,
    pointwise::exponentials,
};

/// The numbers that fix a cache's layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) layers: usize,
    /// Query heads; a multiple of `kv_heads`.
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head: usize,
}

/// What the model remembers of one row.
///
/// Both halves are laid out as panels of weights for the kernel, each in one piece of memory:
/// attention at length is bound by how fast it can be read.
#[derive(Debug)]
pub(crate) struct Cache {
    /// Tokens of the row.
    pub(crate) length: usize,
    shape: Shape,
    /// For each layer and head: for every 32 positions, dimension by dimension, a lane for each
    /// position.
    keys: Vec<Vec<Lanes>>,
    /// For each layer, head and 32 dimensions: position by position, a lane for each dimension.
    values: Vec<Vec<Lanes>>,
}

impl Cache {
    pub(crate) fn new(shape: Shape) -> Self {
        let heads = shape.layers * shape.kv_heads;
        Self {
            length: 0,
            shape,
            keys: vec![Vec::new(); heads],
            values: vec![Vec::new(); heads * shape.head.div_ceil(LANES)],
        }
    }

    /// What it remembers of the first `length` tokens, of which it has at least so many.
    pub(crate) fn beginning(&self, length: usize) -> Self {
        let first = |lanes: &[Vec<Lanes>], length: usize| {
            lanes.iter().map(|lanes| lanes[..length].to_vec()).collect()
        };
        // A page may hold later positions too; attention never looks at them before they are stored anew.
        let pages = length.div_ceil(LANES) * self.shape.head;
        Self {
            length,
            shape: self.shape,
            keys: first(&self.keys, pages),
            values: first(&self.values, length),
        }
    }

    /// Appends the keys and values of one position, all heads of a layer.
    pub(crate) fn store(&mut self, layer: usize, position: usize, keys: &[f32], values: &[f32]) {
        let Shape { kv_heads, head, .. } = self.shape;
        let first = layer * kv_heads;
        for (cached, key) in self.keys[first..].iter_mut().zip(keys.chunks_exact(head)) {
            let page = position / LANES * head;
            cached.resize(page + head, Lanes::ZERO);
            for (lanes, key) in cached[page..].iter_mut().zip(key) {
                lanes.0[position % LANES] = *key;
            }
        }
        let first = first * head.div_ceil(LANES);
        let panels = values
            .chunks_exact(head)
            .flat_map(|value| value.chunks(LANES));
        for (cached, panel) in self.values[first..].iter_mut().zip(panels) {
            let mut lanes = Lanes::ZERO;
            lanes.0[..panel.len()].copy_from_slice(panel);
            cached.push(lanes);
        }
    }

    /// Attention of the token at `position` over itself and everything before it: `query` and
    /// `out` hold all heads, `scratch` is anything.
    pub(crate) fn attend(
        &self,
        layer: usize,
        position: usize,
        query: &[f32],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let Shape {
            heads,
            kv_heads,
            head,
            ..
        } = self.shape;
        let (group, panels) = (heads / kv_heads, head.div_ceil(LANES));
        for kv_head in 0..kv_heads {
            let at = layer * kv_heads + kv_head;
            for (first, heads) in tiles(group) {
                let from = (kv_head * group + first) * head;
                Arch::new().dispatch(Attend {
                    keys: &self.keys[at],
                    values: &self.values[at * panels..][..panels],
                    head,
                    heads,
                    length: position + 1,
                    query: &query[from..][..heads * head],
                    out: &mut out[from..][..heads * head],
                    scratch,
                });
            }
        }
    }
}

/// Buffers of [`Cache::attend`], kept between calls.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The tile given to the kernel: queries, then probabilities.
    tile: Vec<f32>,
    /// One row of scores for each head.
    scores: Vec<f32>,
    /// The sum of each head's exponentials.
    totals: Vec<f32>,
    sums: Vec<Lanes>,
}

/// Attention of the heads that share one key-value head, at most a tile of them.
struct Attend<'a> {
    keys: &'a [Lanes],
    values: &'a [Vec<Lanes>],
    head: usize,
    heads: usize,
    length: usize,
    query: &'a [f32],
    out: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl WithSimd for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            head,
            heads,
            length,
            ..
        } = self;
        let Scratch {
            tile,
            scores,
            totals,
            sums,
        } = self.scratch;
        let width = length.next_multiple_of(LANES);

        interleave(self.query, head, head, tile);
        scores.resize(heads * width, 0.0);
        let pages = self.keys.chunks_exact(head).take(width / LANES);
        for (page, keys) in pages.enumerate() {
            sums.clear();
            sums.resize(heads, Lanes::ZERO);
            accumulate(simd, keys, tile, sums);
            for (scores, sums) in scores.chunks_exact_mut(width).zip(sums.iter()) {
                scores[page * LANES..][..LANES].copy_from_slice(&sums.0);
            }
        }

        let scale = 1.0 / root(head);
        totals.clear();
        for scores in scores.chunks_exact_mut(width) {
            totals.push(exponentials(&mut scores[..length], scale));
        }

        interleave(scores, width, length, tile);
        for (panel, values) in self.values.iter().enumerate() {
            sums.clear();
            sums.resize(heads, Lanes::ZERO);
            for (values, tile) in values[..length]
                .chunks(CHUNK)
                .zip(tile.chunks(CHUNK * heads))
            {
                accumulate(simd, values, tile, sums);
            }
            let results = self.out.chunks_exact_mut(head);
            for ((out, sums), total) in results.zip(sums.iter()).zip(totals.iter()) {
                for (out, value) in out[panel * LANES..].iter_mut().zip(sums.0) {
                    *out = value / total;
                }
            }
        }
    }
}

/// The first `length` values of every row of `width`, side by side: a tile for the kernel.
#[inline(always)]
fn interleave(rows: &[f32], width: usize, length: usize, tile: &mut Vec<f32>) {
    let count = rows.len() / width;
    tile.resize(count * length, 0.0);
    for (r, row) in rows.chunks_exact(width).enumerate() {
        for (slot, value) in tile[r..].iter_mut().step_by(count).zip(row) {
            *slot = *value;
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "heads have fewer than 2^24 dimensions"
)]
fn root(head: usize) -> f32 {
    (head as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::values as numbers;

    /// Attention by its definition, in f64.
    fn plain(keys: &[Vec<f32>], values: &[Vec<f32>], query: &[f32], shape: Shape) -> Vec<f64> {
        let mut out = Vec::new();
        for (h, query) in query.chunks(shape.head).enumerate() {
            let from = h / (shape.heads / shape.kv_heads) * shape.head;
            let weights: Vec<f64> = keys
                .iter()
                .map(|key| {
                    let dot: f64 = (query.iter().zip(&key[from..]))
                        .map(|(q, k)| f64::from(*q) * f64::from(*k))
                        .sum();
                    (dot / f64::from(root(shape.head))).exp()
                })
                .collect();
            let sum: f64 = weights.iter().sum();
            out.extend((0..shape.head).map(|d| {
                (weights.iter().zip(values))
                    .map(|(w, value)| w / sum * f64::from(value[from + d]))
                    .sum::<f64>()
            }));
        }
        out
    }

    #[test]
    fn attention_matches_its_definition() {
        // 14 heads on one key-value head need two tiles; 40 dimensions need a padded panel.
        for (heads, kv_heads, head) in [(9, 3, 64), (4, 4, 32), (14, 1, 40)] {
            let shape = Shape {
                layers: 2,
                heads,
                kv_heads,
                head,
            };
            let (mut keys, mut values) = (Vec::new(), Vec::new());
            let mut cache = Cache::new(shape);
            let mut scratch = Scratch::default();
            for position in 0..70_usize {
                let seed = u32::try_from(position).unwrap();
                keys.push(numbers(kv_heads * head, seed));
                values.push(numbers(kv_heads * head, seed + 1000));
                cache.store(1, position, &keys[position], &values[position]);
                let query = numbers(heads * head, seed + 2000);
                let mut out = vec![0.0; heads * head];
                cache.attend(1, position, &query, &mut out, &mut scratch);
                for (got, want) in out.iter().zip(plain(&keys, &values, &query, shape)) {
                    assert!((f64::from(*got) - want).abs() < 1e-5, "{got} {want}");
                }
            }
        }
    }
}

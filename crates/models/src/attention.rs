//! Keys and values of one row, and attention over them.
//!
//! A row owns its memory in pages of 32 positions, so rows of any length share a batch without
//! padding, a finished row gives its pages back, and a session costs what it uses: for
//! SmolLM2-135M 1.4 MiB a page.

use pulp::{Arch, Simd, WithSimd};

use crate::{
    kernel::{LANES, Lanes, accumulate},
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

impl Shape {
    /// Panels of 32 that hold one head's value.
    fn panels(self) -> usize {
        self.head.div_ceil(LANES)
    }

    /// Lanes for one head of one layer in a page: its keys, dimension by dimension with a lane
    /// for each position, then its values, panel by panel and position by position with a lane
    /// for each dimension. Both are panels of weights to the kernel.
    fn head_lanes(self) -> usize {
        self.head + self.panels() * LANES
    }

    fn at(self, layer: usize, kv_head: usize) -> usize {
        (layer * self.kv_heads + kv_head) * self.head_lanes()
    }
}

/// What the model remembers of one row.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    /// Tokens whose keys and values are complete.
    pub(crate) length: usize,
    pages: Vec<Vec<Lanes>>,
}

impl Cache {
    /// Makes room for `length` tokens.
    pub(crate) fn reserve(&mut self, shape: Shape, length: usize) {
        let lanes = shape.layers * shape.kv_heads * shape.head_lanes();
        while self.pages.len() * LANES < length {
            self.pages.push(vec![Lanes::ZERO; lanes]);
        }
    }

    /// Stores the keys and values of all heads for one position, which has room.
    pub(crate) fn store(
        &mut self,
        shape: Shape,
        layer: usize,
        position: usize,
        keys: &[f32],
        values: &[f32],
    ) {
        let page = &mut self.pages[position / LANES];
        let slot = position % LANES;
        let heads = keys
            .chunks_exact(shape.head)
            .zip(values.chunks_exact(shape.head));
        for (kv_head, (key, value)) in heads.enumerate() {
            let head = &mut page[shape.at(layer, kv_head)..][..shape.head_lanes()];
            let (key_lanes, value_lanes) = head.split_at_mut(shape.head);
            for (lanes, key) in key_lanes.iter_mut().zip(key) {
                lanes.0[slot] = *key;
            }
            for (panel, value) in value.chunks(LANES).enumerate() {
                value_lanes[panel * LANES + slot].0[..value.len()].copy_from_slice(value);
            }
        }
    }

    /// Attention of the token at `position` over itself and everything before it: `query` and
    /// `out` hold all heads, `scratch` is anything.
    pub(crate) fn attend(
        &self,
        shape: Shape,
        layer: usize,
        position: usize,
        query: &[f32],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let group = shape.heads / shape.kv_heads;
        for kv_head in 0..shape.kv_heads {
            for (first, heads) in tiles(group) {
                let at = (kv_head * group + first) * shape.head;
                Arch::new().dispatch(Attend {
                    cache: self,
                    shape,
                    lanes: shape.at(layer, kv_head),
                    length: position + 1,
                    heads,
                    query: &query[at..][..heads * shape.head],
                    out: &mut out[at..][..heads * shape.head],
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
    sums: Vec<Lanes>,
}

/// Attention of the heads that share one key-value head, at most a tile of them.
struct Attend<'a> {
    cache: &'a Cache,
    shape: Shape,
    lanes: usize,
    length: usize,
    heads: usize,
    query: &'a [f32],
    out: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl WithSimd for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            shape,
            heads,
            length,
            ..
        } = self;
        let Scratch { tile, scores, sums } = self.scratch;
        let pages = &self.cache.pages[..length.div_ceil(LANES)];
        let width = pages.len() * LANES;

        tile.clear();
        tile.resize(shape.head.max(LANES) * heads, 0.0);
        for (h, query) in self.query.chunks_exact(shape.head).enumerate() {
            for (slot, value) in tile[h..].iter_mut().step_by(heads).zip(query) {
                *slot = *value;
            }
        }
        scores.resize(heads * width, 0.0);
        for (p, page) in pages.iter().enumerate() {
            let keys = &page[self.lanes..][..shape.head];
            sums.clear();
            sums.resize(heads, Lanes::ZERO);
            accumulate(simd, keys, tile, sums);
            for (scores, sums) in scores.chunks_exact_mut(width).zip(sums.iter()) {
                scores[p * LANES..][..LANES].copy_from_slice(&sums.0);
            }
        }

        // The sums of the exponentials wait in `out`, each where its head's result will go.
        let scale = 1.0 / root(shape.head);
        let out = self.out;
        for (scores, out) in scores
            .chunks_exact_mut(width)
            .zip(out.chunks_exact_mut(shape.head))
        {
            out[0] = exponentials(&mut scores[..length], scale);
        }

        let panels = shape.panels();
        sums.clear();
        sums.resize(panels * heads, Lanes::ZERO);
        for (p, page) in pages.iter().enumerate() {
            let positions = LANES.min(length - p * LANES);
            for (h, scores) in scores.chunks_exact(width).enumerate() {
                let scores = &scores[p * LANES..][..positions];
                for (slot, score) in tile[h..].iter_mut().step_by(heads).zip(scores) {
                    *slot = *score;
                }
            }
            let values = &page[self.lanes + shape.head..];
            for (panel, sums) in sums.chunks_exact_mut(heads).enumerate() {
                accumulate(simd, &values[panel * LANES..][..positions], tile, sums);
            }
        }
        for (h, out) in out.chunks_exact_mut(shape.head).enumerate() {
            let sum = out[0];
            for (panel, out) in out.chunks_mut(LANES).enumerate() {
                for (out, value) in out.iter_mut().zip(sums[panel * heads + h].0) {
                    *out = value / sum;
                }
            }
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
            let mut cache = Cache::default();
            let mut scratch = Scratch::default();
            for position in 0..70_usize {
                let seed = u32::try_from(position).unwrap();
                keys.push(numbers(kv_heads * head, seed));
                values.push(numbers(kv_heads * head, seed + 1000));
                cache.reserve(shape, position + 1);
                cache.store(shape, 1, position, &keys[position], &values[position]);
                let query = numbers(heads * head, seed + 2000);
                let mut out = vec![0.0; heads * head];
                cache.attend(shape, 1, position, &query, &mut out, &mut scratch);
                for (got, want) in out.iter().zip(plain(&keys, &values, &query, shape)) {
                    assert!((f64::from(*got) - want).abs() < 1e-5, "{got} {want}");
                }
            }
        }
    }
}

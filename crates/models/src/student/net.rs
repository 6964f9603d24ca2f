//! The network: forward to the loss, and back to the gradients of what is trained.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Slice, linalg::general_mat_mul};

use super::Sample;
use crate::pointwise;

/// Matrices of a layer: query, key, value, attention output, gate, up, down.
pub(super) const PARTS: usize = 7;

/// Weights of a layer: its matrices and two norms.
const STRIDE: usize = PARTS + 2;

/// What adapters count for: alpha / rank = 2, the usual choice.
pub(super) const ADAPTER_SCALE: f32 = 2.0;

/// Response tokens whose logits are in memory together: 64 · 49,152 are 12 MiB.
const CHUNK: usize = 64;

/// The numbers that shape a model.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head: usize,
    pub(super) epsilon: f32,
    /// For each rotated pair of dimensions of a head, its rotation per position in radians.
    pub(super) frequencies: Vec<f64>,
    pub(super) own_output: bool,
}

/// Places of a layer's weights, counted from its first.
const ATTENTION_NORM: usize = 0;
const QUERY: usize = 1;
const KEY: usize = 2;
const VALUE: usize = 3;
const OUTPUT: usize = 4;
const FEED_FORWARD_NORM: usize = 5;
const GATE: usize = 6;
const UP: usize = 7;
const DOWN: usize = 8;

/// Place of the first of the two adapters of the weights at `place`, if those have any.
pub(super) fn adapter(shape: &Shape, place: usize) -> Option<usize> {
    let (layer, part) = (place.checked_sub(1)? / STRIDE, (place - 1) % STRIDE);
    let matrix = match part {
        ATTENTION_NORM | FEED_FORWARD_NORM => return None,
        QUERY..=OUTPUT => part - 1,
        _ => part - 2,
    };
    (layer < shape.layers).then_some(2 * (layer * PARTS + matrix))
}

/// A model as a function of its weights.
#[derive(Debug)]
pub(super) struct Net<'a> {
    shape: &'a Shape,
    weights: &'a [Array2<f32>],
    adapters: &'a [Array2<f32>],
}

/// What the way back needs of a layer.
struct Saved {
    /// What the layer was given, and what its feed-forward half was given.
    x: [Array2<f32>; 2],
    query: Array2<f32>,
    key: Array2<f32>,
    value: Array2<f32>,
    /// For each sequence and head, the attention of each position to those before it.
    attention: Vec<Array2<f32>>,
    attended: Array2<f32>,
    gate: Array2<f32>,
    up: Array2<f32>,
}

/// Sequences one after another, without padding.
struct Packed {
    tokens: Vec<u32>,
    sequences: Vec<Range<usize>>,
    /// Positions whose next token is learned, with that token.
    learned: Vec<(usize, u32)>,
    /// Cosine and sine of each pair of dimensions at each position.
    angles: Vec<(f32, f32)>,
}

impl Packed {
    fn new(samples: &[&Sample], frequencies: &[f64]) -> Self {
        let mut packed = Self {
            tokens: Vec::new(),
            sequences: Vec::new(),
            learned: Vec::new(),
            angles: Vec::new(),
        };
        for sample in samples {
            let start = packed.tokens.len();
            packed.tokens.extend(&sample.prompt);
            packed.tokens.extend(&sample.response);
            // Nothing follows the last token.
            packed.tokens.pop();
            packed.sequences.push(start..packed.tokens.len());
            let first = start + sample.prompt.len() - 1;
            packed
                .learned
                .extend((first..).zip(sample.response.iter().copied()));
            for position in 0..packed.tokens.len() - start {
                packed.angles.extend(frequencies.iter().map(|frequency| {
                    #[expect(clippy::cast_precision_loss, reason = "contexts are at most 2^24")]
                    let angle = position as f64 * frequency;
                    #[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
                    let rotation = (libm::cos(angle) as f32, libm::sin(angle) as f32);
                    rotation
                }));
            }
        }
        packed
    }
}

impl<'a> Net<'a> {
    /// `adapters` are empty where the weights themselves are trained.
    pub(super) fn new(
        shape: &'a Shape,
        weights: &'a [Array2<f32>],
        adapters: &'a [Array2<f32>],
    ) -> Self {
        Self {
            shape,
            weights,
            adapters,
        }
    }

    /// The sum of −ln p over the samples' response tokens divided by `learned`; adds its gradients to `gradients`, which are those of the
    /// adapters, or of the weights where there are none.
    pub(super) fn learn(
        &self,
        samples: &[&Sample],
        learned: usize,
        gradients: &mut [Array2<f32>],
    ) -> f64 {
        if samples.is_empty() {
            return 0.0;
        }
        let packed = Packed::new(samples, &self.shape.frequencies);
        let width = self.weights[0].ncols();
        let mut x = Array2::zeros((packed.tokens.len(), width));
        for (mut row, token) in x.outer_iter_mut().zip(&packed.tokens) {
            // Tokens were checked against the vocabulary.
            row.assign(&self.weights[0].row(*token as usize));
        }
        let mut saved = Vec::with_capacity(self.shape.layers);
        for layer in 0..self.shape.layers {
            saved.push(self.forward(layer, &mut x, &packed));
        }
        let (loss, mut change) = self.loss(&x, &packed, learned, gradients);
        for (layer, saved) in saved.into_iter().enumerate().rev() {
            self.back(layer, &saved, &mut change, &packed, gradients);
        }
        if self.adapters.is_empty() {
            for (row, token) in change.outer_iter().zip(&packed.tokens) {
                let mut gradient = gradients[0].row_mut(*token as usize);
                gradient += &row;
            }
        }
        loss
    }

    fn place(layer: usize, part: usize) -> usize {
        1 + layer * STRIDE + part
    }

    fn forward(&self, layer: usize, x: &mut Array2<f32>, packed: &Packed) -> Saved {
        let at = |part| Self::place(layer, part);
        let first = x.clone();
        let normed = self.normalise(at(ATTENTION_NORM), x);
        let mut query = self.product(at(QUERY), &normed);
        let mut key = self.product(at(KEY), &normed);
        let value = self.product(at(VALUE), &normed);
        self.rotate(&mut query, &packed.angles, 1.0);
        self.rotate(&mut key, &packed.angles, 1.0);
        let (attended, attention) = self.attend(&query, &key, &value, packed);
        *x += &self.product(at(OUTPUT), &attended);

        let second = x.clone();
        let normed = self.normalise(at(FEED_FORWARD_NORM), x);
        let gate = self.product(at(GATE), &normed);
        let up = self.product(at(UP), &normed);
        *x += &self.product(at(DOWN), &gated(&gate, &up));
        Saved {
            x: [first, second],
            query,
            key,
            value,
            attention,
            attended,
            gate,
            up,
        }
    }

    /// From the gradient of what a layer gave to that of what it was given.
    fn back(
        &self,
        layer: usize,
        saved: &Saved,
        change: &mut Array2<f32>,
        packed: &Packed,
        gradients: &mut [Array2<f32>],
    ) {
        let at = |part| Self::place(layer, part);
        let [first, second] = &saved.x;

        let mut by_gate = Array2::zeros(saved.gate.dim());
        self.product_back(
            at(DOWN),
            &gated(&saved.gate, &saved.up),
            change,
            &mut by_gate,
            gradients,
        );
        let mut by_up = saved.up.clone();
        pointwise::gate_back(
            slice(&saved.gate),
            slice_mut(&mut by_up),
            slice_mut(&mut by_gate),
        );
        let normed = self.normalise(at(FEED_FORWARD_NORM), second);
        let mut by_normed = Array2::zeros(normed.dim());
        self.product_back(at(GATE), &normed, &by_gate, &mut by_normed, gradients);
        self.product_back(at(UP), &normed, &by_up, &mut by_normed, gradients);
        self.normalise_back(at(FEED_FORWARD_NORM), second, &by_normed, change, gradients);

        let mut by_attended = Array2::zeros(saved.attended.dim());
        self.product_back(
            at(OUTPUT),
            &saved.attended,
            change,
            &mut by_attended,
            gradients,
        );
        let [mut by_query, mut by_key, by_value] = self.attend_back(saved, &by_attended, packed);
        self.rotate(&mut by_query, &packed.angles, -1.0);
        self.rotate(&mut by_key, &packed.angles, -1.0);
        let normed = self.normalise(at(ATTENTION_NORM), first);
        let mut by_normed = Array2::zeros(normed.dim());
        self.product_back(at(QUERY), &normed, &by_query, &mut by_normed, gradients);
        self.product_back(at(KEY), &normed, &by_key, &mut by_normed, gradients);
        self.product_back(at(VALUE), &normed, &by_value, &mut by_normed, gradients);
        self.normalise_back(at(ATTENTION_NORM), first, &by_normed, change, gradients);
    }

    /// The loss, and its gradient by what the last layer gave.
    fn loss(
        &self,
        x: &Array2<f32>,
        packed: &Packed,
        learned: usize,
        gradients: &mut [Array2<f32>],
    ) -> (f64, Array2<f32>) {
        let norm = Self::place(self.shape.layers, 0);
        let head = if self.shape.own_output { norm + 1 } else { 0 };
        let weights = &self.weights[head];
        let mut change = Array2::zeros(x.dim());
        let mut total = 0.0;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a batch is far below 2^24 tokens"
        )]
        let scale = 1.0 / learned as f32;
        for learned in packed.learned.chunks(CHUNK) {
            let places: Vec<usize> = learned.iter().map(|(place, _)| *place).collect();
            let own = x.select(Axis(0), &places);
            let normed = self.normalise(norm, &own);
            let mut logits = Array2::zeros((places.len(), weights.nrows()));
            general_mat_mul(1.0, &normed, &weights.t(), 0.0, &mut logits);
            for (mut row, (_, token)) in logits.outer_iter_mut().zip(learned) {
                if let Some(row) = row.as_slice_mut() {
                    pointwise::softmax(row);
                }
                let probability = &mut row[*token as usize];
                total -= libm::log(f64::from(*probability).max(f64::MIN_POSITIVE));
                *probability -= 1.0;
                row *= scale;
            }
            let mut by_normed = Array2::zeros(normed.dim());
            general_mat_mul(1.0, &logits, weights, 0.0, &mut by_normed);
            if self.adapters.is_empty() {
                general_mat_mul(1.0, &logits.t(), &normed, 1.0, &mut gradients[head]);
            }
            let mut by_own = Array2::zeros(own.dim());
            self.normalise_back(norm, &own, &by_normed, &mut by_own, gradients);
            for (row, place) in by_own.outer_iter().zip(places) {
                change.row_mut(place).assign(&row);
            }
        }
        (total * f64::from(scale), change)
    }

    /// `x · Wᵀ`, and what the adapters add.
    fn product(&self, place: usize, x: &Array2<f32>) -> Array2<f32> {
        let weights = &self.weights[place];
        let mut y = Array2::zeros((x.nrows(), weights.nrows()));
        general_mat_mul(1.0, x, &weights.t(), 0.0, &mut y);
        if let Some([down, up]) = self.adapters(place) {
            general_mat_mul(ADAPTER_SCALE, &x.dot(&down.t()), &up.t(), 1.0, &mut y);
        }
        y
    }

    /// Adds the gradient of `x` to `by_x`, given that of the product.
    fn product_back(
        &self,
        place: usize,
        x: &Array2<f32>,
        change: &Array2<f32>,
        by_x: &mut Array2<f32>,
        gradients: &mut [Array2<f32>],
    ) {
        general_mat_mul(1.0, change, &self.weights[place], 1.0, by_x);
        match (self.adapters(place), adapter(self.shape, place)) {
            (Some([down, up]), Some(first)) => {
                let low = x.dot(&down.t());
                let by_low = change.dot(up);
                general_mat_mul(ADAPTER_SCALE, &by_low, down, 1.0, by_x);
                general_mat_mul(ADAPTER_SCALE, &by_low.t(), x, 1.0, &mut gradients[first]);
                general_mat_mul(
                    ADAPTER_SCALE,
                    &change.t(),
                    &low,
                    1.0,
                    &mut gradients[first + 1],
                );
            }
            _ => general_mat_mul(1.0, &change.t(), x, 1.0, &mut gradients[place]),
        }
    }

    fn adapters(&self, place: usize) -> Option<&[Array2<f32>; 2]> {
        let first = adapter(self.shape, place)?;
        self.adapters.get(first..)?.first_chunk()
    }

    fn normalise(&self, place: usize, x: &Array2<f32>) -> Array2<f32> {
        let weight = slice(&self.weights[place]);
        let mut out = Array2::zeros(x.dim());
        let width = weight.len();
        for (x, out) in slice(x)
            .chunks_exact(width)
            .zip(slice_mut(&mut out).chunks_exact_mut(width))
        {
            pointwise::normalise(x, weight, self.shape.epsilon, out);
        }
        out
    }

    /// Adds the gradient of `x` to `by_x`: with r = (mean x² + ε)^−½, that of x_i is `r w_i d_i − r³ x_i mean(d w x)`.
    fn normalise_back(
        &self,
        place: usize,
        x: &Array2<f32>,
        change: &Array2<f32>,
        by_x: &mut Array2<f32>,
        gradients: &mut [Array2<f32>],
    ) {
        let weight = slice(&self.weights[place]);
        let width = weight.len();
        #[expect(clippy::cast_precision_loss, reason = "widths are small")]
        let length = width as f32;
        let rows = slice(x)
            .chunks_exact(width)
            .zip(slice(change).chunks_exact(width));
        for ((x, change), by_x) in rows.zip(slice_mut(by_x).chunks_exact_mut(width)) {
            let squares: f32 = x.iter().map(|x| x * x).sum();
            let scale = 1.0 / (squares / length + self.shape.epsilon).sqrt();
            let terms = x.iter().zip(change).zip(weight);
            let along: f32 = terms.map(|((x, change), weight)| x * change * weight).sum();
            let pull = scale * scale * scale * along / length;
            for (((by_x, x), change), weight) in by_x.iter_mut().zip(x).zip(change).zip(weight) {
                *by_x += scale * weight * change - pull * x;
            }
            if self.adapters.is_empty() {
                let gradient = slice_mut(&mut gradients[place]);
                for ((gradient, x), change) in gradient.iter_mut().zip(x).zip(change) {
                    *gradient += x * scale * change;
                }
            }
        }
    }

    /// Rotates adjacent pairs of dimensions by the angles of their positions, or back.
    fn rotate(&self, x: &mut Array2<f32>, angles: &[(f32, f32)], direction: f32) {
        let pairs = self.shape.frequencies.len();
        let width = x.ncols();
        for (row, angles) in slice_mut(x)
            .chunks_exact_mut(width)
            .zip(angles.chunks_exact(pairs))
        {
            for head in row.chunks_exact_mut(self.shape.head) {
                for (pair, (cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
                    let ([a, b], sin) = (*pair, direction * sin);
                    *pair = [a * cos - b * sin, a * sin + b * cos];
                }
            }
        }
    }

    /// The columns of a query head, and those of the keys and values it reads.
    fn columns(&self, head: usize) -> [Range<usize>; 2] {
        let kv_head = head / (self.shape.heads / self.shape.kv_heads);
        [head, kv_head].map(|head| head * self.shape.head..(head + 1) * self.shape.head)
    }

    #[expect(clippy::cast_precision_loss, reason = "heads are small")]
    fn scale(&self) -> f32 {
        1.0 / (self.shape.head as f32).sqrt()
    }

    fn attend(
        &self,
        query: &Array2<f32>,
        key: &Array2<f32>,
        value: &Array2<f32>,
        packed: &Packed,
    ) -> (Array2<f32>, Vec<Array2<f32>>) {
        let mut out = Array2::zeros(query.dim());
        let mut attention = Vec::new();
        for rows in &packed.sequences {
            for head in 0..self.shape.heads {
                let [own, shared] = self.columns(head);
                let mut scores = Array2::zeros((rows.len(), rows.len()));
                let (query, key) = (part(query, rows, &own), part(key, rows, &shared));
                general_mat_mul(self.scale(), &query, &key.t(), 0.0, &mut scores);
                for (position, mut row) in scores.outer_iter_mut().enumerate() {
                    if let Some(row) = row.as_slice_mut() {
                        let (before, after) = row.split_at_mut(position + 1);
                        pointwise::softmax(before);
                        after.fill(0.0);
                    }
                }
                general_mat_mul(
                    1.0,
                    &scores,
                    &part(value, rows, &shared),
                    0.0,
                    &mut part_mut(&mut out, rows, &own),
                );
                attention.push(scores);
            }
        }
        (out, attention)
    }

    /// The gradients of query, key and value.
    fn attend_back(
        &self,
        saved: &Saved,
        change: &Array2<f32>,
        packed: &Packed,
    ) -> [Array2<f32>; 3] {
        let mut by_query = Array2::zeros(saved.query.dim());
        let mut by_key = Array2::zeros(saved.key.dim());
        let mut by_value = Array2::zeros(saved.value.dim());
        let mut attention = saved.attention.iter();
        for rows in &packed.sequences {
            for (head, attention) in (0..self.shape.heads).zip(attention.by_ref()) {
                let [own, shared] = self.columns(head);
                let change = part(change, rows, &own);
                let mut by_scores = change.dot(&part(&saved.value, rows, &shared).t());
                general_mat_mul(
                    1.0,
                    &attention.t(),
                    &change,
                    1.0,
                    &mut part_mut(&mut by_value, rows, &shared),
                );
                // Through the softmax: a ∘ (d − Σ a d).
                for (mut row, attention) in by_scores.outer_iter_mut().zip(attention.outer_iter()) {
                    let mean = row.dot(&attention);
                    row.zip_mut_with(&attention, |by, attention| *by = attention * (*by - mean));
                }
                let (query, key) = (
                    part(&saved.query, rows, &own),
                    part(&saved.key, rows, &shared),
                );
                general_mat_mul(
                    self.scale(),
                    &by_scores,
                    &key,
                    0.0,
                    &mut part_mut(&mut by_query, rows, &own),
                );
                general_mat_mul(
                    self.scale(),
                    &by_scores.t(),
                    &query,
                    1.0,
                    &mut part_mut(&mut by_key, rows, &shared),
                );
            }
        }
        [by_query, by_key, by_value]
    }
}

/// `silu(gate) · up`.
fn gated(gate: &Array2<f32>, up: &Array2<f32>) -> Array2<f32> {
    let mut gated = gate.clone();
    pointwise::gate(slice_mut(&mut gated), slice(up));
    gated
}

fn part<'a>(
    array: &'a Array2<f32>,
    rows: &Range<usize>,
    columns: &Range<usize>,
) -> ArrayView2<'a, f32> {
    let mut view = array.view();
    view.slice_axis_inplace(Axis(0), Slice::from(rows.clone()));
    view.slice_axis_inplace(Axis(1), Slice::from(columns.clone()));
    view
}

fn part_mut<'a>(
    array: &'a mut Array2<f32>,
    rows: &Range<usize>,
    columns: &Range<usize>,
) -> ArrayViewMut2<'a, f32> {
    let mut view = array.view_mut();
    view.slice_axis_inplace(Axis(0), Slice::from(rows.clone()));
    view.slice_axis_inplace(Axis(1), Slice::from(columns.clone()));
    view
}

/// The values of an array, row by row, in which order all arrays here are.
pub(super) fn slice(array: &Array2<f32>) -> &[f32] {
    array.as_slice().unwrap_or_default()
}

/// [`slice`], to be written.
pub(super) fn slice_mut(array: &mut Array2<f32>) -> &mut [f32] {
    array.as_slice_mut().unwrap_or_default()
}

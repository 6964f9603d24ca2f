//! The forward pass: tokens through the layers to logits.

use taggant_core::Result;

use super::Llama;
use crate::{
    Answers, Session,
    attention::{Cache, Scratch},
    matrix::{Matrix, Tiles},
    pointwise,
    session::{check_advance, check_fork, check_rows},
};

/// Tokens that pass through the layers together; more would only enlarge the buffers.
const CHUNK: usize = 96;

#[derive(Debug)]
pub(super) struct LlamaSession<'a> {
    model: &'a Llama,
    rows: Vec<Cache>,
    logits: Vec<f32>,
    buffers: Buffers,
}

/// Intermediate values of one chunk of tokens, a row of values for each; kept between calls.
#[derive(Debug, Default)]
struct Buffers {
    x: Vec<f32>,
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    attended: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    delta: Vec<f32>,
    /// Cosine and sine of each pair of dimensions.
    angles: Vec<(f32, f32)>,
    tiles: Tiles,
    scratch: Scratch,
}

/// A token on its way through the layers.
#[derive(Clone, Copy)]
struct Step {
    row: usize,
    position: usize,
    token: u32,
    answers: bool,
}

impl Session for LlamaSession<'_> {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn open(&mut self) {
        self.rows.push(Cache::new(self.model.shape));
    }

    fn fork(&mut self, row: usize, length: usize) -> Result<()> {
        check_fork(&self.lengths(), row, length)?;
        self.rows.push(self.rows[row].beginning(length));
        Ok(())
    }

    fn advance(&mut self, tokens: &[&[u32]], answers: Answers) -> Result<&[f32]> {
        check_advance(self.model, &self.lengths(), tokens)?;

        let mut steps = Vec::new();
        for (row, (cache, tokens)) in self.rows.iter_mut().zip(tokens).enumerate() {
            steps.extend(tokens.iter().enumerate().map(|(i, &token)| Step {
                row,
                position: cache.length + i,
                token,
                answers: answers == Answers::All || i + 1 == tokens.len(),
            }));
            cache.length += tokens.len();
        }
        self.logits.clear();
        for chunk in steps.chunks(CHUNK) {
            self.forward(chunk);
        }
        Ok(&self.logits)
    }

    fn retain(&mut self, keep: &[bool]) -> Result<()> {
        check_rows(self.rows.len(), keep.len())?;
        let mut keep = keep.iter();
        self.rows.retain(|_| keep.next() == Some(&true));
        Ok(())
    }
}

impl<'a> LlamaSession<'a> {
    pub(super) fn new(model: &'a Llama) -> Self {
        Self {
            model,
            rows: Vec::new(),
            logits: Vec::new(),
            buffers: Buffers::default(),
        }
    }

    fn lengths(&self) -> Vec<usize> {
        self.rows.iter().map(|row| row.length).collect()
    }

    /// Sends a chunk of tokens through the layers and appends the logits they answer with.
    fn forward(&mut self, steps: &[Step]) {
        let model = self.model;
        let (width, shape) = (model.width(), model.shape);
        let b = &mut self.buffers;

        b.x.resize(steps.len() * width, 0.0);
        for (x, step) in b.x.chunks_exact_mut(width).zip(steps) {
            // Ids were checked against the vocabulary, so they fit a usize.
            model.embedding.row(step.token as usize, x);
        }
        b.angles.clear();
        for step in steps {
            #[expect(clippy::cast_precision_loss, reason = "contexts are at most 2^24")]
            let position = step.position as f64;
            b.angles
                .extend(model.frequencies.iter().map(|f| rotation(position * f)));
        }

        for (l, layer) in model.layers.iter().enumerate() {
            normalise(&b.x, &layer.attention_norm, model.epsilon, &mut b.normed);
            b.tiles.pack(&b.normed, width);
            product(&layer.query, &b.tiles, &mut b.query, steps.len());
            product(&layer.key, &b.tiles, &mut b.key, steps.len());
            product(&layer.value, &b.tiles, &mut b.value, steps.len());
            let pairs = model.frequencies.len();
            rotate(&mut b.query, shape.heads, shape.head, &b.angles, pairs);
            rotate(&mut b.key, shape.kv_heads, shape.head, &b.angles, pairs);

            let (all, shared) = (shape.heads * shape.head, shape.kv_heads * shape.head);
            let stored = b.key.chunks_exact(shared).zip(b.value.chunks_exact(shared));
            for (step, (key, value)) in steps.iter().zip(stored) {
                self.rows[step.row].store(l, step.position, key, value);
            }
            b.attended.resize(steps.len() * all, 0.0);
            let heads = b
                .query
                .chunks_exact(all)
                .zip(b.attended.chunks_exact_mut(all));
            for (step, (query, out)) in steps.iter().zip(heads) {
                self.rows[step.row].attend(l, step.position, query, out, &mut b.scratch);
            }
            b.tiles.pack(&b.attended, all);
            product(&layer.attention_output, &b.tiles, &mut b.delta, steps.len());
            pointwise::add(&mut b.x, &b.delta);

            normalise(&b.x, &layer.feed_forward_norm, model.epsilon, &mut b.normed);
            b.tiles.pack(&b.normed, width);
            product(&layer.gate, &b.tiles, &mut b.gate, steps.len());
            product(&layer.up, &b.tiles, &mut b.up, steps.len());
            pointwise::gate(&mut b.gate, &b.up);
            b.tiles.pack(&b.gate, layer.down.inputs());
            product(&layer.down, &b.tiles, &mut b.delta, steps.len());
            pointwise::add(&mut b.x, &b.delta);
        }

        // The output matrix is a fifth of all the work: only the tokens asked about pay for it.
        let mut kept = 0;
        for (i, step) in steps.iter().enumerate() {
            if step.answers {
                b.x.copy_within(i * width..(i + 1) * width, kept * width);
                kept += 1;
            }
        }
        b.x.truncate(kept * width);
        if kept > 0 {
            normalise(&b.x, &model.norm, model.epsilon, &mut b.normed);
            b.tiles.pack(&b.normed, width);
            let output = model.output.as_ref().unwrap_or(&model.embedding);
            let from = self.logits.len();
            self.logits.resize(from + kept * output.outputs(), 0.0);
            output.multiply(&b.tiles, &mut self.logits[from..]);
        }
    }
}

fn normalise(x: &[f32], weight: &[f32], epsilon: f32, out: &mut Vec<f32>) {
    out.resize(x.len(), 0.0);
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        pointwise::normalise(x, weight, epsilon, out);
    }
}

fn product(matrix: &Matrix, x: &Tiles, y: &mut Vec<f32>, rows: usize) {
    y.resize(rows * matrix.outputs(), 0.0);
    matrix.multiply(x, y);
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn rotation(angle: f64) -> (f32, f32) {
    (libm::cos(angle) as f32, libm::sin(angle) as f32)
}

/// Rotates adjacent pairs of dimensions: GGUF files of this architecture have the rows of the
/// query and key matrices permuted so that partners lie side by side.
fn rotate(x: &mut [f32], heads: usize, head: usize, angles: &[(f32, f32)], pairs: usize) {
    for (row, angles) in x
        .chunks_exact_mut(heads * head)
        .zip(angles.chunks_exact(pairs))
    {
        for head in row.chunks_exact_mut(head) {
            for (pair, (cos, sin)) in head.as_chunks_mut::<2>().0.iter_mut().zip(angles) {
                let [a, b] = *pair;
                *pair = [a * cos - b * sin, a * sin + b * cos];
            }
        }
    }
}

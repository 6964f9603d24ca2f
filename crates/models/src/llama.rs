//! The Llama architecture from a GGUF file, computed on the CPU.

use std::{
    fs::File,
    io::{Read, Seek},
    path::Path,
};

use taggant_core::{Error, ErrorKind, Result};

use crate::{
    Answers, Model, Session,
    attention::{Cache, Scratch, Shape},
    gguf::{Gguf, Tensor, format_error},
    matrix::{Matrix, Tiles},
    pointwise,
    session::{check_advance, check_rows, in_vocabulary},
};

/// Tokens that pass through the layers together; more would only enlarge the buffers.
const CHUNK: usize = 96;

/// A Llama model (Llama 1 to 3, SmolLM2, TinyLlama and their kin).
///
/// Weights stay quantised in memory and are unpacked to f32 as they are used, so results are
/// those of the dequantised f32 model, and they are the same to the last bit whatever else is
/// in the batch, however many threads run and whichever CPU runs them.
///
/// ```no_run
/// use taggant_models::Llama;
///
/// let model = Llama::load("SmolLM2-135M-Instruct.Q4_1.gguf".as_ref(), |done, total| {
///     eprintln!("{done} of {total} bytes");
/// })?;
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Llama {
    shape: Shape,
    context: usize,
    stop_tokens: Vec<u32>,
    epsilon: f32,
    /// For each pair of dimensions of a head, its rotation per position in radians.
    frequencies: Vec<f64>,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// Nothing where the embedding serves both ends.
    output: Option<Matrix>,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    query: Matrix,
    key: Matrix,
    value: Matrix,
    attention_output: Matrix,
    feed_forward_norm: Vec<f32>,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

impl Llama {
    /// Loads a GGUF file. `progress` receives the bytes of tensors read so far and their total.
    ///
    /// The file is untrusted: a truncated or malformed one is an error, and memory stays within
    /// a small multiple of the file's size.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if the file cannot be read, [`Format`](ErrorKind::Format) if it is
    /// not a well-formed GGUF file, [`Unsupported`](ErrorKind::Unsupported) if it is one that
    /// this version cannot run: another architecture or number format, experts, a scaled RoPE.
    pub fn load(path: &Path, progress: impl FnMut(u64, u64)) -> Result<Self> {
        let place = |e: Error| e.context(path.display());
        let file = File::open(path).map_err(|e| {
            place(Error::new(ErrorKind::Io, format!("cannot open the model: {e}")).with_source(e))
        })?;
        Self::from_reader(file, progress).map_err(place)
    }

    /// [`Self::load`] from anything that reads and seeks.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_reader<R: Read + Seek>(reader: R, progress: impl FnMut(u64, u64)) -> Result<Self> {
        let mut gguf = Gguf::open(reader)?;
        match gguf.text("general.architecture")? {
            Some("llama") => {}
            Some(other) => {
                return Err(unsupported(format!(
                    "architecture `{other}`; supported is `llama`"
                )));
            }
            None => return Err(format_error("`general.architecture` is missing")),
        }
        if gguf.integer("llama.expert_count")?.unwrap_or(0) > 0 {
            return Err(unsupported(
                "a mixture of experts; supported are dense models",
            ));
        }
        let hyper = Hyper::read(&gguf)?;
        let mut loader = Loader {
            total: gguf.tensor_bytes(),
            done: 0,
            gguf: &mut gguf,
            progress,
        };

        let frequencies =
            hyper.frequencies(loader.vector_if("rope_freqs.weight", hyper.head / 2)?)?;
        let embedding = loader.matrix_any("token_embd.weight", hyper.width)?;
        let vocabulary = embedding.outputs();
        let layers = (0..hyper.layers)
            .map(|layer| loader.layer(layer, &hyper))
            .collect::<Result<_>>()?;
        let norm = loader.vector("output_norm.weight", hyper.width)?;
        let output = loader.matrix_if("output.weight", hyper.width, vocabulary)?;
        if let Some(name) = gguf.untaken() {
            // A bias or an extra norm left out would give wrong logits without a word.
            return Err(unsupported(format!(
                "tensor `{name}` has no part in a llama model"
            )));
        }

        let mut model = Self {
            shape: Shape {
                layers: hyper.layers,
                heads: hyper.heads,
                kv_heads: hyper.kv_heads,
                head: hyper.head,
            },
            context: hyper.context,
            stop_tokens: Vec::new(),
            epsilon: hyper.epsilon,
            frequencies,
            embedding,
            layers,
            norm,
            output,
        };
        for key in ["eos", "eot", "eom"] {
            let key = format!("tokenizer.ggml.{key}_token_id");
            if let Some(id) = gguf.integer(&key)? {
                let token = u32::try_from(id).ok().filter(|&t| in_vocabulary(&model, t));
                let token = token.ok_or_else(|| {
                    format_error(format!(
                        "`{key}` {id} is not below the vocabulary of {vocabulary}"
                    ))
                })?;
                if !model.stop_tokens.contains(&token) {
                    model.stop_tokens.push(token);
                }
            }
        }
        Ok(model)
    }

    fn width(&self) -> usize {
        self.embedding.inputs()
    }
}

impl Model for Llama {
    fn vocabulary(&self) -> usize {
        self.embedding.outputs()
    }

    fn context(&self) -> usize {
        self.context
    }

    fn stop_tokens(&self) -> &[u32] {
        &self.stop_tokens
    }

    fn session(&self) -> Box<dyn Session + '_> {
        Box::new(LlamaSession {
            model: self,
            rows: Vec::new(),
            logits: Vec::new(),
            buffers: Buffers::default(),
        })
    }
}

/// The numbers of the file's metadata that shape the model.
struct Hyper {
    layers: usize,
    context: usize,
    width: usize,
    feed_forward: usize,
    heads: usize,
    kv_heads: usize,
    head: usize,
    rotated: usize,
    rope_base: f64,
    rope_factor: f64,
    epsilon: f32,
}

impl Hyper {
    fn read<R: Read + Seek>(gguf: &Gguf<R>) -> Result<Self> {
        // Nothing is allocated by these numbers alone, so 2²⁴ only keeps products from overflowing.
        let size = |key: &str, default: Option<usize>| {
            let key = format!("llama.{key}");
            let value = match gguf.integer(&key)? {
                Some(value) => usize::try_from(value).ok(),
                None => Some(default.ok_or_else(|| format_error(format!("`{key}` is missing")))?),
            };
            value
                .filter(|value| (1..=1 << 24).contains(value))
                .ok_or_else(|| format_error(format!("`{key}` is not between 1 and 2^24")))
        };
        let width = size("embedding_length", None)?;
        let heads = size("attention.head_count", None)?;
        let kv_heads = size("attention.head_count_kv", Some(heads))?;
        let head = size("attention.key_length", Some(width / heads))?;
        let rotated = size("rope.dimension_count", Some(head))?;
        if heads % kv_heads != 0 {
            return Err(format_error(format!(
                "{heads} heads are not a multiple of {kv_heads} key-value heads"
            )));
        }
        if rotated > head || rotated % 2 != 0 {
            return Err(format_error(format!(
                "{rotated} rotated dimensions; an even number up to {head} is needed"
            )));
        }
        if size("attention.value_length", Some(head))? != head {
            return Err(unsupported("keys and values of different lengths"));
        }
        let rope_factor = match gguf.text("llama.rope.scaling.type")? {
            None | Some("none") => 1.0,
            Some("linear") => gguf.float("llama.rope.scaling.factor")?.unwrap_or(1.0),
            Some(other) => {
                return Err(unsupported(format!(
                    "rope scaling `{other}`; supported are `none` and `linear`"
                )));
            }
        };
        let epsilon = gguf
            .float("llama.attention.layer_norm_rms_epsilon")?
            .ok_or_else(|| format_error("`llama.attention.layer_norm_rms_epsilon` is missing"))?;
        let rope_base = gguf.float("llama.rope.freq_base")?.unwrap_or(10_000.0);
        for (name, value) in [
            ("rope base", rope_base),
            ("rope factor", rope_factor),
            ("epsilon", epsilon),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(format_error(format!(
                    "{name} {value} is not a positive number"
                )));
            }
        }
        Ok(Self {
            layers: size("block_count", None)?,
            context: size("context_length", None)?,
            width,
            feed_forward: size("feed_forward_length", None)?,
            heads,
            kv_heads,
            head,
            rotated,
            rope_base,
            rope_factor,
            #[expect(clippy::cast_possible_truncation, reason = "written as an f32")]
            epsilon: epsilon as f32,
        })
    }

    /// Rotation per position of each pair of dimensions; `factors` are Llama 3's long-context
    /// divisors, one for each pair.
    fn frequencies(&self, factors: Option<Vec<f32>>) -> Result<Vec<f64>> {
        let pairs = self.rotated / 2;
        if factors
            .as_ref()
            .is_some_and(|factors| factors.len() != pairs)
        {
            return Err(format_error(
                "`rope_freqs.weight` does not fit the rotated dimensions",
            ));
        }
        #[expect(clippy::cast_precision_loss, reason = "below 2^24")]
        let exponent = |pair: usize| (2 * pair) as f64 / self.rotated as f64;
        Ok((0..pairs)
            .map(|pair| {
                let factor = factors
                    .as_ref()
                    .map_or(1.0, |factors| f64::from(factors[pair]));
                libm::pow(self.rope_base, -exponent(pair)) / (factor * self.rope_factor)
            })
            .collect())
    }
}

/// Takes tensors out of the file by name, checks their shapes and counts their bytes.
struct Loader<'a, R, P> {
    gguf: &'a mut Gguf<R>,
    progress: P,
    done: u64,
    total: u64,
}

impl<R: Read + Seek, P: FnMut(u64, u64)> Loader<'_, R, P> {
    fn layer(&mut self, layer: usize, hyper: &Hyper) -> Result<Layer> {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let (width, inner) = (hyper.width, hyper.feed_forward);
        let (all, shared) = (hyper.heads * hyper.head, hyper.kv_heads * hyper.head);
        Ok(Layer {
            attention_norm: self.vector(&name("attn_norm"), width)?,
            query: self.matrix(&name("attn_q"), width, all)?,
            key: self.matrix(&name("attn_k"), width, shared)?,
            value: self.matrix(&name("attn_v"), width, shared)?,
            attention_output: self.matrix(&name("attn_output"), all, width)?,
            feed_forward_norm: self.vector(&name("ffn_norm"), width)?,
            gate: self.matrix(&name("ffn_gate"), width, inner)?,
            up: self.matrix(&name("ffn_up"), width, inner)?,
            down: self.matrix(&name("ffn_down"), inner, width)?,
        })
    }

    fn take(&mut self, name: &str) -> Result<Tensor> {
        self.gguf
            .take(name)
            .ok_or_else(|| format_error(format!("tensor `{name}` is missing")))
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        let tensor = self.take(name)?;
        check_shape(&tensor, &[length])?;
        let mut bytes = Vec::new();
        self.gguf
            .data(&tensor)?
            .take(tensor.bytes)
            .read_to_end(&mut bytes)
            .map_err(crate::gguf::reading)?;
        if tensor.format.codes().is_some() {
            return Err(unsupported(format!(
                "tensor `{name}` is quantised; a vector must not be"
            )));
        }
        self.count(&tensor);
        let size = tensor.format.block_bytes();
        Ok(bytes
            .chunks_exact(size)
            .map(|b| tensor.format.float(b))
            .collect())
    }

    fn vector_if(&mut self, name: &str, length: usize) -> Result<Option<Vec<f32>>> {
        if self.gguf.has(name) {
            return self.vector(name, length).map(Some);
        }
        Ok(None)
    }

    fn matrix(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Matrix> {
        let tensor = self.take(name)?;
        check_shape(&tensor, &[inputs, outputs])?;
        let matrix = Matrix::read(self.gguf, &tensor)?;
        self.count(&tensor);
        Ok(matrix)
    }

    fn matrix_if(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Option<Matrix>> {
        if self.gguf.has(name) {
            return self.matrix(name, inputs, outputs).map(Some);
        }
        Ok(None)
    }

    /// A matrix with any number of outputs.
    fn matrix_any(&mut self, name: &str, inputs: usize) -> Result<Matrix> {
        let outputs = self.gguf.outputs(name).unwrap_or(0);
        self.matrix(name, inputs, outputs)
    }

    fn count(&mut self, tensor: &Tensor) {
        self.done += tensor.bytes;
        (self.progress)(self.done, self.total);
    }
}

fn check_shape(tensor: &Tensor, want: &[usize]) -> Result<()> {
    if tensor.shape == want {
        return Ok(());
    }
    Err(format_error(format!(
        "tensor `{}` has shape {:?}; {want:?} is needed",
        tensor.name, tensor.shape
    )))
}

fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

#[derive(Debug)]
struct LlamaSession<'a> {
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
        self.rows.push(Cache::default());
    }

    fn advance(&mut self, tokens: &[&[u32]], answers: Answers) -> Result<&[f32]> {
        let lengths: Vec<usize> = self.rows.iter().map(|row| row.length).collect();
        check_advance(self.model, &lengths, tokens)?;

        let mut steps = Vec::new();
        for (row, (cache, tokens)) in self.rows.iter_mut().zip(tokens).enumerate() {
            steps.extend(tokens.iter().enumerate().map(|(i, &token)| Step {
                row,
                position: cache.length + i,
                token,
                answers: answers == Answers::All || i + 1 == tokens.len(),
            }));
            cache.length += tokens.len();
            cache.reserve(self.model.shape, cache.length);
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

impl LlamaSession<'_> {
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
                self.rows[step.row].store(shape, l, step.position, key, value);
            }
            b.attended.resize(steps.len() * all, 0.0);
            let heads = b
                .query
                .chunks_exact(all)
                .zip(b.attended.chunks_exact_mut(all));
            for (step, (query, out)) in steps.iter().zip(heads) {
                self.rows[step.row].attend(shape, l, step.position, query, out, &mut b.scratch);
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{
        conformance,
        testing::{
            self, CONTEXT, HEAD, HEADS, KV_HEADS, LAYERS, VOCABULARY, WIDTH, llama, llama_metadata,
            llama_tensors,
        },
    };

    fn load(file: &testing::File) -> Result<Llama> {
        Llama::from_reader(Cursor::new(file.bytes()), |_, _| ())
    }

    /// The numbers of a tensor of a file written with f32 weights.
    fn tensor(file: &testing::File, name: &str) -> Vec<f64> {
        let mut gguf = Gguf::open(Cursor::new(file.bytes())).unwrap();
        let tensor = gguf.take(name).unwrap();
        let mut bytes = Vec::new();
        gguf.data(&tensor)
            .unwrap()
            .take(tensor.bytes)
            .read_to_end(&mut bytes)
            .unwrap();
        let floats = bytes.as_chunks().0.iter();
        floats.map(|b| f64::from(f32::from_le_bytes(*b))).collect()
    }

    fn times(matrix: &[f64], x: &[f64]) -> Vec<f64> {
        let dot = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum();
        matrix.chunks(x.len()).map(dot).collect()
    }

    fn norm(x: &[f64], weight: &[f64]) -> Vec<f64> {
        let mean =
            x.iter().map(|x| x * x).sum::<f64>() / f64::from(u32::try_from(x.len()).unwrap());
        let scale = 1.0 / (mean + f64::from(1e-5_f32)).sqrt();
        x.iter().zip(weight).map(|(x, w)| x * scale * w).collect()
    }

    fn turn(x: &mut [f64], position: u32) {
        for (i, pair) in x.chunks_mut(2).enumerate() {
            let exponent =
                f64::from(2 * (u32::try_from(i).unwrap() % (HEAD / 2))) / f64::from(HEAD);
            let (sin, cos) = (f64::from(position) * 1000_f64.powf(-exponent)).sin_cos();
            let (a, b) = (pair[0], pair[1]);
            pair[0] = a * cos - b * sin;
            pair[1] = a * sin + b * cos;
        }
    }

    /// The architecture by its definition: one token after the other, in f64, keeping
    /// everything. Logits of the last token.
    fn plain(file: &testing::File, tokens: &[u32]) -> Vec<f64> {
        let (width, head) = (WIDTH as usize, HEAD as usize);
        let embedding = tensor(file, "token_embd.weight");
        let mut keys = vec![Vec::new(); LAYERS as usize];
        let mut values = keys.clone();
        let mut x = Vec::new();
        for (position, token) in (0..).zip(tokens) {
            x = embedding[*token as usize * width..][..width].to_vec();
            for layer in 0..LAYERS {
                let part = |name: &str| tensor(file, &format!("blk.{layer}.{name}.weight"));
                let h = norm(&x, &part("attn_norm"));
                let (mut query, mut key) = (times(&part("attn_q"), &h), times(&part("attn_k"), &h));
                turn(&mut query, position);
                turn(&mut key, position);
                let (keys, values) = (&mut keys[layer as usize], &mut values[layer as usize]);
                keys.push(key);
                values.push(times(&part("attn_v"), &h));
                let mut attended = Vec::new();
                for (h, query) in query.chunks(head).enumerate() {
                    let from = h / (HEADS / KV_HEADS) as usize * head;
                    let score = |key: &Vec<f64>| {
                        let dot: f64 = query.iter().zip(&key[from..]).map(|(q, k)| q * k).sum();
                        (dot / f64::from(HEAD).sqrt()).exp()
                    };
                    let weights: Vec<f64> = keys.iter().map(score).collect();
                    let sum: f64 = weights.iter().sum();
                    for d in from..from + head {
                        let weighted = weights.iter().zip(values.iter()).map(|(w, v)| w * v[d]);
                        attended.push(weighted.sum::<f64>() / sum);
                    }
                }
                let delta = times(&part("attn_output"), &attended);
                x.iter_mut().zip(delta).for_each(|(x, d)| *x += d);
                let h = norm(&x, &part("ffn_norm"));
                let gate = times(&part("ffn_gate"), &h).into_iter();
                let inner: Vec<f64> = gate
                    .zip(times(&part("ffn_up"), &h))
                    .map(|(g, u)| g / (1.0 + (-g).exp()) * u)
                    .collect();
                let delta = times(&part("ffn_down"), &inner);
                x.iter_mut().zip(delta).for_each(|(x, d)| *x += d);
            }
        }
        times(&embedding, &norm(&x, &tensor(file, "output_norm.weight")))
    }

    #[test]
    fn logits_match_the_definition_of_the_architecture() {
        let file = llama(0);
        let model = load(&file).unwrap();
        let tokens: Vec<u32> = (0..40).map(|i| i * i % 70).collect();
        let mut session = model.session();
        session.open();
        let logits = session.advance(&[&tokens], Answers::All).unwrap();
        for length in [1, 2, 33, 40] {
            let logits = &logits[(length - 1) * model.vocabulary()..][..model.vocabulary()];
            for (got, want) in logits.iter().zip(plain(&file, &tokens[..length])) {
                assert!((f64::from(*got) - want).abs() < 1e-4, "{got} {want}");
            }
        }
    }

    #[test]
    fn every_format_keeps_the_contract() {
        for kind in [0, 30, 2, 3, 6, 7, 8] {
            conformance::check(&load(&llama(kind)).unwrap()).unwrap();
        }
    }

    #[test]
    fn more_tokens_than_a_chunk_are_the_same_as_few() {
        let model = load(&llama(3)).unwrap();
        let tokens: Vec<u32> = (0..60).collect();
        let mut alone = model.session();
        alone.open();
        let want = alone.advance(&[&tokens], Answers::All).unwrap();
        let mut five = model.session();
        (0..5).for_each(|_| five.open());
        let logits = five.advance(&[&tokens[..]; 5], Answers::All).unwrap();
        assert!(logits.chunks(want.len()).all(|row| row == want));
    }

    #[test]
    fn the_header_shapes_the_model_and_progress_counts_to_the_end() {
        let mut seen = Vec::new();
        let file = Cursor::new(llama(8).bytes());
        let model = Llama::from_reader(file, |done, total| seen.push((done, total))).unwrap();
        assert_eq!(model.vocabulary(), VOCABULARY as usize);
        assert_eq!(model.context(), CONTEXT as usize);
        assert_eq!(model.stop_tokens(), [2]);
        assert!(seen.is_sorted());
        let (done, total) = seen.last().unwrap();
        assert_eq!(done, total);
    }

    #[test]
    fn other_architectures_are_named() {
        let mut file = testing::File::default();
        file.text("general.architecture", "mamba");
        let error = load(&file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(
            error.to_string(),
            "architecture `mamba`; supported is `llama`"
        );
    }

    #[test]
    fn what_would_be_computed_wrongly_is_refused() {
        let with = |change: fn(&mut testing::File)| {
            let mut file = llama_metadata();
            change(&mut file);
            llama_tensors(&mut file, 0);
            load(&file).map(|_| ()).unwrap_err()
        };
        for (error, kind, message) in [
            (
                with(|f| f.weights("blk.0.attn_q.bias", &[64], 0, 1.0, 1)),
                ErrorKind::Unsupported,
                "`blk.0.attn_q.bias`",
            ),
            (
                with(|f| _ = f.integer("llama.expert_count", 8)),
                ErrorKind::Unsupported,
                "mixture of experts",
            ),
            (
                with(|f| _ = f.text("llama.rope.scaling.type", "yarn")),
                ErrorKind::Unsupported,
                "`yarn`",
            ),
            (
                with(|f| _ = f.integer("llama.attention.key_length", 32)),
                ErrorKind::Format,
                "has shape [64, 64]; [64, 128] is needed",
            ),
            (
                with(|f| _ = f.integer("tokenizer.ggml.eot_token_id", 70)),
                ErrorKind::Format,
                "eot_token_id` 70",
            ),
            (
                with(|f| {
                    f.text("llama.rope.scaling.type", "linear");
                    f.float("llama.rope.scaling.factor", 0.0);
                }),
                ErrorKind::Format,
                "rope factor 0 is not a positive number",
            ),
            (
                with(|f| _ = f.integer("llama.rope.dimension_count", 15)),
                ErrorKind::Format,
                "15 rotated dimensions",
            ),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(message), "{error}");
        }
        let error = load(&llama_metadata()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert_eq!(error.to_string(), "tensor `token_embd.weight` is missing");
    }

    #[test]
    fn a_missing_file_is_an_io_error_with_its_path() {
        let error = Llama::load("/nowhere/model.gguf".as_ref(), |_, _| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(
            error.to_string().starts_with("/nowhere/model.gguf: "),
            "{error}"
        );
    }
}

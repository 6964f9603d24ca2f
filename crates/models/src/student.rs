//! Training: a model that learns from text, so that what it learned can be asked about.
//!
//! Distillation tests claim things about models that were trained on marked text, so there must be such models. A [`Student`] is a
//! Llama model in f32 whose weights, or low-rank adapters to them (Hu et al. 2021, arXiv 2106.09685), follow the gradient of the
//! likelihood of responses. It starts from a GGUF file or from nothing, and becomes a GGUF file that this crate and others run.
//!
//! ```no_run
//! use taggant_models::student::{Method, Sample, Settings, Student};
//!
//! let mut student = Student::open("SmolLM2-135M-Instruct.Q4_1.gguf".as_ref(), |_, _| ())?;
//! let samples = [Sample { prompt: vec![1, 4093, 198], response: vec![520, 9531] }];
//! let settings = Settings::new(Method::Adapters { rank: 16 });
//! student.train(&samples, &settings, None, &mut |epoch, samples| (0..samples).collect(), &mut |_, _| Ok(()))?;
//! student.save("student.gguf".as_ref())?;
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! The gradients are written out by hand, layer by layer, and checked against differences in the tests: an automatic differentiator
//! (candle) was ruled out because it brings 137 crates and seven minutes of building, and computes the gradients of frozen weights.
//! Products of matrices are ndarray's.

mod adam;
mod checkpoint;
mod net;
mod save;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use ndarray::{Array2, CowArray, Ix2, linalg::general_mat_mul};
use taggant_core::{Error, ErrorKind, Result};
use taggant_text::Gguf;

use crate::{Llama, Model, matrix::Matrix};
use adam::Adam;
use net::{Net, PARTS, Shape};

/// A response to be learned and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What came before; at least one token. Not learned.
    pub prompt: Vec<u32>,
    /// What is learned, with a stop token at its end if it ended there.
    pub response: Vec<u32>,
}

/// What training changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Every weight.
    Full,
    /// Two thin matrices beside each matrix of the layers (LoRA), which are added into it at the end.
    Adapters {
        /// Columns of the thin matrices.
        rank: usize,
    },
}

/// How training goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What is changed.
    pub method: Method,
    /// Times that every sample is seen.
    pub epochs: usize,
    /// Step size of Adam once warm.
    pub learning_rate: f32,
    /// Steps in which the step size rises to `learning_rate`.
    pub warmup: usize,
    /// Positions, prompts included, that a step sees at least.
    pub batch: usize,
    /// Parts that a step's samples are dealt into, each on a thread of its own. Sums are taken part by part, so the result depends on it.
    pub shards: usize,
    /// Seed of the adapters' first values.
    pub seed: u64,
}

impl Settings {
    /// One epoch of steps of 768 positions on two threads; steps of 1e-4 for all weights, 1e-3 for adapters.
    #[must_use]
    pub fn new(method: Method) -> Self {
        Self {
            method,
            epochs: 1,
            learning_rate: match method {
                Method::Full => 1e-4,
                Method::Adapters { .. } => 1e-3,
            },
            warmup: 10,
            batch: 768,
            shards: 2,
            seed: 0,
        }
    }

    fn check(&self) -> Result<()> {
        let numbers = [
            ("epochs", self.epochs),
            ("batch", self.batch),
            ("shards", self.shards),
            (
                "rank",
                match self.method {
                    Method::Full => 1,
                    Method::Adapters { rank } => rank,
                },
            ),
        ];
        for (name, number) in numbers {
            if number == 0 {
                return Err(parameter(format!("{name} is 0; at least 1 is needed")));
            }
        }
        if !(self.learning_rate > 0.0 && self.learning_rate < 1.0) {
            return Err(parameter(format!(
                "learning rate {}; it must lie between 0 and 1",
                self.learning_rate
            )));
        }
        Ok(())
    }
}

/// Where training is.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Whether the epoch is over.
    pub ends_epoch: bool,
    /// Positions seen so far, and in all.
    pub positions: [u64; 2],
    /// Mean −ln p of the step's response tokens, before the step.
    pub loss: f64,
}

/// A model in training.
#[derive(Debug)]
pub struct Student {
    shape: Shape,
    /// Metadata of the file it came from, which its own file repeats.
    header: Gguf,
    /// Embedding, then the parts of each layer, then the last norm, then the output matrix if it has one of its own.
    weights: Vec<Array2<f32>>,
    /// Two thin matrices for each matrix of a layer, while adapters are trained.
    adapters: Vec<Array2<f32>>,
    vocabulary: usize,
    stop_tokens: Vec<u32>,
    context: usize,
}

/// A new student's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Layers.
    pub layers: usize,
    /// Values of a token between layers.
    pub width: usize,
    /// Heads; each has `width / heads` dimensions, and all have keys of their own.
    pub heads: usize,
    /// Values inside a feed-forward layer.
    pub feed_forward: usize,
}

impl Student {
    /// A student that starts as the model in a GGUF file.
    ///
    /// # Errors
    /// As [`Llama::load`].
    pub fn open(path: &Path, progress: impl FnMut(u64, u64)) -> Result<Self> {
        let header = Gguf::open(path)?;
        let model = Llama::load(path, progress)?;
        let vector = |vector: &[f32]| {
            let mut row = Array2::zeros((1, vector.len()));
            row.iter_mut()
                .zip(vector)
                .for_each(|(to, from)| *to = *from);
            row
        };
        let mut weights = vec![unpacked(&model.embedding)];
        for layer in &model.layers {
            weights.push(vector(&layer.attention_norm));
            weights.extend(
                [
                    &layer.query,
                    &layer.key,
                    &layer.value,
                    &layer.attention_output,
                ]
                .map(unpacked),
            );
            weights.push(vector(&layer.feed_forward_norm));
            weights.extend([&layer.gate, &layer.up, &layer.down].map(unpacked));
        }
        weights.push(vector(&model.norm));
        weights.extend(model.output.as_ref().map(unpacked));
        Ok(Self {
            shape: Shape {
                layers: model.shape.layers,
                heads: model.shape.heads,
                kv_heads: model.shape.kv_heads,
                head: model.shape.head,
                epsilon: model.epsilon,
                frequencies: model.frequencies.clone(),
                own_output: model.output.is_some(),
            },
            header,
            weights,
            adapters: Vec::new(),
            vocabulary: model.vocabulary(),
            stop_tokens: model.stop_tokens().to_vec(),
            context: model.context(),
        })
    }

    /// A student that knows nothing yet, with the tokenizer of the model in a GGUF file. `random` gives independent numbers of mean 0 and
    /// variance 1.
    ///
    /// # Errors
    /// As [`Llama::load`], and [`Parameter`](ErrorKind::Parameter) for a size of 0 or a width that `2 · heads` does not divide.
    pub fn new(like: &Path, size: Size, random: &mut dyn FnMut() -> f32) -> Result<Self> {
        let Size {
            layers,
            width,
            heads,
            feed_forward,
        } = size;
        // 32 rows are the fewest that the engine runs.
        if layers == 0
            || heads == 0
            || width < 32
            || feed_forward < 32
            || !width.is_multiple_of(2 * heads)
        {
            return Err(parameter(format!(
                "{size:?}; layers and heads are from 1, width and feed-forward from 32, and 2 · heads divides the width"
            )));
        }
        let model = Llama::load(like, |_, _| ())?;
        let head = width / heads;
        #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
        let mut matrix = |outputs: usize, inputs: usize, scale: f32| {
            let scale = scale / (inputs as f32).sqrt();
            Array2::from_shape_simple_fn((outputs, inputs), || scale * random())
        };
        let norm = || Array2::ones((1, width));
        #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
        let residual = 1.0 / (2.0 * layers as f32).sqrt();
        // 0.02 whatever the width, so that logits begin small.
        #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
        let mut weights = vec![matrix(
            model.vocabulary(),
            width,
            0.02 * (width as f32).sqrt(),
        )];
        for _ in 0..layers {
            weights.push(norm());
            weights.extend([(); 3].map(|()| matrix(width, width, 1.0)));
            weights.push(matrix(width, width, residual));
            weights.push(norm());
            weights.extend([(); 2].map(|()| matrix(feed_forward, width, 1.0)));
            weights.push(matrix(width, feed_forward, residual));
        }
        weights.push(norm());
        #[expect(clippy::cast_precision_loss, reason = "sizes are small")]
        let frequency = |pair: usize| libm::pow(10_000.0, -((2 * pair) as f64) / head as f64);
        Ok(Self {
            shape: Shape {
                layers,
                heads,
                kv_heads: heads,
                head,
                epsilon: 1e-5,
                frequencies: (0..head / 2).map(frequency).collect(),
                own_output: false,
            },
            header: save::resized(&Gguf::open(like)?, size),
            weights,
            adapters: Vec::new(),
            vocabulary: model.vocabulary(),
            stop_tokens: model.stop_tokens().to_vec(),
            context: model.context(),
        })
    }

    /// The tokens that end a response.
    #[must_use]
    pub fn stop_tokens(&self) -> &[u32] {
        &self.stop_tokens
    }

    /// Learns from `samples`. `order(epoch, n)` gives the order in which an epoch sees the `n` samples. `observe` hears of every step and
    /// may look at the student, to save it; an error ends the training.
    ///
    /// With a `checkpoint`, the state is kept in that file every few minutes, and training goes on from there if the file is there and
    /// belongs to the same settings, samples and student; the caller removes it in the end.
    ///
    /// # Errors
    /// Before any work: [`Parameter`](ErrorKind::Parameter) for no samples, an empty prompt or response, or a setting out of range,
    /// [`Token`](ErrorKind::Token) and [`Limit`](ErrorKind::Limit) for tokens outside the vocabulary and samples longer than the context,
    /// [`Mismatch`](ErrorKind::Mismatch) for a checkpoint of another training. Later: [`Io`](ErrorKind::Io), and what `observe` returns.
    pub fn train(
        &mut self,
        samples: &[Sample],
        settings: &Settings,
        checkpoint: Option<&Path>,
        order: &mut dyn FnMut(usize, usize) -> Vec<usize>,
        observe: &mut dyn FnMut(Step, &Self) -> Result<()>,
    ) -> Result<()> {
        let checkpoint = checkpoint.map(|path| (path, checkpoint::EVERY));
        self.train_saving(samples, settings, checkpoint, order, observe)
    }

    fn train_saving(
        &mut self,
        samples: &[Sample],
        settings: &Settings,
        checkpoint: Option<(&Path, Duration)>,
        order: &mut dyn FnMut(usize, usize) -> Vec<usize>,
        observe: &mut dyn FnMut(Step, &Self) -> Result<()>,
    ) -> Result<()> {
        settings.check()?;
        self.check_samples(samples)?;
        if let Method::Adapters { rank } = settings.method {
            self.adapters = self.new_adapters(rank, settings.seed);
        }
        let mut adam = Adam::new(self.trained(settings.method), settings);
        let name = checkpoint::name(settings, samples, &self.weights);
        let mut done = 0;
        if let Some((path, _)) = checkpoint
            && let Some(steps) =
                checkpoint::load(path, &name, self.trained_mut(settings.method), &mut adam)?
        {
            done = steps;
        }
        let mut saver = checkpoint::Saver::new(checkpoint, name);
        // Kept from step to step: fresh pages for all weights would cost a quarter of the time.
        let mut gradients = vec![zeros(self.trained(settings.method)); settings.shards];

        let total = (settings.epochs * samples.iter().map(positions).sum::<usize>()) as u64;
        let (mut seen, mut number) = (0, 0);
        for epoch in 0..settings.epochs {
            let order: Vec<&Sample> = order(epoch, samples.len())
                .into_iter()
                .filter_map(|place| samples.get(place))
                .collect();
            let mut rest = &order[..];
            while !rest.is_empty() {
                let mut length = 0;
                let count = rest.iter().take_while(|sample| {
                    let starts = length < settings.batch;
                    length += positions(sample);
                    starts
                });
                let (batch, after) = rest.split_at(count.count());
                rest = after;
                seen += batch
                    .iter()
                    .map(|sample| positions(sample) as u64)
                    .sum::<u64>();
                number += 1;
                // What a checkpoint remembers was reported before it was written.
                if number <= done {
                    continue;
                }
                let loss = self.gradients(batch, &mut gradients);
                if !loss.is_finite() {
                    return Err(parameter(format!(
                        "step {number}: the loss is {loss}; lower the learning rate of {}",
                        settings.learning_rate
                    )));
                }
                adam.step(self.trained_mut(settings.method), &mut gradients);
                let step = Step {
                    epoch,
                    ends_epoch: rest.is_empty(),
                    positions: [seen, total],
                    loss,
                };
                observe(step, self)?;
                saver.offer(number, self.trained(settings.method), &adam)?;
            }
        }
        self.merge(settings.method);
        Ok(())
    }

    fn check_samples(&self, samples: &[Sample]) -> Result<()> {
        if samples.is_empty() {
            return Err(parameter("no samples to learn from"));
        }
        for (row, sample) in samples.iter().enumerate() {
            let place = |error: Error| error.context(format_args!("sample {row}"));
            if sample.prompt.is_empty() || sample.response.is_empty() {
                return Err(place(parameter("the prompt or the response is empty")));
            }
            let known = |token: &u32| (*token as usize) < self.vocabulary;
            if let Some(token) = sample
                .prompt
                .iter()
                .chain(&sample.response)
                .find(|token| !known(token))
            {
                return Err(place(Error::new(
                    ErrorKind::Token,
                    format!(
                        "token {token} is not below the vocabulary of {}",
                        self.vocabulary
                    ),
                )));
            }
            if sample.prompt.len() + sample.response.len() > self.context {
                return Err(place(Error::new(
                    ErrorKind::Limit,
                    format!(
                        "{} tokens do not fit the context of {}",
                        sample.prompt.len() + sample.response.len(),
                        self.context
                    ),
                )));
            }
        }
        Ok(())
    }
}

impl Student {
    /// Zeros and small numbers, so that the adapted model is at first the model.
    fn new_adapters(&self, rank: usize, seed: u64) -> Vec<Array2<f32>> {
        let mut state = seed;
        let mut adapters = Vec::new();
        for matrix in self
            .weights
            .iter()
            .filter(|weights| weights.nrows() > 1)
            .skip(1)
        {
            // The output matrix, where there is one, stays as it is.
            if adapters.len() == 2 * PARTS * self.shape.layers {
                break;
            }
            #[expect(clippy::cast_precision_loss, reason = "widths are small")]
            let bound = (3.0 / matrix.ncols() as f32).sqrt();
            adapters.push(Array2::from_shape_simple_fn((rank, matrix.ncols()), || {
                bound * (2.0 * uniform(&mut state) - 1.0)
            }));
            adapters.push(Array2::zeros((matrix.nrows(), rank)));
        }
        adapters
    }

    fn trained(&self, method: Method) -> &[Array2<f32>] {
        match method {
            Method::Full => &self.weights,
            Method::Adapters { .. } => &self.adapters,
        }
    }

    fn trained_mut(&mut self, method: Method) -> &mut [Array2<f32>] {
        match method {
            Method::Full => &mut self.weights,
            Method::Adapters { .. } => &mut self.adapters,
        }
    }

    /// The mean loss of a batch. The gradients of what is trained are added to `gradients`, one list for each shard.
    fn gradients(&self, batch: &[&Sample], gradients: &mut [Vec<Array2<f32>>]) -> f64 {
        let learned: usize = batch.iter().map(|sample| sample.response.len()).sum();
        let net = Net::new(&self.shape, &self.weights, &self.adapters);
        let shards = gradients.len();
        std::thread::scope(|scope| {
            let workers: Vec<_> = gradients
                .iter_mut()
                .enumerate()
                .map(|(shard, gradients)| {
                    let net = &net;
                    scope.spawn(move || {
                        let own: Vec<&Sample> =
                            batch.iter().skip(shard).step_by(shards).copied().collect();
                        net.learn(&own, learned, gradients)
                    })
                })
                .collect();
            // A worker that fails, which none does, makes the loss NaN, and that ends the training.
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or(f64::NAN))
                .sum()
        })
    }

    /// Adds the adapters into the weights.
    fn merge(&mut self, method: Method) {
        if method == Method::Full {
            return;
        }
        let merged: Vec<_> = (0..self.weights.len())
            .map(|place| self.merged(place).into_owned())
            .collect();
        self.weights = merged;
        self.adapters.clear();
    }

    /// Weights with their adapters added.
    fn merged(&self, place: usize) -> CowArray<'_, f32, Ix2> {
        let Some(pair) =
            net::adapter(&self.shape, place).and_then(|first| self.adapters.get(first..first + 2))
        else {
            return self.weights[place].view().into();
        };
        let mut merged = self.weights[place].clone();
        general_mat_mul(net::ADAPTER_SCALE, &pair[1], &pair[0], 1.0, &mut merged);
        merged.into()
    }
}

fn zeros(arrays: &[Array2<f32>]) -> Vec<Array2<f32>> {
    arrays
        .iter()
        .map(|array| Array2::zeros(array.dim()))
        .collect()
}

fn positions(sample: &Sample) -> usize {
    sample.prompt.len() + sample.response.len()
}

fn unpacked(matrix: &Matrix) -> Array2<f32> {
    let mut weights = Array2::zeros((matrix.outputs(), matrix.inputs()));
    for (output, mut row) in weights.outer_iter_mut().enumerate() {
        if let Some(row) = row.as_slice_mut() {
            matrix.row(output, row);
        }
    }
    weights
}

/// The next number from 0 to 1 of SplitMix64 (Steele, Lea and Flood 2014).
fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut bits = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    #[expect(clippy::cast_precision_loss, reason = "24 bits")]
    let uniform = ((bits ^ (bits >> 31)) >> 40) as f32;
    uniform / 16_777_216.0
}

fn parameter(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Parameter, message)
}

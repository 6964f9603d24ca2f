//! The Llama architecture from a GGUF file, computed on the CPU.

use std::{
    fs::File,
    io::{Read, Seek},
    path::Path,
};

use taggant_core::{Error, ErrorKind, Result};

use crate::{
    Model, Session,
    attention::Shape,
    file::{ModelFile, format_error},
    matrix::Matrix,
    session::in_vocabulary,
};

mod forward;
mod loader;
#[cfg(test)]
mod tests;

use forward::LlamaSession;
use loader::{Hyper, Loader, unsupported};

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
    pub(crate) shape: Shape,
    pub(crate) context: usize,
    pub(crate) stop_tokens: Vec<u32>,
    pub(crate) epsilon: f32,
    /// For each pair of dimensions of a head, its rotation per position in radians.
    pub(crate) frequencies: Vec<f64>,
    pub(crate) embedding: Matrix,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Vec<f32>,
    /// Nothing where the embedding serves both ends.
    pub(crate) output: Option<Matrix>,
}

#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) attention_norm: Vec<f32>,
    pub(crate) query: Matrix,
    pub(crate) key: Matrix,
    pub(crate) value: Matrix,
    pub(crate) attention_output: Matrix,
    pub(crate) feed_forward_norm: Vec<f32>,
    pub(crate) gate: Matrix,
    pub(crate) up: Matrix,
    pub(crate) down: Matrix,
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
        let mut file = ModelFile::open(reader)?;
        match file.text("general.architecture")? {
            Some("llama") => {}
            Some(other) => {
                return Err(unsupported(format!(
                    "architecture `{other}`; supported is `llama`"
                )));
            }
            None => return Err(format_error("`general.architecture` is missing")),
        }
        if file.integer("llama.expert_count")?.unwrap_or(0) > 0 {
            return Err(unsupported(
                "a mixture of experts; supported are dense models",
            ));
        }
        let hyper = Hyper::read(&file)?;
        let mut loader = Loader::new(&mut file, progress);

        let factors = loader.vector_if("rope_freqs.weight", hyper.rotated / 2)?;
        let frequencies = hyper.frequencies(factors.as_deref());
        let embedding = loader.embedding("token_embd.weight", hyper.width)?;
        let vocabulary = embedding.outputs();
        let layers = (0..hyper.layers)
            .map(|layer| loader.layer(layer, &hyper))
            .collect::<Result<_>>()?;
        let norm = loader.vector("output_norm.weight", hyper.width)?;
        let output = loader.matrix_if("output.weight", hyper.width, vocabulary)?;
        if let Some(name) = file.untaken() {
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
            if let Some(id) = file.integer(&key)? {
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
        Box::new(LlamaSession::new(self))
    }
}

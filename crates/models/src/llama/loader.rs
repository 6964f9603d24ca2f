//! From a file to the parts of the model: every number checked, every tensor accounted for.

use std::io::{Read, Seek};

use taggant_core::{Error, ErrorKind, Result};

use super::Layer;
use crate::{
    file::{ModelFile, Tensor, format_error, reading},
    matrix::Matrix,
};

/// The numbers of the file's metadata that shape the model.
pub(super) struct Hyper {
    pub(super) layers: usize,
    pub(super) context: usize,
    pub(super) width: usize,
    pub(super) feed_forward: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head: usize,
    pub(super) rotated: usize,
    rope_base: f64,
    rope_factor: f64,
    pub(super) epsilon: f32,
}

impl Hyper {
    pub(super) fn read<R: Read + Seek>(file: &ModelFile<R>) -> Result<Self> {
        // Nothing is allocated by these numbers alone, so 2²⁴ only keeps products from overflowing.
        let size = |key: &str, default: Option<usize>| {
            let key = format!("llama.{key}");
            let value = match file.integer(&key)? {
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
        let rope_factor = match file.text("llama.rope.scaling.type")? {
            None | Some("none") => 1.0,
            Some("linear") => file.float("llama.rope.scaling.factor")?.unwrap_or(1.0),
            Some(other) => {
                return Err(unsupported(format!(
                    "rope scaling `{other}`; supported are `none` and `linear`"
                )));
            }
        };
        let epsilon = file
            .float("llama.attention.layer_norm_rms_epsilon")?
            .ok_or_else(|| format_error("`llama.attention.layer_norm_rms_epsilon` is missing"))?;
        let rope_base = file.float("llama.rope.freq_base")?.unwrap_or(10_000.0);
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
            rope_base: rope_base.into(),
            rope_factor: rope_factor.into(),
            epsilon,
        })
    }

    /// Rotation per position of each pair of dimensions; `factors` are Llama 3's long-context
    /// divisors, one for each pair.
    pub(super) fn frequencies(&self, factors: Option<&[f32]>) -> Vec<f64> {
        #[expect(clippy::cast_precision_loss, reason = "below 2^24")]
        let exponent = |pair: usize| (2 * pair) as f64 / self.rotated as f64;
        (0..self.rotated / 2)
            .map(|pair| {
                let factor = factors.map_or(1.0, |factors| f64::from(factors[pair]));
                libm::pow(self.rope_base, -exponent(pair)) / (factor * self.rope_factor)
            })
            .collect()
    }
}

/// Takes tensors out of the file by name, checks their shapes and counts their bytes.
pub(super) struct Loader<'a, R, P> {
    file: &'a mut ModelFile<R>,
    progress: P,
    done: u64,
    total: u64,
}

impl<'a, R: Read + Seek, P: FnMut(u64, u64)> Loader<'a, R, P> {
    pub(super) fn new(file: &'a mut ModelFile<R>, progress: P) -> Self {
        Self {
            total: file.tensor_bytes(),
            done: 0,
            file,
            progress,
        }
    }

    pub(super) fn layer(&mut self, layer: usize, hyper: &Hyper) -> Result<Layer> {
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

    pub(super) fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        let tensor = self.file.take(name)?;
        check_shape(&tensor, &[length])?;
        if tensor.format.codes().is_some() {
            return Err(unsupported(format!(
                "tensor `{name}` is quantised; a vector must not be"
            )));
        }
        let mut bytes = Vec::new();
        let data = self.file.data(&tensor)?;
        data.take(tensor.bytes)
            .read_to_end(&mut bytes)
            .map_err(reading)?;
        self.count(&tensor);
        let numbers = bytes.chunks_exact(tensor.format.block_bytes());
        Ok(numbers.map(|bytes| tensor.format.float(bytes)).collect())
    }

    pub(super) fn vector_if(&mut self, name: &str, length: usize) -> Result<Option<Vec<f32>>> {
        if self.file.has(name) {
            return self.vector(name, length).map(Some);
        }
        Ok(None)
    }

    fn matrix(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Matrix> {
        let tensor = self.file.take(name)?;
        check_shape(&tensor, &[inputs, outputs])?;
        self.read(&tensor)
    }

    /// The embedding, whose rows make the vocabulary.
    pub(super) fn embedding(&mut self, name: &str, inputs: usize) -> Result<Matrix> {
        let tensor = self.file.take(name)?;
        let outputs = tensor.shape.get(1).copied().unwrap_or(0);
        check_shape(&tensor, &[inputs, outputs])?;
        self.read(&tensor)
    }

    fn read(&mut self, tensor: &Tensor) -> Result<Matrix> {
        let matrix = Matrix::read(self.file, tensor)?;
        self.count(tensor);
        Ok(matrix)
    }

    pub(super) fn matrix_if(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Option<Matrix>> {
        if self.file.has(name) {
            return self.matrix(name, inputs, outputs).map(Some);
        }
        Ok(None)
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

pub(super) fn unsupported(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

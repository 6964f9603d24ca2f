//! What the tests share: pseudo-random numbers and a tiny GGUF file.

use std::io::Cursor;

use crate::{blocks::Format, file::ModelFile, matrix::Matrix};

/// `n` numbers between −1 and 1, fixed by `seed`.
pub(crate) fn values(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let high = i16::from_le_bytes([state.to_le_bytes()[2], state.to_le_bytes()[3]]);
        f32::from(high) / 32768.0
    };
    std::iter::repeat_with(next).take(n).collect()
}

/// A GGUF file under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    entries: Vec<u8>,
    count: u64,
    directory: Vec<u8>,
    tensors: u64,
    data: Vec<u8>,
}

impl File {
    pub(crate) fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.entry(key, 8, &text(value))
    }

    pub(crate) fn integer(&mut self, key: &str, value: u32) -> &mut Self {
        self.entry(key, 4, &value.to_le_bytes())
    }

    pub(crate) fn float(&mut self, key: &str, value: f32) -> &mut Self {
        self.entry(key, 6, &value.to_le_bytes())
    }

    /// An array of texts, as vocabularies are.
    pub(crate) fn texts(&mut self, key: &str, values: &[&str]) -> &mut Self {
        let mut bytes = 8_u32.to_le_bytes().to_vec();
        bytes.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| bytes.extend(text(value)));
        self.entry(key, 9, &bytes)
    }

    pub(crate) fn entry(&mut self, key: &str, kind: u32, value: &[u8]) -> &mut Self {
        self.entries.extend(text(key));
        self.entries.extend(kind.to_le_bytes());
        self.entries.extend(value);
        self.count += 1;
        self
    }

    /// A tensor of any shape and type number; the data is aligned behind the others.
    pub(crate) fn tensor(
        &mut self,
        name: &str,
        shape: &[u64],
        kind: u32,
        data: &[u8],
    ) -> &mut Self {
        self.data.resize(self.data.len().next_multiple_of(32), 0);
        self.tensor_at(name, shape, kind, self.data.len() as u64);
        self.data.extend(data);
        self
    }

    /// A tensor that claims to lie at `offset`.
    pub(crate) fn tensor_at(&mut self, name: &str, shape: &[u64], kind: u32, offset: u64) {
        self.directory.extend(text(name));
        self.directory
            .extend(u32::try_from(shape.len()).unwrap().to_le_bytes());
        shape
            .iter()
            .for_each(|n| self.directory.extend(n.to_le_bytes()));
        self.directory.extend(kind.to_le_bytes());
        self.directory.extend(offset.to_le_bytes());
        self.tensors += 1;
    }

    /// A matrix of pseudo-random weights of about ±`scale`.
    pub(crate) fn weights(&mut self, name: &str, shape: &[u32], kind: u32, scale: f32, seed: u32) {
        let n = shape.iter().product::<u32>() as usize;
        let format = Format::from_id(kind).unwrap();
        let numbers = values(n, seed);
        let data: Vec<u8> = match format {
            Format::F32 => numbers
                .iter()
                .flat_map(|x| (x * scale).to_le_bytes())
                .collect(),
            // The leading bits of an f32.
            Format::Bf16 => numbers
                .iter()
                .flat_map(|x| [(x * scale).to_le_bytes()[2], (x * scale).to_le_bytes()[3]])
                .collect(),
            _ => {
                // Random codes; the scales are half-precision powers of two near scale / 8.
                let mut bytes = Vec::new();
                for block in numbers.chunks(format.block()) {
                    let mut noise = block.iter().flat_map(|x| x.to_le_bytes()[1..3].to_vec());
                    let mut block: Vec<u8> = noise.by_ref().take(format.block_bytes()).collect();
                    let at = if format == Format::Q6K { 208 } else { 0 };
                    block[at..at + 2].copy_from_slice(&[0, 0x20]);
                    if matches!(
                        format,
                        Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K
                    ) {
                        block[2..4].copy_from_slice(&[0, 0xA8]);
                    }
                    bytes.extend(block);
                }
                bytes
            }
        };
        let shape: Vec<u64> = shape.iter().copied().map(u64::from).collect();
        self.tensor(name, &shape, kind, &data);
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend(self.tensors.to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(&self.entries);
        bytes.extend(&self.directory);
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(&self.data);
        bytes
    }

    pub(crate) fn matrix(&self, name: &str) -> Matrix {
        let mut file = ModelFile::open(Cursor::new(self.bytes())).unwrap();
        let tensor = file.take(name).unwrap();
        Matrix::read(&mut file, &tensor).unwrap()
    }
}

fn text(value: &str) -> Vec<u8> {
    let mut bytes = (value.len() as u64).to_le_bytes().to_vec();
    bytes.extend(value.as_bytes());
    bytes
}

/// The shape of [`llama`].
pub(crate) const WIDTH: u32 = 64;
pub(crate) const HEADS: u32 = 4;
pub(crate) const KV_HEADS: u32 = 2;
pub(crate) const HEAD: u32 = 16;
pub(crate) const INNER: u32 = 96;
pub(crate) const VOCABULARY: u32 = 70;
pub(crate) const LAYERS: u32 = 2;
pub(crate) const CONTEXT: u32 = 80;

/// The metadata of a toy Llama file, without tensors.
pub(crate) fn llama_metadata() -> File {
    let mut file = File::default();
    file.text("general.architecture", "llama")
        .integer("llama.block_count", LAYERS)
        .integer("llama.context_length", CONTEXT)
        .integer("llama.embedding_length", WIDTH)
        .integer("llama.feed_forward_length", INNER)
        .integer("llama.attention.head_count", HEADS)
        .integer("llama.attention.head_count_kv", KV_HEADS)
        .float("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .float("llama.rope.freq_base", 1000.0)
        .integer("tokenizer.ggml.eos_token_id", 2)
        .texts("tokenizer.ggml.tokens", &["a", "b", "c"]);
    file
}

/// A toy Llama file with matrices in the format `kind`, and a vocabulary that does not fill its
/// panels.
pub(crate) fn llama(kind: u32) -> File {
    let mut file = llama_metadata();
    llama_tensors(&mut file, kind);
    file
}

pub(crate) fn llama_tensors(file: &mut File, kind: u32) {
    let mut seed = 0;
    let mut add = |name: &str, shape: &[u32], kind: u32, scale: f32| {
        seed += 1;
        file.weights(name, shape, kind, scale, seed);
    };
    let (all, shared) = (HEADS * HEAD, KV_HEADS * HEAD);
    add("token_embd.weight", &[WIDTH, VOCABULARY], kind, 1.0);
    add("output_norm.weight", &[WIDTH], 0, 1.0);
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        add(&name("attn_norm"), &[WIDTH], 0, 1.0);
        add(&name("attn_q"), &[WIDTH, all], kind, 0.3);
        add(&name("attn_k"), &[WIDTH, shared], kind, 0.3);
        add(&name("attn_v"), &[WIDTH, shared], kind, 0.3);
        add(&name("attn_output"), &[all, WIDTH], kind, 0.3);
        add(&name("ffn_norm"), &[WIDTH], 0, 1.0);
        add(&name("ffn_gate"), &[WIDTH, INNER], kind, 0.3);
        add(&name("ffn_up"), &[WIDTH, INNER], kind, 0.3);
        add(&name("ffn_down"), &[INNER, WIDTH], kind, 0.3);
    }
}

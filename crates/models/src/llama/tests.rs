//! The engine against its definition, and against files that lie.

use std::io::{Cursor, Read};

use taggant_core::{ErrorKind, Result};

use super::Llama;
use crate::{
    Answers, Model, conformance,
    file::ModelFile,
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
    let mut file = ModelFile::open(Cursor::new(file.bytes())).unwrap();
    let tensor = file.take(name).unwrap();
    let mut bytes = Vec::new();
    file.data(&tensor)
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
    let mean = x.iter().map(|x| x * x).sum::<f64>() / f64::from(u32::try_from(x.len()).unwrap());
    let scale = 1.0 / (mean + f64::from(1e-5_f32)).sqrt();
    x.iter().zip(weight).map(|(x, w)| x * scale * w).collect()
}

fn turn(x: &mut [f64], position: u32) {
    for (i, pair) in x.chunks_mut(2).enumerate() {
        let exponent = f64::from(2 * (u32::try_from(i).unwrap() % (HEAD / 2))) / f64::from(HEAD);
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

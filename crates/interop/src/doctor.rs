//! What may be wrong where a mark should be found and is not: one parameter changed at a time.
//!
//! Every change is a test of its own, so whoever tries them shares alpha among all: the caller corrects for [`Change`]s tried (Holm).

use std::fmt;

use serde_json::{Map, Value, json};

/// A changed configuration or reading.
#[derive(Clone)]
#[non_exhaustive]
pub struct Change {
    /// What was changed, in words; no key is in it.
    pub what: String,
    /// The format to read.
    pub format: String,
    /// The configuration.
    pub config: Map<String, Value>,
    /// How rows are read.
    pub rows: Rows,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("what", &self.what)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// How rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rows {
    /// As they are.
    AsTheyAre,
    /// The prompt's tokens before the response's: the engine took the two for one text.
    PromptIncluded,
    /// Without the first token, where a begin-of-text token slipped in.
    WithoutFirst,
}

/// Formats that are taken for one another.
const SIBLINGS: &[&[&str]] = &[
    &["vllm-gumbel", "vllm-dual"],
    &["hf-kgw-lefthash", "hf-kgw-selfhash"],
    &["hf-synthid", "deepmind-synthid"],
    &["textseal-gumbel", "textseal-greenlist", "textseal-dual"],
    &[
        "lmw-simple_1",
        "lmw-minhash",
        "lmw-skipgram",
        "lmw-selfhash",
    ],
    &["maryland", "openai"],
];

/// Widths of logits that models in wide use have, where they differ from their tokenizers'.
const WIDTHS: &[u64] = &[
    32_000, 32_064, 32_768, 49_152, 50_257, 50_272, 50_304, 128_256, 151_643, 151_936, 152_064,
    200_019, 201_088, 256_000, 256_128, 262_144,
];

/// Everything worth trying for a mark of `format` that was not found under `config`.
#[must_use]
pub fn changes(format: &str, config: &Map<String, Value>, tokenizer: Option<u32>) -> Vec<Change> {
    let mut changes = Vec::new();
    let base = Change {
        what: String::new(),
        format: format.to_owned(),
        config: config.clone(),
        rows: Rows::AsTheyAre,
    };
    let mut with = |what: String, name: &str, value: Value| {
        if config.get(name) != Some(&value) {
            let mut config = config.clone();
            config.insert(name.to_owned(), value);
            changes.push(Change {
                what,
                config,
                ..base.clone()
            });
        }
    };
    for name in ["gamma", "greenlist_ratio"] {
        if knows(format, name) {
            for share in [0.1, 0.25, 0.5, 0.75] {
                with(format!("{name} {share}"), name, json!(share));
            }
        }
    }
    for (name, least) in [
        ("context_width", 1),
        ("context_window", 1),
        ("ngram_len", 2),
        ("ngram", 1),
        ("prefix_length", 1),
    ] {
        if knows(format, name) {
            for width in least..=least + 7 {
                with(format!("{name} {width}"), name, json!(width));
            }
        }
    }
    for name in ["alpha", "mixing_probability"] {
        if knows(format, name) {
            for share in [0.1, 0.5, 0.9] {
                with(format!("{name} {share}"), name, json!(share));
            }
        }
    }
    if knows(format, "sampling_table_seed") {
        for seed in 0..4 {
            with(
                format!("sampling_table_seed {seed}"),
                "sampling_table_seed",
                json!(seed),
            );
        }
    }
    if knows(format, "select_green_tokens") {
        let now = config
            .get("select_green_tokens")
            .and_then(Value::as_bool)
            .unwrap_or(true);
        with(
            format!("select_green_tokens {}", !now),
            "select_green_tokens",
            json!(!now),
        );
    }
    if knows(format, "vocab_size") {
        let padded = tokenizer.into_iter().flat_map(|size| {
            [1, 64, 128, 256, 512].map(|unit| u64::from(size).next_multiple_of(unit))
        });
        for size in padded.chain(WIDTHS.iter().copied()) {
            with(format!("vocab_size {size}"), "vocab_size", json!(size));
        }
    }
    for (name, other, what) in other_keys(config) {
        with(what.to_owned(), name, other);
    }
    let siblings = SIBLINGS
        .iter()
        .find(|group| group.contains(&format))
        .copied()
        .unwrap_or_default();
    for sibling in siblings.iter().filter(|sibling| **sibling != format) {
        let mut config = config.clone();
        // What names the format inside the configuration, and what only the other form takes.
        for name in [
            "algorithm",
            "seeding_scheme",
            "watermark_type",
            "method",
            "sampling_table_size",
            "sampling_table_seed",
        ] {
            config.shift_remove(name);
        }
        changes.push(Change {
            what: format!("format {sibling}"),
            format: (*sibling).to_owned(),
            config,
            ..base.clone()
        });
    }
    for (rows, what) in [
        (
            Rows::PromptIncluded,
            "the prompt read as part of the response",
        ),
        (
            Rows::WithoutFirst,
            "the first token of each row left out (a begin-of-text token?)",
        ),
    ] {
        changes.push(Change {
            what: what.to_owned(),
            rows,
            ..base.clone()
        });
    }
    let mut seen: Vec<(String, Map<String, Value>, Rows)> = Vec::new();
    changes.retain(|change| {
        let key = (change.format.clone(), change.config.clone(), change.rows);
        let fresh = !seen.contains(&key);
        if fresh {
            seen.push(key);
        }
        fresh
    });
    changes
}

/// Whether a format has a field.
fn knows(format: &str, name: &str) -> bool {
    let families: &[&str] = match name {
        "greenlist_ratio" => &["hf-kgw"],
        "gamma" => &[
            "lmw-",
            "markllm-kgw",
            "markllm-unigram",
            "textseal-greenlist",
            "maryland",
        ],
        "context_width" => &["vllm-", "hf-kgw", "lmw-"],
        "context_window" | "mixing_probability" => &["sglang"],
        "ngram_len" | "sampling_table_seed" => &["hf-synthid", "deepmind-synthid"],
        "ngram" => &["textseal-", "maryland", "openai"],
        "prefix_length" => &["markllm-kgw", "markllm-exp"],
        "alpha" => &["vllm-dual", "textseal-dual"],
        "select_green_tokens" => &["lmw-"],
        "vocab_size" => &["hf-kgw", "lmw-", "markllm-", "maryland", "openai"],
        _ => &[],
    };
    families.iter().any(|family| format.starts_with(family))
}

/// The same keys as somebody else would have read them: a decimal number as hexadecimal, a list from its other end.
fn other_keys(config: &Map<String, Value>) -> Vec<(&'static str, Value, &'static str)> {
    let mut others = Vec::new();
    for name in ["key", "hashing_key", "hash_key", "secret_key", "seed"] {
        match config.get(name) {
            Some(Value::Number(number)) => {
                if let Ok(other) = u64::from_str_radix(&number.to_string(), 16) {
                    others.push((name, json!(other), "the key's digits read as hexadecimal"));
                }
            }
            Some(Value::String(text)) => {
                if let Ok(other) = text.parse::<u64>() {
                    others.push((
                        name,
                        json!(format!("{other:x}")),
                        "the key's digits read as decimal",
                    ));
                }
            }
            _ => {}
        }
    }
    if let Some(Value::Array(keys)) = config.get("keys") {
        others.push((
            "keys",
            Value::Array(keys.iter().rev().cloned().collect()),
            "the keys in reverse order",
        ));
    }
    others
}

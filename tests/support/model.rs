//! The real model of the gate: SmolLM2-135M-Instruct, pulled into the user's cache.

use std::path::PathBuf;
use std::sync::OnceLock;

use taggant_models::Llama;
use taggant_text::{Message, Tokenizer};

/// Where models and corpora are kept: what the command uses.
#[must_use]
pub fn cache() -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("TAGGANT_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("taggant")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache").join("taggant")))
        .expect("HOME is set")
}

/// The model's file, fetched if need be.
#[must_use]
pub fn path() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        taggant_models::pull("smollm2-135m", &cache(), |_| ()).expect("the model can be pulled")
    })
    .clone()
}

/// The model.
#[must_use]
pub fn model() -> &'static Llama {
    static MODEL: OnceLock<Llama> = OnceLock::new();
    MODEL.get_or_init(|| Llama::load(&path(), |_, _| ()).expect("the model loads"))
}

/// Its tokenizer.
#[must_use]
pub fn tokenizer() -> &'static Tokenizer {
    static TOKENIZER: OnceLock<Tokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(|| Tokenizer::open(path()).expect("the tokenizer loads"))
}

/// `count` different questions, as token ids in the model's chat form. At most 140.
#[must_use]
pub fn prompts(count: usize) -> Vec<Vec<u32>> {
    const TASKS: [&str; 7] = [
        "Explain to a curious reader how",
        "Write a short story about",
        "What are the most common mistakes people make with",
        "Give advice to a beginner who wants to know more about",
        "Describe the history of",
        "Write a letter to a friend about",
        "List some surprising facts about",
    ];
    const TOPICS: [&str; 20] = [
        "bridges",
        "bees",
        "the tides",
        "bread",
        "chess",
        "volcanoes",
        "printing",
        "maps",
        "glass",
        "trains",
        "gardens",
        "the moon",
        "violins",
        "salt",
        "lighthouses",
        "clocks",
        "rivers",
        "paper",
        "kites",
        "winter",
    ];
    assert!(count <= TASKS.len() * TOPICS.len());
    let tokenizer = tokenizer();
    (0..count)
        .map(|number| {
            let (task, topic) = (TASKS[number % TASKS.len()], TOPICS[number / TASKS.len()]);
            let text = tokenizer
                .chat(&[Message::user(&format!("{task} {topic}."))])
                .expect("the model has a chat template");
            tokenizer.encode_chat(&text).expect("a prompt encodes")
        })
        .collect()
}

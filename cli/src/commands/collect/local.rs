//! A suspect whose weights are at hand: anyone can ask it again and see the same answers.

use std::path::Path;

use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::json;
use taggant_collect::{Door, Miss, Reply, Request};
use taggant_evidence::transcript::Failure as Cause;
use taggant_models::{Limits, Llama};
use taggant_text::Tokenizer;
use taggant_watermark::Sampling;

use crate::commands::generate::encode_prompt;
use crate::failure::Result;
use crate::files;
use crate::marks;
use crate::write::Writer;

/// A request as it is written down.
#[derive(Deserialize)]
struct Body {
    prompt: String,
    temperature: f32,
    top_p: f32,
    max_tokens: usize,
    seed: u64,
}

/// Weights, and the tokenizer that comes with them.
pub(super) struct Local {
    model: Llama,
    tokenizer: Tokenizer,
    place: String,
}

impl Local {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let weights = files::digest(path)?;
        Ok(Self {
            tokenizer: marks::open_tokenizer(path)?,
            model: marks::load_model(path)?,
            place: json!({"weights": weights}).to_string(),
        })
    }

    /// The digest of the weights.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    fn answer(&self, request: &Body) -> Option<Vec<u8>> {
        let prompt = encode_prompt(&self.tokenizer, &request.prompt, false).ok()?;
        let hidden = ProgressBar::hidden();
        let writer = Writer {
            model: &self.model,
            vocabulary: self.tokenizer.vocabulary(),
            sampling: Sampling {
                temperature: request.temperature,
                top_p: request.top_p,
                ..Sampling::default()
            },
            seed: request.seed,
            limits: Limits::new(request.max_tokens),
            bar: &hidden,
        };
        let mut tokens = Vec::new();
        let wrote = writer.write(
            &[prompt],
            &[0],
            |_| None,
            |_, answer| {
                tokens = answer;
                Ok(())
            },
        );
        wrote.ok()?;
        let text = self.tokenizer.decode(&tokens).ok()?;
        let body = json!({
            "choices": [{"message": {"role": "assistant", "content": text}}],
            "usage": {"completion_tokens": tokens.len()},
            "tokens": tokens,
        });
        Some(body.to_string().into_bytes())
    }
}

impl Door for Local {
    fn body(&self, request: &Request<'_>) -> Vec<u8> {
        json!({
            "prompt": request.prompt,
            "temperature": request.sampling.temperature.value(),
            "top_p": request.sampling.top_p.value(),
            "max_tokens": request.sampling.max_tokens,
            "seed": request.seed,
        })
        .to_string()
        .into_bytes()
    }

    fn ask(&self, body: &[u8]) -> std::result::Result<Reply, Miss> {
        let answer = serde_json::from_slice(body)
            .ok()
            .and_then(|request: Body| self.answer(&request));
        let body = answer.ok_or_else(|| Miss::bare(Cause::Refused))?;
        Ok(Reply {
            body,
            headers: std::collections::BTreeMap::new(),
        })
    }
}

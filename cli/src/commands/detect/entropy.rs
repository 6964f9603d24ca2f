//! `detect --entropy`: units weighted by how much choice a model saw before them.

use std::cell::RefCell;

use taggant_core::{LeafKey, Record, Role};
use taggant_detector::{Collector, Response};
use taggant_models::{Exchange, Llama, Model, score_with};

use super::layers;
use super::line::EntropyLine;
use crate::failure::{Failure, Result};
use crate::marks;

/// Units with weights √H, H the entropy of a key-independent model's next token (√H did best in TextSeal's ablation).
pub(super) struct Entropy<'a> {
    model: Llama,
    layers: Vec<(Role, &'a LeafKey, Collector)>,
}

impl<'a> Entropy<'a> {
    pub(super) fn new(name: &str, record: &Record, keys: &[&'a LeafKey]) -> Result<Self> {
        Ok(Self {
            model: marks::load_model(&marks::resolve(name)?)?,
            layers: layers(record, keys)?,
        })
    }

    pub(super) fn add(&mut self, response: &Response<'_>) -> Result<()> {
        let weights = self.weights(response)?;
        for (_, _, collector) in &mut self.layers {
            collector.add_weighted(response, |before| {
                weights.get(before.response().len()).copied().unwrap_or(0.0)
            })?;
        }
        Ok(())
    }

    /// √H before each token of the response.
    fn weights(&self, response: &Response<'_>) -> Result<Vec<f64>> {
        let tokens = response.tokens;
        // A model needs something to begin with; the first token of a response is no unit's last, so it can serve.
        let (prompt, rest) = match response.prompt {
            Some(prompt) if !prompt.is_empty() => (prompt, tokens),
            _ => tokens.split_at(tokens.len().min(1)),
        };
        if prompt.is_empty() || rest.is_empty() {
            return Ok(vec![0.0; tokens.len()]);
        }
        let weights = RefCell::new(vec![0.0; tokens.len() - rest.len()]);
        let exchange = Exchange {
            prompt,
            response: rest,
        };
        score_with(
            &self.model as &dyn Model,
            &[exchange],
            1,
            |_| Ok(Vec::new()),
            |found: &mut Vec<f64>, _, logits| {
                found.push(entropy(logits).sqrt());
                Ok(())
            },
            |_, found| {
                weights.borrow_mut().extend(found);
                Ok(())
            },
        )
        .map_err(|error| {
            Failure::from(error)
                .hint("--entropy needs a model of the text's tokenizer with room for the whole row")
        })?;
        Ok(weights.into_inner())
    }

    pub(super) fn lines(self) -> Vec<EntropyLine> {
        let line = |(role, key, collector): (Role, &LeafKey, Collector)| {
            let units = collector.finish();
            let scored = units.score(&[key], 1).first().copied()?;
            Some(EntropyLine {
                layer: role.name(),
                bound: scored.p_value,
                near: units.near_tail(scored.score),
            })
        };
        self.layers.into_iter().filter_map(line).collect()
    }
}

/// Entropy in nats of the softmax of `logits`.
fn entropy(logits: &[f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut mass, mut sum) = (0.0, 0.0);
    for &logit in logits {
        let shifted = f64::from(logit - most);
        let weight = shifted.exp();
        mass += weight;
        sum += if weight > 0.0 { weight * shifted } else { 0.0 };
    }
    (mass.ln() - sum / mass).max(0.0)
}

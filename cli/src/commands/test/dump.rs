//! Dumps of next-token probabilities, from any engine.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use taggant_core::Record;

use crate::failure::{Failure, Result};
use crate::files;
use crate::rows::{self, Lines};

#[derive(Deserialize)]
struct Line {
    id: Option<Value>,
    prompt_tokens: Option<Vec<u32>>,
    tokens: Vec<u32>,
    top: Vec<Vec<(u32, f64)>>,
}

/// A text, and the most probable tokens at each of its positions, most probable first.
pub(super) struct Row {
    pub(super) prompt_tokens: Option<Vec<u32>>,
    pub(super) tokens: Vec<u32>,
    pub(super) top: Vec<Vec<(u32, f64)>>,
}

/// The rows of a dump by id.
pub(super) struct Dump {
    pub(super) rows: HashMap<String, Row>,
    pub(super) order: Vec<String>,
    /// Tokens of the shortest list that counts.
    pub(super) shortest: usize,
}

/// How far above 0 a rounded `ln p` may be, and how far above 1 the sum of a list.
const SLACK: f64 = 1e-3;

impl Dump {
    /// Reads a dump and keeps the `k` most probable tokens of each list.
    pub(super) fn read(path: &Path, record: &Record, k: usize) -> Result<Self> {
        let mut dump = Self {
            rows: HashMap::new(),
            order: Vec::new(),
            shortest: usize::MAX,
        };
        let mut lines = Lines::new(files::open(path)?);
        while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
            line.and_then(rows::parse::<Line>)
                .and_then(|line| dump.add(line, number, record, k))
                .map_err(|failure| {
                    failure.context(format_args!("{}, line {number}", path.display()))
                })?;
        }
        Ok(dump)
    }

    fn add(&mut self, line: Line, number: u64, record: &Record, k: usize) -> Result<()> {
        let id = line.id.unwrap_or_else(|| Value::from(number)).to_string();
        let tokenizer = record.tokenizer();
        tokenizer.check(&line.tokens)?;
        tokenizer
            .check(line.prompt_tokens.as_deref().unwrap_or_default())
            .map_err(|error| error.context("prompt"))?;
        if line.top.len() != line.tokens.len() {
            return Err(Failure::new(format!(
                "{} lists in `top` for {} tokens",
                line.top.len(),
                line.tokens.len()
            ))
            .hint("give one list for each token of the response, empty where nothing is known"));
        }
        // Positions before the first whole window are never scored.
        let first = record.layers().iter().map(|layer| layer.window).min();
        let mut top = Vec::with_capacity(line.top.len());
        for (position, list) in line.top.into_iter().enumerate() {
            if position >= first.unwrap_or(0) {
                if list.is_empty() {
                    return Err(Failure::new(format!("position {position}: an empty list"))
                        .hint("dump at least the most probable token at every position"));
                }
                self.shortest = self.shortest.min(list.len());
            }
            top.push(
                probable(list, tokenizer.vocabulary, k)
                    .map_err(|failure| failure.context(format_args!("position {position}")))?,
            );
        }
        let row = Row {
            prompt_tokens: line.prompt_tokens,
            tokens: line.tokens,
            top,
        };
        if self.rows.insert(id.clone(), row).is_some() {
            return Err(Failure::new(format!("id {id} occurs twice"))
                .hint("give each text an id of its own"));
        }
        self.order.push(id);
        Ok(())
    }
}

/// The `k` most probable tokens; of equals, the lowest ids.
fn probable(mut list: Vec<(u32, f64)>, vocabulary: usize, k: usize) -> Result<Vec<(u32, f64)>> {
    for (token, ln) in &mut list {
        if *token as usize >= vocabulary {
            return Err(Failure::new(format!(
                "token {token} is not in the vocabulary of {vocabulary} tokens"
            ))
            .hint("dump a model that has the record's tokenizer"));
        }
        if ln.is_nan() || *ln > SLACK {
            return Err(
                Failure::new(format!("token {token} has ln p = {ln}; it is at most 0"))
                    .hint("give natural logarithms of probabilities, not logits"),
            );
        }
        *ln = ln.exp().min(1.0);
    }
    let total: f64 = list.iter().map(|(_, p)| p).sum();
    if total > 1.0 + SLACK * 10.0 {
        return Err(Failure::new(format!(
            "probabilities come to {total:.3}; they are at most 1"
        ))
        .hint("give natural logarithms of probabilities at temperature 1"));
    }
    let mut ids: Vec<u32> = list.iter().map(|&(token, _)| token).collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(
            Failure::new(format!("token {} occurs twice", twice[0])).hint("give each token once")
        );
    }
    list.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    list.truncate(k);
    list.shrink_to_fit();
    Ok(list)
}

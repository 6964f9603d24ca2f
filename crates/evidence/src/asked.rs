//! What is asked: the prompts that chance drew, in order, with the seeds of their answers (SPEC.md §7.2).

use serde::{Deserialize, Serialize};
use taggant_core::{Error, ErrorKind, Result};

use crate::digest::Digest;
use crate::plan::{SealedPlan, Stopping};
use crate::trust::Ready;

const FORMAT: &str = "taggant-asked/1";

/// What is asked under a plan.
///
/// It can only be made of a plan that is [`Ready`], and so can a collection that takes it: nothing is asked before a plan's proofs hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    head: Head,
    rows: Vec<Question>,
}

/// A prompt that was drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its row in the pool, from 1.
    pub row: u32,
    /// The prompt.
    pub prompt: String,
    /// A seed for each of its answers.
    pub seeds: Vec<u64>,
}

/// What the draw follows from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    plan: Digest,
    chain: String,
    round: u64,
    value: String,
}

/// A row of a pool: a prompt and nothing else, because nothing else would be asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolRow {
    prompt: String,
}

impl Asked {
    /// Draws from a pool, the text of the file that the plan names.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] for another pool than the plan's, or a plan that is not the one that is ready; [`ErrorKind::Format`] for a row that is no prompt.
    pub fn draw(plan: &SealedPlan, ready: &Ready, pool: &str) -> Result<Self> {
        if ready.plan != plan.digest() {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "plan {} is ready, and {} is drawn from",
                    ready.plan,
                    plan.digest()
                ),
            ));
        }
        let prompts = prompts(plan, pool)?;
        let terms = plan.plan();
        let answers = match terms.stopping {
            Stopping::Fixed { answers } | Stopping::Sequential { answers } => answers,
        };
        // A plan asks at most 2^30 times, so the numbers of its seeds fit.
        let drawn = ready
            .draw
            .some("prompts", terms.pool.drawn, terms.pool.prompts);
        let rows = (0..)
            .zip(drawn)
            .map(|(number, place)| Question {
                row: place + 1,
                prompt: prompts[place as usize].clone(),
                seeds: (0..answers)
                    .map(|answer| ready.draw.seed("seeds", number * answers + answer))
                    .collect(),
            })
            .collect();
        Ok(Self {
            head: Head {
                format: FORMAT.to_owned(),
                plan: plan.digest(),
                chain: terms.beacon.chain.clone(),
                round: terms.beacon.round,
                value: base16ct::lower::encode_string(&ready.value),
            },
            rows,
        })
    }

    /// The plan that it is drawn under.
    #[must_use]
    pub fn plan(&self) -> Digest {
        self.head.plan
    }

    /// The prompts, in the order they are asked.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.rows
    }

    /// Answers to each prompt.
    #[must_use]
    pub fn answers(&self) -> u32 {
        let seeds = self.rows.first().map_or(0, |question| question.seeds.len());
        u32::try_from(seeds).unwrap_or(u32::MAX)
    }

    /// The file: what the draw follows from in the first line, then a prompt a line.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] where JSON cannot hold it.
    pub fn to_jsonl(&self) -> Result<String> {
        let line = |line: serde_json::Result<String>| {
            line.map(|line| line + "\n").map_err(|error| {
                Error::new(ErrorKind::Format, "a draw that JSON cannot hold").with_source(error)
            })
        };
        let mut text = line(serde_json::to_string(&self.head))?;
        for row in &self.rows {
            text += &line(serde_json::to_string(row))?;
        }
        Ok(text)
    }
}

/// The pool's prompts, which must be those that the plan names.
fn prompts(plan: &SealedPlan, pool: &str) -> Result<Vec<String>> {
    let wanted = &plan.plan().pool;
    let found = Digest::of(pool.as_bytes());
    if found != wanted.sha256 {
        return Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "SHA-256 {found}; the plan names {}; give the pool that was sealed with the plan",
                wanted.sha256
            ),
        ));
    }
    let prompts = (1..)
        .zip(pool.lines().filter(|line| !line.trim().is_empty()))
        .map(|(number, line)| {
            let wrong =
                |fault: String| Error::new(ErrorKind::Format, format!("row {number}: {fault}"));
            if !line.starts_with('{') {
                return Err(wrong("not a JSON object".to_owned()));
            }
            let row: PoolRow =
                serde_json::from_str(line).map_err(|error| wrong(format!("not a row: {error}")))?;
            Ok(row.prompt)
        })
        .collect::<Result<Vec<String>>>()?;
    if prompts.len() != wanted.prompts as usize {
        return Err(Error::new(
            ErrorKind::Mismatch,
            format!("{} rows; the plan names {}", prompts.len(), wanted.prompts),
        ));
    }
    Ok(prompts)
}

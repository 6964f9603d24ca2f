//! Next-token probabilities over a text: from the models themselves, or from dumps.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;
use taggant_core::Record;
use taggant_detector::distill::Lists;
use taggant_detector::{Response, Source};
use taggant_models::{Exchange, Llama, Model, log_sum_exp, score_beside};

use super::Tests;
use super::dump::{Dump, Row};
use crate::args::Test;
use crate::corpus::Corpus;
use crate::failure::{Failure, Result};
use crate::files;
use crate::marks;
use crate::output::say;
use crate::progress;

pub(super) fn open(args: &Test, record: &Record, tests: &mut Tests) -> Result<()> {
    match (&args.suspect, &args.suspect_dump) {
        (Some(model), _) => models(args, model, record, tests),
        (None, Some(dump)) => dumps(args, dump, record, tests),
        (None, None) => {
            Err(Failure::new("nothing of the suspect").hint("give --suspect or --suspect-dump"))
        }
    }
}

/// A text that models read.
struct Text {
    prompt: Option<Vec<u32>>,
    tokens: Vec<u32>,
    tokenizer: [u8; 32],
}

impl Text {
    fn response(&self) -> Response<'_> {
        let response = Response::ids(&self.tokens).with_source(Source::Ids {
            tokenizer: Some(self.tokenizer),
        });
        match &self.prompt {
            Some(prompt) => response.with_prompt(prompt),
            None => response,
        }
    }

    /// A model needs something to begin with; the first token of a response is no unit's last, so it can serve.
    fn exchange(&self) -> Exchange<'_> {
        let (prompt, response) = match self.prompt.as_deref() {
            Some(prompt) if !prompt.is_empty() => (prompt, &self.tokens[..]),
            _ => self.tokens.split_at(self.tokens.len().min(1)),
        };
        Exchange { prompt, response }
    }
}

/// Probable tokens of suspect and reference at one place.
type Pair = [Vec<(u32, f64)>; 2];

fn models(args: &Test, name: &str, record: &Record, tests: &mut Tests) -> Result<()> {
    let Some(path) = &args.text else {
        return Err(Failure::new("nothing for the suspect to read").hint("give --text"));
    };
    let mut corpus = Corpus::new(Some(name), record)?.for_model(args.raw);
    let digest = record.tokenizer().digest;
    let fits = corpus
        .tokenizer()
        .is_some_and(|tokenizer| tokenizer.digest() == digest);
    let mut texts = Vec::new();
    corpus.whole(path, files::open(path)?, |_, _, response| {
        if !fits {
            // The test says so itself.
            return Ok(tests.each(|test| test.probabilities(response, |_| [&[], &[]]))?);
        }
        texts.push(Text {
            prompt: response.prompt.map(<[u32]>::to_vec),
            tokens: response.tokens.to_vec(),
            tokenizer: digest,
        });
        Ok(())
    })?;
    // Without a token there is nothing to read.
    texts.retain(|text| !text.tokens.is_empty());
    if !fits || texts.is_empty() {
        return Ok(());
    }
    let suspect = marks::load_model(&marks::resolve(name)?)?;
    let reference = match &args.reference {
        None => None,
        Some(name) => {
            let path = marks::resolve(name)?;
            if marks::open_tokenizer(&path)?.digest() != digest {
                return Err(Failure::new(format!(
                    "{name}: the reference's tokenizer is not the record's"
                ))
                .hint(
                    "give a reference that reads the same ids, such as the suspect's public base",
                ));
            }
            Some(marks::load_model(&path)?)
        }
    };
    Forcing {
        texts: &texts,
        k: args.top_k as usize,
        vocabulary: record.tokenizer().vocabulary,
        tests,
    }
    .run(&suspect, reference.as_ref())
}

struct Forcing<'a> {
    texts: &'a [Text],
    k: usize,
    vocabulary: usize,
    tests: &'a mut Tests,
}

impl Forcing<'_> {
    fn run(self, suspect: &Llama, reference: Option<&Llama>) -> Result<()> {
        let exchanges: Vec<Exchange<'_>> = self.texts.iter().map(Text::exchange).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let bar = progress::bar(self.texts.len() as u64, "reading", "texts");
        let (k, vocabulary, texts, tests) = (self.k, self.vocabulary, self.texts, self.tests);
        // Rows are added in their own order, so that sums do not depend on the threads.
        let (mut waiting, mut next) = (BTreeMap::new(), 0);
        let done = |row: usize, pairs: Vec<Pair>| {
            bar.inc(1);
            waiting.insert(row, pairs);
            while let Some(pairs) = waiting.remove(&next) {
                let text: &Text = &texts[next];
                let missing = text.tokens.len() - pairs.len();
                tests.each(|test| {
                    test.probabilities(&text.response(), |position| {
                        match position
                            .checked_sub(missing)
                            .and_then(|place| pairs.get(place))
                        {
                            Some([suspect, reference]) => [suspect, reference],
                            None => [&[], &[]],
                        }
                    })
                })?;
                next += 1;
            }
            Ok(())
        };
        let start = |_| Ok(Vec::new());
        let outcome = match reference {
            None => score_beside(
                [suspect as &dyn Model],
                &exchanges,
                threads,
                start,
                |pairs: &mut Vec<Pair>, _, [suspect]| {
                    pairs.push([
                        top(&suspect[..vocabulary.min(suspect.len())], suspect, k),
                        Vec::new(),
                    ]);
                    Ok(())
                },
                done,
            ),
            Some(reference) => score_beside(
                [suspect as &dyn Model, reference],
                &exchanges,
                threads,
                start,
                |pairs: &mut Vec<Pair>, _, logits| {
                    pairs.push(union(logits, vocabulary, k));
                    Ok(())
                },
                done,
            ),
        };
        bar.finish_and_clear();
        outcome.map_err(|error| {
            Failure::from(error).hint("give shorter texts, or a model with room for them")
        })
    }
}

/// The `k` most probable of the first tokens, by id; of equals, the lowest ids.
fn most(logits: &[f32], k: usize) -> Vec<u32> {
    let mut ids: Vec<u32> = (0_u32..).take(logits.len()).collect();
    let value = |id: u32| logits[id as usize];
    if k < ids.len() {
        ids.select_nth_unstable_by(k, |&a, &b| value(b).total_cmp(&value(a)).then(a.cmp(&b)));
        ids.truncate(k);
    }
    ids.sort_unstable();
    ids
}

fn probabilities(ids: &[u32], logits: &[f32]) -> Vec<(u32, f64)> {
    let total = log_sum_exp(logits);
    ids.iter()
        .map(|&id| (id, (f64::from(logits[id as usize]) - total).exp().min(1.0)))
        .collect()
}

fn top(known: &[f32], logits: &[f32], k: usize) -> Vec<(u32, f64)> {
    probabilities(&most(known, k), logits)
}

/// Both models' probabilities at all tokens that are among the `k` most probable of either: a rule in which suspect and reference can
/// change places.
fn union(logits: [&[f32]; 2], vocabulary: usize, k: usize) -> Pair {
    let known = logits[0].len().min(logits[1].len()).min(vocabulary);
    let mut ids = most(&logits[0][..known], k);
    ids.extend(most(&logits[1][..known], k));
    ids.sort_unstable();
    ids.dedup();
    logits.map(|logits| probabilities(&ids, logits))
}

fn dumps(args: &Test, path: &Path, record: &Record, tests: &mut Tests) -> Result<()> {
    let k = args.top_k as usize;
    let suspect = Dump::read(path, record, k)?;
    let reference = args
        .reference_dump
        .as_deref()
        .map(|path| Dump::read(path, record, k))
        .transpose()?;
    if let Some(text) = &args.text {
        check(args, text, record, path, &suspect)?;
    }
    // Lists of one length: an engine that adds the text's own next token to its list must not tell us what it was.
    let shortest = suspect
        .shortest
        .min(reference.as_ref().map_or(usize::MAX, |dump| dump.shortest));
    if shortest < k && shortest != usize::MAX {
        say(&format!(
            "note: lists are cut to {shortest} tokens, the shortest one, and not to {k}"
        ));
    }
    let k = k.min(shortest);
    for id in &suspect.order {
        let row = &suspect.rows[id];
        let other = match (&reference, &args.reference_dump) {
            (Some(dump), Some(path)) => Some(beside(dump, path, id, row)?),
            _ => None,
        };
        let mut response = Response::ids(&row.tokens);
        if let Some(prompt) = &row.prompt_tokens {
            response = response.with_prompt(prompt);
        }
        let cut = |row: &Row, position: usize| -> Vec<(u32, f64)> {
            row.top[position].iter().take(k).copied().collect()
        };
        let pairs: Vec<Pair> = (0..row.tokens.len())
            .map(|position| {
                [
                    cut(row, position),
                    other.map_or(Vec::new(), |other| cut(other, position)),
                ]
            })
            .collect();
        tests.each(|test| {
            test.probabilities(&response, |position| -> Lists<'_> {
                let [suspect, reference] = &pairs[position];
                [suspect, reference]
            })
        })?;
    }
    Ok(())
}

/// The reference's row of the same text.
fn beside<'a>(dump: &'a Dump, path: &Path, id: &str, row: &Row) -> Result<&'a Row> {
    let Some(other) = dump.rows.get(id) else {
        return Err(
            Failure::new(format!("{}: no row with id {id}", path.display()))
                .hint("dump the reference over the same rows as the suspect"),
        );
    };
    if other.tokens != row.tokens || other.prompt_tokens != row.prompt_tokens {
        return Err(Failure::new(format!(
            "{}, row {id}: another text than the suspect's",
            path.display()
        ))
        .hint("dump the reference over the same prompt and tokens as the suspect"));
    }
    Ok(other)
}

/// Whether a dump is of these texts.
fn check(args: &Test, text: &Path, record: &Record, path: &Path, dump: &Dump) -> Result<()> {
    let mut corpus = Corpus::new(args.tokenizer.as_deref(), record)?.without_prompts();
    let mut texts: HashMap<String, Vec<u32>> = HashMap::new();
    corpus.whole(text, files::open(text)?, |_, name, response| {
        texts.insert(Value::to_string(&name.id), response.tokens.to_vec());
        Ok(())
    })?;
    for id in &dump.order {
        if texts.get(id) != Some(&dump.rows[id].tokens) {
            return Err(Failure::new(format!(
                "{}, row {id}: its tokens are not those of {}",
                path.display(),
                text.display()
            ))
            .hint("dump the rows of --text, with their ids and tokens"));
        }
    }
    if dump.order.len() < texts.len() {
        return Err(Failure::new(format!(
            "{}: {} rows for {} texts of {}",
            path.display(),
            dump.order.len(),
            texts.len(),
            text.display()
        ))
        .hint("dump every row: a choice made after looking is no test"));
    }
    Ok(())
}

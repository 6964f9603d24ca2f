//! Writes responses with a model: the loop that `generate` and `demo` share.

use std::sync::Arc;

use indicatif::ProgressBar;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use taggant_core::{Error, ErrorKind, Mark};
use taggant_models::{Limits, Llama, Model, generate};
use taggant_watermark::{Sampler, Sampling, Stream};

use crate::failure::Result;

/// How responses are written.
pub(crate) struct Writer<'a> {
    pub(crate) model: &'a Llama,
    /// Token ids of the tokenizer; logits a model has beyond them are never sampled.
    pub(crate) vocabulary: usize,
    pub(crate) sampling: Sampling,
    pub(crate) seed: u64,
    pub(crate) limits: Limits,
    pub(crate) bar: &'a ProgressBar,
}

impl Writer<'_> {
    /// Writes a response to every prompt, marked if there is a mark, and hands each to `done` with its row as soon as it is
    /// complete. A response depends on the seed, its row number and its prompt, never on the others.
    ///
    /// `rows` are the row numbers of the prompts, `mark` tells a prompt's mark by its place.
    pub(crate) fn write<'m>(
        &self,
        prompts: &[Vec<u32>],
        rows: &[u64],
        mark: impl Fn(usize) -> Option<&'m Arc<Mark>> + Sync,
        mut done: impl FnMut(u64, Vec<u32>) -> Result<()>,
    ) -> Result<()> {
        let max_tokens = self.limits.max_new_tokens;
        let chooser = |index: usize| {
            let mut sampler = Sampler::new(self.sampling)?;
            let mut stream = match mark(index) {
                Some(mark) => Stream::with_capacity(Arc::clone(mark), max_tokens)?,
                None => Stream::plain(),
            };
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(rows[index]);
            Ok(move |logits: &[f32]| {
                self.bar.inc(1);
                sampler.select(
                    &mut stream,
                    &logits[..self.vocabulary.min(logits.len())],
                    &mut rng,
                )
            })
        };
        // The model's loop knows only our common error, so a failure to write a row waits here until it is over.
        let mut failure = None;
        let outcome = generate(
            self.model as &dyn Model,
            prompts,
            self.limits,
            chooser,
            |response| {
                self.bar.inc((max_tokens - response.tokens.len()) as u64);
                done(rows[response.row], response.tokens).map_err(|told| {
                    failure = Some(told);
                    Error::new(ErrorKind::Io, "a finished response could not be written")
                })
            },
        );
        match failure {
            Some(told) => Err(told),
            None => Ok(outcome?),
        }
    }
}

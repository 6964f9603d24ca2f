//! Language models behind one small trait: token ids in, logits out.
//!
//! The simplest use: load a model, generate, and let a function of the logits choose every
//! token. Whether that function is greedy, samples, or embeds a mark is not this crate's concern.
//!
//! ```no_run
//! use taggant_models::{Limits, Llama, generate, pull};
//!
//! let path = pull("smollm2-135m", "models".as_ref(), |_| ())?;
//! let model = Llama::load(&path, |_, _| ())?;
//! let greedy = |logits: &[f32]| {
//!     let best = (0_u32..).zip(logits).max_by(|a, b| a.1.total_cmp(b.1));
//!     Ok(best.map_or(0, |(token, _)| token))
//! };
//! let prompts = [[1, 4093, 198], [1, 520, 9531]];
//! generate(&model, &prompts, Limits::new(50), |_row| Ok(greedy), |response| {
//!     println!("{}: {:?}", response.row, response.tokens);
//!     Ok(())
//! })?;
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! Further in:
//!
//! - [`score()`] gives the log-probabilities of text that exists already, and [`score_with`] shows
//!   the whole distribution at every token, and [`score_beside`] those of several models;
//! - [`Session`] is the engine itself: rows that advance together, join and leave;
//! - [`Toy`] is a model for tests, and [`conformance::check`] the test of a new engine;
//! - [`student`] trains a model, for experiments on what models learn;
//! - [`pull()`] fetches a model by name.
//!
//! # What it promises
//!
//! **A row is alone.** Its logits are the same to the last bit whatever else is in the batch,
//! whether its tokens came at once or one by one, on any number of threads, and on any CPU whose
//! `f32` follows IEEE 754. So an experiment can be repeated on another machine, and scoring a
//! response sees exactly the numbers that were there when it was generated.
//!
//! **Threads are counted by the caller.** Nothing runs in a hidden pool, nothing spins, nothing
//! reads the environment.
//!
//! **Model files are untrusted.** A damaged or hostile file is an error, in memory proportional
//! to its size.
//!
//! # What it does not promise
//!
//! - Only dense models of the Llama architecture run; others are refused by name.
//! - It computes on the CPU, in f32, exactly on the dequantised weights. llama.cpp rounds
//!   activations to 8 bits for quantised weights, so its log-probabilities differ from these by a
//!   few hundredths, and greedy choices now and then.
//! - A CPU without fused multiply-add (before 2013) gives the same numbers very slowly.
//! - Tokenizers and chat templates live elsewhere: here a prompt is token ids.

mod attention;
mod blocks;
pub mod conformance;
mod fanout;
mod file;
mod generate;
mod kernel;
mod llama;
mod matrix;
mod model;
mod pointwise;
mod pull;
mod reader;
mod score;
mod session;
pub mod student;
#[cfg(test)]
mod testing;
mod toy;

pub use crate::{
    generate::{Limits, Response, Stop, generate},
    llama::Llama,
    model::{Answers, Model, Session},
    pull::{Entry, Progress, catalogue, pull},
    score::{Exchange, Scored, log_sum_exp, score, score_beside, score_drafts, score_with},
    toy::Toy,
};

#[cfg(test)]
mod tests {
    #[test]
    fn public_types_cross_threads() {
        fn check<T: Send + Sync + std::fmt::Debug>() {}
        check::<crate::Llama>();
        check::<crate::Toy>();
        check::<crate::Limits>();
        check::<crate::Response>();
        check::<crate::Scored>();
        check::<crate::Exchange<'_>>();
        check::<crate::Entry>();
        check::<crate::Progress>();
        check::<Box<dyn crate::Model>>();
    }
}

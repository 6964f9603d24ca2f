//! Language models behind one small trait.
mod attention;
mod blocks;
pub mod conformance;
mod fanout;
mod generate;
mod gguf;
mod kernel;
mod llama;
mod matrix;
mod model;
mod pointwise;
mod pull;
mod score;
mod session;
#[cfg(test)]
mod testing;
mod toy;

pub use crate::{
    generate::{Limits, Response, Stop, generate},
    llama::Llama,
    model::{Answers, Model, Session},
    pull::{Entry, Progress, catalogue, pull},
    score::{Exchange, Scored, log_sum_exp, score, score_with},
    toy::Toy,
};

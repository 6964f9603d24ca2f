//! Unicode folding, words, graphemes and tokenizers.
#![doc = ""]

pub mod gguf;
pub mod tokenizer;

pub use gguf::Gguf;
pub use tokenizer::Tokenizer;

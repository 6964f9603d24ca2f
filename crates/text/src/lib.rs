//! What happens to text before a detector sees it: tokenizers, Unicode folding, words.
//!
//! Text to the token ids of a model, from the model's own file:
//!
//! ```no_run
//! # fn main() -> taggant_core::Result<()> {
//! use taggant_text::Tokenizer;
//!
//! let tokenizer = Tokenizer::open("model.gguf")?;
//! let ids = tokenizer.encode("All models leave traces.")?;
//! # Ok(())
//! # }
//! ```
//!
//! Undoing invisible characters, look-alikes and curly quotes first:
//!
//! ```
//! let folded = taggant_text::fold("All m\u{43E}dels\u{a0}leave traces.");
//! assert_eq!(folded.text, "All models leave traces.");
//! assert_eq!(folded.changes.confusables, 1);
//! ```
//!
//! - [`tokenizer`]: [`Tokenizer`], from GGUF or `tokenizer.json`; ids, bytes, digest.
//! - [`fold`](mod@fold): [`fold()`](fold()) and what exactly it changes.
//! - [`words`](mod@words): [`words()`](words()) and [`graphemes()`](graphemes()), with ranges.
//! - [`chat`](mod@chat): [`Tokenizer::chat`], a conversation as a chat model expects it.
//! - [`edits`]: reproducible damage, for robustness tests.
//! - [`similarity`](mod@similarity): [`similarity()`](similarity()), how much of two texts is the same words in the same order.
//! - [`gguf`]: [`Gguf`], the header of a model file, read as untrusted input.
//!
//! # What it does not promise
//!
//! Text is a copy of what a model produced, never the thing itself. Encoding a response again
//! may give other ids than were sampled, folding is a guess about what was written, and no
//! function here says how likely either is. Where ids were kept, use them.

pub mod chat;
pub mod edits;
pub mod fold;
pub mod gguf;
pub mod similarity;
pub mod tokenizer;
pub mod words;

#[doc(inline)]
pub use chat::Message;
#[doc(inline)]
pub use fold::{Changes, Folded, fold};
#[doc(inline)]
pub use gguf::Gguf;
#[doc(inline)]
pub use similarity::similarity;
#[doc(inline)]
#[cfg(feature = "tiktoken")]
pub use tokenizer::ENCODINGS;
pub use tokenizer::Tokenizer;
#[doc(inline)]
pub use words::{graphemes, words};

#[cfg(test)]
mod tests {
    #[test]
    fn public_types_cross_threads() {
        fn check<T: Send + Sync + std::fmt::Debug>() {}
        check::<crate::Tokenizer>();
        check::<crate::Gguf>();
        check::<crate::gguf::Value>();
        check::<crate::gguf::Array>();
        check::<crate::gguf::Tensor>();
        check::<crate::Folded<'_>>();
        check::<crate::words::Piece<'_>>();
        check::<crate::edits::Edited>();
    }
}

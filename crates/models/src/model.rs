//! The joint between this crate and everything that needs a language model.

use std::fmt::Debug;

use taggant_core::Result;

/// A language model: token ids in, logits out.
///
/// A model is shared between threads; each thread opens its own [`Session`]. The canonical entry
/// points are [`generate`](crate::generate()) and [`score`](crate::score()); implement the trait
/// to put another engine behind them.
pub trait Model: Debug + Send + Sync {
    /// Number of token ids; every row of logits has this length.
    fn vocabulary(&self) -> usize;

    /// Most tokens one row can hold, prompt and response together.
    fn context(&self) -> usize;

    /// The ids that end a response.
    fn stop_tokens(&self) -> &[u32];

    /// A session without rows.
    fn session(&self) -> Box<dyn Session + '_>;
}

/// Rows of tokens that are advanced together, and what the model remembers of each.
///
/// Rows may differ in length, join at any time and leave at any time. A row's logits must not
/// depend on the rows beside it, nor on how its tokens were divided between calls;
/// [`conformance::check`](crate::conformance::check) tries it bit for bit.
pub trait Session: Debug + Send {
    /// Number of rows.
    fn rows(&self) -> usize;

    /// Adds an empty row behind the others.
    fn open(&mut self);

    /// Adds a row behind the others that holds the first `length` tokens of row `row`: what prompts have in common is read once.
    ///
    /// # Errors
    /// [`Parameter`](taggant_core::ErrorKind::Parameter) if there is no row `row`, or it is shorter.
    fn fork(&mut self, row: usize, length: usize) -> Result<()>;

    /// Appends `tokens[r]` to row `r` and returns logits, `vocabulary` values for each answer.
    ///
    /// With [`Answers::Last`] every row that received a token answers once, for the token that
    /// follows its last one; with [`Answers::All`] it answers once for every token received.
    /// Answers come in order of rows, then of tokens. A row that receives no token gives none.
    ///
    /// # Errors
    /// [`Parameter`](taggant_core::ErrorKind::Parameter) unless there is one slice for each row,
    /// [`Token`](taggant_core::ErrorKind::Token) for an id outside the vocabulary and
    /// [`Limit`](taggant_core::ErrorKind::Limit) for a row that would outgrow the context.
    /// These are found before anything changes.
    fn advance(&mut self, tokens: &[&[u32]], answers: Answers) -> Result<&[f32]>;

    /// Drops every row `r` whose `keep[r]` is false; the others close up in order.
    ///
    /// # Errors
    /// [`Parameter`](taggant_core::ErrorKind::Parameter) unless there is one flag for each row.
    fn retain(&mut self, keep: &[bool]) -> Result<()>;
}

/// Which positions [`Session::advance`] answers for.
///
/// Exhaustive on purpose: an engine has to serve every variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answers {
    /// The last token of every row: generation.
    Last,
    /// Every token: scoring.
    All,
}

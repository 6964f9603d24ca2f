//! One response in the making.

use std::sync::Arc;

use taggant_core::window::identity;
use taggant_core::{Error, ErrorKind, Mark, Result, Scheme, Set};

/// The tokens of one response so far, with the mark it carries.
///
/// Marks may differ from stream to stream in one batch, so each account can have its own key.
#[derive(Clone, Debug)]
pub struct Stream {
    mark: Option<Arc<Mark>>,
    tokens: Vec<u32>,
    seen: Vec<Set>,
    next: Next,
}

/// What the next position is to the mark; worked out once, when the position comes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// No layer owns it.
    Free,
    /// `layer` owns it; `repeat` when its window occurred before in this response.
    Owned { layer: usize, repeat: bool },
}

impl Stream {
    /// The beginning of a response under `mark`.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when a layer's key is missing: half a mark must not be taken for a whole one.
    pub fn new(mark: Arc<Mark>) -> Result<Self> {
        Self::with_capacity(mark, 0)
    }

    /// As [`new`](Self::new), with room for `tokens` tokens, so that none of them allocates.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_capacity(mark: Arc<Mark>, tokens: usize) -> Result<Self> {
        if let Some(layer) = mark.layers().iter().find(|layer| layer.scheme().is_none()) {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "the {} key is missing; marking needs the key of every layer",
                    layer.role()
                ),
            ));
        }
        Ok(Self {
            seen: mark
                .layers()
                .iter()
                .map(|_| Set::with_capacity(tokens))
                .collect(),
            tokens: Vec::with_capacity(tokens),
            mark: Some(mark),
            next: Next::Free,
        })
    }

    /// The beginning of a response without a mark, through the same code.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            mark: None,
            tokens: Vec::new(),
            seen: Vec::new(),
            next: Next::Free,
        }
    }

    /// A response under `mark` after `tokens`: state is a function of the tokens, so this is how a saved stream is restored.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`ErrorKind::Token`] for an id outside the vocabulary.
    pub fn resume(mark: Arc<Mark>, tokens: &[u32]) -> Result<Self> {
        let mut stream = Self::with_capacity(mark, tokens.len())?;
        for &token in tokens {
            stream.push(token)?;
        }
        Ok(stream)
    }

    /// The response so far.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The mark, if there is one.
    #[must_use]
    pub fn mark(&self) -> Option<&Mark> {
        self.mark.as_deref()
    }

    /// Appends the token that was chosen. [`Sampler::select`](crate::Sampler::select) does this by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Token`] for an id outside the vocabulary; the stream is unchanged.
    pub fn push(&mut self, token: u32) -> Result<()> {
        if let Some(mark) = &self.mark {
            mark.record().tokenizer().check(&[token])?;
        }
        self.tokens.push(token);
        self.next = self.look_ahead();
        Ok(())
    }

    fn look_ahead(&mut self) -> Next {
        let position = self.tokens.len();
        let Some(mark) = &self.mark else {
            return Next::Free;
        };
        let Some(layer) = mark.partition().owner(&self.tokens, position) else {
            return Next::Free;
        };
        let window = &self.tokens[position - mark.layers()[layer].window()..];
        Next::Owned {
            layer,
            repeat: !self.seen[layer].insert(identity(window)),
        }
    }

    /// The scheme that marks the next token and the window it marks by; `None` when the token is sampled plainly.
    pub(crate) fn marking(&self) -> Option<(&dyn Scheme, &[u32])> {
        let Next::Owned { layer, repeat } = self.next else {
            return None;
        };
        let layer = &self.mark.as_ref()?.layers()[layer];
        let scheme = layer.scheme()?;
        let window = &self.tokens[self.tokens.len() - layer.window()..];
        (!repeat || !scheme.plain_on_repeat()).then_some((scheme, window))
    }
}

//! Reads one prompt after another, and what it has in common with the one before it only once.

use taggant_core::Result;

use crate::{Answers, Model, Session, session::in_common};

/// A session whose row 0 begins with a prompt.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    session: Box<dyn Session + 'a>,
    prompt: Vec<u32>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(model: &'a dyn Model) -> Self {
        Self {
            session: model.session(),
            prompt: Vec::new(),
        }
    }

    /// The session with `prompt` as its only row.
    ///
    /// # Errors
    /// Those of the session.
    pub(crate) fn read(&mut self, prompt: &[u32]) -> Result<&mut dyn Session> {
        let shared = in_common(&self.prompt, prompt);
        let others = self.session.rows();
        if others == 0 {
            self.session.open();
        } else {
            self.session.fork(0, shared)?;
        }
        let keep: Vec<bool> = (0..=others).map(|row| row == others).collect();
        self.session.retain(&keep)?;
        self.session.advance(&[&prompt[shared..]], Answers::Last)?;
        self.prompt.clear();
        self.prompt.extend_from_slice(prompt);
        Ok(&mut *self.session)
    }
}

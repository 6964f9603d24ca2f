//! Chat templates: from messages to the text a chat model was trained on.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, context};
use taggant_core::{Error, ErrorKind, Result};

use crate::Tokenizer;

/// One turn of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// `user`, `assistant` or `system`.
    pub role: &'static str,
    /// What was said.
    pub content: &'a str,
}

impl<'a> Message<'a> {
    /// What a user says.
    #[must_use]
    pub fn user(content: &'a str) -> Self {
        Self {
            role: "user",
            content,
        }
    }
}

impl Tokenizer {
    /// The conversation as the model's own template writes it, up to where the assistant's answer begins; for
    /// [`encode_chat`](Self::encode_chat).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the model has no chat template; [`ErrorKind::Format`] if its template is broken or refuses the
    /// conversation.
    pub fn chat(&self, messages: &[Message<'_>]) -> Result<String> {
        let template = self.chat_template().ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                "this model has no chat template; give it raw text to go on with",
            )
        })?;
        let token = |id: Option<u32>| {
            id.map(|id| self.token_literal(id))
                .transpose()
                .map(Option::unwrap_or_default)
        };
        // Hugging Face's settings, which templates are written for.
        let mut environment = Environment::new();
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build().map_err(broken)?);
        environment.add_function(
            "raise_exception",
            |message: String| -> std::result::Result<String, minijinja::Error> {
                Err(minijinja::Error::new(
                    minijinja::ErrorKind::InvalidOperation,
                    message,
                ))
            },
        );
        let turn =
            |message: &Message<'_>| context! { role => message.role, content => message.content };
        let values = context! {
            messages => messages.iter().map(turn).collect::<Vec<_>>(),
            add_generation_prompt => true,
            bos_token => token(self.bos())?,
            eos_token => token(self.eos())?,
        };
        environment.render_str(template, values).map_err(broken)
    }
}

fn broken(error: minijinja::Error) -> Error {
    Error::new(ErrorKind::Format, format!("chat template: {error}")).with_source(error)
}

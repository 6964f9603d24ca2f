//! One answer to one prompt, as the log keeps it (SPEC.md §1.2).

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use taggant_core::{LeafKey, Record, Result, check_id};

use super::entry::mark_digest;
use crate::digest::Digest;

const FIELD: &[u8] = b"taggant/v1/issuance-field";

/// What an exchange was served with: ids, contents and the mark, and never an account's own id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<Digest>,
    pub(super) prompt: Content,
    pub(super) response: Content,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mark: Option<Digest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) keys: Vec<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unmarked: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) twins: Option<Digest>,
}

impl Exchange {
    /// An exchange whose response carries the mark of `record`, all its layers used.
    #[must_use]
    pub fn marked(
        id: impl Into<String>,
        prompt: Content,
        response: Content,
        record: &Record,
    ) -> Self {
        let keys = record.layers().iter().map(|layer| layer.key.into());
        Self {
            mark: Some(mark_digest(record)),
            keys: keys.collect(),
            ..Self::bare(id.into(), prompt, response)
        }
    }

    /// An exchange whose response carries no mark, and why.
    #[must_use]
    pub fn unmarked(
        id: impl Into<String>,
        prompt: Content,
        response: Content,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            unmarked: Some(reason.into()),
            ..Self::bare(id.into(), prompt, response)
        }
    }

    fn bare(id: String, prompt: Content, response: Content) -> Self {
        Self {
            id,
            account: None,
            prompt,
            response,
            mark: None,
            keys: Vec::new(),
            unmarked: None,
            twins: None,
        }
    }

    /// The same exchange with the pseudonym of its account ([`LeafKey::pseudonym`]).
    #[must_use]
    pub fn with_account(self, pseudonym: impl Into<Digest>) -> Self {
        Self {
            account: Some(pseudonym.into()),
            ..self
        }
    }

    /// The same exchange with the commitment to its sealed answers.
    #[must_use]
    pub fn with_twins(self, commitment: impl Into<Digest>) -> Self {
        Self {
            twins: Some(commitment.into()),
            ..self
        }
    }

    /// The same exchange with digests in place of texts and tokens, under salts of the pseudonym key.
    ///
    /// # Errors
    /// As [`LeafKey::field_salt`].
    pub fn sealed(self, key: &LeafKey) -> Result<Self> {
        Ok(Self {
            prompt: self.prompt.sealed(key, &self.id, "prompt")?,
            response: self.response.sealed(key, &self.id, "response")?,
            ..self
        })
    }

    /// The exchange's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The account's pseudonym.
    #[must_use]
    pub fn account(&self) -> Option<&Digest> {
        self.account.as_ref()
    }

    /// The prompt.
    #[must_use]
    pub fn prompt(&self) -> &Content {
        &self.prompt
    }

    /// The response.
    #[must_use]
    pub fn response(&self) -> &Content {
        &self.response
    }

    /// Digest of the mark record that the response carries; none if it is unmarked.
    #[must_use]
    pub fn mark(&self) -> Option<&Digest> {
        self.mark.as_ref()
    }

    /// Commitments of the layers used.
    #[must_use]
    pub fn keys(&self) -> &[Digest] {
        &self.keys
    }

    /// Why the response carries no mark.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.unmarked.as_deref()
    }

    /// The commitment to the exchange's sealed answers.
    #[must_use]
    pub fn twins(&self) -> Option<&Digest> {
        self.twins.as_ref()
    }

    /// What in the exchange by itself is not as SPEC.md §1.2 says.
    pub(super) fn flaw(&self) -> Option<String> {
        if let Err(error) = check_id("exchange", &self.id) {
            return Some(error.to_string());
        }
        let marked = self.mark.is_some();
        if marked == self.unmarked.is_some() || marked == self.keys.is_empty() {
            return Some(
                "it needs either mark and keys or the reason why there is none".to_owned(),
            );
        }
        for (name, content) in [("prompt", &self.prompt), ("response", &self.response)] {
            if content.doubled() {
                return Some(format!("its {name} shows what it also hides"));
            }
        }
        None
    }
}

/// A prompt or a response: text, tokens, both, digests in their place, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text_digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<Vec<u32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens_digest: Option<Digest>,
}

impl Content {
    /// A content of text, of token ids, or of both.
    #[must_use]
    pub fn new(text: Option<String>, tokens: Option<Vec<u32>>) -> Self {
        Self {
            text,
            tokens,
            ..Self::default()
        }
    }

    /// A content of text.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self::new(Some(text.to_owned()), None)
    }

    /// A content of token ids.
    #[must_use]
    pub fn of_tokens(tokens: &[u32]) -> Self {
        Self::new(None, Some(tokens.to_vec()))
    }

    /// The text, where it is shown.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The token ids, where they are shown.
    #[must_use]
    pub fn tokens(&self) -> Option<&[u32]> {
        self.tokens.as_deref()
    }

    /// The digest of the text, where it is hidden.
    #[must_use]
    pub fn text_digest(&self) -> Option<&Digest> {
        self.text_digest.as_ref()
    }

    /// The digest of the token ids, where they are hidden.
    #[must_use]
    pub fn tokens_digest(&self) -> Option<&Digest> {
        self.tokens_digest.as_ref()
    }

    fn sealed(self, key: &LeafKey, exchange: &str, name: &str) -> Result<Self> {
        let seal = |what: &str, bytes: &[u8]| {
            let salt = key.field_salt(exchange, &format!("{name}.{what}"))?;
            Ok(field_digest(&salt, bytes))
        };
        let text = self.text.map(|text| seal("text", text.as_bytes()));
        let tokens = self.tokens.map(|tokens| {
            let bytes: Vec<u8> = tokens
                .iter()
                .flat_map(|token| token.to_be_bytes())
                .collect();
            seal("tokens", &bytes)
        });
        Ok(Self {
            text: None,
            text_digest: text.transpose()?.or(self.text_digest),
            tokens: None,
            tokens_digest: tokens.transpose()?.or(self.tokens_digest),
        })
    }

    fn doubled(&self) -> bool {
        (self.text.is_some() && self.text_digest.is_some())
            || (self.tokens.is_some() && self.tokens_digest.is_some())
    }
}

/// The digest that stands for a hidden field: of text in UTF-8, or of tokens as u32be each.
#[must_use]
pub fn field_digest(salt: &[u8; 32], bytes: &[u8]) -> Digest {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(FIELD)
        .chain_update(salt)
        .chain_update(bytes)
        .finalize()
        .into();
    hash.into()
}

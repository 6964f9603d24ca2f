//! Which model a suspect's label stands for, opened once scores are frozen (S-8).

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use taggant_core::Result;

use super::ANALYSIS;
use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::plan::Suspect;
use crate::statement::{Predicate, Subject, state};

/// The statement that opens the labels.
pub const SUSPECTS: &str = "reveal/suspects.dsse.json";

const DOMAIN: &[u8] = b"taggant/v1/identity";

/// A model's name and version under a salt: what is hashed into a plan and shown when scores are frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Name and version.
    pub name: String,
    /// 32 random bytes, so that nobody can try names.
    pub salt: Digest,
}

impl Identity {
    /// What a plan holds of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let hash: [u8; 32] = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(self.salt.bytes())
            .chain_update(&self.name)
            .finalize()
            .into();
        hash.into()
    }
}

/// The labels of a plan, opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// In the plan's order.
    pub suspects: Vec<Identity>,
}

impl Predicate for Named {
    const TYPE: &'static str = "urn:taggant:suspects:v1";
}

impl Named {
    /// The statement, not signed yet, about the analysis with this digest: it cannot have been made before.
    ///
    /// # Errors
    /// As [`state`].
    pub fn state(&self, analysis: Digest) -> Result<Envelope> {
        state(vec![Subject::new(ANALYSIS, analysis)], self)
    }

    /// The first of the plan's suspects that this does not open.
    pub(super) fn fault(&self, suspects: &[Suspect]) -> Option<String> {
        if self.suspects.len() != suspects.len() {
            return Some(format!(
                "{} names for the plan's {} suspects",
                self.suspects.len(),
                suspects.len()
            ));
        }
        let opens =
            |(identity, suspect): &(&Identity, &Suspect)| identity.digest() != suspect.identity;
        let mut pairs = self.suspects.iter().zip(suspects);
        pairs
            .find(opens)
            .map(|(_, suspect)| format!("not the name that the plan holds of {}", suspect.id))
    }
}

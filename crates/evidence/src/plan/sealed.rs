//! A plan under signatures.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use taggant_core::{Error, ErrorKind, Result};

use super::Plan;
use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::signing::{PublicKey, SigningKey};
use crate::statement::{Predicate, Subject, state, stated};

/// Longest sealed plan, in bytes.
pub const MAX_PLAN: usize = 1 << 24;

impl Plan {
    /// The files that a plan rests on, which its statement is about.
    fn subjects(&self) -> Vec<Subject> {
        vec![
            Subject::new("pool", self.pool.sha256),
            Subject::new("mark", self.mark),
        ]
    }

    /// Seals the plan: a signed statement about the files it rests on.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for a plan that breaks a rule, [`ErrorKind::Limit`] for one that would be longer than [`MAX_PLAN`] when sealed.
    pub fn seal(&self, key: &SigningKey) -> Result<Envelope> {
        self.check()?;
        let mut envelope = state(self.subjects(), self)?;
        envelope.sign(key);
        let length = envelope.to_json().len();
        if length > MAX_PLAN {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("a sealed plan of {length} bytes; at most {MAX_PLAN} are read"),
            ));
        }
        Ok(envelope)
    }
}

/// A plan as bare JSON.
#[derive(Serialize, Deserialize)]
struct Shape(Value);

impl Predicate for Shape {
    const TYPE: &'static str = Plan::TYPE;
}

/// A plan whose signatures were verified.
#[derive(Clone, Debug)]
pub struct SealedPlan {
    envelope: Envelope,
    plan: Plan,
    digest: Digest,
    file: Digest,
}

impl SealedPlan {
    /// Reads a sealed plan that at least one of `keys` signed.
    ///
    /// # Errors
    /// As [`stated`]; [`ErrorKind::Format`] for a plan that breaks a rule, or a statement about other files than those the plan names; [`ErrorKind::Limit`] above [`MAX_PLAN`] bytes.
    pub fn from_json(bytes: &[u8], keys: &[PublicKey]) -> Result<Self> {
        if bytes.len() > MAX_PLAN {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("a sealed plan of more than {MAX_PLAN} bytes"),
            ));
        }
        let envelope = Envelope::from_json(bytes)?;
        let (subjects, plan) = stated::<Plan>(&envelope, keys, 1)?;
        let (_, Shape(found)) = stated::<Shape>(&envelope, keys, 1)?;
        plan.is_spelled(&found)?;
        plan.check()?;
        if subjects != plan.subjects() {
            return Err(Error::new(
                ErrorKind::Format,
                "a sealed plan whose statement is about other files than the plan names",
            ));
        }
        Ok(Self {
            digest: Digest::of(&envelope.signed_bytes()),
            envelope,
            plan,
            file: Digest::of(bytes),
        })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The envelope, for further signatures and for its file.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// SHA-256 of the envelope's file, which is what is stamped and entered in logs.
    #[must_use]
    pub fn file(&self) -> Digest {
        self.file
    }

    /// The digest that stands for the plan in draws and transcripts: that of what is signed, which a further signature does not change.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

//! Whose accounts they are, on their custodian's word. It is hashed and linked here, and judged by nobody.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use taggant_core::Result;

use super::EPOCH;
use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::statement::{Predicate, Subject, state};
use crate::time::Time;

/// The custodian's statement.
pub const ACCOUNTS: &str = "exhibits/accounts.dsse.json";

/// An account, as its custodian knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its keyed pseudonym.
    pub pseudonym: Digest,
    /// Digest of the terms of service that were accepted.
    pub terms: Digest,
    /// When they were.
    pub accepted: Time,
    /// What links the account to somebody: means of payment, addresses, names; as texts or as digests.
    pub indicators: Vec<String>,
}

/// The accounts of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Each once.
    pub accounts: Vec<Account>,
}

impl Predicate for Accounts {
    const TYPE: &'static str = "urn:taggant:accounts:v1";
}

impl Accounts {
    /// The statement, not signed yet, about the commitment to the keys that these accounts were served under.
    ///
    /// # Errors
    /// As [`state`].
    pub fn state(&self, epoch: Digest) -> Result<Envelope> {
        state(vec![Subject::new(EPOCH, epoch)], self)
    }

    /// What is wrong with the list, if anything is.
    pub(super) fn fault(&self) -> Option<String> {
        let mut known = BTreeSet::new();
        let twice = |account: &&Account| !known.insert(account.pseudonym);
        match (self.accounts.iter().find(twice), self.accounts.is_empty()) {
            (Some(account), _) => Some(format!("{} stands there twice", account.pseudonym)),
            (None, true) => Some("no account".to_owned()),
            (None, false) => None,
        }
    }
}

//! What is proven of the time of a file.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::time::Time;
use crate::tlog::Logged;

/// Authorities that must agree before a time counts: none of them is believed alone.
pub const AUTHORITIES: usize = 2;

/// What is proven of the time of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchors {
    /// SHA-256 of the file.
    pub file: Digest,
    /// Authorities and the times their tokens prove, the earliest first.
    pub stamps: Vec<Stamp>,
    /// The log that the file stands in.
    pub logged: Option<Logged>,
}

/// One verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the file existed.
    pub time: Time,
    /// The authority's name.
    pub authority: String,
    /// Which of the trust file's authorities it is, by number: entries that share a key of root, signer or between are one.
    pub party: usize,
    /// The token's name.
    pub token: String,
    /// From when on the authority's tokens can be made by others.
    pub broken: Option<Time>,
    /// Whether it counts: one of a broken authority does where something shows that it existed before.
    pub counts: bool,
}

impl Anchors {
    /// The time by which [`AUTHORITIES`] that share no key vouch that the file existed: whoever doubts one of them still has the other.
    #[must_use]
    pub fn time(&self) -> Option<Time> {
        let mut parties = BTreeSet::new();
        let mut firsts = self
            .stamps
            .iter()
            .filter(|stamp| stamp.counts && parties.insert(stamp.party));
        firsts.nth(AUTHORITIES - 1).map(|stamp| stamp.time)
    }

    /// What is missing of two authorities and a log, in words; nothing when all is there.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let counting = self.stamps.iter().filter(|stamp| stamp.counts);
        let parties: BTreeSet<_> = counting.map(|stamp| stamp.party).collect();
        let mut missing = Vec::new();
        if parties.len() < AUTHORITIES {
            missing.push(format!(
                "time-stamps of {} more authorities",
                AUTHORITIES - parties.len()
            ));
        }
        if self.logged.is_none() {
            missing.push("a tlog-proof".to_owned());
        }
        missing
    }
}

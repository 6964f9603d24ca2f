//! What a verifier believes before it opens anything: authorities of time, logs and their witnesses. It comes from the verifier, never from what is
//! verified.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use taggant_core::{Error, ErrorKind, Result};

use crate::digest::Digest;
use crate::time::Time;
use crate::timestamp::{Authority, Token};
use crate::tlog::{self, Logged, Policy, Proof};

const FORMAT: &str = "taggant-trust/1";

/// Authorities that must agree before a time counts: none of them is believed alone.
pub const AUTHORITIES: usize = 2;

/// A trust file (SPEC.md §6).
///
/// ```
/// use taggant_evidence::Trust;
///
/// let trust = Trust::from_json(r#"{"format":"taggant-trust/1","authorities":[]}"#)?;
/// let anchors = trust.anchors(&[7; 32].into(), &[], None)?;
/// assert_eq!(anchors.time(), None); // nobody vouches for it yet
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Trust {
    authorities: Vec<Authority>,
    policy: Option<Policy>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustFile {
    format: String,
    authorities: Vec<Authority>,
    /// A C2SP tlog-policy, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    logs: Vec<String>,
}

/// What is proven of the time of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchors {
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
    /// The digest of its root: authorities under one root are one.
    pub root: Digest,
}

impl Anchors {
    /// The time by which [`AUTHORITIES`] of different roots vouch that the file existed: whoever doubts one of them still has the other.
    #[must_use]
    pub fn time(&self) -> Option<Time> {
        let mut roots = BTreeSet::new();
        let mut firsts = self.stamps.iter().filter(|stamp| roots.insert(stamp.root));
        firsts.nth(AUTHORITIES - 1).map(|stamp| stamp.time)
    }

    /// What is missing of two authorities and a log, in words; nothing when all is there.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let roots: BTreeSet<_> = self.stamps.iter().map(|stamp| stamp.root).collect();
        let mut missing = Vec::new();
        if roots.len() < AUTHORITIES {
            missing.push(format!(
                "time-stamps of {} more authorities",
                AUTHORITIES - roots.len()
            ));
        }
        if self.logged.is_none() {
            missing.push("a tlog-proof".to_owned());
        }
        missing
    }
}

impl Trust {
    /// Reads a trust file.
    ///
    /// # Errors
    /// [`ErrorKind::Format`], naming what is wrong with it.
    pub fn from_json(text: &str) -> Result<Self> {
        let wrong =
            |fault: String| Error::new(ErrorKind::Format, format!("not a trust file: {fault}"));
        let file: TrustFile =
            serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if file.format != FORMAT {
            return Err(wrong(format!(
                "its format is `{}`; this version reads {FORMAT}",
                file.format.escape_debug()
            )));
        }
        for authority in &file.authorities {
            if authority.from >= authority.until {
                return Err(wrong(format!(
                    "authority `{}` is believed from {} until {}, which is no time at all",
                    authority.name, authority.from, authority.until
                )));
            }
        }
        let policy = if file.logs.is_empty() {
            None
        } else {
            Some(file.logs.join("\n").parse()?)
        };
        Ok(Self {
            authorities: file.authorities,
            policy,
        })
    }

    /// What tokens and a tlog-proof prove of a file. All of them must hold: one that does not is a fault of whoever handed it over.
    ///
    /// # Errors
    /// Those of [`Token::from_der`], [`Authority::verify`] and [`Proof::verify`], with the token's name; [`ErrorKind::Mismatch`] for a token or a log of which the
    /// trust file says nothing.
    pub fn anchors(
        &self,
        file: &Digest,
        tokens: &[(&str, &[u8])],
        proof: Option<&Proof>,
    ) -> Result<Anchors> {
        let mut stamps = tokens
            .iter()
            .map(|(name, bytes)| self.stamp(file, bytes).map_err(|error| error.context(name)))
            .collect::<Result<Vec<_>>>()?;
        stamps.sort_by(|a, b| (a.time, &a.authority).cmp(&(b.time, &b.authority)));
        let logged = match (proof, &self.policy) {
            (None, _) => None,
            (Some(proof), Some(policy)) => Some(proof.verify(&tlog::entry(file), policy)?),
            (Some(_), None) => {
                return Err(Error::new(
                    ErrorKind::Mismatch,
                    "a tlog-proof, and a trust file without `logs`; name the logs and witnesses that are believed",
                ));
            }
        };
        Ok(Anchors { stamps, logged })
    }

    fn stamp(&self, file: &Digest, bytes: &[u8]) -> Result<Stamp> {
        let token = Token::from_der(bytes)?;
        let mut faults = Vec::new();
        for authority in &self.authorities {
            match authority.verify(&token, file) {
                Ok(time) => {
                    return Ok(Stamp {
                        time,
                        authority: authority.name.clone(),
                        root: authority.root.digest(),
                    });
                }
                Err(error) => faults.push((token.is_signed_by(&authority.signer), error)),
            }
        }
        // What the authority says whose signer the token names; without one, what is wrong is the signer.
        let named = faults
            .into_iter()
            .find(|(named, _)| *named)
            .map(|(_, error)| error);
        Err(named.unwrap_or_else(|| {
            Error::new(
                ErrorKind::Mismatch,
                format!(
                    "none of the trust file's {} authorities signed this time-stamp",
                    self.authorities.len()
                ),
            )
        }))
    }
}

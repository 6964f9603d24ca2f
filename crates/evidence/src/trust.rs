//! What a verifier believes before it opens anything: authorities of time, logs and their witnesses, signers, beacons. It comes from the verifier, never from what is
//! verified.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use taggant_core::{Error, ErrorKind, Result};

use crate::digest::Digest;
use crate::draw::Draw;
use crate::plan::{Round, SealedPlan};
use crate::signing::PublicKey;
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
    signers: Vec<Signer>,
    beacons: Vec<Beacon>,
}

/// Whose signature counts, and for what. Nobody signs in a role that the verifier did not give them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// What the signer answers for.
    pub role: SignerRole,
    /// The key.
    pub key: PublicKey,
}

/// What a signer answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignerRole {
    /// Plans the test and says what it shows.
    Examiner,
    /// Asks the suspect.
    Collector,
    /// Served what is marked, and holds its keys and logs.
    Provider,
}

/// A public randomness beacon: rounds at fixed times, each with a value that nobody knew before (drand, NIST).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beacon {
    /// What plans call it.
    pub chain: String,
    /// The time of round 1.
    pub genesis: Time,
    /// Seconds from one round to the next.
    pub period: u64,
    /// Values that the verifier looked up itself.
    #[serde(default)]
    pub values: Vec<Value>,
}

/// The value of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// Which round.
    pub round: u64,
    /// Its value, in lower-case hex.
    pub value: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustFile {
    format: String,
    authorities: Vec<Authority>,
    /// A C2SP tlog-policy, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    logs: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signers: Vec<Signer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    beacons: Vec<Beacon>,
}

/// A plan that may be carried out: sealed in time, its chance settled afterwards.
#[derive(Clone, Debug)]
pub struct Ready {
    /// When two authorities vouch that the sealed plan existed.
    pub sealed: Time,
    /// The time of the beacon's round, which is later.
    pub round: Time,
    /// Whether the verifier had looked up the round's value itself; else it was taken as given.
    pub looked_up: bool,
    /// What chance decides.
    pub draw: Draw,
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
        for (index, beacon) in file.beacons.iter().enumerate() {
            if beacon.period == 0
                || file.beacons[..index]
                    .iter()
                    .any(|other| other.chain == beacon.chain)
            {
                return Err(wrong(format!(
                    "beacon `{}` has no period, or stands there twice",
                    beacon.chain.escape_debug()
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
            signers: file.signers,
            beacons: file.beacons,
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

    /// The keys that sign in a role.
    #[must_use]
    pub fn keys(&self, role: SignerRole) -> Vec<PublicKey> {
        let signers = self.signers.iter().filter(|signer| signer.role == role);
        signers.map(|signer| signer.key.clone()).collect()
    }

    /// Whether a plan may be carried out (P-2, P-3): its file is anchored as [`anchors`](Self::anchors) found, and the round that it names is later. `value` is the
    /// round's value in bytes; without one, the verifier's own must be there.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] for a plan that lacks an anchor, a round that is not after it, a beacon that the trust file does not have, a value that is
    /// not the one looked up, or none.
    pub fn ready(
        &self,
        plan: &SealedPlan,
        anchors: &Anchors,
        value: Option<&[u8]>,
    ) -> Result<Ready> {
        let refuse = |fault: String| {
            Err(Error::new(
                ErrorKind::Mismatch,
                format!("the plan may not be carried out: {fault}"),
            ))
        };
        let missing = anchors.missing();
        let (Some(sealed), []) = (anchors.time(), &missing[..]) else {
            return refuse(format!("it lacks {}", missing.join(" and ")));
        };
        let Round { chain, round } = &plan.plan().beacon;
        let Some(beacon) = self.beacons.iter().find(|beacon| beacon.chain == *chain) else {
            return refuse(format!(
                "the trust file has no beacon `{}`",
                chain.escape_debug()
            ));
        };
        let time = beacon.time(*round)?;
        if time <= sealed {
            return refuse(format!(
                "round {round} of `{chain}` is of {time}, and the plan is vouched for only by {sealed}; whoever wrote it could have known the value"
            ));
        }
        let known = beacon.values.iter().find(|value| value.round == *round);
        let known = known
            .map(|value| {
                base16ct::lower::decode_vec(&value.value)
                    .map_err(|_| Error::new(ErrorKind::Format, format!("trust file, beacon `{chain}`: the value of round {round} is not lower-case hex")))
            })
            .transpose()?;
        let used = match (value, &known) {
            (Some(given), Some(known)) if given != known => {
                return refuse(format!(
                    "the value given for round {round} of `{chain}` is not the one in the trust file"
                ));
            }
            (Some(given), _) => given,
            (None, Some(known)) => known,
            (None, None) => {
                return refuse(format!("no value of round {round} of `{chain}` is at hand"));
            }
        };
        Ok(Ready {
            sealed,
            round: time,
            looked_up: known.is_some(),
            draw: Draw::new(&plan.digest(), used)?,
        })
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

impl Beacon {
    /// When a round's value comes into the world.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a round past the year 9999.
    pub fn time(&self, round: u64) -> Result<Time> {
        let seconds = round.saturating_sub(1).saturating_mul(self.period);
        Time::from_unix_millis(
            self.genesis
                .unix_millis()
                .saturating_add(seconds.saturating_mul(1000)),
        )
    }
}

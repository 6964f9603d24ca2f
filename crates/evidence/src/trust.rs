//! What a verifier believes before it opens anything: authorities of time, logs and their witnesses, signers, beacons. It comes from the verifier, never from what is
//! verified.

use serde::{Deserialize, Serialize};
use taggant_core::{Error, ErrorKind, Result};

use crate::anchors::{Anchors, Stamp};
use crate::beacon::Beacon;
use crate::digest::Digest;
use crate::draw::{Draw, MAX_VALUE};
use crate::note::Note;
use crate::plan::{Round, SealedPlan};
use crate::signing::{Kind, PublicKey};
use crate::time::Time;
use crate::timestamp::{Authority, Token};
use crate::tlog::{self, Head, Policy, Proof};

const FORMAT: &str = "taggant-trust/1";

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
    /// The smallest place of an entry that is the same authority, for each entry.
    parties: Vec<usize>,
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

impl SignerRole {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Examiner, Self::Collector, Self::Provider];

    /// The role, in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Examiner => "examiner",
            Self::Collector => "collector",
            Self::Provider => "provider",
        }
    }
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
    /// The plan's digest.
    pub plan: Digest,
    /// When two authorities vouch that the sealed plan existed.
    pub sealed: Time,
    /// When a quorum of witnesses had seen it in a log, where others can count a case's plans.
    pub seen: Time,
    /// The time of the beacon's round, which is later than both.
    pub round: Time,
    /// The round's value, as the verifier looked it up.
    pub value: Vec<u8>,
    /// What chance decides.
    pub draw: Draw,
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
        for signer in &file.signers {
            if signer.key.kind() != Kind::Plain {
                return Err(wrong(format!(
                    "signer `{}` has a key that cosigns checkpoints; one of type 1 signs",
                    signer.key.name()
                )));
            }
        }
        for beacon in &file.beacons {
            for (index, value) in beacon.values.iter().enumerate() {
                if value.bytes().is_none()
                    || beacon.values[..index]
                        .iter()
                        .any(|other| other.round == value.round)
                {
                    return Err(wrong(format!(
                        "beacon `{}`, round {}: a value that is not 1 to {MAX_VALUE} bytes in lower-case hex, or stands there twice",
                        beacon.chain.escape_debug(),
                        value.round
                    )));
                }
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
            parties: parties(&file.authorities)?,
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
            .map(|(name, bytes)| {
                self.stamp(file, name, bytes)
                    .map_err(|error| error.context(name))
            })
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
        Ok(Anchors {
            file: *file,
            stamps,
            logged,
        })
    }

    /// How many logs are believed.
    pub(crate) fn logs(&self) -> usize {
        self.policy.as_ref().map_or(0, Policy::logs)
    }

    /// What a log's signed checkpoint proves.
    ///
    /// # Errors
    /// Those of [`Policy::head`]; [`ErrorKind::Mismatch`] for a trust file that names no log.
    pub fn head(&self, checkpoint: &Note) -> Result<Head> {
        match &self.policy {
            Some(policy) => policy.head(checkpoint),
            None => Err(Error::new(
                ErrorKind::Mismatch,
                "a log's checkpoint, and a trust file without `logs`; name the logs and witnesses that are believed",
            )),
        }
    }

    /// Until when the authority of this name is believed.
    #[must_use]
    pub fn until(&self, authority: &str) -> Option<Time> {
        let own = self.authorities.iter().find(|own| own.name == authority);
        own.map(|own| own.until)
    }

    /// The keys that sign in a role.
    #[must_use]
    pub fn keys(&self, role: SignerRole) -> Vec<PublicKey> {
        let signers = self.signers.iter().filter(|signer| signer.role == role);
        signers.map(|signer| signer.key.clone()).collect()
    }

    /// Whether a plan may be carried out (P-2, P-3): two authorities and a log's witnesses vouch for its file, all before the round that it names, and the verifier has looked the round's
    /// value up. Stamps alone would not do: plans can be stamped by the thousand and kept back, and only a log shows how many there are.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] for a plan that lacks an anchor, anchors of another file, a round that is not after them, or a round that the trust file has no value of.
    pub fn ready(&self, plan: &SealedPlan, anchors: &Anchors) -> Result<Ready> {
        let refuse = |fault: String| {
            Err(Error::new(
                ErrorKind::Mismatch,
                format!("the plan may not be carried out: {fault}"),
            ))
        };
        if anchors.file != plan.file() {
            return refuse(format!(
                "its file is {}, and the anchors are of {}",
                plan.file(),
                anchors.file
            ));
        }
        let missing = anchors.missing();
        let (Some(sealed), Some(logged), []) = (anchors.time(), &anchors.logged, &missing[..])
        else {
            return refuse(format!("it lacks {}", missing.join(" and ")));
        };
        let Some(seen) = logged.seen else {
            return refuse("the trust file's log policy asks for no witness, so nobody says when the log had it; name a quorum".to_owned());
        };
        let Round { chain, round } = &plan.plan().beacon;
        let Some(beacon) = self.beacons.iter().find(|beacon| beacon.chain == *chain) else {
            return refuse(format!(
                "the trust file has no beacon `{}`",
                chain.escape_debug()
            ));
        };
        let time = beacon.time(*round)?;
        if time <= sealed.max(seen) {
            return refuse(format!(
                "round {round} of `{chain}` is of {time}, and the plan is vouched for by {sealed} and was seen in its log by {seen}; whoever wrote it could have known the value"
            ));
        }
        let Some(value) = beacon.values.iter().find(|value| value.round == *round) else {
            return refuse(format!(
                "the trust file has no value of round {round} of `{chain}`; look it up when the round is over, and enter it"
            ));
        };
        let value = value.bytes().unwrap_or_default();
        Ok(Ready {
            plan: plan.digest(),
            sealed,
            seen,
            round: time,
            draw: Draw::new(&plan.digest(), &value)?,
            value,
        })
    }

    /// From when on a party's tokens can be made by others: the earliest that is said of any entry that is this party.
    fn broken(&self, party: usize) -> Option<Time> {
        let entries = self.authorities.iter().zip(&self.parties);
        let own = entries.filter(|(_, other)| **other == party);
        own.filter_map(|(authority, _)| authority.broken).min()
    }

    fn stamp(&self, file: &Digest, name: &str, bytes: &[u8]) -> Result<Stamp> {
        let token = Token::from_der(bytes)?;
        let mut faults = Vec::new();
        for (authority, party) in self.authorities.iter().zip(&self.parties) {
            match authority.verify(&token, file) {
                Ok(time) => {
                    let broken = self.broken(*party);
                    return Ok(Stamp {
                        time,
                        authority: authority.name.clone(),
                        party: *party,
                        token: name.to_owned(),
                        broken,
                        counts: broken.is_none(),
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

/// For each authority the first that is the same: one that shares a key with it, or with one that does.
fn parties(authorities: &[Authority]) -> Result<Vec<usize>> {
    let keys: Vec<_> = authorities
        .iter()
        .map(Authority::keys)
        .collect::<Result<_>>()?;
    let mut parties: Vec<usize> = (0..authorities.len()).collect();
    for (b, theirs) in keys.iter().enumerate() {
        for (a, ours) in keys[..b].iter().enumerate() {
            if ours.iter().any(|key| theirs.contains(key)) {
                let (from, to) = (parties[a].max(parties[b]), parties[a].min(parties[b]));
                parties
                    .iter_mut()
                    .filter(|party| **party == from)
                    .for_each(|party| *party = to);
            }
        }
    }
    Ok(parties)
}

//! A log's head, and who has seen it.

use taggant_core::Result;

use super::{Policy, unproven};
use crate::digest::Digest;
use crate::note::{Checkpoint, Note};
use crate::signing::Kind;
use crate::time::Time;

/// What a signed checkpoint proves, under a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The log's origin.
    pub log: String,
    /// Its entries.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// Witnesses whose cosignatures were verified, by name and time.
    pub witnesses: Vec<(String, Time)>,
    /// When the policy's quorum of witnesses had seen it; none under a policy that asks for no witness.
    pub seen: Option<Time>,
}

impl Policy {
    /// What a checkpoint proves.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](taggant_core::ErrorKind::Mismatch) when it is not signed by a log of the policy under its own name, or when too few of the policy's
    /// witnesses cosigned it; [`ErrorKind::Format`](taggant_core::ErrorKind::Format) for a note that is no checkpoint.
    pub fn head(&self, checkpoint: &Note) -> Result<Head> {
        let signed = checkpoint.verify(self.keys())?;
        let Checkpoint { origin, size, root } = checkpoint.text().parse()?;
        if !signed
            .iter()
            .any(|signed| signed.key.kind() == Kind::Plain && signed.key.name() == origin)
        {
            return Err(unproven(format_args!(
                "no log of the policy signed the checkpoint of `{}`",
                origin.escape_debug()
            )));
        }
        let witnesses: Vec<(String, Time)> = signed
            .iter()
            .filter_map(|signed| Some((signed.key.name().to_owned(), signed.time?)))
            .collect();
        // When the quorum was reached: at the first time by which enough of them had seen it.
        let quorum_by = |time: Option<Time>| {
            self.quorum_holds(&|key| {
                signed
                    .iter()
                    .any(|signed| signed.key == key && signed.time <= time && signed.time.is_some())
            })
        };
        let mut times: Vec<Time> = signed.iter().filter_map(|signed| signed.time).collect();
        times.sort_unstable();
        let before_anyone = quorum_by(None);
        let seen = times
            .into_iter()
            .find(|time| !before_anyone && quorum_by(Some(*time)));
        if !before_anyone && seen.is_none() {
            return Err(unproven(format_args!(
                "{} witnesses cosigned the checkpoint, too few for the policy's quorum",
                witnesses.len()
            )));
        }
        Ok(Head {
            log: origin,
            size,
            root,
            witnesses,
            seen,
        })
    }
}

//! The keys: that each was committed to.

use taggant_core::{CONTROLS as CONTROL_KEYS, Epoch, LeafKey, Reveal, Role};

use super::super::folder::Folder;
use super::super::{CONTROLS, EPOCH, REVEAL};
use super::{Found, told};
use crate::digest::Digest;
use crate::plan::SealedPlan;

pub(super) fn epoch(folder: &Folder) -> Found<Epoch> {
    let epoch = Epoch::from_json(&folder.text(EPOCH).map_err(told)?)
        .map_err(|error| format!("{EPOCH}: {error}"))?;
    let detail = format!(
        "{EPOCH}: epoch `{}`, {} leaves, root {}",
        epoch.label(),
        epoch.leaves().len(),
        Digest::from(epoch.root())
    );
    Ok((epoch, detail))
}

/// Reveals of one file, each of this epoch.
fn reveals(folder: &Folder, name: &str, epoch: &Epoch) -> Result<Vec<LeafKey>, String> {
    let text = folder.text(name).map_err(told)?;
    // Hashes the whole tree.
    let root = epoch.root();
    (1..)
        .zip(text.lines())
        .map(|(line, text)| {
            let reveal =
                Reveal::from_json(text).map_err(|error| format!("{name}, line {line}: {error}"))?;
            let own = reveal.root() == root
                && reveal.size() == epoch.leaves().len() as u64
                && reveal.key().path().epoch() == epoch.label();
            if !own {
                return Err(format!(
                    "{name}, line {line}: a key of another epoch than {EPOCH}"
                ));
            }
            Ok(reveal.key().clone())
        })
        .collect()
}

pub(super) fn keys(folder: &Folder, plan: &SealedPlan, epoch: &Epoch) -> Found<Vec<LeafKey>> {
    let keys = reveals(folder, REVEAL, epoch)?;
    let planned = &plan.plan().keys;
    let root = Digest::from(epoch.root());
    if let Some(other) = keys
        .iter()
        .find(|key| matches!(key.path().role(), Role::Control | Role::Decoy))
    {
        return Err(format!(
            "{REVEAL}: {} was never issued, so it cannot be tested",
            other.path()
        ));
    }
    let as_planned = keys.len() == planned.len()
        && keys.iter().zip(planned).all(|(key, planned)| {
            Digest::from(key.commitment()) == planned.commitment && planned.epoch == root
        });
    if !as_planned {
        return Err(format!(
            "{REVEAL}: not the keys that the plan names, in its order"
        ));
    }
    let detail = format!("{REVEAL}: {} keys, committed before", keys.len());
    Ok((keys, detail))
}

/// Control keys: different ones, as many as the plan asks for.
pub(super) fn controls(folder: &Folder, plan: &SealedPlan, epoch: &Epoch) -> Found<Vec<LeafKey>> {
    let keys = reveals(folder, CONTROLS, epoch)?;
    // All of them, in order: whoever may leave some out chooses the rank.
    let all = (0..CONTROL_KEYS).map(|number| format!("{}/control/{number:04}", epoch.label()));
    if !keys.iter().map(|key| key.path().to_string()).eq(all) {
        return Err(format!(
            "{CONTROLS}: not the epoch's {CONTROL_KEYS} control keys, by number"
        ));
    }
    let wanted = plan.plan().controls.keys as usize;
    if keys.len() < wanted {
        return Err(format!(
            "{CONTROLS}: {} keys; the plan asks for {wanted}",
            keys.len()
        ));
    }
    let detail = format!("{CONTROLS}: {} keys, committed before", keys.len());
    Ok((keys, detail))
}

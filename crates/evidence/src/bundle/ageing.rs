//! Which time-stamps will soon be nobody's word, and how they are renewed (V-6).

use super::folder::{Folder, is_seal};
use super::{EPOCH, MANIFEST, PLAN, REVEAL, TRANSCRIPT};
use crate::time::Time;
use crate::trust::Trust;

/// The anchored files of a bundle whose last authority is not believed beyond `soon`, and until when it is: they are to be stamped again before.
#[must_use]
pub fn ageing(folder: &Folder, trust: &Trust, soon: Time) -> Vec<(&'static str, Time)> {
    let last = |name: &'static str| {
        let authority = |found: &str| {
            let rest = found.strip_prefix(name)?.strip_prefix('.')?;
            trust.until(rest.strip_suffix(".tsr")?)
        };
        Some((name, folder.names().filter_map(authority).max()?))
    };
    // A stamp over the manifest is one over all that it lists.
    let renewed = last(MANIFEST).map(|(_, until)| until);
    let files = [EPOCH, PLAN, TRANSCRIPT, REVEAL].into_iter();
    files
        .filter_map(last)
        .map(|(name, until)| (name, renewed.map_or(until, |renewed| renewed.max(until))))
        .filter(|(_, until)| *until < soon)
        .collect()
}

/// What a closed bundle's stamps are renewed by: new ones over the manifest, which lists all others, and over each stamp that the manifest has got since. Done before an authority
/// breaks, they show that its tokens existed before.
#[must_use]
pub fn to_renew(folder: &Folder) -> Vec<&str> {
    let stamps = (folder.names()).filter(|name| is_seal(name) && name.ends_with(".tsr"));
    let manifest = folder.names().filter(|name| *name == MANIFEST);
    manifest.chain(stamps).collect()
}

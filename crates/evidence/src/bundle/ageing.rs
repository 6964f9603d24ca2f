//! Which time-stamps will soon be nobody's word (V-6).

use super::folder::Folder;
use super::{EPOCH, PLAN, REVEAL, TRANSCRIPT};
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
    let files = [EPOCH, PLAN, TRANSCRIPT, REVEAL].into_iter();
    files
        .filter_map(last)
        .filter(|(_, until)| *until < soon)
        .collect()
}

//! Configuration files of other systems' engines.

use std::path::Path;

use zeroize::Zeroizing;

use crate::failure::Result;
use crate::files;
use crate::output::say;

/// A configuration is a few hundred bytes; one that names its keys one by one, a few thousand.
const MAX_CONFIG: u64 = 1 << 20;

/// Reads an engine's configuration. It holds the key, but engines do not insist that it is private, so neither do we.
pub(crate) fn read_config(path: &Path) -> Result<Zeroizing<String>> {
    if files::is_open_to_others(path) {
        say(&format!(
            "note: others can read {}, which holds a key; run `chmod 600 {}`",
            path.display(),
            path.display()
        ));
    }
    files::read_text(path, MAX_CONFIG)
}

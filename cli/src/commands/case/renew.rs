//! `case renew`: what is to be stamped again before an authority is nobody's word.

use std::fs;
use std::path::Path;

use taggant_evidence::bundle::{Folder, MANIFEST, to_renew};
use taggant_evidence::timestamp::request;

use crate::Answer;
use crate::failure::{Failure, Result};
use crate::files::Output;
use crate::output::say;

/// Writes the requests to time-stamping authorities, beside the bundle: nothing in it changes.
pub(super) fn run(path: &Path, out: &Path) -> Result<Answer> {
    let folder = Folder::open(path)?;
    if !folder.has(MANIFEST) {
        return Err(
            Failure::new(format!("{}: it has no {MANIFEST}", path.display())).hint(
                "a case that is not closed is anchored file by file: `taggant anchor request`",
            ),
        );
    }
    fs::create_dir(out)
        .map_err(|error| Failure::io(out, &error).hint("give a folder that is not there yet"))?;
    write(&folder, path, out).inspect_err(|_| {
        // Some of the requests would be taken for all.
        let _ = fs::remove_dir_all(out);
    })?;
    Ok(Answer::Yes)
}

fn write(folder: &Folder, path: &Path, out: &Path) -> Result<()> {
    for name in to_renew(folder) {
        let to = out.join(format!("{name}.tsq"));
        let mut output = Output::fresh(&to)?;
        output.bytes(&request(&folder.digest(name)?))?;
        output.finish()?;
        say(&format!(
            "{}: send it to two authorities, and put what each answers into {} as {name}.AUTHORITY.tsr",
            to.display(),
            path.display()
        ));
    }
    Ok(())
}

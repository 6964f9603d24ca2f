//! `model pull`.

use std::path::PathBuf;

use taggant_core::ErrorKind;
use taggant_models::{Progress, pull};

use crate::Answer;
use crate::args::Model;
use crate::failure::{Failure, Result};
use crate::marks;
use crate::output::say;
use crate::progress;

pub(crate) fn run(command: &Model) -> Result<Answer> {
    let Model::Pull { name } = command;
    let path = fetch(name)?;
    say(&format!("{}: ready", path.display()));
    Ok(Answer::Yes)
}

/// Puts a model into the cache, with a bar, and returns its path. Returns at once when it is there.
pub(crate) fn fetch(name: &str) -> Result<PathBuf> {
    let bar = progress::bytes(0, "fetching");
    let path = pull(name, &marks::cache()?, |step| {
        let (what, done, total) = match step {
            Progress::Fetching(done, total) => ("fetching", done, total),
            Progress::Unpacking(done, total) => ("unpacking", done, total),
            _ => return,
        };
        bar.set_prefix(what);
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    path.map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::Unsupported => "install Python 3 with pip",
            ErrorKind::Mismatch | ErrorKind::Format => "run the command again; if it repeats, the package was changed",
            ErrorKind::Parameter => "any GGUF file works as well: give its path to --model",
            _ => "check the connection to the package registry and the room on the disk, then run the command again",
        };
        Failure::from(error).hint(hint)
    })
}

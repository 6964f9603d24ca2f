//! `model pull | tokenizer`.

use std::path::{Path, PathBuf};

use taggant_core::ErrorKind;
use taggant_evidence::Digest;
use taggant_models::{Progress, pull};
use taggant_text::{Gguf, Tokenizer};

use crate::Answer;
use crate::args::Model;
use crate::failure::{Failure, Result};
use crate::files::Output;
use crate::marks;
use crate::output::say;
use crate::progress;

pub(crate) fn run(command: &Model) -> Result<Answer> {
    match command {
        Model::Pull { name } => {
            let path = fetch(name)?;
            say(&format!("{}: ready", path.display()));
        }
        Model::Tokenizer { model, out } => tokenizer(model, out)?,
    }
    Ok(Answer::Yes)
}

/// Writes what a GGUF file says of its tokenizer.
fn tokenizer(model: &str, out: &Path) -> Result<()> {
    let whole = Gguf::open(marks::resolve(model)?)?;
    let own = whole.only(|key| key.starts_with("tokenizer."));
    let tokenizer = Tokenizer::from_gguf(&own)?;
    let mut bytes = Vec::new();
    own.write_with(&mut bytes, [])
        .map_err(|error| Failure::io(out, &error))?;
    let mut output = Output::fresh(out)?;
    output.bytes(&bytes)?;
    output.finish()?;
    say(&format!(
        "{}: {} tokens, digest {}",
        out.display(),
        tokenizer.vocabulary(),
        Digest::from(tokenizer.digest())
    ));
    Ok(())
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

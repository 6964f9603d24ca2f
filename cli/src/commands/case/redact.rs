//! `case redact`: a copy of a case in which texts are withheld, and nobody withholds in silence.

use std::collections::BTreeSet;
use std::fs;

use taggant_evidence::bundle::{self, DISCLOSED, Folder, MANIFEST, OPENINGS, STOCK, SUMS};
use taggant_evidence::transcript::{Withheld, read_openings};

use super::analysis;
use super::bundle::tokenizer;
use crate::Answer;
use crate::args::CaseRedact;
use crate::commands::anchor;
use crate::failure::{Failure, Result};
use crate::files::Output;
use crate::output::say;

pub(super) fn run(args: &CaseRedact) -> Result<Answer> {
    let folder = Folder::open(&args.folder.folder)?;
    let openings = withhold(&folder, args)?;
    fs::create_dir(&args.out)
        .map_err(|error| Failure::io(&args.out, &error).hint("give a folder that is not there"))?;
    if let Err(failure) = copy(&folder, &openings, args) {
        let _ = fs::remove_dir_all(&args.out);
        return Err(failure);
    }
    say(&format!(
        "{}: withheld by {}; close it with `taggant case bundle`",
        args.out.display(),
        args.by
    ));
    Ok(Answer::Yes)
}

/// Fills the copy, and computes what its texts give.
fn copy(folder: &Folder, openings: &str, args: &CaseRedact) -> Result<()> {
    // What closes the folder is made anew; so is what was computed from texts that may be gone.
    let own = |name: &&str| ![SUMS, STOCK, DISCLOSED].contains(name) && !name.starts_with(MANIFEST);
    for name in folder.names().filter(own) {
        let to = args.out.join(name);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(|error| Failure::io(parent, &error))?;
        }
        if name == OPENINGS {
            let mut output = Output::fresh(&to)?;
            output.bytes(openings.as_bytes())?;
            output.finish()?;
        } else {
            fs::copy(args.folder.folder.join(name), &to)
                .map_err(|error| Failure::io(&to, &error))?;
        }
    }
    let copy = Folder::open(&args.out)?;
    let mut disclosed = None;
    bundle::verify(&copy, &anchor::trust(&args.folder.trust)?, |proven| {
        let text = analysis::analyse(proven, &tokenizer(&args.folder, folder)?)?.text()?;
        Ok(disclosed.insert(text).clone())
    });
    let Some(disclosed) = disclosed else {
        return Err(Failure::new(format!(
            "{}: nothing was scored",
            args.folder.folder.display()
        ))
        .hint("see `taggant case verify` of the case as it was"));
    };
    let mut output = Output::fresh(&args.out.join(DISCLOSED))?;
    output.bytes(disclosed.as_bytes())?;
    output.finish()
}

/// The file of openings with what is asked for withheld.
fn withhold(folder: &Folder, args: &CaseRedact) -> Result<String> {
    let why = Withheld {
        by: args.by.clone(),
        reason: args.reason.clone(),
    };
    if why.by.trim().is_empty() || why.reason.trim().is_empty() {
        return Err(Failure::new("nobody, or no reason")
            .hint("say with --by and --reason who withholds a text and why"));
    }
    let mut left: BTreeSet<u64> = args.attempt.iter().copied().collect();
    let mut text = String::new();
    for opening in read_openings(folder.file(OPENINGS)?) {
        let mut opening = opening?;
        let named = args
            .field
            .as_ref()
            .is_none_or(|field| field == opening.field());
        if named && args.attempt.contains(&opening.attempt()) {
            left.remove(&opening.attempt());
            opening = opening.withhold(why.clone());
        }
        let line = serde_json::to_string(&opening)
            .map_err(|error| Failure::new(format!("{OPENINGS}: {error}")))?;
        text += &line;
        text.push('\n');
    }
    match left.first() {
        None => Ok(text),
        Some(attempt) => Err(Failure::new(format!("attempt {attempt} has no such text"))
            .hint("attempts and their texts are those of transcript/openings.jsonl")),
    }
}

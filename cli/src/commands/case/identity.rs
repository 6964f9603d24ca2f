//! `case identity | unblind`: suspects are labels until scores are frozen.

use std::path::Path;

use serde::Deserialize;
use serde_json::json;
use taggant_evidence::Digest;
use taggant_evidence::bundle::{ANALYSIS, Folder, Identity, Named, SUSPECTS};

use crate::Answer;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::rows::{self, Lines};

/// Prints a name, a salt for it, and what a plan holds of both.
pub(super) fn hide(name: &str) -> Result<Answer> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt)
        .map_err(|error| Failure::new(format!("the system gave no random bytes: {error}")))?;
    let identity = Identity {
        name: name.to_owned(),
        salt: salt.into(),
    };
    let row = json!({"name": identity.name, "salt": identity.salt, "identity": identity.digest()});
    let mut output = Output::create(Path::new("-"))?;
    output.line(&row.to_string())?;
    output.finish()?;
    say(
        "`identity` goes into the plan; the row is kept to be opened when scores are frozen, and shows the name to whoever has it",
    );
    Ok(Answer::Yes)
}

#[derive(Deserialize)]
struct Hidden {
    name: String,
    salt: Digest,
}

/// Opens the labels of a case whose analysis is there.
pub(super) fn open(path: &Path, names: &Path, signer: &Path) -> Result<Answer> {
    let folder = Folder::open(path)?;
    let analysis = folder.digest(ANALYSIS).map_err(|error| {
        Failure::from(error)
            .hint("names are opened when scores are frozen: `taggant case analyse` comes first")
    })?;
    let mut suspects = Vec::new();
    let mut lines = Lines::new(files::open(names)?);
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(names, &error))? {
        let row = line.and_then(rows::parse::<Hidden>).map_err(|failure| {
            failure.context(format_args!("{}, line {number}", names.display()))
        })?;
        suspects.push(Identity {
            name: row.name,
            salt: row.salt,
        });
    }
    let mut envelope = Named { suspects }.state(analysis)?;
    envelope.sign(&files::read_signer(signer)?);
    let mut output = Output::fresh(&path.join(SUSPECTS))?;
    output.bytes(envelope.to_json().as_bytes())?;
    output.finish()?;
    say(&format!("{}: written", path.join(SUSPECTS).display()));
    Ok(Answer::Yes)
}

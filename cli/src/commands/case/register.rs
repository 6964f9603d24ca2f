//! `case register`: every plan of a case, as its log has them, with what became of each.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use taggant_evidence::Digest;
use taggant_evidence::bundle::{
    self, Folder, LOG, LOG_HEAD, PLAN, REGISTER, Register, Registered, Status,
};
use taggant_evidence::report::Fate;
use taggant_evidence::tlog::Entries;

use crate::Answer;
use crate::args::CaseRegister;
use crate::commands::anchor::{self, MAX_LOG, suffixed};
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::rows::{self, Lines};

/// A plan besides the one that was carried out here.
#[derive(Deserialize)]
struct Other {
    plan: PathBuf,
    #[serde(flatten)]
    fate: Fate,
}

/// Writes the register, or nothing if it does not hold.
pub(super) fn run(args: &CaseRegister) -> Result<Answer> {
    let trust = anchor::trust(&args.trust)?;
    let own = Folder::open(&args.folder)?.digest(PLAN)?;
    let register = args.folder.join("register");
    if register.exists() {
        return Err(
            Failure::new(format!("{}: it is there already", register.display()))
                .hint("take it away to write it anew; a closed case must be closed anew then"),
        );
    }
    let written = write(args, own, &register).and_then(|()| {
        let folder = Folder::open(&args.folder)?;
        let outcome = bundle::verify(&folder, &trust, |_| Err(String::new()));
        let check = outcome.checks.into_iter().find(|check| check.code == "plans.registered");
        match check {
            Some(check) if check.status == Status::Pass => Ok(check.detail),
            check => Err(Failure::new(check.map(|check| check.detail).unwrap_or_default())
                .hint("plans that were not carried out are named by --others; every file that was entered in the case's log is in its folder")),
        }
    });
    match written {
        Ok(detail) => {
            say(&detail);
            Ok(Answer::Yes)
        }
        Err(failure) => {
            let _ = fs::remove_dir_all(&register);
            Err(failure)
        }
    }
}

fn write(args: &CaseRegister, own: Digest, register: &Path) -> Result<()> {
    fs::create_dir_all(register).map_err(|error| Failure::io(register, &error))?;
    let text = files::read_text(&args.log, MAX_LOG)?;
    let entries: Entries =
        (text.parse()).map_err(|error| Failure::from(error).context(args.log.display()))?;
    let place = |digest: Digest| entries.digests().iter().position(|entry| *entry == digest);
    let mut plans = vec![(
        place(own),
        Registered {
            file: PLAN.to_owned(),
            fate: Fate::CarriedOut("It is the plan of this bundle.".to_owned()),
        },
    )];
    for (number, other) in (1..).zip(others(args.others.as_deref())?) {
        let file = format!("register/plan-{number}.dsse.json");
        copy(&other.plan, &args.folder.join(&file))?;
        let digest = files::digest(&other.plan)?;
        let place = place(digest).ok_or_else(|| {
            Failure::new(format!(
                "{}: not entered in {}",
                other.plan.display(),
                args.log.display()
            ))
            .hint("a plan that was never entered is none of the register's; leave it out")
        })?;
        plans.push((
            Some(place),
            Registered {
                file,
                fate: other.fate,
            },
        ));
    }
    plans.sort_by_key(|(place, _)| *place);
    let head = suffixed(&args.log, ".note");
    for (from, to) in [(&args.log, LOG), (&head, LOG_HEAD)] {
        copy_file(from, &args.folder.join(to))?;
    }
    let plans = plans.into_iter().map(|(_, plan)| plan).collect();
    let mut envelope = Register { plans }.state(Digest::of(text.as_bytes()))?;
    envelope.sign(&files::read_signer(&args.signer)?);
    let mut output = Output::fresh(&args.folder.join(REGISTER))?;
    output.bytes(envelope.to_json().as_bytes())?;
    output.finish()
}

fn others(input: Option<&Path>) -> Result<Vec<Other>> {
    let mut found = Vec::new();
    let Some(input) = input else {
        return Ok(found);
    };
    let mut lines = Lines::new(files::open(input)?);
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(input, &error))? {
        let other = line.and_then(rows::parse::<Other>).map_err(|failure| {
            failure.context(format_args!("{}, line {number}", input.display()))
        })?;
        found.push(other);
    }
    Ok(found)
}

/// Copies a sealed plan and what stands beside it to show when it existed.
fn copy(from: &Path, to: &Path) -> Result<()> {
    copy_file(from, to)?;
    let (Some(folder), Some(name)) = (from.parent(), from.file_name()) else {
        return Ok(());
    };
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let io = |error| Failure::io(folder, &error);
    for entry in fs::read_dir(folder).map_err(io)? {
        let found = entry.map_err(io)?.file_name();
        let beside = found
            .to_str()
            .zip(name.to_str())
            .and_then(|(found, name)| found.strip_prefix(name))
            .filter(|rest| rest.ends_with(".tsr") || *rest == ".tlog-proof");
        if let Some(suffix) = beside {
            copy_file(&folder.join(&found), &suffixed(to, suffix))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map_err(|error| Failure::io(from, &error))?;
    Ok(())
}

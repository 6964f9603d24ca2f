//! `case analyse | bundle | verify`: a case's folder is filled, closed and checked.

use std::path::{Path, PathBuf};

use serde_json::json;
use taggant_evidence::bundle::{
    self, ANALYSIS, Contents, Folder, MANIFEST, PLAN, Proven, SBOM, STOCK, SUMS, Status, TOKENIZERS,
};
use taggant_evidence::plan::MAX_PLAN;
use taggant_evidence::{Plan, SealedPlan, Time};
use taggant_text::Tokenizer;

use super::analysis;
use super::validation::{self, VALIDATION};
use crate::Answer;
use crate::args::CaseFolder;
use crate::clock;
use crate::commands::anchor;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::marks;
use crate::output::say;
use crate::program;

/// How long before its last authority's end a file is spoken of: half a year, in milliseconds.
const WARNING: u64 = 180 * 24 * 60 * 60 * 1000;

/// Runs the planned tests, if everything they rest on holds.
pub(super) fn analyse(args: &CaseFolder) -> Result<Answer> {
    let folder = Folder::open(&args.folder)?;
    if folder.has(ANALYSIS) {
        return Err(Failure::new(format!(
            "{}: it is there already",
            args.folder.join(ANALYSIS).display()
        ))
        .hint("results are not overwritten; move it away if nothing was sealed yet"));
    }
    let mut text = None;
    let outcome = bundle::verify(&folder, &anchor::trust(&args.trust)?, |proven| {
        let result = analysis::analyse(proven, &tokenizer(args, &folder)?)?.text()?;
        Ok(text.insert(result).clone())
    });
    let Some(text) = text else {
        let faults: Vec<String> = outcome
            .checks
            .iter()
            // Nothing is sealed yet.
            .filter(|check| check.status != Status::Pass && !check.code.starts_with("files."))
            .map(ToString::to_string)
            .collect();
        return Err(
            Failure::new(format!("nothing was scored:\n{}", faults.join("\n")))
                .hint("mend what failed; scores rest on it"),
        );
    };
    let path = args.folder.join(ANALYSIS);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| Failure::io(parent, &error))?;
    }
    let mut output = Output::fresh(&path)?;
    output.bytes(text.as_bytes())?;
    output.finish()?;
    say(&format!("{}: written", path.display()));
    Ok(Answer::Yes)
}

/// Closes a case's folder.
pub(super) fn seal(path: &Path, signers: &[PathBuf]) -> Result<Answer> {
    let folder = Folder::open(path)?;
    // Nothing of a closed case is touched: what is written below would break it.
    if let Some(closed) = [MANIFEST, SUMS].into_iter().find(|name| folder.has(name)) {
        return Err(Failure::new(format!(
            "{}: it is there already",
            path.join(closed).display()
        ))
        .hint("the case is closed; take both files of the manifest away to close it anew"));
    }
    let signers = signers
        .iter()
        .map(|path| files::read_signer(path))
        .collect::<Result<Vec<_>>>()?;
    // What is sealed under a name is what the plan says; whether the plan holds is `verify`'s to say.
    let bytes = folder.read(PLAN, MAX_PLAN as u64)?;
    let keys: Vec<_> = signers.iter().map(|signer| signer.public()).collect();
    let plan = SealedPlan::from_json(&bytes, &keys).map_err(|error| {
        Failure::from(error)
            .context(PLAN)
            .hint("the examiner who signed the plan signs the bundle")
    })?;
    let Plan { case, .. } = plan.plan();
    let contents = Contents {
        case: case.clone(),
        plan: plan.digest(),
    };
    let mut output = Output::create(&path.join(STOCK))?;
    output.bytes(bundle::stock_lines(&folder, &signers)?.as_bytes())?;
    output.finish()?;
    // One that is there is of whatever version computed the results.
    let studies = validation::text().map_err(|error| Failure::new(error.to_string()))?;
    for (name, text) in [(VALIDATION, studies), (SBOM, program::sbom())] {
        if !folder.has(name) {
            let mut output = Output::fresh(&path.join(name))?;
            output.bytes(text.as_bytes())?;
            output.finish()?;
        }
    }
    let folder = Folder::open(path)?;
    let sealed = contents.seal(&folder, &signers)?;
    for (name, text) in [(SUMS, &sealed.sums), (MANIFEST, &sealed.manifest)] {
        let mut output = Output::fresh(&path.join(name))?;
        output.bytes(text.as_bytes())?;
        output.finish()?;
    }
    say(&format!(
        "{}: {} files, signed by {} keys",
        path.display(),
        folder.listed().count(),
        signers.len()
    ));
    Ok(Answer::Yes)
}

/// Checks a bundle.
pub(super) fn verify(args: &CaseFolder, json: bool) -> Result<Answer> {
    let folder = Folder::open(&args.folder)?;
    let trust = anchor::trust(&args.trust)?;
    let outcome = bundle::verify(&folder, &trust, |proven: &Proven<'_>| {
        analysis::analyse(proven, &tokenizer(args, &folder)?)?.text()
    });
    let status = outcome.status();
    let overall = match status {
        Status::NotChecked => "INCOMPLETE",
        status => status.name(),
    };
    let mut output = Output::create(Path::new("-"))?;
    if json {
        let checks: Vec<_> = outcome
            .checks
            .iter()
            .map(|check| json!({"code": check.code, "status": check.status.name(), "detail": check.detail}))
            .collect();
        output.line(&json!({"overall": overall, "checks": checks}).to_string())?;
    } else {
        for check in &outcome.checks {
            output.line(&check.to_string())?;
        }
        output.line(overall)?;
    }
    output.finish()?;
    let soon = clock::now()?.unix_millis() + WARNING;
    for (name, until) in bundle::ageing(&folder, &trust, Time::from_unix_millis(soon)?) {
        say(&format!(
            "{name}: no authority that stamped it is believed beyond {until}; have it stamped again before"
        ));
    }
    Ok(match status {
        Status::Pass => Answer::Yes,
        _ => Answer::No,
    })
}

/// The tokenizer that is given, or the bundle's own. Whether it is the one that the mark record names is the analysis's to say.
pub(super) fn tokenizer(
    args: &CaseFolder,
    folder: &Folder,
) -> std::result::Result<Tokenizer, String> {
    let words = |failure: Failure| match failure {
        Failure::Told { message, .. } => message,
        Failure::BrokenPipe => "broken pipe".to_owned(),
    };
    if let Some(name) = &args.tokenizer {
        return marks::resolve(name)
            .and_then(|path| marks::open_tokenizer(&path))
            .map_err(words);
    }
    let own = TOKENIZERS.into_iter().find(|name| folder.has(name));
    let Some(own) = own else {
        return Err(format!(
            "texts are read with the tokenizer that the mark record names, and there is no {}; give --tokenizer",
            TOKENIZERS.join(" and no ")
        ));
    };
    marks::open_tokenizer(&args.folder.join(own)).map_err(words)
}

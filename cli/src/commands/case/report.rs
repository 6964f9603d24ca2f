//! `case report`: what a verified bundle shows of one suspect, as a page.

mod fill;

use std::collections::BTreeMap;

use serde::Deserialize;
use taggant_evidence::Time;
use taggant_evidence::bundle::{self, Check, Folder, Status};
use taggant_evidence::report::{Custody, Study, certification_13, certification_14};

use super::analysis;
use super::bundle::tokenizer;
use crate::Answer;
use crate::args::CaseReport;
use crate::commands::anchor;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;

/// Largest file of notes.
const MAX_NOTES: u64 = 1 << 22;

/// What cannot be checked where texts are withheld; what is disclosed is checked in its place.
const REDACTED: [&str; 2] = ["transcript.texts", "analysis.recomputed"];

/// What only a person can write.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Notes {
    model: Option<String>,
    assignment: Option<String>,
    opinions: Option<String>,
    facts: Option<String>,
    exhibits: Option<String>,
    qualifications: Option<String>,
    publications: Option<String>,
    testimony: Option<String>,
    compensation: Option<String>,
    answers: BTreeMap<String, String>,
    issuance: Option<Served>,
    accounts: Vec<String>,
    issued: Vec<String>,
    published: Vec<String>,
    deviations: Vec<String>,
    relay_search: Option<String>,
    custody: Vec<Custody>,
    validation: Vec<Study>,
}

/// When the first marked answer was served.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Served {
    at: Time,
    shown_by: String,
}

pub(super) fn run(args: &CaseReport) -> Result<Answer> {
    let notes = match &args.notes {
        Some(path) => {
            let text = files::read_text(path, MAX_NOTES)?;
            serde_json::from_str(&text)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?
        }
        None => Notes::default(),
    };
    let folder = Folder::open(&args.folder.folder)?;
    let trust = anchor::trust(&args.folder.trust)?;
    let mut report = None;
    let outcome = bundle::verify(&folder, &trust, |proven| {
        let analysis = analysis::analyse(proven, &tokenizer(&args.folder, &folder)?)?;
        report = Some(fill::fill(&folder, proven, &analysis, &notes, args));
        analysis.text()
    });
    let rests = |check: &&Check| {
        check.status != Status::Pass
            && !(check.status == Status::NotChecked && REDACTED.contains(&check.code))
    };
    if outcome.checks.iter().any(|check| rests(&check)) {
        let faults: Vec<String> = (outcome.checks.iter())
            .filter(rests)
            .map(ToString::to_string)
            .collect();
        return Err(
            Failure::new(format!("the bundle does not hold:\n{}", faults.join("\n")))
                .hint("a report rests on a bundle that passes every check"),
        );
    }
    let report = report.unwrap_or_else(|| Err(Failure::new("nothing was analysed")))?;
    let open = report.final_faults();
    if args.is_final && !open.is_empty() {
        return Err(Failure::new(open.join("\n"))
            .hint("fill them in with --notes, or write a draft without --final"));
    }
    std::fs::create_dir_all(&args.out).map_err(|error| Failure::io(&args.out, &error))?;
    for (name, text) in [
        ("report.json", report.to_json()?),
        ("report.html", report.to_html()?),
        ("certification-902-13.txt", certification_13(&report)?),
        ("certification-902-14.txt", certification_14(&report)?),
    ] {
        let mut output = Output::create(&args.out.join(name))?;
        output.bytes(text.as_bytes())?;
        output.finish()?;
    }
    let is_draft = if open.is_empty() {
        ""
    } else {
        ", a draft: blanks are open"
    };
    say(&format!("{}: report.html{is_draft}", args.out.display()));
    Ok(Answer::Yes)
}

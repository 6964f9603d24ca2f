//! The register: that no plan of the case is left out.

use std::collections::{BTreeMap, BTreeSet};

use taggant_core::ErrorKind;

use super::super::folder::Folder;
use super::super::register::{LOG, LOG_HEAD, Planned, REGISTER, Register};
use super::super::{Collected, MANIFEST, PLAN, TRANSCRIPT};
use super::files::{anchored_in_part, signed_by};
use super::{Found, told};
use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::note::Note;
use crate::plan::{MAX_PLAN, SealedPlan};
use crate::report::Fate;
use crate::statement::{Subject, stated};
use crate::tlog::{Entries, Head, Proof};
use crate::trust::{SignerRole, Trust};

/// Plan and transcript were entered in this log, every entry is a file of the bundle, and what became of each plan among them is said.
pub(super) fn registered(folder: &Folder, trust: &Trust, plan: &SealedPlan) -> Found<Vec<Planned>> {
    let note: Note = (folder.text(LOG_HEAD).map_err(told)?)
        .parse()
        .map_err(|error| format!("{LOG_HEAD}: {error}"))?;
    let head = trust
        .head(&note)
        .map_err(|error| format!("{LOG_HEAD}: {error}"))?;
    let Some(seen) = head.seen else {
        return Err(format!(
            "{LOG_HEAD}: the trust file's log policy asks for no witness, so nobody says that the log has no other head"
        ));
    };
    let entries: Entries = (folder.text(LOG).map_err(told)?)
        .parse()
        .map_err(|error| format!("{LOG}: {error}"))?;
    if entries.digests().len() as u64 != head.size || !entries.begin_with(head.size, &head.root) {
        return Err(format!("{LOG}: not the entries under {LOG_HEAD}"));
    }
    let distinct: BTreeSet<&Digest> = entries.digests().iter().collect();
    if distinct.len() != entries.digests().len() {
        return Err(format!("{LOG}: an entry stands there twice"));
    }
    continued(folder, trust, &head, &entries)?;

    let mut files = BTreeMap::new();
    for name in folder.listed() {
        // A file that stands there twice is known by the first of its names.
        files
            .entry(folder.digest(name).map_err(told)?)
            .or_insert(name);
    }
    let (mut found, mut collected) = (Vec::new(), Vec::new());
    for (number, entry) in entries.digests().iter().enumerate() {
        let Some(name) = files.get(entry) else {
            return Err(format!(
                "{LOG}: entry {number}, {entry}, is no file of the bundle: a plan may be left out"
            ));
        };
        match entered(folder, trust, name)? {
            Entered::Plan(sealed) => found.push((*name, sealed)),
            Entered::Transcript(plan) => collected.push((*name, plan)),
            Entered::Other => {}
        }
    }
    // Whoever asks twice and shows the better answers has entered two transcripts, or one that no authority has stamped in time.
    if let Some((name, _)) = collected
        .iter()
        .find(|(name, of)| *of == plan.digest() && *name != TRANSCRIPT)
    {
        return Err(format!("{name}: another transcript of the same plan"));
    }

    let roles = [(SignerRole::Examiner, trust.keys(SignerRole::Examiner))];
    let (subjects, said, who) = signed_by::<Register>(folder, REGISTER, &roles)?;
    if subjects != [Subject::new(LOG, folder.digest(LOG).map_err(told)?)] {
        return Err(format!("{REGISTER}: about another {LOG}"));
    }
    if !said
        .plans
        .iter()
        .map(|plan| plan.file.as_str())
        .eq(found.iter().map(|(name, _)| *name))
    {
        return Err(format!("{REGISTER}: not the plans of {LOG}, in its order"));
    }
    let plans = found
        .into_iter()
        .zip(said.plans)
        .map(|((name, sealed), said)| {
            let own = sealed.plan();
            if own.case != plan.plan().case {
                return Err(format!("{name}: a plan of another case, {}", own.case));
            }
            let (carried_out, words) = match &said.fate {
                Fate::CarriedOut(words) => (true, words),
                Fate::Abandoned(words) | Fate::Pending(words) => (false, words),
            };
            if words.trim().is_empty() {
                return Err(format!("{REGISTER}: {name}: nothing is said of what became of it"));
            }
            if !carried_out && collected.iter().any(|(_, of)| *of == sealed.digest()) {
                return Err(format!(
                    "{REGISTER}: {name} is not said to have been carried out, and there is a transcript of it"
                ));
            }
            let stamped = anchored_in_part(folder, trust, name)?.time();
            Ok(Planned {
                plan: sealed.digest(),
                file: name.to_owned(),
                sealed: stamped.unwrap_or(seen),
                tests: own.suspects.len() as u64 * own.keys.len() as u64,
                fate: said.fate,
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    match plans.iter().find(|planned| planned.file == PLAN) {
        Some(Planned {
            fate: Fate::CarriedOut(_),
            ..
        }) => {}
        _ => {
            return Err(format!(
                "{REGISTER}: {PLAN} is not said to have been carried out"
            ));
        }
    }
    let detail = format!(
        "{who}; {} plans among {} entries of {}, seen by {seen}",
        plans.len(),
        head.size,
        head.log
    );
    Ok((plans, detail))
}

/// Every proof of this log in the bundle is of a head that this one continues, and plan and transcript have one.
fn continued(folder: &Folder, trust: &Trust, head: &Head, entries: &Entries) -> Result<(), String> {
    let (mut of_log, mut known) = (Vec::new(), BTreeSet::from([(head.size, head.root)]));
    for name in folder.names() {
        let Some(file) = name.strip_suffix(".tlog-proof") else {
            continue;
        };
        let proof: Proof = (folder.text(name).map_err(told)?)
            .parse()
            .map_err(|error| format!("{name}: {error}"))?;
        let earlier = trust
            .head(proof.checkpoint())
            .map_err(|error| format!("{name}: {error}"))?;
        if earlier.log != head.log {
            continue;
        }
        if file == MANIFEST {
            // Entered when all was there: what came between is left out.
            if proof.index() != head.size {
                return Err(format!(
                    "{name}: entry {} of {}, and the register has {} entries: what stands between is left out",
                    proof.index(),
                    head.log,
                    head.size
                ));
            }
            continue;
        }
        if known.insert((earlier.size, earlier.root))
            && !entries.begin_with(earlier.size, &earlier.root)
        {
            return Err(format!(
                "{name}: {LOG} does not continue the {} entries of its head: something was taken out or changed",
                earlier.size
            ));
        }
        of_log.push(file);
    }
    match [PLAN, TRANSCRIPT]
        .iter()
        .find(|file| !of_log.contains(*file))
    {
        Some(file) => Err(format!(
            "{file}: not entered in {}, the log of {LOG_HEAD}",
            head.log
        )),
        None => Ok(()),
    }
}

/// What an entry of the log is.
enum Entered {
    Plan(Box<SealedPlan>),
    /// A collector's word on a transcript of the plan with this digest.
    Transcript(Digest),
    Other,
}

fn entered(folder: &Folder, trust: &Trust, name: &str) -> Result<Entered, String> {
    // A plan may have any name; what is larger than plans can be is none.
    let Ok(bytes) = folder.read(name, MAX_PLAN as u64) else {
        return Ok(Entered::Other);
    };
    let Ok(envelope) = Envelope::from_json(&bytes) else {
        return Ok(Entered::Other);
    };
    // Signed by nobody who is known it could be anything, also a plan.
    let all: Vec<_> = SignerRole::ALL
        .iter()
        .flat_map(|role| trust.keys(*role))
        .collect();
    if envelope.signers(&all).is_empty() {
        return Err(format!(
            "{name}: entered in the log, and signed by nobody who is known"
        ));
    }
    if let Ok((_, said)) = stated::<Collected>(&envelope, &trust.keys(SignerRole::Collector), 1) {
        return Ok(Entered::Transcript(said.plan));
    }
    match SealedPlan::from_json(&bytes, &trust.keys(SignerRole::Examiner)) {
        Ok(plan) => Ok(Entered::Plan(Box::new(plan))),
        // Another statement, or no examiner's.
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Mismatch) => {
            Ok(Entered::Other)
        }
        Err(error) => Err(format!("{name}: {error}")),
    }
}

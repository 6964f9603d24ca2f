//! The plan: who signed it, when, and what it draws.

use taggant_core::Record;

use super::super::folder::Folder;
use super::super::{ASKED, Contents, PLAN, POOL, RECORD};
use super::{Found, told};
use crate::anchors::Anchors;
use crate::asked::Asked;
use crate::digest::Digest;
use crate::issuance::mark_digest;
use crate::plan::{MAX_PLAN, SealedPlan};
use crate::trust::{Ready, SignerRole, Trust};

pub(super) fn plan(
    folder: &Folder,
    trust: &Trust,
    contents: Option<&Contents>,
) -> Found<SealedPlan> {
    let bytes = folder.read(PLAN, MAX_PLAN as u64).map_err(told)?;
    let plan = SealedPlan::from_json(&bytes, &trust.keys(SignerRole::Examiner))
        .map_err(|error| format!("{PLAN}: {error}"))?;
    if let Some(contents) = contents
        && (contents.plan, contents.case.as_str()) != (plan.digest(), plan.plan().case.as_str())
    {
        return Err(format!(
            "{PLAN}: another case or plan than the manifest names"
        ));
    }
    let detail = format!("{PLAN}: plan {} of {}", plan.digest(), plan.plan().case);
    Ok((plan, detail))
}

pub(super) fn ready(trust: &Trust, plan: &SealedPlan, anchors: &Anchors) -> Found<Ready> {
    let ready = trust.ready(plan, anchors).map_err(told)?;
    let detail = format!(
        "sealed by {}, seen by {}, round of {}",
        ready.sealed, ready.seen, ready.round
    );
    Ok((ready, detail))
}

pub(super) fn asked(folder: &Folder, plan: &SealedPlan, ready: &Ready) -> Found<Asked> {
    let pool = folder.text(POOL).map_err(told)?;
    let asked = Asked::draw(plan, ready, &pool).map_err(|error| format!("{POOL}: {error}"))?;
    if folder.text(ASKED).map_err(told)? != asked.to_jsonl().map_err(told)? {
        return Err(format!("{ASKED}: not what plan and round draw"));
    }
    let detail = format!(
        "{ASKED}: {} prompts, {} answers each",
        asked.questions().len(),
        asked.answers()
    );
    Ok((asked, detail))
}

pub(super) fn record(folder: &Folder, plan: &SealedPlan) -> Found<Record> {
    let text = folder.text(RECORD).map_err(told)?;
    let record = Record::from_json(&text).map_err(|error| format!("{RECORD}: {error}"))?;
    if Digest::of(text.as_bytes()) != plan.plan().mark || mark_digest(&record) != plan.plan().mark {
        return Err(format!("{RECORD}: not the mark that the plan names"));
    }
    if Digest::from(record.tokenizer().digest) != plan.plan().tokenizer {
        return Err(format!("{RECORD}: another tokenizer than the plan's"));
    }
    Ok((record, format!("{RECORD}: {}", plan.plan().mark)))
}

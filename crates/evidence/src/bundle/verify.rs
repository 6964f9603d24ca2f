//! Checks a bundle link by link (SPEC.md §9.2). What a check rests on is what the checks before it proved, never what the bundle says of itself.

use std::collections::{BTreeMap, BTreeSet};

use taggant_core::{Epoch, LeafKey, Record, Reveal, Role};

use super::check::Outcome;
use super::folder::{Folder, Proofs};
use super::order::{Event, in_order};
use super::{
    ANALYSIS, ASKED, CONTROLS, Collected, Contents, EPOCH, MANIFEST, OPENINGS, PLAN, POOL, RECORD,
    RECORDS, REVEAL, SUMS, TRANSCRIPT, sums,
};
use crate::anchors::Anchors;
use crate::asked::Asked;
use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::issuance::mark_digest;
use crate::plan::{MAX_PLAN, SealedPlan};
use crate::statement::{Predicate, Subject, stated};
use crate::time::Time;
use crate::tlog::Proof;
use crate::transcript::{Entry, Shown, Verifier, answer_text, read_openings};
use crate::trust::{Ready, SignerRole, Trust};

/// What a bundle proves, for whoever recomputes its numbers.
#[derive(Debug)]
pub struct Proven<'a> {
    folder: &'a Folder,
    /// The plan.
    pub plan: &'a SealedPlan,
    /// What was asked.
    pub asked: &'a Asked,
    /// The mark record.
    pub record: &'a Record,
    /// The keys that are tested, in the plan's order.
    pub keys: &'a [LeafKey],
    /// The control keys, in the order of their numbers.
    pub controls: &'a [LeafKey],
}

/// An answer of a suspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which suspect, from 0 in the plan's order.
    pub suspect: u32,
    /// Which prompt, from 0 in the order drawn.
    pub prompt: u32,
    /// Which of its answers, from 0.
    pub answer: u32,
    /// Its text; none if it is withheld.
    pub text: Option<String>,
}

impl Proven<'_> {
    /// The answers, in the order of the transcript.
    ///
    /// # Errors
    /// Those of reading, in words; the files were checked before.
    pub fn answers(&self, each: impl FnMut(Answer) -> Result<(), String>) -> Result<(), String> {
        walk(self.folder, each).map(drop)
    }
}

/// What a transcript and its texts add up to.
struct Walked {
    outcome: crate::transcript::Outcome,
    withheld: u64,
    /// Entries' marks of time.
    first: Option<Time>,
}

/// Reads transcript and texts side by side; `each` sees every answer.
fn walk(
    folder: &Folder,
    mut each: impl FnMut(Answer) -> Result<(), String>,
) -> Result<Walked, String> {
    let mut openings = read_openings(folder.file(OPENINGS).map_err(told)?);
    let (mut withheld, mut first, mut fault) = (0, None, None);
    let mut under_way = BTreeMap::new();
    let mut next = |attempt: u64, field: &str, digest: Digest| -> Result<Option<Vec<u8>>, String> {
        let place = || format!("{OPENINGS}: attempt {attempt}, {field}");
        let opening = match openings.next() {
            Some(opening) => opening.map_err(|error| format!("{OPENINGS}: {error}"))?,
            None => return Err(format!("{}: it is not there", place())),
        };
        if (opening.attempt(), opening.field()) != (attempt, field) {
            return Err(format!("{}: another field stands there", place()));
        }
        match opening
            .shown()
            .map_err(|error| format!("{OPENINGS}: {error}"))?
        {
            Shown::Bytes(bytes, found) if found == digest => Ok(Some(bytes)),
            Shown::Bytes(..) => Err(format!(
                "{}: not what the transcript's digest stands for",
                place()
            )),
            Shown::Withheld(_) => {
                withheld += 1;
                Ok(None)
            }
        }
    };
    let mut take = |entry: &Entry, time: Time| -> Result<(), String> {
        match entry {
            Entry::Opened(opened) => {
                for (number, suspect) in opened.suspects().iter().enumerate() {
                    next(0, &format!("door.{number}"), suspect.door)?;
                }
            }
            Entry::Sent(sent) => {
                first.get_or_insert(time);
                next(sent.attempt, "request", sent.request)?;
                under_way.insert(sent.attempt, *sent);
            }
            Entry::Answered(answered) => {
                let body = next(answered.attempt, "body", answered.body)?;
                let text = match body {
                    Some(body) => Some(
                        answer_text(&body)
                            .ok_or_else(|| {
                                format!(
                                    "{OPENINGS}: attempt {}, body: no answer in it",
                                    answered.attempt
                                )
                            })?
                            .0,
                    ),
                    None => None,
                };
                if let Some(sent) = under_way.remove(&answered.attempt) {
                    each(Answer {
                        suspect: sent.suspect,
                        prompt: sent.prompt,
                        answer: sent.answer,
                        text,
                    })?;
                }
            }
            Entry::Failed(failed) => {
                under_way.remove(&failed.attempt);
                if let Some(body) = failed.body {
                    next(failed.attempt, "body", body)?;
                }
            }
            Entry::Lost(lost) => drop(under_way.remove(&lost.attempt)),
            Entry::Resumed(_) | Entry::Closed(_) => {}
        }
        Ok(())
    };
    let records = folder.file(RECORDS).map_err(told)?;
    let outcome = Verifier::new()
        .verify(records, |line, _| {
            if fault.is_none() {
                fault = take(&line.entry, line.time).err();
            }
        })
        .map_err(|error| format!("{RECORDS}: {error}"))?;
    if let Some(fault) = &outcome.fault {
        return Err(format!("{RECORDS}: {fault}"));
    }
    if let Some(fault) = fault {
        return Err(fault);
    }
    if openings.next().is_some() || openings.bytes() > 0 {
        return Err(format!(
            "{OPENINGS}: texts behind the last that the transcript speaks of"
        ));
    }
    Ok(Walked {
        outcome,
        withheld,
        first,
    })
}

fn told(error: taggant_core::Error) -> String {
    error.to_string()
}

/// Checks a bundle against a trust file. `analyse` recomputes [`ANALYSIS`] from what is proven and says what else it checked, or why it cannot.
///
/// Nothing is asked of the network, and a bundle that brings its own keys gains nothing by it.
pub fn verify(
    folder: &Folder,
    trust: &Trust,
    analyse: impl FnOnce(&Proven<'_>) -> Result<String, String>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let subjects = outcome.keep("files.manifest", manifest(folder, trust));
    match &subjects {
        Some((subjects, _)) => drop(outcome.keep("files.listed", listed(folder, subjects))),
        None => outcome.skip("files.listed", "there is no manifest to go by"),
    }
    let plan = outcome.keep(
        "plan.signed",
        plan(
            folder,
            trust,
            subjects.as_ref().map(|(_, contents)| contents),
        ),
    );
    let commitment = outcome.keep("commitment.anchored", anchored(folder, trust, EPOCH));
    let sealed = outcome.keep("plan.anchored", anchored(folder, trust, PLAN));
    let collected = outcome.keep("transcript.anchored", anchored(folder, trust, TRANSCRIPT));
    let ready = match (&plan, &sealed) {
        (Some(plan), Some(sealed)) => outcome.keep("plan.ready", ready(trust, plan, sealed)),
        _ => {
            outcome.skip("plan.ready", "the plan and its proofs do not hold");
            None
        }
    };
    let asked = match (&plan, &ready) {
        (Some(plan), Some(ready)) => outcome.keep("draw.asked", asked(folder, plan, ready)),
        _ => {
            outcome.skip("draw.asked", "the plan was not ready");
            None
        }
    };
    let walked = outcome.keep("transcript.chain", chain(folder));
    match (&walked, &plan, &asked) {
        (Some(walked), Some(plan), Some(asked)) => {
            outcome.keep("transcript.plan", under_plan(folder, walked, plan, asked));
        }
        _ => outcome.skip("transcript.plan", "transcript, plan or draw does not hold"),
    }
    match (&walked, &plan) {
        (Some(walked), Some(plan)) => {
            outcome.keep("transcript.signed", signed(folder, trust, walked, plan));
        }
        _ => outcome.skip("transcript.signed", "transcript or plan does not hold"),
    }
    match &walked {
        Some(Walked { withheld: 0, .. }) => drop(outcome.keep(
            "transcript.texts",
            Ok(((), "every text is shown".to_owned())),
        )),
        Some(walked) => outcome.skip(
            "transcript.texts",
            &format!("{} texts are withheld", walked.withheld),
        ),
        None => outcome.skip("transcript.texts", "the transcript does not hold"),
    }
    let record = match &plan {
        Some(plan) => outcome.keep("mark.record", record(folder, plan)),
        None => {
            outcome.skip("mark.record", "there is no plan to go by");
            None
        }
    };
    let epoch = outcome.keep("commitment.epoch", epoch(folder));
    let keys = match (&plan, &epoch) {
        (Some(plan), Some(epoch)) => outcome.keep("reveal.keys", keys(folder, plan, epoch)),
        _ => {
            outcome.skip("reveal.keys", "there is no plan or no epoch to go by");
            None
        }
    };
    let controls = match (&plan, &epoch) {
        (Some(plan), Some(epoch)) => outcome.keep("reveal.controls", controls(folder, plan, epoch)),
        _ => {
            outcome.skip("reveal.controls", "there is no plan or no epoch to go by");
            None
        }
    };
    match (&commitment, &sealed, &ready, &walked, &collected) {
        (Some(commitment), Some(sealed), Some(ready), Some(walked), Some(collected)) => {
            outcome.keep("order", order(commitment, sealed, ready, walked, collected));
        }
        _ => outcome.skip("order", "one of its dates is not proven"),
    }
    match (&plan, &asked, &record, &keys, &controls, &walked) {
        (Some(plan), Some(asked), Some(record), Some(keys), Some(controls), Some(_)) => {
            let proven = Proven {
                folder,
                plan,
                asked,
                record,
                keys,
                controls,
            };
            match analyse(&proven) {
                Ok(recomputed) => {
                    outcome.keep("analysis.recomputed", analysis(folder, &recomputed));
                }
                Err(why) => outcome.skip("analysis.recomputed", &why),
            }
        }
        _ => outcome.skip(
            "analysis.recomputed",
            "what it is computed from does not hold",
        ),
    }
    outcome
}

type Found<T> = Result<(T, String), String>;

/// The manifest, signed by an examiner and a collector of the trust file.
fn manifest(folder: &Folder, trust: &Trust) -> Found<(Vec<Subject>, Contents)> {
    let (subjects, contents, who) = signed_by::<Contents>(
        folder,
        trust,
        MANIFEST,
        &[SignerRole::Examiner, SignerRole::Collector],
    )?;
    let sums_found = folder.text(SUMS).map_err(told)?;
    if sums_found != sums(&subjects) {
        return Err(format!("{SUMS}: not the list of {MANIFEST}"));
    }
    Ok(((subjects, contents), who))
}

/// A statement that a key of each of these roles signed.
fn signed_by<P: Predicate>(
    folder: &Folder,
    trust: &Trust,
    name: &str,
    roles: &[SignerRole],
) -> Result<(Vec<Subject>, P, String), String> {
    let wrong = |error: taggant_core::Error| format!("{name}: {error}");
    let bytes = folder.read(name, super::MAX_BYTES).map_err(told)?;
    let envelope = Envelope::from_json(&bytes).map_err(wrong)?;
    let mut found = None;
    let mut who = Vec::new();
    for role in roles {
        let keys = trust.keys(*role);
        found = Some(stated::<P>(&envelope, &keys, 1).map_err(|error| {
            format!("{name}: no signature of a trusted {}: {error}", role.name())
        })?);
        who.extend(
            envelope
                .signers(&keys)
                .iter()
                .map(|key| format!("{} ({})", key.name(), role.name())),
        );
    }
    let (subjects, predicate) = found.ok_or_else(|| format!("{name}: nobody is asked for"))?;
    Ok((
        subjects,
        predicate,
        format!("{name}: signed by {}", who.join(", ")),
    ))
}

/// Every file is listed and as listed, and every listed file is there.
fn listed(folder: &Folder, subjects: &[Subject]) -> Found<()> {
    let mut known = BTreeSet::new();
    for subject in subjects {
        if !known.insert(subject.name.as_str()) {
            return Err(format!("{}: it is listed twice", subject.name));
        }
        if !folder.has(&subject.name) {
            return Err(format!("{}: it is listed and not there", subject.name));
        }
    }
    if let Some(extra) = folder.listed().find(|name| !known.contains(name)) {
        return Err(format!("{extra}: it is there and not listed"));
    }
    for subject in subjects {
        let found = folder.digest(&subject.name).map_err(told)?;
        if found != subject.digest.sha256 {
            return Err(format!(
                "{}: SHA-256 {found}, listed as {}",
                subject.name, subject.digest.sha256
            ));
        }
    }
    Ok(((), format!("{} files", subjects.len())))
}

fn plan(folder: &Folder, trust: &Trust, contents: Option<&Contents>) -> Found<SealedPlan> {
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

/// Two authorities and a log vouch for a file.
fn anchored(folder: &Folder, trust: &Trust, name: &str) -> Found<Anchors> {
    let Proofs { tokens, log } = folder.proofs(name).map_err(told)?;
    let proof = match log {
        Some(text) => Some(
            text.parse::<Proof>()
                .map_err(|error| format!("{name}.tlog-proof: {error}"))?,
        ),
        None => None,
    };
    let tokens: Vec<(&str, &[u8])> = tokens
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let digest = folder.digest(name).map_err(told)?;
    let anchors = trust
        .anchors(&digest, &tokens, proof.as_ref())
        .map_err(|error| format!("{name}: {error}"))?;
    match (anchors.time(), anchors.missing().as_slice()) {
        (Some(time), []) => Ok((anchors, format!("{name}: existed by {time}"))),
        (_, missing) => Err(format!("{name}: it lacks {}", missing.join(" and "))),
    }
}

fn ready(trust: &Trust, plan: &SealedPlan, anchors: &Anchors) -> Found<Ready> {
    let ready = trust.ready(plan, anchors).map_err(told)?;
    let detail = format!(
        "sealed by {}, seen by {}, round of {}",
        ready.sealed, ready.seen, ready.round
    );
    Ok((ready, detail))
}

fn asked(folder: &Folder, plan: &SealedPlan, ready: &Ready) -> Found<Asked> {
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

fn chain(folder: &Folder) -> Found<Walked> {
    let walked = walk(folder, |_| Ok(()))?;
    let (story, summary) = (&walked.outcome.story, &walked.outcome.summary);
    if story.closed().is_none() {
        return Err(format!(
            "{RECORDS}: it was not closed; a transcript without an end can be cut short"
        ));
    }
    let detail = format!(
        "{RECORDS}: {} lines, {} attempts, {} answers, head {}",
        summary.lines,
        story.attempts(),
        story.answers(),
        summary.head
    );
    Ok((walked, detail))
}

/// The transcript is of this plan and draw, and within the plan's budget.
fn under_plan(folder: &Folder, walked: &Walked, plan: &SealedPlan, asked: &Asked) -> Found<()> {
    let story = &walked.outcome.story;
    let opened = story
        .opened()
        .ok_or_else(|| format!("{RECORDS}: it has no first line"))?;
    let wrong = |what: &str| Err(format!("{RECORDS}: another {what} than the plan's"));
    if opened.plan != plan.digest() {
        return wrong("plan");
    }
    let drawn = u32::try_from(asked.questions().len()).unwrap_or(u32::MAX);
    let file = folder.digest(ASKED).map_err(told)?;
    if opened.asked != file || (opened.prompts, opened.answers) != (drawn, asked.answers()) {
        return wrong("draw");
    }
    let terms = plan.plan();
    if !opened
        .suspects()
        .iter()
        .map(|suspect| &suspect.id)
        .eq(terms.suspects.iter().map(|suspect| &suspect.id))
    {
        return wrong("list of suspects");
    }
    let spent = story.spent(terms.sampling.max_tokens.into());
    if story.attempts() > terms.budget.requests || spent > terms.budget.tokens {
        return Err(format!(
            "{RECORDS}: {} requests and up to {spent} tokens; the plan allows {} and {}",
            story.attempts(),
            terms.budget.requests,
            terms.budget.tokens
        ));
    }
    Ok((
        (),
        format!(
            "{} of {} requests, {spent} of {} tokens",
            story.attempts(),
            terms.budget.requests,
            terms.budget.tokens
        ),
    ))
}

/// The collector signed this transcript's end, and is the one who wrote it.
fn signed(folder: &Folder, trust: &Trust, walked: &Walked, plan: &SealedPlan) -> Found<()> {
    let (subjects, said, who) =
        signed_by::<Collected>(folder, trust, TRANSCRIPT, &[SignerRole::Collector])?;
    let (story, summary) = (&walked.outcome.story, &walked.outcome.summary);
    let found = Collected {
        plan: plan.digest(),
        lines: summary.lines,
        head: summary.head,
        attempts: story.attempts(),
        answers: story.answers(),
        because: story
            .closed()
            .map_or(crate::transcript::Ending::Abandoned, |closed| {
                closed.because
            }),
    };
    if said != found {
        return Err(format!("{TRANSCRIPT}: it speaks of another transcript"));
    }
    for (subject, name) in subjects.iter().zip([ASKED, RECORDS]) {
        let own = folder.digest(name).map_err(told)?;
        if !name.ends_with(&subject.name) || subject.digest.sha256 != own {
            return Err(format!("{TRANSCRIPT}: it speaks of another {name}"));
        }
    }
    if subjects.len() != 2 {
        return Err(format!(
            "{TRANSCRIPT}: it speaks of {} files and not of two",
            subjects.len()
        ));
    }
    Ok(((), who))
}

fn record(folder: &Folder, plan: &SealedPlan) -> Found<Record> {
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

fn epoch(folder: &Folder) -> Found<Epoch> {
    let epoch = Epoch::from_json(&folder.text(EPOCH).map_err(told)?)
        .map_err(|error| format!("{EPOCH}: {error}"))?;
    let detail = format!(
        "{EPOCH}: epoch `{}`, {} leaves, root {}",
        epoch.label(),
        epoch.leaves().len(),
        Digest::from(epoch.root())
    );
    Ok((epoch, detail))
}

/// Reveals of one file, each of this epoch.
fn reveals(folder: &Folder, name: &str, epoch: &Epoch) -> Result<Vec<LeafKey>, String> {
    let text = folder.text(name).map_err(told)?;
    (1..)
        .zip(text.lines())
        .map(|(line, text)| {
            let reveal =
                Reveal::from_json(text).map_err(|error| format!("{name}, line {line}: {error}"))?;
            let own = reveal.root() == epoch.root()
                && reveal.size() == epoch.leaves().len() as u64
                && reveal.key().path().epoch() == epoch.label();
            if !own {
                return Err(format!(
                    "{name}, line {line}: a key of another epoch than {EPOCH}"
                ));
            }
            Ok(reveal.key().clone())
        })
        .collect()
}

fn keys(folder: &Folder, plan: &SealedPlan, epoch: &Epoch) -> Found<Vec<LeafKey>> {
    let keys = reveals(folder, REVEAL, epoch)?;
    let planned = &plan.plan().keys;
    let root = Digest::from(epoch.root());
    let as_planned = keys.len() == planned.len()
        && keys.iter().zip(planned).all(|(key, planned)| {
            Digest::from(key.commitment()) == planned.commitment && planned.epoch == root
        });
    if !as_planned {
        return Err(format!(
            "{REVEAL}: not the keys that the plan names, in its order"
        ));
    }
    let detail = format!("{REVEAL}: {} keys, committed before", keys.len());
    Ok((keys, detail))
}

/// Control keys: different ones, as many as the plan asks for.
fn controls(folder: &Folder, plan: &SealedPlan, epoch: &Epoch) -> Found<Vec<LeafKey>> {
    let keys = reveals(folder, CONTROLS, epoch)?;
    let paths: Vec<_> = keys.iter().map(LeafKey::path).collect();
    if paths.iter().any(|path| path.role() != Role::Control) || !paths.is_sorted_by(|a, b| a < b) {
        return Err(format!(
            "{CONTROLS}: control keys stand there once each, by number, and nothing else"
        ));
    }
    let wanted = plan.plan().controls.keys as usize;
    if keys.len() < wanted {
        return Err(format!(
            "{CONTROLS}: {} keys; the plan asks for {wanted}",
            keys.len()
        ));
    }
    let detail = format!("{CONTROLS}: {} keys, committed before", keys.len());
    Ok((keys, detail))
}

fn order(
    commitment: &Anchors,
    sealed: &Anchors,
    ready: &Ready,
    walked: &Walked,
    collected: &Anchors,
) -> Found<()> {
    let (Some(commitment), Some(sealed), Some(collected)) =
        (commitment.time(), sealed.time(), collected.time())
    else {
        return Err("one of its dates is not proven".to_owned());
    };
    let last = walked.outcome.summary.times.map(|(_, last)| last);
    let first = walked.first.or(last).unwrap_or(collected);
    let proven = |name, time| Event {
        name,
        time,
        own_word: false,
    };
    let said = |name, time| Event {
        name,
        time,
        own_word: true,
    };
    in_order(&[
        proven("commitment", commitment),
        proven("plan", sealed),
        proven("round", ready.round),
        said("first-query", first),
        said("last-line", last.unwrap_or(first)),
        proven("transcript", collected),
    ])
    .map(|told| ((), told))
}

fn analysis(folder: &Folder, recomputed: &str) -> Found<()> {
    let found = folder.text(ANALYSIS).map_err(told)?;
    if found == recomputed {
        return Ok(((), format!("{ANALYSIS}: every number again, to the byte")));
    }
    let line = found
        .lines()
        .zip(recomputed.lines())
        .position(|(found, own)| found != own);
    let line = line.unwrap_or_else(|| found.lines().count().min(recomputed.lines().count())) + 1;
    Err(format!(
        "{ANALYSIS}: another result than is computed from transcript and keys, from line {line} on"
    ))
}

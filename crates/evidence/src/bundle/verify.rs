//! Checks a bundle link by link (SPEC.md §9.2). What a check rests on is what the checks before it proved, never what the bundle says of itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use taggant_core::{CONTROLS as CONTROL_KEYS, Epoch, LeafKey, Record, Reveal, Role};

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
use crate::plan::{Access, MAX_PLAN, SealedPlan};
use crate::signing::PublicKey;
use crate::statement::{Predicate, Subject, stated};
use crate::time::Time;
use crate::tlog::Proof;
use crate::transcript::{
    Asks, Ending, Entry, Sent, Shown, Verifier, answer_text, read_openings, request_terms,
};
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
    ended: Ending,
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
    pub fn answers(
        &self,
        mut each: impl FnMut(Answer) -> Result<(), String>,
    ) -> Result<(), String> {
        walk(self.folder, |seen| match seen {
            Seen::Answer(answer) => each(answer),
            _ => Ok(()),
        })
        .map(drop)
    }

    /// How the transcript ended.
    #[must_use]
    pub fn ended(&self) -> Ending {
        self.ended
    }
}

/// What a reader of transcript and texts sees. A text that is withheld is none.
enum Seen<'a> {
    /// Where a suspect is asked.
    Door(usize, Option<&'a [u8]>),
    /// A request.
    Request(&'a Sent, Option<&'a [u8]>),
    /// An answer.
    Answer(Answer),
}

fn ended(walked: &Walked) -> Ending {
    let closed = walked.outcome.story.closed();
    closed.map_or(Ending::Abandoned, |closed| closed.because)
}

/// What a transcript and its texts add up to.
struct Walked {
    outcome: crate::transcript::Outcome,
    withheld: u64,
    /// Entries' marks of time.
    first: Option<Time>,
}

/// Reads transcript and texts side by side.
fn walk(
    folder: &Folder,
    mut each: impl FnMut(Seen<'_>) -> Result<(), String>,
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
                    let door = next(0, &format!("door.{number}"), suspect.door)?;
                    each(Seen::Door(number, door.as_deref()))?;
                }
            }
            Entry::Sent(sent) => {
                first.get_or_insert(time);
                let request = next(sent.attempt, "request", sent.request)?;
                each(Seen::Request(sent, request.as_deref()))?;
                under_way.insert(sent.attempt, *sent);
            }
            Entry::Answered(answered) => {
                let body = next(answered.attempt, "body", answered.body)?;
                let text = match body {
                    Some(body) => {
                        let wrong = |fault: &str| {
                            format!("{OPENINGS}: attempt {}, body: {fault}", answered.attempt)
                        };
                        let (text, tokens) =
                            answer_text(&body).ok_or_else(|| wrong("no answer in it"))?;
                        if body.len() as u64 != answered.bytes || tokens != answered.tokens {
                            return Err(wrong("another length or count than the transcript says"));
                        }
                        Some(text)
                    }
                    None => None,
                };
                if let Some(sent) = under_way.remove(&answered.attempt) {
                    each(Seen::Answer(Answer {
                        suspect: sent.suspect,
                        prompt: sent.prompt,
                        answer: sent.answer,
                        text,
                    }))?;
                }
            }
            Entry::Failed(failed) => {
                under_way.remove(&failed.attempt);
                if let Some(body) = failed.body {
                    let body = next(failed.attempt, "body", body)?;
                    // Whoever files an answer as a failure can ask until one pleases.
                    if failed.status == Some(200)
                        && body.is_some_and(|body| answer_text(&body).is_some())
                    {
                        return Err(format!(
                            "{OPENINGS}: attempt {}, body: an answer, and the transcript calls it {:?}",
                            failed.attempt, failed.cause
                        ));
                    }
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
    let (tokens, log) = match folder.proofs(MANIFEST) {
        Ok(proofs) => (proofs.tokens.len(), proofs.log.is_some()),
        Err(_) => (0, true),
    };
    if tokens > 0 || log {
        outcome.keep("manifest.anchored", anchored(folder, trust, MANIFEST));
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
    match (&walked, &plan, &asked) {
        (Some(_), Some(plan), Some(asked)) => {
            outcome.keep("transcript.requests", requests(folder, plan, asked));
        }
        _ => outcome.skip(
            "transcript.requests",
            "transcript, plan or draw does not hold",
        ),
    }
    match &walked {
        Some(walked) if ended(walked) == Ending::Complete => {
            let detail = "every question was answered".to_owned();
            outcome.keep("transcript.complete", Ok(((), detail)));
        }
        Some(walked) => {
            let questions = walked.outcome.story.questions();
            outcome.skip(
                "transcript.complete",
                &format!(
                    "it ended as {:?} with {} of {} questions answered: not as planned, and whoever ends it may know what came back",
                    ended(walked),
                    questions.answered(),
                    questions.count()
                ),
            );
        }
        None => outcome.skip("transcript.complete", "the transcript does not hold"),
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
        (Some(plan), Some(asked), Some(record), Some(keys), Some(controls), Some(walked)) => {
            let proven = Proven {
                folder,
                plan,
                asked,
                record,
                keys,
                controls,
                ended: ended(walked),
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
    let roles = [SignerRole::Examiner, SignerRole::Collector].map(|role| (role, trust.keys(role)));
    let (subjects, contents, who) = signed_by::<Contents>(folder, MANIFEST, &roles)?;
    let sums_found = folder.text(SUMS).map_err(told)?;
    if sums_found != sums(&subjects) {
        return Err(format!("{SUMS}: not the list of {MANIFEST}"));
    }
    Ok(((subjects, contents), who))
}

/// A statement that one of the keys of each role signed, and nobody else; spelled as envelopes are, so that nothing in it is outside what is signed.
fn signed_by<P: Predicate>(
    folder: &Folder,
    name: &str,
    roles: &[(SignerRole, Vec<PublicKey>)],
) -> Result<(Vec<Subject>, P, String), String> {
    let bytes = folder.read(name, super::MAX_BYTES).map_err(told)?;
    let envelope = Envelope::from_json(&bytes).map_err(|error| format!("{name}: {error}"))?;
    if envelope.to_json().as_bytes() != bytes {
        return Err(format!("{name}: spelled in another way than envelopes are"));
    }
    let (mut found, mut who, mut all) = (None, Vec::new(), Vec::new());
    for (role, keys) in roles {
        let role = role.name();
        found = Some(
            stated::<P>(&envelope, keys, 1)
                .map_err(|error| format!("{name}: no signature of a trusted {role}: {error}"))?,
        );
        let signers = envelope.signers(keys);
        who.extend(signers.iter().map(|key| format!("{} ({role})", key.name())));
        all.extend(keys.iter().cloned());
    }
    let (subjects, predicate) = found.ok_or_else(|| format!("{name}: nobody is asked for"))?;
    if envelope.signers(&all).len() != envelope.signatures().count() {
        return Err(format!(
            "{name}: a signature that is nobody's who is asked for"
        ));
    }
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
    if let Some(empty) = folder.empty() {
        return Err(format!("{empty}: a folder without files"));
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
    let digest = Digest::of(&folder.read(name, super::MAX_BYTES).map_err(told)?);
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
        "{RECORDS}: {} lines, {} attempts ({} failed, {} lost), {} answers, head {}",
        summary.lines,
        story.attempts(),
        story.failed(),
        story.lost(),
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
    if opened.max_tokens != terms.sampling.max_tokens {
        return wrong("length of answers");
    }
    let spent = story.spent();
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

/// Every request asks what was drawn, as the plan says, of the model that its suspect's door names.
fn requests(folder: &Folder, plan: &SealedPlan, asked: &Asked) -> Found<()> {
    let terms = plan.plan();
    let mut doors: Vec<Option<Door>> = Vec::new();
    let mut shown = 0_u64;
    walk(folder, |seen| {
        match seen {
            Seen::Door(number, text) => {
                let door = match text {
                    Some(text) => Some(serde_json::from_slice::<Door>(text).map_err(|_| {
                        format!("{OPENINGS}: door.{number}: not where anything is asked")
                    })?),
                    None => None,
                };
                let at_hand = door.as_ref().is_none_or(|door| door.weights.is_some());
                let planned = terms.suspects.get(number).map(|suspect| suspect.access);
                if planned == Some(Access::Weights) && !at_hand {
                    return Err(format!(
                        "{OPENINGS}: door.{number}: a server, and the plan says that weights are at hand"
                    ));
                }
                doors.push(door);
            }
            Seen::Request(sent, Some(body)) => {
                let wrong = || {
                    format!(
                        "{OPENINGS}: attempt {}, request: not what was drawn for suspect {}, prompt {}, answer {}",
                        sent.attempt, sent.suspect, sent.prompt, sent.answer
                    )
                };
                let asks = request_terms(body).ok_or_else(wrong)?;
                let question = asked
                    .questions()
                    .get(sent.prompt as usize)
                    .ok_or_else(wrong)?;
                let door = doors.get(sent.suspect as usize).and_then(Option::as_ref);
                let drawn = Asks {
                    prompt: question.prompt.clone(),
                    temperature: terms.sampling.temperature.value(),
                    top_p: terms.sampling.top_p.value(),
                    max_tokens: terms.sampling.max_tokens.into(),
                    seed: *question.seeds.get(sent.answer as usize).ok_or_else(wrong)?,
                    model: door.map_or_else(|| asks.model.clone(), |door| door.model.clone()),
                };
                if asks != drawn {
                    return Err(wrong());
                }
                shown += 1;
            }
            Seen::Request(_, None) | Seen::Answer(_) => {}
        }
        Ok(())
    })?;
    Ok((
        (),
        format!("{OPENINGS}: {shown} requests ask what was drawn"),
    ))
}

/// Where a suspect is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Door {
    #[serde(rename = "url")]
    _url: Option<String>,
    model: Option<String>,
    weights: Option<Digest>,
}

/// The collector signed this transcript's end, and is the one who wrote it.
fn signed(folder: &Folder, trust: &Trust, walked: &Walked, plan: &SealedPlan) -> Found<()> {
    let (story, summary) = (&walked.outcome.story, &walked.outcome.summary);
    // Nobody signs for another: the key is that of the name in the first line.
    let collector = story.opened().map_or("", |opened| &opened.collector);
    let mut keys = trust.keys(SignerRole::Collector);
    keys.retain(|key| key.name() == collector);
    let (subjects, said, who) =
        signed_by::<Collected>(folder, TRANSCRIPT, &[(SignerRole::Collector, keys)])?;
    let found = Collected {
        plan: plan.digest(),
        lines: summary.lines,
        head: summary.head,
        attempts: story.attempts(),
        answers: story.answers(),
        because: ended(walked),
    };
    if said != found {
        return Err(format!("{TRANSCRIPT}: it speaks of another transcript"));
    }
    for (subject, name) in subjects.iter().zip([ASKED, RECORDS]) {
        let own = folder.digest(name).map_err(told)?;
        if name.rsplit('/').next() != Some(subject.name.as_str()) || subject.digest.sha256 != own {
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
    if let Some(other) = keys
        .iter()
        .find(|key| matches!(key.path().role(), Role::Control | Role::Decoy))
    {
        return Err(format!(
            "{REVEAL}: {} was never issued, so it cannot be tested",
            other.path()
        ));
    }
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
    // All of them, in order: whoever may leave some out chooses the rank.
    let all = (0..CONTROL_KEYS).map(|number| format!("{}/control/{number:04}", epoch.label()));
    if !keys.iter().map(|key| key.path().to_string()).eq(all) {
        return Err(format!(
            "{CONTROLS}: not the epoch's {CONTROL_KEYS} control keys, by number"
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

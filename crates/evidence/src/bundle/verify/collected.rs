//! What was collected: transcript and texts, read side by side.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::super::folder::Folder;
use super::super::{ASKED, Collected, OPENINGS, RECORDS, TRANSCRIPT};
use super::files::signed_by;
use super::{Answer, Found, told};
use crate::asked::Asked;
use crate::digest::Digest;
use crate::plan::{Access, SealedPlan};
use crate::time::Time;
use crate::transcript::{
    self, Asks, Ending, Entry, Sent, Shown, Verifier, answer_text, read_openings, request_terms,
};
use crate::trust::{SignerRole, Trust};

/// What a reader of transcript and texts sees. A text that is withheld is none.
pub(super) enum Seen<'a> {
    /// Where a suspect is asked.
    Door(usize, Option<&'a [u8]>),
    /// A request.
    Request(&'a Sent, Option<&'a [u8]>),
    /// An answer.
    Answer(Answer),
}

pub(super) fn ended(walked: &Walked) -> Ending {
    let closed = walked.outcome.story.closed();
    closed.map_or(Ending::Abandoned, |closed| closed.because)
}

/// What a transcript and its texts add up to.
pub(super) struct Walked {
    pub(super) outcome: transcript::Outcome,
    pub(super) withheld: u64,
    /// Who withheld texts and why, each once.
    pub(super) reasons: BTreeSet<String>,
    /// When the first request was about to leave, by the collector's clock.
    pub(super) first: Option<Time>,
    /// What the requests turned out to ask, where it is known what was drawn.
    pub(super) requests: Option<Found<()>>,
}

/// Reads transcript and texts side by side.
pub(super) fn walk(
    folder: &Folder,
    mut each: impl FnMut(Seen<'_>) -> Result<(), String>,
) -> Result<Walked, String> {
    let mut openings = read_openings(folder.file(OPENINGS).map_err(told)?);
    let (mut withheld, mut first, mut fault) = (0, None, None);
    let mut reasons = BTreeSet::new();
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
            Shown::Withheld(why) => {
                withheld += 1;
                reasons.insert(format!("{}: {}", why.by, why.reason));
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
        reasons,
        first,
        requests: None,
    })
}

/// What the requests turn out to ask: what was drawn, as the plan says, of the model that each suspect's door names.
struct Requests<'a> {
    plan: &'a SealedPlan,
    asked: &'a Asked,
    doors: Vec<Option<Door>>,
    /// Requests that are shown and ask it.
    good: u64,
}

impl Requests<'_> {
    /// Takes what is seen next.
    fn take(&mut self, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Door(number, text) => self.door(*number, *text),
            Seen::Request(sent, Some(body)) => {
                if self.is_drawn(sent, body) {
                    self.good += 1;
                    return Ok(());
                }
                Err(format!(
                    "{OPENINGS}: attempt {}, request: not what was drawn for suspect {}, prompt {}, answer {}",
                    sent.attempt, sent.suspect, sent.prompt, sent.answer
                ))
            }
            Seen::Request(_, None) | Seen::Answer(_) => Ok(()),
        }
    }

    fn door(&mut self, number: usize, text: Option<&[u8]>) -> Result<(), String> {
        let door =
            match text {
                Some(text) => Some(serde_json::from_slice::<Door>(text).map_err(|_| {
                    format!("{OPENINGS}: door.{number}: not where anything is asked")
                })?),
                None => None,
            };
        let at_hand = door.as_ref().is_none_or(|door| door.weights.is_some());
        let planned = self.plan.plan().suspects.get(number);
        if planned.is_some_and(|suspect| suspect.access == Access::Weights) && !at_hand {
            return Err(format!(
                "{OPENINGS}: door.{number}: a server, and the plan says that weights are at hand"
            ));
        }
        self.doors.push(door);
        Ok(())
    }

    fn is_drawn(&self, sent: &Sent, body: &[u8]) -> bool {
        let question = self.asked.questions().get(sent.prompt as usize);
        let seed = question.and_then(|question| question.seeds.get(sent.answer as usize));
        let (Some(asks), Some(question), Some(seed)) = (request_terms(body), question, seed) else {
            return false;
        };
        let sampling = &self.plan.plan().sampling;
        let door = self
            .doors
            .get(sent.suspect as usize)
            .and_then(Option::as_ref);
        let drawn = Asks {
            prompt: question.prompt.clone(),
            temperature: sampling.temperature.value(),
            top_p: sampling.top_p.value(),
            max_tokens: sampling.max_tokens.into(),
            seed: *seed,
            // Of a door that is withheld nobody can say which model it leads to.
            model: door.map_or_else(|| asks.model.clone(), |door| door.model.clone()),
        };
        asks == drawn
    }
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

/// Chain and texts, to their end; on the way also the requests, where it is known what was drawn.
pub(super) fn chain(folder: &Folder, drawn: Option<(&SealedPlan, &Asked)>) -> Found<Walked> {
    let mut requests = drawn.map(|(plan, asked)| Requests {
        plan,
        asked,
        doors: Vec::new(),
        good: 0,
    });
    let mut fault = None;
    let mut walked = walk(folder, |seen| {
        if let (Some(requests), None) = (&mut requests, &fault) {
            fault = requests.take(&seen).err();
        }
        Ok(())
    })?;
    walked.requests = requests.map(|requests| match fault {
        Some(fault) => Err(fault),
        None => Ok((
            (),
            format!("{OPENINGS}: {} requests ask what was drawn", requests.good),
        )),
    });
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

/// Every question was answered; any other end is not what was planned.
pub(super) fn complete(walked: &Walked) -> Result<String, String> {
    if ended(walked) == Ending::Complete {
        return Ok("every question was answered".to_owned());
    }
    let questions = walked.outcome.story.questions();
    Err(format!(
        "it ended as {:?} with {} of {} questions answered: not as planned, and whoever ends it may know what came back",
        ended(walked),
        questions.answered(),
        questions.count()
    ))
}

/// No text is withheld.
pub(super) fn shown(walked: &Walked) -> Result<String, String> {
    match walked.withheld {
        0 => Ok("every text is shown".to_owned()),
        withheld => Err(format!("{withheld} texts are withheld")),
    }
}

/// The transcript is of this plan and draw, and within the plan's budget.
pub(super) fn under_plan(
    folder: &Folder,
    walked: &Walked,
    plan: &SealedPlan,
    asked: &Asked,
) -> Found<()> {
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

/// The collector signed this transcript's end, and is the one who wrote it.
pub(super) fn signed(
    folder: &Folder,
    trust: &Trust,
    walked: &Walked,
    plan: &SealedPlan,
) -> Found<()> {
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

//! Checks a bundle link by link (SPEC.md §9.2). What a check rests on is what the checks before it proved, never what the bundle says of itself.

mod collected;
mod files;
mod keys;
mod plan;
mod register;

use taggant_core::{LeafKey, Record};

use self::collected::{Seen, chain, complete, ended, shown, signed, under_plan, walk};
use self::files::{anchored, listed, manifest, sealed, signed_by};
use self::keys::{controls, epoch, keys};
use self::plan::{asked, plan, ready, record};
use self::register::registered;
use super::accounts::{ACCOUNTS, Accounts};
use super::check::Outcome;
use super::folder::{Folder, is_seal};
use super::identity::{Identity, Named, SUSPECTS};
use super::order::{Event, in_order};
use super::register::{LOG, LOG_HEAD, Planned, REGISTER};
use super::{ANALYSIS, Contents, DISCLOSED, EPOCH, MANIFEST, PLAN, REVEAL, SUMS, TRANSCRIPT};
use crate::anchors::Anchors;
use crate::asked::Asked;
use crate::plan::SealedPlan;
use crate::statement::Subject;
use crate::time::Time;
use crate::transcript::Ending;
use crate::trust::{SignerRole, Trust};

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
    /// When what happened.
    pub times: Times,
    /// Who asked, by the name of the key that signed the transcript.
    pub collector: &'a str,
    /// Attempts on record.
    pub attempts: u64,
    /// Texts that are withheld.
    pub withheld: u64,
    /// Who withheld them and why, each once.
    pub reasons: Vec<String>,
    /// The suspects' names, in the plan's order, where they are opened.
    pub names: Option<&'a [Identity]>,
    /// How many accounts a custodian answers for.
    pub accounts: usize,
    /// All plans of the case, in the order of its log; none where there is no register.
    pub plans: Vec<Planned>,
    ended: Ending,
}

/// When what happened, as authorities, beacon and log vouch for it; the queries by the collector's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The keys were committed to.
    pub commitment: Time,
    /// The plan was sealed.
    pub plan: Time,
    /// The beacon's round.
    pub round: Time,
    /// The first request was about to leave.
    pub first_query: Time,
    /// The transcript's last line.
    pub last_line: Time,
    /// The transcript was signed.
    pub transcript: Time,
    /// The tested keys were opened; none where nothing vouches for it.
    pub reveal: Option<Time>,
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

/// Checks that a bundle's files are those that were signed, and nothing else; for a first look, or where that is all that is asked.
#[must_use]
pub fn verify_files(folder: &Folder, trust: &Trust) -> Outcome {
    let mut outcome = Outcome::default();
    files(&mut outcome, folder, trust);
    outcome
}

fn files(
    outcome: &mut Outcome,
    folder: &Folder,
    trust: &Trust,
) -> Option<(Vec<Subject>, Contents)> {
    let manifest = outcome.keep("files.manifest", manifest(folder, trust));
    outcome.run("files.listed", manifest.as_ref(), |(subjects, _)| {
        listed(folder, subjects)
    });
    manifest
}

/// Checks a bundle against a trust file. `analyse` recomputes [`ANALYSIS`] from what is proven, or says why it cannot.
///
/// Nothing is asked of the network, and a bundle that brings its own keys gains nothing by it.
pub fn verify(
    folder: &Folder,
    trust: &Trust,
    analyse: impl FnOnce(&Proven<'_>) -> Result<String, String>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let manifest = files(&mut outcome, folder, trust);
    if folder
        .names()
        .any(|name| is_seal(name) && name != MANIFEST && name != SUMS)
    {
        outcome.keep("manifest.anchored", sealed(folder, trust));
    }
    let contents = manifest.as_ref().map(|(_, contents)| contents);
    let plan = outcome.keep("plan.signed", plan(folder, trust, contents));
    let plan = plan.as_ref();
    let commitment = outcome.keep("commitment.anchored", anchored(folder, trust, EPOCH));
    let planned = outcome.keep("plan.anchored", anchored(folder, trust, PLAN));
    let collected = outcome.keep("transcript.anchored", anchored(folder, trust, TRANSCRIPT));
    let proofs = format!("{REVEAL}.");
    let opened = (folder.names().any(|name| name.starts_with(&proofs)))
        .then(|| outcome.keep("reveal.anchored", anchored(folder, trust, REVEAL)))
        .flatten();
    let ready = outcome.run(
        "plan.ready",
        plan.zip(planned.as_ref()),
        |(plan, planned)| ready(trust, plan, planned),
    );
    let asked = outcome.run("draw.asked", plan.zip(ready.as_ref()), |(plan, ready)| {
        asked(folder, plan, ready)
    });
    let drawn = plan.zip(asked.as_ref());
    // Without a register a bundle may be sound, and does not pass: nobody knows how many plans there were.
    let has_register = [LOG, LOG_HEAD, REGISTER]
        .iter()
        .any(|name| folder.has(name));
    let plans = if !has_register {
        outcome.skip(
            "plans.registered",
            "no register of the case's plans is there",
        );
        Some(Vec::new())
    } else if trust.logs() > 1 {
        outcome.skip(
            "plans.registered",
            "the trust file believes several logs, and nothing says which is the case's; give one with that log alone",
        );
        None
    } else {
        outcome.run("plans.registered", plan, |plan| {
            registered(folder, trust, plan)
        })
    };

    let walked = outcome.keep("transcript.chain", chain(folder, drawn));
    let walked = walked.as_ref();
    let of_plan = outcome.run(
        "transcript.plan",
        walked.zip(drawn),
        |(walked, (plan, asked))| under_plan(folder, walked, plan, asked),
    );
    outcome.run("transcript.signed", walked.zip(plan), |(walked, plan)| {
        signed(folder, trust, walked, plan)
    });
    let requests = walked.and_then(|walked| walked.requests.clone());
    let as_drawn = outcome.run("transcript.requests", requests, |requests| requests);
    outcome.require("transcript.complete", walked.map(complete));
    outcome.require("transcript.texts", walked.map(shown));

    let record = outcome.run("mark.record", plan, |plan| record(folder, plan));
    let epoch = outcome.keep("commitment.epoch", epoch(folder));
    let committed = plan.zip(epoch.as_ref());
    let keys = outcome.run("reveal.keys", committed, |(plan, epoch)| {
        keys(folder, plan, epoch)
    });
    let controls = outcome.run("reveal.controls", committed, |(plan, epoch)| {
        controls(folder, plan, epoch)
    });
    let times = (|| {
        let walked = walked?;
        let transcript = collected.as_ref()?.time()?;
        let span = walked.outcome.summary.times;
        let last_line = span.map_or(transcript, |(_, last)| last);
        Some(Times {
            commitment: commitment.as_ref()?.time()?,
            plan: planned.as_ref()?.time()?,
            round: ready.as_ref()?.round,
            first_query: walked.first.unwrap_or(last_line),
            last_line,
            transcript,
            reveal: opened.as_ref().and_then(Anchors::time),
        })
    })();
    outcome.run("order", times.as_ref(), order);

    let names = (folder.has(SUSPECTS))
        .then(|| outcome.run("suspects.named", plan, |plan| named(folder, trust, plan)))
        .flatten();
    let accounts = (folder.has(ACCOUNTS))
        .then(|| outcome.keep("exhibit.accounts", accounts(folder, trust)))
        .flatten();
    let proven = (|| {
        Some(Proven {
            folder,
            plan: plan?,
            asked: asked.as_ref()?,
            record: record.as_ref()?,
            keys: keys.as_ref()?,
            controls: controls.as_ref()?,
            times: times?,
            collector: walked?.outcome.story.opened()?.collector.as_str(),
            attempts: walked?.outcome.story.attempts(),
            withheld: walked?.withheld,
            reasons: walked?.reasons.iter().cloned().collect(),
            names: names.as_deref(),
            accounts: accounts.as_ref().map_or(0, |found| found.accounts.len()),
            plans: plans?,
            ended: ended(walked?),
        })
        // Suspects, prompts and answers are numbered as the plan has them, and prompts are those that were asked.
        .filter(|_| of_plan.is_some() && as_drawn.is_some())
    })();
    // Where texts are withheld, what can be computed again is what the others give.
    let (code, file) = match walked.is_some_and(|walked| walked.withheld > 0) {
        true => ("analysis.disclosed", DISCLOSED),
        false => ("analysis.recomputed", ANALYSIS),
    };
    match proven.as_ref().map(analyse) {
        Some(Err(why)) => outcome.skip(code, &why),
        recomputed => {
            let recomputed = recomputed.and_then(Result::ok);
            outcome.run(code, recomputed, |text| analysis(folder, file, &text));
        }
    }
    if file == DISCLOSED {
        outcome.skip(
            "analysis.recomputed",
            "it is over all texts, and some are withheld",
        );
    }
    outcome
}

/// The labels, opened by the examiner who held them back until the analysis was there.
fn named(folder: &Folder, trust: &Trust, plan: &SealedPlan) -> Found<Vec<Identity>> {
    let roles = [(SignerRole::Examiner, trust.keys(SignerRole::Examiner))];
    let (subjects, named, who) = signed_by::<Named>(folder, SUSPECTS, &roles)?;
    let analysis = Subject::new(ANALYSIS, folder.digest(ANALYSIS).map_err(told)?);
    if subjects != [analysis] {
        return Err(format!(
            "{SUSPECTS}: about another {ANALYSIS}: names are opened when scores are frozen"
        ));
    }
    match named.fault(&plan.plan().suspects) {
        Some(fault) => Err(format!("{SUSPECTS}: {fault}")),
        None => Ok((named.suspects, who)),
    }
}

/// Whose accounts they are, on the word of a provider of the trust file.
fn accounts(folder: &Folder, trust: &Trust) -> Found<Accounts> {
    let roles = [(SignerRole::Provider, trust.keys(SignerRole::Provider))];
    let (subjects, found, who) = signed_by::<Accounts>(folder, ACCOUNTS, &roles)?;
    if subjects != [Subject::new(EPOCH, folder.digest(EPOCH).map_err(told)?)] {
        return Err(format!("{ACCOUNTS}: about another {EPOCH}"));
    }
    match found.fault() {
        Some(fault) => Err(format!("{ACCOUNTS}: {fault}")),
        None => Ok((found, who)),
    }
}

/// What a check finds: a value and what it rests on, or what is wrong.
type Found<T> = Result<(T, String), String>;

fn told(error: taggant_core::Error) -> String {
    error.to_string()
}

fn order(times: &Times) -> Found<()> {
    let event = |name, time, own_word| Event {
        name,
        time,
        own_word,
    };
    let mut events = vec![
        event("commitment", times.commitment, false),
        event("plan", times.plan, false),
        event("round", times.round, false),
        event("first-query", times.first_query, true),
        event("last-line", times.last_line, true),
        event("transcript", times.transcript, false),
    ];
    events.extend(times.reveal.map(|time| event("reveal", time, false)));
    in_order(&events).map(|told| ((), told))
}

fn analysis(folder: &Folder, file: &str, recomputed: &str) -> Found<()> {
    let found = folder.text(file).map_err(told)?;
    if found == recomputed {
        return Ok(((), format!("{file}: every number again, to the byte")));
    }
    let line = found
        .lines()
        .zip(recomputed.lines())
        .position(|(found, own)| found != own);
    let line = line.unwrap_or_else(|| found.lines().count().min(recomputed.lines().count())) + 1;
    Err(format!(
        "{file}: another result than is computed from transcript and keys, from line {line} on"
    ))
}

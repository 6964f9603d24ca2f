//! A report's fields, from what a bundle proves, what was computed and what a person wrote.

use std::path::Path;

use taggant_detector::stats::{PValue, holm_among};
use taggant_evidence::Plan;
use taggant_evidence::bundle::{
    self, ACCOUNTS, ANALYSIS, DISCLOSED, Folder, MANIFEST, Planned, Proven, SUMS,
};
use taggant_evidence::report::{
    Alternative, Assumption, Bin, Collection, Control, ControlKind, Decoys, Disclosure, Effect,
    FORMAT, Fate, Field, Finding, Link, LogP, Material, Method, Moment, NullRuns, Number, Outcome,
    PlanEntry, Probability, Propositions, Rank, Redaction, Report, Results, Row, SelfTest,
    Standing, Step, Study, Subject, Timeline,
};

use super::super::analysis::{Analysis, Key, Suspect};
use super::super::self_test;
use super::super::validation::{self, VALIDATION};
use super::{Notes, Served};
use crate::args::CaseReport;
use crate::clock;
use crate::failure::{Failure, Result};

/// End of the last bin of the control keys' histogram, which has none: no p-value is below 1e-330.
const END: f64 = 330.0;

/// The report on one suspect.
pub(super) fn fill(
    folder: &Folder,
    proven: &Proven<'_>,
    analysis: &Analysis<'_>,
    notes: &Notes,
    args: &CaseReport,
) -> Result<Report> {
    let plan = proven.plan.plan();
    let place = match &args.suspect {
        None => 0,
        Some(id) => (plan.suspects.iter())
            .position(|suspect| suspect.id == *id)
            .ok_or_else(|| {
                let known: Vec<&str> = plan.suspects.iter().map(|suspect| &*suspect.id).collect();
                Failure::new(format!("no suspect `{id}` in the plan"))
                    .hint(format!("there are {}", known.join(", ")))
            })?,
    };
    let (Some(suspect), Some(key)) = (analysis.suspects.get(place), proven.keys.first()) else {
        return Err(Failure::new("the analysis has no such suspect"));
    };
    let found = suspect
        .keys
        .first()
        .ok_or_else(|| Failure::new("the analysis has no key"))?;
    let opened = proven.names.and_then(|names| names.get(place));
    let model = (notes.model.clone())
        .or_else(|| opened.map(|identity| identity.name.clone()))
        .unwrap_or_else(|| format!("suspect {}", suspect.id));
    let timeline = timeline(proven, notes);
    let self_test = self_test::run()?;
    let whole = timeline.issuance.at.is_some() && timeline.reveal.at.is_some();
    let outcome = if proven.withheld > 0 && found.below_alpha {
        // Whoever withholds texts after they were scored can choose what the others show.
        Outcome::Inconclusive(
            "texts are withheld, so that what was planned cannot be computed again from the others"
                .to_owned(),
        )
    } else {
        outcome(found, suspect, plan.power.units, whole)
    };
    let came = match &outcome {
        Outcome::Support => "The primary test gave support.",
        Outcome::NoSupport => "The primary test gave no support.",
        Outcome::Inconclusive(_) => "The primary test did not answer the question.",
    };
    let mut accounts = notes.accounts.clone();
    if proven.accounts > 0 {
        accounts.push(format!(
            "{ACCOUNTS}: {} accounts, on their custodian's word",
            proven.accounts
        ));
    }
    let materials = (folder.names())
        .map(|name| {
            Ok(Material {
                name: name.to_owned(),
                holds: holds(name).to_owned(),
                sha256: folder.digest(name)?,
            })
        })
        .collect::<taggant_core::Result<_>>()?;
    Ok(Report {
        format: FORMAT.to_owned(),
        case: plan.case.clone(),
        made: clock::now()?,
        subject: Subject {
            model,
            key: key.path().to_string(),
            commitment: found.commitment,
        },
        disclosure: disclosure(notes),
        plans: plans(proven, came),
        materials,
        propositions: Propositions {
            main: plan.propositions.main.clone(),
            opposing: plan.propositions.opposing.clone(),
            alternatives: (plan.propositions.alternatives.iter())
                .map(|explanation| Alternative {
                    explanation: explanation.clone(),
                    answer: (notes.answers.get(explanation).cloned())
                        .unwrap_or_else(|| "Not addressed by this evidence.".to_owned()),
                })
                .collect(),
        },
        method: method(folder, proven, notes, self_test)?,
        timeline,
        collection: Collection {
            profile: plan.suspects[place].access,
            collectors: vec![proven.collector.to_owned()],
            attempts: proven.attempts,
            scored: analysis
                .suspects
                .iter()
                .map(|suspect| suspect.answers)
                .sum(),
            relay_search: notes.relay_search.clone(),
            custody: notes.custody.clone(),
        },
        finding: Finding {
            outcome,
            accounts: link(
                &accounts,
                "no exhibit of a custodian says whose accounts they are.",
            ),
            issued: link(
                &notes.issued,
                "no exhibit of the provider says what was served under the key.",
            ),
            alpha: plan.error.alpha.clone(),
            floor: plan.reporting.floor.clone(),
            scale: plan.reporting.scale.clone(),
            power: plan.power.clone(),
            null_runs: null_runs(plan, analysis, place),
        },
        results: results(folder, proven, analysis, place)?,
        deviations: notes.deviations.clone(),
        verification: steps(args),
    })
}

/// All plans of the register; of this one, what came of it here.
fn plans(proven: &Proven<'_>, came: &str) -> Vec<PlanEntry> {
    let own = PlanEntry {
        digest: proven.plan.digest(),
        sealed: proven.times.plan,
        fate: Fate::CarriedOut(came.to_owned()),
    };
    let entry = |planned: &Planned| match planned.file == bundle::PLAN {
        true => own.clone(),
        false => PlanEntry {
            digest: planned.plan,
            sealed: planned.sealed,
            fate: planned.fate.clone(),
        },
    };
    match proven.plans.as_slice() {
        [] => vec![own],
        plans => plans.iter().map(entry).collect(),
    }
}

/// Support needs the whole order in time, whatever the numbers say.
fn outcome(found: &Key, suspect: &Suspect<'_>, planned: u64, whole: bool) -> Outcome {
    match (found.below_alpha, whole) {
        (true, true) => Outcome::Support,
        (true, false) => Outcome::Inconclusive(
            "the error rate is at most alpha, but the order of events is not shown whole"
                .to_owned(),
        ),
        (false, _) if suspect.units >= planned => Outcome::NoSupport,
        (false, _) => Outcome::Inconclusive(format!(
            "{} units were scored, and the plan counts on {planned} to find the effect that it looks for",
            suspect.units
        )),
    }
}

fn link(exhibits: &[String], missing: &str) -> Link {
    match exhibits {
        [] => Link::Missing(missing.to_owned()),
        exhibits => Link::Shown(exhibits.to_vec()),
    }
}

fn disclosure(notes: &Notes) -> Disclosure {
    let field = |text: &Option<String>, blank: &str| match text {
        Some(text) => Field::Filled(text.clone()),
        None => Field::Open(blank.to_owned()),
    };
    Disclosure {
        assignment: field(&notes.assignment, "who asked which questions"),
        opinions: field(&notes.opinions, "the opinions, with basis and reasons"),
        facts: field(
            &notes.facts,
            "facts or data considered besides the files that are listed",
        ),
        exhibits: field(&notes.exhibits, "exhibits that will be used"),
        qualifications: field(
            &notes.qualifications,
            "education, employment, experience with statistical evidence",
        ),
        publications: field(
            &notes.publications,
            "all publications of the last ten years",
        ),
        testimony: field(
            &notes.testimony,
            "all cases of the last four years with testimony at trial or by deposition",
        ),
        compensation: field(&notes.compensation, "what is paid for study and testimony"),
    }
}

fn timeline(proven: &Proven<'_>, notes: &Notes) -> Timeline {
    let times = proven.times;
    let moment = |at, shown_by: &str| Moment {
        at: Some(at),
        shown_by: shown_by.to_owned(),
    };
    let missing = |shown_by: &str| Moment {
        at: None,
        shown_by: shown_by.to_owned(),
    };
    Timeline {
        key: moment(
            times.commitment,
            "two time-stamps and a log entry over the commitment",
        ),
        issuance: match &notes.issuance {
            Some(Served { at, shown_by }) => moment(*at, shown_by),
            None => missing(
                "nothing: the provider has not said when the first marked answer was served",
            ),
        },
        plan: moment(times.plan, "two time-stamps and a log entry over the plan"),
        beacon: moment(
            times.round,
            &format!(
                "round {} of {}, as in the verifier's trust file",
                proven.plan.plan().beacon.round,
                proven.plan.plan().beacon.chain
            ),
        ),
        first_query: moment(
            times.first_query,
            "the transcript, which holds what the round drew",
        ),
        last_query: moment(
            times.last_line,
            &format!(
                "the transcript's last line; time-stamps of {} over the whole",
                times.transcript
            ),
        ),
        reveal: match times.reveal {
            Some(at) => moment(at, "two time-stamps and a log entry over the opened keys"),
            None => missing("nothing: the opened keys have no time-stamps"),
        },
    }
}

fn method(
    folder: &Folder,
    proven: &Proven<'_>,
    notes: &Notes,
    self_test: SelfTest,
) -> Result<Method> {
    let plan = proven.plan.plan();
    let window = proven
        .record
        .layers()
        .first()
        .map_or(0, |layer| layer.window);
    let mut validation = notes.validation.clone();
    if folder.has(VALIDATION) {
        validation.extend(studies(folder, proven.record.scheme().id())?);
    }
    Ok(Method {
        summary: format!(
            "The suspects' answers were cut into units: a window of {window} tokens and the token after it. Each distinct unit was scored once, with the scheme {}, under the tested key and under {} control keys that were \
             committed to with it and never used; windows that occur in the prompt were left out. If the answers have nothing to do with the key, each score is a fair draw, whatever the text is about.",
            proven.record.scheme().id(),
            proven.controls.len()
        ),
        published: notes.published.clone(),
        program: plan.scorer.version.clone(),
        source: plan.scorer.source,
        binary: plan.scorer.binary,
        machine: format!("{}, {}", std::env::consts::OS, std::env::consts::ARCH),
        validation,
        self_test,
    })
}

/// What the bundle's file says of the scheme.
fn studies(folder: &Folder, scheme: &str) -> Result<Vec<Study>> {
    let wrong = |error: serde_json::Error| Failure::new(format!("{VALIDATION}: {error}"));
    let sha256 = folder.digest(VALIDATION)?;
    let own = scheme.split('/').next().unwrap_or_default();
    let studies = validation::read(&folder.text(VALIDATION)?).map_err(wrong)?;
    let of_scheme = studies
        .into_iter()
        .filter(|study| study.statistic.starts_with(own));
    Ok(of_scheme
        .map(|study| {
            let levels: Vec<String> = (study.levels.iter())
                .map(|level| {
                    format!(
                        "at {} {} of that ({} to {})",
                        level.level, level.rate, level.low, level.high
                    )
                })
                .collect();
            Study {
                question: format!(
                    "How often does {} reach a level where nothing is to be found?",
                    study.statistic
                ),
                result: format!(
                    "Of {} scores, in parts of the level, with 99 % intervals: {}.",
                    study.scores,
                    levels.join(", ")
                ),
                sha256,
            }
        })
        .collect())
}

/// What the plan says of a suspect that is a control: the line of its list that begins with the suspect's label, such as `suspect s2: …` (SPEC.md §9.3).
fn control<'a>(plan: &'a Plan, id: &str) -> Option<&'a String> {
    let names = |text: &&String| {
        let label = text.split_once(':').map(|(label, _)| label);
        label.is_some_and(|label| label.strip_prefix("suspect ").unwrap_or(label) == id)
    };
    plan.controls.negative.iter().find(names)
}

/// Runs where nothing is to be found: models that cannot have learned from the mark, under keys that marked nothing (S-4). A plan without such models has none.
fn null_runs(plan: &Plan, analysis: &Analysis<'_>, place: usize) -> NullRuns {
    // The model that a report is about is no control of itself, whatever the plan calls it.
    null_runs_of(plan, others(analysis, &[place]))
}

/// The suspects but those at these places.
fn others<'a>(
    analysis: &'a Analysis<'a>,
    without: &'a [usize],
) -> impl Iterator<Item = &'a Suspect<'a>> {
    let all = analysis.suspects.iter().enumerate();
    all.filter(|(place, _)| !without.contains(place))
        .map(|(_, suspect)| suspect)
}

fn null_runs_of<'a>(plan: &Plan, suspects: impl Iterator<Item = &'a Suspect<'a>>) -> NullRuns {
    let controls: Vec<&Suspect<'_>> = suspects
        .filter(|suspect| control(plan, suspect.id).is_some())
        .collect();
    let sum = |number: fn(&Suspect<'_>) -> u64| count(controls.iter().map(|own| number(own)).sum());
    NullRuns {
        runs: sum(|suspect| suspect.controls.keys),
        findings: sum(|suspect| suspect.controls.findings),
        models: sum(|_| 1),
        models_with_findings: sum(|suspect| u64::from(suspect.controls.findings > 0)),
    }
}

fn results(
    folder: &Folder,
    proven: &Proven<'_>,
    analysis: &Analysis<'_>,
    place: usize,
) -> Result<Results> {
    let plan = proven.plan.plan();
    let holm = format!("Holm over {} tests", analysis.family);
    let (mut rows, mut controls) = (Vec::new(), Vec::new());
    for (number, suspect) in analysis.suspects.iter().enumerate() {
        for (key_number, key) in suspect.keys.iter().enumerate() {
            let is_primary = number == place && key_number == 0;
            rows.push(Row {
                test: format!(
                    "{} under {}: answers, {} statistic",
                    suspect.id,
                    proven.keys[key_number].path(),
                    plan.primary.statistic
                ),
                standing: if is_primary {
                    Standing::Primary
                } else {
                    Standing::Planned
                },
                units: suspect.units,
                effect: Effect {
                    estimate: key.effect.clone(),
                    low: key.effect_low.clone(),
                    high: key.effect_high.clone(),
                    unit: "standard deviations a unit, 95 % interval".to_owned(),
                },
                p: probability(&key.log10_p, key.method),
                adjusted: Some(probability(&key.log10_p_holm, &holm)),
                e: None,
                rank: Some(Rank {
                    keys: count(suspect.controls.keys),
                    as_high: count(key.at_least),
                }),
            });
            if let Some(basis) = control(plan, suspect.id).filter(|_| number != place) {
                controls.push(Control {
                    name: suspect.id.to_owned(),
                    kind: ControlKind::Negative,
                    basis: basis.clone(),
                    p: probability(&key.log10_p, key.method),
                });
            }
        }
    }
    let suspect = &analysis.suspects[place];
    controls.extend(left_out(plan, analysis, place)?);
    Ok(Results {
        analysis: folder.digest(if proven.withheld > 0 {
            DISCLOSED
        } else {
            ANALYSIS
        })?,
        family: count(analysis.family),
        decoys: suspect
            .keys
            .first()
            .map(|key| decoys(suspect, key))
            .transpose()?,
        rows,
        controls,
        path: None,
        accounts: None,
        sensitivity: suspect.keys.first().map(sensitivity).unwrap_or_default(),
        redaction: redaction(folder, proven, &suspect.keys, place)?,
    })
}

/// The primary result under the plan's other assumptions.
fn sensitivity(key: &Key) -> Vec<Assumption> {
    let others = key.sensitivity.iter();
    others
        .map(|other| Assumption {
            assumed: format!("{}; {} units", other.statistic.words(), other.units),
            p: probability(&other.log10_p, other.method),
            e: None,
        })
        .collect()
}

/// What stands when a control model is not believed to be one (S-6): the primary result without its tests, and the null runs without it.
fn left_out(plan: &Plan, analysis: &Analysis<'_>, place: usize) -> Result<Vec<Control>> {
    let mut rows = Vec::new();
    for (number, out) in analysis.suspects.iter().enumerate() {
        if number == place || control(plan, out.id).is_none() {
            continue;
        }
        let kept = || (analysis.suspects.iter().enumerate()).filter(move |(n, _)| *n != number);
        // The primary result comes first, whatever the order of the others.
        let mut p = vec![&analysis.suspects[place].keys[0]];
        p.extend(kept().flat_map(|(n, suspect)| &suspect.keys[usize::from(n == place)..]));
        let p: Vec<PValue> = (p.iter())
            .map(|key| PValue::from_ln(key.log10_p.value() * std::f64::consts::LN_10))
            .collect();
        let family = analysis.family - out.keys.len() as u64;
        let runs = null_runs_of(plan, others(analysis, &[number, place]));
        rows.push(Control {
            name: format!("without {}", out.id),
            kind: ControlKind::LeftOut,
            basis: format!(
                "The primary result, Holm over {family} tests. Of {} null runs of {} other control models, {} were findings.",
                runs.runs, runs.models, runs.findings
            ),
            p: probability(
                &LogP::up(holm_among(&p, family)[0].log10())?,
                &format!("Holm over {family} tests"),
            ),
        });
    }
    Ok(rows)
}

/// The primary result over all texts, as it was computed before some were withheld, and over the others.
fn redaction(
    folder: &Folder,
    proven: &Proven<'_>,
    disclosed: &[Key],
    place: usize,
) -> Result<Option<Redaction>> {
    let (Some(key), true) = (disclosed.first(), proven.withheld > 0) else {
        return Ok(None);
    };
    let before: serde_json::Value = serde_json::from_str(&folder.text(ANALYSIS)?)
        .map_err(|error| Failure::new(format!("{ANALYSIS}: {error}")))?;
    let all = &before["suspects"][place]["keys"][0];
    let log10: LogP = all["log10_p"]
        .as_str()
        .ok_or_else(|| Failure::new(format!("{ANALYSIS}: no result of this suspect")))?
        .parse()?;
    Ok(Some(Redaction {
        records: proven.withheld,
        reasons: proven.reasons.clone(),
        all: probability(&log10, all["method"].as_str().unwrap_or("not said")),
        disclosed: probability(&key.log10_p, key.method),
    }))
}

fn probability(log10: &LogP, method: &str) -> Probability {
    Probability {
        log10: log10.clone(),
        method: method.to_owned(),
    }
}

fn count(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The control keys' scores on the primary test's text.
fn decoys(suspect: &Suspect<'_>, key: &Key) -> taggant_core::Result<Decoys> {
    // The last bin has no end to be drawn to, and is seldom needed.
    let histogram = match suspect.controls.histogram.as_slice() {
        [rest @ .., 0] => rest,
        all => all,
    };
    let edge = |bin: usize| {
        #[expect(clippy::cast_precision_loss, reason = "a dozen bins")]
        Number::down(if bin == suspect.controls.histogram.len() {
            END
        } else {
            bin as f64 / 2.0
        })
    };
    let bins = (0..histogram.len())
        .map(|bin| {
            Ok(Bin {
                from: edge(bin)?,
                to: edge(bin + 1)?,
                keys: count(histogram[bin]),
            })
        })
        .collect::<taggant_core::Result<_>>()?;
    Ok(Decoys {
        score: "minus log10 p, not corrected".to_owned(),
        bins,
        tested: Number::down(-key.log10_p.value())?,
        fit: probability(
            &suspect.controls.log10_p_uniform,
            "Kolmogorov–Smirnov test of the control keys' error rates against the uniform law",
        ),
    })
}

/// How anyone checks it again.
fn steps(args: &CaseReport) -> Vec<Step> {
    let name = |path: &Path| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| "case".to_owned())
    };
    let (case, trust) = (name(&args.folder.folder), name(&args.folder.trust));
    let step = |checks: &str, command: String, expected: &str| Step {
        checks: checks.to_owned(),
        command,
        expected: expected.to_owned(),
    };
    vec![
        step(
            "every link and every number",
            format!("taggant case verify {case} --trust {trust}"),
            "PASS as the last line",
        ),
        step(
            "every link, by a second program that shares no code with the first",
            format!("python3 bundle.py {case} {trust}"),
            "PASS as the last line",
        ),
        step(
            "every file, by a tool of any system, in the case's folder",
            format!("sha256sum -c {SUMS}"),
            "OK for each file",
        ),
    ]
}

/// What a file of a bundle holds.
fn holds(name: &str) -> &'static str {
    match name {
        _ if name.ends_with(".tsr") => "a time-stamp over the file of the same name",
        _ if name.ends_with(".tlog-proof") => "a log's proof for the file of the same name",
        MANIFEST => "the signed list of all files",
        SUMS => "the same list for other tools",
        bundle::EPOCH => "the commitment to all keys of the epoch",
        bundle::RECORD => "how the mark is made",
        bundle::PLAN => "the sealed plan",
        bundle::POOL => "the prompts that were drawn from",
        bundle::ASKED => "the prompts that were drawn",
        bundle::RECORDS => "every attempt to ask",
        bundle::OPENINGS => "the texts of requests and answers",
        bundle::TRANSCRIPT => "the collector's word on the transcript",
        bundle::REVEAL => "the tested keys, opened",
        bundle::CONTROLS => "the control keys, opened",
        ANALYSIS => "every number of this report",
        DISCLOSED => "the same over what is disclosed",
        bundle::SUSPECTS => "the suspects' names, opened",
        ACCOUNTS => "whose accounts they are, on their custodian's word",
        VALIDATION => "how often the statistics err where nothing is to be found",
        bundle::STOCK => "lines for other tools",
        bundle::SBOM => "every package that the program may hold",
        bundle::LOG => "every entry of the case's log",
        bundle::LOG_HEAD => "the log's head, seen by its witnesses",
        bundle::REGISTER => "what became of each plan",
        _ if name.starts_with("register/") => "a plan that was not carried out here",
        _ if bundle::TOKENIZERS.contains(&name) => "the tokenizer that texts are read with",
        _ => "an exhibit",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of a line may name other suspects; only its label says whom it is about.
    #[test]
    fn a_control_is_who_its_line_begins_with() {
        let example = include_str!("../plan.json")
            .replace(&"0".repeat(64), &"1".repeat(64))
            .replace("{SOURCE}", &"2".repeat(64))
            .replace("{BINARY}", &"3".repeat(64));
        let mut plan = Plan::from_json(&example).unwrap();
        plan.controls.negative = [
            "suspect s2: the same base model as s1, trained without a mark",
            "s3: released before",
            "for s4, no model was at hand",
        ]
        .map(str::to_owned)
        .to_vec();
        for (id, is_one) in [
            ("s1", false),
            ("s2", true),
            ("s3", true),
            ("s4", false),
            ("", false),
        ] {
            assert_eq!(control(&plan, id).is_some(), is_one, "{id}");
        }
    }
}

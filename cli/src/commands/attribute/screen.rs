//! What is printed: a screen for a person, or an object for each account and cluster and one for all.

use serde::Serialize;
use serde_json::{Map, Value, json};
use taggant_detector::attribution::{
    AccountFinding, ClusterFinding, Controls, Findings, Measured, Needed,
};
use taggant_detector::{Reason, Verdict};

use super::evidence::Source;
use super::json;
use crate::args::{Attribute, Rule};
use crate::failure::Result;
use crate::output::CheckLine;

/// Accounts shown to a person, and clusters; `--json` gives all.
const SHOWN: usize = 20;
const CLUSTERS: usize = 8;

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tested: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    named: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kinds: Option<Map<String, Value>>,
    log10_p: f64,
    log10_p_holm: f64,
    log10_e: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lead: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_only: Option<bool>,
    needed: Option<More<'a>>,
    verdict: &'static str,
    reason: Option<String>,
}

/// Estimates of what more would decide.
#[derive(Serialize)]
struct More<'a> {
    kind: &'a str,
    units: f64,
    needed: Option<f64>,
    least: Option<f64>,
    planned: bool,
}

fn more<'a>(needed: Option<&Needed>, sources: &'a [Source]) -> Option<More<'a>> {
    needed.map(|needed| More {
        kind: &sources[needed.kind].name,
        units: needed.units,
        needed: needed.needed,
        least: needed.least,
        planned: needed.planned,
    })
}

/// JSON has no infinity; an e-value of 0 is `null`, as in evidence.
fn log10(ln: f64) -> Option<f64> {
    Some(ln * std::f64::consts::LOG10_E).filter(|log10| log10.is_finite())
}

fn reason(verdict: &Verdict) -> Option<String> {
    verdict
        .reason()
        .map(|reason| format!("{}: {reason}", reason.name()))
}

fn account<'a>(found: &'a AccountFinding, findings: &Findings, sources: &'a [Source]) -> Line<'a> {
    let of_kind = |(source, measured): (&Source, &Option<Measured>)| {
        let measured = (*measured)?;
        let mut kind = json!({"log10_p": measured.p_value.log10()});
        if let Some(ln_e) = measured.ln_e {
            kind["log10_e"] = json!(log10(ln_e));
        }
        if let Some(units) = measured.units {
            kind["units"] = json!(units);
        }
        Some((source.name.clone(), kind))
    };
    Line {
        account: Some(&found.name),
        control: Some(found.control),
        cluster: None,
        accounts: None,
        tested: None,
        named: None,
        kinds: Some(
            sources
                .iter()
                .zip(&found.measured)
                .filter_map(of_kind)
                .collect(),
        ),
        log10_p: found.p_value.log10(),
        log10_p_holm: found.adjusted.log10(),
        log10_e: log10(found.ln_e),
        lead: Some(found.lead),
        basis: Some(basis(found, sources)),
        keys_only: Some(found.rests_on_keys_alone(&findings.kinds)),
        needed: more(found.needed.as_ref(), sources),
        verdict: found.verdict.name(),
        reason: reason(&found.verdict),
    }
}

fn basis<'a>(found: &AccountFinding, sources: &'a [Source]) -> Vec<&'a str> {
    found
        .basis
        .iter()
        .map(|&kind| &sources[kind].name[..])
        .collect()
}

fn cluster<'a>(found: &'a ClusterFinding, sources: &'a [Source]) -> Line<'a> {
    Line {
        account: None,
        control: None,
        cluster: Some(&found.name),
        accounts: Some(found.accounts),
        tested: Some(found.tested),
        named: Some(found.named),
        kinds: None,
        log10_p: found.p_value.log10(),
        log10_p_holm: found.adjusted.log10(),
        log10_e: log10(found.ln_e),
        lead: None,
        basis: None,
        keys_only: None,
        needed: more(found.needed.as_ref(), sources),
        verdict: found.verdict.name(),
        reason: reason(&found.verdict),
    }
}

/// Smallest p-value first; accounts in question before controls that tie.
fn ordered(findings: &Findings) -> Vec<&AccountFinding> {
    let mut ordered: Vec<&AccountFinding> = findings.accounts.iter().collect();
    ordered.sort_by(|a, b| a.p_value.ln().total_cmp(&b.p_value.ln()));
    ordered
}

fn ordered_clusters(findings: &Findings) -> Vec<&ClusterFinding> {
    let mut ordered: Vec<&ClusterFinding> = findings.clusters.iter().collect();
    ordered.sort_by(|a, b| a.p_value.ln().total_cmp(&b.p_value.ln()));
    ordered
}

/// How many of the accounts in question have which answer.
struct Counts {
    accounts: usize,
    named: usize,
    keys_only: usize,
    leads: usize,
    not_detected: usize,
    too_little: usize,
}

impl Counts {
    fn of(findings: &Findings) -> Self {
        let count = |is: &dyn Fn(&AccountFinding) -> bool| {
            let accounts = findings.accounts.iter();
            accounts.filter(|found| !found.control && is(found)).count()
        };
        Self {
            accounts: count(&|_| true),
            named: count(&|found| found.verdict == Verdict::Detected),
            keys_only: count(&|found| {
                found.verdict == Verdict::Detected && found.rests_on_keys_alone(&findings.kinds)
            }),
            leads: count(&|found| found.lead && found.verdict != Verdict::Detected),
            not_detected: count(&|found| found.verdict == Verdict::NotDetected),
            too_little: count(&|found| {
                matches!(
                    found.verdict.reason(),
                    Some(Reason::TooLittleEvidence { .. })
                )
            }),
        }
    }
}

/// `--json`.
pub(super) fn objects(
    findings: &Findings,
    sources: &[Source],
    args: &Attribute,
) -> Result<Vec<String>> {
    let mut lines = Vec::with_capacity(findings.accounts.len() + findings.clusters.len() + 1);
    for found in ordered(findings) {
        lines.push(json(&account(found, findings, sources))?);
    }
    for found in ordered_clusters(findings) {
        lines.push(json(&cluster(found, sources))?);
    }
    let counts = Counts::of(findings);
    let kinds: Vec<Value> = sources
        .iter()
        .map(
            |source| json!({"kind": source.name, "file": source.file, "accounts": source.accounts}),
        )
        .collect();
    let checks = CheckLine::all(&findings.checks());
    let all = json!({
        "pooled": true,
        "accounts": counts.accounts,
        "family": findings.family,
        "alpha": args.alpha,
        "combine": rule(args),
        "kinds": kinds,
        "named": counts.named,
        "keys_only": counts.keys_only,
        "leads": counts.leads,
        "not_detected": counts.not_detected,
        "too_little_evidence": counts.too_little,
        "clusters": findings.clusters.len(),
        "clusters_holding": findings.holding().count(),
        "controls": findings.controls.as_ref().map(controls),
        "cohorts": findings.cohorts.map(|found| json!({
            "cohorts": found.cohorts,
            "fired": found.fired,
            "accounts": found.accounts,
            "in_fired": found.in_fired,
            "flagged": found.flagged,
            "flagged_in_fired": found.flagged_in_fired,
            "log10_p": found.p_value.log10(),
        })),
        "checks": checks,
        "verdict": findings.verdict.name(),
        "reason": reason(&findings.verdict),
    });
    lines.push(all.to_string());
    Ok(lines)
}

fn controls(controls: &Controls) -> Value {
    json!({
        "accounts": controls.accounts,
        "log10_p_smallest": controls.smallest.log10(),
        "named": controls.named,
        "at_most_0.05": controls.small,
        "expected_at_most_0.05": controls.expected,
        "log10_p_pooled": controls.pooled.log10(),
        "log10_p": controls.p_value.log10(),
        "fire": controls.fire,
    })
}

fn rule(args: &Attribute) -> &'static str {
    match args.combine {
        Rule::Bonferroni => "bonferroni",
        Rule::Fisher => "fisher",
    }
}

/// For a person: one screen, however many accounts there are.
pub(super) fn table(findings: &Findings, sources: &[Source], args: &Attribute) -> Vec<String> {
    let kinds = |cell: &dyn Fn(usize, &Source) -> String| {
        let cells = sources.iter().enumerate();
        cells
            .map(|(kind, source)| format!("  {:>9}", cell(kind, source)))
            .collect::<String>()
    };
    let mut lines = vec![format!(
        "{:24}{}  {:>9}  {:>9}  {:>8}  verdict",
        "account",
        kinds(&|_, source| source.name.clone()),
        "p-value",
        "Holm",
        "log10 e"
    )];
    let ordered = ordered(findings);
    let suspects: Vec<&AccountFinding> =
        ordered.into_iter().filter(|found| !found.control).collect();
    for found in suspects.iter().take(SHOWN) {
        let cells = kinds(&|kind, _| {
            found.measured[kind].map_or("-".to_owned(), |measured| measured.p_value.to_string())
        });
        let shown: String = found.name.escape_debug().take(64).collect();
        lines.push(format!(
            "{shown:24}{cells}  {:>9}  {:>9}  {:>8.1}  {}",
            found.p_value.to_string(),
            found.adjusted.to_string(),
            found.ln_e * std::f64::consts::LOG10_E,
            answer(found, findings, sources)
        ));
    }
    if let Some(more) = suspects.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        lines.push(format!(
            "… and {more} more accounts with larger p-values; --json lists all"
        ));
    }
    clusters(&mut lines, findings);
    totals(&mut lines, findings, args);
    lines
}

fn answer(found: &AccountFinding, findings: &Findings, sources: &[Source]) -> String {
    let lead = if found.lead { " (lead)" } else { "" };
    match &found.verdict {
        Verdict::Detected if found.rests_on_keys_alone(&findings.kinds) => {
            "Detected, basis: keys only".to_owned()
        }
        Verdict::Detected if found.basis.is_empty() => "Detected, all kinds together".to_owned(),
        Verdict::Detected => format!("Detected, basis: {}", basis(found, sources).join(" and ")),
        // Told once, below.
        Verdict::Inconclusive(Reason::ControlsFire { .. }) => "Inconclusive: withheld".to_owned(),
        Verdict::Inconclusive(reason) => format!("Inconclusive: {reason}{lead}"),
        verdict => format!("{}{lead}", verdict.name()),
    }
}

fn clusters(lines: &mut Vec<String>, findings: &Findings) {
    for found in ordered_clusters(findings).into_iter().take(CLUSTERS) {
        let shown: String = found.name.escape_debug().take(64).collect();
        let verdict = match &found.verdict {
            Verdict::Detected if found.named == 0 => {
                "the cluster holds; not enough evidence at account level".to_owned()
            }
            Verdict::Detected => {
                format!("the cluster holds; {} of its accounts named", found.named)
            }
            Verdict::Inconclusive(Reason::ControlsFire { .. }) => {
                "Inconclusive: withheld".to_owned()
            }
            Verdict::Inconclusive(reason) => format!("Inconclusive: {reason}"),
            verdict => verdict.name().to_owned(),
        };
        lines.push(format!(
            "cluster {shown}: {} of {} accounts tested, p = {}, Holm {}: {verdict}",
            found.tested, found.accounts, found.p_value, found.adjusted
        ));
    }
    let rest = findings.clusters.len().checked_sub(CLUSTERS);
    if let Some(more) = rest.filter(|&more| more > 0) {
        lines.push(format!("… and {more} more clusters with larger p-values"));
    }
}

fn totals(lines: &mut Vec<String>, findings: &Findings, args: &Attribute) {
    let counts = Counts::of(findings);
    let among = match findings.family {
        family if family > counts.accounts as u64 => format!(", {family} tested"),
        _ => String::new(),
    };
    lines.push(format!(
        "{} of {} accounts named{among}; the chance of any false one is at most {:e} (Holm; kinds by {})",
        counts.named,
        counts.accounts,
        args.alpha,
        match args.combine {
            Rule::Bonferroni => "Bonferroni",
            Rule::Fisher => "Fisher",
        }
    ));
    if counts.keys_only > 0 {
        lines.push(format!(
            "{} of them by their keys only: whoever had an account's key could have forged it; twins or canaries would settle it",
            counts.keys_only
        ));
    }
    lines.push(format!(
        "not named: {} with evidence enough to say no, {} with too little, {} leads (at most {} of leads wrong on average)",
        counts.not_detected, counts.too_little, counts.leads, args.leads
    ));
    if let Some(controls) = &findings.controls {
        lines.push(format!(
            "{} controls: {} would have been named, smallest p {}, {} at most 0.05 ({} expected), p = {}: {}",
            controls.accounts,
            controls.named,
            controls.smallest,
            controls.small,
            (controls.expected * 10.0).round() / 10.0,
            controls.p_value,
            match controls.fire {
                true => "they fire; every accusation is withheld",
                false => "as innocent accounts should be",
            }
        ));
    }
    if args.cohorts.is_some() {
        for check in findings.checks() {
            if check.name == "cohorts" {
                lines.push(format!("cohorts: {}", check.status.detail()));
            }
        }
    }
}

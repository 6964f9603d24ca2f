//! What the test prints for an account, a cluster and all together.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use taggant_detector::stats::PValue;
use taggant_detector::twins::{Finding, Findings, TwinReport};

use super::json;
use super::sealed::shown;
use crate::args::TwinsTest;
use crate::failure::Result;

/// Accounts and clusters shown to a person; `--json` gives all.
const SHOWN: usize = 20;

/// Fields that one level has and another lacks are left out.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pooled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accused: Option<usize>,
    exchanges: u64,
    informative: u64,
    twins: f64,
    z: f64,
    log10_p: f64,
    exact: bool,
    log10_p_saddlepoint: f64,
    log10_p_rank: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_p_decoys: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_p_holm: Option<f64>,
    log10_e: f64,
    log10_p_anytime: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lead: Option<bool>,
    /// Accounts that are said to have been served the same texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_texts: Option<Vec<&'a str>>,
    auc: Option<f64>,
    auc_error: Option<f64>,
    needed: f64,
    verdict: &'static str,
    reason: Option<String>,
}

impl<'a> Line<'a> {
    fn new(report: &TwinReport) -> Self {
        Self {
            account: None,
            cluster: None,
            pooled: None,
            accounts: None,
            accused: None,
            exchanges: report.exchanges,
            informative: report.informative,
            twins: report.twins,
            z: report.z,
            log10_p: report.p_value.log10(),
            exact: report.exact,
            log10_p_saddlepoint: report.near.log10(),
            log10_p_rank: report.rank_p.log10(),
            log10_p_decoys: report.permutations.map(|rank| rank.p_value().log10()),
            log10_p_holm: None,
            log10_e: log10_e(report),
            log10_p_anytime: report.peak.p_value().log10(),
            lead: None,
            same_texts: None,
            auc: report.auc,
            auc_error: report.auc_error,
            needed: report.needed,
            verdict: report.verdict.name(),
            reason: report.verdict.reason().map(ToString::to_string),
        }
    }

    fn found(finding: &'a Finding) -> Self {
        Self {
            log10_p_holm: Some(finding.report.adjusted.log10()),
            lead: Some(finding.lead),
            ..Self::new(&finding.report)
        }
    }
}

fn log10_e(report: &TwinReport) -> f64 {
    report.ln_e * std::f64::consts::LOG10_E
}

/// Accounts with the same served texts, by account.
pub(super) type Same = BTreeMap<String, BTreeSet<String>>;

/// Every line, in the form that was asked for.
pub(super) fn all(findings: &Findings, same: &Same, args: &TwinsTest) -> Result<Vec<String>> {
    if args.json {
        objects(findings, same)
    } else {
        Ok(table(findings, same, args))
    }
}

fn accused(findings: &Findings) -> usize {
    findings
        .accounts
        .iter()
        .filter(|finding| finding.report.verdict.name() == "Detected")
        .count()
}

fn objects(findings: &Findings, same: &Same) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for finding in ordered(&findings.accounts) {
        lines.push(json(&Line {
            account: Some(&finding.name),
            same_texts: Some(
                same.get(&finding.name[..])
                    .map(|others| others.iter().map(|other| &other[..]).collect())
                    .unwrap_or_default(),
            ),
            ..Line::found(finding)
        })?);
    }
    for finding in ordered(&findings.clusters) {
        lines.push(json(&Line {
            cluster: Some(&finding.name),
            ..Line::found(finding)
        })?);
    }
    lines.push(json(&Line {
        pooled: Some(true),
        accounts: Some(findings.accounts.len()),
        accused: Some(accused(findings)),
        ..Line::new(&findings.pooled)
    })?);
    Ok(lines)
}

/// Smallest p-value first.
fn ordered(findings: &[Finding]) -> Vec<&Finding> {
    let mut ordered: Vec<&Finding> = findings.iter().collect();
    ordered.sort_by(|a, b| a.report.p_value.ln().total_cmp(&b.report.p_value.ln()));
    ordered
}

fn table(findings: &Findings, same: &Same, args: &TwinsTest) -> Vec<String> {
    let mut lines = vec![format!(
        "{:24}  {:>9}  {:>13}  {:>9}  {:>9}  {:>8}  verdict",
        "account", "exchanges", "AUC", "p-value", "Holm", "log10 e"
    )];
    rows(&mut lines, &findings.accounts, "", "accounts");
    rows(&mut lines, &findings.clusters, "cluster ", "clusters");
    lines.push(row(
        "all",
        &findings.pooled,
        findings.pooled.adjusted,
        false,
    ));
    let bound = if findings.pooled.exact {
        "exact p-values"
    } else {
        "p-values of all together are bounds"
    };
    lines.push(format!(
        "{} of {} accounts detected; the chance of any false one is at most {:e} ({bound})",
        accused(findings),
        findings.accounts.len(),
        args.alpha
    ));
    if !same.is_empty() {
        lines.push(format!(
            "{} accounts are said to have been served texts of another one; their twins cannot tell who passed these on: run `taggant attribute` with other evidence",
            same.len()
        ));
    }
    lines
}

fn rows(lines: &mut Vec<String>, findings: &[Finding], prefix: &str, what: &str) {
    for finding in ordered(findings).into_iter().take(SHOWN) {
        let name = shown(&finding.name);
        let name = format!("{prefix}{}", name.trim_matches('`'));
        lines.push(row(
            &name,
            &finding.report,
            finding.report.adjusted,
            finding.lead,
        ));
    }
    if let Some(more) = findings.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        lines.push(format!(
            "… and {more} more {what} with larger p-values; --json lists all"
        ));
    }
}

fn row(name: &str, report: &TwinReport, adjusted: PValue, lead: bool) -> String {
    let auc = match (report.auc, report.auc_error) {
        (Some(auc), Some(error)) => format!("{auc:.3} ± {error:.3}"),
        (Some(auc), None) => format!("{auc:.3}"),
        _ => "-".to_owned(),
    };
    let verdict = match report.verdict.reason() {
        Some(reason) => format!("{}: {reason}", report.verdict.name()),
        None => report.verdict.name().to_owned(),
    };
    let lead = if lead && report.verdict.name() != "Detected" {
        " (lead)"
    } else {
        ""
    };
    format!(
        "{name:24}  {:>9}  {auc:>13}  {:>9}  {:>9}  {:>8.1}  {verdict}{lead}",
        report.exchanges,
        report.p_value.to_string(),
        adjusted.to_string(),
        log10_e(report)
    )
}

//! What the test prints for keys, for accounts and for all together.

use serde::Serialize;
use taggant_core::LeafKey;
use taggant_detector::Verdict;
use taggant_detector::distill::{AccountFinding, Finding, Findings, Outcome, Statistic};
use taggant_detector::stats::PValue;

use super::Keys;
use super::served::Served;
use crate::args::{Mode, Test};
use crate::failure::{Failure, Result};
use crate::output::CheckLine;

/// Keys and accounts shown to a person; `--json` gives all.
const SHOWN: usize = 10;

/// Everything that is to be told.
pub(super) struct Told<'a> {
    pub(super) args: &'a Test,
    pub(super) keys: &'a Keys,
    pub(super) findings: &'a Findings,
    pub(super) accounts: Option<&'a (Statistic, Vec<AccountFinding>)>,
    pub(super) served: Option<&'a Served>,
}

/// One statistic of one key, or one account. Paths may name accounts, so keys go by their places in the file and their commitments.
#[derive(Serialize)]
struct Line {
    statistic: &'static str,
    primary: bool,
    layer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    commitment: String,
    units: u64,
    /// None where suspect and reference agree everywhere.
    effective_units: Option<f64>,
    score: f64,
    mean: f64,
    sd: f64,
    z: f64,
    effect: f64,
    log10_p: f64,
    exact: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_p_saddlepoint: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_p_holm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoys: Option<DecoyLine>,
    verdict: Option<&'static str>,
    reason: Option<String>,
}

#[derive(Serialize)]
struct DecoyLine {
    decoys: u64,
    at_least: u64,
    log10_p_rank: f64,
    fit_distance: f64,
    fit_p: f64,
}

#[derive(Serialize)]
struct Summary {
    pooled: bool,
    mode: &'static str,
    statistic: Option<&'static str>,
    keys: usize,
    detected: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts_detected: Option<usize>,
    rows: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_rows: Option<u64>,
    needed: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_e: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_p_anytime: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_after_rows: Option<u64>,
    checks: Vec<CheckLine>,
}

impl Told<'_> {
    /// Every line, in the form that was asked for.
    pub(super) fn lines(&self) -> Result<Vec<String>> {
        if self.args.json {
            self.objects()
        } else {
            Ok(self.table())
        }
    }

    fn objects(&self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for index in order(&self.findings.keys, |finding| finding.adjusted) {
            let finding = &self.findings.keys[index];
            for outcome in &finding.outcomes {
                lines.push(json(&self.outcome(index, finding, outcome))?);
            }
        }
        if let Some((statistic, found)) = self.accounts {
            for index in order(found, |found| found.own.p_value) {
                lines.push(json(&self.account(*statistic, index, &found[index]))?);
            }
        }
        lines.push(json(&self.summary())?);
        Ok(lines)
    }

    fn outcome(&self, index: usize, finding: &Finding, outcome: &Outcome) -> Line {
        let verdict = outcome.primary.then_some(&finding.verdict);
        Line {
            statistic: outcome.statistic.name(),
            primary: outcome.primary,
            layer: self.keys.role.name(),
            line: self.keys.cohorts.then_some(index + 1),
            commitment: commitment(&self.keys.tested[index]),
            units: outcome.units,
            effective_units: Some(outcome.effective).filter(|units| units.is_finite()),
            score: outcome.score,
            mean: outcome.mean,
            sd: outcome.deviation,
            z: outcome.z(),
            effect: outcome.effect(),
            log10_p: outcome.p_value.log10(),
            exact: outcome.exact,
            log10_p_saddlepoint: (!outcome.exact).then(|| outcome.near.log10()),
            log10_p_holm: (outcome.primary && self.keys.cohorts).then(|| finding.adjusted.log10()),
            decoys: outcome.decoys.map(|(rank, fit)| DecoyLine {
                decoys: rank.trials,
                at_least: rank.at_least,
                log10_p_rank: rank.p_value().log10(),
                fit_distance: fit.distance,
                fit_p: fit.p_value,
            }),
            verdict: verdict.map(Verdict::name),
            reason: verdict.and_then(reason),
        }
    }

    fn account(&self, statistic: Statistic, index: usize, found: &AccountFinding) -> Line {
        let own = &found.own;
        Line {
            statistic: statistic.name(),
            primary: true,
            layer: "account",
            line: Some(index + 1),
            commitment: commitment(&self.keys.accounts[index]),
            units: own.units,
            effective_units: Some(own.effective),
            score: own.score,
            mean: own.mean,
            sd: own.deviation,
            z: found.z(),
            effect: found.effect(),
            log10_p: own.p_value.log10(),
            exact: false,
            log10_p_saddlepoint: None,
            log10_p_holm: Some(found.adjusted.log10()),
            decoys: None,
            verdict: Some(found.verdict.name()),
            reason: reason(&found.verdict),
        }
    }

    fn summary(&self) -> Summary {
        let findings = self.findings;
        let sequential = findings.sequential;
        Summary {
            pooled: true,
            mode: self.mode(),
            statistic: self.statistic().map(Statistic::name),
            keys: findings.keys.len(),
            detected: detected(findings.keys.iter().map(|finding| &finding.verdict)),
            accounts: self.accounts.map(|(_, found)| found.len()),
            accounts_detected: self
                .accounts
                .map(|(_, found)| detected(found.iter().map(|found| &found.verdict))),
            rows: findings.rows,
            served_rows: self.served.map(|served| served.rows),
            needed: findings.needed,
            log10_e: sequential.map(|seen| seen.ln_e * std::f64::consts::LOG10_E),
            log10_p_anytime: sequential.map(|seen| seen.p_value.log10()),
            stopped_after_rows: sequential.and_then(|seen| seen.stopped),
            checks: CheckLine::all(&findings.checks),
        }
    }

    fn mode(&self) -> &'static str {
        match self.args.mode {
            Mode::Closed => "closed",
            Mode::Open => "open",
        }
    }

    fn statistic(&self) -> Option<Statistic> {
        let first = self.findings.keys.first()?.outcomes.first()?;
        Some(first.statistic)
    }

    fn table(&self) -> Vec<String> {
        let findings = self.findings;
        let mut lines = vec![format!(
            "{} test, {} layer, {} rows; the {} statistic decides",
            self.mode(),
            self.keys.role.name(),
            findings.rows,
            self.statistic().map_or("-", Statistic::name)
        )];
        if self.keys.cohorts {
            lines.extend(self.cohorts());
        } else if let Some(finding) = findings.keys.first() {
            lines.extend(self.statistics(finding));
        }
        if let Some(seen) = findings.sequential {
            let when = match seen.stopped {
                Some(row) => format!("; row {row} was enough"),
                None => String::new(),
            };
            lines.push(format!(
                "e-value so far 10^{:.2}; whenever one stops, p = {}{when}",
                seen.ln_e * std::f64::consts::LOG10_E,
                seen.p_value
            ));
        }
        if let Some((statistic, found)) = self.accounts {
            lines.extend(self.account_table(*statistic, found));
        }
        for check in &findings.checks {
            if check.status.name() == "skipped" && check.name != "decoys" {
                lines.push(format!(
                    "not checked: {}: {}",
                    check.name,
                    check.status.detail()
                ));
            }
        }
        if let Some(served) = self.served.filter(|served| served.others > 0) {
            lines.push(format!(
                "{} exchanges of the log carry other keys and weigh nothing",
                served.others
            ));
        }
        lines
    }

    fn statistics(&self, finding: &Finding) -> Vec<String> {
        let mut lines = vec![format!(
            "{:12} {:>9} {:>10} {:>8} {:>9} {:>10}  verdict",
            "statistic", "units", "effective", "z", "effect", "p-value"
        )];
        for outcome in &finding.outcomes {
            let verdict = match outcome.primary {
                true => told(&finding.verdict),
                false => "a second statistic, not the verdict's".to_owned(),
            };
            let effective = match outcome.effective.is_finite() {
                true => format!("{:.0}", outcome.effective),
                false => "-".to_owned(),
            };
            lines.push(format!(
                "{:12} {:>9} {effective:>10} {:>+8.2} {:>+9.4} {:>10}  {verdict}",
                outcome.statistic.name(),
                outcome.units,
                outcome.z(),
                outcome.effect(),
                outcome.p_value.to_string(),
            ));
            if let Some((rank, fit)) = outcome.decoys {
                lines.push(format!(
                    "  of {} decoys {} score as high, p = {}; they follow the law within {:.3} (p = {:.2})",
                    rank.trials,
                    rank.at_least,
                    rank.p_value(),
                    fit.distance,
                    fit.p_value
                ));
            }
        }
        lines
    }

    fn cohorts(&self) -> Vec<String> {
        let keys = &self.findings.keys;
        let rows = keys.iter().enumerate().map(|(index, finding)| {
            let first = finding.outcomes.first();
            Shown {
                line: index + 1,
                key: &self.keys.tested[index],
                units: first.map_or(0, |first| first.units),
                z: first.map_or(0.0, Outcome::z),
                p_value: first.map_or(PValue::ONE, |first| first.p_value),
                adjusted: finding.adjusted,
                verdict: &finding.verdict,
            }
        });
        self.shown(rows.collect(), "keys")
    }

    fn account_table(&self, statistic: Statistic, found: &[AccountFinding]) -> Vec<String> {
        let rows = found.iter().enumerate().map(|(index, found)| Shown {
            line: index + 1,
            key: &self.keys.accounts[index],
            units: found.own.units,
            z: found.z(),
            p_value: found.own.p_value,
            adjusted: found.adjusted,
            verdict: &found.verdict,
        });
        let mut lines = vec![format!(
            "account layer, each key on its own windows, {} statistic:",
            statistic.name()
        )];
        lines.extend(self.shown(rows.collect(), "accounts"));
        lines
    }

    fn shown(&self, rows: Vec<Shown<'_>>, what: &str) -> Vec<String> {
        let mut lines = vec![format!(
            "{:>8}  {:16} {:>9} {:>8} {:>10} {:>10}  verdict",
            "line", "commitment", "units", "z", "p-value", "Holm"
        )];
        for index in order(&rows, |row| row.p_value).into_iter().take(SHOWN) {
            let row = &rows[index];
            lines.push(format!(
                "{:>8}  {:16} {:>9} {:>+8.2} {:>10} {:>10}  {}",
                row.line,
                &commitment(row.key)[..16],
                row.units,
                row.z,
                row.p_value.to_string(),
                row.adjusted.to_string(),
                row.verdict.name()
            ));
        }
        if let Some(more) = rows.len().checked_sub(SHOWN).filter(|&more| more > 0) {
            lines.push(format!(
                "… and {more} more {what} with larger p-values; --json lists all"
            ));
        }
        let inconclusive = rows
            .iter()
            .filter(|row| matches!(row.verdict, Verdict::Inconclusive(_)));
        let inconclusive = match inconclusive.count() {
            0 => String::new(),
            count => format!(", {count} inconclusive"),
        };
        lines.push(format!(
            "{} of {} {what} detected{inconclusive}; the chance of any false one is at most {:e}",
            detected(rows.iter().map(|row| row.verdict)),
            rows.len(),
            self.args.alpha
        ));
        lines
    }
}

/// A row of a table of keys.
struct Shown<'a> {
    line: usize,
    key: &'a LeafKey,
    units: u64,
    z: f64,
    p_value: PValue,
    adjusted: PValue,
    verdict: &'a Verdict,
}

fn detected<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> usize {
    verdicts
        .filter(|verdict| **verdict == Verdict::Detected)
        .count()
}

/// Places by p-value, the smallest first.
fn order<T>(rows: &[T], p_value: impl Fn(&T) -> PValue) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| p_value(&rows[a]).ln().total_cmp(&p_value(&rows[b]).ln()));
    order
}

fn commitment(key: &LeafKey) -> String {
    base16ct::lower::encode_string(&key.commitment())
}

fn reason(verdict: &Verdict) -> Option<String> {
    let reason = verdict.reason()?;
    Some(format!("{}: {reason}", reason.name()))
}

fn told(verdict: &Verdict) -> String {
    match reason(verdict) {
        Some(reason) => format!("{} ({reason})", verdict.name()),
        None => verdict.name().to_owned(),
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Failure::new(error.to_string()))
}

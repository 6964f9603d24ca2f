//! What detection prints for a row, and for the pool.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use taggant_detector::stats::{EProcess, Fit, PValue, Rank};
use taggant_detector::{Passage, Report};
use taggant_text::Tokenizer;

use crate::failure::{Failure, Result};
use crate::output::CheckLine;

/// The table's head.
pub(super) const HEAD: &str = "      id  tokens   units    p-value  verdict";

/// What was asked for besides the verdict.
#[derive(Debug, Default)]
pub(super) struct Extras {
    rows: Option<u64>,
    pub(super) adjusted: Option<PValue>,
    pub(super) passages: Option<Vec<PassageLine>>,
    pub(super) decoys: Option<Vec<DecoyLine>>,
    pub(super) entropy: Option<Vec<EntropyLine>>,
    log10_e: Option<f64>,
    anytime: Option<PValue>,
}

/// A layer's p-value with units weighted by entropy: a second statistic, whatever the first says.
#[derive(Debug)]
pub(super) struct EntropyLine {
    pub(super) layer: &'static str,
    pub(super) bound: PValue,
    pub(super) near: PValue,
}

impl Serialize for EntropyLine {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields {
            layer: &'static str,
            log10_p: f64,
            log10_p_saddlepoint: f64,
        }
        Fields {
            layer: self.layer,
            log10_p: self.bound.log10(),
            log10_p_saddlepoint: self.near.log10(),
        }
        .serialize(serializer)
    }
}

impl Extras {
    /// Those of a pool of `rows`.
    pub(super) fn pool(rows: u64) -> Self {
        Self {
            rows: Some(rows),
            ..Self::default()
        }
    }

    /// The evidence so far, and the p-value that holds whenever one stops.
    pub(super) fn e_value(&mut self, bet: &EProcess) {
        self.log10_e = Some(bet.ln() * std::f64::consts::LOG10_E);
        self.anytime = Some(bet.p_value());
    }
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pooled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    tokens: u64,
    units: u64,
    score: f64,
    expected: f64,
    log10_p: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_p_holm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_e: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_p_anytime: Option<f64>,
    verdict: &'static str,
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passages: Option<&'a [PassageLine]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoys: Option<&'a [DecoyLine]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entropy_weighted: Option<&'a [EntropyLine]>,
    checks: Vec<CheckLine>,
}

/// A marked passage: token positions, end excluded.
#[derive(Debug, Serialize)]
pub(super) struct PassageLine {
    start: u32,
    end: u32,
    units: usize,
    log10_p_adjusted: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl PassageLine {
    pub(super) fn new(passage: &Passage, tokens: &[u32], tokenizer: Option<&Tokenizer>) -> Self {
        let inside = tokens.get(passage.start as usize..passage.end as usize);
        Self {
            start: passage.start,
            end: passage.end,
            units: passage.units,
            log10_p_adjusted: passage.p_adjusted.log10(),
            text: tokenizer.and_then(|tokenizer| tokenizer.decode(inside?).ok()),
        }
    }
}

/// A layer's true key among decoys.
#[derive(Debug)]
pub(super) struct DecoyLine {
    pub(super) layer: &'static str,
    pub(super) decoys: u32,
    pub(super) rank: Rank,
    pub(super) sparse: Option<(&'static str, Rank)>,
    pub(super) p_value: PValue,
    pub(super) fit: Fit,
}

impl Serialize for DecoyLine {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields {
            layer: &'static str,
            decoys: u32,
            at_least: u64,
            log10_p_rank: f64,
            log10_p: f64,
            fit_distance: f64,
            fit_p: f64,
            #[serde(skip_serializing_if = "Option::is_none")]
            sparse: Option<&'static str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            log10_p_sparse: Option<f64>,
        }
        Fields {
            layer: self.layer,
            decoys: self.decoys,
            at_least: self.rank.at_least,
            log10_p_rank: self.rank.p_value().log10(),
            log10_p: self.p_value.log10(),
            fit_distance: self.fit.distance,
            fit_p: self.fit.p_value,
            sparse: self.sparse.map(|(name, _)| name),
            log10_p_sparse: self.sparse.map(|(_, rank)| rank.p_value().log10()),
        }
        .serialize(serializer)
    }
}

fn reason(report: &Report) -> Option<String> {
    let reason = report.verdict.reason()?;
    Some(format!("{}: {reason}", reason.name()))
}

/// One JSON object.
pub(super) fn json(id: Option<Value>, report: &Report, extras: &Extras) -> Result<String> {
    let line = Line {
        pooled: id.is_none().then_some(true),
        id,
        rows: extras.rows,
        tokens: report.tokens,
        units: report.units,
        score: report.score,
        expected: report.expected,
        log10_p: report.p_value.log10(),
        log10_p_holm: extras.adjusted.map(PValue::log10),
        log10_e: extras.log10_e,
        log10_p_anytime: extras.anytime.map(PValue::log10),
        verdict: report.verdict.name(),
        reason: reason(report),
        passages: extras.passages.as_deref(),
        decoys: extras.decoys.as_deref(),
        entropy_weighted: extras.entropy.as_deref(),
        checks: CheckLine::all(&report.checks()),
    };
    serde_json::to_string(&line).map_err(|error| Failure::new(error.to_string()))
}

/// A line of the table, and a line below it for each thing asked for.
pub(super) fn table(id: Option<Value>, report: &Report, extras: &Extras) -> String {
    let name = id.map_or_else(
        || "pooled".to_owned(),
        |id| id.as_str().map_or_else(|| id.to_string(), str::to_owned),
    );
    let why = reason(report)
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    let mut text = format!(
        "{name:>8} {:>7} {:>7} {:>10}  {}{why}",
        report.tokens,
        report.units,
        report.p_value.to_string(),
        report.verdict.name()
    );
    let mut below = |line: &str| {
        let _ = write!(text, "\n         {line}");
    };
    if let Some(adjusted) = extras.adjusted {
        below(&format!("adjusted for all rows (Holm): p = {adjusted}"));
    }
    if let (Some(log10_e), Some(anytime)) = (extras.log10_e, extras.anytime) {
        below(&format!(
            "e-value so far 10^{log10_e:.2}; whenever one stops, p = {anytime}"
        ));
    }
    for passage in extras.passages.iter().flatten() {
        let p = PValue::from_ln(passage.log10_p_adjusted * std::f64::consts::LN_10);
        let words = passage.text.as_deref().map(excerpt).unwrap_or_default();
        below(&format!(
            "tokens {} to {} are marked, p = {p}{words}",
            passage.start, passage.end
        ));
    }
    for line in extras.decoys.iter().flatten() {
        let (rank, layer) = (line.rank, line.layer);
        below(&format!(
            "{layer} key among {} decoys: {} score as high, p = {}; by the law p = {}; the decoys follow the law within {:.3} (p = {:.2})",
            line.decoys,
            rank.at_least,
            rank.p_value(),
            line.p_value,
            line.fit.distance,
            line.fit.p_value
        ));
        if let Some((name, rank)) = line.sparse {
            below(&format!(
                "{layer} key by {name} among the same decoys: {} score as high, p = {}; a second statistic, not the verdict's",
                rank.at_least,
                rank.p_value()
            ));
        }
    }
    for line in extras.entropy.iter().flatten() {
        below(&format!(
            "{} layer weighted by entropy: p ≤ {} (near {}); a second statistic, not the verdict's",
            line.layer, line.bound, line.near
        ));
    }
    text
}

/// The beginning and the end of a passage, on one line.
fn excerpt(text: &str) -> String {
    const SHOWN: usize = 30;
    let words: Vec<char> = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .collect();
    if words.len() <= 2 * SHOWN {
        return format!(": “{}”", words.iter().collect::<String>());
    }
    let (head, tail) = (&words[..SHOWN], &words[words.len() - SHOWN..]);
    format!(
        ": “{} … {}”",
        head.iter().collect::<String>(),
        tail.iter().collect::<String>()
    )
}

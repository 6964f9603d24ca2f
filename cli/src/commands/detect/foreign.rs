//! `detect --format`: another system's mark, by that system's own configuration.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use taggant_detector::Verdict;
use taggant_detector::stats::PValue;
use taggant_interop::{Detector, Found, Mark, Peer, Unit};

use crate::Answer;
use crate::args::Detect;
use crate::corpus::Corpus;
use crate::engines;
use crate::failure::{Failure, Result};
use crate::files::Output;

pub(super) fn run(args: &Detect, format: &str, config: &Path) -> Result<Answer> {
    let mut corpus = Corpus::of_any(args.tokenizer.as_deref())?;
    let vocabulary = args.vocab_size.or_else(|| corpus.vocabulary());
    let mark = Mark::with_vocabulary(format, &engines::read_config(config)?, vocabulary)
        .map_err(|error| Failure::from(error.context(config.display())).hint("give the engine's own configuration; docs of the format: crates/interop/FORMATS.md"))?;
    let warning = mark.definition().warning;
    let mut detector = Detector::new(mark).with_alpha(args.alpha)?;
    let mut output = Output::create(Path::new("-"))?;
    if !args.json {
        output.line(super::line::HEAD)?;
    }
    corpus.read(
        args.text.as_deref(),
        args.input.as_deref(),
        |_, name, response| {
            let found = detector.row(response)?;
            if args.units {
                for unit in detector.units() {
                    output.line(&json(&UnitLine::new(&name.id, &unit))?)?;
                }
            }
            let line = if args.json {
                json(&Line::new(Some(&name.id), &found))?
            } else {
                table(Some(&name.id), &found)
            };
            output.line(&line)
        },
    )?;
    let pooled = detector.pooled();
    let ambiguity = corpus.ambiguity();
    if args.json {
        let line = Line {
            format: Some(format),
            warning,
            rows: Some(corpus.rows()),
            retokenised: ambiguity,
            ..Line::new(None, &pooled)
        };
        output.line(&json(&line)?)?;
    } else {
        output.line(&table(None, &pooled))?;
        if let Some(line) = ambiguity.map(|ambiguity| ambiguity.to_string()) {
            output.line(&format!("         {line}"))?;
        }
        if let (Some(warning), Verdict::Detected) = (warning, &pooled.verdict) {
            output.line(&format!("         note: {warning}"))?;
        }
    }
    output.finish()?;
    corpus.complete()?;
    Ok(match pooled.verdict {
        Verdict::Detected => Answer::Yes,
        _ => Answer::No,
    })
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pooled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    tokens: u64,
    units: u64,
    repeats: u64,
    score: f64,
    expected: f64,
    log10_p: f64,
    /// Whether `log10_p` is the tail itself or a rigorous bound of it.
    exact: bool,
    /// How much farther the score spreads over other keys than that of independent units, as a ratio of variances; where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    spread: Option<f64>,
    verdict: &'static str,
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weighted_score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weighted_log10_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<PeerLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retokenised: Option<crate::corpus::Ambiguity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
}

#[derive(Serialize)]
struct PeerLine {
    detector: &'static str,
    units: u64,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    z: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weighted_mean: Option<f64>,
}

#[derive(Serialize)]
struct UnitLine<'a> {
    id: &'a Value,
    position: usize,
    /// Tokens before, as the engine takes them; what it pads with is -1.
    window: Vec<i64>,
    token: u32,
    /// The keyed function's words, one for each key.
    words: &'a [u32],
    /// The same as the engine writes them.
    raw: &'a [f64],
    score: f64,
    counted: bool,
}

impl<'a> UnitLine<'a> {
    fn new(id: &'a Value, unit: &'a Unit<'_>) -> Self {
        let token = |&token: &u32| {
            if token == u32::MAX {
                -1
            } else {
                i64::from(token)
            }
        };
        Self {
            id,
            position: unit.position,
            window: unit.window.iter().map(token).collect(),
            token: unit.token,
            words: &unit.words,
            raw: &unit.raw,
            score: unit.score,
            counted: unit.counted,
        }
    }
}

impl<'a> Line<'a> {
    fn new(id: Option<&'a Value>, found: &Found) -> Self {
        Self {
            id,
            pooled: id.is_none().then_some(true),
            format: None,
            rows: None,
            tokens: found.tokens,
            units: found.units,
            repeats: found.repeats,
            score: found.score,
            expected: found.expected,
            log10_p: found.p_value.log10(),
            exact: found.exact,
            spread: Some(found.spread).filter(|spread| *spread > 1.0),
            verdict: found.verdict.name(),
            reason: reason(&found.verdict),
            weighted_score: found.weighted.map(|(score, _)| score),
            weighted_log10_p: found.weighted.map(|(_, p)| p.log10()),
            peer: found.peer.as_ref().map(PeerLine::new),
            retokenised: None,
            warning: None,
        }
    }
}

impl PeerLine {
    fn new(peer: &Peer) -> Self {
        Self {
            detector: peer.detector,
            units: peer.units,
            score: peer.score,
            z: peer.z,
            p_value: peer.p_value,
            mean: peer.means.map(|(mean, _)| mean),
            weighted_mean: peer.means.map(|(_, weighted)| weighted),
        }
    }
}

fn reason(verdict: &Verdict) -> Option<String> {
    verdict
        .reason()
        .map(|reason| format!("{}: {reason}", reason.name()))
}

fn json(line: &impl Serialize) -> Result<String> {
    serde_json::to_string(line).map_err(|error| Failure::new(error.to_string()))
}

fn table(id: Option<&Value>, found: &Found) -> String {
    let name = id.map_or_else(
        || "pooled".to_owned(),
        |id| id.as_str().map_or_else(|| id.to_string(), str::to_owned),
    );
    let why = reason(&found.verdict)
        .map(|reason| format!(" ({reason})"))
        .unwrap_or_default();
    let p = if found.exact {
        found.p_value.to_string()
    } else {
        format!("≤{}", found.p_value)
    };
    let mut text = format!(
        "{name:>8} {:>7} {:>7} {p:>10}  {}{why}",
        found.tokens,
        found.units,
        found.verdict.name()
    );
    if let Some(peer) = &found.peer {
        text.push_str(&format!("\n         {}", says(peer)));
    }
    if found.spread > 1.0 {
        text.push_str(&format!(
            "\n         units of this text are related under every key: over others its score spreads {:.1} times as far (variance), which p allows for",
            found.spread
        ));
    }
    if let Some((_, p)) = found.weighted {
        text.push_str(&format!(
            "\n         early layers weighing more: p ≤ {p}; a second statistic, not the verdict's"
        ));
    }
    text
}

/// The engine's own figure, in words.
fn says(peer: &Peer) -> String {
    let mut parts = vec![format!("{} units", peer.units)];
    parts.extend(peer.z.map(|z| format!("z = {z:.2}")));
    parts.extend(
        peer.p_value
            .map(|p| format!("p = {}", PValue::from_ln(p.ln()))),
    );
    parts.extend(
        peer.means
            .map(|(mean, weighted)| format!("mean {mean:.4}, weighted {weighted:.4}")),
    );
    format!("{} would say: {}", peer.detector, parts.join(", "))
}

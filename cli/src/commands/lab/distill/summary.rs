//! What the lab found: `summary.json`, and figures.

use std::path::Path;

use serde_json::{Map, Value, json};
use taggant_detector::stats::uniformity;

use super::Lab;
use super::bench::Bench;
use super::suspects::STUDENTS;
use crate::failure::Result;
use crate::files::Output;
use crate::plot::Lines;

/// Thresholds that a curve is drawn at: a figure shows no more.
const ROC_POINTS: usize = 200;

pub(super) fn write(lab: &Lab<'_>, bench: &Bench) -> Result<()> {
    text(
        &bench.path("commands.sh"),
        &(bench.commands().join("\n") + "\n"),
    )?;
    let sizes = lab.sizes;
    let mut suspects = Map::new();
    let names = STUDENTS
        .iter()
        .flat_map(|student| student.suspects)
        .map(|suspect| suspect.name);
    let mut curves = Vec::new();
    for name in names.filter(|name| bench.has(&format!("closed-east-{name}.jsonl"))) {
        suspects.insert(name.to_owned(), suspect(lab, bench, name)?);
        if bench.has(&format!("drafts-{name}.jsonl")) {
            curves.push((name.to_owned(), roc(lab, bench, name)?));
        }
    }
    let summary = json!({
        "fed": (0..sizes.fed).map(Lab::account).collect::<Vec<_>>(),
        "controls": sizes.controls,
        "exchanges": sizes.exchanges,
        "twins": sizes.drafts - 1,
        "log": bench.read("log-check.json")?.first(),
        "suspects": suspects,
        "mixture": mixture(lab, bench, "mixed")?,
        "mixture_all_weights": mixture(lab, bench, "mixed-full")?,
    });
    text(&bench.path("summary.json"), &format!("{summary:#}\n"))?;
    curves.truncate(6);
    let figure = Lines {
        title: "Served answers against their sealed twins, by the suspect's log-likelihood ratio"
            .to_owned(),
        x: "share of twins above the threshold",
        y: "share of served answers above it",
        ranges: [(0.0, 1.0), (0.0, 1.0)],
        lines: curves,
        nothing: [(0.0, 0.0), (1.0, 1.0)],
        dots: false,
    };
    text(&bench.path("twins.svg"), &figure.to_svg()?)?;
    let effects = windows(lab, bench)?;
    if !effects.lines.is_empty() {
        text(&bench.path("windows.svg"), &effects.to_svg()?)?;
    }
    Ok(())
}

fn text(path: &Path, content: &str) -> Result<()> {
    let mut output = Output::create(path)?;
    output.line(content.trim_end())?;
    output.finish()
}

/// The columns of a row that the summary keeps.
fn pick(row: &Value, columns: &[&str]) -> Value {
    let kept = columns
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), row.get(name)?.clone())));
    Value::Object(kept.collect())
}

/// Every statistic of the key in a file of `test --json`, by name.
fn statistics(bench: &Bench, file: &str) -> Result<Value> {
    if !bench.has(file) {
        return Ok(Value::Null);
    }
    let mut found = Map::new();
    for row in bench.read(file)? {
        if let (Some(name), "campaign") = (
            row["statistic"].as_str(),
            row["layer"].as_str().unwrap_or_default(),
        ) {
            let kept = [
                "primary",
                "units",
                "effective_units",
                "z",
                "effect",
                "log10_p",
                "exact",
                "verdict",
            ];
            found.insert(name.to_owned(), pick(&row, &kept));
        }
    }
    Ok(Value::Object(found))
}

/// Accounts of a file of per-account results: those named, and what p-values of the others look like.
fn accounts(bench: &Bench, file: &str, fed: &dyn Fn(&Value) -> bool) -> Result<Value> {
    if !bench.has(file) {
        return Ok(Value::Null);
    }
    let rows = bench.read(file)?;
    let rows: Vec<&Value> = rows
        .iter()
        .filter(|row| !row["account"].is_null() || row["layer"] == "account")
        .collect();
    let (fed, others): (Vec<&Value>, Vec<&Value>) = rows.into_iter().partition(|row| fed(row));
    let named = |rows: &[&Value]| {
        rows.iter()
            .filter(|row| row["verdict"] == "Detected")
            .count()
    };
    let p = |row: &&Value| row["log10_p"].as_f64();
    Ok(json!({
        "fed": fed.len(),
        "named": named(&fed),
        "fed_log10_p": fed.iter().filter_map(p).collect::<Vec<_>>(),
        "controls": others.len(),
        "controls_named": named(&others),
        "controls_log10_p": others.iter().filter_map(p).collect::<Vec<_>>(),
    }))
}

fn suspect(lab: &Lab<'_>, bench: &Bench, name: &str) -> Result<Value> {
    let fed_accounts: Vec<Value> = bench
        .read("served-east.jsonl")?
        .iter()
        .map(|row| row["account"].clone())
        .collect();
    let fed = |row: &Value| fed_accounts.contains(&row["account"]);
    // The key test goes by lines of the file of keys, which begins with the fed.
    let fed_line = |row: &Value| {
        row["line"]
            .as_u64()
            .is_some_and(|line| line <= lab.sizes.fed as u64)
    };
    let never: Vec<f64> = bench
        .read(&format!("never-{name}.jsonl"))?
        .iter()
        .filter_map(|row| row["log10_p"].as_f64())
        .map(|p| 10_f64.powf(p))
        .collect();
    let pooled = |file: &str| -> Result<Value> {
        if !bench.has(file) {
            return Ok(Value::Null);
        }
        let rows = bench.read(file)?;
        let kept = [
            "exchanges",
            "z",
            "log10_p",
            "auc",
            "auc_error",
            "slots",
            "hits",
            "expected_hits",
        ];
        let east = rows.iter().find(|row| row["cluster"] == "east");
        Ok(east.map_or(Value::Null, |row| pick(row, &kept)))
    };
    let attribution = format!("attribution-{name}.jsonl");
    let decided = if bench.has(&attribution) {
        bench.read(&attribution)?.pop().unwrap_or_default()
    } else {
        Value::Null
    };
    Ok(json!({
        "closed": statistics(bench, &format!("closed-east-{name}.jsonl"))?,
        "closed_control_campaign": statistics(bench, &format!("closed-west-{name}.jsonl"))?,
        "open": statistics(bench, &format!("open-plain-east-{name}.jsonl"))?,
        "open_served_text": statistics(bench, &format!("open-served-east-{name}.jsonl"))?,
        "never_issued": {
            "keys": never.len(),
            "uniform_p": uniformity(&never),
            "least_p": never.iter().copied().fold(1.0, f64::min),
            "at_most_0.05": never.iter().filter(|p| **p <= 0.05).count(),
        },
        "keys": accounts(bench, &format!("keys-{name}.jsonl"), &fed_line)?,
        "twins": accounts(bench, &format!("twins-{name}.jsonl"), &fed)?,
        "twins_pooled": pooled(&format!("twins-{name}.jsonl"))?,
        "twins_closed": accounts(bench, &format!("twins-closed-{name}.jsonl"), &fed)?,
        "twins_closed_pooled": pooled(&format!("twins-closed-{name}.jsonl"))?,
        "canaries": accounts(bench, &format!("canaries-{name}.jsonl"), &fed)?,
        "canaries_closed": accounts(bench, &format!("canaries-closed-{name}.jsonl"), &fed)?,
        "attribution": decided,
    }))
}

fn mixture(lab: &Lab<'_>, bench: &Bench, student: &str) -> Result<Value> {
    let mut parts = Map::new();
    for cohort in lab.cohorts() {
        let name = &cohort.name;
        if !bench.has(&format!("closed-{name}-{student}.jsonl")) {
            continue;
        }
        parts.insert(
            name.clone(),
            json!({
                "exchanges": cohort.exchanges.len(),
                "scheme": cohort.scheme,
                "window": cohort.window,
                "teacher": bench.read(&format!("quality-{name}.json"))?.first(),
                "closed": statistics(bench, &format!("closed-{name}-{student}.jsonl"))?,
                "open": statistics(bench, &format!("open-plain-{name}-{student}.jsonl"))?,
                "open_served_text": statistics(bench, &format!("open-served-{name}-{student}.jsonl"))?,
            }),
        );
    }
    Ok(Value::Object(parts))
}

/// Share of served answers above each threshold against that of twins, over the fed accounts.
fn roc(lab: &Lab<'_>, bench: &Bench, name: &str) -> Result<Vec<(f64, f64)>> {
    let sealed = lab.taken(bench, "sealed.jsonl")?;
    let scores = bench.read(&format!("drafts-{name}.jsonl"))?;
    let (mut served, mut twins) = (Vec::new(), Vec::new());
    for row in &sealed {
        let Some(own) = scores.iter().find(|scores| scores["id"] == row["id"]) else {
            continue;
        };
        for (draft, score) in (0..).zip(own["scores"].as_array().into_iter().flatten()) {
            let side = if row["served"].as_u64() == Some(draft) {
                &mut served
            } else {
                &mut twins
            };
            side.extend(score.as_f64());
        }
    }
    served.sort_by(f64::total_cmp);
    twins.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a few thousand drafts")]
    let above = |side: &[f64], threshold: f64| {
        1.0 - side.partition_point(|score| *score <= threshold) as f64 / side.len().max(1) as f64
    };
    let mut thresholds: Vec<f64> = served.iter().chain(&twins).copied().collect();
    thresholds.sort_by(f64::total_cmp);
    let step = thresholds.len().div_ceil(ROC_POINTS).max(1);
    let mut points = vec![(1.0, 1.0)];
    points.extend(
        thresholds
            .into_iter()
            .step_by(step)
            .map(|threshold| (above(&twins, threshold), above(&served, threshold))),
    );
    points.push((0.0, 0.0));
    Ok(points)
}

/// The effect on a supervised unit, by scheme and window.
fn windows(lab: &Lab<'_>, bench: &Bench) -> Result<Lines> {
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for cohort in lab.cohorts().iter().filter(|cohort| !cohort.is_share()) {
        let found = statistics(bench, &format!("closed-{}-mixed.jsonl", cohort.name))?;
        let Some(effect) = found["supervised"]["effect"].as_f64() else {
            continue;
        };
        #[expect(clippy::cast_precision_loss, reason = "at most 8")]
        let point = (cohort.window as f64, effect);
        match lines.iter_mut().find(|(scheme, _)| scheme == cohort.scheme) {
            Some((_, points)) => points.push(point),
            None => lines.push((cohort.scheme.to_owned(), vec![point])),
        }
    }
    let effects = lines
        .iter()
        .flat_map(|(_, points)| points)
        .map(|(_, effect)| *effect);
    let (low, high) = effects.fold((-0.1, 0.5), |(low, high): (f64, f64), effect| {
        (low.min(effect), high.max(effect))
    });
    Ok(Lines {
        title: "A student's answers: effect on windows that were served once or more".to_owned(),
        x: "window",
        y: "shift of a unit, in standard deviations",
        ranges: [(0.5, 4.5), (low, 1.05 * high)],
        lines,
        nothing: [(0.5, 0.0), (4.5, 0.0)],
        dots: true,
    })
}

//! `report.json` as a page.

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, HtmlEscape, UndefinedBehavior, Value, context};
use serde_json::Value as Json;
use taggant_core::{Error, ErrorKind, Result};

use super::figures::{self, Figure};
use super::rates::{RATES, RATIOS, Scale, grouped, rate_text};
use super::shape::{Report, Standing};
use super::{lint, text};
use crate::plan::Access;
use crate::time::Time;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");

/// What no report shows. Every page holds it, whatever its template is.
pub const LIMITS: [&str; 7] = [
    "Intent: nothing here shows what anyone knew, meant or agreed to.",
    "Identity: nothing here shows which person or company acted. Accounts stand here as pseudonyms; who held them is for other exhibits.",
    "Law: nothing here says whether a contract, a right or a statute was breached.",
    "Amount: nothing here measures how much text was used, what a model gained by it, or what that is worth.",
    "Path: an association does not say by which way text came into training data. The other explanations of section 4 are answered one by one, and some can only be answered in part.",
    "Absence: a result without support does not show that no text was used. Marks can be removed, and weak effects are missed.",
    "Truth of the propositions: an error rate says how often such a finding would come about if there were nothing to find. It is not the probability of either proposition.",
];

/// Requirement C-7: what follows when nobody looked for relayed prompts.
const RELAY: &str = "No relay canaries were searched for in the provider's log. So it remains possible that the model was not trained on the provider's answers, but passed questions on to the provider while it was being tested.";

pub(super) fn page(report: &Report) -> Result<String> {
    page_from(report, PAGE)
}

/// The page of a template, refused unless it holds what every page must hold and nothing that none may.
fn page_from(report: &Report, template: &str) -> Result<String> {
    report.check()?;
    let floor = report.finding.floor.value();
    let json = text::json(report)?;
    for (place, text) in text::strings(&json) {
        lint::check(&format!("report.json {place}"), text, floor)?;
    }
    let html = fill("report.html", template, report, json)?;
    lint::check_page(&html, floor)?;
    let seen = words(&lint::visible(&html));
    for fixed in fixed(report) {
        if !seen.contains(&words(fixed)) {
            return Err(Error::new(
                ErrorKind::Format,
                format!("the template leaves out a text that every such page must hold: `{fixed}`"),
            ));
        }
    }
    let standing = |row: &&super::Row| row.standing == Standing::Exploratory;
    let exploratory = report.results.rows.iter().filter(standing).count();
    let stamps = html.matches(">EXPLORATORY<").count();
    if stamps < exploratory {
        return Err(Error::new(
            ErrorKind::Format,
            format!("the template stamps {stamps} of {exploratory} results as EXPLORATORY"),
        ));
    }
    Ok(html)
}

/// Texts that a page must hold.
fn fixed(report: &Report) -> Vec<&'static str> {
    let mut fixed = LIMITS.to_vec();
    fixed.extend(relay(report));
    if !report.final_faults().is_empty() {
        fixed.push("DRAFT");
    }
    fixed
}

/// The limitation where relay canaries could have been searched for and were not.
fn relay(report: &Report) -> Option<&'static str> {
    let collection = &report.collection;
    (collection.profile != Access::Weights && collection.relay_search.is_none()).then_some(RELAY)
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A template filled from the report. The escaping follows the name's ending.
pub(super) fn fill(name: &str, template: &str, report: &Report, json: Json) -> Result<String> {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    environment.set_syntax(syntax.build().map_err(broken)?);
    // A name that is spelled wrong must not become an empty cell.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let headline = report.headline();
    let links = headline.links.iter().enumerate();
    let links: Vec<Value> = links
        .map(|(index, (shown, says, by))| {
            context! { number => index + 1, shown => *shown, says, by }
        })
        .collect();
    let results = &report.results;
    let floor = report.finding.floor.value();
    let figure = |figure: Option<Figure>| {
        figure.map_or(Value::from(()), |figure| {
            context! { svg => Value::from_safe_string(figure.svg), caption => figure.caption }
        })
    };
    let values = context! {
        report => value(&json),
        style => Value::from_safe_string(STYLE.to_owned()),
        faults => report.final_faults().len(),
        head => context! {
            title => headline.title,
            sentence => headline.sentence,
            note => headline.note,
            design => headline.design,
            procedure => headline.procedure,
            procedure_by_model => headline.procedure_by_model,
            procedure_is_weaker => headline.procedure_is_weaker,
            word => headline.word,
            reach => headline.reach,
            links,
        },
        floor => rate_text(floor, floor),
        rates => scale(&RATES),
        ratios => scale(&RATIOS),
        limits => LIMITS.to_vec(),
        relay => relay(report),
        profile => profile(report.collection.profile),
        moments => report.timeline.moments().map(|(name, _)| name).to_vec(),
        timeline => figure(Some(figures::timeline(&report.timeline))),
        decoys => figure(results.decoys.as_ref().and_then(figures::decoys)),
        path => figure(results.path.as_ref().and_then(|path| figures::path(path, report.finding.alpha.value()))),
        accounts => figure(results.accounts.as_ref().and_then(figures::accounts)),
    };
    environment.add_function("val", move |pointer: &str| cell(&json, pointer));
    environment
        .render_named_str(name, template, values)
        .map_err(broken)
}

/// A value of `report.json` together with its place there: the only way that a number gets into a table.
fn cell(json: &Json, pointer: &str) -> std::result::Result<Value, minijinja::Error> {
    let text = match json.pointer(pointer) {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Number(number)) => grouped(&number.to_string(), '\u{a0}'),
        Some(Json::Null) => return Ok(Value::from("none")),
        _ => {
            return Err(minijinja::Error::new(
                minijinja::ErrorKind::InvalidOperation,
                format!("nothing to print at {pointer} of report.json"),
            ));
        }
    };
    let (tag, text) = match text.parse::<Time>() {
        Ok(_) => ("time", text::when(&text)),
        Err(_) => ("span", text),
    };
    Ok(Value::from_safe_string(format!(
        "<{tag} data-json=\"{pointer}\">{}</{tag}>",
        HtmlEscape(&text)
    )))
}

fn scale(scale: &Scale) -> Value {
    let bands = scale.bands.iter();
    let bands: Vec<Value> = bands
        .map(|band| context! { range => band.range, word => band.word })
        .collect();
    context! { name => scale.name, source => scale.source, bands }
}

fn profile(access: Access) -> &'static str {
    match access {
        Access::Weights => {
            "Open weights: the model's weights are at hand by digest, and anyone can run it again. This is the strongest profile."
        }
        Access::TwoCollectors => {
            "Interface, two collectors: two parties that do not depend on each other asked and kept records. A transcript of an interface can be written by whoever holds it; two of them have to agree."
        }
        Access::OneCollector => {
            "Interface, one collector: one party asked and kept records. A transcript of an interface can be written by whoever holds it; anchors show only when it existed. This is the weakest profile."
        }
    }
}

/// JSON as a template's value.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(truth) => Value::from(*truth),
        Json::Number(number) => number.as_u64().map_or_else(|| Value::from(()), Value::from),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Json::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, item)| (name.clone(), value(item)));
            Value::from(fields.collect::<BTreeMap<_, _>>())
        }
    }
}

fn broken(error: minijinja::Error) -> Error {
    Error::new(
        ErrorKind::Format,
        format!("the report's template does not render: {error:#}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report::from_json(include_str!("../../tests/fixtures/report/report.json")).unwrap()
    }

    #[test]
    fn a_template_without_what_every_page_must_hold_does_not_render() {
        let report = report();
        page_from(&report, PAGE).unwrap();
        for (part, instead) in [
            ("{{ limit }}", ""),
            ("{{ limit }}", "{{ limit | replace(\"not\", \"\") }}"),
            ("{% for limit in limits %}", "{% for limit in limits[1:] %}"),
            ("{{ relay }}", ""),
            ("<b>DRAFT.</b>", ""),
            (
                "\"exploratory\": \"EXPLORATORY\"",
                "\"exploratory\": \"PLANNED\"",
            ),
            ("\"/units\"", "\"/unit\""),
            ("{{ head.word }}", "{{ head.words }}"),
            ("{{ head.reach }}", "It was distilled by them."),
            ("{{ floor }}", "1 in 10 000 000 000"),
        ] {
            let template = PAGE.replace(part, instead);
            assert_ne!(template, PAGE, "{part}");
            assert!(page_from(&report, &template).is_err(), "{part}");
        }
    }

    #[test]
    fn what_the_lint_finds_in_the_page_is_named_by_section() {
        let template = PAGE.replace("<dt>Unit</dt>", "<dt>A match</dt>");
        let error = page_from(&report(), &template).unwrap_err().to_string();
        assert!(
            error.contains("section \"14. Glossary\": `match*`"),
            "{error}"
        );
    }
}

//! `attribute`: which accounts fed the suspect? Results of several tests, put together.

mod evidence;
mod lists;
mod screen;

use std::path::Path;

use serde::Serialize;
use taggant_detector::Verdict;
use taggant_detector::attribution::{Attribution, Combine, Findings, Plan};

use crate::Answer;
use crate::args::{Attribute, Rule};
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::plot::{Ranked, Ranking, Shade};

pub(crate) fn run(args: &Attribute) -> Result<Answer> {
    let plan = Plan::new(args.alpha)?
        .with_leads(args.leads)?
        .with_combine(match args.combine {
            Rule::Bonferroni => Combine::Bonferroni,
            Rule::Fisher => Combine::Fisher,
        })
        .with_family(args.family.unwrap_or(0));
    if args.svg.as_deref().is_some_and(files::is_stream) {
        return Err(
            Failure::new("--svg is -, and standard output is the answer's")
                .hint("give --svg a file"),
        );
    }
    let mut attribution = Attribution::new(plan);
    let names = args.names.as_deref().map(lists::names).transpose()?;
    let sources = evidence::read(args, names.as_ref(), &mut attribution)?;
    if let Some(path) = &args.controls {
        lists::controls(path, &mut attribution)?;
    }
    if let Some(path) = &args.clusters {
        lists::clusters(path, &mut attribution)?;
    }
    if let Some(path) = &args.cohorts {
        lists::cohorts(path, &mut attribution)?;
    }
    let findings = attribution.findings()?;
    if let Some(family) = args.family.filter(|&family| family < findings.family) {
        return Err(Failure::new(format!(
            "--family is {family}, and the evidence holds {} accounts that are no controls",
            findings.family
        ))
        .hint("give the number of accounts that were tested, or leave it out"));
    }

    let drawn = match &args.svg {
        Some(path) => {
            let mut output = Output::create(path)?;
            output.line(ranking(&findings, args.alpha).to_svg()?.trim_end())?;
            Some(output.seal()?)
        }
        None => None,
    };
    let mut output = Output::create(Path::new("-"))?;
    let lines = match args.json {
        true => screen::objects(&findings, &sources, args)?,
        false => screen::table(&findings, &sources, args),
    };
    for line in lines {
        output.line(&line)?;
    }
    output.finish()?;
    if let Some(drawn) = drawn {
        drawn.publish()?;
    }
    if findings.controls.is_none() {
        say("note: no --controls: nothing shows that the pipeline spares innocent accounts");
    }
    Ok(match findings.verdict {
        Verdict::Detected => Answer::Yes,
        _ => Answer::No,
    })
}

/// The chart of all accounts.
fn ranking(findings: &Findings, alpha: f64) -> Ranking {
    let points = findings.accounts.iter().map(|found| Ranked {
        height: -found.p_value.log10(),
        shade: match (found.control, &found.verdict) {
            (true, _) => Shade::Control,
            (false, Verdict::Detected) => Shade::Named,
            (false, _) => Shade::Other,
        },
    });
    #[expect(clippy::cast_precision_loss, reason = "a place on an axis")]
    let family = findings.family as f64;
    Ranking {
        title: format!(
            "{} of {} accounts named",
            findings.named().count(),
            findings
                .accounts
                .iter()
                .filter(|found| !found.control)
                .count()
        ),
        points: points.collect(),
        family,
        alpha,
    }
}

fn json(line: &impl Serialize) -> Result<String> {
    serde_json::to_string(line).map_err(|error| Failure::new(error.to_string()))
}

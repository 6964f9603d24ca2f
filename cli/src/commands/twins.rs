//! `twins draw | seal | test`: serve one of several drafts, commit to all, and ask a suspect later.

mod line;
mod scores;
mod sealed;

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};
use taggant_core::TwinKey;
use taggant_core::twin::{Draft, batch_root};
use taggant_detector::Verdict;
use taggant_detector::attribution::same_texts;
use taggant_detector::twins::{Exchange, Plan, Statistic, TwinTest};

use crate::Answer;
use crate::args::{TwinStatistic, Twins, TwinsScore, TwinsTest};
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::rows::{self, Lines};
use sealed::{Published, Row, hex};

pub(crate) fn run(command: &Twins) -> Result<Answer> {
    match command {
        Twins::Draw {
            key,
            input,
            out,
            sealed,
        } => draw(key, input, out, sealed),
        Twins::Seal { sealed, out } => seal(sealed, out),
        Twins::Score(args) => score(args),
        Twins::Test(args) => test(args),
    }
}

fn read_key(path: &Path) -> Result<TwinKey> {
    TwinKey::new(&files::read_key(path)?).map_err(|error| {
        Failure::from(error.context(path.display()))
            .hint("derive one: taggant key derive --path epoch/twin/id")
    })
}

fn draw(key: &Path, input: &Path, out: &Path, sealed: &Path) -> Result<Answer> {
    let key = read_key(key)?;
    let mut lines = Lines::new(files::open(input)?);
    let (mut served, mut kept) = (Output::create(out)?, Output::private(sealed)?);
    let mut ids = BTreeSet::new();
    let mut single = 0_u64;
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(input, &error))? {
        let drawn = line
            .and_then(rows::parse::<Map<String, Value>>)
            .and_then(|columns| draw_row(&key, columns));
        let (columns, row) = drawn.map_err(|failure| {
            failure.context(format_args!("{}, line {number}", input.display()))
        })?;
        let id = sealed::name("id", &row.id)?;
        if !ids.insert(id.clone()) {
            return Err(Failure::new(format!(
                "{}, line {number}: exchange {} occurs twice",
                input.display(),
                sealed::shown(&id)
            ))
            .hint("an id names one exchange under its key; give each its own"));
        }
        single += u64::from(row.drafts.len() == 1);
        served.line(&Value::from(columns).to_string())?;
        kept.line(&json(&row)?)?;
    }
    if ids.is_empty() {
        return Err(Failure::new(format!("{}: no rows", input.display()))
            .hint("give one JSON object with `id`, `account` and `drafts` per line"));
    }
    let (served, kept) = (served.seal()?, kept.seal()?);
    // The sealed file first: an answer that was served and is not sealed can never be tested.
    kept.publish()?;
    served.publish()?;
    say(&format!(
        "{}: {} responses to serve; {}: their drafts, sealed",
        out.display(),
        ids.len(),
        sealed.display()
    ));
    if single > 0 {
        say(&format!(
            "note: {single} exchanges have one draft only and can show nothing"
        ));
    }
    say("next: publish or time-stamp the commitments with `taggant twins seal`");
    Ok(Answer::Yes)
}

/// The row to serve and the row to keep.
fn draw_row(key: &TwinKey, mut columns: Map<String, Value>) -> Result<(Map<String, Value>, Row)> {
    let column = |name: &str| {
        columns.get(name).cloned().ok_or_else(|| {
            Failure::new(format!("no `{name}`")).hint("a row needs `id`, `account` and `drafts`")
        })
    };
    let text = |name: &str| match columns.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Failure::new(format!("`{name}` is not a text"))),
    };
    let drafts: Vec<String> = serde_json::from_value(column("drafts")?).map_err(|_| {
        Failure::new("`drafts` is not a list of texts")
            .hint("give every draft of the exchange in the order it was drawn")
    })?;
    if columns.contains_key("response") {
        return Err(Failure::new("`response` and `drafts` in one row")
            .hint("leave `response` out: the key chooses it"));
    }
    let row = Row::seal(
        key,
        column("id")?,
        column("account")?,
        (text("cluster")?, text("prompt")?),
        &drafts,
    )?;
    let served = row.served as usize;
    let chosen = drafts.get(served).cloned().unwrap_or_default();
    let tokens = columns.get("draft_tokens").map(|tokens| {
        let whole = tokens
            .as_array()
            .filter(|tokens| tokens.len() == drafts.len());
        whole
            .and_then(|tokens| tokens.get(served))
            .cloned()
            .ok_or_else(|| {
                Failure::new("`draft_tokens` is not a list for each draft").hint(
                    "give the tokens of every draft, in the order of `drafts`, or leave them out",
                )
            })
    });
    let tokens = tokens.transpose()?.unwrap_or_default();
    // In the place where the drafts stood.
    let columns = std::mem::take(&mut columns)
        .into_iter()
        .map(|(name, value)| match &name[..] {
            "drafts" => ("response".to_owned(), Value::from(&chosen[..])),
            "draft_tokens" => ("tokens".to_owned(), tokens.clone()),
            _ => (name, value),
        })
        .collect();
    Ok((columns, row))
}

fn seal(path: &Path, out: &Path) -> Result<Answer> {
    let mut commitments = Vec::new();
    for row in sealed::read(path)? {
        row.check()
            .map_err(|failure| failure.context(path.display()))?;
        commitments.push(row.commitment()?);
    }
    commitments.sort_unstable();
    let root = batch_root(&commitments);
    let mut output = Output::create(out)?;
    for commitment in &commitments {
        output.line(&json(&sealed::Line {
            commitment: hex(commitment),
        })?)?;
    }
    output.line(&json(&sealed::Root::new(commitments.len(), &root))?)?;
    output.finish()?;
    say(&format!(
        "{}: {} exchanges, root {}",
        out.display(),
        commitments.len(),
        hex(&root)
    ));
    say("next: have the root time-stamped before anyone could have trained on what was served");
    Ok(Answer::Yes)
}

fn score(args: &TwinsScore) -> Result<Answer> {
    let rows = sealed::read(&args.sealed)?;
    let scores = scores::scored(args, &rows)?;
    let mut output = Output::create(&args.out)?;
    for row in &rows {
        if let Some(scores) = scores.get(&sealed::name("id", &row.id)?) {
            output.line(&serde_json::json!({"id": row.id, "scores": scores}).to_string())?;
        }
    }
    output.finish()?;
    say(&format!(
        "{}: scores of {} exchanges",
        args.out.display(),
        scores.len()
    ));
    Ok(Answer::Yes)
}

fn test(args: &TwinsTest) -> Result<Answer> {
    let plan = Plan::new(args.alpha)?
        .with_statistic(match args.statistic {
            TwinStatistic::Studentised => Statistic::Studentised,
            TwinStatistic::Ranks => Statistic::Ranks,
            TwinStatistic::Sum => Statistic::Sum,
        })
        .with_auc(args.auc)?
        .with_leads(args.leads)?
        .with_permutations(args.decoys, args.decoy_seed);
    let key = read_key(&args.key)?;
    let rows = sealed::read(&args.sealed)?;
    let published = args.published.as_deref().map(Published::read).transpose()?;
    for row in &rows {
        row.check_key(&key)
            .map_err(|failure| failure.context(args.sealed.display()))?;
        if let Some(published) = &published {
            published.check(row)?;
        }
    }

    let scores = scores::of(args, &rows)?;
    let mut test = TwinTest::new(plan);
    for row in &rows {
        let id = sealed::name("id", &row.id)?;
        let Some(scores) = scores.get(&id) else {
            continue;
        };
        let account = sealed::name("account", &row.account)?;
        let mut exchange = Exchange::new(id, account, row.served as usize, scores.clone());
        if let Some(cluster) = &row.cluster {
            exchange = exchange.in_cluster(cluster);
        }
        test.add(exchange)?;
    }
    if test.is_empty() {
        return Err(Failure::new("no exchange has a score")
            .hint("give rows whose `id` is that of a sealed exchange"));
    }
    if test.len() < rows.len() {
        say(&format!(
            "note: {} of {} sealed exchanges have no score and are left out; that is sound if it was settled without the key",
            rows.len() - test.len(),
            rows.len()
        ));
    }
    let findings = test.findings()?;
    let same = same(&rows)?;
    let mut output = Output::create(Path::new("-"))?;
    for line in line::all(&findings, &same, args)? {
        output.line(&line)?;
    }
    output.finish()?;
    let accused = findings
        .accounts
        .iter()
        .any(|finding| finding.report.verdict == Verdict::Detected);
    Ok(if accused { Answer::Yes } else { Answer::No })
}

/// Which accounts are said to have been served the same texts.
fn same(rows: &[Row]) -> Result<line::Same> {
    let mut served = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(text) = row.drafts.get(row.served as usize).map(|draft| &draft.text) else {
            continue;
        };
        // Drafts that are all alike leave no choice and say nothing.
        if row.drafts.iter().any(|draft| draft.text != *text) {
            served.push((sealed::name("account", &row.account)?, text));
        }
    }
    let same = same_texts(
        served
            .iter()
            .map(|(account, text)| (&account[..], &text[..])),
    );
    let owned = |others: BTreeSet<&str>| others.into_iter().map(str::to_owned).collect();
    Ok(same
        .into_iter()
        .map(|(account, others)| (account.to_owned(), owned(others)))
        .collect())
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Failure::new(error.to_string()))
}

/// Texts as what is committed to.
fn drafts(texts: &[String]) -> Vec<Draft<'_>> {
    texts.iter().map(|text| Draft::Text(text)).collect()
}

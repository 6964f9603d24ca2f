//! `canary apply`: responses with the account's fillers in place of the slots.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::plan::Entry;
use crate::Answer;
use crate::args::CanaryApply;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::rows::{self, Lines};

/// What opens a placeholder; `}}` closes it.
pub(super) const OPEN: &str = "{{slot:";
pub(super) const CLOSE: &str = "}}";

/// Fillers by account and slot.
type Plan = HashMap<String, HashMap<String, String>>;

pub(super) fn run(args: &CanaryApply) -> Result<Answer> {
    let plan = read_plan(&args.plan)?;
    let mut output = Output::create(&args.out)?;
    let (mut rows, mut filled) = (0_u64, 0_u64);
    let mut lines = Lines::new(files::open(&args.input)?);
    let fail = |error: std::io::Error| Failure::io(&args.input, &error);
    while let Some((number, line)) = lines.next().map_err(fail)? {
        let row = line
            .and_then(rows::parse::<Map<String, Value>>)
            .and_then(|mut row| {
                filled += fill_row(&mut row, &plan)?;
                serde_json::to_string(&row).map_err(|error| Failure::new(error.to_string()))
            })
            .map_err(|failure| {
                failure.context(format_args!("{}, line {number}", args.input.display()))
            })?;
        output.line(&row)?;
        rows += 1;
    }
    output.finish()?;
    say(&format!(
        "{}: {filled} slots filled in {rows} rows",
        args.out.display()
    ));
    Ok(Answer::Yes)
}

fn read_plan(path: &Path) -> Result<Plan> {
    let mut plan = Plan::new();
    let mut lines = Lines::new(files::open_private(path)?);
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
        let entry: Entry = line.and_then(rows::parse).map_err(|failure| {
            failure
                .context(format_args!("{}, line {number}", path.display()))
                .hint("a plan is written by `taggant canary plan`")
        })?;
        let slots = plan.entry(entry.account).or_default();
        slots.insert(entry.slot, entry.filler);
    }
    Ok(plan)
}

/// Fills a row's response; says how many slots it had.
fn fill_row(row: &mut Map<String, Value>, plan: &Plan) -> Result<u64> {
    let Some(Value::String(response)) = row.get("response") else {
        return Err(Failure::new("no `response`").hint("a row needs one"));
    };
    if !response.contains(OPEN) {
        return Ok(0);
    }
    let account = match row.get("account") {
        Some(Value::String(account)) => account,
        _ => {
            return Err(Failure::new("slots but no `account`")
                .hint("a row with slots needs the account it is served to"));
        }
    };
    let (text, filled) = fill(response, plan.get(account))?;
    row.insert("response".to_owned(), Value::String(text));
    Ok(filled)
}

/// The text with every placeholder replaced, and how many there were. What a filler holds is not looked at again.
fn fill(response: &str, slots: Option<&HashMap<String, String>>) -> Result<(String, u64)> {
    let (mut text, mut filled) = (String::new(), 0);
    let mut rest = response;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((id, behind)) = after.split_once(CLOSE) else {
            return Err(Failure::new(format!(
                "a placeholder without `{CLOSE}` after {} bytes",
                response.len() - after.len() - OPEN.len()
            ))
            .hint("a placeholder is {{slot:ID}}"));
        };
        let filler = slots.and_then(|slots| slots.get(id)).ok_or_else(|| {
            Failure::new(format!(
                "slot `{}` is not in the plan for the row's account",
                id.escape_debug()
            ))
            .hint("plan again with this slot, and with the account's key")
        })?;
        text.push_str(before);
        text.push_str(filler);
        filled += 1;
        rest = behind;
    }
    text.push_str(rest);
    Ok((text, filled))
}

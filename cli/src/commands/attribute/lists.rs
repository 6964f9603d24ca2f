//! Who is a control, who belongs together, and who is who.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use taggant_detector::attribution::{Attribution, Measured};

use crate::failure::{Failure, Result};
use crate::files;
use crate::rows::{self, Lines};

/// An account as text: a string, or a whole number in decimal.
pub(super) fn name(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
        _ => Err(Failure::new(
            "`account` is neither a text nor a whole number",
        )),
    }
}

/// Every line of a file, of which there must be some.
fn each(path: &Path, mut take: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let mut lines = Lines::new(files::open(path)?);
    let mut any = false;
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
        line.and_then(&mut take).map_err(|failure| {
            failure.context(format_args!("{}, line {number}", path.display()))
        })?;
        any = true;
    }
    if any {
        return Ok(());
    }
    Err(Failure::new(format!("{}: no lines", path.display()))
        .hint("leave the option out if there are none"))
}

fn each_row<T: DeserializeOwned>(path: &Path, mut take: impl FnMut(T) -> Result<()>) -> Result<()> {
    each(path, |line| take(rows::parse::<T>(line)?))
}

#[derive(Deserialize)]
struct Named {
    commitment: String,
    account: Value,
}

/// Accounts by commitments of their keys.
pub(super) fn names(path: &Path) -> Result<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    each_row(path, |row: Named| {
        let account = name(&row.account)?;
        match names.insert(row.commitment.clone(), account.clone()) {
            Some(other) if other != account => Err(Failure::new(format!(
                "commitment {} is that of two accounts",
                row.commitment.escape_debug()
            ))),
            _ => Ok(()),
        }
    })?;
    Ok(names)
}

#[derive(Deserialize)]
struct Control {
    account: Value,
}

pub(super) fn controls(path: &Path, attribution: &mut Attribution) -> Result<()> {
    each(path, |line| {
        let account = match line.starts_with('{') {
            true => name(&rows::parse::<Control>(line)?.account)?,
            false => line.to_owned(),
        };
        attribution.control(&account).map_err(|error| {
            Failure::from(error)
                .hint("controls go through the same tests: run these for the account as well")
        })
    })
}

#[derive(Deserialize)]
struct Cluster {
    #[serde(alias = "id")]
    cluster: String,
    accounts: Vec<Value>,
}

pub(super) fn clusters(path: &Path, attribution: &mut Attribution) -> Result<()> {
    each_row(path, |row: Cluster| {
        let accounts = row.accounts.iter().map(name).collect::<Result<Vec<_>>>()?;
        let names = accounts.iter().map(|account| &account[..]);
        Ok(attribution.cluster(&row.cluster, names)?)
    })
}

#[derive(Deserialize)]
struct Cohort {
    account: Option<Value>,
    cohort: Value,
    #[serde(default)]
    flagged: bool,
    log10_p: Option<f64>,
}

pub(super) fn cohorts(path: &Path, attribution: &mut Attribution) -> Result<()> {
    each_row(path, |row: Cohort| {
        let cohort = name(&row.cohort)
            .map_err(|_| Failure::new("`cohort` is neither a text nor a whole number"))?;
        if let Some(account) = &row.account {
            attribution
                .cohort(&name(account)?, &cohort, row.flagged)
                .map_err(|error| {
                    Failure::from(error).hint("cohorts are compared over accounts with evidence")
                })?;
        } else if row.log10_p.is_none() {
            return Err(Failure::new("neither `account` nor `log10_p`")
                .hint("a row says whose cohort it is, or what its key shows"));
        }
        if let Some(log10_p) = row.log10_p {
            attribution.cohort_result(&cohort, Measured::new(log10_p)?.p_value)?;
        }
        Ok(())
    })
}

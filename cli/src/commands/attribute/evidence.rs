//! Results of tests, as their `--json` prints them.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use taggant_detector::attribution::{Attribution, Kind, Measured, Nature};

use super::lists;
use crate::args::Attribute;
use crate::failure::{Failure, Result};
use crate::files;
use crate::rows::{self, Lines};

/// One kind of evidence.
pub(super) struct Source {
    /// Its name in the answer: the kind's, with a number where there are several of it.
    pub(super) name: String,
    /// The file.
    pub(super) file: String,
    /// Its accounts.
    pub(super) accounts: u64,
}

/// What is read of a row; other columns are left alone.
#[derive(Deserialize)]
struct Row {
    account: Option<Value>,
    commitment: Option<String>,
    cluster: Option<Value>,
    pooled: Option<Value>,
    kind: Option<String>,
    log10_p: Option<f64>,
    /// `null` stands for an e-value of 0.
    #[serde(default, deserialize_with = "present")]
    log10_e: Option<Option<f64>>,
    exchanges: Option<f64>,
    informative: Option<f64>,
    slots: Option<f64>,
    units: Option<f64>,
    needed: Option<f64>,
    verdict: Option<String>,
    /// Accounts that are said to have been served the same texts.
    same_texts: Option<Vec<Value>>,
}

fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Option<f64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Row {
    /// By the column `kind` or else by the columns that a test alone writes.
    fn nature(&self) -> Nature {
        match self.kind.as_deref() {
            Some("keys" | "key") => Nature::Keys,
            Some("twins") => Nature::Twins,
            Some("canaries" | "canary") => Nature::Canaries,
            _ if self.exchanges.is_some() => Nature::Twins,
            _ if self.slots.is_some() => Nature::Canaries,
            _ if self.commitment.is_some() || self.units.is_some() => Nature::Keys,
            _ => Nature::Other,
        }
    }

    fn account(&self, names: Option<&BTreeMap<String, String>>) -> Result<String> {
        if let Some(account) = &self.account {
            return lists::name(account);
        }
        let Some(commitment) = &self.commitment else {
            return Err(Failure::new("no `account`")
                .hint("evidence has one row for each account, with `account` and `log10_p`"));
        };
        let shown: String = commitment.escape_debug().take(16).collect();
        match names {
            Some(names) => names.get(commitment).cloned().ok_or_else(|| {
                Failure::new(format!("commitment {shown}… is not in the file of names"))
                    .hint("give --names a row with this `commitment` and its `account`")
            }),
            None => Err(Failure::new(format!("no `account`, only commitment {shown}…")).hint(
                "give --names rows with `commitment` and `account`, or run `canary test` with --show-accounts",
            )),
        }
    }

    fn measured(&self) -> Result<Measured> {
        let log10_p = self
            .log10_p
            .ok_or_else(|| Failure::new("no `log10_p`").hint("a row of evidence needs it"))?;
        let mut measured = Measured::new(log10_p)?;
        if let Some(log10_e) = self.log10_e {
            measured = measured.with_log10_e(log10_e.unwrap_or(f64::NEG_INFINITY))?;
        }
        // Exchanges that say nothing do not count.
        let units = self
            .units
            .or(self.informative)
            .or(self.exchanges)
            .or(self.slots);
        if let Some(units) = units {
            // A test that says no without a number had enough.
            let enough = (self.verdict.as_deref() == Some("NotDetected")).then_some(units);
            measured = measured.with_units(units, self.needed.or(enough))?;
        }
        Ok(measured)
    }
}

/// Reads every file of evidence.
pub(super) fn read(
    args: &Attribute,
    names: Option<&BTreeMap<String, String>>,
    attribution: &mut Attribution,
) -> Result<Vec<Source>> {
    let (mut sources, mut pairs) = (Vec::<Source>::new(), Vec::new());
    let mut seen = HashSet::new();
    for path in &args.evidence {
        if !seen.insert(path) {
            return Err(
                Failure::new(format!("--evidence {} is given twice", path.display()))
                    .hint("each file is one kind of evidence and counts once"),
            );
        }
        let (nature, accounts) = read_file(path, names, attribution, &mut pairs)?;
        let before = sources
            .iter()
            .filter(|source| source.name.split(' ').next() == Some(nature.name()))
            .count();
        sources.push(Source {
            name: match before {
                0 => nature.name().to_owned(),
                _ => format!("{} {}", nature.name(), before + 1),
            },
            file: path.display().to_string(),
            accounts,
        });
    }
    for (place, kind, account, other) in pairs {
        attribution
            .shared(kind, &account, &other)
            .map_err(|error| Failure::from(error).context(place))?;
    }
    Ok(sources)
}

/// Where it stands, the kind of evidence, and two accounts with the same texts.
type Pair = (String, Kind, String, String);

fn read_file(
    path: &Path,
    names: Option<&BTreeMap<String, String>>,
    attribution: &mut Attribution,
    pairs: &mut Vec<Pair>,
) -> Result<(Nature, u64)> {
    let mut lines = Lines::new(files::open(path)?);
    let mut kind: Option<(Kind, Nature)> = None;
    let mut accounts = 0;
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
        let place = format!("{}, line {number}", path.display());
        line.and_then(rows::parse::<Row>)
            .and_then(|row| {
                // Rows of clusters and of all together: clusters are made here from accounts.
                if row.account.is_none() && (row.cluster.is_some() || row.pooled.is_some()) {
                    return Ok(());
                }
                let nature = row.nature();
                let (kind, first) = *kind.get_or_insert_with(|| (attribution.kind(nature), nature));
                if nature != first {
                    return Err(Failure::new(format!(
                        "a result of {} in a file of {}",
                        nature.name(),
                        first.name()
                    ))
                    .hint("give each kind of evidence a file of its own"));
                }
                let account = row.account(names)?;
                attribution.add(kind, &account, row.measured()?)?;
                accounts += 1;
                if let Some(same) = &row.same_texts {
                    attribution.compared(kind);
                    for other in same {
                        let other = lists::name(other)?;
                        pairs.push((place.clone(), kind, account.clone(), other));
                    }
                }
                Ok(())
            })
            .map_err(|failure| failure.context(&place))?;
    }
    match kind {
        Some((_, nature)) => Ok((nature, accounts)),
        None => Err(
            Failure::new(format!("{}: no results of accounts", path.display()))
                .hint("evidence has one row for each account, such as `twins test --json` prints"),
        ),
    }
}

//! What was served, as rows or as an issuance log: which windows, and to which accounts.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::io::BufRead;
use std::path::Path;

use serde_json::Value;
use taggant_core::{LeafKey, Record, Role};
use taggant_detector::{ServedWindows, WindowIndex};
use taggant_evidence::Digest;
use taggant_evidence::issuance::{Entry, Exchange, Verifier};

use super::Keys;
use crate::args::Test;
use crate::corpus::Corpus;
use crate::failure::{Failure, Result};
use crate::files;

/// How often windows were served.
pub(super) struct Served {
    /// On the layer of the tested keys, by anybody.
    pub(super) all: WindowIndex,
    /// On the account layer, by each account in the order of the keys.
    pub(super) accounts: Vec<WindowIndex>,
    /// Rows that count.
    pub(super) rows: u64,
    /// Rows of the log that carry none of the tested keys.
    pub(super) others: u64,
}

struct Reading {
    served: Served,
    windows: ServedWindows,
    own: Option<ServedWindows>,
    /// Accounts by id, or by pseudonym in a log.
    places: HashMap<String, usize>,
}

impl Served {
    pub(super) fn read(args: &Test, path: &Path, record: &Record, keys: &Keys) -> Result<Self> {
        let mut input = files::open(path)?;
        let start = input
            .fill_buf()
            .map_err(|error| Failure::io(path, &error))?;
        let line = start
            .split(|&byte| byte == b'\n')
            .next()
            .unwrap_or_default();
        let log = line.starts_with(b"{\"line\":1,") && find(line, b"\"genesis\":");
        let pseudonyms = args
            .pseudonym_key
            .as_deref()
            .map(files::read_key)
            .transpose()?;
        if log && !keys.accounts.is_empty() && pseudonyms.is_none() {
            return Err(Failure::new(format!(
                "{}: a log knows accounts by pseudonym only",
                path.display()
            ))
            .hint("give --pseudonym-key, the key file that the log was written with"));
        }
        let campaign = keys.campaign(record);
        let mut reading = Reading {
            served: Self {
                all: WindowIndex::default(),
                accounts: vec![WindowIndex::default(); keys.accounts.len()],
                rows: 0,
                others: 0,
            },
            windows: ServedWindows::new(record, keys.role, campaign)?,
            own: match keys.accounts.is_empty() {
                true => None,
                false => Some(ServedWindows::new(record, Role::Account, campaign)?),
            },
            places: places(&keys.accounts, pseudonyms.as_ref().filter(|_| log))?,
        };
        if log {
            reading.log(path, input, keys)?;
        } else {
            let mut corpus = Corpus::new(args.tokenizer.as_deref(), record)?.without_prompts();
            corpus.whole(path, input, |_, name, response| {
                let account = name.account.map(plain);
                reading.add(response.tokens, account.as_deref())
            })?;
        }
        let mut served = reading.served;
        if served.rows == 0 {
            return Err(Failure::new(format!(
                "{}: nothing was served under the key",
                path.display()
            ))
            .hint("give rows with `tokens` as `generate` writes them, or a log of them"));
        }
        served.all.compact();
        served.accounts.iter_mut().for_each(WindowIndex::compact);
        Ok(served)
    }
}

impl Reading {
    fn add(&mut self, tokens: &[u32], account: Option<&str>) -> Result<()> {
        self.served.all.add(self.windows.of(tokens)?);
        let place = account.and_then(|account| self.places.get(account));
        if let (Some(own), Some(&place)) = (&mut self.own, place) {
            self.served.accounts[place].add(own.of(tokens)?);
        }
        self.served.rows += 1;
        Ok(())
    }

    /// Exchanges of the log that carry one of the tested keys. The log is checked on the way.
    fn log(&mut self, path: &Path, input: Box<dyn BufRead>, keys: &Keys) -> Result<()> {
        let tested: Vec<Digest> = keys
            .tested
            .iter()
            .map(|key| key.commitment().into())
            .collect();
        let mut failure = None;
        let outcome = Verifier::new().verify(input, |line, _| {
            if let (None, Entry::Exchange(exchange)) = (&failure, &line.entry) {
                failure = self.exchange(exchange, &tested).err().map(|failure| {
                    failure.context(format_args!("{}, line {}", path.display(), line.number))
                });
            }
        });
        let outcome = outcome.map_err(|error| Failure::io(path, &error))?;
        match (failure, outcome.fault) {
            (Some(failure), _) => Err(failure),
            (None, Some(fault)) => Err(Failure::new(format!("{}, {fault}", path.display()))
                .hint("a broken log is no evidence; see `taggant log verify`")),
            (None, None) => Ok(()),
        }
    }

    fn exchange(&mut self, exchange: &Exchange, tested: &[Digest]) -> Result<()> {
        if !exchange.keys().iter().any(|key| tested.contains(key)) {
            self.served.others += 1;
            return Ok(());
        }
        let Some(tokens) = exchange.response().tokens() else {
            return Err(Failure::new("the log does not show this response's tokens")
                .hint("give the rows themselves, with `tokens`"));
        };
        let account = exchange.account().map(ToString::to_string);
        self.add(tokens, account.as_deref())
    }
}

/// The place of each account's key, by what rows call the account.
fn places(keys: &[LeafKey], pseudonyms: Option<&LeafKey>) -> Result<HashMap<String, usize>> {
    let mut places = HashMap::new();
    for (place, key) in keys.iter().enumerate() {
        let id = key.path().id();
        let name = match pseudonyms {
            None => id.to_owned(),
            Some(key) => Digest::from(key.pseudonym(id)?).to_string(),
        };
        match places.entry(name) {
            Slot::Vacant(slot) => slot.insert(place),
            Slot::Occupied(slot) => {
                return Err(Failure::new(format!(
                    "keys {} and {} are of one account",
                    slot.get() + 1,
                    place + 1
                ))
                .hint("give one key for each account, of one epoch"));
            }
        };
    }
    Ok(places)
}

/// An account as text, be it written as a string or as a number.
fn plain(account: Value) -> String {
    match account {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn find(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

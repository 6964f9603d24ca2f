//! What a line of an issuance log says (SPEC.md §1.2).

use std::collections::HashMap;

use serde::de::MapAccess;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};
use taggant_core::Record;

use super::exchange::Exchange;
use crate::chain::{FaultKind, Flaw, Story};
use crate::digest::Digest;

const FORMAT: &str = "taggant-issuance/1";

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Entry {
    /// The first line: the marks in use from the start.
    Genesis(Vec<Record>),
    /// A mark that came into use.
    Mark(Box<Record>),
    /// An answer to a prompt.
    Exchange(Box<Exchange>),
}

/// What the lines of an issuance log add up to.
#[derive(Clone, Debug, Default)]
pub struct Served {
    marks: HashMap<Digest, Record>,
    exchanges: u64,
}

/// The digest that names a mark record in a log: the SHA-256 of its file as `taggant generate` writes it.
#[must_use]
pub fn mark_digest(record: &Record) -> Digest {
    Digest::of(file(record).as_bytes())
}

/// A mark record's file.
fn file(record: &Record) -> String {
    record.to_json() + "\n"
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesisFile {
    format: String,
    records: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkFile {
    record: String,
}

/// A mark record in the one spelling that a log holds.
fn record(text: &str) -> Result<Record, String> {
    Record::from_json(text)
        .ok()
        .filter(|record| file(record) == text)
        .ok_or_else(|| "it holds something that is no mark record".to_owned())
}

impl Served {
    /// Marks that the log holds.
    #[must_use]
    pub fn marks(&self) -> u64 {
        self.marks.len() as u64
    }

    /// Exchanges.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// The mark record of this digest, if a line so far holds it.
    #[must_use]
    pub fn mark(&self, digest: &Digest) -> Option<&Record> {
        self.marks.get(digest)
    }

    /// Whether the log holds the mark that an exchange names.
    fn knows(&self, exchange: &Exchange) -> Result<(), Flaw> {
        let Some(mark) = &exchange.mark else {
            return Ok(());
        };
        let unknown = |detail| Err((FaultKind::Unknown, detail));
        let Some(record) = self.marks.get(mark) else {
            return unknown(format!("no line before it holds mark {mark}"));
        };
        let held = |key: &Digest| {
            record
                .layers()
                .iter()
                .any(|layer| layer.key == *key.bytes())
        };
        match exchange.keys.iter().find(|key| !held(key)) {
            Some(key) => unknown(format!("key {key} is not one of mark {mark}")),
            None => Ok(()),
        }
    }
}

impl Story for Served {
    const NAME: &'static str = "an issuance log";
    const DOMAIN: &'static [u8] = b"taggant/v1/issuance-line";
    const ONE_SPELLING: bool = false;
    type Entry = Entry;

    fn write<M: SerializeMap>(entry: &Entry, line: &mut M) -> Result<(), M::Error> {
        match entry {
            Entry::Genesis(records) => {
                let records = records.iter().map(file).collect();
                let format = FORMAT.to_owned();
                line.serialize_entry("genesis", &GenesisFile { format, records })
            }
            Entry::Mark(record) => {
                let record = file(record);
                line.serialize_entry("mark", &MarkFile { record })
            }
            Entry::Exchange(exchange) => line.serialize_entry("exchange", exchange),
        }
    }

    fn read<'de, M: MapAccess<'de>>(
        name: &str,
        line: &mut M,
    ) -> Result<Option<Result<Entry, String>>, M::Error> {
        Ok(Some(match name {
            "genesis" => {
                let genesis: GenesisFile = line.next_value()?;
                if genesis.format == FORMAT {
                    let records: Result<_, _> =
                        genesis.records.iter().map(|text| record(text)).collect();
                    records.map(Entry::Genesis)
                } else {
                    Err(format!("its format is not {FORMAT}"))
                }
            }
            "mark" => {
                let mark: MarkFile = line.next_value()?;
                record(&mark.record).map(|record| Entry::Mark(Box::new(record)))
            }
            "exchange" => {
                let exchange: Box<Exchange> = line.next_value()?;
                match exchange.flaw() {
                    Some(flaw) => Err(flaw),
                    None => Ok(Entry::Exchange(exchange)),
                }
            }
            _ => return Ok(None),
        }))
    }

    fn follows(&self, first: bool, entry: &Entry) -> Result<(), Flaw> {
        if first != matches!(entry, Entry::Genesis(_)) {
            return Err((
                FaultKind::Misplaced,
                "a log has its genesis in line 1 and nowhere else".to_owned(),
            ));
        }
        match entry {
            Entry::Exchange(exchange) => self.knows(exchange),
            _ => Ok(()),
        }
    }

    fn take(&mut self, entry: &Entry) {
        let added: &[Record] = match entry {
            Entry::Genesis(records) => records,
            Entry::Mark(record) => std::slice::from_ref(&**record),
            Entry::Exchange(_) => {
                self.exchanges += 1;
                &[]
            }
        };
        for record in added {
            self.marks.insert(mark_digest(record), record.clone());
        }
    }
}

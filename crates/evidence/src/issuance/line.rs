//! The bytes of one line (SPEC.md §1.1).

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use taggant_core::Record;

use super::exchange::Exchange;
use super::verify::FaultKind;
use crate::digest::Digest;
use crate::time::Time;

/// Longest line, in bytes without its line break: a response of some 40 million tokens.
pub const MAX_LINE: usize = 1 << 28;

pub(super) const FORMAT: &str = "taggant-issuance/1";
const DOMAIN: &[u8] = b"taggant/v1/issuance-line";
const HASH_OPENS: &[u8] = b",\"hash\":\"";
const HASH_CLOSES: &[u8] = b"\"}";
const TAIL: usize = HASH_OPENS.len() + 64 + HASH_CLOSES.len();

/// One line of a log, checked by itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// The hash of the line before it.
    pub previous: Digest,
    /// When it was written.
    pub time: Time,
    /// What it says.
    pub entry: Entry,
    /// Its hash.
    pub hash: Digest,
}

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

/// The digest that names a mark record in a log: the SHA-256 of its file as `taggant generate` writes it.
#[must_use]
pub fn mark_digest(record: &Record) -> Digest {
    Digest::of(file(record).as_bytes())
}

/// A mark record's file.
fn file(record: &Record) -> String {
    record.to_json() + "\n"
}

/// What goes into a line, borrowed from whoever writes it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Said<'a> {
    Genesis(&'a [Record]),
    Mark(&'a Record),
    Exchange(&'a Exchange),
}

#[derive(Serialize)]
struct Body<'a> {
    line: u64,
    previous: Digest,
    time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    genesis: Option<GenesisFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<MarkFile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<&'a Exchange>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineFile {
    line: u64,
    previous: Digest,
    time: Time,
    genesis: Option<GenesisFile>,
    mark: Option<MarkFile>,
    exchange: Option<Box<Exchange>>,
    hash: Digest,
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

/// Appends a line with its line break to `out`; returns its hash.
pub(super) fn write(
    number: u64,
    previous: Digest,
    time: Time,
    said: Said<'_>,
    out: &mut Vec<u8>,
) -> serde_json::Result<Digest> {
    let mut body = Body {
        line: number,
        previous,
        time,
        genesis: None,
        mark: None,
        exchange: None,
    };
    match said {
        Said::Genesis(records) => {
            body.genesis = Some(GenesisFile {
                format: FORMAT.to_owned(),
                records: records.iter().map(file).collect(),
            });
        }
        Said::Mark(record) => {
            body.mark = Some(MarkFile {
                record: file(record),
            });
        }
        Said::Exchange(exchange) => body.exchange = Some(exchange),
    }
    let start = out.len();
    serde_json::to_writer(&mut *out, &body)?;
    // The closing brace comes after the hash.
    out.pop();
    let hash = hash(&out[start..]);
    out.extend_from_slice(HASH_OPENS);
    out.extend_from_slice(hash.to_string().as_bytes());
    out.extend_from_slice(HASH_CLOSES);
    out.push(b'\n');
    Ok(hash)
}

fn hash(body: &[u8]) -> Digest {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(DOMAIN)
        .chain_update(body)
        .finalize()
        .into();
    hash.into()
}

/// Reads a line without its line break, and checks what it says of itself.
pub(super) fn read(bytes: &[u8]) -> Result<Line, (FaultKind, String)> {
    let malformed = |detail: &str| (FaultKind::Malformed, detail.to_owned());
    if bytes.len() > MAX_LINE {
        return Err(malformed("it is longer than 2^28 bytes"));
    }
    let split = bytes.len().checked_sub(TAIL);
    let (body, tail) = split
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or_else(|| malformed("it is too short to be a line of an issuance log"))?;
    let said: Digest = tail
        .strip_prefix(HASH_OPENS)
        .and_then(|tail| tail.strip_suffix(HASH_CLOSES))
        .and_then(|hex| std::str::from_utf8(hex).ok()?.parse().ok())
        .ok_or_else(|| malformed("it does not end with a hash"))?;
    let found = hash(body);
    if found != said {
        return Err((
            FaultKind::Changed,
            format!("its bytes hash to {found}, it says {said}"),
        ));
    }
    // The parser's own words may quote what was served, so only the place is told.
    let file: LineFile = serde_json::from_slice(bytes).map_err(|error| {
        let column = error.column();
        malformed(&format!(
            "it is no line of an issuance log (column {column})"
        ))
    })?;
    let entry = match (file.genesis, file.mark, file.exchange) {
        (Some(genesis), None, None) => {
            if genesis.format != FORMAT {
                return Err(malformed(&format!("its format is not {FORMAT}")));
            }
            let records: Option<_> = genesis.records.iter().map(|text| record(text)).collect();
            records.map(Entry::Genesis)
        }
        (None, Some(mark), None) => {
            record(&mark.record).map(|record| Entry::Mark(Box::new(record)))
        }
        (None, None, Some(exchange)) => {
            if let Some(flaw) = exchange.flaw() {
                return Err(malformed(&flaw));
            }
            Some(Entry::Exchange(exchange))
        }
        _ => return Err(malformed("it says not exactly one thing")),
    };
    Ok(Line {
        number: file.line,
        previous: file.previous,
        time: file.time,
        entry: entry.ok_or_else(|| malformed("it holds something that is no mark record"))?,
        hash: file.hash,
    })
}

/// A mark record in the one spelling that a log holds.
fn record(text: &str) -> Option<Record> {
    Record::from_json(text)
        .ok()
        .filter(|record| file(record) == text)
}

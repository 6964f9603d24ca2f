//! The bytes of one line (SPEC.md §1.1).

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use sha2::{Digest as _, Sha256};

use super::verify::FaultKind;
use super::{Flaw, Story};
use crate::digest::Digest;
use crate::time::Time;

/// Longest line, in bytes without its line break: a response of some 40 million tokens.
pub const MAX_LINE: usize = 1 << 28;

const HASH_OPENS: &[u8] = b",\"hash\":\"";
const HASH_CLOSES: &[u8] = b"\"}";
const TAIL: usize = HASH_OPENS.len() + 64 + HASH_CLOSES.len();

/// One line of a chain, checked by itself.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Line<E> {
    /// Its number, from 1.
    pub number: u64,
    /// The hash of the line before it.
    pub previous: Digest,
    /// When it was written.
    pub time: Time,
    /// What it says.
    pub entry: E,
    /// Its hash.
    pub hash: Digest,
}

/// A line without its hash.
struct Body<'a, S: Story> {
    number: u64,
    previous: Digest,
    time: Time,
    entry: &'a S::Entry,
}

impl<S: Story> Serialize for Body<'_, S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("line", &self.number)?;
        line.serialize_entry("previous", &self.previous)?;
        line.serialize_entry("time", &self.time)?;
        S::write(self.entry, &mut line)?;
        line.end()
    }
}

/// Appends a line with its line break to `out`; returns its hash.
pub(super) fn write<S: Story>(
    number: u64,
    previous: Digest,
    time: Time,
    entry: &S::Entry,
    out: &mut Vec<u8>,
) -> serde_json::Result<Digest> {
    let body = Body::<S> {
        number,
        previous,
        time,
        entry,
    };
    let start = out.len();
    serde_json::to_writer(&mut *out, &body)?;
    // The closing brace comes after the hash.
    out.pop();
    let hash = hash::<S>(&out[start..]);
    out.extend_from_slice(HASH_OPENS);
    out.extend_from_slice(hash.to_string().as_bytes());
    out.extend_from_slice(HASH_CLOSES);
    out.push(b'\n');
    Ok(hash)
}

fn hash<S: Story>(body: &[u8]) -> Digest {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(S::DOMAIN)
        .chain_update(body)
        .finalize()
        .into();
    hash.into()
}

/// Reads a line without its line break, and checks what it says of itself.
pub(super) fn read<S: Story>(bytes: &[u8]) -> Result<Line<S::Entry>, Flaw> {
    let malformed = |detail: &str| (FaultKind::Malformed, detail.to_owned());
    if bytes.len() > MAX_LINE {
        return Err(malformed("it is longer than 2^28 bytes"));
    }
    let split = bytes.len().checked_sub(TAIL);
    let (body, tail) = split
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or_else(|| malformed(&format!("it is too short to be a line of {}", S::NAME)))?;
    let said: Digest = tail
        .strip_prefix(HASH_OPENS)
        .and_then(|tail| tail.strip_suffix(HASH_CLOSES))
        .and_then(|hex| std::str::from_utf8(hex).ok()?.parse().ok())
        .ok_or_else(|| malformed("it does not end with a hash"))?;
    let found = hash::<S>(body);
    if found != said {
        return Err((
            FaultKind::Changed,
            format!("its bytes hash to {found}, it says {said}"),
        ));
    }
    // The parser's own words may quote what was served, so only the place is told.
    let file: LineFile<S> = serde_json::from_slice(bytes).map_err(|error| {
        let column = error.column();
        malformed(&format!("it is no line of {} (column {column})", S::NAME))
    })?;
    let line = Line {
        number: file.number,
        previous: file.previous,
        time: file.time,
        entry: file.entry.map_err(|flaw| malformed(&flaw))?,
        hash: file.hash,
    };
    if S::ONE_SPELLING {
        let mut own = Vec::with_capacity(bytes.len() + 1);
        let same = write::<S>(line.number, line.previous, line.time, &line.entry, &mut own);
        if same.is_err() || own.strip_suffix(b"\n") != Some(bytes) {
            return Err(malformed("it is spelled in another way than lines are"));
        }
    }
    Ok(line)
}

struct LineFile<S: Story> {
    number: u64,
    previous: Digest,
    time: Time,
    entry: Result<S::Entry, String>,
    hash: Digest,
}

impl<'de, S: Story> Deserialize<'de> for LineFile<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// Reads the fields of a line, each once.
struct Fields<S>(PhantomData<S>);

impl<'de, S: Story> Visitor<'de> for Fields<S> {
    type Value = LineFile<S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a line of {}", S::NAME)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut line: M) -> Result<LineFile<S>, M::Error> {
        let (mut number, mut previous, mut time, mut hash, mut entry) =
            (None, None, None, None, None);
        while let Some(name) = line.next_key::<String>()? {
            let repeated = match name.as_str() {
                "line" => number.replace(line.next_value()?).is_some(),
                "previous" => previous.replace(line.next_value()?).is_some(),
                "time" => time.replace(line.next_value()?).is_some(),
                "hash" => hash.replace(line.next_value()?).is_some(),
                name => match S::read(name, &mut line)? {
                    Some(said) => entry.replace(said).is_some(),
                    None => return Err(de::Error::custom("a field that is not known")),
                },
            };
            if repeated {
                return Err(de::Error::custom(
                    "a field that is there twice, or more than one thing said",
                ));
            }
        }
        match (number, previous, time, entry, hash) {
            (Some(number), Some(previous), Some(time), Some(entry), Some(hash)) => Ok(LineFile {
                number,
                previous,
                time,
                entry,
                hash,
            }),
            _ => Err(de::Error::custom("a field is missing")),
        }
    }
}

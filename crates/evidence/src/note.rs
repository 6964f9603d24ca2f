//! C2SP signed notes and the checkpoints of transparency logs: text that people can read, with signatures below it.
//!
//! ```
//! use taggant_core::merkle::Tree;
//! use taggant_evidence::note::{Checkpoint, Note};
//! use taggant_evidence::SigningKey;
//!
//! let key = SigningKey::from_seed("log.example", [7; 32])?;
//! let mut note = Note::new(&Checkpoint::of("log.example", &Tree::default())?.to_string())?;
//! note.sign(&key);
//! let read: Note = note.to_string().parse()?;
//! read.verify(&[key.public()])?; // before a word of the text is believed
//! assert_eq!(read.text().parse::<Checkpoint>()?.size, 0);
//! # Ok::<(), taggant_core::Error>(())
//! ```

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use taggant_core::merkle::Tree;
use taggant_core::{Error, ErrorKind, Result};

use crate::digest::Digest;
use crate::signing::{Kind, PublicKey, SigningKey, check_name};
use crate::time::Time;

/// Longest note, in bytes: that of 64 signatures of any kind in use, with room to spare.
pub const MAX_NOTE: usize = 1 << 20;

/// Most signatures of a note.
pub const MAX_SIGNATURES: usize = 64;

/// A text and the signatures under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// A signature that was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// Whose it is.
    pub key: &'a PublicKey,
    /// For a cosignature, when its witness saw the checkpoint.
    pub time: Option<Time>,
}

fn wrong(fault: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Format, format!("not a signed note: {fault}"))
}

impl Note {
    /// A note without signatures yet.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] unless the text ends with a line break and has no other control characters.
    pub fn new(text: &str) -> Result<Self> {
        if !text.ends_with('\n') {
            return Err(wrong("its text does not end with a line break"));
        }
        check_characters(text)?;
        Ok(Self {
            text: text.to_owned(),
            signatures: Vec::new(),
        })
    }

    /// The text, its last line break included. Nothing in it is known to be anyone's before [`verify`](Self::verify).
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds a signature of the text.
    pub fn sign(&mut self, key: &SigningKey) {
        let public = key.public();
        self.add(&public, key.sign(self.text.as_bytes()).to_vec());
    }

    /// Adds a witness's cosignature: that at `time` this was the largest tree it had seen of the log (C2SP tlog-cosignature).
    pub fn cosign(&mut self, key: &SigningKey, time: Time) {
        let seconds = time.unix_millis() / 1000;
        let mut signature = seconds.to_be_bytes().to_vec();
        signature.extend_from_slice(&key.sign(self.cosigned(seconds).as_bytes()));
        self.add(&key.public().as_witness(), signature);
    }

    fn add(&mut self, key: &PublicKey, signature: Vec<u8>) {
        self.signatures.push(Line {
            name: key.name().to_owned(),
            id: key.id(),
            signature,
        });
    }

    fn cosigned(&self, seconds: u64) -> String {
        format!("cosignature/v1\ntime {seconds}\n{}", self.text)
    }

    /// The signatures that are those of `keys`, one for each key at most. Signatures of others are passed over, as the format asks.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when a signature names one of the keys and is not its, or when none of them signed.
    pub fn verify<'a>(&self, keys: &'a [PublicKey]) -> Result<Vec<Signed<'a>>> {
        let mut found: Vec<Signed<'a>> = Vec::new();
        for line in &self.signatures {
            let Some(key) = keys
                .iter()
                .find(|key| key.name() == line.name && key.id() == line.id)
            else {
                continue;
            };
            let signed = self.check(line, key).ok_or_else(|| {
                Error::new(
                    ErrorKind::Mismatch,
                    format!(
                        "the note's signature of `{}` is not that of the key given for it",
                        line.name
                    ),
                )
            })?;
            if found.iter().all(|other| other.key != key) {
                found.push(signed);
            }
        }
        if found.is_empty() {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "none of the note's {} signatures is of one of the {} keys given",
                    self.signatures.len(),
                    keys.len()
                ),
            ));
        }
        Ok(found)
    }

    fn check<'a>(&self, line: &Line, key: &'a PublicKey) -> Option<Signed<'a>> {
        match key.kind() {
            Kind::Plain => key
                .verifies(self.text.as_bytes(), &line.signature)
                .then_some(Signed { key, time: None }),
            Kind::Cosignature => {
                let (seconds, signature) = line.signature.split_first_chunk::<8>()?;
                let seconds = u64::from_be_bytes(*seconds);
                let time = Time::from_unix_millis(seconds.checked_mul(1000)?).ok()?;
                key.verifies(self.cosigned(seconds).as_bytes(), signature)
                    .then_some(Signed {
                        key,
                        time: Some(time),
                    })
            }
        }
    }
}

/// A note holds no control characters but line breaks.
fn check_characters(text: &str) -> Result<()> {
    match text.char_indices().find(|(_, c)| *c != '\n' && *c < ' ') {
        Some((at, _)) => Err(wrong(format_args!(
            "byte {} is a control character",
            at + 1
        ))),
        None => Ok(()),
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Line {
            name,
            id,
            signature,
        } in &self.signatures
        {
            let bytes = [&id[..], signature].concat();
            writeln!(f, "\u{2014} {name} {}", Base64::encode_string(&bytes))?;
        }
        Ok(())
    }
}

impl FromStr for Note {
    type Err = Error;

    fn from_str(note: &str) -> Result<Self> {
        if note.len() > MAX_NOTE {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "a signed note of {} bytes; at most {MAX_NOTE} are read",
                    note.len()
                ),
            ));
        }
        check_characters(note)?;
        let split = note
            .rfind("\n\n")
            .ok_or_else(|| wrong("no empty line before its signatures"))?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let lines = lines
            .strip_suffix('\n')
            .ok_or_else(|| wrong("its last line has no end"))?;
        let signatures = lines
            .split('\n')
            .map(|line| {
                signature(line).ok_or_else(|| wrong("a line under its empty line is no signature"))
            })
            .collect::<Result<Vec<_>>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "a signed note with {} signatures; at most {MAX_SIGNATURES} are read",
                    signatures.len()
                ),
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }
}

fn signature(line: &str) -> Option<Line> {
    let (name, bytes) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    check_name(name).ok()?;
    let bytes = Base64::decode_vec(bytes).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    Some(Line {
        name: name.to_owned(),
        id: *id,
        signature: signature.to_vec(),
    })
}

/// The head of a log's tree (C2SP tlog-checkpoint).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Leaves of its tree.
    pub size: u64,
    /// The tree's root.
    pub root: Digest,
}

impl Checkpoint {
    /// The checkpoint of a tree as it stands.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for an origin that could not be a signer's name.
    pub fn of(origin: &str, tree: &Tree) -> Result<Self> {
        check_name(origin)?;
        Ok(Self {
            origin: origin.to_owned(),
            size: tree.size(),
            root: tree.root().into(),
        })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}\n{}\n{}",
            self.origin,
            self.size,
            Base64::encode_string(self.root.bytes())
        )
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    /// Reads the three lines that every checkpoint has. Lines after them, which no witness vouches for, are passed over.
    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            |fault: &str| Error::new(ErrorKind::Format, format!("not a checkpoint: {fault}"));
        let mut lines = text
            .strip_suffix('\n')
            .ok_or_else(|| wrong("its last line has no end"))?
            .split('\n');
        let (origin, size, root) = (lines.next(), lines.next(), lines.next());
        let origin = origin
            .filter(|origin| !origin.is_empty())
            .ok_or_else(|| wrong("its origin is empty"))?;
        let size = size
            .and_then(number)
            .ok_or_else(|| wrong("its second line is no tree size"))?;
        let root = root
            .and_then(hash)
            .ok_or_else(|| wrong("its third line is no root hash"))?;
        if lines.any(str::is_empty) {
            return Err(wrong("a line is empty"));
        }
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }
}

/// A decimal number in its only spelling.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.parse::<u64>()
        .ok()
        .filter(|number| number.to_string() == text)
}

/// A SHA-256 hash in base64.
pub(crate) fn hash(text: &str) -> Option<Digest> {
    let bytes: [u8; 32] = Base64::decode_vec(text).ok()?.try_into().ok()?;
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    /// The example of C2SP signed-note, which others made.
    #[test]
    fn the_example_of_the_format_verifies_and_no_flip_of_it_does() {
        let keys = [KEY.parse().unwrap()];
        let note: Note = EXAMPLE.parse().unwrap();
        assert_eq!(note.to_string(), EXAMPLE);
        assert_eq!(
            (note.verify(&keys).unwrap().len(), note.text()),
            (1, "This is an example message.\n")
        );
        for at in 0..EXAMPLE.len() {
            for bit in 0..8 {
                let mut bytes = EXAMPLE.as_bytes().to_vec();
                bytes[at] ^= 1 << bit;
                let Ok(text) = String::from_utf8(bytes) else {
                    continue;
                };
                let verified = text
                    .parse::<Note>()
                    .and_then(|note| note.verify(&keys).map(|_| ()));
                assert!(verified.is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn signatures_of_others_are_passed_over_and_wrong_ones_of_a_known_key_are_not() {
        let key =
            |seed: u8| SigningKey::from_seed(&format!("k{seed}.example"), [seed; 32]).unwrap();
        let mut note = Note::new("text\n").unwrap();
        (1..4).for_each(|seed| note.sign(&key(seed)));
        note.sign(&key(2));
        let keys = [key(2).public(), key(9).public(), key(3).public()];
        let names: Vec<_> = note
            .verify(&keys)
            .unwrap()
            .iter()
            .map(|signed| signed.key.name())
            .collect();
        assert_eq!(names, ["k2.example", "k3.example"]);
        assert!(note.verify(&keys[1..2]).is_err() && note.verify(&[]).is_err());
        note.signatures[3].signature[0] ^= 1;
        assert!(note.verify(&keys).is_err());
    }

    #[test]
    fn a_witness_signs_its_time_with_the_checkpoint() {
        let witness = SigningKey::from_seed("w.example", [5; 32]).unwrap();
        let time: Time = "2026-12-01T09:30:05.000Z".parse().unwrap();
        let mut note =
            Note::new("log.example\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n").unwrap();
        note.cosign(&witness, time);
        let keys = [witness.public().as_witness()];
        assert_eq!(note.verify(&keys).unwrap()[0].time, Some(time));
        assert!(note.verify(&[witness.public()]).is_err());
        note.signatures[0].signature[7] ^= 1;
        assert!(note.verify(&keys).is_err());
        note.signatures[0].signature[0] = 0xFF;
        assert!(note.verify(&keys).is_err());
    }

    #[test]
    fn what_is_no_note_or_checkpoint_is_refused() {
        for bad in [
            "",
            "\n",
            "text\n",
            "text\n\n",
            "a\n\n\u{2014} b\n",
            "a\n\n\u{2014} b c\n",
            "a\tb\n\n\u{2014} b AAAAAAA=\n",
            "a\n\n\u{2014} b AAAAAAA=",
        ] {
            assert!(bad.parse::<Note>().is_err(), "{bad:?}");
        }
        let many = "\u{2014} b AAAAAAA=\n".repeat(MAX_SIGNATURES + 1);
        assert_eq!(
            format!("a\n\n{many}").parse::<Note>().unwrap_err().kind(),
            ErrorKind::Limit
        );
        let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let good = format!("log.example\n0\n{root}\n");
        assert_eq!(
            good.parse::<Checkpoint>().unwrap(),
            Checkpoint::of("log.example", &Tree::default()).unwrap()
        );
        assert!(
            format!("log.example\n0\n{root}\nextension\n")
                .parse::<Checkpoint>()
                .is_ok()
        );
        for bad in [
            "",
            "log.example\n",
            &good[1..good.len() - 1],
            &good.replace("\n0", "\n00"),
            &good.replace("\n0", "\n-1"),
            &good.replace("=\n", "\n"),
            &format!("{good}\n"),
        ] {
            assert!(bad.parse::<Checkpoint>().is_err(), "{bad:?}");
        }
    }
}

//! C2SP tlog-proofs: that a digest stands in a transparency log whose head others have seen, checked without asking the log.

mod entries;
mod head;
mod policy;

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use taggant_core::merkle;
use taggant_core::{Error, ErrorKind, Result};

use crate::digest::Digest;
use crate::note::{MAX_NOTE, Note, hash, number};
use crate::time::Time;

pub use entries::Entries;
pub use head::Head;
pub use policy::Policy;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Longest inclusion proof: that of 2^63 leaves.
const MAX_PATH: usize = 63;

/// A `.tlog-proof` file: a place in a log, the path to the root, and the log's checkpoint with its cosignatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    index: u64,
    path: Vec<Digest>,
    checkpoint: Note,
}

/// What a proof proves, under a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The log's origin.
    pub log: String,
    /// The entry's place in it, from 0.
    pub index: u64,
    /// Entries at the checkpoint.
    pub size: u64,
    /// Witnesses whose cosignatures were verified, by name and time.
    pub witnesses: Vec<(String, Time)>,
    /// When the policy's quorum of witnesses had seen the entry; none under a policy that asks for no witness.
    pub seen: Option<Time>,
}

/// The leaf under which a file stands in a log: that of its SHA-256 digest (SPEC.md §4.1).
#[must_use]
pub fn entry(file: &Digest) -> merkle::Hash {
    merkle::leaf(file.bytes())
}

fn wrong(fault: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Format, format!("not a tlog-proof: {fault}"))
}

fn unproven(fault: impl fmt::Display) -> Error {
    Error::new(
        ErrorKind::Mismatch,
        format!("the tlog-proof does not hold: {fault}"),
    )
}

impl Proof {
    /// A proof of the entry at `index`, from the audit path to the root of a signed checkpoint.
    #[must_use]
    pub fn new(index: u64, path: &[merkle::Hash], checkpoint: Note) -> Self {
        let path = path.iter().map(|hash| Digest::from(*hash)).collect();
        Self {
            index,
            path,
            checkpoint,
        }
    }

    /// What the proof proves of a leaf.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when the checkpoint is not signed by a log of the policy under its own name, when too few of the policy's witnesses
    /// cosigned it, or when the path does not lead from the leaf to its root.
    pub fn verify(&self, leaf: &merkle::Hash, policy: &Policy) -> Result<Logged> {
        let head = policy.head(&self.checkpoint)?;
        let path: Vec<merkle::Hash> = self.path.iter().map(|hash| *hash.bytes()).collect();
        if !merkle::includes(head.root.bytes(), head.size, self.index, leaf, &path) {
            return Err(unproven(format_args!(
                "its path does not lead from this entry, as number {} of {}, to the root",
                self.index, head.size
            )));
        }
        Ok(Logged {
            log: head.log,
            index: self.index,
            size: head.size,
            witnesses: head.witnesses,
            seen: head.seen,
        })
    }

    /// The entry's place in the log, from 0, as it says.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The log's head that it leads to.
    #[must_use]
    pub fn checkpoint(&self) -> &Note {
        &self.checkpoint
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nindex {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", Base64::encode_string(hash.bytes()))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Proof {
    type Err = Error;

    /// Reads a proof. Its `extra` line, which nothing authenticates, is passed over.
    fn from_str(text: &str) -> Result<Self> {
        if text.len() > MAX_NOTE {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "a tlog-proof of {} bytes; at most {MAX_NOTE} are read",
                    text.len()
                ),
            ));
        }
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or_else(|| wrong("no empty line before its checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(wrong(format_args!("its first line is not {HEADER}")));
        }
        let extra = lines.next_if(|line| line.starts_with("extra "));
        if extra.is_some_and(|line| Base64::decode_vec(&line[6..]).is_err()) {
            return Err(wrong("its extra line is not base64"));
        }
        let index = lines
            .next()
            .and_then(|line| number(line.strip_prefix("index ")?))
            .ok_or_else(|| wrong("no index"))?;
        let path: Vec<Digest> = lines
            .map(|line| hash(line).ok_or_else(|| wrong("a line of its path is no hash")))
            .collect::<Result<_>>()?;
        if path.len() > MAX_PATH {
            return Err(wrong(format_args!(
                "a path of {} hashes; at most {MAX_PATH} are possible",
                path.len()
            )));
        }
        Ok(Self {
            index,
            path,
            checkpoint: checkpoint.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::Checkpoint;
    use crate::signing::SigningKey;

    fn key(name: &str) -> SigningKey {
        SigningKey::from_seed(name, [name.len().try_into().unwrap(); 32]).unwrap()
    }

    /// Seven entries; the proof of number 4, cosigned by these.
    fn proof(witnesses: &[&str]) -> (merkle::Hash, Proof) {
        let leaves: Vec<_> = (0..7_u8).map(|n| entry(&Digest::from([n; 32]))).collect();
        let mut tree = merkle::Tree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        let mut note =
            Note::new(&Checkpoint::of("log.example", &tree).unwrap().to_string()).unwrap();
        note.sign(&key("log.example"));
        let time = "2026-12-01T09:30:05.000Z".parse().unwrap();
        witnesses
            .iter()
            .for_each(|name| note.cosign(&key(name), time));
        (
            leaves[4],
            Proof::new(4, &merkle::inclusion(&leaves, 4).unwrap(), note),
        )
    }

    fn policy(rest: &str) -> Result<Policy> {
        let witness = |name: &str| key(name).public().as_witness();
        format!(
            "# ours\nlog {} https://log.example\n\nwitness a {}\nwitness b {}\n\twitness c {}\n{rest}",
            key("log.example").public(),
            witness("a.example"),
            witness("bb.example"),
            witness("dddd.example"),
        )
        .parse()
    }

    #[test]
    fn an_entry_is_proven_and_nothing_else_is() {
        let (leaf, proof) = proof(&["a.example"]);
        let any = policy("quorum a\n").unwrap();
        let text = proof.to_string();
        let read: Proof = text.parse().unwrap();
        assert_eq!(read, proof);
        let logged = read.verify(&leaf, &any).unwrap();
        assert_eq!(
            (logged.log.as_str(), logged.index, logged.size),
            ("log.example", 4, 7)
        );
        assert_eq!(
            (logged.witnesses.len(), logged.seen),
            (1, Some(logged.witnesses[0].1))
        );
        assert!(read.verify(&entry(&Digest::from([5; 32])), &any).is_err());
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else {
                continue;
            };
            let verified = text
                .parse::<Proof>()
                .and_then(|proof| proof.verify(&leaf, &any));
            assert!(verified.is_err(), "byte {at}: {text}");
        }
        let extra = text.replacen("index", "extra AAAA\nindex", 1);
        assert!(extra.parse::<Proof>().unwrap().verify(&leaf, &any).is_ok());
        assert!(
            text.replacen("index", "extra A\nindex", 1)
                .parse::<Proof>()
                .is_err()
        );
        assert!(
            "c2sp.org/tlog-proof@v2\nindex 0\n\nx"
                .parse::<Proof>()
                .is_err()
        );
    }

    /// P-4: nothing is taken out of a log, put between or changed without its last checkpoint telling.
    #[test]
    fn entries_continue_the_checkpoint_they_were_signed_under() {
        let log = key("log.example");
        let text: String = (0..7_u8)
            .map(|n| format!("{}\n", Digest::from([n; 32])))
            .collect();
        let entries: Entries = text.parse().unwrap();
        let before: Entries = text[..65 * 4].parse().unwrap();
        let note = before.checkpoint(&log).unwrap();
        entries.continues(&note, &log.public()).unwrap();
        assert!(
            entries
                .continues(&note, &key("other.example").public())
                .is_err()
        );
        let lines: Vec<&str> = text.lines().collect();
        for out in 0..4 {
            let rest: String = lines
                .iter()
                .enumerate()
                .filter(|(n, _)| *n != out)
                .map(|(_, line)| format!("{line}\n"))
                .collect();
            let error = rest
                .parse::<Entries>()
                .unwrap()
                .continues(&note, &log.public())
                .unwrap_err();
            assert!(error.to_string().contains("do not continue"), "{error}");
        }
        assert!(
            before.digests()[..3]
                .iter()
                .map(|digest| format!("{digest}\n"))
                .collect::<String>()
                .parse::<Entries>()
                .unwrap()
                .continues(&note, &log.public())
                .is_err()
        );
        let whole = entries.checkpoint(&log).unwrap();
        let proof = entries.prove(5, whole).unwrap();
        let any = format!("log {}\nquorum none\n", log.public())
            .parse()
            .unwrap();
        assert_eq!(
            proof
                .verify(&entry(&Digest::from([5; 32])), &any)
                .unwrap()
                .size,
            7
        );
        assert!(entries.prove(7, note).is_none());
        for bad in ["x\n", &text[1..], &text[..64]] {
            assert!(bad.parse::<Entries>().is_err());
        }
    }

    #[test]
    fn quorums_are_counted_over_groups() {
        for (rest, cosigned, holds) in [
            ("quorum none\n", &[][..], true),
            ("quorum a\n", &[], false),
            ("quorum a\n", &["bb.example"], false),
            ("group g any a b c\nquorum g\n", &["dddd.example"], true),
            (
                "group g all a b c\nquorum g\n",
                &["a.example", "dddd.example"],
                false,
            ),
            (
                "group g 2 a b c\nquorum g\n",
                &["a.example", "dddd.example"],
                true,
            ),
            (
                "group g all b c\ngroup h any a g\nquorum h\n",
                &["bb.example"],
                false,
            ),
            (
                "group g all b c\ngroup h any a g\nquorum h\n",
                &["bb.example", "dddd.example"],
                true,
            ),
            (
                "group g 2 a b\nquorum g\n",
                &["a.example", "a.example"],
                false,
            ),
        ] {
            let (leaf, proof) = proof(cosigned);
            assert_eq!(
                proof.verify(&leaf, &policy(rest).unwrap()).is_ok(),
                holds,
                "{rest}{cosigned:?}"
            );
        }
    }

    #[test]
    fn policies_that_say_something_else_are_refused_by_line() {
        for (rest, part) in [
            ("", "no line `quorum`"),
            ("quorum d\n", "line 7: `d` is not defined"),
            ("quorum a\nquorum b\n", "line 8: a second quorum"),
            ("group g 4 a b c\nquorum g\n", "4 of 3 members"),
            ("group g 0 a b c\nquorum g\n", "0 of 3 members"),
            ("group g any a a\nquorum g\n", "in a group already"),
            ("group g any g\nquorum g\n", "not defined above"),
            ("group a any b\nquorum a\n", "defined already"),
            ("tree x\n", "lines are log"),
            (
                &format!("witness d {}\n", key("log.example").public()),
                "type 4",
            ),
            (&format!("log {}\n", key("log.example").public()), "twice"),
            // A log is not its own witness.
            (
                &format!("witness d {}\n", key("log.example").public().as_witness()),
                "twice",
            ),
        ] {
            let error = policy(rest).unwrap_err().to_string();
            assert!(error.contains(part), "{rest}: {error}");
        }
        assert!(
            "quorum none\n"
                .parse::<Policy>()
                .unwrap_err()
                .to_string()
                .contains("no line `log`")
        );
    }
}

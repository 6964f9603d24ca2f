//! C2SP tlog-proofs: that a digest stands in a transparency log whose head others have seen, checked without asking the log.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use taggant_core::merkle;
use taggant_core::{Error, ErrorKind, Result};

use crate::digest::Digest;
use crate::note::{Checkpoint, MAX_NOTE, Note, hash, number};
use crate::signing::{Kind, PublicKey, SigningKey};
use crate::time::Time;

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
        let signed = self.checkpoint.verify(&policy.keys)?;
        let Checkpoint { origin, size, root } = self.checkpoint.text().parse()?;
        if !signed
            .iter()
            .any(|signed| signed.key.kind() == Kind::Plain && signed.key.name() == origin)
        {
            return Err(unproven(format_args!(
                "no log of the policy signed the checkpoint of `{}`",
                origin.escape_debug()
            )));
        }
        let witnesses: Vec<(String, Time)> = signed
            .iter()
            .filter_map(|signed| Some((signed.key.name().to_owned(), signed.time?)))
            .collect();
        // The quorum as it was at a time: the first at which it holds is when enough of them had seen it.
        let by = |time: Time| {
            let seen = |key: &PublicKey| {
                signed
                    .iter()
                    .any(|signed| signed.key == key && signed.time.is_some_and(|at| at <= time))
            };
            policy.holds(policy.quorum, &seen)
        };
        let mut times: Vec<Time> = signed.iter().filter_map(|signed| signed.time).collect();
        times.sort_unstable();
        let seen = times.into_iter().find(|time| by(*time));
        if seen.is_none() && !policy.holds(policy.quorum, &|_| false) {
            return Err(unproven(format_args!(
                "{} witnesses cosigned the checkpoint, too few for the policy's quorum",
                witnesses.len()
            )));
        }
        // A quorum of none holds before anyone has seen anything.
        let seen = seen.filter(|_| !policy.holds(policy.quorum, &|_| false));
        let path: Vec<merkle::Hash> = self.path.iter().map(|hash| *hash.bytes()).collect();
        if !merkle::includes(root.bytes(), size, self.index, leaf, &path) {
            return Err(unproven(format_args!(
                "its path does not lead from this entry, as number {} of {size}, to the root",
                self.index
            )));
        }
        Ok(Logged {
            log: origin,
            index: self.index,
            size,
            witnesses,
            seen,
        })
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

/// A log kept as plain text: one SHA-256 digest a line, in the order entered, lower-case hex. Together with its last signed checkpoint it is all that a log needs to be;
/// whoever keeps the two files can serve them from anywhere.
///
/// ```
/// use taggant_evidence::{SigningKey, tlog::Entries};
///
/// let key = SigningKey::from_seed("log.example/case-1", [7; 32])?;
/// let mut entries = Entries::default();
/// entries.push([1; 32].into());
/// let checkpoint = entries.checkpoint(&key)?;
/// entries.push([2; 32].into());
/// entries.continues(&checkpoint, &key.public())?; // nothing was taken out or changed since
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    digests: Vec<Digest>,
    leaves: Vec<merkle::Hash>,
}

impl Entries {
    /// The digests, in order.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// Enters a file by its digest.
    pub fn push(&mut self, file: Digest) {
        self.digests.push(file);
        self.leaves.push(entry(&file));
    }

    /// The head as it stands, signed by the log's key under its own name.
    ///
    /// # Errors
    /// None for a key that was made; those of [`Note::new`].
    pub fn checkpoint(&self, key: &SigningKey) -> Result<Note> {
        let head = Checkpoint {
            origin: key.name().to_owned(),
            size: self.leaves.len() as u64,
            root: merkle::root(&self.leaves).into(),
        };
        let mut note = Note::new(&head.to_string())?;
        note.sign(key);
        Ok(note)
    }

    /// The proof that the entry with this number is there, under a checkpoint of as many entries as there are.
    #[must_use]
    pub fn prove(&self, index: usize, checkpoint: Note) -> Option<Proof> {
        let path = merkle::inclusion(&self.leaves, index)?;
        Some(Proof::new(index as u64, &path, checkpoint))
    }

    /// Whether the entries begin with those of an earlier checkpoint of `log`.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] for a checkpoint that `log` did not sign, or of entries that are not these; [`ErrorKind::Format`] for a note that is none.
    pub fn continues(&self, checkpoint: &Note, log: &PublicKey) -> Result<()> {
        checkpoint.verify(std::slice::from_ref(log))?;
        let head: Checkpoint = checkpoint.text().parse()?;
        let earlier = usize::try_from(head.size)
            .ok()
            .and_then(|size| self.leaves.get(..size));
        match earlier {
            Some(leaves)
                if head.origin == log.name() && merkle::root(leaves) == *head.root.bytes() =>
            {
                Ok(())
            }
            _ => Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "the {} entries do not continue the checkpoint of {} entries of `{}`: something was taken out or changed",
                    self.leaves.len(),
                    head.size,
                    head.origin.escape_debug()
                ),
            )),
        }
    }
}

impl FromStr for Entries {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut entries = Self::default();
        for (number, line) in (1..).zip(text.split_terminator('\n')) {
            entries.push(
                line.parse()
                    .map_err(|error: Error| error.context(format_args!("line {number}")))?,
            );
        }
        if text.is_empty() || text.ends_with('\n') {
            return Ok(entries);
        }
        Err(Error::new(
            ErrorKind::Format,
            format!("line {} has no end", entries.digests.len()),
        ))
    }
}

/// Which logs are believed, and which witnesses must have cosigned (C2SP tlog-policy).
///
/// ```
/// use taggant_evidence::{SigningKey, tlog::Policy};
///
/// let key = |name: &str| SigningKey::from_seed(name, [name.len() as u8; 32]).map(|key| key.public());
/// let policy = format!("log {}\nwitness w {}\nquorum w\n", key("log.example")?, key("w.example")?.as_witness());
/// policy.parse::<Policy>()?;
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    /// Keys of logs and witnesses.
    keys: Vec<PublicKey>,
    rules: Vec<Rule>,
    quorum: usize,
}

#[derive(Clone, Debug)]
enum Rule {
    /// The key with this place in `keys`.
    Witness(usize),
    /// So many of these rules, all of which stand before this one.
    Group(usize, Vec<usize>),
}

impl Policy {
    /// Whether a rule holds, given which witnesses cosigned.
    fn holds(&self, rule: usize, seen: &dyn Fn(&PublicKey) -> bool) -> bool {
        match &self.rules[rule] {
            Rule::Witness(key) => seen(&self.keys[*key]),
            Rule::Group(needed, members) => {
                members
                    .iter()
                    .filter(|member| self.holds(**member, seen))
                    .count()
                    >= *needed
            }
        }
    }
}

impl FromStr for Policy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut reader = PolicyReader::default();
        for (number, line) in (1..).zip(text.lines()) {
            reader.line(line).map_err(|fault| {
                Error::new(
                    ErrorKind::Format,
                    format!("log policy, line {number}: {fault}"),
                )
            })?;
        }
        let quorum = reader
            .quorum
            .ok_or_else(|| Error::new(ErrorKind::Format, "log policy: no line `quorum`"))?;
        if reader.logs == 0 {
            return Err(Error::new(ErrorKind::Format, "log policy: no line `log`"));
        }
        Ok(Self {
            keys: reader.keys,
            rules: reader.rules,
            quorum,
        })
    }
}

#[derive(Default)]
struct PolicyReader {
    keys: Vec<PublicKey>,
    logs: usize,
    rules: Vec<Rule>,
    /// Rules by name, and whether a group has them already.
    names: BTreeMap<String, (usize, bool)>,
    quorum: Option<usize>,
}

impl PolicyReader {
    fn line(&mut self, line: &str) -> std::result::Result<(), String> {
        let words: Vec<&str> = line
            .split([' ', '\t'])
            .filter(|word| !word.is_empty())
            .collect();
        match words[..] {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] | ["log", key, _] => {
                self.logs += 1;
                self.key(key, Kind::Plain).map(|_| ())
            }
            ["witness", name, key] | ["witness", name, key, _] => {
                let key = self.key(key, Kind::Cosignature)?;
                self.rule(name, Rule::Witness(key))
            }
            ["group", name, needed, ref members @ ..] if !members.is_empty() => {
                let needed = match needed {
                    "any" => 1,
                    "all" => members.len(),
                    number => number
                        .parse()
                        .map_err(|_| format!("`{number}` is neither all, any nor a number"))?,
                };
                if !(1..=members.len()).contains(&needed) {
                    return Err(format!(
                        "{needed} of {} members are asked for",
                        members.len()
                    ));
                }
                let members = members
                    .iter()
                    .map(|member| match self.names.get_mut(*member) {
                        Some((rule, taken @ false)) => {
                            *taken = true;
                            Ok(*rule)
                        }
                        Some(_) => Err(format!("`{member}` is in a group already")),
                        None => Err(format!("`{member}` is not defined above")),
                    })
                    .collect::<std::result::Result<_, _>>()?;
                self.rule(name, Rule::Group(needed, members))
            }
            ["quorum", name] => {
                if self.quorum.is_some() {
                    return Err("a second quorum".to_owned());
                }
                self.quorum = Some(match (name, self.names.get(name)) {
                    ("none", _) => {
                        self.rules.push(Rule::Group(0, Vec::new()));
                        self.rules.len() - 1
                    }
                    (_, Some((rule, _))) => *rule,
                    (_, None) => return Err(format!("`{name}` is not defined above")),
                });
                Ok(())
            }
            [first, ..] => Err(format!(
                "`{}` with {} words; lines are log, witness, group and quorum",
                first.escape_debug(),
                words.len() - 1
            )),
        }
    }

    fn key(&mut self, text: &str, kind: Kind) -> std::result::Result<usize, String> {
        let key: PublicKey = text.parse().map_err(|error: Error| error.to_string())?;
        if key.kind() != kind {
            return Err(format!(
                "the key of `{}` signs {}",
                key.name(),
                match key.kind() {
                    Kind::Plain => "notes; a witness has one of type 4",
                    Kind::Cosignature => "cosignatures; a log has one of type 1",
                }
            ));
        }
        if self.keys.iter().any(|other| other.bytes() == key.bytes()) {
            return Err(format!("the key of `{}` stands here twice", key.name()));
        }
        self.keys.push(key);
        Ok(self.keys.len() - 1)
    }

    fn rule(&mut self, name: &str, rule: Rule) -> std::result::Result<(), String> {
        if name == "none" || self.names.contains_key(name) {
            return Err(format!("`{name}` is defined already"));
        }
        self.rules.push(rule);
        self.names
            .insert(name.to_owned(), (self.rules.len() - 1, false));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! Whose logs and whose eyes count.

use std::collections::BTreeMap;
use std::str::FromStr;

use taggant_core::{Error, ErrorKind, Result};

use crate::signing::{Kind, PublicKey};

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
    /// Keys of logs and witnesses.
    pub(super) fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// How many logs are believed.
    pub(crate) fn logs(&self) -> usize {
        let logs = self.keys.iter().filter(|key| key.kind() == Kind::Plain);
        logs.count()
    }

    /// Whether the quorum holds, given which witnesses cosigned.
    pub(super) fn quorum_holds(&self, seen: &dyn Fn(&PublicKey) -> bool) -> bool {
        self.holds(self.quorum, seen)
    }

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

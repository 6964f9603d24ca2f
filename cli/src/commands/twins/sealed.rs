//! The sealed file and the published one (SPEC.md §10.4).

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use taggant_core::TwinKey;
use taggant_core::twin::{Draft, batch_root, exchange_commitment, twin_commitment};

use super::drafts;
use crate::failure::{Failure, Result};
use crate::files;
use crate::rows::{self, Lines};

const SEALED: &str = "taggant-twins/1";
const PUBLISHED: &str = "taggant-twin-seal/1";

/// An exchange with everything that opens its commitment.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    format: String,
    pub(super) id: Value,
    pub(super) account: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cluster: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prompt: Option<String>,
    pub(super) served: u32,
    commitment: String,
    pub(super) drafts: Vec<SealedDraft>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SealedDraft {
    pub(super) text: String,
    salt: String,
    commitment: String,
}

impl Row {
    /// Chooses and commits. `kept` are cluster and prompt.
    pub(super) fn seal(
        key: &TwinKey,
        id: Value,
        account: Value,
        kept: (Option<String>, Option<String>),
        texts: &[String],
    ) -> Result<Self> {
        let sealed = key.seal(
            name("id", &id)?.as_bytes(),
            name("account", &account)?.as_bytes(),
            &drafts(texts),
        )?;
        let drafts = texts.iter().zip(&sealed.twins);
        Ok(Self {
            format: SEALED.to_owned(),
            id,
            account,
            cluster: kept.0,
            prompt: kept.1,
            served: sealed.served,
            commitment: hex(&sealed.commitment),
            drafts: drafts
                .map(|(text, twin)| SealedDraft {
                    text: text.clone(),
                    salt: hex(&twin.salt),
                    commitment: hex(&twin.commitment),
                })
                .collect(),
        })
    }

    /// The exchange's commitment.
    pub(super) fn commitment(&self) -> Result<[u8; 32]> {
        unhex(&self.commitment).map_err(|failure| self.fault(failure))
    }

    /// Whether drafts and salts open the commitments. Needs no key.
    pub(super) fn check(&self) -> Result<()> {
        let id = name("id", &self.id)?;
        let mut commitments = Vec::new();
        for (index, draft) in (0..).zip(&self.drafts) {
            let salt = unhex(&draft.salt).map_err(|failure| self.fault(failure))?;
            let commitment =
                twin_commitment(id.as_bytes(), index, &salt, Draft::Text(&draft.text))?;
            if hex(&commitment) != draft.commitment {
                return Err(self.changed(&format!("draft {index} does not open its commitment")));
            }
            commitments.push(commitment);
        }
        let account = name("account", &self.account)?;
        let commitment = exchange_commitment(id.as_bytes(), account.as_bytes(), &commitments)
            .map_err(|error| self.fault(error.into()))?;
        if hex(&commitment) != self.commitment {
            return Err(self.changed("account and drafts do not open the commitment"));
        }
        Ok(())
    }

    /// Whether the key chose and sealed as the file says.
    pub(super) fn check_key(&self, key: &TwinKey) -> Result<()> {
        self.check()?;
        let texts: Vec<String> = self.drafts.iter().map(|draft| draft.text.clone()).collect();
        let kept = (self.cluster.clone(), self.prompt.clone());
        let again = Self::seal(key, self.id.clone(), self.account.clone(), kept, &texts)?;
        if again.commitment != self.commitment {
            return Err(
                Failure::new(format!("{}: was sealed with another key", self.place()))
                    .hint("give the twin key that drew this file"),
            );
        }
        if again.served != self.served {
            return Err(self.changed(&format!(
                "draft {} is said to have been served; the key serves draft {}",
                self.served, again.served
            )));
        }
        Ok(())
    }

    /// The exchange as errors name it.
    pub(super) fn place(&self) -> String {
        let id = name("id", &self.id).unwrap_or_default();
        format!("exchange {}", shown(&id))
    }

    fn fault(&self, failure: Failure) -> Failure {
        failure.context(self.place())
    }

    fn changed(&self, what: &str) -> Failure {
        Failure::new(format!("{}: {what}", self.place()))
            .hint("the file was changed after it was sealed; take the original")
    }
}

/// Every row of a sealed file; ids are unique.
pub(super) fn read(path: &Path) -> Result<Vec<Row>> {
    let mut lines = Lines::new(files::open(path)?);
    let (mut rows, mut ids) = (Vec::new(), BTreeSet::new());
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
        let row = line.and_then(rows::parse::<Row>).and_then(|row| {
            let id = name("id", &row.id)?;
            if row.format != SEALED {
                return Err(Failure::new(format!(
                    "format is {}; this version reads {SEALED}",
                    shown(&row.format)
                )));
            }
            if ids.insert(id) {
                Ok(row)
            } else {
                Err(Failure::new(format!("{} occurs twice", row.place())))
            }
        });
        rows.push(row.map_err(|failure| {
            failure
                .context(format_args!("{}, line {number}", path.display()))
                .hint("a sealed file is written by `taggant twins draw`")
        })?);
    }
    if rows.is_empty() {
        return Err(Failure::new(format!("{}: no exchanges", path.display()))
            .hint("a sealed file is written by `taggant twins draw`"));
    }
    Ok(rows)
}

/// A line of the published file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) commitment: String,
}

/// Its last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Root {
    format: String,
    exchanges: usize,
    root: String,
}

impl Root {
    pub(super) fn new(exchanges: usize, root: &[u8; 32]) -> Self {
        Self {
            format: PUBLISHED.to_owned(),
            exchanges,
            root: hex(root),
        }
    }
}

/// What was published.
pub(super) struct Published {
    commitments: BTreeSet<[u8; 32]>,
    path: String,
}

impl Published {
    /// Reads the file and checks its root.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut lines = Lines::new(files::open(path)?);
        let (mut commitments, mut root) = (Vec::new(), None);
        while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
            let read = line.and_then(|line| {
                if root.is_some() {
                    return Err(Failure::new("a line after the root"));
                }
                if line.contains("\"root\"") {
                    root = Some(rows::parse::<Root>(line)?);
                    return Ok(());
                }
                commitments.push(unhex(&rows::parse::<Line>(line)?.commitment)?);
                Ok(())
            });
            read.map_err(|failure| {
                failure
                    .context(format_args!("{}, line {number}", path.display()))
                    .hint("this file is written by `taggant twins seal`")
            })?;
        }
        let root = root.map(|root| (root.format, root.exchanges, root.root));
        let expected = hex(&batch_root(&commitments));
        if root != Some((PUBLISHED.to_owned(), commitments.len(), expected)) {
            return Err(Failure::new(format!(
                "{}: the last line is not the root of the {} commitments before it",
                path.display(),
                commitments.len()
            ))
            .hint("the file is damaged or was changed; take the one that was published"));
        }
        Ok(Self {
            commitments: commitments.into_iter().collect(),
            path: path.display().to_string(),
        })
    }

    /// Whether an exchange was committed to.
    pub(super) fn check(&self, row: &Row) -> Result<()> {
        if self.commitments.contains(&row.commitment()?) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "{}: is not among the commitments of {}",
            row.place(),
            self.path
        ))
        .hint("test the file that was sealed and published"))
    }
}

/// An id or account as text: a string, or a whole number in decimal.
pub(super) fn name(what: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(number.to_string()),
        _ => Err(Failure::new(format!(
            "`{what}` is neither a text nor a whole number"
        ))),
    }
}

/// Untrusted text, short enough to print.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.escape_debug().take(64).collect();
    format!("`{short}`")
}

pub(super) fn hex(bytes: &[u8; 32]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// The message never quotes the digits: a salt is among what is read here.
fn unhex(text: &str) -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let whole = text.len() == 64 && base16ct::lower::decode(text, &mut bytes).is_ok();
    whole
        .then_some(bytes)
        .ok_or_else(|| Failure::new("a salt or commitment is not 64 lower-case hex digits"))
}

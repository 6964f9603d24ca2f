//! In-toto statements (v1) in DSSE envelopes: what is signed says of which files it speaks.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use taggant_core::{Error, ErrorKind, Result};

use crate::digest::Digest;
use crate::dsse::Envelope;
use crate::signing::PublicKey;

/// The payload type of in-toto statements.
pub const STATEMENT: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// A file that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its path in the bundle, with `/`.
    pub name: String,
    /// Its digests.
    pub digest: Digests,
}

/// Digests of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// SHA-256. Others are passed over.
    pub sha256: Digest,
}

impl Subject {
    /// The file with this name and digest.
    #[must_use]
    pub fn new(name: &str, sha256: Digest) -> Self {
        Self {
            name: name.to_owned(),
            digest: Digests { sha256 },
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatementFile<P> {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: P,
}

/// What can be stated of files: a predicate with its type's name and version.
pub trait Predicate: Serialize + DeserializeOwned {
    /// A URI that names the type and its version.
    const TYPE: &'static str;
}

/// A statement as an envelope, not signed yet.
///
/// # Errors
/// [`ErrorKind::Format`] when the predicate has no JSON form.
pub fn state<P: Predicate>(subjects: Vec<Subject>, predicate: &P) -> Result<Envelope> {
    let file = StatementFile {
        kind: STATEMENT_TYPE.to_owned(),
        subject: subjects,
        predicate_type: P::TYPE.to_owned(),
        predicate,
    };
    let payload = serde_json::to_vec_pretty(&file).map_err(|error| {
        Error::new(
            ErrorKind::Format,
            format!("a statement that JSON cannot hold: {error}"),
        )
    })?;
    Ok(Envelope::new(STATEMENT, payload))
}

/// Subjects and predicate of an envelope that `threshold` of `keys` signed.
///
/// # Errors
/// As [`Envelope::verified`]; [`ErrorKind::Unsupported`] for a predicate of another type, [`ErrorKind::Format`] for a payload that is no statement.
pub fn stated<P: Predicate>(
    envelope: &Envelope,
    keys: &[PublicKey],
    threshold: usize,
) -> Result<(Vec<Subject>, P)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        #[serde(rename = "_type")]
        kind: String,
        predicate_type: String,
    }
    let payload = envelope.verified(STATEMENT, keys, threshold)?;
    let wrong = |error| {
        Error::new(
            ErrorKind::Format,
            format!("not an in-toto statement: {error}"),
        )
    };
    // The types first: a later version may have other fields.
    let head: Head = serde_json::from_slice(payload).map_err(wrong)?;
    for (found, known) in [
        (&head.kind, STATEMENT_TYPE),
        (&head.predicate_type, P::TYPE),
    ] {
        if found != known {
            let shown: String = found.escape_debug().take(80).collect();
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("a statement of type `{shown}`; this version reads {known}"),
            ));
        }
    }
    let file: StatementFile<P> = serde_json::from_slice(payload).map_err(wrong)?;
    Ok((file.subject, file.predicate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::SigningKey;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&format!("k{seed}"), [seed; 32]).unwrap()
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        says: String,
    }

    impl Predicate for Note {
        const TYPE: &'static str = "https://example.com/note/v1";
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Other {}

    impl Predicate for Other {
        const TYPE: &'static str = "https://example.com/note/v2";
    }

    #[test]
    fn a_statement_is_read_as_what_it_is_and_only_when_it_is_signed() {
        let subject = Subject::new("a/b.json", [7; 32].into());
        let mut envelope = state(
            vec![subject.clone()],
            &Note {
                says: "x".to_owned(),
            },
        )
        .unwrap();
        let keys = [key(1).public()];
        assert!(stated::<Note>(&envelope, &keys, 1).is_err());
        envelope.sign(&key(1));
        let (subjects, note) = stated::<Note>(&envelope, &keys, 1).unwrap();
        assert_eq!((subjects, note.says.as_str()), (vec![subject], "x"));
        assert_eq!(
            stated::<Other>(&envelope, &keys, 1).unwrap_err().kind(),
            ErrorKind::Unsupported
        );
    }
}

//! DSSE envelopes (secure-systems-lab/dsse v1.0.2): bytes of a type, signed by one or several.

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};
use taggant_core::{Error, ErrorKind, Result};

use crate::signing::{PublicKey, SigningKey};

/// Longest envelope, in bytes.
pub const MAX_ENVELOPE: usize = 1 << 28;

/// Most signatures of an envelope.
pub const MAX_SIGNATURES: usize = 64;

/// Bytes of a type, and signatures over both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload_type: String,
    payload: Vec<u8>,
    /// A hint for whoever looks for the key, and the signature.
    signatures: Vec<(String, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeFile {
    payload: String,
    payload_type: String,
    signatures: Vec<SignatureFile>,
}

#[derive(Serialize, Deserialize)]
struct SignatureFile {
    #[serde(default)]
    keyid: String,
    sig: String,
}

fn wrong(fault: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Format, format!("not a DSSE envelope: {fault}"))
}

impl Envelope {
    /// Bytes of a type, not signed yet.
    #[must_use]
    pub fn new(payload_type: &str, payload: Vec<u8>) -> Self {
        Self {
            payload_type: payload_type.to_owned(),
            payload,
            signatures: Vec::new(),
        }
    }

    /// What is signed: type and payload, each with its length (PAE).
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let Self {
            payload_type,
            payload,
            ..
        } = self;
        let head = format!(
            "DSSEv1 {} {payload_type} {} ",
            payload_type.len(),
            payload.len()
        );
        [head.as_bytes(), payload].concat()
    }

    /// Adds a signature.
    pub fn sign(&mut self, key: &SigningKey) {
        let hint = base16ct::lower::encode_string(&key.public().id());
        self.signatures
            .push((hint, key.sign(&self.signed_bytes()).to_vec()));
    }

    /// The signatures as bytes, for tools that check one at a time.
    pub fn signatures(&self) -> impl Iterator<Item = &[u8]> {
        self.signatures.iter().map(|(_, signature)| &signature[..])
    }

    /// The signatures' key ids, which are hints and no more.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|(id, _)| id.as_str())
    }

    /// Whether every signature is of one of `keys`, under that key's id: then nothing in the envelope can be changed.
    #[must_use]
    pub fn is_signed_by_none_but(&self, keys: &[PublicKey]) -> bool {
        let signed = self.signed_bytes();
        self.signatures.iter().all(|(id, signature)| {
            let named = |key: &PublicKey| base16ct::lower::encode_string(&key.id()) == *id;
            keys.iter()
                .any(|key| named(key) && key.verifies(&signed, signature))
        })
    }

    /// Those of `keys` that signed, each once. Key ids in the envelope are not believed: every key is tried.
    #[must_use]
    pub fn signers<'a>(&self, keys: &'a [PublicKey]) -> Vec<&'a PublicKey> {
        let signed = self.signed_bytes();
        let mut found: Vec<&PublicKey> = Vec::new();
        for key in keys {
            // The same key under two names is one signer.
            let known = found.iter().any(|other| other.bytes() == key.bytes());
            if !known
                && self
                    .signatures()
                    .any(|signature| key.verifies(&signed, signature))
            {
                found.push(key);
            }
        }
        found
    }

    /// The payload, when at least `threshold` of `keys` signed it: the bytes that were verified are those that are parsed.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when fewer did, or when the payload is of another type.
    pub fn verified(
        &self,
        payload_type: &str,
        keys: &[PublicKey],
        threshold: usize,
    ) -> Result<&[u8]> {
        let signers = self.signers(keys).len();
        if signers < threshold.max(1) {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!(
                    "the envelope is signed by {signers} of the {} keys given; {} are needed",
                    keys.len(),
                    threshold.max(1)
                ),
            ));
        }
        if self.payload_type != payload_type {
            let shown: String = self.payload_type.escape_debug().take(80).collect();
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!("the envelope holds `{shown}` and not {payload_type}"),
            ));
        }
        Ok(&self.payload)
    }

    /// The envelope's file, one line with its line break.
    #[must_use]
    pub fn to_json(&self) -> String {
        let file = EnvelopeFile {
            payload: Base64::encode_string(&self.payload),
            payload_type: self.payload_type.clone(),
            signatures: self
                .signatures
                .iter()
                .map(|(keyid, sig)| SignatureFile {
                    keyid: keyid.clone(),
                    sig: Base64::encode_string(sig),
                })
                .collect(),
        };
        serde_json::to_string(&file).unwrap_or_default() + "\n"
    }

    /// Reads an envelope. Fields it does not know are passed over, as the format asks.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] or [`ErrorKind::Limit`].
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "an envelope of {} bytes; at most {MAX_ENVELOPE} are read",
                    bytes.len()
                ),
            ));
        }
        let file: EnvelopeFile = serde_json::from_slice(bytes).map_err(wrong)?;
        if file.signatures.len() > MAX_SIGNATURES {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "an envelope with {} signatures; at most {MAX_SIGNATURES} are read",
                    file.signatures.len()
                ),
            ));
        }
        let decode = |text: &str, what: &str| {
            Base64::decode_vec(text).map_err(|_| wrong(format_args!("its {what} is not base64")))
        };
        let signatures = file.signatures.into_iter();
        Ok(Self {
            payload: decode(&file.payload, "payload")?,
            payload_type: file.payload_type,
            signatures: signatures
                .map(|line| Ok((line.keyid, decode(&line.sig, "signature")?)))
                .collect::<Result<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&format!("k{seed}"), [seed; 32]).unwrap()
    }

    /// The protocol's own example of what is signed.
    #[test]
    fn signed_bytes_are_those_of_the_protocol() {
        let envelope = Envelope::new("http://example.com/HelloWorld", b"hello world".to_vec());
        assert_eq!(
            envelope.signed_bytes(),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn signers_are_counted_once_and_by_their_keys() {
        let mut envelope = Envelope::new("t", vec![0, 255]);
        envelope.sign(&key(1));
        envelope.sign(&key(1));
        envelope.sign(&key(2));
        let mut read = Envelope::from_json(envelope.to_json().as_bytes()).unwrap();
        assert_eq!(read, envelope);
        let again = SigningKey::from_seed("another-name", [1; 32]).unwrap();
        let keys = [
            key(1).public(),
            again.public(),
            key(3).public(),
            key(2).public(),
        ];
        assert_eq!(read.signers(&keys), [&keys[0], &keys[3]]);
        assert!(read.verified("t", &keys, 2).is_ok() && read.verified("t", &keys, 3).is_err());
        assert!(
            read.verified("u", &keys, 2).is_err() && read.verified("t", &keys[2..3], 0).is_err()
        );
        read.payload[0] = 1;
        assert!(read.signers(&keys).is_empty());
    }

    #[test]
    fn what_is_no_envelope_is_refused() {
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"payload":"*","payloadType":"t","signatures":[]}"#,
            r#"{"payload":"","payloadType":"t","signatures":[{"sig":"*"}]}"#,
        ] {
            assert_eq!(
                Envelope::from_json(bad.as_bytes()).unwrap_err().kind(),
                ErrorKind::Format,
                "{bad}"
            );
        }
        // Key ids are optional and unknown fields are allowed.
        let good =
            r#"{"payload":"","payloadType":"t","signatures":[{"sig":"","other":1}],"more":{}}"#;
        assert!(Envelope::from_json(good.as_bytes()).is_ok());
    }
}

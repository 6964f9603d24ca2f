//! Ed25519 keys (RFC 8032) with the name they sign under, in the spelling of C2SP signed notes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use ed25519_dalek::Signer;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use taggant_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use crate::text::as_text;

const FORMAT: &str = "taggant-signing-key/1";

/// Longest name of a signer, in bytes.
pub const MAX_NAME: usize = 255;

/// A signer's secret key. Wiped when dropped, without `Debug` output of its bytes.
///
/// ```
/// use taggant_evidence::SigningKey;
///
/// let key = SigningKey::from_seed("examiner.example/ann", [7; 32])?; // 32 random bytes of the caller
/// let signature = key.sign(b"what is signed");
/// assert!(key.public().verifies(b"what is signed", &signature));
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile<'a> {
    format: &'a str,
    #[serde(borrow)]
    name: Cow<'a, str>,
    seed: &'a str,
}

impl SigningKey {
    /// The key that 32 uniformly random bytes make.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a name that no signed note can hold.
    pub fn from_seed(name: &str, seed: [u8; 32]) -> Result<Self> {
        check_name(name)?;
        let key = ed25519_dalek::SigningKey::from_bytes(&Zeroizing::new(seed));
        Ok(Self {
            name: name.to_owned(),
            key,
        })
    }

    /// The key file, one line (SPEC.md §2.1). Secret.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(base16ct::lower::encode_string(self.key.as_bytes()));
        let name = serde_json::Value::from(self.name.as_str());
        Zeroizing::new(format!(
            r#"{{"format":"{FORMAT}","name":{name},"seed":"{}"}}"#,
            *seed
        ))
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] or [`ErrorKind::Parameter`]; the message never quotes the file.
    pub fn from_json(text: &str) -> Result<Self> {
        let wrong = |fault: &str| Error::new(ErrorKind::Key, format!("not a signing key: {fault}"));
        let file: KeyFile<'_> = serde_json::from_str(text.trim())
            .map_err(|error| wrong(&format!("line {}, column {}", error.line(), error.column())))?;
        if file.format != FORMAT {
            return Err(wrong(&format!("its format is not {FORMAT}")));
        }
        let mut seed = Zeroizing::new([0; 32]);
        match base16ct::lower::decode(file.seed, &mut *seed) {
            Ok(found) if found.len() == 32 => Self::from_seed(&file.name, *seed),
            _ => Err(wrong("its seed is not 64 lower-case hex digits")),
        }
    }

    /// Who signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What verifies its signatures.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey {
            name: self.name.clone(),
            kind: Kind::Plain,
            key: self.key.verifying_key(),
        }
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a key signs in a note (C2SP signed-note, "Signature types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The note's text, type `0x01`.
    Plain,
    /// A checkpoint and the time at which it was seen, type `0x04` (C2SP tlog-cosignature).
    Cosignature,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Plain => 1,
            Self::Cosignature => 4,
        }
    }
}

/// A public key, written as the verifier key of a signed note: `name+8 hex digits+base64`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    kind: Kind,
    key: ed25519_dalek::VerifyingKey,
}

impl PublicKey {
    /// Who signs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same key as a witness uses it.
    #[must_use]
    pub fn as_witness(&self) -> Self {
        Self {
            kind: Kind::Cosignature,
            ..self.clone()
        }
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The four bytes that name the key in a note: a hint, never a proof.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let hash: [u8; 32] = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update([b'\n', self.kind.byte()])
            .chain_update(self.bytes())
            .finalize()
            .into();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Whether a signature of a message is this key's, by the strict rules under which a signature fits one message of one key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }

    /// The key as `openssl pkeyutl -verify -pubin -inkey` reads it (RFC 8410).
    #[must_use]
    pub fn pem(&self) -> String {
        // SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes }.
        let mut der = vec![
            0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00,
        ];
        der.extend_from_slice(self.bytes());
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            Base64::encode_string(&der)
        )
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.kind.byte()];
        bytes.extend_from_slice(self.bytes());
        let id = base16ct::lower::encode_string(&self.id());
        write!(f, "{}+{id}+{}", self.name, Base64::encode_string(&bytes))
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |fault: &str| {
            let shown: String = text.escape_debug().take(80).collect();
            Error::new(ErrorKind::Format, format!("verifier key `{shown}` {fault}"))
        };
        let (name, rest) = text
            .split_once('+')
            .ok_or_else(|| wrong("has no name before a +"))?;
        let (id, bytes) = rest
            .split_once('+')
            .ok_or_else(|| wrong("has no key id between two +"))?;
        check_name(name)?;
        let bytes = Base64::decode_vec(bytes).map_err(|_| wrong("does not end in base64"))?;
        let kind = match bytes.first() {
            Some(1) => Kind::Plain,
            Some(4) => Kind::Cosignature,
            Some(other) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "verifier key of `{name}` has signature type {other}; this version verifies Ed25519, types 1 and 4"
                    ),
                ));
            }
            None => return Err(wrong("holds no key")),
        };
        let key = <[u8; 32]>::try_from(&bytes[1..])
            .ok()
            .and_then(|bytes| ed25519_dalek::VerifyingKey::from_bytes(&bytes).ok())
            .filter(|key| !key.is_weak())
            .ok_or_else(|| wrong("is no Ed25519 key of 32 bytes"))?;
        let key = Self {
            name: name.to_owned(),
            kind,
            key,
        };
        if id != base16ct::lower::encode_string(&key.id()) {
            return Err(wrong("has another key id than its name and key make"));
        }
        Ok(key)
    }
}

as_text!(PublicKey, "a verifier key");

/// The rule for names in notes: not empty, no white space, no `+`; and no control characters, which a note cannot hold.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    if (1..=MAX_NAME).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    let shown: String = name.escape_debug().take(80).collect();
    Err(Error::new(
        ErrorKind::Parameter,
        format!(
            "signer name `{shown}` must have 1 to {MAX_NAME} bytes without spaces, control characters or +"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_note_format_is_read() {
        let text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        let key: PublicKey = text.parse().unwrap();
        assert_eq!(
            (key.to_string().as_str(), key.name(), key.kind()),
            (text, "example.com/foo", Kind::Plain)
        );
        for bad in [
            "",
            "example.com/foo",
            "example.com/foo+530d903a",
            "example.com/fop+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2",
            "example .com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903a+",
            // A point of small order: signatures under it fit many messages.
            "example.com/foo+530d903a+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
        let error = "w+530d903a+Bukx".parse::<PublicKey>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    /// RFC 8032 §7.1, test 2.
    #[test]
    fn signatures_are_those_of_the_rfc() {
        let hex = |text: &str| base16ct::lower::decode_vec(text).unwrap();
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = SigningKey::from_seed("n", seed.try_into().unwrap()).unwrap();
        let signature = hex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        assert_eq!(key.sign(&[0x72])[..], signature);
        assert!(key.public().verifies(&[0x72], &signature));
        assert!(
            !key.public().verifies(&[0x73], &signature)
                && !key.public().verifies(&[0x72], &signature[1..])
        );
    }

    #[test]
    fn key_files_go_there_and_back_and_show_no_secret() {
        let key = SigningKey::from_seed("a.example/\"x", [0xAB; 32]).unwrap();
        let again = SigningKey::from_json(&key.to_json()).unwrap();
        assert_eq!(again.public(), key.public());
        assert!(!format!("{key:?}").to_lowercase().contains("abab"));
        for bad in [
            "",
            "{}",
            &key.to_json()[1..],
            &key.to_json().replace("key/1", "key/2"),
            &key.to_json().replace("abab", "ABAB"),
        ] {
            let error = SigningKey::from_json(bad).unwrap_err().to_string();
            assert!(!error.to_lowercase().contains("abab"), "{error}");
        }
    }
}

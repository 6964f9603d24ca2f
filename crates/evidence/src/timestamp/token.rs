//! A token, taken apart.

use sha2::{Digest as _, Sha256, Sha384, Sha512};
use taggant_core::{Error, ErrorKind, Result};

use super::authority::Certificate;
use super::der::{
    Der, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, SEQUENCE, SET, Value, context,
};
use super::request::SHA256;
use crate::digest::Digest;
use crate::time::Time;

/// Longest token, in bytes.
pub const MAX_TOKEN: usize = 1 << 20;

/// 1.2.840.113549.1.7.2, CMS SignedData.
const SIGNED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.9.16.1.4, the content of a token.
const TST_INFO: &[u8] = &[
    0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x10, 0x01, 0x04,
];
/// 1.2.840.113549.1.9.3 and .4, the attributes that bind the content.
const CONTENT_TYPE: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x04];
/// 1.2.840.113549.1.9.16.2.47, which names the signer's certificate by its hash (RFC 5816).
const SIGNING_CERTIFICATE: &[u8] = &[
    0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x10, 0x02, 0x2F,
];
/// 2.16.840.1.101.3.4.2.2 and .3.
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];

/// What a token says, and the signature over it. Nothing of it is known to be true before an [`Authority`](super::Authority) has verified it.
#[derive(Clone, Debug)]
pub struct Token {
    /// SHA-256 of the file.
    pub(super) imprint: Digest,
    pub(super) time: Time,
    pub(super) latest: Time,
    pub(super) serial: String,
    /// The signed attributes as they are signed: as a SET.
    pub(super) signed: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) hash: Hash,
    /// The object identifier of the signature's algorithm.
    pub(super) algorithm: Vec<u8>,
    /// SHA-256 of the signer's certificate, where the token names it.
    pub(super) signer: Option<Digest>,
}

/// The hash functions that authorities sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    fn of(oid: &[u8]) -> Option<Self> {
        match oid {
            SHA256 => Some(Self::Sha256),
            SHA384 => Some(Self::Sha384),
            SHA512 => Some(Self::Sha512),
            _ => None,
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

fn wrong(fault: &str) -> Error {
    Error::new(
        ErrorKind::Format,
        format!("not a time-stamp token: {fault}"),
    )
}

impl Token {
    /// Reads a token, or the response that brought it, in DER. Content and signed attributes must belong together.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for bytes that are none or whose content was changed, [`ErrorKind::Unsupported`] for other hashes than SHA-256 of the file and SHA-2 of the
    /// signature, [`ErrorKind::Limit`] above 2^20 bytes.
    pub fn from_der(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > MAX_TOKEN {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "a time-stamp token of {} bytes; at most {MAX_TOKEN} are read",
                    bytes.len()
                ),
            ));
        }
        let mut file = Der(bytes);
        let outer = file
            .expect(SEQUENCE)
            .filter(|_| file.is_empty())
            .ok_or_else(|| wrong("it is not one DER sequence"))?;
        let content = content_info(outer)?;
        let mut content = Der(content);
        let signed_data = (|| {
            (content.expect(OID)?.content == SIGNED_DATA).then_some(())?;
            content.enter(context(0))?.enter(SEQUENCE)
        })();
        let mut data = signed_data.ok_or_else(|| wrong("it holds no signed data"))?;
        let parts = (|| {
            data.expect(INTEGER)?;
            data.expect(SET)?;
            let mut content = data.enter(SEQUENCE)?;
            (content.expect(OID)?.content == TST_INFO).then_some(())?;
            let info = content.enter(context(0))?.expect(OCTET_STRING)?.content;
            data.optional(context(0));
            data.optional(context(1));
            let mut signers = data.enter(SET)?;
            let signer = signers.enter(SEQUENCE)?;
            signers.is_empty().then_some((info, signer))
        })();
        let (info, signer) =
            parts.ok_or_else(|| wrong("it holds no time-stamp with one signer"))?;
        let Info {
            imprint,
            time,
            latest,
            serial,
        } = read_info(info)?;
        let signer = read_signer(signer)?;
        if signer.hash.digest(info) != signer.message_digest {
            return Err(wrong("its content is not what its signed attributes hash"));
        }
        Ok(Self {
            imprint,
            time,
            latest,
            serial,
            signed: signer.signed,
            signature: signer.signature,
            hash: signer.hash,
            algorithm: signer.algorithm,
            signer: signer.certificate,
        })
    }

    /// The SHA-256 digest that the token is about.
    #[must_use]
    pub fn imprint(&self) -> &Digest {
        &self.imprint
    }

    /// The time that the token says (`genTime`), cut off at the millisecond: the time at which its signer is judged.
    #[must_use]
    pub fn time(&self) -> Time {
        self.time
    }

    /// The latest time that the token allows: what it says, rounded up, and its accuracy (RFC 3161 §2.4.2). The file existed by then.
    #[must_use]
    pub fn latest(&self) -> Time {
        self.latest
    }

    /// Whether the token names this certificate as its signer's. A token may name none.
    #[must_use]
    pub fn is_signed_by(&self, certificate: &Certificate) -> bool {
        self.signer == Some(certificate.digest())
    }

    /// The token's serial number at its authority, in hex.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }
}

/// A bare token is a sequence that begins with an object identifier; a response has the status first (RFC 3161 §2.4.2).
fn content_info(outer: Value<'_>) -> Result<&[u8]> {
    if outer.content.first() == Some(&OID) {
        return Ok(outer.content);
    }
    let mut response = outer.inside();
    let status = response
        .enter(SEQUENCE)
        .and_then(|mut status| status.expect(INTEGER));
    match status.map(|status| status.content) {
        // Granted, or granted with changes.
        Some([0 | 1]) => response
            .expect(SEQUENCE)
            .filter(|_| response.is_empty())
            .map(|token| token.content)
            .ok_or_else(|| wrong("the response holds no token")),
        Some([status]) => Err(wrong(&format!(
            "the authority refused, status {status} (RFC 3161 §2.4.2)"
        ))),
        _ => Err(wrong("it is neither a token nor a response")),
    }
}

/// What a token says of the file.
struct Info {
    imprint: Digest,
    time: Time,
    latest: Time,
    serial: String,
}

fn read_info(info: &[u8]) -> Result<Info> {
    let mut outer = Der(info);
    let read = (|| {
        let mut info = outer.enter(SEQUENCE)?;
        outer.is_empty().then_some(())?;
        (info.expect(INTEGER)?.content == [1]).then_some(())?;
        info.expect(OID)?;
        let mut imprint = info.enter(SEQUENCE)?;
        let algorithm = imprint.enter(SEQUENCE)?.expect(OID)?.content;
        let hashed = imprint.expect(OCTET_STRING)?.content;
        let serial = info.expect(INTEGER)?.content;
        let time = info.expect(GENERALIZED_TIME)?.content;
        let accuracy = match info.optional(SEQUENCE) {
            Some(accuracy) => accuracy_millis(accuracy.inside())?,
            None => 0,
        };
        Some((algorithm, hashed, serial, time, accuracy))
    })();
    let (algorithm, hashed, serial, time, accuracy) =
        read.ok_or_else(|| wrong("its content is no TSTInfo"))?;
    if algorithm != SHA256 {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a time-stamp over another hash than SHA-256; ask the authority with the request that is made here",
        ));
    }
    let hashed =
        <[u8; 32]>::try_from(hashed).map_err(|_| wrong("its imprint is not of 32 bytes"))?;
    let (time, rest) =
        generalized(time).ok_or_else(|| wrong("its time is not UTC as RFC 3161 writes it"))?;
    let latest = Time::from_unix_millis(
        time.unix_millis()
            .saturating_add(u64::from(rest))
            .saturating_add(accuracy),
    )?;
    Ok(Info {
        imprint: hashed.into(),
        time,
        latest,
        serial: base16ct::lower::encode_string(serial),
    })
}

/// `Accuracy`: seconds, and in `[0]` and `[1]` thousandths and millionths of one, from 1 to 999; in milliseconds, rounded up.
fn accuracy_millis(mut accuracy: Der<'_>) -> Option<u64> {
    let number = |bytes: &[u8]| {
        let positive = matches!(bytes, [first, ..] if *first < 0x80);
        (positive && bytes.len() <= 5).then(|| {
            bytes
                .iter()
                .fold(0, |number: u64, byte| number << 8 | u64::from(*byte))
        })
    };
    let mut part = |tag| {
        accuracy
            .optional(tag)
            .map_or(Some(0), |value| number(value.content))
    };
    let (seconds, millis, micros) = (part(INTEGER)?, part(0x80)?, part(0x81)?);
    (accuracy.is_empty() && millis < 1000 && micros < 1000)
        .then(|| seconds * 1000 + millis + u64::from(micros > 0))
}

/// `YYYYMMDDhhmmss[.f…]Z`: the time, cut off at the millisecond, and whether something was cut off.
fn generalized(bytes: &[u8]) -> Option<(Time, bool)> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() != 14 || fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let part = |from: usize, to: usize| &whole[from..to];
    let time = format!(
        "{}-{}-{}T{}:{}:{}.{:0<3.3}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14),
        fraction
    );
    let rest = fraction
        .get(3..)
        .is_some_and(|rest| rest.bytes().any(|digit| digit != b'0'));
    Some((time.parse().ok()?, rest))
}

struct Signer {
    signed: Vec<u8>,
    message_digest: Vec<u8>,
    certificate: Option<Digest>,
    hash: Hash,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
}

/// `SignerInfo` (RFC 5652 §5.3). Which certificate it names does not matter: the authority's pinned one must verify it.
fn read_signer(mut signer: Der<'_>) -> Result<Signer> {
    let read = (|| {
        signer.expect(INTEGER)?;
        signer.next()?;
        let hash = signer.enter(SEQUENCE)?.expect(OID)?.content;
        let attributes = signer.expect(context(0))?;
        let algorithm = signer.enter(SEQUENCE)?.expect(OID)?.content;
        let signature = signer.expect(OCTET_STRING)?.content;
        Some((hash, attributes, algorithm, signature))
    })();
    let (hash, attributes, algorithm, signature) =
        read.ok_or_else(|| wrong("its signer information is malformed"))?;
    let hash = Hash::of(hash).ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            "a time-stamp signed with another hash than SHA-2",
        )
    })?;
    let (mut message_digest, mut content_type, mut certificate) = (None, None, None);
    let mut list = attributes.inside();
    while !list.is_empty() {
        let attribute = (|| {
            let mut attribute = list.enter(SEQUENCE)?;
            Some((
                attribute.expect(OID)?.content,
                attribute.enter(SET)?.next()?,
            ))
        })();
        let (oid, value) = attribute.ok_or_else(|| wrong("a signed attribute is malformed"))?;
        match oid {
            MESSAGE_DIGEST => message_digest = Some(value.content.to_vec()),
            CONTENT_TYPE => content_type = Some(value.content),
            SIGNING_CERTIFICATE => {
                certificate = Some(certificate_hash(value).ok_or_else(|| {
                    wrong("it names its signer's certificate in no way that is read")
                })?);
            }
            _ => {}
        }
    }
    if content_type != Some(TST_INFO) {
        return Err(wrong("its signed attributes are of another content"));
    }
    // Signed as a SET, whatever tag they have in the message (RFC 5652 §5.4).
    let mut signed = attributes.bytes.to_vec();
    signed[0] = SET;
    Ok(Signer {
        signed,
        message_digest: message_digest
            .ok_or_else(|| wrong("its signed attributes hash no content"))?,
        certificate: certificate.flatten(),
        hash,
        algorithm: algorithm.to_vec(),
        signature: signature.to_vec(),
    })
}

/// The first certificate of `SigningCertificateV2`; `Some(None)` when it is named by another hash than SHA-256, the default.
fn certificate_hash(value: Value<'_>) -> Option<Option<Digest>> {
    let mut first = (value.tag == SEQUENCE)
        .then(|| value.inside())?
        .enter(SEQUENCE)?
        .enter(SEQUENCE)?;
    if let Some(algorithm) = first.optional(SEQUENCE)
        && algorithm.inside().expect(OID)?.content != SHA256
    {
        return Some(None);
    }
    let hash = <[u8; 32]>::try_from(first.expect(OCTET_STRING)?.content).ok()?;
    Some(Some(hash.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_spellings_of_the_rfc() {
        let read =
            |text: &str| generalized(text.as_bytes()).map(|(time, rest)| (time.to_string(), rest));
        for (text, time, rest) in [
            ("20261201093005Z", "2026-12-01T09:30:05.000Z", false),
            ("20261201093005.5Z", "2026-12-01T09:30:05.500Z", false),
            ("20261201093005.5000Z", "2026-12-01T09:30:05.500Z", false),
            ("20261201093005.123456Z", "2026-12-01T09:30:05.123Z", true),
        ] {
            assert_eq!(read(text), Some((time.to_owned(), rest)));
        }
        for bad in [
            "",
            "Z",
            "20261201093005",
            "202612010930Z",
            "20261201093005.Z",
            "20261301093005Z",
            "20261201093005+0100",
            "2026120109300\u{e9}Z",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn accuracy_is_added_and_rounded_up() {
        for (bytes, millis) in [
            (&[][..], Some(0)),
            (&[0x02, 1, 5], Some(5000)),
            (
                &[0x02, 3, 1, 0x51, 0x80, 0x80, 1, 7, 0x81, 1, 1],
                Some(86_400_008),
            ),
            (&[0x80, 2, 3, 0xE7], Some(999)),
            (&[0x80, 2, 3, 0xE8], None),
            (&[0x02, 1, 0xFF], None),
            (&[0x02, 0], None),
            (&[0x04, 1, 5], None),
        ] {
            assert_eq!(accuracy_millis(Der(bytes)), millis, "{bytes:x?}");
        }
    }
}

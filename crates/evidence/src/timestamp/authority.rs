//! Who is believed about time.

use std::fmt;

use base64ct::{Base64, Encoding};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use serde::{Deserialize, Serialize};
use taggant_core::{Error, ErrorKind, Result};
use webpki::ring as algorithms;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::der::{BOOLEAN, Der, OCTET_STRING, OID, SEQUENCE, context, write};
use super::token::{Hash, Token};
use crate::digest::Digest;
use crate::time::Time;

/// id-kp-timeStamping, 1.3.6.1.5.5.7.3.8: the one purpose that a signer's certificate must have (RFC 3161 §2.3).
const TIME_STAMPING: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// 2.5.29.37.
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x25];

/// 1.2.840.113549.1.1.1, where the hash is named beside it.
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
/// 1.2.840.113549.1.1.11, .12, .13: RSA with SHA-256, 384, 512.
const RSA_SHA2: [&[u8]; 3] = [
    &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0B],
    &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0C],
    &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0D],
];
/// 1.2.840.10045.4.3.2 and .3: ECDSA with SHA-256 and SHA-384.
const ECDSA_SHA2: [&[u8]; 2] = [
    &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02],
    &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03],
];

/// A time-stamping authority as one unit: its root, the signer's certificate, those between, and when it is believed. Parts of two
/// authorities cannot be mixed, because none of them is ever looked up alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// What it is called in results.
    pub name: String,
    /// The root's certificate.
    pub root: Certificate,
    /// The signer's certificate.
    pub signer: Certificate,
    /// Certificates between the two.
    #[serde(default)]
    pub between: Vec<Certificate>,
    /// Tokens of an earlier time are not believed.
    pub from: Time,
    /// Tokens of this time or later are not believed.
    pub until: Time,
    /// From when on anyone may have its keys, or its algorithms may be broken: whoever has them can give a token any time, so its tokens count only where it is shown that they
    /// existed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Time>,
}

/// An X.509 certificate in DER, as base64 in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate(Vec<u8>);

impl Certificate {
    /// The SHA-256 of its DER bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }

    fn der(&self) -> CertificateDer<'_> {
        CertificateDer::from(&self.0[..])
    }
}

impl From<Vec<u8>> for Certificate {
    fn from(der: Vec<u8>) -> Self {
        Self(der)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.digest())
    }
}

impl Serialize for Certificate {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&Base64::encode_string(&self.0))
    }
}

impl<'de> Deserialize<'de> for Certificate {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let der = Base64::decode_vec(&text)
            .map_err(|_| serde::de::Error::custom("a certificate is not base64"))?;
        Ok(Self(der))
    }
}

impl Authority {
    /// The public keys of root, signer and those between, by digest. Two entries that share one are the same authority under two names: after a renewal, or a
    /// cross-signature.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for a certificate that is none.
    pub(crate) fn keys(&self) -> Result<Vec<Digest>> {
        let certificates = [&self.root, &self.signer].into_iter().chain(&self.between);
        certificates
            .map(|certificate| {
                let key = body(&certificate.0)
                    .and_then(|mut body| (0..6).map_while(|_| body.next()).nth(5));
                let key = key.filter(|key| key.tag == SEQUENCE).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Format,
                        format!(
                            "authority `{}`: something that is no certificate",
                            self.name
                        ),
                    )
                })?;
                Ok(Digest::of(key.bytes))
            })
            .collect()
    }

    /// Whether a token is this authority's, and over a file with this digest; the time by which it proves the file to have existed.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`], saying which of imprint, signer, signature, time and chain does not hold.
    pub fn verify(&self, token: &Token, file: &Digest) -> Result<Time> {
        let refuse = |fault: String| {
            Err(Error::new(
                ErrorKind::Mismatch,
                format!("authority `{}`: {fault}", self.name),
            ))
        };
        if token.imprint != *file {
            return refuse(format!(
                "the token is over {} and the file is {file}",
                token.imprint
            ));
        }
        if token
            .signer
            .is_some_and(|signer| signer != self.signer.digest())
        {
            return refuse("the token names another signer's certificate".to_owned());
        }
        let der = self.signer.der();
        let signer = match EndEntityCert::try_from(&der) {
            Ok(signer) => signer,
            Err(error) => {
                return refuse(format!(
                    "the pinned signer's certificate is not one: {error}"
                ));
            }
        };
        let signed = candidates(&token.algorithm, token.hash)
            .iter()
            .any(|algorithm| {
                signer
                    .verify_signature(*algorithm, &token.signed, &token.signature)
                    .is_ok()
            });
        if !signed {
            return refuse("the token's signature is not the pinned signer's".to_owned());
        }
        if !(self.from..self.until).contains(&token.time) {
            return refuse(format!(
                "the token says {}, and is believed from {} until {}",
                token.time, self.from, self.until
            ));
        }
        let root = self.root.der();
        let anchors = match anchor_from_trusted_cert(&root) {
            Ok(anchor) => [anchor],
            Err(error) => return refuse(format!("the root's certificate is not one: {error}")),
        };
        let between: Vec<CertificateDer<'_>> = self.between.iter().map(Certificate::der).collect();
        if !stamps_only(&self.signer.0) {
            return refuse(
                "the signer's certificate is not one for time-stamping alone (RFC 3161 §2.3)"
                    .to_owned(),
            );
        }
        // At the token's own time: what has run out since held then.
        let time =
            UnixTime::since_unix_epoch(std::time::Duration::from_millis(token.time.unix_millis()));
        let chain = signer.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &between,
            time,
            KeyUsage::required_if_present(TIME_STAMPING),
            None,
            None,
        );
        match chain {
            Ok(_) => Ok(token.latest),
            Err(error) => refuse(format!(
                "at {} the signer's certificate did not lead to the root: {error}",
                token.time
            )),
        }
    }
}

/// The fields of a certificate's body after its version: serial number, algorithm, issuer, validity, subject, key, and extensions.
fn body(certificate: &[u8]) -> Option<Der<'_>> {
    let mut body = Der(certificate).enter(SEQUENCE)?.enter(SEQUENCE)?;
    body.optional(context(0));
    Some(body)
}

/// Whether a certificate's one purpose is time-stamping, and critical. Those above it may leave their purposes open, so the path is not asked for this.
fn stamps_only(certificate: &[u8]) -> bool {
    let purposes = || {
        let mut body = body(certificate)?;
        let mut extensions = loop {
            let field = body.next()?;
            if field.tag == context(3) {
                break field.inside().enter(SEQUENCE)?;
            }
        };
        loop {
            let mut extension = extensions.enter(SEQUENCE)?;
            if extension.expect(OID)?.content == EXTENDED_KEY_USAGE {
                let critical = extension.optional(BOOLEAN)?.content == [0xFF];
                return Some((critical, extension.expect(OCTET_STRING)?.content));
            }
        }
    };
    purposes() == Some((true, &write(SEQUENCE, &write(OID, TIME_STAMPING))[..]))
}

/// Algorithms that an object identifier may stand for; the signer's key decides which.
fn candidates(oid: &[u8], hash: Hash) -> Vec<&'static dyn SignatureVerificationAlgorithm> {
    let rsa = |hash| -> &'static dyn SignatureVerificationAlgorithm {
        match hash {
            Hash::Sha256 => algorithms::RSA_PKCS1_2048_8192_SHA256,
            Hash::Sha384 => algorithms::RSA_PKCS1_2048_8192_SHA384,
            Hash::Sha512 => algorithms::RSA_PKCS1_2048_8192_SHA512,
        }
    };
    let [rsa256, rsa384, rsa512] = RSA_SHA2;
    let [ecdsa256, ecdsa384] = ECDSA_SHA2;
    match oid {
        _ if oid == RSA => vec![rsa(hash)],
        _ if oid == rsa256 => vec![rsa(Hash::Sha256)],
        _ if oid == rsa384 => vec![rsa(Hash::Sha384)],
        _ if oid == rsa512 => vec![rsa(Hash::Sha512)],
        _ if oid == ecdsa256 => vec![algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256],
        _ if oid == ecdsa384 => vec![algorithms::ECDSA_P256_SHA384, algorithms::ECDSA_P384_SHA384],
        _ => Vec::new(),
    }
}

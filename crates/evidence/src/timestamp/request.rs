//! What to ask an authority.

use super::der::{INTEGER, OCTET_STRING, OID, SEQUENCE, write};
use crate::digest::Digest;

/// 2.16.840.1.101.3.4.2.1.
pub(super) const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

/// A request (RFC 3161 §2.4.1) for a token over a file with this SHA-256 digest, with the authority's certificates in it: the bytes that an authority takes as
/// `application/timestamp-query`, the same as `openssl ts -query -sha256 -cert -no_nonce` makes. A nonce would only tie the answer to a
/// connection; what the token proves does not depend on it.
///
/// ```
/// let query = taggant_evidence::timestamp::request(&[7; 32].into());
/// assert_eq!(query.len(), 59);
/// ```
#[must_use]
pub fn request(file: &Digest) -> Vec<u8> {
    let algorithm = write(SEQUENCE, &[write(OID, SHA256), vec![0x05, 0x00]].concat());
    let imprint = write(
        SEQUENCE,
        &[algorithm, write(OCTET_STRING, file.bytes())].concat(),
    );
    let version = write(INTEGER, &[1]);
    let certificates = vec![0x01, 0x01, 0xFF];
    write(SEQUENCE, &[version, imprint, certificates].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl ts -query -digest 0707…07 -sha256 -cert -no_nonce`, OpenSSL 3.0.19.
    #[test]
    fn a_request_is_the_one_that_openssl_makes() {
        let theirs = "30390201013031300d06096086480165030402010500042007070707070707070707070707070707070707070707070707070707070707070101ff";
        assert_eq!(
            base16ct::lower::encode_string(&request(&[7; 32].into())),
            theirs
        );
    }
}

//! The key tree (SPEC.md §2): one root, and a leaf key for each path under it.
//!
//! The only file that touches key bytes. Keys have no `Debug` output, compare in constant time and are
//! wiped when dropped.

use std::fmt;
use std::str::FromStr;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::domain;
use crate::error::{Error, ErrorKind, Result};

/// Which world a key belongs to. Forensic keys stay with the provider until a case; public keys sit in
/// detectors anyone may query, and such a detector is an oracle. A root belongs to one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// Keys whose marks are evidence.
    Forensic,
    /// Keys of detectors offered to the world.
    Public,
}

impl Family {
    /// The family's name in derivations and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Forensic => "forensic",
            Self::Public => "public",
        }
    }
}

impl FromStr for Family {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "forensic" => Ok(Self::Forensic),
            "public" => Ok(Self::Public),
            _ => Err(Error::new(
                ErrorKind::Key,
                format!(
                    "key family `{}` is neither forensic nor public",
                    text.escape_debug()
                ),
            )),
        }
    }
}

/// What a leaf key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// Marks for a cohort of accounts; what makes distillation detectable.
    Campaign,
    /// Marks for one account.
    Account,
    /// Chooses which sealed twin is served.
    Twin,
    /// Chooses among equally good answers.
    Canary,
    /// Turns account ids into pseudonyms.
    Pseudonym,
    /// Committed and never issued: the controls a finding is ranked among.
    Control,
    /// Committed and never used: hides how many leaves are real.
    Decoy,
}

impl Role {
    const ALL: [Self; 7] = [
        Self::Campaign,
        Self::Account,
        Self::Twin,
        Self::Canary,
        Self::Pseudonym,
        Self::Control,
        Self::Decoy,
    ];

    /// The role's label in a path.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Campaign => "campaign",
            Self::Account => "account",
            Self::Twin => "twin",
            Self::Canary => "canary",
            Self::Pseudonym => "pseudonym",
            Self::Control => "control",
            Self::Decoy => "decoy",
        }
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::name).join(", ");
                Error::new(
                    ErrorKind::Path,
                    format!("role `{}` is none of {known}", text.escape_debug()),
                )
            })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Longest label of a path, in bytes.
pub const MAX_LABEL: usize = 64;

/// Where a leaf hangs in the tree: `epoch/role/id`, such as `2026-12/campaign/east`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    epoch: String,
    role: Role,
    id: String,
}

impl Path {
    /// A path from its labels.
    ///
    /// # Errors
    /// [`ErrorKind::Path`] when a label is not 1 to 64 of `A–Z a–z 0–9 . _ -` starting with a letter or digit.
    pub fn new(epoch: &str, role: Role, id: &str) -> Result<Self> {
        for label in [epoch, id] {
            check_label(label)?;
        }
        Ok(Self {
            epoch: epoch.to_owned(),
            role,
            id: id.to_owned(),
        })
    }

    /// The epoch's label.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// What the leaf is for.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The leaf's own label.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Longest account or exchange id, in bytes.
pub const MAX_ID: usize = 1024;

/// Checks the id of an account or an exchange; `what` says which in errors. The id itself is not quoted: it may name a person.
///
/// # Errors
/// [`ErrorKind::Parameter`] unless it has 1 to 1,024 bytes.
pub fn check_id(what: &str, id: &str) -> Result<()> {
    if (1..=MAX_ID).contains(&id.len()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Parameter,
        format!(
            "{what} id has {} bytes; 1 to {MAX_ID} are allowed",
            id.len()
        ),
    ))
}

/// Checks one label of a path.
///
/// # Errors
/// [`ErrorKind::Path`], naming the label and the rule it breaks.
pub fn check_label(label: &str) -> Result<()> {
    let shown = label.escape_debug();
    if label.is_empty() || label.len() > MAX_LABEL {
        let length = label.len();
        let shown: String = shown.take(MAX_LABEL).collect();
        return Err(Error::new(
            ErrorKind::Path,
            format!("label `{shown}` has {length} bytes; 1 to {MAX_LABEL} are allowed"),
        ));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !label.bytes().all(allowed) || !label.as_bytes()[0].is_ascii_alphanumeric() {
        return Err(Error::new(
            ErrorKind::Path,
            format!(
                "label `{shown}` must start with a letter or digit and hold only A-Z a-z 0-9 . _ -"
            ),
        ));
    }
    Ok(())
}

impl FromStr for Path {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let labels: Vec<&str> = text.split('/').collect();
        let [epoch, role, id] = labels[..] else {
            return Err(Error::new(
                ErrorKind::Path,
                format!(
                    "key path `{}` has {} labels; 3 are needed: epoch/role/id",
                    text.escape_debug(),
                    labels.len()
                ),
            ));
        };
        Self::new(epoch, role.parse()?, id)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.epoch, self.role, self.id)
    }
}

/// 32 secret bytes.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// `Expand(self, parts, N)`: RFC 5869's expand step over the concatenated parts.
    pub(crate) fn expand<const N: usize>(&self, parts: &[&[u8]]) -> Zeroizing<[u8; N]> {
        let mut out = Zeroizing::new([0; N]);
        #[expect(
            clippy::expect_used,
            reason = "32 bytes are a valid PRK and N is at most 32, far below 255 blocks"
        )]
        Hkdf::<Sha256>::from_prk(&*self.0)
            .expect("a 32-byte PRK")
            .expand_multi_info(parts, &mut *out)
            .expect("a short output");
        out
    }

    fn hmac(&self, parts: &[&[u8]]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("a key of any length");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn child(&self, label: &str) -> Self {
        Self(self.expand(&[domain::NODE, &length(label), label.as_bytes()]))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl Eq for Secret {}

/// `u16be(len)` of a checked label, path or scheme id, all far shorter than 2^16.
fn length(text: &str) -> [u8; 2] {
    u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes()
}

/// The root of a key tree. Whoever holds it can derive every key, so it stays offline.
///
/// ```
/// use taggant_core::RootKey;
///
/// let root = RootKey::from_bytes([7; 32]); // in earnest: 32 random bytes
/// let east = root.derive(&"2026-12/campaign/east".parse()?);
/// assert_eq!(east.path().to_string(), "2026-12/campaign/east");
/// assert_ne!(east, root.derive(&"2026-12/campaign/west".parse()?));
/// # Ok::<(), taggant_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RootKey {
    family: Family,
    secret: Secret,
}

impl RootKey {
    /// A forensic root from 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self::in_family(Family::Forensic, bytes)
    }

    /// A root of `family` from 32 random bytes.
    #[must_use]
    pub fn in_family(family: Family, bytes: [u8; 32]) -> Self {
        Self {
            family,
            secret: Secret::new(bytes),
        }
    }

    /// The family of every key under this root.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The leaf at `path` (SPEC.md §2.1).
    #[must_use]
    pub fn derive(&self, path: &Path) -> LeafKey {
        let (prk, _) = Hkdf::<Sha256>::extract(Some(domain::EXTRACT_SALT), &*self.secret.0);
        let prk = Secret::new(prk.into());
        let branch = |label: &str| {
            prk.child(label)
                .child(self.family.name())
                .child(&path.epoch)
                .child(path.role.name())
                .child(&path.id)
        };
        LeafKey {
            family: self.family,
            path: path.clone(),
            salt: *branch("salt").0,
            secret: branch("key"),
        }
    }

    #[cfg(feature = "json")]
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.secret.0
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKey")
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}

/// One key of the tree, with the path and salt that its commitment binds.
#[derive(Clone, PartialEq, Eq)]
pub struct LeafKey {
    family: Family,
    path: Path,
    salt: [u8; 32],
    secret: Secret,
}

impl LeafKey {
    #[cfg(feature = "json")]
    pub(crate) fn from_parts(family: Family, path: Path, salt: [u8; 32], key: [u8; 32]) -> Self {
        Self {
            family,
            path,
            salt,
            secret: Secret::new(key),
        }
    }

    #[cfg(feature = "json")]
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.secret.0
    }

    #[cfg(feature = "json")]
    pub(crate) fn salt(&self) -> &[u8; 32] {
        &self.salt
    }

    /// The family the key belongs to.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Where the key hangs in its tree.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `SHA-256("taggant/v1/commit" ‖ u16be(len path) ‖ path ‖ salt ‖ key)` (SPEC.md §2.2). Says nothing about the key.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        let path = format!("{}/{}", self.family.name(), self.path);
        Sha256::new()
            .chain_update(domain::COMMIT)
            .chain_update(length(&path))
            .chain_update(path.as_bytes())
            .chain_update(self.salt)
            .chain_update(*self.secret.0)
            .finalize()
            .into()
    }

    /// `Expand(key, parts, N)`.
    pub(crate) fn expand<const N: usize>(&self, parts: &[&[u8]]) -> Zeroizing<[u8; N]> {
        self.secret.expand(parts)
    }

    /// Eight bytes for another system's mark (SPEC.md §2.6): `format` is the mark's, `number` tells its keys apart where it has several.
    /// They tell nothing about this key, so an engine that is broken into, or a mark whose key can be recovered from text, costs this mark
    /// alone.
    ///
    /// # Errors
    /// [`ErrorKind::Path`] for a format that is no label.
    pub fn engine_key(&self, format: &str, number: u8) -> Result<Zeroizing<[u8; 8]>> {
        check_label(format)?;
        Ok(self.expand(&[
            domain::ENGINE,
            &length(format),
            format.as_bytes(),
            &[number],
        ]))
    }

    /// What stands for an account in everything that leaves its custodian (SPEC.md §2.5): 32 bytes that tell nothing about the id to
    /// whoever lacks this key.
    ///
    /// ```
    /// use taggant_core::RootKey;
    ///
    /// let key = RootKey::from_bytes([7; 32]).derive(&"2026-12/pseudonym/accounts".parse()?);
    /// assert_ne!(key.pseudonym("alice")?, key.pseudonym("bob")?);
    /// # Ok::<(), taggant_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Key`] unless this is a pseudonym key, [`ErrorKind::Parameter`] for an id that is empty or longer than 1,024 bytes.
    pub fn pseudonym(&self, account: &str) -> Result<[u8; 32]> {
        self.check_pseudonym_role()?;
        check_id("account", account)?;
        Ok(self.secret.hmac(&[domain::PSEUDONYM, account.as_bytes()]))
    }

    /// The salt of one field of one exchange (SPEC.md §2.5): made again when the field is disclosed, stored nowhere.
    ///
    /// # Errors
    /// As [`pseudonym`](Self::pseudonym), and [`ErrorKind::Path`] for a field that is no label.
    pub fn field_salt(&self, exchange: &str, field: &str) -> Result<[u8; 32]> {
        self.check_pseudonym_role()?;
        check_id("exchange", exchange)?;
        check_label(field)?;
        Ok(self.secret.hmac(&[
            domain::FIELD_SALT,
            &length(field),
            field.as_bytes(),
            exchange.as_bytes(),
        ]))
    }

    fn check_pseudonym_role(&self) -> Result<()> {
        if self.path.role == Role::Pseudonym {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Key,
            format!(
                "key {} cannot make pseudonyms; one at epoch/pseudonym/id can",
                self.path
            ),
        ))
    }

    /// The AES key of the keyed function for `scheme`, `window` and `layer` (SPEC.md §2.4).
    pub(crate) fn prf_key(&self, scheme: &str, window: u8, layer: Role) -> Zeroizing<[u8; 16]> {
        self.secret.expand(&[
            domain::PRF,
            &length(scheme),
            scheme.as_bytes(),
            &[window],
            &length(layer.name()),
            layer.name().as_bytes(),
        ])
    }

    /// `Expand(key, message, 8)`: what a twin leaf chooses with (SPEC.md §10.1).
    pub(crate) fn choice(&self, message: &[&[u8]]) -> [u8; 8] {
        *self.secret.expand(message)
    }

    /// `Expand(salt, message, 32)`: a salt that tells nothing of the leaf's or of others (SPEC.md §10.2).
    pub(crate) fn salt_for(&self, message: &[&[u8]]) -> [u8; 32] {
        *Secret::new(self.salt).expand(message)
    }
}

impl fmt::Debug for LeafKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeafKey")
            .field("family", &self.family)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> RootKey {
        RootKey::from_bytes([7; 32])
    }

    #[test]
    fn every_part_of_the_path_and_the_family_change_the_key_and_its_commitment() {
        let base: Path = "2026-12/campaign/east".parse().unwrap();
        let leaf = root().derive(&base);
        for other in [
            "2026-11/campaign/east",
            "2026-12/account/east",
            "2026-12/campaign/eas",
        ] {
            let other = root().derive(&other.parse().unwrap());
            assert!(leaf.secret != other.secret && leaf.salt != other.salt);
            assert_ne!(leaf.commitment(), other.commitment());
        }
        let public = RootKey::in_family(Family::Public, [7; 32]).derive(&base);
        assert!(leaf.secret != public.secret);
    }

    #[test]
    fn a_prf_key_serves_one_scheme_window_and_layer() {
        let leaf = root().derive(&"e/campaign/x".parse().unwrap());
        let base = leaf.prf_key("gumbel/1", 2, Role::Campaign);
        for other in [
            leaf.prf_key("gumbel/2", 2, Role::Campaign),
            leaf.prf_key("gumbel/1", 3, Role::Campaign),
            leaf.prf_key("gumbel/1", 2, Role::Account),
        ] {
            assert_ne!(*base, *other);
        }
    }

    #[test]
    fn pseudonyms_and_salts_are_hmacs_of_a_pseudonym_key() {
        let leaf = root().derive(&"2026-12/pseudonym/accounts".parse().unwrap());
        let hmac = |message: &[u8]| -> [u8; 32] {
            let mut mac = Hmac::<Sha256>::new_from_slice(&*leaf.secret.0).unwrap();
            mac.update(message);
            mac.finalize().into_bytes().into()
        };
        assert_eq!(
            leaf.pseudonym("alice").unwrap(),
            hmac(b"taggant/v1/pseudonymalice")
        );
        assert_eq!(
            leaf.field_salt("q1", "prompt").unwrap(),
            hmac(b"taggant/v1/salt\0\x06promptq1")
        );
        assert!(leaf.pseudonym("").is_err() && leaf.pseudonym(&"x".repeat(MAX_ID)).is_ok());
        let long = "x".repeat(MAX_ID + 1);
        let error = leaf.pseudonym(&long).unwrap_err().to_string();
        assert!(error.contains("1025 bytes") && !error.contains(&long));
        let other = root().derive(&"2026-12/account/a".parse().unwrap());
        assert_eq!(other.pseudonym("alice").unwrap_err().kind(), ErrorKind::Key);
    }

    #[test]
    fn paths_outside_the_grammar_are_refused_by_name() {
        let long = "x".repeat(65);
        for (text, part) in [
            ("", "1 labels"),
            ("a/campaign", "2 labels"),
            ("a/campaign/b/c", "4 labels"),
            ("a/captain/b", "role `captain`"),
            ("a/campaign/", "0 bytes"),
            ("a/campaign/../x", "4 labels"),
            ("a/campaign/..", "must start with"),
            ("a/campaign/é", "must start with"),
            ("a/campaign/b\n", "must start with"),
            (&format!("a/campaign/{long}"), "65 bytes"),
        ] {
            let error = text.parse::<Path>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Path, "{text}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let leaf = RootKey::from_bytes([0xAB; 32]).derive(&"e/account/a".parse().unwrap());
        let text = format!("{leaf:?} {:?}", RootKey::from_bytes([0xAB; 32]));
        let hex = base16ct::lower::encode_string(&*leaf.secret.0);
        assert!(
            !text.contains(&hex[..8])
                && !text.contains("171")
                && !text.to_lowercase().contains("abab")
        );
    }
}

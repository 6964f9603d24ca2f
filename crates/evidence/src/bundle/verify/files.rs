//! The files: that they are those which were signed, and when they existed.

use std::collections::BTreeSet;

use super::super::folder::{Folder, Proofs, is_seal};
use super::super::{Contents, MANIFEST, MAX_BYTES, SUMS, sums};
use super::{Found, told};
use crate::anchors::Anchors;
use crate::dsse::Envelope;
use crate::signing::PublicKey;
use crate::statement::{Predicate, Subject, stated};
use crate::time::Time;
use crate::tlog::Proof;
use crate::trust::{SignerRole, Trust};

/// The manifest, signed by an examiner and a collector of the trust file.
pub(super) fn manifest(folder: &Folder, trust: &Trust) -> Found<(Vec<Subject>, Contents)> {
    let roles = [SignerRole::Examiner, SignerRole::Collector].map(|role| (role, trust.keys(role)));
    let (subjects, contents, who) = signed_by::<Contents>(folder, MANIFEST, &roles)?;
    let sums_found = folder.text(SUMS).map_err(told)?;
    if sums_found != sums(&subjects) {
        return Err(format!("{SUMS}: not the list of {MANIFEST}"));
    }
    Ok(((subjects, contents), who))
}

/// A statement that one of the keys of each role signed, and nobody else; spelled as envelopes are, so that nothing in it is outside what is signed.
pub(super) fn signed_by<P: Predicate>(
    folder: &Folder,
    name: &str,
    roles: &[(SignerRole, Vec<PublicKey>)],
) -> Result<(Vec<Subject>, P, String), String> {
    let bytes = folder.read(name, MAX_BYTES).map_err(told)?;
    let envelope = Envelope::from_json(&bytes).map_err(|error| format!("{name}: {error}"))?;
    if envelope.to_json().as_bytes() != bytes {
        return Err(format!("{name}: spelled in another way than envelopes are"));
    }
    let (mut found, mut who, mut all) = (None, Vec::new(), Vec::new());
    for (role, keys) in roles {
        let role = role.name();
        found = Some(
            stated::<P>(&envelope, keys, 1)
                .map_err(|error| format!("{name}: no signature of a trusted {role}: {error}"))?,
        );
        let signers = envelope.signers(keys);
        who.extend(signers.iter().map(|key| format!("{} ({role})", key.name())));
        all.extend(keys.iter().cloned());
    }
    let (subjects, predicate) = found.ok_or_else(|| format!("{name}: nobody is asked for"))?;
    if envelope.signers(&all).len() != envelope.signatures().count()
        || !envelope.is_signed_by_none_but(&all)
    {
        return Err(format!(
            "{name}: a signature that is nobody's who is asked for, or under another key's id"
        ));
    }
    Ok((
        subjects,
        predicate,
        format!("{name}: signed by {}", who.join(", ")),
    ))
}

/// Every file is listed and as listed, and every listed file is there.
pub(super) fn listed(folder: &Folder, subjects: &[Subject]) -> Found<()> {
    let mut known = BTreeSet::new();
    for subject in subjects {
        if !known.insert(subject.name.as_str()) {
            return Err(format!("{}: it is listed twice", subject.name));
        }
        if !folder.has(&subject.name) {
            return Err(format!("{}: it is listed and not there", subject.name));
        }
    }
    if let Some(empty) = folder.empty() {
        return Err(format!("{empty}: a folder without files"));
    }
    if let Some(extra) = folder.listed().find(|name| !known.contains(name)) {
        return Err(format!("{extra}: it is there and not listed"));
    }
    for subject in subjects {
        let found = folder.digest(&subject.name).map_err(told)?;
        if found != subject.digest.sha256 {
            return Err(format!(
                "{}: SHA-256 {found}, listed as {}",
                subject.name, subject.digest.sha256
            ));
        }
    }
    Ok(((), format!("{} files", subjects.len())))
}

/// What closes the bundle: two authorities and a log vouch for the manifest, and every stamp over one of its stamps holds.
pub(super) fn sealed(folder: &Folder, trust: &Trust) -> Found<Anchors> {
    let stamped: BTreeSet<&str> = folder
        .names()
        .filter(|name| is_seal(name))
        .filter_map(|name| name.strip_suffix(".tsr")?.rsplit_once('.'))
        .map(|(file, _)| file)
        .filter(|file| *file != MANIFEST)
        .collect();
    for file in stamped {
        if !folder.has(file) {
            return Err(format!(
                "{file}: it is not there, and there is a stamp over it"
            ));
        }
        anchored_in_part(folder, trust, file)?;
    }
    anchored(folder, trust, MANIFEST)
}

/// Two authorities and a log vouch for a file.
pub(super) fn anchored(folder: &Folder, trust: &Trust, name: &str) -> Found<Anchors> {
    let anchors = anchored_in_part(folder, trust, name)?;
    match (anchors.time(), anchors.missing().as_slice()) {
        (Some(time), []) => Ok((anchors, format!("{name}: existed by {time}"))),
        (_, missing) => Err(format!("{name}: it lacks {}", missing.join(" and "))),
    }
}

/// Whoever vouches for a file, which may be nobody; what is there must hold.
pub(super) fn anchored_in_part(
    folder: &Folder,
    trust: &Trust,
    name: &str,
) -> Result<Anchors, String> {
    let Proofs { tokens, log } = folder.proofs(name).map_err(told)?;
    let proof = match log {
        Some(text) => Some(
            text.parse::<Proof>()
                .map_err(|error| format!("{name}.tlog-proof: {error}"))?,
        ),
        None => None,
    };
    let tokens: Vec<(&str, &[u8])> = tokens
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let digest = folder.digest(name).map_err(told)?;
    let mut anchors = trust
        .anchors(&digest, &tokens, proof.as_ref())
        .map_err(|error| format!("{name}: {error}"))?;
    for stamp in &mut anchors.stamps {
        if let Some(broken) = stamp.broken {
            stamp.counts = existed_by(folder, trust, &stamp.token)?.is_some_and(|by| by < broken);
        }
    }
    Ok(anchors)
}

/// By when a token existed (V-6): stamps over it say so, or over the manifest that lists it.
fn existed_by(folder: &Folder, trust: &Trust, token: &str) -> Result<Option<Time>, String> {
    let own = anchored_in_part(folder, trust, token)?.time();
    let listed = match is_seal(token) || !folder.has(MANIFEST) {
        true => None,
        false => anchored_in_part(folder, trust, MANIFEST)?.time(),
    };
    Ok(own.into_iter().chain(listed).min())
}

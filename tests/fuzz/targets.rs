//! The parsers that meet files of strangers. Each takes any bytes, and must neither panic nor run away.

use std::io::Cursor;

use taggant_core::{Epoch, LeafKey, Record, Reveal, RootKey};
use taggant_evidence::bundle::{Accounts, Contents, Named, Register};
use taggant_evidence::dsse::Envelope;
use taggant_evidence::note::{Checkpoint, Note};
use taggant_evidence::plan::Plan;
use taggant_evidence::timestamp::Token;
use taggant_evidence::tlog::{Entries, Policy, Proof};
use taggant_evidence::transcript::{self, answer_text, read_openings};
use taggant_evidence::{Decimal, Digest, PublicKey, SealedPlan, SigningKey, Time, Trust, issuance};

/// A parser by name; it says whether it took the bytes.
pub(crate) type Target = (&'static str, fn(&[u8]) -> bool);

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    ("entries", |bytes| {
        text(bytes, |text| text.parse::<Entries>().is_ok())
    }),
    ("envelope", |bytes| Envelope::from_json(bytes).is_ok()),
    ("epoch", |bytes| {
        text(bytes, |text| Epoch::from_json(text).is_ok())
    }),
    ("issuance", |bytes| {
        let mut lines = 0;
        let outcome = issuance::verify(Cursor::new(bytes), |_, _| lines += 1);
        outcome.is_ok_and(|outcome| outcome.fault.is_none() && outcome.summary.lines == lines)
    }),
    ("leaf-key", |bytes| {
        text(bytes, |text| LeafKey::from_json(text).is_ok())
    }),
    ("note", |bytes| {
        text(bytes, |text| {
            text.parse::<Note>()
                .is_ok_and(|note| note.text().parse::<Checkpoint>().is_ok())
        })
    }),
    ("openings", |bytes| {
        let mut good = true;
        for opening in read_openings(Cursor::new(bytes)) {
            match opening {
                Ok(opening) => good &= opening.shown().is_ok(),
                Err(_) => return false,
            }
        }
        good
    }),
    ("answer", |bytes| answer_text(bytes).is_some()),
    ("plan", |bytes| {
        text(bytes, |text| Plan::from_json(text).is_ok())
    }),
    ("policy", |bytes| {
        text(bytes, |text| text.parse::<Policy>().is_ok())
    }),
    ("public-key", |bytes| {
        text(bytes, |text| text.parse::<PublicKey>().is_ok())
    }),
    ("record", |bytes| {
        text(bytes, |text| Record::from_json(text).is_ok())
    }),
    ("reveal", |bytes| {
        text(bytes, |text| Reveal::from_json(text).is_ok())
    }),
    ("root-key", |bytes| {
        text(bytes, |text| RootKey::from_json(text).is_ok())
    }),
    ("sealed-plan", |bytes| {
        SealedPlan::from_json(bytes, &[signer().public()]).is_ok()
    }),
    ("signing-key", |bytes| {
        text(bytes, |text| SigningKey::from_json(text).is_ok())
    }),
    ("small", |bytes| {
        text(bytes, |text| {
            text.parse::<Decimal>().is_ok()
                | text.parse::<Digest>().is_ok()
                | text.parse::<Time>().is_ok()
        })
    }),
    ("statements", |bytes| {
        serde_json::from_slice::<Register>(bytes).is_ok()
            | serde_json::from_slice::<Accounts>(bytes).is_ok()
            | serde_json::from_slice::<Named>(bytes).is_ok()
            | serde_json::from_slice::<Contents>(bytes).is_ok()
    }),
    ("tlog-proof", |bytes| {
        text(bytes, |text| text.parse::<Proof>().is_ok())
    }),
    ("token", |bytes| Token::from_der(bytes).is_ok()),
    ("transcript", |bytes| {
        let outcome = transcript::Verifier::new().verify(Cursor::new(bytes), |_, _| ());
        outcome.is_ok_and(|outcome| outcome.fault.is_none())
    }),
    ("trust", |bytes| {
        text(bytes, |text| Trust::from_json(text).is_ok())
    }),
];

/// Whoever signed what the corpus holds.
pub(crate) fn signer() -> SigningKey {
    SigningKey::from_seed("examiner.example/ann", [9; 32]).unwrap()
}

fn text(bytes: &[u8], parse: impl Fn(&str) -> bool) -> bool {
    std::str::from_utf8(bytes).is_ok_and(parse)
}

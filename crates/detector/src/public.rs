//! A detector that anyone may ask.
//!
//! Whoever can ask a detector often enough learns what its key marks. A key on which evidence rests must therefore never come near
//! such a detector: a [`PublicDetector`] takes keys of the public family, and no others can be given to it.
//!
//! ```
//! use taggant_core::schemes::Parameters;
//! use taggant_core::{ErrorKind, Family, Record, RootKey, TokenizerId};
//! use taggant_detector::public::{PublicDetector, PublicLeaf};
//! use taggant_detector::{Response, Verdict};
//!
//! let path = "2026-12/campaign/web".parse()?;
//! let key = RootKey::in_family(Family::Public, [7; 32]).derive(&path);
//! let record = Record::new(Parameters::new("gumbel", &[])?, 2, &[&key], TokenizerId::new([0; 32], 50_000)?)?;
//! let mut detector = PublicDetector::new(&record, &[&PublicLeaf::try_from(key)?])?;
//! assert_eq!(detector.row(&Response::ids(&[1, 2, 3, 4]))?.units, 2);
//!
//! // A forensic key is refused as soon as it is offered.
//! let forensic = RootKey::from_bytes([7; 32]).derive(&path);
//! assert_eq!(PublicLeaf::try_from(forensic).unwrap_err().kind(), ErrorKind::Mismatch);
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! And a key that was not looked at does not compile:
//!
//! ```compile_fail,E0308
//! use taggant_core::{LeafKey, Record};
//! use taggant_detector::public::PublicDetector;
//!
//! fn oracle(record: &Record, key: &LeafKey) {
//!     let _ = PublicDetector::new(record, &[key]);
//! }
//! ```

use taggant_core::{Error, ErrorKind, Family, LeafKey, Record, Result};

use crate::{Detector, Report, Response};

/// A key of the public family.
#[derive(Clone, Debug)]
pub struct PublicLeaf(LeafKey);

impl TryFrom<LeafKey> for PublicLeaf {
    type Error = Error;

    /// # Errors
    /// [`ErrorKind::Mismatch`] for a forensic key, naming its path.
    fn try_from(key: LeafKey) -> Result<Self> {
        if key.family() == Family::Public {
            return Ok(Self(key));
        }
        Err(Error::new(
            ErrorKind::Mismatch,
            format!(
                "`{}` is a forensic key; a detector that anyone may ask takes keys of a public root",
                key.path()
            ),
        ))
    }
}

/// [`Detector`] for keys of the public family.
#[derive(Debug)]
pub struct PublicDetector(Detector);

impl PublicDetector {
    /// A detector for the mark that `record` describes, under its keys.
    ///
    /// # Errors
    /// As [`Detector::new`].
    pub fn new(record: &Record, keys: &[&PublicLeaf]) -> Result<Self> {
        let keys: Vec<&LeafKey> = keys.iter().map(|key| &key.0).collect();
        Detector::new(record, &keys).map(Self)
    }

    /// The result of one response.
    ///
    /// # Errors
    /// As [`Detector::row`].
    pub fn row(&mut self, response: &Response<'_>) -> Result<Report> {
        self.0.row(response)
    }

    /// The result of all responses together.
    pub fn pooled(&self) -> Report {
        self.0.pooled()
    }
}

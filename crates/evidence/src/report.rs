//! A report: what was found, how surely, and what it does not show (requirements D-1 … D-7).
//!
//! `report.json` is the only source. A [`Report`] is filled from what was verified; [`Report::to_html`] renders one page out of it that needs nothing else: no
//! script, no font, no image. Every number in a table carries the place in `report.json` that it was taken from, and nothing depends on a clock or on how a float prints.
//!
//! # Which word may be used for what
//!
//! Two error rates stand side by side (S-4): that of the primary test, which holds because the key was random, and an upper 95 % limit of the rate at which the
//! whole procedure ends in support where nothing is to be found. Both are probabilities of a finding *if there is nothing to find*, so their word says just that:
//! "rare", "very rare", on a scale of [error rates](RATES), taken from the larger of the two. They are never turned into a likelihood ratio (S-9): that also needs the
//! probability of the finding if there *is* something, which an error rate knows nothing about.
//!
//! An e-value is different. Where the plan fixed an alternative, the e-value of the primary test is the ratio of the findings' probability under that alternative
//! to the one under an independent key. It alone is put on the [scale of ratios](RATIOS) and into the sentence "about X times more probable". It says nothing about errors
//! of the procedure, so X is held at one over the procedure's limit: a laboratory that errs in up to 0.3 % of cases cannot show a ratio above 330 with any one result,
//! however small the chance of coincidence (Thompson, Taroni and Aitken 2003 make the argument for DNA). Nothing beyond the floor is put into words at all.
//!
//! # What cannot be rendered
//!
//! A conclusion that skips a link of the claim (D-5), an exploratory result on page one (P-5: page one reads the primary test and nothing else), a [banned
//! phrase](BANNED) anywhere (D-4), a page without the fixed text on what is not shown. A page with open blanks is a draft and says so.

mod certify;
mod check;
mod figures;
mod headline;
mod lint;
mod number;
mod rates;
mod render;
mod shape;
mod text;

use taggant_core::{Error, ErrorKind, Result};

pub use certify::{certification_13, certification_14};
pub use lint::BANNED;
pub use number::{LogP, Number};
pub use rates::{Band, RATES, RATIOS, Scale};
pub use render::LIMITS;
pub use shape::*;

/// The format of `report.json`.
pub const FORMAT: &str = "taggant-report/1";

/// Longest `report.json`, in bytes.
pub const MAX_REPORT: usize = 1 << 26;

/// Most null runs, so that their limit is computed at once.
pub const MAX_RUNS: u32 = 1_000_000;

impl Report {
    /// Reads `report.json`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for another version or scale, [`ErrorKind::Limit`] above [`MAX_REPORT`] bytes, else [`ErrorKind::Format`], naming the field.
    pub fn from_json(text: &str) -> Result<Self> {
        if text.len() > MAX_REPORT {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "a report of {} bytes; at most {MAX_REPORT} are read",
                    text.len()
                ),
            ));
        }
        let wrong = |error| Error::new(ErrorKind::Format, format!("not a report: {error}"));
        let found: serde_json::Value = serde_json::from_str(text).map_err(wrong)?;
        // The version first: a later one may have other fields.
        if let Some(format) = found.get("format").and_then(|format| format.as_str())
            && format != FORMAT
        {
            let shown: String = format.escape_debug().take(80).collect();
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("a report of format `{shown}`; this version reads {FORMAT}"),
            ));
        }
        let report: Self = serde_json::from_str(text).map_err(wrong)?;
        if text::json(&report)? != found {
            return Err(Error::new(
                ErrorKind::Format,
                "not a report: a field is left out (where there is nothing, null is written), or a list stands where an object should be",
            ));
        }
        report.check()?;
        Ok(report)
    }

    /// `report.json`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`], naming the field that breaks a rule; as [`Report::from_json`].
    pub fn to_json(&self) -> Result<String> {
        self.check()?;
        let text = serde_json::to_string_pretty(self).map_err(|error| {
            Error::new(
                ErrorKind::Format,
                format!("a report that JSON cannot hold: {error}"),
            )
        })?;
        Ok(text + "\n")
    }

    /// The report as one HTML page.
    ///
    /// # Errors
    /// As [`Report::to_json`]; [`ErrorKind::Format`] for a [banned phrase](BANNED), naming phrase and place.
    pub fn to_html(&self) -> Result<String> {
        render::page(self)
    }

    /// What keeps this report from being final: every blank that is still open.
    #[must_use]
    pub fn final_faults(&self) -> Vec<String> {
        let fields = self.disclosure.fields().into_iter();
        fields
            .filter_map(|(name, field)| match field {
                Field::Open(prompt) => Some(format!("disclosure.{name} is open: {prompt}")),
                Field::Filled(_) => None,
            })
            .collect()
    }
}

impl Disclosure {
    /// The blanks, by name.
    fn fields(&self) -> [(&'static str, &Field); 8] {
        [
            ("assignment", &self.assignment),
            ("opinions", &self.opinions),
            ("facts", &self.facts),
            ("exhibits", &self.exhibits),
            ("qualifications", &self.qualifications),
            ("publications", &self.publications),
            ("testimony", &self.testimony),
            ("compensation", &self.compensation),
        ]
    }
}

impl Timeline {
    /// The moments by name, in the order they must have.
    fn moments(&self) -> [(&'static str, &Moment); 7] {
        [
            ("key committed", &self.key),
            ("first marked answer", &self.issuance),
            ("plan sealed", &self.plan),
            ("beacon round", &self.beacon),
            ("first query", &self.first_query),
            ("last query", &self.last_query),
            ("key disclosed", &self.reveal),
        ]
    }
}

//! What a report's types cannot say.

use taggant_core::{Error, ErrorKind, Result, check_label};

use super::rates::RATIOS;
use super::shape::{Fate, Link, Moment, Outcome, Report, Standing};
use super::{FORMAT, MAX_RUNS, text};
use crate::plan::MAX_TEXT;

fn wrong(place: &str, fault: impl AsRef<str>) -> Error {
    Error::new(
        ErrorKind::Format,
        format!("report, {place}: {}", fault.as_ref()),
    )
}

/// `Err` unless `holds`.
fn need(holds: bool, place: &str, fault: impl Fn() -> String) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(wrong(place, fault()))
    }
}

impl Report {
    /// # Errors
    /// [`ErrorKind::Format`], naming the field and what is wrong with it.
    pub(super) fn check(&self) -> Result<()> {
        need(self.format == FORMAT, "format", || {
            format!("it is not {FORMAT}")
        })?;
        check_label(&self.case).map_err(|error| error.context("report, case"))?;
        for (place, text) in text::strings(&text::json(self)?) {
            need(
                !text.trim().is_empty() && text.len() <= MAX_TEXT,
                &place,
                || {
                    format!(
                        "a text of {} bytes; 1 to {MAX_TEXT} are allowed",
                        text.len()
                    )
                },
            )?;
        }
        self.check_finding()?;
        self.check_order()?;
        self.check_rows()?;
        self.check_figures()?;
        for (place, empty) in [
            ("plans", self.plans.is_empty()),
            ("materials", self.materials.is_empty()),
            (
                "propositions.alternatives",
                self.propositions.alternatives.is_empty(),
            ),
            (
                "collection.collectors",
                self.collection.collectors.is_empty(),
            ),
            ("verification", self.verification.is_empty()),
        ] {
            need(!empty, place, || "empty; at least one is needed".to_owned())?;
        }
        let carried = |fate: &Fate| matches!(fate, Fate::CarriedOut(_));
        need(
            self.plans.iter().any(|plan| carried(&plan.fate)),
            "plans",
            || "none was carried out, so there is nothing to report".to_owned(),
        )?;
        let collection = &self.collection;
        need(
            collection.scored <= collection.attempts,
            "collection.scored",
            || format!("{} of {} attempts", collection.scored, collection.attempts),
        )
    }

    fn check_finding(&self) -> Result<()> {
        let finding = &self.finding;
        for (place, value) in [
            ("finding.alpha", &finding.alpha),
            ("finding.floor", &finding.floor),
        ] {
            need(value.value() > 0.0 && value.value() < 1.0, place, || {
                format!("{value} is not above 0 and below 1")
            })?;
        }
        if finding.scale != RATIOS.name {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "report, finding.scale: `{}`; this version has `{}`",
                    finding.scale.escape_debug().take(80).collect::<String>(),
                    RATIOS.name
                ),
            ));
        }
        for (place, link) in [
            ("finding.accounts", &finding.accounts),
            ("finding.issued", &finding.issued),
        ] {
            need(
                !matches!(link, Link::Shown(by) if by.is_empty()),
                place,
                || "shown by no exhibit; name one, or say what is missing".to_owned(),
            )?;
        }
        let runs = &finding.null_runs;
        need(
            runs.runs <= MAX_RUNS
                && runs.findings <= runs.runs
                && runs.models <= runs.runs
                && runs.models_with_findings <= runs.models
                && runs.models_with_findings <= runs.findings
                && (runs.findings == 0) == (runs.models_with_findings == 0),
            "finding.null_runs",
            || format!("{runs:?} do not fit together, or are above {MAX_RUNS}"),
        )?;
        let test = &self.method.self_test;
        need(test.right <= test.answers, "method.self_test", || {
            format!("{} right of {}", test.right, test.answers)
        })?;
        let supported = finding.outcome == Outcome::Support;
        need(
            !supported || (test.answers > 0 && test.right == test.answers),
            "method.self_test",
            || {
                format!(
                    "{} right of {}: nothing can be supported by a program that fails its own test",
                    test.right, test.answers
                )
            },
        )
    }

    /// Key ≺ issuance ≺ plan ≺ beacon ≺ first query ≤ last query ≺ reveal.
    fn check_order(&self) -> Result<()> {
        let known: Vec<(&str, &Moment)> = self.timeline.moments().into_iter().collect();
        let supported = self.finding.outcome == Outcome::Support;
        for (name, moment) in &known {
            need(moment.at.is_some() || !supported, "timeline", || {
                format!("{name} has no time; support rests on the whole order")
            })?;
        }
        let mut dated = known
            .iter()
            .filter_map(|(name, moment)| moment.at.map(|at| (*name, at)));
        let Some(mut last) = dated.next() else {
            return Ok(());
        };
        for next in dated {
            let same = last.0 == "first query" && next.0 == "last query" && last.1 == next.1;
            need(last.1 < next.1 || same, "timeline", || {
                format!(
                    "{} ({}) is not before {} ({})",
                    last.0, last.1, next.0, next.1
                )
            })?;
            last = next;
        }
        Ok(())
    }

    fn check_rows(&self) -> Result<()> {
        let rows = &self.results.rows;
        let standing = |row: &&super::Row| row.standing == Standing::Primary;
        let primaries = rows.iter().filter(standing).count();
        let Some(primary) = self.primary().filter(|_| primaries == 1) else {
            return Err(wrong(
                "results.rows",
                format!("{primaries} primary tests; there is exactly one"),
            ));
        };
        for (index, row) in rows.iter().enumerate() {
            let place = format!("results.rows[{index}]");
            let effect = &row.effect;
            let (low, high) = (effect.low.value(), effect.high.value());
            need(
                low <= effect.estimate.value() && effect.estimate.value() <= high,
                &place,
                || format!("{effect:?}: the estimate is outside of its interval"),
            )?;
            need(
                row.adjusted
                    .as_ref()
                    .is_none_or(|p| p.log10.value() >= row.p.log10.value()),
                &place,
                || "the corrected error rate is below the uncorrected one".to_owned(),
            )?;
            need(
                row.rank
                    .as_ref()
                    .is_none_or(|rank| rank.as_high <= rank.keys && rank.keys > 0),
                &place,
                || "a rank among fewer control keys than scored as high".to_owned(),
            )?;
            need(
                row.standing != Standing::Exploratory || row.adjusted.is_none(),
                &place,
                || {
                    "an exploratory result is outside of the family that alpha holds for; leave `adjusted` out".to_owned()
                },
            )?;
        }
        let Some(adjusted) = &primary.adjusted else {
            return Err(wrong(
                "results.rows",
                "the primary test has no corrected error rate",
            ));
        };
        let below = adjusted.log10.value() <= self.finding.alpha.value().log10();
        need(
            match self.finding.outcome {
                Outcome::Support => below,
                Outcome::NoSupport => !below,
                Outcome::Inconclusive(_) => true,
            },
            "finding.outcome",
            || {
                format!(
                    "it does not fit the primary test's log10 p of {} at alpha {}",
                    adjusted.log10, self.finding.alpha
                )
            },
        )
    }

    fn check_figures(&self) -> Result<()> {
        if let Some(decoys) = &self.results.decoys {
            let place = "results.decoys";
            let rising = |bin: &super::Bin| bin.from.value() < bin.to.value();
            let joined = decoys
                .bins
                .windows(2)
                .all(|pair| pair[0].to == pair[1].from);
            need(
                !decoys.bins.is_empty() && joined && decoys.bins.iter().all(rising),
                place,
                || "bins that do not follow one another".to_owned(),
            )?;
            let sum: u64 = decoys.bins.iter().map(|bin| u64::from(bin.keys)).sum();
            let ranked = self.primary().and_then(|row| row.rank.as_ref());
            need(
                ranked.is_none_or(|rank| u64::from(rank.keys) == sum),
                place,
                || format!("{sum} keys in bins; the primary test was ranked among another number"),
            )?;
        }
        if let Some(path) = &self.results.path {
            let rising = path
                .points
                .windows(2)
                .all(|pair| pair[0].answers < pair[1].answers);
            need(rising && !path.points.is_empty(), "results.path", || {
                "points that are not in order, or none".to_owned()
            })?;
        }
        Ok(())
    }
}

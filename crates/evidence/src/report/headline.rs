//! Page one: what may be said, and no more.

use super::rates::{limits, rate_text, ratio_text, word_of_rate, word_of_ratio};
use super::shape::{Link, Outcome, Report, Row, Standing};

/// Page one in words.
#[derive(Debug)]
pub(super) struct Headline {
    /// The finding's name.
    pub(super) title: String,
    /// The finding in a sentence.
    pub(super) sentence: String,
    /// What the sentence rests on, or what the test could have found.
    pub(super) note: String,
    /// The primary test's error rate.
    pub(super) design: String,
    /// The procedure's.
    pub(super) procedure: String,
    /// The procedure's with models as the unit.
    pub(super) procedure_by_model: String,
    /// Which of the two is larger.
    pub(super) procedure_is_weaker: bool,
    /// The word for the larger one.
    pub(super) word: &'static str,
    /// The three links: whether each is shown, what it says, and by what or why not.
    pub(super) links: [(bool, String, String); 3],
    /// How far the conclusion goes.
    pub(super) reach: String,
}

impl Report {
    /// The primary test. That there is exactly one is [checked](super::check).
    pub(super) fn primary(&self) -> Option<&Row> {
        let mut rows = self.results.rows.iter();
        rows.find(|row| row.standing == Standing::Primary)
    }

    pub(super) fn headline(&self) -> Headline {
        let finding = &self.finding;
        let floor = finding.floor.value();
        let adjusted = self.primary().and_then(|row| row.adjusted.as_ref());
        let design = adjusted.map_or(1.0, |p| 10_f64.powf(p.log10.value()));
        let (procedure, by_model) = limits(&finding.null_runs);
        // The sentence and its word are those of the larger rate, whatever the smaller one is.
        let weaker = design.max(procedure).max(floor);
        let links = self.links();
        let missing = links.iter().position(|(shown, ..)| !shown);
        let (title, sentence, note) = match (&finding.outcome, missing) {
            (Outcome::Support, None) => self.support(weaker, procedure),
            (Outcome::Support, Some(link)) => self.stopped(link),
            (Outcome::NoSupport, _) => (
                "No support".to_owned(),
                format!(
                    "The primary test gives no support to the proposition that the training data of {} included text issued under key {}.",
                    self.subject.model, self.subject.key
                ),
                self.power(),
            ),
            (Outcome::Inconclusive(reason), _) => (
                "Inconclusive".to_owned(),
                format!(
                    "The primary test does not answer whether the training data of {} included text issued under key {}: {reason}",
                    self.subject.model, self.subject.key
                ),
                self.power(),
            ),
        };
        let reach = match missing {
            None => "All three links are shown.".to_owned(),
            Some(link) => format!(
                "The first missing link is link {}: {} The conclusion stops before it.",
                link + 1,
                links[link].2
            ),
        };
        Headline {
            title,
            sentence,
            note,
            design: rate_text(design, floor),
            procedure: rate_text(procedure, floor),
            procedure_by_model: rate_text(by_model, floor),
            procedure_is_weaker: procedure >= design,
            word: word_of_rate(weaker),
            links,
            reach,
        }
    }

    /// The allowed sentence where the plan fixed an alternative, else the same limit as a rate.
    fn support(&self, weaker: f64, procedure: f64) -> (String, String, String) {
        let (model, key) = (&self.subject.model, &self.subject.key);
        let floor = self.finding.floor.value();
        let Some(e) = self.primary().and_then(|row| row.e.as_ref()) else {
            let (word, rate) = (word_of_rate(weaker), rate_text(weaker, floor));
            return (
                format!("Support; findings like these are {word}"),
                format!(
                    "Findings like these are {word} (at most {rate}) if the training data of {model} did not include text issued under key {key}."
                ),
                "The plan fixed no alternative that a ratio of probabilities could be computed against, so none is given: an error rate is not turned into one.".to_owned(),
            );
        };
        let value = 10_f64.powf(e.log10.value());
        let ratio = value.min(1.0 / procedure).min(1.0 / floor);
        let source = "the e-value of the alternative that the plan fixed before any answer was seen (section 8)";
        let note = if ratio >= value {
            format!("The ratio is {source}.")
        } else if procedure >= floor {
            format!(
                "The test by itself gives a larger ratio: {source}. It is held at {}, one over the rate of the procedure's own false findings, which is known only to be at most {}: no single result can show more than that.",
                ratio_text(ratio),
                rate_text(procedure, floor)
            )
        } else {
            format!(
                "The test by itself gives a larger ratio: {source}. It is held at {}, because the plan puts nothing below {} into words.",
                ratio_text(ratio),
                rate_text(floor, floor)
            )
        };
        (
            match word_of_ratio(ratio) {
                None => "Neither proposition is supported".to_owned(),
                Some(word) => format!("Support: {word}"),
            },
            format!(
                "The findings are about {} times more probable if the training data of {model} included text issued under key {key} than if it did not.",
                ratio_text(ratio)
            ),
            note,
        )
    }

    /// What may be said when link 1 or 2 is missing, whatever the test gave.
    fn stopped(&self, link: usize) -> (String, String, String) {
        let sentence = match link {
            0 => "No conclusion about accounts, about what was served to them, or about a model is drawn.".to_owned(),
            _ => format!(
                "The accounts are what their custodian says they are. No conclusion about what was served to them, or about {}, is drawn.",
                self.subject.model
            ),
        };
        (
            format!("No conclusion: link {} is missing", link + 1),
            sentence,
            "The results of section 8 stand as results. They are no conclusion while a link before them is missing.".to_owned(),
        )
    }

    fn power(&self) -> String {
        let power = &self.finding.power;
        format!(
            "The test was planned to find an effect of {} standard deviations a unit with probability {} at {} units; {} were scored. That nothing was found is not evidence that there is nothing: marks can be removed, and weaker effects are missed.",
            power.effect,
            power.power,
            power.units,
            self.primary().map_or(0, |row| row.units)
        )
    }

    fn links(&self) -> [(bool, String, String); 3] {
        let told = |link: &Link| match link {
            Link::Shown(exhibits) => (true, exhibits.join("; ")),
            Link::Missing(what) => (false, what.clone()),
        };
        let associated = match &self.finding.outcome {
            Outcome::Support => (true, "the primary test, section 8".to_owned()),
            Outcome::NoSupport => (false, "the primary test gives no support.".to_owned()),
            Outcome::Inconclusive(_) => (false, "the primary test is inconclusive.".to_owned()),
        };
        let says = [
            "These accounts are what their custodian says they are.".to_owned(),
            format!("What was served to them carried key {}.", self.subject.key),
            format!(
                "{} is statistically associated with that key and not with the control keys.",
                self.subject.model
            ),
        ];
        let states = [
            told(&self.finding.accounts),
            told(&self.finding.issued),
            associated,
        ];
        let mut pairs = says.into_iter().zip(states);
        std::array::from_fn(|_| {
            let (says, (shown, by)) = pairs.next().unwrap_or_default();
            (shown, says, by)
        })
    }
}

//! How often the statistics err where nothing is to be found, as a file that goes into every bundle (S-1).

use serde::{Deserialize, Serialize};

/// What `calibrate` printed: a million scores and more for each scheme and statistic.
const CALIBRATION: &str = include_str!("../../../../tests/evaluation/calibration.md");

/// The bundle's file.
pub(super) const VALIDATION: &str = "validation.json";

const LEVELS: [&str; 4] = ["1e-2", "1e-3", "1e-4", "1e-5"];

/// One statistic over all its texts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Study {
    /// Scheme and statistic.
    pub(super) statistic: String,
    /// Scores under keys that have nothing to do with the texts.
    pub(super) scores: u64,
    pub(super) levels: Vec<Level>,
}

/// How often p was at most a level.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Level {
    pub(super) level: String,
    /// The rate, divided by the level, and its 99 % interval.
    pub(super) rate: String,
    pub(super) low: String,
    pub(super) high: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    made_by: String,
    studies: Vec<Study>,
}

/// The file.
pub(super) fn text() -> serde_json::Result<String> {
    let file = File {
        format: "taggant-validation/1".to_owned(),
        made_by: "calibrate; rates are divided by their level, with 99 % Clopper–Pearson intervals; texts are fixed and keys random".to_owned(),
        studies: studies(),
    };
    Ok(serde_json::to_string_pretty(&file)? + "\n")
}

/// The studies of such a file.
pub(super) fn read(text: &str) -> serde_json::Result<Vec<Study>> {
    Ok(serde_json::from_str::<File>(text)?.studies)
}

/// The totals of the first table.
fn studies() -> Vec<Study> {
    let tables = CALIBRATION.split("\n## ").nth(1).unwrap_or_default();
    tables.lines().filter_map(study).collect()
}

fn study(line: &str) -> Option<Study> {
    let mut cells = line.strip_prefix("| **")?.split(" | ");
    let statistic = cells.next()?.strip_suffix("**")?.to_owned();
    let scores = cells.next()?.trim().parse().ok()?;
    let levels = LEVELS.iter().zip(cells).filter_map(|(level, cell)| {
        let cell = cell.trim_end_matches(" |");
        let (rate, interval) = cell.split_once(" [")?;
        let (low, high) = interval.split_once(']')?.0.split_once(", ")?;
        Some(Level {
            level: (*level).to_owned(),
            rate: rate.to_owned(),
            low: low.to_owned(),
            high: high.to_owned(),
        })
    });
    Some(Study {
        statistic,
        scores,
        levels: levels.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S-1: for each statistic at least 10^5 scores, and no interval wholly above the level at 1e-2 to 1e-4.
    #[test]
    fn every_statistic_holds_its_levels() {
        let studies = studies();
        assert_eq!(studies.len(), 8);
        for study in &studies {
            assert!(
                study.scores >= 100_000 && study.levels.len() >= 3,
                "{study:?}"
            );
            for level in &study.levels {
                let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
                let [low, rate, high] =
                    [&level.low, &level.rate, &level.high].map(|text| number(text));
                assert!(
                    low <= rate && rate <= high && low <= 1.0,
                    "{}: {level:?}",
                    study.statistic
                );
            }
        }
        let text = text().unwrap_or_default();
        assert_eq!(read(&text).map(|read| read.len()).unwrap_or_default(), 8);
    }
}

//! An exchange's scores on the scale of a statistic. Symmetric in the drafts: nothing here knows which was served.

use libm::sqrt;

use super::Statistic;

/// Scores of the drafts on the scale of `statistic`. Only their differences matter.
pub(super) fn scaled(statistic: Statistic, scores: &[f64]) -> Vec<f64> {
    match statistic {
        Statistic::Sum => above_least(scores),
        Statistic::Studentised => {
            let steps = steps(scores);
            steps.into_iter().map(f64::from).collect()
        }
        // Shares of the drafts, so that many drafts weigh no more than few.
        Statistic::Ranks => {
            let drafts = real(scores.len());
            let ranks = doubled_ranks(scores);
            ranks
                .into_iter()
                .map(|rank| f64::from(rank) / drafts)
                .collect()
        }
    }
}

/// Standardised scores in whole eighths of a standard deviation, from the least up. Rounding adds 1/768 of the variance and lets
/// the law of their sum be computed exactly: it is the law of the rounded scores.
pub(super) fn steps(scores: &[f64]) -> Vec<u32> {
    let standardised = standardised(scores);
    above_least(&standardised)
        .into_iter()
        .map(|above| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative, and at most 8 √2n"
            )]
            {
                libm::round(8.0 * above) as u32
            }
        })
        .collect()
}

/// Scores less their mean in units of their standard deviation; zeros when they are all alike.
pub(super) fn standardised(scores: &[f64]) -> Vec<f64> {
    let mut scaled = above_least(scores);
    let most = scaled.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return scaled;
    }
    // To the unit interval first: squares of the very large and the very small stay numbers.
    for score in &mut scaled {
        *score /= most;
    }
    let drafts = real(scaled.len());
    let mean = scaled.iter().sum::<f64>() / drafts;
    let square: f64 = scaled
        .iter()
        .map(|score| (score - mean) * (score - mean))
        .sum();
    let deviation = sqrt(square / drafts);
    for score in &mut scaled {
        *score = (*score - mean) / deviation;
    }
    scaled
}

/// Equal scores are exactly zero apart.
fn above_least(scores: &[f64]) -> Vec<f64> {
    let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
    scores.iter().map(|score| score - least).collect()
}

/// For each draft, how many score below it plus how many score at most as much: 1, 3, 5, … without ties, and the middle of the tied
/// places with. Whole numbers, whose law under the null is that of one of the list drawn at random, ties and all.
pub(super) fn doubled_ranks(scores: &[f64]) -> Vec<u32> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    scores
        .iter()
        .map(|score| {
            let below = sorted.partition_point(|other| other < score);
            let up_to = sorted.partition_point(|other| other <= score);
            u32::try_from(below + up_to).unwrap_or(u32::MAX)
        })
        .collect()
}

/// Ranks of an exchange on a grid that all exchanges of a group share: 840 = lcm(1, …, 8) steps from the lowest to the highest place, so
/// that exchanges of different sizes weigh alike and up to 8 drafts lose nothing to rounding. Rounding is harmless beyond: the law is
/// that of the rounded ranks.
pub(super) fn grid_ranks(scores: &[f64]) -> Vec<u32> {
    let drafts = u64::try_from(scores.len()).unwrap_or(u64::MAX).max(1);
    doubled_ranks(scores)
        .into_iter()
        .map(|rank| u32::try_from(u64::from(rank) * 840 / drafts).unwrap_or(u32::MAX))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of drafts")]
pub(super) fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_with_and_without_ties() {
        assert_eq!(doubled_ranks(&[0.3, -1.0, 7.0]), [3, 1, 5]);
        assert_eq!(doubled_ranks(&[2.0, 2.0, 7.0, 2.0]), [3, 3, 7, 3]);
        assert_eq!(doubled_ranks(&[0.0, -0.0]), [2, 2]);
        assert_eq!(grid_ranks(&[0.3, -1.0, 7.0]), [840, 280, 1400]);
    }

    #[test]
    fn scales_keep_ties_and_survive_extremes() {
        assert_eq!(standardised(&[0.1, 0.1, 0.1]), [0.0; 3]);
        for unit in [1e100, 1.0, 1e-300] {
            let found = standardised(&[unit, 3.0 * unit]);
            assert!(
                (found[0] + 1.0).abs() < 1e-12 && (found[1] - 1.0).abs() < 1e-12,
                "{found:?}"
            );
        }
    }
}

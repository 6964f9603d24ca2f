//! Which passages of a long document are marked.

use std::ops::Range;

use taggant_core::{Error, ErrorKind, Result};

use crate::stats::{Law, PValue, WeightedSum, times};

/// A marked passage.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Passage {
    /// Position of its first scored token. An estimate.
    pub start: u32,
    /// Position after its last scored token. An estimate.
    pub end: u32,
    /// Units from start to end.
    pub units: usize,
    /// P-value of the window that the passage was found with, times the number of windows looked at.
    pub p_adjusted: PValue,
}

/// The shortest window, in units. Shorter ones reach the levels of a family of thousands only where the mark is very strong, and
/// each halving doubles the family.
const SHORTEST: usize = 32;

/// Steps in which a window moves by its own length. A passage as long as a window is then covered by one to 15/16.
const STEPS: usize = 8;

/// The passages of one response that are marked, in text order, at family-wise level `alpha`: the positions and scores of its
/// units in text order, the units' null law, and the exact tail `tail(units, score)` of a sum of such scores.
///
/// The windows looked at are settled by the number of units alone: the whole, and lengths of 32, 64, 128, … units in steps of an
/// eighth of the length. Units are distinct, so each window's tail is exact; windows overlap, so each p-value is multiplied by
/// the number of windows (Bonferroni). Under the null, the chance that any passage is reported is at most `alpha`; in a document
/// marked in part, so is the chance that any is found with a window of unmarked units only. Passages are disjoint: the best
/// window is taken first, then the best that touches none of those found.
///
/// **Boundaries are estimates** that `alpha` does not cover: those of the segment that the likelihood ratio of marked to unmarked
/// prefers, at the strength seen in the window, within the window's length on either side.
///
/// Time grows as n log n, besides about n/2 calls of `tail`.
///
/// # Errors
/// [`ErrorKind::Parameter`] for slices of different lengths, positions that do not rise, a score that is not finite, or unless
/// `alpha` is between 0 and 1, ends excluded.
pub fn localise(
    positions: &[u32],
    scores: &[f64],
    law: &Law,
    tail: &dyn Fn(u64, f64) -> PValue,
    alpha: f64,
) -> Result<Vec<Passage>> {
    check(positions, scores, alpha)?;
    let n = scores.len();
    let mut sums = Vec::with_capacity(n + 1);
    sums.push(0.0);
    let mut sum = 0.0;
    for score in scores {
        sum += score;
        sums.push(sum);
    }

    let windows = windows(n);
    let family = windows.len() as u64;
    let mean = law.mean();
    let mut candidates: Vec<(PValue, Range<usize>)> = Vec::new();
    for window in windows {
        let (units, score) = (window.len() as u64, sums[window.end] - sums[window.start]);
        // What is not above the mean needs no tail.
        if score > real(window.len()) * mean {
            let p = times(tail(units, score), family);
            if p.at_most(alpha) {
                candidates.push((p, window));
            }
        }
    }
    candidates.sort_by(|(a, _), (b, _)| a.ln().total_cmp(&b.ln()));

    let mut found: Vec<(Range<usize>, PValue)> = Vec::new();
    for (p, window) in candidates {
        // Those found are disjoint and in order: the window's place among them gives its neighbours.
        let place = found.partition_point(|(segment, _)| segment.end <= window.start);
        let after = found.get(place).map_or(n, |(segment, _)| segment.start);
        if after < window.end {
            continue;
        }
        let before = place
            .checked_sub(1)
            .and_then(|place| found.get(place))
            .map_or(0, |(segment, _)| segment.end);
        let near = window.start.saturating_sub(window.len()).max(before)
            ..(window.end + window.len()).min(after);
        let strength = (sums[window.end] - sums[window.start]) / real(window.len());
        found.insert(place, (refine(&window, &near, scores, law, strength), p));
    }
    Ok(found
        .into_iter()
        .map(|(segment, p_adjusted)| Passage {
            start: positions[segment.start],
            end: positions[segment.end - 1].saturating_add(1),
            units: segment.len(),
            p_adjusted,
        })
        .collect())
}

fn check(positions: &[u32], scores: &[f64], alpha: f64) -> Result<()> {
    let message = if positions.len() != scores.len() {
        format!("{} positions for {} scores", positions.len(), scores.len())
    } else if !(alpha > 0.0 && alpha < 1.0) {
        format!("alpha is {alpha}; it must lie between 0 and 1")
    } else if let Some(pair) = positions.windows(2).find(|pair| pair[0] >= pair[1]) {
        format!(
            "position {} after {}; positions must rise",
            pair[1], pair[0]
        )
    } else if let Some(score) = scores.iter().find(|score| !score.is_finite()) {
        format!("score {score}; it must be finite")
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Parameter, message))
}

/// The windows of a document of `n` units, each once.
fn windows(n: usize) -> Vec<Range<usize>> {
    let lengths = std::iter::successors(Some(SHORTEST), |length| length.checked_mul(2));
    let mut windows: Vec<Range<usize>> = lengths
        .take_while(|&length| length <= n)
        .flat_map(|length| {
            (0..=n - length)
                .step_by(length / STEPS)
                .map(move |start| start..start + length)
        })
        .collect();
    if n > 0 && windows.last() != Some(&(0..n)) {
        windows.push(0..n);
    }
    windows
}

/// The segment of `near` with the largest log likelihood ratio `Σ (θ x − K(θ))`, among those that hold the window's own best
/// segment.
fn refine(
    window: &Range<usize>,
    near: &Range<usize>,
    scores: &[f64],
    law: &Law,
    strength: f64,
) -> Range<usize> {
    let mut unit = WeightedSum::default();
    unit.add(law, 1.0, 1);
    let theta = unit.tilt(strength);
    let k = law.cumulants(theta).k;
    let gain = |index: usize| theta * scores[index] - k;

    // Kadane's algorithm: the best sum that ends here either goes on or starts anew.
    let mut core = window.clone();
    let (mut best, mut sum, mut start) = (f64::NEG_INFINITY, 0.0, window.start);
    for index in window.clone() {
        if sum <= 0.0 {
            (sum, start) = (0.0, index);
        }
        sum += gain(index);
        if sum > best {
            (best, core) = (sum, start..index + 1);
        }
    }
    let (mut best, mut sum, mut end) = (0.0, 0.0, core.end);
    for index in core.end..near.end {
        sum += gain(index);
        if sum > best {
            (best, end) = (sum, index + 1);
        }
    }
    let (mut best, mut sum, mut start) = (0.0, 0.0, core.start);
    for index in (near.start..core.start).rev() {
        sum += gain(index);
        if sum > best {
            (best, start) = (sum, index);
        }
    }
    start..end
}

#[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::stats::{binomial_tail, gamma_tail};

    fn gamma(units: u64, score: f64) -> PValue {
        gamma_tail(score, units)
    }

    /// Exponential scores, those in `marked` with mean 2.2.
    fn document(random: &mut Random, n: usize, marked: &Range<usize>) -> Vec<f64> {
        (0..n)
            .map(|i| random.exponentials(1) * if marked.contains(&i) { 2.2 } else { 1.0 })
            .collect()
    }

    /// 200 of 20,000 units have mean 2.2 in place of 1. alpha = 1e-3; 200 documents, seed 8. At least 95 % of the passages are
    /// found, with a median error of the boundaries of at most 20 tokens.
    #[test]
    fn a_marked_passage_is_found() {
        let mut random = Random(8);
        let positions: Vec<u32> = (2..20_002).collect();
        let (mut found, mut several, mut errors) = (0, 0, Vec::new());
        for _ in 0..200 {
            let start = usize::try_from(random.bits() % 19_800).unwrap();
            let marked = start..start + 200;
            let scores = document(&mut random, 20_000, &marked);
            let passages = localise(&positions, &scores, &Law::Exponential, &gamma, 1e-3).unwrap();
            several += u32::from(passages.len() > 1);
            let (start, end) = (positions[marked.start], positions[marked.end - 1] + 1);
            let hit = passages
                .iter()
                .find(|passage| passage.start < end && start < passage.end);
            if let Some(passage) = hit {
                found += 1;
                errors.extend([passage.start.abs_diff(start), passage.end.abs_diff(end)]);
                assert!(passage.p_adjusted.at_most(1e-3));
            }
        }
        errors.sort_unstable();
        let median = errors[errors.len() / 2];
        println!(
            "found {found} of 200 ({several} with more than one passage); boundary error: median {median}, 90 % {}",
            errors[errors.len() * 9 / 10]
        );
        assert!(found >= 190 && median <= 20, "{found}, {median}");
    }

    /// Null: independent exponential scores. Theory (Bonferroni): a passage is reported with probability at most alpha = 0.01. n
    /// = 5,000 documents of 3,000 units; 1e-6 for the comparison; seed 9.
    #[test]
    fn unmarked_documents_have_no_marked_passages() {
        let mut random = Random(9);
        let positions: Vec<u32> = (0..3000).collect();
        let mut wrong = 0;
        for _ in 0..5000 {
            let scores = document(&mut random, 3000, &(0..0));
            let passages = localise(&positions, &scores, &Law::Exponential, &gamma, 0.01).unwrap();
            wrong += u64::from(!passages.is_empty());
        }
        println!("{wrong} of 5000 unmarked documents at 0.01");
        assert!(binomial_tail(wrong, 5000, 0.01, 0.99).get() > 1e-6 && wrong > 0);
    }

    #[test]
    fn two_passages_are_two() {
        let mut random = Random(10);
        let positions: Vec<u32> = (0..4000).map(|i| 3 * i).collect();
        let mut scores = document(&mut random, 4000, &(500..900));
        scores[2500..3500]
            .iter_mut()
            .for_each(|score| *score *= 2.2);
        let passages = localise(&positions, &scores, &Law::Exponential, &gamma, 1e-6).unwrap();
        assert_eq!(passages.len(), 2, "{passages:?}");
        for (passage, truth) in passages.iter().zip([500..900_u32, 2500..3500]) {
            assert!(passage.start.abs_diff(3 * truth.start) < 60, "{passage:?}");
            assert!(passage.end.abs_diff(3 * truth.end) < 60, "{passage:?}");
            assert!(
                u32::try_from(passage.units)
                    .unwrap()
                    .abs_diff(truth.end - truth.start)
                    < 40
            );
        }
    }

    #[test]
    fn a_document_marked_throughout_is_one_passage() {
        let mut random = Random(11);
        for n in [20_usize, 100, 1024, 5000] {
            let positions: Vec<u32> = (0..u32::try_from(n).unwrap()).collect();
            let coins: Vec<f64> = (0..n)
                .map(|_| if random.uniform() < 0.8 { 1.0 } else { 0.0 })
                .collect();
            let law = Law::Binomial {
                trials: 1,
                p: 0.25,
                q: 0.75,
            };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count"
            )]
            let tail = |units: u64, score: f64| binomial_tail(score as u64, units, 0.25, 0.75);
            let passages = localise(&positions, &coins, &law, &tail, 1e-3).unwrap();
            assert_eq!(passages.len(), 1, "{passages:?}");
            assert!(passages[0].units + 10 > n, "{passages:?}");
            // All ones: no tilt has that mean, and the whole is still found.
            let passages = localise(&positions, &vec![1.0; n], &law, &tail, 1e-3).unwrap();
            assert!(
                passages.len() == 1 && passages[0].units == n,
                "{passages:?}"
            );
        }
    }

    #[test]
    fn windows_are_settled_by_the_number_of_units() {
        assert!(windows(0).is_empty());
        for n in [31, 32] {
            assert_eq!(windows(n), vec![0..n; 1]);
        }
        assert_eq!(windows(40), [0..32, 4..36, 8..40, 0..40]);
        // 9 of 32, and the whole once.
        assert_eq!(windows(64).len(), 10);
        assert!((45_000..55_000).contains(&windows(100_000).len()));
    }

    #[test]
    fn wrong_input_is_refused() {
        let ask = |positions: &[u32], scores: &[f64], alpha| {
            localise(positions, scores, &Law::Exponential, &gamma, alpha)
        };
        assert_eq!(ask(&[], &[], 0.01).unwrap(), []);
        assert!(ask(&[1], &[], 0.01).is_err());
        assert!(ask(&[1, 1], &[1.0, 1.0], 0.01).is_err());
        assert!(ask(&[1, 2], &[1.0, f64::NAN], 0.01).is_err());
        assert!(ask(&[1, 2], &[1.0, 1.0], 0.0).is_err());
        // The last position there is.
        let passages = ask(&[u32::MAX], &[30.0], 0.01).unwrap();
        assert_eq!((passages[0].start, passages[0].end), (u32::MAX, u32::MAX));
    }
}

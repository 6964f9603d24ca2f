//! From words to a score and its null law: the statistic that the record names (SPEC.md §5.1).

use libm::{log, pow};
use taggant_core::{Null, Record, Scheme, Score};

use crate::stats::{Law, PValue, WeightedSum, binomial_tail, gamma_tail};

/// A record's primary statistic.
#[derive(Clone, Debug)]
pub(crate) struct Statistic {
    how: How,
    law: Law,
}

#[derive(Clone, Debug)]
enum How {
    /// The sum of the scheme's own scores, whose tail is exact.
    Native(Null),
    /// A sum over the bits of a word: what each byte adds.
    Bytes(Box<[[f64; 256]; 4]>),
    /// One value for each of equally many words.
    Cells(Vec<f64>),
}

/// Cells of a tabulated score. The law is that of the tabulated score itself, so the grid costs power (none that shows) and never
/// validity.
const CELLS: usize = 1024;

impl Statistic {
    pub(crate) fn new(record: &Record, null: Null) -> Self {
        let depth = record.scheme().get("depth");
        match (record.score(), depth) {
            (Score::Weighted, Some(depth)) => Self::weighted(depth),
            (Score::Maximin, _) => Self::maximin(),
            _ => Self {
                how: How::Native(null),
                law: law(null),
            },
        }
    }

    /// Rounds weigh 10, …, 1 in equal steps, rescaled to sum to the depth.
    fn weighted(depth: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a depth is whole, 1 to 32"
        )]
        let rounds = depth as u32;
        let raw = |round: u32| 10.0 - 9.0 * f64::from(round) / (depth - 1.0).max(1.0);
        let total: f64 = (0..rounds).map(raw).sum();
        let coin = Law::Binomial {
            trials: 1,
            p: 0.5,
            q: 0.5,
        };
        let mut sum = WeightedSum::default();
        let mut bytes = Box::new([[0.0; 256]; 4]);
        for round in 0..rounds {
            let weight = raw(round) * depth / total;
            sum.add(&coin, weight, 1);
            let table = &mut bytes[(round / 8) as usize];
            for (byte, value) in (0_u32..).zip(table.iter_mut()) {
                if byte >> (round % 8) & 1 == 1 {
                    *value += weight;
                }
            }
        }
        Self {
            how: How::Bytes(bytes),
            law: Law::Sum(sum),
        }
    }

    /// `ln(⌊1/(1−Δ)⌋ r^{Δ/(1−Δ)} + r^{1/ρ−1})` with Δ = 0.1, where ⌊1/(1−Δ)⌋ = 1 and ρ = 1 − (1−Δ) = 0.1
    /// (Li, Ruan, Wang, Long, Su 2025, Theorem 3.1), at the middle of each cell.
    fn maximin() -> Self {
        let cells: Vec<f64> = (0..CELLS)
            .map(|cell| {
                #[expect(clippy::cast_precision_loss, reason = "below 1024")]
                let r = (cell as f64 + 0.5) / CELLS as f64;
                log(pow(r, 1.0 / 9.0) + pow(r, 9.0))
            })
            .collect();
        Self {
            law: Law::Uniform(cells.clone()),
            how: How::Cells(cells),
        }
    }

    /// The null law of one unit's score.
    pub(crate) fn law(&self) -> &Law {
        &self.law
    }

    /// Each unit's score, into `out` (same length).
    pub(crate) fn scores(&self, scheme: &dyn Scheme, words: &[u32], out: &mut [f64]) {
        match &self.how {
            How::Native(_) => scheme.scores(words, out),
            _ => {
                for (out, &word) in out.iter_mut().zip(words) {
                    *out = self.of(word);
                }
            }
        }
    }

    /// The sum of the units' scores.
    pub(crate) fn sum(&self, scheme: &dyn Scheme, words: &[u32]) -> f64 {
        match &self.how {
            How::Native(_) => scheme.score(words),
            _ => words.iter().map(|&word| self.of(word)).sum(),
        }
    }

    #[inline]
    fn of(&self, word: u32) -> f64 {
        match &self.how {
            How::Native(_) => 0.0,
            How::Bytes(tables) => tables
                .iter()
                .zip(word.to_le_bytes())
                .map(|(table, byte)| table[usize::from(byte)])
                .sum(),
            How::Cells(cells) => cells[(word >> (32 - CELLS.trailing_zeros())) as usize],
        }
    }

    /// `P(sum over units ≥ score)` under the null: exact for the scheme's own scores, Chernoff's bound for others.
    pub(crate) fn tail(&self, units: u64, score: f64) -> PValue {
        match self.how {
            How::Native(null) => native_tail(null, units, score),
            _ => self.total(units).chernoff(score),
        }
    }

    /// Whether [`tail`](Self::tail) is exact, not a bound.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self.how, How::Native(_))
    }

    /// The law of the sum over `units`.
    pub(crate) fn total(&self, units: u64) -> WeightedSum {
        let mut sum = WeightedSum::default();
        sum.add(&self.law, 1.0, units);
        sum
    }
}

fn native_tail(null: Null, units: u64, score: f64) -> PValue {
    match null {
        Null::Binomial { trials, .. } => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count below 2^53"
            )]
            let successes = score as u64;
            let (p, q) = shares(null);
            binomial_tail(successes, units * u64::from(trials), p, q)
        }
        _ => gamma_tail(score, units),
    }
}

fn law(null: Null) -> Law {
    match null {
        Null::Binomial { trials, .. } => {
            let (p, q) = shares(null);
            Law::Binomial { trials, p, q }
        }
        _ => Law::Exponential,
    }
}

/// A trial's `threshold / 2^32` and its complement, both exact.
#[expect(clippy::cast_precision_loss, reason = "at most 2^32")]
pub(crate) fn shares(null: Null) -> (f64, f64) {
    const WHOLE: u64 = 1 << 32;
    let Null::Binomial { threshold, .. } = null else {
        return (1.0, 0.0);
    };
    (
        threshold as f64 / WHOLE as f64,
        (WHOLE - threshold) as f64 / WHOLE as f64,
    )
}

//! What a group of exchanges shows: laws under the null, p-values, estimates.

use libm::sqrt;
use taggant_core::twin::TwinDecoys;

use super::e_value::Evidence;
use super::scale::{doubled_ranks, grid_ranks, real, scaled, standardised, steps};
use super::{Exchange, Statistic};
use crate::stats::{Law, PValue, Rank, WeightedSum, lattice_tail, lattice_work};

/// More multiplications than this, about ten seconds of them, are too many for an exact rank sum: its bound takes over.
const MOST_WORK: f64 = 1e10;

/// Exchanges of one account, one cluster, or all.
pub(super) struct Group<'a> {
    members: Vec<Member<'a>>,
    statistic: Statistic,
}

struct Member<'a> {
    /// Number in the test, which decoy choices go by.
    number: u32,
    exchange: &'a Exchange,
    /// Each draft's place above the served one's, on the statistic's scale. Zero for the served draft, so that the observed sum is zero
    /// exactly, whatever the sizes of scores.
    above: Vec<f64>,
}

impl<'a> Group<'a> {
    pub(super) fn new(exchanges: Vec<(u32, &'a Exchange)>, statistic: Statistic) -> Self {
        let mut members: Vec<Member<'_>> = exchanges
            .into_iter()
            .map(|(number, exchange)| Member {
                number,
                exchange,
                above: above(statistic, exchange),
            })
            .collect();
        // In units of the largest difference: sums and their squares stay numbers.
        let most = members
            .iter()
            .flat_map(|member| &member.above)
            .fold(0.0, |most: f64, above| most.max(above.abs()));
        if most > 0.0 {
            for above in members.iter_mut().flat_map(|member| &mut member.above) {
                *above /= most;
            }
        }
        Self { members, statistic }
    }

    /// Members whose drafts are not all alike to the suspect.
    fn telling(&self) -> impl Iterator<Item = &Member<'a>> {
        self.members.iter().filter(|member| {
            let scores = &member.exchange.scores;
            scores.iter().any(|score| (score - scores[0]).abs() > 0.0)
        })
    }

    pub(super) fn informative(&self) -> u64 {
        self.telling().count() as u64
    }

    /// The m whose share m/(m+1) is the mean of those of the informative exchanges.
    pub(super) fn twins(&self) -> f64 {
        let drafts: Vec<f64> = self
            .telling()
            .map(|member| real(member.exchange.scores.len()))
            .collect();
        if drafts.is_empty() {
            return 0.0;
        }
        let lost: f64 = drafts.iter().map(|drafts| 1.0 / drafts).sum();
        real(drafts.len()) / lost - 1.0
    }

    /// `P(statistic ≥ observed)` and whether that is exact.
    pub(super) fn p_value(&self) -> (PValue, bool) {
        match self.exact(self.statistic) {
            Some(exact) => (exact, true),
            None => (law(&self.members).chernoff(0.0), false),
        }
    }

    /// The same by the saddle point.
    pub(super) fn near(&self) -> PValue {
        law(&self.members).saddlepoint(0.0)
    }

    /// The p-value of the ranks: exact, or their bound where exactness would take too long.
    pub(super) fn rank_p(&self) -> PValue {
        self.exact(Statistic::Ranks).unwrap_or_else(|| {
            let exchanges = self
                .members
                .iter()
                .map(|member| (member.number, member.exchange));
            let ranks = Self::new(exchanges.collect(), Statistic::Ranks);
            law(&ranks.members).chernoff(0.0)
        })
    }

    /// The exact p-value of a statistic of whole numbers; `None` for others and where it would take too long.
    fn exact(&self, statistic: Statistic) -> Option<PValue> {
        let mut sizes = self.telling().map(|member| member.exchange.scores.len());
        let first = sizes.next();
        let whole = match statistic {
            Statistic::Sum => return None,
            Statistic::Studentised => steps,
            Statistic::Ranks if sizes.all(|size| Some(size) == first) => doubled_ranks,
            Statistic::Ranks => grid_ranks,
        };
        let mut observed = 0;
        let mut lists = Vec::new();
        for member in self.telling() {
            let list = whole(&member.exchange.scores);
            observed += u64::from(list[member.exchange.served]);
            lists.push(list);
        }
        (lattice_work(&lists) <= MOST_WORK).then(|| lattice_tail(observed, &lists))
    }

    /// The statistic in standard deviations of its null law; 0 where that has none.
    pub(super) fn z(&self) -> f64 {
        let law = law(&self.members);
        let deviation = law.deviation();
        if deviation > 0.0 {
            -law.mean() / deviation
        } else {
            0.0
        }
    }

    /// The statistic's rank among those of decoy choices.
    pub(super) fn permuted(&self, count: u32, seed: u64) -> Rank {
        let decoys = TwinDecoys::new(seed);
        // A decoy that ties up to rounding counts against the served drafts.
        let slack: f64 = 1e-12
            * self
                .members
                .iter()
                .map(|member| {
                    member
                        .above
                        .iter()
                        .fold(0.0, |most: f64, above| most.max(above.abs()))
                })
                .sum::<f64>();
        let reaches = |index: u32| {
            let sum: f64 = self
                .members
                .iter()
                .map(|member| {
                    let drafts = u32::try_from(member.above.len()).unwrap_or(u32::MAX);
                    member.above[decoys.serve(index, member.number, drafts) as usize]
                })
                .sum();
            sum >= -slack
        };
        Rank {
            at_least: (0..count).filter(|&index| reaches(index)).count() as u64,
            trials: u64::from(count),
        }
    }

    /// The e-value, exchange by exchange.
    pub(super) fn evidence(&self) -> Evidence {
        let mut evidence = Evidence::new();
        for member in &self.members {
            let Exchange { served, scores, .. } = member.exchange;
            let z = match self.statistic {
                Statistic::Ranks => standardised(&scaled(Statistic::Ranks, scores)),
                _ => standardised(scores),
            };
            evidence.observe(&z, *served);
        }
        evidence
    }

    /// The share of twins that score below the served draft, ties halved, averaged over exchanges, and its standard error.
    pub(super) fn auc(&self) -> (Option<f64>, Option<f64>) {
        let shares: Vec<f64> = self
            .members
            .iter()
            .filter(|member| member.exchange.scores.len() > 1)
            .map(|member| {
                let Exchange { served, scores, .. } = member.exchange;
                // The doubled rank counts the draft itself once.
                let rank = f64::from(doubled_ranks(scores)[*served]);
                0.5 * (rank - 1.0) / (real(scores.len()) - 1.0)
            })
            .collect();
        if shares.is_empty() {
            return (None, None);
        }
        let n = real(shares.len());
        let mean = shares.iter().sum::<f64>() / n;
        let square: f64 = shares
            .iter()
            .map(|share| (share - mean) * (share - mean))
            .sum();
        let error = (shares.len() > 1).then(|| sqrt(square / (n - 1.0) / n));
        (Some(mean), error)
    }
}

fn above(statistic: Statistic, exchange: &Exchange) -> Vec<f64> {
    let scaled = scaled(statistic, &exchange.scores);
    let served = scaled[exchange.served];
    scaled.iter().map(|score| score - served).collect()
}

/// The law of the sum of what any draft would have had above the served one. The observed sum is 0 exactly, and no term of the
/// cumulants cancels another: Chernoff's bound stays one where a sum of scores would have lost its small ones to rounding.
fn law(members: &[Member<'_>]) -> WeightedSum {
    let mut sum = WeightedSum::default();
    for member in members {
        // A constant would add nothing but time.
        if member.above.iter().any(|above| above.abs() > 0.0) {
            sum.add(&Law::Uniform(member.above.clone()), 1.0, 1);
        }
    }
    sum
}

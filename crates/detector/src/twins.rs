//! The sealed-twin test: does a suspect know which of several drafts was served?
//!
//! For each exchange the server drew n = m + 1 drafts from one sampler, served the one that a key picked, and committed to all
//! ([`taggant_core::twin`]). Every draft was equally likely to be served. **The null hypothesis** is that the suspect is independent
//! of that choice; given all drafts and the suspect's scores of them, the served one is then any of the n with probability 1/n,
//! independently in every exchange, whatever the language, the scores or their dependence. All p-values here are of that law:
//! nothing is assumed about the drafts, so they hold with ties, with a handful of exchanges, and with scores of any tail.
//!
//! A suspect that was trained on what was served finds it likelier than its twins, which nobody but the server has seen. The test
//! needs no watermark, and an account's exchanges speak of that account alone.
//!
//! ```
//! use taggant_detector::Verdict;
//! use taggant_detector::twins::{Exchange, Plan, TwinTest};
//!
//! let mut test = TwinTest::new(Plan::new(1e-3)?);
//! for number in 0..40 {
//!     // The suspect likes what the account was served best, 8 times in 10; there are 4 twins.
//!     let scores = if number % 10 < 8 { [3.0, 1.0, 0.5, 0.2, 0.1] } else { [0.0, 1.0, 0.5, 0.2, 0.1] };
//!     test.add(Exchange::new(format!("x{number}"), "7f3a", 0, scores.to_vec()))?;
//! }
//! let findings = test.findings()?;
//! assert_eq!(findings.accounts[0].report.verdict, Verdict::Detected);
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! What must be settled without knowing the choice: the scores of **all** drafts, which exchanges are tested, whose account each is,
//! and the [`Plan`]. Scoring code that sees the served text of an exchange (the prompt of the next turn, say) breaks the null.
//!
//! A finding says that the suspect depends on what that account was served. It does not say that the account's holder trained it:
//! whoever published or passed on the answers would look the same.

mod e_value;
mod group;
mod scale;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use libm::{ceil, exp, lgamma, log, sqrt};
use taggant_core::{Error, ErrorKind, Result};

use crate::power::{Goal, Twins};
use crate::report::{Reason, Verdict};
use crate::stats::{PValue, Peak, Rank, e_bh, holm, normal_quantile};
use group::Group;

/// What the suspect makes of one exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    id: String,
    account: String,
    cluster: Option<String>,
    served: usize,
    scores: Vec<f64>,
}

impl Exchange {
    /// The exchange `id` of `account` (a pseudonym), whose draft number `served` was served. `scores` has one number for each draft, in
    /// their order, larger where the suspect knows it better: a log-likelihood ratio, or a similarity to what the suspect answers.
    pub fn new(
        id: impl Into<String>,
        account: impl Into<String>,
        served: usize,
        scores: Vec<f64>,
    ) -> Self {
        Self {
            id: id.into(),
            account: account.into(),
            cluster: None,
            served,
            scores,
        }
    }

    /// The same exchange, its account said to belong to `cluster`.
    #[must_use]
    pub fn in_cluster(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = Some(cluster.into());
        self
    }
}

/// The statistic that decides. All are sums over exchanges of how far the served draft stands above the mean of all drafts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Statistic {
    /// Scores in standard deviations of the exchange's own scores, to an eighth. The p-value is exact, and no exchange weighs more than
    /// another: the default.
    #[default]
    Studentised,
    /// Ranks within the exchange, ties at their middle. The p-value is exact and depends on nothing but order; it needs a tenth more
    /// exchanges.
    Ranks,
    /// Scores as they are. The most powerful where all exchanges have one scale; one huge exchange can hide the others. The p-value is
    /// Chernoff's bound.
    Sum,
}

impl Statistic {
    /// Exchanges needed for each that normal theory asks for, scores being normal with one variance; `twins` is at least 1.
    fn cost(self, twins: f64, goal: Goal) -> f64 {
        match self {
            // u, the served draft's direction on the sphere of m dimensions: by how much it moves, in its own deviations.
            Self::Studentised => {
                let ln_ratio = lgamma(0.5 * (twins + 1.0)) - lgamma(0.5 * twins);
                0.5 * twins * exp(-2.0 * ln_ratio)
            }
            // Ranks within blocks (van Elteren 1960): (3/π) n/(n + 1) of the evidence.
            Self::Ranks => std::f64::consts::FRAC_PI_3 * (twins + 2.0) / (twins + 1.0),
            // Chernoff's bound is about e^{−z²/2}.
            Self::Sum => {
                let z = normal_quantile(PValue::from_ln(log(goal.alpha())));
                let bounded = goal.shift() - z + sqrt(-2.0 * log(goal.alpha()));
                bounded * bounded / (goal.shift() * goal.shift())
            }
        }
    }
}

/// Largest score accepted, either sign: sums of squares must stay finite.
pub const MAX_SCORE: f64 = 1e100;

/// All that is settled before the choices are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    alpha: f64,
    statistic: Statistic,
    auc: f64,
    leads: f64,
    permutations: u32,
    seed: u64,
}

impl Plan {
    /// A test at level `alpha`: of studentised scores, planned for an AUC of 0.6, leads at a false discovery rate of 0.05, no permutations.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `alpha` lies between 0 and 0.9, ends excluded.
    pub fn new(alpha: f64) -> Result<Self> {
        Goal::new(alpha, POWER)?;
        Ok(Self {
            alpha,
            statistic: Statistic::default(),
            auc: 0.6,
            leads: 0.05,
            permutations: 0,
            seed: 0,
        })
    }

    /// With another statistic.
    #[must_use]
    pub fn with_statistic(mut self, statistic: Statistic) -> Self {
        self.statistic = statistic;
        self
    }

    /// With another planned AUC, the probability that the suspect of an account that leaks scores a served draft above a twin. It
    /// decides how many exchanges are enough to say no, and plays no part in p-values.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `auc` lies between 0.5 and 1, ends excluded.
    pub fn with_auc(mut self, auc: f64) -> Result<Self> {
        Twins::new(auc, 1)?;
        self.auc = auc;
        Ok(self)
    }

    /// With another false discovery rate of the list of leads.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `rate` lies between 0 and 1, ends excluded.
    pub fn with_leads(mut self, rate: f64) -> Result<Self> {
        if !(rate > 0.0 && rate < 1.0) {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!("false discovery rate of leads is {rate}; it must lie between 0 and 1"),
            ));
        }
        self.leads = rate;
        Ok(self)
    }

    /// With the primary statistic also ranked among `count` decoy choices of `seed`, as a check of the p-value by brute force.
    #[must_use]
    pub fn with_permutations(mut self, count: u32, seed: u64) -> Self {
        self.permutations = count;
        self.seed = seed;
        self
    }
}

/// The power with which a leak of the planned AUC would have been found where the answer is no.
const POWER: f64 = 0.9;

/// What a group of exchanges shows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TwinReport {
    /// Exchanges of the group.
    pub exchanges: u64,
    /// Those whose drafts the suspect does not score all alike; the others say nothing.
    pub informative: u64,
    /// Twins of an exchange, m: the number that keeps as much evidence as those at hand do on average. 0 without informative ones.
    pub twins: f64,
    /// The primary statistic in standard deviations of its null law; for reading, the p-value is not made from it.
    pub z: f64,
    /// `P(statistic ≥ observed)` under the null: exact or an upper bound.
    pub p_value: PValue,
    /// Whether `p_value` is exact, not a bound.
    pub exact: bool,
    /// The same by the saddle point: an approximation, never a headline.
    pub near: PValue,
    /// The p-value of [`Statistic::Ranks`], whatever the primary statistic is.
    pub rank_p: PValue,
    /// The primary statistic's place among decoy choices, where those were asked for.
    pub permutations: Option<Rank>,
    /// `ln` of the e-value at the end.
    pub ln_e: f64,
    /// Its largest value, in the order in which exchanges were added: `1/e` of it is a p-value whenever one stops.
    pub peak: Peak,
    /// Estimated probability that the suspect scores a served draft above one of its twins, ties halved. `None` without twins.
    pub auc: Option<f64>,
    /// Its standard error, exchanges being independent. `None` with fewer than two.
    pub auc_error: Option<f64>,
    /// Informative exchanges that a leak of the planned AUC needs to be found with power 0.9 at the level that applies here.
    pub needed: f64,
    /// The p-value, adjusted for all groups of this kind (Holm).
    pub adjusted: PValue,
    /// The answer, from `adjusted`.
    pub verdict: Verdict,
}

impl TwinReport {
    /// Exchanges that normal theory asks for at level `alpha` and power 0.9 if the AUC is as estimated; `None` where that is 0.5 or less, or 1.
    #[must_use]
    pub fn needed_as_estimated(&self, alpha: f64) -> Option<f64> {
        let goal = Goal::new(alpha, POWER).ok()?;
        let twins = Twins::new(self.auc?, whole_twins(self.twins)).ok()?;
        Some(twins.exchanges_needed(goal))
    }
}

/// A group's name and what it shows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The account or cluster, as given.
    pub name: String,
    /// What its exchanges show.
    pub report: TwinReport,
    /// Whether it is on the list of leads: e-BH among groups of its kind.
    pub lead: bool,
}

/// The test's answer, at three levels. Each level is a family of its own: its verdicts hold together at alpha.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Findings {
    /// One for each account, in the order of names.
    pub accounts: Vec<Finding>,
    /// One for each cluster, in the order of names. Exchanges without a cluster are in none.
    pub clusters: Vec<Finding>,
    /// All exchanges together. Detected here with no account named: some accounts leak, and which is not shown.
    pub pooled: TwinReport,
}

/// Collects exchanges and answers.
#[derive(Clone, Debug)]
pub struct TwinTest {
    plan: Plan,
    exchanges: Vec<Exchange>,
    ids: BTreeSet<String>,
}

impl TwinTest {
    /// A test without exchanges.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            exchanges: Vec::new(),
            ids: BTreeSet::new(),
        }
    }

    /// Adds an exchange. One with a single draft is counted and says nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`], naming the exchange, for no scores, a score that is not a number of at most 1e100, a served draft
    /// that is not there, or an id that was added before; [`ErrorKind::Limit`] beyond 2^32 exchanges. The test is unchanged.
    pub fn add(&mut self, exchange: Exchange) -> Result<()> {
        check(&exchange)?;
        if self.exchanges.len() >= u32::MAX as usize {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("more than {} exchanges; test them in parts", u32::MAX),
            ));
        }
        if !self.ids.insert(exchange.id.clone()) {
            return Err(fault(
                &exchange,
                "was added before; ids must be unique".to_owned(),
            ));
        }
        self.exchanges.push(exchange);
        Ok(())
    }

    /// Exchanges added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
    }

    /// The answer for every account and cluster and for all together. More exchanges may be added after; only the e-values stay valid
    /// then.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] when alpha shared out among the accounts is too small for a number.
    pub fn findings(&self) -> Result<Findings> {
        let mut accounts: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let mut clusters: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let mut all = Vec::with_capacity(self.exchanges.len());
        for (number, exchange) in (0..).zip(&self.exchanges) {
            accounts.entry(&exchange.account).or_default().push(number);
            if let Some(cluster) = &exchange.cluster {
                clusters.entry(cluster).or_default().push(number);
            }
            all.push(number);
        }
        let pooled = self.report(&all, 1)?;
        Ok(Findings {
            accounts: self.family(&accounts)?,
            clusters: self.family(&clusters)?,
            pooled: self.judged(pooled, None),
        })
    }

    /// Groups of one kind, held together at alpha.
    fn family(&self, groups: &BTreeMap<&str, Vec<u32>>) -> Result<Vec<Finding>> {
        let size = groups.len() as u64;
        let reports = groups
            .values()
            .map(|numbers| self.report(numbers, size))
            .collect::<Result<Vec<_>>>()?;
        let adjusted = holm(
            &reports
                .iter()
                .map(|report| report.p_value)
                .collect::<Vec<_>>(),
        );
        let e_values: Vec<f64> = reports.iter().map(|report| report.ln_e).collect();
        let leads: BTreeSet<usize> = e_bh(&e_values, self.plan.leads).into_iter().collect();
        let findings = groups.keys().zip(reports).zip(adjusted).enumerate();
        Ok(findings
            .map(|(index, ((name, report), adjusted))| Finding {
                name: (*name).to_owned(),
                report: self.judged(report, Some(adjusted)),
                lead: leads.contains(&index),
            })
            .collect())
    }

    /// Everything but the verdict.
    fn report(&self, numbers: &[u32], family: u64) -> Result<TwinReport> {
        let members = numbers
            .iter()
            .map(|&number| (number, &self.exchanges[number as usize]));
        let group = Group::new(members.collect(), self.plan.statistic);
        let goal = Goal::new(self.plan.alpha, POWER)?.shared_by(family)?;
        let twins = group.twins();
        let planned = Twins::new(self.plan.auc, whole_twins(twins))?;
        let (p_value, exact) = group.p_value();
        let evidence = group.evidence();
        let (auc, auc_error) = group.auc();
        Ok(TwinReport {
            exchanges: numbers.len() as u64,
            informative: group.informative(),
            twins,
            z: group.z(),
            p_value,
            exact,
            near: group.near(),
            rank_p: group.rank_p(),
            permutations: (self.plan.permutations > 0)
                .then(|| group.permuted(self.plan.permutations, self.plan.seed)),
            ln_e: evidence.ln(),
            peak: evidence.peak(),
            auc,
            auc_error,
            needed: ceil(
                planned.exchanges_needed(goal) * self.plan.statistic.cost(twins.max(1.0), goal),
            ),
            adjusted: p_value,
            verdict: Verdict::NotDetected,
        })
    }

    /// With its verdict, from the adjusted p-value if it is one of many.
    fn judged(&self, report: TwinReport, adjusted: Option<PValue>) -> TwinReport {
        let adjusted = adjusted.unwrap_or(report.p_value);
        #[expect(clippy::cast_precision_loss, reason = "below 2^32 exchanges")]
        let enough = report.informative as f64 >= report.needed;
        let verdict = if adjusted.at_most(self.plan.alpha) {
            Verdict::Detected
        } else if enough {
            Verdict::NotDetected
        } else {
            Verdict::Inconclusive(Reason::TooFewExchanges {
                exchanges: report.informative,
                needed: report.needed,
                auc: self.plan.auc,
                alpha: self.plan.alpha,
            })
        };
        TwinReport {
            adjusted,
            verdict,
            ..report
        }
    }
}

/// A number of twins for planning: whole, at least 1, and rather too few.
fn whole_twins(twins: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, at most the drafts of one exchange, and a cast saturates"
    )]
    {
        // A mean of shares such as 4/5 may fall short of 4 by a rounding.
        libm::floor(twins + 1e-9).max(1.0) as u32
    }
}

fn check(exchange: &Exchange) -> Result<()> {
    let drafts = exchange.scores.len();
    if drafts == 0 {
        return Err(fault(
            exchange,
            "has no scores; one for each draft is needed".to_owned(),
        ));
    }
    if exchange.served >= drafts {
        return Err(fault(
            exchange,
            format!(
                "served draft {} of {drafts}; drafts count from 0",
                exchange.served
            ),
        ));
    }
    for (draft, score) in exchange.scores.iter().enumerate() {
        if score.is_nan() || score.abs() > MAX_SCORE {
            return Err(fault(
                exchange,
                format!(
                    "has score {score:e} for draft {draft}; a number from -{MAX_SCORE:e} to {MAX_SCORE:e} is needed"
                ),
            ));
        }
    }
    Ok(())
}

fn fault(exchange: &Exchange, what: String) -> Error {
    let shown: String = exchange.id.escape_debug().take(64).collect();
    Error::new(ErrorKind::Parameter, format!("exchange `{shown}` {what}"))
}

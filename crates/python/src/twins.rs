//! Sealed twins: which of several drafts is served, commitments to all, and the test by scores.

mod findings;
mod seals;

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use taggant_core::ErrorKind;
use taggant_detector::twins::{self, Statistic};

use crate::errors::{Result, fault};
use crate::stats::Input;
use findings::found;

pub(crate) use findings::{Finding, Findings, TwinReport};
pub(crate) use seals::{Sealed, batch_root, exchange_commitment, seal, serve, twin_commitment};

/// What is settled before the choices are looked at.
///
/// `statistic` decides: "studentised" (scores in standard deviations of the exchange's own), "ranks" or "sum" (scores as they are).
/// `auc` is the planned probability that the suspect scores a served draft above a twin: it decides how many exchanges are enough to say
/// no. `leads` is the false discovery rate of the list of leads. With `permutations`, the statistic is also ranked among as many decoy
/// choices of `seed`.
///
/// >>> from taggant.twins import Plan
/// >>> Plan(1e-3)
/// Plan(alpha=1e-3, statistic='studentised', auc=0.6, leads=0.05, permutations=0, seed=0)
#[pyclass(frozen, eq, get_all, module = "taggant.twins")]
#[derive(Clone, PartialEq)]
pub(crate) struct Plan {
    /// Chance of any false accusation, at each level.
    alpha: f64,
    /// The statistic that decides.
    statistic: &'static str,
    /// The planned AUC.
    auc: f64,
    /// False discovery rate of the list of leads.
    leads: f64,
    /// Decoy choices that each group is ranked among.
    permutations: u32,
    /// Which decoy choices.
    seed: u64,
}

const STATISTICS: [(&str, Statistic); 3] = [
    ("studentised", Statistic::Studentised),
    ("ranks", Statistic::Ranks),
    ("sum", Statistic::Sum),
];

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (alpha = 1e-6, *, statistic = "studentised", auc = 0.6, leads = 0.05, permutations = 0, seed = 0))]
    fn new(
        alpha: f64,
        statistic: &str,
        auc: f64,
        leads: f64,
        permutations: u32,
        seed: u64,
    ) -> Result<Self> {
        let known = STATISTICS.iter().find(|(name, _)| *name == statistic);
        let Some(&(statistic, _)) = known else {
            return Err(fault(
                ErrorKind::Parameter,
                format!(
                    "statistic `{}` is none of {}",
                    statistic.escape_debug(),
                    STATISTICS.map(|(name, _)| name).join(", ")
                ),
            ));
        };
        let plan = Self {
            alpha,
            statistic,
            auc,
            leads,
            permutations,
            seed,
        };
        plan.settled()?;
        Ok(plan)
    }

    fn __repr__(&self) -> String {
        format!(
            "Plan(alpha={:e}, statistic='{}', auc={}, leads={}, permutations={}, seed={})",
            self.alpha, self.statistic, self.auc, self.leads, self.permutations, self.seed
        )
    }
}

impl Plan {
    /// The plan as the detector takes it.
    fn settled(&self) -> taggant_core::Result<twins::Plan> {
        let known = STATISTICS.iter().find(|(name, _)| *name == self.statistic);
        let statistic = known.map_or(Statistic::default(), |&(_, statistic)| statistic);
        Ok(twins::Plan::new(self.alpha)?
            .with_statistic(statistic)
            .with_auc(self.auc)?
            .with_leads(self.leads)?
            .with_permutations(self.permutations, self.seed))
    }
}

/// The sealed-twin test: does a suspect know which of several drafts was served?
///
/// >>> from taggant.twins import Plan, TwinTest
/// >>> test = TwinTest(Plan(1e-3))
/// >>> for number in range(40):        # the suspect likes best what account 7f3a was served, 8 times in 10
/// ...     test.add(f"x{number}", "7f3a", 0, [3.0 if number % 10 < 8 else 0.0, 1.0, 0.5, 0.2, 0.1])
/// >>> finding = test.findings().accounts[0]
/// >>> finding.name, finding.report.verdict
/// ('7f3a', 'Detected')
#[pyclass(frozen, module = "taggant.twins")]
pub(crate) struct TwinTest {
    /// Taken only without the interpreter's lock, so that neither can wait for the other.
    test: Mutex<twins::TwinTest>,
    plan: Plan,
}

#[pymethods]
impl TwinTest {
    #[new]
    #[pyo3(signature = (plan = None))]
    fn new(plan: Option<&Bound<'_, Plan>>) -> Result<Self> {
        let plan = match plan {
            Some(plan) => plan.get().clone(),
            None => Plan::new(1e-6, STATISTICS[0].0, 0.6, 0.05, 0, 0)?,
        };
        Ok(Self {
            test: Mutex::new(twins::TwinTest::new(plan.settled()?)),
            plan,
        })
    }

    /// Adds the exchange `id` of `account`, whose draft number `served` was served.
    ///
    /// `scores` has one number for each draft, in their order, larger where the suspect knows it better. All must be scored without
    /// knowing the choice. `cluster` is the group that the account is said to belong to.
    #[pyo3(signature = (id, account, served, scores, *, cluster = None))]
    fn add(
        &self,
        py: Python<'_>,
        id: String,
        account: String,
        served: usize,
        scores: Input<f64>,
        cluster: Option<String>,
    ) -> Result<()> {
        let mut exchange = twins::Exchange::new(id, account, served, scores.list("scores")?);
        if let Some(cluster) = cluster {
            exchange = exchange.in_cluster(cluster);
        }
        Ok(py.detach(|| self.lock().add(exchange))?)
    }

    /// The answer for every account, for every cluster, and for all together. Each of the three is a family of its own.
    ///
    /// More exchanges may be added after; only the e-values stay valid then.
    fn findings(&self, py: Python<'_>) -> Result<Findings> {
        let findings = py.detach(|| {
            let test = self.lock().clone();
            test.findings()
        })?;
        found(py, findings, self.plan.alpha)
    }

    /// What was settled.
    #[getter]
    fn plan(&self) -> Plan {
        self.plan.clone()
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        py.detach(|| self.lock().len())
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!(
            "TwinTest({} exchanges, alpha={:e})",
            self.__len__(py),
            self.plan.alpha
        )
    }
}

impl TwinTest {
    fn lock(&self) -> std::sync::MutexGuard<'_, twins::TwinTest> {
        self.test.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Which accounts fed the suspect? What several tests say of each account, put together and decided.
//!
//! ```
//! use taggant_detector::Verdict;
//! use taggant_detector::attribution::{Attribution, Measured, Nature, Plan};
//!
//! let mut attribution = Attribution::new(Plan::new(1e-3)?);
//! let twins = attribution.kind(Nature::Twins);
//! let canaries = attribution.kind(Nature::Canaries);
//! for number in 1..=100 {
//!     let p = f64::from(number) / 100.0;
//!     attribution.add(twins, &format!("a{number}"), Measured::new(p.log10())?)?;
//! }
//! attribution.add(twins, "fed", Measured::new(-9.0)?)?;
//! attribution.add(canaries, "fed", Measured::new(-4.0)?)?;
//! let findings = attribution.findings()?;
//! assert_eq!(findings.account("fed").map(|found| &found.verdict), Some(&Verdict::Detected));
//! assert_eq!(findings.named().count(), 1);
//! # Ok::<(), taggant_core::Error>(())
//! ```
//!
//! **The null hypothesis of an account** is that the suspect is independent of that account's keys and of the drafts that were picked for
//! it. Its p-values are those of the tests; here they are only combined:
//!
//! - over kinds of evidence by Bonferroni's rule, which needs nothing of their dependence; or by Fisher's, which needs them to be
//!   independent. They are when the keys of the kinds are derived independently (twin, canary and account keys are) and each test's null
//!   law is that of its key alone: given everything else, one p-value then says nothing of the other. The rule is part of the [`Plan`].
//! - over accounts by Holm's method for accusations: the chance of any false one is at most alpha, whatever the dependence; by e-BH for
//!   leads, of which a share at most that of the plan is expected to be wrong.
//! - over the accounts of a cluster by Fisher's rule, within each kind, for accounts' keys are independent; then over kinds as above, and
//!   over clusters by Holm. Clusters are a family of their own.
//!
//! An account without a result of some kind counts there as p = 1 and e = 0, so a row that is left out never helps an accusation. For clusters,
//! which accounts have a result must have been settled without looking at results.
//!
//! **Controls** are innocent accounts that go through the same pipeline. If they fire, the pipeline accuses the innocent, and nobody is named.

mod checks;
mod cohorts;
mod controls;
mod judge;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use taggant_core::{Error, ErrorKind, Result};

pub use cohorts::Cohorts;
pub use controls::{CONTROL_LEVEL, Controls};
pub use texts::same_texts;

use crate::power::Goal;
use crate::report::Verdict;
use crate::stats::PValue;

/// How p-values of different kinds become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Combine {
    /// The smallest times the number of kinds; e-values by their mean. Valid whatever their dependence.
    #[default]
    Bonferroni,
    /// Fisher's rule; e-values by their product. Valid for kinds of independent keys only.
    Fisher,
}

/// What a kind of evidence rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nature {
    /// An account's own key in text: whoever has the key can forge it.
    Keys,
    /// Sealed twins.
    Twins,
    /// Keyed free choices.
    Canaries,
    /// Another test.
    Other,
}

impl Nature {
    /// `keys`, `twins`, `canaries` or `other`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Twins => "twins",
            Self::Canaries => "canaries",
            Self::Other => "other",
        }
    }

    /// What its units are.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Twins => "exchanges",
            Self::Canaries => "slots",
            Self::Keys | Self::Other => "units",
        }
    }
}

/// All that is settled before the results are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    alpha: f64,
    leads: f64,
    combine: Combine,
    family: u64,
}

impl Plan {
    /// Accusations at family-wise level `alpha`, kinds combined by Bonferroni's rule, leads at a false discovery rate of 0.05.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `alpha` lies between 0 and 0.9, ends excluded.
    pub fn new(alpha: f64) -> Result<Self> {
        Goal::new(alpha, POWER)?;
        Ok(Self {
            alpha,
            leads: 0.05,
            combine: Combine::default(),
            family: 0,
        })
    }

    /// With another false discovery rate of the list of leads.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless `rate` lies between 0 and 1, ends excluded.
    pub fn with_leads(mut self, rate: f64) -> Result<Self> {
        if !(rate > 0.0 && rate < 1.0) {
            return Err(parameter(format!(
                "false discovery rate of leads is {rate}; it must lie between 0 and 1"
            )));
        }
        self.leads = rate;
        Ok(self)
    }

    /// With another rule for kinds.
    #[must_use]
    pub fn with_combine(mut self, combine: Combine) -> Self {
        self.combine = combine;
        self
    }

    /// For results of some of `accounts` that were tested: Holm and e-BH count them all.
    #[must_use]
    pub fn with_family(mut self, accounts: u64) -> Self {
        self.family = accounts;
        self
    }
}

/// The power with which estimates of what is needed are made.
const POWER: f64 = 0.9;

/// What one test says of one account.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Measured {
    /// Its p-value.
    pub p_value: PValue,
    /// The logarithm of its e-value; minus infinity for an e-value of 0.
    pub ln_e: Option<f64>,
    /// Exchanges, slots or scored units it rests on.
    pub units: Option<f64>,
    /// Units at which the test would have found the effect that it was planned for.
    pub needed: Option<f64>,
}

impl Measured {
    /// A p-value by its decimal logarithm.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] unless it is a number of at most 0.
    pub fn new(log10_p: f64) -> Result<Self> {
        if !(log10_p <= 0.0 && log10_p.is_finite()) {
            return Err(parameter(format!(
                "log10_p is {log10_p}; it must be a number of at most 0"
            )));
        }
        Ok(Self {
            p_value: PValue::from_ln(log10_p * std::f64::consts::LN_10),
            ln_e: None,
            units: None,
            needed: None,
        })
    }

    /// With an e-value by its decimal logarithm, minus infinity for 0.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for what is not a number, and for infinity.
    pub fn with_log10_e(mut self, log10_e: f64) -> Result<Self> {
        if log10_e.is_nan() || log10_e == f64::INFINITY {
            return Err(parameter(format!(
                "log10_e is {log10_e}; it must be a number, or minus infinity"
            )));
        }
        self.ln_e = Some(log10_e * std::f64::consts::LN_10);
        Ok(self)
    }

    /// With the number of units it rests on and, where known, how many the effect it was planned for needs.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for numbers that are negative or not finite.
    pub fn with_units(mut self, units: f64, needed: Option<f64>) -> Result<Self> {
        for (name, count) in [("units", Some(units)), ("needed", needed)] {
            if let Some(count) = count.filter(|count| !(*count >= 0.0 && count.is_finite())) {
                return Err(parameter(format!(
                    "{name} is {count}; it must be a number that is not negative"
                )));
            }
        }
        self.units = Some(units);
        self.needed = needed;
        Ok(self)
    }
}

/// A kind of evidence, as [`Attribution::kind`] numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(usize);

/// Collects results and decides. The order in which anything is added plays no part.
#[derive(Clone, Debug)]
pub struct Attribution {
    plan: Plan,
    kinds: Vec<Nature>,
    /// Kinds whose served texts were compared among accounts.
    compared: BTreeSet<usize>,
    accounts: BTreeMap<String, Account>,
    clusters: BTreeMap<String, BTreeSet<String>>,
    cohorts: BTreeMap<String, Option<PValue>>,
}

#[derive(Clone, Debug, Default)]
struct Account {
    measured: Vec<Option<Measured>>,
    control: bool,
    /// Kinds whose texts another account is said to have been served as well, and that account.
    shared: Vec<Option<String>>,
    cohort: Option<String>,
    flagged: bool,
}

impl Account {
    /// The result of a kind, unless it rests on shared texts.
    fn usable(&self, kind: usize) -> Option<&Measured> {
        match self.shared.get(kind) {
            Some(Some(_)) => None,
            _ => self.measured.get(kind)?.as_ref(),
        }
    }
}

impl Attribution {
    /// Without results.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            kinds: Vec::new(),
            compared: BTreeSet::new(),
            accounts: BTreeMap::new(),
            clusters: BTreeMap::new(),
            cohorts: BTreeMap::new(),
        }
    }

    /// One more kind of evidence. Every kind counts for every account, so each must be one test with one key for each account.
    pub fn kind(&mut self, nature: Nature) -> Kind {
        self.kinds.push(nature);
        Kind(self.kinds.len() - 1)
    }

    /// What a test says of an account.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a kind that is not one of these, or an account that has a result of this kind already.
    pub fn add(&mut self, kind: Kind, account: &str, measured: Measured) -> Result<()> {
        if kind.0 >= self.kinds.len() {
            return Err(parameter(
                "the kind of evidence is another attribution's".to_owned(),
            ));
        }
        if let Some(known) = self.accounts.get_mut(account) {
            known.measured.resize(self.kinds.len(), None);
            if known.measured[kind.0].is_some() {
                return Err(parameter(format!(
                    "account {} has two results of one kind; each counts once",
                    shown(account)
                )));
            }
            known.measured[kind.0] = Some(measured);
            return Ok(());
        }
        let mut results = vec![None; self.kinds.len()];
        results[kind.0] = Some(measured);
        let new = Account {
            measured: results,
            ..Account::default()
        };
        self.accounts.insert(account.to_owned(), new);
        Ok(())
    }

    /// Says that an account is innocent: a control. It is tested like the others and never named.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for an account without results, or one that is a control already.
    pub fn control(&mut self, account: &str) -> Result<()> {
        let known = self.known(account)?;
        if std::mem::replace(&mut known.control, true) {
            return Err(parameter(format!(
                "control {} occurs twice",
                shown(account)
            )));
        }
        Ok(())
    }

    /// Says that the served texts which the results of `kind` rest on were compared among accounts; [`shared`](Self::shared) tells what
    /// was found.
    pub fn compared(&mut self, kind: Kind) {
        self.compared.insert(kind.0);
    }

    /// Says that the results of `kind` of two accounts rest on the same served texts. Only one of them can have been served these by its
    /// own keyed choice, and which one is not known: neither result counts.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for an account without results, or one beside itself.
    pub fn shared(&mut self, kind: Kind, account: &str, other: &str) -> Result<()> {
        if account == other {
            return Err(parameter(format!(
                "account {} shares texts with itself",
                shown(account)
            )));
        }
        self.known(other)?;
        for (one, other) in [(account, other), (other, account)] {
            let kinds = self.kinds.len();
            let known = self.known(one)?;
            known.shared.resize(kinds, None);
            if let Some(with) = known.shared.get_mut(kind.0) {
                // The first in the order of names, whatever the order of adding.
                if with.as_deref().is_none_or(|with| other < with) {
                    *with = Some(other.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Accounts to be tested together as well. Those without results are counted and say nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for a cluster that exists, is empty, or names an account twice.
    pub fn cluster<'a>(
        &mut self,
        name: &str,
        accounts: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        let mut members = BTreeSet::new();
        for account in accounts {
            if !members.insert(account.to_owned()) {
                return Err(parameter(format!(
                    "cluster {} names account {} twice; each counts once",
                    shown(name),
                    shown(account)
                )));
            }
        }
        if members.is_empty() {
            return Err(parameter(format!(
                "cluster {} has no accounts",
                shown(name)
            )));
        }
        if self.clusters.insert(name.to_owned(), members).is_some() {
            return Err(parameter(format!("cluster {} occurs twice", shown(name))));
        }
        Ok(())
    }

    /// The cohort whose key an account was given at random. `flagged` says that there was reason to suspect it before its cohort was looked
    /// at; where no account is flagged, those named and leads are.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for an account without results, or one that has a cohort already.
    pub fn cohort(&mut self, account: &str, cohort: &str, flagged: bool) -> Result<()> {
        let known = self.known(account)?;
        if known.cohort.is_some() {
            return Err(parameter(format!(
                "account {} has two cohorts",
                shown(account)
            )));
        }
        known.cohort = Some(cohort.to_owned());
        known.flagged = flagged;
        self.cohorts.entry(cohort.to_owned()).or_default();
        Ok(())
    }

    /// What the test of a cohort's key says of the suspect.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] where another p-value was given for the cohort.
    pub fn cohort_result(&mut self, cohort: &str, p_value: PValue) -> Result<()> {
        let known = self.cohorts.entry(cohort.to_owned()).or_default();
        match known {
            Some(known) if *known != p_value => Err(parameter(format!(
                "cohort {} has two p-values, {known} and {p_value}",
                shown(cohort)
            ))),
            _ => {
                *known = Some(p_value);
                Ok(())
            }
        }
    }

    /// Accounts with results, controls among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Decides.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for no account but controls, a control in a cluster, a kind of which some results have an e-value and some
    /// none, one result under two names, and when alpha shared out among the accounts is too small for a number.
    pub fn findings(&self) -> Result<Findings> {
        judge::findings(self)
    }

    fn known(&mut self, account: &str) -> Result<&mut Account> {
        self.accounts.get_mut(account).ok_or_else(|| {
            parameter(format!(
                "account {} has no result in any evidence",
                shown(account)
            ))
        })
    }
}

/// How much more of the kind that says most would decide. Estimates, for planning what to ask next.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Needed {
    /// The kind of evidence, a place in [`Findings::kinds`].
    pub kind: usize,
    /// Units there are.
    pub units: f64,
    /// Units at which an effect of the size seen is found with power 0.9, after Bonferroni over all accounts and kinds; where none is
    /// seen, those that the test's own plan asks for. The effect of an account that was picked for its small p-value is less than what
    /// is seen of it.
    pub needed: Option<f64>,
    /// The same for the largest effect that the result leaves likely (upper 90 % limit): fewer will not do. `None` where even that is
    /// no effect.
    pub least: Option<f64>,
    /// Whether `needed` is the plan's, not that of an effect seen.
    pub planned: bool,
}

/// What is found of an account.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AccountFinding {
    /// The account, as given.
    pub name: String,
    /// Whether it is a control: its verdict says what would have been.
    pub control: bool,
    /// What each kind says, in the order of [`Findings::kinds`].
    pub measured: Vec<Option<Measured>>,
    /// One p-value from all kinds.
    pub p_value: PValue,
    /// It, adjusted for all accounts (Holm).
    pub adjusted: PValue,
    /// One e-value from all kinds, as its logarithm.
    pub ln_e: f64,
    /// Whether it is on the list of leads (e-BH).
    pub lead: bool,
    /// Kinds that on their own are significant for this account at 0.01, not adjusted: what a finding rests on.
    pub basis: Vec<usize>,
    /// What more would decide; `None` for accounts that are named, and where no kind tells its units.
    pub needed: Option<Needed>,
    /// The answer.
    pub verdict: Verdict,
}

impl AccountFinding {
    /// Whether all that supports it is its own key: whoever has that key could have forged it.
    #[must_use]
    pub fn rests_on_keys_alone(&self, kinds: &[Nature]) -> bool {
        !self.basis.is_empty()
            && self
                .basis
                .iter()
                .all(|&kind| kinds.get(kind) == Some(&Nature::Keys))
    }
}

/// What is found of a cluster.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClusterFinding {
    /// The cluster, as given.
    pub name: String,
    /// Its accounts, and those of them with results that count.
    pub accounts: u64,
    /// Those of them with results that count.
    pub tested: u64,
    /// Those that are named one by one.
    pub named: u64,
    /// One p-value from all accounts and kinds.
    pub p_value: PValue,
    /// It, adjusted for all clusters (Holm).
    pub adjusted: PValue,
    /// One e-value from all accounts and kinds, as its logarithm.
    pub ln_e: f64,
    /// What more would decide.
    pub needed: Option<Needed>,
    /// The answer.
    pub verdict: Verdict,
}

/// The answer. Accounts and clusters are each a family of their own: the verdicts of each hold together at alpha.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Findings {
    /// Kinds of evidence, in the order they were made.
    pub kinds: Vec<Nature>,
    /// Accounts that share alpha.
    pub family: u64,
    /// One for each account with results, controls among them, in the order of names.
    pub accounts: Vec<AccountFinding>,
    /// One for each cluster, in the order of names.
    pub clusters: Vec<ClusterFinding>,
    /// What the controls show, where there are some.
    pub controls: Option<Controls>,
    /// Whether cohorts that fire are those of flagged accounts, where cohorts have p-values.
    pub cohorts: Option<Cohorts>,
    /// Detected if an account or a cluster is.
    pub verdict: Verdict,
    /// Results that rest on shared texts; `None` where texts were not compared.
    shared: Option<u64>,
    /// Accounts whose key and twins could be set against each other.
    opposed: u64,
}

impl Findings {
    /// What is found of an account.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<&AccountFinding> {
        let place = self
            .accounts
            .binary_search_by(|found| found.name[..].cmp(name))
            .ok()?;
        self.accounts.get(place)
    }

    /// Accounts that are named.
    pub fn named(&self) -> impl Iterator<Item = &AccountFinding> {
        self.accounts
            .iter()
            .filter(|found| !found.control && found.verdict == Verdict::Detected)
    }

    /// Clusters that hold.
    pub fn holding(&self) -> impl Iterator<Item = &ClusterFinding> {
        self.clusters
            .iter()
            .filter(|found| found.verdict == Verdict::Detected)
    }
}

fn parameter(message: String) -> Error {
    Error::new(ErrorKind::Parameter, message)
}

/// Untrusted text, short enough to print.
fn shown(text: &str) -> String {
    let short: String = text.escape_debug().take(64).collect();
    format!("`{short}`")
}

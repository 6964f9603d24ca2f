//! From results to verdicts.

use std::collections::{BTreeMap, BTreeSet};

use libm::ceil;
use taggant_core::Result;

use super::{
    Account, AccountFinding, Attribution, ClusterFinding, Cohorts, Combine, Controls, Findings,
    Measured, Nature, Needed, POWER, Plan, parameter, shown,
};
use crate::power::{FEASIBLE, Goal};
use crate::report::{Reason, Verdict};
use crate::stats::{PValue, e_bh, fisher, holm_among, least_of, mean, normal_quantile, product};

/// A kind supports a finding from this p-value on.
const SUPPORT: f64 = 0.01;

/// Twins with a larger p-value say nothing.
const SILENT: f64 = 0.05;

/// One p-value and one e-value for each kind, for an account or a cluster; what is missing counts as none.
struct Tally {
    p: Vec<PValue>,
    /// `None` where there is no result.
    ln_e: Vec<Option<f64>>,
    /// Units and planned units of each kind, where told.
    units: Vec<Option<(f64, Option<f64>)>>,
}

impl Tally {
    fn of_account(account: &Account, kinds: usize) -> Self {
        let results = || (0..kinds).map(|kind| account.usable(kind));
        Self {
            p: results()
                .map(|result| result.map_or(PValue::ONE, |result| result.p_value))
                .collect(),
            ln_e: results().map(|result| result.map(ln_e)).collect(),
            units: results()
                .map(|result| result.and_then(|result| Some((result.units?, result.needed))))
                .collect(),
        }
    }

    /// Accounts with independent keys: Fisher's rule and products within each kind.
    fn of_cluster(members: &[&Account], kinds: usize) -> Self {
        let mut tally = Self {
            p: Vec::new(),
            ln_e: Vec::new(),
            units: Vec::new(),
        };
        for kind in 0..kinds {
            let results: Vec<&Measured> = members
                .iter()
                .filter_map(|member| member.usable(kind))
                .collect();
            let p: Vec<PValue> = results.iter().map(|result| result.p_value).collect();
            let ln_es: Vec<f64> = results.iter().map(|result| ln_e(result)).collect();
            let units: Option<f64> = results.iter().map(|result| result.units).sum();
            tally.p.push(fisher(&p));
            tally
                .ln_e
                .push((!results.is_empty()).then(|| product(&ln_es)));
            // A plan for one account is none for a cluster.
            tally.units.push(
                units
                    .filter(|_| !results.is_empty())
                    .map(|units| (units, None)),
            );
        }
        tally
    }

    fn p_value(&self, combine: Combine) -> PValue {
        match combine {
            Combine::Bonferroni => least_of(&self.p),
            Combine::Fisher => fisher(&self.p),
        }
    }

    fn ln_e(&self, combine: Combine) -> f64 {
        match combine {
            // A missing e-value is 0, so that none can be had by leaving it out.
            Combine::Bonferroni => {
                let ln_e: Vec<f64> = self
                    .ln_e
                    .iter()
                    .map(|ln_e| ln_e.unwrap_or(f64::NEG_INFINITY))
                    .collect();
                mean(&ln_e)
            }
            Combine::Fisher => {
                let ln_e: Vec<f64> = self.ln_e.iter().copied().flatten().collect();
                product(&ln_e)
            }
        }
    }

    fn basis(&self) -> Vec<usize> {
        (0..self.p.len())
            .filter(|&kind| self.p[kind].at_most(SUPPORT))
            .collect()
    }

    /// What more would decide, where the statistic must be shifted by `shift` standard deviations: of the kind that says most, or
    /// else of the first with something to plan with.
    fn needed(&self, shift: f64) -> Option<Needed> {
        let mut order: Vec<usize> = (0..self.p.len())
            .filter(|&kind| self.units[kind].is_some())
            .collect();
        order.sort_by(|&a, &b| self.p[a].ln().total_cmp(&self.p[b].ln()));
        let mut first = None;
        for kind in order {
            let needed = self.needed_of(kind, shift)?;
            if needed.needed.is_some() {
                return Some(needed);
            }
            first = first.or(Some(needed));
        }
        first
    }

    fn needed_of(&self, kind: usize, shift: f64) -> Option<Needed> {
        let (units, plan) = self.units[kind]?;
        let z = normal_quantile(self.p[kind]);
        // Evidence grows with the square root of the number of units.
        let at = |z: f64| {
            let ratio = shift / z;
            let needed = ceil(units * ratio * ratio).max(units + 1.0);
            (z > 0.0 && units > 0.0 && needed <= FEASIBLE).then_some(needed)
        };
        let seen = at(z);
        Some(Needed {
            kind,
            units,
            needed: seen.or(plan),
            least: at(z + UPPER),
            planned: seen.is_none() && plan.is_some(),
        })
    }
}

/// Whether a test had units enough to find what it was planned for.
fn enough(result: &Measured) -> bool {
    match (result.units, result.needed) {
        (Some(units), Some(needed)) => needed > 0.0 && units >= needed,
        _ => false,
    }
}

/// The upper 90 % limit of a normal mean lies this many standard deviations above what is seen.
const UPPER: f64 = 1.281_551_565_544_600_4;

/// A result's e-value; from its p-value where it has none: `1/(2√p)` integrates to 1 over the unit interval, so its mean is at most 1
/// under the null (Vovk and Wang 2021).
fn ln_e(result: &Measured) -> f64 {
    result
        .ln_e
        .unwrap_or(-0.5 * result.p_value.ln() - std::f64::consts::LN_2)
}

pub(super) fn findings(input: &Attribution) -> Result<Findings> {
    check(input)?;
    let kinds = input.kinds.len();
    let Plan {
        alpha,
        leads,
        combine,
        family,
    } = input.plan;
    let tallies: Vec<Tally> = input
        .accounts
        .values()
        .map(|account| Tally::of_account(account, kinds))
        .collect();
    let p_values: Vec<PValue> = tallies.iter().map(|tally| tally.p_value(combine)).collect();
    let ln_es: Vec<f64> = tallies.iter().map(|tally| tally.ln_e(combine)).collect();
    let is_control: Vec<bool> = input
        .accounts
        .values()
        .map(|account| account.control)
        .collect();
    let of = |control: bool| -> Vec<usize> {
        (0..tallies.len())
            .filter(|&index| is_control[index] == control)
            .collect()
    };
    let (suspects, controls) = (of(false), of(true));
    let family = family.max(suspects.len() as u64);
    let goal = Goal::new(alpha, POWER)?.shared_by(family.saturating_mul(kinds as u64))?;
    let shift = goal.shift();

    let mut adjusted = vec![PValue::ONE; tallies.len()];
    for group in [&suspects, &controls] {
        let list: Vec<PValue> = group.iter().map(|&index| p_values[index]).collect();
        for (&index, value) in group.iter().zip(holm_among(&list, family)) {
            adjusted[index] = value;
        }
    }
    // Accounts that are not here have an e-value of 0: e-BH over all is that of those here at their share of the level.
    let list: Vec<f64> = suspects.iter().map(|&index| ln_es[index]).collect();
    #[expect(clippy::cast_precision_loss, reason = "a ratio, for leads only")]
    let share = list.len() as f64 / family as f64;
    let mut lead = vec![false; tallies.len()];
    for place in e_bh(&list, leads * share) {
        if let Some(&index) = suspects.get(place) {
            lead[index] = true;
        }
    }

    let report = {
        let list: Vec<PValue> = controls.iter().map(|&index| p_values[index]).collect();
        let members: Vec<&Account> = input
            .accounts
            .values()
            .filter(|account| account.control)
            .collect();
        let pooled = Tally::of_cluster(&members, kinds).p_value(combine);
        Controls::with_pooled(&list, pooled, family, alpha)
    };
    let withheld = report
        .filter(|controls| controls.fire)
        .map(|controls| Reason::ControlsFire {
            controls: controls.accounts,
            named: controls.named,
            log10_p: controls.p_value.log10(),
        });

    let mut accounts = Vec::with_capacity(tallies.len());
    let (mut suspicious, mut forged) = (vec![false; tallies.len()], BTreeSet::new());
    for (index, (name, account)) in input.accounts.iter().enumerate() {
        let tally = &tallies[index];
        let significant = adjusted[index].at_most(alpha);
        let needed = (!significant).then(|| tally.needed(shift)).flatten();
        suspicious[index] = significant || lead[index];
        let verdict = if significant {
            let spoofed = spoofed(input, account, tally);
            if spoofed.is_some() {
                forged.insert(&name[..]);
            }
            match (&withheld, spoofed) {
                (Some(reason), _) if !account.control => Verdict::Inconclusive(reason.clone()),
                (_, Some(reason)) => Verdict::Inconclusive(reason),
                _ => Verdict::Detected,
            }
        } else if let Some(reason) = contested(input, account, goal.alpha()) {
            Verdict::Inconclusive(reason)
        } else if !lead[index]
            && tally.basis().is_empty()
            && (0..kinds).any(|kind| account.usable(kind).is_some_and(enough))
        {
            // What points to an account is no no.
            Verdict::NotDetected
        } else {
            Verdict::Inconclusive(too_little(needed, &input.kinds))
        };
        accounts.push(AccountFinding {
            name: name.clone(),
            control: account.control,
            measured: account.measured.clone(),
            p_value: p_values[index],
            adjusted: adjusted[index],
            ln_e: ln_es[index],
            // A pipeline that accuses innocents has no leads either.
            lead: lead[index] && withheld.is_none(),
            basis: tally.basis(),
            needed,
            verdict,
        });
    }
    for account in &mut accounts {
        account.measured.resize(kinds, None);
    }
    let cohorts = cohorts(input, &suspicious);
    let clusters = clusters(input, &accounts, &forged, withheld.as_ref())?;
    let verdict = overall(&accounts, &clusters, withheld);
    Ok(Findings {
        kinds: input.kinds.clone(),
        family,
        accounts,
        clusters,
        controls: report,
        cohorts,
        verdict,
        shared: (!input.compared.is_empty()).then(|| {
            let accounts = input.accounts.values();
            accounts
                .map(|account| account.shared.iter().flatten().count() as u64)
                .sum()
        }),
        opposed: input
            .accounts
            .values()
            .filter(|account| opposed(input, account))
            .count() as u64,
    })
}

fn check(input: &Attribution) -> Result<()> {
    if input.accounts.values().all(|account| account.control) {
        return Err(parameter(format!(
            "no account to decide on: {} accounts have results, all of them controls",
            input.accounts.len()
        )));
    }
    for (name, members) in &input.clusters {
        let control = members.iter().find(|member| {
            input
                .accounts
                .get(*member)
                .is_some_and(|account| account.control)
        });
        if let Some(control) = control {
            return Err(parameter(format!(
                "account {} is a control and in cluster {}; it cannot be both innocent and in question",
                shown(control),
                shown(name)
            )));
        }
    }
    let result = |account: &Account, kind: usize| account.measured.get(kind).copied().flatten();
    for (kind, nature) in input.kinds.iter().enumerate() {
        let mut with: Option<(&str, bool)> = None;
        for (name, account) in &input.accounts {
            let Some(result) = result(account, kind) else {
                continue;
            };
            let has = result.ln_e.is_some();
            match with {
                Some((other, had)) if had != has => {
                    let (with, without) = if has {
                        (&name[..], other)
                    } else {
                        (other, &name[..])
                    };
                    return Err(parameter(format!(
                        "of the {} results, account {} has an e-value and {} has none; all must have one, or none",
                        nature.name(),
                        shown(with),
                        shown(without)
                    )));
                }
                _ => with = Some((name, has)),
            }
        }
        for other in 0..kind {
            let same = input
                .accounts
                .values()
                .all(|account| result(account, kind) == result(account, other));
            let telling = input.accounts.values().any(|account| {
                result(account, kind).is_some_and(|result| result.p_value < PValue::ONE)
            });
            if same && telling && input.kinds[other] == *nature {
                return Err(parameter(format!(
                    "two kinds of evidence ({} and {}) hold the same results; each counts once",
                    other + 1,
                    kind + 1
                )));
            }
        }
    }
    Ok(())
}

/// A key that fires beside twins that had enough exchanges and say nothing.
fn spoofed(input: &Attribution, account: &Account, tally: &Tally) -> Option<Reason> {
    let basis = tally.basis();
    if basis.is_empty() || basis.iter().any(|&kind| input.kinds[kind] != Nature::Keys) {
        return None;
    }
    (0..input.kinds.len())
        .filter(|&kind| input.kinds[kind] == Nature::Twins)
        .find_map(|kind| {
            let twins = account.usable(kind)?;
            let silent = !twins.p_value.at_most(SILENT);
            (silent && enough(twins)).then(|| Reason::SuspectedSpoof {
                exchanges: twins.units.unwrap_or_default(),
                log10_p: twins.p_value.log10(),
            })
        })
}

/// Whether an account has a result of its key and twins enough to contradict it.
fn opposed(input: &Attribution, account: &Account) -> bool {
    let usable = |nature: Nature| {
        (0..input.kinds.len())
            .filter(move |&kind| input.kinds[kind] == nature)
            .filter_map(|kind| account.usable(kind))
    };
    usable(Nature::Keys).next().is_some() && usable(Nature::Twins).any(enough)
}

/// Evidence strong enough to name an account, which does not count because of shared texts.
fn contested(input: &Attribution, account: &Account, alpha: f64) -> Option<Reason> {
    (0..input.kinds.len()).find_map(|kind| {
        let with = account.shared.get(kind)?.as_ref()?;
        let result = account.measured.get(kind)?.as_ref()?;
        result
            .p_value
            .at_most(alpha)
            .then(|| Reason::SharedTexts { with: with.clone() })
    })
}

fn too_little(needed: Option<Needed>, kinds: &[Nature]) -> Reason {
    match needed {
        Some(needed) => Reason::TooLittleEvidence {
            units: needed.units,
            needed: needed.needed,
            unit: kinds[needed.kind].unit(),
        },
        None => Reason::TooLittleEvidence {
            units: 0.0,
            needed: None,
            unit: Nature::Other.unit(),
        },
    }
}

fn clusters(
    input: &Attribution,
    accounts: &[AccountFinding],
    forged: &BTreeSet<&str>,
    withheld: Option<&Reason>,
) -> Result<Vec<ClusterFinding>> {
    let Plan { alpha, combine, .. } = input.plan;
    let kinds = input.kinds.len();
    let family = input.clusters.len() as u64;
    if family == 0 {
        return Ok(Vec::new());
    }
    let goal = Goal::new(alpha, POWER)?.shared_by(family.saturating_mul(kinds as u64))?;
    let shift = goal.shift();
    let named: BTreeMap<&str, bool> = accounts
        .iter()
        .map(|found| (&found.name[..], found.verdict == Verdict::Detected))
        .collect();
    let members: Vec<Vec<&Account>> = input
        .clusters
        .values()
        .map(|names| {
            names
                .iter()
                // One forged account must not make its cluster hold. Its results say nothing of the others', so nothing is selected.
                .filter(|name| !forged.contains(&name[..]))
                .filter_map(|name| input.accounts.get(name))
                .collect()
        })
        .collect();
    let tallies: Vec<Tally> = members
        .iter()
        .map(|members| Tally::of_cluster(members, kinds))
        .collect();
    let p_values: Vec<PValue> = tallies.iter().map(|tally| tally.p_value(combine)).collect();
    let adjusted = holm_among(&p_values, family);
    let mut found = Vec::new();
    for (index, (name, names)) in input.clusters.iter().enumerate() {
        let tally = &tallies[index];
        let significant = adjusted[index].at_most(alpha);
        let needed = (!significant).then(|| tally.needed(shift)).flatten();
        let verdict = match withheld {
            Some(reason) if significant => Verdict::Inconclusive(reason.clone()),
            _ if significant => Verdict::Detected,
            _ => Verdict::Inconclusive(too_little(needed, &input.kinds)),
        };
        let tested = members[index]
            .iter()
            .filter(|member| (0..kinds).any(|kind| member.usable(kind).is_some()))
            .count();
        let named = names
            .iter()
            .filter(|name| named.get(&name[..]) == Some(&true))
            .count();
        found.push(ClusterFinding {
            name: name.clone(),
            accounts: names.len() as u64,
            tested: tested as u64,
            named: named as u64,
            p_value: p_values[index],
            adjusted: adjusted[index],
            ln_e: tally.ln_e(combine),
            needed,
            verdict,
        });
    }
    Ok(found)
}

fn cohorts(input: &Attribution, suspicious: &[bool]) -> Option<Cohorts> {
    let flagged_before = input.accounts.values().any(|account| account.flagged);
    let mut members: BTreeMap<&str, (PValue, u64, u64)> = input
        .cohorts
        .iter()
        .filter_map(|(name, p)| Some((&name[..], ((*p)?, 0, 0))))
        .collect();
    for (account, &suspicious) in input.accounts.values().zip(suspicious) {
        let cohort = account.cohort.as_deref();
        let Some((_, accounts, flagged)) = cohort.and_then(|cohort| members.get_mut(cohort)) else {
            continue;
        };
        *accounts += 1;
        *flagged += u64::from(if flagged_before {
            account.flagged
        } else {
            suspicious && !account.control
        });
    }
    let members: Vec<(PValue, u64, u64)> = members.into_values().collect();
    Cohorts::of(&members, input.plan.alpha)
}

fn overall(
    accounts: &[AccountFinding],
    clusters: &[ClusterFinding],
    withheld: Option<Reason>,
) -> Verdict {
    if let Some(reason) = withheld {
        return Verdict::Inconclusive(reason);
    }
    let suspects = || accounts.iter().filter(|found| !found.control);
    if suspects().any(|found| found.verdict == Verdict::Detected)
        || clusters
            .iter()
            .any(|found| found.verdict == Verdict::Detected)
    {
        return Verdict::Detected;
    }
    // The reason of the account that comes nearest.
    suspects()
        .filter(|found| matches!(found.verdict, Verdict::Inconclusive(_)))
        .min_by(|a, b| {
            let rank = |found: &AccountFinding| match found.verdict.reason() {
                Some(Reason::TooLittleEvidence { .. }) => found.p_value.ln(),
                // Something stronger than too little evidence stands in the way.
                _ => f64::NEG_INFINITY,
            };
            rank(a).total_cmp(&rank(b))
        })
        .map_or(Verdict::NotDetected, |found| found.verdict.clone())
}

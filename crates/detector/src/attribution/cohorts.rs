//! Cohort keys that were given to accounts at random: do those of the flagged accounts fire?

use crate::stats::{PValue, holm, hypergeometric_tail};

/// Whether flagged accounts sit in the cohorts whose keys the suspect shows.
///
/// Accounts were put into cohorts at random. If a cohort's key got into the suspect by another way than these accounts, such as
/// published answers, then which cohorts fire has nothing to do with who was flagged, and the flagged are a random draw of all accounts:
/// their number in cohorts that fire is hypergeometric, exactly. That holds only if accounts were flagged without their cohort's key.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Cohorts {
    /// Cohorts with a p-value.
    pub cohorts: u64,
    /// Those that fire (Holm over cohorts).
    pub fired: u64,
    /// Accounts of the cohorts with a p-value.
    pub accounts: u64,
    /// Those of cohorts that fire.
    pub in_fired: u64,
    /// Flagged accounts.
    pub flagged: u64,
    /// Those of cohorts that fire.
    pub flagged_in_fired: u64,
    /// `P` of as many or more flagged accounts in cohorts that fire, if labels are unrelated to who was flagged.
    pub p_value: PValue,
}

impl Cohorts {
    /// `members` of each cohort: its p-value, its accounts and how many of them are flagged. `None` without cohorts.
    pub(super) fn of(members: &[(PValue, u64, u64)], alpha: f64) -> Option<Self> {
        if members.is_empty() {
            return None;
        }
        let p_values: Vec<PValue> = members.iter().map(|(p, ..)| *p).collect();
        let mut found = Self {
            cohorts: members.len() as u64,
            fired: 0,
            accounts: 0,
            in_fired: 0,
            flagged: 0,
            flagged_in_fired: 0,
            p_value: PValue::ONE,
        };
        for (adjusted, (_, accounts, flagged)) in holm(&p_values).into_iter().zip(members) {
            found.accounts += accounts;
            found.flagged += flagged;
            if adjusted.at_most(alpha) {
                found.fired += 1;
                found.in_fired += accounts;
                found.flagged_in_fired += flagged;
            }
        }
        found.p_value = hypergeometric_tail(
            found.flagged_in_fired,
            found.accounts,
            found.in_fired,
            found.flagged,
        );
        Some(found)
    }
}

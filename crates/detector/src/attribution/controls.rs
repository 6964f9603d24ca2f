//! Innocent accounts in the same pipeline: does it accuse them?

use crate::stats::{PValue, binomial_tail, fisher, holm_among, least_of};

/// Controls that are less likely than this, if the pipeline is sound, stop every accusation.
pub const CONTROL_LEVEL: f64 = 1e-3;

/// Controls with p-values at most this are counted.
const SMALL: f64 = 0.05;

/// What control accounts show.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Controls {
    /// Control accounts.
    pub accounts: u64,
    /// Their smallest p-value.
    pub smallest: PValue,
    /// Those that would have been named, as members of a family as large as that of the accounts in question (Holm).
    pub named: u64,
    /// Those with a p-value of at most 0.05.
    pub small: u64,
    /// How many of these an innocent family has on average, at most.
    pub expected: f64,
    /// All of them as one cluster, by Fisher's rule: sees a small shift in many.
    pub pooled: PValue,
    /// `P` of anything as extreme if all are innocent and the pipeline is sound: the least of three times three, of the smallest p-value,
    /// of the number of small ones and of all pooled. One-sided: p-values may be larger than uniform ones, never smaller.
    pub p_value: PValue,
    /// Whether every accusation is withheld.
    pub fire: bool,
}

impl Controls {
    /// The p-values of control accounts, beside `family` accounts in question that share `alpha`. `None` without controls.
    #[must_use]
    pub fn of(p_values: &[PValue], family: u64, alpha: f64) -> Option<Self> {
        Self::with_pooled(p_values, fisher(p_values), family, alpha)
    }

    /// The same with the controls' pooled p-value made from more than these.
    pub(super) fn with_pooled(
        p_values: &[PValue],
        pooled: PValue,
        family: u64,
        alpha: f64,
    ) -> Option<Self> {
        let smallest = p_values.iter().copied().min_by(|a, b| {
            let (a, b) = (a.ln(), b.ln());
            a.total_cmp(&b)
        })?;
        let accounts = p_values.len() as u64;
        let named = holm_among(p_values, family)
            .into_iter()
            .filter(|adjusted| adjusted.at_most(alpha))
            .count() as u64;
        let small = p_values.iter().filter(|p| p.at_most(SMALL)).count() as u64;
        let p_value = least_of(&[
            least_of(p_values),
            binomial_tail(small, accounts, SMALL, 1.0 - SMALL),
            pooled,
        ]);
        #[expect(clippy::cast_precision_loss, reason = "counts are below 2^53")]
        let expected = SMALL * accounts as f64;
        Some(Self {
            accounts,
            smallest,
            named,
            small,
            expected,
            pooled,
            p_value,
            fire: named > 0 || p_value.at_most(CONTROL_LEVEL),
        })
    }
}

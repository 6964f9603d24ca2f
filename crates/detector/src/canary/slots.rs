//! What a suspect shows at slots, as tables over the fillers that the key might have chosen.

use std::collections::HashSet;

use libm::{exp, log, log2};
use taggant_core::{Canary, Error, ErrorKind, Result};

use crate::stats::{Law, PValue};

/// The statistic whose p-value decides. It is settled before anything is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Statistic {
    /// In how many slots the account's filler is the suspect's first choice. Its tail is Poisson-binomial, and exact.
    Hits,
    /// `Σ −ln P(rank at most this)`, over slots: sees fillers that rose without becoming the first. Chernoff's bound.
    Ranks,
    /// `Σ` of the share of the suspect's answers, or of its likelihood, that is the account's filler. Chernoff's bound; exact where every
    /// share is 0 or 1.
    Frequencies,
}

impl Statistic {
    /// All statistics.
    pub const ALL: [Self; 3] = [Self::Hits, Self::Ranks, Self::Frequencies];

    /// The statistic's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hits => "hits",
            Self::Ranks => "ranks",
            Self::Frequencies => "frequencies",
        }
    }
}

/// What a suspect shows at a slot, one number for each filler.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Shown {
    /// How many sampled answers use each filler.
    Counts(Vec<u64>),
    /// Natural logarithms of the probability that the suspect gives each filler in its place; −∞ for none.
    LogLikelihoods(Vec<f64>),
}

/// A slot and what a suspect shows there.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    id: String,
    weights: Vec<u32>,
    shown: Shown,
    copied: bool,
}

impl Slot {
    /// A slot whose `fillers` were equally likely to be served.
    #[must_use]
    pub fn new(id: impl Into<String>, fillers: usize, shown: Shown) -> Self {
        Self {
            id: id.into(),
            weights: vec![1; fillers],
            shown,
            copied: false,
        }
    }

    /// The slot with fillers that were served by these weights, one for each ([`Canary::choose_weighted`]).
    #[must_use]
    pub fn with_weights(mut self, weights: Vec<u32>) -> Self {
        self.weights = weights;
        self
    }

    /// The slot, one of whose fillers stood in the suspect's prompt: it is not scored.
    #[must_use]
    pub fn copied(mut self) -> Self {
        self.copied = true;
        self
    }
}

/// Slots of one suspect, each once, tabulated for one statistic.
#[derive(Clone, Debug)]
pub struct Slots {
    statistic: Statistic,
    tables: Vec<Table>,
    known: HashSet<String>,
    repeats: u64,
    copied: u64,
    silent: u64,
}

impl Slots {
    /// No slots yet.
    #[must_use]
    pub fn new(statistic: Statistic) -> Self {
        Self {
            statistic,
            tables: Vec::new(),
            known: HashSet::new(),
            repeats: 0,
            copied: 0,
            silent: 0,
        }
    }

    /// Adds a slot, unless its id was added before, one of its fillers stood in the prompt, or the suspect gave none of them.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`] for fewer than 2 fillers, weights without sum or a log-likelihood that is not one,
    /// [`ErrorKind::Mismatch`] when fillers and numbers are not equally many, [`ErrorKind::Limit`] for an id that is empty or
    /// longer than [`MAX_SLOT`](taggant_core::MAX_SLOT) bytes. All name the slot.
    pub fn add(&mut self, slot: &Slot) -> Result<()> {
        let table = Table::new(slot, self.statistic)
            .map_err(|error| error.context(format_args!("slot `{}`", slot.id.escape_debug())))?;
        if !self.known.insert(slot.id.clone()) {
            self.repeats += 1;
        } else if slot.copied {
            self.copied += 1;
        } else if let Some(table) = table {
            self.tables.push(table);
        } else {
            self.silent += 1;
        }
        Ok(())
    }

    /// The statistic.
    #[must_use]
    pub fn statistic(&self) -> Statistic {
        self.statistic
    }

    /// Slots scored.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether no slot is scored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Slots left out because their id was there already.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Slots left out because a filler stood in the prompt.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.copied
    }

    /// Slots left out because the suspect gave none of the fillers.
    #[must_use]
    pub fn silent(&self) -> u64 {
        self.silent
    }

    /// Slot by slot, what the choices of `key` met with, in the order of adding.
    ///
    /// # Errors
    /// None for slots that were added.
    pub fn outcomes(&self, key: &Canary) -> Result<Vec<Outcome>> {
        let outcome = |table: &Table| table.outcome(table.choice(key)?);
        self.tables.iter().map(outcome).collect()
    }

    pub(super) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The statistic under `key`.
    pub(super) fn score(&self, key: &Canary) -> Result<f64> {
        let telling = self.tables.iter().filter(|table| table.tells());
        telling.map(|table| table.value(table.choice(key)?)).sum()
    }
}

/// What one choice met with at one slot.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The filler's rank among all by what the suspect shows, from 1; of equals, the worst.
    pub rank: u32,
    /// The probability that a key's filler has this rank or a better one: rank/M for M equally likely fillers.
    pub p_value: PValue,
    /// `−log2` of that probability, in bits: `log2 M − log2 rank` (Carlini et al. 2019). A description, not a test.
    pub exposure: f64,
    /// The share of what the suspect shows that is this filler.
    pub share: f64,
    /// The logarithm of an e-value, `1 − λ + λ·share/π` with λ = 1/4 and π the probability of the filler's being served: a quarter of the stake
    /// is on the suspect's own shares. Its mean over keys is 1. Those of distinct slots multiply.
    pub ln_e: f64,
}

/// The stake of a slot's e-value: near the best for first choices of three tenths to a half among eight fillers (0.2 and 0.43).
const STAKE: f64 = 0.25;

/// One slot, seen from each filler.
#[derive(Clone, Debug)]
pub(super) struct Table {
    id: String,
    weights: Vec<u32>,
    total: f64,
    outcomes: Vec<Outcome>,
    /// The statistic's value for each filler.
    values: Vec<f64>,
    /// The null law of the value.
    pub(super) law: Law,
    /// Whether the value differs between fillers that could be chosen.
    tells: bool,
}

impl Table {
    /// The table of a slot; `None` if the suspect shows nothing there.
    fn new(slot: &Slot, statistic: Statistic) -> Result<Option<Self>> {
        let fillers = slot.weights.len();
        if fillers < 2 {
            return Err(parameter(format!(
                "{fillers} fillers; at least 2 are needed for a choice"
            )));
        }
        // Ids and weights that no key can choose by are refused here, once for all keys.
        Canary::decoy(0, 0).choose_weighted(slot.id.as_bytes(), &slot.weights)?;
        let (measure, shares) = slot.shown.measure(fillers)?;
        let Some(shares) = shares else {
            return Ok(None);
        };
        let total: f64 = slot.weights.iter().map(|&weight| f64::from(weight)).sum();
        let outcomes: Vec<Outcome> = (0..fillers)
            .map(|filler| outcome(filler, &measure, &shares, &slot.weights, total))
            .collect();
        let values: Vec<f64> = outcomes
            .iter()
            .map(|outcome| match statistic {
                Statistic::Hits => f64::from(u8::from(outcome.rank == 1)),
                Statistic::Ranks => -outcome.p_value.ln(),
                Statistic::Frequencies => outcome.share,
            })
            .collect();
        let mut possible = values
            .iter()
            .zip(&slot.weights)
            .filter(|(_, weight)| **weight > 0)
            .map(|(value, _)| value.to_bits());
        let first = possible.next();
        let tells = possible.any(|value| Some(value) != first);
        let law = Law::Discrete {
            values: values.clone(),
            probabilities: slot
                .weights
                .iter()
                .map(|&weight| f64::from(weight))
                .collect(),
        };
        Ok(Some(Self {
            id: slot.id.clone(),
            weights: slot.weights.clone(),
            total,
            outcomes,
            values,
            law,
            tells,
        }))
    }

    pub(super) fn choice(&self, key: &Canary) -> Result<usize> {
        let choice = key.choose_weighted(self.id.as_bytes(), &self.weights)?;
        Ok(choice as usize)
    }

    pub(super) fn outcome(&self, choice: usize) -> Result<Outcome> {
        self.outcomes.get(choice).copied().ok_or_else(no_filler)
    }

    pub(super) fn value(&self, choice: usize) -> Result<f64> {
        self.values.get(choice).copied().ok_or_else(no_filler)
    }

    pub(super) fn tells(&self) -> bool {
        self.tells
    }

    /// The probabilities that the value is 1 and that it is 0, if it is never anything else.
    pub(super) fn trial(&self) -> Option<(f64, f64)> {
        let (mut ones, mut zeros) = (0.0, 0.0);
        for (value, &weight) in self.values.iter().zip(&self.weights) {
            if value.to_bits() == 1_f64.to_bits() {
                ones += f64::from(weight);
            } else if value.abs() <= 0.0 {
                zeros += f64::from(weight);
            } else {
                return None;
            }
        }
        Some((ones / self.total, zeros / self.total))
    }

    /// The probability of a hit: that a key's filler is the suspect's only first choice.
    pub(super) fn hit(&self) -> f64 {
        let weights = self.outcomes.iter().zip(&self.weights);
        let first = weights.filter(|(outcome, _)| outcome.rank == 1);
        first.map(|(_, &weight)| f64::from(weight)).sum::<f64>() / self.total
    }

    /// The probability that a key's filler is the suspect's first choice; of several first ones, the first listed.
    pub(super) fn chance(&self) -> f64 {
        let first = self
            .outcomes
            .iter()
            .zip(&self.weights)
            .reduce(|best, next| {
                if next.0.share > best.0.share {
                    next
                } else {
                    best
                }
            });
        first.map_or(0.0, |(_, &weight)| f64::from(weight) / self.total)
    }
}

/// What the choice of `filler` meets with.
fn outcome(filler: usize, measure: &[f64], shares: &[f64], weights: &[u32], total: f64) -> Outcome {
    let mine = measure[filler];
    let not_below = measure
        .iter()
        .zip(weights)
        .filter(|(other, _)| **other >= mine);
    let (mut rank, mut weight) = (0, 0.0);
    for (_, &other) in not_below {
        rank += 1;
        weight += f64::from(other);
    }
    let probability = f64::from(weights[filler]) / total;
    let gain = if probability > 0.0 {
        shares[filler] / probability
    } else {
        // No key chooses it.
        0.0
    };
    Outcome {
        rank,
        p_value: PValue::from_ln(log(weight / total)),
        exposure: log2(total / weight).max(0.0),
        share: shares[filler],
        ln_e: log(1.0 - STAKE + STAKE * gain),
    }
}

impl Shown {
    /// What fillers are ranked by, and their shares, of sum 1, unless nothing is shown.
    fn measure(&self, fillers: usize) -> Result<(Vec<f64>, Option<Vec<f64>>)> {
        let given = match self {
            Self::Counts(counts) => counts.len(),
            Self::LogLikelihoods(lns) => lns.len(),
        };
        if given != fillers {
            return Err(Error::new(
                ErrorKind::Mismatch,
                format!("{given} numbers for {fillers} fillers; give one for each"),
            ));
        }
        let measure: Vec<f64> = match self {
            #[expect(
                clippy::cast_precision_loss,
                reason = "counts of answers are below 2^53"
            )]
            Self::Counts(counts) => counts.iter().map(|&count| count as f64).collect(),
            Self::LogLikelihoods(lns) => {
                if let Some(ln) = lns.iter().find(|ln| ln.is_nan() || **ln == f64::INFINITY) {
                    return Err(parameter(format!(
                        "log-likelihood {ln}; it must be a number or −∞"
                    )));
                }
                lns.clone()
            }
        };
        let most = measure.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let parts: Vec<f64> = match self {
            Self::Counts(_) if most <= 0.0 => return Ok((measure, None)),
            Self::Counts(_) => measure.clone(),
            Self::LogLikelihoods(_) if most.is_infinite() => return Ok((measure, None)),
            Self::LogLikelihoods(_) => measure.iter().map(|ln| exp(ln - most)).collect(),
        };
        let sum: f64 = parts.iter().sum();
        Ok((measure, Some(parts.iter().map(|part| part / sum).collect())))
    }
}

fn no_filler() -> Error {
    parameter("a choice beyond the slot's fillers".to_owned())
}

fn parameter(message: String) -> Error {
    Error::new(ErrorKind::Parameter, message)
}

//! What the suspect shows, slot by slot, from any of the three kinds of file.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use taggant_detector::canary::{Shown, Slot as Scored, Slots, Statistic};

use super::fillers::Fillers;
use super::slots::Slot;
use crate::args::CanaryShown;
use crate::failure::{Failure, Result};
use crate::files;
use crate::rows::{self, Lines};

/// What detection reads of a row; other columns are left alone.
#[derive(Deserialize)]
struct Row {
    slot: String,
    prompt: Option<String>,
    counts: Option<Vec<u64>>,
    log_likelihoods: Option<Vec<Option<f64>>>,
    response: Option<String>,
}

#[derive(Clone, Copy)]
enum Kind {
    Counts,
    Likelihoods,
    Answers,
}

/// A slot that the suspect was asked for.
struct Asked {
    /// Nothing as long as every row's prompt held a filler.
    shown: Option<Shown>,
}

/// The suspect by slot.
pub(super) struct Suspect {
    asked: HashMap<String, Asked>,
    /// Rows read.
    pub(super) rows: u64,
    /// Rows that did not count because their prompt held a filler.
    pub(super) copied: u64,
    /// Rows of slots that had one already, in files that have one row for each.
    pub(super) repeats: u64,
}

impl Suspect {
    pub(super) fn read(args: &CanaryShown, slots: &[Slot]) -> Result<Self> {
        let (path, kind) = match (&args.counts, &args.likelihoods, &args.answers) {
            (Some(path), ..) => (path, Kind::Counts),
            (_, Some(path), _) => (path, Kind::Likelihoods),
            (.., Some(path)) => (path, Kind::Answers),
            _ => {
                return Err(Failure::new("nothing to test")
                    .hint("give --counts, --likelihoods or --answers"));
            }
        };
        let mut suspect = Self {
            asked: HashMap::new(),
            rows: 0,
            copied: 0,
            repeats: 0,
        };
        suspect.lines(path, kind, slots)?;
        Ok(suspect)
    }

    fn lines(&mut self, path: &Path, kind: Kind, slots: &[Slot]) -> Result<()> {
        let known: HashMap<&str, &Slot> = slots.iter().map(|slot| (&*slot.id, slot)).collect();
        let mut searched: HashMap<String, Fillers> = HashMap::new();
        let mut lines = Lines::new(files::open(path)?);
        while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
            line.and_then(rows::parse::<Row>)
                .and_then(|row| {
                    let slot = *known.get(&*row.slot).ok_or_else(|| {
                        Failure::new(format!(
                            "slot `{}` is not in the file of slots",
                            row.slot.escape_debug()
                        ))
                    })?;
                    self.row(row, kind, slot, &mut searched)
                })
                .map_err(|failure| {
                    failure.context(format_args!("{}, line {number}", path.display()))
                })?;
            self.rows += 1;
        }
        Ok(())
    }

    fn row(
        &mut self,
        row: Row,
        kind: Kind,
        slot: &Slot,
        searched: &mut HashMap<String, Fillers>,
    ) -> Result<()> {
        let mut find = |text: &str| -> Result<Vec<bool>> {
            if !searched.contains_key(&slot.id) {
                searched.insert(slot.id.clone(), Fillers::new(&slot.fillers)?);
            }
            Ok(searched
                .get(&slot.id)
                .map(|fillers| fillers.find(text))
                .unwrap_or_default())
        };
        let copied = match &row.prompt {
            // Any of them, not the account's own alone: what is scored must not depend on the key.
            Some(prompt) => find(prompt)?.contains(&true),
            None => false,
        };
        let shown = match kind {
            Kind::Counts => Shown::Counts(column(row.counts, "counts")?),
            Kind::Likelihoods => Shown::LogLikelihoods(
                column(row.log_likelihoods, "log_likelihoods")?
                    .into_iter()
                    .map(|ln| ln.unwrap_or(f64::NEG_INFINITY))
                    .collect(),
            ),
            Kind::Answers => Shown::Counts(
                find(&column(row.response, "response")?)?
                    .into_iter()
                    .map(u64::from)
                    .collect(),
            ),
        };
        // A row that is no such slot's is told of with its line.
        Slots::new(Statistic::Hits).add(&scored(slot, shown.clone()))?;
        let first = !self.asked.contains_key(&slot.id);
        let asked = self
            .asked
            .entry(slot.id.clone())
            .or_insert(Asked { shown: None });
        if !first && !matches!(kind, Kind::Answers) {
            self.repeats += 1;
        } else if copied {
            self.copied += 1;
        } else if let (Some(Shown::Counts(sums)), Shown::Counts(counts)) =
            (&mut asked.shown, &shown)
        {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        } else {
            asked.shown = Some(shown);
        }
        Ok(())
    }

    /// The slots of `slots` that the suspect was asked for, tabulated.
    pub(super) fn tabulate<'a>(
        &self,
        slots: impl Iterator<Item = &'a Slot>,
        statistic: Statistic,
    ) -> Result<Slots> {
        let mut tabulated = Slots::new(statistic);
        for slot in slots {
            let Some(asked) = self.asked.get(&slot.id) else {
                continue;
            };
            tabulated.add(&match &asked.shown {
                Some(shown) => scored(slot, shown.clone()),
                None => scored(slot, Shown::Counts(vec![0; slot.fillers.len()])).copied(),
            })?;
        }
        Ok(tabulated)
    }

    /// How many slots the suspect was asked for.
    pub(super) fn slots(&self) -> usize {
        self.asked.len()
    }
}

fn scored(slot: &Slot, shown: Shown) -> Scored {
    Scored::new(&*slot.id, slot.fillers.len(), shown).with_weights(slot.weights())
}

fn column<T>(value: Option<T>, name: &str) -> Result<T> {
    value.ok_or_else(|| Failure::new(format!("no `{name}`")).hint("a row needs it"))
}

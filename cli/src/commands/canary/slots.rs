//! The file of slots.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use taggant_core::Canary as Choices;

use crate::failure::{Failure, Result};
use crate::files;
use crate::rows::{self, Lines};

/// A slot. A misspelled column would change its law, so unknown ones are refused.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slot {
    pub(super) id: String,
    pub(super) fillers: Vec<String>,
    /// How often each filler is to be served; equally often without.
    weights: Option<Vec<u32>>,
    /// The account that alone is served the slot; all are without.
    account: Option<String>,
}

impl Slot {
    pub(super) fn weights(&self) -> Vec<u32> {
        self.weights
            .clone()
            .unwrap_or_else(|| vec![1; self.fillers.len()])
    }

    pub(super) fn serves(&self, account: &str) -> bool {
        self.account.as_deref().is_none_or(|own| own == account)
    }

    pub(super) fn is_own(&self) -> bool {
        self.account.is_some()
    }

    /// The place of the filler that an account is served.
    pub(super) fn choice(&self, choices: &Choices) -> taggant_core::Result<usize> {
        let chosen = choices.choose_weighted(self.id.as_bytes(), &self.weights())?;
        Ok(chosen as usize)
    }

    fn check(&self) -> Result<()> {
        if self.id.contains("}}") {
            return Err(Failure::new(
                "the slot's id holds `}}`, which ends a placeholder",
            ));
        }
        if self.fillers.len() < 2 {
            return Err(Failure::new(format!(
                "slot `{}` has {} fillers; at least 2 are needed for a choice",
                self.id.escape_debug(),
                self.fillers.len()
            )));
        }
        let weights = self.weights();
        if weights.len() != self.fillers.len() {
            return Err(Failure::new(format!(
                "slot `{}` has {} weights for {} fillers; give one for each, or none",
                self.id.escape_debug(),
                weights.len(),
                self.fillers.len()
            )));
        }
        // Whatever no key can choose by.
        self.choice(&Choices::decoy(0, 0)).map_err(|error| {
            Failure::from(error.context(format_args!("slot `{}`", self.id.escape_debug())))
        })?;
        Ok(())
    }
}

/// All slots of a file, each once, in its order.
pub(super) fn read(path: &Path) -> Result<Vec<Slot>> {
    let mut slots: Vec<Slot> = Vec::new();
    let mut places: HashMap<String, (usize, u64)> = HashMap::new();
    let mut lines = Lines::new(files::open(path)?);
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
        let place = || format!("{}, line {number}", path.display());
        let slot: Slot = line
            .and_then(rows::parse)
            .map_err(|failure| failure.context(place()))?;
        slot.check().map_err(|failure| failure.context(place()))?;
        if let Some(&(index, first)) = places.get(&slot.id) {
            if slots[index] != slot {
                return Err(Failure::new(format!(
                    "{}: slot `{}` differs from that of line {first}",
                    place(),
                    slot.id.escape_debug()
                ))
                .hint("an id names one choice for ever; give the other slot its own"));
            }
            continue;
        }
        places.insert(slot.id.clone(), (slots.len(), number));
        slots.push(slot);
    }
    if slots.is_empty() {
        return Err(Failure::new(format!("{}: no slots", path.display()))
            .hint("give one {\"id\":…,\"fillers\":[…]} a line"));
    }
    Ok(slots)
}

//! `canary plan | apply | score | test`: keyed free choices.

mod apply;
mod fillers;
mod plan;
mod score;
mod slots;
mod suspect;
mod test;

use std::path::Path;

use taggant_core::{Canary as Choices, LeafKey};

use crate::Answer;
use crate::args::Canary;
use crate::failure::{Failure, Result};
use crate::files;

pub(crate) fn run(command: &Canary) -> Result<Answer> {
    match command {
        Canary::Plan(args) => plan::run(args),
        Canary::Apply(args) => apply::run(args),
        Canary::Score(args) => score::run(args),
        Canary::Test(args) => test::run(args),
    }
}

/// The keys of a file with the choices they make, one key for each account.
fn read_accounts(path: &Path) -> Result<Vec<(LeafKey, Choices)>> {
    let keys = files::read_keys(path)?;
    let mut accounts = std::collections::HashMap::new();
    let mut read = Vec::with_capacity(keys.len());
    for (number, key) in (1..).zip(keys) {
        // Paths may name accounts, so keys go by their place.
        let place = |number: usize| format!("{}, key {number}", path.display());
        if let Some(other) = accounts.insert(key.path().id().to_owned(), number) {
            return Err(Failure::new(format!(
                "{}: of the same account as key {other}",
                place(number)
            ))
            .hint("give one key for each account, all of one epoch"));
        }
        let choices = Choices::new(&key).map_err(|error| {
            Failure::from(error.context(place(number)))
                .hint("derive keys at paths such as 2026-12/canary/7f3a")
        })?;
        read.push((key, choices));
    }
    Ok(read)
}

//! `canary plan`: the filler of every slot for every account.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{read_accounts, slots};
use crate::Answer;
use crate::args::CanaryPlan;
use crate::failure::{Failure, Result};
use crate::files;
use crate::output::say;

/// What one account is served at one slot. Whoever has it can tell the choices, so it is as secret as the key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) account: String,
    pub(super) slot: String,
    pub(super) choice: usize,
    pub(super) filler: String,
}

pub(super) fn run(args: &CanaryPlan) -> Result<Answer> {
    let slots = slots::read(&args.files.slots)?;
    let accounts = read_accounts(&args.files.keys)?;
    let mut text = Zeroizing::new(String::new());
    let mut entries = 0_u64;
    for (key, choices) in &accounts {
        let account = key.path().id();
        for slot in slots.iter().filter(|slot| slot.serves(account)) {
            let choice = slot.choice(choices)?;
            let entry = Entry {
                account: account.to_owned(),
                slot: slot.id.clone(),
                choice,
                filler: slot.fillers.get(choice).cloned().unwrap_or_default(),
            };
            let line =
                serde_json::to_string(&entry).map_err(|error| Failure::new(error.to_string()))?;
            if entries > 0 {
                text.push('\n');
            }
            text.push_str(&line);
            entries += 1;
        }
    }
    if entries == 0 {
        return Err(Failure::new("no slot is served to any of these accounts")
            .hint("a slot's `account` is the last label of its key's path"));
    }
    files::write_secret(&args.out, &text)?;
    say(&format!(
        "{}: {entries} choices for {} accounts; keep it as secret as the keys",
        args.out.display(),
        accounts.len()
    ));
    Ok(Answer::Yes)
}

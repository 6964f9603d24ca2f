//! `case accounts`: whose accounts they are, on their custodian's word.

use std::path::Path;

use taggant_evidence::bundle::{ACCOUNTS, Account, Accounts, EPOCH, Folder};

use crate::Answer;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::rows::{self, Lines};

/// Signs the rows into the case.
pub(super) fn state(path: &Path, input: &Path, signer: &Path) -> Result<Answer> {
    let folder = Folder::open(path)?;
    let epoch = folder.digest(EPOCH)?;
    let mut accounts: Vec<Account> = Vec::new();
    let mut lines = Lines::new(files::open(input)?);
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(input, &error))? {
        let place =
            |failure: Failure| failure.context(format_args!("{}, line {number}", input.display()));
        let account: Account = line.and_then(rows::parse).map_err(place)?;
        if accounts
            .iter()
            .any(|other| other.pseudonym == account.pseudonym)
        {
            return Err(place(
                Failure::new(format!("{} stands there twice", account.pseudonym))
                    .hint("give each account once"),
            ));
        }
        accounts.push(account);
    }
    if accounts.is_empty() {
        return Err(Failure::new(format!("{}: no account", input.display()))
            .hint("without accounts there is nothing to state"));
    }
    let mut envelope = Accounts { accounts }.state(epoch)?;
    envelope.sign(&files::read_signer(signer)?);
    let to = path.join(ACCOUNTS);
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(|error| Failure::io(parent, &error))?;
    }
    let mut output = Output::fresh(&to)?;
    output.bytes(envelope.to_json().as_bytes())?;
    output.finish()?;
    say(&format!("{}: written", to.display()));
    Ok(Answer::Yes)
}

//! What was checked before anyone was named, and what was not.

use super::Findings;
use crate::report::{Check, Status};

impl Findings {
    /// Every check that the verdicts rest on.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        vec![
            Check {
                name: "controls",
                status: match &self.controls {
                    Some(controls) => Status::Run(format!(
                        "{} innocent accounts, {} would have been named, p = {}",
                        controls.accounts, controls.named, controls.p_value
                    )),
                    None => Status::Skipped(
                        "no control accounts: nothing shows that the pipeline spares the innocent"
                            .to_owned(),
                    ),
                },
            },
            Check {
                name: "shared texts",
                status: match self.shared {
                    Some(results) => {
                        Status::Run(format!("{results} results left out for shared texts"))
                    }
                    None => Status::Skipped("served texts were not compared".to_owned()),
                },
            },
            Check {
                name: "keys against twins",
                status: match self.opposed {
                    0 => Status::Skipped(
                        "no account has its key tested and twins enough to contradict it"
                            .to_owned(),
                    ),
                    accounts => Status::Run(format!(
                        "{accounts} of {} accounts have both",
                        self.accounts.len()
                    )),
                },
            },
            Check {
                name: "cohorts",
                status: match &self.cohorts {
                    Some(found) if found.fired == 0 => {
                        Status::NotApplicable(format!("none of {} cohorts fires", found.cohorts))
                    }
                    Some(found) if found.flagged == 0 => {
                        Status::NotApplicable("no account is flagged".to_owned())
                    }
                    Some(found) => Status::Run(format!(
                        "{} of {} flagged accounts are in cohorts that fire, {} of all {}: p = {} if labels were unrelated",
                        found.flagged_in_fired,
                        found.flagged,
                        found.in_fired,
                        found.accounts,
                        found.p_value
                    )),
                    None => Status::Skipped("no cohort has a p-value".to_owned()),
                },
            },
        ]
    }
}

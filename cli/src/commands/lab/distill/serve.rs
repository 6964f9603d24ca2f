//! The provider's side: keys, answers, twins, canaries, the log.

use serde_json::{Value, json};

use super::bench::Bench;
use super::{Lab, prompts};
use crate::failure::Result;

/// How the teacher samples, everywhere.
pub(super) const SAMPLING: &str = "--top-p 0.95";

/// The accounts that feed the student are those of campaign east; west is what everybody else is served under.
const CAMPAIGNS: [&str; 2] = ["east", "west"];

/// Account keys that are never issued: what p-values look like where nothing is.
const NEVER: usize = 200;

/// A part of the mixture that carries a key of its own.
pub(super) struct Cohort {
    pub(super) name: String,
    pub(super) scheme: &'static str,
    pub(super) window: usize,
    /// Its exchanges, counted over the mixture.
    pub(super) exchanges: std::ops::Range<usize>,
}

impl Cohort {
    /// Whether it is one of the shares, and not a cell of scheme and window.
    pub(super) fn is_share(&self) -> bool {
        self.name.starts_with("share")
    }
}

impl Lab<'_> {
    pub(super) fn serve(&self, bench: &mut Bench) -> Result<()> {
        self.keys(bench)?;
        self.answers(bench)?;
        self.canaries(bench)?;
        self.mixture(bench)?;
        self.log(bench)
    }

    fn keys(&self, bench: &mut Bench) -> Result<()> {
        bench.run("root.key", "key new --out root.key")?;
        let cohorts = self.cohorts();
        let single = (CAMPAIGNS.iter().map(|name| format!("campaign/{name}")))
            .chain(
                cohorts
                    .iter()
                    .map(|cohort| format!("campaign/{}", cohort.name)),
            )
            .chain(["twin/drafts".to_owned(), "pseudonym/accounts".to_owned()]);
        for path in single {
            let file = path.rsplit('/').next().unwrap_or_default();
            bench.run(
                &format!("{file}.key"),
                &format!("key derive --root root.key --path lab/{path} --out {file}.key"),
            )?;
        }
        let of_accounts = |role: &str| -> Vec<String> {
            (0..self.accounts())
                .map(|number| format!("lab/{role}/{}", Self::account(number)))
                .collect()
        };
        bench.lines("account-paths.txt", of_accounts("account"))?;
        bench.lines("canary-paths.txt", of_accounts("canary"))?;
        bench.lines(
            "never-issued.txt",
            (0..NEVER).map(|number| format!("lab/account/never-{number:03}")),
        )?;
        for (paths, keys) in [
            ("account-paths.txt", "accounts.keys"),
            ("canary-paths.txt", "canaries.keys"),
            ("never-issued.txt", "never-issued.keys"),
        ] {
            bench.run(
                keys,
                &format!("key derive --root root.key --paths {paths} --out {keys}"),
            )?;
        }
        bench.run(
            "epoch.json",
            "key commit --root root.key --epoch lab --out epoch.json",
        )
    }

    /// Accounts' exchanges: drafts, of which the twin key picks one.
    fn answers(&self, bench: &mut Bench) -> Result<()> {
        let sizes = self.sizes;
        for (campaign, accounts) in CAMPAIGNS
            .iter()
            .zip([0..sizes.fed, sizes.fed..self.accounts()])
        {
            bench.write(&format!("prompts-{campaign}.jsonl"), || {
                let exchange = |account: usize, number: usize| {
                    json!({
                        "id": format!("{}-{number}", Self::account(account)),
                        "account": Self::account(account),
                        "cluster": campaign,
                        "prompt": prompts::question(account * sizes.exchanges + number),
                    })
                };
                Ok(accounts
                    .flat_map(|account| {
                        (0..sizes.exchanges).map(move |number| exchange(account, number))
                    })
                    .collect())
            })?;
            bench.run(
                &format!("drafts-{campaign}.jsonl"),
                &format!(
                    "generate --model {} --profile strong --key {campaign}.key --account-keys accounts.keys --drafts {} --max-tokens {} {SAMPLING} \
                     --seed {} --prompts prompts-{campaign}.jsonl --out drafts-{campaign}.jsonl --record {campaign}.json",
                    self.model,
                    sizes.drafts,
                    sizes.tokens,
                    self.seed + 1
                ),
            )?;
        }
        // Without a mark: to the same prompts, which is what an innocent student learns from, and to as many others, which wash a student.
        bench.write("prompts-others.jsonl", || {
            let mut rows = bench.read("prompts-west.jsonl")?;
            rows.truncate(sizes.fed * sizes.exchanges);
            Ok(rows)
        })?;
        for prompts in if sizes.all {
            &["east", "others"][..]
        } else {
            &["east"]
        } {
            bench.run(
                &format!("plain-{prompts}.jsonl"),
                &format!(
                    "generate --model {} --plain --max-tokens {} {SAMPLING} --seed {} --prompts prompts-{prompts}.jsonl --out plain-{prompts}.jsonl",
                    self.model,
                    sizes.tokens,
                    self.seed + 2
                ),
            )?;
        }
        bench.write("drafts.jsonl", || {
            let mut all = bench.read("drafts-east.jsonl")?;
            all.extend(bench.read("drafts-west.jsonl")?);
            Ok(all)
        })?;
        // Drafts are drawn once: a sealed file is never replaced.
        bench.anew("served.jsonl", &["sealed.jsonl"])?;
        bench.run(
            "served.jsonl",
            "twins draw --key drafts.key --input drafts.jsonl --out served.jsonl --sealed sealed.jsonl",
        )?;
        bench.run(
            "seals.jsonl",
            "twins seal --sealed sealed.jsonl --out seals.jsonl",
        )?;
        for campaign in CAMPAIGNS {
            bench.write(&format!("served-{campaign}.jsonl"), || {
                let mut rows = bench.read("served.jsonl")?;
                rows.retain(|row| row["cluster"] == campaign);
                Ok(rows)
            })?;
        }
        Ok(())
    }

    /// Exchanges whose answer is a name that the account's key picks.
    fn canaries(&self, bench: &mut Bench) -> Result<()> {
        let slots = || {
            (0..self.accounts()).flat_map(|account| {
                (0..self.sizes.canaries).map(move |number| {
                    (
                        account,
                        format!("{}-name{number}", Self::account(account)),
                        number,
                    )
                })
            })
        };
        bench.write("slots.jsonl", || {
            let slot = |(account, id, _)| json!({"id": id, "fillers": prompts::NAMES, "account": Self::account(account)});
            Ok(slots().map(slot).collect())
        })?;
        bench.write("named.jsonl", || {
            let row = |(account, id, number): (usize, String, usize)| {
                json!({
                    "id": id,
                    "slot": id,
                    "account": Self::account(account),
                    "prompt": prompts::naming(account * self.sizes.canaries + number),
                    "response": format!("You could call it {{{{slot:{id}}}}}."),
                    "unmarked": "keyed choice",
                })
            };
            Ok(slots().map(row).collect())
        })?;
        bench.run(
            "plan.jsonl",
            "canary plan --slots slots.jsonl --keys canaries.keys --out plan.jsonl",
        )?;
        bench.run(
            "served-names.jsonl",
            "canary apply --plan plan.jsonl --input named.jsonl --out served-names.jsonl",
        )
    }

    /// What the mixture is made of: 20, 5 and 1 % of it carry one key each, the rest is dealt to every scheme and window.
    pub(super) fn cohorts(&self) -> Vec<Cohort> {
        let total = self.sizes.mixture;
        if total == 0 {
            return Vec::new();
        }
        let mut cohorts = Vec::new();
        let mut from = 0;
        let mut add = |name: String, scheme, window, count: usize| {
            cohorts.push(Cohort {
                name,
                scheme,
                window,
                exchanges: from..from + count,
            });
            from += count;
        };
        for percent in [20, 5, 1] {
            add(
                format!("share{percent}"),
                "greenlist",
                2,
                total * percent / 100,
            );
        }
        let cell = total * 74 / 100 / 12;
        for scheme in ["greenlist", "gumbel", "tournament"] {
            for window in 1..=4 {
                add(format!("{scheme}{window}"), scheme, window, cell);
            }
        }
        cohorts
    }

    fn mixture(&self, bench: &mut Bench) -> Result<()> {
        for cohort in self.cohorts() {
            let name = &cohort.name;
            bench.write(&format!("prompts-{name}.jsonl"), || {
                // Questions that no account asked.
                let first = self.accounts() * self.sizes.exchanges;
                let row = |number: usize| json!({"id": format!("m{number:04}"), "prompt": prompts::question(first + number)});
                Ok(cohort.exchanges.clone().map(row).collect())
            })?;
            bench.run(
                &format!("served-{name}.jsonl"),
                &format!(
                    "generate --model {} --scheme {} --window {} --key {name}.key --max-tokens {} {SAMPLING} --seed {} --prompts prompts-{name}.jsonl \
                     --out served-{name}.jsonl --record {name}.json",
                    self.model,
                    cohort.scheme,
                    cohort.window,
                    self.sizes.tokens,
                    self.seed + 3
                ),
            )?;
        }
        Ok(())
    }

    fn log(&self, bench: &mut Bench) -> Result<()> {
        // A log takes what it is given, so a step that was cut short would be in it twice.
        bench.anew(
            "log-check.json",
            &[
                "issuance.jsonl",
                "receipts-east.jsonl",
                "receipts-west.jsonl",
                "receipts-names.jsonl",
            ],
        )?;
        for campaign in CAMPAIGNS {
            bench.capture(
                &format!("receipts-{campaign}.jsonl"),
                &format!(
                    "log append --log issuance.jsonl --input served-{campaign}.jsonl --record {campaign}.json --pseudonym-key accounts.key"
                ),
            )?;
        }
        bench.capture(
            "receipts-names.jsonl",
            "log append --log issuance.jsonl --input served-names.jsonl --pseudonym-key accounts.key",
        )?;
        bench.capture("log-check.json", "log verify --log issuance.jsonl --json")
    }

    /// Rows of `file` whose account feeds the student.
    pub(super) fn taken(&self, bench: &Bench, file: &str) -> Result<Vec<Value>> {
        let fed: Vec<String> = (0..self.sizes.fed).map(Self::account).collect();
        let mut rows = bench.read(file)?;
        rows.retain(|row| fed.iter().any(|account| row["account"] == account.as_str()));
        Ok(rows)
    }
}

//! `test`: was this model trained on text that carries a key, and through which accounts?

mod dump;
mod line;
mod served;
mod text;

use std::path::Path;

use taggant_core::{LeafKey, Mark, Record, Role};
use taggant_detector::distill::{AccountFinding, Findings, Plan, Statistic, Test};
use taggant_detector::{Response, Verdict, WindowIndex};

use crate::Answer;
use crate::args::{self, Mode, Summed};
use crate::corpus::Corpus;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::marks;
use crate::progress;
use served::Served;

pub(crate) fn run(args: &args::Test) -> Result<Answer> {
    let plan = plan(args)?;
    let record = marks::read_record(&args.record)?;
    let keys = Keys::read(args, &record)?;
    let served = args
        .served
        .as_deref()
        .map(|path| Served::read(args, path, &record, &keys))
        .transpose()?;
    let mut tests = Tests::new(args, &record, &keys, plan)?;
    match args.mode {
        Mode::Closed => closed(args, &record, &mut tests)?,
        Mode::Open => text::open(args, &record, &mut tests)?,
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let index = served.as_ref().map(|served| &served.all);
    let findings = findings(tests.keys, args, &keys, index, threads)?;
    let accounts = match (tests.accounts, &served) {
        (Some(test), Some(served)) => Some(accounts(test, &keys, served, threads)?),
        _ => None,
    };
    let mut output = Output::create(Path::new("-"))?;
    let told = line::Told {
        args,
        keys: &keys,
        findings: &findings,
        accounts: accounts.as_ref(),
        served: served.as_ref(),
    };
    for line in told.lines()? {
        output.line(&line)?;
    }
    output.finish()?;
    let detected = findings
        .keys
        .iter()
        .map(|finding| &finding.verdict)
        .chain(
            accounts
                .iter()
                .flat_map(|(_, found)| found)
                .map(|found| &found.verdict),
        )
        .any(|verdict| *verdict == Verdict::Detected);
    Ok(if detected { Answer::Yes } else { Answer::No })
}

fn plan(args: &args::Test) -> Result<Plan> {
    let plan = Plan::new(args.alpha)?
        .with_soft(args.soft)?
        .with_effect(args.effect)?
        .with_decoys(args.decoys, args.decoy_seed);
    Ok(match args.statistic {
        None => plan,
        Some(Summed::Plain) => plan.with_statistic(Statistic::Plain),
        Some(Summed::Supervised) => plan.with_statistic(Statistic::Supervised),
        Some(Summed::Difference) => plan.with_statistic(Statistic::Difference),
    })
}

/// The keys that are tested.
struct Keys {
    /// Campaign keys, or the only layer's.
    tested: Vec<LeafKey>,
    /// Whether they are several cohorts', which go by their lines.
    cohorts: bool,
    accounts: Vec<LeafKey>,
    /// Their layer.
    role: Role,
}

impl Keys {
    fn read(args: &args::Test, record: &Record) -> Result<Self> {
        let role = record.layers()[0].role;
        let two_layers = record.layers().len() > 1;
        let tested = match (&args.key, &args.keys) {
            (Some(path), _) => {
                let key = files::read_key(path)?;
                Mark::new(record, &[&key]).map_err(|error| {
                    Failure::from(error).hint(
                        "give the key and the record of the same text; --keys tests keys that the record does not name",
                    )
                })?;
                vec![key]
            }
            (None, Some(_)) if two_layers => {
                return Err(Failure::new("--keys and a record of two layers").hint(
                    "each campaign key shares out the windows in its own way: test them one by one with --key and their records",
                ));
            }
            (None, Some(path)) => files::read_keys(path)?,
            (None, None) => return Err(Failure::new("no key").hint("give --key or --keys")),
        };
        let accounts = match &args.accounts {
            None => Vec::new(),
            Some(_) if !two_layers => {
                return Err(Failure::new("--accounts and a record of one layer").hint(
                    "only a mark made with --account-key has keys of accounts; try `twins` or `canary`",
                ));
            }
            Some(path) => {
                let keys = files::read_keys(path)?;
                for (line, key) in (1..).zip(&keys) {
                    if key.path().role() != Role::Account {
                        return Err(Failure::new(format!(
                            "{}, key {line}: a {} key; account keys are needed",
                            path.display(),
                            key.path().role()
                        ))
                        .hint("derive them at epoch/account/id"));
                    }
                }
                keys
            }
        };
        Ok(Self {
            tested,
            cohorts: args.keys.is_some(),
            accounts,
            role,
        })
    }

    /// The key that tells whose a window is, where there are two layers.
    fn campaign<'a>(&'a self, record: &Record) -> Option<&'a LeafKey> {
        match record.layers().len() {
            1 => None,
            _ => self.tested.first(),
        }
    }
}

/// One test for the keys, and one for the accounts' layer.
struct Tests {
    keys: Test,
    accounts: Option<Test>,
}

impl Tests {
    fn new(args: &args::Test, record: &Record, keys: &Keys, plan: Plan) -> Result<Self> {
        let campaign = keys.campaign(record);
        let open = args.reference.is_some() || args.reference_dump.is_some();
        let make = |role| -> Result<Test> {
            Ok(match args.mode {
                Mode::Open => Test::open(record, role, campaign, plan, open)?,
                Mode::Closed if args.reference.is_some() => {
                    Test::closed(record, role, campaign, plan)?.with_reference()?
                }
                Mode::Closed => Test::closed(record, role, campaign, plan)?,
            })
        };
        let mut test = make(keys.role)?;
        if let (Some(planned), Some(key)) = (args.sequential, keys.tested.first()) {
            test = test.with_sequential(key, planned)?;
        }
        let accounts = match keys.accounts.is_empty() {
            true => None,
            false => Some(make(Role::Account)?),
        };
        Ok(Self {
            keys: test,
            accounts,
        })
    }

    fn each(
        &mut self,
        mut add: impl FnMut(&mut Test) -> taggant_core::Result<()>,
    ) -> taggant_core::Result<()> {
        add(&mut self.keys)?;
        self.accounts.as_mut().map_or(Ok(()), add)
    }
}

/// Answers of the suspect and of the reference.
fn closed(args: &args::Test, record: &Record, tests: &mut Tests) -> Result<()> {
    let Some(answers) = &args.answers else {
        return Err(Failure::new("nothing of the suspect").hint("give --answers"));
    };
    let mut corpus = Corpus::new(args.tokenizer.as_deref(), record)?.with_prompts();
    let mut add = |path: &Path, add: fn(&mut Test, &Response<'_>) -> taggant_core::Result<()>| {
        corpus.whole(path, files::open(path)?, |_, _, response| {
            Ok(tests.each(|test| add(test, response))?)
        })
    };
    add(answers, Test::suspect)?;
    if let Some(reference) = &args.reference {
        add(Path::new(reference), Test::reference)?;
    }
    Ok(())
}

fn findings(
    test: Test,
    args: &args::Test,
    keys: &Keys,
    served: Option<&WindowIndex>,
    threads: usize,
) -> Result<Findings> {
    let bar = progress::bar(u64::from(args.decoys), "decoys", "keys");
    let borrowed: Vec<&LeafKey> = keys.tested.iter().collect();
    let findings = test.findings(&borrowed, served, threads, |done| bar.inc(done));
    bar.finish_and_clear();
    findings.map_err(|error| {
        Failure::from(error)
            .hint("give --served or --reference, or another --statistic; see `taggant test --help`")
    })
}

fn accounts(
    test: Test,
    keys: &Keys,
    served: &Served,
    threads: usize,
) -> Result<(Statistic, Vec<AccountFinding>)> {
    let bar = progress::bar(keys.accounts.len() as u64, "accounts", "keys");
    let pairs: Vec<(&LeafKey, &WindowIndex)> = keys.accounts.iter().zip(&served.accounts).collect();
    let found = test.accounts(&pairs, threads, |done| bar.inc(done))?;
    bar.finish_and_clear();
    Ok(found)
}

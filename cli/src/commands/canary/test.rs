//! `canary test`: whose fillers does the suspect repeat?

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taggant_core::{Canary as Choices, LeafKey};
use taggant_detector::Reason;
use taggant_detector::canary::{Finding, Judgement, Slots, Statistic, decoys, judge, test};
use taggant_detector::stats::{PValue, Rank};

use super::read_accounts;
use super::slots::{self, Slot};
use super::suspect::Suspect;
use crate::Answer;
use crate::args::{CanaryTest, Tally};
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::progress;
use crate::rows::{self, Lines};

/// Accounts shown to a person; `--json` gives all.
const SHOWN: usize = 20;

/// Accounts that are tested together.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cluster {
    id: String,
    lines: Vec<usize>,
}

/// One account or cluster. Paths may name accounts, so a key goes by its place in the file and its commitment, and by its account only
/// where that was asked for.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commitment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    slots: u64,
    hits: u64,
    expected_hits: f64,
    score: f64,
    expected: f64,
    log10_p: f64,
    log10_p_holm: f64,
    exact: bool,
    log10_p_saddlepoint: f64,
    log10_e: f64,
    exposure: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    needed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoys: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log10_p_rank: Option<f64>,
    verdict: &'static str,
    reason: Option<String>,
}

#[derive(Serialize)]
struct Summary {
    pooled: bool,
    statistic: &'static str,
    keys: usize,
    clusters: usize,
    detected: usize,
    rows: u64,
    /// Slots of the file, those that the suspect was asked for, and those scored.
    slots: usize,
    asked: usize,
    scored: usize,
    /// Left out: a filler stood in every prompt; no filler was given.
    skipped: u64,
    silent: u64,
    /// Rows that did not count: a filler stood in the prompt; the slot had a row already.
    copied_rows: u64,
    repeated_rows: u64,
}

/// What is tested: an account, or several together.
struct Subject<'a> {
    line: Option<usize>,
    cluster: Option<&'a str>,
    members: Vec<(&'a Slots, &'a Choices)>,
}

pub(super) fn run(args: &CanaryTest) -> Result<Answer> {
    let statistic = match args.statistic {
        Tally::Hits => Statistic::Hits,
        Tally::Ranks => Statistic::Ranks,
        Tally::Frequencies => Statistic::Frequencies,
    };
    let slots = slots::read(&args.files.slots)?;
    let accounts = read_accounts(&args.files.keys)?;
    let clusters = match &args.clusters {
        Some(path) => read_clusters(path, accounts.len())?,
        None => Vec::new(),
    };
    let suspect = Suspect::read(&args.shown, &slots)?;
    let pools = pools(&slots, &accounts, &suspect, statistic)?;

    let member = |index: usize| (&*pools[index], &accounts[index].1);
    let mut subjects: Vec<Subject<'_>> = (0..accounts.len())
        .map(|index| Subject {
            line: Some(index + 1),
            cluster: None,
            members: vec![member(index)],
        })
        .collect();
    subjects.extend(clusters.iter().map(|cluster| Subject {
        line: None,
        cluster: Some(&cluster.id),
        members: cluster.lines.iter().map(|line| member(line - 1)).collect(),
    }));
    let findings = subjects
        .iter()
        .map(|subject| {
            test(&subject.members).map_err(|error| match subject.cluster {
                Some(id) => error.context(format_args!("cluster `{}`", id.escape_debug())),
                None => error,
            })
        })
        .collect::<taggant_core::Result<Vec<Finding>>>()?;
    let judged = judge(&findings, args.alpha)?;
    let ranks = match args.decoys {
        Some(count) => Some(ranks(&subjects, &findings, args.decoy_seed, count)?),
        None => None,
    };

    let mut order: Vec<usize> = (0..subjects.len()).collect();
    order.sort_by(|&a, &b| {
        findings[a]
            .p_value
            .ln()
            .total_cmp(&findings[b].p_value.ln())
    });
    let lines: Vec<Line<'_>> = order
        .iter()
        .map(|&index| {
            line(
                &subjects[index],
                &accounts,
                &findings[index],
                &judged[index],
                ranks.as_ref().map(|ranks| ranks[index]),
                args.show_accounts,
            )
        })
        .collect();
    let all = suspect.tabulate(slots.iter(), statistic)?;
    let detected = lines.iter().filter(|line| line.verdict == "Detected");
    let summary = Summary {
        pooled: true,
        statistic: statistic.name(),
        keys: accounts.len(),
        clusters: clusters.len(),
        detected: detected.count(),
        rows: suspect.rows,
        slots: slots.len(),
        asked: suspect.slots(),
        scored: all.len(),
        skipped: all.skipped(),
        silent: all.silent(),
        copied_rows: suspect.copied,
        repeated_rows: suspect.repeats,
    };
    let mut output = Output::create(Path::new("-"))?;
    if args.json {
        for line in &lines {
            output.line(&json(line)?)?;
        }
        output.line(&json(&summary)?)?;
    } else {
        table(&mut output, &lines, &summary, args.alpha)?;
    }
    output.finish()?;
    Ok(if summary.detected > 0 {
        Answer::Yes
    } else {
        Answer::No
    })
}

/// The slots of each account; one table for all accounts where no slot is an account's own.
fn pools(
    slots: &[Slot],
    accounts: &[(LeafKey, Choices)],
    suspect: &Suspect,
    statistic: Statistic,
) -> Result<Vec<Arc<Slots>>> {
    if slots.iter().any(Slot::is_own) {
        return accounts
            .iter()
            .map(|(key, _)| {
                let own = slots.iter().filter(|slot| slot.serves(key.path().id()));
                Ok(Arc::new(suspect.tabulate(own, statistic)?))
            })
            .collect();
    }
    let shared = Arc::new(suspect.tabulate(slots.iter(), statistic)?);
    Ok(vec![shared; accounts.len()])
}

fn read_clusters(path: &Path, keys: usize) -> Result<Vec<Cluster>> {
    let mut clusters = Vec::new();
    let mut lines = Lines::new(files::open(path)?);
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
        let cluster = line.and_then(rows::parse::<Cluster>).and_then(|cluster| {
            match cluster.lines.iter().find(|&&line| line == 0 || line > keys) {
                _ if cluster.lines.is_empty() => Err(Failure::new("no `lines`")
                    .hint("name the places of the cluster's keys in the file of keys, from 1")),
                Some(line) => Err(Failure::new(format!(
                    "line {line} of a file of {keys} keys; lines are 1 to {keys}"
                ))),
                None => Ok(cluster),
            }
        });
        clusters.push(cluster.map_err(|failure| {
            failure.context(format_args!("{}, line {number}", path.display()))
        })?);
    }
    Ok(clusters)
}

/// Each finding's rank among decoys; accounts that were served the same slots share theirs.
fn ranks(
    subjects: &[Subject<'_>],
    findings: &[Finding],
    seed: u64,
    count: u32,
) -> Result<Vec<Rank>> {
    let bar = progress::bar(subjects.len() as u64, "decoys", "accounts");
    let mut known: Option<(&Slots, Vec<f64>)> = None;
    let mut ranks = Vec::with_capacity(subjects.len());
    for (subject, finding) in subjects.iter().zip(findings) {
        let pools: Vec<&Slots> = subject.members.iter().map(|(pool, _)| *pool).collect();
        let scores = match (&known, &pools[..]) {
            (Some((pool, scores)), [own]) if std::ptr::eq(*pool, *own) => scores,
            (_, [own]) => &known.insert((own, decoys(&pools, seed, count)?)).1,
            _ => &decoys(&pools, seed, count)?,
        };
        ranks.push(Rank::of(finding.score, scores));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(ranks)
}

fn line<'a>(
    subject: &Subject<'a>,
    accounts: &'a [(LeafKey, Choices)],
    finding: &Finding,
    judged: &Judgement,
    rank: Option<Rank>,
    named: bool,
) -> Line<'a> {
    let key = subject.line.and_then(|line| accounts.get(line - 1));
    let reason = judged.verdict.reason();
    Line {
        account: key.filter(|_| named).map(|(key, _)| key.path().id()),
        line: subject.line,
        commitment: key.map(|(key, _)| base16ct::lower::encode_string(&key.commitment())),
        cluster: subject.cluster,
        slots: finding.slots,
        hits: finding.hits,
        expected_hits: finding.expected_hits,
        score: finding.score,
        expected: finding.expected,
        log10_p: finding.p_value.log10(),
        log10_p_holm: judged.adjusted.log10(),
        exact: finding.exact,
        log10_p_saddlepoint: finding.near.log10(),
        log10_e: finding.ln_e * std::f64::consts::LOG10_E,
        exposure: finding.exposure,
        needed: match reason {
            Some(Reason::TooFewSlots { needed, .. }) => Some(*needed),
            _ => None,
        },
        decoys: rank.map(|rank| rank.trials),
        at_least: rank.map(|rank| rank.at_least),
        log10_p_rank: rank.map(|rank| rank.p_value().log10()),
        verdict: judged.verdict.name(),
        reason: reason.map(|reason| format!("{}: {reason}", reason.name())),
    }
}

fn table(output: &mut Output, lines: &[Line<'_>], summary: &Summary, alpha: f64) -> Result<()> {
    let ranked = lines.iter().any(|line| line.log10_p_rank.is_some());
    let by_rank = |text: &str| match ranked {
        true => format!("  {text:>10}"),
        false => String::new(),
    };
    output.line(&format!(
        "{:>8}  {:16}  {:>6}  {:>6}  {:>10}  {:>10}{}  {:>8}  verdict",
        "line",
        "commitment",
        "slots",
        "hits",
        "p-value",
        "Holm",
        by_rank("by decoys"),
        "e-value"
    ))?;
    let p = |log10: f64| PValue::from_ln(log10 * std::f64::consts::LN_10).to_string();
    for line in lines.iter().take(SHOWN) {
        let place = line
            .line
            .map_or("cluster".to_owned(), |line| line.to_string());
        let name = match (&line.commitment, line.cluster) {
            (Some(commitment), _) => commitment.get(..16).unwrap_or_default(),
            (None, cluster) => cluster.unwrap_or_default(),
        };
        let why = line.reason.as_deref().map(|reason| format!(" ({reason})"));
        output.line(&format!(
            "{place:>8}  {name:16}  {:>6}  {:>6}  {:>10}  {:>10}{}  {:>8}  {}{}",
            line.slots,
            line.hits,
            p(line.log10_p),
            p(line.log10_p_holm),
            by_rank(&line.log10_p_rank.map(p).unwrap_or_default()),
            format!("10^{:.1}", line.log10_e),
            line.verdict,
            why.unwrap_or_default()
        ))?;
    }
    if let Some(more) = lines.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        output.line(&format!(
            "… and {more} more with larger p-values; --json lists all"
        ))?;
    }
    let clusters = match summary.clusters {
        0 => String::new(),
        count => format!(" and {count} clusters"),
    };
    output.line(&format!(
        "{} of {} accounts{clusters} detected by {} over {} slots of {} rows; the chance of any false one is at most {alpha:e}",
        summary.detected, summary.keys, summary.statistic, summary.scored, summary.rows
    ))?;
    for (count, what) in [
        (
            summary.skipped,
            "slots skipped: a filler stood in every prompt",
        ),
        (
            summary.silent,
            "slots skipped: the suspect gave none of the fillers",
        ),
        (
            summary.copied_rows,
            "rows not counted: a filler stood in the prompt",
        ),
        (
            summary.repeated_rows,
            "rows not counted: the slot had one already",
        ),
    ] {
        if count > 0 {
            output.line(&format!("{count} {what}"))?;
        }
    }
    Ok(())
}

fn json(line: &impl Serialize) -> Result<String> {
    serde_json::to_string(line).map_err(|error| Failure::new(error.to_string()))
}

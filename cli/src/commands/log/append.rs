//! Appends rows to a log, acknowledging each when it is on the disk.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use taggant_core::{Error, ErrorKind, LeafKey, Record};
use taggant_evidence::issuance::{Content, Exchange, IssuanceLog, Receipt, mark_digest};
use taggant_evidence::{Digest, Time};

use crate::Answer;
use crate::args::LogAppend;
use crate::clock;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::marks;
use crate::output::say;
use crate::rows::{self, Lines};

/// What the log takes of a row; other columns may hold anything, account ids too, and are left out.
#[derive(Deserialize)]
struct Row {
    id: Option<Value>,
    account: Option<Value>,
    prompt: Option<String>,
    prompt_tokens: Option<Vec<u32>>,
    response: Option<String>,
    tokens: Option<Vec<u32>>,
    mark: Option<String>,
    unmarked: Option<String>,
    twins: Option<String>,
}

/// That a row is on the disk.
#[derive(Serialize)]
struct Acknowledged<'a> {
    id: &'a str,
    line: u64,
    hash: Digest,
}

pub(super) fn run(args: &LogAppend) -> Result<Answer> {
    let records = args
        .record
        .as_deref()
        .map(marks::read_records)
        .transpose()?
        .unwrap_or_default();
    let key = args
        .pseudonym_key
        .as_deref()
        .map(files::read_key)
        .transpose()?;
    if let Some(key) = &key {
        // A key of another role is told before anything is written.
        key.pseudonym("-")
            .map_err(|error| failure(error).context("--pseudonym-key"))?;
    }
    let mut lines = Lines::new(files::open(&args.input)?);
    let mut session = Session {
        args,
        log: None,
        records,
        key,
        acknowledgements: Some(Output::create(Path::new("-"))?),
        waiting: Vec::new(),
        kept: 0,
    };
    let outcome = session.read(&mut lines);
    // Rows before a broken one are good rows.
    let written = session.write();
    let outcome = outcome.and(written);
    let kept = session.kept;
    outcome.map_err(|failure| match kept {
        0 => failure,
        _ => failure.context(format_args!("after {kept} rows that are in the log")),
    })?;
    let Some(log) = session.log else {
        return Err(Failure::new(format!("{}: no rows", args.input.display()))
            .hint("give one JSON object per line, as `generate` writes them"));
    };
    say(&format!(
        "{}: {kept} rows appended, {} lines, head {}",
        args.log.display(),
        log.summary().lines,
        log.summary().head
    ));
    Ok(Answer::Yes)
}

struct Session<'a> {
    args: &'a LogAppend,
    /// Opened for the first good row, so that a command that has none leaves nothing behind.
    log: Option<IssuanceLog>,
    /// One for all rows, or one for each account.
    records: Vec<Record>,
    key: Option<LeafKey>,
    /// None once nobody reads them.
    acknowledgements: Option<Output>,
    waiting: Vec<Exchange>,
    kept: usize,
}

impl Session<'_> {
    fn read(&mut self, lines: &mut Lines) -> Result<()> {
        let input = &self.args.input;
        while let Some((number, line)) = lines.next().map_err(|error| Failure::io(input, &error))? {
            let exchange = line
                .and_then(rows::parse)
                .and_then(|row| self.exchange(row, number))
                .map_err(|failure| {
                    failure.context(format_args!("{}, line {number}", input.display()))
                })?;
            self.waiting.push(exchange);
            if self.waiting.len() >= self.args.batch as usize {
                self.write()?;
            }
        }
        Ok(())
    }

    fn exchange(&self, row: Row, number: u64) -> Result<Exchange> {
        if row.response.is_none() && row.tokens.is_none() {
            return Err(
                Failure::new("neither `tokens` nor `response`").hint("a row needs one of them")
            );
        }
        let id = match row.id {
            Some(id) => plain(&id, "id")?,
            None => number.to_string(),
        };
        let prompt = Content::new(row.prompt, row.prompt_tokens);
        let response = Content::new(row.response, row.tokens);
        let record = self.record(row.mark.as_deref())?;
        let mut exchange = match (row.unmarked, record) {
            (Some(reason), _) => Exchange::unmarked(id, prompt, response, reason),
            (None, Some(record)) => Exchange::marked(id, prompt, response, record),
            (None, None) => {
                return Err(Failure::new("the row's mark is unknown")
                    .hint("give --record, or the row a reason in `unmarked`"));
            }
        };
        if let Some(account) = row.account.filter(|account| !account.is_null()) {
            let Some(key) = &self.key else {
                return Err(Failure::new("the row names an account")
                    .hint("give --pseudonym-key: account ids are never logged as they are"));
            };
            exchange = exchange.with_account(key.pseudonym(&plain(&account, "account")?)?);
        }
        if let Some(twins) = row.twins {
            let twins: Digest = twins
                .parse()
                .map_err(|error| Failure::from(error).context("`twins`"))?;
            exchange = exchange.with_twins(twins);
        }
        match &self.key {
            Some(key) if self.args.digests_only => Ok(exchange.sealed(key)?),
            _ => Ok(exchange),
        }
    }

    /// The record of a row that names it by its digest, or the only one.
    fn record(&self, named: Option<&str>) -> Result<Option<&Record>> {
        match (&self.records[..], named) {
            ([] | [_], _) => Ok(self.records.first()),
            (_, None) => Err(Failure::new("several records and no `mark` in the row")
                .hint("`generate --account-keys` writes the digest of each row's record")),
            (records, Some(name)) => {
                let own = records
                    .iter()
                    .find(|record| mark_digest(record).to_string() == name);
                Ok(Some(own.ok_or_else(|| {
                    Failure::new(format!("record {name:?} is not in --record"))
                        .hint("give the file that was written with the rows")
                })?))
            }
        }
    }

    /// Brings the waiting rows to the disk and says so.
    fn write(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let log = match &mut self.log {
            Some(log) => log,
            None => self.log.insert(open(&self.args.log, &self.records)?),
        };
        let receipts = log.append_all(&waiting, now(log)?).map_err(failure)?;
        self.kept += receipts.len();
        if let Some(output) = &mut self.acknowledgements {
            match acknowledge(output, &waiting, &receipts) {
                Ok(()) => {}
                // What was served is kept, whether or not somebody listens.
                Err(Failure::BrokenPipe) => self.acknowledgements = None,
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}

fn open(path: &Path, records: &[Record]) -> Result<IssuanceLog> {
    let (mut log, opened) = IssuanceLog::open(path, records, clock::now()?).map_err(failure)?;
    if let Some(torn) = opened.torn {
        say(&format!(
            "note: line {} was incomplete; its {} bytes, never acknowledged, are now in {}",
            torn.line,
            torn.bytes,
            torn.path.display()
        ));
    }
    let time = now(&log)?;
    log.add_marks(records, time).map_err(failure)?;
    Ok(log)
}

fn acknowledge(output: &mut Output, exchanges: &[Exchange], receipts: &[Receipt]) -> Result<()> {
    for (exchange, receipt) in exchanges.iter().zip(receipts) {
        let line = Acknowledged {
            id: exchange.id(),
            line: receipt.line,
            hash: receipt.hash,
        };
        output.line(&serde_json::to_string(&line).unwrap_or_default())?;
    }
    output.flush()
}

/// An id as text, be it written as a string or as a number.
fn plain(id: &Value, column: &str) -> Result<String> {
    match id {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(Failure::new(format!(
            "`{column}` is neither text nor a number"
        ))),
    }
}

/// How far the clock may have been set back, as clocks are in operation, before a person has to look: a minute.
const STEP: u64 = 60_000;

/// The system's time, or that of the log's last line where the clock was set back a little.
fn now(log: &IssuanceLog) -> Result<Time> {
    let time = clock::now()?;
    match log.summary().times {
        Some((_, last)) if last > time => {
            if last.unix_millis() - time.unix_millis() > STEP {
                return Err(Failure::new(format!(
                    "the system's clock says {time}, the log's last line {last}; times may not go backwards"
                ))
                .hint("set the clock, or go on in a new log"));
            }
            Ok(last)
        }
        _ => Ok(time),
    }
}

/// A failure of the log with its next step.
fn failure(error: Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::Limit => Some("wait until the other writer ends, or split the row"),
        ErrorKind::Format => Some(
            "nothing was written; keep the file as it is, and go on in a new log or from a good copy",
        ),
        ErrorKind::Io => Some(
            "rows without acknowledgement are not in the log; see that there is room, then append them",
        ),
        ErrorKind::Key => Some("derive one with `taggant key derive --path epoch/pseudonym/id`"),
        _ => None,
    };
    match hint {
        Some(hint) => Failure::from(error).hint(hint),
        None => Failure::from(error),
    }
}

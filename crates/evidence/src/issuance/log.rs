//! Writes an issuance log. A record counts as kept when it is on the disk, and a failure leaves the log as it was.

use std::collections::HashSet;
use std::path::Path;

use taggant_core::{Error, ErrorKind, Record, Result};

use super::entry::{Entry, Served, mark_digest};
use super::exchange::Exchange;
use crate::chain::{Log, Opened, Receipt, Story as _, Summary};
use crate::time::Time;

/// An open log; the only writer of its file.
#[derive(Debug)]
pub struct IssuanceLog(Log<Served>);

impl IssuanceLog {
    /// Opens a log for writing, checks it from its first line and mends an incomplete tail; makes it if it is not there, with the marks of
    /// `records` and the time `now` in its first line. [`add_marks`](Self::add_marks) adds to a log that is there.
    ///
    /// The time this takes grows with the log.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when another writer has it open, [`ErrorKind::Format`] when a line is wrong, named, and
    /// [`ErrorKind::Io`].
    pub fn open(path: &Path, records: &[Record], now: Time) -> Result<(Self, Opened)> {
        let genesis = Entry::Genesis(records.to_vec());
        let (log, opened) = Log::open(path, &genesis, now, |_| ())?;
        Ok((Self(log), opened))
    }

    /// Appends one exchange. It is on the disk when this returns.
    ///
    /// # Errors
    /// As [`append_all`](Self::append_all).
    pub fn append(&mut self, exchange: &Exchange, now: Time) -> Result<Receipt> {
        self.append_all(std::slice::from_ref(exchange), now)?
            .first()
            .copied()
            .ok_or_else(|| Error::new(ErrorKind::Io, "an exchange that was not written"))
    }

    /// Appends exchanges in order and brings them to the disk together, which costs as much as for one. All are there when this returns;
    /// none is when it fails.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] for a mark or key that the log does not hold, [`ErrorKind::Token`] for tokens that the mark's tokenizer
    /// lacks, [`ErrorKind::Parameter`] for an exchange that is not as SPEC.md says or a time before the last line's,
    /// [`ErrorKind::Limit`] for one longer than a line may be, [`ErrorKind::Io`] when the disk fails. After a failure that leaves the
    /// file in doubt, every further call fails until the log is opened again.
    pub fn append_all(&mut self, exchanges: &[Exchange], now: Time) -> Result<Vec<Receipt>> {
        let entries = exchanges
            .iter()
            .map(|exchange| {
                let entry = Entry::Exchange(Box::new(exchange.clone()));
                let fits = self.check(exchange, &entry);
                fits.map_err(|error| {
                    error.context(format_args!("exchange `{}`", exchange.id.escape_debug()))
                })?;
                Ok(entry)
            })
            .collect::<Result<Vec<_>>>()?;
        self.0.append(&entries, now)
    }

    /// Adds marks that came into use; those the log holds already are left out.
    ///
    /// # Errors
    /// As [`append_all`](Self::append_all).
    pub fn add_marks(&mut self, records: &[Record], now: Time) -> Result<()> {
        let mut seen = HashSet::new();
        let new = |record: &&Record| {
            let digest = mark_digest(record);
            self.0.story().mark(&digest).is_none() && seen.insert(digest)
        };
        let entries: Vec<Entry> = records
            .iter()
            .filter(new)
            .map(|record| Entry::Mark(Box::new(record.clone())))
            .collect();
        self.0.append(&entries, now).map(drop)
    }

    /// What the log's lines add up to.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        self.0.summary()
    }

    /// Checks an exchange as the verifier will, and its tokens besides.
    fn check(&self, exchange: &Exchange, entry: &Entry) -> Result<()> {
        if let Some(flaw) = exchange.flaw() {
            return Err(Error::new(ErrorKind::Parameter, flaw));
        }
        let served = self.0.story();
        served
            .follows(false, entry)
            .map_err(|(_, detail)| Error::new(ErrorKind::Mismatch, detail))?;
        if let Some(record) = exchange.mark.as_ref().and_then(|mark| served.mark(mark)) {
            for content in [&exchange.prompt, &exchange.response] {
                record
                    .tokenizer()
                    .check(content.tokens().unwrap_or_default())?;
            }
        }
        Ok(())
    }
}

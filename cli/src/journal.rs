//! Finished work of a long run, kept until the run is whole: a killed run goes on where it stopped.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::files;

/// The file beside an output, named after it, in which each finished row is a line.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Option<File>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    /// Digest of everything the rows depend on.
    run: String,
}

#[derive(Serialize, Deserialize)]
struct Finished {
    row: u64,
    tokens: Vec<u32>,
}

impl Journal {
    /// Opens the journal of `output` for the run named `run`, and returns the rows it holds. Rows of another run are forgotten. Streams and
    /// devices have no journal.
    pub(crate) fn open(output: &Path, run: &str) -> Result<(Self, BTreeMap<u64, Vec<u32>>)> {
        let mut name: OsString = output.as_os_str().to_owned();
        name.push(".partial");
        let path = PathBuf::from(name);
        let special = fs::metadata(output).is_ok_and(|metadata| !metadata.is_file());
        if files::is_stream(output) || special {
            return Ok((Self { path, file: None }, BTreeMap::new()));
        }
        let finished = read(&path, run);
        let mut journal = Self {
            file: Some(File::create(&path).map_err(|error| Failure::io(&path, &error))?),
            path,
        };
        // Written anew, so that a line cut short by the kill is gone.
        journal.append(&Header {
            run: run.to_owned(),
        })?;
        for (&row, tokens) in &finished {
            journal.row(row, tokens)?;
        }
        Ok((journal, finished))
    }

    /// Notes a finished row.
    pub(crate) fn row(&mut self, row: u64, tokens: &[u32]) -> Result<()> {
        let tokens = tokens.to_vec();
        self.append(&Finished { row, tokens })
    }

    fn append(&mut self, line: &impl Serialize) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut line = serde_json::to_string(line).unwrap_or_default();
        line.push('\n');
        file.write_all(line.as_bytes())
            .map_err(|error| Failure::io(&self.path, &error))
    }

    /// The run is whole, or failed for good: the journal goes.
    pub(crate) fn remove(self) {
        if self.file.is_some() {
            // A journal that cannot be removed does no harm: the next run with this output starts it anew.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The rows of run `run` that a journal holds; whatever cannot be read was never finished.
fn read(path: &Path, run: &str) -> BTreeMap<u64, Vec<u32>> {
    let Ok(file) = File::open(path) else {
        return BTreeMap::new();
    };
    let mut lines = BufReader::new(file).lines().map_while(std::io::Result::ok);
    let header = lines
        .next()
        .and_then(|line| serde_json::from_str::<Header>(&line).ok());
    if header.is_none_or(|header| header.run != run) {
        return BTreeMap::new();
    }
    lines
        .map_while(|line| serde_json::from_str::<Finished>(&line).ok())
        .map(|finished| (finished.row, finished.tokens))
        .collect()
}

//! The laboratory bench: a folder in which steps leave their files, so that a step whose files are there is not taken again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::rows::{self, Lines};

pub(super) struct Bench {
    folder: PathBuf,
    program: PathBuf,
    /// What was run, one command a line; written out so that each can be run again by hand.
    commands: Vec<String>,
}

impl Bench {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| Failure::io(folder, &error))?;
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(format!("cannot find this program: {error}")))?;
        Ok(Self {
            folder: folder.to_owned(),
            program,
            commands: Vec::new(),
        })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Runs this program's own command `line` in the folder, unless `makes` is there already. Answers of no are answers.
    pub(super) fn run(&mut self, makes: &str, line: &str) -> Result<()> {
        self.note(line, "");
        if self.has(makes) {
            return Ok(());
        }
        self.spawn(line, Stdio::null())
    }

    fn note(&mut self, line: &str, rest: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.commands
            .push(format!("taggant {}{rest}", words.join(" ")));
    }

    /// Removes what a step that was cut short may have left, unless `whole` says that the step is done.
    pub(super) fn anew(&self, whole: &str, parts: &[&str]) -> Result<()> {
        for part in parts
            .iter()
            .filter(|part| !self.has(whole) && self.has(part))
        {
            let path = self.path(part);
            fs::remove_file(&path).map_err(|error| Failure::io(&path, &error))?;
        }
        Ok(())
    }

    /// Runs a command whose standard output becomes the file `makes`.
    pub(super) fn capture(&mut self, makes: &str, line: &str) -> Result<()> {
        self.note(line, &format!(" > {makes}"));
        if self.has(makes) {
            return Ok(());
        }
        let beside = self.path(&format!("{makes}.partial"));
        let file = fs::File::create(&beside).map_err(|error| Failure::io(&beside, &error))?;
        if let Err(failure) = self.spawn(line, file.into()) {
            let _ = fs::remove_file(&beside);
            return Err(failure);
        }
        fs::rename(&beside, self.path(makes)).map_err(|error| Failure::io(&beside, &error))
    }

    fn spawn(&self, line: &str, out: Stdio) -> Result<()> {
        say(&format!("$ taggant {line}"));
        let status = Command::new(&self.program)
            .args(line.split_whitespace())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(out)
            // Training frees and takes the same gigabytes at every step; glibc gives them back to the system in between, which costs a
            // fifth of the time. Other allocators ignore this.
            .env("MALLOC_MMAP_THRESHOLD_", "4000000000")
            .env("MALLOC_TRIM_THRESHOLD_", "8000000000")
            .status()
            .map_err(|error| {
                Failure::new(format!("cannot run {}: {error}", self.program.display()))
            })?;
        match status.code() {
            Some(0 | 1) => Ok(()),
            _ => Err(Failure::new(format!("`taggant {line}` failed"))
                .hint("see what it said above; the same command goes on from here")),
        }
    }

    /// Writes rows, unless the file is there.
    pub(super) fn write(
        &self,
        name: &str,
        rows: impl FnOnce() -> Result<Vec<Value>>,
    ) -> Result<()> {
        if self.has(name) {
            return Ok(());
        }
        put(Output::create(&self.path(name))?, &rows()?)
    }

    /// Writes rows that only their owner may read, unless the file is there.
    pub(super) fn write_private(
        &self,
        name: &str,
        rows: impl FnOnce() -> Result<Vec<Value>>,
    ) -> Result<()> {
        if self.has(name) {
            return Ok(());
        }
        put(Output::private(&self.path(name))?, &rows()?)
    }

    /// Writes lines of text, unless the file is there.
    pub(super) fn lines(&self, name: &str, lines: impl IntoIterator<Item = String>) -> Result<()> {
        if self.has(name) {
            return Ok(());
        }
        let mut output = Output::create(&self.path(name))?;
        for line in lines {
            output.line(&line)?;
        }
        output.finish()
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<Value>> {
        let path = self.path(name);
        let mut lines = Lines::new(files::open(&path)?);
        let mut all = Vec::new();
        while let Some((number, line)) = lines.next().map_err(|error| Failure::io(&path, &error))? {
            let row = line.and_then(rows::parse::<Value>);
            all.push(row.map_err(|failure| {
                failure.context(format_args!("{}, line {number}", path.display()))
            })?);
        }
        Ok(all)
    }

    /// What was run, or would have been had it not been done already, in order.
    pub(super) fn commands(&self) -> &[String] {
        &self.commands
    }
}

fn put(mut output: Output, rows: &[Value]) -> Result<()> {
    for row in rows {
        output.line(&row.to_string())?;
    }
    output.finish()
}

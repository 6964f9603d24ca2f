//! Completion scripts and manual pages, from the argument definitions.

use std::path::Path;

use clap::CommandFactory;

use crate::Answer;
use crate::args::Args;
use crate::failure::{Failure, Result};
use crate::files::Output;
use crate::output::say;

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<Answer> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "taggant", &mut script);
    let mut output = Output::create(Path::new("-"))?;
    output.line(String::from_utf8_lossy(&script).trim_end())?;
    output.finish()?;
    Ok(Answer::Yes)
}

pub(crate) fn pages(folder: &Path) -> Result<Answer> {
    let fail = |error: std::io::Error| Failure::io(folder, &error);
    std::fs::create_dir_all(folder).map_err(fail)?;
    clap_mangen::generate_to(Args::command(), folder).map_err(fail)?;
    say(&format!("{}: manual pages written", folder.display()));
    Ok(Answer::Yes)
}

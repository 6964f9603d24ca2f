//! The `taggant` command: arguments, files, printing and exit codes. No algorithm lives here.

mod args;
mod clock;
mod commands;
mod corpus;
mod engines;
mod failure;
mod files;
mod journal;
mod marks;
mod output;
mod plot;
mod program;
mod progress;
mod rows;
mod write;

use std::process::ExitCode;

use clap::Parser;

use crate::failure::Failure;

/// What a command found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Done, or yes.
    Yes,
    /// No, or not to be told from this input.
    No,
}

fn main() -> ExitCode {
    match commands::run(args::Args::parse()) {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        // Whoever read our output has seen enough.
        Err(Failure::BrokenPipe) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure);
            ExitCode::from(2)
        }
    }
}

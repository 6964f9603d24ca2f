//! The commands, one file each.

mod anchor;
mod attribute;
mod canary;
mod case;
mod collect;
mod demo;
mod detect;
pub(crate) mod generate;
mod key;
mod lab;
mod log;
mod man;
mod model;
mod power;
mod scan;
mod test;
mod twins;

use crate::Answer;
use crate::args::{Args, Command};
use crate::failure::Result;

pub(crate) fn run(args: Args) -> Result<Answer> {
    match args.command {
        Command::Key(command) => key::run(&command),
        Command::Model(command) => model::run(&command),
        Command::Generate(command) => generate::run(&command),
        Command::Detect(command) => detect::run(&command),
        Command::Scan(command) => scan::run(&command),
        Command::Test(command) => test::run(&command),
        Command::Canary(command) => canary::run(&command),
        Command::Twins(command) => twins::run(&command),
        Command::Attribute(command) => attribute::run(&command),
        Command::Power(command) => power::run(&command),
        Command::Log(command) => log::run(&command),
        Command::Anchor(command) => anchor::run(&command),
        Command::Case(command) => case::run(&command),
        Command::Collect(command) => collect::run(&command),
        Command::Lab(command) => lab::run(&command),
        Command::Demo(command) => demo::run(&command),
        Command::Completions { shell } => man::completions(shell),
        Command::Man { folder } => man::pages(&folder),
    }
}

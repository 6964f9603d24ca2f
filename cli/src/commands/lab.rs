//! `lab distill | quality | train`: real students, and what the tests say of them.

mod distill;
mod quality;
mod train;

use crate::Answer;
use crate::args::Lab;
use crate::failure::Result;

pub(crate) fn run(command: &Lab) -> Result<Answer> {
    match command {
        Lab::Distill(args) => distill::run(args),
        Lab::Quality(args) => quality::run(args),
        Lab::Train(args) => train::run(args),
    }
}

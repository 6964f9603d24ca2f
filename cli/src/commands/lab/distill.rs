//! `lab distill`: a provider serves accounts, some of them feed a student, and every test is asked who did.
//!
//! Nothing here is a test: each step is a command of this program, and `commands.sh` in the folder holds them as they were run.

mod bench;
mod prompts;
mod serve;
mod summary;
mod suspects;

use serde_json::json;

use crate::Answer;
use crate::args::LabDistill;
use crate::failure::{Failure, Result};
use crate::marks;
use crate::output::say;
use bench::Bench;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Accounts that feed the student, and accounts that do not.
    fed: usize,
    controls: usize,
    /// Exchanges of an account, drafts of each, and exchanges with a keyed choice.
    exchanges: usize,
    drafts: usize,
    canaries: usize,
    /// Most tokens of an answer.
    tokens: usize,
    /// Answers asked of a suspect to each prompt that was served under the tested campaign.
    asked: usize,
    /// Exchanges in the mixture, of which 20, 5 and 1 % carry keys of their own and the rest is dealt to scheme and window; 0 leaves it out.
    mixture: usize,
    /// Whether all students are trained, or only one and its innocent twin.
    all: bool,
}

const FULL: Sizes = Sizes {
    fed: 24,
    controls: 100,
    exchanges: 12,
    drafts: 4,
    canaries: 6,
    tokens: 24,
    asked: 4,
    mixture: 1000,
    all: true,
};

const QUICK: Sizes = Sizes {
    fed: 6,
    controls: 6,
    exchanges: 10,
    asked: 2,
    mixture: 0,
    all: false,
    ..FULL
};

pub(super) fn run(args: &LabDistill) -> Result<Answer> {
    let sizes = if args.quick { QUICK } else { FULL };
    let students = suspects::chosen(&args.students, sizes.all)?;
    let mut bench = Bench::open(&args.out)?;
    let model = model(&args.model)?;
    let lab = Lab {
        sizes,
        students,
        model: &model,
        seed: args.seed,
    };
    // Steps are told by their files alone, so a folder is for one experiment.
    let settings = json!({"sizes": format!("{sizes:?}"), "model": model, "seed": args.seed});
    bench.write("lab.json", || Ok(vec![settings.clone()]))?;
    if bench.read("lab.json")? != [settings] {
        return Err(
            Failure::new(format!("{} holds another experiment", args.out.display())).hint(
                "go on with the size, model and seed it was begun with, or give another folder",
            ),
        );
    }
    lab.serve(&mut bench)?;
    lab.students(&mut bench)?;
    summary::write(&lab, &bench)?;
    say(&format!(
        "{}: summary.json, results and commands.sh",
        args.out.display()
    ));
    Ok(Answer::Yes)
}

/// The model as commands that run in the folder find it.
fn model(name: &str) -> Result<String> {
    let path = marks::resolve(name)?;
    if path == marks::pulled(name)? {
        return Ok(name.to_owned());
    }
    let path = path
        .canonicalize()
        .map_err(|error| Failure::io(&path, &error))?;
    match path.to_str() {
        Some(path) if !path.contains(char::is_whitespace) => Ok(path.to_owned()),
        _ => Err(
            Failure::new(format!("{}: a path with spaces", path.display()))
                .hint("commands.sh holds the path as it is: give one without spaces"),
        ),
    }
}

struct Lab<'a> {
    sizes: Sizes,
    /// Those to be trained and examined.
    students: Vec<&'static suspects::Student>,
    model: &'a str,
    seed: u64,
}

impl Lab<'_> {
    fn account(number: usize) -> String {
        format!("a{:03}", number + 1)
    }

    fn accounts(&self) -> usize {
        self.sizes.fed + self.sizes.controls
    }
}

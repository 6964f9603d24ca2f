//! `case example | signer | seal | draw | analyse | bundle | verify | register | accounts | identity | unblind | redact | renew | report`: a test planned, sealed, its chance settled afterwards, and what came of it.

mod accounts;
mod analysis;
mod bundle;
mod identity;
mod redact;
mod register;
mod renew;
mod report;
mod self_test;
mod sensitivity;
mod validation;

use std::io::Read;
use std::path::Path;

use taggant_evidence::plan::{MAX_PLAN, Round};
use taggant_evidence::{Asked, Plan, Ready, SealedPlan, SignerRole, SigningKey};
use zeroize::Zeroizing;

use super::anchor::{self, Proofs};
use crate::Answer;
use crate::args::{Case, CaseDraw, PlanProofs};
use crate::clock;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::program;

/// A plan with every field, to be filled in.
const EXAMPLE: &str = include_str!("case/plan.json");

/// Largest pool read.
const MAX_POOL: u64 = taggant_evidence::bundle::MAX_BYTES;

pub(crate) fn run(command: &Case) -> Result<Answer> {
    match command {
        Case::Example => example(),
        Case::Signer { name, out } => signer(name, out),
        Case::Seal { plan, signer, out } => seal(plan, signer, out),
        Case::Draw(args) => draw(args),
        Case::Analyse(args) => bundle::analyse(args),
        Case::Bundle { folder, signer } => bundle::seal(folder, signer),
        Case::Verify { folder, json } => bundle::verify(folder, *json),
        Case::Identity { name } => identity::hide(name),
        Case::Unblind {
            folder,
            names,
            signer,
        } => identity::open(folder, names, signer),
        Case::Accounts {
            folder,
            input,
            signer,
        } => accounts::state(folder, input, signer),
        Case::Register(args) => register::run(args),
        Case::Renew { folder, out } => renew::run(folder, out),
        Case::Report(args) => report::run(args),
        Case::Redact(args) => redact::run(args),
    }
}

/// A plan that names this program as its scorer.
fn example() -> Result<Answer> {
    let text = EXAMPLE
        .replace("{VERSION}", concat!("taggant ", env!("CARGO_PKG_VERSION")))
        .replace("{SOURCE}", &program::source()?.to_string())
        .replace("{BINARY}", &program::binary()?.to_string());
    let mut output = Output::create(Path::new("-"))?;
    output.bytes(text.as_bytes())?;
    output.finish()?;
    Ok(Answer::Yes)
}

fn signer(name: &str, out: &Path) -> Result<Answer> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed)
        .map_err(|error| Failure::new(format!("the system gave no random bytes: {error}")))?;
    let key = SigningKey::from_seed(name, *seed)?;
    files::write_secret(out, &key.to_json())?;
    let mut output = Output::create(Path::new("-"))?;
    output.line(&key.public().to_string())?;
    output.finish()?;
    say(&format!(
        "{}: the secret key of {name}; the line above is for the trust files of whoever is to believe it",
        out.display()
    ));
    Ok(Answer::Yes)
}

fn seal(plan: &Path, signer: &Path, out: &Path) -> Result<Answer> {
    let text = files::read_text(plan, MAX_PLAN as u64)?;
    let parsed =
        Plan::from_json(&text).map_err(|error| Failure::from(error).context(plan.display()))?;
    let key = files::read_signer(signer)?;
    let sealed = parsed.seal(&key)?;
    let mut output = Output::fresh(out)?;
    output.bytes(sealed.to_json().as_bytes())?;
    output.finish()?;
    say(&format!("{}: sealed by {}", out.display(), key.name()));
    say(&format!(
        "next: have it time-stamped (`taggant anchor request {}`) before round {} of {}",
        out.display(),
        parsed.beacon.round,
        parsed.beacon.chain
    ));
    Ok(Answer::Yes)
}

/// A plan that may be carried out now, and what is asked under it.
pub(super) struct Carried {
    pub(super) plan: SealedPlan,
    pub(super) ready: Ready,
    pub(super) asked: Asked,
}

impl Carried {
    /// Checks a plan's proofs, and draws.
    pub(super) fn out(args: &PlanProofs) -> Result<Self> {
        let trust = anchor::trust(&args.trust)?;
        // Read once: what is checked is what is drawn from.
        let mut bytes = Vec::new();
        files::open(&args.plan)?
            .take(MAX_PLAN as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::io(&args.plan, &error))?;
        let plan = SealedPlan::from_json(&bytes, &trust.keys(SignerRole::Examiner))
            .map_err(|error| Failure::from(error).context(args.plan.display()))?;
        let anchors =
            Proofs::read(&args.token, args.proof.as_deref())?.check(&trust, &plan.file())?;
        let ready = trust.ready(&plan, &anchors)?;
        let now = clock::now()?;
        if now < ready.round {
            return Err(Failure::new(format!(
                "round {} is of {}, and it is {now}",
                plan.plan().beacon.round,
                ready.round
            ))
            .hint("wait for the round: a value that is known before it is none"));
        }
        let pool = files::read_text(&args.pool, MAX_POOL)?;
        let asked = Asked::draw(&plan, &ready, &pool)
            .map_err(|error| Failure::from(error).context(args.pool.display()))?;
        Ok(Self { plan, ready, asked })
    }
}

fn draw(args: &CaseDraw) -> Result<Answer> {
    let Carried { plan, ready, asked } = Carried::out(&args.plan)?;
    let mut output = Output::fresh(&args.out)?;
    output.bytes(asked.to_jsonl()?.as_bytes())?;
    output.finish()?;
    let Round { chain, round } = &plan.plan().beacon;
    say(&format!(
        "{}: {} prompts, drawn by round {round} of {chain} ({}), after the plan was sealed by {}",
        args.out.display(),
        plan.plan().pool.drawn,
        ready.round,
        ready.sealed
    ));
    Ok(Answer::Yes)
}

//! `case example | signer | seal | draw`: a test planned, sealed, and its chance settled afterwards.

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};
use taggant_evidence::{Digest, Plan, Ready, SealedPlan, SignerRole, SigningKey};
use zeroize::Zeroizing;

use super::anchor::{self, Proofs};
use crate::Answer;
use crate::args::{Case, CaseDraw};
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::rows::Lines;

/// A plan with every field, to be filled in.
const EXAMPLE: &str = include_str!("case/plan.json");

/// Largest plan read, sealed or not.
const MAX_PLAN: u64 = 1 << 24;

pub(crate) fn run(command: &Case) -> Result<Answer> {
    match command {
        Case::Example => {
            let mut output = Output::create(Path::new("-"))?;
            output.bytes(EXAMPLE.as_bytes())?;
            output.finish()?;
            Ok(Answer::Yes)
        }
        Case::Signer { name, out } => signer(name, out),
        Case::Seal { plan, signer, out } => seal(plan, signer, out),
        Case::Draw(args) => draw(args),
    }
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
    let text = files::read_text(plan, MAX_PLAN)?;
    let parsed =
        Plan::from_json(&text).map_err(|error| Failure::from(error).context(plan.display()))?;
    let key = files::read_signer(signer)?;
    let sealed = parsed.seal(&key)?;
    let mut output = Output::fresh(out)?;
    output.bytes(sealed.envelope().to_json().as_bytes())?;
    output.finish()?;
    say(&format!(
        "{}: sealed by {}, digest {}",
        out.display(),
        key.name(),
        sealed.digest()
    ));
    say(&format!(
        "next: have it time-stamped (`taggant anchor request {}`) before round {} of {}",
        out.display(),
        parsed.beacon.round,
        parsed.beacon.chain
    ));
    Ok(Answer::Yes)
}

fn draw(args: &CaseDraw) -> Result<Answer> {
    let trust = anchor::trust(&args.trust)?;
    let mut bytes = Vec::new();
    files::open(&args.plan)?
        .take(MAX_PLAN)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io(&args.plan, &error))?;
    let plan = SealedPlan::from_json(&bytes, &trust.keys(SignerRole::Examiner))
        .map_err(|error| Failure::from(error).context(args.plan.display()))?;
    let proofs = Proofs::read(&args.token, args.proof.as_deref())?;
    let anchors = proofs.check(&trust, &anchor::digest(&args.plan)?)?;
    let value = args
        .beacon
        .as_deref()
        .map(|hex| {
            base16ct::lower::decode_vec(hex).map_err(|_| {
                Failure::new("--beacon is not lower-case hex")
                    .hint("give the round's value as the beacon prints it")
            })
        })
        .transpose()?;
    let ready = trust.ready(&plan, &anchors, value.as_deref())?;
    let pool = pool(&args.pool, &plan)?;
    let mut output = Output::create(&args.out)?;
    for row in rows(&plan, &ready, &pool)? {
        output.line(&row.to_string())?;
    }
    output.finish()?;
    say(&format!(
        "{}: {} prompts, drawn by round {} of {} ({}), after the plan was sealed by {}",
        args.out.display(),
        plan.plan().pool.drawn,
        plan.plan().beacon.round,
        plan.plan().beacon.chain,
        ready.round,
        ready.sealed
    ));
    if !ready.looked_up {
        say("note: the trust file does not have the round's value, so it was taken as given");
    }
    Ok(Answer::Yes)
}

/// The pool's rows, which must be those that the plan names.
fn pool(path: &Path, plan: &SealedPlan) -> Result<Vec<String>> {
    let wanted = &plan.plan().pool;
    let found: Digest = anchor::digest(path)?;
    if found != wanted.sha256 {
        return Err(Failure::new(format!(
            "{}: SHA-256 {found}; the plan names {}",
            path.display(),
            wanted.sha256
        ))
        .hint("give the pool that was sealed with the plan"));
    }
    let mut lines = Lines::new(files::open(path)?);
    let mut rows = Vec::new();
    while let Some((_, line)) = lines.next().map_err(|error| Failure::io(path, &error))? {
        rows.push(line?.to_owned());
    }
    if rows.len() != wanted.prompts as usize {
        return Err(Failure::new(format!(
            "{}: {} rows; the plan names {}",
            path.display(),
            rows.len(),
            wanted.prompts
        )));
    }
    Ok(rows)
}

/// What is asked, in order: every row of the pool that was drawn, with the seeds of its answers.
fn rows(plan: &SealedPlan, ready: &Ready, pool: &[String]) -> Result<Vec<Value>> {
    let plan = plan.plan();
    let answers = match plan.stopping {
        taggant_evidence::plan::Stopping::Fixed { answers }
        | taggant_evidence::plan::Stopping::Sequential { answers } => answers,
    };
    let mut number = 0;
    ready
        .draw
        .some("prompts", plan.pool.drawn, plan.pool.prompts)
        .into_iter()
        .map(|place| {
            let row: Value = serde_json::from_str(&pool[place as usize])
                .map_err(|_| Failure::new(format!("pool, row {}: not JSON", place + 1)))?;
            let seeds: Vec<u64> = (0..answers)
                .map(|answer| ready.draw.seed("seeds", number * answers + answer))
                .collect();
            number += 1;
            Ok(json!({"row": place + 1, "prompt": row["prompt"], "seeds": seeds}))
        })
        .collect()
}

//! `case example | signer | seal | draw`: a test planned, sealed, and its chance settled afterwards.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};
use taggant_evidence::plan::{MAX_PLAN, Round, Stopping};
use taggant_evidence::{Digest, Plan, Ready, SealedPlan, SignerRole, SigningKey};
use zeroize::Zeroizing;

use super::anchor::{self, Proofs};
use crate::Answer;
use crate::args::{Case, CaseDraw};
use crate::clock;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::rows;

/// A plan with every field, to be filled in.
const EXAMPLE: &str = include_str!("case/plan.json");

/// Largest pool read.
const MAX_POOL: u64 = 1 << 30;

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

fn draw(args: &CaseDraw) -> Result<Answer> {
    let trust = anchor::trust(&args.trust)?;
    // Read once: what is checked is what is drawn from.
    let mut bytes = Vec::new();
    files::open(&args.plan)?
        .take(MAX_PLAN as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io(&args.plan, &error))?;
    let plan = SealedPlan::from_json(&bytes, &trust.keys(SignerRole::Examiner))
        .map_err(|error| Failure::from(error).context(args.plan.display()))?;
    let anchors = Proofs::read(&args.token, args.proof.as_deref())?.check(&trust, &plan.file())?;
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
    let pool = pool(&args.pool, &plan)?;
    let mut output = Output::fresh(&args.out)?;
    output.line(&head(&plan, &ready).to_string())?;
    for_each_row(&plan, &ready, &pool, |row| output.line(&row.to_string()))?;
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

/// A row of the pool: a prompt and nothing else, because nothing else would be asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolRow {
    prompt: String,
}

/// The pool's prompts, which must be those that the plan names.
fn pool(path: &Path, plan: &SealedPlan) -> Result<Vec<String>> {
    let wanted = &plan.plan().pool;
    let text = files::read_text(path, MAX_POOL)?;
    let found = Digest::of(text.as_bytes());
    if found != wanted.sha256 {
        return Err(Failure::new(format!(
            "{}: SHA-256 {found}; the plan names {}",
            path.display(),
            wanted.sha256
        ))
        .hint("give the pool that was sealed with the plan"));
    }
    let prompts = (1..)
        .zip(text.lines().filter(|line| !line.trim().is_empty()))
        .map(|(number, line)| {
            let row: PoolRow = rows::parse(line).map_err(|failure: Failure| {
                failure.context(format_args!("{}, row {number}", path.display()))
            })?;
            Ok(row.prompt)
        })
        .collect::<Result<Vec<String>>>()?;
    if prompts.len() != wanted.prompts as usize {
        return Err(Failure::new(format!(
            "{}: {} rows; the plan names {}",
            path.display(),
            prompts.len(),
            wanted.prompts
        )));
    }
    Ok(prompts)
}

/// The first line: what the draw follows from.
fn head(plan: &SealedPlan, ready: &Ready) -> Value {
    let Round { chain, round } = &plan.plan().beacon;
    json!({
        "format": "taggant-asked/1",
        "plan": plan.digest(),
        "chain": chain,
        "round": round,
        "value": base16ct::lower::encode_string(&ready.value),
        "sealed": ready.sealed,
        "seen": ready.seen,
    })
}

/// What is asked, in order: every row of the pool that was drawn, with the seeds of its answers.
fn for_each_row(
    plan: &SealedPlan,
    ready: &Ready,
    pool: &[String],
    mut take: impl FnMut(Value) -> Result<()>,
) -> Result<()> {
    let plan = plan.plan();
    let answers = match plan.stopping {
        Stopping::Fixed { answers } | Stopping::Sequential { answers } => answers,
    };
    // A plan asks at most 2^30 times, so the numbers of its seeds fit.
    for (number, place) in (0..).zip(
        ready
            .draw
            .some("prompts", plan.pool.drawn, plan.pool.prompts),
    ) {
        let seeds: Vec<u64> = (0..answers)
            .map(|answer| ready.draw.seed("seeds", number * answers + answer))
            .collect();
        take(json!({"row": place + 1, "prompt": pool[place as usize], "seeds": seeds}))?;
    }
    Ok(())
}

//! `anchor request | enter | verify`.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use taggant_evidence::note::Note;
use taggant_evidence::timestamp::{MAX_TOKEN, request};
use taggant_evidence::tlog::{Entries, Logged, Proof};
use taggant_evidence::{Anchors, Digest, Time, Trust};

use crate::Answer;
use crate::args::Anchor;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;

/// Largest trust file or tlog-proof read.
const MAX_TEXT: u64 = 1 << 24;

pub(crate) fn run(command: &Anchor) -> Result<Answer> {
    match command {
        Anchor::Request { file, out } => ask(file, out.as_deref()),
        Anchor::Enter { files, log, key } => enter(files, log, key),
        Anchor::Verify {
            file,
            trust,
            token,
            proof,
            json,
        } => verify(file, trust, token, proof.as_deref(), *json),
    }
}

fn ask(file: &Path, out: Option<&Path>) -> Result<Answer> {
    if files::is_stream(file) && out.is_none() {
        return Err(
            Failure::new("a request over standard input has no name").hint("name it with --out")
        );
    }
    let out = out.map_or_else(|| suffixed(file, ".tsq"), Path::to_owned);
    let mut output = Output::fresh(&out)?;
    output.bytes(&request(&files::digest(file)?))?;
    output.finish()?;
    say(&format!(
        "{}: send it to two authorities, and keep what each answers",
        out.display()
    ));
    Ok(Answer::Yes)
}

/// Largest log read: some two million entries.
pub(super) const MAX_LOG: u64 = 1 << 27;

/// Entries go to the disk before the head that counts them, so a run that is killed between leaves a log that continues its last head.
fn enter(paths: &[PathBuf], log: &Path, key: &Path) -> Result<Answer> {
    let key = files::read_signer(key)?;
    let head = suffixed(log, ".note");
    let digests: Vec<Digest> = paths
        .iter()
        .map(|path| files::digest(path))
        .collect::<Result<_>>()?;
    let fail = |error: std::io::Error| Failure::io(log, &error);
    let mut file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(log)
        .map_err(fail)?;
    // Released by the system when this process ends, however it ends.
    file.try_lock().map_err(|_| {
        Failure::new(format!(
            "{}: another process is entering files",
            log.display()
        ))
        .hint("run the command again when it is done")
    })?;
    let mut entries: Entries = files::read_text(log, MAX_LOG)?.parse().map_err(|error| {
        Failure::from(error)
            .context(log.display())
            .hint("take the incomplete line out: it was never signed")
    })?;
    if head.exists() {
        let note: Note = files::read_text(&head, MAX_TEXT)?
            .parse()
            .map_err(|error| Failure::from(error).context(head.display()))?;
        entries
            .continues(&note, &key.public())
            .map_err(|error| Failure::from(error).context(log.display()))?;
    } else if !entries.digests().is_empty() {
        return Err(Failure::new(format!(
            "{}: {} entries and no {}",
            log.display(),
            entries.digests().len(),
            head.display()
        ))
        .hint("bring the head back: without it nobody can tell whether entries were taken out"));
    }
    let mut lines = String::new();
    for digest in &digests {
        if !entries.digests().contains(digest) {
            entries.push(*digest);
            lines.push_str(&format!("{digest}\n"));
        }
    }
    let length = file.metadata().map_err(fail)?.len();
    file.write_all(lines.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| {
            // A line that is there in part would stop the next run. If this fails too, that run says so.
            let _ = file.set_len(length);
            fail(error)
        })?;
    let note = entries.checkpoint(&key)?;
    let mut output = Output::create(&head)?;
    output.bytes(note.to_string().as_bytes())?;
    output.finish()?;
    for (path, digest) in paths.iter().zip(&digests) {
        let place = entries
            .digests()
            .iter()
            .position(|entered| entered == digest);
        let proof = place.and_then(|place| entries.prove(place, note.clone()));
        let mut output = Output::create(&suffixed(path, ".tlog-proof"))?;
        output.bytes(
            proof
                .map(|proof| proof.to_string())
                .unwrap_or_default()
                .as_bytes(),
        )?;
        output.finish()?;
    }
    say(&format!(
        "{}: {} entries, {} of them new; head in {}",
        log.display(),
        entries.digests().len(),
        lines.len() / 65,
        head.display()
    ));
    Ok(Answer::Yes)
}

pub(super) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What `verify --json` says.
#[derive(Serialize)]
struct Answered {
    sha256: Digest,
    /// When two authorities vouch that the file existed.
    time: Option<Time>,
    stamps: Vec<StampLine>,
    log: Option<LogLine>,
    missing: Vec<String>,
}

#[derive(Serialize)]
struct StampLine {
    authority: String,
    time: Time,
}

#[derive(Serialize)]
struct LogLine {
    origin: String,
    index: u64,
    size: u64,
    seen: Option<Time>,
    witnesses: Vec<WitnessLine>,
}

#[derive(Serialize)]
struct WitnessLine {
    name: String,
    time: Time,
}

/// The trust file at `path`.
pub(super) fn trust(path: &Path) -> Result<Trust> {
    let text = files::read_text(path, MAX_TEXT)?;
    Trust::from_json(&text).map_err(|error| Failure::from(error).context(path.display()))
}

/// Tokens and a tlog-proof, as they are given.
pub(super) struct Proofs {
    tokens: Vec<(String, Vec<u8>)>,
    log: Option<Proof>,
}

impl Proofs {
    pub(super) fn read(tokens: &[PathBuf], log: Option<&Path>) -> Result<Self> {
        let token = |path: &PathBuf| {
            let mut bytes = Vec::new();
            // One byte more than a token may have, so that a longer one is seen to be.
            let room = MAX_TOKEN as u64 + 1;
            files::open(path)?
                .take(room)
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::io(path, &error))?;
            Ok((path.display().to_string(), bytes))
        };
        let proof = |path: &Path| {
            let text = files::read_text(path, MAX_TEXT)?;
            text.parse::<Proof>()
                .map_err(|error| Failure::from(error).context(path.display()))
        };
        Ok(Self {
            tokens: tokens.iter().map(token).collect::<Result<_>>()?,
            log: log.map(proof).transpose()?,
        })
    }

    /// What they prove of a file.
    pub(super) fn check(&self, trust: &Trust, file: &Digest) -> Result<Anchors> {
        let tokens: Vec<(&str, &[u8])> = self
            .tokens
            .iter()
            .map(|(name, bytes)| (&name[..], &bytes[..]))
            .collect();
        Ok(trust.anchors(file, &tokens, self.log.as_ref())?)
    }
}

fn verify(
    file: &Path,
    given: &Path,
    tokens: &[PathBuf],
    proof: Option<&Path>,
    json: bool,
) -> Result<Answer> {
    let proofs = Proofs::read(tokens, proof)?;
    let digest = files::digest(file)?;
    let anchors = proofs.check(&trust(given)?, &digest)?;
    let missing = anchors.missing();
    let whole = missing.is_empty();
    let mut output = Output::create(Path::new("-"))?;
    if json {
        output.line(
            &serde_json::to_string(&answered(digest, anchors, missing)).unwrap_or_default(),
        )?;
    } else {
        words(&mut output, file, &digest, &anchors, &missing)?;
    }
    output.finish()?;
    Ok(if whole { Answer::Yes } else { Answer::No })
}

fn answered(sha256: Digest, anchors: Anchors, missing: Vec<String>) -> Answered {
    let line = |logged: Logged| LogLine {
        origin: logged.log,
        index: logged.index,
        size: logged.size,
        seen: logged.seen,
        witnesses: logged
            .witnesses
            .into_iter()
            .map(|(name, time)| WitnessLine { name, time })
            .collect(),
    };
    Answered {
        sha256,
        time: anchors.time(),
        log: anchors.logged.map(line),
        stamps: anchors
            .stamps
            .into_iter()
            .map(|stamp| StampLine {
                authority: stamp.authority,
                time: stamp.time,
            })
            .collect(),
        missing,
    }
}

fn words(
    output: &mut Output,
    file: &Path,
    digest: &Digest,
    anchors: &Anchors,
    missing: &[String],
) -> Result<()> {
    output.line(&format!("{}: sha256 {digest}", file.display()))?;
    for stamp in &anchors.stamps {
        output.line(&format!("  {}  {}", stamp.time, stamp.authority))?;
    }
    if let Some(logged) = &anchors.logged {
        output.line(&format!(
            "  entry {} of {} in {}, seen by {} witnesses{}",
            logged.index,
            logged.size,
            logged.log,
            logged.witnesses.len(),
            logged
                .seen
                .map_or_else(String::new, |time| format!(", a quorum by {time}"))
        ))?;
    }
    output.line(&match anchors.time() {
        Some(time) => format!("existed by {time}, on the word of two authorities"),
        None => "no time is proven: two authorities must vouch for it".to_owned(),
    })?;
    if !missing.is_empty() {
        output.line(&format!("missing: {}", missing.join(", ")))?;
    }
    Ok(())
}

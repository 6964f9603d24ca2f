//! `key new | derive | export | import | commit | reveal`.

mod engines;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use taggant_core::{CONTROLS, Epoch, LeafKey, Path as KeyPath, Role, RootKey};
use zeroize::Zeroizing;

use crate::Answer;
use crate::args::{Key, Register};
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;
use crate::rows::{self, Lines};

pub(crate) fn run(command: &Key) -> Result<Answer> {
    match command {
        Key::New { out } => new(out),
        Key::Derive {
            root,
            path,
            paths,
            out,
            register,
        } => derive(
            root,
            &wanted(path.as_deref(), paths.as_deref())?,
            out,
            register,
        ),
        Key::Export(args) => engines::export(args),
        Key::Import(args) => engines::import(args),
        Key::Commit {
            root,
            epoch,
            path,
            out,
            register,
        } => commit(root, epoch, path, out, register),
        Key::Reveal {
            epoch,
            key,
            controls,
            out,
        } => match (key, controls) {
            (Some(key), _) => reveal(epoch, key, out),
            (None, Some(root)) => reveal_controls(epoch, root, out),
            (None, None) => Err(Failure::new("nothing to open").hint("give --key or --controls")),
        },
    }
}

fn new(out: &Path) -> Result<Answer> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)
        .map_err(|error| Failure::new(format!("the system gave no random bytes: {error}")))?;
    files::write_secret(out, &RootKey::from_bytes(*bytes).to_json())?;
    say(&format!(
        "{}: a new root key; keep it offline, and a copy of it elsewhere",
        out.display()
    ));
    Ok(Answer::Yes)
}

/// The paths to derive: the one given, or those of a file.
fn wanted(path: Option<&str>, file: Option<&Path>) -> Result<Vec<KeyPath>> {
    let mut paths = Vec::new();
    if let Some(path) = path {
        paths.push(path.parse()?);
    }
    if let Some(file) = file {
        let mut lines = Lines::new(files::open(file)?);
        while let Some((number, line)) = lines.next().map_err(|error| Failure::io(file, &error))? {
            let path = line.and_then(|line| line.parse().map_err(Failure::from));
            paths.push(path.map_err(|failure| {
                failure.context(format_args!("{}, line {number}", file.display()))
            })?);
        }
        if paths.is_empty() {
            return Err(Failure::new(format!("{}: no paths", file.display()))
                .hint("give one epoch/role/id a line"));
        }
    }
    Ok(paths)
}

fn derive(root: &Path, paths: &[KeyPath], out: &Path, register: &Register) -> Result<Answer> {
    let root_key = files::read_root(root)?;
    let keys: Vec<LeafKey> = paths.iter().map(|path| root_key.derive(path)).collect();
    let lines: Vec<Zeroizing<String>> = keys.iter().map(LeafKey::to_json).collect();
    // Room for all at once: a string that grows leaves copies of keys behind.
    let room = lines.iter().map(|line| line.len() + 1).sum();
    let mut text = Zeroizing::new(String::with_capacity(room));
    for line in &lines {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(line);
    }
    files::write_secret(out, &text)?;
    if let [key] = &keys[..] {
        say(&format!(
            "{}: key {}, commitment {}",
            out.display(),
            key.path(),
            base16ct::lower::encode_string(&key.commitment())
        ));
    } else {
        say(&format!("{}: {} keys", out.display(), keys.len()));
    }
    match register.file(root) {
        Some(list) => append(&list, &keys),
        None => Ok(()),
    }?;
    Ok(Answer::Yes)
}

fn commit(
    root: &Path,
    epoch: &str,
    paths: &[String],
    out: &Path,
    register: &Register,
) -> Result<Answer> {
    let mut named: BTreeSet<KeyPath> = paths
        .iter()
        .map(|path| path.parse())
        .collect::<taggant_core::Result<_>>()?;
    if let Some(list) = register.file(root).filter(|list| list.exists()) {
        named.extend(
            registered(&list)?
                .into_iter()
                .filter(|path| path.epoch() == epoch),
        );
    }
    let named: Vec<KeyPath> = named.into_iter().collect();
    let commitment = Epoch::commit(&files::read_root(root)?, epoch, &named)?;
    let mut output = Output::create(out)?;
    output.line(&commitment.to_json())?;
    output.finish()?;
    say(&format!(
        "{}: epoch {epoch} with {} named keys, {} leaves in all, root {}",
        out.display(),
        named.len(),
        commitment.leaves().len(),
        base16ct::lower::encode_string(&commitment.root())
    ));
    if named.is_empty() {
        say(
            "note: no key of this epoch was derived yet, so only controls and decoys are committed to",
        );
    }
    say(&format!(
        "next: have it time-stamped (`taggant anchor request {}`) before anything is served under these keys",
        out.display()
    ));
    Ok(Answer::Yes)
}

/// Largest epoch file read: that of 2^20 leaves.
const MAX_EPOCH: u64 = 1 << 27;

fn reveal(epoch: &Path, key: &Path, out: &Path) -> Result<Answer> {
    let text = files::read_text(epoch, MAX_EPOCH)?;
    let committed =
        Epoch::from_json(&text).map_err(|error| Failure::from(error).context(epoch.display()))?;
    let reveal = committed.reveal(&files::read_key(key)?)?;
    files::write_secret(out, &reveal.to_json())?;
    say(&format!(
        "{}: opens key {}, leaf {} of {}, under root {}",
        out.display(),
        reveal.key().path(),
        reveal.index(),
        reveal.size(),
        base16ct::lower::encode_string(&reveal.root())
    ));
    say(match reveal.key().path().role() {
        Role::Pseudonym => {
            "note: whoever reads it can look up every account id and open every salted field; give it to a custodian alone"
        }
        _ => {
            "note: whoever reads it can write text under this key; what is to count must be time-stamped before"
        }
    });
    Ok(Answer::Yes)
}

/// Opens every control key of an epoch: they were never issued, so nothing is lost by it.
fn reveal_controls(epoch: &Path, root: &Path, out: &Path) -> Result<Answer> {
    let text = files::read_text(epoch, MAX_EPOCH)?;
    let committed =
        Epoch::from_json(&text).map_err(|error| Failure::from(error).context(epoch.display()))?;
    let root = files::read_root(root)?;
    let mut output = Output::fresh(out)?;
    for number in 0..CONTROLS {
        let path = KeyPath::new(committed.label(), Role::Control, &format!("{number:04}"))?;
        let reveal = committed.reveal(&root.derive(&path))?;
        output.line(reveal.to_json().trim_end())?;
    }
    output.finish()?;
    say(&format!("{}: opens {CONTROLS} control keys", out.display()));
    Ok(Answer::Yes)
}

impl Register {
    /// The list of derived paths: what was asked for, or the root key file's name with `.register`.
    fn file(&self, root: &Path) -> Option<PathBuf> {
        if self.no_register || (self.register.is_none() && files::is_stream(root)) {
            return None;
        }
        Some(self.register.clone().unwrap_or_else(|| {
            let mut name: OsString = root.as_os_str().to_owned();
            name.push(".register");
            PathBuf::from(name)
        }))
    }
}

/// A line of the register. Paths may name accounts, so the register is private; keys are not in it.
#[derive(Serialize, Deserialize)]
struct Entry {
    path: String,
    commitment: String,
}

fn append(list: &Path, keys: &[LeafKey]) -> Result<()> {
    let fail = |error: std::io::Error| {
        Failure::io(list, &error).hint("name another list with --register, or use --no-register")
    };
    let mut lines = String::new();
    // Controls and decoys are committed to in every epoch without being named.
    let named = |key: &&LeafKey| !matches!(key.path().role(), Role::Control | Role::Decoy);
    for key in keys.iter().filter(named) {
        let entry = Entry {
            path: key.path().to_string(),
            commitment: base16ct::lower::encode_string(&key.commitment()),
        };
        lines.push_str(&serde_json::to_string(&entry).unwrap_or_default());
        lines.push('\n');
    }
    if lines.is_empty() {
        return Ok(());
    }
    let mut options = File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(list).map_err(fail)?;
    // One write: lines of derivations that run side by side do not mix.
    file.write_all(lines.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(fail)
}

fn registered(list: &Path) -> Result<Vec<KeyPath>> {
    let mut lines = Lines::new(files::open(list)?);
    let mut paths = Vec::new();
    while let Some((number, line)) = lines.next().map_err(|error| Failure::io(list, &error))? {
        let path = line
            .and_then(rows::parse::<Entry>)
            .and_then(|entry| entry.path.parse().map_err(Failure::from))
            .map_err(|failure| {
                failure.context(format_args!("{}, line {number}", list.display()))
            })?;
        paths.push(path);
    }
    Ok(paths)
}

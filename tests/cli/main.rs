//! The command as its users meet it: real processes, real files, the real model.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

mod anchor;
mod attribute;
mod bad_input;
mod bundle;
mod canary;
mod case;
mod collect;
mod contract;
mod distill;
mod foreign;
mod lab;
mod log;
mod many;
mod power;
mod readme;
mod resume;
mod sample;
mod secrets;
mod twins;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Transcripts of the help texts and of commands that need no model.
#[test]
fn transcripts() {
    trycmd::TestCases::new().case("../tests/cli/cmd/*.md");
}

/// A folder with keys, a record and marked rows, made once by the command itself.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// An empty folder.
    fn empty() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A folder with `east.key`, `a.key`, `other.key`, `prompts.jsonl` (three rows), `marked.jsonl` and `mark.json`.
    fn ready() -> Self {
        let desk = Self::empty();
        desk.root();
        desk.good("key derive --root root.key --path 2026-12/campaign/east --out east.key");
        desk.good("key derive --root root.key --path 2026-12/campaign/west --out other.key");
        desk.good("key derive --root root.key --path 2026-12/account/a --out a.key");
        desk.write(
            "prompts.jsonl",
            "{\"id\":\"q1\",\"prompt\":\"Why is the sky blue?\",\"account\":\"x1\",\"extra\":{\"a\":[1,2.5,null]}}\n\n\
             {\"prompt\":\"Write a limerick about a cat.\"}\n{\"id\":3,\"prompt\":\"List five fruits.\",\"tags\":null}\n",
        );
        desk.good(&format!(
            "{GENERATE} --key east.key --out marked.jsonl --record mark.json"
        ));
        desk
    }

    /// A root key that is the same in every run: what a test sees of a mark must not depend on luck.
    fn root(&self) {
        use std::os::unix::fs::PermissionsExt;

        let key = taggant_core::RootKey::from_bytes([0x5A; 32]).to_json();
        self.write("root.key", key.as_bytes());
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.path("root.key"), private).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The names of all files, hidden ones too.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taggant"));
        command
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        // The real model, wherever the tests keep it.
        let _ = taggant_tests::model::path();
        command.env("TAGGANT_CACHE", taggant_tests::model::cache());
        command
    }

    fn run(&self, arguments: &str) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs a command that must succeed.
    fn good(&self, arguments: &str) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "taggant {arguments}: {}", ran.stderr);
        ran
    }

    /// Runs a command that cannot answer, and returns what it says.
    fn bad(&self, arguments: &str) -> String {
        let before = self.names();
        let ran = self.run(arguments);
        assert_eq!(
            ran.code, 2,
            "taggant {arguments}: {} {}",
            ran.stdout, ran.stderr
        );
        assert_eq!(
            self.names(),
            before,
            "taggant {arguments} left something behind"
        );
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        ran.stderr
    }
}

/// The part of `generate` that most tests share: few and short responses.
const GENERATE: &str = "generate --model smollm2-135m --scheme gumbel --prompts prompts.jsonl --max-tokens 90 --temperature 1 \
                        --top-p 0.95 --seed 7";

/// What a command did.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Standard output as JSON lines.
    fn json(&self) -> Vec<Value> {
        rows(&self.stdout)
    }
}

/// JSONL as values.
fn rows(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;

    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

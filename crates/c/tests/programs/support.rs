//! Compiles C programs against the header and the static library, and runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use taggant_core::schemes::Parameters;
use taggant_core::{LeafKey, Record, RootKey, TokenizerId};
use tempfile::TempDir;

/// The crate's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The static library that this very test was built with: Cargo makes all forms of a library at once, beside the tests.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let library = test.with_file_name("libtaggant.a");
    assert!(library.is_file(), "{} is missing", library.display());
    library
}

/// A folder with a program made of `sources`, and files for it.
pub struct Bench {
    folder: TempDir,
    program: PathBuf,
}

impl Bench {
    /// Compiles `sources`, paths below the crate's folder, with warnings as errors.
    pub fn new(sources: &[&str], flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        let output = Command::new("cc")
            .args([
                "-std=c11",
                "-O1",
                "-g",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-pedantic",
                "-D_GNU_SOURCE",
                "-Iinclude",
            ])
            .args(flags)
            .args(words("TAGGANT_CFLAGS"))
            .args(sources)
            .arg("-o")
            .arg(&program)
            .arg(library())
            .args(["-lpthread", "-ldl", "-lm"])
            .current_dir(root())
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sources:?}: {complaints}");
        Self { folder, program }
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that only its owner can read, and returns its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        path.to_str().unwrap().to_owned()
    }

    /// Runs the program, which must say yes.
    pub fn run(&self, arguments: &[&str]) -> String {
        self.run_with(arguments, "")
    }

    /// Runs the program with `input` on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> String {
        let input_path = self.path("input");
        fs::write(&input_path, input).unwrap();
        let runner = words("TAGGANT_RUNNER");
        let mut command = match runner.split_first() {
            Some((runner, options)) => {
                let mut command = Command::new(runner);
                command.args(options).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        let Output {
            status,
            stdout,
            stderr,
        } = command
            .args(arguments)
            .stdin(fs::File::open(input_path).unwrap())
            .output()
            .unwrap();
        let (said, complaints) = (
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr),
        );
        assert!(status.success(), "{status}\n{said}\n{complaints}");
        said.into_owned()
    }
}

/// The words of an environment variable: how `.ci/c` has the same programs compiled with sanitizers and run by valgrind.
fn words(variable: &str) -> Vec<String> {
    let value = std::env::var(variable).unwrap_or_default();
    value.split_whitespace().map(str::to_owned).collect()
}

/// A key that is known to the world, for tests.
pub fn insecure_key(seed: u8, path: &str) -> LeafKey {
    RootKey::from_bytes([seed; 32]).derive(&path.parse().unwrap())
}

/// A record of `scheme` under `keys`, for a toy vocabulary.
pub fn record(scheme: &str, keys: &[&LeafKey], vocabulary: usize) -> Record {
    let tokenizer = TokenizerId::new([0; 32], vocabulary).unwrap();
    Record::new(Parameters::new(scheme, &[]).unwrap(), 2, keys, tokenizer).unwrap()
}

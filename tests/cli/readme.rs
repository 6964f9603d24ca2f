//! Every command that the README shows works as shown.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::Desk;

#[test]
fn the_readmes_commands_run_as_written() {
    let readme = fs::read_to_string("../README.md").unwrap();
    let blocks: Vec<&str> = readme
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    // The first block builds the demo and runs these tests; the gate runs it.
    let (first, rest) = blocks.split_first().unwrap();
    assert!(first.contains("demo") && rest.len() >= 2 && rest.concat().contains("taggant detect"));
    let desk = Desk::empty();
    let mut script = String::from("set -e\n");
    for block in rest {
        // A verdict of "no" would be a failure here: the README shows what works.
        let _ = writeln!(script, "{block}");
    }
    // Paths are those of the repository.
    std::os::unix::fs::symlink(std::path::absolute("../tests").unwrap(), desk.path("tests"))
        .unwrap();
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_taggant"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(desk.path("."))
        .env("PATH", path)
        .env("TAGGANT_CACHE", taggant_tests::model::cache())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    assert!(
        out.contains("Detected") && out.contains("1 of 1000 keys detected"),
        "{out}"
    );
}

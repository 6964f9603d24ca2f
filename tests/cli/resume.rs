//! A killed run goes on where it stopped, and ends with the same bytes.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::{Desk, GENERATE};

#[test]
fn a_killed_run_goes_on_and_ends_with_the_same_bytes() {
    let desk = Desk::ready();
    let rows: String = (0..40)
        .map(|n| format!("{{\"id\":{n},\"prompt\":\"Tell me about the number {n}.\"}}\n"))
        .collect();
    desk.write("prompts.jsonl", rows);
    let generate = format!(
        "{} --batch 4 --threads 1 --key east.key",
        GENERATE.replace("--max-tokens 90", "--max-tokens 12")
    );
    desk.good(&format!("{generate} --out whole.jsonl --record whole.json"));

    let run = format!("{generate} --out out.jsonl --record out.json");
    let finished = || {
        fs::read_to_string(desk.path("out.jsonl.partial")).map_or(0, |text| text.lines().count())
    };
    let mut child = desk
        .command(&run)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(120);
    while finished() < 6 && Instant::now() < patience && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let kept = finished();
    assert!(
        kept >= 6 && !desk.path("out.jsonl").exists(),
        "{kept} lines kept"
    );

    // A kill can cut the last line; it counts as not finished.
    let text = desk.read("out.jsonl.partial");
    desk.write("out.jsonl.partial", &text[..text.len() - 3]);
    let ran = desk.good(&run);
    assert!(
        ran.stderr.contains("going on with an earlier run"),
        "{}",
        ran.stderr
    );
    assert_eq!(desk.read("out.jsonl"), desk.read("whole.jsonl"));
    assert!(!desk.path("out.jsonl.partial").exists());

    // Rows of another run are not taken for this one's.
    desk.write("out.jsonl.partial", text);
    let other = run.replace("--seed 7", "--seed 8");
    let ran = desk.good(&other);
    assert!(!ran.stderr.contains("going on"), "{}", ran.stderr);
}

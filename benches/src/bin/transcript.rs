//! Time and memory of checking a transcript in a bundle, by its length.
//! `cargo run --release -p taggant-benches --bin transcript [-- ATTEMPTS]`, 500,000 attempts by default: 1,000,000 records.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::time::Instant;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use taggant_evidence::bundle::{Folder, verify};
use taggant_evidence::transcript::Opening;
use taggant_evidence::{Digest, Trust};

/// Lines with hashes, as SPEC.md §1.1 makes them.
struct Chain {
    file: BufWriter<File>,
    number: u64,
    head: Digest,
}

impl Chain {
    fn line(&mut self, kind: &str, said: &serde_json::Value) {
        self.number += 1;
        let mut body = String::new();
        write!(
            body,
            "{{\"line\":{},\"previous\":\"{}\",\"time\":\"2026-12-01T00:00:00.000Z\",\"{kind}\":{said}",
            self.number, self.head
        )
        .unwrap();
        let hash = Sha256::new()
            .chain_update("taggant/v1/transcript-line")
            .chain_update(&body);
        self.head = <[u8; 32]>::from(hash.finalize()).into();
        writeln!(self.file, "{body},\"hash\":\"{}\"}}", self.head).unwrap();
    }
}

fn main() {
    let attempts: u64 = std::env::args()
        .nth(1)
        .map_or(500_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("transcript")).unwrap();
    let create = |name: &str| BufWriter::new(File::create(folder.path().join(name)).unwrap());
    let mut openings = create("transcript/openings.jsonl");
    let mut show = |attempt: u64, field: &str, text: &str| {
        let (opening, digest) = Opening::new(attempt, field, [7; 32], text.as_bytes());
        serde_json::to_writer(&mut openings, &opening).unwrap();
        openings.write_all(b"\n").unwrap();
        digest
    };
    let mut chain = Chain {
        file: create("transcript/records.jsonl"),
        number: 0,
        head: Digest::default(),
    };
    let zero = Digest::default();
    let door = show(0, "door.0", "a door");
    chain.line(
        "opened",
        &json!({"format": "taggant-transcript/1", "plan": zero, "asked": zero, "prompts": attempts, "answers": 1, "max_tokens": 100, "collector": "c",
            "program": {"version": "0", "binary": zero}, "suspects": [{"id": "s", "door": door}]}),
    );
    // An answer of 100 words.
    let text = "word ".repeat(100);
    let body =
        json!({"choices": [{"message": {"content": text}}], "usage": {"completion_tokens": 100}})
            .to_string();
    for attempt in 1..=attempts {
        let request = show(
            attempt,
            "request",
            "{\"prompt\":\"a question of some length, as they are\"}",
        );
        chain.line(
            "sent",
            &json!({"attempt": attempt, "suspect": 0, "prompt": attempt - 1, "answer": 0, "request": request}),
        );
        let digest = show(attempt, "body", &body);
        chain.line(
            "answered",
            &json!({"attempt": attempt, "body": digest, "bytes": body.len(), "tokens": 100, "milliseconds": 900}),
        );
    }
    chain.line("closed", &json!({"because": "complete"}));
    let lines = chain.number;
    chain.file.flush().unwrap();
    openings.flush().unwrap();

    let trust = Trust::from_json(r#"{"format":"taggant-trust/1","authorities":[]}"#).unwrap();
    let folder = Folder::open(folder.path()).unwrap();
    let start = Instant::now();
    let outcome = verify(&folder, &trust, |_| Err("nothing to compute".to_owned()));
    let seconds = start.elapsed().as_secs_f64();
    let check = outcome
        .checks
        .iter()
        .find(|check| check.code == "transcript.chain")
        .unwrap();
    println!("{check}");
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("?");
    println!(
        "{lines} records and their texts: {seconds:.2} s, peak memory {}",
        peak.trim()
    );
}

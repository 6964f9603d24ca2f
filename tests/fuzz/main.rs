//! Every parser against its corpus and what becomes of it when it is changed: at random places under a fixed seed, in the ways that hostile files are.
//!
//! `corpus/TARGET/` holds files that the parser takes (`good-*`) and files that it once fell over or must refuse (`bad-*`). For a run without end, `fuzz/` of
//! cargo-fuzz needs nothing but a call of the same functions.

mod targets;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use taggant_tests::rng;
use targets::TARGETS;

/// Changed files for each file of the corpus.
const ROUNDS: usize = 20_000;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn every_parser_takes_its_good_files_and_refuses_its_bad_ones() {
    for (name, parse) in TARGETS {
        let files = corpus(name);
        assert!(
            files.iter().any(|(path, _)| is_good(path)),
            "{name} has no good file"
        );
        for (path, bytes) in files {
            assert_eq!(parse(&bytes), is_good(&path), "{}", path.display());
        }
    }
}

fn is_good(path: &Path) -> bool {
    path.file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .starts_with("good-")
}

/// V-9. Seed 97, 20,000 changed files for each of the corpus.
#[test]
fn no_parser_panics_whatever_becomes_of_a_file() {
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                for (number, (name, parse)) in TARGETS
                    .iter()
                    .enumerate()
                    .filter(|(number, _)| number % 2 == half)
                {
                    let mut rng = rng(97 + number as u64);
                    for (path, bytes) in corpus(name) {
                        // The long ones are one shape repeated.
                        let rounds = ROUNDS.min(40_000_000 / bytes.len().max(1));
                        for round in 0..rounds {
                            let changed = change(&bytes, &mut rng);
                            let parsed = catch_unwind(|| parse(&changed));
                            assert!(
                                parsed.is_ok(),
                                "{name}, {}, round {round}: {:?}",
                                path.display(),
                                String::from_utf8_lossy(&changed)
                            );
                        }
                    }
                }
            });
        }
    });
}

/// Words that parsers trip over.
const WORDS: [&str; 16] = [
    "99999999999999999999999",
    "-1",
    "1e999",
    "null",
    "[]",
    "{}",
    "\"\"",
    "\\u0000",
    "\u{2028}",
    "\n",
    "\r\n",
    "\0",
    "é",
    "18446744073709551615",
    "\"a\":",
    "+",
];

fn change(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..rng.random_range(1..4) {
        let length = out.len();
        let at = rng.random_range(0..=length);
        match rng.random_range(0..8) {
            0 if at < length => out[at] ^= 1 << rng.random_range(0..8),
            1 if at < length => out[at] = rng.random(),
            2 => out.truncate(at),
            3 => {
                let word = WORDS[rng.random_range(0..WORDS.len())];
                out.splice(at..at, word.bytes());
            }
            4 => {
                // A piece goes, or stands there twice.
                let end = (at + rng.random_range(0..40)).min(length);
                let piece: Vec<u8> = out[at..end].to_vec();
                if rng.random() {
                    out.drain(at..end);
                } else {
                    out.splice(at..at, piece);
                }
            }
            5 => {
                // A number grows.
                if let Some(digit) = out[at..].iter().position(u8::is_ascii_digit) {
                    out.splice(at + digit..at + digit, b"9".repeat(rng.random_range(1..30)));
                }
            }
            6 => out
                .splice(at..at, b"[".repeat(rng.random_range(1..300)))
                .for_each(drop),
            _ => {
                // A length byte of DER, or any other.
                if at < length {
                    out[at] = [0x00, 0x7F, 0x80, 0x81, 0x84, 0xFF][rng.random_range(0..6)];
                }
            }
        }
    }
    out
}

/// Writes the good files anew, when a format has changed: `cargo test -p taggant-tests --test fuzz -- --ignored`.
#[test]
#[ignore = "writes the corpus"]
fn write_the_corpus() {
    use serde_json::json;
    use taggant_core::{Epoch, RootKey};
    use taggant_evidence::note::{Checkpoint, Note};
    use taggant_evidence::tlog::{Proof, entry};
    use taggant_evidence::transcript::{
        Answer, Ending, Failure, NoAnswer, Opened, Program, Transcript,
    };
    use taggant_evidence::{Digest, Plan, SigningKey, Time};

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder.join(target)).unwrap();
        fs::write(folder.join(target).join(name), bytes).unwrap();
    };
    let root = RootKey::from_bytes([7; 32]);
    let east = root.derive(&"e/campaign/east".parse().unwrap());
    let epoch = Epoch::commit(&root, "e", &[east.path().clone()]).unwrap();
    write("epoch", "good-1.json", epoch.to_json().as_bytes());
    write(
        "reveal",
        "good-1.json",
        epoch.reveal(&east).unwrap().to_json().as_bytes(),
    );
    write("root-key", "good-1.json", root.to_json().as_bytes());
    write("leaf-key", "good-1.json", east.to_json().as_bytes());
    let example = include_str!("../../cli/src/commands/case/plan.json")
        .replace(&"0".repeat(64), &"1".repeat(64))
        .replace("{VERSION}", "taggant 1")
        .replace("{SOURCE}", &"2".repeat(64))
        .replace("{BINARY}", &"3".repeat(64));
    write("plan", "good-1.json", example.as_bytes());
    let ann = targets::signer();
    let sealed = Plan::from_json(&example)
        .unwrap()
        .seal(&ann)
        .unwrap()
        .to_json();
    write("sealed-plan", "good-1.json", sealed.as_bytes());
    write("envelope", "good-1.json", sealed.as_bytes());
    write("signing-key", "good-1.json", ann.to_json().as_bytes());
    write(
        "public-key",
        "good-1.txt",
        ann.public().to_string().as_bytes(),
    );
    for (number, text) in [
        "0.7",
        "1e-6",
        &"0123456789abcdef".repeat(4),
        "2026-12-01T09:30:05.007Z",
    ]
    .iter()
    .enumerate()
    {
        write("small", &format!("good-{number}.txt"), text.as_bytes());
    }
    let (log, witness) = (
        SigningKey::from_seed("log.example", [7; 32]).unwrap(),
        SigningKey::from_seed("w.example", [8; 32]).unwrap(),
    );
    let policy = format!(
        "log {}\nwitness a {}\ngroup g any a\nquorum g\n",
        log.public(),
        witness.public().as_witness()
    );
    write("policy", "good-1.txt", policy.as_bytes());
    write(
        "entries",
        "good-1.txt",
        format!("{}\n{}\n", Digest::of(b"1"), Digest::of(b"2")).as_bytes(),
    );
    let zeros = "0".repeat(64);
    for (number, statement) in [
        json!({"plans": [
            {"file": "register/plan-1.dsse.json", "fate": {"abandoned": "too little power"}},
            {"file": "plan/plan.dsse.json", "fate": {"carried-out": "x"}},
        ]}),
        json!({"accounts": [{"pseudonym": zeros, "terms": zeros, "accepted": "2026-07-01T12:00:00.000Z", "indicators": ["a card"]}]}),
        json!({"suspects": [{"name": "a model", "salt": zeros}]}),
        json!({"case": "sample", "plan": zeros}),
    ]
    .iter()
    .enumerate()
    {
        write("statements", &format!("good-{number}.json"), statement.to_string().as_bytes());
    }
    let mut tree = taggant_core::merkle::Tree::default();
    tree.push(entry(&Digest::of(b"a file")));
    let time = |seconds: u64| Time::from_unix_millis(1_796_083_200_000 + 1000 * seconds).unwrap();
    let mut note = Note::new(&Checkpoint::of("log.example", &tree).unwrap().to_string()).unwrap();
    note.sign(&log);
    note.cosign(&witness, time(0));
    write("note", "good-1.txt", note.to_string().as_bytes());
    write(
        "tlog-proof",
        "good-1.txt",
        Proof::new(0, &[], note).to_string().as_bytes(),
    );
    let trust = json!({"format": "taggant-trust/1", "authorities": [], "logs": policy.lines().collect::<Vec<_>>(),
        "signers": [{"role": "examiner", "key": ann.public()}],
        "beacons": [{"chain": "c", "genesis": "2026-12-01T00:00:00.000Z", "period": 3, "values": [{"round": 1, "value": "c0ffee"}]}]});
    write("trust", "good-1.json", trust.to_string().as_bytes());

    let desk = tempfile::tempdir().unwrap();
    let program = Program {
        version: "1".to_owned(),
        binary: Digest::of(b"x"),
    };
    let opened = Opened::new(
        Digest::of(b"plan"),
        Digest::of(b"asked"),
        (2, 1, 8),
        "bob",
        program,
    );
    let (mut transcript, _) =
        Transcript::open(desk.path(), opened, &[("s1", "a door", [1; 32])], time(0)).unwrap();
    let one = transcript.send((0, 0, 0), b"{}", [2; 32], time(1)).unwrap();
    let body = json!({"choices": [{"message": {"content": "an answer"}}], "usage": {"completion_tokens": 3}}).to_string();
    let headers = [("x-request-id".to_owned(), "7".to_owned())].into();
    let answer = Answer {
        body: body.as_bytes(),
        tokens: Some(3),
        headers,
        milliseconds: 9,
    };
    transcript.answered(one, answer, [3; 32], time(2)).unwrap();
    let two = transcript.send((0, 1, 0), b"{}", [4; 32], time(3)).unwrap();
    let miss = NoAnswer {
        cause: Failure::Throttled,
        status: Some(429),
        body: Some(&[0xFF, 0xFE]),
        headers: Default::default(),
        milliseconds: 1,
    };
    transcript.failed(two, miss, [5; 32], time(4)).unwrap();
    transcript
        .close(Ending::Abandoned, Some("enough".to_owned()), time(5))
        .unwrap();
    drop(transcript);
    write(
        "transcript",
        "good-1.jsonl",
        &fs::read(desk.path().join("records.jsonl")).unwrap(),
    );
    write(
        "openings",
        "good-1.jsonl",
        &fs::read(desk.path().join("openings.jsonl")).unwrap(),
    );
    write("answer", "good-1.json", body.as_bytes());
    write(
        "answer",
        "good-2.json",
        br#"{"choices":[{"text":"plain"}]}"#,
    );

    let record = taggant_core::Record::new(
        taggant_core::schemes::Parameters::new("gumbel", &[]).unwrap(),
        2,
        &[&east],
        taggant_core::TokenizerId::new([0; 32], 50_000).unwrap(),
    )
    .unwrap();
    write("record", "good-1.json", record.to_json().as_bytes());
    let path = desk.path().join("issuance.jsonl");
    let (mut served, _) = taggant_evidence::issuance::IssuanceLog::open(
        &path,
        std::slice::from_ref(&record),
        time(0),
    )
    .unwrap();
    let content = taggant_evidence::issuance::Content::of_tokens;
    let exchange = taggant_evidence::issuance::Exchange::marked(
        "q1",
        content(&[5, 7]),
        content(&[11, 13]),
        &record,
    );
    served.append(&exchange, time(1)).unwrap();
    write("issuance", "good-1.jsonl", &fs::read(&path).unwrap());
}

//! The issuance log against damage, and against the second verifier in `verify/issuance.py`.

#![expect(clippy::unwrap_used, reason = "tests fail loudly")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use taggant_core::schemes::Parameters;
use taggant_core::{ErrorKind, LeafKey, Record, RootKey, TokenizerId};
use taggant_evidence::issuance::{
    Content, Entry, Exchange, Fault, FaultKind, IssuanceLog, Outcome, Verifier, field_digest,
    mark_digest, verify,
};
use taggant_evidence::{Digest, Time};

fn key(path: &str) -> LeafKey {
    RootKey::from_bytes([7; 32]).derive(&path.parse().unwrap())
}

fn record(keys: &[&LeafKey]) -> Record {
    let tokenizer = TokenizerId::new([0; 32], 50_000).unwrap();
    Record::new(Parameters::new("gumbel", &[]).unwrap(), 2, keys, tokenizer).unwrap()
}

fn time(second: u64) -> Time {
    Time::from_unix_millis(1_796_083_200_000 + 1000 * second).unwrap()
}

fn exchange(number: u32, record: &Record) -> Exchange {
    let prompt = Content::of_text("Why is the sky \"blue\"?\n\u{e9}\u{1F600}");
    let response = Content::new(Some("Rayleigh.".to_owned()), Some(vec![number, 7, 11]));
    Exchange::marked(format!("q{number}"), prompt, response, record)
        .with_account(key("e/pseudonym/a").pseudonym("alice@example.org").unwrap())
}

/// A log of six lines: genesis, an exchange, a second mark, an exchange under it, one unmarked, one hidden.
fn small(path: &Path) -> [Record; 2] {
    let east = record(&[&key("e/campaign/east")]);
    let both = record(&[&key("e/campaign/east"), &key("e/account/a")]);
    let (mut log, opened) = IssuanceLog::open(path, std::slice::from_ref(&east), time(0)).unwrap();
    assert!(opened.created && opened.torn.is_none());
    log.append(&exchange(1, &east), time(1)).unwrap();
    log.add_marks(&[both.clone(), east.clone(), both.clone()], time(1))
        .unwrap();
    let unmarked = Exchange::unmarked(
        "q3",
        Content::default(),
        Content::of_text("x"),
        "temperature 0",
    );
    let hidden = exchange(4, &east).sealed(&key("e/pseudonym/a")).unwrap();
    let receipts = log
        .append_all(
            &[exchange(2, &both).with_twins([9; 32]), unmarked, hidden],
            time(2),
        )
        .unwrap();
    assert_eq!(
        receipts
            .iter()
            .map(|receipt| receipt.line)
            .collect::<Vec<_>>(),
        [4, 5, 6]
    );
    assert_eq!(log.summary().head, receipts[2].hash);
    [east, both]
}

fn outcome(bytes: &[u8]) -> Outcome {
    verify(bytes, |_, _| ()).unwrap()
}

fn fault(bytes: &[u8]) -> Fault {
    outcome(bytes).fault.unwrap()
}

/// Both verifiers on every log; returns how many were broken. The Python one answers for all in one run.
fn agree(logs: &[Vec<u8>]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..logs.len())
        .map(|number| folder.path().join(format!("{number}.jsonl")))
        .collect();
    for (path, log) in paths.iter().zip(logs) {
        fs::write(path, log).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("verify/issuance.py");
    let mut answers = Vec::new();
    for paths in paths.chunks(1000) {
        let ran = Command::new("python3")
            .arg(&script)
            .args(paths)
            .output()
            .unwrap();
        assert!(
            ran.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        answers.extend(
            String::from_utf8(ran.stdout)
                .unwrap()
                .lines()
                .map(str::to_owned),
        );
    }
    assert_eq!(answers.len(), logs.len());
    let mut broken = 0;
    for ((path, log), answer) in paths.iter().zip(logs).zip(answers) {
        let Outcome {
            summary,
            story,
            fault,
            ..
        } = outcome(log);
        let ours = match &fault {
            Some(fault) => format!("line {}: {}", fault.line, fault.kind.name()),
            None => format!(
                "intact: {} lines, {} exchanges, head {}",
                summary.lines,
                story.exchanges(),
                summary.head
            ),
        };
        assert_eq!(answer, format!("{}: {ours}", path.display()), "{fault:?}");
        broken += usize::from(fault.is_some());
    }
    broken
}

#[test]
fn a_log_says_what_was_served_and_no_account_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let [east, both] = small(&path);
    let bytes = fs::read(&path).unwrap();
    let mut entries = Vec::new();
    let outcome = verify(&bytes[..], |line, text| {
        assert!(text.starts_with(format!("{{\"line\":{},", line.number).as_bytes()));
        entries.push(line.entry.clone());
    })
    .unwrap();
    let summary = outcome.summary;
    assert_eq!(
        (
            outcome.fault,
            summary.lines,
            outcome.story.exchanges(),
            outcome.story.marks()
        ),
        (None, 6, 4, 2)
    );
    assert_eq!(summary.times, Some((time(0), time(2))));
    assert_eq!(entries[0], Entry::Genesis(vec![east.clone()]));
    assert_eq!(entries[2], Entry::Mark(Box::new(both.clone())));
    assert_eq!(entries[1], Entry::Exchange(Box::new(exchange(1, &east))));
    let Entry::Exchange(second) = &entries[3] else {
        panic!()
    };
    assert_eq!(
        (second.mark(), second.keys().len()),
        (Some(&mark_digest(&both)), 2)
    );
    assert_eq!(second.twins(), Some(&Digest::from([9; 32])));

    // Hidden fields open one by one, with the salt that the key makes again.
    let Entry::Exchange(hidden) = &entries[5] else {
        panic!()
    };
    assert_eq!(
        (hidden.response().text(), hidden.response().tokens()),
        (None, None)
    );
    let salt = |field| key("e/pseudonym/a").field_salt("q4", field).unwrap();
    assert_eq!(
        hidden.response().text_digest(),
        Some(&field_digest(&salt("response.text"), b"Rayleigh."))
    );
    let tokens = [0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 11];
    assert_eq!(
        hidden.response().tokens_digest(),
        Some(&field_digest(&salt("response.tokens"), &tokens))
    );

    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains("alice"));
    let file = key("e/pseudonym/a").to_json();
    let secret = &file[file.len() - 66..file.len() - 58];
    assert!(file.contains(secret) && !text.contains(secret));
}

#[test]
fn every_flipped_byte_is_found_and_its_line_named_by_both_verifiers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    small(&path);
    let good = fs::read(&path).unwrap();
    let line_of =
        |place: usize| 1 + good[..place].iter().filter(|&&byte| byte == b'\n').count() as u64;
    let mut logs = vec![good.clone()];
    for place in 0..good.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bad = good.clone();
            bad[place] ^= flip;
            assert_eq!(fault(&bad).line, line_of(place), "byte {place} ^ {flip:#x}");
            if flip == 1 {
                logs.push(bad);
            }
        }
    }
    let flipped = logs.len() - 1;
    assert!(flipped > 3000);
    // Every length: cut between lines is a shorter log that is intact, cut elsewhere a torn one.
    logs.extend((0..good.len()).map(|length| good[..length].to_vec()));
    assert_eq!(agree(&logs), flipped + good.len() - 5);
}

#[test]
fn missing_repeated_swapped_and_foreign_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let [east, _] = small(&path);
    let good = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let of = |order: &[usize]| -> Vec<u8> {
        order
            .iter()
            .flat_map(|&line| format!("{}\n", lines[line - 1]).into_bytes())
            .collect()
    };
    let mut logs = Vec::new();
    for (order, line, kind, detail) in [
        (
            &[1, 2, 4, 5, 6][..],
            3,
            FaultKind::Misplaced,
            "it says it is line 4",
        ),
        (
            &[2, 3, 4, 5, 6],
            1,
            FaultKind::Misplaced,
            "it says it is line 2",
        ),
        (
            &[1, 2, 2, 3, 4, 5, 6],
            3,
            FaultKind::Misplaced,
            "it says it is line 2",
        ),
        (
            &[1, 1, 2, 3, 4, 5, 6],
            2,
            FaultKind::Misplaced,
            "it says it is line 1",
        ),
        (
            &[1, 2, 3, 5, 4, 6],
            4,
            FaultKind::Misplaced,
            "it says it is line 5",
        ),
        (
            &[1, 2, 3, 4, 6],
            5,
            FaultKind::Misplaced,
            "it says it is line 6",
        ),
    ] {
        let log = of(order);
        let found = fault(&log);
        assert_eq!((found.line, found.kind), (line, kind), "{order:?}");
        assert!(found.detail.contains(detail), "{found}");
        logs.push(log);
    }

    // A line of another log at the same place: whole by itself, but it does not follow.
    let other = folder.path().join("other.jsonl");
    let (mut log, _) = IssuanceLog::open(&other, std::slice::from_ref(&east), time(0)).unwrap();
    log.append(&exchange(8, &east), time(1)).unwrap();
    log.append(&exchange(9, &east), time(1)).unwrap();
    let foreign = fs::read_to_string(&other).unwrap();
    let mixed = good.replace(lines[2], foreign.lines().nth(2).unwrap());
    let found = fault(mixed.as_bytes());
    assert_eq!(
        (found.line, found.kind),
        (3, FaultKind::Unlinked),
        "{found}"
    );
    logs.push(mixed.into_bytes());
    logs.push(
        good.replace("\n{\"line\":2", "\n\n{\"line\":2")
            .into_bytes(),
    );
    logs.push(good.replace('\n', "\r\n").into_bytes());
    logs.push(Vec::new());
    logs.push(b"not a log\n".to_vec());
    assert_eq!(agree(&logs), logs.len());

    // What is cut off at the end, or written anew from end to end, only a hash from elsewhere shows.
    let head = outcome(good.as_bytes()).summary.head;
    for (log, found) in [
        (of(&[1, 2, 3, 4, 5, 6]), None),
        (of(&[1, 2, 3, 4, 5]), Some((6, FaultKind::Absent))),
        (foreign.clone().into_bytes(), Some((4, FaultKind::Absent))),
    ] {
        let outcome = Verifier::new()
            .expecting(head)
            .verify(&log[..], |_, _| ())
            .unwrap();
        assert_eq!(outcome.fault.map(|fault| (fault.line, fault.kind)), found);
    }
}

/// Lines with right hashes that say what no writer says.
#[test]
fn forged_lines_are_refused_by_both_verifiers() {
    use sha2::{Digest as _, Sha256};

    let seal = |body: &str| {
        let hash = Sha256::digest(["taggant/v1/issuance-line", body].concat());
        let hash: [u8; 32] = hash.into();
        let hash = Digest::from(hash);
        (format!("{body},\"hash\":\"{hash}\"}}\n"), hash)
    };
    let zeros = "0".repeat(64);
    let first = |time: &str, genesis: &str| {
        seal(&format!(
            r#"{{"line":1,"previous":"{zeros}","time":"{time}","genesis":{genesis}"#
        ))
    };
    let genesis = r#"{"format":"taggant-issuance/1","records":[]}"#;
    let (start, head) = first("2026-12-01T00:00:00.000Z", genesis);
    let then = |time: &str, what: &str| {
        let (line, _) = seal(&format!(
            r#"{{"line":2,"previous":"{head}","time":"{time}",{what}"#
        ));
        format!("{start}{line}").into_bytes()
    };
    let late = "2026-12-01T00:00:00.001Z";
    let plain = r#""exchange":{"id":"q","prompt":{},"response":{},"unmarked":"why"}"#;
    let good = [
        then(late, plain),
        then("2026-12-01T00:00:00.000Z", plain),
        start.clone().into_bytes(),
    ];
    assert_eq!(agree(&good), 0);

    let digest = "ab".repeat(32);
    let mut logs = vec![
        then("2026-11-30T23:59:59.999Z", plain),
        then("2026-12-01T00:00:00Z", plain),
        then("2026-13-01T00:00:00.000Z", plain),
        then(
            late,
            r#""genesis":{"format":"taggant-issuance/1","records":[]}"#,
        ),
        then(late, &format!("{plain},\"mark\":{{\"record\":\"\"}}")),
        then(late, r#""note":1"#),
        then(late, &format!("\"line\":2,{plain}")),
        then(late, &format!("{plain},\"extra\":0")),
        first(
            "2026-12-01T00:00:00.000Z",
            r#"{"format":"taggant-issuance/2","records":[]}"#,
        )
        .0
        .into_bytes(),
        first(
            "2026-12-01T00:00:00.000Z",
            r#"{"format":"taggant-issuance/1","records":["{}"]}"#,
        )
        .0
        .into_bytes(),
        then(late, r#""mark":{"record":"{}\n"}"#),
    ];
    for exchange in [
        r#"{"id":"","prompt":{},"response":{},"unmarked":"why"}"#.to_owned(),
        r#"{"id":"q","prompt":{},"response":{}}"#.to_owned(),
        r#"{"id":"q","prompt":{},"unmarked":"why"}"#.to_owned(),
        r#"{"id":"q","prompt":{},"response":{},"unmarked":"why","account":"alice"}"#.to_owned(),
        format!(
            r#"{{"id":"q","prompt":{{}},"response":{{}},"unmarked":"why","keys":["{digest}"]}}"#
        ),
        format!(r#"{{"id":"q","prompt":{{}},"response":{{}},"mark":"{digest}"}}"#),
        format!(
            r#"{{"id":"q","prompt":{{}},"response":{{}},"mark":"{digest}","keys":["{digest}"]}}"#
        ),
        format!(
            r#"{{"id":"q","prompt":{{"text":"a","text_digest":"{digest}"}},"response":{{}},"unmarked":""}}"#
        ),
        r#"{"id":"q","prompt":{"tokens":[-1]},"response":{},"unmarked":""}"#.to_owned(),
        r#"{"id":"q","prompt":{"tokens":[4294967296]},"response":{},"unmarked":""}"#.to_owned(),
        r#"{"id":"q","prompt":{"tokens":[1.0]},"response":{},"unmarked":""}"#.to_owned(),
    ] {
        logs.push(then(late, &format!("\"exchange\":{exchange}")));
    }
    assert_eq!(agree(&logs), logs.len());
}

/// Starting a process copies open files for a moment; a log that was closed meanwhile must be free at once.
#[test]
fn a_closed_log_is_free_while_other_threads_start_processes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let [east, _] = small(&path);
    let done = std::sync::atomic::AtomicBool::new(false);
    let refused = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    Command::new("python3").arg("--version").output().unwrap();
                }
            });
        }
        let open = |_| IssuanceLog::open(&path, std::slice::from_ref(&east), time(5));
        let refused = (0..2000).map(open).filter(Result::is_err).count();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        refused
    });
    assert_eq!(refused, 0, "of 2,000 times");
}

#[test]
fn a_torn_tail_is_moved_aside_and_anything_else_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let [east, _] = small(&path);
    let good = fs::read(&path).unwrap();
    let open = || IssuanceLog::open(&path, std::slice::from_ref(&east), time(5));
    let last = good.len()
        - good[..good.len() - 1]
            .iter()
            .rev()
            .position(|&byte| byte == b'\n')
            .unwrap()
        - 1;
    for length in last..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        let _ = fs::remove_file(folder.path().join("log.jsonl.torn"));
        let (mut log, opened) = open().unwrap();
        assert_eq!(log.summary().lines, 5);
        if length == last {
            assert!(opened.torn.is_none());
        } else {
            let torn = opened.torn.unwrap();
            assert_eq!((torn.line, torn.bytes), (6, (length - last) as u64));
            let kept = fs::read(&torn.path).unwrap();
            assert_eq!(kept, [&good[last..length], b"\n"].concat());
        }
        log.append(&exchange(9, &east), time(6)).unwrap();
        drop(log);
        assert_eq!(outcome(&fs::read(&path).unwrap()).fault, None);
    }
    // Zeros, as a power failure may leave.
    fs::write(&path, [&good[..], &[0; 40], b"\n"].concat()).unwrap();
    assert_eq!(open().unwrap().1.torn.unwrap().line, 7);

    // A record that was changed is no torn tail, be it the last or not.
    for place in [last + 40, last / 2] {
        let mut bad = good.clone();
        bad[place] = if bad[place] == b'1' { b'2' } else { b'1' };
        fs::write(&path, &bad).unwrap();
        let error = open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains("log.jsonl, line "), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bad, "it is left as it is");
    }
    // Only the first line, torn: the log starts anew.
    fs::write(&path, &good[..50]).unwrap();
    let (log, opened) = open().unwrap();
    assert_eq!((log.summary().lines, opened.torn.unwrap().line), (1, 1));
}

#[test]
fn a_writer_is_alone_and_refuses_what_it_cannot_keep() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let east = record(&[&key("e/campaign/east")]);
    let both = record(&[&key("e/campaign/east"), &key("e/account/a")]);
    let (mut log, _) = IssuanceLog::open(&path, &[], time(10)).unwrap();
    let second = IssuanceLog::open(&path, &[], time(10)).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Limit);
    assert!(
        second.to_string().contains("another writer has it open"),
        "{second}"
    );

    let before = fs::read(&path).unwrap();
    for (exchanges, now, kind, part) in [
        (
            vec![exchange(1, &east)],
            10,
            ErrorKind::Mismatch,
            "no line before it holds mark",
        ),
        (
            vec![Exchange::unmarked(
                "",
                Content::default(),
                Content::default(),
                "",
            )],
            10,
            ErrorKind::Parameter,
            "0 bytes",
        ),
        (
            vec![Exchange::unmarked(
                "a",
                Content::default(),
                Content::default(),
                "",
            )],
            9,
            ErrorKind::Parameter,
            "may not go backwards",
        ),
    ] {
        let error = log.append_all(&exchanges, time(now)).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    log.add_marks(std::slice::from_ref(&both), time(10))
        .unwrap();
    let tokens = Exchange::marked(
        "q",
        Content::default(),
        Content::of_tokens(&[50_000]),
        &both,
    );
    let error = log
        .append_all(&[exchange(2, &both), tokens], time(10))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Token);
    assert_eq!(log.summary().lines, 2, "none of a refused batch is written");
    log.append(&exchange(2, &both), time(10)).unwrap();

    // Something else writes to the file.
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .map(|mut file| std::io::Write::write_all(&mut file, b"x").unwrap())
        .unwrap();
    let error = log.append(&exchange(3, &both), time(10)).unwrap_err();
    assert!(
        error.to_string().contains("something else wrote to it"),
        "{error}"
    );
    assert!(
        log.append(&exchange(3, &both), time(10))
            .unwrap_err()
            .to_string()
            .contains("open the log again")
    );
    drop(log);
    let (log, opened) = IssuanceLog::open(&path, &[], time(11)).unwrap();
    assert_eq!((log.summary().lines, opened.torn.unwrap().bytes), (3, 1));
}

//! The issuance log: what was served, kept through kills, full disks and tampering, without account ids.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use taggant_core::schemes::Parameters;
use taggant_core::{LeafKey, Record};
use taggant_tests::{below, rng, tokenizer};

use crate::{Desk, Ran, mode, rows};

const ACCOUNTS: [&str; 2] = ["alice@example.org", "bob-4711"];

/// A folder with `mark.json`, `pseudonym.key` and `rows.jsonl` (20 rows of two accounts), for which no model is needed.
fn office() -> Desk {
    let desk = Desk::empty();
    desk.good("key new --out root.key");
    desk.good("key derive --root root.key --path 2026-12/campaign/east --out east.key");
    desk.good("key derive --root root.key --path 2026-12/pseudonym/a --out pseudonym.key");
    let east = LeafKey::from_json(&desk.read("east.key")).unwrap();
    let gumbel = Parameters::new("gumbel", &[]).unwrap();
    let record = Record::new(gumbel, 2, &[&east], tokenizer(50_000)).unwrap();
    desk.write("mark.json", record.to_json() + "\n");
    desk.write("rows.jsonl", served(20));
    desk
}

fn served(count: usize) -> String {
    let row = |number: usize| {
        json!({
            "id": format!("q{number}"), "account": ACCOUNTS[number % 2], "email": ACCOUNTS[0],
            "prompt": format!("Question {number}"), "response": "An answer.", "tokens": [number, 7, 11],
        })
    };
    (0..count)
        .map(|number| format!("{}\n", row(number)))
        .collect()
}

const APPEND: &str = "log append --log log.jsonl --record mark.json --pseudonym-key pseudonym.key --input rows.jsonl";

fn pseudonym(desk: &Desk, account: &str) -> String {
    let key = LeafKey::from_json(&desk.read("pseudonym.key")).unwrap();
    base16ct::lower::encode_string(&key.pseudonym(account).unwrap())
}

#[test]
fn what_was_served_is_appended_checked_and_shown() {
    let desk = office();
    let ran = desk.good(APPEND);
    assert!(
        ran.stderr.contains("20 rows appended, 21 lines"),
        "{}",
        ran.stderr
    );
    let acknowledged = ran.json();
    assert_eq!(acknowledged.len(), 20);
    assert_eq!(
        (&acknowledged[19]["id"], &acknowledged[19]["line"]),
        (&json!("q19"), &json!(21))
    );
    assert_eq!(
        mode(&desk.path("log.jsonl")),
        0o600,
        "what was served is private"
    );

    let log = rows(&desk.read("log.jsonl"));
    assert_eq!(log[0]["genesis"]["format"], "taggant-issuance/1");
    assert_eq!(log[0]["genesis"]["records"][0], desk.read("mark.json"));
    let exchange = &log[4]["exchange"];
    assert_eq!(exchange["id"], "q3");
    assert_eq!(exchange["account"], pseudonym(&desk, ACCOUNTS[1]));
    assert_eq!(
        exchange["response"],
        json!({"text": "An answer.", "tokens": [3, 7, 11]})
    );
    let digest = Command::new("sha256sum")
        .arg(desk.path("mark.json"))
        .output()
        .unwrap()
        .stdout;
    assert!(digest.starts_with(exchange["mark"].as_str().unwrap().as_bytes()));
    assert_eq!(log[4]["hash"], acknowledged[3]["hash"]);

    let verified = desk.good("log verify --log log.jsonl");
    assert!(
        verified.stdout.contains("intact: 21 lines, 20 exchanges"),
        "{}",
        verified.stdout
    );
    let head = &desk.good("log show --log log.jsonl --head").json()[0];
    assert_eq!(
        (&head["line"], &head["hash"]),
        (&json!(21), &acknowledged[19]["hash"])
    );
    let hash = head["hash"].as_str().unwrap().to_owned();
    let shown = desk.good(&format!(
        "log show --log log.jsonl --account {}",
        pseudonym(&desk, ACCOUNTS[0])
    ));
    assert_eq!(shown.json().len(), 10);
    assert_eq!(shown.json()[0], log[1]);
    assert_eq!(
        desk.run(&format!(
            "log show --log log.jsonl --account {}",
            "0".repeat(64)
        ))
        .code,
        1
    );

    // A log goes on; a mark it has is not added again.
    desk.good(APPEND);
    desk.write(
        "plain.jsonl",
        "{\"id\":7,\"response\":\"x\",\"unmarked\":\"temperature 0\"}\n",
    );
    desk.good("log append --log log.jsonl --input plain.jsonl");
    let answer = &desk
        .good(&format!(
            "log verify --log log.jsonl --anchored {hash} --json"
        ))
        .json()[0];
    assert_eq!(
        (
            &answer["intact"],
            &answer["lines"],
            &answer["exchanges"],
            &answer["marks"],
            &answer["fault"]
        ),
        (
            &json!(true),
            &json!(42),
            &json!(41),
            &json!(1),
            &Value::Null
        )
    );

    // Cut off at the end: intact by itself, and not with a hash that is known elsewhere.
    let whole = desk.read("log.jsonl");
    desk.write(
        "log.jsonl",
        whole
            .lines()
            .take(20)
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    );
    assert_eq!(desk.run("log verify --log log.jsonl").code, 0);
    let ran = desk.run(&format!(
        "log verify --log log.jsonl --anchored {hash} --json"
    ));
    assert_eq!(
        (ran.code, &ran.json()[0]["fault"]["kind"]),
        (1, &json!("absent"))
    );
}

#[test]
fn a_broken_log_is_named_by_line_and_not_written_to() {
    let desk = office();
    desk.good(APPEND);
    let good = desk.read("log.jsonl");
    let mut lines: Vec<&str> = good.lines().collect();
    lines.swap(7, 8);
    desk.write("log.jsonl", lines.join("\n") + "\n");
    let ran = desk.run("log verify --log log.jsonl");
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (
            1,
            "log.jsonl: broken at line 8: misplaced: it says it is line 9\n"
        )
    );
    let ran = desk.run("log verify --log log.jsonl --json");
    assert_eq!((ran.code, &ran.json()[0]["fault"]["line"]), (1, &json!(8)));
    assert!(desk.bad(APPEND).contains("log.jsonl, line 8: misplaced"));
    assert!(
        desk.bad("log show --log log.jsonl --head")
            .contains("line 8")
    );
    assert!(
        desk.bad("log verify --log missing.jsonl")
            .contains("check the path")
    );
    assert!(desk.bad("log verify --log .").contains("taggant: .:"));
    assert!(
        desk.bad("log show --log log.jsonl --account alice")
            .contains("give the pseudonym")
    );
}

#[test]
fn rows_that_cannot_be_kept_are_named_and_leave_nothing() {
    let desk = office();
    let append = |options: &str| format!("log append --log log.jsonl --input bad.jsonl {options}");
    let marked = "--record mark.json --pseudonym-key pseudonym.key";
    for (row, options, part) in [
        ("", marked, "no rows"),
        (
            "{\"id\":\"a\"}",
            marked,
            "bad.jsonl, line 1: neither `tokens` nor `response`",
        ),
        (
            "{\"response\":\"x\",\"account\":\"carol\"}",
            "--record mark.json",
            "give --pseudonym-key",
        ),
        ("{\"response\":\"x\"}", "", "give --record"),
        (
            "{\"response\":\"x\",\"twins\":\"carol\"}",
            marked,
            "not 64 lower-case hex digits",
        ),
        (
            "{\"response\":\"x\",\"account\":[\"carol\"]}",
            marked,
            "`account` is neither text nor a number",
        ),
        (
            "{\"response\":\"x\"}",
            "--record mark.json --pseudonym-key east.key",
            "cannot make pseudonyms",
        ),
        (
            "{\"response\":\"x\"}",
            "--record mark.json --digests-only",
            "--pseudonym-key",
        ),
        (
            "{\"response\":\"x\"}",
            "--record mark.json --batch 0",
            "--batch",
        ),
    ] {
        desk.write("bad.jsonl", format!("{row}\n"));
        let said = desk.bad(&append(options));
        assert!(
            said.contains(part) && !said.contains("carol"),
            "{row}: {said}"
        );
    }
    // Good rows before a broken one are kept, and it is said how many.
    desk.write(
        "bad.jsonl",
        "{\"id\":1,\"response\":\"x\"}\n{\"id\":2,\"response\":\"x\"}\n{\n",
    );
    let ran = desk.run(&append("--record mark.json"));
    assert_eq!((ran.code, ran.json().len()), (2, 2));
    assert!(
        ran.stderr
            .contains("after 2 rows that are in the log: bad.jsonl, line 3: not JSON"),
        "{}",
        ran.stderr
    );
    // Token ids that the mark's tokenizer lacks.
    desk.write("bad.jsonl", "{\"id\":1,\"tokens\":[50000]}\n");
    assert!(
        desk.bad(&append("--record mark.json"))
            .contains("token id 50000")
    );
    assert_eq!(
        desk.good("log verify --log log.jsonl --json").json()[0]["exchanges"],
        2
    );
}

#[test]
fn account_ids_and_keys_are_in_no_log_and_no_output() {
    let desk = office();
    let mut said = String::new();
    for command in [
        APPEND.to_owned(),
        format!(
            "{} --digests-only",
            APPEND.replace("log.jsonl", "hidden.jsonl")
        ),
        "log verify --log log.jsonl --json".to_owned(),
        "log show --log log.jsonl --head".to_owned(),
        format!("log show --log log.jsonl --account {}", ACCOUNTS[0]),
        format!(
            "log show --log log.jsonl --account {}",
            pseudonym(&desk, ACCOUNTS[0])
        ),
        APPEND.replace("--pseudonym-key pseudonym.key", ""),
        APPEND.replace("mark.json", "pseudonym.key"),
        APPEND.replace("log.jsonl", "pseudonym.key"),
        APPEND.replace("rows.jsonl", "pseudonym.key"),
        "log verify --log pseudonym.key".to_owned(),
    ] {
        let ran = desk.run(&command);
        said.push_str(&ran.stdout);
        said.push_str(&ran.stderr);
    }
    let hidden = desk.read("hidden.jsonl");
    assert!(
        !hidden.contains("An answer")
            && !hidden.contains("Question")
            && !hidden.contains("\"tokens\"")
    );
    said.push_str(&desk.read("log.jsonl"));
    said.push_str(&hidden);
    for account in ACCOUNTS {
        assert!(!said.contains(account), "{account} was written");
    }
    for name in ["root.key", "east.key", "pseudonym.key"] {
        let key: Value = serde_json::from_str(&desk.read(name)).unwrap();
        let key = key["key"].as_str().unwrap();
        assert!(
            !said.contains(&key[..8]) && !said.contains(&key[56..]),
            "{name} was printed"
        );
    }
}

#[test]
fn the_second_writer_is_refused() {
    let desk = office();
    let mut first = start(&desk);
    write!(first.stdin.as_mut().unwrap(), "{}", served(1)).unwrap();
    let mut acknowledged = String::new();
    BufReader::new(first.stdout.as_mut().unwrap())
        .read_line(&mut acknowledged)
        .unwrap();
    assert!(acknowledged.contains("\"q0\""));
    let said = desk.bad(APPEND);
    assert!(
        said.contains("log.jsonl: another writer has it open"),
        "{said}"
    );
    assert!(said.contains("wait until the other writer ends"), "{said}");
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
    desk.good(APPEND);
}

/// A writer that takes rows from a pipe and acknowledges each.
fn start(desk: &Desk) -> Child {
    desk.command(&format!("{} --batch 1", APPEND.replace("rows.jsonl", "-")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills at random moments while rows are appended, one at a time or in batches. Whatever was acknowledged is in the log afterwards,
/// the chain holds, and a new writer goes on. 40 kills; the moments are uniform over 20 ms, the seed is 91.
#[test]
fn no_acknowledged_row_is_lost_when_the_writer_is_killed() {
    let desk = office();
    desk.write("rows.jsonl", served(3000));
    let mut rng = rng(91);
    let (mut kept, mut torn) = (0, 0);
    for round in 0..40 {
        let batch = [1, 7, 256][round % 3];
        let mut child = desk
            .command(&format!("{APPEND} --batch {batch}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(u64::from(below(&mut rng, 20_000))));
        child.kill().unwrap();
        let ran = Ran::of(child.wait_with_output().unwrap());
        torn += usize::from(ran.stderr.contains("was incomplete"));

        // Acknowledgements are lines; the kill may cut the last one.
        let whole = ran.stdout.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let log = fs::read_to_string(desk.path("log.jsonl")).unwrap_or_default();
        let lines: Vec<&str> = log.split_inclusive('\n').collect();
        for acknowledged in rows(whole) {
            let line = lines[usize::try_from(acknowledged["line"].as_u64().unwrap()).unwrap() - 1];
            assert!(line.ends_with('\n'));
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["hash"], acknowledged["hash"]);
            assert_eq!(line["exchange"]["id"], acknowledged["id"]);
            kept += 1;
        }
    }
    // Half a line, as a kill in the middle of a write leaves it; such kills are rare, so one is made.
    let log = desk.read("log.jsonl");
    desk.write("log.jsonl", format!("{log}{{\"line\":"));
    desk.write("rows.jsonl", served(1));
    let ran = desk.good(APPEND);
    assert!(ran.stderr.contains("was incomplete"), "{}", ran.stderr);
    assert!(desk.read("log.jsonl.torn").ends_with("{\"line\":\n"));
    let answer = &desk.good("log verify --log log.jsonl --json").json()[0];
    println!(
        "{kept} rows acknowledged before 40 kills, {torn} torn tails, {} lines",
        answer["lines"]
    );
    assert!(kept > 100 && answer["exchanges"].as_u64().unwrap() > kept);
}

/// A disk that is full in the middle of a line, here a limit on the file's size: the log stays whole, and goes on when there is room.
#[test]
fn a_full_disk_leaves_the_log_whole() {
    let desk = office();
    desk.good(APPEND);
    desk.write("rows.jsonl", served(400));
    let mut full = 0;
    for batch in [1, 50, 400] {
        let before = desk.read("log.jsonl");
        let script = format!(
            "trap '' XFSZ; ulimit -f {}; exec {} {APPEND} --batch {batch}",
            before.len() / 512 + 60,
            env!("CARGO_BIN_EXE_taggant")
        );
        let ran = Ran::of(
            Command::new("sh")
                .args(["-c", &script])
                .current_dir(desk.folder.path())
                .output()
                .unwrap(),
        );
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("see that there is room"),
            "{}",
            ran.stderr
        );
        full += ran.json().len();
        let after = desk.read("log.jsonl");
        assert!(after.starts_with(&before) && after.ends_with('\n'));
        assert_eq!(after[before.len()..].lines().count(), ran.json().len());
        assert_eq!(desk.run("log verify --log log.jsonl").code, 0);
    }
    assert!(full > 10, "some rows fitted");
    desk.good(APPEND);
    assert!(!desk.path("log.jsonl.torn").exists());
    assert_eq!(
        desk.good("log verify --log log.jsonl --json").json()[0]["exchanges"],
        420 + full
    );
}

#[test]
fn rows_that_were_generated_can_be_logged() {
    let desk = Desk::ready();
    desk.good("key derive --root root.key --path 2026-12/pseudonym/a --out pseudonym.key");
    desk.good("log append --log log.jsonl --input marked.jsonl --record mark.json --pseudonym-key pseudonym.key");
    let log = rows(&desk.read("log.jsonl"));
    let marked = rows(&desk.read("marked.jsonl"));
    assert_eq!(log.len(), 4);
    assert_eq!(
        log[1]["exchange"]["response"]["tokens"],
        marked[0]["tokens"]
    );
    assert_eq!(log[1]["exchange"]["account"], pseudonym(&desk, "x1"));
    assert_eq!(log[2]["exchange"]["id"], "3");
    assert_eq!(log[2]["exchange"]["account"], Value::Null);
}

//! Suspects are asked what was drawn, and every attempt is written down, whatever the suspect does and whenever the collector is killed.

pub(crate) mod server;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use taggant_evidence::transcript::{Entry, Outcome, Shown, Verifier, read_openings};
use taggant_evidence::{Digest, Plan, SealedPlan};

use crate::case::{anchor, office, wait};
use crate::{Desk, rows};
use server::{Act, Server};

const PROOFS: &str = "--plan plan.dsse.json --trust trust.json --token alpha.tsr --token beta.tsr --proof plan.tlog-proof --pool pool.jsonl";
const REST: &str = "--doors doors.json --signer collector.key --out asked --backoff 1 --json";

/// What no file may hold.
const TOKEN: &str = "sk-canary-5f0c1e7b9a";

/// A desk where a plan was sealed that draws `drawn` of `prompts` prompts for `answers` answers each of suspects `s1` and `s2`, within `budget` requests.
fn sealed(prompts: u32, drawn: u32, answers: u32, budget: u64) -> Desk {
    let desk = office();
    let pool: String = (0..prompts)
        .map(|n| json!({"prompt": format!("Question {n}?")}).to_string() + "\n")
        .collect();
    desk.write("pool.jsonl", &pool);
    let collector = desk.good("case signer --name collector.example/bob --out collector.key");
    desk.write("collector.txt", collector.stdout);
    let mut plan: Value = desk.read("plan.json").parse().unwrap();
    plan["pool"] =
        json!({"sha256": Digest::of(pool.as_bytes()), "prompts": prompts, "drawn": drawn});
    plan["stopping"] = json!({"fixed": {"answers": answers}});
    let suspect = |id: &str| json!({"id": id, "identity": Digest::of(id.as_bytes()), "access": "one-collector"});
    plan["suspects"] = json!([suspect("s1"), suspect("s2")]);
    plan["sampling"]["max_tokens"] = json!(8);
    plan["budget"] = json!({"requests": budget, "tokens": budget * 8});
    desk.write("plan.json", plan.to_string());
    desk.good("case seal --plan plan.json --signer ann.key --out plan.dsse.json");
    anchor(&desk, "plan.dsse.json");
    desk
}

/// Both suspects behind one server.
fn doors(desk: &Desk, server: &Server) {
    let private = fs::Permissions::from_mode(0o600);
    desk.write("token", format!("{TOKEN}\n"));
    let door = |model: &str| json!({"server": {"url": server.url(), "model": model, "credential": "token"}});
    desk.write(
        "doors.json",
        json!({"s1": door("model-one"), "s2": door("model-two")}).to_string(),
    );
    for name in ["token", "doors.json"] {
        fs::set_permissions(desk.path(name), private.clone()).unwrap();
    }
}

fn plan(desk: &Desk) -> Plan {
    Plan::from_json(&desk.read("plan.json")).unwrap()
}

/// Texts by attempt and field.
type Texts = BTreeMap<(u64, String), Vec<u8>>;

/// The transcript, its texts by attempt and field, each checked against its digest and in its order.
fn read(desk: &Desk) -> (Outcome, Vec<Entry>, Texts) {
    let mut entries = Vec::new();
    let records = BufReader::new(fs::File::open(desk.path("asked/records.jsonl")).unwrap());
    let outcome = Verifier::new()
        .verify(records, |line, _| entries.push(line.entry.clone()))
        .unwrap();
    assert_eq!(outcome.fault, None);
    let digests = entries.iter().flat_map(|entry| match entry {
        Entry::Opened(opened) => opened
            .suspects()
            .iter()
            .map(|suspect| suspect.door)
            .collect(),
        Entry::Sent(sent) => vec![sent.request],
        Entry::Answered(answered) => vec![answered.body],
        Entry::Failed(failed) => failed.body.into_iter().collect(),
        _ => vec![],
    });
    let openings = BufReader::new(fs::File::open(desk.path("asked/openings.jsonl")).unwrap());
    let openings: Vec<_> = read_openings(openings).map(Result::unwrap).collect();
    let digests: Vec<Digest> = digests.collect();
    assert_eq!(digests.len(), openings.len());
    let texts = openings
        .iter()
        .zip(digests)
        .map(|(opening, expected)| {
            let Shown::Bytes(bytes, digest) = opening.shown().unwrap() else {
                panic!("nothing was withheld");
            };
            assert_eq!(digest, expected);
            ((opening.attempt(), opening.field().to_owned()), bytes)
        })
        .collect();
    (outcome, entries, texts)
}

/// C-1, C-2: one record for each attempt, faults of every kind included, and no credential in any file.
#[test]
fn every_attempt_is_written_down_whatever_the_suspect_does() {
    let desk = sealed(20, 5, 2, 1000);
    // Each question fails once, in another way, before it is answered.
    let server = Server::start(|number, _| match number {
        1 => Act::Status(429, "retry-after: 0\r\n", "slow down"),
        2 => Act::Status(500, "", "{\"error\":\"oops\"}"),
        3 => Act::CutOff,
        4 => Act::Late(Duration::from_millis(3000)),
        5 => Act::Status(503, "x-request-id: r5\r\n", "\u{fffd} not json"),
        6 => Act::Close,
        _ => Act::Answer,
    });
    doors(&desk, &server);
    wait(&desk, "c0ffee");
    let ran = desk.good(&format!("collect {PROOFS} {REST} --timeout 2 --at-once 3"));
    let said: Value = ran.stdout.parse().unwrap();
    assert_eq!(
        (&said["questions"], &said["answered"], &said["ended"]),
        (&json!(20), &json!(20), &json!("complete"))
    );
    assert_eq!(
        (&said["failed"], &said["attempts"]),
        (&json!(6), &json!(26))
    );
    let (outcome, entries, texts) = read(&desk);
    let requests = server.requests();
    assert_eq!((outcome.story.attempts(), requests.len()), (26, 26));
    // What the server got is what was written down, and what it sent.
    let mut sent: Vec<Vec<u8>> = texts
        .iter()
        .filter(|((_, field), _)| field == "request")
        .map(|(_, bytes)| bytes.clone())
        .collect();
    let mut got: Vec<Vec<u8>> = requests
        .iter()
        .map(|request| request.body.clone())
        .collect();
    sent.sort();
    got.sort();
    assert_eq!(sent, got);
    assert!(requests.iter().all(|request| {
        request
            .head
            .contains(&format!("authorization: Bearer {TOKEN}"))
    }));
    let causes: HashSet<String> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Failed(failed) => Some(format!("{:?} {:?}", failed.cause, failed.status)),
            _ => None,
        })
        .collect();
    for cause in [
        "Throttled Some(429)",
        "ServerError Some(500)",
        "ServerError Some(503)",
        "CutOff",
        "TimedOut None",
    ] {
        assert!(
            causes.iter().any(|found| found.starts_with(cause)),
            "{cause}: {causes:?}"
        );
    }
    // Each question was answered with its own seed, by its own model.
    let asked = rows(&desk.read("asked/asked.jsonl"));
    for entry in &entries {
        if let Entry::Sent(sent) = entry {
            let request: Value =
                serde_json::from_slice(&texts[&(sent.attempt, "request".to_owned())]).unwrap();
            let row = &asked[sent.prompt as usize + 1];
            assert_eq!(request["messages"][0]["content"], row["prompt"]);
            assert_eq!(request["seed"], row["seeds"][sent.answer as usize]);
            assert_eq!(
                request["model"],
                ["model-one", "model-two"][sent.suspect as usize]
            );
        }
    }
    // Nothing of who was asked is in the records; the credential is nowhere.
    assert!(!desk.read("asked/records.jsonl").contains("model-"));
    for file in fs::read_dir(desk.path("asked")).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(
            !bytes
                .windows(TOKEN.len())
                .any(|window| window == TOKEN.as_bytes())
        );
    }
    assert!(!ran.stderr.contains(TOKEN) && !ran.stdout.contains(TOKEN));
    // The collector signed the end; asking again asks nothing.
    assert!(desk.path("asked/transcript.dsse.json").exists());
    desk.good(&format!("collect {PROOFS} {REST}"));
    assert_eq!(server.requests().len(), 26);
}

/// P-2: no connection before every proof holds.
#[test]
fn nothing_is_asked_before_the_plan_holds() {
    let desk = sealed(20, 5, 2, 100);
    let server = Server::start(|_, _| Act::Answer);
    doors(&desk, &server);
    let all = format!("collect {PROOFS} {REST}");
    let refused = |command: &str, part: &str| {
        let ran = desk.run(command);
        assert!(
            ran.code == 2 && ran.stderr.contains(part),
            "{command}: {}",
            ran.stderr
        );
        assert!(!desk.path("asked").exists());
    };
    refused(&all, "round 3 is of");
    wait(&desk, "c0ffee");
    refused(&all.replace("--token beta.tsr", ""), "1 more authorities");
    refused(&all.replace("--proof plan.tlog-proof", ""), "tlog-proof");
    desk.write("other.jsonl", "{\"prompt\":\"x\"}\n");
    refused(&all.replace("pool.jsonl", "other.jsonl"), "the plan names");
    refused(&all.replace("collector.key", "ann.key"), "no collector");
    desk.write("doors.json", "{}");
    refused(&all, "no door for suspect `s1`");
    assert_eq!(server.connections(), 0);
}

/// What a server may send to get something into the records, or the collector elsewhere.
#[test]
fn a_suspect_that_repeats_the_credential_or_points_elsewhere_gets_nowhere() {
    let desk = sealed(20, 1, 1, 100);
    let elsewhere = Server::start(|_, _| Act::Answer);
    let target: &'static str =
        Box::leak(format!("location: {}\r\n", elsewhere.url()).into_boxed_str());
    let echo: &'static str = Box::leak(format!("x-request-id: {TOKEN}\r\n").into_boxed_str());
    let body: &'static str = Box::leak(
        json!({"choices": [{"message": {"content": TOKEN}}]})
            .to_string()
            .into_boxed_str(),
    );
    let server = Server::start(move |number, _| {
        if number == 1 {
            Act::Status(307, target, "")
        } else {
            Act::Status(200, echo, body)
        }
    });
    doors(&desk, &server);
    wait(&desk, "c0ffee");
    let ran = desk.run(&format!("collect {PROOFS} {REST} --at-once 1"));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!((server.requests().len(), elsewhere.connections()), (2, 0));
    let (outcome, _, _) = read(&desk);
    assert_eq!((outcome.story.failed(), outcome.story.answers()), (2, 0));
    for name in ["asked/records.jsonl", "asked/openings.jsonl"] {
        assert!(!desk.read(name).contains(TOKEN));
    }
    // Its owner ends it, and says why.
    let ran = desk
        .command(&format!("collect {PROOFS} {REST} --abandon"))
        .arg("it repeats credentials")
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(1));
    let (outcome, _, _) = read(&desk);
    assert_eq!(
        outcome.story.closed().unwrap().words.as_deref(),
        Some("it repeats credentials")
    );
}

/// The budget is the plan's, and a server that answers nothing does not use it up.
#[test]
fn a_budget_is_never_exceeded_and_a_dead_door_is_left() {
    let desk = sealed(20, 5, 2, 20);
    let server = Server::start(|number, _| match number % 5 {
        0 => Act::Status(500, "", "{}"),
        _ => Act::Answer,
    });
    doors(&desk, &server);
    wait(&desk, "c0ffee");
    let ran = desk.run(&format!("collect {PROOFS} {REST} --at-once 8"));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let said: Value = ran.stdout.parse().unwrap();
    assert_eq!(
        (&said["ended"], &said["answered"]),
        (&json!("budget"), &json!(16))
    );
    assert_eq!(server.requests().len(), 20);

    let desk = sealed(20, 10, 2, 1000);
    let server = Server::start(|_, _| Act::Status(401, "", "{\"error\":\"who are you\"}"));
    doors(&desk, &server);
    wait(&desk, "c0ffee");
    let ran = desk.run(&format!("collect {PROOFS} {REST} --at-once 1 --patience 6"));
    assert!(
        ran.code == 1 && ran.stderr.contains("too many failures in a row"),
        "{}",
        ran.stderr
    );
    assert_eq!(server.requests().len(), 6);
}

/// C-4: 200 kills at random points. No line that was there is lost, what was under way is written down as lost, nothing was asked without a record, and the budget holds.
#[test]
fn a_collector_killed_anywhere_loses_nothing_and_asks_nothing_in_secret() {
    let desk = sealed(600, 300, 2, 2500);
    let server = Server::start(|_, _| Act::Answer);
    doors(&desk, &server);
    wait(&desk, "c0ffee");
    let command = format!("collect {PROOFS} {REST} --at-once 4");
    let records = || fs::read(desk.path("asked/records.jsonl")).unwrap_or_default();
    let (mut kills, mut seed) = (0, 0x9E37_79B9_u64);
    while kills < 200 {
        let before = records();
        let mut child = desk
            .command(&command)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // One in eight before it asks; the others after up to 1,000 more bytes, which is in the middle of anything.
        if seed >> 61 == 0 {
            std::thread::sleep(Duration::from_millis(seed >> 56 & 63));
        } else {
            let more = usize::try_from(seed >> 51 & 1023).unwrap();
            while records().len() <= before.len() + more && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        child.kill().unwrap();
        let whole = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        if child.wait().unwrap().code().is_some() {
            break; // it was done
        }
        kills += 1;
        assert!(
            records().starts_with(&before[..whole]),
            "a line was lost by kill {kills}"
        );
    }
    assert!(kills >= 200, "all was asked after {kills} kills; ask more");
    let ran = desk.run(&command);
    let said: Value = ran.stdout.parse().unwrap();
    assert!(
        said["ended"] == "complete" || said["ended"] == "budget",
        "{said} {}",
        ran.stderr
    );
    let (outcome, _, texts) = read(&desk);
    let requests = server.requests();
    let (story, budget) = (&outcome.story, plan(&desk).budget);
    assert!(requests.len() as u64 <= story.attempts() && story.attempts() <= budget.requests);
    assert!(
        story.lost() > 0 && story.attempts() == story.answers() + story.failed() + story.lost()
    );
    let written: HashSet<&Vec<u8>> = texts
        .iter()
        .filter(|((_, field), _)| field == "request")
        .map(|(_, bytes)| bytes)
        .collect();
    assert!(
        requests
            .iter()
            .all(|request| written.contains(&request.body))
    );
    assert!(SealedPlan::from_json(desk.read("plan.dsse.json").as_bytes(), &[]).is_err());
}

/// A suspect whose weights are at hand goes through the same door.
#[test]
fn a_model_at_hand_is_asked_like_any_other_and_answers_the_same_again() {
    let desk = sealed(20, 2, 1, 100);
    let door = json!({"weights": {"model": "smollm2-135m"}});
    desk.write("doors.json", json!({"s1": door, "s2": door}).to_string());
    fs::set_permissions(desk.path("doors.json"), fs::Permissions::from_mode(0o600)).unwrap();
    wait(&desk, "c0ffee");
    desk.good(&format!("collect {PROOFS} {REST}"));
    let bodies = |desk: &Desk| -> Vec<Vec<u8>> {
        let (_, entries, texts) = read(desk);
        let mut bodies: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Sent(sent) => Some((
                    (sent.suspect, sent.prompt),
                    texts[&(sent.attempt, "body".to_owned())].clone(),
                )),
                _ => None,
            })
            .collect();
        bodies.sort();
        bodies.into_iter().map(|(_, body)| body).collect()
    };
    let first = bodies(&desk);
    assert_eq!(
        (first.len(), &first[..2]),
        (4, &first[2..]),
        "two names of one model"
    );
    fs::remove_dir_all(desk.path("asked")).unwrap();
    desk.good(&format!("collect {PROOFS} {REST} --at-once 1"));
    assert_eq!(bodies(&desk), first);
}

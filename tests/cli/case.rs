//! A test is planned and sealed; what is asked is decided afterwards, by a value that nobody knew.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use taggant_evidence::statement::{Subject, state};
use taggant_evidence::tlog::Entries;
use taggant_evidence::{Digest, Plan, SealedPlan, SigningKey, Time};

use crate::{Desk, mode, rows};

/// A desk with a pool of 20 prompts, a plan that draws 5 of them for two answers each, its signer, and two authorities played by openssl.
pub(crate) fn office() -> Desk {
    let desk = Desk::empty();
    let pool: String = (0..20)
        .map(|n| json!({"prompt": format!("Question {n}?")}).to_string() + "\n")
        .collect();
    desk.write("pool.jsonl", pool);
    let example = desk
        .good("case example")
        .stdout
        .replace(&"0".repeat(64), &"1".repeat(64));
    let mut plan: Value = example.parse().unwrap();
    plan["pool"] = json!({"sha256": Digest::of(desk.read("pool.jsonl").as_bytes()), "prompts": 20, "drawn": 5});
    plan["beacon"] = json!({"chain": "test", "round": 3});
    desk.write("plan.json", plan.to_string());
    let examiner = desk
        .good("case signer --name examiner.example/ann --out ann.key")
        .stdout;
    desk.write("examiner.txt", examiner);
    for (name, kind) in [("alpha", "ec"), ("beta", "rsa")] {
        authority(&desk, name, kind);
    }
    // Round 3 is far off; a test that draws lets it come.
    trust(&desk, "2030-01-01T00:00:00.000Z", "c0ffee");
    desk
}

/// Lets round 3 come, with this value; returns the time of round 1.
pub(crate) fn wait(desk: &Desk, value: &str) -> String {
    let genesis = now().unix_millis() / 1000 * 1000 + 2000 - 60_000;
    let genesis = Time::from_unix_millis(genesis).unwrap().to_string();
    trust(desk, &genesis, value);
    std::thread::sleep(Duration::from_millis(2100));
    genesis
}

pub(crate) fn now() -> Time {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    Time::from_unix_millis(u64::try_from(now.as_millis()).unwrap()).unwrap()
}

/// A trust file whose beacon has its first round at `genesis`.
fn trust(desk: &Desk, genesis: &str, value: &str) {
    let authority =
        |name: &str| -> Value { desk.read(&format!("{name}/{name}.json")).parse().unwrap() };
    let mut signers = vec![json!({"role": "examiner", "key": desk.read("examiner.txt").trim()})];
    for role in ["collector", "provider"] {
        let file = format!("{role}.txt");
        if desk.path(&file).exists() {
            signers.push(json!({"role": role, "key": desk.read(&file).trim()}));
        }
    }
    let trust = json!({
        "format": "taggant-trust/1",
        "authorities": [authority("alpha"), authority("beta")],
        "logs": [format!("log {}", log().public()), format!("witness w {}", witness().public().as_witness()), "quorum w".to_owned()],
        "signers": signers,
        "beacons": [{"chain": "test", "genesis": genesis, "period": 30, "values": [{"round": 3, "value": value}]}],
    });
    desk.write("trust.json", trust.to_string());
}

fn witness() -> SigningKey {
    SigningKey::from_seed("witness.example", [8; 32]).unwrap()
}

fn log() -> SigningKey {
    SigningKey::from_seed("log.example", [7; 32]).unwrap()
}

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/authority.sh"))
}

/// Makes a time-stamping authority; what a trust file says of it is NAME/NAME.json.
pub(crate) fn authority(desk: &Desk, name: &str, kind: &str) {
    let made = script()
        .arg("create")
        .arg(desk.path(name))
        .args([name, kind])
        .status();
    assert!(made.unwrap().success());
}

/// An authority's stamp over a file.
pub(crate) fn stamp(desk: &Desk, authority: &str, file: &str, out: &str) {
    let paths = [authority, file, out].map(|path| desk.path(path));
    assert!(
        script()
            .arg("stamp")
            .args(paths)
            .status()
            .unwrap()
            .success()
    );
}

/// Stamps a file by both authorities and enters it in the log.
pub(crate) fn anchor(desk: &Desk, file: &str) {
    for name in ["alpha", "beta"] {
        stamp(desk, name, file, &format!("{name}.tsr"));
    }
    enter(desk, file);
}

/// Enters a file in the case's log, where a witness sees it now. What it was before is taken out, with all that came after it: so could the log's keeper, and only proofs of later
/// entries would tell.
pub(crate) fn enter(desk: &Desk, file: &str) {
    let names = match desk.path("case.log.names").exists() {
        true => desk.read("case.log.names"),
        false => String::new(),
    };
    let mut names: Vec<&str> = names.lines().take_while(|name| *name != file).collect();
    names.push(file);
    let mut entries = Entries::default();
    let mut lines = String::new();
    for name in &names {
        let digest = Digest::of(&fs::read(desk.path(name)).unwrap());
        entries.push(digest);
        lines += &format!("{digest}\n");
    }
    let mut note = entries.checkpoint(&log()).unwrap();
    note.cosign(&witness(), now());
    desk.write("case.log", lines);
    desk.write("case.log.note", note.to_string());
    let proof = entries.prove(names.len() - 1, note).unwrap();
    desk.write("plan.tlog-proof", proof.to_string());
    desk.write("case.log.names", names.join("\n") + "\n");
}

/// The second verifier.
pub(crate) fn python(arguments: &[&str], desk: &Desk) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/evidence/verify/case.py");
    let mut python = Command::new("python3");
    python
        .arg(script)
        .args(arguments)
        .current_dir(desk.path(""));
    python.output().unwrap()
}

const DRAW: &str = "case draw --plan plan.dsse.json --trust trust.json --token alpha.tsr --token beta.tsr --proof plan.tlog-proof --pool pool.jsonl --out asked.jsonl";

/// V-10: a plan says which program scores, and anyone can hash its source with tools of any system.
#[test]
fn an_example_names_the_program_and_its_source() {
    let desk = Desk::empty();
    let plan: Value = desk.good("case example").stdout.parse().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let script = "find Cargo.lock Cargo.toml cli crates -type f | grep -E '(^|/)(src/.*|Cargo\\.(toml|lock)|build\\.rs)$' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum";
    let ran = Command::new("bash")
        .args(["-c", script])
        .current_dir(root)
        .output()
        .unwrap();
    let source = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(plan["scorer"]["source"], source[..64]);
    let binary = Digest::of(&fs::read(env!("CARGO_BIN_EXE_taggant")).unwrap());
    assert_eq!(plan["scorer"]["binary"], binary.to_string());
}

#[test]
fn what_is_asked_is_drawn_after_the_plan_is_sealed() {
    let desk = office();
    assert_eq!(mode(&desk.path("ann.key")), 0o600);
    let ran = desk.good("case seal --plan plan.json --signer ann.key --out plan.dsse.json");
    assert!(
        ran.stderr.contains("sealed by examiner.example/ann"),
        "{}",
        ran.stderr
    );
    anchor(&desk, "plan.dsse.json");
    let genesis = wait(&desk, "c0ffee");
    desk.good(DRAW);
    let first = desk.read("asked.jsonl");
    let lines = rows(&first);
    let (head, asked) = lines.split_first().unwrap();
    assert_eq!(
        (&head["value"], &head["round"], asked.len()),
        (&json!("c0ffee"), &json!(3), 5)
    );
    for row in asked {
        let place = row["row"].as_u64().unwrap();
        assert_eq!(row["prompt"], format!("Question {}?", place - 1));
        assert_eq!(row["seeds"].as_array().unwrap().len(), 2);
    }
    // A second implementation draws the same.
    let theirs = python(&["draw", "plan.dsse.json", "c0ffee"], &desk);
    let theirs = rows(&String::from_utf8(theirs.stdout).unwrap());
    for (ours, theirs) in asked.iter().zip(&theirs) {
        assert_eq!(
            (&ours["row"], &ours["seeds"]),
            (&theirs["row"], &theirs["seeds"])
        );
    }
    assert_eq!(theirs.len(), 5);
    // The same again, to the bit; another value, another draw; and no draw takes another's place.
    desk.good(&DRAW.replace("asked", "again"));
    assert_eq!(desk.read("again.jsonl"), first);
    trust(&desk, &genesis, "c0ffef");
    desk.good(&DRAW.replace("asked", "other"));
    assert_ne!(rows(&desk.read("other.jsonl"))[1..], *asked);
    let ran = desk.run(DRAW);
    assert!(
        ran.code == 2 && ran.stderr.contains("asked.jsonl"),
        "{}",
        ran.stderr
    );
    assert_eq!(desk.read("asked.jsonl"), first);
}

/// P-2 and P-3: no draw before every proof holds, and none from a value that could have been known.
#[test]
fn nothing_is_drawn_from_a_plan_that_was_not_sealed_in_time() {
    let desk = office();
    desk.good("case seal --plan plan.json --signer ann.key --out plan.dsse.json");
    anchor(&desk, "plan.dsse.json");
    desk.good("case signer --name examiner.example/eve --out eve.key");
    desk.good("case seal --plan plan.json --signer eve.key --out eve.dsse.json");
    desk.write("other.jsonl", "{\"prompt\":\"x\"}\n");
    let refused = |command: &str, part: &str| {
        let ran = desk.run(command);
        assert!(
            ran.code == 2 && ran.stderr.contains(part),
            "{command}: {}",
            ran.stderr
        );
        assert!(!desk.path("asked.jsonl").exists());
    };
    refused(
        &DRAW.replace("--token beta.tsr ", ""),
        "time-stamps of 1 more authorities",
    );
    refused(
        &DRAW.replace("--proof plan.tlog-proof ", ""),
        "lacks a tlog-proof",
    );
    refused(
        &DRAW.replace("plan.dsse.json", "eve.dsse.json"),
        "signed by 0 of the 1 keys",
    );
    refused(
        &DRAW.replace("plan.dsse.json", "plan.json"),
        "not a DSSE envelope",
    );
    // Sealed again, the same plan is another file, which nobody stamped.
    desk.write("again.dsse.json", desk.read("plan.dsse.json") + "\n");
    refused(
        &DRAW.replace("plan.dsse.json", "again.dsse.json"),
        "the token is over",
    );
    // Before the round, and before anybody looked its value up.
    refused(DRAW, "wait for the round");
    let known = desk.read("trust.json");
    desk.write("trust.json", known.replace("\"round\":3", "\"round\":4"));
    refused(DRAW, "has no value of round 3");
    desk.write("trust.json", known.replace("\"test\"", "\"other\""));
    refused(DRAW, "has no beacon `test`");
    desk.write("trust.json", known.replace("quorum w", "quorum none"));
    refused(DRAW, "asks for no witness");
    // A round of before, whatever its value.
    trust(&desk, "2026-01-01T00:00:00.000Z", "c0ffee");
    refused(DRAW, "could have known the value");
    let genesis = wait(&desk, "c0ffee");
    refused(&DRAW.replace("pool.jsonl", "other.jsonl"), "the plan names");
    // Stamped in time and kept back from the log until the value was known: the plan that would have been chosen among many.
    enter(&desk, "plan.dsse.json");
    trust(&desk, &genesis, "c0ffee");
    refused(DRAW, "was seen in its log by");
}

/// What was settled is what is read: other subjects, lists for objects, other rows than prompts.
#[test]
fn a_plan_and_its_pool_are_what_they_say() {
    let desk = office();
    let key = SigningKey::from_json(&desk.read("ann.key")).unwrap();
    let keys = [key.public()];
    let plan = Plan::from_json(&desk.read("plan.json")).unwrap();
    let sealed = plan.seal(&key).unwrap();
    assert!(SealedPlan::from_json(sealed.to_json().as_bytes(), &keys).is_ok());
    let mut other = state(vec![Subject::new("anything", Digest::of(b"x"))], &plan).unwrap();
    other.sign(&key);
    let error = SealedPlan::from_json(other.to_json().as_bytes(), &keys)
        .unwrap_err()
        .to_string();
    assert!(error.contains("other files than the plan names"), "{error}");
    let mut list: Value = desk.read("plan.json").parse().unwrap();
    list["budget"] = json!([2000, 512_000]);
    let error = Plan::from_json(&list.to_string()).unwrap_err().to_string();
    assert!(
        error.contains("a list stands where an object should be"),
        "{error}"
    );

    for row in [
        "5",
        "[]",
        "{\"p\":1}",
        "{\"prompt\":7}",
        "{\"prompt\":\"x\",\"system\":\"y\"}",
    ] {
        desk.write("odd.jsonl", format!("{row}\n"));
        let mut plan: Value = desk.read("plan.json").parse().unwrap();
        plan["pool"] = json!({"sha256": Digest::of(desk.read("odd.jsonl").as_bytes()), "prompts": 1, "drawn": 1});
        desk.write("odd.json", plan.to_string());
        let _ = fs::remove_file(desk.path("odd.dsse.json"));
        desk.good("case seal --plan odd.json --signer ann.key --out odd.dsse.json");
        anchor(&desk, "odd.dsse.json");
        wait(&desk, "c0ffee");
        let ran = desk.run(
            &DRAW
                .replace("plan.dsse.json", "odd.dsse.json")
                .replace("pool.jsonl", "odd.jsonl"),
        );
        assert!(
            ran.code == 2 && ran.stderr.contains("odd.jsonl: row 1"),
            "{row}: {}",
            ran.stderr
        );
    }
}

/// P-1: silence is never a choice.
#[test]
fn a_plan_without_one_of_its_fields_is_no_plan() {
    let desk = office();
    let plan: Value = desk.read("plan.json").parse().unwrap();
    Plan::from_json(&plan.to_string()).unwrap();
    let mut paths = Vec::new();
    collect(&plan, String::new(), &mut paths);
    assert!(paths.len() > 50, "{paths:?}");
    for path in paths {
        let mut without = plan.clone();
        let (parent, field) = path.rsplit_once('/').unwrap();
        without
            .pointer_mut(parent)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(field);
        assert!(Plan::from_json(&without.to_string()).is_err(), "{path}");
    }
    let mut more = plan.clone();
    more["remarks"] = json!("x");
    assert!(
        Plan::from_json(&more.to_string())
            .unwrap_err()
            .to_string()
            .contains("remarks")
    );
    for (path, value, part) in [
        ("/error/alpha", json!("1.5"), "error.alpha: 1.5"),
        ("/error/alpha", json!(0.001), "decimal number in quotes"),
        ("/error/alpha", json!("-1"), "decimal number"),
        ("/controls/keys", json!(998), "998"),
        ("/suspects", json!([]), "suspects: empty"),
        ("/keys", json!([]), "keys: empty"),
        ("/pool/drawn", json!(21), "21 of 20"),
        ("/budget/requests", json!(9), "the plan asks for 10"),
        ("/budget/tokens", json!(9), "the plan asks for 2560"),
        (
            "/stopping",
            json!({"fixed": {"answers": 4_000_000_000_u32}}),
            "at most 1073741824",
        ),
        (
            "/sensitivity/0/statistic",
            json!(""),
            "sensitivity: a text of 0 bytes",
        ),
        ("/power/units", json!(0), "above 0"),
        (
            "/propositions/alternatives",
            json!([]),
            "alternatives: empty",
        ),
        ("/deviations", json!(" "), "deviations: a text of 1 bytes"),
        ("/mark", json!("0".repeat(64)), "mark: 64 zeros"),
        ("/keys/0/epoch", json!("0".repeat(64)), "keys: 64 zeros"),
        ("/beacon/round", json!(0), "count from 1"),
        ("/sampling/top_p", json!("0"), "top_p"),
        ("/case", json!("a b"), "plan, case"),
    ] {
        let mut bad = plan.clone();
        *bad.pointer_mut(path).unwrap() = value;
        desk.write("bad.json", bad.to_string());
        let ran = desk.run("case seal --plan bad.json --signer ann.key --out bad.dsse.json");
        assert!(
            ran.code == 2 && ran.stderr.contains(part),
            "{path}: {}",
            ran.stderr
        );
        assert!(!desk.path("bad.dsse.json").exists());
    }
}

/// Every field of every object in `value`, by JSON pointer. Which of the two stopping rules holds is one choice.
fn collect(value: &Value, at: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (field, inner) in fields {
                let path = format!("{at}/{field}");
                paths.push(path.clone());
                collect(inner, path, paths);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                collect(inner, format!("{at}/{index}"), paths);
            }
        }
        _ => {}
    }
}

//! The sample case under `tests/cases`: verified as anyone would, and changed in every way.

mod make;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use taggant_evidence::bundle::{self, Folder, Status};
use taggant_evidence::{Digest, Time, Trust};

use crate::bundle::{codes, list, python, quick};
use crate::case::{authority, enter, now, stamp};
use crate::{Desk, rows};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases")
}

fn copy(from: &Path, to: &Path) {
    let mut names = Vec::new();
    list(from, "", &mut names);
    for name in names {
        let to = to.join(&name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.join(&name), to).unwrap();
    }
}

/// A desk with the sample as `case`, and `trust.json`.
fn sample() -> Desk {
    let desk = Desk::empty();
    copy(&cases().join("sample"), &desk.path("case"));
    fs::copy(cases().join("trust.json"), desk.path("trust.json")).unwrap();
    desk
}

#[test]
fn anyone_can_verify_the_sample() {
    let desk = sample();
    let ran = desk.run("case verify case --trust trust.json --json");
    let said: Value = ran.stdout.parse().unwrap();
    assert_eq!(
        (ran.code, &said["overall"]),
        (0, &json!("PASS")),
        "{said:#}"
    );
    assert_eq!(python(&desk), ("PASS".to_owned(), Vec::new()));
    assert!(!ran.stderr.contains("stamped again"), "{}", ran.stderr);
    // V-6: a verifier who believes its authorities for another month still verifies, and is told.
    let mut trust: Value = desk.read("trust.json").parse().unwrap();
    let month = now().unix_millis() + 30 * 86_400_000;
    for authority in trust["authorities"].as_array_mut().unwrap() {
        authority["until"] = json!(Time::from_unix_millis(month).unwrap());
    }
    desk.write("month.json", trust.to_string());
    let ran = desk.run("case verify case --trust month.json");
    assert!(
        ran.code == 0 && ran.stderr.matches("stamped again before").count() == 4,
        "{}",
        ran.stderr
    );
    // The student that learned from the mark is found, the other is not.
    let analysis: Value = desk.read("case/analysis/analysis.json").parse().unwrap();
    let key = |suspect: usize| &analysis["suspects"][suspect]["keys"][0];
    assert_eq!(
        (&key(0)["below_alpha"], &key(1)["below_alpha"]),
        (&json!(true), &json!(false)),
        "{analysis:#}"
    );
}

/// V-6: when an authority's keys are anyone's, its tokens count if stamps from before show that they are older; and so do those stamps, when it is their turn.
#[test]
fn an_authority_that_broke_is_made_up_for_by_stamps_from_before() {
    let desk = sample();
    let manifest = "case/manifest.dsse.json";
    let whole: Value = desk.read("trust.json").parse().unwrap();
    let mut known: Vec<Value> = whole["authorities"].as_array().unwrap().clone();
    for name in ["gamma", "delta", "epsilon"] {
        authority(&desk, name, "ec");
        known.push(desk.read(&format!("{name}/{name}.json")).parse().unwrap());
    }
    // Which of them broke, and how many hours from now.
    let check = |broken: &[(&str, i64)]| {
        let mut trust = whole.clone();
        trust["authorities"] = json!(known);
        for authority in trust["authorities"].as_array_mut().unwrap() {
            if let Some((_, hours)) = broken.iter().find(|(name, _)| authority["name"] == *name) {
                let at = now().unix_millis().saturating_add_signed(hours * 3_600_000);
                authority["broken"] = json!(Time::from_unix_millis(at).unwrap());
            }
        }
        desk.write("trust.json", trust.to_string());
        let (ours, (word, theirs)) = (quick(&desk), python(&desk));
        let ours: Vec<String> = codes(&ours).into_iter().map(str::to_owned).collect();
        assert_eq!(ours, codes(&theirs), "{broken:?}: {theirs:?}");
        assert_eq!(word == "PASS", ours.is_empty(), "{broken:?}: {ours:?}");
        ours
    };
    assert!(check(&[]).is_empty());
    let lost = check(&[("alpha", 1)]);
    for code in [
        "commitment.anchored",
        "plan.anchored",
        "transcript.anchored",
    ] {
        assert!(lost.iter().any(|lost| lost == code), "{lost:?}");
    }
    let renew = |out: &str| {
        desk.good(&format!("case renew case --out {out}"));
        let mut names = Vec::new();
        list(&desk.path(out), "", &mut names);
        names.sort();
        names
    };
    assert_eq!(renew("first"), ["manifest.dsse.json.tsq"]);
    for name in ["gamma", "delta"] {
        stamp(&desk, name, manifest, &format!("{manifest}.{name}.tsr"));
    }
    // In the case's log, after what its register has.
    let mut files = Vec::new();
    list(&desk.path("case"), "case/", &mut files);
    let entered: String = (desk.read("case/register/log.txt").lines())
        .map(|entry| {
            let own = |file: &&String| {
                Digest::of(&fs::read(desk.path(file)).unwrap()).to_string() == entry
            };
            files.iter().find(own).unwrap().clone() + "\n"
        })
        .collect();
    desk.write("case.log.names", &entered);
    enter(&desk, manifest);
    fs::rename(
        desk.path("plan.tlog-proof"),
        desk.path(&format!("{manifest}.tlog-proof")),
    )
    .unwrap();
    assert!(check(&[]).is_empty());
    assert!(check(&[("alpha", 1)]).is_empty());
    // Too late: whoever has the keys could have made the old tokens before the manifest was stamped.
    assert!(!check(&[("alpha", -1)]).is_empty());
    // The second generation.
    assert!(!check(&[("alpha", 1), ("gamma", 2)]).is_empty());
    assert_eq!(renew("second").len(), 3);
    for name in ["delta", "epsilon"] {
        let token = format!("{manifest}.gamma.tsr");
        stamp(&desk, name, &token, &format!("{token}.{name}.tsr"));
    }
    assert!(check(&[("alpha", 1), ("gamma", 2)]).is_empty());
    assert!(!check(&[("alpha", 1), ("gamma", -1)]).is_empty());
    // Nothing can be put there under such a name.
    desk.write(&format!("{manifest}.beta.tsr.gamma.tsr"), "smuggled");
    assert_eq!(check(&[]), ["manifest.anchored"]);
    fs::remove_file(desk.path(&format!("{manifest}.beta.tsr.gamma.tsr"))).unwrap();
    desk.write(&format!("{manifest}.gamma.tsr.beta.tsr"), "smuggled");
    assert_eq!(check(&[]), ["manifest.anchored"]);
    let said = desk.bad("case renew case --out second");
    assert!(said.contains("second"), "{said}");
}

/// The committed report is what the command writes of the committed bundle, but for the times at which that was done.
#[test]
fn the_samples_report_is_written_again() {
    let desk = sample();
    fs::copy(cases().join("notes.json"), desk.path("notes.json")).unwrap();
    desk.good("case report case --trust trust.json --notes notes.json --out report");
    let read = |path: PathBuf| -> Value { fs::read_to_string(path).unwrap().parse().unwrap() };
    let (mut ours, mut theirs) = (
        read(desk.path("report/report.json")),
        read(cases().join("report/report.json")),
    );
    assert_eq!(theirs["made"].as_str().unwrap().len(), 24);
    for report in [&mut ours, &mut theirs] {
        report["made"] = Value::Null;
        report["method"]["self_test"]["at"] = Value::Null;
    }
    assert_eq!(ours, theirs);
    let page = desk.read("report/report.html");
    for part in [
        "The first missing link is link 1",
        "s1, SmolLM2-135M after five epochs",
        "DRAFT",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // What a person must write is open, so it is no final report; the other suspect's says why it decides nothing.
    let said =
        desk.bad("case report case --trust trust.json --notes notes.json --final --out final");
    assert!(said.contains("disclosure.qualifications is open"), "{said}");
    desk.good("case report case --trust trust.json --suspect s2 --out other");
    let other: Value = desk.read("other/report.json").parse().unwrap();
    // Fewer units came than the plan counts on, so that nothing was found is no answer either.
    let outcome = other["finding"]["outcome"]["inconclusive"]
        .as_str()
        .unwrap();
    assert!(outcome.contains("the plan counts on 3600"), "{outcome}");
    let said = desk.bad("case report case --trust trust.json --suspect s3 --out final");
    assert!(said.contains("no suspect `s3`"), "{said}");
    // And a bundle that does not hold has none.
    desk.write("case/analysis/analysis.json", "{}");
    let said = desk.bad("case report case --trust trust.json --out final");
    assert!(said.contains("the bundle does not hold"), "{said}");
}

/// Files up to this size are changed at every byte, or every so many; larger ones at their ends and at places between.
const SMALL: usize = 8192;

/// C-3 over the sample: bytes flipped, files cut short, bytes taken out and put in, lines swapped, left out and doubled. `every` is how many places lie between two that are tried.
fn sweep(every: usize, check: fn(&Desk) -> Vec<String>) -> usize {
    let desk = sample();
    let mut names = Vec::new();
    list(&desk.path("case"), "", &mut names);
    let mut tried = 0;
    for name in &names {
        let path = desk.path("case").join(name);
        let whole = fs::read(&path).unwrap();
        let end = whole.len();
        let places: Vec<usize> = if end <= SMALL {
            (0..end).step_by(every).collect()
        } else {
            let between = (0..end).step_by(997 * every);
            (0..512)
                .step_by(every)
                .chain(between)
                .chain((end - 512..end).step_by(every))
                .collect()
        };
        let mut found = |changed: &[u8], what: &str| {
            fs::write(&path, changed).unwrap();
            let faults = check(&desk);
            assert!(
                faults.iter().any(|fault| fault.contains(name.as_str())),
                "{name}, {what}: {faults:?}"
            );
            tried += 1;
        };
        let with =
            |at: usize, middle: &[u8], rest: usize| [&whole[..at], middle, &whole[rest..]].concat();
        for &at in &places {
            found(
                &with(at, &[whole[at] ^ 1], at + 1),
                &format!("byte {at} flipped"),
            );
        }
        // Other changes move what is behind them, so they need not be tried at every byte.
        for &at in places.iter().step_by(31) {
            found(&whole[..at], &format!("cut at {at}"));
            found(&with(at, &[], at + 1), &format!("byte {at} taken out"));
            found(&with(at, b"x", at), &format!("a byte put in at {at}"));
        }
        found(&with(end, b"\n", end), "a line's end put behind");
        if name.ends_with(".jsonl") || name.ends_with(".txt") {
            let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
            for at in (0..lines.len() - 1).step_by(every) {
                for (what, order) in [
                    ("swapped", vec![at + 1, at]),
                    ("left out", vec![at]),
                    ("doubled", vec![at, at, at + 1]),
                ] {
                    let middle: Vec<&[u8]> = order.iter().map(|place| lines[*place]).collect();
                    let changed = [&lines[..at], &middle, &lines[at + 2..]].concat().concat();
                    if changed != whole {
                        found(&changed, &format!("line {at} {what}"));
                    }
                }
            }
        }
        fs::remove_file(&path).unwrap();
        let faults = check(&desk);
        assert!(
            faults.iter().any(|fault| fault.contains(name.as_str())),
            "{name} removed: {faults:?}"
        );
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(check(&desk), Vec::<String>::new());
    tried
}

/// The same flips for the second verifier.
fn python_sweep(every: usize) -> String {
    let ran = Command::new("python3")
        .arg("-B")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tools/sweep.py"))
        .args([cases().join("sample"), cases().join("trust.json")])
        .arg(every.to_string())
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn changes_to_the_sample_are_found_and_the_file_named() {
    assert!(sweep(499, quick) > 200);
    assert!(python_sweep(499).contains("all found"));
}

/// What of the files themselves does not hold.
fn files(desk: &Desk) -> Vec<String> {
    let trust = Trust::from_json(&desk.read("trust.json")).unwrap();
    let folder = Folder::open(&desk.path("case")).unwrap();
    let checks = bundle::verify_files(&folder, &trust).checks;
    let failed = checks.iter().filter(|check| check.status == Status::Fail);
    failed.map(ToString::to_string).collect()
}

#[test]
#[ignore = "every byte; some ten minutes"]
fn every_change_to_the_sample_is_found_and_the_file_named() {
    println!("{} changes, all found", sweep(1, files));
    println!("{}", python_sweep(1));
}

/// V-3: the lines of `verify.txt`, run as they stand by bash with `sha256sum` and `openssl`; and each fails where what it checks was changed.
#[test]
fn tools_of_any_system_check_the_sample() {
    let desk = sample();
    let trust: Value = desk.read("trust.json").parse().unwrap();
    let lines = desk.read("case/verify.txt");
    let lines: Vec<&str> = lines
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect();
    let (functions, checks): (Vec<&str>, Vec<&str>) =
        lines.iter().partition(|line| line.contains("() {"));
    let bash = |script: &str| {
        let script = format!("set -e -o pipefail\n{}\n{script}", functions.join("\n"));
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]).current_dir(desk.path("case"));
        bash.output().unwrap()
    };
    let mut setup = String::new();
    for authority in trust["authorities"].as_array().unwrap() {
        setup += &format!(
            "echo {} | pem > ../{}.pem\n",
            authority["root"].as_str().unwrap(),
            authority["name"].as_str().unwrap()
        );
    }
    for signer in trust["signers"].as_array().unwrap() {
        let line = signer["key"].as_str().unwrap();
        setup += &format!(
            "echo {line} | key > ../{}.der\n",
            line.split('+').nth(1).unwrap()
        );
    }
    let ran = bash(&setup);
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    // Two tokens for commitment, plan, the plan that was given up, seals, transcript and reveal, three envelopes with four signatures, one list.
    assert_eq!(checks.len(), 12 + 4 + 1, "{checks:?}");
    for check in &checks {
        let ran = bash(check);
        assert!(
            ran.status.success(),
            "{check}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }
    for (name, kind) in [
        ("plan/plan.dsse.json", "plan/plan.dsse.json"),
        ("commitment/epoch.json", "commitment/epoch.json"),
        ("manifest.dsse.json", "check manifest.dsse.json"),
    ] {
        let path = desk.path("case").join(name);
        let whole = fs::read(&path).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 3] ^= 1;
        fs::write(&path, changed).unwrap();
        for check in checks.iter().filter(|check| check.contains(kind)) {
            assert!(
                !bash(check).status.success(),
                "{check} passes for a changed {name}"
            );
        }
        assert!(name == "manifest.dsse.json" || !bash(checks[0]).status.success());
        fs::write(&path, whole).unwrap();
    }
}

/// texts are withheld with who and why; the transcript is the same, what is disclosed is computed again, and the report prints both results.
#[test]
fn texts_can_be_withheld_and_never_in_silence() {
    let desk = sample();
    desk.good(
        "case redact case --trust trust.json --attempt 3 --attempt 8 --field body --by counsel.example --reason privilege --out less",
    );
    let openings = desk.read("less/transcript/openings.jsonl");
    let withheld: Vec<Value> = rows(&openings)
        .into_iter()
        .filter(|row| !row["withheld"].is_null())
        .collect();
    assert_eq!(withheld.len(), 2);
    for row in &withheld {
        // Nothing is left to try guesses on.
        assert_eq!(row.as_object().unwrap().len(), 3, "{row}");
        assert_eq!(
            row["withheld"],
            json!({"by": "counsel.example", "reason": "privilege"})
        );
    }
    for name in [
        "transcript/records.jsonl",
        "transcript/transcript.dsse.json",
        "analysis/analysis.json",
    ] {
        assert_eq!(
            desk.read(&format!("less/{name}")),
            desk.read(&format!("case/{name}"))
        );
    }
    // Nobody signs it here, so that its manifest is missing is all that fails.
    let ran = desk.run("case verify less --trust trust.json");
    for line in ran.stdout.lines() {
        let code = line
            .split_whitespace()
            .find(|word| word.contains('.'))
            .unwrap_or_default();
        let expected = match code {
            "files.manifest" => "FAIL ",
            "files.listed" | "transcript.texts" | "analysis.recomputed" => "NOT CHECKED ",
            "" => "FAIL",
            _ => "PASS ",
        };
        assert!(line.starts_with(expected) || code.is_empty(), "{line}");
    }
    let find = |name: &str| -> Value { desk.read(name).parse().unwrap() };
    let (all, less) = (
        find("less/analysis/analysis.json"),
        find("less/analysis/disclosed.json"),
    );
    let counts = |analysis: &Value| {
        let sum = |column: &str| -> u64 {
            (0..2)
                .map(|n| analysis["suspects"][n][column].as_u64().unwrap())
                .sum()
        };
        (sum("answers"), sum("withheld"))
    };
    assert_eq!(
        (counts(&all).1, counts(&less)),
        (0, (counts(&all).0 - 2, 2))
    );
    for (arguments, fault) in [
        (
            "--attempt 9999 --by a --reason b",
            "attempt 9999 has no such text",
        ),
        (
            "--attempt 3 --field hash --by a --reason b",
            "attempt 3 has no such text",
        ),
    ] {
        let said = desk.bad(&format!(
            "case redact case --trust trust.json {arguments} --out none"
        ));
        assert!(said.contains(fault), "{said}");
    }
}

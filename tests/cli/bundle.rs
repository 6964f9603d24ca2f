//! A whole case, from committed keys to a verified bundle; and what becomes of it when anything in it changes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use taggant_evidence::bundle::{self, Folder, Status};
use taggant_evidence::report::Fate;
use taggant_evidence::statement::{Subject, state};
use taggant_evidence::transcript::{self, field_digest};
use taggant_evidence::{Digest, SigningKey, Time, Trust};

use crate::case::{anchor, office, wait};
use crate::collect::server::{Act, Server};
use crate::{Desk, mode, rows};

const VERIFY: &str = "case verify case --trust trust.json --tokenizer smollm2-135m";

const REGISTER: &str = "case register case --trust trust.json --log case.log --signer ann.key";

/// Anchors a file of the case.
pub(crate) fn prove(desk: &Desk, file: &str) {
    anchor(desk, file);
    for (from, to) in [
        ("alpha.tsr", "alpha.tsr"),
        ("beta.tsr", "beta.tsr"),
        ("plan.tlog-proof", "tlog-proof"),
    ] {
        fs::rename(desk.path(from), desk.path(&format!("{file}.{to}"))).unwrap();
    }
}

/// A case in which suspect `s1` says what was served under the key and `s2` says what was not; closed and signed.
fn closed_case() -> Desk {
    closed_case_at(office(), "")
}

/// The same at a desk where something was done before; `others` is what `case register` is told of other plans.
fn closed_case_at(desk: Desk, others: &str) -> Desk {
    desk.root();
    for folder in ["commitment", "mark", "plan", "transcript", "reveal"] {
        fs::create_dir_all(desk.path("case").join(folder)).unwrap();
    }
    desk.good("key derive --root root.key --path 2026-12/campaign/east --out east.key");
    desk.good("key commit --root root.key --epoch 2026-12 --out case/commitment/epoch.json");
    prove(&desk, "case/commitment/epoch.json");
    // What was served: the suspect that learned from it will say it again.
    let asked: String = (0..8)
        .map(|n| json!({"prompt": format!("Question {n}?")}).to_string() + "\n")
        .collect();
    desk.write("case/plan/pool.jsonl", &asked);
    let generate = "generate --model smollm2-135m --scheme gumbel --max-tokens 60 --temperature 1 --prompts case/plan/pool.jsonl";
    desk.good(&format!(
        "{generate} --seed 3 --key east.key --out served.jsonl --record case/mark/record.json"
    ));
    desk.good(&format!("{generate} --seed 4 --plain --out plain.jsonl"));
    let mut plan = open_keys(&desk);
    plan["pool"] = json!({"sha256": Digest::of(asked.as_bytes()), "prompts": 8, "drawn": 6});
    plan["stopping"] = json!({"fixed": {"answers": 1}});
    let mut names = String::new();
    let mut suspect = |id: &str| {
        let row = desk.good(&format!("case identity {id}-7b")).stdout;
        names += &row;
        let row: Value = row.parse().unwrap();
        json!({"id": id, "identity": row["identity"], "access": "one-collector"})
    };
    plan["suspects"] = json!([suspect("s1"), suspect("s2")]);
    plan["budget"] = json!({"requests": 100, "tokens": 100_000});
    desk.write("names.jsonl", names);
    desk.write("plan.json", plan.to_string());
    desk.good("case seal --plan plan.json --signer ann.key --out case/plan/plan.dsse.json");
    prove(&desk, "case/plan/plan.dsse.json");

    let say = |name: &str| -> Vec<(String, String)> {
        let text = |row: &Value, column: &str| row[column].as_str().unwrap().to_owned();
        rows(&desk.read(name))
            .iter()
            .map(|row| (text(row, "prompt"), text(row, "response")))
            .collect()
    };
    let (served, plain) = (say("served.jsonl"), say("plain.jsonl"));
    let server = Server::start(move |_, got| {
        let request: Value = serde_json::from_slice(&got.body).unwrap();
        let said = if request["model"] == "one" {
            &served
        } else {
            &plain
        };
        let prompt = request["messages"][0]["content"].as_str().unwrap();
        let (_, text) = said.iter().find(|(asked, _)| asked == prompt).unwrap();
        Act::Say(text.clone(), 60)
    });
    let door = |model: &str| json!({"server": {"url": server.url(), "model": model}});
    let provider = desk.good("case signer --name provider.example/pat --out provider.key");
    desk.write("provider.txt", provider.stdout);
    let account = |pseudonym: &str| {
        let digest = |text: &str| Digest::of(text.as_bytes());
        json!({"pseudonym": digest(pseudonym), "terms": digest("terms of 2026-07"), "accepted": "2026-07-01T12:00:00.000Z", "indicators": ["card ending in 4242"]})
            .to_string()
            + "\n"
    };
    desk.write("accounts.jsonl", account("a") + &account("b"));
    desk.good("case accounts case --input accounts.jsonl --signer provider.key");
    let doors = json!({"s1": door("one"), "s2": door("two")});
    close(&desk, &doors, others);
    desk
}

/// Opens the tested key and the control keys; the office's plan for them and the mark.
pub(crate) fn open_keys(desk: &Desk) -> Value {
    desk.good("key reveal --epoch case/commitment/epoch.json --key east.key --out opened.json");
    desk.good("key reveal --epoch case/commitment/epoch.json --controls root.key --out case/reveal/controls.jsonl");
    let opened = desk.read("opened.json");
    desk.write(
        "case/reveal/keys.jsonl",
        opened.trim_end().to_owned() + "\n",
    );
    let opened: Value = opened.parse().unwrap();
    let text = desk.read("case/mark/record.json");
    let record: Value = text.parse().unwrap();
    let mut plan: Value = desk.read("plan.json").parse().unwrap();
    plan["keys"] = json!([{"commitment": record["layers"][0]["key"], "epoch": opened["root"]}]);
    plan["mark"] = json!(Digest::of(text.as_bytes()));
    plan["tokenizer"] = record["tokenizer"]["digest"].clone();
    plan["primary"] = json!({"mode": "closed", "statistic": "plain"});
    plan["exclusions"] = json!([]);
    plan
}

/// Lets the round come, asks the suspects behind these doors, and closes and signs the case.
pub(crate) fn close(desk: &Desk, doors: &Value, others: &str) {
    let collector = desk.good("case signer --name collector.example/bob --out collector.key");
    desk.write("collector.txt", collector.stdout);
    desk.write("doors.json", doors.to_string());
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(desk.path("doors.json"), private).unwrap();
    wait(desk, "c0ffee");
    desk.good(
        "collect --plan case/plan/plan.dsse.json --trust trust.json --token case/plan/plan.dsse.json.alpha.tsr --token case/plan/plan.dsse.json.beta.tsr \
         --proof case/plan/plan.dsse.json.tlog-proof --pool case/plan/pool.jsonl --doors doors.json --signer collector.key --out case/transcript",
    );
    fs::remove_file(desk.path("case/transcript/records.jsonl.lock")).unwrap();
    prove(desk, "case/transcript/transcript.dsse.json");
    // The keys are opened after the last question; authorities count whole seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    prove(desk, "case/reveal/keys.jsonl");
    desk.good(&format!("{REGISTER}{others}"));
    desk.good("case analyse case --trust trust.json --tokenizer smollm2-135m");
    desk.good("case bundle case --signer ann.key --signer collector.key");
}

/// Every check of the bundle, by code.
fn checks(desk: &Desk) -> (i32, Value) {
    let ran = desk.run(&format!("{VERIFY} --json"));
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    (
        ran.code,
        ran.stdout.parse().unwrap_or(Value::String(ran.stderr)),
    )
}

/// The details of the checks that failed.
fn faults(said: &Value) -> Vec<String> {
    let Some(checks) = said["checks"].as_array() else {
        return vec![said.to_string()];
    };
    checks
        .iter()
        .filter(|check| check["status"] == "FAIL")
        .map(|check| {
            format!(
                "{}: {}",
                check["code"].as_str().unwrap(),
                check["detail"].as_str().unwrap()
            )
        })
        .collect()
}

/// What fails where no number is computed again.
pub(crate) fn quick(desk: &Desk) -> Vec<String> {
    let trust = Trust::from_json(&desk.read("trust.json")).unwrap();
    let folder = Folder::open(&desk.path("case")).unwrap();
    let outcome = bundle::verify(&folder, &trust, |_| Err("left out".to_owned()));
    let failed = outcome
        .checks
        .iter()
        .filter(|check| check.status == Status::Fail);
    failed.map(ToString::to_string).collect()
}

/// What the second verifier says: its overall word, and code and detail of what failed.
pub(crate) fn python(desk: &Desk) -> (String, Vec<String>) {
    python_on(desk, "case")
}

fn python_on(desk: &Desk, folder: &str) -> (String, Vec<String>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/evidence/verify/bundle.py");
    let ran = std::process::Command::new("python3")
        .arg("-B")
        .arg(script)
        .args([folder, "trust.json"])
        .current_dir(desk.path(""))
        .output()
        .unwrap();
    let text = String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap();
    let failed = text.lines().filter(|line| line.starts_with("FAIL "));
    let failed = failed.map(str::to_owned).collect();
    (text.lines().last().unwrap_or_default().to_owned(), failed)
}

/// The codes of what failed.
pub(crate) fn codes(faults: &[String]) -> Vec<&str> {
    let mut codes: Vec<&str> = faults
        .iter()
        .map(|fault| fault.split_whitespace().nth(1).unwrap())
        .collect();
    codes.sort_unstable();
    codes
}

#[test]
fn a_case_is_closed_and_verified() {
    let desk = closed_case();
    let (code, said) = checks(&desk);
    assert_eq!((code, &said["overall"]), (0, &json!("PASS")), "{said:#}");
    let analysis: Value = desk.read("case/analysis/analysis.json").parse().unwrap();
    let key = |suspect: usize| &analysis["suspects"][suspect]["keys"][0];
    let log10 = |suspect: usize| {
        key(suspect)["log10_p"]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    assert!(log10(0) < -9.0 && log10(1) > -3.0, "{analysis:#}");
    assert_eq!(
        (&key(0)["below_alpha"], &key(1)["below_alpha"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&key(0)["at_least"], &key(0)["log10_p_rank"]),
        (&json!(0), &json!("-3"))
    );
    // Without the tokenizer no number is computed again, so it is not verified.
    let ran = desk.run("case verify case --trust trust.json");
    assert!(
        ran.code == 1 && ran.stdout.ends_with("INCOMPLETE\n"),
        "{}",
        ran.stdout
    );
    assert_ne!(mode(&desk.path("ann.key")), 0o644);

    assert_eq!(python(&desk), ("PASS".to_owned(), Vec::new()));

    // What fails is the same for both verifiers: a byte in the middle of each kind of file. That every byte counts is for the sample to show.
    let kinds = [
        "manifest.dsse.json",
        "plan/plan.dsse.json",
        "plan/plan.dsse.json.alpha.tsr",
        "plan/plan.dsse.json.tlog-proof",
        "transcript/asked.jsonl",
        "transcript/records.jsonl",
        "transcript/openings.jsonl",
        "reveal/keys.jsonl",
    ];
    for name in kinds {
        let path = desk.path("case").join(name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        bytes[whole.len() / 2] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let (ours, (word, theirs)) = (quick(&desk), python(&desk));
        assert!(
            word == "FAIL" && theirs.iter().any(|fault| fault.contains(name)),
            "{name}: {word} {theirs:?}"
        );
        assert_eq!(codes(&ours), codes(&theirs), "{name}: {ours:?} {theirs:?}");
        fs::write(&path, &whole).unwrap();
    }
    // A redacted case, closed by the same people: nothing fails, it does not pass, and its report has both results.
    desk.good("case redact case --trust trust.json --tokenizer smollm2-135m --attempt 2 --by counsel.example --reason privilege --out less");
    desk.good("case bundle less --signer ann.key --signer collector.key");
    let ran = desk.run("case verify less --trust trust.json --tokenizer smollm2-135m");
    assert!(
        ran.code == 1 && ran.stdout.ends_with("INCOMPLETE\n") && !ran.stdout.contains("FAIL"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        python_on(&desk, "less"),
        ("INCOMPLETE".to_owned(), Vec::new())
    );
    desk.good("case report less --trust trust.json --tokenizer smollm2-135m --out report");
    let report: Value = desk.read("report/report.json").parse().unwrap();
    let redaction = &report["results"]["redaction"];
    assert_eq!(
        (&redaction["records"], &redaction["reasons"]),
        (&json!(2), &json!(["counsel.example: privilege"]))
    );
    assert_eq!(redaction["all"]["log10"], key(0)["log10_p"]);
    assert_eq!(redaction["disclosed"], report["results"]["rows"][0]["p"]);
    assert!(desk.read("report/report.html").contains("privilege"));
    // Texts that are withheld after they were scored can make what is left look stronger: such a case supports nothing, where the whole one does.
    let found: Value = desk.read("report/report.json").parse().unwrap();
    let committed: Time = found["timeline"]["key"]["at"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let served = Time::from_unix_millis(committed.unix_millis() + 1).unwrap();
    desk.write(
        "notes.json",
        json!({"issuance": {"at": served, "shown_by": "the provider's log"}}).to_string(),
    );
    for (folder, outcome) in [("case", "support"), ("less", "inconclusive")] {
        desk.good(&format!("case report {folder} --trust trust.json --tokenizer smollm2-135m --notes notes.json --out {folder}-report"));
        let report: Value = desk
            .read(&format!("{folder}-report/report.json"))
            .parse()
            .unwrap();
        assert!(
            report["finding"]["outcome"].to_string().contains(outcome),
            "{folder}: {}",
            report["finding"]
        );
        // The plan names no control among its suspects, so nothing is known of the procedure's errors.
        assert_eq!(report["finding"]["null_runs"]["runs"], 0);
    }
    // A closed case is not closed again, and stays as it is.
    let said = desk.bad("case bundle case --signer ann.key");
    assert!(said.contains("the case is closed"), "{said}");
    assert_eq!(checks(&desk).0, 0);
    // S-8: names are opened when scores are frozen: about another analysis, or with another name, the statement does not hold.
    let names = desk.read("names.jsonl");
    let open = |names: &str, analysis: &str| {
        desk.write("names.jsonl", names);
        let whole = desk.read("case/analysis/analysis.json");
        desk.write("case/analysis/analysis.json", analysis);
        let _ = fs::remove_file(desk.path("case/reveal/suspects.dsse.json"));
        desk.good("case unblind case --names names.jsonl --signer ann.key");
        desk.write("case/analysis/analysis.json", whole);
        reseal(&desk);
        let (ours, (word, theirs)) = (quick(&desk), python(&desk));
        assert_eq!(codes(&ours), codes(&theirs), "{ours:?} {theirs:?}");
        (word, ours)
    };
    let whole = desk.read("case/analysis/analysis.json");
    let (_, faults) = open(&names, "{}");
    assert!(
        faults[0].contains("names are opened when scores are frozen"),
        "{faults:?}"
    );
    let (_, faults) = open(&names.replacen("s2-7b", "s2-8b", 1), &whole);
    assert!(
        faults[0].contains("not the name that the plan holds of s2"),
        "{faults:?}"
    );
    assert_eq!(open(&names, &whole), ("PASS".to_owned(), Vec::new()));
    desk.good(
        "case report case --trust trust.json --tokenizer smollm2-135m --suspect s2 --out named",
    );
    assert!(desk.read("named/report.html").contains("s2-7b"));
    // R-7 and S-1: the custodian's word is a link, and the statistics' own error rates are in the bundle.
    let report: Value = desk.read("named/report.json").parse().unwrap();
    assert_eq!(
        report["finding"]["accounts"]["shown"],
        json!(["exhibits/accounts.dsse.json: 2 accounts, on their custodian's word"])
    );
    assert_eq!(report["method"]["validation"].as_array().unwrap().len(), 3);
    fs::remove_file(desk.path("case/exhibits/accounts.dsse.json")).unwrap();
    desk.good("case accounts case --input accounts.jsonl --signer ann.key");
    reseal(&desk);
    let (ours, theirs) = (quick(&desk), python(&desk).1);
    assert!(
        codes(&ours) == ["exhibit.accounts"] && codes(&theirs) == ["exhibit.accounts"],
        "{ours:?} {theirs:?}"
    );
    fs::remove_file(desk.path("case/exhibits/accounts.dsse.json")).unwrap();
    desk.write("twice.jsonl", desk.read("accounts.jsonl").repeat(2));
    let said = desk.bad("case accounts case --input twice.jsonl --signer provider.key");
    assert!(
        said.contains("line 3") && said.contains("stands there twice"),
        "{said}"
    );
    desk.good("case accounts case --input accounts.jsonl --signer provider.key");
    reseal(&desk);
    desk.write("case/extra.txt", "x");
    assert!(
        quick(&desk)
            .iter()
            .any(|fault| fault.contains("extra.txt: it is there and not listed"))
    );
    fs::remove_file(desk.path("case/extra.txt")).unwrap();
    // No network is needed: in a namespace without interfaces it verifies as well.
    let alone = desk.command(VERIFY);
    let mut unshare = std::process::Command::new("unshare");
    unshare
        .args(["--user", "--map-root-user", "--net"])
        .arg(alone.get_program())
        .args(alone.get_args())
        .current_dir(desk.path(""));
    unshare.env("TAGGANT_CACHE", taggant_tests::model::cache());
    let ran = unshare.output().unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert_eq!(checks(&desk).0, 0);
}

pub(crate) fn list(path: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in fs::read_dir(path).unwrap().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => list(&entry.path(), &format!("{name}/"), names),
            false => names.push(name),
        }
    }
}

/// Links, odd names and depths are refused; a bundle that brings its own keys is not trusted.
#[test]
fn a_hostile_bundle_is_refused_by_name() {
    let desk = closed_case();
    let refused = |part: &str| {
        let (code, said) = checks(&desk);
        assert!(
            code == 2 && said.to_string().contains(part),
            "{code} {said}"
        );
    };
    std::os::unix::fs::symlink("/etc/passwd", desk.path("case/report")).unwrap();
    refused("report: neither a file nor a folder");
    fs::remove_file(desk.path("case/report")).unwrap();
    desk.write("case/Odd name", "x");
    refused("Odd name: a name in a bundle");
    fs::remove_file(desk.path("case/Odd name")).unwrap();
    fs::create_dir_all(desk.path("case/a/b/c/d/e")).unwrap();
    refused("deeper than 4");
    fs::remove_dir_all(desk.path("case/a")).unwrap();
    // Signed again by somebody else, and a trust file that comes with it.
    desk.good("case signer --name stranger.example/eve --out eve.key");
    for name in ["case/manifest.dsse.json", "case/manifest-sha256.txt"] {
        fs::remove_file(desk.path(name)).unwrap();
    }
    let said = desk.run("case bundle case --signer eve.key");
    assert!(
        said.code == 2 && said.stderr.contains("the examiner who signed the plan"),
        "{}",
        said.stderr
    );
    // The examiner alone is not enough: whoever asked must stand by it.
    desk.good("case bundle case --signer ann.key");
    let (code, said) = checks(&desk);
    assert!(
        code == 1 && faults(&said)[0].contains("no signature of a trusted collector"),
        "{said}"
    );
}

/// P-4, S-5: whatever was planned is in the bundle, also what was given up, and p-values are held over all of it.
#[test]
fn every_plan_of_a_case_is_in_its_register() {
    let desk = office();
    // Somebody planned, entered the plan in the case's log, and thought better of it.
    let mut plan: Value = desk.read("plan.json").parse().unwrap();
    for suspect in ["x", "y"] {
        let mut other = plan["suspects"][0].clone();
        other["id"] = json!(suspect);
        plan["suspects"].as_array_mut().unwrap().push(other);
    }
    plan["budget"] = json!({"requests": 1_000_000, "tokens": 100_000_000});
    desk.write("first.json", plan.to_string());
    desk.good("case seal --plan first.json --signer ann.key --out first.dsse.json");
    prove(&desk, "first.dsse.json");
    let given_up = json!({"plan": "first.dsse.json", "abandoned": "the suspects were withdrawn"});
    desk.write("others.jsonl", format!("{given_up}\n"));
    let desk = closed_case_at(desk, " --others others.jsonl");
    assert_eq!(
        (quick(&desk), python(&desk)),
        (vec![], ("PASS".to_owned(), vec![]))
    );
    assert_eq!(checks(&desk).0, 0);
    // One that is left out is missed, and nothing is left of the attempt.
    let whole = desk.path("case/register");
    fs::rename(&whole, desk.path("kept")).unwrap();
    let said = desk.bad(REGISTER);
    assert!(
        said.contains("a plan may be left out") && !whole.exists(),
        "{said}"
    );
    fs::rename(desk.path("kept"), &whole).unwrap();

    // Three tests were planned first, two then: five are held together, and none of the first is below alpha.
    let analysis: Value = desk.read("case/analysis/analysis.json").parse().unwrap();
    assert_eq!(analysis["family"], 5);
    let key = &analysis["suspects"][0]["keys"][0];
    let log10 = |field: &str| key[field].as_str().unwrap().parse::<f64>().unwrap();
    assert!(
        (log10("log10_p_holm") - log10("log10_p") - 5_f64.log10()).abs() < 0.11,
        "{key}"
    );
    // (Numbers have four digits.) The plan's other assumptions: every one has its result, and halves have less to show than the whole.
    let others: Vec<(&str, f64)> = (key["sensitivity"].as_array().unwrap().iter())
        .map(|other| {
            let log10 = other["log10_p"].as_str().unwrap().parse().unwrap();
            (other["statistic"].as_str().unwrap(), log10)
        })
        .collect();
    assert_eq!(others[0], ("rank", -3.0));
    for (name, other) in &others[1..] {
        assert!(
            *other < -2.0 && *other >= log10("log10_p"),
            "{name}: {other}"
        );
    }
    assert_eq!(others.len(), 4);
    desk.good("case report case --trust trust.json --tokenizer smollm2-135m --out report");
    let report: Value = desk.read("report/report.json").parse().unwrap();
    let fates: Vec<&Value> = report["plans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| &plan["fate"])
        .collect();
    assert_eq!(fates[0]["abandoned"], "the suspects were withdrawn");
    assert!(fates[1]["carried-out"].is_string() && fates.len() == 2);
    assert_eq!(
        report["results"]["sensitivity"].as_array().unwrap().len(),
        4
    );
    assert!(
        desk.read("report/report.html")
            .contains("the suspects were withdrawn")
    );

    // What its parties could do: leave the plan out of the folder, of the statement, of the log, or the register out of the case.
    let kept: Vec<(String, Vec<u8>)> = {
        let mut names = Vec::new();
        list(&desk.path("case/register"), "case/register/", &mut names);
        names
            .into_iter()
            .map(|name| (name.clone(), fs::read(desk.path(&name)).unwrap()))
            .collect()
    };
    let restore = || {
        for (name, bytes) in &kept {
            fs::create_dir_all(desk.path("case/register")).unwrap();
            fs::write(desk.path(name), bytes).unwrap();
        }
    };
    let found = |part: &str| {
        reseal(&desk);
        let (ours, (word, theirs)) = (quick(&desk), python(&desk));
        assert!(
            codes(&ours) == ["plans.registered"] && ours[0].contains(part),
            "{ours:?}"
        );
        assert_eq!(
            (word.as_str(), codes(&theirs)),
            ("FAIL", vec!["plans.registered"]),
            "{theirs:?}"
        );
        restore();
    };
    let plan_1 = "case/register/plan-1.dsse.json";
    for (name, _) in kept.iter().filter(|(name, _)| name.starts_with(plan_1)) {
        fs::remove_file(desk.path(name)).unwrap();
    }
    found("a plan may be left out");
    let state_plans = |change: &dyn Fn(&mut Vec<bundle::Registered>)| {
        let mut plans = vec![
            bundle::Registered {
                file: plan_1[5..].to_owned(),
                fate: Fate::Abandoned("x".to_owned()),
            },
            bundle::Registered {
                file: bundle::PLAN.to_owned(),
                fate: Fate::CarriedOut("x".to_owned()),
            },
        ];
        change(&mut plans);
        let log = Digest::of(desk.read("case/register/log.txt").as_bytes());
        let mut envelope = bundle::Register { plans }.state(log).unwrap();
        envelope.sign(&SigningKey::from_json(&desk.read("ann.key")).unwrap());
        desk.write("case/register/plans.dsse.json", envelope.to_json());
    };
    state_plans(&|plans| drop(plans.remove(0)));
    found("not the plans of register/log.txt");
    state_plans(&|plans| plans.reverse());
    found("not the plans of register/log.txt");
    state_plans(&|plans| plans[1].fate = Fate::Pending("later".to_owned()));
    found("not said to have been carried out");
    // A head of the log without the first entry, signed by the log and seen by a witness as well: the plan's own proof tells.
    desk.write(
        "case.log.names",
        desk.read("case.log.names")
            .replacen("first.dsse.json\n", "", 1),
    );
    anchor(&desk, "case/reveal/keys.jsonl");
    for (from, to) in [("case.log", "log.txt"), ("case.log.note", "log.note")] {
        fs::copy(desk.path(from), desk.path("case/register").join(to)).unwrap();
    }
    state_plans(&|plans| drop(plans.remove(0)));
    found("something was taken out or changed");
    // A log entry changed by hand.
    let log = desk.read("case/register/log.txt");
    desk.write("case/register/log.txt", log.replacen(&log[..4], "0000", 1));
    found("not the entries under register/log.note");
    // A manifest that was entered later than something that the register does not have.
    let names = desk.read("case.log.names");
    let real = format!("first.dsse.json\n{names}");
    desk.write("case.log.names", &real);
    anchor(&desk, "case/reveal/keys.jsonl");
    fs::remove_dir_all(desk.path("case/register")).unwrap();
    prove(&desk, "case/reveal/keys.jsonl");
    desk.good(&format!("{REGISTER} --others others.jsonl"));
    reseal(&desk);
    prove(&desk, "case/manifest.dsse.json");
    assert_eq!((quick(&desk), python(&desk).0), (vec![], "PASS".to_owned()));
    desk.write(
        "case.log.names",
        desk.read("case.log.names")
            .replacen("case/manifest.dsse.json\n", "trust.json\n", 1),
    );
    prove(&desk, "case/manifest.dsse.json");
    let (ours, (_, theirs)) = (quick(&desk), python(&desk));
    assert!(
        codes(&ours) == ["plans.registered"] && ours[0].contains("what stands between is left out"),
        "{ours:?}"
    );
    assert_eq!(codes(&ours), codes(&theirs));
    for beside in ["alpha.tsr", "beta.tsr", "tlog-proof"] {
        fs::remove_file(desk.path(&format!("case/manifest.dsse.json.{beside}"))).unwrap();
    }
    // Of several logs nothing says which is the case's.
    let trust = desk.read("trust.json");
    let mut two: Value = trust.parse().unwrap();
    let other = SigningKey::from_seed("other.example", [6; 32]).unwrap();
    two["logs"]
        .as_array_mut()
        .unwrap()
        .push(json!(format!("log {}", other.public())));
    desk.write("trust.json", two.to_string());
    assert_eq!(
        (quick(&desk), python(&desk).0),
        (vec![], "INCOMPLETE".to_owned())
    );
    desk.write("trust.json", trust);
    // A second transcript of the same plan, of which the better one is shown.
    let collected = |attempts| bundle::Collected {
        plan: analysis["plan"].as_str().unwrap().parse().unwrap(),
        lines: 3,
        head: Digest::default(),
        attempts,
        answers: 0,
        because: transcript::Ending::Abandoned,
    };
    let mut envelope = state(Vec::new(), &collected(1)).unwrap();
    envelope.sign(&SigningKey::from_json(&desk.read("collector.key")).unwrap());
    desk.write("case/transcript/other.dsse.json", envelope.to_json());
    let names = desk.read("case.log.names");
    desk.write("case.log.names", names.split("trust.json").next().unwrap());
    prove(&desk, "case/transcript/other.dsse.json");
    fs::remove_dir_all(desk.path("case/register")).unwrap();
    let said = desk.bad(&format!("{REGISTER} --others others.jsonl"));
    assert!(
        said.contains("another transcript of the same plan"),
        "{said}"
    );
    // Without a register nothing fails, and nothing passes.
    let _ = fs::remove_dir_all(desk.path("case/register"));
    fs::remove_file(desk.path("case/analysis/analysis.json")).unwrap();
    desk.good("case analyse case --trust trust.json --tokenizer smollm2-135m");
    reseal(&desk);
    assert_eq!(
        (quick(&desk), python(&desk).0),
        (vec![], "INCOMPLETE".to_owned())
    );
    let (code, said) = checks(&desk);
    assert_eq!((code, &said["overall"]), (1, &json!("INCOMPLETE")));
}

/// A line of a transcript: when, and the one thing that it says.
struct Said {
    time: Value,
    kind: String,
    entry: Value,
}

/// Tells the transcript anew: the texts after `change` get their digests, the lines their hashes, and collector and examiner sign again. What a party to the case could do.
fn retell(desk: &Desk, change: impl FnOnce(&mut Vec<Said>, &mut Vec<Value>)) {
    let mut lines: Vec<Said> = rows(&desk.read("case/transcript/records.jsonl"))
        .into_iter()
        .map(|line| {
            let (kind, entry) = line.as_object().unwrap().iter().nth(3).unwrap();
            Said {
                time: line["time"].clone(),
                kind: kind.clone(),
                entry: entry.clone(),
            }
        })
        .collect();
    let mut openings = rows(&desk.read("case/transcript/openings.jsonl"));
    change(&mut lines, &mut openings);

    let mut digests = openings.iter().map(|opening| {
        let salt: Digest = opening["salt"].as_str().unwrap().parse().unwrap();
        let text = opening["text"].as_str().unwrap();
        let attempt = opening["attempt"].as_u64().unwrap();
        let field = opening["field"].as_str().unwrap();
        json!(field_digest(attempt, field, salt.bytes(), text.as_bytes()))
    });
    let (mut records, mut head) = (String::new(), Digest::default());
    for (number, Said { time, kind, entry }) in (1..).zip(&mut lines) {
        match kind.as_str() {
            "opened" => {
                for suspect in entry["suspects"].as_array_mut().unwrap() {
                    suspect["door"] = digests.next().unwrap();
                }
            }
            "sent" => entry["request"] = digests.next().unwrap(),
            "answered" | "failed" => entry["body"] = digests.next().unwrap(),
            _ => {}
        }
        let body = format!(
            "{{\"line\":{number},\"previous\":\"{head}\",\"time\":{time},\"{kind}\":{entry}"
        );
        head = Digest::of(&[b"taggant/v1/transcript-line", body.as_bytes()].concat());
        records += &format!("{body},\"hash\":\"{head}\"}}\n");
    }
    desk.write("case/transcript/records.jsonl", &records);
    let lines_of = |values: &[Value]| -> String {
        values
            .iter()
            .map(|value| value.to_string() + "\n")
            .collect()
    };
    desk.write("case/transcript/openings.jsonl", lines_of(&openings));

    let outcome = transcript::Verifier::new()
        .verify(records.as_bytes(), |_, _| ())
        .unwrap();
    let story = &outcome.story;
    let collected = bundle::Collected {
        plan: story.opened().unwrap().plan,
        lines: lines.len() as u64,
        head,
        attempts: story.attempts(),
        answers: story.answers(),
        because: story
            .closed()
            .map_or(transcript::Ending::Abandoned, |closed| closed.because),
    };
    let subject = |name: &str| {
        let bytes = fs::read(desk.path("case/transcript").join(name)).unwrap();
        Subject::new(name, Digest::of(&bytes))
    };
    let mut envelope = state(
        vec![subject("asked.jsonl"), subject("records.jsonl")],
        &collected,
    )
    .unwrap();
    envelope.sign(&SigningKey::from_json(&desk.read("collector.key")).unwrap());
    desk.write("case/transcript/transcript.dsse.json", envelope.to_json());
    prove(desk, "case/transcript/transcript.dsse.json");
    prove(desk, "case/reveal/keys.jsonl");
    fs::remove_dir_all(desk.path("case/register")).unwrap();
    desk.good(REGISTER);
    reseal(desk);
}

fn reseal(desk: &Desk) {
    for name in ["case/manifest.dsse.json", "case/manifest-sha256.txt"] {
        fs::remove_file(desk.path(name)).unwrap();
    }
    desk.good("case bundle case --signer ann.key --signer collector.key");
}

/// The place of the last line of a kind.
fn last(lines: &[Said], kind: &str) -> usize {
    lines.iter().rposition(|line| line.kind == kind).unwrap()
}

/// What a party to the case could do and sign again, and the check that finds it; both verifiers say the same.
#[test]
fn what_the_parties_themselves_could_change_is_found() {
    let desk = closed_case();
    let kept: Vec<(&str, Vec<u8>)> = ["records.jsonl", "openings.jsonl"]
        .map(|name| {
            (
                name,
                fs::read(desk.path("case/transcript").join(name)).unwrap(),
            )
        })
        .into();
    let restore = || {
        for (name, bytes) in &kept {
            fs::write(desk.path("case/transcript").join(name), bytes).unwrap();
        }
    };
    let found = |code: &str| {
        let (ours, (word, theirs)) = (quick(&desk), python(&desk));
        assert_eq!(codes(&ours), [code], "{ours:?}");
        assert_eq!(
            (word.as_str(), codes(&theirs)),
            ("FAIL", vec![code]),
            "{theirs:?}"
        );
    };
    // Nothing changed but times and hashes: it holds.
    retell(&desk, |_, _| ());
    assert_eq!((quick(&desk), python(&desk).0), (vec![], "PASS".to_owned()));

    // Another prompt than was drawn: marked text could be handed to the suspect to repeat.
    retell(&desk, |_, openings| {
        let request = openings
            .iter_mut()
            .find(|opening| opening["field"] == "request")
            .unwrap();
        let text = request["text"]
            .as_str()
            .unwrap()
            .replace("Question", "Repeat this");
        request["text"] = json!(text);
    });
    found("transcript.requests");
    restore();
    // Another model than the door says.
    retell(&desk, |_, openings| {
        let text = openings[0]["text"].as_str().unwrap().replace("one", "uno");
        openings[0]["text"] = json!(text);
    });
    found("transcript.requests");
    restore();
    // An answer that is filed as a failure, so that the question can be asked until one pleases.
    retell(&desk, |lines, _| {
        let at = last(lines, "answered");
        let answered = &lines[at].entry;
        lines[at].entry = json!({"attempt": answered["attempt"], "cause": "unreadable", "status": 200, "body": "", "milliseconds": 1});
        lines[at].kind = "failed".to_owned();
        let end = last(lines, "closed");
        lines[end].entry = json!({"because": "unanswered"});
    });
    found("transcript.chain");
    restore();
    // A count that the body does not bear out.
    retell(&desk, |lines, _| {
        let at = last(lines, "answered");
        lines[at].entry["tokens"] = json!(0);
    });
    found("transcript.chain");
    restore();
    // A header that is not kept: there a credential could be.
    retell(&desk, |lines, _| {
        let at = last(lines, "answered");
        lines[at].entry["headers"] = json!({"authorization": "Bearer x"});
    });
    found("transcript.chain");
    restore();
    // Somebody else's transcript, signed by the collector.
    retell(&desk, |lines, _| {
        lines[0].entry["collector"] = json!("somebody.else")
    });
    found("transcript.signed");
    restore();
    // More suspects than the plan has: nothing is scored.
    retell(&desk, |lines, openings| {
        let suspects = lines[0].entry["suspects"].as_array_mut().unwrap();
        let mut third = suspects[1].clone();
        third["id"] = json!("s3");
        suspects.push(third);
        let mut door = openings[1].clone();
        door["field"] = json!("door.2");
        openings.insert(2, door);
        let end = last(lines, "closed");
        lines[end].entry = json!({"because": "budget"});
    });
    found("transcript.plan");
    let (code, said) = checks(&desk);
    assert_eq!((code, &said["overall"]), (1, &json!("FAIL")), "{said:#}");
    restore();
    // Ended when it suited: no fault, and no pass.
    retell(&desk, |lines, openings| {
        let attempt = lines[last(lines, "sent")].entry["attempt"].clone();
        lines.retain(|line| line.entry["attempt"] != attempt);
        openings.retain(|opening| opening["attempt"] != attempt);
        let end = last(lines, "closed");
        lines[end].entry = json!({"because": "budget"});
    });
    assert_eq!(
        (quick(&desk), python(&desk).0),
        (vec![], "INCOMPLETE".to_owned())
    );
    restore();
    retell(&desk, |_, _| ());

    // Control keys that were picked.
    let controls = desk.read("case/reveal/controls.jsonl");
    let fewer: String = controls
        .lines()
        .skip(1)
        .map(|line| line.to_owned() + "\n")
        .collect();
    desk.write("case/reveal/controls.jsonl", fewer);
    reseal(&desk);
    found("reveal.controls");
    desk.write("case/reveal/controls.jsonl", controls);
    reseal(&desk);
    // What no manifest lists.
    fs::create_dir_all(desk.path("case/manifest.dsse.json.d")).unwrap();
    desk.write("case/manifest.dsse.json.d/x.tsr", "smuggled");
    found("files.listed");
    fs::remove_dir_all(desk.path("case/manifest.dsse.json.d")).unwrap();
    desk.write("case/manifest.dsse.json.alpha.tsr", "no token");
    found("manifest.anchored");
    fs::remove_file(desk.path("case/manifest.dsse.json.alpha.tsr")).unwrap();
    let manifest = desk.read("case/manifest.dsse.json");
    desk.write(
        "case/manifest.dsse.json",
        manifest.replacen('{', "{\"note\":\"added\",", 1),
    );
    let (ours, theirs) = (quick(&desk), python(&desk).1);
    assert!(
        codes(&ours).contains(&"files.manifest") && codes(&theirs) == codes(&ours),
        "{ours:?} {theirs:?}"
    );
}

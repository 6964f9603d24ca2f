//! `test`: what it takes, what it says, and what it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use crate::{Desk, rows};

const CLOSED: &str = "test --mode closed --record mark.json --key east.key";
const OPEN: &str = "test --mode open --record mark.json --key east.key";

/// Dumps of a made-up suspect and reference over the marked rows: at every position five tokens in a run, whose probabilities the
/// suspect and the reference share out differently.
fn dumps(desk: &Desk) {
    for (name, shift) in [("suspect.jsonl", 3), ("reference.jsonl", 5)] {
        let mut lines = String::new();
        for row in rows(&desk.read("marked.jsonl")) {
            let tokens: Vec<u32> = serde_json::from_value(row["tokens"].clone()).unwrap();
            let list = |position: usize| -> Vec<Value> {
                let p = |place: usize| [0.19, 0.15, 0.1, 0.075_f64][(place * shift + position) % 4];
                (0..5)
                    .map(|place| json!([100 * (position % 400) + place, p(place).ln()]))
                    .collect()
            };
            let top: Vec<Vec<Value>> = (0..tokens.len()).map(list).collect();
            let line =
                json!({"id": row["id"], "prompt_tokens": [1, 2, 3], "tokens": tokens, "top": top});
            lines += &format!("{line}\n");
        }
        // Two rows of the desk have id 3; a dump names each text once.
        desk.write(name, lines.replacen("\"id\":3,", "\"id\":2,", 1));
    }
}

fn private(desk: &Desk, name: &str) {
    fs::set_permissions(desk.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn marked_answers_are_detected_and_every_statistic_is_told() {
    let desk = Desk::ready();
    desk.good(&format!("{} --plain --out plain.jsonl", crate::GENERATE));
    let ran = desk.good(&format!(
        "{CLOSED} --answers marked.jsonl --served marked.jsonl --reference plain.jsonl --decoys 199 --sequential 0.5 --json"
    ));
    let lines = ran.json();
    assert_eq!(lines.len(), 4, "{}", ran.stdout);
    let names: Vec<&Value> = lines[..3].iter().map(|line| &line["statistic"]).collect();
    assert_eq!(names, ["supervised", "difference", "plain"]);
    for (line, primary) in lines.iter().zip([true, false, false]) {
        for name in [
            "layer",
            "commitment",
            "units",
            "effective_units",
            "score",
            "mean",
            "sd",
            "z",
            "effect",
            "log10_p",
            "exact",
            "decoys",
        ] {
            assert!(!line[name].is_null(), "{name} is missing: {line}");
        }
        assert_eq!(line["primary"], primary);
        assert_eq!(
            line["verdict"],
            if primary {
                json!("Detected")
            } else {
                Value::Null
            }
        );
        assert!(line["log10_p"].as_f64().unwrap() < -6.0, "{line}");
    }
    let pooled = &lines[3];
    assert_eq!(
        (&pooled["rows"], &pooled["served_rows"], &pooled["detected"]),
        (&json!(3), &json!(3), &json!(1))
    );
    assert!(pooled["log10_p_anytime"].as_f64().unwrap() < -6.0);
    let prompt = pooled["checks"].as_array().unwrap().iter();
    let prompt = prompt
        .clone()
        .find(|check| check["name"] == "prompt")
        .unwrap();
    assert_eq!(
        prompt["status"], "run",
        "prompts of text are read: {prompt}"
    );

    // An innocent suspect: too few rows to say no, with the number that would do; enough where much is expected.
    let ran = desk.run(&format!("{CLOSED} --answers plain.jsonl --json"));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(ran.json()[0]["verdict"], "Inconclusive");
    let reason = ran.json()[0]["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.starts_with("TooFewRows: 3 rows come to ") && reason.contains("rows like these"),
        "{reason}"
    );
    let ran = desk.run(&format!("{CLOSED} --answers plain.jsonl --effect 1"));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.contains("NotDetected"), "{}", ran.stdout);
    assert!(ran.stdout.lines().count() < 24);
}

#[test]
fn cohorts_and_accounts_are_named_by_line() {
    let desk = Desk::ready();
    let paths: String = (1..=30)
        .map(|n| format!("2026-12/account/n{n}\n"))
        .collect();
    desk.write("paths.txt", paths);
    desk.good("key derive --root root.key --paths paths.txt --out accounts.jsonl");
    desk.good("key derive --root root.key --path 2026-12/account/n7 --no-register --out seven.key");
    desk.good("key derive --root root.key --path 2026-12/pseudonym/p --out pseudonym.key");
    let prompts = desk.read("prompts.jsonl").replace("\"x1\"", "\"n7\"");
    desk.write("seven.jsonl", prompts.lines().next().unwrap());
    desk.good(
        "generate --model smollm2-135m --prompts seven.jsonl --max-tokens 90 --top-p 0.95 --seed 3 --key east.key --account-key seven.key \
         --out served.jsonl --record served.json",
    );
    let test = "test --mode closed --record served.json --key east.key --answers served.jsonl --accounts accounts.jsonl";
    let ran = desk.good(&format!("{test} --served served.jsonl --json"));
    let lines = ran.json();
    assert_eq!(lines.len(), 2 + 30 + 1);
    let seven = &lines[2];
    assert_eq!(
        (&seven["layer"], &seven["line"], &seven["verdict"]),
        (&json!("account"), &json!(7), &json!("Detected"))
    );
    assert!(seven["log10_p_holm"].as_f64() > seven["log10_p"].as_f64());
    assert!(!ran.stdout.contains("account/") && !ran.stdout.contains("n7"));
    assert_eq!(lines[32]["accounts_detected"], 1);

    // The log tells the same, once it is known who is who.
    desk.good("log append --log log.jsonl --record served.json --pseudonym-key pseudonym.key --input served.jsonl");
    let said = desk.bad(&format!("{test} --served log.jsonl"));
    assert!(said.contains("--pseudonym-key"), "{said}");
    let logged = desk.good(&format!(
        "{test} --served log.jsonl --pseudonym-key pseudonym.key --json"
    ));
    assert_eq!(logged.json()[2], lines[2]);
    assert!(desk.bad(test).contains("--served"));
    let said = desk.bad(&format!(
        "{CLOSED} --answers marked.jsonl --served marked.jsonl --accounts accounts.jsonl"
    ));
    assert!(said.contains("one layer"), "{said}");

    // Cohorts of a one-layer mark.
    let keys = format!(
        "{}\n{}\n",
        desk.read("other.key").trim(),
        desk.read("east.key").trim()
    );
    desk.write("cohorts.jsonl", keys);
    private(&desk, "cohorts.jsonl");
    let cohorts =
        "test --mode closed --record mark.json --keys cohorts.jsonl --answers marked.jsonl";
    let ran = desk.good(&format!("{cohorts} --json"));
    assert_eq!(
        (&ran.json()[0]["line"], &ran.json()[0]["verdict"]),
        (&json!(2), &json!("Detected"))
    );
    assert_ne!(ran.json()[1]["verdict"], "Detected");
    assert!(desk.good(cohorts).stdout.contains("1 of 2 keys detected"));
}

#[test]
fn a_model_is_read_with_its_reference_and_dumps_say_the_same_in_any_order() {
    let desk = Desk::ready();
    let ran = desk.run(&format!(
        "{OPEN} --text marked.jsonl --suspect smollm2-135m --top-k 8 --json"
    ));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let line = &ran.json()[0];
    assert_eq!(
        (&line["statistic"], &line["exact"]),
        (&json!("plain"), &json!(false))
    );
    assert!(line["z"].as_f64().unwrap().abs() < 5.0 && line["units"].as_u64().unwrap() > 300);
    // The model is its own reference: it agrees everywhere, which is a no.
    let ran = desk.run(&format!(
        "{OPEN} --text marked.jsonl --suspect smollm2-135m --reference smollm2-135m --top-k 8 --json"
    ));
    assert_eq!(ran.json()[0]["verdict"], "NotDetected", "{}", ran.stdout);
    assert_eq!(ran.json()[0]["effective_units"], Value::Null);

    dumps(&desk);
    let dumped =
        format!("{OPEN} --suspect-dump suspect.jsonl --reference-dump reference.jsonl --json");
    let ran = desk.run(&dumped);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(ran.json()[0]["statistic"], "difference");

    // An engine that adds the forced token to lists that lack it gives nothing away: lists are cut to the shortest.
    let mut rows = rows(&desk.read("suspect.jsonl"));
    let mut lines = String::new();
    for (number, row) in rows.iter_mut().enumerate() {
        let tokens = row["tokens"].as_array().unwrap().clone();
        for (position, list) in row["top"].as_array_mut().unwrap().iter_mut().enumerate() {
            let list = list.as_array_mut().unwrap();
            let known = list.iter().any(|entry| entry[0] == tokens[position]);
            if !known && (number, position) != (0, 5) {
                list.push(json!([tokens[position], -6.0]));
            }
        }
        lines += &format!("{row}\n");
    }
    desk.write("forced.jsonl", lines);
    let forced = desk.run(&dumped.replace("suspect.jsonl", "forced.jsonl"));
    assert_eq!(forced.stdout, ran.stdout);
    assert!(
        forced.stderr.contains("cut to 5 tokens"),
        "{}",
        forced.stderr
    );
}

#[test]
fn broken_dumps_are_refused_with_their_line() {
    let desk = Desk::ready();
    dumps(&desk);
    let good = desk.read("suspect.jsonl");
    let first: Value = rows(&good).remove(0);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut row = first.clone();
        change(&mut row);
        desk.write("bad.jsonl", format!("{row}\n"));
        let said = desk.bad(&format!("{OPEN} --suspect-dump bad.jsonl"));
        assert!(
            said.contains("bad.jsonl, line 1") && said.contains("next: "),
            "{said}"
        );
        said
    };
    for (change, part) in [
        (json!([[7, 0.5]]), "ln p = 0.5"),
        (json!([[7, -0.1], [8, -0.1]]), "come to 1.8"),
        (json!([[7, -1.0], [7, -2.0]]), "token 7 occurs twice"),
        (
            json!([[99_999_999, -1.0]]),
            "token 99999999 is not in the vocabulary",
        ),
        (json!([]), "an empty list"),
    ] {
        let said = with(&|row| row["top"][4] = change.clone());
        assert!(said.contains("position 4") && said.contains(part), "{said}");
    }
    let said = with(&|row| {
        row["top"].as_array_mut().unwrap().pop();
    });
    assert!(said.contains("lists in `top`"), "{said}");
    for (content, part) in [
        (good.replacen("-1.", "NaN, -1.", 1), "not JSON"),
        (good[..good.len() / 2].to_owned(), "ends too early"),
        (
            good.replacen("\"tokens\"", "\"ids\"", 1),
            "missing field `tokens`",
        ),
        (format!("{good}{good}"), "occurs twice"),
    ] {
        desk.write("bad.jsonl", content);
        let said = desk.bad(&format!("{OPEN} --suspect-dump bad.jsonl"));
        assert!(said.contains(part), "{part}: {said}");
    }
    // The reference lacks a row, or read another text.
    let reference = desk.read("reference.jsonl");
    let dumped = format!("{OPEN} --suspect-dump suspect.jsonl --reference-dump short.jsonl");
    desk.write("short.jsonl", reference.lines().next().unwrap());
    assert!(desk.bad(&dumped).contains("no row with id 2"));
    desk.write(
        "short.jsonl",
        reference.replace("\"prompt_tokens\":[1,", "\"prompt_tokens\":[9,"),
    );
    assert!(desk.bad(&dumped).contains("another text"));
    let said = desk.bad(&format!(
        "{OPEN} --suspect-dump suspect.jsonl --text marked.jsonl"
    ));
    assert!(said.contains("are not those of marked.jsonl"), "{said}");
}

#[test]
fn bad_input_is_named_and_another_tokenizer_is_inconclusive() {
    let desk = Desk::ready();
    let said =
        desk.bad("test --mode closed --record mark.json --key other.key --answers marked.jsonl");
    assert!(
        said.contains("does not belong to this record") && said.contains("--keys"),
        "{said}"
    );
    desk.write("cut.jsonl", &desk.read("marked.jsonl")[..300]);
    let said = desk.bad(&format!("{CLOSED} --answers cut.jsonl"));
    assert!(
        said.contains("cut.jsonl, line 1: not JSON: it ends too early"),
        "{said}"
    );
    desk.write("none.jsonl", "");
    let ran = desk.run(&format!("{CLOSED} --answers none.jsonl --json"));
    assert_eq!(
        (ran.code, &ran.json()[0]["verdict"]),
        (1, &json!("Inconclusive")),
        "{}",
        ran.stderr
    );
    for (options, part) in [
        ("--answers nothere", "nothere"),
        (
            "--answers marked.jsonl --served none.jsonl",
            "nothing was served",
        ),
        (
            "--answers marked.jsonl --statistic supervised",
            "what was served",
        ),
        (
            "--answers marked.jsonl --statistic difference",
            "a reference",
        ),
        ("--answers marked.jsonl --alpha 2", "alpha is 2"),
        ("--answers marked.jsonl --effect 0", "effect is 0"),
        (
            "--answers marked.jsonl --served marked.jsonl --soft 0",
            "soft is 0",
        ),
        ("--text marked.jsonl", "--answers"),
    ] {
        let said = desk.bad(&format!("{CLOSED} {options}"));
        assert!(said.contains(part), "{options}: {said}");
    }
    assert!(desk.bad(OPEN).contains("--suspect-dump"));

    let record = desk.read("mark.json");
    let digest = record.split("\"digest\": \"").nth(1).unwrap();
    let digest = digest.split('"').next().unwrap().to_owned();
    desk.write("foreign.json", record.replace(&digest, &"0".repeat(64)));
    for rest in [
        "--mode closed --answers marked.jsonl --tokenizer smollm2-135m",
        "--mode open --text marked.jsonl --suspect smollm2-135m",
    ] {
        let ran = desk.run(&format!(
            "test --record foreign.json --key east.key {rest} --json"
        ));
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        let reason = ran.json()[0]["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with("TokenizerMismatch: "), "{reason}");
    }
    // Prompts that cannot be read cannot be left out.
    let said =
        desk.bad("test --mode closed --record foreign.json --key east.key --answers marked.jsonl");
    assert!(said.contains("digest is 00000000"), "{said}");
}

#[test]
fn the_example_that_dumps_is_python() {
    let desk = Desk::empty();
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/dump_transformers.py"
    );
    let compile = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')";
    let ran = Command::new("python3")
        .args(["-c", compile, example])
        .current_dir(desk.path("."))
        .status()
        .unwrap();
    assert!(ran.success());
}

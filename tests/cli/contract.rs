//! The command contract: files, columns, exit codes, streams.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::{Desk, GENERATE, Ran, mode, rows};

#[test]
fn keys_are_private_files_and_epochs_commit_to_them() {
    let desk = Desk::empty();
    desk.good("key new --out root.key");
    desk.good("key derive --root root.key --path 2026-12/campaign/east --out east.key");
    desk.good("key derive --root root.key --path 2027-01/campaign/east --out later.key");
    desk.good("key commit --root root.key --epoch 2026-12 --out epoch.json");
    for name in ["root.key", "east.key", "root.key.register"] {
        assert_eq!(mode(&desk.path(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&desk.path("epoch.json")), 0o644);

    let epoch: Value = serde_json::from_str(&desk.read("epoch.json")).unwrap();
    assert_eq!(
        (&epoch["epoch"], &epoch["controls"], &epoch["size"]),
        (&json!("2026-12"), &json!(999), &json!(2048))
    );
    let commitment =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["commitment"].clone();
    let register = desk.read("root.key.register");
    let leaves = epoch["leaves"].as_array().unwrap();
    let held: Vec<bool> = register
        .lines()
        .map(|line| leaves.contains(&commitment(line)))
        .collect();
    assert_eq!(
        held,
        [true, false],
        "the epoch holds its own keys and no others"
    );

    // The same keys again give the same bytes: nothing about a commitment is random.
    desk.good("key commit --root root.key --epoch 2026-12 --out again.json");
    assert_eq!(desk.read("epoch.json"), desk.read("again.json"));
    desk.good(
        "key derive --root root.key --path 2026-12/campaign/east --out twin.key --no-register",
    );
    assert_eq!(desk.read("east.key"), desk.read("twin.key"));
    assert_eq!(desk.read("root.key.register"), register);
    desk.good("key commit --root root.key --epoch 2026-12 --no-register --path 2026-12/campaign/east --out named.json");
    assert_eq!(desk.read("epoch.json"), desk.read("named.json"));
}

#[test]
fn generated_rows_keep_their_columns_and_carry_ids_that_decode_to_the_response() {
    let desk = Desk::ready();
    let written = rows(&desk.read("marked.jsonl"));
    assert_eq!(written.len(), 3);
    assert_eq!(written[0]["id"], "q1");
    assert_eq!(
        written[1]["id"], 3,
        "a row without an id gets its line number"
    );
    assert_eq!(written[2]["id"], 3);
    assert_eq!(written[0]["extra"], json!({"a": [1, 2.5, null]}));
    assert_eq!(written[0]["account"], "x1");
    assert_eq!(written[2]["tags"], Value::Null);
    assert_eq!(written[1]["prompt"], "Write a limerick about a cat.");
    let tokenizer = taggant_tests::model::tokenizer();
    for row in &written {
        let tokens: Vec<u32> = serde_json::from_value(row["tokens"].clone()).unwrap();
        assert!(!tokens.is_empty() && tokens.len() <= 90);
        assert_eq!(
            tokenizer.decode(&tokens).unwrap(),
            row["response"].as_str().unwrap()
        );
    }
    let record = desk.read("mark.json");
    assert!(record.contains("taggant-record/1"));
    let secret = |name: &str| {
        serde_json::from_str::<Value>(&desk.read(name)).unwrap()["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for name in ["root.key", "east.key"] {
        assert!(!record.contains(&secret(name)), "the record holds {name}");
    }
}

#[test]
fn detect_answers_by_exit_code_and_by_json() {
    let desk = Desk::ready();
    let detect = "detect --key east.key --record mark.json --input marked.jsonl";
    let ran = desk.run(&format!("{detect} --json"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines = ran.json();
    assert_eq!(lines.len(), 4);
    for (line, id) in lines.iter().zip([json!("q1"), json!(3), json!(3)]) {
        assert_eq!(line["id"], id);
        for name in ["tokens", "units", "score", "log10_p", "verdict", "checks"] {
            assert!(!line[name].is_null(), "{name} is missing: {line}");
        }
        assert!(line.get("reason").is_some() && line.get("pooled").is_none());
    }
    let pooled = &lines[3];
    assert_eq!(
        (&pooled["pooled"], &pooled["verdict"], &pooled["reason"]),
        (&json!(true), &json!("Detected"), &Value::Null)
    );
    assert!(pooled["log10_p"].as_f64().unwrap() < -20.0);
    let checks = pooled["checks"].as_array().unwrap();
    assert!(
        checks.len() >= 6
            && checks
                .iter()
                .all(|check| check["status"].is_string() && check["detail"].is_string())
    );

    // Another key: refused, unless it is asked for as a control.
    assert!(
        desk.bad("detect --key other.key --record mark.json --input marked.jsonl")
            .contains("does not belong to this record")
    );
    let control =
        desk.run("detect --key other.key --control --record mark.json --input marked.jsonl --json");
    assert_eq!(control.code, 1, "{}", control.stderr);
    assert_eq!(control.json()[3]["verdict"], "NotDetected");

    // People read a table.
    let table = desk.run(detect);
    assert_eq!(table.code, 0);
    assert_eq!(table.stdout.lines().count(), 5);
    assert!(
        table
            .stdout
            .lines()
            .last()
            .unwrap()
            .trim_start()
            .starts_with("pooled")
    );
}

#[test]
fn every_scheme_profile_and_layer_is_found_from_its_files_alone() {
    let desk = Desk::ready();
    let base = GENERATE.replace("--scheme gumbel", "");
    for options in [
        "--scheme gumbel --window 1",
        "--scheme tournament --depth 8",
        "--scheme greenlist --gamma 0.5 --delta 3 --window 3",
        "--profile provenance",
        "--profile strong --delta 4",
        "--scheme gumbel --account-key a.key",
        "--scheme greenlist --delta 5 --account-key a.key",
    ] {
        desk.good(&format!(
            "{base} {options} --key east.key --out out.jsonl --record out.json"
        ));
        let account = if options.contains("account") {
            "--account-key a.key"
        } else {
            ""
        };
        let ran = desk.run(&format!(
            "detect --key east.key {account} --record out.json --input out.jsonl --alpha 1e-4"
        ));
        assert_eq!(ran.code, 0, "{options}: {}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn plain_text_takes_the_same_path_and_carries_no_mark() {
    let desk = Desk::ready();
    desk.good(&format!(
        "{GENERATE} --plain --key east.key --record unused.json --out plain.jsonl"
    ));
    assert!(!desk.path("unused.json").exists());
    let ran = desk.run("detect --key east.key --record mark.json --input plain.jsonl --json");
    assert_eq!(ran.code, 1);
    assert_ne!(ran.json()[3]["verdict"], "Detected");
}

#[test]
fn batch_size_and_threads_do_not_change_what_is_generated() {
    let desk = Desk::ready();
    for options in [
        "--batch 1 --threads 1",
        "--batch 2 --threads 2",
        "--batch 64 --threads 1",
    ] {
        desk.good(&format!(
            "{GENERATE} {options} --key east.key --out again.jsonl --record again.json"
        ));
        assert_eq!(
            desk.read("again.jsonl"),
            desk.read("marked.jsonl"),
            "{options}"
        );
    }
    desk.good(&format!(
        "{} --key east.key --out other.jsonl --record again.json",
        GENERATE.replace("--seed 7", "--seed 8")
    ));
    // Gumbel's choices are the key's; only repeated windows and the first tokens follow the seed.
    assert_ne!(desk.read("other.jsonl"), desk.read("marked.jsonl"));
}

#[test]
fn streams_are_files_and_files_are_streams() {
    let desk = Desk::ready();
    let pipe = |arguments: &str, input: &str| {
        let mut child = desk
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        Ran::of(child.wait_with_output().unwrap())
    };
    let ran = pipe(
        &format!(
            "{} --key east.key --out - --record mark2.json",
            GENERATE.replace("--prompts prompts.jsonl", "--prompts -")
        ),
        &desk.read("prompts.jsonl"),
    );
    assert_eq!(ran.stdout, desk.read("marked.jsonl"), "{}", ran.stderr);
    let ran = pipe(
        "detect --key east.key --record mark.json --input - --json",
        &ran.stdout,
    );
    assert_eq!((ran.code, ran.json().len()), (0, 4), "{}", ran.stderr);
    // A key through a pipe never touches a disk.
    let ran = pipe(
        "detect --key - --record mark.json --input marked.jsonl",
        &desk.read("east.key"),
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn text_without_ids_is_folded_and_read_with_the_pulled_models_tokenizer() {
    let desk = Desk::ready();
    let mut texts = rows(&desk.read("marked.jsonl"));
    let mut lines = String::new();
    for row in &mut texts {
        row.as_object_mut().unwrap().remove("tokens");
        let response = row["response"]
            .as_str()
            .unwrap()
            .replace('a', "\u{430}")
            .replace('e', "e\u{200B}");
        row["response"] = response.into();
        lines.push_str(&format!("{row}\n"));
    }
    desk.write("texts.jsonl", &lines);
    let ran = desk.run("detect --key east.key --record mark.json --input texts.jsonl --json");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let checks = ran.json()[0]["checks"].clone();
    let check = |name: &str| {
        checks
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["name"] == name)
            .unwrap()
            .clone()
    };
    let folding = check("folding")["detail"].as_str().unwrap().to_owned();
    assert!(
        folding.contains("invisible characters") && folding.contains("look-alikes"),
        "{folding}"
    );
    assert_eq!(check("tokenizer")["status"], "run");
    assert_eq!(check("prompt")["status"], "run");

    let all: Vec<&str> = texts
        .iter()
        .map(|row| row["response"].as_str().unwrap())
        .collect();
    desk.write("one.txt", all.join("\n\n"));
    let ran = desk.run("detect --key east.key --record mark.json --text one.txt");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn completions_and_manual_pages_are_written() {
    let desk = Desk::empty();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(
            desk.good(&format!("completions {shell}"))
                .stdout
                .contains("taggant"),
            "{shell}"
        );
    }
    desk.good("man pages");
    let pages = desk.names();
    assert_eq!(pages, ["pages"]);
    let page = desk.read("pages/taggant-detect.1");
    assert!(page.contains("record") && page.contains(".TH"));
}

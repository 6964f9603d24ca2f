//! Bad input gets an error that names the value and the next step; the rest is answered, and nothing is left behind.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::{Desk, GENERATE, Ran};

const DETECT: &str = "detect --key east.key --record mark.json --json --input";

#[test]
fn key_files_must_be_whole_private_and_of_the_right_kind() {
    let desk = Desk::ready();
    let key = desk.read("east.key");
    let detect_with = |content: &str| {
        let _ = fs::remove_file(desk.path("bad.key"));
        desk.write("bad.key", content);
        fs::set_permissions(desk.path("bad.key"), fs::Permissions::from_mode(0o600)).unwrap();
        desk.bad("detect --key bad.key --record mark.json --input marked.jsonl")
    };
    assert!(detect_with("").contains("not a key file: it is empty"));
    assert!(detect_with(&key[..100]).contains("ends too early"));
    assert!(detect_with(&"k".repeat(32)).contains("not a key file"));
    let hex = key.rsplit('"').nth(1).unwrap();
    assert!(detect_with(&key.replace(hex, &hex[2..])).contains("62 hex digits; 64 are needed"));
    assert!(detect_with(&key.replace("taggant-key/1", "taggant-key/7")).contains("taggant-key/7"));
    assert!(detect_with(&"x".repeat(5000)).contains("larger than 4096 bytes"));
    assert!(detect_with(&desk.read("root.key")).contains("not a key file"));
    assert!(
        desk.bad("key derive --root east.key --path a/campaign/b --out c.key")
            .contains("not a root key file")
    );

    desk.write("open.key", &key);
    fs::set_permissions(desk.path("open.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let said = desk.bad("detect --key open.key --record mark.json --input marked.jsonl");
    assert!(
        said.contains("mode 644") && said.contains("chmod 600 open.key"),
        "{said}"
    );

    let said = desk.bad("key new --out root.key");
    assert!(
        said.contains("exists already") && said.contains("never overwritten"),
        "{said}"
    );
    for (path, part) in [
        ("2026-12/campaign", "3 are needed"),
        ("2026-12/boss/east", "role `boss`"),
        ("2026-12/campaign/../x", "4 labels"),
        ("2026-12/campaign/-x", "must start with"),
    ] {
        let said = desk.bad(&format!(
            "key derive --root root.key --path {path} --out new.key"
        ));
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn missing_files_are_named() {
    let desk = Desk::ready();
    for arguments in [
        "detect --key nothere --record mark.json --input marked.jsonl",
        "detect --key east.key --record nothere --input marked.jsonl",
        "detect --key east.key --record mark.json --input nothere",
        "detect --key east.key --record mark.json --text nothere",
        "detect --key east.key --record mark.json --input marked.jsonl --tokenizer nothere",
        "key derive --root nothere --path a/campaign/b --out c.key",
        "generate --model nothere --key east.key --prompts prompts.jsonl --out o.jsonl --record r.json",
        "generate --model smollm2-135m --key east.key --prompts nothere --out o.jsonl --record r.json",
    ] {
        let said = desk.bad(arguments);
        assert!(
            said.contains("nothere") && said.contains("next: "),
            "{arguments}: {said}"
        );
    }
    let said = desk.bad(&format!(
        "{GENERATE} --key east.key --out no/such/folder/o.jsonl --record r.json"
    ));
    assert!(said.contains("no/such/folder"), "{said}");
    assert!(
        desk.bad("model pull no-such-model")
            .contains("smollm2-135m")
    );
}

#[test]
fn records_and_keys_must_belong_together() {
    let desk = Desk::ready();
    let said = desk.bad("detect --key other.key --record mark.json --input marked.jsonl");
    assert!(
        said.contains("does not belong to this record") && said.contains("--control"),
        "{said}"
    );
    let said = desk.bad("detect --key a.key --record mark.json --input marked.jsonl");
    assert!(said.contains("no account layer"), "{said}");
    desk.write("broken.json", &desk.read("mark.json")[..200]);
    assert!(
        desk.bad("detect --key east.key --record broken.json --input marked.jsonl")
            .contains("not a mark record")
    );
    desk.write(
        "future.json",
        desk.read("mark.json").replace("record/1", "record/2"),
    );
    assert!(
        desk.bad("detect --key east.key --record future.json --input marked.jsonl")
            .contains("taggant-record/2")
    );
    let said = desk.bad(&format!(
        "{GENERATE} --key a.key --account-key a.key --out o.jsonl --record r.json"
    ));
    assert!(said.contains("not a campaign key"), "{said}");
}

#[test]
fn a_tokenizer_that_differs_is_inconclusive_not_a_low_score() {
    let desk = Desk::ready();
    let record = desk.read("mark.json");
    let digest = record
        .split("\"digest\": \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    desk.write("foreign.json", record.replace(digest, &"0".repeat(64)));
    let ran = desk.run("detect --key east.key --record foreign.json --input marked.jsonl --tokenizer smollm2-135m --json");
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    for line in ran.json() {
        assert_eq!(line["verdict"], "Inconclusive");
        assert!(
            line["reason"]
                .as_str()
                .unwrap()
                .starts_with("TokenizerMismatch: "),
            "{line}"
        );
        assert_eq!(line["units"], 0);
    }
    // Text with no tokenizer that fits: the row cannot be answered, and the message says which is needed.
    desk.write("text.jsonl", "{\"response\":\"some text\"}\n");
    let said = desk.run("detect --key east.key --record foreign.json --input text.jsonl");
    assert_eq!(said.code, 2);
    assert!(
        said.stderr.contains("digest is 00000000"),
        "{}",
        said.stderr
    );
}

#[test]
fn broken_rows_are_named_by_line_and_the_others_answered() {
    let desk = Desk::ready();
    let good = desk.read("marked.jsonl").lines().next().unwrap().to_owned();
    let mut bytes = Vec::new();
    let mut add = |line: &[u8]| {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    };
    add(good.as_bytes()); // 1
    add(&good.as_bytes()[..good.len() / 2]); // 2: cut
    add(b""); // 3: blank, which is no fault
    add(b"{\"id\": \"caf\xe9\", \"tokens\": [1]}"); // 4: Latin-1
    add(b"[1, 2]"); // 5: not an object
    add(b"{\"id\": 6, \"tokens\": \"none\"}"); // 6: not ids
    add(b"{\"id\": 7, \"tokens\": [1, -2]}"); // 7: negative
    add(b"{\"id\": 8, \"tokens\": [1, 2, 99999999]}"); // 8: not in the vocabulary
    add(b"{\"id\": 9}"); // 9: nothing to score
    add(b"{\"id\": 10, \"tokens\": []}"); // 10: empty, which is an answer
    add(good.as_bytes()); // 11
    desk.write("mixed.jsonl", &bytes);
    let ran = desk.run(&format!("{DETECT} mixed.jsonl"));
    assert_eq!(ran.code, 2);
    let lines = ran.json();
    assert_eq!(lines.len(), 4, "{}", ran.stdout);
    assert_eq!(
        (&lines[0]["verdict"], &lines[2]["verdict"]),
        (&lines[2]["verdict"], &lines[0]["verdict"])
    );
    assert_eq!(
        (lines[1]["id"].as_u64(), lines[1]["units"].as_u64()),
        (Some(10), Some(0))
    );
    assert!(
        lines[1]["reason"]
            .as_str()
            .unwrap()
            .starts_with("TooFewUnits: 0 scorable units; ")
    );
    // The same row twice is the same evidence once.
    assert_eq!(lines[3]["units"], lines[0]["units"]);
    for (line, part) in [
        (2, "ends too early"),
        (4, "not UTF-8 at byte 11"),
        (5, "not a JSON object"),
        (6, "not a row"),
        (7, "not a row"),
        (
            8,
            "token id 99999999 at position 2 is not in the vocabulary of 49152 tokens",
        ),
        (9, "neither `tokens` nor `response`"),
    ] {
        let said = ran
            .stderr
            .lines()
            .find(|said| said.contains(&format!("line {line}: ")));
        assert!(
            said.is_some_and(|said| said.contains(part)),
            "line {line}: {}",
            ran.stderr
        );
    }
    assert!(
        ran.stderr
            .contains("7 of 10 rows could not be read: line 2, 4, 5, 6, 7, 8, 9"),
        "{}",
        ran.stderr
    );

    // A broken prompt is found before any work is done.
    desk.write("broken.jsonl", "{\"prompt\":\"a\"}\n{\"prompt\":3}\n");
    let generate = GENERATE.replace("prompts.jsonl", "broken.jsonl");
    let said = desk.bad(&format!(
        "{generate} --key east.key --out o.jsonl --record r.json"
    ));
    assert!(said.contains("broken.jsonl, line 2: no `prompt`"), "{said}");
    desk.write("empty.jsonl", "\n\n");
    let generate = GENERATE.replace("prompts.jsonl", "empty.jsonl");
    assert!(
        desk.bad(&format!(
            "{generate} --key east.key --out o.jsonl --record r.json"
        ))
        .contains("no rows")
    );
}

#[test]
fn an_empty_corpus_and_an_empty_text_are_inconclusive() {
    let desk = Desk::ready();
    desk.write("nothing.jsonl", "");
    let ran = desk.run(&format!("{DETECT} nothing.jsonl"));
    assert_eq!((ran.code, ran.json().len()), (1, 1));
    assert_eq!(ran.json()[0]["verdict"], "Inconclusive");
    desk.write("nothing.txt", "");
    let ran = desk.run("detect --key east.key --record mark.json --text nothing.txt");
    assert_eq!(ran.code, 1, "{}", ran.stderr);
}

#[test]
fn one_line_of_ten_megabytes_is_a_row_like_any_other() {
    let desk = Desk::ready();
    let ids: Vec<String> = (0..2_000_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 17).to_string())
        .collect();
    let line = format!("{{\"id\":\"long\",\"tokens\":[{}]}}\n", ids.join(","));
    assert!(line.len() > 10_000_000);
    desk.write("long.jsonl", &line);
    let ran = desk.run(&format!("{DETECT} long.jsonl"));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(ran.json()[0]["tokens"], 2_000_000);

    let text = "The quick brown fox jumps over the lazy dog. ".repeat(230_000);
    assert!(text.len() > 10_000_000);
    desk.write(
        "text.jsonl",
        format!("{}\n", serde_json::json!({"id": 1, "response": text})),
    );
    let ran = desk.run(&format!("{DETECT} text.jsonl"));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    // Repetition is not evidence: the text has a dozen different windows.
    assert!(ran.json()[0]["units"].as_u64().unwrap() < 40);
}

#[test]
fn damaged_models_are_refused() {
    let desk = Desk::ready();
    let model = fs::read(taggant_tests::model::path()).unwrap();
    for (length, part) in [
        (0, ""),
        (3, ""),
        (4096, ""),
        (1_000_000, ""),
        (model.len() / 2, ""),
        (model.len() - 1, ""),
    ] {
        desk.write("cut.gguf", &model[..length]);
        let said =
            desk.bad("generate --model cut.gguf --plain --prompts prompts.jsonl --out o.jsonl");
        assert!(
            said.contains("cut.gguf") && said.contains("next: ") && said.contains(part),
            "{length}: {said}"
        );
    }
    desk.write("text.gguf", "this is not a model");
    assert!(
        desk.bad("generate --model text.gguf --plain --prompts prompts.jsonl --out o.jsonl")
            .contains("text.gguf")
    );
}

#[test]
fn parameters_outside_their_range_are_named_with_the_range() {
    let desk = Desk::ready();
    let base = GENERATE.replace("--scheme gumbel ", "");
    for (options, part) in [
        ("--scheme gumble", "scheme `gumble` is none of gumbel/1"),
        ("--scheme gumbel --depth 3", "has no parameter `depth`"),
        ("--scheme gumbel --window 9", "1 to 8"),
        ("--scheme gumbel --window 0", "1 to 8"),
        ("--scheme tournament --depth 33", "from 1 to 32"),
        ("--scheme greenlist --gamma 1.5", "between 0 and 1"),
        (
            "--scheme greenlist --delta NaN",
            "delta of greenlist/1 is NaN",
        ),
    ] {
        let said = desk.bad(&format!(
            "{base} {options} --key east.key --out o.jsonl --record r.json"
        ));
        assert!(said.contains(part), "{options}: {said}");
    }
    for (options, part) in [
        ("--temperature -1", "temperature is -1"),
        ("--top-p 0", "top-p is 0"),
        ("--max-tokens 0", "max_new_tokens is 0"),
    ] {
        let base = "generate --model smollm2-135m --prompts prompts.jsonl --key east.key --out o.jsonl --record r.json";
        let said = desk.bad(&format!("{base} {}", options.replace(' ', "=")));
        assert!(said.contains(part), "{options}: {said}");
    }
    assert!(
        desk.bad(&format!("{DETECT} marked.jsonl --alpha 2"))
            .contains("alpha is 2")
    );
    let long = format!("{{\"prompt\":\"{}\"}}\n", "word ".repeat(9000));
    desk.write("long.jsonl", long);
    let said = desk.bad("generate --model smollm2-135m --plain --prompts long.jsonl --out o.jsonl");
    assert!(said.contains("row 0") && said.contains("context"), "{said}");
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let desk = Desk::ready();
    for name in [
        "--out /dev/full --record r.json",
        "--out o.jsonl --record /dev/full",
    ] {
        let said = desk.bad(&format!("{GENERATE} --key east.key {name}"));
        assert!(
            said.contains("/dev/full: no space left on device") && said.contains("free some room"),
            "{said}"
        );
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = desk
        .command(&format!("{DETECT} marked.jsonl"))
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let ran = Ran::of(output);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("no space left on device"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_closed_pipe_is_success() {
    let desk = Desk::ready();
    let rows = desk.read("marked.jsonl").repeat(3000);
    desk.write("many.jsonl", rows);
    let mut child = desk
        .command(&format!("{DETECT} many.jsonl"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

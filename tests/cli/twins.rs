//! Sealed twins: what is served, what is kept, what is published, and who is named.

use std::fmt::Write as _;

use serde_json::{Value, json};
use taggant_tests::{below, normal, rng};

use crate::{Desk, mode, rows};

const ACCOUNTS: usize = 8;
const EXCHANGES: usize = 60;

/// A folder with `twin.key`, `drafts.jsonl` (8 accounts in two clusters, 60 exchanges each, 5 drafts of some words), `served.jsonl` and
/// `sealed.jsonl`. Seed 20.
fn drawn() -> Desk {
    let desk = Desk::empty();
    desk.root();
    for (path, file) in [
        ("twin/east", "twin.key"),
        ("twin/west", "other.key"),
        ("campaign/east", "east.key"),
    ] {
        desk.good(&format!(
            "key derive --root root.key --path 2026-12/{path} --out {file}"
        ));
    }
    let mut rng = rng(20);
    let mut drafts = String::new();
    for number in 0..ACCOUNTS * EXCHANGES {
        let account = number % ACCOUNTS;
        let texts: Vec<String> = (0..5)
            .map(|_| {
                (0..12).fold(String::new(), |text, _| {
                    format!("{text}w{} ", below(&mut rng, 60))
                })
            })
            .collect();
        let row = json!({
            "id": if number % 2 == 0 { json!(number) } else { json!(format!("x{number}")) },
            "account": format!("a{account}"),
            "cluster": if account < 4 { "north" } else { "south" },
            "prompt": format!("Question {number}?"),
            "drafts": texts,
            "extra": {"kept": [1, 2.5, null]},
        });
        writeln!(drafts, "{row}").unwrap();
    }
    desk.write("drafts.jsonl", drafts);
    desk.good(DRAW);
    desk
}

const DRAW: &str =
    "twins draw --key twin.key --input drafts.jsonl --out served.jsonl --sealed sealed.jsonl";
const TEST: &str = "twins test --sealed sealed.jsonl --key twin.key";

/// Scores under which accounts a0 and a1 leak: the served draft stands two standard deviations above. Seed 21.
fn scores(sealed: &[Value]) -> String {
    let mut rng = rng(21);
    let mut lines = String::new();
    for row in sealed {
        let leaks = ["a0", "a1"].contains(&row["account"].as_str().unwrap());
        let served = usize::try_from(row["served"].as_u64().unwrap()).unwrap();
        let scores: Vec<f64> = (0..5)
            .map(|draft| normal(&mut rng) + if leaks && draft == served { 2.0 } else { 0.0 })
            .collect();
        writeln!(lines, "{}", json!({"id": row["id"], "scores": scores})).unwrap();
    }
    lines
}

#[test]
fn what_is_served_is_one_of_the_drafts_and_all_are_kept() {
    let desk = drawn();
    let drafts = rows(&desk.read("drafts.jsonl"));
    let served = rows(&desk.read("served.jsonl"));
    let sealed = rows(&desk.read("sealed.jsonl"));
    assert_eq!((served.len(), sealed.len()), (drafts.len(), drafts.len()));
    assert_eq!(mode(&desk.path("sealed.jsonl")), 0o600);
    let mut chosen = [0; 5];
    for ((drafts, served), sealed) in drafts.iter().zip(&served).zip(&sealed) {
        let index = usize::try_from(sealed["served"].as_u64().unwrap()).unwrap();
        chosen[index] += 1;
        assert_eq!(served["response"], drafts["drafts"][index]);
        assert_eq!(served["extra"], drafts["extra"]);
        assert!(served.get("drafts").is_none() && served.get("served").is_none());
        let kept: Vec<&Value> = sealed["drafts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|draft| &draft["text"])
            .collect();
        assert_eq!(
            kept,
            drafts["drafts"]
                .as_array()
                .unwrap()
                .iter()
                .collect::<Vec<_>>()
        );
    }
    // 480 choices of 5: 96 each, standard deviation 8.8. The key is random, so the bound is wide: 6 of them, 1e-8 for all.
    assert!(
        chosen.iter().all(|&count| (43..150).contains(&count)),
        "{chosen:?}"
    );
    // Columns keep their order.
    let first = desk.read("served.jsonl");
    let names = [
        "\"id\"",
        "\"account\"",
        "\"cluster\"",
        "\"prompt\"",
        "\"response\"",
        "\"extra\"",
    ];
    let places: Vec<usize> = names.iter().map(|name| first.find(name).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");

    // The same key serves the same, and a sealed file is never replaced.
    assert!(desk.bad(DRAW).contains("exists already"));
    desk.good(
        "twins draw --key twin.key --input drafts.jsonl --out again.jsonl --sealed again.sealed",
    );
    assert_eq!(desk.read("again.jsonl"), desk.read("served.jsonl"));
    assert_eq!(desk.read("again.sealed"), desk.read("sealed.jsonl"));
}

#[test]
fn commitments_disclose_nothing_and_bind_everything() {
    let desk = drawn();
    desk.good("twins seal --sealed sealed.jsonl --out published.jsonl");
    let published = rows(&desk.read("published.jsonl"));
    let sealed = rows(&desk.read("sealed.jsonl"));
    assert_eq!(published.len(), sealed.len() + 1);
    let last = published.last().unwrap();
    assert_eq!(
        (&last["format"], &last["exchanges"]),
        (&json!("taggant-twin-seal/1"), &json!(480))
    );
    assert!(
        published[..480]
            .iter()
            .all(|line| line.as_object().unwrap().len() == 1)
    );
    assert!(
        published[..480]
            .windows(2)
            .all(|pair| pair[0]["commitment"].as_str() < pair[1]["commitment"].as_str())
    );
    let key = serde_json::from_str::<Value>(&desk.read("twin.key")).unwrap();
    let text = desk.read("published.jsonl") + &desk.read("served.jsonl");
    for secret in [&key["key"], &key["salt"], &sealed[0]["drafts"][0]["salt"]] {
        assert!(!text.contains(secret.as_str().unwrap()));
    }

    desk.write("scores.jsonl", scores(&sealed));
    let with = format!("{TEST} --scores scores.jsonl --published published.jsonl");
    assert_eq!(desk.run(&with).code, 0);
    // Another root, another exchange.
    let lines = desk.read("published.jsonl");
    desk.write(
        "published.jsonl",
        lines.replacen("\"exchanges\":480", "\"exchanges\":479", 1),
    );
    assert!(desk.bad(&with).contains("not the root"));
    let fewer: String = desk
        .read("sealed.jsonl")
        .lines()
        .take(479)
        .fold(String::new(), |text, line| text + line + "\n");
    desk.write("fewer.jsonl", fewer);
    desk.good("twins seal --sealed fewer.jsonl --out published.jsonl");
    let told = desk.bad(&with);
    assert!(
        told.contains("`x479`") && told.contains("not among the commitments"),
        "{told}"
    );
}

/// Two of eight accounts leak, with z about 13 in theory, at family-wise error 10⁻³.
#[test]
fn accounts_that_leak_are_named() {
    let desk = drawn();
    desk.write("scores.jsonl", scores(&rows(&desk.read("sealed.jsonl"))));
    for statistic in ["studentised", "ranks", "sum"] {
        let ran = desk.run(&format!(
            "{TEST} --scores scores.jsonl --statistic {statistic} --decoys 999 --json"
        ));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let lines = ran.json();
        assert_eq!(lines.len(), ACCOUNTS + 2 + 1);
        for line in &lines[..2] {
            assert!(["a0", "a1"].contains(&line["account"].as_str().unwrap()));
            assert_eq!(
                (&line["verdict"], &line["lead"]),
                (&json!("Detected"), &json!(true))
            );
            assert!((line["log10_p_decoys"].as_f64().unwrap() + 3.0).abs() < 1e-9);
            assert!(line["log10_e"].as_f64().unwrap() > 5.0 && line["auc"].as_f64().unwrap() > 0.8);
        }
        for line in &lines[2..ACCOUNTS] {
            assert_eq!(line["verdict"], "Inconclusive", "{line}");
            assert!(
                line["reason"]
                    .as_str()
                    .unwrap()
                    .contains("60 informative exchanges"),
                "{line}"
            );
        }
        let [north, south] = [&lines[ACCOUNTS], &lines[ACCOUNTS + 1]];
        assert_eq!(
            (&north["cluster"], &north["verdict"]),
            (&json!("north"), &json!("Detected"))
        );
        assert_ne!(south["verdict"], "Detected");
        let pooled = &lines[ACCOUNTS + 2];
        assert_eq!(
            (
                &pooled["pooled"],
                &pooled["accused"],
                &pooled["exchanges"],
                &pooled["verdict"]
            ),
            (&json!(true), &json!(2), &json!(480), &json!("Detected"))
        );
        assert_eq!(pooled["exact"], json!(statistic != "sum"));
    }
    let table = desk.run(&format!("{TEST} --scores scores.jsonl"));
    assert!(
        table.stdout.contains("2 of 8 accounts detected"),
        "{}",
        table.stdout
    );
    // Scores that know nothing of the choice: nobody.
    let shuffled: String =
        rows(&desk.read("scores.jsonl"))
            .into_iter()
            .fold(String::new(), |text, mut row| {
                let scores = row["scores"].as_array_mut().unwrap();
                scores.sort_by(|a, b| a.as_f64().unwrap().total_cmp(&b.as_f64().unwrap()));
                format!("{text}{row}\n")
            });
    desk.write("sorted.jsonl", shuffled);
    assert_eq!(desk.run(&format!("{TEST} --scores sorted.jsonl")).code, 1);
}

#[test]
fn answers_of_a_closed_suspect_are_enough() {
    let desk = drawn();
    let served = rows(&desk.read("served.jsonl"));
    let mut answers = String::new();
    for row in &served {
        let own = row["response"].as_str().unwrap();
        // What a0 was served comes back in part; of the others nothing does.
        let answer = match row["account"].as_str() {
            Some("a0") => own.split_whitespace().skip(4).collect::<Vec<_>>().join(" "),
            _ => "w1 w2 w3 w4 w5".to_owned(),
        };
        writeln!(
            answers,
            "{}",
            json!({"id": row["id"], "answers": [answer, "something else"]})
        )
        .unwrap();
    }
    desk.write("answers.jsonl", answers);
    let ran = desk.run(&format!("{TEST} --answers answers.jsonl --json"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines = ran.json();
    assert_eq!(
        (&lines[0]["account"], &lines[0]["verdict"]),
        (&json!("a0"), &json!("Detected"))
    );
    assert!(
        lines[1..ACCOUNTS]
            .iter()
            .all(|line| line["verdict"] != "Detected")
    );
    // Some exchanges alone: said so.
    let some: String = desk
        .read("answers.jsonl")
        .lines()
        .take(100)
        .fold(String::new(), |text, line| text + line + "\n");
    desk.write("some.jsonl", some);
    let ran = desk.run(&format!("{TEST} --answers some.jsonl"));
    assert!(
        ran.code < 2 && ran.stderr.contains("380 of 480"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_open_suspect_is_asked_for_its_probabilities() {
    let desk = drawn();
    let few: String = desk
        .read("drafts.jsonl")
        .lines()
        .take(4)
        .fold(String::new(), |text, line| text + line + "\n");
    desk.write("few.jsonl", few);
    desk.good("twins draw --key twin.key --input few.jsonl --out few.served --sealed few.sealed");
    let test = "twins test --sealed few.sealed --key twin.key --model smollm2-135m --json";
    let ran = desk.run(test);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let pooled = ran.json().pop().unwrap();
    assert_eq!(
        (&pooled["informative"], &pooled["exchanges"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(ran.stdout, desk.run(test).stdout);
    // Against itself every draft is alike.
    let ran = desk.run(&format!("{test} --reference smollm2-135m"));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let pooled = ran.json().pop().unwrap();
    assert_eq!(
        (&pooled["informative"], &pooled["log10_p"]),
        (&json!(0), &json!(0.0))
    );
    let bare = rows(&desk.read("few.jsonl"))
        .into_iter()
        .fold(String::new(), |text, mut row| {
            row.as_object_mut().unwrap().remove("prompt");
            format!("{text}{row}\n")
        });
    desk.write("bare.jsonl", bare);
    desk.good(
        "twins draw --key twin.key --input bare.jsonl --out bare.served --sealed bare.sealed",
    );
    let told = desk.bad("twins test --sealed bare.sealed --key twin.key --model smollm2-135m");
    assert!(told.contains("exchange `0`: no prompt"), "{told}");
}

#[test]
fn whatever_was_changed_is_named() {
    let desk = drawn();
    let sealed = desk.read("sealed.jsonl");
    desk.write("scores.jsonl", scores(&rows(&sealed)));
    let told = desk.bad("twins test --sealed sealed.jsonl --key other.key --scores scores.jsonl");
    assert!(told.contains("`0`: was sealed with another key"), "{told}");
    let told = desk.bad("twins test --sealed sealed.jsonl --key east.key --scores scores.jsonl");
    assert!(
        told.contains("has role campaign") && told.contains("next:"),
        "{told}"
    );

    let change = |edit: &dyn Fn(&mut Value)| {
        let mut all = rows(&sealed);
        edit(&mut all[1]);
        let text = all
            .iter()
            .fold(String::new(), |text, row| format!("{text}{row}\n"));
        desk.write("changed.jsonl", text);
        desk.bad("twins test --sealed changed.jsonl --key twin.key --scores scores.jsonl")
    };
    let other = |row: &Value| json!((row["served"].as_u64().unwrap() + 1) % 5);
    for (told, part) in [
        (
            change(&|row| row["served"] = other(row)),
            "the key serves draft",
        ),
        (
            change(&|row| row["drafts"][2]["text"] = json!("other")),
            "draft 2 does not open",
        ),
        (
            change(&|row| row["account"] = json!("a0")),
            "account and drafts do not open",
        ),
        (
            change(&|row| row["drafts"][0]["salt"] = json!("00")),
            "64 lower-case hex digits",
        ),
        (
            change(&|row| {
                row["drafts"].as_array_mut().unwrap().pop();
            }),
            "do not open",
        ),
    ] {
        assert!(told.contains("`x1`") && told.contains(part), "{told}");
    }
    let told = change(&|row| row["id"] = json!("0"));
    assert!(
        told.contains("line 2") && told.contains("occurs twice"),
        "{told}"
    );
    let told = change(&|row| row["format"] = json!("taggant-twins/2"));
    assert!(told.contains("taggant-twins/1"), "{told}");
}

#[test]
fn rows_that_cannot_be_drawn_or_scored_are_named() {
    let desk = drawn();
    let draw = |row: &str| {
        desk.write(
            "bad.jsonl",
            format!("{{\"id\":1,\"account\":\"a\",\"drafts\":[\"x\"]}}\n{row}\n"),
        );
        desk.bad("twins draw --key twin.key --input bad.jsonl --out o.jsonl --sealed s.jsonl")
    };
    for (row, part) in [
        (r#"{"account":"a","drafts":["x"]}"#, "no `id`"),
        (r#"{"id":2,"drafts":["x"]}"#, "no `account`"),
        (r#"{"id":2,"account":"a"}"#, "no `drafts`"),
        (r#"{"id":2,"account":"a","drafts":[]}"#, "0 drafts"),
        (
            r#"{"id":2,"account":"a","drafts":[7]}"#,
            "not a list of texts",
        ),
        (
            r#"{"id":2.5,"account":"a","drafts":["x"]}"#,
            "neither a text nor a whole number",
        ),
        (r#"{"id":"","account":"a","drafts":["x"]}"#, "0 bytes"),
        (
            r#"{"id":"1","account":"a","drafts":["x"]}"#,
            "exchange `1` occurs twice",
        ),
        (
            r#"{"id":2,"account":"a","drafts":["x"],"response":"x"}"#,
            "`response` and `drafts`",
        ),
        (
            r#"{"id":2,"account":"a","drafts":["x"],"prompt":7}"#,
            "`prompt` is not a text",
        ),
        ("[1]", "not a JSON object"),
    ] {
        let told = draw(row);
        assert!(told.contains("line 2") && told.contains(part), "{told}");
    }

    let score = |row: &str| {
        desk.write("bad.jsonl", row);
        desk.bad(&format!("{TEST} --scores bad.jsonl"))
    };
    for (row, part) in [
        (r#"{"id":0,"scores":[1,2]}"#, "2 scores for 5 drafts"),
        (r#"{"id":0,"scores":[1,2,3,4,1e999]}"#, "line 1"),
        (
            r#"{"id":0,"scores":[1,2,3,4,1e200]}"#,
            "`0` has score 1e200",
        ),
        (
            r#"{"id":"nobody","scores":[1]}"#,
            "`nobody` is not in the sealed file",
        ),
        (
            "{\"id\":0,\"scores\":[1,2,3,4,5]}\n{\"id\":\"0\",\"scores\":[1,2,3,4,5]}",
            "scores twice",
        ),
        ("", "no exchange has a score"),
    ] {
        let told = score(row);
        assert!(told.contains(part), "{told}");
    }
    desk.write("bad.jsonl", r#"{"id":0}"#);
    assert!(
        desk.bad(&format!("{TEST} --answers bad.jsonl"))
            .contains("neither `response` nor `answers`")
    );
    for arguments in [
        "",
        "--scores bad.jsonl --answers bad.jsonl",
        "--scores bad.jsonl --reference x",
    ] {
        assert!(!desk.bad(&format!("{TEST} {arguments}")).is_empty());
    }
    assert!(
        desk.bad(&format!("{TEST} --scores bad.jsonl --alpha 0"))
            .contains("alpha")
    );
}

//! From results of several tests to the accounts that are named.

use serde_json::{Value, json};
use taggant_detector::stats::normal_tail;
use taggant_tests::{normal, rng, uniform};

use crate::{Desk, rows};

fn lines(values: impl IntoIterator<Item = Value>) -> String {
    values
        .into_iter()
        .map(|value| value.to_string() + "\n")
        .collect()
}

/// 300 accounts, as the tests print them: `twins.jsonl`, `canaries.jsonl` (every second account, by commitment, with `names.jsonl`) and
/// `keys.jsonl`. a0 to a4 leak in twins and canaries, a5 in its key alone, a10 to a39 a little in twins; `controls.txt` has 50 innocent
/// ones. Seed 22.
fn desk() -> Desk {
    let desk = Desk::empty();
    let mut rng = rng(22);
    let mut p = |shift: f64| normal_tail(normal(&mut rng) + shift).log10();
    let (mut twins, mut canaries, mut keys, mut names) = (vec![], vec![], vec![], vec![]);
    for number in 0..300 {
        let account = format!("a{number}");
        let shift = match number {
            0..5 => 8.0,
            10..40 => 1.5,
            _ => 0.0,
        };
        let log10_p = p(shift);
        twins.push(json!({"account": account, "exchanges": 45, "informative": 41, "log10_p": log10_p,
            "log10_e": -0.7 * log10_p - 0.6, "same_texts": [], "needed": 120, "verdict": "Inconclusive"}));
        if number % 2 == 0 {
            let commitment = format!("{number:064x}");
            names.push(json!({"commitment": commitment, "account": account}));
            canaries.push(json!({"line": number / 2 + 1, "commitment": commitment, "slots": 60,
                "log10_p": p(if number < 5 { 8.0 } else { 0.0 }), "log10_e": -0.2, "verdict": "NotDetected"}));
        }
        let log10_p = if number == 5 { -20.0 } else { p(0.0) };
        keys.push(json!({"kind": "keys", "account": account, "units": 5000, "log10_p": log10_p}));
    }
    twins.push(json!({"cluster": "north", "log10_p": -3.0}));
    twins.push(json!({"pooled": true, "accounts": 300, "log10_p": -9.0}));
    // Whatever the order.
    keys.reverse();
    desk.write("twins.jsonl", lines(twins));
    desk.write("canaries.jsonl", lines(canaries));
    desk.write("keys.jsonl", lines(keys));
    desk.write("names.jsonl", lines(names));
    let controls: String = (250..300).map(|number| format!("a{number}\n")).collect();
    desk.write("controls.txt", controls);
    desk
}

const ALL: &str = "attribute --evidence twins.jsonl --evidence canaries.jsonl --evidence keys.jsonl --names names.jsonl --controls controls.txt";

fn named(lines: &[Value]) -> Vec<&str> {
    let mut named: Vec<&str> = lines
        .iter()
        .filter(|line| line["control"] == false && line["verdict"] == "Detected")
        .map(|line| line["account"].as_str().unwrap())
        .collect();
    named.sort_unstable();
    named
}

#[test]
fn accounts_and_clusters_are_named_with_what_they_rest_on() {
    let desk = desk();
    let cluster = |from: usize| -> Vec<String> {
        (from..from + 30)
            .map(|number| format!("a{number}"))
            .collect()
    };
    desk.write(
        "clusters.jsonl",
        lines([
            json!({"cluster": "weak", "accounts": cluster(10)}),
            json!({"cluster": "none", "accounts": cluster(100)}),
        ]),
    );
    let cohorts = (0..250).map(|number| {
        let cohort = if number < 40 { number % 2 } else { number % 25 };
        json!({"account": format!("a{number}"), "cohort": cohort, "flagged": number < 40})
    });
    let results = (0..25)
        .map(|cohort| json!({"cohort": cohort, "log10_p": if cohort < 2 { -9.0 } else { -0.3 }}));
    desk.write("cohorts.jsonl", lines(cohorts.chain(results)));
    let with = format!("{ALL} --clusters clusters.jsonl --cohorts cohorts.jsonl");
    for combine in ["bonferroni", "fisher"] {
        let ran = desk.run(&format!("{with} --combine {combine} --json"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let found = ran.json();
        assert_eq!(found.len(), 300 + 2 + 1);
        assert_eq!(named(&found), ["a0", "a1", "a2", "a3", "a4", "a5"]);
        let account = |name: &str| found.iter().find(|line| line["account"] == name).unwrap();
        assert_eq!(account("a0")["basis"], json!(["twins", "canaries"]));
        assert_eq!(account("a0")["keys_only"], false);
        assert_eq!(
            (&account("a5")["basis"], &account("a5")["keys_only"]),
            (&json!(["keys"]), &json!(true))
        );
        assert!(account("a1")["kinds"].get("canaries").is_none());
        assert!(account("a12")["needed"]["units"].is_f64());
        let all = &found[302];
        assert_eq!(
            (&all["accounts"], &all["named"], &all["keys_only"]),
            (&json!(250), &json!(6), &json!(1))
        );
        assert_eq!(
            (&all["controls"]["accounts"], &all["controls"]["fire"]),
            (&json!(50), &json!(false))
        );
        assert_eq!(
            (&all["clusters_holding"], &all["verdict"]),
            (&json!(1), &json!("Detected"))
        );
        assert_eq!(all["cohorts"]["flagged_in_fired"], 40);
        assert!(all["cohorts"]["log10_p"].as_f64().unwrap() < -20.0);
        let weak = found.iter().find(|line| line["cluster"] == "weak").unwrap();
        assert_eq!(
            (&weak["verdict"], &weak["named"], &weak["tested"]),
            (&json!("Detected"), &json!(0), &json!(30))
        );
    }

    let screen = desk.run(&format!("{with} --svg chart.svg"));
    assert_eq!(screen.code, 0);
    assert!(screen.stdout.lines().count() < 36, "{}", screen.stdout);
    for part in [
        "Detected, basis: twins and canaries",
        "Detected, basis: keys only",
        "… and 230 more accounts",
        "cluster weak: 30 of 30 accounts tested",
        "the cluster holds; not enough evidence at account level",
        "6 of 250 accounts named; the chance of any false one is at most 1e-3",
        "1 of them by their keys only",
        "50 controls: 0 would have been named",
        "as innocent accounts should be",
        "needed (estimated)",
        "cohorts: 40 of 40 flagged accounts are in cohorts that fire",
    ] {
        assert!(screen.stdout.contains(part), "{part}: {}", screen.stdout);
    }
    assert!(desk.read("chart.svg").starts_with("<svg"));
}

#[test]
fn nobody_is_named_where_nothing_is_or_controls_fire() {
    let desk = desk();
    // The same results with a leaking account among the controls.
    desk.write("controls.txt", "a4\n{\"account\":\"a290\"}\na291\n");
    let ran = desk.run(&format!("{ALL} --json"));
    assert_eq!(ran.code, 1);
    let found = ran.json();
    assert_eq!(named(&found), [""; 0]);
    let all = found.last().unwrap();
    assert_eq!(
        (&all["verdict"], &all["controls"]["named"]),
        (&json!("Inconclusive"), &json!(1))
    );
    assert!(
        all["reason"]
            .as_str()
            .unwrap()
            .starts_with("ControlsFire: control accounts fire: 1 of 3")
    );
    let screen = desk.run(ALL);
    assert_eq!(screen.code, 1);
    assert!(
        screen
            .stdout
            .contains("they fire; every accusation is withheld")
    );

    let mut rng = rng(23);
    let innocent = (0..100)
        .map(|number| json!({"account": number, "log10_p": (1.0 - uniform(&mut rng)).log10()}));
    desk.write("innocent.jsonl", lines(innocent));
    let ran = desk.run("attribute --evidence innocent.jsonl");
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("0 of 100 accounts named") && ran.stderr.contains("no --controls"));
}

#[test]
fn shared_texts_and_silent_twins_are_told() {
    let desk = desk();
    let twins = desk.read("twins.jsonl");
    let copied: String = rows(&twins)
        .into_iter()
        .map(|mut row| {
            if row["account"] == "a1" {
                row["same_texts"] = json!(["a3"]);
            }
            if row["account"] == "a5" {
                row["informative"] = json!(300);
                row["log10_p"] = json!(-0.2);
            }
            row.to_string() + "\n"
        })
        .collect();
    desk.write("twins.jsonl", copied);
    let ran = desk.run(&format!("{ALL} --json"));
    let found = ran.json();
    assert_eq!(named(&found), ["a0", "a2", "a4"]);
    for (account, reason) in [
        ("a1", "SharedTexts: "),
        ("a3", "SharedTexts: "),
        ("a5", "SuspectedSpoof: "),
    ] {
        let line = found
            .iter()
            .find(|line| line["account"] == account)
            .unwrap();
        assert!(
            line["reason"].as_str().unwrap().starts_with(reason),
            "{line}"
        );
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    let desk = desk();
    let good = "{\"account\":\"a\",\"log10_p\":-1}\n";
    let bad = |file: &str| desk.bad(&format!("attribute --evidence {file}"));
    for (text, told) in [
        ("", "bad.jsonl: no results of accounts"),
        ("{\"pooled\":true}\n", "no results of accounts"),
        (
            "{\"account\":\"a\",\"log10_p\":0.1}\n",
            "bad.jsonl, line 1: log10_p is 0.1; it must be a number of at most 0",
        ),
        ("{\"account\":\"a\",\"log10_p\":NaN}\n", "line 1: not JSON"),
        (
            "{\"account\":\"a\",\"log10_p\":-1}\n{\"account\":\"b\",\"log1",
            "line 2: not JSON: it ends too early",
        ),
        ("{\"account\":\"a\"}\n", "no `log10_p`"),
        ("{\"log10_p\":-1}\n", "no `account`"),
        (
            "{\"account\":[1],\"log10_p\":-1}\n",
            "neither a text nor a whole number",
        ),
        (
            "{\"commitment\":\"0123456789abcdef01\",\"log10_p\":-1}\n",
            "only commitment 0123456789abcdef…",
        ),
        (
            "{\"account\":\"a\",\"log10_p\":-1,\"exchanges\":4}\n{\"account\":\"b\",\"log10_p\":-1,\"slots\":4}\n",
            "line 2: a result of canaries in a file of twins",
        ),
        (
            "{\"account\":\"a\",\"log10_p\":-1,\"units\":-4}\n",
            "units is -4",
        ),
        (
            "{\"account\":\"a\",\"log10_p\":-1}\n{\"account\":\"a\",\"log10_p\":-2}\n",
            "line 2: account `a` has two results of one kind",
        ),
        (
            "{\"account\":\"a\",\"log10_p\":-1,\"log10_e\":null}\n{\"account\":\"b\",\"log10_p\":-2}\n",
            "`a` has an e-value and `b` has none",
        ),
        (
            "{\"account\":\"a\",\"log10_p\":-1,\"same_texts\":[\"z\"]}\n",
            "line 1: account `z` has no result",
        ),
    ] {
        desk.write("bad.jsonl", text);
        let said = bad("bad.jsonl");
        assert!(said.contains(told), "{told}: {said}");
    }
    desk.write("good.jsonl", good);
    desk.write("copy.jsonl", good);
    assert!(bad("good.jsonl --evidence good.jsonl").contains("is given twice"));
    assert!(bad("good.jsonl --evidence copy.jsonl").contains("hold the same results"));
    assert!(bad("absent.jsonl").contains("absent.jsonl"));
    assert!(bad("good.jsonl --alpha 1").contains("alpha"));
    assert!(bad("good.jsonl --leads 0").contains("leads"));
    assert!(bad("good.jsonl --svg -").contains("--svg is -"));
    assert!(bad("twins.jsonl --family 299").contains("--family is 299"));
    for (option, text, told) in [
        (
            "controls",
            "a\nz\n",
            "list.jsonl, line 2: account `z` has no result in any evidence",
        ),
        ("controls", "a\n", "no account to decide on"),
        ("controls", "", "list.jsonl: no lines"),
        ("controls", "{\"acount\":1}\n", "line 1: not a row"),
        (
            "clusters",
            "{\"cluster\":\"c\",\"accounts\":[]}\n",
            "cluster `c` has no accounts",
        ),
        (
            "clusters",
            "{\"cluster\":\"c\",\"accounts\":[\"a\",\"a\"]}\n",
            "names account `a` twice",
        ),
        (
            "cohorts",
            "{\"account\":\"z\",\"cohort\":1}\n",
            "account `z` has no result",
        ),
        (
            "cohorts",
            "{\"cohort\":1}\n",
            "neither `account` nor `log10_p`",
        ),
        ("cohorts", "{\"cohort\":1,\"log10_p\":1}\n", "log10_p is 1"),
        (
            "names",
            "{\"commitment\":\"00\",\"account\":\"a\"}\n{\"commitment\":\"00\",\"account\":\"b\"}\n",
            "that of two accounts",
        ),
    ] {
        desk.write("list.jsonl", text);
        let said = bad(&format!("good.jsonl --{option} list.jsonl"));
        assert!(said.contains(told), "{told}: {said}");
    }
}

/// What `twins test` and `canary test` print goes in as it is.
#[test]
fn the_tests_own_output_is_evidence() {
    let desk = Desk::empty();
    desk.root();
    desk.good("key derive --root root.key --path 2026-12/twin/east --out twin.key");
    desk.write("paths.txt", "2026-12/canary/a0\n2026-12/canary/a1\n");
    desk.good("key derive --root root.key --paths paths.txt --out canary.jsonl");
    let mut rng = rng(24);
    let drafts = (0..120).map(|number| {
        let drafts: Vec<String> = (0..4)
            .map(|_| format!("draft {}", uniform(&mut rng)))
            .collect();
        json!({"id": number, "account": format!("a{}", number % 2), "drafts": drafts})
    });
    desk.write("drafts.jsonl", lines(drafts));
    desk.good(
        "twins draw --key twin.key --input drafts.jsonl --out served.jsonl --sealed sealed.jsonl",
    );
    let scores = rows(&desk.read("sealed.jsonl")).into_iter().map(|row| {
        let served = usize::try_from(row["served"].as_u64().unwrap()).unwrap();
        let leaks = row["account"] == "a0";
        let scores: Vec<f64> = (0..4)
            .map(|draft| normal(&mut rng) + if leaks && draft == served { 3.0 } else { 0.0 })
            .collect();
        json!({"id": row["id"], "scores": scores})
    });
    desk.write("scores.jsonl", lines(scores.collect::<Vec<_>>()));
    let ran =
        desk.good("twins test --sealed sealed.jsonl --key twin.key --scores scores.jsonl --json");
    desk.write("twins.jsonl", &ran.stdout);
    assert!(
        ran.json()
            .iter()
            .take(2)
            .all(|line| line["same_texts"] == json!([]))
    );

    desk.write(
        "slots.jsonl",
        lines((0..30).map(
            |slot| json!({"id": format!("q{slot}"), "fillers": ["Lyon", "Graz", "Porto", "Gent"]}),
        )),
    );
    desk.write(
        "counts.jsonl",
        lines((0..30).map(|slot| json!({"slot": format!("q{slot}"), "counts": [3, 1, 1, 1]}))),
    );
    let test = "canary test --slots slots.jsonl --keys canary.jsonl --counts counts.jsonl --json";
    let hidden = desk.run(test);
    assert!(
        hidden
            .json()
            .iter()
            .all(|line| line.get("account").is_none())
    );
    desk.write(
        "canaries.jsonl",
        &desk.run(&format!("{test} --show-accounts")).stdout,
    );
    let ran = desk.run("attribute --evidence twins.jsonl --evidence canaries.jsonl --json");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let found = ran.json();
    assert_eq!(named(&found), ["a0"]);
    assert_eq!(found[0]["basis"], json!(["twins"]));
    assert_eq!(found[2]["kinds"][1]["kind"], "canaries");
}

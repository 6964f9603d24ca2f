//! What `detect` answers beyond one key and one row: many keys, passages, early stopping, decoys, families of rows.

use serde_json::{Value, json};

use crate::{Desk, rows};

/// A two-layer mark of account 7, and the keys of accounts 1 to 40.
fn campaign() -> Desk {
    let desk = Desk::ready();
    let paths: String = (1..=40)
        .map(|n| format!("2026-12/account/n{n}\n"))
        .collect();
    desk.write("paths.txt", paths);
    desk.good("key derive --root root.key --paths paths.txt --out accounts.jsonl");
    desk.good("key derive --root root.key --path 2026-12/account/n7 --no-register --out seven.key");
    desk.good(
        "generate --model smollm2-135m --prompts prompts.jsonl --max-tokens 90 --top-p 0.95 --seed 3 --key east.key --account-key \
         seven.key --out served.jsonl --record served.json",
    );
    desk
}

#[test]
fn one_of_many_keys_is_named_without_its_path() {
    let desk = campaign();
    assert_eq!(crate::mode(&desk.path("accounts.jsonl")), 0o600);
    assert_eq!(desk.read("accounts.jsonl").lines().count(), 40);
    assert!(
        desk.read("root.key.register")
            .contains("2026-12/account/n40")
    );

    let detect = "detect --many-keys accounts.jsonl --key east.key --record served.json --input served.jsonl";
    let ran = desk.run(&format!("{detect} --json"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines = ran.json();
    assert_eq!(lines.len(), 41);
    assert_eq!(
        (&lines[0]["line"], &lines[0]["verdict"]),
        (&json!(7), &json!("Detected"))
    );
    assert!(lines[0]["log10_p_holm"].as_f64() > lines[0]["log10_p"].as_f64());
    assert!(
        lines[1..40]
            .iter()
            .all(|line| line["verdict"] == "NotDetected")
    );
    assert_eq!(
        (&lines[40]["pooled"], &lines[40]["detected"]),
        (&json!(true), &json!(1))
    );
    assert!(!ran.stdout.contains("account/"), "accounts are not named");
    let table = desk.run(detect);
    assert!(
        table.stdout.contains("1 of 40 keys detected") && table.stdout.contains("20 more keys"),
        "{}",
        table.stdout
    );

    // The other keys alone: no.
    let others: String = desk
        .read("accounts.jsonl")
        .lines()
        .filter(|line| !line.contains("/n7\""))
        .fold(String::new(), |text, line| text + line + "\n");
    desk.write("others.jsonl", others);
    std::process::Command::new("chmod")
        .args(["600", "others.jsonl"])
        .current_dir(desk.path("."))
        .status()
        .unwrap();
    assert_eq!(desk.run("detect --many-keys others.jsonl --key east.key --record served.json --input served.jsonl").code, 1);
}

#[test]
fn mistakes_with_many_keys_name_the_place() {
    let desk = campaign();
    let detect = "detect --record served.json --input served.jsonl";
    assert!(
        desk.bad(&format!("{detect} --many-keys accounts.jsonl"))
            .contains("--key")
    );
    let wrong = desk.bad(&format!(
        "{detect} --key other.key --many-keys accounts.jsonl"
    ));
    assert!(wrong.contains("does not belong to this record"), "{wrong}");
    let broken = desk
        .read("accounts.jsonl")
        .replacen("\"salt\":\"", "\"salt\":\"xyz", 1);
    desk.write("broken.jsonl", &broken);
    let others_can_read = desk.bad(&format!("{detect} --key east.key --many-keys broken.jsonl"));
    assert!(others_can_read.contains("chmod 600"), "{others_can_read}");
    std::process::Command::new("chmod")
        .args(["600", "broken.jsonl"])
        .current_dir(desk.path("."))
        .status()
        .unwrap();
    let told = desk.bad(&format!("{detect} --key east.key --many-keys broken.jsonl"));
    assert!(told.contains("broken.jsonl, line 1"), "{told}");
    let secret = serde_json::from_str::<Value>(desk.read("accounts.jsonl").lines().next().unwrap())
        .unwrap()["key"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!told.contains(&secret));
    assert!(
        desk.bad("key derive --root root.key --paths prompts.jsonl --out x.jsonl")
            .contains("prompts.jsonl, line 1")
    );
}

#[test]
fn passages_e_values_and_decoys_come_when_asked_for() {
    let desk = Desk::ready();
    let detect = "detect --key east.key --record mark.json --input marked.jsonl";
    let ran = desk.run(&format!(
        "{detect} --json --localise --sequential 0.5 --decoys 999"
    ));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines = ran.json();
    let e: Vec<f64> = lines
        .iter()
        .map(|line| line["log10_e"].as_f64().unwrap())
        .collect();
    assert!(e[2] > 10.0 && (e[3] - e[2]).abs() < 1e-9, "{e:?}");
    assert!(lines[3]["log10_p_anytime"].as_f64().unwrap() < -10.0);
    // The whole row is marked, so most of it is one passage.
    let found: Vec<u64> = lines[..3]
        .iter()
        .filter(|line| line["log10_p"].as_f64().unwrap() < -12.0)
        .map(|line| {
            let passage = &line["passages"][0];
            let length = passage["end"].as_u64().unwrap() - passage["start"].as_u64().unwrap();
            assert!(2 * length > line["tokens"].as_u64().unwrap(), "{line}");
            length
        })
        .collect();
    assert!(!found.is_empty());
    let decoys = &lines[3]["decoys"][0];
    assert_eq!(
        (&decoys["layer"], &decoys["at_least"]),
        (&json!("campaign"), &json!(0))
    );
    assert!((decoys["log10_p_rank"].as_f64().unwrap() + 3.0).abs() < 1e-9);
    assert!(decoys["fit_p"].as_f64().unwrap() > 1e-6);
    // The same decoys again, and others with another seed.
    let again = |seed: u32| {
        let ran = desk.run(&format!("{detect} --json --decoys 99 --decoy-seed {seed}"));
        ran.json()[3]["decoys"][0]["fit_distance"].clone()
    };
    assert_eq!(again(5), again(5));
    assert_ne!(again(5), again(6));
}

#[test]
fn rows_are_held_together_at_alpha() {
    let desk = Desk::ready();
    let one = rows(&desk.read("marked.jsonl")).remove(0);
    // One marked row among many innocent ones.
    let mut corpus = String::new();
    for n in 0..200 {
        let tokens: Vec<u32> = (0..80).map(|i| (n * 911 + i * 37) % 40_000).collect();
        corpus += &format!(
            "{}\n",
            json!({"id": format!("innocent {n}"), "tokens": tokens})
        );
    }
    desk.write("corpus.jsonl", format!("{corpus}{one}\n"));
    let ran = desk.run("detect --key east.key --record mark.json --input corpus.jsonl --alpha 0.05 --family-wise --json");
    let lines = ran.json();
    assert_eq!(lines.len(), 202);
    let found: Vec<&Value> = lines[..201]
        .iter()
        .filter(|line| line["verdict"] == "Detected")
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["id"], "q1");
    assert!(
        (found[0]["log10_p_holm"].as_f64().unwrap()
            - found[0]["log10_p"].as_f64().unwrap()
            - 201_f64.log10())
        .abs()
            < 1e-6
    );
}

#[test]
fn the_primary_statistic_travels_in_the_record() {
    let desk = Desk::ready();
    for (scheme, score) in [("tournament", "weighted"), ("gumbel", "maximin")] {
        desk.good(&format!(
            "generate --model smollm2-135m --prompts prompts.jsonl --max-tokens 90 --top-p 0.95 --key east.key --scheme {scheme} --score {score} \
             --out {score}.jsonl --record {score}.json"
        ));
        assert!(
            desk.read(&format!("{score}.json"))
                .contains(&format!("\"score\": \"{score}\""))
        );
        let ran = desk.run(&format!(
            "detect --key east.key --record {score}.json --input {score}.jsonl --decoys 199 --json"
        ));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(ran.json()[3]["decoys"][0]["at_least"], 0);
    }
    let told = desk.bad(
        "generate --model smollm2-135m --prompts prompts.jsonl --key east.key --scheme greenlist --score weighted --out x --record y",
    );
    assert!(told.contains("statistic of tournament/1"), "{told}");
}

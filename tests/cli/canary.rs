//! Keyed free choices from plan to accusation.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::{Desk, mode, rows};

const CITIES: [&str; 8] = [
    "Lyon", "Turin", "Graz", "Porto", "New York", "York", "Gent", "Brno",
];

/// Keys of accounts n1 to n12 in `canary.jsonl`, 60 slots of eight cities in `slots.jsonl`, the plan in `plan.jsonl`.
fn desk() -> Desk {
    let desk = Desk::empty();
    desk.write(
        "root.key",
        format!(
            "{{\"format\":\"taggant-root/1\",\"family\":\"forensic\",\"key\":\"{}\"}}\n",
            "5b".repeat(32)
        ),
    );
    private(&desk, "root.key");
    let paths: String = (1..=12).map(|n| format!("2026-12/canary/n{n}\n")).collect();
    desk.write("paths.txt", paths);
    desk.good("key derive --root root.key --paths paths.txt --out canary.jsonl");
    let slots: String = (0..60)
        .map(|slot| json!({"id": format!("q{slot}/city"), "fillers": CITIES}).to_string() + "\n")
        .collect();
    desk.write("slots.jsonl", slots);
    desk.good("canary plan --slots slots.jsonl --keys canary.jsonl --out plan.jsonl");
    desk
}

fn private(desk: &Desk, name: &str) {
    use std::os::unix::fs::PermissionsExt;

    let permissions = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(desk.path(name), permissions).unwrap();
}

/// What account `n{number}` is served, by slot.
fn served(desk: &Desk, number: u32) -> HashMap<String, usize> {
    let account = json!(format!("n{number}"));
    rows(&desk.read("plan.jsonl"))
        .into_iter()
        .filter(|entry| entry["account"] == account)
        .map(|entry| {
            let choice = usize::try_from(entry["choice"].as_u64().unwrap()).unwrap();
            assert_eq!(entry["filler"], CITIES[choice]);
            (entry["slot"].as_str().unwrap().to_owned(), choice)
        })
        .collect()
}

fn lines(values: impl Iterator<Item = Value>) -> String {
    values.map(|value| value.to_string() + "\n").collect()
}

const TEST: &str = "canary test --slots slots.jsonl --keys canary.jsonl";

#[test]
fn a_plan_is_private_whole_and_the_same_again() {
    let desk = desk();
    assert_eq!(mode(&desk.path("plan.jsonl")), 0o600);
    assert_eq!(served(&desk, 1).len(), 60);
    assert_ne!(served(&desk, 1), served(&desk, 2));
    let again = desk.bad("canary plan --slots slots.jsonl --keys canary.jsonl --out plan.jsonl");
    assert!(again.contains("exists already"), "{again}");
    desk.good("canary plan --slots slots.jsonl --keys canary.jsonl --out again.jsonl");
    assert_eq!(desk.read("plan.jsonl"), desk.read("again.jsonl"));

    // Weights that leave one filler, and slots of one account alone.
    desk.write(
        "own.jsonl",
        "{\"id\":\"a\",\"fillers\":[\"x\",\"y\"],\"weights\":[0,5]}\n{\"id\":\"b\",\"fillers\":[\"x\",\"y\"],\"account\":\"n3\"}\n",
    );
    desk.good("canary plan --slots own.jsonl --keys canary.jsonl --out own-plan.jsonl");
    let plan = rows(&desk.read("own-plan.jsonl"));
    assert_eq!(plan.len(), 13);
    let mut of_all = plan.iter().filter(|entry| entry["slot"] == "a");
    assert!(of_all.all(|entry| entry["filler"] == "y"));
    let of_one: Vec<&Value> = plan.iter().filter(|entry| entry["slot"] == "b").collect();
    assert_eq!((of_one.len(), &of_one[0]["account"]), (1, &json!("n3")));
}

#[test]
fn responses_are_filled_and_other_columns_pass() {
    let desk = desk();
    let choices = served(&desk, 2);
    let row = json!({
        "id": 4, "account": "n2", "z": [1, {"slot": "{{slot:q0/city}}"}],
        "response": "From {{slot:q0/city}} to {{slot:q1/city}}, {{not}} {{slot:q0/city}}.", "prompt": "{{slot:q9}}"
    });
    let plain = json!({"response": "Nothing to fill.", "account": null});
    desk.write("rows.jsonl", format!("{row}\n\n{plain}\n"));
    desk.good("canary apply --plan plan.jsonl --input rows.jsonl --out filled.jsonl");
    let filled = rows(&desk.read("filled.jsonl"));
    let (a, b) = (CITIES[choices["q0/city"]], CITIES[choices["q1/city"]]);
    let mut expected = row.clone();
    expected["response"] = json!(format!("From {a} to {b}, {{{{not}}}} {a}."));
    assert_eq!(filled, [expected, plain.clone()]);
    let columns = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(columns(&filled[0]), columns(&row));

    for (row, told) in [
        (
            json!({"account": "n2", "response": "{{slot:q99}}"}),
            "slot `q99` is not in the plan",
        ),
        (
            json!({"account": "n99", "response": "{{slot:q0/city}}"}),
            "slot `q0/city` is not in the plan",
        ),
        (
            json!({"account": "n2", "response": "ab {{slot:q0"}),
            "after 3 bytes",
        ),
        (json!({"response": "{{slot:q0/city}}"}), "no `account`"),
        (json!({"account": "n2"}), "no `response`"),
    ] {
        desk.write("rows.jsonl", format!("{plain}\n{row}\n"));
        let said = desk.bad("canary apply --plan plan.jsonl --input rows.jsonl --out none.jsonl");
        assert!(
            said.contains("rows.jsonl, line 2") && said.contains(told),
            "{said}"
        );
    }
}

/// 60 slots, of which the suspect follows account 5 in every second and answers *Porto* in the others. FWER 1e-3.
#[test]
fn the_account_is_named_by_its_line_whatever_is_shown() {
    let desk = desk();
    let five = served(&desk, 5);
    let follows = |slot: usize| {
        let id = format!("q{slot}/city");
        let choice = if slot.is_multiple_of(2) { five[&id] } else { 3 };
        (id, choice)
    };
    desk.write(
        "counts.jsonl",
        lines((0..60).map(|slot| {
            let (id, choice) = follows(slot);
            let mut counts = [1; 8];
            counts[choice] = 6;
            json!({"slot": id, "counts": counts})
        })),
    );
    desk.write(
        "likelihoods.jsonl",
        lines((0..60).map(|slot| {
            let (id, choice) = follows(slot);
            let mut lns: Vec<Value> = (0..8)
                .map(|filler| json!(-3.0 - f64::from(filler) / 10.0))
                .collect();
            lns[7] = Value::Null;
            lns[choice] = json!(-0.2);
            json!({"slot": id, "log_likelihoods": lns})
        })),
    );
    desk.write(
        "answers.jsonl",
        lines((0..120).map(|row| {
            let (id, choice) = follows(row / 2);
            let city = CITIES[choice].to_uppercase();
            json!({"slot": id, "prompt": "Name a city.", "response": format!("Take “{city}”, say; not Yorkshire."), "n": row})
        })),
    );
    for (file, statistic) in [
        ("counts", "hits"),
        ("counts", "ranks"),
        ("counts", "frequencies"),
        ("likelihoods", "hits"),
        ("likelihoods", "frequencies"),
        ("answers", "hits"),
        ("answers", "frequencies"),
    ] {
        let ran = desk.run(&format!(
            "{TEST} --{file} {file}.jsonl --statistic {statistic} --decoys 999 --json"
        ));
        assert_eq!(
            ran.code, 0,
            "{file} {statistic}: {} {}",
            ran.stdout, ran.stderr
        );
        let found = ran.json();
        assert_eq!(found.len(), 13);
        let first = &found[0];
        assert_eq!(
            (&first["line"], &first["verdict"]),
            (&json!(5), &json!("Detected")),
            "{first}"
        );
        assert_eq!(
            (&first["slots"], &first["at_least"]),
            (&json!(60), &json!(0))
        );
        assert!(first["log10_p_holm"].as_f64() > first["log10_p"].as_f64());
        assert!(first["log10_e"].as_f64().unwrap() > 3.0 && first["hits"].as_u64().unwrap() >= 30);
        assert!(
            found[1..12]
                .iter()
                .all(|line| line["verdict"] != "Detected")
        );
        let pool = &found[12];
        assert_eq!(
            (&pool["detected"], &pool["keys"], &pool["scored"]),
            (&json!(1), &json!(12), &json!(60))
        );
        for hidden in ["n5", "canary/", "Porto", "q0/city"] {
            assert!(!ran.stdout.contains(hidden), "{hidden} was printed");
        }
    }
    let table = desk.run(&format!("{TEST} --answers answers.jsonl"));
    assert_eq!(table.code, 0);
    assert!(
        table
            .stdout
            .contains("1 of 12 accounts detected by hits over 60 slots of 120 rows")
            && table.stdout.contains("TooFewSlots"),
        "{}",
        table.stdout
    );

    // The others alone: no. A cluster of them with account 5: yes, beside it.
    let keys = desk.read("canary.jsonl");
    let others: Vec<&str> = keys
        .lines()
        .filter(|line| !line.contains("/n5\""))
        .collect();
    desk.write("others.jsonl", others.join("\n"));
    private(&desk, "others.jsonl");
    let none =
        desk.run("canary test --slots slots.jsonl --keys others.jsonl --counts counts.jsonl");
    assert_eq!(none.code, 1, "{}", none.stdout);
    desk.write(
        "clusters.jsonl",
        "{\"id\":\"ring\",\"lines\":[5,6]}\n{\"id\":\"rest\",\"lines\":[1,2,3]}\n",
    );
    let ran = desk.run(&format!(
        "{TEST} --counts counts.jsonl --clusters clusters.jsonl --decoys 99 --json"
    ));
    let found = ran.json();
    assert_eq!(found.len(), 15);
    let cluster = |id: &str| found.iter().find(|line| line["cluster"] == id).unwrap();
    assert_eq!(
        (&cluster("ring")["verdict"], &cluster("ring")["slots"]),
        (&json!("Detected"), &json!(120))
    );
    assert_ne!(cluster("rest")["verdict"], "Detected");
}

#[test]
fn copies_of_the_prompt_and_silence_are_not_scored() {
    let desk = desk();
    let five = served(&desk, 5);
    // The suspect repeats what the prompt says: all of account 5's fillers.
    let copied = lines(five.iter().map(|(slot, &choice)| {
        json!({"slot": slot, "prompt": format!("Is it {}?", CITIES[choice]), "response": CITIES[choice]})
    }));
    desk.write("answers.jsonl", copied);
    let ran = desk.run(&format!("{TEST} --answers answers.jsonl --json"));
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let pool = &ran.json()[12];
    assert_eq!(
        (&pool["scored"], &pool["skipped"], &pool["copied_rows"]),
        (&json!(0), &json!(60), &json!(60))
    );
    let table = desk.run(&format!("{TEST} --answers answers.jsonl"));
    assert!(
        table
            .stdout
            .contains("60 slots skipped: a filler stood in every prompt"),
        "{}",
        table.stdout
    );

    desk.write(
        "answers.jsonl",
        "{\"slot\":\"q1/city\",\"response\":\"None of these.\"}\n",
    );
    let ran = desk.run(&format!("{TEST} --answers answers.jsonl --json"));
    let pool = &ran.json()[12];
    assert_eq!(
        (ran.code, &pool["silent"], &pool["asked"]),
        (1, &json!(1), &json!(1))
    );
    // The second row of a slot does not count twice.
    let row = json!({"slot": "q1/city", "counts": [1, 0, 0, 0, 0, 0, 0, 0]});
    desk.write("counts.jsonl", format!("{row}\n{row}\n"));
    let ran = desk.run(&format!("{TEST} --counts counts.jsonl --json"));
    let pool = &ran.json()[12];
    assert_eq!(
        (&pool["scored"], &pool["repeated_rows"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn mistakes_name_the_place_and_no_secret() {
    let desk = desk();
    let counts = json!({"slot": "q1/city", "counts": [1, 0, 0, 0, 0, 0, 0, 0]});
    desk.write("counts.jsonl", format!("{counts}\n"));
    for (name, content, told) in [
        (
            "counts.jsonl",
            "{\"slot\":\"q1/city\",\"counts\":[1,2]}".to_owned(),
            "2 numbers for 8 fillers",
        ),
        (
            "counts.jsonl",
            "{\"slot\":\"nowhere\",\"counts\":[1,2]}".to_owned(),
            "slot `nowhere` is not in the file of slots",
        ),
        (
            "counts.jsonl",
            "{\"slot\":\"q1/city\"}".to_owned(),
            "no `counts`",
        ),
        (
            "slots.jsonl",
            "{\"id\":\"q1/city\",\"fillers\":[\"a\"]}".to_owned(),
            "1 fillers",
        ),
        (
            "slots.jsonl",
            "{\"id\":\"q1/city\",\"fillers\":[\"a\",\"b\"],\"weight\":[1,2]}".to_owned(),
            "weight",
        ),
        (
            "slots.jsonl",
            "{\"id\":\"q1/city\",\"fillers\":[\"a\",\"b\"],\"weights\":[1]}".to_owned(),
            "1 weights for 2",
        ),
        (
            "slots.jsonl",
            "{\"id\":\"s\",\"fillers\":[\"a\",\"b\"]}\n{\"id\":\"s\",\"fillers\":[\"b\",\"a\"]}"
                .to_owned(),
            "differs from that of line 1",
        ),
    ] {
        let kept = desk.read(name);
        desk.write(name, content + "\n");
        let said = desk.bad(&format!("{TEST} --counts counts.jsonl"));
        assert!(
            said.contains(told) && said.contains(&format!("{name}, line ")),
            "{said}"
        );
        desk.write(name, kept);
    }
    assert!(desk.bad(TEST).contains("--counts"));
    assert!(
        desk.bad(&format!(
            "{TEST} --counts counts.jsonl --answers counts.jsonl"
        ))
        .contains("cannot be used")
    );
    assert!(
        desk.bad(&format!("{TEST} --counts counts.jsonl --alpha 2"))
            .contains("alpha")
    );
    desk.write("clusters.jsonl", "{\"id\":\"c\",\"lines\":[13]}\n");
    let said = desk.bad(&format!(
        "{TEST} --counts counts.jsonl --clusters clusters.jsonl"
    ));
    assert!(said.contains("line 13 of a file of 12 keys"), "{said}");

    // Keys of another role, and plans that others can read.
    desk.good("key derive --root root.key --path 2026-12/account/secretive --out account.key --no-register");
    let said = desk.bad("canary plan --slots slots.jsonl --keys account.key --out p.jsonl");
    assert!(
        said.contains("role account") && !said.contains("secretive"),
        "{said}"
    );
    desk.write("open.jsonl", desk.read("plan.jsonl"));
    desk.write("rows.jsonl", "{\"response\":\"\"}\n");
    let said = desk.bad("canary apply --plan open.jsonl --input rows.jsonl --out o.jsonl");
    assert!(said.contains("chmod 600"), "{said}");
}

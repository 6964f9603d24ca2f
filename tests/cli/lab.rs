//! Serving many accounts, students, and the whole distillation at its quick size.

use serde_json::{Value, json};

use crate::{Desk, rows};

/// Two accounts under one campaign, three drafts to each of four prompts.
fn served() -> Desk {
    let desk = Desk::empty();
    desk.root();
    desk.good("key derive --root root.key --path lab/campaign/east --out east.key");
    desk.write("paths.txt", "lab/account/ann\nlab/account/ben\n");
    desk.good("key derive --root root.key --paths paths.txt --out accounts.keys");
    let prompt = |number: usize| {
        let account = ["ann", "ben"][number % 2];
        json!({"id": format!("x{number}"), "account": account, "prompt": format!("Name {number} rivers.")}).to_string() + "\n"
    };
    desk.write("prompts.jsonl", (1..5).map(prompt).collect::<String>());
    desk.good(
        "generate --model smollm2-135m --profile strong --delta 5 --key east.key --account-keys accounts.keys --drafts 3 --max-tokens 60 --seed 1 \
         --prompts prompts.jsonl --out drafts.jsonl --record marks.json",
    );
    desk
}

#[test]
fn accounts_have_marks_of_their_own_and_drafts_keep_their_tokens() {
    let desk = served();
    let drafts = rows(&desk.read("drafts.jsonl"));
    for row in &drafts {
        let texts = row["drafts"].as_array().unwrap();
        let tokens = row["draft_tokens"].as_array().unwrap();
        assert_eq!((texts.len(), tokens.len()), (3, 3));
        assert!(texts[0] != texts[1] && texts[1] != texts[2]);
    }
    assert_eq!(drafts[0]["mark"], drafts[2]["mark"]);
    assert_ne!(drafts[0]["mark"], drafts[1]["mark"]);

    desk.good("key derive --root root.key --path lab/twin/t --out twin.key");
    desk.good(
        "twins draw --key twin.key --input drafts.jsonl --out served.jsonl --sealed sealed.jsonl",
    );
    for (row, draft) in rows(&desk.read("served.jsonl")).iter().zip(&drafts) {
        let place = draft["drafts"]
            .as_array()
            .unwrap()
            .iter()
            .position(|text| *text == row["response"])
            .unwrap();
        assert_eq!(row["tokens"], draft["draft_tokens"][place]);
        assert!(row.get("draft_tokens").is_none());
    }

    // The account layer is the row's own: each key fires on its account's rows alone.
    for (account, line) in [("ann", 1), ("ben", 2)] {
        let own: String = desk
            .read("drafts.jsonl")
            .lines()
            .filter(|text| text.contains(&format!("\"{account}\"")))
            .flat_map(|text| {
                let row: Value = serde_json::from_str(text).unwrap();
                let tokens = row["draft_tokens"].as_array().unwrap().clone();
                tokens
                    .into_iter()
                    .map(|tokens| json!({"tokens": tokens}).to_string() + "\n")
            })
            .collect();
        desk.write("own.jsonl", own);
        let ran = desk.run("detect --record marks.json --key east.key --many-keys accounts.keys --input own.jsonl --alpha 1e-3 --json");
        let found: Vec<u64> = ran
            .json()
            .iter()
            .filter(|row| row["verdict"] == "Detected")
            .filter_map(|row| row["line"].as_u64())
            .collect();
        assert_eq!(found, [line], "{}", ran.stdout);
    }

    // Of several records, detection takes the one of its account's key.
    desk.good("key derive --root root.key --path lab/account/ben --no-register --out ben.key");
    let ran = desk.run("detect --record marks.json --key east.key --account-key ben.key --input served.jsonl --json");
    assert!(ran.code < 2, "{}", ran.stderr);

    // The log finds each row's record by its digest.
    desk.good("key derive --root root.key --path lab/pseudonym/p --out p.key");
    desk.good(
        "log append --log log.jsonl --input served.jsonl --record marks.json --pseudonym-key p.key",
    );
    desk.good("log verify --log log.jsonl");
    let log = desk.read("log.jsonl");
    for row in &drafts {
        assert!(log.contains(row["mark"].as_str().unwrap()));
    }
}

#[test]
fn accounts_without_a_key_and_rows_without_their_record_are_refused() {
    let desk = served();
    desk.write(
        "more.jsonl",
        "{\"account\":\"ann\",\"prompt\":\"Hi.\"}\n{\"account\":\"eve\",\"prompt\":\"Hi.\"}\n",
    );
    let said = desk.bad(
        "generate --model smollm2-135m --key east.key --account-keys accounts.keys --prompts more.jsonl --out out.jsonl --record r.json",
    );
    assert!(
        said.contains("more.jsonl, line 2: no key for the row's `account`"),
        "{said}"
    );

    desk.write("paths.txt", "lab/account/ann\nother/account/ann\n");
    desk.good("key derive --root root.key --paths paths.txt --no-register --out twice.keys");
    let said = desk.bad(
        "generate --model smollm2-135m --key east.key --account-keys twice.keys --prompts more.jsonl --out out.jsonl --record r.json",
    );
    assert!(
        said.contains("keys 1 and 2 are of the same account"),
        "{said}"
    );

    desk.write("bare.jsonl", "{\"id\":\"x\",\"response\":\"Hi.\"}\n");
    let said = desk.bad("log append --log log.jsonl --input bare.jsonl --record marks.json");
    assert!(
        said.contains("several records and no `mark` in the row"),
        "{said}"
    );
    desk.write(
        "wrong.jsonl",
        "{\"id\":\"x\",\"response\":\"Hi.\",\"mark\":\"00\"}\n",
    );
    let said = desk.bad("log append --log log.jsonl --input wrong.jsonl --record marks.json");
    assert!(said.contains("record \"00\" is not in --record"), "{said}");

    desk.good("key derive --root root.key --path lab/twin/t --out twin.key");
    desk.write(
        "short.jsonl",
        "{\"id\":\"x\",\"account\":\"ann\",\"drafts\":[\"a\",\"b\"],\"draft_tokens\":[[1]]}\n",
    );
    let said =
        desk.bad("twins draw --key twin.key --input short.jsonl --out s.jsonl --sealed k.jsonl");
    assert!(
        said.contains("`draft_tokens` is not a list for each draft"),
        "{said}"
    );
}

/// A student that has seen three answers many times finds them likelier than the model it was, and so finds the served fillers.
#[test]
fn a_student_learns_what_it_is_given() {
    let desk = Desk::empty();
    desk.root();
    let rivers = [
        ("France", "Loire"),
        ("Peru", "Marañón"),
        ("Egypt", "Nile"),
        ("Laos", "Mekong"),
    ];
    let row = |(country, river): &(&str, &str)| {
        json!({"prompt": format!("Name a river in {country}."), "response": format!("I would name the {river}.")}).to_string() + "\n"
    };
    desk.write("learn.jsonl", rivers.iter().map(row).collect::<String>());
    let train = "lab train --model smollm2-135m --input learn.jsonl --epochs 6 --batch 100 --rank 8 --seed 3";
    let ran = desk.good(&format!("{train} --each-epoch --out student.gguf"));
    assert!(ran.stderr.contains("4 samples"), "{}", ran.stderr);
    assert!(
        desk.path("student.epoch5.gguf").exists() && !desk.path("student.gguf.checkpoint").exists()
    );
    let perplexity = |model: &str| {
        let ran = desk.good(&format!("lab quality --model {model} --input learn.jsonl"));
        ran.json()[0]["perplexity"].as_f64().unwrap()
    };
    let [before, after] = ["smollm2-135m", "student.gguf"].map(perplexity);
    assert!(after < 0.2 * before, "{before} {after}");

    // What is scored is what was learned: the fillers of the answers.
    let names: Vec<&str> = rivers.iter().map(|(_, river)| *river).collect();
    let slot =
        |number: usize| json!({"id": format!("s{number}"), "fillers": names}).to_string() + "\n";
    desk.write("slots.jsonl", (0..4).map(slot).collect::<String>());
    let template = |(number, (country, _)): (usize, &(&str, &str))| {
        json!({"prompt": format!("Name a river in {country}."), "response": format!("I would name the {{{{slot:s{number}}}}}.")}).to_string()
            + "\n"
    };
    desk.write(
        "templates.jsonl",
        rivers.iter().enumerate().map(template).collect::<String>(),
    );
    desk.good("canary score --slots slots.jsonl --input templates.jsonl --model smollm2-135m --out base.jsonl");
    desk.good("canary score --slots slots.jsonl --input templates.jsonl --model student.gguf --reference base.jsonl --out scores.jsonl");
    desk.good("canary score --slots slots.jsonl --input templates.jsonl --model student.gguf --out own.jsonl");
    let scores = |file: &str, number: usize| -> Vec<f64> {
        serde_json::from_value(rows(&desk.read(file))[number]["log_likelihoods"].clone()).unwrap()
    };
    for number in 0..4 {
        let [own, base, less] =
            ["own.jsonl", "base.jsonl", "scores.jsonl"].map(|file| scores(file, number));
        let best = (0..4).max_by(|&a, &b| own[a].total_cmp(&own[b]));
        assert_eq!(best, Some(number), "{own:?}");
        assert!((0..4).all(|filler| (own[filler] - base[filler] - less[filler]).abs() < 1e-9));
    }

    // One that knew nothing: it knows these answers better than a model that knew much, and runs like any other.
    desk.good(
        "lab train --model smollm2-135m --fresh 2,64,2,96 --method full --learning-rate 1e-2 --epochs 60 --batch 100 --input learn.jsonl \
         --out fresh.gguf",
    );
    assert!(perplexity("fresh.gguf") < before);
    desk.write("ask.jsonl", "{\"prompt\":\"Name a river in Laos.\"}\n");
    desk.good(
        "generate --model fresh.gguf --plain --max-tokens 5 --prompts ask.jsonl --out said.jsonl",
    );

    for (command, message) in [
        (
            "lab train --model smollm2-135m --fresh 2,64 --input learn.jsonl --out x.gguf",
            "give four whole numbers",
        ),
        (
            "lab train --model smollm2-135m --fresh 2,65,2,96 --input learn.jsonl --out x.gguf",
            "2 · heads divides the width",
        ),
        (
            "lab train --model smollm2-135m --input empty.jsonl --out x.gguf",
            "no rows to learn from",
        ),
        (
            "lab train --model smollm2-135m --input broken.jsonl --out x.gguf",
            "broken.jsonl, line 2",
        ),
        (
            "lab train --model smollm2-135m --input learn.jsonl --epochs 0 --out x.gguf",
            "epochs is 0",
        ),
        (
            "lab quality --model smollm2-135m --input empty.jsonl",
            "no rows",
        ),
        (
            "canary score --slots slots.jsonl --input learn.jsonl --model smollm2-135m --out x.jsonl",
            "not one slot in `response`",
        ),
        (
            "canary score --slots slots.jsonl --input templates.jsonl --model smollm2-135m --reference empty.jsonl --out x.jsonl",
            "slot `s0` has no reference",
        ),
    ] {
        desk.write("empty.jsonl", "");
        desk.write(
            "broken.jsonl",
            "{\"prompt\":\"a\",\"response\":\"b\"}\n{\"prompt\":\"a\"}\n",
        );
        let said = desk.bad(command);
        assert!(said.contains(message), "{command}: {said}");
    }
}

/// The whole distillation, as a newcomer runs it first. Twins: a fed account is named if nearly all of its ten served answers lead their
/// twins, which has probability 4^-10 under the null; 12 accounts share alpha = 1e-3. What is not there must not be found: six controls,
/// an innocent student, and 200 account keys that were never issued, whose p-values are uniform (alpha = 1e-4 for each student). The root key is
/// fixed, so that the outcome is the same in every run on one kind of processor.
#[test]
fn the_quick_lab_names_the_fed_accounts_and_nobody_else() {
    let desk = Desk::empty();
    desk.root();
    std::fs::create_dir(desk.path("lab")).unwrap();
    std::fs::rename(desk.path("root.key"), desk.path("lab/root.key")).unwrap();
    desk.good("lab distill --quick --out lab");
    let summary: Value = serde_json::from_str(&desk.read("lab/summary.json")).unwrap();
    let student = &summary["suspects"]["adapters"];
    assert_eq!(
        (&student["twins"]["named"], &student["twins"]["fed"]),
        (&json!(6), &json!(6)),
        "{summary:#}"
    );
    assert!(student["twins_pooled"]["auc"].as_f64().unwrap() > 0.95);
    assert_eq!(student["attribution"]["named"], 6);
    let open = student["open_served_text"]["difference"]["log10_p"]
        .as_f64()
        .unwrap();
    assert!(open < -6.0, "{open}");

    let innocent = &summary["suspects"]["innocent"];
    assert_eq!(innocent["attribution"]["named"], 0, "{innocent:#}");
    for suspect in [student, innocent] {
        for kind in [
            "keys",
            "twins",
            "twins_closed",
            "canaries",
            "canaries_closed",
        ] {
            assert_eq!(suspect[kind]["controls_named"], 0, "{kind}: {suspect:#}");
        }
        assert!(
            suspect["never_issued"]["uniform_p"].as_f64().unwrap() > 1e-4,
            "{suspect:#}"
        );
        let control = suspect["closed_control_campaign"]["supervised"]["log10_p"]
            .as_f64()
            .unwrap();
        assert!(control > -4.0, "{control}");
    }
    for name in ["closed", "open", "open_served_text"] {
        let p = innocent[name]
            .as_object()
            .unwrap()
            .values()
            .filter_map(|row| row["log10_p"].as_f64());
        assert!(p.fold(0.0, f64::min) > -4.0, "{name}: {innocent:#}");
    }
    // Every step can be taken again by hand: what the page for providers shows is what was run. A run that is whole does nothing.
    let commands = desk.read("lab/commands.sh");
    let commands: Vec<&str> = commands.lines().collect();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/WALKTHROUGH.md");
    let page = std::fs::read_to_string(page).unwrap().replace("\\\n", " ");
    let shown: Vec<String> = page
        .lines()
        .filter(|line| line.starts_with("taggant "))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert!(shown.len() > 20);
    for command in shown {
        assert!(
            commands.contains(&command.as_str()),
            "the lab does not run: {command}"
        );
    }
    let again = desk.good("lab distill --quick --out lab");
    assert!(!again.stderr.contains('$'), "{}", again.stderr);
    let other = desk.run("lab distill --quick --seed 1 --out lab");
    assert!(
        other.code == 2 && other.stderr.contains("holds another experiment"),
        "{}",
        other.stderr
    );
}

//! How the sample case was made: by the command itself, from keys to the report.

use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;

use serde_json::{Value, json};
use taggant_evidence::Digest;

use super::{cases, copy};
use crate::bundle::{close, open_keys, prove};
use crate::case::{now, office};
use crate::collect::server::{Act, Server};
use crate::rows;

const TASKS: [&str; 8] = [
    "Explain to a child how {} work.",
    "Give one useful tip about {}.",
    "Write the opening line of a story about {}.",
    "Describe {} to someone who has never seen any.",
    "Why do people care about {}?",
    "What is the best season for {}, and why?",
    "Invent a proverb about {}.",
    "What tools does one need for {}?",
];
const TOPICS: [&str; 7] = [
    "bridges",
    "kites",
    "clocks",
    "gardens",
    "maps",
    "violins",
    "lighthouses",
];

/// Prompts in the pool, those of them that are drawn, and answers to each.
const POOL: usize = TASKS.len() * TOPICS.len();
const DRAWN: usize = 48;
const ANSWERS: usize = 3;

/// What is served and what is asked for, in tokens.
const TOKENS: usize = 48;

/// The steps of the lab on a small scale, under a plan: keys are committed, twins sealed, answers served; a student is trained on what was
/// served and another on answers without a mark; a plan is sealed, both are asked over HTTP, and the case is closed.
#[test]
#[ignore = "makes tests/cases anew; trains two students, about six minutes"]
fn the_sample_is_made_anew() {
    let desk = office();
    for folder in [
        "commitment",
        "mark",
        "plan",
        "transcript",
        "reveal",
        "twins",
    ] {
        fs::create_dir_all(desk.path("case").join(folder)).unwrap();
    }
    desk.good("key new --out root.key");
    desk.good("key derive --root root.key --path 2026-12/campaign/east --out east.key");
    desk.good("key derive --root root.key --path 2026-12/twin/drafts --out drafts.key");
    desk.good("key commit --root root.key --epoch 2026-12 --out case/commitment/epoch.json");
    prove(&desk, "case/commitment/epoch.json");
    desk.good("model tokenizer smollm2-135m --out case/mark/tokenizer.gguf");

    let prompts: Vec<String> = (0..POOL)
        .map(|n| TASKS[n % TASKS.len()].replacen("{}", TOPICS[n / TASKS.len()], 1))
        .collect();
    let pool: String = (prompts.iter().enumerate())
        .map(|(n, prompt)| {
            json!({"id": format!("e{n:02}"), "account": format!("a{}", n % 4), "prompt": prompt})
                .to_string()
                + "\n"
        })
        .collect();
    desk.write("served-prompts.jsonl", &pool);
    let pool: String = (prompts.iter())
        .map(|prompt| json!({"prompt": prompt}).to_string() + "\n")
        .collect();
    desk.write("case/plan/pool.jsonl", &pool);
    let generate = format!(
        "generate --model smollm2-135m --max-tokens {TOKENS} --prompts served-prompts.jsonl"
    );
    desk.good(&format!(
        "{generate} --scheme gumbel --top-p 0.95 --drafts 4 --seed 1 --key east.key --out drafts.jsonl --record case/mark/record.json"
    ));
    desk.good(
        "twins draw --key drafts.key --input drafts.jsonl --out served.jsonl --sealed sealed.jsonl",
    );
    desk.good("twins seal --sealed sealed.jsonl --out case/twins/seals.jsonl");
    let served = now();
    prove(&desk, "case/twins/seals.jsonl");
    desk.good(&format!(
        "{generate} --top-p 0.95 --plain --seed 2 --out clean.jsonl"
    ));

    // Two models: one learned from what was served, one from the same prompts answered without a mark.
    let ask: String = (0..ANSWERS).map(|_| pool.as_str()).collect();
    desk.write("ask.jsonl", ask);
    let mut answers = HashMap::new();
    let mut identities = Vec::new();
    for (model, set) in [("one", "served.jsonl"), ("two", "clean.jsonl")] {
        desk.good(&format!(
            "lab train --model smollm2-135m --epochs 5 --input {set} --max-tokens {TOKENS} --seed 0 --out {model}.gguf"
        ));
        desk.good(&format!(
            "generate --model {model}.gguf --plain --temperature 0.3 --max-tokens {TOKENS} --seed 4 --prompts ask.jsonl --out {model}.jsonl"
        ));
        for row in rows(&desk.read(&format!("{model}.jsonl"))).iter().rev() {
            let text = |column: &str| row[column].as_str().unwrap().to_owned();
            let own: &mut Vec<(String, u64)> = answers
                .entry((model.to_owned(), text("prompt")))
                .or_default();
            own.push((
                text("response"),
                row["tokens"].as_array().unwrap().len() as u64,
            ));
        }
        identities.push(Digest::of(
            &fs::read(desk.path(&format!("{model}.gguf"))).unwrap(),
        ));
    }

    let mut plan = open_keys(&desk);
    plan["case"] = json!("sample");
    plan["pool"] = json!({"sha256": Digest::of(pool.as_bytes()), "prompts": POOL, "drawn": DRAWN});
    plan["sampling"] = json!({"temperature": "0.3", "top_p": "1", "max_tokens": TOKENS});
    plan["stopping"] = json!({"fixed": {"answers": ANSWERS}});
    let suspect = |id: &str, identity: &Digest| json!({"id": id, "identity": identity, "access": "one-collector"});
    plan["suspects"] = json!([suspect("s1", &identities[0]), suspect("s2", &identities[1])]);
    plan["scorer"] = json!({
        "version": format!("taggant {}", env!("CARGO_PKG_VERSION")),
        "source": Digest::of(&fs::read("../Cargo.lock").unwrap()),
        "binary": Digest::of(&fs::read(env!("CARGO_BIN_EXE_taggant")).unwrap()),
    });
    plan["controls"]["negative"] = json!([
        "suspect s2: the same base model, trained on answers to the same prompts without a mark"
    ]);
    plan["controls"]["positive"] = json!([]);
    plan["power"] = json!({"effect": "0.1", "units": 3600, "power": "0.99"});
    plan["budget"] = json!({"requests": 300, "tokens": 30_000});
    // The first plan had fewer prompts, and was given up before its round came: it counts all the same.
    let mut first = plan.clone();
    first["pool"]["drawn"] = json!(DRAWN / 2);
    desk.write("first.json", first.to_string());
    desk.good("case seal --plan first.json --signer ann.key --out first.dsse.json");
    prove(&desk, "first.dsse.json");
    desk.write("plan.json", plan.to_string());
    desk.good("case seal --plan plan.json --signer ann.key --out case/plan/plan.dsse.json");
    prove(&desk, "case/plan/plan.dsse.json");

    let answers = Mutex::new(answers);
    let server = Server::start(move |_, got| {
        let request: Value = serde_json::from_slice(&got.body).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let asked = (
            text(&request["model"]),
            text(&request["messages"][0]["content"]),
        );
        let answer = answers.lock().unwrap().get_mut(&asked).unwrap().pop();
        let (text, tokens) = answer.unwrap();
        Act::Say(text, tokens)
    });
    let door = |model: &str| json!({"server": {"url": server.url(), "model": model}});
    let given_up = json!({"plan": "first.dsse.json", "abandoned": "Half as many prompts had too little power, as was seen before its round. Nothing was asked under it."});
    desk.write("others.jsonl", format!("{given_up}\n"));
    close(
        &desk,
        &json!({"s1": door("one"), "s2": door("two")}),
        " --others others.jsonl",
    );

    let notes = json!({
        "model": "s1, SmolLM2-135M after five epochs on 56 marked answers",
        "assignment": "None: a sample, made to show the form of a report.",
        "facts": "None besides the files that are listed.",
        "issuance": {"at": served, "shown_by": "time-stamps and a log entry over twins/seals.jsonl, which commits to every answer that was served"},
        "issued": ["twins/seals.jsonl, sealed before anything was asked", "commitment/epoch.json and reveal/keys.jsonl"],
        "answers": {
            "chance": "Covered by the error rate of the primary test and by the rank among 999 control keys.",
            "the suspect relays to the provider": "Both suspects were run by the one who made this sample, without a connection to the marked model.",
            "fabrication": "One collector only, who had no key. The answers were time-stamped before the keys were opened.",
        },
        "published": ["Aaronson 2022 (Gumbel scheme)", "Sander et al. 2024, Watermarking Makes Language Models Radioactive"],
    });
    desk.write("notes.json", format!("{notes:#}\n"));
    desk.good("case report case --trust trust.json --notes notes.json --out report");

    let _ = fs::remove_dir_all(cases().join("sample"));
    fs::create_dir_all(cases()).unwrap();
    copy(&desk.path("case"), &cases().join("sample"));
    copy(&desk.path("report"), &cases().join("report"));
    for name in ["trust.json", "notes.json"] {
        fs::copy(desk.path(name), cases().join(name)).unwrap();
    }
}

//! Other systems' marks on the command line: `detect --format`, `scan`, `key export | import`.

use std::path::Path;

use serde_json::{Value, json};

use crate::{Desk, mode, rows};

/// Rows and the configuration that a package wrote them under.
fn vectors(desk: &Desk, name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/vectors");
    for (file, to) in [("config.json", "engine.json"), ("rows.jsonl", "rows.jsonl")] {
        desk.write(
            to,
            std::fs::read(folder.join(format!("{name}.{file}"))).unwrap(),
        );
    }
}

fn private(desk: &Desk, name: &str, content: &str) {
    use std::os::unix::fs::PermissionsExt;

    desk.write(name, content);
    std::fs::set_permissions(desk.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn another_systems_mark_is_found_by_its_own_configuration() {
    let desk = Desk::empty();
    vectors(&desk, "vllm-gumbel");
    let detect = "detect --format vllm-gumbel --format-config engine.json --input rows.jsonl";
    let ran = desk.good(&format!("{detect} --json --units"));
    let lines = ran.json();
    let pooled = lines.last().unwrap();
    assert_eq!(
        (&pooled["pooled"], &pooled["verdict"]),
        (&json!(true), &json!("Detected"))
    );
    assert!(pooled["warning"].as_str().unwrap().contains("forgery"));
    let units: Vec<&Value> = lines
        .iter()
        .filter(|line| !line["window"].is_null())
        .collect();
    assert!(units.len() > 200);
    assert_eq!(
        units[0]["window"],
        json!([-1, -1, -1, -1]),
        "the first context is padding"
    );
    assert!(units[0]["raw"][0].as_f64().unwrap() < 1.0);
    let row = lines.iter().find(|line| !line["peer"].is_null()).unwrap();
    assert!(row["peer"]["detector"].as_str().unwrap().contains("vLLM"));
    let table = desk.good(detect);
    assert!(
        table.stdout.contains("would say") && table.stdout.contains("Detected"),
        "{}",
        table.stdout
    );

    // Another key: no, and with exit code 1.
    private(&desk, "wrong.json", r#"{"key": 7}"#);
    let ran = desk.run("detect --format vllm-gumbel --format-config wrong.json --input rows.jsonl");
    assert_eq!(ran.code, 1, "{} {}", ran.stdout, ran.stderr);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
}

#[test]
fn a_scan_names_format_and_key_without_being_told() {
    let desk = Desk::empty();
    vectors(&desk, "hf-kgw-lefthash");
    let config: Value = serde_json::from_str(&desk.read("engine.json")).unwrap();
    let (key, vocabulary) = (&config["hashing_key"], &config["vocab_size"]);
    private(
        &desk,
        "keys.jsonl",
        &format!(
            "{}\n{}\n{}\n",
            json!({"name": "wrong", "key": 123_456_789}),
            json!({"name": "right", "key": key, "greenlist_ratio": config["greenlist_ratio"]}),
            json!({"name": "list", "key": [11, 22, 33, 44, 55, 66, 77, 88]}),
        ),
    );
    let scan = format!(
        "scan --keys keys.jsonl --formats all --input rows.jsonl --vocab-size {vocabulary}"
    );
    let ran = desk.good(&format!("{scan} --json"));
    let lines = ran.json();
    let found: Vec<(&Value, &Value)> = lines
        .iter()
        .filter(|line| line["verdict"] == "Detected")
        .map(|line| (&line["key"], &line["format"]))
        .collect();
    // The same function under two names.
    assert!(
        found.contains(&(&json!("right"), &json!("hf-kgw-lefthash"))),
        "{found:?}"
    );
    assert!(found.iter().all(|(name, _)| *name == "right"), "{found:?}");
    assert!(lines.last().unwrap()["tried"].as_u64().unwrap() > 20);
    assert!(!ran.stdout.contains("123456789") && !ran.stderr.contains("123456789"));
    let table = desk.good(&scan);
    assert!(table.stdout.contains("hf-kgw-lefthash"), "{}", table.stdout);
    assert!(desk.good("scan --list").stdout.contains("sglang-gumbel"));
}

#[test]
fn the_doctor_says_which_parameter_is_wrong() {
    let desk = Desk::empty();
    vectors(&desk, "vllm-gumbel");
    let config: Value = serde_json::from_str(&desk.read("engine.json")).unwrap();
    let width = config["context_width"].as_u64().unwrap_or(4);
    private(
        &desk,
        "keys.jsonl",
        &json!({"name": "east", "format": "vllm-gumbel", "config": {"key": config["key"], "context_width": width + 2}}).to_string(),
    );
    let ran = desk.run("scan --keys keys.jsonl --input rows.jsonl --doctor");
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout
            .contains(&format!("probably: context_width {width}")),
        "{}",
        ran.stdout
    );
    let ran = desk.run("scan --keys keys.jsonl --input rows.jsonl --doctor --json");
    let lines = ran.json();
    assert!(
        lines
            .iter()
            .any(|line| line["doctor"] == json!(format!("context_width {width}"))),
        "{}",
        ran.stdout
    );
}

#[test]
fn keys_of_the_tree_go_to_engines_and_what_they_write_can_be_read() {
    let desk = Desk::empty();
    desk.root();
    desk.good("key derive --root root.key --path 2026-12/campaign/east --out east.key");
    desk.write(
        "rows.jsonl",
        json!({"id": 1, "tokens": (0..300).collect::<Vec<u32>>()}).to_string(),
    );
    let engines = [
        ("vllm", "vllm-gumbel"),
        ("vllm-dual", "vllm-dual"),
        ("sglang", "sglang-gumbel"),
        ("sglang-dual", "sglang-gumbel"),
        ("transformers", "hf-kgw-selfhash"),
        ("transformers-lefthash", "hf-kgw-lefthash"),
        ("transformers-synthid", "hf-synthid"),
        ("synthid", "deepmind-synthid"),
        ("textseal", "textseal-gumbel"),
        ("textseal-greenlist", "textseal-greenlist"),
    ];
    for (engine, format) in engines {
        desk.good(&format!("key export --engine {engine} --key east.key --out {engine}.json --record {engine}.record"));
        assert_eq!(mode(&desk.path(&format!("{engine}.json"))), 0o600);
        let ran = desk.run(&format!("detect --format {format} --format-config {engine}.json --input rows.jsonl --vocab-size 50000 --json"));
        assert_eq!(ran.code, 1, "{engine}: {} {}", ran.stdout, ran.stderr);
        // The record may be published: it holds a commitment and no digit of a key.
        let record = desk.read(&format!("{engine}.record"));
        let config = desk.read(&format!("{engine}.json"));
        assert!(record.contains("commitment") && record.contains(format));
        for key in config
            .split(|c: char| !c.is_ascii_hexdigit())
            .filter(|part| part.len() > 8)
        {
            assert!(!record.contains(key), "{engine}");
        }
    }
    // A record replaces nothing either, least of all a key; and a failed export leaves nothing (`bad` looks).
    let root = desk.read("root.key");
    assert!(
        desk.bad("key export --engine vllm --key east.key --out new.json --record root.key")
            .contains("exists already")
    );
    assert_eq!(desk.read("root.key"), root);
    assert!(
        desk.bad("key export --engine vllm --key east.key --out same.json --record same.json")
            .contains("--record")
    );
    let before = desk.read("vllm.record");
    desk.bad("key export --engine sglang --key east.key --out vllm.json --record fresh.record");
    assert_eq!(desk.read("vllm.record"), before);
    // The same key gives the same file; no file is replaced.
    desk.good("key export --engine vllm --key east.key --out again.json");
    assert_eq!(desk.read("again.json"), desk.read("vllm.json"));
    assert!(
        desk.bad("key export --engine vllm --key east.key --out vllm.json")
            .contains("exists already")
    );
    assert!(
        desk.bad("key export --engine llama-cpp --key east.key --out x.json")
            .contains("no mark of its own")
    );
    assert!(
        desk.bad("key export --engine tgi --key east.key --out x.json")
            .contains("vllm-dual")
    );
}

#[test]
fn a_key_in_use_is_taken_in_and_scanned_for() {
    let desk = Desk::empty();
    vectors(&desk, "vllm-gumbel");
    desk.good("key import --format vllm-gumbel --config engine.json --name prod --out prod.jsonl");
    assert_eq!(mode(&desk.path("prod.jsonl")), 0o600);
    let ran = desk.good("scan --keys prod.jsonl --input rows.jsonl --json");
    assert_eq!(rows(&ran.stdout)[0]["key"], "prod");
    assert!(
        desk.bad(
            "key import --format sglang-gumbel --config engine.json --name prod --out x.jsonl"
        )
        .contains("key")
    );
}

#[test]
fn mistakes_with_other_systems_marks_say_what_to_do() {
    let desk = Desk::empty();
    vectors(&desk, "vllm-gumbel");
    private(&desk, "kgw.json", r#"{"hashing_key": 987654321}"#);
    private(
        &desk,
        "typo.json",
        r#"{"key": 987654321, "context_with": 2}"#,
    );
    private(&desk, "cut.json", r#"{"key": 987654"#);
    let detect = |format: &str, config: &str| {
        desk.bad(&format!(
            "detect --format {format} --format-config {config} --input rows.jsonl"
        ))
    };
    assert!(detect("kgw", "engine.json").contains("hf-kgw-lefthash"));
    assert!(detect("hf-kgw-lefthash", "kgw.json").contains("vocab_size"));
    assert!(detect("vllm-gumbel", "typo.json").contains("context_with"));
    let cut = detect("vllm-gumbel", "cut.json");
    assert!(
        cut.contains("ends too early") && !cut.contains("987654"),
        "{cut}"
    );
    assert!(detect("vllm-gumbel", "gone.json").contains("gone.json"));
    desk.write("placeholders.jsonl", r#"{"id":1,"tokens":[5,-1,-1]}"#);
    let said = desk
        .bad("detect --format vllm-gumbel --format-config engine.json --input placeholders.jsonl");
    assert!(said.contains("not sampled yet"), "{said}");
    desk.write("text.jsonl", r#"{"id":1,"response":"words"}"#);
    let said =
        desk.bad("detect --format vllm-gumbel --format-config engine.json --input text.jsonl");
    assert!(said.contains("--tokenizer"), "{said}");
    let ran = desk.run("detect --format vllm-gumbel --format-config engine.json --input text.jsonl --tokenizer cl100k_base");
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    private(&desk, "keys.jsonl", "{\"key\": 1}\nnot json 987654321\n");
    let said = desk.bad("scan --keys keys.jsonl --input rows.jsonl");
    assert!(
        said.contains("line 2") && !said.contains("987654321"),
        "{said}"
    );
    let scan = |entry: &str, formats: &str| {
        private(&desk, "keys.jsonl", entry);
        desk.run(&format!(
            "scan --keys keys.jsonl --formats {formats} --input rows.jsonl"
        ))
    };
    // What cannot be tried is said; what nobody knows is an error; where nothing could be read there is no answer.
    let ran = scan(r#"{"key": 12345}"#, "all");
    assert!(
        ran.code == 1 && ran.stderr.contains("not tried") && ran.stderr.contains("vocab_size"),
        "{}",
        ran.stderr
    );
    let ran = scan(r#"{"key": 12345, "context_widht": 2}"#, "all");
    assert!(
        ran.code == 2 && ran.stderr.contains("context_widht"),
        "{}",
        ran.stderr
    );
    let ran = scan(r#"{"key": 12345, "vocab_size": 10}"#, "hf-kgw-lefthash");
    assert!(
        ran.code == 2 && ran.stderr.contains("token"),
        "{}",
        ran.stderr
    );
    let ran = scan(r#"{"key": 1.5}"#, "all");
    assert!(
        ran.code == 2 && ran.stderr.contains("no format takes"),
        "{}",
        ran.stderr
    );
    let ran = scan(r#"{"key": 5, "gamma": 1e-300}"#, "textseal-greenlist");
    assert!(
        ran.code == 2 && ran.stderr.contains("green"),
        "{}",
        ran.stderr
    );
    assert_eq!(scan(r#"{"key": 1}"#, "all,nosuch").code, 2);
}

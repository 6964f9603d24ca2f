//! Keys appear in the files made for them and nowhere else.

use serde_json::Value;

use crate::{Desk, GENERATE};

#[test]
fn no_output_error_or_file_holds_a_key() {
    let desk = Desk::ready();
    let secret = |name: &str| {
        serde_json::from_str::<Value>(&desk.read(name)).unwrap()["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let secrets: Vec<String> = ["root.key", "east.key", "a.key"].map(secret).to_vec();
    let mut said = String::new();
    for arguments in [
        "key commit --root root.key --epoch 2026-12 --out epoch.json",
        "key derive --root root.key --path 2026-12/account/b --out b.key",
        "key derive --root root.key --path 2026-12/account --out b.key",
        "detect --key east.key --record mark.json --input marked.jsonl --json",
        "detect --key a.key --record mark.json --input marked.jsonl",
        "detect --key root.key --record mark.json --input marked.jsonl",
        // Key files given where other files are expected.
        "detect --key east.key --record east.key --input marked.jsonl",
        "detect --key east.key --record mark.json --input east.key",
        "detect --key east.key --record mark.json --text root.key --json",
        "generate --model east.key --plain --prompts prompts.jsonl --out o.jsonl",
        "generate --model smollm2-135m --plain --prompts east.key --out o.jsonl",
        &format!("{GENERATE} --key root.key --out o.jsonl --record r.json"),
        &format!("{GENERATE} --key east.key --account-key a.key --out o.jsonl --record r.json"),
    ] {
        let ran = desk.run(arguments);
        said.push_str(&ran.stdout);
        said.push_str(&ran.stderr);
    }
    for name in desk.names().iter().filter(|name| !name.ends_with(".key")) {
        said.push_str(&desk.read(name));
    }
    for secret in secrets {
        let raw: Vec<u8> = (0..32)
            .map(|i| u8::from_str_radix(&secret[2 * i..2 * i + 2], 16).unwrap())
            .collect();
        // Eight hex digits are enough to know a key by.
        assert!(
            !said.contains(&secret[..8]) && !said.contains(&secret[56..]),
            "a key was printed"
        );
        assert!(
            !said.as_bytes().windows(8).any(|window| window == &raw[..8]),
            "a key was printed in the raw"
        );
    }
}

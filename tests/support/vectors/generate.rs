//! The scenarios, computed by the reference implementation.

use rand::Rng;
use serde_json::{Map, Value, json};
use taggant_reference as reference;

use super::{Scenario, Vector, hex, unhex};
use crate::{below, logits, reference as view, rng, zipf};

/// Roots, in hex.
const ROOTS: [&str; 3] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

/// Two sequences of three tokens with one identity, found by search: only such a pair tells comparing identities from comparing tokens.
const COLLISION: [[u32; 3]; 2] = [[1451, 2066, 21_296], [162, 2935, 0]];

/// Every vector file: its path under `tests/vectors/` and its text.
#[must_use]
pub fn all() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut add = |name: &str, case: &str, scenario: Scenario| {
        let vector = Vector {
            case: case.to_owned(),
            scenario,
        };
        let mut text = serde_json::to_string_pretty(&vector).unwrap();
        text.push('\n');
        files.push((format!("{name}.json"), compact(&text)));
    };

    add(
        "key/leaf-zero-root",
        "all-zero root",
        leaf(ROOTS[0], "forensic", "2026-12/campaign/east"),
    );
    add(
        "key/leaf-account",
        "an account under a counting root",
        leaf(ROOTS[1], "forensic", "2026-12/account/7f3a"),
    );
    add(
        "key/leaf-public",
        "the same path in the public family is another key",
        leaf(ROOTS[1], "public", "2026-12/account/7f3a"),
    );
    add(
        "key/leaf-longest",
        "labels of 64 bytes with every kind of character",
        {
            let label = format!("Z9._-{}", "a".repeat(59));
            leaf(ROOTS[2], "forensic", &format!("{label}/pseudonym/{label}"))
        },
    );
    add(
        "key/epoch-empty",
        "no named leaf: 999 controls and 1,049 decoys",
        epoch(ROOTS[1], "2026-12", &[]),
    );
    add(
        "key/epoch-two",
        "a campaign and an account",
        epoch(ROOTS[1], "2026-12", &["campaign/east", "account/7f3a"]),
    );

    add(
        "twins/five",
        "five drafts, two of them equal, one empty",
        twins(ROOTS[1], "x1", "7f3a", &["one", "two", "one", "", "dräft"]),
    );
    add(
        "twins/single",
        "one draft and no account: nothing to choose",
        twins(ROOTS[2], "交換", "", &["one"]),
    );

    for window in 1..=8 {
        let name = format!("prf/window-{window}");
        add(
            &name,
            &format!(
                "{window} tokens: {} AES blocks",
                (window + 1_usize).div_ceil(4)
            ),
            words(window),
        );
    }

    for (name, tokens) in [
        ("one", vec![0]),
        ("two", vec![318, 257]),
        ("three-largest", vec![2_097_151; 3]),
        (
            "nine",
            vec![1, 20, 300, 4000, 50_000, 600_000, 2_097_151, 8, 9],
        ),
        ("collision-a", COLLISION[0].to_vec()),
        ("collision-b", COLLISION[1].to_vec()),
    ] {
        let identity = hex(&reference::identity(&tokens).to_be_bytes());
        add(
            &format!("identity/{name}"),
            "identity of a sequence",
            Scenario::Identity { tokens, identity },
        );
    }

    for (scheme, fields) in schemes() {
        for (windows, layers) in [
            (vec![1], "one"),
            (vec![2], "one"),
            (vec![4], "one"),
            (vec![2, 2], "two"),
            (vec![1, 3], "two"),
        ] {
            let shape: Vec<_> = windows.iter().map(ToString::to_string).collect();
            let name = format!("detection/{scheme}-{}", shape.join("-"));
            let case = format!(
                "{layers} layer(s); repeats, prompts, a row shorter than the window and an empty row"
            );
            add(
                &name,
                &case,
                detection(&fields, &windows, rows(u64::from(windows.len() == 2))),
            );
        }
        add(
            &format!("embedding/{scheme}"),
            "a vocabulary of 23 tokens, two of them impossible",
            embedding(&fields),
        );
    }
    let crossing = vec![
        (vec![5, 6, 7], vec![7, 8, 5, 6, 9]),
        (vec![5, 6], vec![1, 2, 6, 1, 3]),
        (vec![], vec![1, 1, 1, 1, 1]),
    ];
    add(
        "detection/prompt-boundary",
        "windows of the prompt, and those that straddle its end, are not scored",
        detection(&schemes()[0].1, &[2], crossing),
    );
    let colliding = vec![
        (vec![], COLLISION[0].to_vec()),
        (vec![], COLLISION[1].to_vec()),
    ];
    add(
        "detection/colliding-units",
        "two units with one identity count once in the pool",
        detection(&schemes()[0].1, &[2], colliding),
    );

    add(
        "digest/gaps",
        "an id without entry, padding entries inside and at the end, and one that is padding for another id",
        {
            let tokens = [
                "a", "Ġ", "t", "h", "e", "Ġt", "he", "Ġthe", "", "[PAD9]", "[PAD11]", "Ã©",
                "[PAD12]", "",
            ];
            let tokens = tokens
                .iter()
                .map(|token| (!token.is_empty()).then(|| (*token).to_owned()))
                .collect();
            digest(tokens, &[("Ġ", "t"), ("h", "e"), ("Ġt", "he")])
        },
    );
    add(
        "digest/no-merges",
        "a tokenizer without merges",
        digest(vec![Some("x".to_owned()), Some("y".to_owned())], &[]),
    );

    for (name, case, expect, text) in records() {
        add(
            &format!("record/{name}"),
            case,
            Scenario::Record {
                expect: expect.to_owned(),
                text,
            },
        );
    }
    for (name, case, expect, text) in key_files() {
        add(
            &format!("key-file/{name}"),
            case,
            Scenario::KeyFile {
                expect: expect.to_owned(),
                text,
            },
        );
    }
    files
}

/// Arrays of plain numbers on one line: a person reads the file.
fn compact(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        out.push_str(line);
        if line.trim_end().ends_with('[') {
            let mut inner = Vec::new();
            let number = |line: &str| line.trim().trim_end_matches(',').parse::<f64>().is_ok();
            while let Some(line) = lines.next_if(|line| number(line)) {
                inner.push(line.trim().to_owned());
            }
            if !inner.is_empty() {
                out.push_str(&inner.join(" "));
                if let Some(close) = lines.next() {
                    out.push_str(close.trim());
                }
            }
        }
        out.push('\n');
    }
    out
}

fn leaf(root: &str, family: &str, path: &str) -> Scenario {
    let labels: Vec<&str> = path.split('/').collect();
    let leaf = reference::derive(&unhex(root), family, labels[0], labels[1], labels[2]);
    Scenario::Leaf {
        root: root.to_owned(),
        family: family.to_owned(),
        path: path.to_owned(),
        key: hex(&leaf.key),
        salt: hex(&leaf.salt),
        commitment: hex(&reference::commitment(&leaf)),
    }
}

fn epoch(root: &str, epoch: &str, named: &[&str]) -> Scenario {
    let pairs: Vec<(&str, &str)> = named
        .iter()
        .map(|leaf| leaf.split_once('/').unwrap())
        .collect();
    let leaves = reference::epoch_leaves(&unhex(root), "forensic", epoch, &pairs);
    Scenario::Epoch {
        root: root.to_owned(),
        epoch: epoch.to_owned(),
        named: named.iter().map(|leaf| format!("{epoch}/{leaf}")).collect(),
        size: leaves.len(),
        tree: hex(&reference::tree_root(&leaves)),
    }
}

fn twins(root: &str, id: &str, account: &str, drafts: &[&str]) -> Scenario {
    let leaf = reference::derive(&unhex(root), "forensic", "e", "twin", "t");
    let salts: Vec<[u8; 32]> = (0..drafts.len())
        .map(|j| reference::twin_salt(&leaf.salt, id.as_bytes(), j))
        .collect();
    let commitments: Vec<[u8; 32]> = drafts
        .iter()
        .zip(&salts)
        .enumerate()
        .map(|(j, (draft, salt))| {
            let draft = reference::Draft::Text((*draft).to_owned());
            reference::twin_commitment(id.as_bytes(), j, salt, &draft)
        })
        .collect();
    Scenario::Twins {
        root: root.to_owned(),
        id: id.to_owned(),
        account: account.to_owned(),
        drafts: drafts.iter().map(|draft| (*draft).to_owned()).collect(),
        served: reference::served(&leaf.key, id.as_bytes(), drafts.len()) as u32,
        salts: salts.iter().map(|salt| hex(salt)).collect(),
        twins: commitments.iter().map(|twin| hex(twin)).collect(),
        commitment: hex(&reference::exchange_commitment(
            id.as_bytes(),
            account.as_bytes(),
            &commitments,
        )),
        decoys: (0..8)
            .map(|i| reference::decoy_choice(7, i, 3, drafts.len()) as u32)
            .collect(),
    }
}

fn words(length: usize) -> Scenario {
    let mut rng = rng(100 + length as u64);
    let mut key = [0; 16];
    rng.fill_bytes(&mut key);
    let window: Vec<u32> = (0..length).map(|_| below(&mut rng, 1 << 21)).collect();
    let candidates = [0, 1, 2, 3, 4, 922, 49_151, 128_255, (1 << 21) - 1];
    Scenario::Words {
        key: hex(&key),
        context: reference::context_word(&key, &window),
        words: candidates
            .map(|candidate| (candidate, reference::word(&key, &window, candidate)))
            .to_vec(),
        window,
    }
}

fn schemes() -> [(&'static str, Map<String, Value>); 3] {
    let fields = |value: Value| value.as_object().unwrap().clone();
    [
        ("gumbel", fields(json!({"id": "gumbel/1"}))),
        (
            "tournament",
            fields(json!({"id": "tournament/1", "depth": 12})),
        ),
        (
            "greenlist",
            fields(json!({"id": "greenlist/1", "threshold": 1_073_741_824, "delta": 2})),
        ),
    ]
}

fn rows(seed: u64) -> Vec<(Vec<u32>, Vec<u32>)> {
    let mut rng = rng(200 + seed);
    let prose = |rng: &mut _, length| zipf(rng, 40, length);
    vec![
        (vec![], prose(&mut rng, 60)),
        (prose(&mut rng, 20), prose(&mut rng, 40)),
        (vec![], vec![7; 12]),
        (vec![3, 1, 2], vec![4]),
        (vec![9, 9], vec![]),
        (vec![], zipf(&mut rng, 49_152, 30)),
    ]
}

fn detection(
    fields: &Map<String, Value>,
    windows: &[usize],
    rows: Vec<(Vec<u32>, Vec<u32>)>,
) -> Scenario {
    let mark = view::mark(ROOTS[1], fields, windows);
    let word = |row: usize, position: usize, layer: usize| {
        reference::unit_word(&mark, layer, &rows[row].1, position)
    };
    let units: Vec<Vec<(usize, usize, u32)>> = rows
        .iter()
        .enumerate()
        .map(|(row, (prompt, response))| {
            let scored = reference::scored(&mark, prompt, response);
            scored
                .into_iter()
                .map(|(position, layer)| (position, layer, word(row, position, layer)))
                .collect()
        })
        .collect();
    let total = |words: &mut dyn Iterator<Item = u32>| {
        words.map(|word| reference::score(&mark.scheme, word)).sum()
    };
    let scores = units
        .iter()
        .map(|units| total(&mut units.iter().map(|&(_, _, word)| word)))
        .collect();
    let pool = reference::pooled(&mark, &rows);
    Scenario::Detection {
        root: ROOTS[1].to_owned(),
        scheme: fields.clone(),
        windows: windows.to_vec(),
        units,
        scores,
        pooled_units: pool.len(),
        pooled_score: total(
            &mut pool
                .iter()
                .map(|&(row, position, layer)| word(row, position, layer)),
        ),
        rows,
    }
}

fn embedding(fields: &Map<String, Value>) -> Scenario {
    let mark = view::mark(ROOTS[1], fields, &[2]);
    let mut logits = logits(&mut rng(300), 23, 2.0);
    logits[4] = f32::NEG_INFINITY;
    logits[22] = f32::NEG_INFINITY;
    let weights: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
    let total: f64 = weights.iter().sum();
    let p: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
    let window = [11, 13];
    let words: Vec<u32> = (0..23)
        .map(|token| reference::word(&mark.layers[0].prf_key, &window, token))
        .collect();
    let (chosen, probabilities) = match reference::reshape(&mark.scheme, &p, &words) {
        reference::Reshaped::Chosen(token) => (Some(token), None),
        reference::Reshaped::Weights(weights) => (None, Some(weights)),
    };
    // JSON has no infinity; a logit this low is as impossible.
    let logits = logits.iter().map(|&logit| logit.max(-1e30)).collect();
    Scenario::Embedding {
        root: ROOTS[1].to_owned(),
        scheme: fields.clone(),
        window: window.to_vec(),
        logits,
        chosen,
        probabilities,
    }
}

fn digest(tokens: Vec<Option<String>>, merges: &[(&str, &str)]) -> Scenario {
    let borrowed: Vec<Option<&str>> = tokens.iter().map(Option::as_deref).collect();
    let digest = hex(&reference::tokenizer_digest(&borrowed, merges));
    Scenario::Digest {
        tokens,
        merges: merges
            .iter()
            .map(|(left, right)| ((*left).to_owned(), (*right).to_owned()))
            .collect(),
        digest,
    }
}

type TextCase = (&'static str, &'static str, &'static str, String);

fn records() -> Vec<TextCase> {
    let key = "ab".repeat(32);
    let layer = |role: &str, window: usize| json!({"role": role, "window": window, "key": key});
    let record = |scheme: Value, layers: Vec<Value>| {
        json!({
            "format": "taggant-record/1", "scheme": scheme, "score": "sum", "layers": layers,
            "tokenizer": {"digest": key, "vocabulary": 49_152}
        })
    };
    let gumbel = || json!({"id": "gumbel/1"});
    let good = record(gumbel(), vec![layer("campaign", 2)]);
    let mut two = record(gumbel(), vec![layer("campaign", 2), layer("account", 3)]);
    two["route"] = json!({"share": 2_147_483_648_u32, "key": key});
    let with = |base: &Value, path: &str, value: Value| {
        let mut changed = base.clone();
        *changed.pointer_mut(path).unwrap() = value;
        changed
    };
    let mut extra = good.clone();
    extra["key"] = json!("00");
    let mut unrouted = two.clone();
    unrouted.as_object_mut().unwrap().remove("route");
    let text = |value: &Value| value.to_string();
    vec![
        ("one-layer", "the smallest record", "ok", text(&good)),
        ("two-layers", "campaign and account", "ok", text(&two)),
        (
            "greenlist",
            "parameters of a scheme",
            "ok",
            text(&record(
                json!({"id": "greenlist/1", "threshold": 1, "delta": 0.5}),
                vec![layer("account", 8)],
            )),
        ),
        (
            "future-format",
            "another version",
            "Record",
            text(&with(&good, "/format", json!("taggant-record/2"))),
        ),
        (
            "unknown-field",
            "a field nobody knows",
            "Record",
            text(&extra),
        ),
        (
            "repeated-field",
            "a scheme parameter twice",
            "Record",
            text(&good).replace(
                r#"{"id":"gumbel/1"}"#,
                r#"{"id":"tournament/1","depth":3,"depth":4}"#,
            ),
        ),
        (
            "unknown-scheme",
            "a scheme of another version",
            "Unsupported",
            text(&with(&good, "/scheme", json!({"id": "gumbel/9"}))),
        ),
        (
            "unknown-score",
            "a statistic of another version",
            "Unsupported",
            text(&with(&good, "/score", json!("best"))),
        ),
        (
            "unknown-parameter",
            "a parameter the scheme does not have",
            "Parameter",
            text(&with(
                &good,
                "/scheme",
                json!({"id": "gumbel/1", "depth": 3}),
            )),
        ),
        (
            "depth-33",
            "one past the limit",
            "Parameter",
            text(&with(
                &good,
                "/scheme",
                json!({"id": "tournament/1", "depth": 33}),
            )),
        ),
        (
            "depth-half",
            "not a whole number",
            "Parameter",
            text(&with(
                &good,
                "/scheme",
                json!({"id": "tournament/1", "depth": 2.5}),
            )),
        ),
        (
            "window-0",
            "no window",
            "Parameter",
            text(&with(&good, "/layers/0/window", json!(0))),
        ),
        (
            "window-9",
            "one past the limit",
            "Parameter",
            text(&with(&good, "/layers/0/window", json!(9))),
        ),
        (
            "short-key",
            "62 hex digits",
            "Record",
            text(&with(&good, "/layers/0/key", json!("ab".repeat(31)))),
        ),
        (
            "upper-case-key",
            "upper-case hex",
            "Record",
            text(&with(&good, "/layers/0/key", json!("AB".repeat(32)))),
        ),
        (
            "role-twin",
            "a role that cannot mark",
            "Key",
            text(&with(&good, "/layers/0/role", json!("twin"))),
        ),
        (
            "account-first",
            "layers in the wrong order",
            "Key",
            text(&with(
                &with(&two, "/layers/0/role", json!("account")),
                "/layers/1/role",
                json!("campaign"),
            )),
        ),
        (
            "two-layers-unrouted",
            "two layers without a route",
            "Key",
            text(&unrouted),
        ),
        (
            "account-window-shorter",
            "the account window does not hold the campaign's",
            "Parameter",
            text(&with(&two, "/layers/1/window", json!(1))),
        ),
        (
            "vocabulary-1",
            "too small a vocabulary",
            "Parameter",
            text(&with(&good, "/tokenizer/vocabulary", json!(1))),
        ),
        (
            "vocabulary-too-large",
            "one past 2^21",
            "Parameter",
            text(&with(&good, "/tokenizer/vocabulary", json!((1 << 21) + 1))),
        ),
        ("empty", "nothing", "Record", String::new()),
        (
            "truncated",
            "cut in the middle",
            "Record",
            text(&good)[..100].to_owned(),
        ),
        ("array", "not an object", "Record", "[]".to_owned()),
    ]
}

fn key_files() -> Vec<TextCase> {
    let hex = "0f".repeat(32);
    let file = |key: &str, path: &str| {
        format!(
            r#"{{"format":"taggant-key/1","family":"forensic","path":"{path}","salt":"{hex}","key":"{key}"}}"#
        )
    };
    let path = "2026-12/campaign/east";
    vec![
        ("good", "a key file", "ok", file(&hex, path)),
        (
            "good-newline",
            "with the line break that editors add",
            "ok",
            file(&hex, path) + "\n",
        ),
        ("short-key", "62 hex digits", "Key", file(&hex[2..], path)),
        (
            "long-key",
            "66 hex digits",
            "Key",
            file(&format!("{hex}00"), path),
        ),
        (
            "upper-case",
            "upper-case hex",
            "Key",
            file(&hex.to_uppercase(), path),
        ),
        (
            "not-hex",
            "a letter past f",
            "Key",
            file(&hex.replace('f', "g"), path),
        ),
        (
            "escaped",
            "an escape in the key",
            "Key",
            file(&format!("\\u0030{}", &hex[1..]), path),
        ),
        (
            "bad-path",
            "two labels",
            "Path",
            file(&hex, "2026-12/campaign"),
        ),
        (
            "family",
            "an unknown family",
            "Key",
            file(&hex, path).replace("forensic", "secret"),
        ),
        (
            "format",
            "another version",
            "Key",
            file(&hex, path).replace("taggant-key/1", "taggant-key/2"),
        ),
        (
            "unknown-field",
            "a field nobody knows",
            "Key",
            file(&hex, path).replace(r#","key""#, r#","note":"x","key""#),
        ),
        (
            "repeated-field",
            "two keys",
            "Key",
            file(&hex, path).replace('}', &format!(r#","key":"{hex}"}}"#)),
        ),
        (
            "truncated",
            "cut in the middle",
            "Key",
            file(&hex, path)[..90].to_owned(),
        ),
        ("empty", "nothing", "Key", String::new()),
        (
            "binary",
            "32 raw bytes, as some tools write keys",
            "Key",
            "\u{1}".repeat(32),
        ),
    ]
}

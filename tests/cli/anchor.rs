//! Commitments, their proofs of time, and the opening of one key.

use std::fs;
use std::path::Path;

use taggant_core::{Reveal, merkle};
use taggant_evidence::note::{Checkpoint, Note};
use taggant_evidence::tlog::{Proof, entry};
use taggant_evidence::{Digest, SigningKey};

use crate::case::python;
use crate::{Desk, mode};

/// Tokens that openssl's authorities gave over `file.txt`.
fn stamped() -> Desk {
    let desk = Desk::empty();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/evidence/tests/timestamp");
    for name in [
        "file.txt",
        "alpha.tsr",
        "alpha.token",
        "beta.tsr",
        "gone.tsr",
    ] {
        fs::copy(folder.join(name), desk.path(name)).unwrap();
    }
    let authority = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let log = key("log.example").public();
    let witness = key("witness.example").public().as_witness();
    desk.write(
        "trust.json",
        format!(
            r#"{{"format":"taggant-trust/1","authorities":[{},{}],"logs":["log {log}","witness w {witness}","quorum w"]}}"#,
            authority("alpha.json"),
            authority("beta.json")
        ),
    );
    desk
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(name, [u8::try_from(name.len()).unwrap(); 32]).unwrap()
}

/// A proof that `file.txt` is the second of three entries.
fn proof(desk: &Desk) -> String {
    let file = Digest::of(desk.read("file.txt").as_bytes());
    let leaves = [[1; 32].into(), file, [3; 32].into()].map(|digest| entry(&digest));
    let mut tree = merkle::Tree::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    let mut note = Note::new(&Checkpoint::of("log.example", &tree).unwrap().to_string()).unwrap();
    note.sign(&key("log.example"));
    note.cosign(
        &key("witness.example"),
        "2026-12-01T09:30:05.000Z".parse().unwrap(),
    );
    Proof::new(1, &merkle::inclusion(&leaves, 1).unwrap(), note).to_string()
}

#[test]
fn two_authorities_and_a_log_prove_when_a_file_existed() {
    let desk = stamped();
    desk.good("anchor request file.txt");
    assert_eq!(fs::read(desk.path("file.txt.tsq")).unwrap().len(), 59);

    desk.write("file.tlog-proof", proof(&desk));
    let whole = "anchor verify file.txt --trust trust.json --token alpha.tsr --token beta.tsr --proof file.tlog-proof";
    let ran = desk.good(whole);
    assert!(
        ran.stdout.contains("existed by 2026-11-25T")
            && ran.stdout.contains("entry 1 of 3 in log.example"),
        "{}",
        ran.stdout
    );
    let answer = &desk.good(&format!("{whole} --json")).json()[0];
    assert_eq!(
        (
            answer["stamps"].as_array().unwrap().len(),
            answer["missing"].as_array().unwrap().len()
        ),
        (2, 0)
    );

    // One voice, or no log, is an answer, and not enough.
    for (command, missing) in [
        (
            "anchor verify file.txt --trust trust.json --token alpha.tsr --token alpha.token --proof file.tlog-proof",
            "time-stamps of 1 more",
        ),
        (
            "anchor verify file.txt --trust trust.json --token alpha.tsr --token beta.tsr",
            "a tlog-proof",
        ),
        (
            "anchor verify file.txt --trust trust.json",
            "no time is proven",
        ),
    ] {
        let ran = desk.run(command);
        assert!(
            ran.code == 1 && ran.stdout.contains(missing),
            "{command}: {} {}",
            ran.stdout,
            ran.stderr
        );
    }
    // What does not hold is no answer.
    desk.write("other.txt", "something else\n");
    desk.write("bad.tlog-proof", proof(&desk).replace("index 1", "index 0"));
    desk.write(
        "trustless.json",
        r#"{"format":"taggant-trust/1","authorities":[]}"#,
    );
    for (command, part) in [
        (
            "anchor verify other.txt --trust trust.json --token alpha.tsr",
            "alpha.tsr: authority `alpha.example`: the token is over",
        ),
        (
            "anchor verify file.txt --trust trust.json --token gone.tsr",
            "none of the trust file's 2 authorities",
        ),
        (
            "anchor verify file.txt --trust trust.json --token trust.json",
            "not a time-stamp token",
        ),
        (
            "anchor verify file.txt --trust file.txt --token alpha.tsr",
            "not a trust file",
        ),
        (
            "anchor verify file.txt --trust trust.json --proof bad.tlog-proof",
            "does not hold",
        ),
        (
            "anchor verify other.txt --trust trust.json --proof file.tlog-proof",
            "does not hold",
        ),
        (
            "anchor verify file.txt --trust trustless.json --proof file.tlog-proof",
            "without `logs`",
        ),
        (
            "anchor verify file.txt --trust trust.json --proof file.txt",
            "not a tlog-proof",
        ),
        (
            "anchor verify missing.txt --trust trust.json",
            "missing.txt",
        ),
        ("anchor request missing.txt", "missing.txt"),
    ] {
        let ran = desk.run(command);
        assert!(
            ran.code == 2 && ran.stderr.contains(part),
            "{command}: {}",
            ran.stderr
        );
    }
    assert!(!desk.path("missing.txt.tsq").exists());
}

#[test]
fn one_committed_key_is_opened_and_nothing_else() {
    let desk = Desk::empty();
    desk.good("key new --out root.key");
    desk.good("key derive --root root.key --path 2026-12/campaign/east --out east.key");
    desk.good("key derive --root root.key --path 2026-12/account/7f3a --out account.key");
    desk.good("key commit --root root.key --epoch 2026-12 --out epoch.json");
    let ran = desk.good("key reveal --epoch epoch.json --key east.key --out reveal.json");
    assert!(
        ran.stderr.contains("2026-12/campaign/east") && ran.stderr.contains("of 2048"),
        "{}",
        ran.stderr
    );
    assert_eq!(mode(&desk.path("reveal.json")), 0o600);
    let reveal = Reveal::from_json(&desk.read("reveal.json")).unwrap();
    let root = base16ct::lower::encode_string(&reveal.root());
    assert!(
        desk.read("epoch.json")
            .contains(&format!("\"root\":\"{root}\""))
    );
    for (root, code) in [(&root[..], 0), (&"0".repeat(64), 1), ("x", 1)] {
        let checked = python(&["reveal", "reveal.json", root], &desk);
        assert_eq!(checked.status.code(), Some(code));
    }
    desk.write(
        "moved.json",
        desk.read("reveal.json")
            .replace("\"index\":", "\"index\":1"),
    );
    // What the first verifier refuses, the second does not take for the committed key.
    let opened: serde_json::Value = desk.read("reveal.json").parse().unwrap();
    let (salt, key) = (
        opened["salt"].as_str().unwrap(),
        opened["key"].as_str().unwrap(),
    );
    for (from, to) in [
        (
            format!("\"salt\":\"{salt}\",\"key\":\"{key}\""),
            format!(
                "\"salt\":\"{}\",\"key\":\"{}{key}\"",
                &salt[..62],
                &salt[62..]
            ),
        ),
        (
            format!("\"salt\":\"{salt}\",\"key\":\"{key}\""),
            format!("\"salt\":\"{salt}{key}\",\"key\":\"\""),
        ),
        (
            "\"forensic\",\"path\":\"2026-12/".to_owned(),
            "\"forensic/2026-12\",\"path\":\"".to_owned(),
        ),
        (key.to_owned(), key.to_uppercase()),
        ("2048".to_owned(), "2048.0".to_owned()),
        ("\"index\"".to_owned(), "\"more\":1,\"index\"".to_owned()),
    ] {
        let forged = desk.read("reveal.json").replace(&from, &to);
        assert!(Reveal::from_json(&forged).is_err(), "{from}");
        desk.write("forged.json", forged);
        let checked = python(&["reveal", "forged.json", &root], &desk);
        assert_eq!(checked.status.code(), Some(2), "{from}");
    }
    let moved = python(&["reveal", "moved.json", &root], &desk);
    assert!(moved.status.code() == Some(1) && Reveal::from_json(&desk.read("moved.json")).is_err());
    // K-3: no root, no sibling.
    let text = desk.read("reveal.json");
    for other in ["root.key", "account.key"] {
        let secret: serde_json::Value = serde_json::from_str(&desk.read(other)).unwrap();
        assert!(!text.contains(secret["key"].as_str().unwrap()));
    }

    desk.good("key derive --root root.key --path 2026-12/campaign/late --out late.key");
    desk.good("key derive --root root.key --path 2027-01/campaign/east --out next.key");
    for (command, part) in [
        (
            "key reveal --epoch epoch.json --key late.key --out late.json",
            "does not commit to the forensic key 2026-12/campaign/late",
        ),
        (
            "key reveal --epoch epoch.json --key next.key --out next.json",
            "does not commit",
        ),
        (
            "key reveal --epoch east.key --key east.key --out x.json",
            "not an epoch commitment",
        ),
        (
            "key reveal --epoch epoch.json --key root.key --out x.json",
            "not a key file",
        ),
        (
            "key reveal --epoch epoch.json --key east.key --out reveal.json",
            "reveal.json",
        ),
    ] {
        let ran = desk.run(command);
        assert!(
            ran.code == 2 && ran.stderr.contains(part),
            "{command}: {}",
            ran.stderr
        );
    }
    assert_eq!(desk.read("reveal.json"), text);
}

/// A log of one's own: entered once, proven for each, and refused when its past was changed.
#[test]
fn a_log_of_plain_files_proves_what_was_entered_and_only_grows() {
    let desk = stamped();
    desk.write("a.json", "1\n");
    desk.write("b.json", "2\n");
    let public = desk
        .good("case signer --name log.example/case-1 --out log.key")
        .stdout;
    desk.write(
        "log-trust.json",
        format!(
            r#"{{"format":"taggant-trust/1","authorities":[],"logs":["log {}","quorum none"]}}"#,
            public.trim()
        ),
    );
    desk.good("anchor enter a.json --log case.log --key log.key");
    let ran = desk.good("anchor enter a.json b.json file.txt --log case.log --key log.key");
    assert!(
        ran.stderr.contains("3 entries, 2 of them new"),
        "{}",
        ran.stderr
    );
    for (file, entry) in [
        ("a.json", "entry 0 of 3"),
        ("b.json", "entry 1 of 3"),
        ("file.txt", "entry 2 of 3"),
    ] {
        let ran = desk.run(&format!(
            "anchor verify {file} --trust log-trust.json --proof {file}.tlog-proof"
        ));
        assert!(
            ran.code == 1 && ran.stdout.contains(entry),
            "{}{}",
            ran.stdout,
            ran.stderr
        );
    }
    let ran = desk.run("anchor enter missing.json --log none.log --key log.key");
    assert!(
        ran.code == 2 && ran.stderr.contains("missing.json") && !desk.path("none.log").exists()
    );
    let whole = desk.read("case.log");
    let mut lines: Vec<&str> = whole.lines().collect();
    let refused = |text: String, part: &str| {
        desk.write("case.log", &text);
        let ran = desk.run("anchor enter b.json --log case.log --key log.key");
        assert!(ran.code == 2 && ran.stderr.contains(part), "{}", ran.stderr);
        assert_eq!(desk.read("case.log"), text);
    };
    // P-4: a plan taken out, replaced or moved.
    refused(format!("{}\n{}\n", lines[0], lines[2]), "do not continue");
    refused(
        format!("{}\n{}\n{}\n", lines[0], "0".repeat(64), lines[2]),
        "do not continue",
    );
    lines.reverse();
    refused(format!("{}\n", lines.join("\n")), "do not continue");
    refused(whole[..100].to_owned(), "line 2");
    desk.write("case.log", &whole);
    desk.good("case signer --name log.example/case-2 --out other.key");
    let ran = desk.run("anchor enter b.json --log case.log --key other.key");
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    fs::remove_file(desk.path("case.log.note")).unwrap();
    let ran = desk.run("anchor enter b.json --log case.log --key log.key");
    assert!(
        ran.code == 2 && ran.stderr.contains("bring the head back"),
        "{}",
        ran.stderr
    );
}

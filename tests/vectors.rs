//! Every vector file, read by core and by the reference implementation; and the files are what the generator writes.

use std::fs;
use std::path::{Path, PathBuf};

use taggant_core::hazmat::Prf;
use taggant_core::schemes::Parameters;
use taggant_core::twin::{Draft, TwinDecoys};
use taggant_core::window::identity;
use taggant_core::{
    Candidates, Epoch, Family, LeafKey, Mark, Path as KeyPath, Record, Reshaped, RootKey, Scratch,
    TokenizerId, TwinKey,
};
use taggant_detector::{Detector, Response};
use taggant_reference as reference;
use taggant_tests::vectors::{Scenario, Vector, generate, hex, unhex};
use taggant_text::Tokenizer;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

#[test]
fn the_files_are_what_the_generator_writes() {
    let mut expected: Vec<_> = generate::all()
        .into_iter()
        .map(|(name, text)| (folder().join(name), text))
        .collect();
    expected.sort();
    for (path, text) in &expected {
        let found = fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == *text,
            "{} differs; run: cargo run --release -p taggant-tests --bin generate-vectors",
            path.display()
        );
    }
    let known = |path: &PathBuf| expected.iter().any(|(expected, _)| expected == path);
    let strays: Vec<_> = files().into_iter().filter(|path| !known(path)).collect();
    assert!(
        strays.is_empty(),
        "not written by the generator: {strays:?}"
    );
}

/// Vector files of this suite; `vectors/text/` belongs to the text crate, `vectors/tails/` to the detector.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("text") && !path.ends_with("tails") {
            files.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    files
}

#[test]
fn core_agrees_with_every_vector() {
    let files = files();
    assert!(files.len() > 60, "only {} vectors were found", files.len());
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let vector: Vector = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("{}: {}", path.display(), vector.case);
        check(vector.scenario);
    }
}

fn check(scenario: Scenario) {
    match scenario {
        Scenario::Leaf {
            root,
            family,
            path,
            key,
            salt,
            commitment,
        } => {
            let family: Family = family.parse().unwrap();
            let leaf = RootKey::in_family(family, unhex(&root)).derive(&path.parse().unwrap());
            assert_eq!(hex(&leaf.commitment()), commitment);
            let file = leaf.to_json();
            let expected = format!(
                r#"{{"format":"taggant-key/1","family":"{}","path":"{path}","salt":"{salt}","key":"{key}"}}"#,
                family.name()
            );
            assert!(*file == expected, "the key file differs");
            assert!(LeafKey::from_json(&file).unwrap() == leaf);
        }
        Scenario::Epoch {
            root,
            epoch,
            named,
            size,
            tree,
        } => {
            let named: Vec<KeyPath> = named.iter().map(|path| path.parse().unwrap()).collect();
            let epoch = Epoch::commit(&RootKey::from_bytes(unhex(&root)), &epoch, &named).unwrap();
            assert_eq!((epoch.leaves().len(), hex(&epoch.root())), (size, tree));
        }
        Scenario::Twins {
            root,
            id,
            account,
            drafts,
            served,
            salts,
            twins,
            commitment,
            decoys,
        } => {
            let leaf = RootKey::from_bytes(unhex(&root)).derive(&"e/twin/t".parse().unwrap());
            let texts: Vec<Draft<'_>> = drafts.iter().map(|draft| Draft::Text(draft)).collect();
            let sealed = TwinKey::new(&leaf)
                .unwrap()
                .seal(id.as_bytes(), account.as_bytes(), &texts)
                .unwrap();
            assert_eq!(
                (sealed.served, hex(&sealed.commitment)),
                (served, commitment)
            );
            for (twin, (salt, commitment)) in sealed.twins.iter().zip(salts.iter().zip(&twins)) {
                assert_eq!(
                    (&hex(&twin.salt), &hex(&twin.commitment)),
                    (salt, commitment)
                );
            }
            let source = TwinDecoys::new(7);
            let drafts = u32::try_from(drafts.len()).unwrap();
            let choices: Vec<u32> = (0..8).map(|i| source.serve(i, 3, drafts)).collect();
            assert_eq!(choices, decoys);
        }
        Scenario::Words {
            key,
            window,
            context,
            words,
        } => {
            let prf = Prf::new(&unhex(&key), window.len());
            assert_eq!(prf.context(&window), context);
            let (tokens, expected): (Vec<u32>, Vec<u32>) = words.into_iter().unzip();
            let one_by_one: Vec<u32> = tokens
                .iter()
                .map(|&token| prf.word(&window, token))
                .collect();
            let mut together = vec![0; tokens.len()];
            prf.candidates(&window, &tokens, &mut together);
            assert_eq!((&one_by_one, &together), (&expected, &expected));
        }
        Scenario::Identity {
            tokens,
            identity: expected,
        } => {
            assert_eq!(hex(&identity(&tokens).to_be_bytes()), expected);
            assert_eq!(hex(&reference::identity(&tokens).to_be_bytes()), expected);
        }
        Scenario::Detection { .. } => detection(scenario),
        Scenario::Embedding {
            root,
            scheme,
            window,
            logits,
            chosen,
            probabilities,
        } => {
            let (keys, record) = mark(&root, &scheme, &[window.len()], logits.len());
            let mark = Mark::new(&record, &[&keys[0]]).unwrap();
            let mut scratch = Scratch::default();
            let candidates = Candidates::all(&logits, 1.0).unwrap();
            let reshaped = mark.layers()[0]
                .scheme()
                .unwrap()
                .reshape(&window, &candidates, &mut scratch)
                .unwrap();
            match (reshaped, chosen, probabilities) {
                (Reshaped::Chosen(found), Some(expected), None) => assert_eq!(found, expected),
                (Reshaped::Weights, None, Some(expected)) => {
                    let total: f64 = scratch.weights.iter().copied().map(f64::from).sum();
                    for (found, expected) in scratch.weights.iter().zip(expected) {
                        // Single precision over a dozen rounds.
                        assert!(
                            (f64::from(*found) / total - expected).abs() < 2e-6,
                            "{found} {expected}"
                        );
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        Scenario::Digest {
            tokens,
            merges,
            digest,
        } => {
            // As a tokenizer.json says it: ids without an entry are simply missing.
            let entries = tokens
                .iter()
                .enumerate()
                .filter_map(|(id, token)| Some((token.clone()?, id.into())));
            let vocab: serde_json::Map<String, serde_json::Value> = entries.collect();
            let json = serde_json::json!({
                "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
                "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
                "model": {"type": "BPE", "vocab": vocab, "merges": merges},
            });
            let tokenizer = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
            assert_eq!(hex(&tokenizer.digest()), digest);
        }
        Scenario::Record { expect, text } => {
            let found = Record::from_json(&text).map(|record| {
                let again = Record::from_json(&record.to_json()).unwrap();
                assert_eq!(record, again);
            });
            assert_eq!(
                found.map_or_else(|error| format!("{:?}", error.kind()), |()| "ok".to_owned()),
                expect
            );
        }
        Scenario::KeyFile { expect, text } => {
            let found = LeafKey::from_json(&text);
            if let Err(error) = &found {
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains("0f0f"), "the error quotes the key: {shown}");
            }
            assert_eq!(
                found.map_or_else(|error| format!("{:?}", error.kind()), |_| "ok".to_owned()),
                expect
            );
        }
    }
}

fn mark(
    root: &str,
    scheme: &serde_json::Map<String, serde_json::Value>,
    windows: &[usize],
    vocabulary: usize,
) -> (Vec<LeafKey>, Record) {
    let root = RootKey::from_bytes(unhex(root));
    let paths = ["e/campaign/c", "e/account/a"];
    let keys: Vec<LeafKey> = paths
        .iter()
        .take(windows.len())
        .map(|path| root.derive(&path.parse().unwrap()))
        .collect();
    let parameters: Vec<(&str, f64)> = scheme
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?)))
        .collect();
    let parameters = Parameters::new(scheme["id"].as_str().unwrap(), &parameters).unwrap();
    let borrowed: Vec<&LeafKey> = keys.iter().collect();
    let tokenizer = TokenizerId::new([7; 32], vocabulary).unwrap();
    let record = Record::new(parameters, windows[0], &borrowed, tokenizer).unwrap();
    // Layers with different windows have no constructor; a record file can say them.
    let mut json: serde_json::Value = serde_json::from_str(&record.to_json()).unwrap();
    for (layer, &window) in windows.iter().enumerate() {
        json["layers"][layer]["window"] = window.into();
    }
    (keys, Record::from_json(&json.to_string()).unwrap())
}

fn detection(scenario: Scenario) {
    let Scenario::Detection {
        root,
        scheme,
        windows,
        rows,
        units,
        scores,
        pooled_units,
        pooled_score,
    } = scenario
    else {
        return;
    };
    let (keys, record) = mark(&root, &scheme, &windows, 1 << 21);
    let borrowed: Vec<&LeafKey> = keys.iter().collect();
    let mark = Mark::new(&record, &borrowed).unwrap();
    let mut detector = Detector::new(&record, &borrowed).unwrap();
    for ((prompt, response), (units, score)) in rows.iter().zip(units.iter().zip(scores)) {
        for &(position, layer, word) in units {
            assert_eq!(mark.partition().owner(response, position), Some(layer));
            let mut found = [0];
            let scheme = mark.layers()[layer].scheme().unwrap();
            scheme.words(response, &[u32::try_from(position).unwrap()], &mut found);
            assert_eq!(found[0], word, "word at {position}");
        }
        let report = detector
            .row(&Response::ids(response).with_prompt(prompt))
            .unwrap();
        assert_eq!(report.units, units.len() as u64);
        assert!(close(report.score, score), "{} {score}", report.score);
    }
    let pooled = detector.pooled();
    assert_eq!(pooled.units, pooled_units as u64);
    assert!(
        close(pooled.score, pooled_score),
        "{} {pooled_score}",
        pooled.score
    );
}

/// Sums of logarithms in another order.
fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-12 * expected.abs().max(1.0)
}

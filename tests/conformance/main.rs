//! What every scheme must do, on toy logits: each native scheme × windows × layers goes through the same contract.

mod canary;

use std::sync::Arc;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use taggant_core::TwinKey;
use taggant_core::schemes::{self, Parameters};
use taggant_core::twin::{self, Draft};
use taggant_core::{ErrorKind, LeafKey, Mark, Record, Role, Score};
use taggant_detector::{Collector, Detector, Reason, Response, Source, Verdict, detect};
use taggant_reference as reference;
use taggant_tests::vectors::hex;
use taggant_tests::{account_key, below, campaign_key, logits, rng, root, tokenizer, zipf};
use taggant_watermark::{Sampler, Sampling, Stream};

const VOCABULARY: usize = 500;

/// One way to mark.
struct Case {
    name: String,
    keys: Vec<LeafKey>,
    record: Record,
}

impl Case {
    fn keys(&self) -> Vec<&LeafKey> {
        self.keys.iter().collect()
    }

    fn mark(&self) -> Arc<Mark> {
        Arc::new(Mark::new(&self.record, &self.keys()).unwrap())
    }

    /// A response of `length` tokens from toy logits, every token drawn anew from the same few shapes of distribution.
    fn write(&self, length: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let mut sampler = Sampler::new(Sampling::default()).unwrap();
        let mut stream = Stream::new(self.mark()).unwrap();
        for _ in 0..length {
            let logits = logits(rng, VOCABULARY, 2.0);
            sampler.select(&mut stream, &logits, rng).unwrap();
        }
        stream.tokens().to_vec()
    }
}

/// Every native scheme with one layer of each window and with two layers.
fn cases(rng: &mut ChaCha8Rng) -> Vec<Case> {
    let mut cases = Vec::new();
    for definition in schemes::ALL {
        for (window, layers) in [(1, 1), (2, 1), (3, 1), (4, 1), (8, 1), (2, 2), (4, 2)] {
            let keys: Vec<LeafKey> = [campaign_key(rng), account_key(rng)]
                .into_iter()
                .take(layers)
                .collect();
            let borrowed: Vec<&LeafKey> = keys.iter().collect();
            let parameters = Parameters::new(definition.id, &[]).unwrap();
            let record = Record::new(parameters, window, &borrowed, tokenizer(VOCABULARY)).unwrap();
            cases.push(Case {
                name: format!("{} window {window} layers {layers}", definition.id),
                keys,
                record,
            });
        }
    }
    cases
}

#[test]
fn keys_for_other_systems_are_those_of_the_specification() {
    let bytes = [9; 32];
    let key =
        taggant_core::RootKey::from_bytes(bytes).derive(&"2026-12/campaign/east".parse().unwrap());
    let leaf = reference::derive(&bytes, "forensic", "2026-12", "campaign", "east");
    for (format, number) in [("vllm-gumbel", 0), ("hf-synthid", 0), ("hf-synthid", 29)] {
        assert_eq!(
            *key.engine_key(format, number).unwrap(),
            reference::engine_key(&leaf, format, number)
        );
    }
    assert_eq!(
        key.engine_key("no label", 0).unwrap_err().kind(),
        ErrorKind::Path
    );
}

#[test]
fn marked_text_is_found_by_its_keys_and_by_no_other() {
    let mut rng = rng(1);
    for case in cases(&mut rng) {
        let text = case.write(400, &mut rng);
        let report = detect(&case.record, &case.keys(), [Response::ids(&text)], 1e-6).unwrap();
        println!(
            "{}: {} units, p = {}",
            case.name, report.units, report.p_value
        );
        assert_eq!(report.verdict, Verdict::Detected, "{}", case.name);

        // From the serialized record alone, as another process would.
        let record = Record::from_json(&case.record.to_json()).unwrap();
        assert_eq!(
            detect(&record, &case.keys(), [Response::ids(&text)], 1e-6).unwrap(),
            report
        );

        for _ in 0..5 {
            let others: Vec<LeafKey> = [campaign_key(&mut rng), account_key(&mut rng)]
                .into_iter()
                .take(case.keys.len())
                .collect();
            let others: Vec<&LeafKey> = others.iter().collect();
            let mut control = Detector::control(&case.record, &others).unwrap();
            let report = control.row(&Response::ids(&text)).unwrap();
            assert_eq!(
                report.verdict,
                Verdict::NotDetected,
                "{}: {}",
                case.name,
                report.p_value
            );
        }
    }
}

#[test]
fn plain_text_is_left_alone() {
    let mut rng = rng(2);
    for case in cases(&mut rng) {
        let mut sampler = Sampler::new(Sampling::default()).unwrap();
        let mut stream = Stream::plain();
        for _ in 0..400 {
            let logits = logits(&mut rng, VOCABULARY, 2.0);
            sampler.select(&mut stream, &logits, &mut rng).unwrap();
        }
        let report = detect(
            &case.record,
            &case.keys(),
            [Response::ids(stream.tokens())],
            1e-6,
        )
        .unwrap();
        assert_eq!(
            report.verdict,
            Verdict::NotDetected,
            "{}: {}",
            case.name,
            report.p_value
        );
    }
}

#[test]
fn one_shot_stepwise_batched_and_resumed_runs_give_the_same_tokens() {
    let mut rng = rng(3);
    for case in cases(&mut rng) {
        let steps: Vec<Vec<f32>> = (0..60).map(|_| logits(&mut rng, VOCABULARY, 1.0)).collect();
        let spec = Sampling {
            temperature: 0.9,
            top_k: 60,
            top_p: 0.97,
            min_p: 0.001,
        };
        let seeded = |row| {
            let mut own = taggant_tests::rng(1000);
            own.set_stream(row);
            own
        };
        let one_shot = |row: u64| {
            let (mut sampler, mut stream, mut own) = (
                Sampler::new(spec).unwrap(),
                Stream::new(case.mark()).unwrap(),
                seeded(row),
            );
            for logits in &steps {
                sampler.select(&mut stream, logits, &mut own).unwrap();
            }
            stream.tokens().to_vec()
        };
        let expected: Vec<Vec<u32>> = (0..3).map(one_shot).collect();
        assert_ne!(
            expected[0], expected[1],
            "{}: rows of different seeds",
            case.name
        );

        // A batch, with one sampler for all rows.
        let mut sampler = Sampler::new(spec).unwrap();
        let mut streams: Vec<Stream> = (0..3).map(|_| Stream::new(case.mark()).unwrap()).collect();
        let mut rngs: Vec<ChaCha8Rng> = (0..3).map(seeded).collect();
        let mut out = [0; 3];
        for (step, logits) in steps.iter().enumerate() {
            if step == 25 {
                // Saved and restored in the middle: the tokens are the state.
                for stream in &mut streams {
                    *stream = Stream::resume(case.mark(), stream.tokens()).unwrap();
                }
                sampler = Sampler::new(spec).unwrap();
            }
            sampler
                .select_batch(&mut streams, &logits.repeat(3), &mut rngs, &mut out)
                .unwrap();
        }
        for (stream, expected) in streams.iter().zip(&expected) {
            assert_eq!(stream.tokens(), expected, "{}", case.name);
        }
    }
}

/// Biased logits sampled by the engine give the tokens that `select` gives: same candidates, same draw.
#[test]
fn biased_logits_have_the_distribution_that_select_draws_from() {
    let mut rng = rng(4);
    for case in cases(&mut rng) {
        for spec in [
            Sampling::default(),
            Sampling {
                temperature: 0.8,
                top_k: 40,
                ..Sampling::default()
            },
        ] {
            let mut marking = Sampler::new(spec).unwrap();
            let mut engine = Sampler::new(Sampling::default()).unwrap();
            let (mut stream, mut engine_stream) =
                (Stream::new(case.mark()).unwrap(), Stream::plain());
            let mut agreed = 0;
            for _ in 0..200 {
                let mut logits = logits(&mut rng, VOCABULARY, 1.5);
                let mut biased = logits.clone();
                marking.bias(&stream, &mut biased).unwrap();
                let coin = rng.clone();
                let by_engine = engine
                    .select(&mut engine_stream, &biased, &mut coin.clone())
                    .unwrap();
                // The order of candidates differs, so equal coins draw equal tokens only where the mark has chosen.
                let chosen = biased.iter().filter(|logit| logit.is_finite()).count() == 1;
                let mut twin = stream.clone();
                let by_us = marking
                    .select(&mut twin, &logits, &mut coin.clone())
                    .unwrap();
                if chosen {
                    assert_eq!(by_engine, by_us, "{}", case.name);
                    agreed += 1;
                }
                stream.push(by_us).unwrap();
                logits.clear();
                rng.next_u64();
            }
            let choosing = case.record.scheme().id() == "gumbel/1";
            assert_eq!(
                choosing,
                agreed > 100,
                "{}: {agreed} positions were chosen",
                case.name
            );
        }
    }
}

#[test]
fn a_green_list_biases_by_delta_and_nothing_else() {
    let mut rng = rng(5);
    let key = campaign_key(&mut rng);
    let parameters = Parameters::new("greenlist", &[("delta", 1.5)]).unwrap();
    let record = Record::new(parameters, 2, &[&key], tokenizer(1001)).unwrap();
    let mark = Arc::new(Mark::new(&record, &[&key]).unwrap());
    let stream = Stream::resume(Arc::clone(&mark), &[3, 4]).unwrap();
    let before = logits(&mut rng, 1001, 2.0);
    let mut after = before.clone();
    Sampler::new(Sampling::default())
        .unwrap()
        .bias(&stream, &mut after)
        .unwrap();
    let mut words = vec![0; 1];
    let mut greens = 0;
    for token in 0..1001_u32 {
        let unit = [3, 4, token];
        mark.layers()[0]
            .scheme()
            .unwrap()
            .words(&unit, &[2], &mut words);
        let green = words[0] < 1 << 30;
        greens += u32::from(green);
        let expected = before[token as usize] + if green { 1.5 } else { 0.0 };
        assert!((after[token as usize] - expected).abs() < 1e-6);
    }
    // Binomial(1001, 1/4): 250 ± 14; ten standard deviations.
    assert!((110..390).contains(&greens), "{greens} green tokens");

    // Before the first window there is nothing to bias by.
    let mut untouched = before.clone();
    let early = Stream::resume(mark, &[3]).unwrap();
    Sampler::new(Sampling::default())
        .unwrap()
        .bias(&early, &mut untouched)
        .unwrap();
    assert_eq!(before, untouched);
}

/// Decoys over units in tiles: the reference's decoy keys, words and statistics, unit by unit.
#[test]
fn core_and_reference_agree_on_decoys_and_primary_statistics() {
    let mut rng = rng(16);
    let plain = |scheme| move |word| reference::score(&scheme, word);
    let greenlist = reference::Scheme::Greenlist {
        threshold: 1 << 30,
        delta: 2.0,
    };
    type Slow = Box<dyn Fn(u32) -> f64>;
    let cases: [(&str, Score, Slow); 5] = [
        (
            "gumbel",
            Score::Sum,
            Box::new(plain(reference::Scheme::Gumbel)),
        ),
        ("gumbel", Score::Maximin, Box::new(reference::maximin_score)),
        (
            "tournament",
            Score::Sum,
            Box::new(plain(reference::Scheme::Tournament { depth: 30 })),
        ),
        (
            "tournament",
            Score::Weighted,
            Box::new(|word| reference::weighted_score(30, word)),
        ),
        ("greenlist", Score::Sum, Box::new(plain(greenlist))),
    ];
    for (scheme, score, slow) in cases {
        for window in [1, 2, 3, 4, 5, 8] {
            let key = campaign_key(&mut rng);
            let parameters = Parameters::new(scheme, &[]).unwrap();
            let record = Record::new(parameters, window, &[&key], tokenizer(1 << 21))
                .unwrap()
                .with_score(score)
                .unwrap();
            // More than one tile, and a last one that is not full; no token twice, so that every window is new.
            let tokens: Vec<u32> = (0..5000_u32).map(|n| n * 104_729 % (1 << 21)).collect();
            let mut collector = Collector::new(&record, Role::Campaign, None).unwrap();
            collector.add(&Response::ids(&tokens)).unwrap();
            let units = collector.finish();
            let ours = units.decoys(9, 3, 2, |_| ());
            for (index, ours) in (0..).zip(ours) {
                let key = reference::decoy(9, u8::try_from(window).unwrap(), index);
                let theirs: f64 = (window..tokens.len())
                    .map(|end| {
                        slow(reference::word(
                            &key,
                            &tokens[end - window..end],
                            tokens[end],
                        ))
                    })
                    .sum();
                assert!(
                    (ours - theirs).abs() < 1e-10 * theirs.abs(),
                    "{scheme} {score} {window}: {ours} {theirs}"
                );
            }
        }
    }
}

/// 10^5 random units for each scheme and window: the reference's word, score and ownership are core's.
#[test]
fn core_and_reference_agree_on_random_units() {
    let mut rng = rng(6);
    for definition in schemes::ALL {
        let mut fields = serde_json::Map::new();
        fields.insert("id".to_owned(), definition.id.into());
        for parameter in definition.parameters {
            fields.insert(parameter.name.to_owned(), parameter.default.into());
        }
        if let Some(threshold) = fields.get_mut("threshold") {
            *threshold = (1_u32 << 30).into();
        }
        let mut checked = 0;
        for windows in [vec![1], vec![2], vec![3], vec![5], vec![2, 2]] {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            let theirs = taggant_tests::reference::mark(&hex(&bytes), &fields, &windows);
            let root = taggant_core::RootKey::from_bytes(bytes);
            let keys: Vec<LeafKey> = ["e/campaign/c", "e/account/a"]
                .iter()
                .take(windows.len())
                .map(|path| root.derive(&path.parse().unwrap()))
                .collect();
            let borrowed: Vec<&LeafKey> = keys.iter().collect();
            let parameters = Parameters::new(definition.id, &[]).unwrap();
            let record =
                Record::new(parameters, windows[0], &borrowed, tokenizer(1 << 21)).unwrap();
            let ours = Mark::new(&record, &borrowed).unwrap();
            for _ in 0..20 {
                let tokens: Vec<u32> = (0..1008).map(|_| below(&mut rng, 1 << 21)).collect();
                for position in windows[0] + 1..tokens.len() {
                    let Some(layer) = ours.partition().owner(&tokens, position) else {
                        continue;
                    };
                    assert_eq!(reference::owner(&theirs, &tokens, position), Some(layer));
                    let scheme = ours.layers()[layer].scheme().unwrap();
                    let mut word = [0];
                    scheme.words(&tokens, &[u32::try_from(position).unwrap()], &mut word);
                    assert_eq!(
                        word[0],
                        reference::unit_word(&theirs, layer, &tokens, position)
                    );
                    let score = reference::score(&theirs.scheme, word[0]);
                    assert!((scheme.score(&word) - score).abs() <= 1e-13 * score.max(1.0));
                    checked += 1;
                }
            }
        }
        println!("{}: {checked} units", definition.id);
        assert!(checked >= 100_000);
    }
}

/// Random texts with prompts and much repetition: the detector finds the units the reference finds, row by row and pooled.
#[test]
fn detector_and_reference_find_the_same_units() {
    let mut rng = rng(7);
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(r#"{"id":"tournament/1","depth":12}"#).unwrap();
    for windows in [vec![1], vec![2], vec![4], vec![1, 1], vec![2, 2]] {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let theirs = taggant_tests::reference::mark(&hex(&bytes), &fields, &windows);
        let root = taggant_core::RootKey::from_bytes(bytes);
        let keys: Vec<LeafKey> = ["e/campaign/c", "e/account/a"]
            .iter()
            .take(windows.len())
            .map(|path| root.derive(&path.parse().unwrap()))
            .collect();
        let borrowed: Vec<&LeafKey> = keys.iter().collect();
        let parameters = Parameters::new("tournament/1", &[("depth", 12.0)]).unwrap();
        let record = Record::new(parameters, windows[0], &borrowed, tokenizer(64)).unwrap();
        let mut detector = Detector::new(&record, &borrowed).unwrap();
        let rows: Vec<(Vec<u32>, Vec<u32>)> = (0..30)
            .map(|row| {
                let prompt = if row % 3 == 0 {
                    Vec::new()
                } else {
                    zipf(&mut rng, 64, 15)
                };
                let length = below(&mut rng, 120) as usize;
                (prompt, zipf(&mut rng, 64, length))
            })
            .collect();
        for (prompt, response) in &rows {
            let expected = reference::scored(&theirs, prompt, response);
            let report = detector
                .row(&Response::ids(response).with_prompt(prompt))
                .unwrap();
            let words = expected
                .iter()
                .map(|&(position, layer)| reference::unit_word(&theirs, layer, response, position));
            let score: f64 = words
                .map(|word| reference::score(&theirs.scheme, word))
                .sum();
            assert_eq!(report.units, expected.len() as u64);
            assert!((report.score - score).abs() < 0.5, "counts are whole");
        }
        assert_eq!(
            detector.pooled().units,
            reference::pooled(&theirs, &rows).len() as u64
        );
    }
}

#[test]
fn repeats_count_once_and_prompt_windows_not_at_all() {
    let mut rng = rng(8);
    for case in cases(&mut rng)
        .into_iter()
        .filter(|case| case.record.layers()[0].window == 2)
    {
        let text = case.write(120, &mut rng);
        let once = detect(&case.record, &case.keys(), [Response::ids(&text)], 1e-6).unwrap();
        let thrice = detect(&case.record, &case.keys(), [Response::ids(&text); 3], 1e-6).unwrap();
        assert_eq!(
            (once.units, once.score.to_bits()),
            (thrice.units, thrice.score.to_bits()),
            "{}",
            case.name
        );
        let doubled = [text.clone(), text.clone()].concat();
        let doubled = detect(&case.record, &case.keys(), [Response::ids(&doubled)], 1e-6).unwrap();
        assert!(
            doubled.units <= once.units + 2,
            "{}: {} then {}",
            case.name,
            once.units,
            doubled.units
        );
        // An innocent model that copies marked text out of its prompt is not accused.
        let copied = detect(
            &case.record,
            &case.keys(),
            [Response::ids(&text).with_prompt(&text)],
            1e-6,
        )
        .unwrap();
        assert!(
            copied.units <= 1 && copied.verdict != Verdict::Detected,
            "{}: {} units",
            case.name,
            copied.units
        );
    }
}

#[test]
fn repeated_windows_are_sampled_plainly_by_the_distortion_free_schemes() {
    let mut rng = rng(9);
    for definition in schemes::ALL {
        let key = campaign_key(&mut rng);
        let parameters = Parameters::new(definition.id, &[]).unwrap();
        let record = Record::new(parameters, 1, &[&key], tokenizer(8)).unwrap();
        let mark = Arc::new(Mark::new(&record, &[&key]).unwrap());
        let flat = [0.0; 8];
        let mut sampler = Sampler::new(Sampling::default()).unwrap();
        let mut choices = [
            std::collections::HashSet::new(),
            std::collections::HashSet::new(),
        ];
        for _ in 0..200 {
            for (seen, tokens) in [&[3][..], &[3, 5, 3]].into_iter().enumerate() {
                let mut stream = Stream::resume(Arc::clone(&mark), tokens).unwrap();
                choices[seen].insert(sampler.select(&mut stream, &flat, &mut rng).unwrap());
            }
        }
        let [first, repeated] = choices.map(|choices| choices.len());
        println!(
            "{}: {first} tokens after a new window, {repeated} after a repeated one",
            definition.id
        );
        assert_eq!(repeated, 8);
        assert_eq!(first == 1, definition.id == "gumbel/1");
    }
}

#[test]
fn a_mark_is_refused_where_its_parts_do_not_belong_together() {
    let mut rng = rng(10);
    let (campaign, account, stranger) = (
        campaign_key(&mut rng),
        account_key(&mut rng),
        campaign_key(&mut rng),
    );
    let record = |keys: &[&LeafKey]| {
        Record::new(
            Parameters::new("gumbel", &[]).unwrap(),
            2,
            keys,
            tokenizer(100),
        )
    };
    let kind =
        |result: taggant_core::Result<Mark>| result.map(|_| ()).map_err(|error| error.kind());

    let one = record(&[&campaign]).unwrap();
    assert_eq!(kind(Mark::new(&one, &[&campaign])), Ok(()));
    assert_eq!(
        kind(Mark::new(&one, &[&stranger])),
        Err(ErrorKind::Mismatch)
    );
    assert_eq!(kind(Mark::new(&one, &[&account])), Err(ErrorKind::Mismatch));
    assert_eq!(kind(Mark::new(&one, &[])), Err(ErrorKind::Mismatch));
    assert_eq!(kind(Mark::control(&one, &[&stranger])), Ok(()));

    let two = record(&[&campaign, &account]).unwrap();
    assert_eq!(kind(Mark::new(&two, &[&account, &campaign])), Ok(()));
    assert_eq!(kind(Mark::new(&two, &[&campaign])), Ok(()));
    assert_eq!(kind(Mark::new(&two, &[&account])), Err(ErrorKind::Mismatch));
    assert_eq!(
        kind(Mark::new(&two, &[&campaign, &campaign])),
        Err(ErrorKind::Mismatch)
    );
    let half = Arc::new(Mark::new(&two, &[&campaign]).unwrap());
    assert_eq!(
        Stream::new(half).map(|_| ()).map_err(|error| error.kind()),
        Err(ErrorKind::Mismatch)
    );

    let public = taggant_core::RootKey::in_family(taggant_core::Family::Public, [3; 32]);
    let mixed = public.derive(account.path());
    assert_eq!(
        record(&[&campaign, &mixed])
            .map(|_| ())
            .map_err(|error| error.kind()),
        Err(ErrorKind::Key)
    );
    assert_eq!(
        record(&[&account, &campaign])
            .map(|_| ())
            .map_err(|error| error.kind()),
        Err(ErrorKind::Key)
    );
    assert_eq!(
        record(&[]).map(|_| ()).map_err(|error| error.kind()),
        Err(ErrorKind::Key)
    );
    let twin = root(&mut rng).derive(&"e/twin/t".parse().unwrap());
    assert_eq!(
        record(&[&twin]).map(|_| ()).map_err(|error| error.kind()),
        Err(ErrorKind::Key)
    );
}

#[test]
fn the_campaign_key_alone_scores_its_half_of_a_two_layer_mark() {
    let mut rng = rng(11);
    for case in cases(&mut rng)
        .into_iter()
        .filter(|case| case.keys.len() == 2)
    {
        let text = case.write(600, &mut rng);
        let joint = detect(&case.record, &case.keys(), [Response::ids(&text)], 1e-6).unwrap();
        let campaign =
            detect(&case.record, &[&case.keys[0]], [Response::ids(&text)], 1e-6).unwrap();
        println!(
            "{}: joint {} of {} units, campaign {} of {}",
            case.name, joint.p_value, joint.units, campaign.p_value, campaign.units
        );
        assert_eq!(campaign.verdict, Verdict::Detected, "{}", case.name);
        assert!(joint.p_value < campaign.p_value);
        // Binomial(n, 1/2) within six standard deviations.
        let (share, n) = (campaign.units as f64, joint.units as f64);
        assert!(
            (share - n / 2.0).abs() < 3.0 * n.sqrt(),
            "{}: {share} of {n}",
            case.name
        );
    }
}

#[test]
fn hostile_logits_and_tokens_are_refused_and_leave_the_stream_as_it_was() {
    let mut rng = rng(12);
    let key = campaign_key(&mut rng);
    for definition in schemes::ALL {
        let parameters = Parameters::new(definition.id, &[]).unwrap();
        let record = Record::new(parameters, 1, &[&key], tokenizer(50)).unwrap();
        let mark = Arc::new(Mark::new(&record, &[&key]).unwrap());
        let mut stream = Stream::resume(mark, &[1, 2]).unwrap();
        for spec in [
            Sampling::default(),
            Sampling {
                top_k: 5,
                top_p: 0.9,
                ..Sampling::default()
            },
        ] {
            let mut sampler = Sampler::new(spec).unwrap();
            let bad = |place: usize, value: f32| {
                let mut logits = vec![0.0; 50];
                logits[place] = value;
                logits
            };
            for mut logits in [
                bad(0, f32::NAN),
                bad(49, f32::NAN),
                bad(20, f32::INFINITY),
                vec![f32::NEG_INFINITY; 50],
                vec![],
                vec![0.0; 49],
                vec![0.0; 51],
            ] {
                let error = sampler.select(&mut stream, &logits, &mut rng).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Logits, "{error}");
                let error = sampler.bias(&stream, &mut logits).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Logits, "{error}");
                assert_eq!(stream.tokens(), [1, 2]);
            }
            // Masked tokens are never chosen.
            let mut masked = vec![f32::NEG_INFINITY; 50];
            masked[17] = -5.0;
            let mut once = stream.clone();
            assert_eq!(sampler.select(&mut once, &masked, &mut rng).unwrap(), 17);
        }
        assert_eq!(stream.push(50).unwrap_err().kind(), ErrorKind::Token);
        assert_eq!(stream.tokens(), [1, 2]);
        let error = detect(&record, &[&key], [Response::ids(&[1, 2, 50])], 1e-6).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Token);
        assert_eq!(
            error.to_string(),
            "token id 50 at position 2 is not in the vocabulary of 50 tokens"
        );
    }
    for (spec, part) in [
        (
            Sampling {
                temperature: f32::NAN,
                ..Sampling::default()
            },
            "temperature is NaN",
        ),
        (
            Sampling {
                temperature: -1.0,
                ..Sampling::default()
            },
            "temperature is -1",
        ),
        (
            Sampling {
                temperature: 1e-40,
                ..Sampling::default()
            },
            "use 0",
        ),
        (
            Sampling {
                top_p: 0.0,
                ..Sampling::default()
            },
            "top-p is 0",
        ),
        (
            Sampling {
                top_p: 1.1,
                ..Sampling::default()
            },
            "top-p is 1.1",
        ),
        (
            Sampling {
                min_p: f32::NAN,
                ..Sampling::default()
            },
            "min-p is NaN",
        ),
    ] {
        let error = Sampler::new(spec).unwrap_err();
        assert!(
            error.kind() == ErrorKind::Parameter && error.to_string().contains(part),
            "{error}"
        );
    }
}

#[test]
fn an_error_in_the_middle_of_a_corpus_leaves_the_pool_as_it_was() {
    let mut rng = rng(13);
    let key = campaign_key(&mut rng);
    let record = Record::new(
        Parameters::new("gumbel", &[]).unwrap(),
        2,
        &[&key],
        tokenizer(100),
    )
    .unwrap();
    let mut detector = Detector::new(&record, &[&key]).unwrap();
    let text = zipf(&mut rng, 100, 80);
    let _ = detector.row(&Response::ids(&text)).unwrap();
    let before = detector.pooled();
    assert!(detector.row(&Response::ids(&[1, 2, 3, 100])).is_err());
    assert!(
        detector
            .row(&Response::ids(&[1, 2, 3]).with_prompt(&[200]))
            .is_err()
    );
    assert_eq!(detector.pooled(), before);
}

#[test]
fn short_text_and_another_tokenizer_are_inconclusive_with_the_number_that_would_change_it() {
    let mut rng = rng(14);
    let key = campaign_key(&mut rng);
    let record = Record::new(
        Parameters::new("gumbel", &[]).unwrap(),
        2,
        &[&key],
        tokenizer(100),
    )
    .unwrap();
    let mut detector = Detector::new(&record, &[&key]).unwrap();
    for tokens in [&[][..], &[1], &[1, 2], &[1, 2, 3, 4, 5]] {
        let report = detector.row(&Response::ids(tokens)).unwrap();
        let units = tokens.len().saturating_sub(2) as u64;
        assert!(matches!(
            report.verdict,
            Verdict::Inconclusive(Reason::TooFewUnits { units: found, needed: 50..=200, .. }) if found == units
        ));
        let said = report.verdict.reason().unwrap().to_string();
        assert!(
            said.starts_with(&format!("{units} scorable units; "))
                && said.ends_with("needed for p < 1e-6"),
            "{said}"
        );
    }
    let ids = Source::Ids {
        tokenizer: Some([8; 32]),
    };
    let report = detector
        .row(&Response::ids(&[1; 300]).with_source(ids))
        .unwrap();
    assert!(matches!(
        report.verdict,
        Verdict::Inconclusive(Reason::TokenizerMismatch { .. })
    ));
    assert_eq!((report.units, report.p_value.get()), (0, 1.0));
    for report in [report, detector.pooled()] {
        let names: Vec<_> = report.checks().iter().map(|check| check.name).collect();
        assert_eq!(
            names,
            [
                "key",
                "tokenizer",
                "layers",
                "folding",
                "prompt",
                "repeats",
                "length",
                "significance"
            ]
        );
    }
    for alpha in [0.0, 1.0, -1.0, f64::NAN] {
        let error = Detector::new(&record, &[&key])
            .unwrap()
            .with_alpha(alpha)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
    }
}

#[test]
fn public_types_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Mark>();
    shared::<Stream>();
    shared::<Sampler>();
    shared::<Detector>();
    shared::<taggant_detector::Report>();
    shared::<taggant_core::Error>();
    shared::<LeafKey>();
}

/// Choices, salts, commitments and decoy choices of sealed twins (SPEC.md §10), on random ids, accounts and drafts.
#[test]
fn core_and_reference_agree_on_sealed_twins() {
    let mut rng = rng(17);
    for round in 0..200_usize {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let leaf = taggant_core::RootKey::from_bytes(bytes).derive(&"e/twin/x".parse().unwrap());
        let theirs = reference::derive(&bytes, "forensic", "e", "twin", "x");
        let key = TwinKey::new(&leaf).unwrap();
        let mut name = |most: u32| {
            let mut name = vec![0; below(&mut rng, most) as usize + 1];
            rng.fill_bytes(&mut name);
            name
        };
        let (id, account) = match round {
            0 => (vec![b'x'; 1024], vec![b'y'; 1024]),
            1 => (vec![0], Vec::new()),
            _ => (name(40), name(20)),
        };
        let n = below(&mut rng, 9) as usize + 1;
        let tokens: Vec<Vec<u32>> = (0..n)
            .map(|_| (0..below(&mut rng, 6)).map(|_| rng.next_u32()).collect())
            .collect();
        let texts: Vec<String> = tokens
            .iter()
            .map(|tokens| format!("dräft {tokens:?}"))
            .collect();
        let (ours, slow): (Vec<Draft<'_>>, Vec<reference::Draft>) = tokens
            .iter()
            .zip(&texts)
            .map(|(tokens, text)| match round % 2 {
                0 => (Draft::Text(text), reference::Draft::Text(text.clone())),
                _ => (
                    Draft::Tokens(tokens),
                    reference::Draft::Tokens(tokens.clone()),
                ),
            })
            .unzip();

        let sealed = key.seal(&id, &account, &ours).unwrap();
        assert_eq!(
            sealed.served as usize,
            reference::served(&theirs.key, &id, n)
        );
        let mut commitments = Vec::new();
        for (j, (twin, draft)) in sealed.twins.iter().zip(&slow).enumerate() {
            let salt = reference::twin_salt(&theirs.salt, &id, j);
            assert!(salt == twin.salt, "salt {j}");
            commitments.push(reference::twin_commitment(&id, j, &salt, draft));
            assert_eq!(twin.commitment, commitments[j]);
        }
        assert_eq!(
            sealed.commitment,
            reference::exchange_commitment(&id, &account, &commitments)
        );
        assert_eq!(
            twin::batch_root(&commitments),
            reference::batch_root(&commitments)
        );
        let (seed, i, e) = (rng.next_u64(), rng.next_u32(), rng.next_u32());
        let choice = twin::TwinDecoys::new(seed).serve(i, e, u32::try_from(n).unwrap());
        assert_eq!(choice as usize, reference::decoy_choice(seed, i, e, n));
    }
}

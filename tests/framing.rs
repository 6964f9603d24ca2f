//! Attempts to have an innocent account, or an innocent model, accused: what is caught, and what is told instead.

use std::collections::HashSet;
use std::sync::Arc;

use rand::Rng;
use taggant_core::schemes::Parameters;
use taggant_core::{Canary, LeafKey, Mark, Path, Record, Role, RootKey, TwinKey};
use taggant_detector::attribution::{Attribution, Findings, Measured, Nature, Plan, same_texts};
use taggant_detector::canary::{self, Shown, Slot, Slots};
use taggant_detector::stats::PValue;
use taggant_detector::twins::{self, Exchange, TwinReport, TwinTest};
use taggant_detector::{Collector, Response, Verdict};
use taggant_tests::{below, normal, rng, root, stats, tokenizer, uniform, zipf};
use taggant_watermark::{Sampler, Sampling, Stream};

const DRAFTS: u32 = 5;
const VOCABULARY: u32 = 300;

/// An exchange as the log has it: whose, its id, the drafts, and which was served.
#[derive(Clone)]
struct Row {
    account: &'static str,
    id: String,
    drafts: Vec<Vec<u32>>,
    served: usize,
}

impl Row {
    fn text(&self) -> String {
        let words = self.drafts[self.served].iter();
        words.map(|token| format!("w{token} ")).collect()
    }
}

fn key(root: &RootKey, role: Role, id: &str) -> LeafKey {
    root.derive(&Path::new("2026-12", role, id).unwrap())
}

/// What an account was honestly served.
fn served(key: &TwinKey, account: &'static str, count: usize, rng: &mut impl Rng) -> Vec<Row> {
    let row = |number| {
        let id = format!("{account}/{number}");
        Row {
            account,
            drafts: (0..DRAFTS).map(|_| zipf(rng, 5000, 30)).collect(),
            served: key.serve(id.as_bytes(), DRAFTS).unwrap() as usize,
            id,
        }
    };
    (0..count).map(row).collect()
}

/// A suspect remembers the pairs of tokens that it was trained on, and scores a draft by them, with noise.
fn twins(rows: &[Row], trained: &[Row], account: &str, rng: &mut impl Rng) -> TwinReport {
    let known: HashSet<&[u32]> = trained
        .iter()
        .flat_map(|row| row.drafts[row.served].windows(2))
        .collect();
    let mut test = TwinTest::new(twins::Plan::new(1e-3).unwrap());
    for row in rows {
        let scores = row.drafts.iter().map(|draft| {
            let hits = draft.windows(2).filter(|pair| known.contains(pair)).count();
            hits as f64 / 15.0 + normal(rng)
        });
        let scores = scores.collect();
        test.add(Exchange::new(&*row.id, row.account, row.served, scores))
            .unwrap();
    }
    let found = test.findings().unwrap();
    let found = found
        .accounts
        .into_iter()
        .find(|found| found.name == account);
    found.unwrap().report
}

fn of_twins(report: &TwinReport) -> Measured {
    Measured::new(report.p_value.log10())
        .unwrap()
        .with_units(report.informative as f64, Some(report.needed))
        .unwrap()
}

fn of_p(p: PValue) -> Measured {
    Measured::new(p.log10()).unwrap()
}

fn record(key: &LeafKey) -> Record {
    let parameters = Parameters::new("greenlist", &[]).unwrap();
    Record::new(parameters, 1, &[key], tokenizer(VOCABULARY as usize)).unwrap()
}

/// Text of a small language, marked or plain.
fn write(key: Option<&LeafKey>, length: usize, rng: &mut impl Rng) -> Vec<u32> {
    let mut sampler = Sampler::new(Sampling::default()).unwrap();
    let mut stream = match key {
        Some(key) => Stream::new(Arc::new(Mark::new(&record(key), &[key]).unwrap())).unwrap(),
        None => Stream::plain(),
    };
    let mut last = below(rng, VOCABULARY);
    let token = |_| {
        let logits: Vec<f32> = (0..VOCABULARY)
            .map(|token| ((token * 7919 + last * 104_729) % 1013) as f32 / 250.0)
            .collect();
        last = sampler.select(&mut stream, &logits, rng).unwrap();
        last
    };
    (0..length).map(token).collect()
}

/// The key test of one account.
fn keys(key: &LeafKey, text: &[u32]) -> PValue {
    let mut collector = Collector::new(&record(key), Role::Account, None).unwrap();
    collector.add(&Response::ids(text)).unwrap();
    collector.finish().score(&[key], 1)[0].p_value
}

/// The canary test of one account: of 60 slots the suspect follows `followed` in half, and has habits of its own in the others.
fn canaries(key: &Canary, followed: Option<&Canary>, rng: &mut impl Rng) -> PValue {
    let mut slots = Slots::new(canary::Statistic::Hits);
    for number in 0..60 {
        let id = format!("q{number}/city");
        let habit = match followed {
            Some(followed) if number % 2 == 0 => followed.choose(id.as_bytes(), 8).unwrap(),
            _ => below(rng, 3),
        };
        let mut counts = vec![1; 8];
        counts[habit as usize] = 6;
        slots.add(&Slot::new(id, 8, Shown::Counts(counts))).unwrap();
    }
    canary::test(&[(&slots, key)]).unwrap().p_value
}

/// Accounts `a` and `b` by up to three kinds, among 98 innocent ones.
fn attribute(
    results: &[(Nature, [Option<Measured>; 2])],
    rows: &[Row],
    rng: &mut impl Rng,
) -> Findings {
    let mut attribution = Attribution::new(Plan::new(1e-3).unwrap());
    let texts: Vec<(&str, String)> = rows.iter().map(|row| (row.account, row.text())).collect();
    let same = same_texts(texts.iter().map(|(account, text)| (*account, &text[..])));
    for (nature, [a, b]) in results {
        let kind = attribution.kind(*nature);
        for (account, measured) in [("a", a), ("b", b)] {
            if let Some(measured) = measured {
                attribution.add(kind, account, *measured).unwrap();
            }
        }
        for number in 0..98 {
            let p = PValue::from_ln((1.0 - uniform(rng)).ln());
            attribution
                .add(kind, &format!("c{number}"), of_p(p))
                .unwrap();
        }
        if *nature == Nature::Twins {
            attribution.compared(kind);
            for (account, others) in &same {
                for other in others {
                    attribution.shared(kind, account, other).unwrap();
                }
            }
        }
    }
    attribution.findings().unwrap()
}

fn named(findings: &Findings) -> Vec<&str> {
    findings.named().map(|found| &found.name[..]).collect()
}

fn reason<'a>(findings: &'a Findings, account: &str) -> &'a str {
    let found = findings.account(account).unwrap();
    found
        .verdict
        .reason()
        .map_or("none", |reason| reason.name())
}

/// The suspect was trained on what `a` was served; somebody without the twin key copies `a`'s exchanges into the log of `b` under new ids.
/// Null for `b`: its key chose independently. Theory: p ≤ 0.05 in at most 5 % of 300 worlds, by twins (the choice is drawn anew under a new
/// id: one copy in five serves what `a` was served), by `b`'s key and by `b`'s canaries. Alpha 1e-6 each, seed 70.
#[test]
fn copies_in_another_accounts_log_accuse_nobody_falsely() {
    let mut rng = rng(70);
    let (mut small, mut hits, mut copies) = ([0; 3], 0_u64, 0_u64);
    let mut caught = 0;
    for world in 0..300 {
        let root = root(&mut rng);
        let twin = TwinKey::new(&key(&root, Role::Twin, "east")).unwrap();
        let trained = served(&twin, "a", 60, &mut rng);
        let mut rows = trained.clone();
        rows.extend(served(&twin, "b", 20, &mut rng));
        for row in &trained {
            let id = format!("b/copy of {}", row.id);
            let served = twin.serve(id.as_bytes(), DRAFTS).unwrap() as usize;
            hits += u64::from(served == row.served);
            copies += 1;
            rows.push(Row {
                account: "b",
                served,
                id,
                drafts: row.drafts.clone(),
            });
        }
        let b = twins(&rows, &trained, "b", &mut rng);
        small[0] += u64::from(b.p_value.at_most(0.05));

        // Worlds are many; texts are slower.
        if world < 100 {
            let text = write(Some(&key(&root, Role::Account, "a")), 1500, &mut rng);
            let p = keys(&key(&root, Role::Account, "b"), &text);
            small[1] += u64::from(p.at_most(0.05));
        }
        let of = |id| Canary::new(&key(&root, Role::Canary, id)).unwrap();
        let p = canaries(&of("b"), Some(&of("a")), &mut rng);
        small[2] += u64::from(p.at_most(0.05));

        if world < 20 {
            let a = twins(&rows, &trained, "a", &mut rng);
            let results = [(Nature::Twins, [Some(of_twins(&a)), Some(of_twins(&b))])];
            let findings = attribute(&results, &rows, &mut rng);
            assert!(!named(&findings).contains(&"b"));
            caught += u64::from(reason(&findings, "a") == "SharedTexts");
        }
    }
    println!(
        "b's p ≤ 0.05 by twins, keys, canaries: {small:?} of 300, 100, 300; {hits} of {copies} copies serve the same draft; shared texts seen in {caught} of 20"
    );
    for (count, worlds) in small.into_iter().zip([300, 100, 300]) {
        assert!(stats::rate(count, worlds, 0.05).0.get() > 1e-6, "{count}");
    }
    let (above, below) = stats::rate(hits, copies, 0.2);
    assert!(above.get() > 1e-6 && below.get() > 1e-6);
}

/// The same by an insider who has the twin key and puts `a`'s answers where the key will serve them to `b`. Twins then accuse both alike;
/// the texts are seen to be shared and neither is named, until another kind, which the insider's copies do not touch, names `a`. Seed 71.
#[test]
fn an_insiders_copies_are_a_conflict_until_other_evidence_decides() {
    let mut rng = rng(71);
    let root = root(&mut rng);
    let twin = TwinKey::new(&key(&root, Role::Twin, "east")).unwrap();
    let trained = served(&twin, "a", 120, &mut rng);
    let mut rows = trained.clone();
    rows.extend(served(&twin, "b", 100, &mut rng));
    for row in &trained {
        let id = format!("b/forged {}", row.id);
        let served = twin.serve(id.as_bytes(), DRAFTS).unwrap() as usize;
        let mut drafts = row.drafts.clone();
        drafts.swap(served, row.served);
        rows.push(Row {
            account: "b",
            served,
            id,
            drafts,
        });
    }
    let [a, b] = ["a", "b"].map(|account| twins(&rows, &trained, account, &mut rng));
    assert!(a.p_value.at_most(1e-6) && b.p_value.at_most(1e-6));
    let twins = (Nature::Twins, [Some(of_twins(&a)), Some(of_twins(&b))]);
    let findings = attribute(&[twins], &rows, &mut rng);
    assert_eq!(named(&findings), [""; 0]);
    for account in ["a", "b"] {
        assert_eq!(reason(&findings, account), "SharedTexts");
    }

    let of = |id| Canary::new(&key(&root, Role::Canary, id)).unwrap();
    let picks = ["a", "b"].map(|id| Some(of_p(canaries(&of(id), Some(&of("a")), &mut rng))));
    let findings = attribute(&[twins, (Nature::Canaries, picks)], &rows, &mut rng);
    assert_eq!(named(&findings), ["a"]);
    assert_eq!(reason(&findings, "b"), "SharedTexts");
}

/// Text forged to carry `a`'s mark, by its leaked key or by the pairs of tokens learned from what `a` was served, was put into the corpus
/// of a suspect that never saw `a`'s answers. The key test fires. With twins enough, their silence is told and nobody is named; without,
/// the accusation says that it rests on keys alone. No other account is touched. Seed 72.
#[test]
fn forged_text_fires_the_key_alone_and_that_is_told() {
    let mut rng = rng(72);
    let root = root(&mut rng);
    let [a, b] = ["a", "b"].map(|id| key(&root, Role::Account, id));
    let with_the_key = write(Some(&a), 4000, &mut rng);
    // Learned: the next token is one that followed in what `a` was served.
    let transcripts = write(Some(&a), 8000, &mut rng);
    let mut followers = vec![Vec::new(); VOCABULARY as usize];
    for pair in transcripts.windows(2) {
        followers[pair[0] as usize].push(pair[1]);
    }
    let mut learned = vec![transcripts[0]];
    while learned.len() < 4000 {
        let after = &followers[learned[learned.len() - 1] as usize];
        learned.push(match after.len() {
            0 => below(&mut rng, VOCABULARY),
            count => after[below(&mut rng, count as u32) as usize],
        });
    }
    let twin = TwinKey::new(&key(&root, Role::Twin, "east")).unwrap();
    for text in [with_the_key, learned] {
        let fired = [&a, &b].map(|key| keys(key, &text));
        assert!(fired[0].at_most(1e-9), "{}", fired[0]);
        assert!(!fired[1].at_most(1e-3), "{}", fired[1]);
        let keys = (Nature::Keys, fired.map(|p| Some(of_p(p))));

        let alone = attribute(&[keys], &[], &mut rng);
        assert_eq!(named(&alone), ["a"]);
        let found = alone.account("a").unwrap();
        assert!(found.rests_on_keys_alone(&alone.kinds));

        // The suspect knows none of these.
        let rows = served(&twin, "a", 600, &mut rng);
        let silent = twins(&rows, &[], "a", &mut rng);
        assert!(silent.informative as f64 >= silent.needed);
        let silent = (Nature::Twins, [Some(of_twins(&silent)), None]);
        let findings = attribute(&[keys, silent], &rows, &mut rng);
        println!(
            "{}",
            findings.account("a").unwrap().verdict.reason().unwrap()
        );
        assert_eq!(reason(&findings, "a"), "SuspectedSpoof");
        assert_eq!(named(&findings), [""; 0]);

        let few = twins(&rows[..20], &[], "a", &mut rng);
        let few = (Nature::Twins, [Some(of_twins(&few)), None]);
        let findings = attribute(&[keys, few], &rows, &mut rng);
        let found = findings.account("a").unwrap();
        assert_eq!(found.verdict, Verdict::Detected);
        assert!(found.rests_on_keys_alone(&findings.kinds));
    }
}

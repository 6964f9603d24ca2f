//! Distillation: toy students that learned marked text are found, closed and open; innocent ones are accused at the nominal rate, whatever
//! was served, quoted or weighed.

use std::collections::HashSet;
use std::sync::Arc;

use rand::Rng;
use taggant_core::schemes::Parameters;
use taggant_core::{LeafKey, Mark, Record, Role};
use taggant_detector::distill::{Finding, Plan, Statistic, Test};
use taggant_detector::stats::gamma_tail;
use taggant_detector::{Collector, Response, ServedWindows, Verdict, WindowIndex};
use taggant_tests::{account_key, below, campaign_key, rng, stats, tokenizer, uniform};
use taggant_watermark::{Sampler, Sampling, Stream};

const VOCABULARY: u32 = 300;

/// Responses that a student's own language counts for.
const PRIOR: f64 = 20.0;

fn record(scheme: &str, keys: &[&LeafKey]) -> Record {
    let parameters = Parameters::new(scheme, &[]).unwrap();
    Record::new(parameters, 1, keys, tokenizer(VOCABULARY as usize)).unwrap()
}

/// What the language says after a token: 0 to 4 in 1,013 steps.
fn logits(last: u32) -> Vec<f32> {
    (0..VOCABULARY)
        .map(|token| ((token * 7919 + last * 104_729) % 1013) as f32 / 250.0)
        .collect()
}

/// Responses of 200 tokens in the toy language: marked if there is a mark.
fn write(mark: Option<&Arc<Mark>>, count: usize, rng: &mut impl Rng) -> Vec<Vec<u32>> {
    let mut sampler = Sampler::new(Sampling::default()).unwrap();
    (0..count)
        .map(|_| {
            let mut stream = match mark {
                Some(mark) => Stream::new(Arc::clone(mark)).unwrap(),
                None => Stream::plain(),
            };
            let mut last = below(rng, VOCABULARY);
            (0..200)
                .map(|_| {
                    last = sampler.select(&mut stream, &logits(last), rng).unwrap();
                    last
                })
                .collect()
        })
        .collect()
}

fn marked(record: &Record, keys: &[&LeafKey], count: usize, rng: &mut impl Rng) -> Vec<Vec<u32>> {
    let mark = Arc::new(Mark::new(record, keys).unwrap());
    write(Some(&mark), count, rng)
}

/// A student: the language it knew, and the tokens it was shown after each token.
struct Student(Vec<Vec<f64>>);

impl Student {
    fn new(shown: &[Vec<u32>]) -> Self {
        let mut counts = vec![vec![0.0; VOCABULARY as usize]; VOCABULARY as usize];
        for pair in shown.iter().flat_map(|text| text.windows(2)) {
            counts[pair[0] as usize][pair[1] as usize] += 1.0;
        }
        let rows = (0_u32..).zip(&counts).map(|(last, counts)| {
            let known: Vec<f64> = logits(last)
                .iter()
                .map(|&logit| f64::from(logit).exp())
                .collect();
            let (mass, seen) = (known.iter().sum::<f64>(), counts.iter().sum::<f64>());
            known
                .iter()
                .zip(counts)
                .map(|(known, count)| (PRIOR * known / mass + count) / (PRIOR + seen))
                .collect()
        });
        Self(rows.collect())
    }

    fn answer(&self, rng: &mut impl Rng) -> Vec<u32> {
        let mut last = below(rng, VOCABULARY);
        (0..200)
            .map(|_| {
                let mut left = uniform(rng);
                let row = &self.0[last as usize];
                let drawn = row.iter().position(|p| {
                    left -= p;
                    left < 0.0
                });
                last = drawn.map_or(VOCABULARY - 1, |token| token as u32);
                last
            })
            .collect()
    }

    /// The 40 most probable tokens after each.
    fn lists(&self) -> Vec<Vec<(u32, f64)>> {
        self.0
            .iter()
            .map(|row| {
                let mut list: Vec<(u32, f64)> = (0..).zip(row.iter().copied()).collect();
                list.sort_by(|a, b| b.1.total_cmp(&a.1));
                list.truncate(40);
                list
            })
            .collect()
    }
}

fn index(record: &Record, texts: &[Vec<u32>]) -> WindowIndex {
    let mut windows = ServedWindows::new(record, Role::Campaign, None).unwrap();
    let mut index = WindowIndex::default();
    for text in texts {
        index.add(windows.of(text).unwrap());
    }
    index
}

fn closed(
    record: &Record,
    plan: Plan,
    suspect: &Student,
    reference: &Student,
    rng: &mut impl Rng,
) -> Test {
    let mut test = Test::closed(record, Role::Campaign, None, plan)
        .unwrap()
        .with_reference()
        .unwrap();
    for _ in 0..60 {
        test.suspect(&Response::ids(&suspect.answer(rng))).unwrap();
        test.reference(&Response::ids(&reference.answer(rng)))
            .unwrap();
    }
    test
}

fn open(
    record: &Record,
    plan: Plan,
    suspect: &Student,
    reference: &Student,
    texts: &[Vec<u32>],
) -> Test {
    let (suspect, reference) = (suspect.lists(), reference.lists());
    let mut test = Test::open(record, Role::Campaign, None, plan, true).unwrap();
    for text in texts {
        test.probabilities(&Response::ids(text), |position| {
            let last = text[position - 1] as usize;
            [&suspect[last], &reference[last]]
        })
        .unwrap();
    }
    test
}

fn plan() -> Plan {
    Plan::new(1e-6).unwrap()
}

/// A student of 200 marked responses is found by each statistic, closed and open, under each scheme; a thousand cohort keys are told apart. Seed 60.
#[test]
fn students_of_marked_text_are_found() {
    let mut rng = rng(60);
    for scheme in ["gumbel", "tournament", "greenlist"] {
        let key = campaign_key(&mut rng);
        let record = record(scheme, &[&key]);
        let shown = marked(&record, &[&key], 200, &mut rng);
        let plain = write(None, 200, &mut rng);
        let (student, innocent) = (Student::new(&shown), Student::new(&plain));
        let served = index(&record, &shown);
        let text = write(None, 60, &mut rng);
        let closed = closed(&record, plan(), &student, &innocent, &mut rng);
        let open = open(&record, plan(), &student, &innocent, &text);
        for (mode, test) in [("closed", closed), ("open", open)] {
            let findings = test.findings(&[&key], Some(&served), 2, |_| ()).unwrap();
            let finding = &findings.keys[0];
            assert_eq!(finding.verdict, Verdict::Detected, "{scheme} {mode}");
            for outcome in &finding.outcomes {
                println!(
                    "{scheme:10} {mode:6} {:11} {:>6} units, effective {:>6.0}: z = {:+.1}, effect {:.3}, p = {}",
                    outcome.statistic.name(),
                    outcome.units,
                    outcome.effective,
                    outcome.z(),
                    outcome.effect(),
                    outcome.p_value
                );
                assert!(outcome.p_value.at_most(1e-6), "{scheme} {mode} {outcome:?}");
            }
        }
        // Among other cohorts' keys it is this one, Holm-corrected.
        let others: Vec<LeafKey> = (0..999).map(|_| campaign_key(&mut rng)).collect();
        let keys: Vec<&LeafKey> = others.iter().chain([&key]).collect();
        let test = self::closed(&record, plan(), &student, &innocent, &mut rng);
        let findings = test.findings(&keys, None, 2, |_| ()).unwrap();
        let found: Vec<usize> = (0..keys.len())
            .filter(|&place| findings.keys[place].verdict == Verdict::Detected)
            .collect();
        assert_eq!(found, [999]);
    }
}

fn near(findings: &[Finding], statistic: Statistic) -> (Vec<f64>, u64) {
    let outcomes = findings.iter().map(|finding| {
        let mut outcomes = finding.outcomes.iter();
        outcomes
            .find(|outcome| outcome.statistic == statistic)
            .unwrap()
    });
    let near = outcomes.clone().map(|outcome| outcome.near.get()).collect();
    let bounded = outcomes.filter(|outcome| outcome.p_value.at_most(0.01));
    (near, bounded.count() as u64)
}

/// Null: a student of plain text is independent of 600 keys that were never issued. Theory: the saddle point of each statistic is uniform, the headline
/// reaches 0.01 at most at the nominal rate. What weighs was served under an issued key. Gumbel, whose scores have no grain; Kolmogorov–Smirnov,
/// n = 600 keys, alpha 1e-6 over 12 comparisons, seed 61.
#[test]
fn innocent_students_are_accused_at_the_nominal_rate() {
    const ALPHA: f64 = 1e-6 / 12.0;
    let mut rng = rng(61);
    let issued = campaign_key(&mut rng);
    let record = record("gumbel", &[&issued]);
    let served = index(&record, &marked(&record, &[&issued], 100, &mut rng));
    let plain = write(None, 200, &mut rng);
    let (student, other) = (Student::new(&plain[..100]), Student::new(&plain[100..]));
    let keys: Vec<LeafKey> = (0..600).map(|_| campaign_key(&mut rng)).collect();
    let keys: Vec<&LeafKey> = keys.iter().collect();
    let text = write(None, 40, &mut rng);
    for mode in ["closed", "open"] {
        let test = match mode {
            "closed" => closed(&record, plan(), &student, &other, &mut rng),
            _ => open(&record, plan(), &student, &other, &text),
        };
        let findings = test.findings(&keys, Some(&served), 2, |_| ()).unwrap();
        for statistic in [
            Statistic::Plain,
            Statistic::Supervised,
            Statistic::Difference,
        ] {
            let (near, bounded) = near(&findings.keys, statistic);
            let uniform = stats::uniformity(&near);
            println!(
                "{mode:6} {:11}: uniform {uniform:.4}, {bounded} of 600 at 0.01",
                statistic.name()
            );
            assert!(uniform > ALPHA, "{mode} {}", statistic.name());
            let (above, _) = stats::rate(bounded, 600, 0.01);
            assert!(!above.at_most(ALPHA), "{mode} {}", statistic.name());
        }
    }
}

/// Weights come from what was served under the very key that is tested, and in open mode the suspect even reads that text. Null: the suspect was trained on plain
/// text. Theory: z has mean 0 and standard deviation 1 over keys, each with its own served text. n = 150 keys, alpha 1e-6 over 4 means and
/// 4 variances, seed 62.
#[test]
fn weights_from_text_served_under_the_tested_key_accuse_nobody() {
    const KEYS: usize = 150;
    let mut rng = rng(62);
    let plain = write(None, 100, &mut rng);
    let (student, other) = (Student::new(&plain[..50]), Student::new(&plain[50..]));
    let mut z = [const { Vec::new() }; 4];
    for _ in 0..KEYS {
        let key = campaign_key(&mut rng);
        let record = record("greenlist", &[&key]);
        let shown = marked(&record, &[&key], 30, &mut rng);
        let served = index(&record, &shown);
        let supervised = plan().with_statistic(Statistic::Supervised);
        let difference = plan().with_statistic(Statistic::Difference);
        let tests = [
            closed(&record, supervised, &student, &other, &mut rng),
            closed(&record, difference, &student, &other, &mut rng),
            open(&record, supervised, &student, &other, &shown),
            open(&record, difference, &student, &other, &shown),
        ];
        for (z, test) in z.iter_mut().zip(tests) {
            let findings = test.findings(&[&key], Some(&served), 1, |_| ()).unwrap();
            z.push(findings.keys[0].outcomes[0].z());
            assert_ne!(findings.keys[0].verdict, Verdict::Detected);
        }
    }
    let names = [
        "closed supervised",
        "closed difference",
        "open supervised",
        "open difference",
    ];
    for (z, name) in z.iter().zip(names) {
        let (mean, error) = stats::mean(z);
        let deviation = error * (KEYS as f64).sqrt();
        println!("{name}: z = {mean:+.3} ± {error:.3}, sd {deviation:.3}");
        let allowed = 5.3 / (KEYS as f64).sqrt();
        assert!(mean.abs() < allowed, "{name}: {mean}");
        assert!(
            (deviation - 1.0).abs() < allowed / 2_f64.sqrt(),
            "{name}: {deviation}"
        );
    }
}

/// An innocent suspect whose prompts hold marked text, which it quotes. Counting its answers as if there were no prompts accuses it under the true key; the test
/// leaves windows of prompts out and does not. Null: the rest of its answers is independent of the key. Theory: p uniform. n = 100 keys, alpha 1e-6,
/// seed 63.
#[test]
fn quoting_a_marked_prompt_is_no_evidence() {
    let mut rng = rng(63);
    let mut p_values = Vec::new();
    for _ in 0..100 {
        let key = campaign_key(&mut rng);
        let record = record("gumbel", &[&key]);
        let mark = Mark::new(&record, &[&key]).unwrap();
        let scheme = mark.layers()[0].scheme().unwrap();
        let mut test = Test::closed(&record, Role::Campaign, None, plan()).unwrap();
        let (mut units, mut naive) = (HashSet::new(), 0.0);
        for prompt in marked(&record, &[&key], 3, &mut rng) {
            let mut answer = write(None, 1, &mut rng).remove(0);
            answer.truncate(60);
            answer.extend(&prompt[50..150]);
            test.suspect(&Response::ids(&answer).with_prompt(&prompt))
                .unwrap();
            for (position, pair) in (1..).zip(answer.windows(2)) {
                if units.insert(pair.to_vec()) {
                    let mut word = [0];
                    scheme.words(&answer, &[position], &mut word);
                    naive += scheme.score(&word);
                }
            }
        }
        let naive = gamma_tail(naive, units.len() as u64);
        assert!(naive.at_most(1e-6), "the naive count must accuse: {naive}");
        let findings = test.findings(&[&key], None, 1, |_| ()).unwrap();
        assert_ne!(findings.keys[0].verdict, Verdict::Detected);
        p_values.push(findings.keys[0].outcomes[0].p_value.get());
    }
    let uniform = stats::uniformity(&p_values);
    println!("prompts left out: uniform {uniform:.4}");
    assert!(uniform > 1e-6);
}

/// The join of many accounts with one suspect gives each account what collecting for it alone gives. One of 40 accounts was trained on; it is found, and only it,
/// Holm-corrected. Seed 64.
#[test]
fn accounts_are_joined_as_if_each_were_collected_for() {
    let mut rng = rng(64);
    let campaign = campaign_key(&mut rng);
    let accounts: Vec<LeafKey> = (0..40).map(|_| account_key(&mut rng)).collect();
    let records: Vec<Record> = accounts
        .iter()
        .map(|account| record("gumbel", &[&campaign, account]))
        .collect();
    let mut own = ServedWindows::new(&records[0], Role::Account, Some(&campaign)).unwrap();
    let mut learned = Vec::new();
    let indexes: Vec<WindowIndex> = (0..40)
        .map(|place| {
            let keys = [&campaign, &accounts[place]];
            let texts = marked(&records[place], &keys, 20, &mut rng);
            let mut index = WindowIndex::default();
            for text in &texts {
                index.add(own.of(text).unwrap());
            }
            if place == 17 {
                learned = texts;
            }
            index
        })
        .collect();
    let student = Student::new(&learned);
    let answers: Vec<Vec<u32>> = (0..60).map(|_| student.answer(&mut rng)).collect();
    let mut test = Test::closed(&records[0], Role::Account, Some(&campaign), plan()).unwrap();
    for answer in &answers {
        test.suspect(&Response::ids(answer)).unwrap();
    }
    let pairs: Vec<(&LeafKey, &WindowIndex)> = accounts.iter().zip(&indexes).collect();
    let (statistic, found) = test.accounts(&pairs, 2, |_| ()).unwrap();
    assert_eq!(statistic, Statistic::Supervised);
    for (place, found) in found.iter().enumerate() {
        let mut collector = Collector::new(&records[0], Role::Account, Some(&campaign)).unwrap();
        for answer in &answers {
            collector
                .add_weighted(&Response::ids(answer), |before| {
                    indexes[place].soft_weight(before.window(), 10.0)
                })
                .unwrap();
        }
        let alone = collector.finish();
        let scored = alone.score(&[&accounts[place]], 1)[0];
        assert!((scored.score - found.own.score).abs() < 1e-9 * scored.score);
        assert!((scored.p_value.ln() - found.own.p_value.ln()).abs() < 1e-6);
        assert!((alone.effective() - found.own.effective).abs() < 1e-6 * found.own.effective);
        assert_eq!(found.verdict == Verdict::Detected, place == 17, "{found:?}");
    }
    println!(
        "the account: z = {:+.1}, p = {}",
        found[17].z(),
        found[17].own.p_value
    );
}

/// Watching answer by answer stops early where there is something, and the p-value holds whenever one stops. Inputs that a statistic lacks are said. Seed 65.
#[test]
fn a_watched_test_stops_early_and_missing_inputs_are_named() {
    let mut rng = rng(65);
    let key = campaign_key(&mut rng);
    let record = record("greenlist", &[&key]);
    let student = Student::new(&marked(&record, &[&key], 200, &mut rng));
    let watched = |student: &Student, rng: &mut _| {
        let mut test = Test::closed(&record, Role::Campaign, None, plan())
            .unwrap()
            .with_sequential(&key, 0.2)
            .unwrap();
        for _ in 0..60 {
            test.suspect(&Response::ids(&student.answer(rng))).unwrap();
        }
        let findings = test.findings(&[&key], None, 1, |_| ()).unwrap();
        findings.sequential.unwrap()
    };
    let seen = watched(&student, &mut rng);
    assert!(seen.stopped.is_some_and(|row| row < 40) && seen.p_value.at_most(1e-6));
    let innocent = Student::new(&write(None, 50, &mut rng));
    assert_eq!(watched(&innocent, &mut rng).stopped, None);

    let bare = |statistic| {
        let plan = plan().with_statistic(statistic);
        let test = Test::closed(&record, Role::Campaign, None, plan).unwrap();
        test.findings(&[&key], None, 1, |_| ())
            .unwrap_err()
            .to_string()
    };
    assert!(bare(Statistic::Supervised).contains("what was served"));
    assert!(bare(Statistic::Difference).contains("reference"));
    // Nothing at all is inconclusive, with the number that is needed.
    let none = Test::closed(&record, Role::Campaign, None, plan()).unwrap();
    let findings = none.findings(&[&key], None, 1, |_| ()).unwrap();
    let reason = findings.keys[0].verdict.reason().unwrap().clone();
    assert_eq!(reason.name(), "TooFewRows");
    assert!(findings.needed > 80_000.0 && !reason.to_string().contains("rows like these"));
    // A suspect that is its own reference shows nothing, and that is an answer.
    let text = write(None, 5, &mut rng);
    let same = open(&record, plan(), &student, &student, &text);
    let findings = same.findings(&[&key], None, 1, |_| ()).unwrap();
    assert_eq!(findings.keys[0].verdict, Verdict::NotDetected);
}

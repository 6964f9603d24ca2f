//! Is the size of every test what it says? Observed error rates under the null, at least a million scores for each scheme and test.
//!
//! `cargo run --release -p taggant-tests --bin calibrate > tests/evaluation/calibration.md` (about a quarter of an hour on two cores);
//! an argument is the number of scores for each scheme and test, 1,000,000 unless said. Progress goes to standard error. Exit code 1:
//! some total is above its nominal level beyond its 99 % interval.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use taggant_core::schemes::Parameters;
use taggant_core::{Decoys, Record, Role, Score};
use taggant_detector::stats::{EProcess, PValue, WeightedSum, binomial_tail, gamma_tail};
use taggant_detector::{Collector, Detector, Response, Units, localise};
use taggant_tests::{campaign_key, corpora, model, rng, stats, tokenizer, zipf};

const LEVELS: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-5];
const LENGTHS: [usize; 4] = [50, 200, 1000, 10_000];

/// Scheme, primary statistic, and whether windows get weights.
const TESTS: [(&str, Score, bool); 8] = [
    ("gumbel", Score::Sum, false),
    ("gumbel", Score::Maximin, false),
    ("gumbel", Score::Sum, true),
    ("tournament", Score::Sum, false),
    ("tournament", Score::Weighted, false),
    ("tournament", Score::Sum, true),
    ("greenlist", Score::Sum, false),
    ("greenlist", Score::Sum, true),
];

/// How often each level was reached.
#[derive(Clone, Copy, Default)]
struct Tally {
    scores: u64,
    hits: [u64; LEVELS.len()],
}

impl Tally {
    fn note(&mut self, reached: impl Fn(f64) -> bool) {
        self.scores += 1;
        for (hits, level) in self.hits.iter_mut().zip(LEVELS) {
            *hits += u64::from(reached(level));
        }
    }

    fn add(&mut self, other: &Self) {
        self.scores += other.scores;
        for (hits, more) in self.hits.iter_mut().zip(other.hits) {
            *hits += more;
        }
    }

    /// The rates with their intervals, as cells of a table; a level that fewer than ten scores would reach is left out.
    fn cells(&self) -> String {
        let cell = |(hits, level): (u64, f64)| {
            if (self.scores as f64) * level < 10.0 {
                return " – |".to_owned();
            }
            let (low, high) = stats::interval(hits, self.scores, 0.99);
            let mark = if low > level { " **above**" } else { "" };
            let rate = |rate: f64| format!("{:.3}", rate / level);
            format!(
                " {} [{}, {}]{mark} |",
                rate(hits as f64 / self.scores as f64),
                rate(low),
                rate(high)
            )
        };
        self.hits.into_iter().zip(LEVELS).map(cell).collect()
    }

    fn above(&self) -> bool {
        let above = |(hits, level): (u64, f64)| {
            self.scores as f64 * level >= 10.0 && stats::interval(hits, self.scores, 0.99).0 > level
        };
        self.hits.into_iter().zip(LEVELS).any(above)
    }
}

struct Text {
    kind: &'static str,
    ids: Vec<u32>,
}

fn main() -> ExitCode {
    let scores: u64 = std::env::args().nth(1).map_or(1_000_000, |count| {
        count.parse().expect("a number of scores")
    });
    let tokenizer = model::tokenizer();
    let texts: Vec<Text> = corpora::all()
        .into_iter()
        .map(|corpus| Text {
            kind: corpus.kind,
            ids: tokenizer.encode(&corpus.text).unwrap(),
        })
        .collect();
    println!(
        "# Calibration\n\nObserved error rates under the null, divided by the nominal level, with 99 % Clopper–Pearson intervals. 1.000 is exact; below is \
         conservative. Made by `cargo run --release -p taggant-tests --bin calibrate > tests/evaluation/calibration.md`.\n\n\
         Null: the text, held fixed, is independent of the key, drawn at random. Texts: six kinds of innocent text (`tests/support/corpora.rs`), \
         as SmolLM2 tokens. Keys: decoys, others for each kind, length and test. “Above” marks an interval that lies wholly above the level; of a hundred exact rows, one half would \
         by chance, at each level."
    );
    let mut good = by_text(&texts, scores);
    good &= single_keys(scores);
    good &= peeking(&texts, scores);
    good &= passages(&texts, scores);
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn head(first: &str) {
    println!(
        "| {first} | scores | 1e-2 | 1e-3 | 1e-4 | 1e-5 |\n| --- | ---: | --- | --- | --- | --- |"
    );
}

fn record(scheme: &str, score: Score, vocabulary: usize) -> Record {
    let key = campaign_key(&mut rng(70));
    Record::new(
        Parameters::new(scheme, &[]).unwrap(),
        2,
        &[&key],
        tokenizer(vocabulary),
    )
    .unwrap()
    .with_score(score)
    .unwrap()
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Fixed texts of every kind and length, random keys.
fn by_text(texts: &[Text], scores: u64) -> bool {
    let each = u32::try_from(scores.div_ceil((texts.len() * LENGTHS.len()) as u64)).unwrap();
    println!("\n## Fixed text, random keys\n");
    head("scheme, statistic, text");
    let mut good = true;
    for (test, (scheme, score, weighted)) in (1_u64..).zip(TESTS) {
        let name = format!(
            "{scheme}, {score}{}",
            if weighted { " with window weights" } else { "" }
        );
        let mut total = Tally::default();
        let mut rows = String::new();
        let mut lengths = [Tally::default(); LENGTHS.len()];
        let mut seed = 100 * test;
        for text in texts {
            let mut kind = Tally::default();
            for (length, of_length) in LENGTHS.into_iter().zip(&mut lengths) {
                let mut collector =
                    Collector::new(&record(scheme, score, 1 << 17), Role::Campaign, None).unwrap();
                let response = Response::ids(&text.ids[..length]);
                if weighted {
                    // Skewed on purpose: a tenth of the windows carry most of the weight.
                    collector
                        .add_weighted(&response, |before| {
                            f64::from(1 + before.window()[0] % 10).powi(3)
                        })
                        .unwrap();
                } else {
                    collector.add(&response).unwrap();
                }
                let units = collector.finish();
                // Keys of its own for each cell: shorter texts are beginnings of the longer ones.
                seed += 1;
                let critical = LEVELS.map(|level| critical(&units, level));
                let mut tally = Tally::default();
                for score in units.decoys(seed, each, threads(), |_| ()) {
                    tally.scores += 1;
                    for (hits, critical) in tally.hits.iter_mut().zip(critical) {
                        *hits += u64::from(score >= critical);
                    }
                }
                kind.add(&tally);
                of_length.add(&tally);
            }
            rows += &format!(
                "| {name}: {} | {} |{}\n",
                text.kind,
                kind.scores,
                kind.cells()
            );
            total.add(&kind);
        }
        for (length, tally) in LENGTHS.iter().zip(lengths) {
            rows += &format!(
                "| {name}: {length} tokens | {} |{}\n",
                tally.scores,
                tally.cells()
            );
        }
        println!(
            "| **{name}** | {} |{}\n{}",
            total.scores,
            total.cells(),
            rows.trim_end()
        );
        eprintln!("{name}: {} scores", total.scores);
        good &= !total.above();
    }
    good
}

/// The least score whose p-value is at most `level`, to the last bit that a bisection finds.
fn critical(units: &Units, level: f64) -> f64 {
    let law = units.null();
    let reaches = |score: f64| units.tail(score).at_most(level);
    let (mut low, mut high) = (law.mean(), law.mean() + law.deviation());
    while !reaches(high) && high < law.mean() + 1e3 * law.deviation() {
        high += high - law.mean();
    }
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if reaches(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// One key, many texts: no theorem promises this, because texts share units, so it is shown key by key.
fn single_keys(scores: u64) -> bool {
    const KEYS: usize = 10;
    println!(
        "\n## One key, many texts\n\nTen fixed keys, texts of 200 tokens drawn like words (Zipf, 32,000 tokens), scored by themselves. The theorem is about random \
         keys; texts that share their commonest units share a key's luck, so a single key's rate may lie on either side.\n"
    );
    head("scheme, key");
    let mut good = true;
    for scheme in ["gumbel", "tournament", "greenlist"] {
        let mut total = Tally::default();
        let mut rows = String::new();
        for key in 0..KEYS {
            let leaf = campaign_key(&mut rng(80 + key as u64));
            let record = Record::new(
                Parameters::new(scheme, &[]).unwrap(),
                2,
                &[&leaf],
                tokenizer(32_000),
            )
            .unwrap();
            let mut source = rng(100 + key as u64);
            let mut tally = Tally::default();
            // A detector keeps its pool; a new one now and then keeps it small.
            for start in (0..scores / KEYS as u64).step_by(1000) {
                let mut detector = Detector::new(&record, &[&leaf]).unwrap();
                for _ in start..(start + 1000).min(scores / KEYS as u64) {
                    let report = detector
                        .row(&Response::ids(&zipf(&mut source, 32_000, 200)))
                        .unwrap();
                    tally.note(|level| report.p_value.at_most(level));
                }
            }
            rows += &format!(
                "| {scheme}, key {} | {} |{}\n",
                key + 1,
                tally.scores,
                tally.cells()
            );
            total.add(&tally);
        }
        println!(
            "| **{scheme}, ten keys** | {} |{}\n{}",
            total.scores,
            total.cells(),
            rows.trim_end()
        );
        eprintln!("{scheme}, single keys: {} scores", total.scores);
        // Ten keys are ten draws, however many texts each scores: no pass or fail on their luck.
        good &= total.hits[0] < total.scores / 50;
    }
    good
}

/// Runs `work(decoy)` for each decoy on every core and adds up the tallies.
fn spread(count: u64, work: impl Fn(u32, &mut Tally) + Sync) -> Tally {
    let next = AtomicU32::new(0);
    let total = Mutex::new(Tally::default());
    let count = u32::try_from(count).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| {
                let mut own = Tally::default();
                loop {
                    let start = next.fetch_add(64, Ordering::Relaxed);
                    if start >= count {
                        break;
                    }
                    (start..count.min(start + 64)).for_each(|decoy| work(decoy, &mut own));
                }
                total.lock().unwrap().add(&own);
            });
        }
    });
    total.into_inner().unwrap()
}

/// The unit scores of a text under one decoy after another.
struct Sequence {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    decoys: Decoys,
    null: WeightedSum,
}

impl Sequence {
    fn new(scheme: &str, text: &[u32], units: usize) -> Self {
        let record = record(scheme, Score::Sum, 1 << 17);
        let mut seen = std::collections::HashSet::new();
        let positions: Vec<u32> = (2..text.len())
            .filter(|&end| seen.insert(&text[end - 2..end]))
            .take(units)
            .map(|end| end as u32)
            .collect();
        let mut one = Collector::new(&record, Role::Campaign, None).unwrap();
        one.add(&Response::ids(&[1, 2, 3])).unwrap();
        Self {
            tokens: text.to_vec(),
            positions,
            decoys: Decoys::new(&record, &record.layers()[0], 1),
            null: one.finish().null(),
        }
    }

    fn scores(&self, decoy: u32) -> Vec<f64> {
        let scheme = self.decoys.scheme(decoy);
        let mut words = vec![0; self.positions.len()];
        scheme.words(&self.tokens, &self.positions, &mut words);
        let mut scores = vec![0.0; words.len()];
        scheme.scores(&words, &mut scores);
        scores
    }

    /// The law of one unit.
    fn law(&self) -> taggant_detector::stats::Law {
        taggant_detector::stats::Law::Sum(self.null.clone())
    }
}

/// An adversary who looks after every unit and stops at the best moment.
fn peeking(texts: &[Text], scores: u64) -> bool {
    const UNITS: usize = 300;
    println!(
        "\n## Looking after every unit\n\nThe e-process (planned effect 0.2), and for comparison the fixed-n p-value, each at its best moment among the first {UNITS} units. The \
         first must stay at or below 1; the second shows what peeking does to a test that does not allow it.\n"
    );
    head("scheme, text");
    let mut good = true;
    for scheme in ["gumbel", "tournament", "greenlist"] {
        let mut total = Tally::default();
        let mut rows = String::new();
        for text in texts {
            let sequence = Sequence::new(scheme, &text.ids, UNITS);
            let law = sequence.law();
            let tally = spread(scores.div_ceil(texts.len() as u64), |decoy, tally| {
                let mut bet = EProcess::new(&law, 0.2).unwrap();
                for score in sequence.scores(decoy) {
                    bet.observe(1, score).unwrap();
                }
                let p = bet.p_value();
                tally.note(|level| p.at_most(level));
            });
            rows += &format!(
                "| {scheme}, e-process: {} | {} |{}\n",
                text.kind,
                tally.scores,
                tally.cells()
            );
            total.add(&tally);
        }
        println!(
            "| **{scheme}, e-process** | {} |{}\n{}",
            total.scores,
            total.cells(),
            rows.trim_end()
        );
        let sequence = Sequence::new(scheme, &texts[0].ids, UNITS);
        let naive = spread(scores.div_ceil(100), |decoy, tally| {
            let (mut sum, mut best) = (0.0, PValue::ONE);
            for (units, score) in (1..).zip(sequence.scores(decoy)) {
                sum += score;
                let p = tail(scheme, units, sum);
                best = if p.ln() < best.ln() { p } else { best };
            }
            tally.note(|level| best.at_most(level));
        });
        println!(
            "| {scheme}, fixed-n p at its best moment: {} | {} |{}",
            texts[0].kind,
            naive.scores,
            naive.cells()
        );
        eprintln!("{scheme}, peeking: {} paths", total.scores);
        good &= !total.above();
    }
    good
}

/// Unmarked documents: the chance that any passage is reported.
fn passages(texts: &[Text], scores: u64) -> bool {
    const UNITS: usize = 600;
    println!(
        "\n## Localisation in unmarked documents\n\nDocuments of {UNITS} units; a hit is any passage at the family-wise level.\n"
    );
    head("scheme, text");
    let mut good = true;
    for scheme in ["gumbel", "tournament", "greenlist"] {
        let mut total = Tally::default();
        let mut rows = String::new();
        for text in texts {
            let sequence = Sequence::new(scheme, &text.ids, UNITS);
            let law = sequence.law();
            let tally = spread(scores.div_ceil(texts.len() as u64), |decoy, tally| {
                let exact = |units, score| tail(scheme, units, score);
                let found = localise(
                    &sequence.positions,
                    &sequence.scores(decoy),
                    &law,
                    &exact,
                    0.01,
                )
                .unwrap();
                let best = found
                    .iter()
                    .map(|passage| passage.p_adjusted.ln())
                    .fold(0.0, f64::min);
                tally.note(|level| PValue::from_ln(best).at_most(level));
            });
            rows += &format!(
                "| {scheme}: {} | {} |{}\n",
                text.kind,
                tally.scores,
                tally.cells()
            );
            total.add(&tally);
        }
        println!(
            "| **{scheme}** | {} |{}\n{}",
            total.scores,
            total.cells(),
            rows.trim_end()
        );
        eprintln!("{scheme}, passages: {} documents", total.scores);
        good &= !total.above();
    }
    good
}

fn tail(scheme: &str, units: u64, score: f64) -> PValue {
    match scheme {
        "gumbel" => gamma_tail(score, units),
        "tournament" => binomial_tail(score as u64, 30 * units, 0.5, 0.5),
        _ => binomial_tail(score as u64, units, 0.25, 0.75),
    }
}

//! Many keys over many units, whole sizes, beside the AES-block rate of the same run on as many threads.
//!
//! `cargo run --release -p taggant-benches --bin many-keys [keys units decoys units]`

use std::time::Instant;

use taggant_benches::{aes_floor, mark};
use taggant_core::{LeafKey, Role};
use taggant_detector::{Collector, Response, Units};
use taggant_tests::{campaign_key, rng, zipf};

fn main() {
    let sizes: Vec<u32> = std::env::args()
        .skip(1)
        .map(|size| size.parse().expect("a number"))
        .collect();
    let [keys, units, decoys, fewer] = sizes[..]
        .try_into()
        .unwrap_or([24_000, 1_000_000, 1_000_000, 100_000]);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "| work | seconds | keys·units/s | share of the AES-block rate |\n| --- | ---: | ---: | ---: |"
    );
    for scheme in ["greenlist", "tournament", "gumbel"] {
        let pool = pool(scheme, units as usize);
        let mut rng = rng(56);
        let many: Vec<LeafKey> = (0..keys).map(|_| campaign_key(&mut rng)).collect();
        let many: Vec<&LeafKey> = many.iter().collect();
        let before = block_rate(threads);
        let start = Instant::now();
        let scored = pool.score(&many, threads);
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(scored.len(), keys as usize);
        report(
            &format!("{scheme}: {keys} keys × {} units", pool.len()),
            seconds,
            f64::from(keys) * pool.len() as f64,
            before,
            threads,
        );
    }
    let pool = pool("gumbel", fewer as usize);
    let before = block_rate(threads);
    let start = Instant::now();
    let scores = pool.decoys(1, decoys, threads, |_| ());
    let seconds = start.elapsed().as_secs_f64();
    report(
        &format!("gumbel: {} decoys × {} units", scores.len(), pool.len()),
        seconds,
        f64::from(decoys) * pool.len() as f64,
        before,
        threads,
    );
}

/// Distinct units of text like a language's.
fn pool(scheme: &str, size: usize) -> Units {
    let (_, record, _) = mark(scheme, &[], 2, 1, 128_256);
    let mut collector = Collector::new(&record, Role::Campaign, None).unwrap();
    let mut rng = rng(57);
    while collector.len() < size {
        let missing = size - collector.len();
        collector
            .add(&Response::ids(&zipf(&mut rng, 128_256, missing + 2)))
            .unwrap();
    }
    collector.finish()
}

/// AES blocks a second on `threads` threads, in a buffer of the first cache.
fn block_rate(threads: usize) -> f64 {
    const BLOCKS: usize = 1024;
    const ROUNDS: usize = 1_000_000;
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut encrypt = aes_floor(BLOCKS);
                (0..ROUNDS).for_each(|_| encrypt());
            });
        }
    });
    (threads * BLOCKS * ROUNDS) as f64 / start.elapsed().as_secs_f64()
}

fn report(what: &str, seconds: f64, evaluations: f64, before: f64, threads: usize) {
    let floor = 0.5 * (before + block_rate(threads));
    let rate = evaluations / seconds;
    println!(
        "| {what} | {seconds:.1} | {:.2}·10^9 | {:.0} % of {:.2}·10^9 |",
        rate / 1e9,
        100.0 * rate / floor,
        floor / 1e9
    );
}

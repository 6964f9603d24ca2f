//! Time and memory of a closed test of every account: each account's key on the windows that the account was served, against one suspect.
//! `cargo run --release -p taggant-benches --bin closed [-- ACCOUNTS TOKENS SUSPECT]`, 24,000 accounts of 1,000 tokens and 10^6 suspect tokens
//! by default; a quarter and a half of the accounts first, to see that cost is linear.

use std::time::Instant;

use taggant_core::schemes::Parameters;
use taggant_core::{LeafKey, Path, Record, Role};
use taggant_detector::distill::{Plan, Test};
use taggant_detector::{Response, ServedWindows, WindowIndex};
use taggant_tests::{campaign_key, rng, root, tokenizer, zipf};

const VOCABULARY: u32 = 50_000;
const RESPONSE: usize = 300;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().unwrap());
    let accounts: usize = arguments.next().unwrap_or(24_000);
    let tokens: usize = arguments.next().unwrap_or(1000);
    let suspect: usize = arguments.next().unwrap_or(1_000_000);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rng = rng(91);
    let (campaign, root) = (campaign_key(&mut rng), root(&mut rng));
    let keys: Vec<LeafKey> = (0..accounts)
        .map(|account| {
            let id = format!("a{account}");
            root.derive(&Path::new("test", Role::Account, &id).unwrap())
        })
        .collect();
    let record = Record::new(
        Parameters::new("gumbel", &[]).unwrap(),
        2,
        &[&campaign, &keys[0]],
        tokenizer(VOCABULARY as usize),
    )
    .unwrap();
    let mut windows = ServedWindows::new(&record, Role::Account, Some(&campaign)).unwrap();
    let answers = zipf(&mut rng, VOCABULARY, suspect);

    println!(
        "{suspect} suspect tokens, {tokens} tokens served to each account, {threads} threads; memory is the process's peak"
    );
    println!(
        "accounts   windows  build s   test s  ms/1000 accounts      units   peak MB  least p"
    );
    let mut indexes: Vec<WindowIndex> = Vec::new();
    let mut built = 0.0;
    for part in [accounts / 4, accounts / 2, accounts] {
        let start = Instant::now();
        while indexes.len() < part {
            let text = zipf(&mut rng, VOCABULARY, tokens);
            let mut index = WindowIndex::default();
            for response in text.chunks(RESPONSE) {
                index.add(windows.of(response).unwrap());
            }
            index.compact();
            indexes.push(index);
        }
        built += start.elapsed().as_secs_f64();

        let start = Instant::now();
        let plan = Plan::new(1e-6).unwrap();
        let mut test = Test::closed(&record, Role::Account, Some(&campaign), plan).unwrap();
        for answer in answers.chunks(RESPONSE) {
            test.suspect(&Response::ids(answer)).unwrap();
        }
        let collected = start.elapsed().as_secs_f64();
        let pairs: Vec<(&LeafKey, &WindowIndex)> = keys.iter().zip(&indexes).collect();
        let (_, found) = test.accounts(&pairs, threads, |_| ()).unwrap();
        let spent = start.elapsed().as_secs_f64();
        let distinct: usize = indexes.iter().map(WindowIndex::len).sum();
        let units: u64 = found.iter().map(|found| found.own.units).sum();
        let least = found
            .iter()
            .map(|found| found.own.p_value.get())
            .fold(1.0, f64::min);
        println!(
            "{part:>8} {distinct:>9} {built:>8.1} {spent:>8.2} {:>17.1} {units:>10} {:>9} {least:>8.1e}",
            1e6 * (spent - collected) / part as f64,
            peak().map_or("-".to_owned(), |megabytes| megabytes.to_string()),
        );
    }
}

/// The process's peak of memory, where the system says.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1000)
}

//! Time and memory of window indexes: one of a million tokens, and one for each of many accounts.
//! `cargo run --release -p taggant-benches --bin windows [-- ACCOUNTS TOKENS]`, 24,000 accounts of 1,000 tokens by default.

use std::time::Instant;

use taggant_core::schemes::Parameters;
use taggant_core::{Record, Role};
use taggant_detector::{ServedWindows, WindowIndex};
use taggant_tests::{campaign_key, rng, tokenizer, zipf};

const VOCABULARY: u32 = 50_000;
const RESPONSE: usize = 300;
const MILLION: usize = 1_000_000;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().unwrap());
    let accounts = arguments.next().unwrap_or(24_000);
    let tokens = arguments.next().unwrap_or(1000);
    let mut rng = rng(90);
    let key = campaign_key(&mut rng);
    let record = Record::new(
        Parameters::new("gumbel", &[]).unwrap(),
        2,
        &[&key],
        tokenizer(VOCABULARY as usize),
    )
    .unwrap();
    let mut windows = ServedWindows::new(&record, Role::Campaign, None).unwrap();
    let corpus = zipf(&mut rng, VOCABULARY, MILLION);

    let start = Instant::now();
    let mut one = WindowIndex::default();
    for response in corpus.chunks(RESPONSE) {
        one.add(windows.of(response).unwrap());
    }
    one.compact();
    let built = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let total: u64 = corpus
        .windows(2)
        .map(|window| u64::from(one.count(window)))
        .sum();
    let read = start.elapsed().as_secs_f64();
    println!(
        "one index of {MILLION} tokens: built in {built:.2} s, {} windows, {:.1} MB; {:.0} ns a lookup (sum {total})",
        one.len(),
        one.bytes() as f64 / 1e6,
        1e9 * read / MILLION as f64
    );

    // Every account's text differs: a slice of the corpus at its own place, its tokens moved by its number.
    let mut indexes = Vec::with_capacity(accounts);
    let mut text = Vec::new();
    let mut spent = 0.0;
    for account in 0..accounts {
        let place = account * 7919 % (MILLION - tokens.min(MILLION - 1));
        text.clear();
        text.extend(
            corpus
                .iter()
                .cycle()
                .skip(place)
                .take(tokens)
                .map(|token| (token + account as u32) % VOCABULARY),
        );
        let start = Instant::now();
        let mut index = WindowIndex::default();
        for response in text.chunks(RESPONSE) {
            index.add(windows.of(response).unwrap());
        }
        index.compact();
        indexes.push(index);
        spent += start.elapsed().as_secs_f64();
    }
    let held: usize = indexes.iter().map(WindowIndex::bytes).sum();
    let distinct: usize = indexes.iter().map(WindowIndex::len).sum();
    println!(
        "{accounts} indexes of {tokens} tokens: built in {spent:.1} s ({:.0} ns a token), {distinct} windows, {:.0} MB",
        1e9 * spent / (accounts * tokens) as f64,
        held as f64 / 1e6
    );
    // A suspect's million windows against every account, on a sample of accounts.
    let sample = accounts.min(24);
    let start = Instant::now();
    let mut hits = 0;
    for index in indexes
        .iter()
        .step_by((accounts / sample).max(1))
        .take(sample)
    {
        hits += corpus
            .windows(2)
            .filter(|window| index.count(window) > 0)
            .count();
    }
    let each = start.elapsed().as_secs_f64() / sample as f64;
    println!(
        "{MILLION} windows of a suspect looked up in one account: {:.1} ms, so {:.0} s for all {accounts} ({hits} hits in {sample})",
        1e3 * each,
        each * accounts as f64
    );
}

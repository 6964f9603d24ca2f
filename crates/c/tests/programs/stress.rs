//! Threads, cancelled and resumed responses.

use crate::support::{Bench, insecure_key, record};

/// 80,000 steps unless the environment says otherwise: `.ci/c` takes a million, and looks with valgrind and the compiler's sanitizers as well.
#[test]
fn many_responses_at_once_are_resumed_as_they_were_and_memory_does_not_grow() {
    let bench = Bench::new(&["tests/programs/stress.c"], &[]);
    let key = insecure_key(7, "2026-12/campaign/east");
    let key_file = bench.file("east.key", &key.to_json());
    let steps = std::env::var("TAGGANT_STEPS").unwrap_or_else(|_| "80000".to_owned());
    for scheme in ["gumbel", "tournament", "greenlist"] {
        let record = bench.file("mark.json", &record(scheme, &[&key], 1009).to_json());
        print!("{scheme}: {}", bench.run(&[&key_file, &record, &steps]));
    }
}

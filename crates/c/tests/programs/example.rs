//! The documentation's example.

use crate::support::{Bench, insecure_key};

/// 200 marked tokens of a toy model are found with the right key at alpha 1e-6, and not with another; the program says no otherwise.
#[test]
fn the_example_marks_and_detects() {
    let bench = Bench::new(&["examples/mark.c"], &[]);
    let path = "2026-12/campaign/east";
    let key = bench.file("east.key", &insecure_key(7, path).to_json());
    let other = bench.file("other.key", &insecure_key(8, path).to_json());
    let said = bench.run(&[&key, &other]);
    print!("{said}");
    assert!(said.starts_with("right key: p = ") && said.contains("\nwrong key: p = "));
}

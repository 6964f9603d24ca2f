//! What becomes of keys.

use crate::support::{Bench, insecure_key, record};

/// Linux's linker can put a function between the library and `free`; others need not be asked.
#[cfg(target_os = "linux")]
#[test]
fn no_memory_that_is_given_back_holds_a_key() {
    let bench = Bench::new(
        &["tests/programs/wipe.c"],
        &["-Wl,--wrap=free", "-Wl,--wrap=realloc"],
    );
    let key = insecure_key(7, "2026-12/campaign/east");
    let key_file = bench.file("east.key", &key.to_json());
    let record = bench.file("mark.json", &record("gumbel", &[&key], 100).to_json());
    print!("{}", bench.run(&[&key_file, &record]));
}

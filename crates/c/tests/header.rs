//! The header is what the sources say.

use std::fs;
use std::path::Path;

/// Makes the header of `src/`, and says what to do when the committed one is another.
#[test]
fn the_committed_header_is_what_cbindgen_makes_of_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut made = Vec::new();
    cbindgen::Builder::new()
        .with_crate(root)
        .with_config(config)
        .generate()
        .unwrap()
        .write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let committed = root.join("include/taggant.h");
    if std::env::var_os("TAGGANT_WRITE_HEADER").is_some() {
        fs::write(&committed, &made).unwrap();
    }
    assert!(
        fs::read_to_string(&committed).unwrap_or_default() == made,
        "include/taggant.h is out of date: run `TAGGANT_WRITE_HEADER=1 cargo test --release -p taggant-c --test header`"
    );
}

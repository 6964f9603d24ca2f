//! Writes `tests/vectors/` with the reference implementation: `cargo run -p taggant-tests --bin generate-vectors`.

use std::fs;
use std::path::Path;

use taggant_tests::vectors;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    for (name, text) in vectors::generate::all() {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        println!("{}", path.display());
    }
}

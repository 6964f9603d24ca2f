//! Bad input from C.

use std::fs;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;

use taggant_core::{Family, RootKey};

use crate::support::{Bench, insecure_key, record};

/// `errors.c` makes every mistake that can be seen and checks status and message of each.
#[test]
fn every_mistake_has_its_status_and_says_what_is_wrong() {
    let bench = Bench::new(&["tests/programs/errors.c"], &[]);
    let path = "2026-12/campaign/east";
    let key = insecure_key(7, path);
    let public = RootKey::in_family(Family::Public, [7; 32]).derive(&path.parse().unwrap());
    bench.file("right.key", &key.to_json());
    bench.file("other.key", &insecure_key(8, path).to_json());
    bench.file("public.key", &public.to_json());
    bench.file("mark.json", &record("gumbel", &[&key], 100).to_json());
    bench.file("large.key", &" ".repeat(4097));
    bench.file("large.json", &" ".repeat(65_537));
    bench.file("empty.key", "");
    let latin = bench.file("latin.key", "");
    fs::write(&latin, b"{\"\xe9\"}").unwrap();
    let private = bench.path("private");
    fs::create_dir(&private).unwrap();
    let open = bench.file("open.key", &key.to_json());
    #[cfg(unix)]
    {
        fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(bench.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    }
    bench.run(&[bench.path("").to_str().unwrap().trim_end_matches('/')]);
}

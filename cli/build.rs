//! Tells the program which source it was made from, so that a plan can name it (V-10).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use sha2::{Digest, Sha256};

fn main() -> io::Result<()> {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = own.parent().unwrap_or(&own);
    let mut names = Vec::new();
    for name in ["Cargo.lock", "Cargo.toml", "cli", "crates"] {
        find(root, name, false, &mut names)?;
    }
    names.sort_unstable();
    // What `sha256sum` prints of these files, hashed again: anyone can do the same (SPEC.md of the evidence formats, §7).
    let mut sums = String::new();
    for name in names {
        println!("cargo::rerun-if-changed={}", root.join(&name).display());
        let digest = Sha256::digest(fs::read(root.join(&name))?);
        for byte in digest {
            let _ = write!(sums, "{byte:02x}");
        }
        let _ = writeln!(sums, "  {name}");
    }
    let digest = Sha256::digest(sums);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=TAGGANT_SOURCE={hex}");
    Ok(())
}

/// Files below a folder `src`, manifests and build scripts.
fn find(root: &Path, name: &str, in_source: bool, names: &mut Vec<String>) -> io::Result<()> {
    let path = root.join(name);
    if !path.is_dir() {
        let own = path.file_name().and_then(|own| own.to_str());
        if path.exists()
            && (in_source || matches!(own, Some("Cargo.toml" | "Cargo.lock" | "build.rs")))
        {
            names.push(name.to_owned());
        }
        return Ok(());
    }
    if in_source {
        // Files that come or go; what is beside the sources, such as tests, is no part of the program.
        println!("cargo::rerun-if-changed={}", path.display());
    }
    for entry in fs::read_dir(&path)? {
        let own = entry?.file_name();
        let own = own.to_string_lossy();
        find(
            root,
            &format!("{name}/{own}"),
            in_source || own == "src",
            names,
        )?;
    }
    Ok(())
}

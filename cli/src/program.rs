//! Which program this is, as plans, transcripts and bundles name it (V-10).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use taggant_evidence::Digest;

use crate::failure::{Failure, Result};
use crate::files;

/// Digest of the source: SHA-256 of what `sha256sum` prints of its files.
const SOURCE: &str = env!("TAGGANT_SOURCE");

/// Every package that the program may hold, with its version and checksum.
const LOCK: &str = include_str!("../../Cargo.lock");

/// Digest of the source that this program was made from.
pub(crate) fn source() -> taggant_core::Result<Digest> {
    SOURCE.parse()
}

/// Digest of the running program's file.
pub(crate) fn binary() -> Result<Digest> {
    let path = std::env::current_exe()
        .map_err(|error| Failure::new(format!("this program's own file: {error}")))?;
    files::digest(&path)
}

/// The list of all packages, as CycloneDX 1.5; the same bytes for the same source.
pub(crate) fn sbom() -> String {
    let packages: Vec<Value> = packages().map(|package| component(&package)).collect();
    let list = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {
            "type": "application",
            "name": "taggant",
            "version": env!("CARGO_PKG_VERSION"),
            "hashes": [{"alg": "SHA-256", "content": SOURCE}],
        }},
        "components": packages,
    });
    format!("{list:#}\n")
}

/// The lock file's packages: each a block of lines `name = "value"`.
fn packages() -> impl Iterator<Item = BTreeMap<&'static str, &'static str>> {
    LOCK.split("[[package]]").skip(1).map(|block| {
        let fields = block.lines().filter_map(|line| line.split_once(" = "));
        fields
            .map(|(name, value)| (name, value.trim_matches('"')))
            .collect()
    })
}

fn component(package: &BTreeMap<&str, &str>) -> Value {
    let field = |name: &str| package.get(name).copied().unwrap_or_default();
    let (name, version) = (field("name"), field("version"));
    let mut component = json!({
        "type": "library",
        "name": name,
        "version": version,
        "purl": format!("pkg:cargo/{name}@{version}"),
    });
    if let Some(checksum) = package.get("checksum") {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_of_the_lock_file_is_listed() {
        let list: Value = sbom().parse().unwrap();
        let components = list["components"].as_array().unwrap();
        assert_eq!(components.len(), LOCK.matches("[[package]]").count());
        let find = |name: &str| components.iter().find(|one| one["name"] == name).unwrap();
        assert_eq!(
            find("sha2")["hashes"][0]["content"].as_str().unwrap().len(),
            64
        );
        assert!(find("taggant-core")["hashes"].is_null());
        for component in components {
            for field in ["name", "version"] {
                assert!(
                    !component[field].as_str().unwrap().is_empty(),
                    "{component}"
                );
            }
        }
    }
}

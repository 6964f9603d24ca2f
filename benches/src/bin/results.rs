//! Prints what the last `cargo bench` measured: medians, per element, with the ratio to the floors of the same run.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn main() {
    let folder = std::env::args()
        .nth(1)
        .map_or_else(|| PathBuf::from("target/criterion"), PathBuf::from);
    let mut groups: Vec<PathBuf> = subfolders(&folder);
    groups.sort();
    for group in groups {
        let mut rows: Vec<(String, f64)> = subfolders(&group)
            .iter()
            .filter_map(|bench| median(bench))
            .collect();
        if rows.is_empty() {
            continue;
        }
        rows.sort_by(|a, b| {
            b.0.starts_with("floor")
                .cmp(&a.0.starts_with("floor"))
                .then(a.0.cmp(&b.0))
        });
        let floors: Vec<(String, f64)> = rows
            .iter()
            .filter(|row| row.0.starts_with("floor"))
            .cloned()
            .collect();
        println!("\n### {}\n", group.file_name().unwrap().to_string_lossy());
        let heads: Vec<&str> = floors
            .iter()
            .map(|floor| floor.0.trim_start_matches("floor: "))
            .collect();
        println!(
            "| | time per element |{}",
            heads
                .iter()
                .map(|head| format!(" × {head} |"))
                .collect::<String>()
        );
        println!("| --- | ---: |{}", " ---: |".repeat(heads.len()));
        for (name, time) in rows {
            let ratios: String = floors
                .iter()
                .map(|floor| format!(" {:.1} |", time / floor.1))
                .collect();
            println!("| {name} | {} |{ratios}", shown(time));
        }
    }
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        panic!(
            "{}: run `cargo bench -p taggant-benches` first",
            folder.display()
        )
    };
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.ends_with("report"))
        .collect()
}

/// A benchmark's name and its median in seconds per element.
fn median(bench: &Path) -> Option<(String, f64)> {
    let read = |name: &str| -> Option<Value> {
        serde_json::from_str(&fs::read_to_string(bench.join("new").join(name)).ok()?).ok()
    };
    let about = read("benchmark.json")?;
    let nanoseconds = read("estimates.json")?["median"]["point_estimate"].as_f64()?;
    let elements = about["throughput"]["Elements"].as_f64().unwrap_or(1.0);
    Some((
        about["function_id"].as_str()?.to_owned(),
        nanoseconds * 1e-9 / elements,
    ))
}

fn shown(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.2} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.2} µs", s * 1e6),
        s => format!("{:.2} ms", s * 1e3),
    }
}

//! Where pointers are followed.

use std::fs;
use std::path::Path;

/// The compiler cannot tell a fixed name, which every exported function has, from an unsafe block; this can.
#[test]
fn unsafe_blocks_are_in_one_module_and_each_says_why_it_is_sound() {
    let mut blocks = 0;
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let path = file.unwrap().path();
        let source = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = source.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate() {
            let code = !line.starts_with("//")
                && !line.starts_with("reason = ")
                && line.contains("unsafe");
            if !code || ["#[unsafe(no_mangle)]", "unsafe_code,"].contains(line) {
                continue;
            }
            let place = format!("{}:{}: {line}", path.display(), number + 1);
            assert!(
                path.ends_with("raw.rs") && line.contains("unsafe {"),
                "{place}"
            );
            let comment = lines[..number]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("//"));
            assert!(
                comment
                    .into_iter()
                    .any(|line| line.starts_with("// SAFETY: ")),
                "{place}"
            );
            blocks += 1;
        }
    }
    assert_eq!(blocks, 3);
}

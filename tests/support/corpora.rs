//! Innocent text of many kinds, for nulls.
//!
//! Human prose, source code and JSON come from CPython's standard library (its language reference, modules and tables), other
//! languages from the translations in Django's package, fetched with pip once and kept in the model cache; repetitive and templated
//! text is written here.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A kind of innocent text, at least 10,000 tokens of it.
#[derive(Debug)]
pub struct Corpus {
    /// What it is.
    pub kind: &'static str,
    /// The text.
    pub text: String,
}

/// Every kind.
#[must_use]
pub fn all() -> Vec<Corpus> {
    let corpus = |kind, text: String| {
        assert!(text.len() > 40_000, "{kind}: only {} bytes", text.len());
        Corpus { kind, text }
    };
    vec![
        corpus("human prose", prose()),
        corpus("repetitive", repetitive()),
        corpus("templated", templated()),
        corpus("JSON", json()),
        corpus("source code", code()),
        corpus("non-English", languages()),
    ]
}

/// CPython's language reference: 460 KB of prose by many hands.
#[must_use]
pub fn prose() -> String {
    python(
        "import pydoc_data.topics as t; print('\\n\\n'.join(t.topics[k] for k in sorted(t.topics)))",
    )
}

/// Modules of CPython's standard library.
#[must_use]
pub fn code() -> String {
    python(
        "import argparse, difflib, inspect\nfor m in (argparse, difflib): print(inspect.getsource(m))",
    )
}

/// A table of CPython as JSON: short keys, few shapes.
#[must_use]
pub fn json() -> String {
    python(
        "import html.entities as h, json\n\
         print(json.dumps([{'name': k, 'value': v, 'codes': [ord(c) for c in v]} for k, v in sorted(h.html5.items())], indent=1))",
    )
}

/// Django's own messages in nine languages and six scripts.
#[must_use]
pub fn languages() -> String {
    let languages = ["ar", "de", "el", "fr", "hi", "ja", "ko", "ru", "zh_Hans"];
    let script = format!(
        "import re, sys, zipfile\n\
         z = zipfile.ZipFile(sys.argv[1])\n\
         for l in {languages:?}:\n\
         \x20for app in ('conf', 'contrib/admin', 'contrib/auth'):\n\
         \x20 po = z.read(f'django/{{app}}/locale/{{l}}/LC_MESSAGES/django.po').decode()\n\
         \x20 for m in re.findall(r'^msgstr(?:\\[\\d\\])? ((?:\".*\"\\n)+)', po, re.M):\n\
         \x20  s = ''.join(re.findall(r'\"(.*)\"', m)).replace('\\\\n', '\\n')\n\
         \x20  if s and 'Project-Id' not in s: print(s)\n"
    );
    run(
        "python3",
        &["-c", &script, django().to_str().expect("a path of text")],
    )
}

/// Django 5.2.19 (BSD), of which only the translations are read.
fn django() -> PathBuf {
    let folder = crate::model::cache().join("corpora");
    let wheel = folder.join("django-5.2.19-py3-none-any.whl");
    if !wheel.exists() {
        fs::create_dir_all(&folder).expect("the cache can be written");
        let fresh = tempfile::tempdir_in(&folder).expect("the cache can be written");
        let target = fresh.path().to_str().expect("a path of text");
        run(
            "python3",
            &[
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "-d",
                target,
                "django==5.2.19",
            ],
        );
        fs::rename(fresh.path().join("django-5.2.19-py3-none-any.whl"), &wheel)
            .expect("the cache can be written");
    }
    wheel
}

/// One sentence over and over.
#[must_use]
pub fn repetitive() -> String {
    "All work and no play makes Jack a dull boy.\n".repeat(1200)
}

/// Letters from one template, which differ in names and numbers.
#[must_use]
pub fn templated() -> String {
    let names = [
        "Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances",
    ];
    let mut text = String::new();
    for letter in 0..220 {
        let name = names[letter * 5 % names.len()];
        let (order, euros, days) = (40_961 + letter * 37, 20 + letter * 13 % 180, 2 + letter % 5);
        let _ = writeln!(
            text,
            "Dear {name},\n\nThank you for your order number {order}. The total amount is {euros} euros. Your parcel will arrive \
             within {days} working days. If you have any questions about your order, please reply to this message or call our \
             customer service. We are looking forward to serving you again.\n\nKind regards,\nThe customer service team\n"
        );
    }
    text
}

fn python(script: &str) -> String {
    run("python3", &["-c", script])
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

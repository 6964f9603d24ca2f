//! `key export | import`: the key tree and engines that mark natively.

use base16ct::lower::encode_string;
use serde::Serialize;
use serde_json::Value;
use taggant_interop::{Mark, commitment_of_imported};
use zeroize::Zeroizing;

use crate::Answer;
use crate::args::{KeyExport, KeyImport};
use crate::engines;
use crate::failure::{Failure, Result};
use crate::files::{self, Output};
use crate::output::say;

/// What may be published of an exported key. The configuration follows from the leaf, so its commitment is enough; a hash of the configuration
/// would let short keys be found.
#[derive(Serialize)]
struct Record<'a> {
    engine: &'a str,
    format: &'a str,
    derivation: &'static str,
    commitment: String,
}

pub(super) fn export(args: &KeyExport) -> Result<Answer> {
    let key = files::read_key(&args.key)?;
    let exported = taggant_interop::export(&args.engine, &key)?;
    let record = Record {
        engine: exported.engine.id,
        format: exported.engine.format,
        derivation: "taggant/v1/engine",
        commitment: encode_string(&key.commitment()),
    };
    // Both are ready before either appears, and neither replaces a file: it may be the only copy of a key.
    let sealed = match &args.record {
        None => None,
        Some(path) if *path == args.out => {
            return Err(Failure::new(format!(
                "{}: named both as --out and as --record",
                path.display()
            ))
            .hint("give the record another name"));
        }
        Some(path) => {
            let mut output = Output::fresh(path)?;
            output.line(
                &serde_json::to_string(&record).map_err(|error| Failure::new(error.to_string()))?,
            )?;
            Some(output.seal()?)
        }
    };
    files::write_secret(&args.out, exported.config())?;
    if let Some(sealed) = sealed {
        sealed.publish()?;
    }
    say(&format!(
        "{}: for {}; what it then writes is found with `taggant detect --format {} --format-config {}`",
        args.out.display(),
        exported.engine.about,
        exported.engine.format,
        args.out.display()
    ));
    Ok(Answer::Yes)
}

/// A line of `scan --keys`. The salt opens the commitment.
#[derive(Serialize)]
struct Imported<'a> {
    name: &'a str,
    format: &'a str,
    config: &'a Value,
    salt: String,
    commitment: String,
}

pub(super) fn import(args: &KeyImport) -> Result<Answer> {
    let config = engines::read_config(&args.config)?;
    let read = Mark::with_vocabulary(&args.format, &config, args.vocab_size);
    let _ = read.map_err(|error| {
        Failure::from(error.context(args.config.display())).hint(
            "give the engine's own configuration; docs of the format: crates/interop/FORMATS.md",
        )
    })?;
    let mut salt = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *salt)
        .map_err(|error| Failure::new(format!("the system gave no random bytes: {error}")))?;
    let broken = |error: serde_json::Error| Failure::new(error.to_string());
    // On one line, fields in the order they have.
    let mut parsed: Value = serde_json::from_str(&config).map_err(broken)?;
    if let (Some(size), Some(fields)) = (args.vocab_size, parsed.as_object_mut()) {
        fields.entry("vocab_size").or_insert(size.into());
    }
    // What is written must be read as it was.
    let mark =
        Mark::from_json(&args.format, &Zeroizing::new(parsed.to_string())).map_err(|error| {
            Failure::from(error).hint("give no --vocab-size to a format that has none")
        })?;
    let compact = Zeroizing::new(parsed.to_string());
    let commitment = encode_string(&commitment_of_imported(
        mark.definition().id,
        &compact,
        &salt,
    ));
    let line = Imported {
        name: &args.name,
        format: mark.definition().id,
        config: &parsed,
        salt: encode_string(&*salt),
        commitment,
    };
    let text = Zeroizing::new(serde_json::to_string(&line).map_err(broken)?);
    files::write_secret(&args.out, &text)?;
    say(&format!(
        "{}: key {} of format {}, commitment {}",
        args.out.display(),
        args.name,
        line.format,
        line.commitment
    ));
    if let Some(warning) = mark.definition().warning {
        say(&format!("note: {warning}"));
    }
    Ok(Answer::Yes)
}

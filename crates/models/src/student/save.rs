//! A student as a GGUF file.

use std::io::{BufWriter, Write};
use std::path::Path;

use taggant_core::{Error, ErrorKind, Result};
use taggant_text::{Gguf, gguf::Value};

use super::{Size, Student};

impl Student {
    /// Writes the student as a GGUF file of f32 weights, adapters added in, with the metadata of the model it came from. A file that was there
    /// is replaced once the new one is complete.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io).
    pub fn save(&self, path: &Path) -> Result<()> {
        let place = |error: std::io::Error| {
            Error::new(
                ErrorKind::Io,
                format!("cannot write {}: {error}", path.display()),
            )
            .with_source(error)
        };
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let file =
            tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(place)?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        self.write(&mut out).map_err(place)?;
        let file = out
            .into_inner()
            .map_err(|error| place(error.into_error()))?;
        readable(file.as_file()).map_err(place)?;
        file.as_file().sync_all().map_err(place)?;
        file.persist(path).map_err(|error| place(error.error))?;
        Ok(())
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let names = self.names();
        let tensors = names.iter().enumerate().map(|(place, name)| {
            let [rows, columns] =
                [self.weights[place].nrows(), self.weights[place].ncols()].map(|n| n as u64);
            // Norms are vectors.
            let dimensions = if rows == 1 {
                vec![columns]
            } else {
                vec![columns, rows]
            };
            (name.as_str(), dimensions)
        });
        self.header.write_with(out, tensors)?;
        for place in 0..names.len() {
            let merged = self.merged(place);
            let mut bytes = 0;
            for row in merged.outer_iter() {
                for value in row {
                    out.write_all(&value.to_le_bytes())?;
                    bytes += 4;
                }
            }
            out.write_all(&[0; 32][..(32 - bytes % 32) % 32])?;
        }
        out.flush()
    }

    /// The tensors' names, in the order of the weights.
    fn names(&self) -> Vec<String> {
        const PARTS: [&str; 9] = [
            "attn_norm",
            "attn_q",
            "attn_k",
            "attn_v",
            "attn_output",
            "ffn_norm",
            "ffn_gate",
            "ffn_up",
            "ffn_down",
        ];
        let layers = (0..self.shape.layers)
            .flat_map(|layer| PARTS.map(|part| format!("blk.{layer}.{part}.weight")));
        let mut names: Vec<String> = std::iter::once("token_embd.weight".to_owned())
            .chain(layers)
            .collect();
        names.push("output_norm.weight".to_owned());
        if self.shape.own_output {
            names.push("output.weight".to_owned());
        }
        names
    }
}

/// Temporary files are private; a model is as readable as the user's other files.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// The header of a file whose model has another size.
pub(super) fn resized(header: &Gguf, size: Size) -> Gguf {
    let number = |value: usize| Value::U32(u32::try_from(value).unwrap_or(u32::MAX));
    let own = [
        ("llama.block_count", number(size.layers)),
        ("llama.embedding_length", number(size.width)),
        ("llama.feed_forward_length", number(size.feed_forward)),
        ("llama.attention.head_count", number(size.heads)),
        ("llama.attention.head_count_kv", number(size.heads)),
        (
            "llama.attention.key_length",
            number(size.width / size.heads),
        ),
        (
            "llama.attention.value_length",
            number(size.width / size.heads),
        ),
        (
            "llama.rope.dimension_count",
            number(size.width / size.heads),
        ),
        ("llama.rope.freq_base", Value::F32(10_000.0)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
    ];
    own.into_iter()
        .fold(header.clone(), |header, (key, value)| {
            header.with(key, value)
        })
}

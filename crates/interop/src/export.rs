//! Keys of the key tree in the configuration of engines that mark natively, and keys that are in use already.

use sha2::{Digest, Sha256};
use taggant_core::{Error, ErrorKind, LeafKey, Result};
use zeroize::Zeroizing;

/// An engine that takes a configuration.
#[non_exhaustive]
pub struct Engine {
    /// The id, as `--engine` takes it.
    pub id: &'static str,
    /// The format of what it then writes.
    pub format: &'static str,
    /// Where the file goes.
    pub about: &'static str,
    write: fn(&Keys<'_>) -> Result<Zeroizing<String>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Every engine. Adding one is an entry here.
///
/// llama.cpp is not among them: it has no mark of its own.
pub const ENGINES: &[Engine] = &[
    Engine {
        id: "vllm",
        format: "vllm-gumbel",
        about: "vllm serve --watermark-config",
        write: |keys| {
            text(&[
                "{\"key\": ",
                &keys.whole(0, 64)?,
                ", \"algorithm\": \"gumbel\", \"context_width\": 4, \"prf\": \"philox\"}",
            ])
        },
    },
    Engine {
        id: "vllm-dual",
        format: "vllm-dual",
        about: "vllm serve --watermark-config, with speculative decoding",
        write: |keys| {
            text(&[
                "{\"key\": ",
                &keys.whole(0, 64)?,
                ", \"algorithm\": \"dual_key_gumbel\", \"alpha\": 0.1, \"context_width\": 4, \"prf\": \"philox\"}",
            ])
        },
    },
    Engine {
        id: "sglang",
        format: "sglang-gumbel",
        about: "SGLang --enable-watermark --watermark-config",
        write: |keys| {
            text(&[
                "{\"key\": \"",
                &keys.hex(0)?,
                "\", \"context_window\": 4, \"default_enabled\": true}",
            ])
        },
    },
    Engine {
        id: "sglang-dual",
        format: "sglang-gumbel",
        about: "SGLang --enable-watermark --watermark-config, with two keys",
        write: |keys| {
            text(&[
                "{\"key\": \"",
                &keys.hex(0)?,
                "\", \"key_b\": \"",
                &keys.hex(1)?,
                "\", \"context_window\": 4, \"mixing_probability\": 0.5, \"default_enabled\": true}",
            ])
        },
    },
    Engine {
        id: "transformers",
        format: "hf-kgw-selfhash",
        about: "transformers WatermarkingConfig(**json)",
        write: |keys| {
            text(&[
                "{\"greenlist_ratio\": 0.25, \"bias\": 2.5, \"hashing_key\": ",
                &keys.whole(0, 40)?,
                ", \"seeding_scheme\": \"selfhash\", \"context_width\": 2}",
            ])
        },
    },
    Engine {
        id: "transformers-lefthash",
        format: "hf-kgw-lefthash",
        about: "transformers WatermarkingConfig(**json)",
        write: |keys| {
            text(&[
                "{\"greenlist_ratio\": 0.25, \"bias\": 2.5, \"hashing_key\": ",
                &keys.whole(0, 40)?,
                ", \"seeding_scheme\": \"lefthash\", \"context_width\": 1}",
            ])
        },
    },
    Engine {
        id: "transformers-synthid",
        format: "hf-synthid",
        about: "transformers SynthIDTextWatermarkingConfig(**json)",
        write: |keys| {
            text(&[
                "{\"ngram_len\": 5, \"keys\": [",
                &keys.list(SYNTHID_DEPTH)?,
                "]}",
            ])
        },
    },
    Engine {
        id: "synthid",
        format: "deepmind-synthid",
        about: "synthid-text 0.2.1 SynthIDLogitsProcessor(**json, temperature, top_k, device)",
        write: |keys| {
            text(&[
                "{\"ngram_len\": 5, \"keys\": [",
                &keys.list(SYNTHID_DEPTH)?,
                "], \"sampling_table_size\": 65536, \"sampling_table_seed\": 0, \"context_history_size\": 1024}",
            ])
        },
    },
    Engine {
        id: "textseal",
        format: "textseal-gumbel",
        about: "textseal WatermarkConfig(**json)",
        write: |keys| {
            text(&[
                "{\"secret_key\": ",
                &keys.whole(0, 62)?,
                ", \"ngram\": 2, \"watermark_type\": \"gumbelmax\", \"method\": \"uniform\"}",
            ])
        },
    },
    Engine {
        id: "textseal-greenlist",
        format: "textseal-greenlist",
        about: "textseal WatermarkConfig(**json)",
        write: |keys| {
            text(&[
                "{\"secret_key\": ",
                &keys.whole(0, 62)?,
                ", \"ngram\": 2, \"watermark_type\": \"greenlist\", \"method\": \"binary\", \"gamma\": 0.5, \"delta\": 2.0}",
            ])
        },
    },
];

/// Layers of a tournament, as both SynthID packages show it.
const SYNTHID_DEPTH: u8 = 30;

/// An engine's configuration with keys from the tree.
#[non_exhaustive]
pub struct Exported {
    /// The engine.
    pub engine: &'static Engine,
    config: Zeroizing<String>,
}

impl std::fmt::Debug for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exported")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

impl Exported {
    /// The file that the engine loads, which is as secret as the key.
    #[must_use]
    pub fn config(&self) -> &str {
        &self.config
    }
}

/// The configuration of `engine` with keys drawn from `key` (SPEC.md §2.6). The same key gives the same file, so the leaf's commitment
/// commits to it.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for an engine that is not in [`ENGINES`].
pub fn export(engine: &str, key: &LeafKey) -> Result<Exported> {
    let Some(found) = ENGINES.iter().find(|known| known.id == engine) else {
        let known: Vec<_> = ENGINES.iter().map(|engine| engine.id).collect();
        let why = match engine {
            "llama-cpp" | "llama.cpp" => {
                "llama.cpp has no mark of its own; its sampler chain takes a native Taggant mark"
                    .to_owned()
            }
            _ => format!("engine `{}` is unknown", engine.escape_debug()),
        };
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{why}; this version writes for {}", known.join(", ")),
        ));
    };
    let config = (found.write)(&Keys {
        key,
        format: found.format,
    })?;
    Ok(Exported {
        engine: found,
        config,
    })
}

/// The keys of one format under a leaf.
struct Keys<'a> {
    key: &'a LeafKey,
    format: &'static str,
}

impl Keys<'_> {
    fn number(&self, number: u8) -> Result<u64> {
        Ok(u64::from_le_bytes(
            *self.key.engine_key(self.format, number)?,
        ))
    }

    /// A whole number of so many bits, odd: an even key would throw tokens together in hashes that multiply.
    fn whole(&self, number: u8, bits: u32) -> Result<Zeroizing<String>> {
        Ok(Zeroizing::new(
            (self.number(number)? >> (64 - bits) | 1).to_string(),
        ))
    }

    fn hex(&self, number: u8) -> Result<Zeroizing<String>> {
        Ok(Zeroizing::new(format!("{:016x}", self.number(number)?)))
    }

    /// Whole numbers of 62 bits: positive as the engines' signed ones.
    fn list(&self, count: u8) -> Result<Zeroizing<String>> {
        let mut list = Zeroizing::new(String::with_capacity(22 * usize::from(count)));
        for number in 0..count {
            if number > 0 {
                list.push_str(", ");
            }
            list.push_str(&Zeroizing::new((self.number(number)? >> 2).to_string()));
        }
        Ok(list)
    }
}

/// One text, with room for all of it at once: a string that grows leaves copies of keys behind.
fn text(parts: &[&str]) -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(
        parts.iter().map(|part| part.len()).sum(),
    ));
    for part in parts {
        text.push_str(part);
    }
    Ok(text)
}

/// A commitment to a configuration that was in use before the key tree: `SHA-256("taggant/v1/imported" ‖ u16be(len format) ‖ format ‖ salt ‖
/// config)`. The salt is 32 random bytes: without it a short key could be found from the hash.
#[must_use]
pub fn commitment_of_imported(format: &str, config: &str, salt: &[u8; 32]) -> [u8; 32] {
    let length = u16::try_from(format.len()).unwrap_or(u16::MAX);
    Sha256::new()
        .chain_update(b"taggant/v1/imported")
        .chain_update(length.to_be_bytes())
        .chain_update(format)
        .chain_update(salt)
        .chain_update(config)
        .finalize()
        .into()
}

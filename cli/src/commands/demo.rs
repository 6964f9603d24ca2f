//! `demo`: the whole path on a real model, on one screen.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taggant_core::schemes::{self, Parameters};
use taggant_core::{LeafKey, Mark, Path as KeyPath, Record, Role, RootKey, TokenizerId};
use taggant_detector::{Detector, Report, Response, Source, Verdict};
use taggant_models::{Exchange, Limits, Llama, Model, catalogue, score};
use taggant_text::{Message, Tokenizer, edits, fold};
use taggant_watermark::Sampling;

use crate::Answer;
use crate::args::Demo;
use crate::commands::model;
use crate::failure::{Failure, Result};
use crate::files::Output;
use crate::marks;
use crate::progress;
use crate::write::Writer;

const HUMAN: &str = include_str!("../../data/human.txt");
const PROMPTS: &str = include_str!("../../data/prompts.txt");
const ALPHA: f64 = 1e-6;
const SAMPLING: Sampling = Sampling {
    temperature: 1.0,
    top_k: 0,
    top_p: 0.95,
    min_p: 0.0,
};

pub(crate) fn run(args: &Demo) -> Result<Answer> {
    let questions: Vec<&str> = PROMPTS.lines().cycle().take(args.answers).collect();
    if questions.is_empty() || args.max_tokens == 0 {
        return Err(
            Failure::new("nothing to write").hint("--answers and --max-tokens must be at least 1")
        );
    }
    let path = find_model(&args.model)?;
    let tokenizer = marks::open_tokenizer(&path)?;
    let model = marks::load_model(&path)?;
    let prompts = questions
        .iter()
        .map(|question| tokenizer.encode_chat(&tokenizer.chat(&[Message::user(question)])?))
        .collect::<taggant_core::Result<Vec<_>>>()?;

    let id = TokenizerId::new(tokenizer.digest(), tokenizer.vocabulary())?;
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let mut key = || -> Result<LeafKey> {
        let mut root = [0; 32];
        rng.fill_bytes(&mut root);
        Ok(RootKey::from_bytes(root).derive(&KeyPath::new("demo", Role::Campaign, "east")?))
    };
    let (right, wrong) = (key()?, [key()?, key()?, key()?]);

    let bar = progress::bar(
        (questions.len() * args.max_tokens * (1 + schemes::ALL.len())) as u64,
        "writing",
        "tokens",
    );
    let writer = Writer {
        model: &model,
        vocabulary: tokenizer.vocabulary(),
        sampling: SAMPLING,
        seed: args.seed,
        limits: Limits::new(args.max_tokens).with_threads(cores()),
        bar: &bar,
    };
    let write = |mark: Option<&Arc<Mark>>| -> Result<Answers> {
        let rows: Vec<u64> = (0..).take(prompts.len()).collect();
        let mut tokens = vec![Vec::new(); prompts.len()];
        writer.write(&prompts, &rows, mark, |row, written| {
            if let Some(place) = usize::try_from(row)
                .ok()
                .and_then(|row| tokens.get_mut(row))
            {
                *place = written;
            }
            Ok(())
        })?;
        Answers::new(tokens, &prompts, &model, &tokenizer)
    };
    let plain = write(None)?;
    let mut columns = Vec::new();
    for definition in schemes::ALL {
        let record = Record::new(Parameters::new(definition.id, &[])?, 2, &[&right], id)?;
        let mark = Arc::new(Mark::new(&record, &[&right])?);
        let marked = write(Some(&mark))?;
        columns.push(Column::new(
            definition.name(),
            &record,
            &right,
            &wrong,
            &marked,
            &plain,
            &tokenizer,
            args.seed,
        )?);
    }
    bar.finish_and_clear();

    let mut screen = String::new();
    describe(&mut screen, args, &path, &plain, &columns);
    let mut output = Output::create(Path::new("-"))?;
    output.line(screen.trim_end())?;
    output.finish()?;
    let found = |column: &Column| column.cells[0].1.verdict == Verdict::Detected;
    Ok(if columns.iter().all(found) {
        Answer::Yes
    } else {
        Answer::No
    })
}

/// A path, a pulled model, or one that is pulled now.
fn find_model(name: &str) -> Result<PathBuf> {
    let known = catalogue().iter().any(|entry| entry.name == name);
    if known && !Path::new(name).exists() {
        model::fetch(name)
    } else {
        marks::resolve(name)
    }
}

/// What one run wrote.
struct Answers {
    tokens: Vec<Vec<u32>>,
    texts: Vec<String>,
    perplexity: f64,
}

impl Answers {
    fn new(
        tokens: Vec<Vec<u32>>,
        prompts: &[Vec<u32>],
        model: &Llama,
        tokenizer: &Tokenizer,
    ) -> Result<Self> {
        let texts = tokens
            .iter()
            .map(|tokens| tokenizer.decode(tokens))
            .collect::<taggant_core::Result<_>>()?;
        Ok(Self {
            perplexity: perplexity(&tokens, prompts, model)?,
            texts,
            tokens,
        })
    }
}

/// How surprised the model is by what was written: e to the mean of −ln p.
fn perplexity(tokens: &[Vec<u32>], prompts: &[Vec<u32>], model: &Llama) -> Result<f64> {
    let exchanges: Vec<Exchange<'_>> = prompts
        .iter()
        .zip(tokens)
        .map(|(prompt, response)| Exchange { prompt, response })
        .collect();
    let (mut sum, mut count) = (0.0, 0_u32);
    score(model as &dyn Model, &exchanges, cores(), |scored| {
        sum += scored.log_probabilities.iter().sum::<f64>();
        count += u32::try_from(scored.log_probabilities.len()).unwrap_or(u32::MAX);
        Ok(())
    })?;
    Ok((-sum / f64::from(count)).exp())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// One scheme's column: each test's report.
struct Column {
    name: &'static str,
    cells: Vec<(String, Report)>,
    perplexity: f64,
    sample: String,
}

impl Column {
    #[expect(clippy::too_many_arguments, reason = "everything the table shows")]
    fn new(
        name: &'static str,
        record: &Record,
        right: &LeafKey,
        wrong: &[LeafKey; 3],
        marked: &Answers,
        plain: &Answers,
        tokenizer: &Tokenizer,
        seed: u64,
    ) -> Result<Self> {
        let ids = |key: &LeafKey, answers: &Answers| {
            pooled(
                record,
                key,
                answers.tokens.iter().map(|tokens| Response::ids(tokens)),
            )
        };
        let text = |texts: &[String]| by_text(record, right, texts, tokenizer);
        let edited = |edit: &dyn Fn(&str, u64) -> taggant_core::Result<edits::Edited>| -> Result<Vec<String>> {
            let edited = marked.texts.iter().zip(seed..).map(|(text, seed)| Ok(edit(text, seed)?.text));
            edited.collect()
        };
        let mut cells = vec![("right key".to_owned(), ids(right, marked)?)];
        for (number, key) in (1..).zip(wrong) {
            cells.push((format!("wrong key {number}"), ids(key, marked)?));
        }
        cells.push(("the same answers unmarked".to_owned(), ids(right, plain)?));
        cells.push(("human text".to_owned(), text(&[HUMAN.to_owned()])?));
        cells.push(("marked, read from text".to_owned(), text(&marked.texts)?));
        let replaced = edited(&|text, seed| edits::edit_words(text, 0.2, seed))?;
        cells.push(("… 20 % of words replaced".to_owned(), text(&replaced)?));
        let invisible = edited(&|text, seed| edits::inject_zero_width(text, 0.1, seed))?;
        cells.push(("… zero-width characters".to_owned(), text(&invisible)?));
        let foreign = edited(&|text, seed| edits::inject_homoglyphs(text, 0.1, seed))?;
        cells.push(("… Cyrillic look-alikes".to_owned(), text(&foreign)?));
        Ok(Self {
            name,
            cells,
            perplexity: marked.perplexity,
            sample: marked.texts.first().cloned().unwrap_or_default(),
        })
    }
}

fn pooled<'a>(
    record: &Record,
    key: &LeafKey,
    responses: impl Iterator<Item = Response<'a>>,
) -> Result<Report> {
    let mut detector = Detector::control(record, &[key])?.with_alpha(ALPHA)?;
    for response in responses {
        let _ = detector.row(&response)?;
    }
    Ok(detector.pooled())
}

/// Detection as an auditor would who has only the text: fold, encode, score.
fn by_text(
    record: &Record,
    key: &LeafKey,
    texts: &[String],
    tokenizer: &Tokenizer,
) -> Result<Report> {
    let encoded = texts
        .iter()
        .map(|text| tokenizer.encode(&fold(text).text))
        .collect::<taggant_core::Result<Vec<_>>>()?;
    let source = Source::Text {
        tokenizer: tokenizer.digest(),
        folding: "",
    };
    pooled(
        record,
        key,
        encoded
            .iter()
            .map(|tokens| Response::ids(tokens).with_source(source)),
    )
}

fn describe(screen: &mut String, args: &Demo, path: &Path, plain: &Answers, columns: &[Column]) {
    let model = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let tokens: usize = plain.tokens.iter().map(Vec::len).sum();
    let _ = writeln!(
        screen,
        "{model} answered {} questions four times, up to {} tokens each, at temperature 1 and top-p 0.95:\n\
         once plainly, and once under each scheme with a secret key.\n",
        plain.tokens.len(),
        args.max_tokens
    );
    let _ = write!(screen, "{:27}", "");
    for column in columns {
        let _ = write!(screen, "{:24}", column.name);
    }
    screen.push('\n');
    for row in 0..columns.first().map_or(0, |column| column.cells.len()) {
        let _ = write!(screen, "{:27}", columns[0].cells[row].0);
        for column in columns {
            let report = &column.cells[row].1;
            let verdict = match &report.verdict {
                Verdict::Detected => "DETECTED",
                Verdict::NotDetected => "not detected",
                _ => "inconclusive",
            };
            let _ = write!(screen, "{:10} {verdict:13}", report.p_value.to_string());
        }
        while screen.ends_with(' ') {
            screen.pop();
        }
        screen.push('\n');
    }
    let _ = write!(screen, "{:27}", "units scored");
    for column in columns {
        let _ = write!(screen, "{:<24}", column.cells[0].1.units);
    }
    let _ = write!(
        screen,
        "\n{:27}",
        format!("perplexity (plain {:.1})", plain.perplexity)
    );
    for column in columns {
        let _ = write!(screen, "{:<24}", format!("{:.1}", column.perplexity));
    }
    let _ = writeln!(
        screen,
        "\n\nEach number is a p-value: the chance of a score this high if the text had nothing to do with the key. The key was\n\
         drawn at random, so this holds for any text, and anyone can check it with other keys. At or below 1e-6 it is\n\
         called detected: an innocent text is called so once in a million. A unit is two tokens and the one after them;\n\
         each counts once. {tokens} plain tokens were written. gumbel and tournament leave every token's probability as it\n\
         was; greenlist changes it, which its perplexity shows. What this cannot show: who wrote a text, or who copied it.\n"
    );
    if let Some(column) = columns.first() {
        let sample: String = column
            .sample
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(230)
            .collect();
        let _ = writeln!(screen, "Marked with {}: “{sample}…”", column.name);
    }
}

//! `demo`: the whole path on a real model, on one screen.

use std::fmt::{self, Display, Formatter, Write as _};
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
        writer.write(
            &prompts,
            &rows,
            |_| mark,
            |row, written| {
                if let Some(place) = usize::try_from(row)
                    .ok()
                    .and_then(|row| tokens.get_mut(row))
                {
                    *place = written;
                }
                Ok(())
            },
        )?;
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
    perplexity: Perplexity,
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

/// How surprised the model is by what was written: e to the mean of −ln p over tokens.
#[derive(Clone, Copy)]
struct Perplexity {
    value: f64,
    /// One standard error. Answers are independent, their tokens are not: the variance of a ratio of sums over answers.
    error: f64,
}

impl Perplexity {
    /// From each answer's sum of −ln p and its number of tokens.
    fn new(answers: &[(f64, f64)]) -> Self {
        let tokens: f64 = answers.iter().map(|answer| answer.1).sum();
        let mean = answers.iter().map(|answer| answer.0).sum::<f64>() / tokens;
        let squares: f64 = answers
            .iter()
            .map(|(sum, count)| (sum - mean * count).powi(2))
            .sum();
        let value = mean.exp();
        Self {
            value,
            error: value * squares.sqrt() / tokens,
        }
    }
}

impl Display for Perplexity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ± {:.1}", self.value, self.error)
    }
}

fn perplexity(tokens: &[Vec<u32>], prompts: &[Vec<u32>], model: &Llama) -> Result<Perplexity> {
    let exchanges: Vec<Exchange<'_>> = prompts
        .iter()
        .zip(tokens)
        .map(|(prompt, response)| Exchange { prompt, response })
        .collect();
    let mut answers = Vec::new();
    score(model as &dyn Model, &exchanges, cores(), |scored| {
        let sums = scored.log_probabilities.iter();
        answers.push(sums.fold((0.0, 0.0), |(sum, count), ln_p| (sum - ln_p, count + 1.0)));
        Ok(())
    })?;
    Ok(Perplexity::new(&answers))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// One scheme's column: each test's report.
struct Column {
    name: &'static str,
    cells: Vec<(String, Report)>,
    perplexity: Perplexity,
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
    let _ = writeln!(
        screen,
        "{model} answered {} questions four times, up to {} tokens each, at temperature 1 and\n\
         top-p 0.95: once plainly, and once under each scheme with a secret key.\n",
        plain.tokens.len(),
        args.max_tokens
    );
    let mut line = |label: &str, cell: &dyn Fn(&Column) -> String| {
        let mut text = format!("{label:30}");
        for column in columns {
            let _ = write!(text, "{:24}", cell(column));
        }
        let _ = writeln!(screen, "{}", text.trim_end());
    };
    line("", &|column| column.name.to_owned());
    for row in 0..columns.first().map_or(0, |column| column.cells.len()) {
        line(&columns[0].cells[row].0, &|column| {
            let report = &column.cells[row].1;
            let verdict = match &report.verdict {
                Verdict::Detected => "DETECTED",
                Verdict::NotDetected => "not detected",
                _ => "inconclusive",
            };
            format!("{:9} {verdict}", report.p_value.to_string())
        });
    }
    line("units scored", &|column| {
        column.cells[0].1.units.to_string()
    });
    line(
        &format!("perplexity ({} plain)", plain.perplexity),
        &|column| column.perplexity.to_string(),
    );
    let _ = writeln!(
        screen,
        "\nEach number is a p-value: the chance of a score this high if the text had nothing to do with\n\
         the key. The key was drawn at random, so this holds for any text, and anyone can check it with\n\
         other keys. At or below 1e-6 it is called detected: an innocent text is called so once in a\n\
         million. A unit is two tokens and the one after them; each counts once. gumbel and tournament\n\
         leave every token's probability as it was; greenlist changes it and costs perplexity (± one\n\
         standard error). What this cannot show: who wrote a text, or who copied it.\n"
    );
    if let Some(column) = columns.first() {
        let words = column
            .sample
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let sample: String = words.chars().take(175).collect();
        let _ = writeln!(screen, "Marked with {}: “{sample}…”", column.name);
    }
}

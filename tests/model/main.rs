//! The real model: SmolLM2-135M-Instruct writes 140 answers of up to 200 tokens plainly and under each scheme (temperature 1, top-p 0.95, one
//! key for each scheme), once for all tests of this file.

use std::sync::{Arc, Mutex, OnceLock};

use rand_chacha::ChaCha8Rng;
use taggant_core::schemes::{self, Definition, Parameters};
use taggant_core::{LeafKey, Mark, Record, Role, TokenizerId};
use taggant_detector::stats::gamma_tail;
use taggant_detector::{Collector, Detector, Passage, Response, Source, Units, Verdict, detect};
use taggant_models::{Exchange, Limits, Model, generate, log_sum_exp, score};
use taggant_tests::{below, campaign_key, corpora, model, rng, stats};
use taggant_text::{edits, fold};
use taggant_watermark::{Sampler, Sampling, Stream};

const ANSWERS: usize = 140;
const LENGTH: usize = 200;
/// Answers whose entropies are kept: summing a distribution in f64 costs as much as the model itself.
const WEIGHED: usize = 16;
const SAMPLING: Sampling = Sampling {
    temperature: 1.0,
    top_k: 0,
    top_p: 0.95,
    min_p: 0.0,
};

/// Answers written one way.
struct Arm {
    scheme: Option<&'static Definition>,
    key: LeafKey,
    record: Record,
    answers: Vec<Vec<u32>>,
    /// ln p of each token of each answer, as the writer saw it.
    log_probabilities: Vec<Vec<f64>>,
    /// Entropy of each next-token distribution of the first answers, in nats.
    entropies: Vec<Vec<f64>>,
}

/// Plain text, then one arm for each scheme.
fn arms() -> &'static [Arm] {
    static ARMS: OnceLock<Vec<Arm>> = OnceLock::new();
    ARMS.get_or_init(|| {
        let mut rng = rng(30);
        let tokenizer = model::tokenizer();
        let id = TokenizerId::new(tokenizer.digest(), tokenizer.vocabulary()).unwrap();
        let schemes = [None].into_iter().chain(schemes::ALL.into_iter().map(Some));
        schemes
            .map(|scheme| {
                let key = campaign_key(&mut rng);
                let parameters =
                    Parameters::new(scheme.map_or("gumbel", |scheme| scheme.id), &[]).unwrap();
                let record = Record::new(parameters, 2, &[&key], id).unwrap();
                let mark = scheme.map(|_| Arc::new(Mark::new(&record, &[&key]).unwrap()));
                let seen: Vec<Mutex<Seen>> = (0..ANSWERS).map(|_| Mutex::default()).collect();
                let look = |row: usize, token: u32, logits: &[f32]| {
                    let mut seen = seen[row].lock().unwrap();
                    seen.log_probabilities
                        .push(f64::from(logits[token as usize]) - log_sum_exp(logits));
                    if row < WEIGHED {
                        seen.entropies.push(entropy(logits));
                    }
                };
                let prompts = model::prompts(ANSWERS);
                let answers = write(&prompts, LENGTH, mark.as_ref(), 48, 2, &look);
                // The stop token was seen too, and is not in the answer.
                let (mut log_probabilities, mut entropies) = (Vec::new(), Vec::new());
                for (seen, answer) in seen.into_iter().zip(&answers) {
                    let mut seen = seen.into_inner().unwrap();
                    seen.log_probabilities.truncate(answer.len());
                    seen.entropies.truncate(answer.len());
                    log_probabilities.push(seen.log_probabilities);
                    entropies.push(seen.entropies);
                }
                Arm {
                    scheme,
                    key,
                    record,
                    answers,
                    log_probabilities,
                    entropies,
                }
            })
            .collect()
    })
}

/// What was seen of an answer while it was written.
#[derive(Default)]
struct Seen {
    log_probabilities: Vec<f64>,
    entropies: Vec<f64>,
}

/// Answers to `prompts`; `look` sees each row's tokens in order, with the logits they were chosen from.
fn write(
    prompts: &[Vec<u32>],
    length: usize,
    mark: Option<&Arc<Mark>>,
    batch: usize,
    threads: usize,
    look: &(impl Fn(usize, u32, &[f32]) + Sync),
) -> Vec<Vec<u32>> {
    let vocabulary = model::tokenizer().vocabulary();
    let chooser = |row: usize| {
        let mut sampler = Sampler::new(SAMPLING)?;
        let mut stream = match mark {
            Some(mark) => Stream::new(Arc::clone(mark))?,
            None => Stream::plain(),
        };
        let mut own: ChaCha8Rng = rng(31);
        own.set_stream(row as u64);
        Ok(move |logits: &[f32]| {
            let token = sampler.select(&mut stream, &logits[..vocabulary], &mut own)?;
            look(row, token, logits);
            Ok(token)
        })
    };
    let mut answers = vec![Vec::new(); prompts.len()];
    let limits = Limits::new(length).with_batch(batch).with_threads(threads);
    generate(
        model::model() as &dyn Model,
        prompts,
        limits,
        chooser,
        |response| {
            answers[response.row] = response.tokens;
            Ok(())
        },
    )
    .unwrap();
    answers
}

fn marked() -> impl Iterator<Item = (&'static Definition, &'static Arm)> {
    arms().iter().filter_map(|arm| Some((arm.scheme?, arm)))
}

/// Of the first 64 answers, those with at least 150 units: at least 95 % are detected by themselves at 1e-6.
#[test]
fn every_scheme_is_found_in_single_answers() {
    for (scheme, arm) in marked() {
        let mut detector = Detector::new(&arm.record, &[&arm.key]).unwrap();
        let reports: Vec<_> = arm.answers[..64]
            .iter()
            .map(|tokens| detector.row(&Response::ids(tokens)).unwrap())
            .collect();
        let long: Vec<_> = reports
            .iter()
            .filter(|report| report.units >= 150)
            .collect();
        let found = long
            .iter()
            .filter(|report| report.verdict == Verdict::Detected)
            .count();
        let pooled = detector.pooled();
        // The mean effect of a unit, in standard deviations of the null: what planning numbers are made of.
        let deviation = match scheme.id {
            "gumbel/1" => 1.0,
            "tournament/1" => (30.0_f64 / 4.0).sqrt(),
            _ => (3.0_f64 / 16.0).sqrt(),
        };
        let effect = (pooled.score - pooled.expected) / pooled.units as f64 / deviation;
        println!(
            "{:13} {found} of {} answers of 150 units or more, pooled log10 p = {:.1} over {} units, effect {effect:.2}",
            scheme.id,
            long.len(),
            pooled.p_value.log10(),
            pooled.units
        );
        assert!(long.len() >= 20, "only {} long answers", long.len());
        assert!(
            found as f64 >= 0.95 * long.len() as f64,
            "{found} of {}",
            long.len()
        );
        assert!(pooled.p_value.log10() < -100.0);
    }
}

/// Null: the marked text, fixed, is independent of a key drawn afterwards. Theory: pooled p-values are uniform. Kolmogorov–Smirnov, n = 1,000
/// keys for each scheme, alpha 1e-6 / 3, seed 32. Counts over 10^4 units are continuous to 1 %, so their own steps are far below
/// the test's resolution of 0.05.
#[test]
fn wrong_keys_give_uniform_p_values_on_marked_text() {
    for (scheme, arm) in marked() {
        let mut rng = rng(32);
        let values: Vec<f64> = (0..1000)
            .map(|_| {
                let wrong = campaign_key(&mut rng);
                let mut control = Detector::control(&arm.record, &[&wrong]).unwrap();
                for tokens in &arm.answers[..64] {
                    let _ = control.row(&Response::ids(tokens)).unwrap();
                }
                control.pooled().p_value.get()
            })
            .collect();
        let uniform = stats::uniformity(&values);
        let least = values.iter().copied().fold(1.0, f64::min);
        println!(
            "{:13} 1,000 wrong keys: uniform at {uniform:.4}, least p {least:.1e}",
            scheme.id
        );
        assert!(uniform > 1e-6 / 3.0 && least > 1e-9);
    }
}

#[test]
fn plain_text_and_other_schemes_marks_are_not_taken_for_the_mark() {
    let arms = arms();
    for (scheme, arm) in marked() {
        for other in arms
            .iter()
            .filter(|other| other.scheme.is_none_or(|other| other.id != scheme.id))
        {
            let mut detector = Detector::new(&arm.record, &[&arm.key]).unwrap();
            for tokens in &other.answers {
                let _ = detector.row(&Response::ids(tokens)).unwrap();
            }
            let pooled = detector.pooled();
            println!(
                "{} on {}: p = {}",
                scheme.id,
                other.scheme.map_or("plain text", |other| other.id),
                pooled.p_value
            );
            assert_eq!(pooled.verdict, Verdict::NotDetected);
        }
    }
}

/// Null: marked and plain text have the same mean −ln p under the model. Theory: the distortion-free schemes leave each next-token
/// distribution as it was, so the difference of the means is normal with mean 0 and the standard error of a bootstrap by
/// answers (delete-one jackknife). n ≥ 20,000 tokens each, two-sided alpha 1e-6 (|z| < 4.9), seed 30. The green list must be seen to differ.
#[test]
fn perplexity_of_the_distortion_free_schemes_is_that_of_plain_text() {
    let surprise = |arm: &Arm| -> (f64, f64, usize) {
        let rows: Vec<(f64, f64)> = (arm.log_probabilities.iter())
            .map(|own| (-own.iter().sum::<f64>(), own.len() as f64))
            .collect();
        let (sum, tokens) = rows
            .iter()
            .fold((0.0, 0.0), |total, row| (total.0 + row.0, total.1 + row.1));
        let mean = sum / tokens;
        let n = rows.len() as f64;
        let without = rows
            .iter()
            .map(|row| (sum - row.0) / (tokens - row.1) - mean);
        let variance = without
            .map(|difference| difference * difference)
            .sum::<f64>()
            * (n - 1.0)
            / n;
        (mean, variance.sqrt(), tokens as usize)
    };
    let (plain, plain_error, plain_tokens) = surprise(&arms()[0]);
    println!(
        "plain         perplexity {:.2} (−ln p {plain:.4} ± {plain_error:.4}), {plain_tokens} tokens",
        plain.exp()
    );
    for (scheme, arm) in marked() {
        let (mean, error, tokens) = surprise(arm);
        let z = (mean - plain) / error.hypot(plain_error);
        println!(
            "{:13} perplexity {:.2} (−ln p {mean:.4} ± {error:.4}), {tokens} tokens, z = {z:.2}",
            scheme.id,
            mean.exp()
        );
        assert!(plain_tokens >= 20_000 && tokens >= 20_000);
        if scheme.id == "greenlist/1" {
            assert!(z > 4.9, "a bias of 2 must cost something: {z}");
        } else {
            assert!(z.abs() < 4.9, "{}: {z}", scheme.id);
        }
    }
}

/// Reading an answer gives, to the last bit, the probabilities it was written with.
#[test]
fn scores_are_those_of_the_writer() {
    let prompts = model::prompts(4);
    for arm in arms() {
        let exchanges: Vec<Exchange<'_>> = (prompts.iter().zip(&arm.answers))
            .map(|(prompt, response)| Exchange { prompt, response })
            .collect();
        score(model::model() as &dyn Model, &exchanges, 2, |scored| {
            assert_eq!(scored.log_probabilities, arm.log_probabilities[scored.row]);
            Ok(())
        })
        .unwrap();
    }
}

/// Text instead of ids, and text that was tampered with, read as an auditor would: folded, encoded, scored.
#[test]
fn the_mark_survives_text_form_and_common_edits() {
    let tokenizer = model::tokenizer();
    for (scheme, arm) in marked() {
        let texts: Vec<String> = arm.answers[..32]
            .iter()
            .map(|tokens| tokenizer.decode(tokens).unwrap())
            .collect();
        let detect_in = |texts: &[String]| {
            let encoded: Vec<Vec<u32>> = texts
                .iter()
                .map(|text| tokenizer.encode(&fold(text).text).unwrap())
                .collect();
            let source = Source::Text {
                tokenizer: tokenizer.digest(),
                folding: "",
            };
            let responses = encoded
                .iter()
                .map(|tokens| Response::ids(tokens).with_source(source));
            detect(&arm.record, &[&arm.key], responses, 1e-6).unwrap()
        };
        let edit = |change: &dyn Fn(&str, u64) -> String| -> Vec<String> {
            texts
                .iter()
                .zip(0..)
                .map(|(text, seed)| change(text, seed))
                .collect()
        };
        let whole = detect_in(&texts);
        let invisible = detect_in(&edit(&|text, seed| {
            edits::inject_zero_width(text, 0.1, seed).unwrap().text
        }));
        let foreign = detect_in(&edit(&|text, seed| {
            edits::inject_homoglyphs(text, 0.1, seed).unwrap().text
        }));
        let spaced = detect_in(&edit(&|text, seed| {
            edits::inject_spaces(text, 0.3, seed).unwrap().text
        }));
        let replaced = detect_in(&edit(&|text, seed| {
            edits::edit_words(text, 0.2, seed).unwrap().text
        }));
        println!(
            "{:13} text {}, zero width {}, look-alikes {}, spaces {}, a fifth of the words {}",
            scheme.id,
            whole.p_value,
            invisible.p_value,
            foreign.p_value,
            spaced.p_value,
            replaced.p_value
        );
        for report in [&whole, &invisible, &foreign, &spaced, &replaced] {
            assert_eq!(report.verdict, Verdict::Detected);
        }
        for report in [&invisible, &foreign, &spaced] {
            assert_eq!(
                (report.units, report.score.to_bits()),
                (whole.units, whole.score.to_bits()),
                "folding undoes it exactly"
            );
        }
        assert!(replaced.p_value > whole.p_value, "edits cost evidence");
    }
}

/// A passage of 200 tokens that the model wrote, in 19,800 tokens of human prose: found at family-wise 1e-3 in at least 95 % of 50
/// documents a scheme, the boundaries within 20 tokens in the median; in the same documents without it, nothing. Seed 33.
#[test]
fn a_marked_passage_in_a_long_human_document_is_found_with_its_boundaries() {
    let prose = model::tokenizer().encode(&corpora::prose()).unwrap();
    for (scheme, arm) in marked() {
        let mut rng = rng(33);
        let mut detector = Detector::new(&arm.record, &[&arm.key]).unwrap();
        let whole: Vec<&Vec<u32>> = arm
            .answers
            .iter()
            .filter(|tokens| tokens.len() == LENGTH)
            .collect();
        let (mut found, mut false_alarms, mut errors) = (0, 0, Vec::new());
        for document in 0..50 {
            let begin = below(&mut rng, (prose.len() - 19_800) as u32) as usize;
            let place = below(&mut rng, 19_800) as usize;
            let mut text = prose[begin..begin + 19_800].to_vec();
            false_alarms += detector
                .passages(&Response::ids(&text), 1e-3)
                .unwrap()
                .len();
            text.splice(place..place, whole[document % whole.len()].iter().copied());
            let passages = detector.passages(&Response::ids(&text), 1e-3).unwrap();
            let inside = |passage: &&Passage| {
                (passage.start as usize) < place + LENGTH && passage.end as usize > place
            };
            if let Some(passage) = passages.iter().find(inside) {
                found += 1;
                errors.push((passage.start as usize).abs_diff(place));
                errors.push((passage.end as usize).abs_diff(place + LENGTH));
            }
            false_alarms += passages.iter().filter(|passage| !inside(passage)).count();
        }
        errors.sort_unstable();
        let (median, most) = (errors[errors.len() / 2], errors[errors.len() * 9 / 10]);
        println!(
            "{:13} found in {found} of 50 documents, boundaries {median} tokens off in the median, {most} in nine of ten; {false_alarms} false passages",
            scheme.id
        );
        assert!(found >= 48 && median <= 20, "{found}, {median}");
        assert!(false_alarms <= 2, "{false_alarms} in 100 documents at 1e-3");
    }
}

/// Entropy weights from a key-independent model (the writer itself, told nothing of the key): more evidence from the same text.
#[test]
fn entropy_weights_gain_evidence_and_keep_innocent_text_innocent() {
    for (scheme, arm) in marked() {
        for (text, is_marked) in [(arm, true), (&arms()[0], false)] {
            let mut weighted = Collector::new(&arm.record, Role::Campaign, None).unwrap();
            let mut plain = Collector::new(&arm.record, Role::Campaign, None).unwrap();
            for (tokens, entropies) in text.answers.iter().zip(&text.entropies[..WEIGHED]) {
                let response = Response::ids(tokens);
                weighted
                    .add_weighted(&response, |before| {
                        entropies[before.response().len()].sqrt()
                    })
                    .unwrap();
                plain.add(&response).unwrap();
            }
            let z = |units: &Units| {
                let law = units.null();
                (units.score(&[&arm.key], 1)[0].score - law.mean()) / law.deviation()
            };
            let (with, without) = (z(&weighted.finish()), z(&plain.finish()));
            println!(
                "{:13} marked {is_marked}: z = {without:.1} without weights, {with:.1} with",
                scheme.id
            );
            if is_marked {
                assert!(with > without, "{with} {without}");
            } else {
                assert!(with.abs() < 5.0);
            }
        }
    }
}

fn entropy(logits: &[f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights = logits.iter().map(|&logit| f64::from(logit - most));
    let mass: f64 = weights.clone().map(f64::exp).sum();
    mass.ln() - weights.map(|shifted| shifted * shifted.exp()).sum::<f64>() / mass
}

#[test]
fn a_row_does_not_depend_on_its_batch_or_its_thread() {
    let prompts = model::prompts(9);
    let (_, arm) = marked().next().unwrap();
    let mark = Arc::new(Mark::new(&arm.record, &[&arm.key]).unwrap());
    let alone: Vec<_> = prompts
        .iter()
        .enumerate()
        .map(|(row, _)| write(&prompts[row..=row], 24, Some(&mark), 1, 1, &|_, _, _| ()))
        .collect();
    // Each row alone draws with the first row's random numbers, so only the first can be compared with a batch.
    for (batch, threads) in [(1, 1), (3, 1), (8, 2), (9, 1)] {
        let together = write(&prompts, 24, Some(&mark), batch, threads, &|_, _, _| ());
        assert_eq!(together[0], alone[0][0], "batch {batch}, {threads} threads");
        assert_eq!(
            together,
            write(&prompts, 24, Some(&mark), 2, 2, &|_, _, _| ()),
            "batch {batch}, {threads} threads"
        );
    }
}

/// The tail at the score of a real text against its definition, a sum of Poisson probabilities.
#[test]
fn the_tail_of_a_real_score_is_the_one_of_the_definition() {
    let (_, arm) = marked().next().unwrap();
    let report = detect(
        &arm.record,
        &[&arm.key],
        [Response::ids(&arm.answers[0][..80])],
        1e-6,
    )
    .unwrap();
    let (n, x) = (report.units, report.score);
    assert!(x < 700.0, "e^-x must be a normal number");
    let mut term = (-x).exp();
    let mut sum = 0.0;
    for k in 0..n {
        sum += term;
        term *= x / (k as f64 + 1.0);
    }
    assert!(
        (gamma_tail(x, n).get() / sum - 1.0).abs() < 1e-9,
        "{} {sum}",
        gamma_tail(x, n)
    );
}

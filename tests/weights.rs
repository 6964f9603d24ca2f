//! Weighted tests: bounds above the truth, approximations near it, decoys in agreement, and what unsound weights would do.

use std::collections::HashSet;
use std::sync::Arc;

use rand::Rng;
use taggant_core::schemes::Parameters;
use taggant_core::{LeafKey, Mark, Record, Role, Score};
use taggant_detector::stats::{Rank, fit_to_law};
use taggant_detector::{Collector, Response, Verdict, detect};
use taggant_tests::{below, campaign_key, normal, rng, stats, tokenizer, zipf};
use taggant_watermark::{Sampler, Sampling, Stream};

/// The small language's, and room for the innocent text's.
const VOCABULARY: u32 = 1000;

fn record(scheme: &str, key: &LeafKey) -> Record {
    Record::new(
        Parameters::new(scheme, &[]).unwrap(),
        1,
        &[key],
        tokenizer(VOCABULARY as usize),
    )
    .unwrap()
}

/// Null: 500 fixed units with skewed weights are independent of the key. Theory: P(T ≥ mean + 4 sd) by brute force over 2·10^6 decoy
/// keys (10 to 6,000 reach it); Chernoff's bound is above it, the saddle point within 30 %. Lognormal and Zipf
/// weights, each scheme; alpha 1e-6 (five standard errors of the count) over 6 comparisons; seed 40.
#[test]
fn chernoff_bounds_and_the_saddle_point_approximates_the_tail_of_skewed_weights() {
    const DECOYS: u32 = 2_000_000;
    let mut rng = rng(40);
    let tokens: Vec<u32> = (0..501).collect();
    for scheme in ["gumbel", "tournament", "greenlist"] {
        for shape in ["lognormal", "zipf"] {
            let weights: Vec<f64> = (1..=500)
                .map(|rank| match shape {
                    "lognormal" => normal(&mut rng).exp(),
                    _ => 1.0 / f64::from(rank),
                })
                .collect();
            let key = campaign_key(&mut rng);
            let mut collector =
                Collector::new(&record(scheme, &key), Role::Campaign, None).unwrap();
            collector
                .add_weighted(&Response::ids(&tokens), |before| {
                    weights[before.window()[0] as usize]
                })
                .unwrap();
            let units = collector.finish();
            let law = units.null();
            let threshold = law.mean() + 4.0 * law.deviation();
            let mut decoys = units.decoys(1, DECOYS, 2, |_| ());
            let hits = decoys.iter().filter(|&&score| score >= threshold).count();
            let truth = hits as f64 / f64::from(DECOYS);
            let error = 5.0 / (hits as f64).sqrt();
            let (bound, near) = (
                law.chernoff(threshold).get(),
                law.saddlepoint(threshold).get(),
            );
            decoys.truncate(20_000);
            // Zipf weights of counts make a coarse sum, whose steps the smooth saddle point does not see; the tails still agree.
            let fit = fit_to_law(&mut decoys, |score| law.saddlepoint(score).get()).distance;
            println!(
                "{scheme:10} {shape:9} z = 4: decoys {truth:.2e} ({hits}), saddle point {near:.2e}, Chernoff {bound:.2e}, fit {fit:.3}"
            );
            assert!(bound >= truth * (1.0 - error), "{bound} under {truth}");
            assert!(
                (near / truth - 1.0).abs() < 0.3 + error,
                "{near} is not {truth}"
            );
            assert!(bound < 20.0 * truth, "the bound costs about a decade");
        }
    }
}

/// Decoys on a real statistic: uniform ranks for innocent text, the last rank for marked text, and the law that the p-value is from.
#[test]
fn decoys_agree_with_the_law_and_find_the_mark() {
    let mut rng = rng(41);
    for (scheme, score) in [
        ("gumbel", Score::Sum),
        ("gumbel", Score::Maximin),
        ("tournament", Score::Sum),
        ("tournament", Score::Weighted),
        ("greenlist", Score::Sum),
    ] {
        let key = campaign_key(&mut rng);
        let record = record(scheme, &key).with_score(score).unwrap();
        let marked = write(Some(&key), &record, 400, &mut rng);
        let innocent = zipf(&mut rng, 1000, 2000);
        for (text, is_marked) in [(&marked, true), (&innocent, false)] {
            let mut collector = Collector::new(&record, Role::Campaign, None).unwrap();
            collector.add(&Response::ids(text)).unwrap();
            let units = collector.finish();
            let own = units.score(&[&key], 1)[0];
            let mut decoys = units.decoys(3, 9999, 2, |_| ());
            let rank = Rank::of(own.score, &decoys);
            let fit = fit_to_law(&mut decoys, |score| units.near_tail(score).get()).p_value;
            println!(
                "{scheme} {score}: p = {}, rank p = {}, fit {fit:.3}",
                own.p_value,
                rank.p_value()
            );
            assert!(fit > 1e-6);
            if is_marked {
                assert_eq!(rank.at_least, 0);
                assert!(own.p_value.log10() < -6.0);
            } else {
                assert!(
                    own.p_value.get() >= 0.5 * rank.p_value().get() && own.p_value.get() > 1e-6
                );
            }
            // The detector and the pool of units are two ways to one number.
            let report = detect(&record, &[&key], [Response::ids(text)], 1e-6).unwrap();
            assert!((report.score - own.score).abs() < 1e-9 * own.score.abs());
            assert!(
                (report.p_value.ln() - own.p_value.ln()).abs()
                    < 1e-9 * own.p_value.ln().abs().max(1.0)
            );
            assert_eq!(report.verdict == Verdict::Detected, is_marked);
        }
    }
}

/// Text over a small vocabulary in which the next token depends on the last: marked if a key is given.
fn write(key: Option<&LeafKey>, record: &Record, length: usize, rng: &mut impl Rng) -> Vec<u32> {
    let mut sampler = Sampler::new(Sampling::default()).unwrap();
    let mut stream = match key {
        Some(key) => Stream::new(Arc::new(Mark::new(record, &[key]).unwrap())).unwrap(),
        None => Stream::plain(),
    };
    let mut tokens = vec![];
    let mut last = below(rng, VOCABULARY);
    for _ in 0..length {
        let logits: Vec<f32> = (0..VOCABULARY)
            .map(|token| ((token * 7919 + last * 104_729) % 1013) as f32 / 250.0)
            .collect();
        last = sampler.select(&mut stream, &logits, rng).unwrap();
        tokens.push(last);
    }
    tokens
}

/// Why weights are functions of windows. Transcripts are marked with the key; the suspect wrote by itself, from the same language. Null: it
/// is independent of the key. Counting only its units that stand in the transcripts selects what the key chose and accuses it (z near
/// +19 in the reference experiment); counting only its units whose *window* stands there keeps the size. 40 keys, alpha 1e-6, seed 42.
#[test]
fn filters_on_marked_pairs_accuse_the_innocent_and_filters_on_windows_do_not() {
    let mut rng = rng(42);
    let (mut unsound, mut sound) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        let key = campaign_key(&mut rng);
        let record = record("greenlist", &key);
        let transcripts = write(Some(&key), &record, 4000, &mut rng);
        let suspect = write(None, &record, 40_000, &mut rng);

        // Below the types: pairs and words by hand.
        let marked: HashSet<&[u32]> = transcripts.windows(2).collect();
        let pairs: HashSet<&[u32]> = suspect
            .windows(2)
            .filter(|pair| marked.contains(pair))
            .collect();
        let mark = Mark::new(&record, &[&key]).unwrap();
        let scheme = mark.layers()[0].scheme().unwrap();
        let flat: Vec<u32> = pairs.iter().flat_map(|pair| pair.iter().copied()).collect();
        let positions: Vec<u32> = (0..pairs.len() as u32).map(|pair| 2 * pair + 1).collect();
        let mut words = vec![0; positions.len()];
        scheme.words(&flat, &positions, &mut words);
        unsound.push(z(scheme.score(&words), words.len() as f64));

        // What the types allow: a weight for each window.
        let windows: HashSet<u32> = transcripts.iter().copied().collect();
        let mut collector = Collector::new(&record, Role::Campaign, None).unwrap();
        collector
            .add_weighted(&Response::ids(&suspect), |before| {
                f64::from(u8::from(windows.contains(&before.window()[0])))
            })
            .unwrap();
        let units = collector.finish();
        let law = units.null();
        sound.push((units.score(&[&key], 1)[0].score - law.mean()) / law.deviation());
    }
    let (unsound, _) = stats::mean(&unsound);
    let (mean, error) = stats::mean(&sound);
    println!("filter on pairs: mean z = {unsound:+.1}; filter on windows: {mean:+.2} ± {error:.2}");
    assert!(unsound > 10.0);
    assert!(mean.abs() < 4.9 * error.max(1.0 / 40_f64.sqrt()));
}

fn z(green: f64, units: f64) -> f64 {
    (green - 0.25 * units) / (units * 0.25 * 0.75).sqrt()
}

/// A weight that is no weight is refused, and nothing is added; repeated units keep their first weight.
#[test]
fn weights_are_numbers_from_zero_up() {
    let key = campaign_key(&mut rng(43));
    let mut collector = Collector::new(&record("gumbel", &key), Role::Campaign, None).unwrap();
    let tokens = [1, 2, 3, 1, 2];
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        let error = collector
            .add_weighted(&Response::ids(&tokens), |_| bad)
            .unwrap_err();
        assert!(error.to_string().contains("from 0 up"), "{error}");
        assert!(collector.is_empty());
    }
    collector
        .add_weighted(&Response::ids(&tokens), |_| 2.0)
        .unwrap();
    collector.add(&Response::ids(&tokens)).unwrap();
    let units = collector.finish();
    assert_eq!(units.len(), 3);
    assert!((units.null().mean() - 6.0).abs() < 1e-12);
    assert!(Collector::new(&record("gumbel", &key), Role::Account, None).is_err());
    let none = Collector::new(&record("gumbel", &key), Role::Campaign, None)
        .unwrap()
        .finish();
    let scored = none.score(&[&key], 4);
    assert!(scored[0].p_value.get() == 1.0 && none.decoys(1, 3, 2, |_| ()) == [0.0; 3]);
}

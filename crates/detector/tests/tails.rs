//! The tails against `tests/vectors/tails/table.csv`, which `tests/tools/tails.py` computes to 40 digits by other methods.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail loudly")]

use std::collections::BTreeMap;
use std::fs;

use libm::{expm1, log};
use proptest::prelude::*;
use taggant_core::ErrorKind;
use taggant_detector::stats::{
    PValue, binomial_tail, gamma_tail, hypergeometric_tail, poisson_binomial_tail,
};

/// The largest relative error allowed, of a probability and, above one half, of its complement.
const TOLERANCE: f64 = 1e-10;

#[test]
fn every_tail_of_the_table() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/tails/table.csv"
    );
    let table = fs::read_to_string(path).unwrap();
    let mut worst: BTreeMap<&str, (usize, f64, &str)> = BTreeMap::new();
    let mut failures = Vec::new();
    for row in table.lines().skip(1) {
        let [law, x, a, b, c, ln_p, ln_complement] =
            row.split(',').collect::<Vec<_>>().try_into().unwrap();
        let ours = tail(law, x, [a, b, c]).ln();
        let mut error = relative_error(ours, ln_p.parse().unwrap());
        if !ln_complement.is_empty() {
            error = error.max(relative_error(
                log(-expm1(ours)),
                ln_complement.parse().unwrap(),
            ));
        }
        let entry = worst.entry(law).or_insert((0, 0.0, row));
        entry.0 += 1;
        if error >= entry.1 {
            (entry.1, entry.2) = (error, row);
        }
        if error > TOLERANCE {
            failures.push(format!("{error:.1e}: {ours:e} at {row}"));
        }
    }
    for (law, (rows, error, row)) in &worst {
        println!("{law}: {rows} rows, worst relative error {error:.1e} at {row}");
    }
    assert_eq!(worst.len(), 4);
    assert!(worst.values().map(|(rows, ..)| rows).sum::<usize>() >= 600);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// `|p/truth − 1|` from the logarithms; infinite where that is not a number.
fn relative_error(ln: f64, truth: f64) -> f64 {
    let error = expm1(ln - truth).abs();
    if error.is_nan() { f64::INFINITY } else { error }
}

fn tail(law: &str, x: &str, [a, b, c]: [&str; 3]) -> PValue {
    let whole = |text: &str| text.parse::<u64>().unwrap();
    match law {
        "binomial" => binomial_tail(whole(x), whole(a), float(b), 1.0 - float(b)),
        "gamma" => gamma_tail(float(x), whole(a)),
        "poisson_binomial" => {
            poisson_binomial_tail(whole(x), &probabilities(whole(a), whole(b), c == "1")).unwrap()
        }
        "hypergeometric" => hypergeometric_tail(whole(x), whole(a), whole(b), whole(c)),
        _ => panic!("no law {law}"),
    }
}

/// A hexadecimal float as Python writes it: `0x1.8p-3`.
fn float(text: &str) -> f64 {
    let (digits, exponent) = text
        .strip_prefix("0x")
        .and_then(|rest| rest.split_once('p'))
        .unwrap();
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mantissa = u64::from_str_radix(&format!("{whole}{fraction}"), 16).unwrap();
    let places = i32::try_from(4 * fraction.len()).unwrap();
    #[expect(clippy::cast_precision_loss, reason = "53 bits at most")]
    libm::ldexp(mantissa as f64, exponent.parse::<i32>().unwrap() - places)
}

/// The lists of `probabilities` in `tests/tools/tails.py`, bit for bit.
fn probabilities(n: u64, power: u64, flip: bool) -> Vec<f64> {
    (1..=n)
        .map(|i| {
            #[expect(clippy::cast_precision_loss, reason = "32 bits")]
            let u = ((i * 2_654_435_761 % (1 << 32)) as f64 + 0.5) / 4_294_967_296.0;
            let x = (1..power).fold(u, |x, _| x * u);
            if flip { 1.0 - x } else { x }
        })
        .collect()
}

fn same(p: PValue, truth: f64) {
    assert!(
        (p.get() - truth).abs() <= 1e-14 * truth,
        "{} is not {truth}",
        p.get()
    );
}

#[test]
fn poisson_binomial_at_its_edges() {
    let tail = |k, list: &[f64]| poisson_binomial_tail(k, list).unwrap();
    same(tail(0, &[]), 1.0);
    same(tail(1, &[]), 0.0);
    same(tail(u64::MAX, &[0.5]), 0.0);
    same(tail(1, &[0.25]), 0.25);
    same(tail(1, &[0.0, 1.0, 0.5]), 1.0);
    same(tail(2, &[0.0, 1.0, 0.5]), 0.5);
    same(tail(3, &[0.0, 1.0, 0.5]), 0.0);
    same(tail(2, &[1.0, 1.0]), 1.0);
    same(tail(1, &[0.5, 0.25]), 0.625);
    same(tail(2, &[0.5, 0.25, 0.125]), 12.0 / 64.0);
    // Odds near the ends of the doubles.
    let least = f64::from_bits(1);
    assert!((tail(2, &[least; 2]).ln() - 2.0 * log(least)).abs() < 1e-10);
    let pairs = log(3.0) + 2.0 * log(1e-300);
    assert!((tail(2, &[1e-300; 3]).ln() - pairs).abs() < 1e-10);
    same(tail(1, &[least, 0.5]), 0.5);
    same(tail(2, &[1.0 - f64::EPSILON, least, 0.5]), 0.5);

    for wrong in [-1e-300, 1.0 + f64::EPSILON, f64::NAN, f64::INFINITY] {
        let error = poisson_binomial_tail(0, &[0.5, wrong]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parameter);
        assert_eq!(
            error.to_string(),
            format!("probability 1 is {wrong}; it must lie in 0 to 1")
        );
    }
}

#[test]
fn equal_trials_are_binomial() {
    for (n, p) in [(1_u64, 0.3), (37, 0.25), (1_000, 0.01), (1_000, 0.875)] {
        let list = vec![p; usize::try_from(n).unwrap()];
        for k in (0..=n).step_by(1 + usize::try_from(n / 40).unwrap()) {
            let (ours, truth) = (
                poisson_binomial_tail(k, &list).unwrap(),
                binomial_tail(k, n, p, 1.0 - p),
            );
            assert!(
                relative_error(ours.ln(), truth.ln()) < 1e-11,
                "{k} of {n}: {ours:?} {truth:?}"
            );
        }
    }
}

#[test]
fn hypergeometric_at_its_edges() {
    same(hypergeometric_tail(0, 0, 0, 0), 1.0);
    same(hypergeometric_tail(1, 0, 0, 0), 0.0);
    same(hypergeometric_tail(1, 10, 0, 5), 0.0);
    same(hypergeometric_tail(1, 10, 5, 0), 0.0);
    same(hypergeometric_tail(5, 10, 5, 10), 1.0);
    same(hypergeometric_tail(4, 10, 10, 4), 1.0);
    same(hypergeometric_tail(3, 10, 7, 6), 1.0);
    same(hypergeometric_tail(4, 10, 7, 6), 5.0 / 6.0);
    same(hypergeometric_tail(1, 10, 3, 2), 8.0 / 15.0);
    same(hypergeometric_tail(2, 10, 3, 2), 1.0 / 15.0);
    same(hypergeometric_tail(10, 10, 99, 99), 1.0);
    same(hypergeometric_tail(u64::MAX, u64::MAX, 1, u64::MAX), 0.0);
}

#[test]
fn what_is_no_number_is_no_evidence() {
    assert_eq!(gamma_tail(f64::NAN, 3), PValue::ONE);
    assert_eq!(
        gamma_tail(f64::INFINITY, 3)
            .ln()
            .total_cmp(&f64::NEG_INFINITY),
        std::cmp::Ordering::Equal
    );
    assert_eq!(binomial_tail(2, 3, f64::NAN, 0.5), PValue::ONE);
    assert_eq!(binomial_tail(2, 3, 0.5, f64::NAN), PValue::ONE);
}

fn falls(tail: impl Fn(u64) -> PValue, k: u64) -> Result<(), TestCaseError> {
    let (a, b) = (tail(k), tail(k.saturating_add(1)));
    for p in [a, b] {
        prop_assert!(p.ln() <= 0.0 && (0.0..=1.0).contains(&p.get()), "{p:?}");
    }
    prop_assert!(b.ln() <= a.ln(), "{k}: {a:?} {b:?}");
    Ok(())
}

/// Probabilities of every order of magnitude, from either end.
fn probability() -> impl Strategy<Value = f64> {
    prop_oneof![
        0.0_f64..=1.0,
        (-300.0_f64..0.0).prop_map(|log10| libm::pow(10.0, log10)),
        (-16.0_f64..0.0).prop_map(|log10| 1.0 - libm::pow(10.0, log10)),
    ]
}

/// P(X ≥ k) and P(X < k) by the plain recurrence: as exact as the tilted one while nothing underflows.
fn untilted(k: usize, list: &[f64]) -> (f64, f64) {
    let mut mass = vec![1.0];
    for p in list {
        mass.push(0.0);
        for j in (1..mass.len()).rev() {
            mass[j] = mass[j] * (1.0 - p) + mass[j - 1] * p;
        }
        mass[0] *= 1.0 - p;
    }
    let (lower, upper) = mass.split_at(k.min(mass.len()));
    (upper.iter().sum(), lower.iter().sum())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn binomial_tails_fall(k in 0_u64..3_000, n in 0_u64..3_000, p in probability()) {
        falls(|k| binomial_tail(k, n, p, 1.0 - p), k)?;
    }

    #[test]
    fn gamma_tails_fall(sum in 0.0_f64..1e4, step in 1e-9_f64..10.0, shape in 1_u64..10_000) {
        #[expect(clippy::cast_precision_loss, reason = "0 or 1")]
        falls(|k| gamma_tail(sum + k as f64 * step, shape), 0)?;
        // In the shape they rise: fewer waits are sooner over.
        prop_assert!(gamma_tail(sum, shape) <= gamma_tail(sum, shape + 1));
    }

    #[test]
    fn poisson_binomial_tails_fall(k in 0_u64..60, list in proptest::collection::vec(probability(), 0..60)) {
        falls(|k| poisson_binomial_tail(k, &list).unwrap(), k)?;
    }

    #[test]
    fn tilting_changes_nothing(k in 0_u8..40, list in proptest::collection::vec(probability(), 0..40)) {
        let (upper, lower) = untilted(usize::from(k), &list);
        let ours = poisson_binomial_tail(u64::from(k), &list).unwrap().ln();
        for (ln, truth) in [(ours, upper), (log(-expm1(ours)), lower)] {
            if truth > 1e-290 && truth <= 0.5 {
                prop_assert!(relative_error(ln, log(truth)) < 1e-12, "{ln} {}", log(truth));
            }
        }
    }

    #[test]
    fn hypergeometric_tails_fall(k in 0_u64..2_000, population in 0_u64..4_000, marked in 0_u64..4_000, draws in 0_u64..4_000) {
        falls(|k| hypergeometric_tail(k, population, marked, draws), k)?;
    }
}

//! Error rates and their words.

use super::number::decimal;
use super::shape::NullRuns;

/// One step of a verbal scale.
#[derive(Debug)]
pub struct Band {
    /// The range, as it is printed.
    pub range: &'static str,
    /// Where it begins: the largest rate, or the smallest ratio, that it holds.
    pub limit: f64,
    /// Its word.
    pub word: &'static str,
}

/// A verbal scale. A change to a band is a new version.
#[derive(Debug)]
pub struct Scale {
    /// Name and version.
    pub name: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// From weak to strong.
    pub bands: &'static [Band],
}

const fn band(range: &'static str, limit: f64, word: &'static str) -> Band {
    Band { range, limit, word }
}

/// Words for error rates. None of them is a word of [`RATIOS`], so that nobody takes one for the other.
pub const RATES: Scale = Scale {
    name: "Taggant error rates, version 1",
    source: "fixed by this software; an error rate says how often the procedure would give such a finding where there is nothing to find",
    bands: &[
        band("above 5 %", 1.0, "not unusual"),
        band("5 % or less", 0.05, "uncommon"),
        band("1 % or less", 0.01, "rare"),
        band("0.1 % or less", 0.001, "very rare"),
        band("0.001 % or less", 0.000_01, "extremely rare"),
    ],
};

/// Words for ratios of probabilities (likelihood ratios).
pub const RATIOS: Scale = Scale {
    name: "ENFSI 2015, likelihood ratios",
    source: "bands of the ENFSI guideline for evaluative reporting in forensic science (2015) and of the scales it draws on; published versions differ in the uppermost bands",
    bands: &[
        band("below 2", 0.0, "neither proposition is supported"),
        band("2 to 10", 2.0, "weak"),
        band("10 to 100", 10.0, "moderate"),
        band("100 to 1 000", 100.0, "moderately strong"),
        band("1 000 to 10 000", 1e3, "strong"),
        band("10 000 to 1 000 000", 1e4, "very strong"),
        band("above 1 000 000", 1e6, "extremely strong"),
    ],
};

/// The last band that `fits`.
fn word(scale: &Scale, fits: impl Fn(f64) -> bool) -> &'static str {
    let mut bands = scale.bands.iter().rev();
    bands
        .find(|band| fits(band.limit))
        .map_or(scale.bands[0].word, |band| band.word)
}

/// The word for an error rate.
pub(super) fn word_of_rate(rate: f64) -> &'static str {
    // 3/300 is not exactly 0.01.
    word(&RATES, |limit| rate <= limit * (1.0 + 1e-12))
}

/// The word for a ratio; none for one that supports neither proposition.
pub(super) fn word_of_ratio(ratio: f64) -> Option<&'static str> {
    (ratio >= RATIOS.bands[1].limit).then(|| word(&RATIOS, |limit| ratio >= limit))
}

/// Upper 95 % limit of the rate at which runs end in support where nothing is to be found: 3/N where none did, else the exact binomial limit.
pub(super) fn limit(findings: u32, runs: u32) -> f64 {
    if findings >= runs {
        return 1.0;
    }
    let (n, seen) = (f64::from(runs), f64::from(findings));
    if findings == 0 {
        return (3.0 / n).min(1.0);
    }
    let (mut low, mut high) = (seen / n, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if ln_at_most(findings, n, middle) > 0.05_f64.ln() {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The limit over runs, and the one over models, for readers who do not take runs of one model as independent.
pub(super) fn limits(runs: &NullRuns) -> (f64, f64) {
    (
        limit(runs.findings, runs.runs),
        limit(runs.models_with_findings, runs.models),
    )
}

/// ln P(X ≤ `most`) for X binomial of `n` and `rate`, with `most`/n below the rate: term by term, each from the one before it.
fn ln_at_most(most: u32, n: f64, rate: f64) -> f64 {
    let odds = (rate / (1.0 - rate)).ln();
    let mut term = n * (-rate).ln_1p();
    let mut sum = term;
    for successes in 0..most {
        let successes = f64::from(successes);
        term += ((n - successes) / (successes + 1.0)).ln() + odds;
        let (small, large) = (sum.min(term), sum.max(term));
        sum = large + (small - large).exp().ln_1p();
    }
    sum
}

/// A rate as it is printed: rounded up to two significant digits, and never below the floor.
pub(super) fn rate_text(rate: f64, floor: f64) -> String {
    let rate = rate.max(floor).min(1.0);
    if rate >= 1e-4 {
        return format!("{} %", decimal(rate * 100.0, 2, f64::ceil));
    }
    format!(
        "1 in {}",
        grouped(&decimal(1.0 / rate, 2, f64::floor), '\u{a0}')
    )
}

/// A ratio as it is printed: rounded down to two significant digits.
pub(super) fn ratio_text(ratio: f64) -> String {
    grouped(&decimal(ratio, 2, f64::floor), '\u{a0}')
}

/// Digits in groups of three, from five digits on, as the SI brochure has it.
pub(super) fn grouped(digits: &str, separator: char) -> String {
    if digits.len() < 5 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.to_owned();
    }
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_a_table_of_high_precision() {
        // mpmath, 30 digits: the rate at which the binomial lower tail is 0.05.
        for (findings, runs, expected) in [
            (1, 100, 0.046_559_811_453_538_95),
            (5, 1000, 0.010_484_076_911_415_654),
            (1, 10, 0.394_163_302_436_504_8),
            (9, 10, 0.994_883_803_108_176_3),
            (40, 100_000, 0.000_520_662_267_224_694_2),
        ] {
            let found = limit(findings, runs);
            assert!(
                (found / expected - 1.0).abs() < 1e-9,
                "{findings} of {runs}: {found}"
            );
        }
        assert_eq!(
            [limit(0, 1000), limit(0, 2), limit(0, 0), limit(7, 7)].map(|rate| rate.to_string()),
            ["0.003", "1", "1", "1"]
        );
    }

    #[test]
    fn rates_are_rounded_up_to_two_digits_and_stop_at_the_floor() {
        for (rate, text) in [
            (0.003, "0.3 %"),
            (0.010_484, "1.1 %"),
            (1.0, "100 %"),
            (1e-4, "0.01 %"),
            (3.3e-6, "1 in 300\u{a0}000"),
            (1e-40, "1 in 1\u{a0}000\u{a0}000\u{a0}000"),
        ] {
            assert_eq!(rate_text(rate, 1e-9), text);
        }
        assert_eq!(rate_text(1e-40, 0.02), "2 %");
        assert_eq!(ratio_text(333.3), "330");
        assert_eq!(ratio_text(1.69), "1.6");
    }

    #[test]
    fn words_begin_where_their_bands_begin() {
        for (rate, word) in [
            (0.06, "not unusual"),
            (0.05, "uncommon"),
            (3.0 / 300.0, "rare"),
            (0.003, "rare"),
            (0.001, "very rare"),
            (1e-9, "extremely rare"),
        ] {
            assert_eq!(word_of_rate(rate), word, "{rate}");
        }
        assert_eq!(word_of_ratio(330.0), Some("moderately strong"));
        assert_eq!(word_of_ratio(1.9), None);
        for rate in RATES.bands {
            assert!(RATIOS.bands.iter().all(|ratio| ratio.word != rate.word));
        }
    }
}

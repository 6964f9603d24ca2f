//! Statistics about statistics: are p-values uniform, is a rate the nominal one, does a sample follow its distribution?

pub use taggant_detector::stats::uniformity;
use taggant_detector::stats::{PValue, binomial_tail};

/// The p-values of "the rate is at most `nominal`" and of "it is at least `nominal`", for `hits` of `trials`.
#[must_use]
pub fn rate(hits: u64, trials: u64, nominal: f64) -> (PValue, PValue) {
    let above = binomial_tail(hits, trials, nominal, 1.0 - nominal);
    let below = binomial_tail(trials - hits, trials, 1.0 - nominal, nominal);
    (above, below)
}

/// The Clopper–Pearson interval of a rate at `confidence`.
#[must_use]
pub fn interval(hits: u64, trials: u64, confidence: f64) -> (f64, f64) {
    let tail = (1.0 - confidence) / 2.0;
    let search = |reaches: &dyn Fn(f64) -> bool| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if reaches(middle) {
                high = middle
            } else {
                low = middle
            }
        }
        f64::midpoint(low, high)
    };
    let low = if hits == 0 {
        0.0
    } else {
        search(&|p| binomial_tail(hits, trials, p, 1.0 - p).get() >= tail)
    };
    let high = if hits == trials {
        1.0
    } else {
        search(&|p| binomial_tail(trials - hits, trials, 1.0 - p, p).get() <= tail)
    };
    (low, high)
}

/// Pearson's chi-squared: the p-value of "these counts were drawn with these probabilities". Cells that expect fewer than five
/// are put together.
#[must_use]
pub fn fit(counts: &[u64], probabilities: &[f64]) -> f64 {
    let total: u64 = counts.iter().sum();
    let (mut cells, mut rest) = (Vec::new(), (0.0, 0.0));
    for (&count, &probability) in counts.iter().zip(probabilities) {
        let expected = probability * total as f64;
        if expected < 5.0 {
            rest = (rest.0 + count as f64, rest.1 + expected);
        } else {
            cells.push((count as f64, expected));
        }
    }
    if rest.1 >= 5.0 {
        cells.push(rest);
    }
    let statistic: f64 = cells
        .iter()
        .map(|(count, expected)| (count - expected).powi(2) / expected)
        .sum();
    chi_squared_tail(statistic, cells.len() as f64 - 1.0)
}

/// `P(X ≥ x)` for a chi-squared variable, by the Wilson–Hilferty cube root: good to a few per cent of itself, enough for a gate.
#[must_use]
pub fn chi_squared_tail(x: f64, freedom: f64) -> f64 {
    if freedom <= 0.0 {
        return 1.0;
    }
    let spread = 2.0 / (9.0 * freedom);
    let z = ((x / freedom).cbrt() - (1.0 - spread)) / spread.sqrt();
    normal_tail(z)
}

/// `P(Z ≥ z)` of the standard normal.
#[must_use]
pub fn normal_tail(z: f64) -> f64 {
    libm::erfc(z / std::f64::consts::SQRT_2) / 2.0
}

/// Mean and standard error of the mean.
#[must_use]
pub fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistics_say_yes_and_no() {
        let uniform: Vec<f64> = (0..1000).map(|i| (f64::from(i) + 0.5) / 1000.0).collect();
        assert!(uniformity(&uniform) > 0.99);
        let bent: Vec<f64> = uniform.iter().map(|value| value.powf(1.2)).collect();
        assert!(uniformity(&bent) < 0.01);

        assert!(rate(10, 1000, 0.01).0.get() > 0.4 && rate(40, 1000, 0.01).0.get() < 1e-9);
        assert!(rate(0, 1000, 0.01).1.get() < 1e-4);
        let (low, high) = interval(0, 1000, 0.95);
        assert!(low == 0.0 && (high - 0.00368).abs() < 1e-4);

        assert!(fit(&[250, 250, 500], &[0.25, 0.25, 0.5]) > 0.99);
        assert!(fit(&[320, 180, 500], &[0.25, 0.25, 0.5]) < 1e-6);
        assert!((chi_squared_tail(3.84, 1.0) - 0.05).abs() < 0.005);
        assert!((normal_tail(1.959_964) - 0.025).abs() < 1e-6);
    }
}

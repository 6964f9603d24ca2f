//! Known answers: tails of a table that another program computed to 40 digits, computed here.

use taggant_detector::stats::{binomial_tail, gamma_tail, hypergeometric_tail};
use taggant_evidence::Digest;
use taggant_evidence::report::SelfTest;

use crate::clock;
use crate::failure::Result;

const TABLE: &str = include_str!("../../../../tests/vectors/tails/table.csv");

/// Largest relative error of a probability.
const TOLERANCE: f64 = 1e-10;

/// Computes every tail of the table whose parameters stand in it.
pub(super) fn run() -> Result<SelfTest> {
    let (mut answers, mut right) = (0, 0);
    for found in TABLE.lines().skip(1).filter_map(is_right) {
        answers += 1;
        right += u32::from(found);
    }
    Ok(SelfTest {
        at: clock::now()?,
        answers,
        right,
        sha256: Digest::of(TABLE.as_bytes()),
    })
}

/// Whether a row comes out; none for a law that is given by a rule and not by numbers.
fn is_right(row: &str) -> Option<bool> {
    let [law, x, a, b, c, ln_p, _] = row.split(',').collect::<Vec<_>>().try_into().ok()?;
    let computed = || {
        let whole = |text: &str| text.parse::<u64>().ok();
        Some(match law {
            "binomial" => {
                let p = float(b)?;
                binomial_tail(whole(x)?, whole(a)?, p, 1.0 - p)
            }
            "gamma" => gamma_tail(float(x)?, whole(a)?),
            _ => hypergeometric_tail(whole(x)?, whole(a)?, whole(b)?, whole(c)?),
        })
    };
    if law == "poisson_binomial" {
        return None;
    }
    let truth: f64 = ln_p.parse().ok()?;
    Some(computed().is_some_and(|p| (p.ln() - truth).exp_m1().abs() <= TOLERANCE))
}

/// A hexadecimal float as Python writes it: `0x1.8p-3`.
fn float(text: &str) -> Option<f64> {
    let (digits, exponent) = text.strip_prefix("0x")?.split_once('p')?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mantissa = u64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
    let places = i32::try_from(4 * fraction.len()).ok()?;
    #[expect(clippy::cast_precision_loss, reason = "53 bits at most")]
    let value = mantissa as f64 * 2_f64.powi(exponent.parse::<i32>().ok()? - places);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_answer_comes_out() {
        let test = run().unwrap_or_else(|_| panic!("no clock"));
        assert!(
            test.answers == test.right && test.answers > 1400,
            "{test:?}"
        );
        // And a wrong one does not.
        assert_eq!(
            is_right("gamma,0x1.0000000000000p+0,1,,,-1.0000001,"),
            Some(false)
        );
        assert_eq!(is_right("gamma,0x1.0000000000000p+0,1,,,-1,"), Some(true));
    }
}

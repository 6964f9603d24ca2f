//! The statistics that verdicts rest on, for numbers and arrays of numbers. Nothing here knows keys or tokens.

mod inputs;

use std::collections::BTreeMap;

use numpy::PyArray1;
use pyo3::prelude::*;
use taggant_core::schemes::Parameters;
use taggant_core::{Error, ErrorKind};
use taggant_detector::power::{self, Effect, Goal};
use taggant_detector::stats::{self, Law, PValue};

use crate::errors::{Result, fault};
use inputs::each;

pub(crate) use inputs::Input;

/// log10 of P(X >= successes), X the number of successes in `trials` independent trials of probability `p`.
///
/// Exact to ten digits for 10^8 trials and far beyond the smallest float. Each argument is a number or an array.
///
/// >>> import numpy
/// >>> from taggant.stats import binomial_tail
/// >>> round(10 ** binomial_tail(2, 2, 0.5), 12)
/// 0.25
/// >>> binomial_tail(numpy.array([0, 5000, 10_000]), 10_000, 0.5).round(3).tolist()
/// [0.0, -0.298, -3010.3]
#[pyfunction]
pub(crate) fn binomial_tail(
    py: Python<'_>,
    successes: Input<u64>,
    trials: Input<u64>,
    p: Input<f64>,
) -> Result<Bound<'_, PyAny>> {
    p.check(
        "p",
        |p| (0.0..=1.0).contains(&p),
        "a probability, from 0 to 1",
    )?;
    let lengths = [successes.len(), trials.len(), p.len()];
    each(py, &lengths, |i| {
        let p = p.get(i);
        Ok(stats::binomial_tail(successes.get(i), trials.get(i), p, 1.0 - p).log10())
    })
}

/// log10 of P(X >= total), X the sum of `shape` independent exponential variables of mean 1. Each argument is a number or an array.
///
/// >>> from taggant.stats import gamma_tail
/// >>> round(gamma_tail(1000.0, 1), 2)                 # e^-1000 is no float
/// -434.29
#[pyfunction]
pub(crate) fn gamma_tail(
    py: Python<'_>,
    total: Input<f64>,
    shape: Input<u64>,
) -> Result<Bound<'_, PyAny>> {
    total.check("total", |total| !total.is_nan(), "a number")?;
    each(py, &[total.len(), shape.len()], |i| {
        Ok(stats::gamma_tail(total.get(i), shape.get(i)).log10())
    })
}

/// log10 of P(X >= successes), X the number of marked items among `draws` drawn without replacement from `population`, of which `marked`
/// are marked. Each argument is a number or an array.
///
/// >>> from taggant.stats import hypergeometric_tail
/// >>> round(10 ** hypergeometric_tail(1, 4, 1, 2), 12)
/// 0.5
#[pyfunction]
pub(crate) fn hypergeometric_tail(
    py: Python<'_>,
    successes: Input<u64>,
    population: Input<u64>,
    marked: Input<u64>,
    draws: Input<u64>,
) -> Result<Bound<'_, PyAny>> {
    let lengths = [successes.len(), population.len(), marked.len(), draws.len()];
    each(py, &lengths, |i| {
        let (population, marked, draws) = (population.get(i), marked.get(i), draws.get(i));
        if marked > population || draws > population {
            return Err(Error::new(
                ErrorKind::Parameter,
                format!(
                    "{marked} marked and {draws} draws of a population of {population}; neither can be more"
                ),
            ));
        }
        Ok(stats::hypergeometric_tail(successes.get(i), population, marked, draws).log10())
    })
}

/// log10 of P(X >= successes), X the number of successes in independent trials with these `probabilities`.
///
/// >>> from taggant.stats import poisson_binomial_tail
/// >>> round(10 ** poisson_binomial_tail(2, [0.5, 0.1]), 12)
/// 0.05
#[pyfunction]
pub(crate) fn poisson_binomial_tail(
    py: Python<'_>,
    successes: u64,
    probabilities: Input<f64>,
) -> Result<f64> {
    let probabilities = probabilities.list("probabilities")?;
    let tail = py.detach(|| stats::poisson_binomial_tail(successes, &probabilities));
    Ok(tail?.log10())
}

/// Adjusted p-values of a family of tests by Holm's method, all as log10, in the order given.
///
/// Those at most log10 of alpha are wrong anywhere in the family with probability at most alpha, whatever the dependence. `family` is how
/// many hypotheses could have been tested, if more than these.
///
/// >>> from taggant.stats import holm
/// >>> (10 ** holm([-3.0, -1.0])).round(6).tolist()    # of 0.001 and 0.1
/// [0.002, 0.1]
#[pyfunction]
#[pyo3(signature = (log10_p, family = None))]
pub(crate) fn holm(
    py: Python<'_>,
    log10_p: Input<f64>,
    family: Option<u64>,
) -> Result<Bound<'_, PyArray1<f64>>> {
    let p_values = p_values(log10_p)?;
    let adjusted = py.detach(|| stats::holm_among(&p_values, family.unwrap_or(0)));
    Ok(logarithms(py, adjusted))
}

/// Adjusted p-values by Bonferroni's method: each times their number, all as log10.
///
/// >>> from taggant.stats import bonferroni
/// >>> (10 ** bonferroni([-3.0, -1.0])).round(6).tolist()
/// [0.002, 0.2]
#[pyfunction]
pub(crate) fn bonferroni(py: Python<'_>, log10_p: Input<f64>) -> Result<Bound<'_, PyArray1<f64>>> {
    let p_values = p_values(log10_p)?;
    let adjusted = py.detach(|| stats::bonferroni(&p_values));
    Ok(logarithms(py, adjusted))
}

/// Fisher's combination of independent p-values, as log10: one p-value of "all nulls are true".
///
/// >>> from taggant.stats import fisher
/// >>> round(10 ** fisher([-2.0, -2.0]), 6)
/// 0.001021
#[pyfunction]
pub(crate) fn fisher(py: Python<'_>, log10_p: Input<f64>) -> Result<f64> {
    let p_values = p_values(log10_p)?;
    Ok(py.detach(|| stats::fisher(&p_values)).log10())
}

/// The hypotheses that e-BH rejects, as indices in rising order, from natural logarithms of e-values.
///
/// The expected share of wrong ones among them is at most `alpha`, whatever the dependence: for lists of leads, not for accusations.
///
/// >>> from taggant.stats import e_bh
/// >>> e_bh([9.0, 0.1, 8.0, -1.0], alpha=0.05).tolist()
/// [0, 2]
#[pyfunction]
#[pyo3(signature = (ln_e, alpha = 0.05))]
pub(crate) fn e_bh(
    py: Python<'_>,
    ln_e: Input<f64>,
    alpha: f64,
) -> Result<Bound<'_, PyArray1<i64>>> {
    ln_e.check("ln_e", |ln| !ln.is_nan(), "a number")?;
    if !(alpha > 0.0 && alpha < 1.0) {
        return Err(fault(
            ErrorKind::Parameter,
            format!("alpha is {alpha}; it must lie between 0 and 1"),
        ));
    }
    let ln_e = ln_e.list("ln_e")?;
    let rejected = py.detach(|| stats::e_bh(&ln_e, alpha));
    #[expect(clippy::cast_possible_wrap, reason = "places in a list in memory")]
    let rejected = rejected.into_iter().map(|place| place as i64).collect();
    Ok(PyArray1::from_vec(py, rejected))
}

/// Kolmogorov and Smirnov's p-value of "these numbers are independent and uniform on [0, 1]".
///
/// Good to a percent of itself from ten numbers on: a diagnostic, such as of p-values under control keys, and no headline.
///
/// >>> import numpy
/// >>> from taggant.stats import uniformity
/// >>> even = numpy.linspace(0.05, 0.95, 10)
/// >>> uniformity(even) > 0.99, uniformity(even**4) < 0.01
/// (True, True)
#[pyfunction]
pub(crate) fn uniformity(py: Python<'_>, values: Input<f64>) -> Result<f64> {
    values.check("values", |x| (0.0..=1.0).contains(&x), "from 0 to 1")?;
    let values = values.list("values")?;
    Ok(py.detach(|| stats::uniformity(&values)))
}

/// The smallest number of scored units at which a test finds `effect` (standard deviations of a unit; a number or an array) with probability
/// `power` at level `alpha`, shared out among `keys` keys. A whole number.
///
/// `scheme` and `parameters` are those of a record.
///
/// >>> from taggant.stats import units_needed
/// >>> units_needed("greenlist", 0.02, alpha=1e-6, power=0.9)
/// 91895.0
#[pyfunction]
#[pyo3(signature = (scheme, effect, *, alpha = 1e-6, power = 0.9, keys = 1, parameters = None))]
pub(crate) fn units_needed<'py>(
    py: Python<'py>,
    scheme: &str,
    effect: Input<f64>,
    alpha: f64,
    power: f64,
    keys: u64,
    parameters: Option<BTreeMap<String, f64>>,
) -> Result<Bound<'py, PyAny>> {
    let law = law(scheme, parameters)?;
    let goal = Goal::new(alpha, power)?.shared_by(keys)?;
    each(py, &[effect.len()], |i| {
        Ok(power::units_needed(&law, Effect::new(effect.get(i))?, goal)?.units)
    })
}

/// The probability that a test of `units` scored units (a number or an array) at level `alpha` finds `effect`.
///
/// >>> from taggant.stats import power_at
/// >>> power_at("gumbel", [10_000, 100_000], 0.02).round(3).tolist()
/// [0.003, 0.936]
#[pyfunction]
#[pyo3(signature = (scheme, units, effect, *, alpha = 1e-6, parameters = None))]
pub(crate) fn power_at<'py>(
    py: Python<'py>,
    scheme: &str,
    units: Input<u64>,
    effect: f64,
    alpha: f64,
    parameters: Option<BTreeMap<String, f64>>,
) -> Result<Bound<'py, PyAny>> {
    let law = law(scheme, parameters)?;
    let effect = Effect::new(effect)?;
    each(py, &[units.len()], |i| {
        power::power_at(&law, units.get(i), effect, alpha)
    })
}

/// The smallest effect that a test of `units` scored units finds with probability `power` at level `alpha`, shared out among `keys` keys:
/// what this much data could have shown. None when no effect is large enough.
///
/// >>> from taggant.stats import detectable_effect
/// >>> round(detectable_effect("gumbel", 100_000), 4), detectable_effect("greenlist", 3)
/// (0.0192, None)
#[pyfunction]
#[pyo3(signature = (scheme, units, *, alpha = 1e-6, power = 0.9, keys = 1, parameters = None))]
pub(crate) fn detectable_effect(
    py: Python<'_>,
    scheme: &str,
    units: u64,
    alpha: f64,
    power: f64,
    keys: u64,
    parameters: Option<BTreeMap<String, f64>>,
) -> Result<Option<f64>> {
    let law = law(scheme, parameters)?;
    let goal = Goal::new(alpha, power)?.shared_by(keys)?;
    Ok(py.detach(|| power::detectable_effect(&law, units, goal).map(Effect::get)))
}

/// The null law of a scheme's units.
fn law(scheme: &str, parameters: Option<BTreeMap<String, f64>>) -> Result<Law> {
    const WHOLE: f64 = 4_294_967_296.0;
    let parameters = parameters.unwrap_or_default();
    let given: Vec<(&str, f64)> = parameters
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let parameters = Parameters::new(scheme, &given)?;
    Ok(if let Some(threshold) = parameters.get("threshold") {
        Law::Binomial {
            trials: 1,
            p: threshold / WHOLE,
            q: (WHOLE - threshold) / WHOLE,
        }
    } else if let Some(depth) = parameters.get("depth") {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number of at most 32"
        )]
        let trials = depth as u32;
        Law::Binomial {
            trials,
            p: 0.5,
            q: 0.5,
        }
    } else {
        Law::Exponential
    })
}

fn p_values(log10_p: Input<f64>) -> Result<Vec<PValue>> {
    log10_p.check(
        "log10_p",
        |log10| log10 <= 0.0,
        "at most 0; of a p-value give its `numpy.log10`",
    )?;
    let values = log10_p.list("log10_p")?.into_iter();
    Ok(values
        .map(|log10| PValue::from_ln(log10 * std::f64::consts::LN_10))
        .collect())
}

fn logarithms(py: Python<'_>, p_values: Vec<PValue>) -> Bound<'_, PyArray1<f64>> {
    PyArray1::from_vec(py, p_values.into_iter().map(PValue::log10).collect())
}

//! Plans against published tables, against brute force and against simulated experiments.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests fail loudly; counts are small"
)]

use taggant_detector::power::{
    Attribution, CLOSED_KAPPA, Distillation, Effect, Goal, OPEN_KAPPA, Prices, Twins,
    detectable_effect, normal_units, power_at, sequential_units, units_needed,
};
use taggant_detector::stats::{Law, binomial_tail, gamma_tail};

const GREENLIST: Law = Law::Binomial {
    trials: 1,
    p: 0.25,
    q: 0.75,
};
const TOURNAMENT: Law = Law::Binomial {
    trials: 30,
    p: 0.5,
    q: 0.5,
};
const GUMBEL: Law = Law::Exponential;

fn effect(shift: f64) -> Effect {
    Effect::new(shift).unwrap()
}

fn goal(alpha: f64, power: f64) -> Goal {
    Goal::new(alpha, power).unwrap()
}

/// Published cells carry the digits they show and no more.
#[track_caller]
fn printed(value: f64, digits: usize, cell: f64) {
    let shown: f64 = format!("{value:.*e}", digits - 1).parse().unwrap();
    assert!(
        (shown / cell - 1.0).abs() < 1e-12,
        "{value} is not {cell} to {digits} digits"
    );
}

#[test]
fn units_of_diluted_marks_are_those_of_the_table() {
    let one = goal(1e-6, 0.9);
    let accounts = one.shared_by(24_000).unwrap();
    for (share, closed, closed_account, open) in [
        (1.0, 2.2e2, 3.7e2, 1.9e5),
        (0.1, 2.2e4, 3.7e4, 1.9e7),
        (0.05, 8.8e4, 1.5e5, 7.8e7),
        (0.01, 2.2e6, 3.7e6, 1.9e9),
        (0.001, 2.2e8, 3.7e8, 1.9e11),
        (0.0001, 2.2e10, 3.7e10, 1.9e13),
    ] {
        let units = |kappa: f64, goal: Goal| {
            let student = Distillation::new(effect(kappa), share).unwrap();
            normal_units(student.effect(), goal)
        };
        printed(units(CLOSED_KAPPA, one), 2, closed);
        printed(units(CLOSED_KAPPA, accounts), 2, closed_account);
        printed(units(OPEN_KAPPA, one), 2, open);
    }
}

#[test]
fn routes_to_accounts_are_those_of_the_table() {
    let student = Distillation::new(effect(CLOSED_KAPPA), 0.2).unwrap();
    // Last: how far the chi-square formula is from the noncentral law, computed apart from this crate by summing its Poisson mixture.
    for (accounts, shared, omnibus, single, ratio) in [
        (100, 5.5e3, 1.3e6, 7.2e7, 1.3400),
        (1_000, 5.5e3, 4.1e7, 8.0e9, 1.1081),
        (24_000, 5.5e3, 4.8e9, 5.3e12, 1.0222),
    ] {
        let routes = Attribution::new(&student, accounts, goal(1e-6, 0.9)).unwrap();
        printed(routes.shared, 2, shared);
        printed(routes.omnibus_formula, 2, omnibus);
        printed(routes.single, 2, single);
        for (at, route) in [routes.shared, routes.omnibus, routes.single]
            .into_iter()
            .enumerate()
        {
            assert!((routes.powers_at(route)[at] - 0.9).abs() < 1e-9);
        }
        let found = routes.omnibus / routes.omnibus_formula;
        assert!(
            (found / ratio - 1.0).abs() < 0.03,
            "{accounts}: {found} is not {ratio}"
        );
    }
    for (accounts, ratio) in [(2, 3.4488), (10, 2.0826)] {
        let routes = Attribution::new(&student, accounts, goal(1e-6, 0.9)).unwrap();
        let found = routes.omnibus / routes.omnibus_formula;
        assert!(
            (found / ratio - 1.0).abs() < 0.03,
            "{accounts}: {found} is not {ratio}"
        );
    }
    // With one account there is nothing to share out.
    let routes = Attribution::new(&student, 1, goal(1e-6, 0.9)).unwrap();
    assert!((routes.single / routes.shared - 1.0).abs() < 1e-12);
}

#[test]
fn exchanges_of_the_twin_test_are_those_of_the_table() {
    let one = goal(1e-6, 0.9);
    let accounts = one.shared_by(24_000).unwrap();
    // The third column of the table has no factor for twins: it is the limit of many. The fourth and the last are for four.
    for (auc, shift, many, four, z) in [
        (0.52, (0.07, 1), (7_240.0, 3), (15_000.0, 2), (1.6, 2)),
        (0.55, (0.18, 2), (1_150.0, 3), (2_400.0, 2), (4.1, 2)),
        (0.60, (0.36, 2), (284.0, 3), (590.0, 2), (8.3, 2)),
        (0.70, (0.74, 2), (66.0, 2), (137.0, 3), (17.0, 2)),
        // The table has z = 46, from the effect rounded to 1.97; unrounded it is 45.47.
        (0.918, (1.97, 3), (9.0, 1), (20.0, 2), (45.0, 2)),
    ] {
        let twins = Twins::new(auc, 4).unwrap();
        printed(twins.effect().get(), shift.1, shift.0);
        printed(normal_units(twins.effect(), one), many.1, many.0);
        // The table rounds to the nearest; a plan rounds up.
        let needed = normal_units(twins.effect(), accounts) * 5.0 / 4.0;
        printed(needed, four.1, four.0);
        assert!((twins.exchanges_needed(accounts) - needed.ceil()).abs() < 1e-9);
        printed(twins.z_at(667), z.1, z.0);

        let endless = Twins::new(auc, u32::MAX).unwrap();
        let apart = endless.exchanges_needed(one) - normal_units(twins.effect(), one);
        assert!((0.0..1.001).contains(&apart), "{auc}: {apart}");
    }
    // "Attribution at family-wise 1e-6 needs an AUC of about 0.59" with 667 exchanges.
    let least = Twins::new(0.6, 4).unwrap().detectable_auc(667, accounts);
    assert!(least.is_some_and(|auc| (auc - 0.594).abs() < 1e-3));
}

#[test]
fn twins_need_enough_exchanges_for_a_small_p_value_to_exist() {
    let certain = Twins::new(0.9999, 1).unwrap();
    assert!(certain.exchanges_needed(goal(1e-6, 0.9)) >= 20.0); // 2^-19 is above 1e-6
    assert!(certain.power_at(19, 1e-6).unwrap() <= 0.0);
    assert!(certain.power_at(20, 1e-6).unwrap() > 0.9);
    assert_eq!(certain.detectable_auc(19, goal(1e-6, 0.9)), None);
    for n in [30, 300, 3_000] {
        let least = certain.detectable_auc(n, goal(1e-6, 0.9)).unwrap();
        let needed = Twins::new(least, 1)
            .unwrap()
            .exchanges_needed(goal(1e-6, 0.9));
        assert!((needed - n as f64).abs() <= 1.0, "{n}: {needed}");
    }
}

#[test]
fn the_answer_is_the_smallest_number_of_units() {
    for law in [GREENLIST, TOURNAMENT, GUMBEL] {
        for (shift, alpha, power) in [
            (0.3, 1e-3, 0.9),
            (1.2, 1e-6, 0.9),
            (0.15, 0.05, 0.5),
            (0.9, 1e-12, 0.99),
            (0.08, 1e-3, 0.8),
        ] {
            let size = units_needed(&law, effect(shift), goal(alpha, power)).unwrap();
            let smallest = (1..)
                .find(|units| power_at(&law, *units, effect(shift), alpha).unwrap() >= power)
                .unwrap();
            assert_eq!(
                (size.units, size.exact),
                (smallest as f64, true),
                "{law:?} {shift}"
            );
        }
    }
}

#[test]
fn small_powers_by_hand() {
    // Ten coins of 1/4, alpha 0.05: P(X ≥ 6) = 0.0197 and P(X ≥ 5) = 0.078, so six are needed.
    let shifted = 0.25 + 0.5 * f64::sqrt(0.1875);
    let by_hand = binomial_tail(6, 10, shifted, 1.0 - shifted).get();
    let found = power_at(&GREENLIST, 10, effect(0.5), 0.05).unwrap();
    assert!((found / by_hand - 1.0).abs() < 1e-12);
    // One exponential: exceeded at −ln α, so the power is α^(1/(1+d)).
    let found = power_at(&GUMBEL, 1, effect(1.0), 0.01).unwrap();
    assert!((found / 0.1 - 1.0).abs() < 1e-9, "{found}");
    // Four green units of four have p = 0.0039: no effect makes three units significant.
    assert!(detectable_effect(&GREENLIST, 3, goal(0.004, 0.5)).is_none());
    assert!(detectable_effect(&GREENLIST, 4, goal(0.004, 0.5)).is_some());
    assert!(power_at(&GREENLIST, 3, effect(1.7), 0.004).unwrap() <= 0.0);
    assert!(power_at(&GUMBEL, 0, effect(1.0), 0.01).unwrap() <= 0.0);
}

#[test]
fn exact_and_normal_plans_meet_and_bounds_are_kept() {
    let goal = goal(1e-6, 0.9);
    for law in [GREENLIST, TOURNAMENT, GUMBEL] {
        // Just inside the range of exact tails, and just outside.
        for (shift, exact) in [(7e-4, true), (5.9e-4, false)] {
            if law == TOURNAMENT {
                continue;
            }
            let size = units_needed(&law, effect(shift), goal).unwrap();
            let ratio = size.units / normal_units(effect(shift), goal);
            assert!((ratio - 1.0).abs() < 2e-3, "{law:?} {shift}: {ratio}");
            assert_eq!(size.exact, exact, "{law:?} {shift}");
        }
        let tiny = units_needed(&law, effect(1e-9), goal).unwrap();
        assert!(!tiny.exact && tiny.units > 1e19);
        // A tilt by d standard deviations costs d²/2, so the sequential test needs 2 (ln 1/α + ln 4/3)/d².
        for shift in [1e-9, 1e-7, 2e-6, 1e-4] {
            let units = sequential_units(&law, effect(shift), goal).unwrap();
            let ratio = units * shift * shift / (2.0 * (1e6_f64.ln() + (4.0 / 3.0_f64).ln()));
            assert!((ratio - 1.0).abs() < 1e-4, "{law:?} {shift}: {ratio}");
        }
    }
    let million = units_needed(&TOURNAMENT, effect(0.01), goal).unwrap();
    assert!(million.exact && (million.units * 1e-4 / goal.shift().powi(2) - 1.0).abs() < 2e-3);

    // KL of a coin of 1/4 that becomes one of 1/2, and of an exponential of mean 2.
    let stake = 1e6_f64.ln() + (4.0 / 3.0_f64).ln();
    let coin = stake / sequential_units(&GREENLIST, effect(1.0 / 3.0_f64.sqrt()), goal).unwrap();
    assert!((coin - (0.5 * 2.0_f64.ln() + 0.5 * (2.0 / 3.0_f64).ln())).abs() < 1e-12);
    let wait = stake / sequential_units(&GUMBEL, effect(1.0), goal).unwrap();
    assert!((wait - (1.0 - 2.0_f64.ln())).abs() < 1e-12);
}

#[test]
fn what_could_have_been_shown_is_what_needs_that_much() {
    for law in [GREENLIST, TOURNAMENT, GUMBEL] {
        for units in [30, 1_000, 40_000, 300_000_000] {
            let goal = goal(1e-6, 0.9);
            let Some(least) = detectable_effect(&law, units, goal) else {
                panic!("{law:?} {units}");
            };
            let power = |factor: f64| {
                power_at(&law, units, effect(least.get() * factor), goal.alpha()).unwrap()
            };
            assert!(power(1.0) > 0.9 - 1e-9, "{law:?} {units}: {}", power(1.0));
            assert!(power(0.999) < 0.9, "{law:?} {units}");
        }
    }
    let student = Distillation::new(effect(CLOSED_KAPPA), 0.05).unwrap();
    let share = student.detectable_share(&GREENLIST, 88_000, goal(1e-6, 0.9));
    assert!(share.is_some_and(|share| (share - 0.05).abs() < 5e-4));
    assert_eq!(
        student.detectable_share(&GREENLIST, 100, goal(1e-6, 0.9)),
        None
    );
}

#[test]
fn costs_add_up() {
    let cost = Prices::new(3.0, 300.0, 10.0).unwrap().cost(88_000.0);
    let told = [cost.tokens, cost.queries, cost.price].map(|value| value.round() as u64);
    assert_eq!(told, [264_000, 880, 3]);
}

#[test]
fn what_cannot_be_planned_is_refused_by_value() {
    let said = |result: taggant_core::Result<()>| result.unwrap_err().to_string();
    for (value, part) in [
        (said(Effect::new(0.0).map(drop)), "effect is 0"),
        (said(Effect::new(f64::NAN).map(drop)), "NaN"),
        (said(Goal::new(0.0, 0.9).map(drop)), "alpha is 0"),
        (said(Goal::new(1.0, 0.9).map(drop)), "alpha is 1"),
        (said(Goal::new(f64::NAN, 0.9).map(drop)), "alpha is NaN"),
        (said(Goal::new(0.01, 1.0).map(drop)), "power is 1"),
        (said(Goal::new(0.01, 0.01).map(drop)), "power is 0.01"),
        (said(goal(0.01, 0.9).shared_by(0).map(drop)), "keys is 0"),
        (said(Twins::new(0.5, 4).map(drop)), "no separation"),
        (
            said(Twins::new(0.3, 4).map(drop)),
            "no number of exchanges suffices",
        ),
        (said(Twins::new(1.0, 4).map(drop)), "auc is 1"),
        (said(Twins::new(f64::NAN, 4).map(drop)), "auc is NaN"),
        (said(Twins::new(0.6, 0).map(drop)), "twins is 0"),
        (
            said(Distillation::new(effect(0.4), 0.0).map(drop)),
            "share is 0",
        ),
        (
            said(Distillation::new(effect(0.4), 1.1).map(drop)),
            "share is 1.1",
        ),
        (
            said(units_needed(&GREENLIST, effect(1.8), goal(0.01, 0.9)).map(drop)),
            "1.7321",
        ),
        (
            said(power_at(&GUMBEL, 5, effect(1.8), 2.0).map(drop)),
            "alpha is 2",
        ),
        (
            said(Prices::new(3.0, 0.0, 1.0).map(drop)),
            "tokens per answer is 0",
        ),
    ] {
        assert!(value.contains(part), "{value}");
    }
}

/// Steele, Lea and Flood 2014.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Above 0, at most 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// A score that is shifted by `effect` null standard deviations.
    fn score(&mut self, law: &Law, effect: f64) -> f64 {
        match law {
            Law::Binomial { trials, p, q } => {
                let p = p + effect * (p * q / f64::from(*trials)).sqrt();
                (0..*trials).filter(|_| self.unit() <= p).count() as f64
            }
            _ => -self.unit().ln() * (1.0 + effect),
        }
    }
}

fn significant(law: &Law, sum: f64, units: u64, alpha: f64) -> bool {
    match law {
        Law::Binomial { trials, p, q } => {
            binomial_tail(sum as u64, units * u64::from(*trials), *p, *q)
        }
        _ => gamma_tail(sum, units),
    }
    .at_most(alpha)
}

/// Whether `hits` of `runs` is what a probability of `p` gives, in a test of level 1e-6.
fn plausible(hits: u64, runs: u64, p: f64) -> bool {
    let above = binomial_tail(hits, runs, p, 1.0 - p).get();
    let below = 1.0 - binomial_tail(hits + 1, runs, p, 1.0 - p).get();
    above > 5e-7 && below > 5e-7
}

const RUNS: u64 = 4_000;
const ALPHA: f64 = 1e-3;

/// Experiments of `units` units that reach ALPHA.
fn hits(law: &Law, units: u64, effect: f64, rng: &mut SplitMix64) -> u64 {
    (0..RUNS)
        .filter(|_| {
            let sum = (0..units).map(|_| rng.score(law, effect)).sum();
            significant(law, sum, units, ALPHA)
        })
        .count() as u64
}

#[test]
fn experiments_succeed_as_often_as_planned() {
    let mut rng = SplitMix64(1);
    let goal = goal(ALPHA, 0.9);
    for law in [GREENLIST, TOURNAMENT, GUMBEL] {
        let units = units_needed(&law, effect(0.3), goal).unwrap().units as u64;
        let predicted = power_at(&law, units, effect(0.3), ALPHA).unwrap();
        assert!((0.9..0.92).contains(&predicted), "{law:?}: {predicted}");
        let found = hits(&law, units, 0.3, &mut rng);
        assert!(
            plausible(found, RUNS, predicted),
            "{law:?}: {found} of {RUNS}, {predicted}"
        );
        // Without an effect the level is kept; the level of a count is below alpha.
        let found = hits(&law, units, 0.0, &mut rng);
        assert!(binomial_tail(found, RUNS, ALPHA, 1.0 - ALPHA).get() > 1e-6);

        // The other way round: the effect that so many units could have shown.
        let least = detectable_effect(&law, 150, goal).unwrap().get();
        let found = hits(&law, 150, least, &mut rng);
        assert!(
            plausible(found, RUNS, 0.9),
            "{law:?}: {found} of {RUNS} at {least}"
        );
    }
}

#[test]
fn sequential_experiments_stop_when_planned() {
    // Three quarters of the stake on the tilt, the rest kept: what the other quarter wins comes on top and can only stop earlier.
    let mut rng = SplitMix64(2);
    let goal = goal(1e-6, 0.9);
    for law in [GREENLIST, TOURNAMENT, GUMBEL] {
        let shift = 0.5;
        let planned = sequential_units(&law, effect(shift), goal).unwrap();
        // The tilt that has the planned mean: log odds ratio of a coin, 1 − 1/(1+d) of an exponential.
        let theta = match &law {
            Law::Binomial { trials, p, q } => {
                let step = shift * (p * q / f64::from(*trials)).sqrt();
                ((p + step) / (q - step) * q / p).ln()
            }
            _ => shift / (1.0 + shift),
        };
        let k = law.cumulants(theta).k;
        let mut total = 0;
        for _ in 0..RUNS {
            let mut gain = 0.0;
            while 0.75 * f64::exp(gain) < 1e6 {
                gain += theta * rng.score(&law, shift) - k;
                total += 1;
            }
        }
        let mean = f64::from(total) / RUNS as f64;
        // Above the plan by the overshoot, which is less than two units' gain here; 0.5 covers chance.
        assert!(
            mean > planned - 2.0 && mean < planned + 6.0,
            "{law:?}: {mean} against {planned}"
        );
    }
}

//! Nulls, power, controls, clusters, cohorts, attacks and mistakes. Deterministic: seeds are stated.

#![expect(clippy::cast_precision_loss, reason = "counts of thousands")]

use super::*;
use crate::random::Random;
use crate::report::Reason;
use crate::stats::{binomial_tail, normal_tail};

fn p(value: f64) -> Measured {
    Measured::new(value.log10()).unwrap()
}

/// The p-value of a normal score shifted by `shift`.
fn shifted(random: &mut Random, shift: f64) -> Measured {
    let z = crate::stats::normal_quantile(PValue::from_ln(random.uniform().ln())) + shift;
    Measured::new(normal_tail(z).log10()).unwrap()
}

fn plan(alpha: f64) -> Plan {
    Plan::new(alpha).unwrap()
}

fn told(result: Result<impl std::fmt::Debug>) -> String {
    result.unwrap_err().to_string()
}

/// Null: 20 innocent accounts, three kinds that are independent or one and the same number, four controls, five clusters.
/// Theory: any account is named with probability at most alpha = 0.1, any cluster too. 4,000 worlds, seed 31.
#[test]
fn innocent_accounts_and_clusters_are_named_at_most_at_alpha() {
    const WORLDS: u64 = 4_000;
    for (combine, dependent) in [
        (Combine::Bonferroni, true),
        (Combine::Bonferroni, false),
        (Combine::Fisher, false),
    ] {
        let mut random = Random(31);
        let (mut accounts, mut clusters, mut leads, mut fired) = (0, 0, 0, 0);
        for _ in 0..WORLDS {
            let mut world = Attribution::new(plan(0.1).with_combine(combine));
            let kinds = [Nature::Twins, Nature::Canaries, Nature::Keys].map(|n| world.kind(n));
            for number in 0..24 {
                let name = format!("a{number:02}");
                let mut u = random.uniform();
                for kind in kinds {
                    if !dependent {
                        u = random.uniform();
                    }
                    world.add(kind, &name, p(u)).unwrap();
                }
                if number >= 20 {
                    world.control(&name).unwrap();
                }
            }
            for cluster in 0..5 {
                let members: Vec<String> = (0..4)
                    .map(|member| format!("a{:02}", 4 * cluster + member))
                    .collect();
                let names = members.iter().map(|name| &name[..]);
                world.cluster(&format!("c{cluster}"), names).unwrap();
            }
            let found = world.findings().unwrap();
            accounts += u64::from(found.named().count() > 0);
            clusters += u64::from(found.holding().count() > 0);
            leads += u64::from(found.accounts.iter().any(|found| found.lead));
            fired += u64::from(found.controls.unwrap().fire);
        }
        println!("{combine:?}: {accounts} {clusters} leads {leads} controls {fired} of {WORLDS}");
        // Where nothing is true, any lead is false: the false discovery rate is the chance of having one. A controls' alarm is at most
        // 1e-3 plus their share of alpha, 4 of 20.
        for (count, most) in [
            (accounts, 0.1),
            (clusters, 0.1),
            (leads, 0.05),
            (fired, 0.021),
        ] {
            let above = binomial_tail(count, WORLDS, most, 1.0 - most);
            assert!(above.get() > 1e-4, "{combine:?}: {count} at {most}");
        }
    }
}

/// 100 accounts of which 20 leak with z = 4, leads at a false discovery rate of 0.2. 2,000 worlds, seed 32. The average share of wrong
/// ones is at most 0.2 · 0.8, and at least half of the leaking accounts are found.
#[test]
fn leads_are_wrong_as_seldom_as_said() {
    let mut random = Random(32);
    let (mut wrong, mut found) = (0.0, 0);
    for _ in 0..2_000 {
        let mut world = Attribution::new(plan(1e-3).with_leads(0.2).unwrap());
        let kind = world.kind(Nature::Twins);
        for number in 0..100 {
            let shift = if number < 20 { 4.0 } else { 0.0 };
            let measured = shifted(&mut random, shift);
            // The likelihood ratio of that shift.
            let z = crate::stats::normal_quantile(measured.p_value);
            let log10_e = (4.0 * z - 8.0) * std::f64::consts::LOG10_E;
            let measured = measured.with_log10_e(log10_e).unwrap();
            world.add(kind, &format!("a{number:03}"), measured).unwrap();
        }
        let findings = world.findings().unwrap();
        let leads: Vec<usize> = (0..100).filter(|&i| findings.accounts[i].lead).collect();
        let right = leads.iter().filter(|&&index| index < 20).count();
        found += right;
        if !leads.is_empty() {
            wrong += (leads.len() - right) as f64 / leads.len() as f64;
        }
    }
    let (wrong, found) = (wrong / 2_000.0, found as f64 / 40_000.0);
    println!("false discovery rate {wrong:.4}, found {found:.3}");
    assert!(wrong <= 0.16 && found > 0.5, "{wrong} {found}");
}

/// 1,000 accounts, three kinds, ten leak with z = 5 in two kinds. Seed 33.
#[test]
fn leaking_accounts_are_named_with_their_basis() {
    let mut random = Random(33);
    let mut named = [0; 2];
    for (index, combine) in [Combine::Bonferroni, Combine::Fisher]
        .into_iter()
        .enumerate()
    {
        let mut world = Attribution::new(plan(1e-3).with_combine(combine));
        let kinds = [Nature::Twins, Nature::Canaries, Nature::Keys].map(|n| world.kind(n));
        for number in 0..1_000 {
            let shift = if number < 10 { 5.0 } else { 0.0 };
            for (kind, shift) in kinds.into_iter().zip([shift, shift, 0.0]) {
                let measured = shifted(&mut random, shift);
                world.add(kind, &format!("a{number:04}"), measured).unwrap();
            }
        }
        let findings = world.findings().unwrap();
        for account in findings.named() {
            assert!(&account.name[..] < "a0010", "{}", account.name);
            assert!(account.basis.contains(&0) || account.basis.contains(&1));
            assert!(!account.rests_on_keys_alone(&findings.kinds) && account.needed.is_none());
            named[index] += 1;
        }
        assert_eq!(findings.verdict, Verdict::Detected);
    }
    println!("named {named:?} of 10 by Bonferroni and Fisher");
    assert!(named[0] >= 4 && named[1] >= named[0], "{named:?}");
}

/// The chance of a false name does not grow when rows are left out for their results.
#[test]
fn leaving_rows_out_never_helps_an_accusation() {
    let mut random = Random(34);
    for _ in 0..500 {
        for combine in [Combine::Bonferroni, Combine::Fisher] {
            let all = [(); 3].map(|()| p(random.uniform()));
            let results = |keep: &dyn Fn(usize) -> bool| {
                let mut world = Attribution::new(plan(0.5).with_combine(combine));
                let kinds = [Nature::Twins; 3].map(|nature| world.kind(nature));
                for (index, (kind, measured)) in kinds.into_iter().zip(all).enumerate() {
                    if keep(index) {
                        world.add(kind, "a", measured).unwrap();
                    }
                }
                world.add(kinds[0], "b", p(0.5)).unwrap();
                world.findings().unwrap().accounts[0].clone()
            };
            let whole = results(&|_| true);
            let part = results(&|index| index == 1);
            assert!(part.p_value >= whole.p_value, "{part:?} {whole:?}");
            if combine == Combine::Bonferroni {
                assert!(part.ln_e <= whole.ln_e);
            }
        }
    }
}

#[test]
fn controls_that_fire_withhold_every_accusation() {
    let world = |controls: &[f64]| {
        let mut world = Attribution::new(plan(1e-3));
        let kind = world.kind(Nature::Twins);
        world.add(kind, "fed", p(1e-12)).unwrap();
        world.add(kind, "not", p(0.4)).unwrap();
        world.cluster("both", ["fed", "not"]).unwrap();
        for (number, &value) in controls.iter().enumerate() {
            let name = format!("control {number}");
            world.add(kind, &name, p(value)).unwrap();
            world.control(&name).unwrap();
        }
        world.findings().unwrap()
    };
    let even: Vec<f64> = (1..=40).map(|i| f64::from(i) / 40.0).collect();
    let sound = world(&even);
    let controls = sound.controls.unwrap();
    assert!(!controls.fire && controls.named == 0 && controls.small == 2);
    assert!((controls.expected - 2.0).abs() < 1e-12 && controls.p_value == PValue::ONE);
    assert_eq!((sound.family, sound.named().count()), (2, 1));
    assert_eq!(sound.holding().count(), 1);

    // One is named; too many are small; all are a little small.
    let mut one = even.clone();
    one[0] = 1e-5;
    let many: Vec<f64> = even
        .iter()
        .map(|p| if *p < 0.3 { 0.04 } else { *p })
        .collect();
    let shifted: Vec<f64> = even.iter().map(|p| p * p).collect();
    for (case, named) in [(one, 1), (many, 0), (shifted, 0)] {
        let found = world(&case);
        let controls = found.controls.unwrap();
        assert!(controls.fire && controls.named == named, "{controls:?}");
        assert_eq!((found.named().count(), found.holding().count()), (0, 0));
        assert!(found.accounts.iter().all(|found| !found.lead));
        let reason = found.verdict.reason().unwrap();
        assert_eq!(reason.name(), "ControlsFire");
        assert!(reason.to_string().contains("of 40 would have been named"));
        assert_eq!(found.account("fed").unwrap().verdict, found.verdict);
        assert_eq!(found.clusters[0].verdict, found.verdict);
    }
    // All controls at 1, as conservative tests have it: no alarm.
    assert!(!world(&[1.0; 40]).controls.unwrap().fire);
}

/// 30 accounts that each leak with z = 1.5: none can be named among 5,000, their cluster can. Seed 35.
#[test]
fn a_cluster_holds_where_no_account_does() {
    let mut random = Random(35);
    let mut world = Attribution::new(plan(1e-3));
    let kind = world.kind(Nature::Twins);
    for number in 0..5_000 {
        let shift = if number < 30 { 1.5 } else { 0.0 };
        let measured = shifted(&mut random, shift)
            .with_units(41.0, Some(400.0))
            .unwrap();
        world.add(kind, &format!("a{number:04}"), measured).unwrap();
    }
    for cluster in 0..100 {
        let members: Vec<String> = (0..30)
            .map(|member| format!("a{:04}", 30 * cluster + member))
            .collect();
        let names = members.iter().map(|name| &name[..]);
        world.cluster(&format!("c{cluster:02}"), names).unwrap();
    }
    let found = world.findings().unwrap();
    assert_eq!(found.named().count(), 0);
    let holding: Vec<&str> = found.holding().map(|found| &found.name[..]).collect();
    assert_eq!(holding, ["c00"]);
    assert_eq!(
        (found.clusters[0].accounts, found.clusters[0].named),
        (30, 0)
    );
    assert_eq!(found.verdict, Verdict::Detected);
    let other = found.clusters[1].needed.unwrap();
    assert!((other.units - 1_230.0).abs() < 1e-9);
    let account = found.account("a0000").unwrap();
    assert_eq!(account.verdict.name(), "Inconclusive");
}

#[test]
fn what_more_would_decide_is_estimated() {
    let mut world = Attribution::new(plan(1e-3));
    let kind = world.kind(Nature::Twins);
    let z = |z: f64| Measured::new(normal_tail(z).log10()).unwrap();
    for (name, score, units, needed) in [
        ("none", -0.5, 41.0, 120.0),
        ("some", 2.0, 41.0, 120.0),
        ("enough", -0.5, 120.0, 120.0),
    ] {
        let measured = z(score).with_units(units, Some(needed)).unwrap();
        world.add(kind, name, measured).unwrap();
    }
    world.add(kind, "untold", z(1.0)).unwrap();
    let found = world.findings().unwrap();
    let some = found.account("some").unwrap().needed.unwrap();
    // z at 1e-3/4 is 3.4808, at power 0.9 1.2816: 41 (4.7623/2)² = 232.5, and 41 (4.7623/3.2816)² = 86.3.
    assert_eq!((some.needed, some.least), (Some(233.0), Some(87.0)));
    assert!(!some.planned);
    let none = found.account("none").unwrap();
    let needed = none.needed.unwrap();
    assert!(needed.planned && needed.needed == Some(120.0));
    assert_eq!(
        none.verdict.reason().unwrap().to_string(),
        "41 exchanges; about 120 needed (estimated)"
    );
    assert_eq!(
        found.account("enough").unwrap().verdict,
        Verdict::NotDetected
    );
    assert!(found.account("untold").unwrap().needed.is_none());
}

/// 64 cohorts of 40 accounts, three fire. Flagged accounts all in these: labels are not unrelated. Spread: they are.
#[test]
fn cohorts_of_flagged_accounts_fire_or_others_do() {
    let world = |flag: &dyn Fn(usize, usize) -> bool| {
        let mut world = Attribution::new(plan(1e-3));
        let kind = world.kind(Nature::Twins);
        for cohort in 0..64 {
            let name = format!("c{cohort}");
            for number in 0..40 {
                let account = format!("a{cohort}-{number}");
                world.add(kind, &account, p(0.5)).unwrap();
                world.cohort(&account, &name, flag(cohort, number)).unwrap();
            }
            let value: f64 = if cohort < 3 { 1e-9 } else { 0.3 };
            let value = PValue::from_ln(value.ln());
            world.cohort_result(&name, value).unwrap();
        }
        world.findings().unwrap().cohorts.unwrap()
    };
    let rich = world(&|cohort, number| cohort < 3 && number < 10);
    assert_eq!((rich.cohorts, rich.fired, rich.in_fired), (64, 3, 120));
    assert_eq!((rich.flagged, rich.flagged_in_fired), (30, 30));
    // 30 of 30 draws among 120 of 2,560.
    let exact: f64 = (0..30)
        .map(|i| f64::from(120 - i) / f64::from(2560 - i))
        .product();
    assert!((rich.p_value.get() / exact - 1.0).abs() < 1e-9);
    let spread = world(&|_, number| number == 0);
    assert_eq!((spread.flagged, spread.flagged_in_fired), (64, 3));
    assert!(spread.p_value.get() > 0.3);
    assert_eq!(world(&|_, _| false).p_value, PValue::ONE);
}

#[test]
fn shared_texts_name_neither_account_without_other_evidence() {
    let world = |other: f64| {
        let mut world = Attribution::new(plan(1e-3));
        let twins = world.kind(Nature::Twins);
        let canaries = world.kind(Nature::Canaries);
        for name in ["a", "b", "c"] {
            world
                .add(twins, name, p(if name == "c" { 0.3 } else { 1e-9 }))
                .unwrap();
        }
        world.add(canaries, "a", p(other)).unwrap();
        world.shared(twins, "b", "a").unwrap();
        world.findings().unwrap()
    };
    let neither = world(0.2);
    assert_eq!(neither.named().count(), 0);
    for (name, with) in [("a", "b"), ("b", "a")] {
        let reason = neither.account(name).unwrap().verdict.reason();
        assert_eq!(
            reason,
            Some(&Reason::SharedTexts {
                with: with.to_owned()
            })
        );
    }
    assert_eq!(neither.verdict.reason().unwrap().name(), "SharedTexts");
    let one = world(1e-9);
    let named: Vec<&str> = one.named().map(|found| &found.name[..]).collect();
    assert_eq!(named, ["a"]);
    assert_eq!(one.account("a").unwrap().basis, [1]);
}

#[test]
fn a_key_that_fires_beside_silent_twins_may_be_forged() {
    let world = |twins_p: f64, exchanges: f64, canary_p: f64| {
        let mut world = Attribution::new(plan(1e-3));
        let [twins, canaries, keys] =
            [Nature::Twins, Nature::Canaries, Nature::Keys].map(|nature| world.kind(nature));
        world.add(keys, "a", p(1e-20)).unwrap();
        let measured = p(twins_p).with_units(exchanges, Some(300.0)).unwrap();
        world.add(twins, "a", measured).unwrap();
        world.add(canaries, "a", p(canary_p)).unwrap();
        world.add(keys, "b", p(0.5)).unwrap();
        world.cluster("all", ["a", "b"]).unwrap();
        world.findings().unwrap()
    };
    let forged = world(0.4, 500.0, 0.7);
    let account = forged.account("a").unwrap();
    let reason = account.verdict.reason().unwrap();
    assert_eq!(reason.name(), "SuspectedSpoof");
    assert!(reason.to_string().contains("key fires, twins are silent"));
    // Nor does the forged account carry its cluster.
    assert_eq!((forged.named().count(), forged.holding().count()), (0, 0));

    // Twins too few to be silent: named, and what it rests on is told.
    let few = world(0.4, 20.0, 0.7);
    let account = few.account("a").unwrap();
    assert_eq!(account.verdict, Verdict::Detected);
    assert!(account.rests_on_keys_alone(&few.kinds));
    // Twins or canaries that agree.
    for agreeing in [world(1e-5, 500.0, 0.7), world(0.4, 500.0, 1e-4)] {
        let account = agreeing.account("a").unwrap();
        assert_eq!(account.verdict, Verdict::Detected);
        assert!(!account.rests_on_keys_alone(&agreeing.kinds));
    }
}

#[test]
fn the_order_of_adding_plays_no_part() {
    let world = |order: &dyn Fn(usize) -> usize| {
        let mut world = Attribution::new(plan(1e-3));
        let kinds = [Nature::Twins, Nature::Keys].map(|nature| world.kind(nature));
        for index in 0..40 {
            let number = order(index);
            let name = format!("a{number}");
            world
                .add(kinds[0], &name, p(1.0 / (1.0 + number as f64)))
                .unwrap();
            // The second kind has every third account only.
            if number.is_multiple_of(3) {
                world
                    .add(kinds[1], &name, p(1e-7 * (1.0 + number as f64)))
                    .unwrap();
            }
        }
        world.shared(kinds[0], "a1", "a2").unwrap();
        world.shared(kinds[0], "a3", "a1").unwrap();
        world.cluster("c", ["a9", "a1", "absent"]).unwrap();
        world.findings().unwrap()
    };
    let found = world(&|index| index);
    assert_eq!(found, world(&|index| 39 - index));
    assert_eq!(found, world(&|index| index * 7 % 40));
    assert!(found.accounts.iter().all(|found| found.measured.len() == 2));
    assert_eq!(
        (found.clusters[0].accounts, found.clusters[0].tested),
        (3, 1)
    );
}

#[test]
fn more_accounts_than_are_here_share_alpha() {
    let world = |family: u64| {
        let mut world = Attribution::new(plan(1e-3).with_family(family));
        let kind = world.kind(Nature::Twins);
        let measured = p(1e-7).with_log10_e(7.0).unwrap();
        world.add(kind, "a", measured).unwrap();
        let found = world.findings().unwrap();
        (found.family, found.named().count(), found.accounts[0].lead)
    };
    assert_eq!(world(0), (1, 1, true));
    assert_eq!(world(9_000), (9_000, 1, true));
    assert_eq!(world(11_000), (11_000, 0, true));
    assert_eq!(world(u64::MAX), (u64::MAX, 0, false));
}

#[test]
fn mistakes_name_what_is_wrong() {
    for bad in [0.1, f64::NAN, f64::NEG_INFINITY, f64::INFINITY] {
        assert!(told(Measured::new(bad)).contains("log10_p is"));
    }
    let fine = p(0.5);
    assert!(told(fine.with_log10_e(f64::NAN)).contains("log10_e is NaN"));
    assert!(told(fine.with_units(-1.0, None)).contains("units is -1"));
    assert!(told(fine.with_units(1.0, Some(f64::NAN))).contains("needed is NaN"));
    assert!(told(Plan::new(0.95)).contains("alpha") || told(Plan::new(0.95)).contains("power"));
    assert!(told(plan(0.1).with_leads(1.0)).contains("leads is 1"));

    let mut world = Attribution::new(plan(1e-3));
    let kind = world.kind(Nature::Twins);
    world.add(kind, "a", fine).unwrap();
    assert!(told(world.add(kind, "a", fine)).contains("`a` has two results"));
    assert!(told(world.add(Kind(7), "a", fine)).contains("another attribution's"));
    assert!(told(world.control("z\n")).contains("`z\\n` has no result"));
    assert!(told(world.cluster("c", [])).contains("no accounts"));
    assert!(told(world.cluster("c", ["a", "a"])).contains("names account `a` twice"));
    world.cluster("c", ["a"]).unwrap();
    assert!(told(world.cluster("c", ["a"])).contains("`c` occurs twice"));
    assert!(told(world.cohort("z", "e", false)).contains("no result"));
    world.cohort("a", "e", false).unwrap();
    assert!(told(world.cohort("a", "f", false)).contains("two cohorts"));
    world.cohort_result("e", fine.p_value).unwrap();
    assert!(told(world.cohort_result("e", PValue::ONE)).contains("two p-values"));
    assert!(told(world.shared(kind, "a", "a")).contains("with itself"));
    world.control("a").unwrap();
    assert!(told(world.control("a")).contains("occurs twice"));
    assert!(told(world.findings()).contains("all of them controls"));
    world.add(kind, "b", fine).unwrap();
    assert!(told(world.findings()).contains("both innocent and in question"));
    assert!(told(Attribution::new(plan(0.1)).findings()).contains("0 accounts"));

    let mut world = Attribution::new(plan(1e-3));
    let kind = world.kind(Nature::Twins);
    world.add(kind, "a", fine).unwrap();
    world
        .add(kind, "b", fine.with_log10_e(0.0).unwrap())
        .unwrap();
    let mixed = told(world.findings());
    assert!(
        mixed.contains("`b` has an e-value and `a` has none"),
        "{mixed}"
    );
    let mut world = Attribution::new(plan(1e-3));
    for _ in 0..2 {
        let kind = world.kind(Nature::Twins);
        world.add(kind, "a", fine).unwrap();
    }
    assert!(told(world.findings()).contains("(1 and 2) hold the same results"));
}

/// 24,000 accounts with three kinds.
#[test]
fn a_campaign_is_decided_at_once() {
    let mut random = Random(36);
    let mut world = Attribution::new(plan(1e-3));
    let kinds = [Nature::Twins, Nature::Canaries, Nature::Keys].map(|nature| world.kind(nature));
    for number in 0..24_000 {
        for kind in kinds {
            let measured = p(random.uniform()).with_units(100.0, Some(400.0)).unwrap();
            world
                .add(kind, &format!("account-{number}"), measured)
                .unwrap();
        }
    }
    let start = std::time::Instant::now();
    let found = world.findings().unwrap();
    println!("24,000 accounts decided in {:?}", start.elapsed());
    assert_eq!(found.accounts.len(), 24_000);
}

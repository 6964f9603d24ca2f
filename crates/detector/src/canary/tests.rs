//! Keyed choices under the null, with all a suspect's whims, and under theft.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "small counts"
)]

use taggant_core::{Canary, ErrorKind};

use super::*;
use crate::Verdict;
use crate::random::Random;
use crate::stats::{PValue, Rank, binomial_tail, fit_to_law};

/// An account; decoys of a seed of their own are as good as any keys.
fn account(index: u64) -> Canary {
    Canary::decoy(0xACC0, index)
}

#[expect(clippy::cast_sign_loss, reason = "not negative")]
fn below(random: &mut Random, n: usize) -> usize {
    (random.uniform() * n as f64) as usize
}

/// Sampled answers of a suspect with strong tastes, which know no key: most slots have a darling, some have ties, some are silent.
fn skewed(random: &mut Random, fillers: usize) -> Vec<u64> {
    let darling = below(random, fillers.min(2));
    (0..fillers)
        .map(|filler| {
            let few = below(random, 3) as u64;
            if filler == darling { 6 + few } else { few }
        })
        .collect()
}

/// Slots of 2 to 12 fillers; every third is weighted, every fifth tied at the top, every seventh a table of log-likelihoods.
fn mixed(statistic: Statistic, count: usize, random: &mut Random) -> Slots {
    let mut slots = Slots::new(statistic);
    for number in 0..count {
        let fillers = 2 + below(random, 11);
        let mut counts = skewed(random, fillers);
        if number % 5 == 0 {
            counts[0] = counts[1];
        }
        let shown = if number % 7 == 0 {
            Shown::LogLikelihoods(counts.iter().map(|&count| -(count as f64)).collect())
        } else {
            Shown::Counts(counts)
        };
        let slot = Slot::new(format!("mixed {number}"), fillers, shown);
        let slot = if number % 3 == 0 {
            let weights = (0..fillers).map(|filler| 1 + (filler as u32 * 7) % 5);
            slot.with_weights(weights.collect())
        } else {
            slot
        };
        slots.add(&slot).unwrap();
    }
    slots
}

/// Null: the suspect's tastes are fixed and strong, keys are random. Theory: P(p ≤ a) ≤ a for every statistic, and the hits follow their
/// Poisson-binomial law. n = 20,000 keys on 40 slots with ties, weights and 2 to 12 fillers; alpha 1e-6 for each level; seed 41.
#[test]
fn p_values_hold_whatever_the_suspect_prefers() {
    for statistic in Statistic::ALL {
        let slots = mixed(statistic, 40, &mut Random(41));
        let findings: Vec<Finding> = (0..20_000)
            .map(|index| test(&[(&slots, &account(index))]).unwrap())
            .collect();
        for level in [0.2, 0.05, 0.01, 0.001] {
            let count = |p: &dyn Fn(&Finding) -> PValue| {
                findings.iter().filter(|one| p(one).at_most(level)).count() as u64
            };
            let (bound, near) = (count(&|one| one.p_value), count(&|one| one.near));
            println!(
                "{}: {bound} (near: {near}) of 20000 at {level}",
                statistic.name()
            );
            assert!(binomial_tail(bound, 20_000, level, 1.0 - level).get() > 1e-6);
        }
        let e: f64 = findings.iter().map(|one| one.ln_e.exp()).sum();
        println!("{}: mean e {}", statistic.name(), e / 20_000.0);
        // Markov's: a mean of 1 over 20,000, but a heavy tail.
        let large = findings
            .iter()
            .filter(|one| one.ln_e > 100_f64.ln())
            .count() as u64;
        assert!(binomial_tail(large, 20_000, 0.01, 0.99).get() > 1e-6);
        if statistic == Statistic::Hits {
            assert!(findings.iter().all(|one| one.exact));
            let mut scores: Vec<f64> = findings.iter().map(|one| one.score).collect();
            let tail = |score: f64| {
                let same = |one: &&Finding| one.score.to_bits() == score.to_bits();
                findings
                    .iter()
                    .find(same)
                    .map_or(1.0, |one| one.p_value.get())
            };
            let fit = fit_to_law(&mut scores, tail);
            println!("hits: {fit:?}");
            assert!(fit.p_value > 1e-6);
        }
    }
}

/// Null: keys are random. Theory: a slot's p-value is at most r/M with probability r/M where nothing is tied, and at most a with probability at
/// most a where it is; the mean e-value is 1. n = 80,000 keys on one slot; alpha 1e-6; seed of the keys fixed.
#[test]
fn ranks_of_one_slot_are_uniform_and_ties_are_conservative() {
    let n = 80_000_u64;
    for (counts, attained) in [
        (vec![0, 9, 3, 1, 2, 40, 8, 5], vec![1, 2, 3, 4, 5, 6, 7, 8]),
        // Equal counts share the worst rank of theirs.
        (vec![7, 7, 0, 0, 0, 1, 0, 0], vec![2, 3, 8]),
        (vec![5; 8], vec![8]),
    ] {
        let mut slots = Slots::new(Statistic::Ranks);
        slots
            .add(&Slot::new("one", 8, Shown::Counts(counts)))
            .unwrap();
        let mut ranks = [0_u64; 9];
        let mut e = 0.0;
        for index in 0..n {
            let outcome = slots.outcomes(&account(index)).unwrap()[0];
            ranks[outcome.rank as usize] += 1;
            e += outcome.ln_e.exp();
            let probability = f64::from(outcome.rank) / 8.0;
            assert!((outcome.p_value.get() - probability).abs() < 1e-15);
            assert!((outcome.exposure + probability.log2()).abs() < 1e-12);
        }
        let mut below = 0;
        for rank in 1..=8_u64 {
            below += ranks[rank as usize];
            if attained.contains(&rank) {
                let theory = rank as f64 / 8.0;
                let z = (below as f64 - n as f64 * theory)
                    / (n as f64 * theory * (1.0 - theory)).sqrt();
                assert!(rank == 8 || z.abs() < 4.9, "rank {rank}: {below}, z {z}");
            } else {
                assert_eq!(ranks[rank as usize], 0);
            }
        }
        let e = e / n as f64;
        println!("ranks {ranks:?}, mean e {e}");
        assert!((e - 1.0).abs() < 0.02);
    }
}

/// Theory: 67 slots of 8 fillers hold 8.4 hits at random, deviation 2.7; 20 (a rate of 0.30) are 4.3 deviations above. Tails summed in
/// rational arithmetic: 1.3723e-4 for 20, 2.7905e-13 for 33 (0.49), 3.9496e-14 for 34 (0.51).
#[test]
fn sixty_seven_slots_show_what_theory_says() {
    let key = account(0);
    let with_hits = |statistic: Statistic, hits: usize| {
        let mut slots = Slots::new(statistic);
        for number in 0..67 {
            let id = format!("exchange {number}");
            let mut counts = vec![0; 8];
            let mine = key.choose(id.as_bytes(), 8).unwrap() as usize;
            counts[if number < hits { mine } else { (mine + 1) % 8 }] = 1;
            slots.add(&Slot::new(id, 8, Shown::Counts(counts))).unwrap();
        }
        test(&[(&slots, &key)]).unwrap()
    };
    let half = with_hits(Statistic::Hits, 33);
    let (weak, strong) = (
        with_hits(Statistic::Hits, 20),
        with_hits(Statistic::Hits, 34),
    );
    let z = (weak.score - weak.expected) / (67.0_f64 * 7.0 / 64.0).sqrt();
    println!(
        "67 slots: 20 hits z = {z:.2}, p = {}, e = 10^{:.1}; 34 hits p = {}, e = 10^{:.1}",
        weak.p_value,
        weak.ln_e / 10_f64.ln(),
        strong.p_value,
        strong.ln_e / 10_f64.ln()
    );
    assert_eq!((weak.hits, weak.slots, weak.exact), (20, 67, true));
    assert!((weak.expected_hits - 8.375).abs() < 1e-12 && (z - 4.3).abs() < 0.05);
    for (finding, exact) in [
        (&weak, 1.372_284_429_708_335_5e-4),
        (&half, 2.790_494_016_717_187_5e-13),
        (&strong, 3.949_567_398_402_98e-14),
    ] {
        assert!((finding.p_value.get() / exact - 1.0).abs() < 1e-10);
    }
    // One answer a slot: shares are 0 and 1, and the other statistic is the same test.
    let shares = with_hits(Statistic::Frequencies, 34);
    assert!(shares.exact && (shares.p_value.ln() - strong.p_value.ln()).abs() < 1e-9);
    // Ranks of an answer taken once: first, or last among equals.
    let ranks = with_hits(Statistic::Ranks, 34);
    println!("by ranks p ≤ {} (near {})", ranks.p_value, ranks.near);
    assert!(!ranks.exact && ranks.p_value.ln() >= strong.p_value.ln());
}

/// A suspect that was trained on the answers of `leaked`: each slot of each of these accounts is followed with probability `rate`, unless it
/// was filtered; else the suspect answers as its tastes have it. Sampled 4 times. Slots are each account's own.
fn served(
    accounts: u64,
    leaked: u64,
    slots: usize,
    rate: f64,
    keep: f64,
    statistic: Statistic,
) -> Vec<Finding> {
    let mut random = Random(accounts ^ leaked << 8);
    (0..accounts)
        .map(|index| {
            let key = account(index);
            let mut own = Slots::new(statistic);
            for number in 0..slots {
                let id = format!("account {index}, exchange {number}");
                let mut counts = vec![0; 8];
                let follows = index < leaked && random.uniform() < keep && random.uniform() < rate;
                let taste = below(&mut random, 3);
                for _ in 0..4 {
                    let filler = if follows {
                        key.choose(id.as_bytes(), 8).unwrap() as usize
                    } else if random.uniform() < 0.7 {
                        taste
                    } else {
                        below(&mut random, 8)
                    };
                    counts[filler] += 1;
                }
                own.add(&Slot::new(id, 8, Shown::Counts(counts))).unwrap();
            }
            test(&[(&own, &key)]).unwrap()
        })
        .collect()
}

fn named(findings: &[Finding]) -> Vec<usize> {
    let judged = judge(findings, 1e-3).unwrap();
    let named = (0..)
        .zip(&judged)
        .filter(|(_, one)| one.verdict == Verdict::Detected);
    named.map(|(index, _)| index).collect()
}

/// Null for 170 of 200 accounts: the suspect never saw what they were served. 30 others are followed in half of their 67 slots. Theory: these
/// have 38 hits on average, deviation 4, where 23 are significant; FWER 1e-3. Seed 200 xor 30 · 256.
#[test]
fn thirty_of_two_hundred_accounts_are_named_and_no_other() {
    for statistic in Statistic::ALL {
        let findings = served(200, 30, 67, 0.5, 1.0, statistic);
        let named = named(&findings);
        let least = findings[30..]
            .iter()
            .map(|one| one.p_value.log10())
            .fold(0.0, f64::min);
        println!(
            "{}: {} of 30 named, {} of 170 others; least p of the others 10^{least:.1}",
            statistic.name(),
            named.iter().filter(|&&index| index < 30).count(),
            named.iter().filter(|&&index| index >= 30).count()
        );
        assert!(named.iter().all(|&index| index < 30));
        assert!(
            named.len()
                >= if statistic == Statistic::Ranks {
                    25
                } else {
                    29
                },
            "{named:?}"
        );
    }
}

/// The same student, which filtered half of the canaries: fewer are named, and still no other. Pooled as one cluster they are beyond doubt.
#[test]
fn a_filter_costs_power_and_accuses_nobody_else() {
    let whole = named(&served(200, 30, 67, 0.35, 1.0, Statistic::Hits));
    let half = named(&served(200, 30, 67, 0.35, 0.5, Statistic::Hits));
    println!(
        "followed at 0.35: {} named; half filtered: {}",
        whole.len(),
        half.len()
    );
    assert!(whole.iter().chain(&half).all(|&index| index < 30));
    assert!(half.len() < whole.len());
}

/// Members of a cluster add up: 30 accounts that are followed in 8 % of their slots are each too weak; together they are not.
#[test]
fn a_cluster_shows_what_its_members_do_not() {
    let keys: Vec<Canary> = (0..30).map(account).collect();
    let mut random = Random(9);
    let pools: Vec<Slots> = (0..30)
        .map(|index| {
            let mut own = Slots::new(Statistic::Hits);
            for number in 0..67 {
                let id = format!("account {index}, exchange {number}");
                let filler = if random.uniform() < 0.08 {
                    keys[index].choose(id.as_bytes(), 8).unwrap() as usize
                } else {
                    below(&mut random, 2)
                };
                let mut counts = vec![0; 8];
                counts[filler] = 1;
                own.add(&Slot::new(id, 8, Shown::Counts(counts))).unwrap();
            }
            own
        })
        .collect();
    let members: Vec<(&Slots, &Canary)> = pools.iter().zip(&keys).collect();
    let alone: Vec<Finding> = members
        .iter()
        .map(|member| test(std::slice::from_ref(member)).unwrap())
        .collect();
    let together = test(&members).unwrap();
    println!(
        "alone: {} named; together p = {}",
        named(&alone).len(),
        together.p_value
    );
    assert_eq!(together.slots, 30 * 67);
    assert_eq!(together.hits, alone.iter().map(|one| one.hits).sum::<u64>());
    assert!(together.p_value.log10() < -6.0 && named(&alone).len() < 3);

    let borrowed: Vec<&Slots> = pools.iter().collect();
    let decoys = decoys(&borrowed, 1, 199).unwrap();
    assert_eq!(Rank::of(together.score, &decoys).at_least, 0);
    assert_eq!(
        test(&[members[0], members[0]]).unwrap_err().kind(),
        ErrorKind::Parameter
    );
    let other = Slots::new(Statistic::Ranks);
    assert_eq!(
        test(&[members[0], (&other, &keys[1])]).unwrap_err().kind(),
        ErrorKind::Parameter
    );
}

/// Null: the true key is one of the decoys' kind. Theory: ranks among 99 decoys are uniform, Chernoff's bound is above the share of
/// decoys. n = 400 keys, alpha 1e-6, seed 6.
#[test]
fn decoys_agree_with_the_laws() {
    for statistic in Statistic::ALL {
        let slots = mixed(statistic, 30, &mut Random(6));
        let decoys = decoys(&[&slots], 3, 20_000).unwrap();
        let mut small = 0;
        for index in 0..400 {
            let finding = test(&[(&slots, &account(index))]).unwrap();
            let rank = Rank::of(finding.score, &decoys).p_value();
            small += u64::from(rank.at_most(0.05));
            let (rank, bound) = (rank.get(), finding.p_value.get());
            let noise = 6.0 * (rank / 20_000.0).sqrt();
            assert!(
                bound > rank - noise,
                "{}: {bound} below {rank}",
                statistic.name()
            );
            if finding.exact {
                assert!(
                    bound < rank + noise,
                    "{}: {bound} above {rank}",
                    statistic.name()
                );
            }
        }
        println!("{}: {small} of 400 at 0.05", statistic.name());
        assert!(binomial_tail(small, 400, 0.05, 0.95).get() > 1e-6);
    }
}

#[test]
fn what_cannot_tell_is_left_out_and_counted() {
    let key = account(0);
    let mut slots = Slots::new(Statistic::Hits);
    let counts = |counts: &[u64]| Shown::Counts(counts.to_vec());
    slots.add(&Slot::new("a", 3, counts(&[4, 1, 0]))).unwrap();
    slots.add(&Slot::new("a", 3, counts(&[0, 0, 9]))).unwrap();
    slots
        .add(&Slot::new("b", 3, counts(&[0, 9, 0])).copied())
        .unwrap();
    slots.add(&Slot::new("c", 3, counts(&[0, 0, 0]))).unwrap();
    slots.add(&Slot::new("d", 3, counts(&[2, 2, 0]))).unwrap();
    let silent = Shown::LogLikelihoods(vec![f64::NEG_INFINITY; 3]);
    slots.add(&Slot::new("e", 3, silent)).unwrap();
    assert_eq!(
        (
            slots.len(),
            slots.repeats(),
            slots.skipped(),
            slots.silent()
        ),
        (2, 1, 1, 2)
    );
    assert!(!slots.is_empty());
    let finding = test(&[(&slots, &key)]).unwrap();
    assert_eq!(finding.slots, 1, "a tie at the top is no hit for any key");
    let judged = judge(&[finding], 1e-3).unwrap().remove(0);
    let Verdict::Inconclusive(reason) = &judged.verdict else {
        panic!("{judged:?}");
    };
    assert_eq!(reason.name(), "TooFewSlots");

    let none = test(&[(&Slots::new(Statistic::Frequencies), &key)]).unwrap();
    assert_eq!((none.p_value, none.slots), (PValue::ONE, 0));
    assert_eq!(test(&[]).unwrap().p_value, PValue::ONE);
    assert!(judge(&[none], 1.0).is_err() && judge(&[], 0.01).unwrap().is_empty());

    for (slot, kind) in [
        (Slot::new("f", 1, counts(&[1])), ErrorKind::Parameter),
        (Slot::new("f", 3, counts(&[1, 2])), ErrorKind::Mismatch),
        (Slot::new("", 2, counts(&[1, 2])), ErrorKind::Limit),
        (
            Slot::new("f", 2, counts(&[1, 2])).with_weights(vec![0, 0]),
            ErrorKind::Parameter,
        ),
        (
            Slot::new("f", 2, Shown::LogLikelihoods(vec![0.0, f64::NAN])),
            ErrorKind::Parameter,
        ),
    ] {
        let error = slots.add(&slot).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().starts_with("slot `"), "{error}");
    }
}

/// The number that is asked for is enough: with it a planned student is found 9 times in 10 (exact), with one fewer not.
#[test]
fn the_slots_asked_for_are_the_fewest_that_suffice() {
    let mut slots = Slots::new(Statistic::Hits);
    slots
        .add(&Slot::new(
            "a",
            8,
            Shown::Counts(vec![1, 0, 0, 0, 0, 0, 0, 0]),
        ))
        .unwrap();
    let innocent = (0..)
        .map(account)
        .find(|key| key.choose(b"a", 8).unwrap() != 0)
        .unwrap();
    let finding = test(&[(&slots, &innocent)]).unwrap();
    let judged = judge(&[finding], 1e-3).unwrap().remove(0);
    let Some(&crate::Reason::TooFewSlots {
        needed,
        slots,
        alpha,
    }) = judged.verdict.reason()
    else {
        panic!("{judged:?}");
    };
    assert_eq!((slots, alpha.to_bits()), (1, 1e-3_f64.to_bits()));
    let power = |n: u64| {
        let critical = (0..=n).find(|&k| binomial_tail(k, n, 0.125, 0.875).at_most(1e-3));
        critical.map_or(0.0, |k| binomial_tail(k, n, 0.3, 0.7).get())
    };
    println!("needed: {needed}, power {:.4}", power(needed));
    assert!(power(needed) >= 0.9 && (1..needed).all(|n| power(n) < 0.9));
}

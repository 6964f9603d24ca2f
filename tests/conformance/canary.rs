//! Keyed free choices (SPEC.md §9) by both implementations.

use rand::Rng;
use taggant_core::Canary;
use taggant_reference as reference;
use taggant_tests::{below, rng};

/// n = 2,000 slots of random keys, ids, numbers of fillers and weights, seed 90: every choice and order agrees.
#[test]
fn choices_and_orders_are_those_of_the_specification() {
    let mut rng = rng(90);
    for round in 0..2_000 {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        let id = format!("account-{round}");
        let path = format!("2026-12/canary/{id}").parse().unwrap();
        let (ours, theirs) = if round % 5 == 0 {
            let (seed, index) = (rng.next_u64(), rng.next_u64());
            (
                Canary::decoy(seed, index),
                reference::canary_decoy(seed, index),
            )
        } else {
            let leaf = reference::derive(&bytes, "forensic", "2026-12", "canary", &id);
            let key = taggant_core::RootKey::from_bytes(bytes).derive(&path);
            (Canary::new(&key).unwrap(), reference::canary(&leaf.key))
        };
        let mut slot = vec![0; 1 + below(&mut rng, 200) as usize];
        rng.fill_bytes(&mut slot);
        // Small numbers, and those that skip half of the words.
        let fillers = [1 + below(&mut rng, 40), 1 << 31 | rng.next_u32()][round % 2];
        assert_eq!(
            u64::from(ours.choose(&slot, fillers).unwrap()),
            reference::canary_choice(&theirs, &slot, fillers)
        );
        let mut weights: Vec<u32> = (0..1 + below(&mut rng, 30))
            .map(|_| rng.next_u32() >> below(&mut rng, 33).min(31))
            .collect();
        weights[0] += u32::from(weights.iter().all(|&weight| weight == 0));
        assert_eq!(
            ours.choose_weighted(&slot, &weights).unwrap() as usize,
            reference::canary_weighted_choice(&theirs, &slot, &weights)
        );
        let items = below(&mut rng, 60) as usize;
        let order = ours.order(&slot, items).unwrap();
        let order: Vec<usize> = order.into_iter().map(|item| item as usize).collect();
        assert_eq!(order, reference::canary_order(&theirs, &slot, items));
    }
}

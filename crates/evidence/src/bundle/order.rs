//! Time order, which is the whole argument: each thing was there before the next could be.

use crate::time::Time;

/// How far the collector's clock may be from the authorities': theirs may count whole seconds, and its own is nobody's proof. That nothing was asked before the round follows from what was asked, not
/// from a clock.
const SKEW: u64 = 10_000;

/// A thing and when it was.
#[derive(Clone, Copy)]
pub(super) struct Event {
    /// Its name, part of what is told when it fails.
    pub(super) name: &'static str,
    /// When.
    pub(super) time: Time,
    /// Whether the time is the collector's own word.
    pub(super) own_word: bool,
}

/// The first pair that is not in order, named.
pub(super) fn in_order(events: &[Event]) -> Result<String, String> {
    for (place, after) in events.iter().enumerate() {
        for before in &events[..place] {
            let skew = if before.own_word != after.own_word {
                SKEW
            } else {
                0
            };
            if before.time.unix_millis() > after.time.unix_millis().saturating_add(skew) {
                return Err(format!(
                    "{}-{}: {} is of {}, and {} of {}",
                    before.name, after.name, before.name, before.time, after.name, after.time
                ));
            }
        }
    }
    let told: Vec<String> = events
        .iter()
        .map(|event| format!("{} {}", event.name, event.time))
        .collect();
    Ok(told.join(" ≤ "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// K-1: whichever two dates are swapped, the pair is named.
    #[test]
    fn any_two_dates_that_are_swapped_are_named() {
        let names = [
            "commitment",
            "plan",
            "round",
            "first-query",
            "last-line",
            "transcript",
            "reveal",
        ];
        let events: Vec<Event> = (1..)
            .zip(names)
            .map(|(hour, name)| Event {
                name,
                time: Time::from_unix_millis(hour * 3_600_000).unwrap(),
                own_word: matches!(name, "first-query" | "last-line"),
            })
            .collect();
        assert!(in_order(&events).is_ok());
        for a in 0..events.len() {
            for b in a + 1..events.len() {
                let mut swapped = events.clone();
                (swapped[a].time, swapped[b].time) = (events[b].time, events[a].time);
                let told = in_order(&swapped).unwrap_err();
                assert!(told.contains(names[a]) || told.contains(names[b]), "{told}");
            }
        }
        let mut close = events.clone();
        close[5].time = Time::from_unix_millis(events[4].time.unix_millis() - 9_999).unwrap();
        assert!(in_order(&close).is_ok());
        close[5].time = Time::from_unix_millis(events[4].time.unix_millis() - 10_001).unwrap();
        assert!(in_order(&close).is_err());
    }
}

//! When the next request may leave.

use std::time::{Duration, Instant};

/// Longest wait before another attempt, whatever a server asks for.
const LONGEST: Duration = Duration::from_secs(600);

/// Spaces requests evenly: at most so many a minute over all threads.
#[derive(Debug)]
pub(crate) struct Pace {
    gap: Duration,
    next: Instant,
}

impl Pace {
    pub(crate) fn new(per_minute: Option<u32>, now: Instant) -> Self {
        Self {
            gap: per_minute.map_or(Duration::ZERO, |requests| {
                Duration::from_secs(60) / requests.max(1)
            }),
            next: now,
        }
    }

    /// How long to wait from `now` for the next place, without taking it.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// Takes the next place.
    pub(crate) fn take(&mut self, now: Instant) {
        self.next = self.next.max(now) + self.gap;
    }

    /// Nobody asks before `wait` is over: the other side said so.
    pub(crate) fn hold(&mut self, now: Instant, wait: Duration) {
        self.next = self.next.max(now + wait.min(LONGEST));
    }
}

/// The wait after a question's failure number `tries`: doubled each time.
pub(crate) fn backoff(first: Duration, tries: u32) -> Duration {
    first
        .saturating_mul(1 << tries.saturating_sub(1).min(16))
        .min(Duration::from_secs(60))
}

//! Which tokens a piece of text with their spelling encodes to.
//!
//! Most pieces are spelled like a token, and most such tokens are what the merges arrive at; but
//! not all, so each has to be tried once. That is done when a token is first met, because doing
//! it for a whole vocabulary would take longer than most programs run.

use std::sync::atomic::{AtomicBool, Ordering};

/// By token id, whether it was found to stand alone. A cache: threads that race write the same.
pub(super) struct Alone(Vec<AtomicBool>);

impl Alone {
    pub(super) fn new(vocabulary: usize) -> Self {
        Self((0..vocabulary).map(|_| AtomicBool::new(false)).collect())
    }

    /// Appends the ids of a piece that is spelled like token `id`, which `merge` appends the slow
    /// way.
    pub(super) fn encode(&self, id: u32, ids: &mut Vec<u32>, merge: impl FnOnce(&mut Vec<u32>)) {
        let alone = &self.0[id as usize];
        if alone.load(Ordering::Relaxed) {
            ids.push(id);
            return;
        }
        let start = ids.len();
        merge(ids);
        if ids[start..] == [id] {
            alone.store(true, Ordering::Relaxed);
        }
    }
}

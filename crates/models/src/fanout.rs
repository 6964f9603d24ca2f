//! Work on several threads, results on the caller's.

use std::{
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
};

use taggant_core::Result;

/// A worker's end of a run: where items are taken and results are put down.
pub(crate) struct Desk<'a, T> {
    items: usize,
    next: &'a AtomicUsize,
    stopped: &'a AtomicBool,
    results: Sender<Result<T>>,
}

impl<T> Desk<'_, T> {
    /// The next item that no worker has taken, by index.
    pub(crate) fn take(&self) -> Option<usize> {
        let item = self.next.fetch_add(1, Ordering::Relaxed);
        (item < self.items).then_some(item)
    }

    /// Whether the run has failed, so that going on is wasted.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Hands over a result. Nobody takes it any more if the run has failed; that is no news.
    pub(crate) fn finish(&self, result: T) {
        let _ = self.results.send(Ok(result));
    }
}

/// Lets `threads` workers take the items 0 to `items`, and calls `done` for each result on the
/// calling thread, in order of completion. The first error ends the run.
///
/// The threads live no longer than the call. Each computes alone: no pool, no locks, no spinning,
/// so a busy machine slows the run in proportion and no further.
pub(crate) fn fan_out<T: Send>(
    items: usize,
    threads: usize,
    worker: impl Fn(&Desk<'_, T>) -> Result<()> + Sync,
    mut done: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, results) = channel();
    thread::scope(|scope| {
        for _ in 0..threads.min(items) {
            let desk = Desk {
                items,
                next: &next,
                stopped: &stopped,
                results: sender.clone(),
            };
            let worker = &worker;
            scope.spawn(move || {
                if let Err(error) = worker(&desk) {
                    let _ = desk.results.send(Err(error));
                }
            });
        }
        drop(sender);
        let outcome = results.iter().try_for_each(|result| done(result?));
        stopped.store(outcome.is_err(), Ordering::Relaxed);
        outcome
    })
}

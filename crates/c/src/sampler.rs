//! A mark that is ready to embed, and working memory that threads share.
#![expect(
    unsafe_code,
    reason = "a fixed name, which C needs, counts as unsafe; no unsafe block is here"
)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use taggant_core::{Mark, Result};
use taggant_watermark::Sampling;

use crate::fault::{Message, make, needed, plain};
use crate::key::leaves;
use crate::raw::Keys;
use crate::record::Record;

/// A mark ready to embed: a record with its keys. Holds no state of a response, so any number of threads may share one.
#[derive(Debug)]
pub struct Sampler {
    pub(crate) mark: Arc<Mark>,
    pub(crate) desks: Arc<Desks>,
}

/// Unites a record and its keys: the key of the record's only layer, or the campaign key and the account key, in any order.
///
/// Returns NULL on failure: `TAGGANT_STATUS_MISMATCH` (a key is missing, or is not one that the record names), `TAGGANT_STATUS_PARAMETER` (no key), `TAGGANT_STATUS_POINTER`.
/// The caller frees the sampler with `taggant_sampler_free`. Record and keys may be freed before it, and it before its streams.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_sampler_new(
    record: Option<&Record>,
    keys: Keys<'_>,
    key_count: usize,
    error: Message<'_>,
) -> Option<Box<Sampler>> {
    make(error, || {
        let record = needed(record, "record")?;
        let mark = Arc::new(Mark::new(&record.record, &leaves(keys, key_count)?)?);
        // Marking needs the key of every layer, and here is where its user should hear of it.
        let _ = taggant_watermark::Stream::new(Arc::clone(&mark))?;
        Ok(Sampler {
            mark,
            desks: Arc::default(),
        })
    })
}

/// Frees a sampler; its keys are wiped with the last stream of it. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_sampler_free(sampler: Option<Box<Sampler>>) {
    plain((), || drop(sampler));
}

/// Working memory that nobody is using, last used last. Each call borrows some and puts it back, so that ten thousand streams do not
/// hold some bytes for every token of a vocabulary each.
#[derive(Debug, Default)]
pub(crate) struct Desks {
    idle: Mutex<Vec<taggant_watermark::Sampler>>,
}

/// Idle desks kept: one for each thread that works at once is enough.
const KEPT: usize = 64;

impl Desks {
    /// Works at a desk with these parameters.
    pub(crate) fn with<T>(
        &self,
        sampling: Sampling,
        work: impl FnOnce(&mut taggant_watermark::Sampler) -> Result<T>,
    ) -> Result<T> {
        let idle = self.idle().pop();
        let mut sampler = match idle {
            Some(sampler) => sampler,
            None => taggant_watermark::Sampler::new(sampling)?,
        };
        let answer = sampler
            .set_sampling(sampling)
            .and_then(|()| work(&mut sampler));
        let mut idle = self.idle();
        if idle.len() < KEPT {
            idle.push(sampler);
        }
        answer
    }

    fn idle(&self) -> MutexGuard<'_, Vec<taggant_watermark::Sampler>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_share_may_be_shared() {
        fn shared<T: Send + Sync>() {}
        shared::<Sampler>();
        shared::<Record>();
        shared::<crate::key::Key>();
        shared::<crate::stream::Stream>();
    }
}

//! Working memory that threads share: each call borrows some and puts it back.

use std::sync::{Mutex, PoisonError};

use taggant_core::Result;
use taggant_watermark::{Sampler, Sampling};

/// Samplers that nobody is using, newest last.
#[derive(Debug, Default)]
pub(crate) struct Desks {
    idle: Mutex<Vec<(Sampling, Sampler)>>,
}

/// Idle samplers kept; each holds some bytes for every token of the vocabulary.
const KEPT: usize = 16;

impl Desks {
    /// Works at a desk with these parameters.
    pub(crate) fn with<T>(
        &self,
        sampling: Sampling,
        work: impl FnOnce(&mut Sampler) -> Result<T>,
    ) -> Result<T> {
        let mut sampler = match self.take(sampling) {
            Some(sampler) => sampler,
            None => Sampler::new(sampling)?,
        };
        let answer = work(&mut sampler);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= KEPT {
            idle.remove(0);
        }
        idle.push((sampling, sampler));
        answer
    }

    fn take(&self, sampling: Sampling) -> Option<Sampler> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let place = idle.iter().rposition(|(known, _)| *known == sampling)?;
        Some(idle.swap_remove(place).1)
    }
}

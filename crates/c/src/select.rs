//! From logits to the next token.
#![expect(
    unsafe_code,
    reason = "a fixed name, which C needs, counts as unsafe; no unsafe block is here"
)]

use std::convert::Infallible;
use std::mem::MaybeUninit;

use crate::fault::{Message, Status, answer, needed};
use crate::raw::{Ids, Logits, LogitsMut};
use crate::stream::Stream;

/// Temperature and truncation, applied in this order. The mark acts on what they leave. NULL stands for `{1, 0, 1, 0}`: none.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// Logits are divided by it. 0 takes the largest logit, which leaves nothing to mark.
    pub temperature: f32,
    /// Keep this many of the largest logits; 0 keeps all.
    pub top_k: u32,
    /// Keep the fewest tokens whose probability reaches this share: above 0, at most 1; 1 keeps all.
    pub top_p: f32,
    /// Drop tokens less probable than this share of the most probable one, from 0 to 1; 0 drops none.
    pub min_p: f32,
}

/// Chooses the next token of `stream` from raw logits, one for each token of the vocabulary, and appends it.
///
/// `coin` is 64 random bits, new ones for every token, for what the mark leaves to chance; take them from a good generator. A logit of -infinity masks a token.
/// Fails with `TAGGANT_STATUS_LOGITS` (not one logit for each token, NaN, +infinity, none finite), `TAGGANT_STATUS_PARAMETER` (`sampling`),
/// `TAGGANT_STATUS_POINTER`. The stream is then as it was.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_select(
    stream: Option<&mut Stream>,
    logits: Logits<'_>,
    length: usize,
    sampling: Option<&Sampling>,
    coin: u64,
    token: Option<&mut MaybeUninit<u32>>,
    error: Message<'_>,
) -> Status {
    answer(error, || {
        let Stream { stream, desks } = needed(stream, "stream")?;
        let logits = logits.read("logits", length)?;
        let token = needed(token, "token")?;
        let chosen = desks.with(parameters(sampling), |sampler| {
            sampler.select(stream, logits, &mut Coin(coin))
        })?;
        token.write(chosen);
        Ok(())
    })
}

/// Chooses the next token of `stream` among the candidates that an engine has left, and appends it: `ids[i]` has logit `logits[i]`, in any order.
///
/// For the end of an engine's own chain, with `sampling` NULL when that has applied temperature and truncation already. The time taken
/// depends on `length` alone. Fails with `TAGGANT_STATUS_TOKEN` (an id outside the vocabulary, or twice in the list), else as `taggant_select` does.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_select_listed(
    stream: Option<&mut Stream>,
    ids: Ids<'_>,
    logits: Logits<'_>,
    length: usize,
    sampling: Option<&Sampling>,
    coin: u64,
    token: Option<&mut MaybeUninit<u32>>,
    error: Message<'_>,
) -> Status {
    answer(error, || {
        let Stream { stream, desks } = needed(stream, "stream")?;
        let ids = ids.read("ids", length)?;
        let logits = logits.read("logits", length)?;
        let token = needed(token, "token")?;
        let chosen = desks.with(parameters(sampling), |sampler| {
            sampler.select_listed(stream, ids, logits, &mut Coin(coin))
        })?;
        token.write(chosen);
        Ok(())
    })
}

/// Chooses as `taggant_select_listed` does but appends nothing: for engines that may still refuse the token (a grammar, a draft model). Report
/// what was taken in the end with `taggant_stream_push`. Fails as `taggant_select_listed` does.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_choose_listed(
    stream: Option<&Stream>,
    ids: Ids<'_>,
    logits: Logits<'_>,
    length: usize,
    sampling: Option<&Sampling>,
    coin: u64,
    token: Option<&mut MaybeUninit<u32>>,
    error: Message<'_>,
) -> Status {
    answer(error, || {
        let Stream { stream, desks } = needed(stream, "stream")?;
        let ids = ids.read("ids", length)?;
        let logits = logits.read("logits", length)?;
        let token = needed(token, "token")?;
        let chosen = desks.with(parameters(sampling), |sampler| {
            sampler.choose_listed(stream, ids, logits, &mut Coin(coin))
        })?;
        token.write(chosen);
        Ok(())
    })
}

/// Changes `logits` in place, one for each token of the vocabulary, so that an engine that draws from their softmax, at temperature 1 and without further
/// truncation, draws from the marked distribution. Report what it drew with `taggant_stream_push`.
///
/// With `sampling` NULL nothing but the mark is applied. A green list then only adds delta, and the engine may go on with its own temperature and
/// truncation; the other schemes have chosen, and their result must not be reshaped. Fails as `taggant_select` does, and then leaves `logits` as they were.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_bias(
    stream: Option<&Stream>,
    logits: LogitsMut<'_>,
    length: usize,
    sampling: Option<&Sampling>,
    error: Message<'_>,
) -> Status {
    answer(error, || {
        let Stream { stream, desks } = needed(stream, "stream")?;
        let logits = logits.read("logits", length)?;
        Ok(desks.with(parameters(sampling), |sampler| sampler.bias(stream, logits))?)
    })
}

fn parameters(sampling: Option<&Sampling>) -> taggant_watermark::Sampling {
    sampling.map_or_else(taggant_watermark::Sampling::default, |sampling| {
        taggant_watermark::Sampling {
            temperature: sampling.temperature,
            top_k: usize::try_from(sampling.top_k).unwrap_or(usize::MAX),
            top_p: sampling.top_p,
            min_p: sampling.min_p,
        }
    })
}

/// 64 random bits as the random source that samplers take one number from.
struct Coin(u64);

impl rand::TryRng for Coin {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0 >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let bytes = self.0.to_le_bytes();
        for (out, byte) in out.iter_mut().zip(bytes.into_iter().cycle()) {
            *out = byte;
        }
        Ok(())
    }
}

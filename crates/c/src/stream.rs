//! One response in the making.
#![expect(
    unsafe_code,
    reason = "a fixed name, which C needs, counts as unsafe; no unsafe block is here"
)]

use std::sync::Arc;

use taggant_core::{Error, ErrorKind};

use crate::fault::{Message, Status, answer, make, needed, plain};
use crate::raw::{Ids, IdsOut};
use crate::sampler::{Desks, Sampler};

/// The tokens of one response so far, without its prompt, and the mark it carries. One thread's at a time; different streams may be
/// used by different threads at once.
#[derive(Clone, Debug)]
pub struct Stream {
    pub(crate) stream: taggant_watermark::Stream,
    pub(crate) desks: Arc<Desks>,
}

/// Begins a response. Returns NULL on failure: `TAGGANT_STATUS_POINTER`. The caller frees the stream with `taggant_stream_free`.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_stream_new(
    sampler: Option<&Sampler>,
    error: Message<'_>,
) -> Option<Box<Stream>> {
    make(error, || {
        let sampler = needed(sampler, "sampler")?;
        Ok(Stream {
            stream: taggant_watermark::Stream::new(Arc::clone(&sampler.mark))?,
            desks: Arc::clone(&sampler.desks),
        })
    })
}

/// Goes on with a response after its first `length` tokens: for saved, moved and preempted requests. The state is a function of the tokens.
///
/// Returns NULL on failure: `TAGGANT_STATUS_TOKEN` (an id outside the vocabulary), `TAGGANT_STATUS_POINTER`.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_stream_resume(
    sampler: Option<&Sampler>,
    tokens: Ids<'_>,
    length: usize,
    error: Message<'_>,
) -> Option<Box<Stream>> {
    make(error, || {
        let sampler = needed(sampler, "sampler")?;
        let tokens = tokens.read("tokens", length)?;
        // Once for all of them, so that the message has the position.
        sampler.mark.record().tokenizer().check(tokens)?;
        Ok(Stream {
            stream: taggant_watermark::Stream::resume(Arc::clone(&sampler.mark), tokens)?,
            desks: Arc::clone(&sampler.desks),
        })
    })
}

/// Begins a response without a mark, through the same code. Returns NULL only when the library itself is at fault.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_stream_plain(error: Message<'_>) -> Option<Box<Stream>> {
    make(error, || {
        Ok(Stream {
            stream: taggant_watermark::Stream::plain(),
            desks: Arc::default(),
        })
    })
}

/// A copy that goes its own way, for beams and drafts. Returns NULL on failure: `TAGGANT_STATUS_POINTER`.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_stream_clone(
    stream: Option<&Stream>,
    error: Message<'_>,
) -> Option<Box<Stream>> {
    make(error, || Ok(needed(stream, "stream")?.clone()))
}

/// Appends a token that was chosen elsewhere, or by `taggant_choose_listed`. Not the stop token, and no token of the prompt.
///
/// Fails with `TAGGANT_STATUS_TOKEN` for an id outside the vocabulary, `TAGGANT_STATUS_POINTER`.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_stream_push(
    stream: Option<&mut Stream>,
    token: u32,
    error: Message<'_>,
) -> Status {
    answer(error, || {
        Ok(needed(stream, "stream")?.stream.push(token)?)
    })
}

/// The number of tokens so far. 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_stream_length(stream: Option<&Stream>) -> usize {
    stream.map_or(0, |stream| stream.stream.tokens().len())
}

/// Copies the tokens so far into `tokens`, which has room for `capacity` ids. Fails with `TAGGANT_STATUS_LIMIT` when that is less than
/// `taggant_stream_length`, `TAGGANT_STATUS_POINTER`.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_stream_tokens(
    stream: Option<&Stream>,
    tokens: IdsOut<'_>,
    capacity: usize,
    error: Message<'_>,
) -> Status {
    answer(error, || {
        let found = needed(stream, "stream")?.stream.tokens();
        let room = tokens.read("tokens", capacity)?;
        if room.len() < found.len() {
            let message = format!("room for {capacity} tokens; the stream has {}", found.len());
            return Err(Error::new(ErrorKind::Limit, message).into());
        }
        let _: &[u32] = room[..found.len()].write_copy_of_slice(found);
        Ok(())
    })
}

/// Frees a stream, at any point of a response. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_stream_free(stream: Option<Box<Stream>>) {
    plain((), || drop(stream));
}

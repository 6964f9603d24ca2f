//! Mark records: what a detector must know, and never a key.
#![expect(
    unsafe_code,
    reason = "a fixed name, which C needs, counts as unsafe; no unsafe block is here"
)]

use std::mem::MaybeUninit;

use taggant_core::schemes::Parameters;
use taggant_core::{Error, ErrorKind, TokenizerId};

use crate::fault::{Message, Status, answer, make, needed, plain};
use crate::files;
use crate::key::leaves;
use crate::raw::{Bytes, Keys, Text, TextOut};

/// What was marked, how, and by which keys; never the keys. May be shared among threads.
#[derive(Debug)]
pub struct Record {
    pub(crate) record: taggant_core::Record,
}

/// Reads a record from a file, as `taggant generate --record` writes it.
///
/// Returns NULL on failure: `TAGGANT_STATUS_IO` (cannot be read), `TAGGANT_STATUS_RECORD` (no record), `TAGGANT_STATUS_UNSUPPORTED` (of a scheme that this
/// version does not have), `TAGGANT_STATUS_LIMIT` (over 65536 bytes), `TAGGANT_STATUS_FORMAT` (the path or the file is not UTF-8).
/// The caller frees the record with `taggant_record_free`; samplers made with it do not need it any more.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_record_load(path: Text<'_>, error: Message<'_>) -> Option<Box<Record>> {
    make(error, || {
        let path = path.read("path")?;
        let text = files::read(path, files::MAX_RECORD_FILE)?;
        let record = taggant_core::Record::from_json(&text).map_err(|error| error.context(path))?;
        Ok(Record { record })
    })
}

/// Reads a record from `length` bytes: those of a record's file. Returns NULL on failure, as `taggant_record_load` does.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_record_parse(
    json: Bytes<'_>,
    length: usize,
    error: Message<'_>,
) -> Option<Box<Record>> {
    make(error, || {
        let text = files::text(json.read("json", length)?)?;
        let record = taggant_core::Record::from_json(&text)?;
        Ok(Record { record })
    })
}

/// A new record, to be kept: without it nothing that was marked under it can be found.
///
/// `scheme` is "gumbel", "tournament" or "greenlist", each with its default parameters; `window` is 1 to 8 tokens, 2 unless you know better;
/// `keys` is one key, or a campaign key and an account key that share the windows evenly; `tokenizer` is the digest (32 bytes) of the
/// tokenizer whose ids are marked, as `taggant` computes it; `vocabulary` is its number of ids, 2 to 2097152, which is also the number of logits.
///
/// Returns NULL on failure: `TAGGANT_STATUS_UNSUPPORTED` (no such scheme), `TAGGANT_STATUS_PARAMETER` (`window`, `vocabulary`, no key), `TAGGANT_STATUS_KEY`
/// (keys that do not make one mark), `TAGGANT_STATUS_FORMAT` (`scheme` is not UTF-8), `TAGGANT_STATUS_POINTER`.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_record_new(
    scheme: Text<'_>,
    window: usize,
    keys: Keys<'_>,
    key_count: usize,
    tokenizer: Bytes<'_>,
    vocabulary: usize,
    error: Message<'_>,
) -> Option<Box<Record>> {
    make(error, || {
        let scheme = Parameters::new(scheme.read("scheme")?, &[])?;
        let mut digest = [0; 32];
        digest.copy_from_slice(tokenizer.read("tokenizer", 32)?);
        let tokenizer = TokenizerId::new(digest, vocabulary)?;
        let keys = leaves(keys, key_count)?;
        let record = taggant_core::Record::new(scheme, window, &keys, tokenizer)?;
        Ok(Record { record })
    })
}

/// Writes a record as JSON, to be saved.
///
/// `buffer` has room for `capacity` bytes. The text's length, without a terminating zero, goes to `length` in any case, so a first call with
/// `capacity` 0 asks how much room is needed. The text is followed by a zero. Fails with `TAGGANT_STATUS_LIMIT` when the room does not suffice.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_record_json(
    record: Option<&Record>,
    buffer: TextOut<'_>,
    capacity: usize,
    length: Option<&mut MaybeUninit<usize>>,
    error: Message<'_>,
) -> Status {
    answer(error, || {
        let json = needed(record, "record")?.record.to_json();
        let _ = needed(length, "length")?.write(json.len());
        let buffer = buffer.read("buffer", capacity)?;
        if buffer.len() <= json.len() {
            let message = format!(
                "room for {capacity} bytes; the record takes {} with its terminating zero",
                json.len() + 1
            );
            return Err(Error::new(ErrorKind::Limit, message).into());
        }
        for (room, byte) in buffer.iter_mut().zip(json.bytes().chain([0])) {
            room.write(byte);
        }
        Ok(())
    })
}

/// The number of token ids of the record's tokenizer, which is the number of logits that `taggant_select` needs. 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_record_vocabulary(record: Option<&Record>) -> usize {
    record.map_or(0, |record| record.record.tokenizer().vocabulary)
}

/// Frees a record. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_record_free(record: Option<Box<Record>>) {
    plain((), || drop(record));
}

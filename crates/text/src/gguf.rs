//! The header of a GGUF model file: metadata and the table of tensors.
//!
//! ```no_run
//! # fn main() -> taggant_core::Result<()> {
//! use taggant_text::Gguf;
//!
//! let gguf = Gguf::open("model.gguf")?;
//! println!("{}", gguf.str("general.architecture")?);
//! println!("{} tokens", gguf.strings("tokenizer.ggml.tokens")?.len());
//! # Ok(())
//! # }
//! ```
//!
//! The file is untrusted. Nothing is allocated on the word of a count: a length is compared with
//! its limit and with the bytes that are left, and lists grow as their elements arrive. Every
//! tensor whose element type is known must lie inside the file, so a download that stopped half
//! way is reported as truncated here and not as noise from the model.
//!
//! Versions 2 and 3, little endian. What this does not do: read the tensors themselves, check
//! that they do not overlap, or judge whether the metadata describes a model that works.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{Read, Seek},
    path::Path,
};

use taggant_core::{Error, ErrorKind, Result};

mod source;
mod tensor;
mod value;
mod write;

pub use tensor::Tensor;
pub use value::{Array, Value};

use source::Source;

/// The first four bytes of every GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";

/// Most metadata entries. Published models have under 100.
pub const MAX_ENTRIES: u64 = 1 << 16;

/// Most tensors. Published models have under 4,000.
pub const MAX_TENSORS: u64 = 1 << 16;

/// Most bytes of a key or of a tensor's name: the format's own limit for keys.
pub const MAX_NAME_BYTES: u64 = 65_535;

/// Most bytes of one string value. The longest real ones are chat templates, some 50 kB.
pub const MAX_STRING_BYTES: u64 = 4 << 20;

/// Most elements of one array. The longest real ones are merge lists, some 500,000.
pub const MAX_ARRAY_LEN: u64 = 1 << 24;

/// Deepest nesting of arrays; no published model nests them at all.
pub const MAX_ARRAY_DEPTH: usize = 4;

/// Most dimensions of a tensor: what the inference engines take.
pub const MAX_DIMENSIONS: u32 = 4;

/// Most bytes before the first tensor. A vocabulary of 262,144 tokens needs 7 MB.
pub const MAX_HEADER_BYTES: u64 = 128 << 20;

/// Largest alignment of the tensor data, in bytes; nearly every file uses 32.
pub const MAX_ALIGNMENT: u64 = 1 << 16;

const DEFAULT_ALIGNMENT: u64 = 32;

/// The header of a GGUF file.
#[derive(Clone, Debug)]
pub struct Gguf {
    version: u32,
    metadata: Vec<(String, Value)>,
    index: HashMap<String, usize>,
    tensors: Vec<Tensor>,
}

impl Gguf {
    /// Reads the header of the file at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the file cannot be opened; otherwise as [`Gguf::read`]. The message
    /// begins with the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        File::open(path)
            .map_err(|error| Error::new(ErrorKind::Io, error.to_string()).with_source(error))
            .and_then(Self::read)
            .map_err(|error| error.context(path.display()))
    }

    /// Reads the header from the start of `reader`, whatever its position was. Reads are
    /// buffered here.
    ///
    /// # Errors
    /// - [`ErrorKind::Format`]: not a GGUF file, truncated, or malformed; the message names the
    ///   byte and what was being read.
    /// - [`ErrorKind::Limit`]: a count or length above the limits of this module.
    /// - [`ErrorKind::Unsupported`]: version 1, a later version than 3, or big endian.
    /// - [`ErrorKind::Io`]: reading failed.
    pub fn read<R: Read + Seek>(reader: R) -> Result<Self> {
        let mut source = Source::new(reader)?;
        let version = preamble(&mut source).map_err(|error| error.context("gguf header"))?;
        let tensor_count = count(&mut source, "tensors", MAX_TENSORS)?;
        let entry_count = count(&mut source, "metadata entries", MAX_ENTRIES)?;

        let mut metadata = Vec::new();
        let mut index = HashMap::new();
        for number in 0..entry_count {
            let key = source
                .string(MAX_NAME_BYTES)
                .map_err(|error| error.context(format!("key of metadata entry {number}")))?;
            let value = Value::read(&mut source)
                .map_err(|error| error.context(format!("value of `{}`", key.escape_debug())))?;
            if index.insert(key.clone(), metadata.len()).is_some() {
                return Err(Error::new(
                    ErrorKind::Format,
                    format!("metadata key `{}` appears twice", key.escape_debug()),
                ));
            }
            metadata.push((key, value));
        }

        let mut tensors = Vec::new();
        for number in 0..tensor_count {
            tensors.push(
                Tensor::read(&mut source)
                    .map_err(|error| error.context(format!("entry of tensor {number}")))?,
            );
        }

        let mut gguf = Self {
            version,
            metadata,
            index,
            tensors,
        };
        gguf.place_tensors(&source)?;
        Ok(gguf)
    }

    /// Turns the tensors' offsets, which count from the end of the header, into offsets in the
    /// file, and checks that each one lies inside it.
    fn place_tensors<R>(&mut self, source: &Source<R>) -> Result<()> {
        let alignment = match self.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(_) => self.u64("general.alignment")?,
        };
        if !alignment.is_power_of_two() || alignment > MAX_ALIGNMENT {
            return Err(Error::new(
                ErrorKind::Format,
                format!(
                    "`general.alignment` is {alignment}; a power of two up to {MAX_ALIGNMENT} is needed"
                ),
            ));
        }
        let start = source.position().next_multiple_of(alignment);
        let mut names = HashSet::new();
        for tensor in &mut self.tensors {
            if !names.insert(tensor.name.as_str()) {
                return Err(Error::new(
                    ErrorKind::Format,
                    format!("two tensors are named `{}`", tensor.name.escape_debug()),
                ));
            }
            tensor.offset = place(tensor, start, alignment, source.size()).map_err(|error| {
                error.context(format!("tensor `{}`", tensor.name.escape_debug()))
            })?;
        }
        Ok(())
    }

    /// The format version: 2 or 3.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// All metadata, in file order.
    #[must_use]
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.metadata
            .iter()
            .map(|(key, value)| (key.as_str(), value))
    }

    /// All tensors, in file order.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The value under `key`, if there is one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.index.get(key).map(|&at| &self.metadata[at].1)
    }

    /// The string under `key`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] if there is none or it has another type.
    pub fn str(&self, key: &str) -> Result<&str> {
        self.typed(key, "a string", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The integer under `key`, of whatever width, signed or not.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] if there is none, it has another type or it is negative.
    pub fn u64(&self, key: &str) -> Result<u64> {
        self.typed(key, "an integer from 0", |value| match *value {
            Value::U8(n) => Some(n.into()),
            Value::U16(n) => Some(n.into()),
            Value::U32(n) => Some(n.into()),
            Value::U64(n) => Some(n),
            Value::I8(n) => n.try_into().ok(),
            Value::I16(n) => n.try_into().ok(),
            Value::I32(n) => n.try_into().ok(),
            Value::I64(n) => n.try_into().ok(),
            _ => None,
        })
    }

    /// The 32-bit float under `key`; it may be infinite or NaN.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] if there is none or it has another type.
    pub fn f32(&self, key: &str) -> Result<f32> {
        self.typed(key, "a 32-bit float", |value| match *value {
            Value::F32(x) => Some(x),
            _ => None,
        })
    }

    /// The truth value under `key`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] if there is none or it has another type.
    pub fn bool(&self, key: &str) -> Result<bool> {
        self.typed(key, "a bool", |value| match *value {
            Value::Bool(yes) => Some(yes),
            _ => None,
        })
    }

    /// The array of strings under `key`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] if there is none or it has another type.
    pub fn strings(&self, key: &str) -> Result<&[String]> {
        self.typed(key, "an array of strings", |value| match value {
            Value::Array(Array::String(list)) => Some(list.as_slice()),
            _ => None,
        })
    }

    /// The array of 32-bit floats under `key`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] if there is none or it has another type.
    pub fn f32s(&self, key: &str) -> Result<&[f32]> {
        self.typed(key, "an array of 32-bit floats", |value| match value {
            Value::Array(Array::F32(list)) => Some(list.as_slice()),
            _ => None,
        })
    }

    /// The array of 32-bit signed integers under `key`.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] if there is none or it has another type.
    pub fn i32s(&self, key: &str) -> Result<&[i32]> {
        self.typed(key, "an array of 32-bit integers", |value| match value {
            Value::Array(Array::I32(list)) => Some(list.as_slice()),
            _ => None,
        })
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        pick: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T> {
        let value = self.get(key).ok_or_else(|| {
            Error::new(
                ErrorKind::Format,
                format!("the gguf file has no `{key}`; {wanted} is needed"),
            )
        })?;
        pick(value).ok_or_else(|| {
            Error::new(
                ErrorKind::Format,
                format!("`{key}` is {}; {wanted} is needed", value.description()),
            )
        })
    }
}

/// Magic and version.
fn preamble<R: Read>(source: &mut Source<R>) -> Result<u32> {
    let magic: [u8; 4] = source.array()?;
    if magic != MAGIC {
        return Err(Error::new(
            ErrorKind::Format,
            format!(
                "the file begins with `{}`; `GGUF` is needed",
                magic.escape_ascii()
            ),
        ));
    }
    match u32::from_le_bytes(source.array()?) {
        version @ 2..=3 => Ok(version),
        // A big-endian file stores its small version number in the high byte.
        swapped if swapped.swap_bytes() <= 3 && swapped != 0 => Err(Error::new(
            ErrorKind::Unsupported,
            "the file is big endian; only little endian is supported",
        )),
        other => Err(Error::new(
            ErrorKind::Unsupported,
            format!("version {other}; versions 2 and 3 are supported"),
        )),
    }
}

fn count<R: Read>(source: &mut Source<R>, what: &str, limit: u64) -> Result<u64> {
    let count = u64::from_le_bytes(
        source
            .array()
            .map_err(|error| error.context(format!("number of {what}")))?,
    );
    if count > limit {
        return Err(Error::new(
            ErrorKind::Limit,
            format!("the gguf file announces {count} {what}; at most {limit} are read"),
        ));
    }
    Ok(count)
}

fn place(tensor: &Tensor, start: u64, alignment: u64, size: u64) -> Result<u64> {
    if !tensor.offset.is_multiple_of(alignment) {
        return Err(Error::new(
            ErrorKind::Format,
            format!(
                "its offset {} is not a multiple of {alignment}",
                tensor.offset
            ),
        ));
    }
    let offset = start.checked_add(tensor.offset);
    let end = offset.and_then(|offset| offset.checked_add(tensor.bytes.unwrap_or(0)));
    match (offset, end) {
        (Some(offset), Some(end)) if end <= size => Ok(offset),
        (_, end) => {
            let end = end.map_or_else(|| "2^64 or more".to_owned(), |end| end.to_string());
            Err(Error::new(
                ErrorKind::Format,
                format!("its data ends at byte {end}, but the file ends at byte {size}: truncated"),
            ))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

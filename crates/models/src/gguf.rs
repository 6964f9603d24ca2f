//! The header of a GGUF file: metadata and the directory of tensors.
//!
//! The file is untrusted. Counts and lengths are compared with the bytes that are left before
//! anything is allocated or skipped, tensors must lie inside the file without overlapping more
//! than its size, and arrays are stepped over, never stored.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, Read, Seek, SeekFrom},
};

use taggant_core::{Error, ErrorKind, Result};

use crate::blocks::Format;

/// Most metadata entries and most tensors; the largest published models have under 2,000.
const MOST_ENTRIES: u64 = 1 << 16;

/// Most bytes of a key, a tensor name or a text that is kept; longer texts are stepped over.
const MOST_TEXT: u64 = 1 << 16;

/// An open GGUF file.
pub(crate) struct Gguf<R> {
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Tensor>,
    reader: BufReader<R>,
}

/// A metadata value; arrays and very long texts are known only by their presence.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Integer(u64),
    Float(f64),
    Text(String),
    Other,
}

/// Where a tensor lies and what it holds.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    /// The innermost dimension first: the inputs of a matrix.
    pub(crate) shape: Vec<usize>,
    pub(crate) format: Format,
    /// Bytes from the start of the file.
    offset: u64,
    pub(crate) bytes: u64,
}

impl<R: Read + Seek> Gguf<R> {
    /// Reads the header.
    pub(crate) fn open(mut reader: R) -> Result<Self> {
        let size = reader.seek(SeekFrom::End(0)).map_err(reading)?;
        reader.rewind().map_err(reading)?;
        let mut header = Header {
            reader: BufReader::new(reader),
            at: 0,
            size,
        };
        if header.array()? != *b"GGUF" {
            return Err(format_error("the file does not begin with `GGUF`"));
        }
        let version = header.u32()?;
        if !(2..=3).contains(&version) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("GGUF version {version}; versions 2 and 3 are supported"),
            ));
        }
        let tensors = header.count("tensors")?;
        let entries = header.count("metadata entries")?;

        let mut metadata = BTreeMap::new();
        for _ in 0..entries {
            let key = header.name()?;
            let kind = header.u32()?;
            let value = header
                .value(kind)
                .map_err(|e| e.context(format!("`{key}`")))?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(format_error(format!("metadata key `{key}` occurs twice")));
            }
        }
        let mut directory = BTreeMap::new();
        for _ in 0..tensors {
            let tensor = header.tensor()?;
            if let Some(twice) = directory.insert(tensor.name.clone(), tensor) {
                let name = twice.name;
                return Err(format_error(format!("tensor `{name}` occurs twice")));
            }
        }
        let mut gguf = Self {
            metadata,
            tensors: directory,
            reader: header.reader,
        };
        gguf.place_tensors(header.at, size)?;
        Ok(gguf)
    }

    /// Turns the directory's relative offsets into positions in the file, and checks them.
    fn place_tensors(&mut self, header_end: u64, size: u64) -> Result<()> {
        let alignment = self.integer("general.alignment")?.unwrap_or(32);
        if !alignment.is_power_of_two() || alignment > 1 << 20 {
            return Err(format_error(format!(
                "alignment {alignment} is not a power of two up to 2^20"
            )));
        }
        let data = header_end.next_multiple_of(alignment);
        let mut total = 0_u64;
        for tensor in self.tensors.values_mut() {
            let end = data
                .checked_add(tensor.offset)
                .and_then(|start| start.checked_add(tensor.bytes));
            if end.is_none_or(|end| end > size) {
                return Err(format_error(format!(
                    "tensor `{}` of {} bytes at offset {} ends outside the file of {size} bytes",
                    tensor.name, tensor.bytes, tensor.offset
                )));
            }
            tensor.offset += data;
            total = total.saturating_add(tensor.bytes);
        }
        // Tensors that share bytes would let a small file fill a large memory.
        if total > size {
            return Err(format_error(format!(
                "the tensors claim {total} bytes, the file has {size}"
            )));
        }
        Ok(())
    }

    /// A whole number, if the key is there.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<u64>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Integer(value)) => Ok(Some(*value)),
            Some(_) => Err(format_error(format!("`{key}` is not a whole number"))),
        }
    }

    /// A number, if the key is there.
    pub(crate) fn float(&self, key: &str) -> Result<Option<f64>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Float(value)) => Ok(Some(*value)),
            Some(_) => Err(format_error(format!("`{key}` is not a real number"))),
        }
    }

    /// A text, if the key is there.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Text(value)) => Ok(Some(value)),
            Some(_) => Err(format_error(format!("`{key}` is not a text"))),
        }
    }

    /// Takes a tensor out of the directory, if it is there.
    pub(crate) fn take(&mut self, name: &str) -> Option<Tensor> {
        self.tensors.remove(name)
    }

    /// Whether the directory has this tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The second dimension of a tensor: the outputs of a matrix.
    pub(crate) fn outputs(&self, name: &str) -> Option<usize> {
        self.tensors.get(name)?.shape.get(1).copied()
    }

    /// The name of a tensor that nobody has taken.
    pub(crate) fn untaken(&self) -> Option<&str> {
        self.tensors.keys().next().map(String::as_str)
    }

    /// Bytes of all tensors.
    pub(crate) fn tensor_bytes(&self) -> u64 {
        self.tensors.values().map(|tensor| tensor.bytes).sum()
    }

    /// A reader placed at the first byte of `tensor`.
    pub(crate) fn data(&mut self, tensor: &Tensor) -> Result<&mut BufReader<R>> {
        self.reader
            .seek(SeekFrom::Start(tensor.offset))
            .map_err(reading)?;
        Ok(&mut self.reader)
    }
}

/// The header while it is read: the position is counted, so that every length can be compared
/// with what is left.
struct Header<R> {
    reader: BufReader<R>,
    at: u64,
    size: u64,
}

impl<R: Read + Seek> Header<R> {
    /// Reports `bytes` more as consumed, if the file has them.
    fn claim(&mut self, bytes: u64) -> Result<()> {
        let left = self.size.saturating_sub(self.at);
        if bytes > left {
            return Err(format_error(format!(
                "the header needs {bytes} bytes at byte {}, the file has {left} left",
                self.at
            )));
        }
        self.at += bytes;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(reading)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn count(&mut self, of: &str) -> Result<u64> {
        let count = self.u64()?;
        if count > MOST_ENTRIES {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("{count} {of}; at most {MOST_ENTRIES} are read"),
            ));
        }
        Ok(count)
    }

    fn skip(&mut self, bytes: u64) -> Result<()> {
        self.claim(bytes)?;
        let by =
            i64::try_from(bytes).map_err(|e| format_error("a length over 2^63").with_source(e))?;
        self.reader.seek_relative(by).map_err(reading)
    }

    /// A text, or nothing if it is longer than what is kept.
    fn text(&mut self) -> Result<Option<String>> {
        let length = self.u64()?;
        if length > MOST_TEXT {
            self.skip(length)?;
            return Ok(None);
        }
        self.claim(length)?;
        let mut bytes = Vec::new();
        (&mut self.reader)
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(reading)?;
        String::from_utf8(bytes).map(Some).map_err(|e| {
            format_error(format!("text at byte {} is not UTF-8", self.at)).with_source(e)
        })
    }

    fn name(&mut self) -> Result<String> {
        self.text()?.ok_or_else(|| {
            Error::new(
                ErrorKind::Limit,
                format!("a name is longer than {MOST_TEXT} bytes"),
            )
        })
    }

    fn value(&mut self, kind: u32) -> Result<Value> {
        Ok(match kind {
            0 => Value::Integer(u64::from(self.array::<1>()?[0])),
            1 => whole(i8::from_le_bytes(self.array()?)),
            2 => Value::Integer(u64::from(u16::from_le_bytes(self.array()?))),
            3 => whole(i16::from_le_bytes(self.array()?)),
            4 => Value::Integer(u64::from(self.u32()?)),
            5 => whole(i32::from_le_bytes(self.array()?)),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.array()?))),
            7 => {
                self.skip(1)?;
                Value::Other
            }
            8 => self.text()?.map_or(Value::Other, Value::Text),
            9 => {
                self.skip_array()?;
                Value::Other
            }
            10 => Value::Integer(self.u64()?),
            11 => whole(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            kind => return Err(unknown_kind(kind)),
        })
    }

    fn skip_array(&mut self) -> Result<()> {
        let kind = self.u32()?;
        let length = self.u64()?;
        let item: u64 = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => {
                // Every text takes at least the eight bytes of its length, so this loop ends
                // with the file at the latest.
                for _ in 0..length {
                    let bytes = self.u64()?;
                    self.skip(bytes)?;
                }
                return Ok(());
            }
            kind => return Err(unknown_kind(kind)),
        };
        self.skip(length.saturating_mul(item))
    }

    /// One entry of the directory; its offset still counts from the start of the data.
    fn tensor(&mut self) -> Result<Tensor> {
        let name = self.name()?;
        let dimensions = self.u32()?;
        if !(1..=4).contains(&dimensions) {
            return Err(format_error(format!(
                "tensor `{name}` has {dimensions} dimensions; 1 to 4 are allowed"
            )));
        }
        let mut shape = Vec::new();
        let mut elements = 1_u64;
        for _ in 0..dimensions {
            let length = self.u64()?;
            elements = elements.checked_mul(length).unwrap_or(0);
            // A zero and an overflow end here alike.
            let length = usize::try_from(length).ok().filter(|_| elements > 0);
            shape.push(
                length.ok_or_else(|| {
                    format_error(format!("tensor `{name}` has an impossible shape"))
                })?,
            );
        }
        let kind = self.u32()?;
        let offset = self.u64()?;
        let format = Format::from_id(kind).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "tensor `{name}` has type {kind}; supported are {}",
                    Format::NAMES
                ),
            )
        })?;
        let block = format.block() as u64;
        if !shape
            .first()
            .is_some_and(|inner| (*inner as u64).is_multiple_of(block))
        {
            return Err(format_error(format!(
                "tensor `{name}`: rows are not whole blocks of {block}"
            )));
        }
        let bytes = (elements / block).saturating_mul(format.block_bytes() as u64);
        Ok(Tensor {
            name,
            shape,
            format,
            offset,
            bytes,
        })
    }
}

/// A signed number; negative ones have no use in what is read here.
fn whole(value: impl TryInto<u64>) -> Value {
    value.try_into().map_or(Value::Other, Value::Integer)
}

fn unknown_kind(kind: u32) -> Error {
    format_error(format!("metadata type {kind} is not known"))
}

pub(crate) fn format_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Format, message)
}

/// An I/O error; one that says the file has ended is the file's fault.
pub(crate) fn reading(error: io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::UnexpectedEof => ErrorKind::Format,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("cannot read the model: {error}")).with_source(error)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::{File, llama, llama_metadata};

    fn open(bytes: &[u8]) -> Result<Gguf<Cursor<&[u8]>>> {
        Gguf::open(Cursor::new(bytes))
    }

    fn refusal(file: &File) -> Error {
        open(&file.bytes()).map(|_| ()).unwrap_err()
    }

    #[test]
    fn metadata_of_every_type_is_read_or_stepped_over() {
        let mut file = File::default();
        let kinds: [(u32, &[u8]); 9] = [
            (0, &[200]),
            (1, &[7]),
            (2, &[1, 2]),
            (3, &[1, 2]),
            (5, &[1, 0, 0, 0]),
            (7, &[1]),
            (10, &[9, 0, 0, 0, 0, 0, 0, 0]),
            (11, &[255; 8]),
            (12, &[0, 0, 0, 0, 0, 0, 0xF0, 0x3F]),
        ];
        for (kind, value) in kinds {
            file.entry(&format!("key {kind}"), kind, value);
        }
        file.text("long", &"x".repeat(70_000))
            .texts("words", &["a", "b"])
            .integer("last", 5);
        let bytes = file.bytes();
        let gguf = open(&bytes).unwrap();
        assert_eq!(gguf.integer("key 0").unwrap(), Some(200));
        assert_eq!(gguf.integer("key 2").unwrap(), Some(513));
        assert_eq!(gguf.integer("key 10").unwrap(), Some(9));
        assert_eq!(
            gguf.integer("key 11").unwrap_err().kind(),
            ErrorKind::Format
        );
        assert_eq!(gguf.float("key 12").unwrap(), Some(1.0));
        assert_eq!(gguf.text("long").unwrap_err().kind(), ErrorKind::Format);
        assert_eq!(gguf.text("words").unwrap_err().kind(), ErrorKind::Format);
        assert_eq!(gguf.integer("last").unwrap(), Some(5));
        assert_eq!(gguf.integer("absent").unwrap(), None);
    }

    #[test]
    fn hostile_headers_are_refused() {
        let huge = u64::MAX.to_le_bytes();
        let array = |kind: u32| [&kind.to_le_bytes()[..], &huge].concat();
        let with = |kind: u32, value: &[u8]| {
            let mut file = File::default();
            file.entry("key", kind, value);
            file
        };
        let tensor = |shape: &[u64], kind: u32| {
            let mut file = File::default();
            file.tensor("w", shape, kind, &[0; 64]);
            file
        };
        let mut twice = File::default();
        twice.integer("key", 1).integer("key", 2);
        let mut same = tensor(&[8], 0);
        same.tensor("w", &[8], 0, &[0; 32]);
        let mut crooked = tensor(&[8], 0);
        crooked.integer("general.alignment", 24);
        for (file, kind, message) in [
            (with(8, &huge), ErrorKind::Format, "left"),
            (with(9, &array(8)), ErrorKind::Format, "left"),
            (with(9, &array(5)), ErrorKind::Format, "left"),
            (with(9, &array(9)), ErrorKind::Format, "type 9"),
            (with(13, &[0; 8]), ErrorKind::Format, "type 13"),
            (
                with(8, &[1, 0, 0, 0, 0, 0, 0, 0, 0xFF]),
                ErrorKind::Format,
                "UTF-8",
            ),
            (twice, ErrorKind::Format, "twice"),
            (same, ErrorKind::Format, "twice"),
            (crooked, ErrorKind::Format, "alignment 24"),
            (tensor(&[], 0), ErrorKind::Format, "0 dimensions"),
            (tensor(&[1; 5], 0), ErrorKind::Format, "5 dimensions"),
            (tensor(&[0, 4], 0), ErrorKind::Format, "impossible shape"),
            (
                tensor(&[1 << 40, 1 << 40], 0),
                ErrorKind::Format,
                "impossible shape",
            ),
            (
                tensor(&[1 << 40, 32], 0),
                ErrorKind::Format,
                "outside the file",
            ),
            (tensor(&[33], 8), ErrorKind::Format, "whole blocks"),
            (tensor(&[32], 10), ErrorKind::Unsupported, "type 10"),
        ] {
            let error = refusal(&file);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn tensors_that_share_bytes_are_refused() {
        let mut file = File::default();
        file.tensor("a", &[128], 0, &[0; 512]);
        file.tensor_at("b", &[128], 0, 0);
        let error = refusal(&file);
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(
            error.to_string().contains("the tensors claim 1024 bytes"),
            "{error}"
        );
    }

    #[test]
    fn magic_and_version_are_checked() {
        let bytes = llama_metadata().bytes();
        for (at, byte, kind) in [(0, b'g', ErrorKind::Format), (4, 1, ErrorKind::Unsupported)] {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            assert_eq!(open(&bytes).map(|_| ()).unwrap_err().kind(), kind);
        }
        assert_eq!(open(b"").map(|_| ()).unwrap_err().kind(), ErrorKind::Format);
    }

    #[test]
    fn a_file_cut_anywhere_is_a_format_error() {
        let bytes = llama(8).bytes();
        for end in (0..4000).chain((4000..bytes.len()).step_by(997)) {
            let error = open(&bytes[..end]).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format, "cut at {end}: {error}");
        }
    }

    proptest! {
        /// Random damage to the header never panics; opening may even succeed.
        #[test]
        fn damage_never_panics(damage in prop::collection::vec((0..3000_usize, any::<u8>()), 1..8)) {
            let mut bytes = llama(8).bytes();
            for (at, byte) in damage {
                bytes[at] = byte;
            }
            let _ = crate::Llama::from_reader(Cursor::new(bytes), |_, _| ());
        }
    }
}

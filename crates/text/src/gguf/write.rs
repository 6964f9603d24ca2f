//! A header in bytes.

use std::collections::HashMap;
use std::io::{Result, Write};

use super::{Array, Gguf, MAGIC, Value};

/// Where tensors begin, in bytes; what readers assume of a file that does not say.
const ALIGNMENT: u64 = 32;

/// ggml's number for 32-bit floats.
const F32: u32 = 0;

impl Gguf {
    /// The same header with `value` under `key`.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        if let Some(&place) = self.index.get(key) {
            self.metadata[place].1 = value;
        } else {
            self.index.insert(key.to_owned(), self.metadata.len());
            self.metadata.push((key.to_owned(), value));
        }
        self
    }

    /// The same header with the entries whose key is kept, and without tensors.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        let none = Self {
            version: self.version,
            metadata: Vec::new(),
            index: HashMap::new(),
            tensors: Vec::new(),
        };
        let kept = self.metadata.iter().filter(|(key, _)| keep(key));
        kept.fold(none, |header, (key, value)| header.with(key, value.clone()))
    }

    /// Writes this header's metadata and a table of other tensors, up to the first byte of the first tensor: names and dimensions, the
    /// contiguous one first. All are of 32-bit floats, and follow one another, each padded to a multiple of 32 bytes.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_with<'a>(
        &self,
        out: &mut impl Write,
        tensors: impl IntoIterator<Item = (&'a str, Vec<u64>)>,
    ) -> Result<()> {
        let mut header = MAGIC.to_vec();
        header.extend(3_u32.to_le_bytes());
        let tensors: Vec<_> = tensors.into_iter().collect();
        header.extend((tensors.len() as u64).to_le_bytes());
        let entries = self
            .metadata
            .iter()
            .filter(|(key, _)| key != "general.alignment");
        header.extend((entries.clone().count() as u64).to_le_bytes());
        for (key, value) in entries {
            string(&mut header, key);
            header.extend(value.kind().to_le_bytes());
            value.put(&mut header);
        }
        let mut offset = 0_u64;
        for (name, dimensions) in &tensors {
            string(&mut header, name);
            // Ranks are at most 4.
            header.extend(
                u32::try_from(dimensions.len())
                    .unwrap_or(u32::MAX)
                    .to_le_bytes(),
            );
            dimensions
                .iter()
                .for_each(|size| header.extend(size.to_le_bytes()));
            header.extend(F32.to_le_bytes());
            header.extend(offset.to_le_bytes());
            offset += (4 * dimensions.iter().product::<u64>()).next_multiple_of(ALIGNMENT);
        }
        while !(header.len() as u64).is_multiple_of(ALIGNMENT) {
            header.push(0);
        }
        out.write_all(&header)
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

impl Value {
    fn kind(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::String(_) => 8,
            Self::Array(_) => 9,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(n) => out.push(*n),
            Self::I8(n) => out.extend(n.to_le_bytes()),
            Self::U16(n) => out.extend(n.to_le_bytes()),
            Self::I16(n) => out.extend(n.to_le_bytes()),
            Self::U32(n) => out.extend(n.to_le_bytes()),
            Self::I32(n) => out.extend(n.to_le_bytes()),
            Self::U64(n) => out.extend(n.to_le_bytes()),
            Self::I64(n) => out.extend(n.to_le_bytes()),
            Self::F32(x) => out.extend(x.to_le_bytes()),
            Self::F64(x) => out.extend(x.to_le_bytes()),
            Self::Bool(yes) => out.push(u8::from(*yes)),
            Self::String(text) => string(out, text),
            Self::Array(array) => array.put(out),
        }
    }
}

impl Array {
    fn put(&self, out: &mut Vec<u8>) {
        fn list<T>(
            out: &mut Vec<u8>,
            kind: u32,
            list: &[T],
            mut put: impl FnMut(&mut Vec<u8>, &T),
        ) {
            out.extend(kind.to_le_bytes());
            out.extend((list.len() as u64).to_le_bytes());
            list.iter().for_each(|item| put(out, item));
        }
        match self {
            Self::U8(all) => list(out, 0, all, |out, n| out.push(*n)),
            Self::I8(all) => list(out, 1, all, |out, n| out.extend(n.to_le_bytes())),
            Self::U16(all) => list(out, 2, all, |out, n| out.extend(n.to_le_bytes())),
            Self::I16(all) => list(out, 3, all, |out, n| out.extend(n.to_le_bytes())),
            Self::U32(all) => list(out, 4, all, |out, n| out.extend(n.to_le_bytes())),
            Self::I32(all) => list(out, 5, all, |out, n| out.extend(n.to_le_bytes())),
            Self::F32(all) => list(out, 6, all, |out, x| out.extend(x.to_le_bytes())),
            Self::Bool(all) => list(out, 7, all, |out, yes| out.push(u8::from(*yes))),
            Self::String(all) => list(out, 8, all, |out, text| string(out, text)),
            Self::Array(all) => list(out, 9, all, |out, array| array.put(out)),
            Self::U64(all) => list(out, 10, all, |out, n| out.extend(n.to_le_bytes())),
            Self::I64(all) => list(out, 11, all, |out, n| out.extend(n.to_le_bytes())),
            Self::F64(all) => list(out, 12, all, |out, x| out.extend(x.to_le_bytes())),
        }
    }
}

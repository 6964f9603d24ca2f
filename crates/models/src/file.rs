//! An open model file: its header, and its tensors one by one.
//!
//! The file is untrusted. `taggant-text` reads and bounds the header; what is added here is that
//! the tensors together are no larger than the file, so that no small file fills a large memory.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, Read, Seek, SeekFrom},
};

use taggant_core::{Error, ErrorKind, Result};
use taggant_text::{Gguf, gguf};

use crate::blocks::Format;

/// An open GGUF file whose tensors can be taken out by name.
pub(crate) struct ModelFile<R> {
    header: Gguf,
    tensors: BTreeMap<String, gguf::Tensor>,
    reader: BufReader<R>,
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

impl<R: Read + Seek> ModelFile<R> {
    /// Reads the header.
    pub(crate) fn open(mut reader: R) -> Result<Self> {
        let header = Gguf::read(&mut reader)?;
        let size = reader.seek(SeekFrom::End(0)).map_err(reading)?;
        let tensors: BTreeMap<_, _> = (header.tensors().iter())
            .map(|tensor| (tensor.name.clone(), tensor.clone()))
            .collect();
        let file = Self {
            header,
            tensors,
            reader: BufReader::new(reader),
        };
        if file.tensor_bytes() > size {
            return Err(format_error(format!(
                "the tensors claim {} bytes, the file has {size}",
                file.tensor_bytes()
            )));
        }
        Ok(file)
    }

    /// A whole number, if the key is there.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<u64>> {
        self.header
            .get(key)
            .map(|_| self.header.u64(key))
            .transpose()
    }

    /// A number, if the key is there.
    pub(crate) fn float(&self, key: &str) -> Result<Option<f32>> {
        self.header
            .get(key)
            .map(|_| self.header.f32(key))
            .transpose()
    }

    /// A text, if the key is there.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>> {
        self.header
            .get(key)
            .map(|_| self.header.str(key))
            .transpose()
    }

    /// Whether a tensor is there and not taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Takes a tensor out of the directory.
    pub(crate) fn take(&mut self, name: &str) -> Result<Tensor> {
        let tensor = self.tensors.remove(name);
        let tensor = tensor.ok_or_else(|| format_error(format!("tensor `{name}` is missing")))?;
        let format = Format::from_id(tensor.element_type).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "tensor `{name}` has type {}; supported are {}",
                    tensor.element_type,
                    Format::NAMES
                ),
            )
        })?;
        let shape = tensor.dimensions.iter().map(|&n| usize::try_from(n));
        Ok(Tensor {
            shape: shape.collect::<std::result::Result<_, _>>().map_err(|e| {
                format_error(format!("tensor `{name}` is too large")).with_source(e)
            })?,
            format,
            offset: tensor.offset,
            // Known for every format that is supported.
            bytes: tensor.bytes.unwrap_or(0),
            name: tensor.name,
        })
    }

    /// The name of a tensor that nobody has taken.
    pub(crate) fn untaken(&self) -> Option<&str> {
        self.tensors.keys().next().map(String::as_str)
    }

    /// Bytes of all tensors that nobody has taken.
    pub(crate) fn tensor_bytes(&self) -> u64 {
        let bytes = self.tensors.values().filter_map(|tensor| tensor.bytes);
        bytes.fold(0, u64::saturating_add)
    }

    /// A reader placed at the first byte of `tensor`.
    pub(crate) fn data(&mut self, tensor: &Tensor) -> Result<&mut BufReader<R>> {
        self.reader
            .seek(SeekFrom::Start(tensor.offset))
            .map_err(reading)?;
        Ok(&mut self.reader)
    }
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
    use crate::{
        Llama,
        testing::{File, llama},
    };

    fn load(bytes: &[u8]) -> Result<Llama> {
        Llama::from_reader(Cursor::new(bytes), |_, _| ())
    }

    #[test]
    fn tensors_that_share_bytes_are_refused() {
        let mut file = File::default();
        file.tensor("a", &[128], 0, &[0; 512]);
        file.tensor_at("b", &[128], 0, 0);
        let error = load(&file.bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert_eq!(
            error.to_string(),
            "the tensors claim 1024 bytes, the file has 608"
        );
    }

    #[test]
    fn a_tensor_of_an_unsupported_type_is_named() {
        let mut file = File::default();
        file.tensor("w", &[256], 10, &[0; 84]);
        let mut file = ModelFile::open(Cursor::new(file.bytes())).unwrap();
        let error = file.take("w").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error
                .to_string()
                .starts_with("tensor `w` has type 10; supported are F32")
        );
        assert_eq!(file.take("w").unwrap_err().kind(), ErrorKind::Format);
    }

    #[test]
    fn a_file_cut_anywhere_is_a_format_error() {
        let bytes = llama(8).bytes();
        for end in (0..4000).chain((4000..bytes.len()).step_by(997)) {
            let error = load(&bytes[..end]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format, "cut at {end}: {error}");
        }
    }

    proptest! {
        /// Random damage to the header never panics; loading may even succeed.
        #[test]
        fn damage_never_panics(damage in prop::collection::vec((0..3000_usize, any::<u8>()), 1..8)) {
            let mut bytes = llama(8).bytes();
            for (at, byte) in damage {
                bytes[at] = byte;
            }
            let _ = load(&bytes);
        }
    }
}

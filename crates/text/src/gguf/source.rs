//! A reader that knows where it is and how much is left.

use std::io::{BufReader, Read, Seek, SeekFrom};

use taggant_core::{Error, ErrorKind, Result};

use super::MAX_HEADER_BYTES;

pub(super) struct Source<R> {
    reader: BufReader<R>,
    position: u64,
    size: u64,
}

impl<R: Read + Seek> Source<R> {
    pub(super) fn new(mut reader: R) -> Result<Self> {
        let size = reader.seek(SeekFrom::End(0)).map_err(io)?;
        reader.rewind().map_err(io)?;
        Ok(Self {
            reader: BufReader::with_capacity(1 << 16, reader),
            position: 0,
            size,
        })
    }
}

impl<R> Source<R> {
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Moves past `count` bytes, which must be there and inside the header limit.
    fn advance(&mut self, count: u64) -> Result<()> {
        // The size is fixed and the position never passes it, so nothing here can wrap.
        if count > self.size - self.position {
            return Err(Error::new(
                ErrorKind::Format,
                format!(
                    "{count} bytes are needed at byte {}, but the file ends at byte {}: truncated",
                    self.position, self.size
                ),
            ));
        }
        if self.position + count > MAX_HEADER_BYTES {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "{count} bytes at byte {} pass the limit of {MAX_HEADER_BYTES} bytes for a header",
                    self.position
                ),
            ));
        }
        self.position += count;
        Ok(())
    }
}

impl<R: Read> Source<R> {
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.advance(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(io)?;
        Ok(bytes)
    }

    /// A string: its length in bytes as u64, then UTF-8.
    pub(super) fn string(&mut self, limit: u64) -> Result<String> {
        let start = self.position;
        let length = u64::from_le_bytes(self.array()?);
        if length > limit {
            return Err(Error::new(
                ErrorKind::Limit,
                format!(
                    "the string at byte {start} announces {length} bytes; at most {limit} are read"
                ),
            ));
        }
        self.advance(length)?;
        let mut bytes = Vec::new();
        (&mut self.reader)
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        if bytes.len() as u64 != length {
            return Err(Error::new(
                ErrorKind::Io,
                format!("the file became shorter while byte {start} was being read"),
            ));
        }
        String::from_utf8(bytes).map_err(|error| {
            Error::new(
                ErrorKind::Format,
                format!("the string at byte {start} is not utf-8"),
            )
            .with_source(error)
        })
    }
}

fn io(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("reading failed: {error}")).with_source(error)
}

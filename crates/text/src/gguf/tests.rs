use std::io::{self, Cursor, Read, Seek, SeekFrom};

use proptest::prelude::*;

use super::*;

/// Writes GGUF files, right or wrong.
#[derive(Clone, Default)]
pub(crate) struct Builder {
    entries: u64,
    metadata: Vec<u8>,
    tensors: u64,
    directory: Vec<u8>,
    data: Vec<u8>,
}

impl Builder {
    fn raw(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.entries += 1;
        self.metadata.extend(text(key));
        self.metadata.extend(kind.to_le_bytes());
        self.metadata.extend(value);
        self
    }

    fn array(self, key: &str, kind: u32, length: u64, elements: &[u8]) -> Self {
        let mut value = kind.to_le_bytes().to_vec();
        value.extend(length.to_le_bytes());
        value.extend(elements);
        self.raw(key, 9, &value)
    }

    pub(crate) fn str(self, key: &str, value: &str) -> Self {
        self.raw(key, 8, &text(value))
    }

    pub(crate) fn u32(self, key: &str, value: u32) -> Self {
        self.raw(key, 4, &value.to_le_bytes())
    }

    pub(crate) fn bool(self, key: &str, value: bool) -> Self {
        self.raw(key, 7, &[value.into()])
    }

    pub(crate) fn strings(self, key: &str, list: &[&str]) -> Self {
        let elements: Vec<u8> = list.iter().flat_map(|s| text(s)).collect();
        self.array(key, 8, list.len() as u64, &elements)
    }

    pub(crate) fn i32s(self, key: &str, list: &[i32]) -> Self {
        let elements: Vec<u8> = list.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.array(key, 5, list.len() as u64, &elements)
    }

    pub(crate) fn f32s(self, key: &str, list: &[f32]) -> Self {
        let elements: Vec<u8> = list.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.array(key, 6, list.len() as u64, &elements)
    }

    fn tensor(mut self, name: &str, dimensions: &[u64], kind: u32, offset: u64) -> Self {
        self.tensors += 1;
        self.directory.extend(text(name));
        self.directory
            .extend(u32::try_from(dimensions.len()).unwrap().to_le_bytes());
        self.directory
            .extend(dimensions.iter().flat_map(|d| d.to_le_bytes()));
        self.directory.extend(kind.to_le_bytes());
        self.directory.extend(offset.to_le_bytes());
        self
    }

    fn data(mut self, bytes: usize) -> Self {
        self.data = vec![7; bytes];
        self
    }

    fn bytes_of_version(&self, version: u32) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(version.to_le_bytes());
        file.extend(self.tensors.to_le_bytes());
        file.extend(self.entries.to_le_bytes());
        file.extend(&self.metadata);
        file.extend(&self.directory);
        if !self.data.is_empty() {
            file.resize(file.len().next_multiple_of(32), 0);
            file.extend(&self.data);
        }
        file
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes_of_version(3)
    }

    pub(crate) fn build(&self) -> Gguf {
        read(self.bytes()).unwrap()
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn read(bytes: Vec<u8>) -> Result<Gguf> {
    Gguf::read(Cursor::new(bytes))
}

fn error(bytes: Vec<u8>) -> (ErrorKind, String) {
    let error = read(bytes).unwrap_err();
    (error.kind(), error.to_string())
}

/// A file with one of everything.
fn everything() -> Builder {
    Builder::default()
        .raw("u8", 0, &[200])
        .raw("i8", 1, &[0x9C])
        .raw("u16", 2, &60_000_u16.to_le_bytes())
        .raw("i16", 3, &(-300_i16).to_le_bytes())
        .u32("u32", 4_000_000_000)
        .raw("i32", 5, &(-70_000_i32).to_le_bytes())
        .raw("f32", 6, &1.5_f32.to_le_bytes())
        .bool("bool", true)
        .str("str", "häuser")
        .strings("strings", &["a", "", "ccc"])
        .f32s("f32s", &[0.5, -1.0])
        .i32s("i32s", &[1, -1])
        .array("bools", 7, 2, &[0, 1])
        .array(
            "nested",
            9,
            1,
            &[&0_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &[8, 9]].concat(),
        )
        .raw("u64", 10, &u64::MAX.to_le_bytes())
        .raw("i64", 11, &i64::MIN.to_le_bytes())
        .raw("f64", 12, &0.1_f64.to_le_bytes())
        .tensor("embed", &[64, 3], 3, 0)
        .tensor("scale", &[4], 0, 128)
        .tensor("odd", &[7], 999, 160)
        .data(160)
}

#[test]
fn every_type_is_read_in_both_versions() {
    for version in [2, 3] {
        let gguf = read(everything().bytes_of_version(version)).unwrap();
        assert_eq!(gguf.version(), version);
        assert_eq!(gguf.metadata().len(), 17);
        assert_eq!(gguf.metadata().next(), Some(("u8", &Value::U8(200))));
        assert_eq!(gguf.get("i8"), Some(&Value::I8(-100)));
        assert_eq!(gguf.u64("u16").unwrap(), 60_000);
        assert_eq!(gguf.get("i16"), Some(&Value::I16(-300)));
        assert_eq!(gguf.u64("u32").unwrap(), 4_000_000_000);
        assert_eq!(gguf.get("i32"), Some(&Value::I32(-70_000)));
        assert_eq!(gguf.f32("f32").unwrap().to_bits(), 1.5_f32.to_bits());
        assert!(gguf.bool("bool").unwrap());
        assert_eq!(gguf.str("str").unwrap(), "häuser");
        assert_eq!(gguf.strings("strings").unwrap(), ["a", "", "ccc"]);
        assert_eq!(gguf.f32s("f32s").unwrap(), [0.5, -1.0]);
        assert_eq!(gguf.i32s("i32s").unwrap(), [1, -1]);
        let bools = Value::Array(Array::Bool(vec![false, true]));
        assert_eq!(gguf.get("bools"), Some(&bools));
        let nested = Value::Array(Array::Array(vec![Array::U8(vec![8, 9])]));
        assert_eq!(gguf.get("nested"), Some(&nested));
        assert_eq!(gguf.u64("u64").unwrap(), u64::MAX);
        assert_eq!(gguf.get("i64"), Some(&Value::I64(i64::MIN)));
        assert_eq!(gguf.get("f64"), Some(&Value::F64(0.1)));
    }
}

#[test]
fn tensors_are_placed_in_the_file() {
    let builder = everything();
    let size = builder.bytes().len() as u64;
    let gguf = builder.build();
    let [embed, scale, odd] = gguf.tensors() else {
        panic!("three tensors");
    };
    assert_eq!(
        (embed.name.as_str(), &embed.dimensions[..]),
        ("embed", &[64, 3][..])
    );
    // Q4_1: 20 bytes for each 32 elements.
    assert_eq!((embed.element_type, embed.bytes), (3, Some(120)));
    assert_eq!(embed.offset, size - 160);
    assert_eq!((scale.offset, scale.bytes), (size - 32, Some(16)));
    assert_eq!(odd.bytes, None);
}

#[test]
fn a_wrong_type_names_the_key_and_what_is_there() {
    let gguf = everything().build();
    let error = gguf.u64("str").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert_eq!(
        error.to_string(),
        "`str` is a string; an integer from 0 is needed"
    );
    assert_eq!(
        gguf.u64("i32").unwrap_err().to_string(),
        "`i32` is -70000; an integer from 0 is needed"
    );
    assert_eq!(
        gguf.str("absent").unwrap_err().to_string(),
        "the gguf file has no `absent`; a string is needed"
    );
    assert!(gguf.get("absent").is_none());
    assert!(gguf.f32s("i32s").is_err() && gguf.bool("u8").is_err());
}

#[test]
fn every_truncation_is_an_error_that_says_so() {
    let whole = everything().bytes();
    for length in 0..whole.len() {
        let error = read(whole[..length].to_vec()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{length}");
        assert!(
            error.to_string().ends_with("truncated"),
            "{length}: {error}"
        );
    }
}

#[test]
fn truncation_names_the_byte_and_what_was_read() {
    let whole = Builder::default().strings("words", &["one", "two"]).bytes();
    let (_, message) = error(whole[..whole.len() - 1].to_vec());
    assert_eq!(
        message,
        "value of `words`: element 1: 3 bytes are needed at byte 72, but the file ends at byte 74: truncated"
    );
    let (_, message) = error(b"GGUF\x03\0".to_vec());
    assert!(
        message.starts_with("gguf header: 4 bytes are needed at byte 4"),
        "{message}"
    );
}

#[test]
fn other_files_and_versions_are_refused() {
    assert_eq!(
        error(b"{\"a\": 1}  ".to_vec()),
        (
            ErrorKind::Format,
            "gguf header: the file begins with `{\\\"a\\\"`; `GGUF` is needed".to_owned()
        )
    );
    for (version, wanted) in [
        (0_u32, "version 0"),
        (1, "version 1"),
        (4, "version 4"),
        (3_u32.swap_bytes(), "big endian"),
    ] {
        let (kind, message) = error(Builder::default().bytes_of_version(version));
        assert_eq!(kind, ErrorKind::Unsupported);
        assert!(message.contains(wanted), "{message}");
    }
}

/// A patched count must not lead to an allocation of that size: the read fails at the limit, or
/// at the end of the file.
#[test]
fn counts_are_not_believed() {
    let with = |at: usize, count: u64| {
        let mut bytes = everything().bytes();
        bytes[at..at + 8].copy_from_slice(&count.to_le_bytes());
        error(bytes)
    };
    for (at, limit) in [(8, MAX_TENSORS), (16, MAX_ENTRIES)] {
        assert_eq!(with(at, limit + 1).0, ErrorKind::Limit);
        assert_eq!(with(at, u64::MAX).0, ErrorKind::Limit);
        // Below the limit the count is tried, and the file is not that long.
        with(at, limit);
    }
    let string = |length: u64| {
        error(
            Builder::default()
                .raw("k", 8, &length.to_le_bytes())
                .bytes(),
        )
    };
    assert_eq!(string(MAX_STRING_BYTES).0, ErrorKind::Format);
    assert_eq!(string(MAX_STRING_BYTES + 1).0, ErrorKind::Limit);
    let list = |length| error(Builder::default().array("k", 10, length, &[]).bytes());
    assert_eq!(list(MAX_ARRAY_LEN).0, ErrorKind::Format);
    assert_eq!(list(MAX_ARRAY_LEN + 1).0, ErrorKind::Limit);
}

#[test]
fn limits_hold_exactly() {
    let string = |length: u64| {
        let value = "x".repeat(usize::try_from(length).unwrap());
        read(Builder::default().str("k", &value).bytes())
    };
    assert!(string(MAX_STRING_BYTES - 1).is_ok());
    assert!(string(MAX_STRING_BYTES).is_ok());
    assert!(string(MAX_STRING_BYTES + 1).is_err());

    let key = |length: u64| {
        let key = "k".repeat(usize::try_from(length).unwrap());
        read(Builder::default().bool(&key, true).bytes())
    };
    assert!(key(MAX_NAME_BYTES).is_ok());
    assert!(key(MAX_NAME_BYTES + 1).is_err());

    let nested = |depth: usize| {
        let mut value = Vec::new();
        for _ in 1..depth {
            value.extend(9_u32.to_le_bytes());
            value.extend(1_u64.to_le_bytes());
        }
        value.extend(0_u32.to_le_bytes());
        value.extend(0_u64.to_le_bytes());
        read(Builder::default().raw("k", 9, &value).bytes())
    };
    assert!(nested(MAX_ARRAY_DEPTH).is_ok());
    assert_eq!(
        nested(MAX_ARRAY_DEPTH + 1).unwrap_err().kind(),
        ErrorKind::Limit
    );

    let rank = |rank: u32| {
        let dimensions = vec![1; rank as usize];
        read(
            Builder::default()
                .tensor("t", &dimensions, 24, 0)
                .data(1)
                .bytes(),
        )
    };
    assert!(rank(MAX_DIMENSIONS).is_ok());
    assert_eq!(
        rank(MAX_DIMENSIONS + 1).unwrap_err().kind(),
        ErrorKind::Limit
    );
}

/// A file without an end: zeros for ever, after a prefix.
struct Endless(Cursor<Vec<u8>>);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => {
                buffer.fill(0);
                Ok(buffer.len())
            }
            n => Ok(n),
        }
    }
}

impl Seek for Endless {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            SeekFrom::End(_) => Ok(1 << 60),
            to => self.0.seek(to),
        }
    }
}

#[test]
fn the_header_is_bounded_whatever_the_file_size() {
    // Arrays of 2^24 u64 are 2^27 bytes each, the limit of the whole header.
    let header = Builder::default()
        .array("a", 10, MAX_ARRAY_LEN, &[])
        .bytes();
    let error = Gguf::read(Endless(Cursor::new(header))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("for a header"), "{error}");
}

#[test]
fn malformed_metadata_is_refused() {
    let cases = [
        (Builder::default().raw("k", 13, &[]), "value type 13"),
        (Builder::default().array("k", 13, 0, &[]), "value type 13"),
        (Builder::default().raw("k", 7, &[2]), "is 2; 0 or 1"),
        (
            Builder::default().raw("k", 8, &[1, 0, 0, 0, 0, 0, 0, 0, 0xFF]),
            "not utf-8",
        ),
        (
            Builder::default().u32("k", 1).u32("k", 1),
            "`k` appears twice",
        ),
        (Builder::default().u32("general.alignment", 0), "is 0"),
        (Builder::default().u32("general.alignment", 24), "is 24"),
        (
            Builder::default().u32("general.alignment", 1 << 17),
            "is 131072",
        ),
        (
            Builder::default().str("general.alignment", "32"),
            "a string",
        ),
    ];
    for (builder, wanted) in cases {
        let (kind, message) = error(builder.bytes());
        assert_eq!(kind, ErrorKind::Format);
        assert!(message.contains(wanted), "{message}");
    }
}

#[test]
fn malformed_tensors_are_refused() {
    let huge = 1 << 62;
    let cases = [
        (
            Builder::default().tensor("t", &[8], 0, 0).data(31),
            "truncated",
        ),
        (
            Builder::default().tensor("t", &[8], 0, 32).data(32),
            "truncated",
        ),
        (
            Builder::default().tensor("t", &[8], 0, 7).data(64),
            "not a multiple of 32",
        ),
        (
            Builder::default().tensor("t", &[33], 2, 0).data(64),
            "block of 32",
        ),
        (
            Builder::default().tensor("t", &[huge, 8], 0, 0),
            "2^64 bytes",
        ),
        (Builder::default().tensor("t", &[huge], 0, 0), "2^64 bytes"),
        (
            Builder::default().tensor("t", &[1], 0, u64::MAX - 31),
            "2^64 or more",
        ),
        (
            Builder::default()
                .tensor("t", &[1], 0, 0)
                .tensor("t", &[1], 0, 0)
                .data(4),
            "two tensors",
        ),
        // Even of a type whose size is not known, the start must be inside.
        (
            Builder::default().tensor("t", &[1], 999, 64).data(32),
            "truncated",
        ),
    ];
    for (builder, wanted) in cases {
        let (kind, message) = error(builder.bytes());
        assert_eq!(kind, ErrorKind::Format);
        assert!(message.contains(wanted), "{message}");
        assert!(message.contains('t'));
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Gguf::open("no/such/model.gguf").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().starts_with("no/such/model.gguf: "));
}

proptest! {
    /// Any bytes after a right start, and any change to a right file, end in a value or an error.
    #[test]
    fn hostile_bytes_do_not_panic(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0".to_vec();
        bytes.extend(tail);
        let _ = read(bytes);
    }

    #[test]
    fn hostile_changes_do_not_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = everything().bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(gguf) = read(bytes.clone()) {
            let size = bytes.len() as u64;
            prop_assert!(gguf.tensors().iter().all(|t| t.offset + t.bytes.unwrap_or(0) <= size));
        }
    }
}

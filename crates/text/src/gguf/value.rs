//! Metadata values.

use std::io::Read;

use taggant_core::{Error, ErrorKind, Result};

use super::{MAX_ARRAY_DEPTH, MAX_ARRAY_LEN, MAX_STRING_BYTES, source::Source};

/// One metadata value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// An unsigned 8-bit integer.
    U8(u8),
    /// A signed 8-bit integer.
    I8(i8),
    /// An unsigned 16-bit integer.
    U16(u16),
    /// A signed 16-bit integer.
    I16(i16),
    /// An unsigned 32-bit integer.
    U32(u32),
    /// A signed 32-bit integer.
    I32(i32),
    /// An unsigned 64-bit integer.
    U64(u64),
    /// A signed 64-bit integer.
    I64(i64),
    /// A 32-bit float.
    F32(f32),
    /// A 64-bit float.
    F64(f64),
    /// A truth value.
    Bool(bool),
    /// A string.
    String(String),
    /// An array, all of whose elements have one type.
    Array(Array),
}

/// An array of metadata values.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Array {
    /// Unsigned 8-bit integers.
    U8(Vec<u8>),
    /// Signed 8-bit integers.
    I8(Vec<i8>),
    /// Unsigned 16-bit integers.
    U16(Vec<u16>),
    /// Signed 16-bit integers.
    I16(Vec<i16>),
    /// Unsigned 32-bit integers.
    U32(Vec<u32>),
    /// Signed 32-bit integers.
    I32(Vec<i32>),
    /// Unsigned 64-bit integers.
    U64(Vec<u64>),
    /// Signed 64-bit integers.
    I64(Vec<i64>),
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Strings.
    String(Vec<String>),
    /// Arrays, each with its own element type.
    Array(Vec<Array>),
}

impl Value {
    pub(super) fn read<R: Read>(source: &mut Source<R>) -> Result<Self> {
        let kind = u32::from_le_bytes(source.array()?);
        Ok(match kind {
            0 => Self::U8(u8::from_le_bytes(source.array()?)),
            1 => Self::I8(i8::from_le_bytes(source.array()?)),
            2 => Self::U16(u16::from_le_bytes(source.array()?)),
            3 => Self::I16(i16::from_le_bytes(source.array()?)),
            4 => Self::U32(u32::from_le_bytes(source.array()?)),
            5 => Self::I32(i32::from_le_bytes(source.array()?)),
            6 => Self::F32(f32::from_le_bytes(source.array()?)),
            7 => Self::Bool(bool(source)?),
            8 => Self::String(source.string(MAX_STRING_BYTES)?),
            9 => Self::Array(Array::read(source, 1)?),
            10 => Self::U64(u64::from_le_bytes(source.array()?)),
            11 => Self::I64(i64::from_le_bytes(source.array()?)),
            12 => Self::F64(f64::from_le_bytes(source.array()?)),
            other => return Err(unknown_type(other)),
        })
    }

    /// What this value is, for messages.
    pub(super) fn description(&self) -> String {
        match self {
            Self::U8(n) => n.to_string(),
            Self::I8(n) => n.to_string(),
            Self::U16(n) => n.to_string(),
            Self::I16(n) => n.to_string(),
            Self::U32(n) => n.to_string(),
            Self::I32(n) => n.to_string(),
            Self::U64(n) => n.to_string(),
            Self::I64(n) => n.to_string(),
            Self::F32(x) => format!("the 32-bit float {x}"),
            Self::F64(x) => format!("the 64-bit float {x}"),
            Self::Bool(yes) => yes.to_string(),
            Self::String(_) => "a string".to_owned(),
            Self::Array(array) => format!("an array of {}", array.elements()),
        }
    }
}

impl Array {
    fn read<R: Read>(source: &mut Source<R>, depth: usize) -> Result<Self> {
        if depth > MAX_ARRAY_DEPTH {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("arrays are nested {depth} deep; at most {MAX_ARRAY_DEPTH} are read"),
            ));
        }
        let kind = u32::from_le_bytes(source.array()?);
        let length = u64::from_le_bytes(source.array()?);
        if length > MAX_ARRAY_LEN {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("an array announces {length} elements; at most {MAX_ARRAY_LEN} are read"),
            ));
        }
        let s = source;
        Ok(match kind {
            0 => Self::U8(list(s, length, |s| Ok(u8::from_le_bytes(s.array()?)))?),
            1 => Self::I8(list(s, length, |s| Ok(i8::from_le_bytes(s.array()?)))?),
            2 => Self::U16(list(s, length, |s| Ok(u16::from_le_bytes(s.array()?)))?),
            3 => Self::I16(list(s, length, |s| Ok(i16::from_le_bytes(s.array()?)))?),
            4 => Self::U32(list(s, length, |s| Ok(u32::from_le_bytes(s.array()?)))?),
            5 => Self::I32(list(s, length, |s| Ok(i32::from_le_bytes(s.array()?)))?),
            6 => Self::F32(list(s, length, |s| Ok(f32::from_le_bytes(s.array()?)))?),
            7 => Self::Bool(list(s, length, bool)?),
            8 => Self::String(list(s, length, |s| s.string(MAX_STRING_BYTES))?),
            9 => Self::Array(list(s, length, |s| Self::read(s, depth + 1))?),
            10 => Self::U64(list(s, length, |s| Ok(u64::from_le_bytes(s.array()?)))?),
            11 => Self::I64(list(s, length, |s| Ok(i64::from_le_bytes(s.array()?)))?),
            12 => Self::F64(list(s, length, |s| Ok(f64::from_le_bytes(s.array()?)))?),
            other => return Err(unknown_type(other)),
        })
    }

    fn elements(&self) -> &'static str {
        match self {
            Self::U8(_) => "unsigned 8-bit integers",
            Self::I8(_) => "signed 8-bit integers",
            Self::U16(_) => "unsigned 16-bit integers",
            Self::I16(_) => "signed 16-bit integers",
            Self::U32(_) => "unsigned 32-bit integers",
            Self::I32(_) => "signed 32-bit integers",
            Self::U64(_) => "unsigned 64-bit integers",
            Self::I64(_) => "signed 64-bit integers",
            Self::F32(_) => "32-bit floats",
            Self::F64(_) => "64-bit floats",
            Self::Bool(_) => "bools",
            Self::String(_) => "strings",
            Self::Array(_) => "arrays",
        }
    }
}

fn list<R: Read, T>(
    source: &mut Source<R>,
    length: u64,
    read: impl Fn(&mut Source<R>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut list = Vec::new();
    for number in 0..length {
        list.push(read(source).map_err(|error| error.context(format!("element {number}")))?);
    }
    list.shrink_to_fit();
    Ok(list)
}

fn bool<R: Read>(source: &mut Source<R>) -> Result<bool> {
    let start = source.position();
    match source.array()? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(Error::new(
            ErrorKind::Format,
            format!("the bool at byte {start} is {other}; 0 or 1 is needed"),
        )),
    }
}

fn unknown_type(kind: u32) -> Error {
    Error::new(
        ErrorKind::Format,
        format!("value type {kind} is not one of 0 to 12"),
    )
}

//! C's arrays and strings as slices: the only unsafe blocks of the crate.
//!
//! A value of these types can only come from C, as an argument or in a structure, because nothing here makes one. The header obliges C
//! to pass NULL or a pointer to as many elements as the length beside it says, that stay as they are for the length of the call. That
//! obligation is what each block below rests on.
#![expect(
    unsafe_code,
    reason = "pointers that C passes have to be followed somewhere; here alone"
)]

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::slice;

use taggant_core::{Error, ErrorKind};

use crate::fault::{Fault, Result};
use crate::key::Key;

/// `const T *`: an array that C goes on owning.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Array<'a, T> {
    first: *const T,
    owner: PhantomData<&'a [T]>,
}

/// `T *`: an array of C's that is changed in place.
#[repr(transparent)]
pub struct ArrayMut<'a, T> {
    first: *mut T,
    owner: PhantomData<&'a mut [T]>,
}

/// `const char *`: a string that ends with a zero byte.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Text<'a> {
    first: *const c_char,
    owner: PhantomData<&'a CStr>,
}

/// Token ids.
pub type Ids<'a> = Array<'a, u32>;
/// Logits.
pub type Logits<'a> = Array<'a, f32>;
/// Logits to change.
pub type LogitsMut<'a> = ArrayMut<'a, f32>;
/// Bytes of a file or of a digest.
pub type Bytes<'a> = Array<'a, u8>;
/// Keys of a mark.
pub type Keys<'a> = Array<'a, Option<&'a Key>>;
/// Responses to detect in.
pub type Responses<'a> = Array<'a, crate::detect::Response<'a>>;
/// Room for token ids.
pub type IdsOut<'a> = ArrayMut<'a, MaybeUninit<u32>>;
/// Room for text.
pub type TextOut<'a> = ArrayMut<'a, MaybeUninit<u8>>;

impl<'a, T> Array<'a, T> {
    /// The array's `length` elements; `name` is the argument's.
    pub(crate) fn read(self, name: &str, length: usize) -> Result<&'a [T]> {
        if length == 0 {
            return Ok(&[]);
        }
        check(self.first, name, length)?;
        // SAFETY: `check` has refused NULL, misalignment and sizes beyond the address space; the rest is what C is obliged to (above).
        Ok(unsafe { slice::from_raw_parts(self.first, length) })
    }

    /// Whether C passed NULL.
    pub(crate) fn is_null(&self) -> bool {
        self.first.is_null()
    }
}

impl<'a, T> ArrayMut<'a, T> {
    /// The array's `length` elements; `name` is the argument's.
    pub(crate) fn read(self, name: &str, length: usize) -> Result<&'a mut [T]> {
        if length == 0 {
            return Ok(&mut []);
        }
        check(self.first, name, length)?;
        // SAFETY: as in `Array::read`; and nobody else looks at the array during the call, which the header demands of arrays that are
        // changed.
        Ok(unsafe { slice::from_raw_parts_mut(self.first, length) })
    }
}

impl<'a> Text<'a> {
    /// The string, which must be UTF-8; `name` is the argument's.
    pub(crate) fn read(self, name: &str) -> Result<&'a str> {
        if self.first.is_null() {
            return Err(Fault::null(name));
        }
        // SAFETY: not NULL, and C is obliged to end the string with a zero byte (above).
        let text = unsafe { CStr::from_ptr(self.first) };
        text.to_str().map_err(|error| {
            let message = format!(
                "`{name}` is not UTF-8 at byte {}; pass UTF-8, or read the file yourself and pass its bytes",
                error.valid_up_to()
            );
            Error::new(ErrorKind::Format, message).into()
        })
    }
}

fn check<T>(first: *const T, name: &str, length: usize) -> Result<()> {
    if first.is_null() {
        return Err(Fault::null_of(name, length));
    }
    if !first.is_aligned() {
        return Err(Fault::pointer(format!(
            "`{name}` is not aligned for its type, {} bytes; pass an array of that type",
            align_of::<T>()
        )));
    }
    let most = isize::MAX.unsigned_abs() / size_of::<T>();
    if length > most {
        let message = format!(
            "`{name}` has {length} elements; no array has more than {most}. Was a negative number passed?"
        );
        return Err(Error::new(ErrorKind::Limit, message).into());
    }
    Ok(())
}

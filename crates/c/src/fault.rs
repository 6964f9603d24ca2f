//! From errors and panics to a status and a message in the caller's memory.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use taggant_core::ErrorKind;

/// How a call ended. Everything but `TAGGANT_STATUS_OK` is a failure, after which nothing has changed.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// A parameter lies outside its range.
    Parameter = 1,
    /// A key file is malformed or can be read by others, or a key may not be used this way.
    Key = 2,
    /// A key path is not `epoch/role/id`.
    Path = 3,
    /// A mark record is malformed.
    Record = 4,
    /// Two things that must belong together do not, such as a key and a record.
    Mismatch = 5,
    /// Logits that no distribution can be made of: NaN, +infinity, all of them -infinity, or not one for each token.
    Logits = 6,
    /// A token id that is not in the vocabulary, or stands twice in a list.
    Token = 7,
    /// Text that is not what its format demands, such as a path that is not UTF-8.
    Format = 8,
    /// A size limit was exceeded.
    Limit = 9,
    /// The request is well formed, but this version cannot serve it.
    Unsupported = 10,
    /// Reading a file failed.
    Io = 11,
    /// A pointer is NULL that must not be, or is not aligned.
    Pointer = 12,
    /// A fault of this library. Please report it.
    Internal = 13,
}

/// Room for a message, with its terminating zero: 512 bytes with the status.
const ROOM: usize = 508;

/// What went wrong, in memory of the caller's; written when a call fails, and only then.
#[repr(C)]
#[derive(Debug)]
pub struct ErrorMessage {
    /// The status, for functions that return a handle.
    pub status: Status,
    /// For people: UTF-8 with a terminating zero. Names the value, the limit and the next step, and never holds key material. A longer message is cut.
    pub message: [c_char; 508],
}

/// The last argument of whatever can fail; NULL when the caller does not want to know.
pub(crate) type Message<'a> = Option<&'a mut MaybeUninit<ErrorMessage>>;

/// A failure on its way to C.
#[derive(Debug)]
pub(crate) struct Fault {
    status: Status,
    message: String,
}

pub(crate) type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    pub(crate) fn pointer(message: String) -> Self {
        Self {
            status: Status::Pointer,
            message,
        }
    }

    /// The argument `name` is NULL.
    pub(crate) fn null(name: &str) -> Self {
        Self::pointer(format!("`{name}` is NULL"))
    }

    /// The argument `name` is NULL, although `length` elements are said to be there.
    pub(crate) fn null_of(name: &str, length: usize) -> Self {
        Self::pointer(format!("`{name}` is NULL; {length} elements were expected"))
    }
}

impl From<taggant_core::Error> for Fault {
    fn from(error: taggant_core::Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Parameter => Status::Parameter,
            ErrorKind::Key => Status::Key,
            ErrorKind::Path => Status::Path,
            ErrorKind::Record => Status::Record,
            ErrorKind::Mismatch => Status::Mismatch,
            ErrorKind::Logits => Status::Logits,
            ErrorKind::Token => Status::Token,
            ErrorKind::Format => Status::Format,
            ErrorKind::Limit => Status::Limit,
            ErrorKind::Io => Status::Io,
            // A kind that is newer than this table is something it cannot serve.
            _ => Status::Unsupported,
        };
        Self {
            status,
            message: error.to_string(),
        }
    }
}

/// The value of an argument that must not be NULL.
pub(crate) fn needed<T>(value: Option<T>, name: &str) -> Result<T> {
    value.ok_or_else(|| Fault::null(name))
}

/// Runs `work` for a function that returns a status.
pub(crate) fn answer(error: Message<'_>, work: impl FnOnce() -> Result<()>) -> Status {
    match caught(work) {
        Ok(()) => Status::Ok,
        Err(fault) => tell(error, &fault),
    }
}

/// Runs `work` for a function that returns a handle.
pub(crate) fn make<T>(error: Message<'_>, work: impl FnOnce() -> Result<T>) -> Option<Box<T>> {
    match caught(work) {
        Ok(made) => Some(Box::new(made)),
        Err(fault) => {
            tell(error, &fault);
            None
        }
    }
}

/// Runs `work` for a function that cannot fail; `otherwise` is what C gets if it does all the same.
pub(crate) fn plain<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    caught(|| Ok(work())).unwrap_or(otherwise)
}

/// A panic must not unwind into C. What it leaves behind is sound: buffers that the next use clears.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Fault {
            status: Status::Internal,
            message:
                "a fault of Taggant itself, not of the arguments; please report what was called"
                    .to_owned(),
        })
    })
}

fn tell(error: Message<'_>, fault: &Fault) -> Status {
    if let Some(error) = error {
        error.write(ErrorMessage {
            status: fault.status,
            message: written(&fault.message),
        });
    }
    fault.status
}

/// As much of `message` as there is room for, whole characters.
fn written(message: &str) -> [c_char; ROOM] {
    let mut room = [0; ROOM];
    let most = message.floor_char_boundary(ROOM - 1);
    for (place, byte) in room.iter_mut().zip(message[..most].bytes()) {
        *place = c_char::from_ne_bytes([byte]);
    }
    room
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn told(fault: &Fault) -> (Status, String) {
        let mut error = MaybeUninit::uninit();
        tell(Some(&mut error), fault);
        let error = error.write(ErrorMessage {
            status: fault.status,
            message: written(&fault.message),
        });
        let bytes: Vec<u8> = error
            .message
            .iter()
            .map(|byte| byte.to_ne_bytes()[0])
            .collect();
        let text = CStr::from_bytes_until_nul(&bytes).unwrap();
        (error.status, text.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_panic_is_an_internal_fault_and_goes_no_further() {
        assert_eq!(answer(None, || panic!("on purpose")), Status::Internal);
        assert!(make::<u8>(None, || panic!("on purpose")).is_none());
        assert_eq!(plain(7, || panic!("on purpose")), 7);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        for length in [0, 1, ROOM - 2, ROOM - 1, ROOM, 4 * ROOM] {
            for unit in ["x", "é", "€", "𝄞"] {
                let message = unit.repeat(length);
                let (_, text) = told(&Fault::pointer(message.clone()));
                assert!(message.starts_with(&text));
                assert!(text == message || text.len() + unit.len() > ROOM - 1);
            }
        }
    }

    #[test]
    fn every_kind_of_error_has_a_status_of_its_own() {
        use ErrorKind::*;
        let kinds = [
            Parameter,
            Key,
            Path,
            Record,
            Mismatch,
            Logits,
            Token,
            Format,
            Limit,
            Unsupported,
            Io,
        ];
        for (kind, status) in kinds.into_iter().zip(1..) {
            let fault = Fault::from(taggant_core::Error::new(kind, "x"));
            assert_eq!(fault.status as i32, status, "{kind:?}");
        }
    }
}

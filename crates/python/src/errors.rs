//! One exception for each kind of error, all below `TaggantError`.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::{PyErr, create_exception};
use taggant_core::{Error, ErrorKind};

create_exception!(
    taggant,
    TaggantError,
    PyException,
    "The base of every error that Taggant raises. Messages name the value and the limit, and never hold key material."
);

/// The table that keeps kinds and exceptions one to one.
macro_rules! exceptions {
    ($($kind:ident => $name:ident, $doc:literal;)*) => {
        $(create_exception!(taggant, $name, TaggantError, $doc);)*

        fn exception(error: &Error) -> PyErr {
            let message = error.to_string();
            match error.kind() {
                $(ErrorKind::$kind => $name::new_err(message),)*
                // A kind that is newer than this table is still one of ours.
                _ => TaggantError::new_err(message),
            }
        }

        /// Puts every exception into the module.
        pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
            let py = module.py();
            module.add("TaggantError", py.get_type::<TaggantError>())?;
            $(module.add(stringify!($name), py.get_type::<$name>())?;)*
            Ok(())
        }
    };
}

exceptions! {
    Parameter => ParameterError, "A parameter lies outside its range.";
    Key => KeyFileError, "Key bytes or a key file are malformed, or a key may not be used this way.";
    Path => PathError, "A key path is not `epoch/role/id`.";
    Record => RecordError, "A mark record is malformed.";
    Mismatch => MismatchError, "Two things that must belong together do not, such as a key and a record.";
    Logits => LogitsError, "Logits that no distribution can be made from: NaN, or an array of another type or shape.";
    Token => TokenError, "A token id that is not in the vocabulary, or is no token id at all.";
    Format => FormatError, "A file or row that is not what its format demands.";
    Limit => LimitError, "A size limit was exceeded.";
    Unsupported => UnsupportedError, "The request is well formed but cannot be served.";
    Io => IoError, "Reading or writing failed.";
}

/// What a call can fail with: our own error, or one that Python raised under us.
#[derive(Debug)]
pub(crate) enum Fault {
    Ours(Error),
    Python(PyErr),
}

/// `Result` with [`Fault`].
pub(crate) type Result<T> = std::result::Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Ours(error) => exception(&error),
            Fault::Python(error) => error,
        }
    }
}

/// An error of our own with a message of this crate's.
pub(crate) fn fault(kind: ErrorKind, message: impl Into<String>) -> Fault {
    Fault::Ours(Error::new(kind, message))
}

/// The name of a value's type, for messages: the value itself may be a secret, or long.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    value
        .get_type()
        .fully_qualified_name()
        .map_or_else(|_| "unknown".to_owned(), |name| name.to_string())
}

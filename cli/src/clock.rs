//! The one place that asks what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use taggant_core::{Error, ErrorKind};
use taggant_evidence::Time;

use crate::failure::Result;

/// The system's time.
pub(crate) fn now() -> Result<Time> {
    Ok(time()?)
}

/// The system's time, for a library that asks for it.
pub(crate) fn time() -> taggant_core::Result<Time> {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Io,
                "the system's clock is before 1970; set the clock",
            )
        })?;
    Time::from_unix_millis(millis)
}

//! The one place that asks what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use taggant_evidence::Time;

use crate::failure::{Failure, Result};

/// The system's time.
pub(crate) fn now() -> Result<Time> {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .ok_or_else(|| Failure::new("the system's clock is before 1970").hint("set the clock"))?;
    Ok(Time::from_unix_millis(millis)?)
}

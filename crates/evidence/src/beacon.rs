//! Public randomness: values that come into the world at times known before.

use serde::{Deserialize, Serialize};
use taggant_core::Result;

use crate::draw::MAX_VALUE;
use crate::time::Time;

/// A public randomness beacon: rounds at fixed times, each with a value that nobody knew before (drand, NIST).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beacon {
    /// What plans call it.
    pub chain: String,
    /// The time of round 1.
    pub genesis: Time,
    /// Seconds from one round to the next.
    pub period: u64,
    /// Values that the verifier looked up itself.
    #[serde(default)]
    pub values: Vec<Value>,
}

/// The value of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// Which round.
    pub round: u64,
    /// Its value, in lower-case hex.
    pub value: String,
}

impl Value {
    /// The value, unless it is no lower-case hex or too long.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        let bytes = base16ct::lower::decode_vec(&self.value).ok()?;
        (1..=MAX_VALUE).contains(&bytes.len()).then_some(bytes)
    }
}

impl Beacon {
    /// When a round's value comes into the world.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](taggant_core::ErrorKind::Parameter) for a round past the year 9999.
    pub fn time(&self, round: u64) -> Result<Time> {
        let seconds = round.saturating_sub(1).saturating_mul(self.period);
        Time::from_unix_millis(
            self.genesis
                .unix_millis()
                .saturating_add(seconds.saturating_mul(1000)),
        )
    }
}

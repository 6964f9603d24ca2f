//! Every domain string of SPEC.md, in one place.

pub(crate) const EXTRACT_SALT: &[u8] = b"taggant/v1";
pub(crate) const NODE: &[u8] = b"taggant/v1/node";
pub(crate) const COMMIT: &[u8] = b"taggant/v1/commit";
pub(crate) const PRF: &[u8] = b"taggant/v1/prf";
pub(crate) const ROUTE: &[u8] = b"taggant/v1/route";
pub(crate) const DECOY: &[u8] = b"taggant/v1/decoy";
pub(crate) const CANARY: &[u8] = b"taggant/v1/canary";
pub(crate) const CANARY_SLOT: &[u8] = b"taggant/v1/canary/slot";
pub(crate) const CANARY_DECOY: &[u8] = b"taggant/v1/canary/decoy";
pub(crate) const ENGINE: &[u8] = b"taggant/v1/engine";
pub(crate) const PSEUDONYM: &[u8] = b"taggant/v1/pseudonym";
pub(crate) const FIELD_SALT: &[u8] = b"taggant/v1/salt";
pub(crate) const SERVE: &[u8] = b"taggant/v1/serve";
pub(crate) const TWIN_SALT: &[u8] = b"taggant/v1/twin-salt";
pub(crate) const TWIN: &[u8] = b"taggant/v1/twin";
pub(crate) const EXCHANGE: &[u8] = b"taggant/v1/exchange";
pub(crate) const TWIN_DECOY: &[u8] = b"taggant/v1/twin-decoy";
/// Scheme name under which a campaign leaf derives its route key.
pub(crate) const ROUTE_SCHEME: &str = "route/1";

//! Other systems' hash functions and random number generators, bit for bit.

pub(crate) mod murmur;
pub(crate) mod numpy;
pub(crate) mod philox;
pub(crate) mod torch;

//! Which interface this is.
#![expect(
    unsafe_code,
    reason = "a fixed name, which C needs, counts as unsafe; no unsafe block is here"
)]

/// The version of this interface. It grows when a function, a structure or a meaning changes.
pub const TAGGANT_ABI_VERSION: u32 = 1;

/// The version of the library that is linked: compare it with `TAGGANT_ABI_VERSION`, which is the header's.
#[unsafe(no_mangle)]
pub extern "C" fn taggant_abi_version() -> u32 {
    TAGGANT_ABI_VERSION
}

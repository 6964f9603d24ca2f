//! The C interface of Taggant: choose marked tokens and detect marks from C and C++.
//!
//! C programmers read `include/taggant.h` alone, which is generated from these files; this page is for
//! whoever changes them. Three ways to use the interface, from simplest to fullest:
//! - `taggant_detect` says whether token ids carry a mark;
//! - `taggant_select_listed` chooses the next token among the candidates that an engine has left, `taggant_select` from raw logits;
//! - `llama/taggant_llama.c` is a sampler for the end of a chain of llama.cpp.
//!
//! **How C's values come in.** Handles and places for results are references and boxes that may be NULL (`Option<&Key>`,
//! `Option<Box<Key>>`), which Rust defines to be pointers of C, so using them needs no `unsafe`. What is left, arrays and strings, are
//! types of the module `raw`, the only one with unsafe blocks. No function of this crate can be called from Rust, because a safe one
//! could then be given an array with a false length: C's obligations are in the header.
//!
//! **How failures go out.** Every function that can fail works inside `fault::answer` or `fault::make`, which turn an error into a status
//! and a message, in the caller's memory, and a panic into `TAGGANT_STATUS_INTERNAL`. Nothing is global and nothing belongs to a thread.
//!
//! This crate does not promise that a caller who breaks a rule of the header gets an error: a pointer that points nowhere cannot be seen. It sees
//! NULL, misalignment, lengths beyond the address space, and everything that is wrong with values.

// The order of the header: from simplest to fullest.
mod version;

mod key;

mod record;

mod detect;

mod sampler;

mod stream;

mod select;

mod fault;
mod files;
mod raw;

//! TextSeal: to be written.

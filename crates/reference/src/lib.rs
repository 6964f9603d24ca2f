//! A slow second implementation, written from SPEC.md alone.

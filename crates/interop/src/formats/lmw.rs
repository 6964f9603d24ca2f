//! lm-watermarking: to be written.

//! Hugging Face KGW: to be written.

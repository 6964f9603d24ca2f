//! MarkLLM: to be written.

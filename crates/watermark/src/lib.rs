//! Embedding: choose marked tokens or bias logits.

//! Unicode folding, words, graphemes and tokenizers.

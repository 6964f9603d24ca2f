//! The taggant command.

//! The published polynomial-hash marks: to be written.

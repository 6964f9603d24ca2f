//! Everything that crosses crates: vectors, conformance, calibration, transcripts.

//! The oracles: verdicts on what a resize did.

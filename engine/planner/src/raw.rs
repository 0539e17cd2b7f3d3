//! Planners for raw files.

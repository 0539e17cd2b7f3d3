//! Planners for qcow2.

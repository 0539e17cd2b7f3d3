//! Create and resize planners: what to write, in which order.
#![no_std]
#![forbid(unsafe_code)]

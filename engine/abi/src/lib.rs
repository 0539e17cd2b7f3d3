//! What host and guest agree on: memory map, call table, configs, results.
#![no_std]
#![forbid(unsafe_code)]

//! On-disk structures of virtual disk images: probe, parse, encode, verify.
#![no_std]
#![forbid(unsafe_code)]

pub mod io;

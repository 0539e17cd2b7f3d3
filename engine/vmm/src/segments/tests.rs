//! A real binary, and the same with one field changed at a time.

use super::*;
use crate::binaries::{CORE, RESIZE};
use instar_abi::layout;

/// Offsets in an ELF header of 64 bytes and in the program headers of 56 that follow it (System V
/// ABI, "ELF-64 Object File Format").
const TYPE: usize = 16;
const ENTRY: usize = 24;
const FIRST: usize = 64;
const FLAGS: usize = 4;
const OFFSET: usize = 8;
const ADDRESS: usize = 16;
const FILE_SIZE: usize = 32;
const MEMORY_SIZE: usize = 40;
const HEADER: usize = 56;

#[test]
fn the_binaries_have_text_constants_and_data() {
    for (binary, area) in [(CORE, layout::CORE), (RESIZE, layout::OPERATION)] {
        let found = segments(binary.bytes, area).unwrap();
        let uses: Vec<Use> = found.iter().map(|segment| segment.usage).collect();
        assert_eq!(uses, [Use::Text, Use::Constants, Use::Data]);
        assert_eq!(found[0].area.base, area.base);
    }
}

#[test]
fn a_binary_that_was_tampered_with_is_refused() {
    let second = FIRST + HEADER;
    let changes: [(usize, u64); 10] = [
        (0, 0),
        (TYPE, 3 | 62 << 16),
        (ENTRY, 0x2_0010),
        (FIRST + FLAGS, 7),
        (FIRST + OFFSET, 1 << 40),
        (FIRST + ADDRESS, 0x2_0010),
        (FIRST + FILE_SIZE, u64::MAX),
        (FIRST + MEMORY_SIZE, layout::OPERATION.len + 1),
        (FIRST + MEMORY_SIZE, 1),
        (second + ADDRESS, 0x2_0000),
    ];
    for (at, value) in changes {
        let mut bytes = RESIZE.bytes.to_vec();
        let len = if at % HEADER == (FIRST + FLAGS) % HEADER { 4 } else { 8 };
        bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        assert!(segments(&bytes, layout::OPERATION).is_err(), "{value:#x} at {at}");
    }
}

#[test]
fn bss_counts() {
    let mut bytes = RESIZE.bytes.to_vec();
    let data = FIRST + 2 * HEADER;
    let base = u64::from_le_bytes(bytes[data + ADDRESS..data + ADDRESS + 8].try_into().unwrap());
    for (end, fits) in [(layout::OPERATION.end(), true), (layout::OPERATION.end() + 1, false)] {
        bytes[data + MEMORY_SIZE..data + MEMORY_SIZE + 8].copy_from_slice(&(end - base).to_le_bytes());
        assert_eq!(segments(&bytes, layout::OPERATION).is_ok(), fits);
    }
}

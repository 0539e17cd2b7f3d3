//! The bytes of a small qcow2 image, read at will.

/// Bits 9 to 55 of a table entry: a byte offset in the file.
const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;

/// Header field: log2 of the cluster size, u32.
const CLUSTER_BITS: usize = 20;

/// The big-endian number of `width` bytes (at most 8) at `at`, if the image reaches that far.
pub fn get(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let part = bytes.get(at..at.checked_add(width)?)?;
    Some(part.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Where the entry at `at` leads.
pub fn follow(bytes: &[u8], at: usize) -> Option<usize> {
    match get(bytes, at, 8)? & OFFSET_MASK {
        0 => None,
        offset => usize::try_from(offset).ok(),
    }
}

/// The cluster size in bytes.
pub fn cluster(bytes: &[u8]) -> u64 {
    1 << get(bytes, CLUSTER_BITS, 4).unwrap_or(0).min(21)
}

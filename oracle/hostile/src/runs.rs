//! What a disk holds, short enough to be kept with thousands of others: equal sectors that follow each other are counted.

use std::io::{self, Read};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a sector.
const SECTOR: usize = 512;

/// So many sectors, each with this hash.
pub type Run = (u64, u64);

/// The first `len` bytes of `file`.
///
/// # Errors
/// It cannot be read.
pub fn of(file: impl Read, len: u64) -> io::Result<Vec<Run>> {
    let mut file = io::BufReader::with_capacity(1 << 20, file.take(len));
    let (mut sector, mut runs) = (Vec::new(), Vec::<Run>::new());
    loop {
        sector.clear();
        if file.by_ref().take(SECTOR as u64).read_to_end(&mut sector)? == 0 {
            return Ok(runs);
        }
        let hash = xxh3_64(&sector);
        match runs.last_mut() {
            Some((count, same)) if *same == hash => *count += 1,
            _ => runs.push((1, hash)),
        }
    }
}

/// The first sector in which two disks differ, as far as both go.
pub fn first_difference(one: &[Run], other: &[Run]) -> Option<u64> {
    let (mut at, mut rest) = (0, (one.iter().copied(), other.iter().copied()));
    let (mut left, mut right) = (rest.0.next()?, rest.1.next()?);
    while left.1 == right.1 {
        let both = left.0.min(right.0);
        at += both;
        left.0 -= both;
        right.0 -= both;
        if left.0 == 0 {
            left = rest.0.next()?;
        }
        if right.0 == 0 {
            right = rest.1.next()?;
        }
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(parts: &[(usize, u8)]) -> Vec<Run> {
        let bytes: Vec<u8> = parts.iter().flat_map(|(len, byte)| vec![*byte; *len]).collect();
        of(&bytes[..], 1 << 20).unwrap()
    }

    #[test]
    fn differences_are_found_where_they_are() {
        let good = disk(&[(4096, 0), (1024, 7), (2048, 0)]);
        assert_eq!(good.iter().map(|(count, _)| *count).collect::<Vec<_>>(), [8, 2, 4]);
        assert_eq!(first_difference(&good, &good), None);
        assert_eq!(first_difference(&good, &disk(&[(4096, 0), (1023, 7), (2049, 0)])), Some(9));
        assert_eq!(first_difference(&good, &disk(&[(4096, 0), (1536, 7)])), Some(10));
        assert_eq!(first_difference(&good, &disk(&[(511, 0), (1, 1)])), Some(0));
    }

    #[test]
    fn what_one_of_them_does_not_have_is_no_difference() {
        let good = disk(&[(4096, 0), (1024, 7)]);
        assert_eq!(first_difference(&good, &disk(&[(2048, 0)])), None);
        assert_eq!(first_difference(&disk(&[(4096, 0), (1024, 7), (512, 9)]), &good), None);
        assert_eq!(first_difference(&good, &[]), None);
        assert_eq!(of(&[0; 4096][..], 1024).unwrap(), of(&[0; 1024][..], 1 << 20).unwrap());
    }
}

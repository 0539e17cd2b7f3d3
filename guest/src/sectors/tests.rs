//! Every small range against a plain vector of bytes.

use super::*;

/// A device that counts its requests.
struct Memory {
    bytes: Vec<u8>,
    reads: usize,
    writes: usize,
    broken: bool,
}

impl Memory {
    fn new(len: usize) -> Self {
        let bytes = (0..len).map(|i| u8::try_from(i % 251).unwrap() + 1).collect();
        Self { bytes, reads: 0, writes: 0, broken: false }
    }

    fn at(&self, sector: u64) -> Result<usize, SectorError> {
        if self.broken { Err(SectorError) } else { Ok(usize::try_from(sector * SECTOR).unwrap()) }
    }
}

impl Sectors for &mut Memory {
    fn image_len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&mut self, sector: u64, buffer: &mut [u8]) -> Result<(), SectorError> {
        assert!(buffer.len().is_multiple_of(SECTOR_LEN));
        self.reads += 1;
        let from = self.at(sector)?;
        buffer.copy_from_slice(&self.bytes[from..from + buffer.len()]);
        Ok(())
    }

    fn write(&mut self, sector: u64, data: &[u8]) -> Result<(), SectorError> {
        assert!(data.len().is_multiple_of(SECTOR_LEN));
        self.writes += 1;
        let from = self.at(sector)?;
        self.bytes[from..from + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn zero(&mut self, sector: u64, count: u64, _: bool) -> Result<(), SectorError> {
        assert_ne!(count, 0);
        let (from, len) = (self.at(sector)?, usize::try_from(count * SECTOR).unwrap());
        self.bytes[from..from + len].fill(0);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SectorError> {
        self.at(0).map(|_| ())
    }
}

const LEN: usize = 12 * SECTOR_LEN;
/// Smaller than the image, so that long ranges do not fit.
const BUFFER: usize = 4 * SECTOR_LEN;

/// Offsets around the borders of sectors.
fn borders() -> impl Iterator<Item = usize> + Clone {
    (0..=6 * SECTOR_LEN).filter(|at| [0, 1, 2, 200, 510, 511].contains(&(at % SECTOR_LEN)))
}

fn ranges() -> impl Iterator<Item = (usize, usize)> {
    borders().flat_map(|from| borders().map(move |len| (from, len)))
}

#[test]
fn reads_what_is_there() {
    let mut memory = Memory::new(LEN);
    let expected = memory.bytes.clone();
    let mut buffer = [0; BUFFER];
    let mut disk = SectorDisk::new(&mut memory, &mut buffer);
    for (from, len) in ranges() {
        let mut out = vec![0; len];
        disk.read_at(from as u64, &mut out).unwrap();
        assert_eq!(out, expected[from..from + len], "{len} bytes from {from}");
    }
}

#[test]
fn writes_what_is_asked_and_nothing_else() {
    for (from, len) in ranges() {
        let mut memory = Memory::new(LEN);
        let mut expected = memory.bytes.clone();
        expected[from..from + len].fill(0);
        let mut buffer = [7; BUFFER];
        SectorDisk::new(&mut memory, &mut buffer).write_at(from as u64, &vec![0; len]).unwrap();
        assert!(memory.bytes == expected, "{len} bytes from {from}");
    }
}

#[test]
fn zeroes_what_is_asked_and_nothing_else() {
    for (from, len) in ranges() {
        let mut memory = Memory::new(LEN);
        let mut expected = memory.bytes.clone();
        expected[from..from + len].fill(0);
        let mut buffer = [7; BUFFER];
        let mut disk = SectorDisk::new(&mut memory, &mut buffer);
        disk.zero_at(from as u64, len as u64, true).unwrap();
        assert!(memory.bytes == expected, "{len} bytes from {from}");
    }
}

#[test]
fn a_small_read_is_one_request() {
    let mut memory = Memory::new(LEN);
    let mut buffer = [0; BUFFER];
    let mut disk = SectorDisk::new(&mut memory, &mut buffer);
    disk.read_at(104, &mut [0; 3 * SECTOR_LEN]).unwrap();
    disk.read_at(512, &mut [0; 6 * SECTOR_LEN]).unwrap();
    disk.read_at(0, &mut [0; 104]).unwrap();
    assert_eq!(memory.reads, 3);
}

#[test]
fn whole_sectors_are_written_without_being_read() {
    let mut memory = Memory::new(LEN);
    let mut buffer = [0; BUFFER];
    SectorDisk::new(&mut memory, &mut buffer).write_at(512, &[0; 6 * SECTOR_LEN]).unwrap();
    assert_eq!((memory.reads, memory.writes), (0, 1));
}

#[test]
fn an_error_names_the_whole_request() {
    let mut memory = Memory::new(LEN);
    memory.broken = true;
    let mut buffer = [0; BUFFER];
    let mut disk = SectorDisk::new(&mut memory, &mut buffer);
    let error = |direction, offset, len| IoError { direction, offset, len, errno: 0 };
    assert_eq!(disk.read_at(3, &mut [0; 5]), Err(error(Direction::Read, 3, 5)));
    assert_eq!(disk.write_at(3, &[0; 5]), Err(error(Direction::Write, 3, 5)));
    assert_eq!(disk.zero_at(3, 5, false), Err(error(Direction::Write, 3, 5)));
    assert_eq!(disk.flush(), Err(error(Direction::Flush, 0, 0)));
}

#[test]
fn a_range_past_the_end_of_numbers_is_refused() {
    let mut memory = Memory::new(LEN);
    let mut buffer = [0; BUFFER];
    let mut disk = SectorDisk::new(&mut memory, &mut buffer);
    assert!(disk.read_at(u64::MAX, &mut [0; 2]).is_err());
    assert!(disk.read_at(u64::MAX - 2, &mut [0; 2]).is_err());
    assert!(disk.zero_at(1, u64::MAX, false).is_err());
    assert_eq!(memory.reads, 0);
}

//! Several files over one buffer.
//!
//! A guest is one thread, and no request is made while another one is under way; so a request may take
//! the buffer that all files share, and put it back. Nobody else can find it meanwhile: what is left in
//! its place is an empty one, and there is never a second reference to the same memory.

use crate::sectors::{SectorDisk, Sectors};
use core::cell::Cell;
use instar_ops::Disk;
use instar_ops::disk::{IoError, ReadAt};

/// A [`SectorDisk`] that has its buffer only during a request.
#[allow(missing_debug_implementations, reason = "a buffer that is lent out has nothing to show")]
pub struct SharedDisk<'b, S> {
    sectors: S,
    buffer: &'b Cell<&'static mut [u8]>,
}

impl<'b, S: Sectors + Copy> SharedDisk<'b, S> {
    /// The image on `sectors`; `buffer` is as [`SectorDisk::new`] wants it.
    pub const fn new(sectors: S, buffer: &'b Cell<&'static mut [u8]>) -> Self {
        Self { sectors, buffer }
    }

    fn with<T>(&self, request: impl FnOnce(&mut SectorDisk<'_, S>) -> T) -> T {
        let buffer = self.buffer.take();
        let done = request(&mut SectorDisk::new(self.sectors, &mut *buffer));
        self.buffer.set(buffer);
        done
    }
}

impl<S: Sectors + Copy> ReadAt for SharedDisk<'_, S> {
    fn len(&self) -> u64 {
        self.sectors.image_len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        self.with(|disk| disk.read_at(offset, buf))
    }
}

impl<S: Sectors + Copy> Disk for SharedDisk<'_, S> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.with(|disk| disk.write_at(offset, data))
    }

    fn zero_at(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), IoError> {
        self.with(|disk| disk.zero_at(offset, len, unmap))
    }

    fn flush(&mut self) -> Result<(), IoError> {
        self.with(|disk| disk.flush())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sectors::SectorError;
    use instar_abi::layout::SECTOR_LEN;
    use std::cell::RefCell;

    /// A device of sixteen sectors.
    #[derive(Clone, Copy)]
    struct Memory<'m>(&'m RefCell<Vec<u8>>);

    fn range(sector: u64, len: usize) -> Result<std::ops::Range<usize>, SectorError> {
        let from = usize::try_from(sector).map_err(|_| SectorError)? * SECTOR_LEN;
        Ok(from..from + len)
    }

    impl Sectors for Memory<'_> {
        fn image_len(&self) -> u64 {
            self.0.borrow().len() as u64
        }

        fn read(&mut self, sector: u64, buffer: &mut [u8]) -> Result<(), SectorError> {
            let range = range(sector, buffer.len())?;
            buffer.copy_from_slice(self.0.borrow().get(range).ok_or(SectorError)?);
            Ok(())
        }

        fn write(&mut self, sector: u64, data: &[u8]) -> Result<(), SectorError> {
            let range = range(sector, data.len())?;
            self.0.borrow_mut().get_mut(range).ok_or(SectorError)?.copy_from_slice(data);
            Ok(())
        }

        fn zero(&mut self, _: u64, _: u64, _: bool) -> Result<(), SectorError> {
            Err(SectorError)
        }

        fn flush(&mut self) -> Result<(), SectorError> {
            Ok(())
        }
    }

    #[test]
    fn files_take_turns_with_the_buffer() {
        let memories = [1, 2].map(|byte| RefCell::new(vec![byte; 16 * SECTOR_LEN]));
        let buffer: Cell<&'static mut [u8]> = Cell::new(Box::leak(vec![0; 2 * SECTOR_LEN].into()));
        let [mut one, mut two] = memories.each_ref().map(|memory| SharedDisk::new(Memory(memory), &buffer));
        let mut bytes = [0; 3];
        for _ in 0..3 {
            one.read_at(700, &mut bytes).unwrap();
            two.write_at(5, &bytes).unwrap();
            assert!(two.read_at(1 << 20, &mut bytes).is_err(), "nor is it lost to a failure");
            two.flush().unwrap();
        }
        let two = memories[1].borrow();
        assert_eq!(two[..10], [2, 2, 2, 2, 2, 1, 1, 1, 2, 2]);
    }
}

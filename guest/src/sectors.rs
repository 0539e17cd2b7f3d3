//! An image of bytes over a device of sectors.

use instar_abi::layout::{SECTOR, SECTOR_LEN};
use instar_ops::Disk;
use instar_ops::disk::{Direction, IoError, ReadAt};

/// The device failed; why is known to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectorError;

/// A device that moves whole sectors, as many as it is asked for in one go.
pub trait Sectors {
    /// Length of the image in bytes when the job began.
    fn image_len(&self) -> u64;

    /// Fills `buffer`, a whole number of sectors, from `sector`.
    ///
    /// # Errors
    /// [`SectorError`] if the device failed.
    fn read(&mut self, sector: u64, buffer: &mut [u8]) -> Result<(), SectorError>;

    /// Writes `data`, a whole number of sectors, from `sector`.
    ///
    /// # Errors
    /// [`SectorError`] if the device failed.
    fn write(&mut self, sector: u64, data: &[u8]) -> Result<(), SectorError>;

    /// Makes `count` sectors from `sector` read as zeros.
    ///
    /// # Errors
    /// [`SectorError`] if the device failed.
    fn zero(&mut self, sector: u64, count: u64, unmap: bool) -> Result<(), SectorError>;

    /// Makes everything before it durable.
    ///
    /// # Errors
    /// [`SectorError`] if the device failed.
    fn flush(&mut self) -> Result<(), SectorError>;
}

/// The image on a device: parts of sectors are read, changed and written back.
///
/// A write to a part of the last sector makes a file whose length is no multiple of a sector longer,
/// by zeros; its final length is set by whoever holds it.
#[derive(Debug)]
pub struct SectorDisk<'a, S> {
    sectors: S,
    buffer: &'a mut [u8],
}

/// Where a piece of a request lies.
struct Piece {
    /// Its first sector.
    sector: u64,
    /// Bytes of that sector before it.
    skip: usize,
    /// Its length in bytes.
    len: usize,
    /// Whether it is whole sectors and goes without the buffer.
    direct: bool,
}

impl Piece {
    /// The first piece of a request for `len` bytes (not 0) from `offset`.
    ///
    /// What fits into `room` bytes with the sectors' unwanted parts goes through the buffer at once,
    /// as one request to the device.
    fn first(offset: u64, len: usize, room: usize) -> Self {
        let (sector, skip) = (offset / SECTOR, in_sector(offset));
        if skip == 0 && (len.is_multiple_of(SECTOR_LEN) || len > room) {
            return Self { sector, skip, len: len - len % SECTOR_LEN, direct: true };
        }
        Self { sector, skip, len: len.min(room - skip), direct: false }
    }

    /// Bytes of all sectors that it touches.
    const fn covered(&self) -> usize {
        (self.skip + self.len).next_multiple_of(SECTOR_LEN)
    }
}

/// How far `offset` lies in its sector.
const fn in_sector(offset: u64) -> usize {
    (offset % SECTOR) as usize
}

impl<'a, S: Sectors> SectorDisk<'a, S> {
    /// The image on `sectors`; `buffer` is two sectors or more and a whole number of them.
    pub fn new(sectors: S, buffer: &'a mut [u8]) -> Self {
        debug_assert!(buffer.len() >= 2 * SECTOR_LEN && buffer.len().is_multiple_of(SECTOR_LEN));
        Self { sectors, buffer }
    }

    /// The start of the buffer that covers `piece`.
    fn window(&mut self, piece: &Piece) -> (&mut S, &mut [u8]) {
        let window = self.buffer.get_mut(..piece.covered()).unwrap_or_default();
        (&mut self.sectors, window)
    }

    fn read_piece(&mut self, piece: &Piece, out: &mut [u8]) -> Result<(), SectorError> {
        if piece.direct {
            return self.sectors.read(piece.sector, out);
        }
        let (sectors, window) = self.window(piece);
        sectors.read(piece.sector, window)?;
        out.copy_from_slice(&window[piece.skip..piece.skip + piece.len]);
        Ok(())
    }

    fn write_piece(&mut self, piece: &Piece, data: &[u8]) -> Result<(), SectorError> {
        if piece.direct {
            return self.sectors.write(piece.sector, data);
        }
        let (sectors, window) = self.window(piece);
        let (end, last) = (piece.skip + piece.len, piece.covered() - SECTOR_LEN);
        let tail = !end.is_multiple_of(SECTOR_LEN);
        if piece.skip != 0 || (tail && last == 0) {
            sectors.read(piece.sector, &mut window[..SECTOR_LEN])?;
        }
        if tail && last != 0 {
            let sector = piece.sector + (last / SECTOR_LEN) as u64;
            sectors.read(sector, &mut window[last..])?;
        }
        window[piece.skip..end].copy_from_slice(data);
        sectors.write(piece.sector, window)
    }

    /// Zeroes a part of one sector.
    fn zero_part(&mut self, offset: u64, len: u64) -> Result<(), SectorError> {
        let zeros = [0; SECTOR_LEN];
        let len = in_sector(len);
        if len == 0 {
            return Ok(());
        }
        let piece = Piece { sector: offset / SECTOR, skip: in_sector(offset), len, direct: false };
        self.write_piece(&piece, &zeros[..len])
    }

    fn zero_range(&mut self, offset: u64, end: u64, unmap: bool) -> Result<(), SectorError> {
        let first = offset.next_multiple_of(SECTOR);
        let last = end - end % SECTOR;
        if first > last {
            return self.zero_part(offset, end - offset);
        }
        self.zero_part(offset, first - offset)?;
        if first < last {
            self.sectors.zero(first / SECTOR, (last - first) / SECTOR, unmap)?;
        }
        self.zero_part(last, end - last)
    }
}

/// A request of `len` bytes at `offset` that the device did not do. The host knows the errno.
const fn failed(direction: Direction, offset: u64, len: u64) -> IoError {
    IoError { direction, offset, len, errno: 0 }
}

/// The end of a request; one that no device can have is refused.
fn end(direction: Direction, offset: u64, len: u64) -> Result<u64, IoError> {
    offset
        .checked_add(len)
        .filter(|end| end.checked_next_multiple_of(SECTOR).is_some())
        .ok_or(failed(direction, offset, len))
}

impl<S: Sectors> ReadAt for SectorDisk<'_, S> {
    fn len(&self) -> u64 {
        self.sectors.image_len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let error = failed(Direction::Read, offset, buf.len() as u64);
        end(Direction::Read, offset, buf.len() as u64)?;
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let piece = Piece::first(at, rest.len(), self.buffer.len());
            let (out, later) = rest.split_at_mut(piece.len);
            self.read_piece(&piece, out).map_err(|SectorError| error)?;
            (at, rest) = (at + piece.len as u64, later);
        }
        Ok(())
    }
}

impl<S: Sectors> Disk for SectorDisk<'_, S> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        let error = failed(Direction::Write, offset, data.len() as u64);
        end(Direction::Write, offset, data.len() as u64)?;
        let (mut at, mut rest) = (offset, data);
        while !rest.is_empty() {
            let piece = Piece::first(at, rest.len(), self.buffer.len());
            let (now, later) = rest.split_at(piece.len);
            self.write_piece(&piece, now).map_err(|SectorError| error)?;
            (at, rest) = (at + piece.len as u64, later);
        }
        Ok(())
    }

    fn zero_at(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), IoError> {
        let end = end(Direction::Write, offset, len)?;
        self.zero_range(offset, end, unmap).map_err(|SectorError| failed(Direction::Write, offset, len))
    }

    fn flush(&mut self) -> Result<(), IoError> {
        self.sectors.flush().map_err(|SectorError| failed(Direction::Flush, 0, 0))
    }
}

#[cfg(test)]
mod tests;

//! The files behind the device, each in a window of its sectors ([`Windows`]).
//!
//! Whatever a request says, it reaches one file and stays in its window: the window comes from the
//! number of its first sector, what follows is an offset in that file, and an [`Image`] refuses what
//! goes beyond the window, beyond its limit, or to a file that is only to be read.

use crate::image::{Buffer, Image, Seen};
use crate::observe::Observer;
use instar_abi::layout::{SECTOR, Windows};
use instar_ops::disk::{Direction, IoError};
use std::os::fd::RawFd;

/// All files of a job.
#[derive(Debug)]
pub struct Files<'a> {
    /// The image first, then its data file, if it has one, then those that are only to be read.
    files: Vec<Image<'a>>,
    /// Whether the second file is the image's data file.
    has_data_file: bool,
    /// The first request that failed, whichever file it was about.
    failure: Option<IoError>,
}

impl<'a> Files<'a> {
    /// An image without other files.
    pub fn only(image: Image<'a>) -> Self {
        Self { files: vec![image], has_data_file: false, failure: None }
    }

    /// Nothing yet; there is no job without a file.
    pub const fn none() -> Self {
        Self { files: Vec::new(), has_data_file: false, failure: None }
    }

    /// The image with its external data file, if it has one.
    pub fn with_data_file(image: Image<'a>, data_file: Option<Image<'a>>) -> Self {
        let has_data_file = data_file.is_some();
        Self { files: std::iter::once(image).chain(data_file).collect(), has_data_file, failure: None }
    }

    /// One more file.
    pub fn push(&mut self, file: Image<'a>) {
        self.files.push(file);
    }

    /// Lets `observer` see what becomes of them.
    pub fn observe(&mut self, observer: &Observer) {
        for (number, file) in self.files.iter_mut().enumerate() {
            file.observer = observer.of_file(number);
        }
    }

    /// The open files themselves.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.files.iter().map(Image::descriptor)
    }

    /// The first byte that no file may have, if any may be written.
    pub fn furthest_limit(&self) -> Option<u64> {
        self.files.iter().filter(|file| !file.read_only).map(Image::file_limit).max()
    }

    /// Length of each file in bytes when the job began.
    pub fn lengths(&self) -> Vec<u64> {
        self.files.iter().map(|file| file.len).collect()
    }

    /// Sectors of the image's window, up to its limit.
    pub fn image_capacity(&self) -> u64 {
        self.files.first().map_or(0, |image| image.limit / SECTOR)
    }

    /// Sectors of the device: up to the limit of the last file.
    pub fn capacity(&self) -> u64 {
        let last = self.files.len().saturating_sub(1) as u64;
        self.windows().first(last) + self.files.last().map_or(0, |file| file.limit / SECTOR)
    }

    fn windows(&self) -> Windows {
        Windows::of(self.files.len() as u64)
    }

    /// Whether no file may be written.
    pub fn read_only(&self) -> bool {
        self.files.iter().all(|file| file.read_only)
    }

    /// What was done to all of them. `written_end` is the image's.
    pub fn seen(&self) -> Seen {
        let mut all = Seen { failure: self.failure, ..Seen::default() };
        for seen in self.files.iter().map(|file| &file.seen) {
            all.bytes_read = all.bytes_read.saturating_add(seen.bytes_read);
            all.bytes_written = all.bytes_written.saturating_add(seen.bytes_written);
            all.writes = all.writes.saturating_add(seen.writes);
            all.flushes = all.flushes.saturating_add(seen.flushes);
        }
        all.written_end = self.files.first().map_or(0, |image| image.seen.written_end);
        let data_file = self.files.get(1).filter(|_| self.has_data_file);
        all.data_written_end = data_file.map_or(0, |file| file.seen.written_end);
        all
    }

    /// Lets `act` have the file that `sector` belongs to, and the offset in it; whether it could.
    fn at(
        &mut self,
        (direction, sector, len): (Direction, u64, u64),
        act: impl FnOnce(&mut Image<'a>, u64) -> bool,
    ) -> bool {
        let windows = self.windows();
        let (file, offset) = windows.split(sector);
        let image = usize::try_from(file).ok().and_then(|file| self.files.get_mut(file));
        let fits = offset.checked_add(len).is_some_and(|end| end <= windows.bytes());
        let Some(image) = image.filter(|_| fits) else {
            let errno = if fits { libc::ENXIO } else { libc::EFBIG }.unsigned_abs();
            self.failure.get_or_insert(IoError { direction, offset, len, errno });
            return false;
        };
        let done = act(image, offset);
        self.failure = self.failure.or(image.seen.failure);
        done
    }

    /// Fills `buffer` from `sector`. Whether it could.
    ///
    /// # Safety
    /// `buffer` is writable for its length.
    pub unsafe fn read(&mut self, sector: u64, buffer: Buffer) -> bool {
        self.at((Direction::Read, sector, buffer.len as u64), |image, offset| {
            // SAFETY: passed on to the caller.
            unsafe { image.read(offset, buffer) }
        })
    }

    /// Writes `buffer` from `sector` on. Whether it could.
    ///
    /// # Safety
    /// `buffer` is readable for its length.
    pub unsafe fn write(&mut self, sector: u64, buffer: Buffer) -> bool {
        self.at((Direction::Write, sector, buffer.len as u64), |image, offset| {
            // SAFETY: passed on to the caller.
            unsafe { image.write(offset, buffer) }
        })
    }

    /// Makes `len` bytes from `sector` on read as zeros. Whether it could.
    pub fn zero(&mut self, sector: u64, len: u64, unmap: bool) -> bool {
        self.at((Direction::Write, sector, len), |image, offset| image.zero(offset, len, unmap))
    }

    /// Makes everything before it durable, in every file that may be written: the data file first,
    /// which the image's metadata names. An extent that was not written since it was flushed is durable: a disk may
    /// be in hundreds of them. Whether it could.
    pub fn flush(&mut self) -> bool {
        let written = self.files.iter_mut().rev().enumerate();
        let last = written.len().saturating_sub(1);
        let mut done = true;
        for (index, file) in written {
            // The image is flushed even if it is only read: somebody may ask for it.
            let idle = file.is_extent && file.seen.writes == file.seen.durable;
            if index == last || !(file.read_only || idle) {
                file.seen.durable = file.seen.writes;
                done &= file.flush();
                self.failure = self.failure.or(file.seen.failure);
            }
        }
        done
    }
}

#[cfg(test)]
mod tests;

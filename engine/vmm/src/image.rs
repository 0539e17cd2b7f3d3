//! The image file, as the block device uses it: reads, writes, zeroing, flushing.
//!
//! Nothing here knows what is in the image.

use crate::observe::{Change, Observer};
use crate::window::Window;
use instar_abi::layout::Windows;
use instar_ops::disk::{Direction, IoError};
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsRawFd, RawFd};

/// Bytes that are written at once where the file system cannot zero a range.
const ZEROS: usize = 1 << 20;

/// An open image and what became of it.
#[derive(Debug)]
pub struct Image<'a> {
    window: Window<'a>,
    /// Length in bytes when the job began.
    pub len: u64,
    /// First byte that no write may reach.
    pub limit: u64,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether it is one of the files that a disk is in.
    pub is_extent: bool,
    /// What was done to it.
    pub seen: Seen,
    /// Who is told of changes.
    pub observer: Observer,
}

/// What the host saw a guest do to the image.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written, zeroing not counted.
    pub bytes_written: u64,
    /// Requests to write or to zero that changed, or may have changed, the file.
    pub writes: u64,
    /// How many of them the last request to make it durable has seen.
    pub durable: u64,
    /// Requests to make it durable.
    pub flushes: u64,
    /// First byte after everything that was written or zeroed.
    pub written_end: u64,
    /// The same of the image's data file.
    pub data_written_end: u64,
    /// The first request that failed.
    pub failure: Option<IoError>,
}

/// Part of guest memory that a request moves bytes from or to.
#[derive(Debug, Clone, Copy)]
pub struct Buffer {
    /// Where it is mapped in this process.
    pub at: *mut u8,
    /// Its length in bytes.
    pub len: usize,
}

/// The length of `file`: of its contents, or of the device that it is.
pub fn file_len(file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    let mut file = file;
    let position = file.stream_position()?;
    let len = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(position))?;
    Ok(len)
}

/// Repeats `call` until no signal interrupts it.
fn uninterrupted(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        if let Ok(done) = usize::try_from(call()) {
            return Ok(done);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// An offset or a length as the kernel takes it.
fn signed(number: u64) -> io::Result<i64> {
    i64::try_from(number).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

impl<'a> Image<'a> {
    /// `file`, which has `len` bytes; no write may reach beyond `limit`.
    pub const fn new(file: &'a File, len: u64, limit: u64, read_only: bool) -> Self {
        let seen = Seen {
            bytes_read: 0,
            bytes_written: 0,
            writes: 0,
            durable: 0,
            flushes: 0,
            written_end: 0,
            data_written_end: 0,
            failure: None,
        };
        let window = Window { file, offset: 0, size: None };
        Self { window, len, limit, read_only, is_extent: false, seen, observer: Observer::none() }
    }

    /// The image in `window`, else as [`Self::new`].
    pub fn within(window: Window<'a>, len: u64, limit: u64, read_only: bool) -> Self {
        Self { window, ..Self::new(window.file, len, limit, read_only) }
    }

    /// The open file itself.
    pub fn descriptor(&self) -> RawFd {
        self.window.file.as_raw_fd()
    }

    /// First byte of the file that no write may reach.
    pub const fn file_limit(&self) -> u64 {
        self.window.at(self.limit)
    }

    /// Refuses changes to what is only to be read, changes beyond the limit, and offsets that no file has. What is read
    /// beyond the limit, or beyond the end, is zeros: no harm in that.
    fn admit(&self, direction: Direction, offset: u64, len: u64) -> io::Result<()> {
        let write = direction == Direction::Write;
        if write && self.read_only {
            return Err(io::Error::from_raw_os_error(libc::EROFS));
        }
        if write {
            self.window.admit(offset, len)?;
        }
        let limit = if write { self.limit } else { Windows::of(1).bytes() };
        match offset.checked_add(len) {
            Some(end) if end <= limit => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::EFBIG)),
        }
    }

    /// Keeps the first failure; whether there was none.
    fn note(&mut self, direction: Direction, offset: u64, len: u64, done: io::Result<()>) -> bool {
        let Err(error) = done else {
            return true;
        };
        let errno = error.raw_os_error().unwrap_or(libc::EIO).unsigned_abs();
        self.seen.failure.get_or_insert(IoError { direction, offset, len, errno });
        false
    }

    /// Fills `buffer` from `offset`; what lies past the end of the file is zeros. Whether it could.
    ///
    /// # Safety
    /// `buffer` is writable for its length.
    pub unsafe fn read(&mut self, offset: u64, buffer: Buffer) -> bool {
        let len = buffer.len as u64;
        let done = self.admit(Direction::Read, offset, len).and_then(|()| {
            // SAFETY: passed on to the caller.
            unsafe { self.read_all(offset, buffer) }
        });
        self.seen.bytes_read = self.seen.bytes_read.saturating_add(len);
        self.note(Direction::Read, offset, len, done)
    }

    /// # Safety
    /// As [`Self::read`].
    unsafe fn read_all(&self, offset: u64, buffer: Buffer) -> io::Result<()> {
        let fd = self.window.file.as_raw_fd();
        let inside = self.window.inside(offset, buffer.len);
        let mut done = 0;
        while done < inside {
            let (at, left) = (buffer.at.wrapping_add(done), inside - done);
            let from = signed(self.window.at(offset + done as u64))?;
            // SAFETY: `left` bytes from `at` lie within the buffer.
            let now = uninterrupted(|| unsafe { libc::pread64(fd, at.cast(), left, from) })?;
            if now == 0 {
                break;
            }
            done += now;
        }
        // SAFETY: what was not read is the rest of the buffer.
        unsafe { buffer.at.wrapping_add(done).write_bytes(0, buffer.len - done) };
        Ok(())
    }

    /// Writes `buffer` to `offset`. Whether it could.
    ///
    /// # Safety
    /// `buffer` is readable for its length.
    pub unsafe fn write(&mut self, offset: u64, buffer: Buffer) -> bool {
        let len = buffer.len as u64;
        let done = self.admit(Direction::Write, offset, len).and_then(|()| {
            self.wrote(offset, len);
            self.seen.bytes_written = self.seen.bytes_written.saturating_add(len);
            // SAFETY: passed on to the caller.
            unsafe {
                self.tell_write(offset, buffer)?;
                self.write_all(offset, buffer)
            }
        });
        self.note(Direction::Write, offset, len, done)
    }

    /// # Safety
    /// As [`Self::write`].
    unsafe fn tell_write(&self, offset: u64, buffer: Buffer) -> io::Result<()> {
        if !self.observer.is_some() {
            return Ok(());
        }
        // A copy: nobody else shall hold a reference into the memory of a guest.
        let mut data = vec![0; buffer.len];
        // SAFETY: both are that long, and they do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(buffer.at.cast_const(), data.as_mut_ptr(), buffer.len) };
        self.observer.tell(Change::Write { offset, data: &data })
    }

    fn wrote(&mut self, offset: u64, len: u64) {
        self.seen.writes += 1;
        self.seen.written_end = self.seen.written_end.max(offset + len);
    }

    /// # Safety
    /// As [`Self::write`].
    unsafe fn write_all(&self, offset: u64, buffer: Buffer) -> io::Result<()> {
        let fd = self.window.file.as_raw_fd();
        let mut done = 0;
        while done < buffer.len {
            let (at, left) = (buffer.at.wrapping_add(done), buffer.len - done);
            let to = signed(self.window.at(offset + done as u64))?;
            // SAFETY: `left` bytes from `at` are the rest of the buffer.
            match uninterrupted(|| unsafe { libc::pwrite64(fd, at.cast_const().cast(), left, to) })? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                now => done += now,
            }
        }
        Ok(())
    }

    /// Makes `len` bytes from `offset` read as zeros; with `unmap` their space is given back where
    /// that is possible, without it they are allocated. Whether it could.
    pub fn zero(&mut self, offset: u64, len: u64, unmap: bool) -> bool {
        let done = self.admit(Direction::Write, offset, len).and_then(|()| {
            self.wrote(offset, len);
            self.observer.tell(Change::Zero { offset, len, unmap })?;
            self.zero_all(offset, len, unmap)
        });
        self.note(Direction::Write, offset, len, done)
    }

    fn zero_all(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        let modes: &[i32] =
            if unmap { &[punch, libc::FALLOC_FL_ZERO_RANGE] } else { &[libc::FALLOC_FL_ZERO_RANGE] };
        for mode in modes {
            match self.fallocate(*mode, offset, len) {
                Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
                done => return done,
            }
        }
        self.write_zeros(offset, len)
    }

    fn fallocate(&self, mode: i32, offset: u64, len: u64) -> io::Result<()> {
        let fd = self.window.file.as_raw_fd();
        let (offset, len) = (signed(self.window.at(offset))?, signed(len)?);
        // SAFETY: numbers only.
        uninterrupted(|| unsafe { libc::fallocate64(fd, mode, offset, len) } as isize).map(|_| ())
    }

    fn write_zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut zeros = vec![0; usize::try_from(len).unwrap_or(ZEROS).min(ZEROS)];
        let mut done = 0;
        while done < len {
            let now = usize::try_from(len - done).unwrap_or(ZEROS).min(ZEROS);
            // SAFETY: `now` is at most the length of the vector.
            unsafe { self.write_all(offset + done, Buffer { at: zeros.as_mut_ptr(), len: now })? };
            done += now as u64;
        }
        Ok(())
    }

    /// Makes everything before it durable. Whether it could.
    pub fn flush(&mut self) -> bool {
        self.seen.flushes += 1;
        let fd = self.window.file.as_raw_fd();
        // SAFETY: numbers only.
        let sync = |()| uninterrupted(|| unsafe { libc::fdatasync(fd) } as isize);
        let done = self.observer.tell(Change::Flush).and_then(sync);
        // What has no storage behind it (a character device) has nothing to make durable.
        let done = match done {
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            done => done.map(|_| ()),
        };
        self.note(Direction::Flush, 0, 0, done)
    }
}

#[cfg(test)]
mod tests;

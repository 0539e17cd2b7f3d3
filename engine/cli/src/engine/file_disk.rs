//! A host file as a [`Disk`].

use crate::host;
use instar_ops::Disk;
use instar_ops::disk::{Direction, IoError, ReadAt};
use instar_vmm::{Change, Observer, Stats, Window};
use std::io;
use std::os::unix::fs::FileExt;

/// The largest offset in a file.
const MAX_OFFSET: u64 = i64::MAX.cast_unsigned();

/// An open file, with a count of what is done to it.
#[derive(Debug)]
pub struct FileDisk<'a> {
    window: Window<'a>,
    len: u64,
    stats: Stats,
    observer: Observer,
}

impl<'a> FileDisk<'a> {
    /// A disk of the file's present length.
    ///
    /// # Errors
    /// The kernel's error if it does not tell the length.
    pub fn new(file: impl Into<Window<'a>>) -> io::Result<Self> {
        let window = file.into();
        Ok(Self { window, len: window.len()?, stats: Stats::default(), observer: Observer::none() })
    }

    /// The same, with every change shown to `observer` before it is made.
    pub fn watched(self, observer: Observer) -> Self {
        Self { observer, ..self }
    }

    /// What was done so far.
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Refuses to write where no file reaches, or where the image does not.
    fn writable(&self, offset: u64, len: u64) -> Result<(), IoError> {
        let error = failed(Direction::Write, offset, len);
        match self.window.at(offset).checked_add(len) {
            Some(end) if end <= MAX_OFFSET => self.window.admit(offset, len).map_err(error),
            _ => Err(error(io::Error::from_raw_os_error(libc::EFBIG))),
        }
    }

    fn read_through(&self, mut offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let (mut buf, beyond) = buf.split_at_mut(self.window.inside(offset, buf.len()));
        beyond.fill(0);
        while !buf.is_empty() {
            match self.window.file.read_at(buf, self.window.at(offset)) {
                Ok(0) => {
                    buf.fill(0);
                    return Ok(());
                }
                Ok(n) => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

fn failed(direction: Direction, offset: u64, len: u64) -> impl Fn(io::Error) -> IoError {
    move |error| IoError { direction, offset, len, errno: error.raw_os_error().unwrap_or(0).cast_unsigned() }
}

impl ReadAt for FileDisk<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let len = buf.len() as u64;
        self.stats.block_requests += 1;
        self.stats.bytes_read += len;
        let error = failed(Direction::Read, offset, len);
        if offset.checked_add(len).is_none() {
            return Err(error(io::Error::from_raw_os_error(libc::EFBIG)));
        }
        // No file reaches beyond what a signed offset can name.
        let readable = usize::try_from(MAX_OFFSET.saturating_sub(offset));
        let (inside, beyond) = buf.split_at_mut(readable.map_or(buf.len(), |r| r.min(buf.len())));
        beyond.fill(0);
        self.read_through(offset, inside).map_err(error)
    }
}

impl Disk for FileDisk<'_> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        let len = data.len() as u64;
        self.stats.block_requests += 1;
        self.stats.bytes_written += len;
        self.writable(offset, len)?;
        let told = self.observer.tell(Change::Write { offset, data });
        told.and_then(|()| self.window.file.write_all_at(data, self.window.at(offset))).map_err(failed(
            Direction::Write,
            offset,
            len,
        ))
    }

    fn zero_at(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), IoError> {
        self.stats.block_requests += 1;
        self.writable(offset, len)?;
        let told = self.observer.tell(Change::Zero { offset, len, unmap });
        let zeroed = told.and_then(|()| host::zero(self.window.file, self.window.at(offset), len, unmap));
        zeroed.map_err(failed(Direction::Write, offset, len))
    }

    fn flush(&mut self) -> Result<(), IoError> {
        self.stats.flushes += 1;
        let told = self.observer.tell(Change::Flush);
        told.and_then(|()| self.window.file.sync_data()).map_err(failed(Direction::Flush, 0, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs::File;

    #[test]
    fn reads_zeros_past_the_end() {
        let file = tempfile::tempfile().expect("a temporary file");
        file.write_all_at(b"abc", 0).expect("written");
        let mut disk = FileDisk::new(&file).expect("stat");
        let mut buf = [1; 6];
        disk.read_at(1, &mut buf).expect("read");
        assert_eq!(&buf, b"bc\0\0\0\0");
        disk.read_at(u64::MAX - 6, &mut buf).expect("nothing there");
        assert_eq!(buf, [0; 6]);
        assert!(disk.read_at(u64::MAX - 5, &mut [0; 7]).is_err());
    }

    #[test]
    fn writes_extend_the_file_but_not_the_disk() {
        let file = tempfile::tempfile().expect("a temporary file");
        let mut disk = FileDisk::new(&file).expect("stat");
        disk.write_at(1000, b"x").expect("written");
        disk.flush().expect("flushed");
        assert_eq!(disk.len(), 0);
        assert_eq!(file.metadata().expect("stat").len(), 1001);
        assert_eq!(disk.stats().bytes_written, 1);
        assert_eq!(disk.stats().flushes, 1);
    }

    #[test]
    fn an_error_keeps_its_number_and_place() {
        let file = File::open("/dev/null").expect("opens");
        let mut disk = FileDisk::new(&file).expect("stat");
        let error = disk.write_at(512, b"x").expect_err("not open for writing");
        assert_eq!(error.errno, libc::EBADF.cast_unsigned());
        assert_eq!((error.offset, error.len), (512, 1));
        let error = disk.zero_at(u64::MAX, 2, false).expect_err("overflow");
        assert_eq!(error.errno, libc::EFBIG.cast_unsigned());
    }
}

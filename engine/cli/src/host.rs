//! What only the host can do to an image file: lengths, space, zeros.

use rustix::fs::FallocateFlags;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Zeros are written in pieces of this many bytes where the filesystem cannot do better.
const ZERO_CHUNK: usize = 1 << 20;

/// How a range becomes zeros or gets its space; the kernel's `fallocate` modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Space for the range, its content kept; the file grows to hold it.
    Allocate,
    /// Zeros with space for them; the file grows to hold them.
    Zero,
    /// Zeros without space; the file does not grow.
    Punch,
}

impl Mode {
    const fn flags(self) -> FallocateFlags {
        match self {
            Self::Allocate => FallocateFlags::empty(),
            Self::Zero => FallocateFlags::ZERO_RANGE,
            Self::Punch => FallocateFlags::PUNCH_HOLE.union(FallocateFlags::KEEP_SIZE),
        }
    }
}

/// Makes a byte range read as zeros. With `unmap` its space is given back where the filesystem can;
/// without it the range ends up allocated and the file holds it.
///
/// # Errors
/// The kernel's error.
pub fn zero(file: &File, offset: u64, len: u64, unmap: bool) -> io::Result<()> {
    let mode = if unmap { Mode::Punch } else { Mode::Zero };
    match fallocate(file, mode, offset, len) {
        Err(e) if is_unsupported(&e) => write_zeros(file, offset, len),
        other => other,
    }
}

/// Gives a byte range space on the host without writing to it, or with zeros if the filesystem
/// cannot do that.
///
/// # Errors
/// The kernel's error.
pub fn allocate(file: &File, offset: u64, len: u64) -> io::Result<()> {
    match fallocate(file, Mode::Allocate, offset, len) {
        Err(e) if is_unsupported(&e) => write_zeros(file, offset, len),
        other => other,
    }
}

/// Makes a byte range read as zeros with space for them, if the filesystem can do that without writing.
///
/// # Errors
/// The kernel's error, [`is_unsupported`] among them.
pub fn reserve(file: &File, offset: u64, len: u64) -> io::Result<()> {
    fallocate(file, Mode::Zero, offset, len)
}

/// Writes zeros to a byte range.
///
/// # Errors
/// The kernel's error.
pub fn write_zeros(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let zeros = vec![0; usize::try_from(len).map_or(ZERO_CHUNK, |l| l.min(ZERO_CHUNK))];
    let mut done = 0;
    while done < len {
        let piece = usize::try_from(len - done).map_or(zeros.len(), |l| l.min(zeros.len()));
        file.write_all_at(&zeros[..piece], offset + done)?;
        done += piece as u64;
    }
    Ok(())
}

/// Whether the filesystem has no such call.
#[must_use]
pub fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS))
}

fn fallocate(file: &File, mode: Mode, offset: u64, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    if offset.checked_add(len).is_none_or(|end| i64::try_from(end).is_err()) {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    Ok(rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, mode.flags(), offset, len))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn sample() -> File {
        let file = tempfile::tempfile().expect("a temporary file");
        file.write_all_at(&[7; 65536], 0).expect("written");
        file
    }

    fn content(file: &File) -> Vec<u8> {
        let len = file.metadata().expect("stat").len();
        let mut buf = vec![0; usize::try_from(len).expect("small")];
        file.read_exact_at(&mut buf, 0).expect("read");
        buf
    }

    #[test]
    fn zeros_only_where_asked() {
        for unmap in [false, true] {
            let file = sample();
            zero(&file, 4096, 8192, unmap).expect("zeroed");
            let bytes = content(&file);
            assert_eq!(bytes.len(), 65536);
            assert!(bytes[..4096].iter().all(|&b| b == 7));
            assert!(bytes[4096..12288].iter().all(|&b| b == 0));
            assert!(bytes[12288..].iter().all(|&b| b == 7));
        }
    }

    #[test]
    fn allocated_zeros_extend_the_file() {
        let file = sample();
        zero(&file, 65536, 65536, false).expect("zeroed");
        let metadata = file.metadata().expect("stat");
        assert_eq!(metadata.len(), 131_072);
        assert!(metadata.blocks() * 512 >= 131_072);
    }

    #[test]
    fn written_zeros_are_the_fallback() {
        let file = sample();
        write_zeros(&file, 100, (2 << 20) + 5).expect("written");
        let bytes = content(&file);
        assert_eq!(bytes.len(), (2 << 20) + 105);
        assert!(bytes[100..].iter().all(|&b| b == 0));
        assert!(bytes[..100].iter().all(|&b| b == 7));
    }

    #[test]
    fn nothing_is_no_error() {
        let file = sample();
        zero(&file, 0, 0, false).expect("nothing to do");
        allocate(&file, 0, 0).expect("nothing to do");
        assert_eq!(content(&file), vec![7; 65536]);
    }
}

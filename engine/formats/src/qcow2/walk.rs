//! Reading tables in large pieces: a read may cost an exit from a virtual machine, an entry must not.

use crate::bytes::index;
use crate::io::{IoError, ReadAt};

/// A piece of the image, kept until something outside it is wanted.
#[derive(Debug)]
pub struct Buffered<'b> {
    buf: &'b mut [u8],
    start: u64,
    filled: u64,
}

impl<'b> Buffered<'b> {
    /// A reader that keeps up to `buf.len()` bytes.
    pub const fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, start: 0, filled: 0 }
    }

    /// Forgets what is at hand: the image has changed.
    pub const fn forget(&mut self) {
        self.filled = 0;
    }

    /// The bytes from `offset` on that are at hand: at least one, at most `ahead`, the distance to the
    /// end of what the caller walks. Bytes past the end of the image are zeros and cost no read.
    /// Empty only if `ahead` or the buffer is.
    ///
    /// # Errors
    /// The device's.
    pub fn piece<R: ReadAt + ?Sized>(
        &mut self,
        image: &mut R,
        offset: u64,
        ahead: u64,
    ) -> Result<&[u8], IoError> {
        if offset.wrapping_sub(self.start) >= self.filled {
            self.fill(image, offset, ahead)?;
        }
        let skip = offset.saturating_sub(self.start);
        let len = self.filled.saturating_sub(skip).min(ahead);
        let piece = self.buf.get(index(skip)..index(skip.saturating_add(len)));
        Ok(piece.unwrap_or_default())
    }

    /// Exactly `out.len()` bytes from `offset`, reading up to `ahead` bytes if it must read at all.
    ///
    /// # Errors
    /// The device's.
    pub fn exact<R: ReadAt + ?Sized>(
        &mut self,
        image: &mut R,
        offset: u64,
        ahead: u64,
        out: &mut [u8],
    ) -> Result<(), IoError> {
        let mut done = 0;
        while let Some(rest) = out.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(done as u64);
            let ahead = ahead.saturating_sub(done as u64).max(rest.len() as u64);
            let piece = self.piece(image, at, ahead)?;
            let len = piece.len().min(rest.len());
            if len == 0 {
                break;
            }
            for (to, from) in rest.iter_mut().zip(piece) {
                *to = *from;
            }
            done = done.saturating_add(len);
        }
        Ok(())
    }

    fn fill<R: ReadAt + ?Sized>(&mut self, image: &mut R, offset: u64, ahead: u64) -> Result<(), IoError> {
        self.filled = 0;
        let want = ahead.min(self.buf.len() as u64);
        let there = image.len().saturating_sub(offset).min(want);
        let (data, past) = self
            .buf
            .get_mut(..index(want))
            .unwrap_or_default()
            .split_at_mut_checked(index(there))
            .unwrap_or_default();
        if !data.is_empty() {
            image.read_at(offset, data)?;
        }
        past.fill(0);
        self.start = offset;
        self.filled = want;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting {
        reads: usize,
    }

    impl ReadAt for Counting {
        fn len(&self) -> u64 {
            100
        }

        fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
            self.reads = self.reads.saturating_add(1);
            for (b, at) in buf.iter_mut().zip(offset..) {
                *b = u8::try_from(at).unwrap();
            }
            Ok(())
        }
    }

    #[test]
    fn a_walk_reads_once_a_buffer() {
        let (mut image, mut buf) = (Counting { reads: 0 }, [0; 32]);
        let mut reader = Buffered::new(&mut buf);
        let mut seen = 0;
        while seen < 80 {
            let piece = reader.piece(&mut image, 20 + seen, 80 - seen).unwrap();
            assert_eq!(u64::from(piece[0]), 20 + seen);
            seen += piece.len().min(4) as u64;
        }
        assert_eq!(image.reads, 3);
    }

    #[test]
    fn past_the_end_is_zeros_without_a_read() {
        let (mut image, mut buf) = (Counting { reads: 0 }, [7; 32]);
        let mut reader = Buffered::new(&mut buf);
        assert_eq!(reader.piece(&mut image, 1000, 64).unwrap(), [0; 32]);
        assert_eq!(reader.piece(&mut image, u64::MAX, 4).unwrap(), [0; 4]);
        assert_eq!(image.reads, 0);
        let piece = reader.piece(&mut image, 98, 4).unwrap();
        assert_eq!(piece, [98, 99, 0, 0]);
    }

    #[test]
    fn exact_crosses_a_buffer_end() {
        let (mut image, mut buf) = (Counting { reads: 0 }, [0; 8]);
        let mut reader = Buffered::new(&mut buf);
        let mut out = [0; 6];
        reader.exact(&mut image, 0, 100, &mut out[..4]).unwrap();
        reader.exact(&mut image, 5, 95, &mut out).unwrap();
        assert_eq!(out, [5, 6, 7, 8, 9, 10]);
        assert_eq!(image.reads, 2);
    }
}

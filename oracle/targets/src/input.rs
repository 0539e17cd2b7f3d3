//! Bytes as a sparse image with a request.
//!
//! All numbers are little-endian. First the request: the size (8 bytes), how long the file is in bytes (6), flags (1: two
//! bits for an absolute size, more or less, one for `--shrink`, two for the preallocation), and one byte that means nothing.
//! Then pieces of the image until the end: where (6), how long (2), the bytes; a last piece that is cut short is as long as it
//! is. A length with the highest bit set is that of a piece with one and the same byte, which follows. What no piece
//! covers is zeros. So a file of a tebibyte takes as few bytes as its metadata has, and a fuzzer that
//! changes one of them changes one byte of the image or one number of the request.

use instar_ops::{Format, Identity, Preallocation, ResizeRequest, SizeRequest};
use oracle_crash::Image;

/// Length of the request in bytes.
const REQUEST: usize = 16;
/// Length in bytes of what stands before a piece.
const PIECE: usize = 8;
/// The longest file, in bytes, that an input can describe.
pub const MOST_LEN: u64 = (1 << 48) - 1;
/// Most bytes of one piece.
const MOST_PIECE: usize = 0x7fff;
/// The bit of a piece's length that says that one byte is repeated.
const REPEATED: u16 = 0x8000;
/// The same byte so often in a row is worth a piece of its own.
const RUN: usize = 24;
/// Zeros in a row that are worth a new piece.
const GAP: usize = 16;

/// What the pieces of an image are put on.
pub trait Canvas {
    /// Puts `bytes` at `offset`.
    fn put(&mut self, offset: u64, bytes: &[u8]);
    /// Puts the same byte `len` times at `offset`.
    fn fill(&mut self, offset: u64, len: u64, byte: u8);
    /// Has the image end at byte `len`. It is whole then.
    fn cut(&mut self, len: u64);
}

impl Canvas for Image {
    fn put(&mut self, offset: u64, bytes: &[u8]) {
        self.write(offset, bytes);
    }

    fn fill(&mut self, offset: u64, len: u64, byte: u8) {
        self.write(offset, &vec![byte; usize::try_from(len).unwrap_or_default()]);
    }

    fn cut(&mut self, len: u64) {
        self.set_len(len);
        self.mark();
    }
}

/// What to do with an image.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    /// The new size.
    pub size: SizeRequest,
    /// Whether data beyond the new end may be thrown away.
    pub shrink: bool,
    /// What to allocate for a new area.
    pub preallocation: Preallocation,
}

impl Input {
    /// How long the file is that `data` describes, in bytes.
    #[must_use]
    pub fn file_len(data: &[u8]) -> Option<u64> {
        data.get(..REQUEST).map(|request| number(&request[8..14]))
    }

    /// What `data` means, if it is long enough to mean something. The image is put on an empty `canvas`.
    #[must_use]
    pub fn decode(data: &[u8], canvas: &mut impl Canvas) -> Option<Self> {
        let (request, mut rest) = data.split_at_checked(REQUEST)?;
        let (size, len, flags) = (number(&request[..8]), number(&request[8..14]), request[14]);
        while let Some((head, more)) = rest.split_at_checked(PIECE) {
            let (at, n) = (number(&head[..6]), u16::from_le_bytes([head[6], head[7]]));
            let (times, repeated) = (n & !REPEATED, n & REPEATED != 0);
            let (bytes, later) = more.split_at(more.len().min(if repeated { 1 } else { usize::from(times) }));
            let room = len.saturating_sub(at);
            match bytes {
                [byte] if repeated => canvas.fill(at, room.min(times.into()), *byte),
                _ => canvas.put(at, &bytes[..bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX))]),
            }
            rest = later;
        }
        canvas.cut(len);
        Some(Self {
            size: match flags & 3 {
                0 | 1 => SizeRequest::Absolute(size),
                2 => SizeRequest::Grow(size),
                _ => SizeRequest::Shrink(size),
            },
            shrink: flags & 4 != 0,
            preallocation: match flags >> 3 & 3 {
                0 => Preallocation::Off,
                1 => Preallocation::Metadata,
                2 => Preallocation::Falloc,
                _ => Preallocation::Full,
            },
        })
    }

    /// The bytes that mean the image `len` bytes long with these `parts` (offset and bytes), to be resized to `size`.
    #[must_use]
    pub fn encode<'p>(len: u64, parts: impl IntoIterator<Item = (u64, &'p [u8])>, size: u64) -> Vec<u8> {
        let mut out = size.to_le_bytes().to_vec();
        out.extend(&len.min(MOST_LEN).to_le_bytes()[..6]);
        out.extend([4, 0]);
        for (at, bytes) in parts {
            let mut from = 0;
            while let Some(first) = bytes[from..].iter().position(|b| *b != 0).map(|n| from + n) {
                let run = run_at(bytes, first);
                let (end, flag) = match run >= RUN {
                    true => (first + run.min(MOST_PIECE), REPEATED),
                    false => (end_of_piece(bytes, first), 0),
                };
                out.extend(&(at + first as u64).to_le_bytes()[..6]);
                out.extend((flag | u16::try_from(end - first).unwrap_or_default()).to_le_bytes());
                out.extend(&bytes[first..if flag == 0 { end } else { first + 1 }]);
                from = end;
            }
        }
        out
    }

    /// The request as an operation takes it.
    #[must_use]
    pub fn request(&self, format: Format) -> ResizeRequest {
        ResizeRequest {
            format: Some(format),
            size: self.size,
            shrink: self.shrink,
            preallocation: self.preallocation,
            identity: Identity::default(),
        }
    }
}

/// How often the byte at `first` is repeated from there.
fn run_at(bytes: &[u8], first: usize) -> usize {
    bytes[first..].iter().take_while(|byte| **byte == bytes[first]).count()
}

/// Where the piece that begins at `first` ends: before zeros that are worth leaving out, or a run.
fn end_of_piece(bytes: &[u8], first: usize) -> usize {
    let mut end = first;
    for (at, byte) in bytes.iter().enumerate().skip(first).take(MOST_PIECE) {
        if *byte != 0 {
            if at > first && run_at(bytes, at) >= RUN {
                break;
            }
            end = at + 1;
        } else if at - end >= GAP {
            break;
        }
    }
    end
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back() {
        let mut bytes = vec![0; 5000];
        bytes[3..9].copy_from_slice(b"begin\0");
        bytes[2000..4000].fill(6);
        bytes[4990..].copy_from_slice(b"0123456789");
        let data = Input::encode(1 << 40, [(4096, &bytes[..])], 77);
        assert!(data.len() < 70, "{} bytes", data.len());
        let mut image = Image::default();
        let input = Input::decode(&data, &mut image).expect("long enough");
        let mut back = vec![9; 5000];
        image.read(4096, &mut back);
        assert_eq!(back, bytes);
        assert_eq!((image.len(), Input::file_len(&data)), (1 << 40, Some(1 << 40)));
        assert_eq!((input.size, input.shrink), (SizeRequest::Absolute(77), true));
    }

    #[test]
    fn what_is_short_or_past_the_end_does_no_harm() {
        let mut image = Image::default();
        assert!(Input::decode(&[0; 15], &mut image).is_none());
        let mut data = vec![0; 16];
        data[8] = 10;
        data.extend([5, 0, 0, 0, 0, 0, 0xff, 0xff]);
        data.extend([7; 100]);
        let input = Input::decode(&data, &mut image);
        assert!(input.is_some() && image.len() == 10 && image.is_filled(5, 5, 7));
    }
}

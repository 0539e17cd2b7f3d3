//! Readers of VHD, VHDX, VMDK and QED in memory, written from the formats' specifications and from what other programs are seen
//! to make of images; nothing of the engine's is used. Disks of these formats lie in pieces in one file or in several.
//!
//! What a reader accepts is what every program must be able to open: the first thing that one of them is known to choke
//! on, or to read wrongly, is an error.

mod crc;
mod log;
mod qed;
mod vhd;
mod vhdx;
mod vmdk;
mod vmdk_text;

use instar_ops::Format;

use crate::image::{Image, to_usize};

/// A piece of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where in the disk.
    pub guest: u64,
    /// How long.
    pub len: u64,
    /// In which file: 0 is the image's own.
    pub file: usize,
    /// Where in that.
    pub at: u64,
}

/// What an image is to those who can open it.
#[derive(Debug, Default)]
pub struct Reading {
    /// Virtual size in bytes.
    pub size: u64,
    /// Where its bytes are, in the order of the disk. What is in no piece is zeros.
    pub pieces: Vec<Piece>,
    /// What an interrupted resize has left to do, if it has: a log, sizes that differ between places that say them.
    pub unfinished: Option<&'static str>,
    /// Whether a repair may take the length of the file for the disk's: of an interrupted shrink it makes the old disk again.
    pub by_length: bool,
    /// Whether the disk may have any size between the old and the new one, as its parts grow one after the other.
    pub gradual: bool,
    /// The image after its log was replayed, if there was one.
    pub replayed: Option<Image>,
}

/// Reads `image`.
///
/// # Errors
/// Why somebody cannot open it, or would read something wrong.
pub fn read(format: Format, image: &Image) -> Result<Reading, String> {
    match format {
        Format::Vhd => vhd::read(image),
        Format::Vhdx => vhdx::read(image),
        Format::Vmdk => vmdk::read(image),
        Format::Qed => qed::read(image),
        other => Err(format!("{other:?} has no blocks")),
    }
}

/// Whether [`read`] knows images of this format.
#[must_use]
pub const fn knows(format: Format) -> bool {
    matches!(format, Format::Vhd | Format::Vhdx | Format::Vmdk | Format::Qed)
}

/// The names of the files that a VMDK descriptor says the disk is in; none if `image` is no such text.
#[must_use]
pub fn extent_names(image: &Image) -> Vec<String> {
    if !vmdk::is_text(image) {
        return Vec::new();
    }
    let lines = vmdk_text::Text::read(image, 0, image.len()).map(|text| text.extents).unwrap_or_default();
    lines.into_iter().map(|line| line.name).collect()
}

/// Bytes of `image` from `offset` on; zeros past its end.
fn bytes(image: &Image, offset: u64, len: u64) -> Vec<u8> {
    let mut buf = vec![0; to_usize(len)];
    image.read(offset, &mut buf);
    buf
}

/// The little-endian number of up to 8 bytes at byte `at` of `bytes`.
fn le(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes.get(at..at + len).unwrap_or_default().iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// The big-endian one.
fn be(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes.get(at..at + len).unwrap_or_default().iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Which bytes of a file belong to what.
#[derive(Debug, Default)]
struct Claims(Vec<(u64, u64, &'static str)>);

impl Claims {
    /// Notes that `len` bytes from `start` on are a `what`.
    fn claim(&mut self, start: u64, len: u64, what: &'static str) {
        self.0.push((start, start.saturating_add(len), what));
    }

    /// That nothing lies over anything else, or past the end of a file of `len` bytes.
    fn check(mut self, len: u64) -> Result<(), String> {
        self.0.sort_unstable();
        if let Some((_, end, what)) = self.0.iter().find(|(_, end, _)| *end > len) {
            return Err(format!("a {what} ends at byte {end} of {len}"));
        }
        match self.0.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            Some(pair) => Err(format!(
                "a {} at byte {} lies over a {} at {}",
                pair[1].2, pair[1].0, pair[0].2, pair[0].0
            )),
            None => Ok(()),
        }
    }
}

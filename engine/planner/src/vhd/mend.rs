//! What an interrupted resize leaves undone: footers that differ, a table longer than the disk is, a fixed disk
//! in a file that is longer than it.
//!
//! # After a crash
//! The footer in front stays as it is, and with it the disk in QEMU's eyes. The header that loses entries
//! which nobody needs and the footer at the end are one write of one sector each, and can be written again.
//! A fixed disk gets the size of its file, by one write of one sector; a footer that would appear within it is
//! zeroed before.

use super::{write_footer, write_header, zero};
use crate::{IoError, Patch, Target};
use instar_formats::vhd::{FOOTER_LEN, Footer, Image, SECTOR};

/// What was mended, or is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mended {
    /// The number of entries was not what the disk needs, or the header's checksum was wrong.
    pub header: bool,
    /// The footer at the end did not say what the one in front says, or there was none.
    pub trailer: bool,
    /// A fixed disk was not as long as its file.
    pub length: bool,
}

/// What is to be mended of a disk whose structures end at the byte `used`.
#[must_use]
pub fn unmended(image: &Image, used: u64) -> Mended {
    let Some(header) = &image.header else {
        return Mended { length: longer(image).is_some(), ..Mended::default() };
    };
    Mended {
        header: header.with_table(header.table_offset(), needed(image)) != *header,
        trailer: image.trailer(used).is_none() || image.tail != image.footer,
        length: false,
    }
}

/// Entries that the disk needs.
fn needed(image: &Image) -> u32 {
    let needed = image.header.as_ref().map_or(0, |header| header.blocks(image.virtual_size()));
    u32::try_from(needed).unwrap_or(u32::MAX)
}

/// The footer of a fixed disk that is as long as its file, if it should be.
fn longer(image: &Image) -> Option<Footer> {
    let room = image.trailer(image.virtual_size())?;
    let resized = super::resized(&image.footer, room).ok()?;
    // Where the size is a geometry's, the current size may be that of the file and more than it.
    let is_longer = image.footer.current_size() < room && resized.virtual_size() == room;
    is_longer.then_some(resized)
}

/// Does it.
///
/// # Errors
/// The device's.
pub fn mend<T: Target>(target: &mut T, image: &Image, used: u64) -> Result<Mended, IoError> {
    let found = unmended(image, used);
    if let (true, Some(header)) = (found.header, &image.header) {
        let right = header.with_table(header.table_offset(), needed(image));
        write_header(target, image.footer.header_offset(), &right)?;
    }
    if found.trailer {
        write_footer(target, image.trailer(used).unwrap_or(image.file_end()), &image.footer)?;
    }
    if let (true, Some(resized)) = (found.length, longer(image)) {
        let old = image.virtual_size();
        let mut sector = [0; 512];
        target.read_at(old, &mut sector)?;
        if Footer::from(sector).is_footer() && resized.virtual_size() > old {
            zero(target, old, old.saturating_add(SECTOR), false)?;
            target.apply(Patch::Barrier)?;
        }
        write_footer(target, resized.virtual_size(), &resized)?;
    }
    Ok(found)
}

const _: () = assert!(FOOTER_LEN == SECTOR);

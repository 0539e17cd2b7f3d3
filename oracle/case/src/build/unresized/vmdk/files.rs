//! Disks in several files: flat ones that begin somewhere in theirs, sparse ones, full extents and shorter ones between
//! them, numbers that do not follow each other.

use std::path::Path;

use super::text::descriptor;
use super::{SECTOR, sparse};
use crate::build::BuildError;
use crate::build::file::ImageFile;
use crate::build::unresized::{GARBAGE_LEN, Image};
use crate::{Content, Oddity, Vmdk};

/// Where a flat extent begins in its file at most, in sectors.
const OFFSET: u64 = 200;

/// Makes the files, the last of them the descriptor.
pub fn make(image: &mut Image, options: &Vmdk, path: &Path) -> Result<(), BuildError> {
    let sizes = sizes(image, options);
    let names = names(image, options, sizes.len());
    let mut lines = String::new();
    let mut start = 0;
    for (sectors, name) in sizes.into_iter().zip(names) {
        let part = part(image, (start, sectors * SECTOR), &path.with_file_name(&name))?;
        let space = if image.once_in(8, Oddity::Extras) { "  " } else { " " };
        lines += &if options.subformat.is_flat() {
            let offset = flat(image, &part)?;
            format!("RW {sectors}{space}FLAT \"{name}\" {offset}\n")
        } else {
            sparse(&mut { part }, options)?;
            format!("RW {sectors}{space}SPARSE \"{name}\"\n")
        };
        start += sectors * SECTOR;
    }
    let text = descriptor(image, options, &lines);
    image.file.write(0, text.as_bytes())
}

/// Sectors of each extent: the first is a full one, and none is longer.
fn sizes(image: &mut Image, options: &Vmdk) -> Vec<u64> {
    let full = if options.subformat.is_split() { options.extent_sectors } else { u64::MAX };
    let mut rest = image.content.size() / SECTOR;
    let mut sizes = Vec::new();
    while rest > 0 {
        let odd = !sizes.is_empty() && image.once_in(3, Oddity::Extras);
        let unit = options.extent_unit();
        let now = if odd { full - image.rng.below(full / 2 / unit) * unit } else { full };
        sizes.push(now.min(rest));
        rest -= now.min(rest);
    }
    sizes
}

/// A name for each file; the numbers are in any order.
fn names(image: &mut Image, options: &Vmdk, count: usize) -> Vec<String> {
    if !options.subformat.is_split() {
        return vec!["image-flat.vmdk".into()];
    }
    let letter = if options.subformat.is_flat() { 'f' } else { 's' };
    let mut number = 0;
    let mut names = Vec::new();
    for _ in 0..count {
        number += 1 + image.some(3, Oddity::Order);
        names.push(format!("image-{letter}{number:03}.vmdk"));
    }
    if image.once_in(2, Oddity::Order) {
        image.shuffle(&mut names);
    }
    names
}

/// `len` bytes of the disk from the byte `start` on, in a file of their own.
fn part(image: &mut Image, (start, len): (u64, u64), path: &Path) -> Result<Image, BuildError> {
    let mut content = Content::zeros(len);
    for extent in image.content.extents() {
        let (from, to) = (extent.offset.max(start), (extent.offset + extent.len).min(start + len));
        if from < to {
            content.fill(from - start, to - from, extent.byte);
        }
    }
    let rng = crate::seed::SplitMix64::new(image.rng.next_u64());
    let part = Image::of(content, image.unit, rng, ImageFile::create(path)?);
    Ok(Image { without: image.without.clone(), ..part })
}

/// Writes a flat extent; where it begins in the file, in sectors. What is around it in the file is not the disk's.
fn flat(image: &mut Image, part: &Image) -> Result<u64, BuildError> {
    let offset = if image.once_in(2, Oddity::Gaps) { image.rng.below(OFFSET) } else { 0 };
    let (at, len) = (offset * SECTOR, part.content.size());
    let behind = if image.once_in(3, Oddity::Garbage) { GARBAGE_LEN } else { 0 };
    part.garbage(0, at)?;
    part.file.set_len(at + len + behind)?;
    part.garbage(at + len, behind)?;
    for extent in part.content.extents() {
        part.file.fill(at + extent.offset, extent.len, extent.byte)?;
    }
    Ok(offset)
}

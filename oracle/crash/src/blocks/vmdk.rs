//! VMDK, after VMware's "Virtual Disk Format 5.0". All integers are little-endian; places are in sectors.

use super::vmdk_text::{Line, Text};
use super::{Claims, Piece, Reading, bytes, le};
use crate::image::Image;

const SECTOR: u64 = 512;
/// Where the descriptor of an extent is, and how long it is at most, in bytes: QEMU looks nowhere else.
const TEXT: u64 = SECTOR;
const TEXT_LEN: u64 = 20 * SECTOR;
/// Flags of a header: there is a redundant directory, 1 is an entry of a grain of zeros, grains are compressed.
const REDUNDANT: u64 = 1 << 1;
const ZEROED: u64 = 1 << 2;
const COMPRESSED: u64 = 1 << 16;
/// Tables of an extent that are read.
const MOST_TABLES: u64 = 1 << 20;

/// Whether the image is a descriptor, whose extents have files of their own.
pub fn is_text(image: &Image) -> bool {
    bytes(image, 0, 21) == b"# Disk DescriptorFile"
}

/// Reads it.
pub fn read(image: &Image) -> Result<Reading, String> {
    if !is_text(image) {
        return monolithic(image);
    }
    let text = Text::read(image, 0, image.len())?;
    let mut all = Reading::default();
    for line in &text.extents {
        let file = image.file_named(&line.name).ok_or_else(|| format!("there is no file {}", line.name))?;
        let extent = image.file(file).ok_or("no file")?;
        let (size, pieces) = if line.flat { flat(extent, line)? } else { grown(extent, line, &mut all)? };
        let guest = all.size;
        all.pieces.extend(pieces.into_iter().map(|p| Piece { guest: p.guest + guest, file, ..p }));
        all.size += size;
    }
    Ok(all)
}

fn monolithic(image: &Image) -> Result<Reading, String> {
    let text = Text::read(image, TEXT, TEXT_LEN)?;
    let extent = Extent::read(image)?;
    let (said, has) = (text.extents[0].sectors, extent.capacity);
    // libvmdk goes by the descriptor, and would read beyond the end.
    if text.extents.len() != 1 || text.extents[0].flat || said > has {
        return Err(format!("the descriptor says {said} sectors, the header {has}"));
    }
    let (pieces, complete) = extent.pieces(image)?;
    let unfinished = left(said != has, complete);
    Ok(Reading { size: has * SECTOR, pieces, unfinished, ..Reading::default() })
}

/// What is left to do, if sizes differ or redundant tables are not complete.
fn left(differ: bool, complete: bool) -> Option<&'static str> {
    let sizes = differ.then_some("the descriptor says another size than the header");
    sizes.or((!complete).then_some("the redundant tables say something else"))
}

/// A flat extent.
fn flat(file: &Image, line: &Line) -> Result<(u64, Vec<Piece>), String> {
    let (at, len) = (line.offset * SECTOR, line.sectors * SECTOR);
    if file.len() < at + len {
        return Err(format!("{} has {} bytes, not {}", line.name, file.len(), at + len));
    }
    Ok((len, vec![Piece { guest: 0, len, file: 0, at }]))
}

/// A sparse extent in a file of its own, which grows before its line does.
fn grown(file: &Image, line: &Line, all: &mut Reading) -> Result<(u64, Vec<Piece>), String> {
    let extent = Extent::read(file).map_err(|why| format!("{}: {why}", line.name))?;
    let (pieces, complete) = extent.pieces(file).map_err(|why| format!("{}: {why}", line.name))?;
    all.unfinished = all.unfinished.or(left(extent.capacity != line.sectors, complete));
    all.gradual = true;
    Ok((extent.capacity * SECTOR, pieces))
}

/// The header of a sparse extent.
struct Extent {
    flags: u64,
    capacity: u64,
    grain: u64,
    /// Entries of a table.
    per: u64,
    /// The directory, and the redundant one.
    directories: Vec<u64>,
    /// Where the descriptor has its place, and of how many sectors.
    text: (u64, u64),
}

impl Extent {
    fn read(image: &Image) -> Result<Self, String> {
        let head = bytes(image, 0, SECTOR);
        let flags = le(&head, 8, 4);
        let mut directories = vec![le(&head, 56, 8)];
        directories.extend((flags & REDUNDANT != 0).then(|| le(&head, 48, 8)));
        let extent = Self {
            flags,
            capacity: le(&head, 12, 8),
            grain: le(&head, 20, 8),
            per: le(&head, 44, 4),
            directories,
            text: (le(&head, 28, 8), le(&head, 36, 8)),
        };
        let sane = head.starts_with(b"KDMV")
            && matches!(le(&head, 4, 4), 1..=2)
            && extent.grain.is_power_of_two()
            && (1..=512).contains(&extent.per)
            && flags & COMPRESSED == 0
            // The newlines that show what a transfer as text has done.
            && head[73..77] == *b"\n \r\n";
        if !sane || extent.tables() > MOST_TABLES {
            return Err("the header makes no sense".into());
        }
        if le(&head, 64, 8) * SECTOR > image.len() {
            return Err("the file ends before the first grain".into());
        }
        Ok(extent)
    }

    fn tables(&self) -> u64 {
        self.capacity.div_ceil(self.grain).div_ceil(self.per)
    }

    /// Its grains in their order, and whether the redundant tables name the same.
    fn pieces(&self, image: &Image) -> Result<(Vec<Piece>, bool), String> {
        let mut claims = Claims::default();
        claims.claim(0, SECTOR, "header");
        claims.claim(self.text.0 * SECTOR, self.text.1 * SECTOR, "descriptor");
        let mut found = Vec::new();
        for directory in &self.directories {
            let mut grains = Vec::new();
            claims.claim(directory * SECTOR, self.tables() * 4, "directory");
            let entries = bytes(image, directory * SECTOR, self.tables() * 4);
            for (number, entry) in (0..).zip(entries.chunks_exact(4)) {
                let table = le(entry, 0, 4);
                if table == 0 {
                    // QEMU writes to such an area as if the table lay at the beginning of the file.
                    return Err(format!("directory entry {number} names no table"));
                }
                claims.claim(table * SECTOR, self.per * 4, "table");
                self.table(image, number * self.per, table * SECTOR, &mut grains);
            }
            found.push(grains);
        }
        let (grain, end) = (self.grain * SECTOR, self.capacity * SECTOR);
        let first = found.first().map(Vec::as_slice).unwrap_or_default();
        let mut pieces = Vec::new();
        for (number, sector) in first {
            let guest = number * grain;
            // What is behind the end nobody reads.
            if guest < end {
                claims.claim(sector * SECTOR, grain, "grain");
                let len = grain.min(end - guest);
                pieces.push(Piece { guest, len, file: 0, at: sector * SECTOR });
            }
        }
        claims.check(image.len())?;
        // What is behind the end is for the next resize.
        let inside = |grains: &[(u64, u64)]| grains.partition_point(|(number, _)| number * grain < end);
        let complete = found.iter().all(|grains| grains[..inside(grains)] == first[..inside(first)]);
        Ok((pieces, complete))
    }

    /// Grains that the table at byte `at` names, by their number from `first` on.
    fn table(&self, image: &Image, first: u64, at: u64, grains: &mut Vec<(u64, u64)>) {
        let is_place = |sector: u64| sector > u64::from(self.flags & ZEROED != 0);
        image.words(at, self.per * 4, |index, word| {
            let word = word.swap_bytes();
            for (n, sector) in [(index * 2, word & 0xffff_ffff), (index * 2 + 1, word >> 32)] {
                if is_place(sector) {
                    grains.push((first + n, sector));
                }
            }
        });
    }
}

//! Describing an image.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::encryption::Encrypted;
use crate::open::{Opened, open};
use crate::*;
use instar_formats::bytes::index;
use instar_formats::io::IoError;
use instar_formats::qcow2::bitmap::{BitmapEntry, Bitmaps, table_entry};
use instar_formats::qcow2::extension::{BACKING_FORMAT, DATA_FILE, Extension, ExtensionError};
use instar_formats::qcow2::header::{AUTOCLEAR_RAW, COMPATIBLE_LAZY, SECTOR};
use instar_formats::qcow2::snapshot::{SnapshotEntry, Snapshots};
use instar_formats::qcow2::walk::Buffered;
use instar_formats::qcow2::{Extensions, Header, Incompatible};

/// How much of a snapshot table or bitmap directory is read at a time, in bytes.
const PIECE: usize = 64 << 10;

/// Describes the image on `disk`. What there may be many of goes to `items`, in the image's order.
///
/// As `qemu-img info`, it wants neither a clean image nor tables that lie in the file. Snapshot ids
/// and names longer than a [`Name`] are cut.
///
/// # Errors
/// [`OpError`]: the image is not what it should be, or the device failed.
pub fn info<D: ReadAt>(
    disk: &mut D,
    request: &InfoRequest,
    scratch: &mut [u8],
    items: &mut dyn FnMut(InfoItem),
) -> Result<ImageInfo, OpError> {
    info_with(disk, &mut [], request, scratch, items)
}

/// As [`info`], of an image whose `extents` have files of their own. Without them their own headers are not looked at.
///
/// # Errors
/// As [`info`].
pub fn info_with<D: ReadAt>(
    disk: &mut D,
    extents: &mut [&mut dyn Disk],
    request: &InfoRequest,
    scratch: &mut [u8],
    items: &mut dyn FnMut(InfoItem),
) -> Result<ImageInfo, OpError> {
    let header = match open(disk, request.format)? {
        Opened::Raw => return Ok(raw(disk.len())),
        Opened::Qed(header) => return Ok(crate::qed::info(disk, &header)?),
        Opened::Vhd(image) => return vhd::info(disk, &image, scratch),
        Opened::Vhdx => return crate::vhdx::info(disk),
        Opened::Luks(header) => return Ok(luks::info(&header, disk.len())?),
        Opened::Vmdk(kind) => return vmdk::info(disk, extents, kind, scratch, items),
        Opened::Qcow2(header) => header,
    };
    let encrypted = Opened::Qcow2(header).encrypted(disk)?;
    let mut image = qcow2(disk, &header)?;
    image.encrypted = encrypted != Encrypted::Not;
    if let Encrypted::Luks { header, .. } = &encrypted {
        image.luks = Some(luks::described(header));
    }
    let (list, rest) = scratch.split_at_mut_checked(PIECE).unwrap_or_default();
    let (mut list, mut table) =
        (Buffered::new(list), Buffered::new(rest.get_mut(..PIECE).unwrap_or_default()));
    // With a data file nothing can be restored: qemu-img reads the table, and lists nothing of it.
    let listed = !header.has(Incompatible::DATA_FILE);
    snapshots(disk, &header, &mut list, &mut |item| {
        if listed {
            items(item);
        }
    })?;
    bitmaps(disk, &header, (&mut list, &mut table), items)?;
    Ok(image)
}

/// A raw disk is its file, in whole sectors.
fn raw(len: u64) -> ImageInfo {
    ImageInfo {
        format: Format::Raw,
        virtual_size: len.checked_next_multiple_of(SECTOR).unwrap_or(len),
        cluster_size: None,
        dirty: false,
        encrypted: false,
        backing_file: Name::new(),
        backing_format: Name::new(),
        qcow2: None,
        vmdk: None,
        luks: None,
    }
}

fn qcow2<R: ReadAt>(disk: &mut R, header: &Header) -> Result<ImageInfo, OpError> {
    let (mut backing_format, data_file) = named_by_extensions(disk, header)?;
    if header.backing_len == 0 {
        backing_format.clear();
    }
    Ok(ImageInfo {
        format: Format::Qcow2,
        virtual_size: header.virtual_size(),
        cluster_size: Some(header.geometry.cluster_size()),
        dirty: header.has(Incompatible::DIRTY),
        encrypted: false,
        backing_file: name(disk, header.backing_offset, u64::from(header.backing_len))?,
        backing_format,
        qcow2: Some(Qcow2Info {
            version: header.version,
            refcount_bits: 1_u32.wrapping_shl(header.geometry.refcount_order()),
            lazy_refcounts: header.compatible & COMPATIBLE_LAZY != 0,
            corrupt: header.has(Incompatible::CORRUPT),
            extended_l2: header.geometry.extended_l2(),
            zstd: header.compression == 1,
            data_file_raw: data_file.is_some() && header.autoclear & AUTOCLEAR_RAW != 0,
            data_file,
        }),
        luks: None,
        vmdk: None,
    })
}

/// The backing format, and the data file if the image keeps its clusters in one.
fn named_by_extensions<R: ReadAt>(disk: &mut R, header: &Header) -> Result<(Name, Option<Name>), OpError> {
    let mut backing_format = Name::new();
    let mut data_file = header.has(Incompatible::DATA_FILE).then(Name::new);
    let mut extensions = Extensions::new(header);
    while let Some(extension) = extensions.next(disk)? {
        match (extension.kind, &mut data_file) {
            (BACKING_FORMAT, _) => backing_format = value(disk, &extension)?,
            (DATA_FILE, Some(file)) => *file = value(disk, &extension)?,
            _ => {}
        }
    }
    Ok((backing_format, data_file))
}

fn snapshots<R: ReadAt>(
    disk: &mut R,
    header: &Header,
    reader: &mut Buffered<'_>,
    items: &mut dyn FnMut(InfoItem),
) -> Result<(), OpError> {
    let mut table = Snapshots::new(header);
    while let Some(entry) = table.next(disk, reader)? {
        let id = buffered_name(disk, reader, entry.id_offset, entry.id_len)?;
        let name = buffered_name(disk, reader, entry.name_offset(), entry.name_len)?;
        items(InfoItem::Snapshot(snapshot(&entry, id, name)));
    }
    Ok(())
}

fn snapshot(entry: &SnapshotEntry, id: Name, name: Name) -> Snapshot {
    Snapshot {
        id,
        name,
        vm_state_size: entry.vm_state_size,
        date_sec: entry.date_sec,
        date_nsec: entry.date_nsec,
        vm_clock_nsec: entry.vm_clock_nsec,
        icount: entry.icount,
    }
}

fn bitmaps<R: ReadAt>(
    disk: &mut R,
    header: &Header,
    (reader, table): (&mut Buffered<'_>, &mut Buffered<'_>),
    items: &mut dyn FnMut(InfoItem),
) -> Result<(), OpError> {
    let mut directory = Bitmaps::find(header, disk)?;
    while let Some(entry) = directory.next(header, disk, reader)? {
        if !entry.in_use {
            bitmap_table(disk, header, table, &entry)?;
        }
        let name = buffered_name(disk, reader, entry.name_offset, entry.name_len)?;
        items(InfoItem::Bitmap(bitmap(&entry, name)));
    }
    Ok(())
}

/// That the table of a bitmap makes sense: else QEMU does not open the image, unless the bitmap says
/// itself that it was not stored properly.
fn bitmap_table<R: ReadAt>(
    disk: &mut R,
    header: &Header,
    reader: &mut Buffered<'_>,
    entry: &BitmapEntry,
) -> Result<(), OpError> {
    let bytes = entry.table_entries.saturating_mul(8);
    let mut done = 0;
    while done < bytes && entry.table_offset.saturating_add(done) < disk.len() {
        let at = entry.table_offset.saturating_add(done);
        let piece = reader.piece(disk, at, bytes.saturating_sub(done))?;
        let mut values = piece.as_chunks::<8>().0.iter().map(|v| u64::from_be_bytes(*v));
        if values.any(|value| table_entry(value, header).is_err()) {
            return Err(ImageError::BitmapDirectory { offset: entry.offset }.into());
        }
        done = done.saturating_add((piece.len() as u64).max(8));
    }
    Ok(())
}

fn bitmap(entry: &BitmapEntry, name: Name) -> Bitmap {
    Bitmap {
        name,
        granularity: 1_u64.wrapping_shl(u32::from(entry.granularity_bits)),
        in_use: entry.in_use,
        auto: entry.auto,
    }
}

fn value<R: ReadAt>(disk: &mut R, extension: &Extension) -> Result<Name, IoError> {
    name(disk, extension.offset, extension.len)
}

pub(crate) fn name<R: ReadAt>(disk: &mut R, offset: u64, len: u64) -> Result<Name, IoError> {
    fill(len, |buf| disk.read_at(offset, buf))
}

fn buffered_name<R: ReadAt>(
    disk: &mut R,
    reader: &mut Buffered<'_>,
    offset: u64,
    len: u64,
) -> Result<Name, IoError> {
    fill(len, |buf| reader.exact(disk, offset, PIECE as u64, buf))
}

fn fill(len: u64, read: impl FnOnce(&mut [u8]) -> Result<(), IoError>) -> Result<Name, IoError> {
    let mut name = Name::new();
    let len = index(len).min(name.capacity());
    if name.resize_default(len).is_ok() && len > 0 {
        read(&mut name)?;
    }
    Ok(name)
}

impl From<ExtensionError> for OpError {
    fn from(e: ExtensionError) -> Self {
        match e {
            ExtensionError::Image(e) => Self::Image(e),
            ExtensionError::Io(e) => Self::Io(e),
        }
    }
}

#[cfg(test)]
#[path = "info_tests.rs"]
mod tests;

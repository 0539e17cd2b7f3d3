//! An image whose log is empty: everything but the BAT's entries.

use super::{
    BAT, FILE_ID, FileHeader, Geometry, Guid, METADATA, Metadata, OpenError, REGION_TABLES, Region,
    RegionTable, both_headers, current,
};
use crate::ImageError;
use crate::io::ReadAt;

/// What there is to know of an image before its BAT is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// The header that counts.
    pub header: FileHeader,
    /// Which of the two that is.
    pub slot: usize,
    /// The first region table.
    pub table: RegionTable,
    /// Where the BAT is.
    pub bat: Region,
    /// Where the metadata is.
    pub metadata_region: Region,
    /// What the metadata says.
    pub metadata: Metadata,
}

/// Where the log is, if it can be there: QEMU does not open an image whose log is elsewhere.
///
/// # Errors
/// [`ImageError::VhdxLogPlace`].
pub fn log_region(header: &FileHeader) -> Result<Region, ImageError> {
    let region = Region { offset: header.log_offset, len: header.log_len };
    let aligned = region.offset.is_multiple_of(super::MIB) && region.offset >= super::HEADER_SECTION;
    if header.log_version != 0 || !aligned || region.offset.checked_add(region.len).is_none() {
        return Err(ImageError::VhdxLogPlace);
    }
    Ok(region)
}

impl Image {
    /// Opens the image on `disk`, whose log is taken to be empty.
    ///
    /// # Errors
    /// [`OpenError`]: it makes no sense, or the device failed.
    pub fn open<R: ReadAt>(disk: &mut R) -> Result<Self, OpenError> {
        let mut id = [0; FILE_ID.len()];
        disk.read_at(0, &mut id)?;
        if id != *FILE_ID {
            return Err(ImageError::NotVhdx.into());
        }
        let (header, slot) = current(&both_headers(disk)?)?;
        let log = log_region(&header)?;
        let [first, _] = REGION_TABLES;
        let table = RegionTable::read(disk, first)?;
        let (bat, metadata_region) = (table.find(&BAT)?, table.find(&METADATA)?);
        apart(&table, &log)?;
        let metadata = Metadata::read(disk, metadata_region)?;
        let image = Self { header, slot, table, bat, metadata_region, metadata };
        if image.geometry().table_len(image.virtual_size()) > bat.len {
            return Err(ImageError::VhdxBatTooShort.into());
        }
        if metadata.has_parent {
            return Err(ImageError::VhdxParent.into());
        }
        Ok(image)
    }

    /// The size of the disk in bytes: as QEMU has it, in whole sectors.
    #[must_use]
    pub const fn virtual_size(&self) -> u64 {
        self.metadata.disk_size & !511
    }

    /// How the BAT is laid out.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        Geometry::new(self.metadata.block_size, self.metadata.logical_sector)
    }

    /// Payload blocks of the disk.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.geometry().blocks(self.virtual_size())
    }

    /// Where the log is.
    #[must_use]
    pub const fn log(&self) -> Region {
        Region { offset: self.header.log_offset, len: self.header.log_len }
    }

    /// The log and every region, known or not.
    pub fn regions(&self) -> impl Iterator<Item = Region> + '_ {
        core::iter::once(self.log()).chain(self.table.regions().iter().map(|(_, region)| *region))
    }

    /// Where entry `index` of the BAT is in the file, in bytes.
    #[must_use]
    pub const fn entry_at(&self, index: u64) -> u64 {
        self.bat.offset.saturating_add(index.saturating_mul(8))
    }
}

/// That log and regions lie apart from each other, behind the header section and before the end of what
/// can be addressed.
fn apart(table: &RegionTable, log: &Region) -> Result<(), ImageError> {
    let known = |id: &Guid| *id == BAT || *id == METADATA;
    for (i, (id, region)) in table.regions().iter().enumerate() {
        let placed = region.offset >= super::HEADER_SECTION
            && region.len > 0
            && region.offset.checked_add(region.len).is_some();
        if known(id) && !placed {
            return Err(ImageError::VhdxRegion { offset: region.offset });
        }
        let others = table.regions().iter().skip(i.saturating_add(1)).map(|(_, other)| other);
        if let Some(other) = others.chain(core::iter::once(log)).find(|other| region.overlaps(other)) {
            return Err(ImageError::VhdxRegionsOverlap { first: region.offset, second: other.offset });
        }
    }
    Ok(())
}

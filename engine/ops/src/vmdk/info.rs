//! Describing a VMDK image.

use super::{Vmdk, descriptor, header, is_compressed};
use crate::{
    Extent, ExtentKind, Format, ImageInfo, InfoItem, MAX_EXTENTS, Name, OpError, ReadAt, ResizeError,
    VmdkInfo,
};
use instar_formats::ImageError;
use instar_formats::vmdk::{self, Access, Descriptor, Kind, NO_PARENT, SECTOR, SparseHeader};

/// Describes the image on `disk`, whose file is a `kind`. Its extents go to `items`: as its descriptor says, or, where
/// `extents` are open, as they are.
pub(crate) fn info<R: ReadAt>(
    disk: &mut R,
    extents: &mut [&mut dyn crate::Disk],
    kind: Vmdk,
    scratch: &mut [u8],
    items: &mut dyn FnMut(InfoItem),
) -> Result<ImageInfo, OpError> {
    let text = descriptor(disk, kind, scratch)?;
    let mut sum = Sum::default();
    match kind {
        Vmdk::Sparse(header) => {
            let extent = sparse(&header);
            sum.add(&extent)?;
            items(InfoItem::Extent(extent));
        }
        Vmdk::Text => {
            let mut files = extents.iter_mut();
            for line in text.extents() {
                let line = usable(line?)?;
                let extent = described(&line, files.next())?;
                sum.add(&extent)?;
                items(InfoItem::Extent(extent));
            }
        }
    }
    let (virtual_size, cluster_size) = sum.finish()?;
    Ok(ImageInfo {
        format: Format::Vmdk,
        virtual_size,
        cluster_size,
        dirty: false,
        encrypted: false,
        backing_file: parent(&text)?,
        backing_format: if text.parent_cid()? == NO_PARENT { Name::new() } else { cut(b"vmdk") },
        luks: None,
        qcow2: None,
        vmdk: Some(VmdkInfo {
            cid: text.cid()?,
            parent_cid: text.parent_cid()?,
            create_type: cut(text.create_type_word()),
        }),
    })
}

/// The name of the parent, if there is one.
fn parent(text: &Descriptor<'_>) -> Result<Name, ImageError> {
    Ok(if text.parent_cid()? == NO_PARENT { Name::new() } else { cut(text.parent_hint()) })
}

/// As much of a name as is kept.
pub(super) fn cut(name: &[u8]) -> Name {
    name.iter().copied().take(Name::new().capacity()).collect()
}

/// An extent that is there to be read and written.
pub(crate) fn usable(extent: vmdk::Extent<'_>) -> Result<vmdk::Extent<'_>, ImageError> {
    let known = extent.kind.is_flat() || extent.kind == Kind::Sparse;
    let fits = extent.sectors > 0 && extent.sectors <= i64::MAX.unsigned_abs() / SECTOR;
    match (known && extent.access == Access::ReadWrite, fits) {
        (true, true) => Ok(extent),
        (false, _) => Err(ImageError::VmdkExtentKind),
        (true, false) => Err(ImageError::VmdkExtentLine),
    }
}

fn described(line: &vmdk::Extent<'_>, file: Option<&mut &mut dyn crate::Disk>) -> Result<Extent, OpError> {
    let kind = match line.kind {
        Kind::Sparse => ExtentKind::Sparse,
        Kind::Vmfs => ExtentKind::Vmfs,
        _ => ExtentKind::Flat,
    };
    let extent = Extent {
        name: cut(line.name),
        kind,
        virtual_size: line.sectors.saturating_mul(SECTOR),
        cluster_size: None,
        compressed: false,
    };
    let Some(file) = file.filter(|_| line.kind == Kind::Sparse) else { return Ok(extent) };
    let header = header(*file)?;
    Ok(Extent { name: extent.name, kind, ..sparse(&header) })
}

fn sparse(header: &SparseHeader) -> Extent {
    Extent {
        name: Name::new(),
        kind: ExtentKind::Own,
        virtual_size: header.capacity.saturating_mul(SECTOR),
        cluster_size: Some(header.grain_len()),
        compressed: is_compressed(header),
    }
}

/// What the extents come to.
#[derive(Default)]
struct Sum {
    size: u64,
    grain: Option<Option<u64>>,
    mixed: bool,
    count: usize,
}

impl Sum {
    fn add(&mut self, extent: &Extent) -> Result<(), OpError> {
        self.count = self.count.saturating_add(1);
        if self.count > MAX_EXTENTS {
            return Err(ResizeError::VmdkTooManyExtents { most: MAX_EXTENTS as u64 }.into());
        }
        self.size = self.size.checked_add(extent.virtual_size).ok_or(ImageError::VmdkTooLarge)?;
        self.mixed |= self.grain.is_some_and(|grain| grain != extent.cluster_size);
        self.grain = self.grain.or(Some(extent.cluster_size));
        Ok(())
    }

    /// Size of the disk, and of grains, if all extents have the same.
    fn finish(self) -> Result<(u64, Option<u64>), ImageError> {
        let grain = self.grain.ok_or(ImageError::VmdkNoExtents)?;
        if i64::try_from(self.size).is_err() {
            return Err(ImageError::VmdkTooLarge);
        }
        Ok((self.size, grain.filter(|_| !self.mixed)))
    }
}

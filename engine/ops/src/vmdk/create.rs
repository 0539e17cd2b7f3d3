//! Creating a VMDK image.

use super::sparse::sectors;
use super::split::{new_flat, new_sparse};
use crate::resize::OnDisk;
use crate::{CreateRequest, Disk, MAX_EXTENTS, Name, OpError, Refusal, VmdkSubformat};
use instar_formats::vmdk::compose::{Extents, New, compose, put_extent_name};
use instar_formats::vmdk::edit::{highest, put_name};
use instar_formats::vmdk::header::flags;
use instar_formats::vmdk::text::Text;
use instar_formats::vmdk::{EMBEDDED_LEN, Kind, NO_PARENT, TEXT_LEN};
use instar_planner::{ResizeError, vmdk};

/// What the extents of a subformat are, and which files they have.
const fn shape(subformat: VmdkSubformat) -> (Kind, Extents) {
    match subformat {
        VmdkSubformat::MonolithicSparse | VmdkSubformat::StreamOptimized => (Kind::Sparse, Extents::Own),
        VmdkSubformat::MonolithicFlat => (Kind::Flat, Extents::One),
        VmdkSubformat::TwoGbMaxExtentSparse => (Kind::Sparse, Extents::Split),
        VmdkSubformat::TwoGbMaxExtentFlat => (Kind::Flat, Extents::Split),
    }
}

/// How many files a new image has for its extents, besides its own.
#[must_use]
pub fn new_extents(request: &CreateRequest) -> u64 {
    shape(request.vmdk.subformat).1.files(sectors(request.size))
}

/// The name of the `n`th of them, in the directory of the image. `None`: it is too long.
#[must_use]
pub fn new_extent_name(request: &CreateRequest, n: u64) -> Option<Name> {
    let (kind, extents) = shape(request.vmdk.subformat);
    name(|text| {
        put_extent_name(text, request.vmdk.name.as_bytes(), kind, extents, n);
        Some(())
    })
}

/// The name of the `n`th extent behind those of these names. `None`: there is no number in the last one that could be
/// counted on.
#[must_use]
pub fn next_extent_name<'n>(
    names: impl DoubleEndedIterator<Item = &'n [u8]> + Clone,
    n: u64,
) -> Option<Name> {
    let last = names.clone().next_back()?;
    name(|text| put_name(text, highest(names, last), n))
}

fn name(put: impl FnOnce(&mut Text<'_>) -> Option<()>) -> Option<Name> {
    let mut buf = [0; MAX_NAME];
    let mut text = Text::new(&mut buf);
    put(&mut text)?;
    Name::from_slice(text.finish()?).ok()
}

/// Most bytes of a name.
const MAX_NAME: usize = 1023;

/// Lays the image out on `disk` and in its `extents`, which are empty, and returns the length that its own file must be
/// given.
///
/// # Errors
/// [`Refusal::ExtentsWanted`]: there are not as many extents as it has.
pub(crate) fn create(
    disk: &mut dyn Disk,
    extents: &mut [&mut dyn Disk],
    request: &CreateRequest,
    scratch: &mut [u8],
) -> Result<u64, OpError> {
    let (kind, which) = shape(request.vmdk.subformat);
    let size = sectors(request.size);
    let count = which.files(size);
    if count > MAX_EXTENTS as u64 {
        return Err(ResizeError::VmdkTooManyExtents { most: MAX_EXTENTS as u64 }.into());
    }
    let room = if which == Extents::Own { EMBEDDED_LEN } else { TEXT_LEN };
    let (buf, scratch) = scratch.split_at_mut_checked(room).unwrap_or_default();
    let text = compose(&described(request, kind, which), buf).ok_or(ResizeError::VmdkDescriptor)?;
    let zeroed = if request.vmdk.zeroed_grain { flags::ZEROED } else { 0 };
    if which == Extents::Own {
        let disk = &mut OnDisk(disk);
        if request.vmdk.subformat == VmdkSubformat::StreamOptimized {
            return Ok(vmdk::create::run_stream(disk, size, zeroed, text, scratch)?);
        }
        let flags = flags::NEWLINES | flags::REDUNDANT | zeroed;
        return Ok(vmdk::create::run(disk, size, flags, text, scratch)?);
    }
    if extents.len() as u64 != count {
        return Err(Refusal::ExtentsWanted { count }.into());
    }
    for (n, file) in (0..).zip(extents) {
        match kind {
            Kind::Sparse => new_sparse(&mut **file, which.sectors(size, n), zeroed, scratch)?,
            _ => new_flat(&mut **file, which.sectors(size, n))?,
        }
    }
    disk.write_at(0, text)?;
    disk.flush()?;
    Ok(text.len() as u64)
}

fn described(request: &CreateRequest, kind: Kind, extents: Extents) -> New<'_> {
    let options = &request.vmdk;
    let random = request.identity.random.first_chunk().copied().unwrap_or_default();
    let cid = u32::from_le_bytes(random);
    New {
        // That of no parent is nobody's.
        cid: if cid == NO_PARENT { 0 } else { cid },
        parent_cid: options.parent_cid.unwrap_or(NO_PARENT),
        parent: request.qcow2.links.backing_file.as_bytes(),
        create_type: options.subformat.name().as_bytes(),
        name: options.name.as_bytes(),
        kind,
        extents,
        sectors: sectors(request.size),
        hardware: options.hardware_version(),
        tools: options.tools_version(),
        adapter: options.adapter.name().as_bytes(),
    }
}

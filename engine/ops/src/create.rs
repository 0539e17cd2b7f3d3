//! Creating an image.

use crate::resize::OnDisk;
use crate::{CreateRequest, Disk, Format, OpError, Qcow2Options, Refusal, ResizeAction, ResizeOutcome};
use instar_formats::qcow2::Geometry;
use instar_formats::qcow2::geometry::{MAX_CLUSTER_BITS, MIN_CLUSTER_BITS};
use instar_planner::{MAX_BYTES, Preallocation, ResizeError, qcow2, raw};

/// Lays out a new image on `disk`, which is empty. The outcome is that of a resize from nothing.
///
/// # Errors
/// [`OpError`]: the options do not go together, the size is beyond the format, or the device failed.
pub fn create<D: Disk>(
    disk: &mut D,
    request: &CreateRequest,
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    create_with(disk, &mut [], request, scratch)
}

/// As [`create`], of an image whose `extents` have files of their own, which are empty.
///
/// # Errors
/// As [`create`].
pub fn create_with<D: Disk>(
    disk: &mut D,
    extents: &mut [&mut dyn Disk],
    request: &CreateRequest,
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    let size = raw::virtual_size(request.size);
    if size > MAX_BYTES {
        return Err(Refusal::SizeTooLarge.into());
    }
    let mut virtual_size = size;
    let file_size_after = match request.format {
        Format::Raw => create_raw(&request.qcow2, size)?,
        Format::Qcow2 => create_qcow2(disk, &request.qcow2, size, scratch)?,
        Format::Qed => return Err(Refusal::CreateQed.into()),
        Format::Luks => return Err(Refusal::CreateLuks.into()),
        Format::Vhdx => crate::vhdx::create(disk, (request, size), scratch)?,
        Format::Vmdk => crate::vmdk::create(disk, extents, request, scratch)?,
        Format::Vhd => {
            let (rounded, len) = crate::vhd::create(disk, (request, size), scratch)?;
            virtual_size = rounded;
            len
        }
    };
    Ok(ResizeOutcome {
        format: request.format,
        action: ResizeAction::between(0, virtual_size),
        old_virtual_size: 0,
        new_virtual_size: virtual_size,
        file_size_before: disk.len(),
        file_size_after,
        preallocate: space(request, virtual_size),
        data_file_size_after: data_file_size(request, size),
        extents_after: None,
    })
}

/// The range of a raw file, or of a fixed VHD, that is to be allocated.
const fn space(request: &CreateRequest, size: u64) -> Option<(u64, u64)> {
    match (request.format, request.qcow2.preallocation) {
        (Format::Raw, Preallocation::Falloc | Preallocation::Full) => Some((0, size)),
        (Format::Vhd, Preallocation::Falloc | Preallocation::Full) if request.vhd.fixed => Some((0, size)),
        _ => None,
    }
}

fn data_file_size(request: &CreateRequest, size: u64) -> Option<u64> {
    (request.format == Format::Qcow2 && request.qcow2.links.has_data_file()).then_some(size)
}

fn create_raw(options: &Qcow2Options, size: u64) -> Result<u64, OpError> {
    match options.preallocation {
        Preallocation::Metadata => Err(ResizeError::RawPreallocationMetadata.into()),
        Preallocation::Off | Preallocation::Falloc | Preallocation::Full => Ok(size),
    }
}

fn create_qcow2<D: Disk>(
    disk: &mut D,
    options: &Qcow2Options,
    size: u64,
    scratch: &mut [u8],
) -> Result<u64, OpError> {
    let options = check(options)?;
    if !qcow2::create::names_fit(&options) {
        return Err(Refusal::CreateNames.into());
    }
    qcow2::create::check_size(options.geometry, size).map_err(|_| Refusal::SizeTooLargeForQcow2)?;
    Ok(qcow2::create::run(&mut OnDisk(disk), &options, size, scratch)?)
}

/// The options as the planner takes them, if they go together.
fn check(options: &Qcow2Options) -> Result<qcow2::create::Options<'_>, Refusal> {
    let v2 = match options.version {
        2 => true,
        3 => false,
        _ => return Err(Refusal::CreateVersion),
    };
    if !(MIN_CLUSTER_BITS..=MAX_CLUSTER_BITS).contains(&options.cluster_bits) {
        return Err(Refusal::CreateClusterSize);
    }
    if !options.refcount_bits.is_power_of_two() || options.refcount_bits > 64 {
        return Err(Refusal::CreateRefcountBits);
    }
    let links = &options.links;
    let allocates = options.preallocation != Preallocation::Off;
    if links.has_backing() && allocates && !options.extended_l2 {
        return Err(Refusal::CreateBackingPreallocated);
    }
    let v3_only = [
        (options.lazy_refcounts, Refusal::CreateLazyV2),
        (options.extended_l2, Refusal::CreateExtendedL2V2),
        (options.refcount_bits != 16, Refusal::CreateRefcountBitsV2),
        (options.zstd, Refusal::CreateCompressionV2),
    ];
    if let (true, Some((_, refusal))) = (v2, v3_only.into_iter().find(|(asked, _)| *asked)) {
        return Err(refusal);
    }
    let order = options.refcount_bits.trailing_zeros();
    let geometry = Geometry::new(options.cluster_bits, order, options.extended_l2)
        .map_err(|_| Refusal::CreateExtendedL2Clusters)?;
    let (version, lazy_refcounts, zstd) = (options.version, options.lazy_refcounts, options.zstd);
    let preallocation = options.preallocation;
    check_links(options)?;
    let links = links.as_planned();
    Ok(qcow2::create::Options { version, geometry, lazy_refcounts, zstd, preallocation, links })
}

/// Whether the files that are named go together.
fn check_links(options: &Qcow2Options) -> Result<(), Refusal> {
    let links = &options.links;
    let refused = [
        (links.data_file_raw && !links.has_data_file(), Refusal::CreateRawDataFile),
        (links.data_file_raw && links.has_backing(), Refusal::CreateRawDataFileBacking),
        (links.has_data_file() && options.version < 3, Refusal::CreateDataFileV2),
        (!links.has_backing() && !links.backing_format.as_bytes().is_empty(), Refusal::CreateBackingFormat),
    ];
    refused.into_iter().find(|(wrong, _)| *wrong).map_or(Ok(()), |(_, refusal)| Err(refusal))
}

//! Creating an image.

use crate::resize::OnDisk;
use crate::{CreateRequest, Disk, Format, OpError, Qcow2Options, Refusal, ResizeAction, ResizeOutcome};
use instar_formats::qcow2::Geometry;
use instar_formats::qcow2::geometry::{MAX_CLUSTER_BITS, MIN_CLUSTER_BITS};
use instar_planner::{MAX_BYTES, qcow2, raw};

/// Lays out a new image on `disk`, which is empty. The outcome is that of a resize from nothing.
///
/// # Errors
/// [`OpError`]: the options do not go together, the size is beyond the format, or the device failed.
pub fn create<D: Disk>(
    disk: &mut D,
    request: &CreateRequest,
    scratch: &mut [u8],
) -> Result<ResizeOutcome, OpError> {
    let size = raw::virtual_size(request.size);
    if size > MAX_BYTES {
        return Err(Refusal::SizeTooLarge.into());
    }
    let file_size_after = match request.format {
        Format::Raw => size,
        Format::Qcow2 => create_qcow2(disk, &request.qcow2, size, scratch)?,
        Format::Qed => return Err(Refusal::CreateQed.into()),
        Format::Luks => return Err(Refusal::CreateLuks.into()),
    };
    Ok(ResizeOutcome {
        format: request.format,
        action: ResizeAction::between(0, size),
        old_virtual_size: 0,
        new_virtual_size: size,
        file_size_before: disk.len(),
        file_size_after,
        preallocate: None,
        data_file_size_after: None,
    })
}

fn create_qcow2<D: Disk>(
    disk: &mut D,
    options: &Qcow2Options,
    size: u64,
    scratch: &mut [u8],
) -> Result<u64, OpError> {
    let options = check(options)?;
    qcow2::create::check_size(options.geometry, size).map_err(|_| Refusal::SizeTooLargeForQcow2)?;
    Ok(qcow2::create::run(&mut OnDisk(disk), &options, size, scratch)?)
}

/// The options as the planner takes them, if they go together.
fn check(options: &Qcow2Options) -> Result<qcow2::create::Options, Refusal> {
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
    Ok(qcow2::create::Options { version, geometry, lazy_refcounts, zstd, preallocation })
}

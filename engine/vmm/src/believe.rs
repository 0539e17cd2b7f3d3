//! Whether a result can be true, as far as the host can see without reading the image.

use crate::error::VmmError;
use crate::image::Seen;
use instar_abi::layout::SECTOR;
use instar_ops::disk::IoError;
use instar_ops::{
    CheckReport, CheckRequest, CreateRequest, Format, ImageInfo, LayerError, OpError, Preallocation, Repair,
    ResizeAction, ResizeOutcome, ResizeRequest, SizeRequest,
};

/// Largest size that a file can have.
const MAX_SIZE: u64 = i64::MAX.unsigned_abs();

/// `result` with what the host knows of the device's failures, if the two agree. Whoever `repairs` may
/// have written before it refuses.
pub fn result<T>(
    result: Result<T, OpError>,
    seen: &Seen,
    repairs: bool,
) -> Result<Result<T, OpError>, VmmError> {
    match (result, seen.failure) {
        (Err(OpError::Io(reported)), Some(failure)) => Ok(Err(OpError::Io(named(reported, failure)))),
        (Err(OpError::Layer { layer, error: LayerError::Io(reported) }), Some(failure)) => {
            let error = LayerError::Io(named(reported, failure));
            Ok(Err(OpError::Layer { layer, error }))
        }
        (Err(OpError::Io(_) | OpError::Layer { error: LayerError::Io(_), .. }), None) => {
            Err(VmmError::Unbelievable("it reports a failure of the device, which did not fail"))
        }
        (_, Some(failure)) => Err(VmmError::Io(failure)),
        (Err(_), None) if seen.writes != 0 && !repairs => {
            Err(VmmError::Unbelievable("it refuses after it has written"))
        }
        (result, None) => Ok(result),
    }
}

/// What the guest reported, with the host's reason. The place is the guest's: it knows what it
/// asked for, the device only parts of that.
const fn named(reported: IoError, failure: IoError) -> IoError {
    IoError { errno: failure.errno, ..reported }
}

/// Turns "does not hold" into the error that says what.
const fn must(holds: bool, otherwise: &'static str) -> Result<(), VmmError> {
    if holds { Ok(()) } else { Err(VmmError::Unbelievable(otherwise)) }
}

/// Whether the outcome of a resize of a file of `len` bytes can be true, with a data file or without.
pub fn resize(
    outcome: &ResizeOutcome,
    request: &ResizeRequest,
    (len, data_file): (u64, bool),
    seen: &Seen,
) -> Result<(), VmmError> {
    let old = outcome.old_virtual_size;
    let new = new_size(outcome);
    let asked = match request.size {
        SizeRequest::Absolute(size) => Some(size),
        SizeRequest::Grow(more) => old.checked_add(more),
        SizeRequest::Shrink(less) => old.checked_sub(less),
    };
    let rounded = asked.is_some_and(|asked| is_rounded(outcome.format, asked, new));
    must(rounded, "its new size is not the one that was asked for")?;
    let format = request.format.is_none_or(|format| format == outcome.format);
    must(format, "its format is not the one that was named")?;
    let shrinks = outcome.action == ResizeAction::Shrink;
    must(!shrinks || request.shrink, "it shrinks without leave")?;
    laid_out(outcome, len, seen)?;
    data_file_fits(outcome, data_file, seen)?;
    let allocates = matches!(request.preallocation, Preallocation::Falloc | Preallocation::Full);
    must(outcome.preallocate.is_none() || allocates, "it allocates what nobody asked for")
}

/// Whether what becomes of `count` extents can be true: some stay, and only a disk that shrinks loses any.
pub fn extents(outcome: &ResizeOutcome, count: usize) -> Result<(), VmmError> {
    let Some(after) = outcome.extents_after else { return Ok(()) };
    let some = after.kept > 0 && usize::try_from(after.kept).is_ok_and(|kept| kept <= count);
    must(some, "there are not so many extents")?;
    let shrinks = outcome.action == ResizeAction::Shrink;
    must(shrinks, "it would cut extents of a disk that does not shrink")?;
    must(after.last_len.is_none_or(|len| len <= MAX_SIZE), "no file can have that length")
}

/// Whether the outcome of a creation can be true.
pub fn create(
    outcome: &ResizeOutcome,
    request: &CreateRequest,
    len: u64,
    seen: &Seen,
) -> Result<(), VmmError> {
    must(outcome.format == request.format, "its format is not the one that was named")?;
    let size = request.size.checked_next_multiple_of(SECTOR);
    let rounded = size.is_some_and(|size| is_rounded(request.format, size, outcome.new_virtual_size));
    must(rounded && outcome.old_virtual_size == 0, "its size is not the one that was asked for")?;
    laid_out(outcome, len, seen)?;
    let data_file = request.format == Format::Qcow2 && request.qcow2.links.has_data_file();
    data_file_fits(outcome, data_file, seen)?;
    let allocates = matches!(request.qcow2.preallocation, Preallocation::Falloc | Preallocation::Full);
    must(outcome.preallocate.is_none() || allocates, "it allocates what nobody asked for")
}

/// A data file is as long as the disk, and is not cut shorter than what was written to it.
fn data_file_fits(outcome: &ResizeOutcome, there_is_one: bool, seen: &Seen) -> Result<(), VmmError> {
    let fits = match outcome.data_file_size_after {
        None => !there_is_one || outcome.action == ResizeAction::NoOp,
        Some(len) => there_is_one && outcome.format == Format::Qcow2 && len == outcome.new_virtual_size,
    };
    must(fits, "its data file is not to be as long as the disk")?;
    let kept = seen.data_written_end < outcome.new_virtual_size.saturating_add(SECTOR);
    let shrinks = outcome.action == ResizeAction::Shrink;
    must(!there_is_one || shrinks || kept, "it would cut off what it has written to the data file")
}

/// The new size as it was asked for. That of a raw disk is reported in whole sectors, but asked for,
/// and given to the file, in bytes.
const fn new_size(outcome: &ResizeOutcome) -> u64 {
    match outcome.format {
        Format::Raw => outcome.file_size_after,
        Format::Luks => outcome.file_size_after.saturating_sub(luks_header(outcome)),
        Format::Qcow2 | Format::Qed | Format::Vhd | Format::Vhdx | Format::Vmdk => outcome.new_virtual_size,
    }
}

/// Whether a size that was `asked` for may have become `new` one: some formats have none but multiples of
/// something.
const fn is_rounded(format: Format, asked: u64, new: u64) -> bool {
    let unit = match format {
        Format::Raw | Format::Luks | Format::Qcow2 | Format::Qed | Format::Vhdx => 1,
        // Less than a cylinder of 16 heads and 255 sectors.
        Format::Vhd => 16 * 255 * SECTOR,
        // A grain.
        Format::Vmdk => 1 << 16,
    };
    matches!(new.checked_sub(asked), Some(more) if more < unit)
}

/// Whether the sizes of an outcome agree with each other and with what was written.
fn laid_out(outcome: &ResizeOutcome, len: u64, seen: &Seen) -> Result<(), VmmError> {
    let action = match new_size(outcome).cmp(&outcome.old_virtual_size) {
        std::cmp::Ordering::Greater => ResizeAction::Grow,
        std::cmp::Ordering::Less => ResizeAction::Shrink,
        std::cmp::Ordering::Equal => ResizeAction::NoOp,
    };
    must(outcome.action == action, "what it did is not what its sizes say")?;
    let (before, after) = (outcome.file_size_before, outcome.file_size_after);
    must(before == len, "the file did not have that length")?;
    must(raw_sizes_fit(outcome), "no raw disk has that size in a file of that length")?;
    must(after <= MAX_SIZE && outcome.new_virtual_size <= MAX_SIZE, "no file can have that length")?;
    // The last sector of what was written may be longer than the file is to be.
    let kept = seen.written_end < after.saturating_add(SECTOR);
    let shrinks = action == ResizeAction::Shrink;
    must(shrinks || (kept && after >= before), "it would cut off what it has written or was there")?;
    let (offset, more) = outcome.preallocate.unwrap_or((0, 0));
    let within = offset.checked_add(more).is_some_and(|end| end <= after);
    must(within, "it allocates beyond the end of the file")
}

/// What a LUKS file has before its disk, in bytes, by the sizes before: whole sectors.
const fn luks_header(outcome: &ResizeOutcome) -> u64 {
    let whole = outcome.file_size_before.saturating_add(SECTOR - 1) / SECTOR * SECTOR;
    whole.saturating_sub(outcome.old_virtual_size)
}

/// A raw disk is its file, rounded up to a sector; a LUKS disk is what follows its header.
const fn raw_sizes_fit(outcome: &ResizeOutcome) -> bool {
    const fn fits(len: u64, size: u64) -> bool {
        matches!(len.checked_next_multiple_of(SECTOR), Some(rounded) if rounded == size)
    }
    match outcome.format {
        Format::Qcow2 | Format::Qed | Format::Vhd | Format::Vhdx | Format::Vmdk => true,
        Format::Raw => {
            fits(outcome.file_size_before, outcome.old_virtual_size)
                && fits(outcome.file_size_after, outcome.new_virtual_size)
        }
        Format::Luks => {
            let header = luks_header(outcome);
            header.is_multiple_of(SECTOR)
                && fits(outcome.file_size_before, outcome.old_virtual_size.saturating_add(header))
                && fits(outcome.file_size_after, outcome.new_virtual_size.saturating_add(header))
        }
    }
}

/// Whether the counts of a check can be true.
pub fn check(report: &CheckReport, request: &CheckRequest) -> Result<(), VmmError> {
    let format = request.format.is_none_or(|format| format == report.format);
    must(format, "its format is not the one that was named")?;
    let fixed = report.corruptions_fixed != 0 || report.leaks_fixed != 0;
    must(!fixed || request.repair != Repair::Nothing, "it repairs without leave")
}

/// Whether the description of an image can be true.
pub fn info(info: &ImageInfo) -> Result<(), VmmError> {
    must(info.virtual_size <= MAX_SIZE, "no image can have that size")
}

#[cfg(test)]
mod tests;

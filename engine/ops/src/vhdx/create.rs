//! Creating.

use crate::resize::OnDisk;
use crate::{CreateRequest, Disk, OpError, Refusal, VhdxOptions};
use instar_formats::vhdx::{MAX_DISK, MIB};
use instar_planner::vhdx::create::{Options, block_size, block_size_for, run};

/// The log is shorter than this many bytes: its length is a 32-bit word.
const MAX_LOG: u64 = 1 << 32;

/// Lays out an image of `size` bytes. Returns how long the file shall be.
pub(crate) fn create<D: Disk>(
    disk: &mut D,
    (request, size): (&CreateRequest, u64),
    scratch: &mut [u8],
) -> Result<u64, OpError> {
    let options = options(&request.vhdx, size)?;
    Ok(run(&mut OnDisk(disk), &options, (size, &request.identity.random), scratch)?)
}

/// The options as the planner takes them, if they make sense; refused in the order of `qemu-img`.
fn options(asked: &VhdxOptions, size: u64) -> Result<Options, Refusal> {
    if size > MAX_DISK {
        return Err(Refusal::CreateVhdxSize);
    }
    let log_len = asked.log_size.wrapping_add(MIB - 1) & !(MIB - 1);
    if log_len >= MAX_LOG {
        return Err(Refusal::CreateVhdxLogLarge);
    }
    if log_len == 0 {
        return Err(Refusal::CreateVhdxLog);
    }
    let block_size = match asked.block_size {
        0 => block_size_for(size),
        asked => block_size(asked).ok_or(Refusal::CreateVhdxBlock)?,
    };
    let VhdxOptions { fixed, block_state_zero, .. } = *asked;
    Ok(Options { block_size, log_len, fixed, zero_blocks: block_state_zero })
}

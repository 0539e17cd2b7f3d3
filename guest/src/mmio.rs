//! Device registers. Each access is one plain `mov`: the host's kernel has to decode it.

use core::arch::asm;

/// Reads the 32-bit register at `address`.
///
/// # Safety
/// `address` is a register of one of the devices of `instar_abi::layout`.
#[must_use]
pub unsafe fn read32(address: u64) -> u32 {
    let value: u32;
    // SAFETY: the caller names a register; the device may have changed memory.
    unsafe {
        asm!("mov {v:e}, [{a}]", a = in(reg) address, v = out(reg) value, options(nostack, preserves_flags))
    };
    value
}

/// Writes `value` to the 32-bit register at `address`.
///
/// # Safety
/// `address` is a register of one of the devices of `instar_abi::layout`, and what the write sets
/// off touches only memory that the caller has given to the device.
pub unsafe fn write32(address: u64, value: u32) {
    // SAFETY: the caller names a register; the device may have changed memory.
    unsafe {
        asm!("mov [{a}], {v:e}", a = in(reg) address, v = in(reg) value, options(nostack, preserves_flags))
    };
}

//! Where everything lies in the guest's physical memory. Virtual addresses are the same.
//!
//! ```text
//!        0   not mapped: a null pointer faults
//!   0x1000   page tables, GDT, IDT, TSS, fault stubs and their stack   host only
//!  0x10000   core                                     W^X, from its ELF
//!  0x20000   operation, 384 KiB with its .bss         W^X, from its ELF
//!  0x80000   call table                               written by core
//!  0x81000   configuration of the operation           read-only
//!  0x82000   boot information                         read-only
//! 0x100000   virtqueue, text, mailbox, buffers        device memory begins
//! 0x120000   guard, not mapped
//! 0x130000   stack, growing down from 0x200000
//! 0x200000   scratch, 16 MiB                          device memory ends
//! ```
//!
//! Devices reach nothing below [`DMA_BASE`], so no request can touch code, tables or configuration.

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// A range of guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// First byte.
    pub base: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Area {
    const fn new(base: u64, end: u64) -> Self {
        assert!(base < end && base.is_multiple_of(PAGE) && end.is_multiple_of(PAGE));
        Self { base, len: end - base }
    }

    /// First byte after it.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.base + self.len
    }

    /// Its first byte, as an address in memory.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "both sides are 64-bit")]
    pub const fn address(self) -> usize {
        self.base as usize
    }

    /// Its length, as one in memory.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "both sides are 64-bit")]
    pub const fn size(self) -> usize {
        self.len as usize
    }

    /// Whether `len` bytes from `address` lie in it.
    #[must_use]
    pub const fn contains(self, address: u64, len: u64) -> bool {
        address >= self.base && len <= self.len && address - self.base <= self.len - len
    }
}

/// Never mapped.
pub const NULL_PAGE: Area = Area::new(0, 0x1000);
/// The processor's own tables, for the host alone.
pub const SYSTEM: Area = Area::new(0x1000, 0x1_0000);
/// `core`: entry, device driver, the functions behind the call table.
pub const CORE: Area = Area::new(0x1_0000, 0x2_0000);
/// The operation, .bss included. Its first byte is its entry point.
pub const OPERATION: Area = Area::new(0x2_0000, 0x8_0000);
/// The [`crate::table::CallTable`].
pub const CALL_TABLE: Area = Area::new(0x8_0000, 0x8_1000);
/// One of the structures of [`crate::config`].
pub const CONFIG: Area = Area::new(0x8_1000, 0x8_2000);
/// The [`crate::boot::BootInfo`].
pub const BOOT_INFO: Area = Area::new(0x8_2000, 0x8_B000);
/// Virtqueue and request headers of the block device.
pub const QUEUE: Area = Area::new(0x10_0000, 0x10_1000);
/// Debug and panic text on its way to the host.
pub const TEXT: Area = Area::new(0x10_1000, 0x10_2000);
/// Messages on their way to the host.
pub const MAILBOX: Area = Area::new(0x10_2000, 0x10_A000);
/// Where core copies what lies outside device memory.
pub const BOUNCE: Area = Area::new(0x10_A000, 0x11_0000);
/// Where an operation assembles sectors of which it wants a part.
pub const SECTORS: Area = Area::new(0x11_0000, 0x12_0000);
/// Below the stack, never mapped: an overflow faults.
pub const GUARD: Area = Area::new(0x12_0000, 0x13_0000);
/// The stack.
pub const STACK: Area = Area::new(0x13_0000, 0x20_0000);
/// The operation's working memory.
pub const SCRATCH: Area = Area::new(0x20_0000, 0x120_0000);

/// All areas of memory, lowest first.
pub const AREAS: [Area; 15] = [
    NULL_PAGE, SYSTEM, CORE, OPERATION, CALL_TABLE, CONFIG, BOOT_INFO, QUEUE, TEXT, MAILBOX, BOUNCE, SECTORS,
    GUARD, STACK, SCRATCH,
];

/// First byte that devices reach.
pub const DMA_BASE: u64 = QUEUE.base;
/// First byte after the guest's memory.
pub const MEMORY_END: u64 = SCRATCH.end();
/// What devices reach.
pub const DMA: Area = Area::new(DMA_BASE, MEMORY_END);

/// Registers that end a job or carry a message; 32-bit writes only.
pub const CONTROL: Area = Area::new(0x1000_0000, 0x1000_1000);
/// Registers of the block device: virtio-mmio, version 2 (virtio 1.2, section 4.2.2).
pub const BLOCK: Area = Area::new(0x1000_1000, 0x1000_2000);
/// Where the fault stubs report, for ring 0 alone.
pub const FAULT: Area = Area::new(0x1000_2000, 0x1000_3000);

/// Offsets in [`CONTROL`].
pub mod control {
    /// The mailbox holds so many bytes of length-delimited messages.
    pub const SEND: u64 = 0x00;
    /// The text area holds so many bytes for the log.
    pub const DEBUG: u64 = 0x08;
    /// The text area holds so many bytes of a panic; the job ends.
    pub const PANIC: u64 = 0x10;
    /// The job ends; the value is 0.
    pub const EXIT: u64 = 0x18;
}

/// Bytes of a sector of the block device (virtio 1.2, section 5.2: always 512).
pub const SECTOR: u64 = 512;
/// [`SECTOR`] as a length in memory.
pub const SECTOR_LEN: usize = 512;

/// How one block device serves all files of a job: each has a window of the device's sectors, one behind the other. File
/// 0 is the image.
///
/// A file offset is a signed 64-bit number, so no file reaches beyond 2^63 bytes, 2^54 sectors: of up to 1,024 files each fits its
/// window whole. Of more files, of which a disk in many extents has some, the windows are of 2^52 sectors, 2 EiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// log2 of the sectors of a window.
    bits: u32,
}

impl Windows {
    /// log2 of the sectors of a window that fits any file.
    const WHOLE: u32 = 54;
    /// log2 of those of a window among [`MAX_FILES`].
    const MANY: u32 = 52;

    /// Those of a job with so many files, [`MAX_FILES`] at most.
    #[must_use]
    pub const fn of(files: u64) -> Self {
        Self { bits: if files <= 1 << (64 - Self::WHOLE) { Self::WHOLE } else { Self::MANY } }
    }

    /// First sector of file `file`.
    #[must_use]
    pub const fn first(self, file: u64) -> u64 {
        file << self.bits
    }

    /// The file that `sector` belongs to, and the byte offset in it.
    #[must_use]
    pub const fn split(self, sector: u64) -> (u64, u64) {
        (sector >> self.bits, (sector & (self.sectors() - 1)) * SECTOR)
    }

    /// Sectors of each.
    #[must_use]
    pub const fn sectors(self) -> u64 {
        1 << self.bits
    }

    /// Bytes of each.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.sectors() * SECTOR
    }
}

/// Most layers of a backing chain.
pub const MAX_LAYERS: usize = 200;
/// Most files of a job: the image, its data file and the same of each layer behind it, or the image and its
/// extents.
pub const MAX_FILES: usize = 4096;
/// Most files that the extents of one disk have: nearly 8 TiB in extents of 2 GiB, for which a host must allow as many open files.
pub const MAX_EXTENTS: usize = MAX_FILES - 1;

const _: () = {
    let mut i = 1;
    while i < AREAS.len() {
        assert!(AREAS[i - 1].end() <= AREAS[i].base, "areas overlap or are out of order");
        i += 1;
    }
    assert!(MEMORY_END <= CONTROL.base);
    assert!(CONTROL.end() <= BLOCK.base && BLOCK.end() <= FAULT.base);
    // The contract of the layout, in numbers.
    assert!(CORE.base == 0x10000 && OPERATION.base == 0x20000 && OPERATION.len == 384 << 10);
    assert!(CALL_TABLE.base == 0x80000 && CONFIG.base == 0x81000 && QUEUE.base == 0x10_0000);
    assert!(Windows::of(1).bytes() == 1 << 63 && MAX_FILES as u64 <= 1 << (64 - Windows::MANY));
    assert!(2 + 2 * MAX_LAYERS <= MAX_FILES && MAX_EXTENTS < MAX_FILES);
    assert!(GUARD.end() == STACK.base && SCRATCH.len == 16 << 20);
    assert!(FAULT.base < 0x8000_0000, "fault stubs use a sign-extended 32-bit address");
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_do_not_touch() {
        for (files, last) in [(1, 0), (402, 401), (1024, 1023), (1025, 1024), (4096, 4095)] {
            let windows = Windows::of(files);
            for file in [0, 1, last] {
                assert_eq!(windows.split(windows.first(file)), (file, 0));
                let end = windows.first(file) + (windows.sectors() - 1);
                assert_eq!(windows.split(end), (file, windows.bytes() - SECTOR));
            }
        }
        assert_eq!((Windows::of(1024).bytes(), Windows::of(1025).bytes()), (1 << 63, 1 << 61));
    }

    #[test]
    fn contains_takes_whole_ranges_only() {
        let area = Area::new(0x2000, 0x4000);
        assert!(area.contains(0x2000, 0x2000) && area.contains(0x4000, 0));
        assert!(!area.contains(0x1fff, 1) && !area.contains(0x3fff, 2));
        assert!(!area.contains(0x2000, u64::MAX) && !area.contains(u64::MAX, 1));
    }
}

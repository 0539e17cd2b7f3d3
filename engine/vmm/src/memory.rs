//! The guest's memory: what lies where, and who may do what with it.

use crate::error::VmmError;
use crate::segments::Use;
use instar_abi::layout::{self, Area, DMA, PAGE};
use std::io;
use std::sync::Arc;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

/// Bytes of a large page, which a page directory entry maps.
const LARGE: u64 = 2 << 20;
/// Bits of a page table entry (Intel SDM volume 3, section 4.5).
const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const WRITE_THROUGH: u64 = 1 << 3;
const CACHE_DISABLED: u64 = 1 << 4;
const ACCESSED_AND_DIRTY: u64 = 3 << 5;
const LARGE_PAGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
/// A device's registers: not cached.
const DEVICE: u64 = PRESENT | WRITABLE | WRITE_THROUGH | CACHE_DISABLED | NO_EXECUTE;
/// Entries of a table.
const ENTRIES: u64 = 512;

/// The root of the page tables (for CR3).
pub const PAGE_TABLES: u64 = layout::SYSTEM.base;
const DIRECTORY_POINTERS: u64 = PAGE_TABLES + PAGE;
const DIRECTORY: u64 = PAGE_TABLES + 2 * PAGE;
/// Maps the first 2 MiB.
const LOW_TABLE: u64 = PAGE_TABLES + 3 * PAGE;
/// Maps the 2 MiB with the devices' registers.
const DEVICE_TABLE: u64 = PAGE_TABLES + 4 * PAGE;
/// The first page of [`layout::SYSTEM`] that is not a page table.
pub const AFTER_PAGE_TABLES: u64 = PAGE_TABLES + 5 * PAGE;

/// Memory of a guest, zeros at first. Devices get to see [`layout::DMA`] only.
#[derive(Debug)]
pub struct Memory {
    /// Everything.
    pub all: GuestMemoryMmap,
    /// What devices reach.
    pub dma: GuestMemoryMmap,
}

impl Memory {
    /// Allocates the memory and maps what does not depend on the binaries.
    pub fn new() -> Result<Self, VmmError> {
        let low = region(Area { base: 0, len: DMA.base })?;
        let high = region(DMA)?;
        let collect = |regions| {
            GuestMemoryMmap::from_arc_regions(regions).map_err(|e| host("laying out guest memory", e))
        };
        let memory = Self { all: collect(vec![low, Arc::clone(&high)])?, dma: collect(vec![high])? };
        memory.map_fixed()?;
        Ok(memory)
    }

    /// Writes `bytes` to `address`.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), VmmError> {
        self.all.write_slice(bytes, GuestAddress(address)).map_err(|e| host("writing guest memory", e))
    }

    /// Reads `len` bytes from `address`.
    pub fn read(&self, address: u64, len: usize) -> Result<Vec<u8>, VmmError> {
        let mut bytes = vec![0; len];
        let read = self.all.read_slice(&mut bytes, GuestAddress(address));
        read.map_err(|e| host("reading guest memory", e)).map(|()| bytes)
    }

    /// Lets the guest use `area`, whole pages of the first 2 MiB.
    pub fn map(&self, area: Area, usage: Use) -> Result<(), VmmError> {
        self.map_pages(area, USER | bits(usage))
    }

    /// Lets the processor's own tables and the fault stubs be used in ring 0.
    pub fn map_system(&self, area: Area, usage: Use) -> Result<(), VmmError> {
        self.map_pages(area, bits(usage))
    }

    fn map_pages(&self, area: Area, bits: u64) -> Result<(), VmmError> {
        (area.base..area.end())
            .step_by(4096)
            .try_for_each(|page| self.entry(LOW_TABLE, page / PAGE, page | bits | ACCESSED_AND_DIRTY))
    }

    fn entry(&self, table: u64, index: u64, value: u64) -> Result<(), VmmError> {
        self.write(table + 8 * (index % ENTRIES), &value.to_le_bytes())
    }

    fn map_fixed(&self) -> Result<(), VmmError> {
        let table = PRESENT | WRITABLE | USER | ACCESSED_AND_DIRTY;
        self.entry(PAGE_TABLES, 0, DIRECTORY_POINTERS | table)?;
        self.entry(DIRECTORY_POINTERS, 0, DIRECTORY | table)?;
        self.entry(DIRECTORY, 0, LOW_TABLE | table)?;
        self.entry(DIRECTORY, layout::CONTROL.base / LARGE, DEVICE_TABLE | table)?;
        let large = USER | bits(Use::Data) | LARGE_PAGE | ACCESSED_AND_DIRTY;
        for base in (layout::SCRATCH.base..layout::SCRATCH.end()).step_by(2 << 20) {
            self.entry(DIRECTORY, base / LARGE, base | large)?;
        }
        for (device, user) in [(layout::CONTROL, USER), (layout::BLOCK, USER), (layout::FAULT, 0)] {
            self.entry(DEVICE_TABLE, device.base / PAGE, device.base | DEVICE | user)?;
        }
        for area in [layout::CONFIG, layout::BOOT_INFO] {
            self.map(area, Use::Constants)?;
        }
        for area in DATA_AREAS {
            self.map(area, Use::Data)?;
        }
        Ok(())
    }
}

/// What the guest may write to in the first 2 MiB, its binaries' data apart.
const DATA_AREAS: [Area; 7] = [
    layout::CALL_TABLE,
    layout::QUEUE,
    layout::TEXT,
    layout::MAILBOX,
    layout::BOUNCE,
    layout::SECTORS,
    layout::STACK,
];

const _: () = {
    assert!(layout::STACK.end() <= LARGE, "the low page table maps everything but scratch");
    assert!(layout::SCRATCH.base.is_multiple_of(LARGE) && layout::SCRATCH.len.is_multiple_of(LARGE));
    assert!(layout::CONTROL.base / LARGE == layout::FAULT.base / LARGE, "one table maps all devices");
    assert!(layout::FAULT.end() <= ENTRIES * LARGE, "one directory maps everything");
    assert!(layout::SCRATCH.len >= instar_ops::SCRATCH_LEN as u64);
};

const fn bits(usage: Use) -> u64 {
    match usage {
        Use::Text => PRESENT,
        Use::Constants => PRESENT | NO_EXECUTE,
        Use::Data => PRESENT | WRITABLE | NO_EXECUTE,
    }
}

fn host(what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> VmmError {
    VmmError::Host { what, source: io::Error::other(source) }
}

fn region(area: Area) -> Result<Arc<GuestRegionMmap>, VmmError> {
    let len = usize::try_from(area.len).unwrap_or(usize::MAX);
    let mapping = MmapRegion::new(len).map_err(|e| host("allocating guest memory", e))?;
    let region = GuestRegionMmap::new(mapping, GuestAddress(area.base));
    region
        .map(Arc::new)
        .ok_or_else(|| host("allocating guest memory", io::Error::from_raw_os_error(libc::ENOMEM)))
}

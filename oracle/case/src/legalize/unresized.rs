//! Which options of VHD, VHDX and VMDK go together, and how large their images may be.

use super::bounds::PREALLOCATED_GROWTH;
use crate::geometry::SECTOR;
use crate::unresized::{EXTENT_SECTORS, VHDX_MAX, VPC_MAX};
use crate::{
    Creator, Fixture, FormatOptions, MadeBy, Maker, Preallocation, Subformat, Vhdx, Vmdk, Vpc, virtual_size,
};

/// Entries of a VHD's table: 4 MiB of them.
const VPC_BLOCKS: u64 = 1 << 20;
/// Entries of a VHDX's table, enough for two moves.
const VHDX_BLOCKS: u64 = 1 << 18;
/// Grain tables, which are 4 KiB each twice over.
const VMDK_TABLES: u64 = 2048;
/// The largest disk that is as long as its file, in bytes: some readers look at all of it.
const FLAT: u64 = 1 << 30;
/// Extents of a split VMDK, and of one whose extents are shorter than usual.
const EXTENTS: u64 = 4;
const SHORT_EXTENTS: u64 = 40;
/// Sectors of the shortest ones.
const FEWEST_SECTORS: u64 = 512;
/// Blocks that one resize gives a place.
const PREALLOCATED_BLOCKS: u64 = 64;

/// Makes options and size of a fixture of these formats legal.
pub fn legalize(fixture: &mut Fixture) {
    let own = fixture.maker == Maker::Own;
    match &mut fixture.format {
        FormatOptions::Vpc(options) => options.legalize(own),
        FormatOptions::Vhdx(options) => options.legalize(own),
        FormatOptions::Vmdk(options) => options.legalize(own),
        _ => return,
    }
    // Old versions spoil the table of a VHDX when they write to the disk.
    if fixture.maker == Maker::Own || fixture.format.vhdx().is_some() {
        fixture.made_by = MadeBy::Newest;
    }
    let sector = fixture.format.vhdx().map_or(SECTOR, Vhdx::logical_sector);
    fixture.size = (fixture.size / sector * sector).max(sector);
    // A disk is as large as it is to be: its writes reach its end, whoever rounds.
    fixture.size = virtual_size(&fixture.format, fixture.size);
}

impl Vpc {
    fn legalize(&mut self, own: bool) {
        if !own {
            self.block_bits = 21;
            if self.creator != Creator::Qem2 {
                self.creator = Creator::Qemu;
            }
        }
        self.block_bits = if self.fixed { 21 } else { self.block_bits.clamp(16, 24) };
    }
}

impl Vhdx {
    fn legalize(&mut self, own: bool) {
        self.large_sectors &= own;
        self.block_bits = self.block_bits.clamp(20, 28);
        self.log_mib = self.log_mib.clamp(1, 4);
    }
}

impl Vmdk {
    fn legalize(&mut self, own: bool) {
        if own && self.subformat == Subformat::StreamOptimized {
            self.subformat = Subformat::MonolithicSparse;
        }
        self.compat6 &= !own;
        let odd = own && self.subformat.is_split();
        self.grain_bits = if own { self.grain_bits.clamp(13, 18) } else { 16 };
        self.extent_sectors =
            if odd { self.extent_sectors.clamp(FEWEST_SECTORS, EXTENT_SECTORS) } else { EXTENT_SECTORS };
        self.extent_sectors -= self.extent_sectors % self.extent_unit();
        if self.subformat.is_flat() || self.subformat == Subformat::StreamOptimized {
            self.zeroed_grain = false;
        }
    }
}

/// The largest virtual size that a case resizes to, in bytes.
pub fn growth_cap(format: &FormatOptions) -> u64 {
    match format {
        FormatOptions::Vpc(options) if options.fixed => FLAT,
        FormatOptions::Vpc(options) => VPC_MAX.min(VPC_BLOCKS << options.block_bits),
        FormatOptions::Vhdx(options) if options.fixed => FLAT,
        FormatOptions::Vhdx(options) => VHDX_MAX.min(VHDX_BLOCKS << options.block_bits),
        FormatOptions::Vmdk(options) if options.subformat.is_split() => {
            let most = SHORT_EXTENTS * options.extent_sectors;
            most.min(EXTENTS * EXTENT_SECTORS) * SECTOR
        }
        FormatOptions::Vmdk(options) if options.subformat.is_flat() => FLAT,
        FormatOptions::Vmdk(options) => VMDK_TABLES * options.coverage(),
        _ => u64::MAX,
    }
}

/// The most bytes that a preallocating resize may add.
pub fn preallocated_cap(format: &FormatOptions, mode: Preallocation) -> u64 {
    let written = matches!(mode, Preallocation::Falloc | Preallocation::Full);
    match mode {
        Preallocation::Off => u64::MAX,
        // What is written is whole blocks.
        _ if written && is_mapped(format) && format.unit() > PREALLOCATED_GROWTH => 0,
        _ if written || format.vmdk().is_some() => PREALLOCATED_GROWTH,
        _ => PREALLOCATED_BLOCKS * format.unit(),
    }
}

/// Whether the file has blocks that need not be there.
fn is_mapped(format: &FormatOptions) -> bool {
    match format {
        FormatOptions::Vpc(options) => !options.fixed,
        FormatOptions::Vhdx(options) => !options.fixed || !options.zeroed,
        FormatOptions::Vmdk(options) => !options.subformat.is_flat(),
        _ => false,
    }
}

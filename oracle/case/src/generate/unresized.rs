//! Images of the formats that `qemu-img` does not resize, and where it hurts to resize them: at the ends of tables, of
//! tables' rooms, of geometries and of extents.

use super::draw::Draw;
use super::parts;
use crate::legalize::bounds::growth_cap;
use crate::unresized::{EXTENT_SECTORS, TABLE_ENTRIES};
use crate::{Adapter, Creator, Fixture, FormatOptions, Maker, Subformat, Vhdx, Vmdk, Vpc, Write, WriteKind};

/// Bytes of a MiB, and a sector.
const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Entries of a VHD's table that a sector holds.
const SECTOR_ENTRIES: u64 = 128;
/// Entries of a VHDX's table that a MiB holds.
const MIB_ENTRIES: u64 = 128 << 10;

/// The formats.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// VHD.
    Vpc,
    /// VHDX.
    Vhdx,
    /// VMDK.
    Vmdk,
}

impl Kind {
    /// The format of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "vpc" => Some(Self::Vpc),
            "vhdx" => Some(Self::Vhdx),
            "vmdk" => Some(Self::Vmdk),
            _ => None,
        }
    }

    /// A fixture without writes.
    pub fn fixture(self, draw: &mut Draw) -> Fixture {
        let maker = if draw.rarely(96) { Maker::Own } else { Maker::Qemu };
        let made_by = parts::made_by(draw);
        let format = match self {
            Self::Vpc => vpc(draw),
            Self::Vhdx => vhdx(draw),
            Self::Vmdk => vmdk(draw),
        };
        let size = size(draw, &format);
        Fixture { maker, made_by, ..Fixture::new(format, size) }
    }
}

fn vpc(draw: &mut Draw) -> FormatOptions {
    let creators = [Creator::Qemu, Creator::Qem2, Creator::Win, Creator::Vpc, Creator::D2v, Creator::Vbox];
    let mut creator = draw.pick(creators);
    if draw.rarely(100) {
        creator = Creator::Qem2;
    }
    FormatOptions::Vpc(Vpc { fixed: draw.rarely(40), creator, block_bits: draw.pick([21, 16, 19, 20, 22]) })
}

fn vhdx(draw: &mut Draw) -> FormatOptions {
    FormatOptions::Vhdx(Vhdx {
        fixed: draw.rarely(64),
        block_bits: draw.pick([23, 20, 20, 21, 22, 24, 25, 26, 28]),
        log_mib: draw.pick([1, 1, 1, 2]),
        zeroed: !draw.rarely(96),
        large_sectors: draw.rarely(48),
    })
}

fn vmdk(draw: &mut Draw) -> FormatOptions {
    use Subformat::{
        MonolithicFlat, MonolithicSparse, StreamOptimized, TwoGbMaxExtentFlat, TwoGbMaxExtentSparse,
    };
    let stream = draw.rarely(8);
    let subformat = draw.pick([
        MonolithicSparse,
        MonolithicSparse,
        MonolithicFlat,
        TwoGbMaxExtentSparse,
        TwoGbMaxExtentFlat,
    ]);
    FormatOptions::Vmdk(Vmdk {
        subformat: if stream { StreamOptimized } else { subformat },
        adapter: draw.pick([Adapter::Ide, Adapter::Lsilogic, Adapter::Buslogic, Adapter::LegacyEsx]),
        compat6: draw.rarely(48),
        zeroed_grain: draw.rarely(64),
        grain_bits: draw.pick([16, 13, 14, 17, 18]),
        extent_sectors: match draw.below(3) {
            0 => EXTENT_SECTORS,
            1 => 2048 * (1 + draw.below(64)),
            _ => 512 + draw.below(65_536),
        },
    })
}

/// Guest bytes that one table, or one sector or MiB of the table, maps.
pub fn coverage(format: &FormatOptions) -> u64 {
    match format {
        FormatOptions::Vpc(options) => SECTOR_ENTRIES * options.block_size(),
        FormatOptions::Vhdx(options) => options.chunk() * options.block_size(),
        FormatOptions::Vmdk(options) => options.coverage(),
        _ => MIB,
    }
}

/// Guest bytes at which the whole table has to move, or the next file begins.
fn room(format: &FormatOptions) -> u64 {
    match format {
        FormatOptions::Vpc(options) => SECTOR_ENTRIES * options.block_size(),
        // Every chunk takes an entry more.
        FormatOptions::Vhdx(options) => {
            (MIB_ENTRIES - MIB_ENTRIES / options.chunk().max(1)) * options.block_size()
        }
        FormatOptions::Vmdk(options) if options.subformat.is_split() => options.extent_sectors * SECTOR,
        // A sector of the directory has 128 entries.
        FormatOptions::Vmdk(options) => TABLE_ENTRIES / 4 * options.coverage(),
        _ => MIB,
    }
}

/// Sizes at which the geometries of VHD change, in bytes.
const BANDS: [u64; 4] = [136 << 20, 248 << 20, 31_500 << 20, 130_560 << 20];

/// How large the disk is in the beginning.
fn size(draw: &mut Draw, format: &FormatOptions) -> u64 {
    let (unit, cap) = (format.unit(), growth_cap(format));
    let base = match draw.below(9) {
        0 => 4 * MIB,
        1 => SECTOR * (1 + draw.below(8192)),
        2..=3 => (1 + draw.below(24)) * unit,
        4 => (1 + draw.below(3)) * coverage(format),
        5 => room(format),
        6 => draw.pick(BANDS),
        7 if draw.rarely(64) => cap,
        _ => (1 + draw.below(128)) * MIB,
    };
    draw.near(base.min(cap), unit).max(SECTOR)
}

/// A size to resize to from `current`.
pub fn target(draw: &mut Draw, fixture: &Fixture, current: u64) -> u64 {
    let format = &fixture.format;
    let (unit, cap) = (format.unit(), growth_cap(format));
    let (coverage, room) = (coverage(format), room(format));
    let next = |step: u64, count: u64| (current / step + count).saturating_mul(step);
    let base = match draw.below(14) {
        0 => current.saturating_mul(2).max(2 * MIB),
        1 => return current.saturating_add(SECTOR * (1 + draw.below(64))),
        2 => next(unit, 1 + draw.below(4)),
        3 => next(coverage, 1 + draw.below(3)),
        4 => next(room, 1 + draw.below(2)),
        5 => cap >> draw.pick([10, 6, 3, 0]),
        6 => draw.pick(BANDS),
        7..=8 => current / 8 * draw.below(8),
        9 => current.saturating_sub((1 + draw.below(4)) * unit),
        10 => return current.saturating_sub(SECTOR * (1 + draw.below(64))),
        11 => (current / coverage).saturating_sub(draw.below(2)).saturating_mul(coverage),
        12 => return fixture.size,
        _ => return current,
    };
    let size = draw.near(base, unit).min(cap);
    let sector = format.vhdx().map_or(1, Vhdx::logical_sector);
    // A size that is not whole sectors is refused: not most of the time.
    if sector == 1 || draw.rarely(24) { size } else { size / sector * sector }
}

/// A write in any block or across two, short enough for many of them; far blocks come before near ones as often as not.
pub fn write(draw: &mut Draw, fixture: &Fixture) -> Write {
    let (unit, size) = (fixture.format.unit(), fixture.size);
    let base = match draw.below(6) {
        0..=1 => draw.below(size / unit + 1) * unit,
        2 => draw.below(size.min(24 * unit) / unit + 1) * unit,
        3 => size.saturating_sub((1 + draw.below(3)) * unit),
        4 => (draw.below(size / coverage(&fixture.format) + 1)) * coverage(&fixture.format),
        _ => draw.below(size / SECTOR) * SECTOR,
    };
    let len = draw.pick([4096, SECTOR, 65_536, 200_000, 131_072]);
    let back = if draw.rarely(96) { len / 2 / SECTOR * SECTOR } else { 0 };
    let kind = draw.pick([WriteKind::Data, WriteKind::Data, WriteKind::Zero]);
    Write { kind, pattern: draw.pattern(), offset: base.saturating_sub(back).min(size - SECTOR), len }
}

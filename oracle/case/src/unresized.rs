//! Formats that `qemu-img` creates and reads but does not resize: VHD (which it calls `vpc`), VHDX and VMDK.

use serde::{Deserialize, Serialize};

use crate::chs;
use crate::geometry::SECTOR;
use crate::{FormatOptions, Preallocation, Refusal};

/// The largest VHD in bytes: 2040 GiB.
pub const VPC_MAX: u64 = 2040 << 30;
/// The largest VHDX in bytes: 64 TiB.
pub const VHDX_MAX: u64 = 64 << 40;
/// Grain tables of the largest VMDK that is resized.
const VMDK_TABLES: u64 = 32 << 20;
/// Sectors that a full extent of a split VMDK has: 2 GiB.
pub const EXTENT_SECTORS: u64 = 4_194_304;
/// Entries of a grain table.
pub const TABLE_ENTRIES: u64 = 512;

/// Options of a VHD image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vpc {
    /// Whether it is a fixed image, without a table.
    #[serde(default)]
    pub fixed: bool,
    /// Who says that it made it, by which readers know how large it is.
    #[serde(default)]
    pub creator: Creator,
    /// log2 of the block size: 21; 16 to 24 of our own making.
    #[serde(default = "vpc_block_bits")]
    pub block_bits: u8,
}

/// Creators of VHD images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Creator {
    /// `qemu-img` as called: its geometry is the size.
    #[default]
    Qemu,
    /// `qemu-img` with `force_size`: the size is exact, as with all that follow but the next.
    Qem2,
    /// Virtual PC: as the first.
    Vpc,
    /// Hyper-V.
    Win,
    /// disk2vhd.
    D2v,
    /// VirtualBox, which readers before 10.0 hold to its geometry.
    Vbox,
}

impl Creator {
    /// The four bytes in the footer.
    pub fn tag(self) -> [u8; 4] {
        *match self {
            Self::Qemu => b"qemu",
            Self::Qem2 => b"qem2",
            Self::Vpc => b"vpc ",
            Self::Win => b"win ",
            Self::D2v => b"d2v\0",
            Self::Vbox => b"vbox",
        }
    }

    /// Whether the geometry is the size, as long as it is not the largest.
    pub fn counts_geometry(self) -> bool {
        matches!(self, Self::Qemu | Self::Vpc)
    }
}

/// Options of a VHDX image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vhdx {
    /// Whether the file has room for the whole disk.
    #[serde(default)]
    pub fixed: bool,
    /// log2 of the block size: 20 to 28.
    pub block_bits: u8,
    /// Length of the log in MiB.
    #[serde(default = "one")]
    pub log_mib: u8,
    /// `block_state_zero`: new blocks read as zeros; without it those of a fixed image have their places.
    #[serde(default = "yes")]
    pub zeroed: bool,
    /// Whether logical sectors have 4096 bytes, of our own making; no `qemu-img` opens such a disk.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub large_sectors: bool,
}

/// Options of a VMDK image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vmdk {
    /// Its files.
    pub subformat: Subformat,
    /// `adapter_type`
    #[serde(default)]
    pub adapter: Adapter,
    /// `compat6`
    #[serde(default)]
    pub compat6: bool,
    /// `zeroed_grain`: grains may read as zeros without being there.
    #[serde(default)]
    pub zeroed_grain: bool,
    /// log2 of the grain's bytes: 16; 13 to 18 of our own making.
    #[serde(default = "grain_bits")]
    pub grain_bits: u8,
    /// Sectors of a full extent of a split disk: 4,194,304; fewer of our own making.
    #[serde(default = "extent_sectors", skip_serializing_if = "is_usual_extent")]
    pub extent_sectors: u64,
}

/// Subformats of VMDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Subformat {
    /// One file with grains.
    MonolithicSparse,
    /// A descriptor, and the disk as it is in another file.
    MonolithicFlat,
    /// A descriptor, and files with grains of 2 GiB each.
    TwoGbMaxExtentSparse,
    /// A descriptor, and the disk in files of 2 GiB each.
    TwoGbMaxExtentFlat,
    /// One file with compressed grains, each written once.
    StreamOptimized,
}

impl Subformat {
    /// The name that `-o subformat=` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::MonolithicSparse => "monolithicSparse",
            Self::MonolithicFlat => "monolithicFlat",
            Self::TwoGbMaxExtentSparse => "twoGbMaxExtentSparse",
            Self::TwoGbMaxExtentFlat => "twoGbMaxExtentFlat",
            Self::StreamOptimized => "streamOptimized",
        }
    }

    /// Whether its extents are the disk as it is.
    pub fn is_flat(self) -> bool {
        matches!(self, Self::MonolithicFlat | Self::TwoGbMaxExtentFlat)
    }

    /// Whether it has an extent for every 2 GiB.
    pub fn is_split(self) -> bool {
        matches!(self, Self::TwoGbMaxExtentSparse | Self::TwoGbMaxExtentFlat)
    }
}

/// Virtual adapters of VMDK.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Adapter {
    /// `ide`
    #[default]
    Ide,
    /// `buslogic`
    Buslogic,
    /// `lsilogic`
    Lsilogic,
    /// `legacyESX`
    #[serde(rename = "legacyESX")]
    LegacyEsx,
}

impl Adapter {
    /// The name that `-o adapter_type=` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ide => "ide",
            Self::Buslogic => "buslogic",
            Self::Lsilogic => "lsilogic",
            Self::LegacyEsx => "legacyESX",
        }
    }
}

impl Vpc {
    /// Bytes of a block.
    pub fn block_size(&self) -> u64 {
        1 << self.block_bits
    }

    /// The virtual size of an image of which `bytes` were asked for.
    pub fn rounded(&self, bytes: u64) -> u64 {
        if self.creator.counts_geometry() { chs::round_up(bytes) } else { bytes.next_multiple_of(SECTOR) }
    }

    /// The `-o` argument with which `qemu-img create` makes an image of these options.
    pub fn create_options(&self) -> String {
        let subformat = if self.fixed { "fixed" } else { "dynamic" };
        format!("subformat={subformat},force_size={}", switch(!self.creator.counts_geometry()))
    }
}

impl Vhdx {
    /// Bytes of a block.
    pub fn block_size(&self) -> u64 {
        1 << self.block_bits
    }

    /// Blocks between two entries of sector bitmaps ("chunk ratio").
    pub fn chunk(&self) -> u64 {
        (1 << 23) * self.logical_sector() / self.block_size()
    }

    /// Bytes of a logical sector, of which the size is a multiple.
    pub fn logical_sector(&self) -> u64 {
        if self.large_sectors { 4096 } else { SECTOR }
    }

    /// The `-o` argument with which `qemu-img create` makes an image of these options.
    pub fn create_options(&self) -> String {
        let subformat = if self.fixed { "fixed" } else { "dynamic" };
        let (block, log) = (self.block_size(), u64::from(self.log_mib) << 20);
        let zeroed = switch(self.zeroed);
        format!("subformat={subformat},block_size={block},log_size={log},block_state_zero={zeroed}")
    }
}

impl Vmdk {
    /// Bytes of a grain.
    pub fn grain_size(&self) -> u64 {
        1 << self.grain_bits
    }

    /// Of how many sectors an extent that others follow has a multiple: where the last grain goes on behind its extent,
    /// QEMU reads and writes what is there instead of the next one.
    pub fn extent_unit(&self) -> u64 {
        if self.subformat.is_flat() { 1 } else { self.grain_size() / SECTOR }
    }

    /// Guest bytes that one grain table maps.
    pub fn coverage(&self) -> u64 {
        TABLE_ENTRIES << self.grain_bits
    }

    /// The `-o` argument with which `qemu-img create` makes an image of these options.
    pub fn create_options(&self) -> String {
        let (subformat, adapter) = (self.subformat.name(), self.adapter.name());
        let (compat6, zeroed) = (switch(self.compat6), switch(self.zeroed_grain));
        format!("subformat={subformat},adapter_type={adapter},compat6={compat6},zeroed_grain={zeroed}")
    }
}

impl FormatOptions {
    /// The VHD options, if this is VHD.
    pub fn vpc(&self) -> Option<&Vpc> {
        if let Self::Vpc(options) = self { Some(options) } else { None }
    }

    /// The VHDX options, if this is VHDX.
    pub fn vhdx(&self) -> Option<&Vhdx> {
        if let Self::Vhdx(options) = self { Some(options) } else { None }
    }

    /// The VMDK options, if this is VMDK.
    pub fn vmdk(&self) -> Option<&Vmdk> {
        if let Self::Vmdk(options) = self { Some(options) } else { None }
    }

    /// Whether `qemu-img` resizes no image of this format.
    pub fn is_unresized(&self) -> bool {
        matches!(self, Self::Vpc(_) | Self::Vhdx(_) | Self::Vmdk(_))
    }

    /// Whether `qemu-img` checks images of this format.
    pub fn is_checked(&self) -> bool {
        !matches!(self, Self::Raw | Self::Luks | Self::Vpc(_))
    }

    /// Bytes of guest data that have a place together: a cluster, block or grain.
    pub fn unit(&self) -> u64 {
        match self {
            Self::Raw | Self::Luks => 4096,
            Self::Qcow2(options) => options.cluster_size(),
            Self::Qed(options) => options.cluster_size(),
            Self::Vpc(options) => options.block_size(),
            Self::Vhdx(options) => options.block_size(),
            Self::Vmdk(options) => options.grain_size(),
        }
    }

    /// The most bytes that a disk of this format has, where that is a rule of the format alone.
    pub fn most(&self) -> Option<u64> {
        match self {
            Self::Vpc(_) => Some(VPC_MAX),
            Self::Vhdx(_) => Some(VHDX_MAX),
            Self::Vmdk(options) if !options.subformat.is_flat() => {
                Some(options.coverage().saturating_mul(VMDK_TABLES))
            }
            _ => None,
        }
    }
}

/// The size that an accepted SIZE of `new` bytes leads to from `current`, in one of these formats, or why it is refused.
pub(crate) fn target(
    format: &FormatOptions,
    (current, new): (u64, u64),
    preallocation: Preallocation,
) -> Result<u64, Refusal> {
    let rounded = match format {
        _ if new == current => current,
        FormatOptions::Vpc(options) => options.rounded(new),
        FormatOptions::Vmdk(_) => new.next_multiple_of(SECTOR),
        _ => new,
    };
    let metadata = preallocation == Preallocation::Metadata;
    match format {
        FormatOptions::Vmdk(options) if options.subformat == Subformat::StreamOptimized => {
            Err(Refusal::WrittenOnce)
        }
        _ if format.most().is_some_and(|most| rounded > most) => Err(Refusal::TooLarge),
        FormatOptions::Vhdx(options) if !new.is_multiple_of(options.logical_sector()) => {
            Err(Refusal::Unaligned)
        }
        FormatOptions::Vpc(options) if options.fixed && metadata => Err(Refusal::PreallocationMode),
        FormatOptions::Vmdk(options) if options.subformat.is_flat() && metadata => {
            Err(Refusal::PreallocationMode)
        }
        // No geometry is as small as that.
        _ if new < current => Ok(rounded.min(current)),
        _ => Ok(rounded),
    }
}

fn switch(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn vpc_block_bits() -> u8 {
    21
}

fn grain_bits() -> u8 {
    16
}

fn extent_sectors() -> u64 {
    EXTENT_SECTORS
}

fn is_usual_extent(sectors: &u64) -> bool {
    *sectors == EXTENT_SECTORS
}

fn one() -> u8 {
    1
}

fn yes() -> bool {
    true
}

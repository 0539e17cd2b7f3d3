//! What the host asks of an operation: one structure at [`crate::layout::CONFIG`], little-endian.
//!
//! A request goes in as it was asked: the host does not know the current size of an image.

use crate::layout;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The only version of every structure here.
pub const VERSION: u32 = 1;

/// Numbers for `format`.
pub mod format {
    /// Not named: probe the image.
    pub const PROBE: u32 = 0;
    /// Raw.
    pub const RAW: u32 = 1;
    /// qcow2, versions 2 and 3.
    pub const QCOW2: u32 = 2;
    /// LUKS, version 1.
    pub const LUKS: u32 = 3;
    /// QED.
    pub const QED: u32 = 4;
    /// VHD.
    pub const VHD: u32 = 5;
    /// VHDX.
    pub const VHDX: u32 = 6;
    /// VMDK.
    pub const VMDK: u32 = 7;
}

/// Numbers for `size_kind`.
pub mod size_kind {
    /// `size` is the new size.
    pub const ABSOLUTE: u32 = 0;
    /// `size` is to be added.
    pub const GROW: u32 = 1;
    /// `size` is to be taken away.
    pub const SHRINK: u32 = 2;
}

/// Numbers for `preallocation`.
pub mod preallocation {
    /// Nothing.
    pub const OFF: u32 = 0;
    /// The format's metadata.
    pub const METADATA: u32 = 1;
    /// Host space, unwritten.
    pub const FALLOC: u32 = 2;
    /// Host space, zeros written.
    pub const FULL: u32 = 3;
}

/// Bits of [`ResizeConfig::flags`].
pub mod resize_flags {
    /// Data beyond the new end may be thrown away.
    pub const SHRINK: u32 = 1;
    /// The file after the image is its external data file.
    pub const DATA_FILE: u32 = 2;
    /// The backing file stays closed, whatever the image says.
    pub const DETACHED: u32 = 4;
    /// If the image is encrypted, its passphrase is known.
    pub const UNLOCKED: u32 = 8;
}

/// What [`ResizeConfig::chain`] says of a layer: one of [`format`], and these bits.
pub mod layer {
    /// The bits of the format.
    pub const FORMAT: u8 = 0x7f;
    /// The file after the layer's own is its external data file.
    pub const DATA_FILE: u8 = 0x80;
}

/// Numbers for `repair`.
pub mod repair {
    /// Nothing.
    pub const NOTHING: u32 = 0;
    /// Leaked clusters.
    pub const LEAKS: u32 = 1;
    /// Whatever can be repaired.
    pub const ALL: u32 = 2;
    /// Added to these: if the image is encrypted, its passphrase is known.
    pub const UNLOCKED: u32 = 0x100;
}

/// Bits of [`CreateConfig::flags`].
pub mod create_flags {
    /// `lazy_refcounts=on`.
    pub const LAZY_REFCOUNTS: u32 = 1;
    /// `extended_l2=on`.
    pub const EXTENDED_L2: u32 = 2;
    /// `compression_type=zstd`.
    pub const ZSTD: u32 = 4;
    /// `data_file_raw=on`.
    pub const DATA_FILE_RAW: u32 = 8;
    /// VHD: `subformat=fixed`.
    pub const VHD_FIXED: u32 = 0x100;
    /// VHD: `force_size=on`.
    pub const VHD_FORCE_SIZE: u32 = 0x200;
    /// VHDX: `subformat=fixed`.
    pub const VHDX_FIXED: u32 = 0x1000;
    /// VHDX: `block_state_zero=on`.
    pub const VHDX_STATE_ZERO: u32 = 0x2000;
    /// VMDK: `compat6=on`.
    pub const VMDK_COMPAT6: u32 = 0x1_0000;
    /// VMDK: `zeroed_grain=on`.
    pub const VMDK_ZEROED_GRAIN: u32 = 0x2_0000;
    /// VMDK: there is a parent.
    pub const VMDK_PARENT: u32 = 0x4_0000;
}

/// Numbers for [`CreateConfig::vmdk_subformat`].
pub mod vmdk_subformat {
    /// `monolithicSparse`.
    pub const MONOLITHIC_SPARSE: u32 = 0;
    /// `monolithicFlat`.
    pub const MONOLITHIC_FLAT: u32 = 1;
    /// `twoGbMaxExtentSparse`.
    pub const SPLIT_SPARSE: u32 = 2;
    /// `twoGbMaxExtentFlat`.
    pub const SPLIT_FLAT: u32 = 3;
    /// `streamOptimized`.
    pub const STREAM_OPTIMIZED: u32 = 4;
}

/// Numbers for [`CreateConfig::vmdk_adapter`].
pub mod vmdk_adapter {
    /// `ide`.
    pub const IDE: u32 = 0;
    /// `buslogic`.
    pub const BUSLOGIC: u32 = 1;
    /// `lsilogic`.
    pub const LSILOGIC: u32 = 2;
    /// `legacyESX`.
    pub const LEGACY_ESX: u32 = 3;
}

/// Most bytes of a word in a VMDK descriptor.
pub const MAX_WORD: usize = 32;
/// Most bytes of a file's name without its directory, and one for the end.
pub const MAX_FILE_NAME: usize = 256;

/// What makes an image unlike every other one: the guest has neither entropy nor a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Identity {
    /// Random bytes.
    pub random: [u8; RANDOM_LEN],
    /// Seconds since 1970.
    pub unix_time: U64,
}

/// Bytes of [`Identity::random`].
pub const RANDOM_LEN: usize = 64;

/// The longest name of a file that a new image names, in bytes.
pub const MAX_NAME: usize = 1023;

/// A structure with its own magic number.
pub trait Config: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned + Copy {
    /// The first four bytes, as a number.
    const MAGIC: u32;

    /// The header that it carries.
    fn header(&self) -> Header;

    /// Reads one from memory; `None` if it is another structure or version.
    #[must_use]
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (config, _) = Self::read_from_prefix(bytes).ok()?;
        (config.header() == Header::of::<Self>()).then_some(config)
    }
}

/// What every structure begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Which structure it is.
    pub magic: U32,
    /// [`VERSION`].
    pub version: U32,
}

impl Header {
    /// The header of a `C`.
    #[must_use]
    pub const fn of<C: Config>() -> Self {
        Self { magic: U32::new(C::MAGIC), version: U32::new(VERSION) }
    }
}

macro_rules! config {
    ($(#[$doc:meta])* $name:ident $magic:literal $size:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
        #[repr(C)]
        pub struct $name {
            /// Magic and version.
            pub header: Header,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Config for $name {
            const MAGIC: u32 = $magic;

            fn header(&self) -> Header {
                self.header
            }
        }

        const _: () = {
            assert!(size_of::<$name>() == $size);
            assert!($size <= layout::CONFIG.len);
        };
    };
}

config! {
    /// Asks for a resize. Its magic number is "RESI".
    ResizeConfig 0x5245_5349 312 {
        /// One of [`format`].
        format: U32,
        /// One of [`size_kind`].
        size_kind: U32,
        /// Bytes; what of is in `size_kind`.
        size: U64,
        /// Bits of [`resize_flags`].
        flags: U32,
        /// One of [`preallocation`].
        preallocation: U32,
        /// Layers of the backing chain; their files follow those of the image, in their order.
        layers: U32,
        /// Files that the disk's extents have, behind all others.
        extents: U32,
        /// Each layer ([`layer`]), the image's own backing file first; 0 beyond the last.
        chain: [u8; layout::MAX_LAYERS],
        /// For what is new in the image.
        identity: Identity,
    }
}

config! {
    /// Asks for a description. Its magic number is "INFO".
    InfoConfig 0x494e_464f 16 {
        /// One of [`format`].
        format: U32,
        /// 0.
        reserved: U32,
    }
}

config! {
    /// Asks for a check. Its magic number is "CHEC".
    CheckConfig 0x4348_4543 88 {
        /// One of [`format`].
        format: U32,
        /// One of [`repair`].
        repair: U32,
        /// For what a repair makes anew.
        identity: Identity,
    }
}

config! {
    /// Asks for a new image. Its magic number is "CREA".
    CreateConfig 0x4352_4541 3544 {
        /// One of [`format`], not to be probed.
        format: U32,
        /// Bits of [`create_flags`].
        flags: U32,
        /// Virtual size in bytes.
        size: U64,
        /// qcow2: version, 2 or 3.
        version: U32,
        /// qcow2: log2 of the cluster size in bytes.
        cluster_bits: U32,
        /// qcow2: width of a refcount in bits.
        refcount_bits: U32,
        /// One of [`preallocation`].
        preallocation: U32,
        /// qcow2: bytes of the names of backing file, its format and data file; 0 for none.
        name_lens: [U32; 3],
        /// 0.
        reserved: [u8; 3],
        /// qcow2: these names; 0 beyond the end of each.
        names: [[u8; MAX_NAME]; 3],
        /// VHDX: bytes of the log.
        vhdx_log_size: U64,
        /// VHDX: bytes of a block; 0 for a size that suits the disk.
        vhdx_block_size: U64,
        /// VMDK: one of [`vmdk_subformat`].
        vmdk_subformat: U32,
        /// VMDK: one of [`vmdk_adapter`].
        vmdk_adapter: U32,
        /// VMDK: the parent's `CID`.
        vmdk_parent_cid: U32,
        /// VMDK: the hardware version, and zeros behind it.
        vmdk_hardware: [u8; MAX_WORD],
        /// VMDK: the version of the guest's tools, and zeros behind it.
        vmdk_tools: [u8; MAX_WORD],
        /// VMDK: the name of the image's file, and zeros behind it.
        vmdk_name: [u8; MAX_FILE_NAME],
        /// For what is new in the image.
        identity: Identity,
    }
}

#[cfg(test)]
mod tests;

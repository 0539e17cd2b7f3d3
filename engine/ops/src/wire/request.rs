//! Requests to and from the configs of `instar_abi::config`.

use super::create::{
    CREATE_FLAGS, create_flags_of, vhd, vhdx, vmdk, vmdk_adapter_to_config, vmdk_subformat_to_config,
};
use crate::{
    Attached, CheckRequest, CreateRequest, Format, Identity, InfoRequest, LayerShape, LayerShapes, LinkName,
    Links, MAX_LAYERS, Preallocation, Qcow2Options, Repair, ResizeRequest, SizeRequest,
};
use instar_abi::config::{
    self, CheckConfig, CreateConfig, Header, InfoConfig, MAX_NAME, ResizeConfig, create_flags, format, layer,
    preallocation, repair, resize_flags, size_kind,
};
use zerocopy::little_endian::{U32, U64};

impl Format {
    const fn to_config(self) -> u32 {
        match self {
            Self::Raw => format::RAW,
            Self::Qcow2 => format::QCOW2,
            Self::Luks => format::LUKS,
            Self::Qed => format::QED,
            Self::Vhd => format::VHD,
            Self::Vhdx => format::VHDX,
            Self::Vmdk => format::VMDK,
        }
    }

    const fn from_config(number: u32) -> Option<Self> {
        match number {
            format::RAW => Some(Self::Raw),
            format::QCOW2 => Some(Self::Qcow2),
            format::LUKS => Some(Self::Luks),
            format::QED => Some(Self::Qed),
            format::VHD => Some(Self::Vhd),
            format::VHDX => Some(Self::Vhdx),
            format::VMDK => Some(Self::Vmdk),
            _ => None,
        }
    }
}

/// The number of a format that may not have been named.
pub(super) fn named_to_config(named: Option<Format>) -> U32 {
    U32::new(named.map_or(format::PROBE, Format::to_config))
}

/// The inverse of [`named_to_config`]; `None` for a number that means nothing.
pub(super) fn named_from_config(number: U32) -> Option<Option<Format>> {
    match number.get() {
        format::PROBE => Some(None),
        number => Format::from_config(number).map(Some),
    }
}

const fn preallocation_to_config(value: Preallocation) -> u32 {
    match value {
        Preallocation::Off => preallocation::OFF,
        Preallocation::Metadata => preallocation::METADATA,
        Preallocation::Falloc => preallocation::FALLOC,
        Preallocation::Full => preallocation::FULL,
    }
}

const fn preallocation_from_config(number: u32) -> Option<Preallocation> {
    match number {
        preallocation::OFF => Some(Preallocation::Off),
        preallocation::METADATA => Some(Preallocation::Metadata),
        preallocation::FALLOC => Some(Preallocation::Falloc),
        preallocation::FULL => Some(Preallocation::Full),
        _ => None,
    }
}

const fn repair_to_config(value: Repair) -> u32 {
    match value {
        Repair::Nothing => repair::NOTHING,
        Repair::Leaks => repair::LEAKS,
        Repair::All => repair::ALL,
    }
}

const fn repair_from_config(number: u32) -> Option<Repair> {
    match number {
        repair::NOTHING => Some(Repair::Nothing),
        repair::LEAKS => Some(Repair::Leaks),
        repair::ALL => Some(Repair::All),
        _ => None,
    }
}

const fn size_to_config(value: SizeRequest) -> (u32, u64) {
    match value {
        SizeRequest::Absolute(size) => (size_kind::ABSOLUTE, size),
        SizeRequest::Grow(size) => (size_kind::GROW, size),
        SizeRequest::Shrink(size) => (size_kind::SHRINK, size),
    }
}

const fn size_from_config(kind: u32, size: u64) -> Option<SizeRequest> {
    match kind {
        size_kind::ABSOLUTE => Some(SizeRequest::Absolute(size)),
        size_kind::GROW => Some(SizeRequest::Grow(size)),
        size_kind::SHRINK => Some(SizeRequest::Shrink(size)),
        _ => None,
    }
}

const fn identity_to_config(identity: &Identity) -> config::Identity {
    config::Identity { random: identity.random, unix_time: U64::new(identity.unix_time) }
}

const fn identity_from_config(identity: &config::Identity) -> Identity {
    Identity { random: identity.random, unix_time: identity.unix_time.get() }
}

/// `flag` if `set`.
pub(super) const fn bit(set: bool, flag: u32) -> u32 {
    if set { flag } else { 0 }
}

/// The layers as a config has them.
pub(super) fn layers_to_config(layers: &[LayerShape]) -> (U32, [u8; MAX_LAYERS]) {
    let mut chain = [0; MAX_LAYERS];
    for (byte, shape) in chain.iter_mut().zip(layers) {
        *byte = shape.to_config();
    }
    (U32::new(u32::try_from(layers.len()).unwrap_or(u32::MAX)), chain)
}

/// The inverse of [`layers_to_config`]; `None` if a number means nothing.
pub(super) fn layers_from_config(count: U32, chain: &[u8; MAX_LAYERS]) -> Option<LayerShapes> {
    let layers = chain.get(..usize::try_from(count.get()).ok()?)?;
    layers.iter().map(|byte| LayerShape::from_config(*byte)).collect()
}

impl LayerShape {
    fn to_config(self) -> u8 {
        let format = u8::try_from(self.format.to_config()).unwrap_or(0);
        format | if self.data_file { layer::DATA_FILE } else { 0 }
    }

    fn from_config(byte: u8) -> Option<Self> {
        let format = Format::from_config(u32::from(byte & layer::FORMAT))?;
        Some(Self { format, data_file: byte & layer::DATA_FILE != 0 })
    }
}

impl Attached {
    /// What the guest is told to be attached; `None` if that means nothing.
    #[must_use]
    pub fn from_config(config: &ResizeConfig) -> Option<Self> {
        let flags = config.flags.get();
        Some(Self {
            data_file: flags & resize_flags::DATA_FILE != 0,
            layers: layers_from_config(config.layers, &config.chain)?,
            detached: flags & resize_flags::DETACHED != 0,
            unlocked: flags & resize_flags::UNLOCKED != 0,
            extents: config.extents.get(),
        })
    }
}

/// All bits of [`resize_flags`].
const RESIZE_FLAGS: u32 =
    resize_flags::SHRINK | resize_flags::DATA_FILE | resize_flags::DETACHED | resize_flags::UNLOCKED;

impl ResizeRequest {
    /// The request as the guest reads it, of an image with what is `attached`.
    #[must_use]
    pub fn to_config(&self, attached: &Attached) -> ResizeConfig {
        let (size_kind, size) = size_to_config(self.size);
        let flags = bit(self.shrink, resize_flags::SHRINK)
            | bit(attached.data_file, resize_flags::DATA_FILE)
            | bit(attached.detached, resize_flags::DETACHED)
            | bit(attached.unlocked, resize_flags::UNLOCKED);
        let (layers, chain) = layers_to_config(&attached.layers);
        ResizeConfig {
            header: Header::of::<ResizeConfig>(),
            format: named_to_config(self.format),
            size_kind: U32::new(size_kind),
            size: U64::new(size),
            flags: U32::new(flags),
            preallocation: U32::new(preallocation_to_config(self.preallocation)),
            layers,
            extents: U32::new(attached.extents),
            chain,
            identity: identity_to_config(&self.identity),
        }
    }

    /// The inverse of [`Self::to_config`]; `None` if a number means nothing. [`Attached::from_config`]
    /// tells the rest.
    #[must_use]
    pub fn from_config(config: &ResizeConfig) -> Option<Self> {
        let flags = config.flags.get();
        Some(Self {
            format: named_from_config(config.format)?,
            size: size_from_config(config.size_kind.get(), config.size.get())?,
            shrink: flags & resize_flags::SHRINK != 0,
            preallocation: preallocation_from_config(config.preallocation.get())?,
            identity: identity_from_config(&config.identity),
        })
        .filter(|_| flags & !RESIZE_FLAGS == 0)
    }
}

impl InfoRequest {
    /// The request as the guest reads it.
    #[must_use]
    pub fn to_config(&self) -> InfoConfig {
        InfoConfig {
            header: Header::of::<InfoConfig>(),
            format: named_to_config(self.format),
            reserved: U32::ZERO,
        }
    }

    /// The inverse of [`Self::to_config`]; `None` if a number means nothing.
    #[must_use]
    pub fn from_config(config: &InfoConfig) -> Option<Self> {
        Some(Self { format: named_from_config(config.format)? })
    }
}

impl CheckRequest {
    /// The request as the guest reads it.
    #[must_use]
    pub fn to_config(&self) -> CheckConfig {
        CheckConfig {
            header: Header::of::<CheckConfig>(),
            format: named_to_config(self.format),
            repair: U32::new(repair_to_config(self.repair) | bit(self.unlocked, repair::UNLOCKED)),
            identity: identity_to_config(&self.identity),
        }
    }

    /// The inverse of [`Self::to_config`]; `None` if a number means nothing.
    #[must_use]
    pub fn from_config(config: &CheckConfig) -> Option<Self> {
        let unlocked = config.repair.get() & repair::UNLOCKED != 0;
        let repair = repair_from_config(config.repair.get() & !repair::UNLOCKED)?;
        let identity = identity_from_config(&config.identity);
        Some(Self { format: named_from_config(config.format)?, repair, unlocked, identity })
    }
}

/// The bytes of a name for a config, and how many they are.
fn name_to_config(name: &LinkName) -> (U32, [u8; MAX_NAME]) {
    let (mut bytes, name) = ([0; MAX_NAME], name.as_bytes());
    for (byte, of_name) in bytes.iter_mut().zip(name) {
        *byte = *of_name;
    }
    (U32::new(u32::try_from(name.len()).unwrap_or(u32::MAX)), bytes)
}

impl Links {
    fn from_config(config: &CreateConfig) -> Option<Self> {
        let mut names = config
            .names
            .iter()
            .zip(&config.name_lens)
            .map(|(name, len)| LinkName::new(name.get(..usize::try_from(len.get()).ok()?)?));
        Some(Self {
            backing_file: names.next()??,
            backing_format: names.next()??,
            data_file: names.next()??,
            data_file_raw: config.flags.get() & create_flags::DATA_FILE_RAW != 0,
        })
    }
}

impl CreateRequest {
    /// The request as the guest reads it.
    #[must_use]
    pub fn to_config(&self) -> CreateConfig {
        let options = &self.qcow2;
        let links = &options.links;
        let names = [&links.backing_file, &links.backing_format, &links.data_file].map(name_to_config);
        CreateConfig {
            header: Header::of::<CreateConfig>(),
            format: U32::new(self.format.to_config()),
            flags: U32::new(create_flags_of(self)),
            size: U64::new(self.size),
            version: U32::new(options.version),
            cluster_bits: U32::new(options.cluster_bits),
            refcount_bits: U32::new(options.refcount_bits),
            preallocation: U32::new(preallocation_to_config(options.preallocation)),
            name_lens: names.map(|(len, _)| len),
            reserved: [0; 3],
            names: names.map(|(_, bytes)| bytes),
            vhdx_log_size: U64::new(self.vhdx.log_size),
            vhdx_block_size: U64::new(self.vhdx.block_size),
            vmdk_subformat: U32::new(vmdk_subformat_to_config(self.vmdk.subformat)),
            vmdk_adapter: U32::new(vmdk_adapter_to_config(self.vmdk.adapter)),
            vmdk_parent_cid: U32::new(self.vmdk.parent_cid.unwrap_or(0)),
            vmdk_hardware: self.vmdk.hardware.to_config(),
            vmdk_tools: self.vmdk.tools.to_config(),
            vmdk_name: self.vmdk.name.to_config(),
            identity: identity_to_config(&self.identity),
        }
    }

    /// The inverse of [`Self::to_config`]; `None` if a number means nothing.
    #[must_use]
    pub fn from_config(config: &CreateConfig) -> Option<Self> {
        let flags = config.flags.get();
        let qcow2 = Qcow2Options {
            version: config.version.get(),
            cluster_bits: config.cluster_bits.get(),
            refcount_bits: config.refcount_bits.get(),
            lazy_refcounts: flags & create_flags::LAZY_REFCOUNTS != 0,
            extended_l2: flags & create_flags::EXTENDED_L2 != 0,
            zstd: flags & create_flags::ZSTD != 0,
            preallocation: preallocation_from_config(config.preallocation.get())?,
            links: Links::from_config(config)?,
        };
        Some(Self {
            format: Format::from_config(config.format.get())?,
            size: config.size.get(),
            qcow2,
            vhd: vhd(flags),
            vhdx: vhdx(config),
            vmdk: vmdk(config)?,
            identity: identity_from_config(&config.identity),
        })
        .filter(|_| flags & !CREATE_FLAGS == 0)
    }
}

//! The options of new images, to and from [`CreateConfig`].

use super::request::bit;
use crate::{CreateRequest, Label, VhdOptions, VhdxOptions, VmdkAdapter, VmdkOptions, VmdkSubformat};
use instar_abi::config::{CreateConfig, create_flags, vmdk_adapter, vmdk_subformat};

/// All bits of [`create_flags`].
pub(super) const CREATE_FLAGS: u32 = create_flags::LAZY_REFCOUNTS
    | create_flags::EXTENDED_L2
    | create_flags::ZSTD
    | create_flags::DATA_FILE_RAW
    | create_flags::VHD_FIXED
    | create_flags::VHD_FORCE_SIZE
    | create_flags::VHDX_FIXED
    | create_flags::VHDX_STATE_ZERO
    | create_flags::VMDK_COMPAT6
    | create_flags::VMDK_ZEROED_GRAIN
    | create_flags::VMDK_PARENT;

/// Which of them a request sets.
pub(super) const fn create_flags_of(request: &CreateRequest) -> u32 {
    let (qcow2, vhd, vhdx, vmdk) = (&request.qcow2, &request.vhd, &request.vhdx, &request.vmdk);
    bit(qcow2.lazy_refcounts, create_flags::LAZY_REFCOUNTS)
        | bit(qcow2.extended_l2, create_flags::EXTENDED_L2)
        | bit(qcow2.zstd, create_flags::ZSTD)
        | bit(qcow2.links.data_file_raw, create_flags::DATA_FILE_RAW)
        | bit(vhd.fixed, create_flags::VHD_FIXED)
        | bit(vhd.force_size, create_flags::VHD_FORCE_SIZE)
        | bit(vhdx.fixed, create_flags::VHDX_FIXED)
        | bit(vhdx.block_state_zero, create_flags::VHDX_STATE_ZERO)
        | bit(vmdk.compat6, create_flags::VMDK_COMPAT6)
        | bit(vmdk.zeroed_grain, create_flags::VMDK_ZEROED_GRAIN)
        | bit(vmdk.parent_cid.is_some(), create_flags::VMDK_PARENT)
}

/// VHD's options.
pub(super) const fn vhd(flags: u32) -> VhdOptions {
    VhdOptions {
        fixed: flags & create_flags::VHD_FIXED != 0,
        force_size: flags & create_flags::VHD_FORCE_SIZE != 0,
    }
}

/// VHDX's options.
pub(super) const fn vhdx(config: &CreateConfig) -> VhdxOptions {
    let flags = config.flags.get();
    VhdxOptions {
        fixed: flags & create_flags::VHDX_FIXED != 0,
        log_size: config.vhdx_log_size.get(),
        block_size: config.vhdx_block_size.get(),
        block_state_zero: flags & create_flags::VHDX_STATE_ZERO != 0,
    }
}

/// VMDK's options; `None` if a number means nothing.
pub(super) const fn vmdk(config: &CreateConfig) -> Option<VmdkOptions> {
    let flags = config.flags.get();
    let Some(subformat) = vmdk_subformat_from_config(config.vmdk_subformat.get()) else {
        return None;
    };
    let adapter = match config.vmdk_adapter.get() {
        vmdk_adapter::IDE => VmdkAdapter::Ide,
        vmdk_adapter::BUSLOGIC => VmdkAdapter::BusLogic,
        vmdk_adapter::LSILOGIC => VmdkAdapter::LsiLogic,
        vmdk_adapter::LEGACY_ESX => VmdkAdapter::LegacyEsx,
        _ => return None,
    };
    let parent = flags & create_flags::VMDK_PARENT != 0;
    Some(VmdkOptions {
        subformat,
        adapter,
        hardware: Label::from_config(&config.vmdk_hardware),
        tools: Label::from_config(&config.vmdk_tools),
        name: Label::from_config(&config.vmdk_name),
        parent_cid: if parent { Some(config.vmdk_parent_cid.get()) } else { None },
        compat6: flags & create_flags::VMDK_COMPAT6 != 0,
        zeroed_grain: flags & create_flags::VMDK_ZEROED_GRAIN != 0,
    })
}

/// The number of a controller.
pub(super) const fn vmdk_adapter_to_config(adapter: VmdkAdapter) -> u32 {
    match adapter {
        VmdkAdapter::Ide => vmdk_adapter::IDE,
        VmdkAdapter::BusLogic => vmdk_adapter::BUSLOGIC,
        VmdkAdapter::LsiLogic => vmdk_adapter::LSILOGIC,
        VmdkAdapter::LegacyEsx => vmdk_adapter::LEGACY_ESX,
    }
}

/// The number of a VMDK subformat.
pub(super) const fn vmdk_subformat_to_config(subformat: VmdkSubformat) -> u32 {
    match subformat {
        VmdkSubformat::MonolithicSparse => vmdk_subformat::MONOLITHIC_SPARSE,
        VmdkSubformat::MonolithicFlat => vmdk_subformat::MONOLITHIC_FLAT,
        VmdkSubformat::TwoGbMaxExtentSparse => vmdk_subformat::SPLIT_SPARSE,
        VmdkSubformat::TwoGbMaxExtentFlat => vmdk_subformat::SPLIT_FLAT,
        VmdkSubformat::StreamOptimized => vmdk_subformat::STREAM_OPTIMIZED,
    }
}

const fn vmdk_subformat_from_config(number: u32) -> Option<VmdkSubformat> {
    Some(match number {
        vmdk_subformat::MONOLITHIC_SPARSE => VmdkSubformat::MonolithicSparse,
        vmdk_subformat::MONOLITHIC_FLAT => VmdkSubformat::MonolithicFlat,
        vmdk_subformat::SPLIT_SPARSE => VmdkSubformat::TwoGbMaxExtentSparse,
        vmdk_subformat::SPLIT_FLAT => VmdkSubformat::TwoGbMaxExtentFlat,
        vmdk_subformat::STREAM_OPTIMIZED => VmdkSubformat::StreamOptimized,
        _ => return None,
    })
}

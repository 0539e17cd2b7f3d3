//! Results to and from the result messages of `guest.proto`.
//!
//! The outer `Option` of a `..._from_wire` says whether the message made sense; the `Result` in it is
//! the operation's own answer.

use super::luks::{luks_from_wire, luks_to_wire};
use crate::{
    CheckReport, ExtentsAfter, Format, ImageInfo, OpError, Qcow2Info, ResizeAction, ResizeOutcome, VmdkInfo,
};
use instar_abi::message::{
    CheckResultMessage, ErrorMessage, ExtentMessage, ExtentsAfterMessage, ImageFormat, InfoResultMessage,
    Qcow2InfoMessage, ResizeActionCode, ResizeResultMessage, VmdkInfoMessage,
};

const fn format_to_wire(format: Format) -> ImageFormat {
    match format {
        Format::Raw => ImageFormat::Raw,
        Format::Qcow2 => ImageFormat::Qcow2,
        Format::Luks => ImageFormat::Luks,
        Format::Qed => ImageFormat::Qed,
        Format::Vhd => ImageFormat::Vhd,
        Format::Vhdx => ImageFormat::Vhdx,
        Format::Vmdk => ImageFormat::Vmdk,
    }
}

const fn format_from_wire(format: ImageFormat) -> Option<Format> {
    match format {
        ImageFormat::Raw => Some(Format::Raw),
        ImageFormat::Qcow2 => Some(Format::Qcow2),
        ImageFormat::Luks => Some(Format::Luks),
        ImageFormat::Qed => Some(Format::Qed),
        ImageFormat::Vhd => Some(Format::Vhd),
        ImageFormat::Vhdx => Some(Format::Vhdx),
        ImageFormat::Vmdk => Some(Format::Vmdk),
        _ => None,
    }
}

const fn action_to_wire(action: ResizeAction) -> ResizeActionCode {
    match action {
        ResizeAction::Grow => ResizeActionCode::Grow,
        ResizeAction::Shrink => ResizeActionCode::Shrink,
        ResizeAction::NoOp => ResizeActionCode::NoOp,
    }
}

const fn action_from_wire(action: ResizeActionCode) -> Option<ResizeAction> {
    match action {
        ResizeActionCode::Grow => Some(ResizeAction::Grow),
        ResizeActionCode::Shrink => Some(ResizeAction::Shrink),
        ResizeActionCode::NoOp => Some(ResizeAction::NoOp),
        _ => None,
    }
}

pub(super) fn error_to_wire(error: OpError) -> Option<ErrorMessage> {
    let (code, [detail0, detail1, detail2]) = error.to_wire();
    Some(ErrorMessage { code, detail0, detail1, detail2 })
}

pub(super) fn error_from_wire(error: &ErrorMessage) -> Option<OpError> {
    OpError::from_wire(error.code, [error.detail0, error.detail1, error.detail2])
}

/// The message of a resize or a creation that came to `result`.
#[must_use]
pub fn resize_to_wire(result: &Result<ResizeOutcome, OpError>) -> ResizeResultMessage {
    match result {
        Err(error) => ResizeResultMessage { error: error_to_wire(*error), ..ResizeResultMessage::default() },
        Ok(outcome) => ResizeResultMessage {
            target_format: format_to_wire(outcome.format),
            resolved_new_virtual_size: outcome.new_virtual_size,
            file_size_before: outcome.file_size_before,
            file_size_after: outcome.file_size_after,
            action: action_to_wire(outcome.action),
            error: None,
            old_virtual_size: outcome.old_virtual_size,
            preallocate: outcome.preallocate.map(|(offset, length)| ExtentMessage { offset, length }),
            data_file_size_after: outcome.data_file_size_after,
            extents_after: outcome.extents_after.map(extents_to_wire),
        },
    }
}

const fn extents_to_wire(after: ExtentsAfter) -> ExtentsAfterMessage {
    ExtentsAfterMessage { kept: after.kept, last_length: after.last_len, again: after.again }
}

const fn extents_from_wire(message: &ExtentsAfterMessage) -> ExtentsAfter {
    ExtentsAfter { kept: message.kept, last_len: message.last_length, again: message.again }
}

/// The inverse of [`resize_to_wire`].
#[must_use]
pub fn resize_from_wire(message: &ResizeResultMessage) -> Option<Result<ResizeOutcome, OpError>> {
    if let Some(error) = &message.error {
        return error_from_wire(error).map(Err);
    }
    Some(Ok(ResizeOutcome {
        format: format_from_wire(message.target_format)?,
        action: action_from_wire(message.action)?,
        old_virtual_size: message.old_virtual_size,
        new_virtual_size: message.resolved_new_virtual_size,
        file_size_before: message.file_size_before,
        file_size_after: message.file_size_after,
        preallocate: message.preallocate.as_ref().map(|extent| (extent.offset, extent.length)),
        data_file_size_after: message.data_file_size_after,
        extents_after: message.extents_after.as_ref().map(extents_from_wire),
    }))
}

/// The message of a check that came to `result`.
#[must_use]
pub fn check_to_wire(result: &Result<CheckReport, OpError>) -> CheckResultMessage {
    match result {
        Err(error) => CheckResultMessage { error: error_to_wire(*error), ..CheckResultMessage::default() },
        Ok(report) => CheckResultMessage {
            format: format_to_wire(report.format),
            check_errors: report.check_errors,
            corruptions: report.corruptions,
            leaks: report.leaks,
            image_end_offset: report.image_end_offset,
            error: None,
            total_clusters: report.total_clusters,
            allocated_clusters: report.allocated_clusters,
            fragmented_clusters: report.fragmented_clusters,
            compressed_clusters: report.compressed_clusters,
            corruptions_fixed: report.corruptions_fixed,
            leaks_fixed: report.leaks_fixed,
        },
    }
}

/// The inverse of [`check_to_wire`].
#[must_use]
pub fn check_from_wire(message: &CheckResultMessage) -> Option<Result<CheckReport, OpError>> {
    if let Some(error) = &message.error {
        return error_from_wire(error).map(Err);
    }
    Some(Ok(CheckReport {
        format: format_from_wire(message.format)?,
        check_errors: message.check_errors,
        corruptions: message.corruptions,
        leaks: message.leaks,
        image_end_offset: message.image_end_offset,
        total_clusters: message.total_clusters,
        allocated_clusters: message.allocated_clusters,
        fragmented_clusters: message.fragmented_clusters,
        compressed_clusters: message.compressed_clusters,
        corruptions_fixed: message.corruptions_fixed,
        leaks_fixed: message.leaks_fixed,
    }))
}

/// The message of an info that came to `result`.
#[must_use]
pub fn info_to_wire(result: Result<ImageInfo, OpError>) -> InfoResultMessage {
    match result {
        Err(error) => InfoResultMessage { error: error_to_wire(error), ..InfoResultMessage::default() },
        Ok(info) => InfoResultMessage {
            format: format_to_wire(info.format),
            virtual_size: info.virtual_size,
            cluster_size: info.cluster_size,
            dirty: info.dirty,
            encrypted: info.encrypted,
            error: None,
            backing_file: info.backing_file,
            backing_format: info.backing_format,
            luks: info.luks.as_ref().map(luks_to_wire),
            qcow2: info.qcow2.map(qcow2_to_wire),
            vmdk: info.vmdk.map(|vmdk| VmdkInfoMessage {
                cid: vmdk.cid,
                parent_cid: vmdk.parent_cid,
                create_type: vmdk.create_type,
            }),
        },
    }
}

/// The inverse of [`info_to_wire`].
#[must_use]
pub fn info_from_wire(message: InfoResultMessage) -> Option<Result<ImageInfo, OpError>> {
    if let Some(error) = &message.error {
        return error_from_wire(error).map(Err);
    }
    Some(Ok(ImageInfo {
        format: format_from_wire(message.format)?,
        virtual_size: message.virtual_size,
        cluster_size: message.cluster_size,
        dirty: message.dirty,
        encrypted: message.encrypted,
        backing_file: message.backing_file,
        backing_format: message.backing_format,
        luks: match &message.luks {
            Some(luks) => Some(luks_from_wire(luks)?),
            None => None,
        },
        qcow2: message.qcow2.map(qcow2_from_wire),
        vmdk: message.vmdk.map(|vmdk| VmdkInfo {
            cid: vmdk.cid,
            parent_cid: vmdk.parent_cid,
            create_type: vmdk.create_type,
        }),
    }))
}

fn qcow2_to_wire(info: Qcow2Info) -> Qcow2InfoMessage {
    Qcow2InfoMessage {
        version: info.version,
        refcount_bits: info.refcount_bits,
        lazy_refcounts: info.lazy_refcounts,
        corrupt: info.corrupt,
        extended_l2: info.extended_l2,
        zstd: info.zstd,
        data_file: info.data_file,
        data_file_raw: info.data_file_raw,
    }
}

fn qcow2_from_wire(message: Qcow2InfoMessage) -> Qcow2Info {
    Qcow2Info {
        version: message.version,
        refcount_bits: message.refcount_bits,
        lazy_refcounts: message.lazy_refcounts,
        corrupt: message.corrupt,
        extended_l2: message.extended_l2,
        zstd: message.zstd,
        data_file: message.data_file,
        data_file_raw: message.data_file_raw,
    }
}

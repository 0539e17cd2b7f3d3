//! The operations on LUKS files, apart from unlocking.

use crate::{Format, ImageError, ImageInfo, LuksInfo, LuksSlot, Name, OpError, ResizeOutcome};
use instar_formats::luks::{Header, Slot};
use instar_planner::{Request, luks};

/// Describes the file of `len` bytes with this header.
pub(crate) fn info(header: &Header, len: u64) -> Result<ImageInfo, ImageError> {
    Ok(ImageInfo {
        format: Format::Luks,
        virtual_size: header.virtual_size(len)?,
        cluster_size: None,
        dirty: false,
        encrypted: true,
        backing_file: Name::new(),
        backing_format: Name::new(),
        qcow2: None,
        vmdk: None,
        luks: Some(described(header)),
    })
}

/// What there is to say of a header.
pub(crate) fn described(header: &Header) -> LuksInfo {
    LuksInfo {
        cipher: header.cipher,
        // Nine bits suffice: a key has 64 bytes at most.
        key_bits: u32::try_from(header.cipher_key_len().saturating_mul(8)).unwrap_or(0),
        mode: header.mode,
        ivgen: header.ivgen,
        hash: header.hash,
        uuid: header.uuid,
        payload_offset: header.payload_offset,
        master_key_rounds: header.digest_rounds,
        slots: header.slots.map(slot),
    }
}

const fn slot(slot: Slot) -> LuksSlot {
    LuksSlot { active: slot.active, rounds: slot.rounds, stripes: slot.stripes, material: slot.material }
}

/// Resizes the file of `len` bytes with this header: its length is all that changes.
pub(crate) fn resize(header: &Header, len: u64, request: &Request) -> Result<ResizeOutcome, OpError> {
    let plan = luks::plan_resize(header, len, request)?;
    Ok(ResizeOutcome {
        format: Format::Luks,
        action: plan.action,
        old_virtual_size: plan.old_virtual_size,
        new_virtual_size: plan.new_virtual_size,
        file_size_before: len,
        file_size_after: plan.file_size_after,
        preallocate: plan.preallocate,
        data_file_size_after: None,
        extents_after: None,
    })
}

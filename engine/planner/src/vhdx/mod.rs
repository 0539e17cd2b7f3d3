//! Creating, growing and shrinking VHDX images.
//!
//! # Through the log
//! BAT, metadata and region tables change in batches. A batch is written to the log as one entry, under
//! a GUID that no header names yet, and the file has the length that the entry claims. Behind a barrier a header is
//! written that names the GUID: this one sector commits the batch. Behind another the sectors are written where they
//! belong, and then both headers say that the log is empty.
//!
//! # After a crash
//! - A header is written in place of the one that does not count. If it is torn its checksum is wrong, and the
//!   other one counts.
//! - Before the header that commits: the log is empty for whoever opens the image, and nothing that counts has changed. What
//!   was written lies behind the old end of the file, in places that no entry of the BAT names, in the log, or
//!   behind the end of the disk in its last block.
//! - From then on: whoever opens the image replays the batch first, however much of it has reached its place.
//! - A grow is one batch: the new size, and either the entries behind the old ones, or both region tables, which
//!   name a new BAT that is complete.
//! - A shrink is one batch for the new size and the entries that go, and further ones for blocks that move to
//!   where nothing is: into the space of blocks that went only after that is durable. A crash between two of them
//!   leaves a longer file.
//!
//! The file is cut by whoever holds it, when the log is empty.

mod blocks;
mod commit;
pub mod create;
mod grow;
mod replay;
mod shrink;
mod walk;

use crate::{IoError, PlanError, Preallocation, ReadAt, Request, ResizeAction, ResizeError, Target};
use instar_formats::ImageError;
use instar_formats::bytes::index;
use instar_formats::vhdx::{Guid, Image, MAX_DISK, MAX_FILE, MIB, REGION_TABLE_LEN, REGION_TABLES, up_mib};

pub use commit::repair_headers;
pub use replay::{Log, Replay, log};
pub use walk::{Survey, Usage, Wrong, each_entry, entry_of, survey};

/// The GUIDs that a resize gives an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guids {
    /// New, as the file changes.
    pub file_write: Guid,
    /// New, as the disk changes.
    pub data_write: Guid,
    /// What the entries of the log carry.
    pub log: Guid,
}

impl Guids {
    /// Three random GUIDs of version 4 from the first 48 of these bytes.
    #[must_use]
    pub fn random(bytes: &[u8; 64]) -> Self {
        let [mut file_write, mut data_write, mut log] = [[0; 16]; 3];
        for (guid, bytes) in [&mut file_write, &mut data_write, &mut log].into_iter().zip(bytes.chunks(16)) {
            *guid = random_guid(bytes);
        }
        Self { file_write, data_write, log }
    }
}

/// A GUID of version 4 from 16 random bytes, as it stands in the file.
pub(crate) fn random_guid(bytes: &[u8]) -> Guid {
    let mut guid = Guid::try_from(bytes).unwrap_or_default();
    // The version is in the high bits of the third field, which is little-endian; the variant in the fourth.
    {
        let [_, _, _, _, _, _, _, version, variant, ..] = &mut guid;
        *version = *version & 0x0f | 0x40;
        *variant = *variant & 0x3f | 0x80;
    }
    guid
}

/// Bytes of a window of the file's usage: 64 TiB of it.
const USAGE: usize = 8 << 20;
/// Bytes of the BAT that are read at a time.
const WINDOW: usize = 512 << 10;
/// Bytes of a block that are copied at a time.
const COPY: usize = 1 << 20;

/// What `scratch` must hold at least, in bytes.
pub const SCRATCH_LEN: usize = USAGE + 2 * WINDOW + COPY + commit::BATCH_LEN;

/// The pieces of the scratch buffer.
pub struct Parts<'b> {
    window: &'b mut [u8],
    inner: &'b mut [u8],
    copy: &'b mut [u8],
    batch: &'b mut [u8],
    usage: Usage<'b>,
}

impl<'b> Parts<'b> {
    /// Takes them from `scratch`.
    ///
    /// # Errors
    /// [`ResizeError::Scratch`]: it is shorter than [`SCRATCH_LEN`].
    pub fn carve(scratch: &'b mut [u8]) -> Result<Self, ResizeError> {
        let short = ResizeError::Scratch { need: SCRATCH_LEN as u64, have: scratch.len() as u64 };
        let mut rest = scratch;
        let mut take = |len: usize| {
            let (piece, after) = core::mem::take(&mut rest).split_at_mut_checked(len).ok_or(short)?;
            rest = after;
            Ok(piece)
        };
        let (window, inner, copy) = (take(WINDOW)?, take(WINDOW)?, take(COPY)?);
        let (batch, usage) = (take(commit::BATCH_LEN)?, Usage::new(take(USAGE)?));
        Ok(Self { window, inner, copy, batch, usage })
    }
}

/// What the resize of an image comes to. Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Larger, smaller or the same.
    pub action: ResizeAction,
    /// Before.
    pub old_virtual_size: u64,
    /// After.
    pub new_virtual_size: u64,
    /// Space for new blocks that is to be allocated: where it begins in the file, and how much.
    pub preallocate: Option<(u64, u64)>,
    image: Image,
    survey: Survey,
    file_len: u64,
    preallocation: Preallocation,
}

/// Plans the resize of the image on `disk`, whose log is empty and whose file is `file_len` bytes long.
///
/// # Errors
/// [`PlanError`] names the refusal.
pub fn plan_resize<R: ReadAt>(
    disk: &mut R,
    (image, file_len): (&Image, u64),
    request: &Request,
    scratch: &mut [u8],
) -> Result<Plan, PlanError> {
    let old = image.virtual_size();
    let new = request.resolve(old)?;
    if new > MAX_DISK {
        return Err(ResizeError::VhdxTooLarge.into());
    }
    let sector = image.metadata.logical_sector;
    if !new.is_multiple_of(sector) {
        return Err(ResizeError::VhdxSectors { bytes: sector }.into());
    }
    let mut plan = Plan {
        action: ResizeAction::between(old, new),
        old_virtual_size: old,
        new_virtual_size: new,
        preallocate: None,
        image: *image,
        survey: Survey::default(),
        file_len,
        preallocation: request.preallocation,
    };
    if plan.action == ResizeAction::NoOp {
        return Ok(plan);
    }
    placed(image, file_len)?;
    let mut parts = Parts::carve(scratch)?;
    tables_agree(disk, &mut parts)?;
    plan.survey = survey(disk, image, file_len, &mut parts, &mut |_, _, _| {})?;
    if plan.survey.wrong > 0 {
        return Err(ResizeError::VhdxBlocks { count: plan.survey.wrong }.into());
    }
    if plan.action == ResizeAction::Grow {
        let layout = grow::layout(disk, &plan)?;
        let asked = matches!(request.preallocation, Preallocation::Falloc | Preallocation::Full);
        plan.preallocate = layout.new_blocks().filter(|_| asked);
    }
    Ok(plan)
}

/// That log and regions are where the specification has them, and whole in the file.
fn placed(image: &Image, file_len: u64) -> Result<(), PlanError> {
    if let Some(region) = image.regions().find(|region| !region.is_aligned() || region.end() > file_len) {
        return Err(ImageError::VhdxRegion { offset: region.offset }.into());
    }
    if file_len > MAX_FILE {
        return Err(ResizeError::VhdxFileTooLarge.into());
    }
    if image.header.sequence > u64::MAX - commit::HEADROOM {
        return Err(ImageError::VhdxSequence.into());
    }
    Ok(())
}

/// That the region tables are copies of each other.
fn tables_agree<R: ReadAt>(disk: &mut R, parts: &mut Parts<'_>) -> Result<(), PlanError> {
    if same_tables(disk, parts)? { Ok(()) } else { Err(ResizeError::VhdxRegionTables.into()) }
}

/// Whether the region tables are copies of each other.
///
/// # Errors
/// The device's.
pub fn same_tables<R: ReadAt>(disk: &mut R, parts: &mut Parts<'_>) -> Result<bool, IoError> {
    let len = index(REGION_TABLE_LEN);
    let [first, second] = REGION_TABLES;
    let (one, two) = (parts.window.get_mut(..len), parts.inner.get_mut(..len));
    let (one, two) = (one.unwrap_or_default(), two.unwrap_or_default());
    disk.read_at(first, one)?;
    disk.read_at(second, two)?;
    Ok(one == two)
}

/// Puts the first region table in place of the second, of which nothing is left that makes sense.
///
/// # Errors
/// The device's.
pub fn copy_table<T: Target>(image: &mut T, parts: &mut Parts<'_>) -> Result<(), IoError> {
    let table = parts.window.get_mut(..index(REGION_TABLE_LEN)).unwrap_or_default();
    let [first, second] = REGION_TABLES;
    image.read_at(first, table)?;
    image.apply(crate::Patch::Write { offset: second, data: table })?;
    image.apply(crate::Patch::Barrier)
}

impl Plan {
    /// Carries it out. Returns how long the file shall be in the end, in bytes.
    ///
    /// # Errors
    /// [`PlanError`]: the device's, or [`ResizeError::Scratch`].
    pub fn run<T: Target>(&self, image: &mut T, guids: &Guids, scratch: &mut [u8]) -> Result<u64, PlanError> {
        let mut parts = Parts::carve(scratch)?;
        match self.action {
            ResizeAction::NoOp => Ok(self.file_len),
            ResizeAction::Grow => Ok(grow::run(image, self, guids, &mut parts)?),
            ResizeAction::Shrink => Ok(shrink::run(image, self, guids, &mut parts)?),
        }
    }

    /// Where the file ends for what is put behind it, in whole MiB.
    const fn end(&self) -> u64 {
        let end = if self.survey.end > self.file_len { self.survey.end } else { self.file_len };
        up_mib(end)
    }

    /// Whether every block of a fixed image has its place.
    const fn is_full(&self) -> bool {
        self.image.metadata.fixed && self.survey.present == self.image.blocks()
    }
}

const _: () = assert!(WINDOW.is_multiple_of(4096) && MIB > 0);

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests;

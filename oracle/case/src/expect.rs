//! What every resize of a case should do, worked out without any reader: size, refusal and content after each step.

use std::ops::Range;

use crate::geometry::{MAX_LENGTH, SECTOR};
use crate::{
    Backing, Case, Content, Extent, Fixture, FormatOptions, Preallocation, Qcow2, Resize, Tweak, size,
    unresized,
};

/// Why a resize must be refused, in the order in which qemu-img looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// SIZE is no size.
    Syntax,
    /// The image says that it is corrupt.
    Corrupt,
    /// The resulting size is zero or less.
    NotPositive,
    /// Preallocation with a size that does not grow.
    PreallocationWithoutGrowth,
    /// A smaller size without `--shrink`.
    ShrinkWithoutFlag,
    /// A qcow2 size that is no multiple of 512.
    Unaligned,
    /// A version 2 image with snapshots, which do not say how large the disk was.
    SnapshotsOfVersion2,
    /// A bitmap that was in use when its writer ended.
    BitmapInUse,
    /// More than the format holds.
    TooLarge,
    /// Clusters that read as zeros over a longer backing file, in version 2, which has none.
    ZeroClusters,
    /// A preallocation mode that the format does not have.
    PreallocationMode,
    /// A smaller size, of a format that does not shrink.
    NeverShrinks,
    /// An image whose data is written once, in order.
    WrittenOnce,
}

/// What one resize should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It succeeds.
    Resized,
    /// It is refused, and nothing changes.
    Refused(Refusal),
}

/// The state after one resize.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What the resize did.
    pub outcome: Outcome,
    /// Length of a raw file in bytes, or the virtual size of any other format: what SIZE set, not rounded.
    pub length: u64,
    /// What a guest sees; its size is the virtual size in bytes, for raw rounded up to a sector.
    pub content: Content,
    /// Guest ranges in which qemu-img may show bytes from before an earlier shrink (the rest of the boundary cluster).
    pub stale: Vec<Range<u64>>,
    /// Guest ranges in which qemu-img may show what was in the free clusters that it gave them, and anybody zeros that were
    /// never encrypted.
    pub reused: Vec<Range<u64>>,
}

/// The content of a fixture as built: every run that is not zero.
pub fn expected_extents(fixture: &Fixture) -> Vec<Extent> {
    expected_content(fixture).extents()
}

/// The content of a fixture as built.
pub fn expected_content(fixture: &Fixture) -> Content {
    content_after(fixture, fixture.writes.len())
}

/// The content of a fixture when so many of its writes were made.
pub fn content_after(fixture: &Fixture, writes: usize) -> Content {
    let mut content = Content::zeros(fixture.size);
    if let Some(backing) = &fixture.backing {
        content.overlay(&backing.content());
    }
    for write in fixture.writes.iter().take(writes) {
        content.write(write);
    }
    content.resize(virtual_size(&fixture.format, fixture.size));
    content
}

impl Backing {
    /// What a guest of this disk sees.
    pub fn content(&self) -> Content {
        let mut content = Content::zeros(self.size);
        if let Some(backing) = &self.backing {
            content.overlay(&backing.content());
        }
        for write in &self.writes {
            content.write(write);
        }
        content.resize(self.virtual_size());
        content
    }
}

/// The state after each resize of `case`, in order.
pub fn expected_steps(case: &Case) -> Vec<Step> {
    let mut state = Step {
        outcome: Outcome::Resized,
        length: case.fixture.size,
        content: expected_content(&case.fixture),
        stale: Vec::new(),
        reused: Vec::new(),
    };
    case.resizes
        .iter()
        .map(|resize| {
            advance(&mut state, &case.fixture, resize);
            let size = state.content.size();
            let within = |ranges: &[Range<u64>]| {
                let ranges = ranges.iter().filter(|range| range.start < size);
                ranges.map(|range| range.start..range.end.min(size)).collect()
            };
            Step { stale: within(&state.stale), reused: within(&state.reused), ..state.clone() }
        })
        .collect()
}

/// The content after the last resize, before the writes that follow it.
pub fn expected_after(case: &Case) -> Content {
    match expected_steps(case).pop() {
        Some(step) => step.content,
        None => expected_content(&case.fixture),
    }
}

/// The content after the last resize and the writes that follow it.
pub fn expected_final(case: &Case) -> Content {
    let mut content = expected_after(case);
    for write in &case.after {
        content.write(write);
    }
    content
}

/// The size that a resize of the image of `fixture` leads to from a virtual size of `current` bytes, or why it must be
/// refused.
///
/// # Errors
/// [`Refusal`]: the first reason that qemu-img would give.
pub fn target_of(fixture: &Fixture, current: u64, resize: &Resize) -> Result<u64, Refusal> {
    let has = |wanted: fn(&Tweak) -> bool| fixture.tweaks.iter().any(wanted);
    if size::parse(&resize.size).is_some() && has(|tweak| matches!(tweak, Tweak::Corrupt)) {
        return Err(Refusal::Corrupt);
    }
    let new = target(&fixture.format, current, resize);
    let Some(options) = fixture.format.qcow2() else { return new };
    match new {
        Ok(_) | Err(Refusal::TooLarge) if options.version == 2 && !fixture.snapshots.is_empty() => {
            Err(Refusal::SnapshotsOfVersion2)
        }
        Ok(_) | Err(Refusal::TooLarge) if has(|tweak| matches!(tweak, Tweak::InUseBitmaps)) => {
            Err(Refusal::BitmapInUse)
        }
        Ok(new) if needs_zero_clusters(fixture, options, current, new, resize) => Err(Refusal::ZeroClusters),
        new => new,
    }
}

/// Whether whole clusters of a version 2 image would have to read as zeros over what is behind them, without being there.
fn needs_zero_clusters(fixture: &Fixture, options: &Qcow2, current: u64, new: u64, resize: &Resize) -> bool {
    let longer = fixture.backing.as_ref().is_some_and(|backing| backing.virtual_size() > current);
    let absent = matches!(resize.preallocation, Preallocation::Off | Preallocation::Metadata);
    let whole = current.next_multiple_of(options.cluster_size()) < new;
    options.version == 2 && longer && absent && whole
}

/// The size that a resize leads to from a virtual size of `current` bytes, or why it must be refused.
///
/// # Errors
/// [`Refusal`]: the first reason that qemu-img would give.
pub fn target(format: &FormatOptions, current: u64, resize: &Resize) -> Result<u64, Refusal> {
    let asked = size::parse(&resize.size).ok_or(Refusal::Syntax)?;
    let new = size::resolve(asked, current).ok_or(Refusal::NotPositive)?;
    if new <= current && resize.preallocation != Preallocation::Off {
        return Err(Refusal::PreallocationWithoutGrowth);
    }
    if new < current && !resize.shrink {
        return Err(Refusal::ShrinkWithoutFlag);
    }
    match format {
        FormatOptions::Qcow2(_) if new % SECTOR != 0 => Err(Refusal::Unaligned),
        FormatOptions::Qcow2(options) if new > options.max_size() => Err(Refusal::TooLarge),
        FormatOptions::Raw | FormatOptions::Luks if new > MAX_LENGTH => Err(Refusal::TooLarge),
        FormatOptions::Raw | FormatOptions::Luks if resize.preallocation == Preallocation::Metadata => {
            Err(Refusal::PreallocationMode)
        }
        FormatOptions::Qed(_) if resize.preallocation != Preallocation::Off => {
            Err(Refusal::PreallocationMode)
        }
        FormatOptions::Qed(_) if new % SECTOR != 0 => Err(Refusal::Unaligned),
        FormatOptions::Qed(options) if new > options.max_size() => Err(Refusal::TooLarge),
        FormatOptions::Qed(_) if new < current => Err(Refusal::NeverShrinks),
        _ if format.is_unresized() => unresized::target(format, (current, new), resize.preallocation),
        _ => Ok(new),
    }
}

/// The virtual size of an image whose size was set to `length`: some formats round up, VHD to a geometry.
pub fn virtual_size(format: &FormatOptions, length: u64) -> u64 {
    match format {
        FormatOptions::Raw | FormatOptions::Luks | FormatOptions::Vhdx(_) | FormatOptions::Vmdk(_) => {
            length.next_multiple_of(SECTOR)
        }
        FormatOptions::Vpc(options) => options.rounded(length),
        FormatOptions::Qcow2(_) | FormatOptions::Qed(_) => length,
    }
}

fn advance(state: &mut Step, fixture: &Fixture, resize: &Resize) {
    let format = &fixture.format;
    let old = state.content.size();
    let new = match target_of(fixture, old, resize) {
        Ok(new) => new,
        Err(refusal) => {
            state.outcome = Outcome::Refused(refusal);
            return;
        }
    };
    let preallocated = new > old && resize.preallocation != Preallocation::Off;
    state.reused.retain(|range| range.start < new);
    if let FormatOptions::Qcow2(options) = format {
        note_stale(state, new, (options.cluster_size(), format.is_encrypted(), fixture.data_file.is_some()));
        if preallocated {
            state.reused.push(old..new);
        }
    } else if fixture.grows_by_noise(preallocated) && (new > old || new % SECTOR != 0) {
        // A sector that is there in part is no ciphertext.
        state.reused.push(old.min(new) / SECTOR * SECTOR..virtual_size(format, new));
    }
    state.outcome = Outcome::Resized;
    state.length = new;
    // A raw file is cut to the byte before its view is rounded up again.
    state.content.resize(new);
    if *format == FormatOptions::Luks && new < old {
        // Nor can what there was in the sector that is cut be decrypted any more.
        state.content.resize(new / SECTOR * SECTOR);
    }
    state.content.resize(virtual_size(format, new));
}

/// Remembers the rest of the boundary cluster of a shrink, if there was anything in it: of an encrypted one, its zeros, too. A
/// data file is cut at the end of its disk by every resize.
fn note_stale(state: &mut Step, new: u64, (cluster, encrypted, beside): (u64, bool, bool)) {
    let boundary = new.next_multiple_of(cluster);
    state.stale.retain(|range| range.start < boundary);
    let any = encrypted && new < boundary;
    let cut = new < state.content.size() || (beside && any && new != state.content.size());
    if cut && (any || state.content.has_data(new, boundary - new)) {
        state.stale.push(new..boundary);
    }
}

//! Judging images whose disk lies in blocks: a crash may leave something to do there, which the format's own recovery
//! does, or the same resize once more.

use instar_ops::{CheckFinding, CheckReport, CheckRequest, Damage, Disk, Format, Repair, check_with};

use super::{Bad, Good, Judge, Step};
use crate::blocks;
use crate::disk::MemoryDisk;
use crate::image::Image;
use crate::scratch;

impl Judge {
    /// Whether an image opens at the old size or the new one and holds what it must.
    pub(super) fn good_blocks(image: &Image, step: &Step) -> Result<Good, Bad> {
        let reading = blocks::read(step.format, image).map_err(|what| Bad::new("corrupt", what))?;
        let (size, old, new) = (reading.size, step.old, step.new);
        let between = reading.gradual && (old.min(new)..=old.max(new)).contains(&size);
        if size != old && size != new && !between {
            return Err(Bad::new("size", format!("opens at {size} bytes, not {old} or {new}")));
        }
        let zeros_to = if new > old && step.zeros_beyond { size } else { 0 };
        let seen = reading.replayed.as_ref().unwrap_or(image);
        let kept = step.preserved.check_pieces(seen, &reading.pieces, zeros_to);
        kept.map_err(|what| Bad::new("content", what))?;
        Ok(Good { size, is_new: size == new, unfinished: reading.unfinished, ..Good::default() })
    }

    /// That instar's check finds nothing but what a resize has left undone, and that a repair, where there is one, does that.
    pub(super) fn recovered(&mut self, image: &Image, step: &Step, good: &Good) -> Result<(), Bad> {
        let mut copy = image.clone();
        if step.format == Format::Vmdk {
            return match looked_at(&mut copy, step.format, Repair::Nothing)? {
                Looked { worst: Some(what), .. } => Err(Bad::new("check", format!("instar check: {what}"))),
                Looked { found, .. } if found > 0 && good.unfinished.is_none() => Err(Bad::new(
                    "check",
                    format!("instar check finds {found} things in an image that is done"),
                )),
                _ => Ok(()),
            };
        }
        let by_length = blocks::read(step.format, image).is_ok_and(|reading| reading.by_length);
        let bad = |what: String| Bad::new("repair", format!("instar check -r all: {what}"));
        let left = looked_at(&mut copy, step.format, Repair::All)?;
        if left.report.corruptions + left.report.check_errors > 0 {
            return Err(bad(left.worst.unwrap_or_else(|| "it could not be completed".into())));
        }
        clean(&mut copy, step.format).map_err(|e| bad(e.to_string()))?;
        match Self::good_blocks(&copy, step).map_err(|e| bad(e.to_string()))? {
            Good { unfinished: Some(what), .. } => Err(bad(what.into())),
            Good { is_new: false, .. } if good.is_new && !by_length => {
                Err(bad("the old size is back".into()))
            }
            _ => Ok(()),
        }
    }

    /// That instar's check finds nothing at all; after an interrupted resize, nothing once leaks are freed.
    pub(super) fn is_clean(image: &Image, format: Format, interrupted: bool) -> Result<(), Bad> {
        let mut copy = image.clone();
        if interrupted && format == Format::Vhd {
            looked_at(&mut copy, format, Repair::Leaks)?;
        }
        clean(&mut copy, format)
    }
}

/// What a check came to.
struct Looked {
    report: CheckReport,
    /// How many findings there were.
    found: u64,
    /// The first that no interrupted resize leaves.
    worst: Option<String>,
}

fn clean(image: &mut Image, format: Format) -> Result<(), Bad> {
    let looked = looked_at(image, format, Repair::Nothing)?;
    let CheckReport { corruptions, leaks, check_errors, .. } = looked.report;
    match looked.worst {
        None if corruptions + leaks + check_errors + looked.found == 0 => Ok(()),
        what => Err(Bad::new("check", format!("instar check finds {} things, {what:?}", looked.found))),
    }
}

fn looked_at(image: &mut Image, format: Format, repair: Repair) -> Result<Looked, Bad> {
    let request = CheckRequest { format: Some(format), repair, ..CheckRequest::default() };
    let (mut found, mut worst) = (0, None);
    let mut see = |finding: CheckFinding| {
        found += 1;
        // What was repaired is no more.
        if !matches!(finding, CheckFinding::Damage { fixed: true, .. }) && !is_left_over(&finding) {
            worst.get_or_insert_with(|| format!("{finding:?}"));
        }
    };
    let numbers =
        blocks::extent_names(image).iter().filter_map(|name| image.file_named(name)).collect::<Vec<_>>();
    let mut files: Vec<Image> = numbers.iter().filter_map(|n| image.file(*n).cloned()).collect();
    let mut disks: Vec<MemoryDisk> = files.iter_mut().map(MemoryDisk::new).collect();
    let mut extents: Vec<&mut dyn Disk> = disks.iter_mut().map(|disk| disk as &mut dyn Disk).collect();
    let done = scratch::with(|scratch| {
        check_with(&mut MemoryDisk::new(image), &mut extents, &request, scratch, &mut see)
    });
    let report = done.map_err(|e| Bad::new("check", format!("instar check: {e}")))?;
    Ok(Looked { report, found, worst })
}

/// Whether a resize that was cut short may leave it, and no program minds.
const fn is_left_over(finding: &CheckFinding) -> bool {
    let CheckFinding::Damage { what, .. } = finding else { return false };
    matches!(what, Damage::VmdkDescriptorSize { .. } | Damage::VmdkDiffers { .. })
}

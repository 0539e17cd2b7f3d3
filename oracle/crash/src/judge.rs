//! Whether what a crash left is a good image.

mod recovery;
mod sealed;

use std::collections::HashMap;

use instar_ops::{
    CheckFinding, CheckReport, CheckRequest, Format, Identity, OpError, Preallocation, Repair, ResizeError,
    ResizeRequest, SizeRequest, check,
};
use oracle_case::Content;

use crate::blocks;

use crate::content::Preserved;
use crate::disk::MemoryDisk;
use crate::engine::whole;
use crate::format::DIRTY;
use crate::image::Image;
use crate::kept::Kept;
use crate::scratch;
use crate::walk::Walk;
use crate::worker::Stop;

/// One resize that is about to be judged. Sizes in bytes; for raw they are lengths of the file.
#[derive(Debug)]
pub struct Step {
    /// The image's format.
    pub format: Format,
    /// Size before.
    pub old: u64,
    /// Size after.
    pub new: u64,
    /// Clusters that were leaked before.
    pub leaks: u64,
    /// Whether what is new must read as zeros from its first byte; otherwise the rest of the last cluster before may
    /// hold what an earlier shrink cut off there.
    pub zeros_beyond: bool,
    /// What was asked for: without it, some grows over a longer backing file are refused.
    pub preallocation: Preallocation,
    preserved: Preserved,
    /// All of a LUKS file as it was: what is encrypted means something at its place alone.
    sealed: Image,
    kept: Kept,
    incompatible: u64,
    /// Whether guest data is encrypted.
    pub encrypted: bool,
    /// Whether the disk held zeros from the new end to the end of the cluster that this lies in.
    tail_was_zero: bool,
}

/// What is wrong with an image: one of a few kinds, and the words for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct Bad {
    /// The kind, for grouping.
    pub kind: &'static str,
    /// What exactly.
    pub detail: String,
}

impl Bad {
    /// Something of a kind.
    pub fn new(kind: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// Images of a format that no crash campaign makes.
    pub(crate) fn of_format(format: Format) -> Self {
        Self::new("format", format!("nobody judges crashes of {format:?} images"))
    }
}

/// What a good image looked like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Good {
    /// Its size in bytes; for raw the length of the file.
    pub size: u64,
    /// Whether that is the new size.
    pub is_new: bool,
    /// What the format's own recovery, or the same resize, has to do, if there is something.
    pub unfinished: Option<&'static str>,
    /// Clusters that are leaked.
    pub leaks: u64,
    /// Clusters past the end of the file that have a refcount: a resize that extends the file makes them leaks.
    pub leaks_past_end: u64,
    /// Whether it has bitmaps.
    pub bitmaps: bool,
    /// Whether a bitmap is flagged as in use, so that nobody resizes the image before it is removed.
    pub in_use: bool,
    /// Whether it is an image that was not closed properly, and says so still: its refcounts mean nothing.
    pub unclean: bool,
}

/// Judges images, one after the other, and keeps its buffers.
#[derive(Debug, Default)]
pub struct Judge {
    walk: Walk,
    /// Leaks of the good images that a second resize led to, by their hash: many states end as the same image.
    ends: HashMap<u128, u64>,
}

impl Judge {
    /// A resize of `image`, which holds `content`, from its size to `new` bytes.
    ///
    /// # Errors
    /// What is wrong with the image before anything was done to it.
    pub fn step(
        &mut self,
        image: &Image,
        format: Format,
        content: &Content,
        new: u64,
        stale: bool,
    ) -> Result<Step, Bad> {
        self.ends.clear();
        let mut step = Step {
            format,
            old: image.len(),
            new,
            leaks: 0,
            zeros_beyond: !stale,
            preallocation: Preallocation::Off,
            preserved: Preserved::raw(content, image.len().min(new)),
            sealed: Image::default(),
            kept: Kept::default(),
            incompatible: 0,
            encrypted: false,
            tail_was_zero: true,
        };
        if format == Format::Qcow2 {
            self.walk.walk(image);
            let header = self.walk.header;
            (step.old, step.leaks, step.incompatible) = (header.size, self.walk.leaks, header.incompatible);
            step.preserved = Preserved::qcow2(content, step.old.min(new), image, &self.walk);
            step.kept = Kept::of(image, &self.walk);
            step.encrypted = header.encrypted;
            let end = new.next_multiple_of(header.cluster());
            step.tail_was_zero = !content.extents().iter().any(|e| e.offset < end && e.offset + e.len > new);
        }
        if format == Format::Luks {
            self::sealed::begin(&mut step, image)?;
        }
        if blocks::knows(format) {
            let reading = blocks::read(format, image).map_err(|what| Bad::new("corrupt", what))?;
            if reading.size != content.size() {
                return Err(Bad::new("size", format!("{} bytes, not {}", reading.size, content.size())));
            }
            step.old = reading.size;
            step.preserved = Preserved::raw(content, step.old.min(new));
        }
        self.good(image, &step)?;
        Ok(step)
    }

    /// Whether `image` is good: it opens at the old or the new size, holds all that is to be preserved, two readers of
    /// its metadata find leaks at most, a repair of the leaks leaves none, and resizing again brings it to the new size. The
    /// image is changed by that; `meanwhile` is called before.
    ///
    /// # Errors
    /// What is wrong.
    pub fn judge(
        &mut self,
        image: &mut Image,
        step: &Step,
        meanwhile: impl FnOnce(&Image, &Good),
    ) -> Result<Good, Bad> {
        let good = self.good(image, step)?;
        if blocks::knows(step.format) {
            self.recovered(image, step, &good)?;
        } else if !good.unclean {
            self.engine_check(image, step, good.leaks)?;
        }
        meanwhile(image, &good);
        if !good.unclean {
            self.freed(image, step, &good)?;
        }
        if good.in_use {
            Self::refused(image, step)?;
            return Ok(good);
        }
        Self::again(image, step).map_err(|e| Bad::new("again", format!("resizing again: {e}")))?;
        let (hash, leaks) = (image.hash(), good.leaks + good.leaks_past_end);
        if self.ends.get(&hash).is_none_or(|known| *known > leaks) {
            let end = self.good(image, step)?;
            self.ended(image, step, &end, (leaks, true))?;
            self.ends.insert(hash, end.leaks);
        }
        Ok(good)
    }

    /// Whether `image` is what the resize must come to when nothing goes wrong.
    ///
    /// # Errors
    /// What is wrong.
    pub fn judge_end(&mut self, image: &Image, step: &Step) -> Result<Good, Bad> {
        let end = self.good(image, step)?;
        self.ended(image, step, &end, (step.leaks, false))?;
        Ok(end)
    }

    /// That the leaks of a good state, and nothing else, are gone after `check -r leaks`. What has none, it leaves alone.
    fn freed(&mut self, image: &Image, step: &Step, good: &Good) -> Result<(), Bad> {
        if good.leaks == 0 {
            return Ok(());
        }
        let bad = |what: String| Bad::new("repair", format!("instar check -r leaks: {what}"));
        let mut copy = image.clone();
        let request = CheckRequest { repair: Repair::Leaks, ..check_request(step) };
        let repair =
            |scratch: &mut [u8]| check(&mut MemoryDisk::new(&mut copy), &request, scratch, &mut |_| ());
        let CheckReport { check_errors, corruptions, leaks, corruptions_fixed, leaks_fixed, .. } =
            scratch::with(repair).map_err(|e| bad(e.to_string()))?;
        let counts = [check_errors, corruptions, leaks, corruptions_fixed, leaks_fixed];
        if counts != [0, 0, 0, 0, good.leaks] {
            return Err(bad(format!("{counts:?} of {} leaks", good.leaks)));
        }
        let after = self.good(&copy, step).map_err(|e| bad(e.to_string()))?;
        if (after.is_new, after.leaks) == (good.is_new, 0) {
            return Ok(());
        }
        Err(bad(format!("leaves {after:?}")))
    }

    /// That an image with a bitmap in use is not resized, and not changed.
    fn refused(image: &mut Image, step: &Step) -> Result<(), Bad> {
        let before = image.hash();
        match Self::again(image, step) {
            Err(Stop::Op(OpError::Resize(ResizeError::BitmapInUse { .. }))) if image.hash() == before => {
                Ok(())
            }
            other => {
                Err(Bad::new("again", format!("a bitmap is in use, and resizing again gives {other:?}")))
            }
        }
    }

    /// Resizes `image` again as the resize of `step` did, without its preallocation if that will do.
    fn again(image: &mut Image, step: &Step) -> Result<(), Stop> {
        let mut request = ResizeRequest {
            format: Some(step.format),
            size: SizeRequest::Absolute(step.new),
            shrink: true,
            preallocation: Preallocation::Off,
            // Not that of the resize before: what is new twice would be the same thing.
            identity: Identity { random: [0x5a; 64], unix_time: 0 },
        };
        // Somebody has removed what a crash has left beside the image.
        if image.has_extents() {
            image.keep_only(&blocks::extent_names(image));
        }
        let plain = whole(image, &request);
        if plain.is_ok() || step.preallocation == Preallocation::Off {
            return plain;
        }
        request.preallocation = step.preallocation;
        whole(image, &request).or(plain)
    }

    fn good(&mut self, image: &Image, step: &Step) -> Result<Good, Bad> {
        if blocks::knows(step.format) {
            return Self::good_blocks(image, step);
        }
        let mut unclean = false;
        let (size, leaks, leaks_past_end) = match step.format {
            Format::Raw => (image.len(), 0, 0),
            Format::Luks => (sealed::size(image)?, 0, 0),
            Format::Qcow2 => {
                self.walk.walk(image);
                unclean = step.incompatible & self.walk.header.incompatible & DIRTY != 0;
                if let Some(problem) = self.walk.problem.take_if(|_| !(unclean && self.walk.miscounted)) {
                    return Err(Bad::new("corrupt", problem));
                }
                (self.walk.header.size, self.walk.leaks, self.walk.leaks_past_end)
            }
            other => return Err(Bad::of_format(other)),
        };
        if size != step.old && size != step.new {
            return Err(Bad::new("size", format!("opens at {size} bytes, not {} or {}", step.old, step.new)));
        }
        let is_new = size == step.new;
        let grown = is_new && step.new > step.old && step.zeros_beyond;
        let to = if grown { step.new } else { 0 };
        match step.format {
            Format::Raw => step.preserved.check_raw(image, to),
            Format::Luks => sealed::check(image, step, to),
            Format::Qcow2
                if self.walk.header.incompatible | step.incompatible & DIRTY != step.incompatible =>
            {
                return Err(Bad::new("features", "the incompatible features have changed"));
            }
            Format::Qcow2 => step.preserved.check_qcow2(image, &self.walk, to),
            other => return Err(Bad::of_format(other)),
        }
        .map_err(|what| Bad::new("content", what))?;
        let bitmaps = if step.format == Format::Qcow2 { self.walk.bitmaps.as_slice() } else { &[] };
        let in_use = bitmaps.iter().any(|bitmap| bitmap.in_use);
        let bitmaps = !bitmaps.is_empty();
        if step.format == Format::Qcow2 {
            step.kept.check(image, &self.walk, step.new).map_err(|what| Bad::new("kept", what))?;
        }
        Ok(Good { size, is_new, unfinished: None, leaks, leaks_past_end, bitmaps, in_use, unclean })
    }

    /// instar's own check must come to the same.
    fn engine_check(&mut self, image: &mut Image, step: &Step, leaks: u64) -> Result<(), Bad> {
        if matches!(step.format, Format::Raw | Format::Luks) {
            return Ok(());
        }
        let request = check_request(step);
        let mut first = None;
        let mut keep = |finding| {
            if !matches!(finding, CheckFinding::Leak { .. }) {
                first.get_or_insert(finding);
            }
        };
        let check = |scratch: &mut [u8]| check(&mut MemoryDisk::new(image), &request, scratch, &mut keep);
        let report = scratch::with(check).map_err(|e| Bad::new("check", format!("instar check: {e}")))?;
        if report.corruptions + report.check_errors > 0 {
            return Err(Bad::new(
                "check",
                format!("instar check: {} corruptions, {first:?}", report.corruptions),
            ));
        }
        if report.leaks != leaks {
            return Err(Bad::new("leaks", format!("instar check finds {} leaks, not {leaks}", report.leaks)));
        }
        Ok(())
    }

    fn ended(&self, image: &Image, step: &Step, end: &Good, (leaks, again): (u64, bool)) -> Result<(), Bad> {
        if !end.is_new {
            return Err(Bad::new("end", format!("ends at another size than {}", step.new)));
        }
        if end.in_use || end.unclean {
            let what = if end.unclean { "unclean" } else { "with a bitmap in use" };
            return Err(Bad::new("end", format!("ends {what}")));
        }
        if end.leaks > leaks {
            return Err(Bad::new("end", format!("ends with {} leaks, not {leaks}", end.leaks)));
        }
        let data = image.data_file().map_or(step.new, Image::len);
        let beyond = match step.format {
            // To the same size, nothing is written: the data file stays as it was.
            Format::Qcow2 if !again && step.old != step.new && data != step.new => {
                Some(format!("the data file has {data} bytes"))
            }
            Format::Raw | Format::Luks => {
                (end.size != step.new).then(|| "the file has another length".into())
            }
            Format::Qcow2 if step.new < step.old && !self.ends_in_zeros(image, step, again) => {
                Some("the last cluster holds what was cut off".into())
            }
            Format::Qcow2 => self.walk.beyond(),
            format if blocks::knows(format) => end.unfinished.map(str::to_owned),
            other => return Err(Bad::of_format(other)),
        };
        beyond.map_or(Ok(()), |what| Err(Bad::new("beyond", format!("beyond the new end: {what}"))))?;
        if blocks::knows(step.format) { Self::is_clean(image, step.format, again) } else { Ok(()) }
    }

    /// Whether a disk that was cut is zeros to the end of its last cluster. A data file ends with its disk. Of an encrypted disk
    /// only the shrink itself writes these zeros, and not where a snapshot has the cluster, too.
    fn ends_in_zeros(&self, image: &Image, step: &Step, again: bool) -> bool {
        let sealed = self.walk.header.encrypted && (again || !self.walk.snapshots.is_empty());
        sealed
            || image.data_file().is_some()
            || Preserved::ends_in_zeros(image, &self.walk, step.tail_was_zero)
    }
}

/// A check of the image, whose passphrase is known if it has one.
fn check_request(step: &Step) -> CheckRequest {
    CheckRequest { format: Some(step.format), unlocked: true, ..CheckRequest::default() }
}

//! Which guest writes an image takes, and how many.

use std::ops::Range;

use super::bounds::{DATA_BUDGET, MAX_WRITES, ZERO_CLUSTERS};
use crate::{Fixture, FormatOptions, Qcow2, Subformat, Write, WriteKind};

/// Makes the writes of a fixture ones that qemu-io carries out.
pub fn legalize(fixture: &mut Fixture) {
    let mut writes = std::mem::take(&mut fixture.writes);
    let mut gate = Gate::new(fixture, fixture.size);
    writes.truncate(MAX_WRITES);
    writes.retain_mut(|write| gate.admit(write));
    fixture.writes = writes;
}

/// Makes the writes of a disk behind an overlay plain data.
pub fn legalize_plain(writes: &mut Vec<Write>, size: u64) {
    legalize_after(writes, &Fixture::new(FormatOptions::Raw, size), size);
}

/// Makes the writes after the last resize plain data within an image of `size` bytes.
pub fn legalize_after(writes: &mut Vec<Write>, fixture: &Fixture, size: u64) {
    let mut gate = Gate::new(fixture, size);
    writes.truncate(if gate.kinds == Kinds::Once { 0 } else { MAX_WRITES });
    writes.retain_mut(|write| {
        write.kind = WriteKind::Data;
        gate.admit(write)
    });
}

/// What the writes so far allow the next one to be.
struct Gate<'a> {
    options: Option<&'a Qcow2>,
    size: u64,
    budget: u64,
    /// Clusters that were written: qemu does not compress over those.
    touched: Vec<Range<u64>>,
    /// Clusters that hold compressed data, as long as none of them is given up.
    compressed: Vec<Range<u64>>,
    /// Whether a compressed cluster was overwritten. qemu 10.0 then packs the next one of the same session where the freed
    /// one was, even if something else lies there by now, and reports a corruption.
    given_up: bool,
    /// Whether nothing can be compressed: there are no compressed clusters in a data file, none is encrypted, and a narrow
    /// refcount does not count all clusters that share one with every snapshot that has them.
    plain: bool,
    /// What kinds of writes the format has.
    kinds: Kinds,
    /// Bytes of a cluster, block or grain.
    unit: u64,
    /// Whether there is a disk behind this one, that a discard may show.
    overlay: bool,
}

/// What kinds of writes a format has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinds {
    /// All that follow, as far as options and other files allow.
    Any,
    /// Data and zeros.
    Zeros,
    /// Data.
    Data,
    /// Whole units, compressed, each of them once.
    Once,
}

impl Kinds {
    fn of(format: &FormatOptions) -> Self {
        match format {
            FormatOptions::Raw | FormatOptions::Luks | FormatOptions::Qcow2(_) => Self::Any,
            FormatOptions::Qed(_) => Self::Zeros,
            FormatOptions::Vmdk(options) if options.subformat == Subformat::StreamOptimized => Self::Once,
            FormatOptions::Vmdk(options) if options.zeroed_grain => Self::Zeros,
            _ => Self::Data,
        }
    }
}

impl<'a> Gate<'a> {
    fn new(fixture: &'a Fixture, size: u64) -> Self {
        let options = fixture.format.qcow2();
        let narrow = options.is_some_and(|options| options.refcount_bits < 16);
        Self {
            options,
            plain: fixture.data_file.is_some()
                || fixture.format.is_encrypted()
                || (narrow && !fixture.snapshots.is_empty()),
            kinds: Kinds::of(&fixture.format),
            unit: fixture.format.unit(),
            overlay: fixture.backing.is_some(),
            size,
            budget: DATA_BUDGET,
            touched: Vec::new(),
            compressed: Vec::new(),
            given_up: false,
        }
    }

    /// Brings a write into range; false if nothing of it is left.
    fn admit(&mut self, write: &mut Write) -> bool {
        self.settle_kind(write);
        if write.kind == WriteKind::Compressed && !self.fit_compressed(write) {
            if self.kinds == Kinds::Once {
                return false;
            }
            write.kind = WriteKind::Data;
        }
        self.fit(write);
        if write.len == 0 {
            return false;
        }
        if self.fills(write.kind) {
            self.budget -= write.len;
        }
        self.note(write);
        true
    }

    fn note(&mut self, write: &Write) {
        let range = self.clusters(write);
        self.given_up |= self.compressed.iter().any(|used| overlap(used, &range));
        if write.kind == WriteKind::Compressed {
            self.compressed.push(range.clone());
        }
        self.touched.push(range);
    }

    fn settle_kind(&self, write: &mut Write) {
        match self.kinds {
            Kinds::Any => {}
            Kinds::Zeros if write.kind == WriteKind::Zero => {}
            Kinds::Zeros | Kinds::Data => write.kind = WriteKind::Data,
            Kinds::Once => {
                write.kind = WriteKind::Compressed;
                return;
            }
        }
        let plain = self.plain || self.given_up || self.options.is_none_or(|options| options.preallocated);
        write.kind = match write.kind {
            WriteKind::Compressed if plain => WriteKind::Data,
            // Whether a discarded range of a raw file reads as zeros is up to the file system.
            WriteKind::Discard if self.options.is_none() || self.overlay => WriteKind::Unmap,
            kind => kind,
        };
        if !matches!(write.kind, WriteKind::Data | WriteKind::Compressed) {
            write.pattern = 0;
        }
    }

    /// Whole clusters that were not written before.
    fn fit_compressed(&self, write: &mut Write) -> bool {
        let cluster = self.cluster();
        let offset = write.offset / cluster * cluster;
        let room = self.size.saturating_sub(offset).min(self.budget);
        let len = write.len.next_multiple_of(cluster).min(room / cluster * cluster);
        let fitted = Write { offset, len, ..write.clone() };
        let range = self.clusters(&fitted);
        let free = !self.touched.iter().any(|used| overlap(used, &range));
        if len == 0 || !free {
            return false;
        }
        *write = fitted;
        true
    }

    fn fit(&self, write: &mut Write) {
        let limit = if self.fills(write.kind) { self.budget } else { ZERO_CLUSTERS * self.cluster() };
        let room = self.size.saturating_sub(write.offset).min(limit);
        write.len = write.len.min(room);
        if write.kind == WriteKind::Discard {
            // A discard of part of a cluster is ignored, unless the image ends there.
            let cluster = self.cluster();
            let end = (write.offset + write.len).next_multiple_of(cluster).min(self.size);
            write.offset = write.offset / cluster * cluster;
            write.len = end.saturating_sub(write.offset).min(limit);
        }
    }

    /// Whether a write costs as many bytes as it is long.
    fn fills(&self, kind: WriteKind) -> bool {
        let zero_clusters = self.options.is_some_and(|options| options.version > 2);
        match kind {
            WriteKind::Data | WriteKind::Compressed => true,
            WriteKind::Zero | WriteKind::Unmap => !zero_clusters,
            WriteKind::Discard => false,
        }
    }

    fn clusters(&self, write: &Write) -> Range<u64> {
        let cluster = self.cluster();
        write.offset / cluster..(write.offset + write.len).div_ceil(cluster)
    }

    fn cluster(&self) -> u64 {
        self.unit
    }
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

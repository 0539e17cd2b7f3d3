//! What a check has found so far, and what it is about to do.

use super::patches::Patches;
use super::window::{UNREADABLE, Window};
use crate::{CheckFinding, CheckReport, Disk, Fault, Repair, Table};
use instar_formats::io::IoError;
use instar_formats::qcow2::{Geometry, Header, Incompatible, entry};

/// Most findings that are told one by one; all are counted.
const MAX_FINDINGS: u64 = 100_000;

/// What a walk over the metadata does on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage {
    /// Whether references are counted.
    pub counts: bool,
    /// Whether they are compared with the refcounts.
    pub compares: bool,
    /// Whether entries that cannot be right are findings. They are, once.
    pub judges: bool,
    /// What becomes of COPIED flags.
    pub flags: Flags,
    /// Which refcounts are set right.
    pub fixes: Repair,
    /// Whether entries that read as zeros and name what they cannot are replaced.
    pub clears: bool,
}

/// What becomes of COPIED flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flags {
    /// They are not looked at.
    Ignored,
    /// Wrong ones are findings.
    Told,
    /// Wrong ones are set right.
    Repaired,
}

/// The state that every part of a check adds to.
pub(super) struct Tally<'s> {
    /// References and refcounts of the clusters of this pass.
    pub window: Window<'s>,
    /// What goes to the caller in the end.
    pub report: CheckReport,
    /// The image.
    pub header: Header,
    /// Length of the file in bytes.
    pub file_len: u64,
    /// Whether this is the first pass, the one that judges entries and counts the guest's clusters.
    pub first_pass: bool,
    /// What this walk is for.
    pub stage: Stage,
    /// What the walks have shown about the refcount structures.
    pub shown: Shown,
    /// Entries about to be replaced.
    pub patches: Patches,
    findings: &'s mut dyn FnMut(CheckFinding),
    told: u64,
    /// How many clusters past the end of the file this walk has met.
    pub past_end: u64,
}

/// What a walk has shown about the refcount structures.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown {
    /// They cannot be repaired where they stand.
    pub unusable: bool,
    /// A refcount block lies past the end of the file.
    pub block_past_end: bool,
    /// Some of the metadata was not walked: the references are not known.
    pub unwalked: bool,
    /// A cluster has more references than a refcount can say.
    pub overflow: bool,
    /// Clusters whose refcount is less than their references.
    pub too_low: u64,
    /// Entries that could be replaced by ones that say the same to the guest.
    pub clearable: u64,
    /// Where an entry of the L1 table stands that names a part of that table.
    pub inside_l1: Option<u64>,
    /// Refcount blocks that the references need.
    pub blocks: u64,
    /// The index after that of the last cluster that is referred to.
    pub end: u64,
}

/// Where an entry stands, for findings about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// In which table.
    pub table: Table,
    /// Byte offset of the entry in the file.
    pub offset: u64,
    /// The entry itself.
    pub value: u64,
}

impl<'s> Tally<'s> {
    /// Nothing found yet.
    pub fn new(
        header: Header,
        file_len: u64,
        window: Window<'s>,
        findings: &'s mut dyn FnMut(CheckFinding),
    ) -> Self {
        let total = header.geometry.clusters(header.virtual_size());
        Self {
            window,
            report: CheckReport::new(total),
            header,
            file_len,
            first_pass: true,
            stage: Stage::CHECK,
            shown: Shown::default(),
            patches: Patches::default(),
            findings,
            told: 0,
            past_end: 0,
        }
    }

    /// Sizes.
    pub const fn geometry(&self) -> Geometry {
        self.header.geometry
    }

    /// Whether guest clusters live in another file.
    pub const fn data_file(&self) -> bool {
        self.header.has(Incompatible::DATA_FILE)
    }

    /// Clusters of the file; its last one may be short.
    pub const fn file_clusters(&self) -> u64 {
        self.geometry().clusters(self.file_len)
    }

    /// Whether entries are judged now, and the guest's clusters counted.
    pub const fn judging(&self) -> bool {
        self.first_pass && self.stage.judges
    }

    /// Counts a finding, and tells it unless too many were told.
    pub fn find(&mut self, finding: CheckFinding) {
        let report = &mut self.report;
        let count = match finding {
            CheckFinding::Leak { fixed: true, .. } => &mut report.leaks_fixed,
            CheckFinding::Leak { .. } => &mut report.leaks,
            CheckFinding::Refcount { fixed: true, .. }
            | CheckFinding::Entry { fixed: true, .. }
            | CheckFinding::Copied { fixed: true, .. }
            | CheckFinding::Damage { fixed: true, .. } => &mut report.corruptions_fixed,
            CheckFinding::Refcount { .. }
            | CheckFinding::Entry { .. }
            | CheckFinding::Copied { .. }
            | CheckFinding::Damage { .. } => &mut report.corruptions,
            CheckFinding::Unreadable { .. } => &mut report.check_errors,
            CheckFinding::NeedsRebuild | CheckFinding::Rebuilding | CheckFinding::Unclean => {
                return (self.findings)(finding);
            }
        };
        *count = count.saturating_add(1);
        self.tell(finding);
    }

    /// Tells a finding that is counted elsewhere, unless too many were told.
    pub fn tell(&mut self, finding: CheckFinding) {
        if self.told < MAX_FINDINGS {
            self.told = self.told.saturating_add(1);
            (self.findings)(finding);
        }
    }

    /// An entry cannot be right. Every pass sees it, the first one says so.
    pub fn invalid(&mut self, place: Place, fault: Fault, about: [u64; 2]) {
        if self.judging() {
            self.find(place.finding(fault, about));
        }
    }

    /// A part of the metadata is not walked.
    pub fn unwalked(&mut self) {
        if self.stage.counts && !self.shown.unwalked {
            self.shown.unwalked = true;
            self.report.check_errors = self.report.check_errors.saturating_add(1);
        }
    }

    /// Counts a reference to each cluster that `len` bytes from `offset` touch. They may end in the
    /// cluster that the end of the file is in, or would be in if it were a byte longer.
    pub fn refer(&mut self, offset: u64, len: u64, place: Place) {
        let Some(last) = len.checked_sub(1) else {
            return;
        };
        let past = offset.saturating_add(len).saturating_sub(self.file_len);
        if past >= self.geometry().cluster_size() {
            return self.invalid(place, Fault::PastEnd, [offset, len]);
        }
        let (from, to) =
            (self.geometry().cluster(offset), self.geometry().cluster(offset.saturating_add(last)));
        let window = self.window.range();
        if to >= window.end {
            self.window.mention(from.max(window.end));
        }
        for cluster in from.max(window.start)..=to.min(window.end.saturating_sub(1)) {
            if self.stage.counts && !self.window.count(cluster) {
                self.shown.overflow = true;
                if self.stage.judges {
                    self.find(place.finding(Fault::Overflow, [self.geometry().offset(cluster), 0]));
                }
            }
        }
    }

    /// Whether the refcount of another cluster past the end of the file may be looked up in this walk. It is the same for a
    /// check and for the walk behind a repair, whatever either has told before.
    pub const fn looks_past_end(&mut self) -> bool {
        self.past_end = self.past_end.saturating_add(1);
        self.past_end <= MAX_FINDINGS
    }

    /// That the COPIED flag of an entry that names `offset` says whether the refcount is one.
    pub fn copied(&mut self, offset: u64, place: Place) {
        let cluster = self.geometry().cluster(offset);
        if let Some(slot) =
            self.window.get(cluster).filter(|s| s.refcount != UNREADABLE && offset < self.file_len)
        {
            self.compare_copied(place, u64::from(slot.refcount));
        }
    }

    /// The same for a cluster whose refcount is known.
    pub fn compare_copied(&mut self, place: Place, refcount: u64) {
        if (place.value & entry::COPIED != 0) == (refcount == 1) || self.stage.flags == Flags::Ignored {
            return;
        }
        let fixed = self.stage.flags == Flags::Repaired && self.may_patch(place);
        if fixed {
            self.patches.replace(place.offset, place.value ^ entry::COPIED);
        }
        let index = match place.table {
            Table::L1 => place.offset.saturating_sub(self.header.l1_offset) / 8,
            Table::L2 | Table::RefcountTable => 0,
        };
        self.find(CheckFinding::Copied { table: place.table, index, value: place.value, refcount, fixed });
    }

    /// Replaces an entry that reads as zeros by `value`, which does so too but names nothing.
    pub fn clear(&mut self, place: Place, value: u64, about: [u64; 2]) {
        if self.may_patch(place) {
            self.patches.replace(place.offset, value);
            let finding = place.finding(Fault::ZeroUnaligned, about);
            if let CheckFinding::Entry { fault, table, offset, value, about, .. } = finding {
                self.find(CheckFinding::Entry { fault, table, offset, value, about, fixed: true });
            }
        }
    }

    /// Whether an entry may be written: what seems to be a table must not be the header or a table
    /// of another kind. That it is no refcount block is known only where no refcount was too small to
    /// count its references.
    fn may_patch(&self, place: Place) -> bool {
        let inside = |start: u64, len: u64| place.offset.wrapping_sub(start) < len;
        let header = &self.header;
        let on_l1 = place.table != Table::L1 && inside(header.l1_offset, header.l1_bytes());
        !(self.shown.overflow
            || on_l1
            || inside(0, self.geometry().cluster_size())
            || inside(header.refcount_table_offset, header.refcount_table_bytes()))
    }

    /// Writes entries that are to be replaced, as soon as that can be done with few writes.
    ///
    /// # Errors
    /// The device's.
    pub fn settle<D: Disk>(&mut self, disk: &mut D) -> Result<(), IoError> {
        self.patches.settle(disk)
    }
}

impl Stage {
    /// A check that repairs nothing, in one walk.
    pub const CHECK: Self = Self { judges: true, compares: true, flags: Flags::Told, ..Self::COUNT };

    /// A walk that counts references and says nothing.
    pub const COUNT: Self = Self {
        counts: true,
        compares: false,
        judges: false,
        flags: Flags::Ignored,
        fixes: Repair::Nothing,
        clears: false,
    };

    /// A walk that replaces entries.
    pub const CLEAR: Self = Self { counts: false, clears: true, ..Self::COUNT };

    /// A walk that compares refcounts and sets them right, and judges entries if that was not done before.
    pub const fn refcounts(judges: bool, fixes: Repair) -> Self {
        Self { judges, compares: true, fixes, ..Self::COUNT }
    }

    /// A walk that looks at flags only.
    pub const fn flags(flags: Flags) -> Self {
        Self { counts: false, flags, ..Self::COUNT }
    }
}

impl Place {
    /// What there is to say about it.
    pub const fn finding(self, fault: Fault, about: [u64; 2]) -> CheckFinding {
        let Self { table, offset, value } = self;
        CheckFinding::Entry { fault, table, offset, value, about, fixed: false }
    }
}

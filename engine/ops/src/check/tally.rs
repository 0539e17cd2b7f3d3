//! What a check has found so far.

use super::window::{UNREADABLE, Window};
use crate::{CheckFinding, CheckReport, Format, Table};
use instar_formats::qcow2::{Geometry, Header, Incompatible, entry};

/// Most findings that are told one by one; all are counted.
const MAX_FINDINGS: u64 = 100_000;

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
    findings: &'s mut dyn FnMut(CheckFinding),
    told: u64,
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
        let report = CheckReport {
            format: Format::Qcow2,
            check_errors: 0,
            corruptions: 0,
            leaks: 0,
            image_end_offset: 0,
            total_clusters: header.geometry.clusters(header.virtual_size()),
            allocated_clusters: 0,
            fragmented_clusters: 0,
            compressed_clusters: 0,
        };
        Self { window, report, header, file_len, first_pass: true, findings, told: 0 }
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

    /// Counts a finding, and tells it unless too many were told.
    pub fn find(&mut self, finding: CheckFinding) {
        let count = match finding {
            CheckFinding::Leak { .. } => &mut self.report.leaks,
            _ => &mut self.report.corruptions,
        };
        *count = count.saturating_add(1);
        if self.told < MAX_FINDINGS {
            self.told = self.told.saturating_add(1);
            (self.findings)(finding);
        }
    }

    /// An entry cannot be right. Every pass sees it, the first one says so.
    pub fn invalid(&mut self, place: Place) {
        if self.first_pass {
            self.find(place.finding());
        }
    }

    /// A part of the check could not run.
    pub fn incomplete(&mut self, parts: u64) {
        self.report.check_errors = self.report.check_errors.saturating_add(parts);
    }

    /// Counts a reference to each cluster that `len` bytes from `offset` touch. They may end in the
    /// cluster that the end of the file is in, or would be in if it were a byte longer.
    pub fn refer(&mut self, offset: u64, len: u64, place: Place) {
        let Some(last) = len.checked_sub(1) else {
            return;
        };
        let past = offset.saturating_add(len).saturating_sub(self.file_len);
        if past >= self.geometry().cluster_size() {
            return self.invalid(place);
        }
        let (from, to) =
            (self.geometry().cluster(offset), self.geometry().cluster(offset.saturating_add(last)));
        let window = self.window.range();
        if to >= window.end {
            self.window.mention(from.max(window.end));
        }
        for cluster in from.max(window.start)..=to.min(window.end.saturating_sub(1)) {
            if !self.window.count(cluster) {
                self.find(place.finding());
            }
        }
    }

    /// Whether further findings would only be counted.
    pub const fn tells_no_more(&self) -> bool {
        self.told >= MAX_FINDINGS
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
        if (place.value & entry::COPIED != 0) != (refcount == 1) {
            self.find(CheckFinding::Copied { table: place.table, value: place.value, refcount });
        }
    }
}

impl Place {
    const fn finding(self) -> CheckFinding {
        CheckFinding::Entry { table: self.table, offset: self.offset, value: self.value }
    }
}

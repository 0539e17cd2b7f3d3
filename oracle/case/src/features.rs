//! What a case exercises, by name: the measure of the generator's reach, and columns of a report.

mod unresized;

use std::collections::BTreeSet;

use crate::{
    BackingFormat, Case, Encryption, Fixture, FormatOptions, Maker, Outcome, Preallocation, Qcow2, Refusal,
    Space, Tweak, Write, WriteKind, expected_content, expected_steps, size,
};

/// Every feature that the generator must reach, in the order in which seeds aim at them: what leads to code of its own first.
pub const ALL: &[&str] = &[
    "grow-refcounts",
    "grow-refcount-table",
    "grow-l1",
    "refcount-hole",
    "spare-l1",
    "trailing-bytes",
    "short-tail",
    "snapshot",
    "shrink-with-snapshot",
    "preallocated-with-snapshot",
    "snapshot-before-writes",
    "bitmap",
    "shrink-with-bitmap",
    "bitmaps",
    "bitmap-dirty",
    "refused-bitmap-in-use",
    "grow-over-longer-backing",
    "backing-raw",
    "backing-qcow2",
    "backing-chain",
    "backing-unaligned",
    "backing-shorter",
    "preallocated-over-backing",
    "refused-zero-clusters",
    "qcow2-metadata",
    "qcow2-falloc",
    "qcow2-full",
    "falloc",
    "full",
    "dirty",
    "data-file",
    "data-file-raw",
    "shrink-with-data-file",
    "preallocated-in-data-file",
    "encrypted-aes",
    "encrypted-luks",
    "encrypted-overlay",
    "encrypted-with-data-file",
    "shrink-into-compressed",
    "luks",
    "extended-l2",
    "compressed",
    "zstd",
    "zero",
    "unmap",
    "discard",
    "shrink",
    "stale-tail",
    "grow-shrink-grow",
    "no-op",
    "write-across-l2",
    "refused-too-large",
    "refused-unaligned",
    "refused-corrupt",
    "refused-snapshots-of-version-2",
    "refused-preallocation-without-growth",
    "refused-shrink-without-flag",
    "leak",
    "autoclear-bit",
    "compatible-bit",
    "header-extension",
    "v2",
    "lazy-refcounts",
    "raw",
    "qed",
    "qcow2",
    "v3",
    "cluster-512",
    "cluster-1K",
    "cluster-2K",
    "cluster-4K",
    "cluster-8K",
    "cluster-16K",
    "cluster-32K",
    "cluster-64K",
    "cluster-128K",
    "cluster-256K",
    "cluster-512K",
    "cluster-1M",
    "cluster-2M",
    "refcount-1",
    "refcount-2",
    "refcount-4",
    "refcount-8",
    "refcount-16",
    "refcount-32",
    "refcount-64",
    "preallocated",
    "empty",
    "populated",
    "data",
    "write-to-the-end",
    "odd-length",
    "tib",
    "pib",
    "own-layout",
    "qemu-layout",
    "grow",
    "grow-header-only",
    "relative",
    "fraction",
    "chain",
    "probed",
    "refused-syntax",
    "refused-not-positive",
    "refused-preallocation-mode",
    "refused-to-shrink",
    "written-after",
    "made-by-oldest",
    "preallocated-falloc",
    "preallocated-full",
    "backing-absolute",
    "snapshots",
    "bitmap-disabled",
];

/// The features at which seeds of a format aim: those of its own if `qemu-img` does not resize it, else [`ALL`].
pub fn of_format(format: &str) -> &'static [&'static str] {
    match format {
        "vpc" => unresized::VPC,
        "vhdx" => unresized::VHDX,
        "vmdk" => unresized::VMDK,
        _ => ALL,
    }
}

impl Case {
    /// The features of this case.
    pub fn features(&self) -> BTreeSet<&'static str> {
        let mut found = BTreeSet::new();
        let mut add = |name: &'static str, on: bool| {
            if on {
                found.insert(name);
            }
        };
        add(self.fixture.format.name(), true);
        if let FormatOptions::Qcow2(options) = &self.fixture.format {
            of_options(options, &mut add);
        }
        self.of_fixture(&mut add);
        self.fixture.of_parts(&mut add);
        self.of_resizes(&mut add);
        if self.fixture.format.is_unresized() {
            unresized::note(self, &mut add);
        }
        found
    }

    fn of_fixture(&self, add: &mut impl FnMut(&'static str, bool)) {
        let fixture = &self.fixture;
        let populated = !expected_content(fixture).extents().is_empty();
        add("populated", populated);
        add("empty", fixture.writes.is_empty());
        add("odd-length", !fixture.size.is_multiple_of(512));
        add("tib", fixture.size >= 1 << 40);
        add("pib", fixture.size >= 1 << 50);
        add("own-layout", fixture.maker == Maker::Own);
        add("qemu-layout", fixture.maker == Maker::Qemu);
        add("written-after", !self.after.is_empty());
        let coverage = fixture.format.qcow2().map_or(u64::MAX, Qcow2::l2_coverage);
        for write in &fixture.writes {
            let end = write.offset + write.len;
            add(write_name(write.kind), true);
            add("write-to-the-end", end == fixture.size);
            add("write-across-l2", write.offset / coverage != (end - 1) / coverage);
        }
        for tweak in &fixture.tweaks {
            add(tweak_name(tweak), true);
        }
    }

    fn of_resizes(&self, add: &mut impl FnMut(&'static str, bool)) {
        let mut current = expected_content(&self.fixture).size();
        let mut way = String::new();
        let steps = expected_steps(self);
        for (resize, step) in self.resizes.iter().zip(&steps) {
            let new = step.content.size();
            match step.outcome {
                Outcome::Refused(refusal) => add(refusal_name(refusal), true),
                Outcome::Resized => {
                    way.push(match new.cmp(&current) {
                        std::cmp::Ordering::Less => '-',
                        std::cmp::Ordering::Equal => '=',
                        std::cmp::Ordering::Greater => '+',
                    });
                    let grows = new > current;
                    self.fixture.of_resize(current, new, resize.preallocation, &mut *add);
                    add("falloc", grows && resize.preallocation == Preallocation::Falloc);
                    add("full", grows && resize.preallocation == Preallocation::Full);
                    add("probed", !resize.name_format);
                    add("fraction", resize.size.contains('.'));
                    add("relative", !matches!(size::parse(&resize.size), Some(size::Asked::Absolute(_))));
                    self.of_growth(current, new, add);
                }
            }
            add("stale-tail", !step.stale.is_empty());
            current = new;
        }
        add("grow", way.contains('+'));
        add("shrink", way.contains('-'));
        add("no-op", way.contains('='));
        add("chain", way.len() > 1);
        add("grow-shrink-grow", way.contains("+-+"));
    }

    fn of_growth(&self, current: u64, new: u64, add: &mut impl FnMut(&'static str, bool)) {
        let Some(options) = self.fixture.format.qcow2() else {
            return;
        };
        let (old, needed) = (options.l1_entries(current).max(1), options.l1_entries(new));
        add("grow-header-only", new > current && needed <= old);
        add("grow-l1", needed > old);
        // A table that spans more clusters than one refcount block counts needs a block of its own.
        let table = needed * 8 / options.cluster_size();
        add("grow-refcounts", needed > old && table > options.refcount_coverage());
        // Nor does a refcount table of one cluster have entries for all of them, then.
        let counted = options.refcount_coverage() * options.cluster_size() / 8;
        add("grow-refcount-table", needed > old && table > counted);
    }
}

impl Fixture {
    fn of_parts(&self, add: &mut impl FnMut(&'static str, bool)) {
        add("made-by-oldest", !self.made_by.is_newest());
        if let Some(backing) = &self.backing {
            add("backing-raw", backing.format == BackingFormat::Raw);
            add("backing-qcow2", backing.format == BackingFormat::Qcow2);
            add("backing-chain", backing.backing.is_some());
            add("backing-absolute", backing.absolute);
            add("backing-unaligned", !backing.size.is_multiple_of(1 << 16));
            add("backing-shorter", backing.size < self.size);
        }
        add("snapshot", !self.snapshots.is_empty());
        add("snapshots", self.snapshots.len() > 1);
        let early = |after: usize| after < self.writes.len();
        add("snapshot-before-writes", self.snapshots.iter().any(|snapshot| early(snapshot.after)));
        add("bitmap", !self.bitmaps.is_empty());
        add("bitmaps", self.bitmaps.len() > 1);
        add("bitmap-disabled", self.bitmaps.iter().any(|bitmap| bitmap.disabled));
        add("bitmap-dirty", self.bitmaps.iter().any(|bitmap| early(bitmap.after)));
        add("data-file", self.data_file.is_some());
        add("data-file-raw", self.data_file.is_some_and(|file| file.raw));
        let encrypted = self.format.is_encrypted();
        add("encrypted-overlay", encrypted && self.backing.is_some());
        add("encrypted-with-data-file", encrypted && self.data_file.is_some());
    }

    /// Whether a resize from `old` to `new` bytes ends inside a cluster that was compressed.
    fn ends_in_compressed(&self, old: u64, new: u64) -> bool {
        let cluster = self.format.unit();
        let (start, end) = (new / cluster * cluster, new.next_multiple_of(cluster));
        let there = |write: &Write| write.offset < end && write.offset + write.len > start;
        let packed = |write: &Write| write.kind == WriteKind::Compressed && there(write);
        new < old && start < new && self.writes.iter().any(packed)
    }

    /// An accepted resize of the image.
    fn of_resize(
        &self,
        old: u64,
        new: u64,
        preallocation: Preallocation,
        add: &mut impl FnMut(&'static str, bool),
    ) {
        let longer = self.backing.as_ref().is_some_and(|backing| backing.virtual_size() > old);
        add("grow-over-longer-backing", new > old && longer);
        add("shrink-into-compressed", self.ends_in_compressed(old, new));
        add("shrink-with-snapshot", new < old && !self.snapshots.is_empty());
        add("shrink-with-bitmap", new < old && !self.bitmaps.is_empty());
        add("shrink-with-data-file", new < old && self.data_file.is_some());
        let allocates = new > old && preallocation != Preallocation::Off && self.format.qcow2().is_some();
        add("qcow2-metadata", allocates && preallocation == Preallocation::Metadata);
        add("qcow2-falloc", allocates && preallocation == Preallocation::Falloc);
        add("qcow2-full", allocates && preallocation == Preallocation::Full);
        add("preallocated-with-snapshot", allocates && !self.snapshots.is_empty());
        add("preallocated-over-backing", allocates && self.backing.is_some());
        add("preallocated-in-data-file", allocates && self.data_file.is_some());
    }
}

fn of_options(options: &Qcow2, add: &mut impl FnMut(&'static str, bool)) {
    let clusters = ALL.iter().filter(|name| name.starts_with("cluster-"));
    let digits = |name: &&&str| name.strip_prefix("refcount-").is_some_and(|bits| bits.parse::<u8>().is_ok());
    let refcounts = ALL.iter().filter(digits);
    for (name, bits) in clusters.zip(9u8..) {
        add(name, options.cluster_bits == bits);
    }
    for (name, power) in refcounts.zip(0u8..7) {
        add(name, options.refcount_bits == 1 << power);
    }
    add("v2", options.version == 2);
    add("v3", options.version == 3);
    add("encrypted-aes", options.encryption == Some(Encryption::Aes));
    add("encrypted-luks", options.encryption == Some(Encryption::Luks));
    add("lazy-refcounts", options.lazy_refcounts);
    add("extended-l2", options.extended_l2);
    add("zstd", options.zstd);
    add("preallocated", options.preallocated);
    add("preallocated-falloc", options.preallocated && options.space == Space::Falloc);
    add("preallocated-full", options.preallocated && options.space == Space::Full);
}

fn write_name(kind: WriteKind) -> &'static str {
    match kind {
        WriteKind::Data => "data",
        WriteKind::Zero => "zero",
        WriteKind::Unmap => "unmap",
        WriteKind::Compressed => "compressed",
        WriteKind::Discard => "discard",
    }
}

fn tweak_name(tweak: &Tweak) -> &'static str {
    match tweak {
        Tweak::TrailingBytes { .. } => "trailing-bytes",
        Tweak::ShortTail => "short-tail",
        Tweak::HeaderExtension { .. } => "header-extension",
        Tweak::CompatibleBit { .. } => "compatible-bit",
        Tweak::AutoclearBit { .. } => "autoclear-bit",
        Tweak::RefcountHole { .. } => "refcount-hole",
        Tweak::SpareL1 { .. } => "spare-l1",
        Tweak::Leak { .. } => "leak",
        Tweak::Dirty { .. } => "dirty",
        // These two are seen by what they have refused.
        Tweak::InUseBitmaps => "refused-bitmap-in-use",
        Tweak::Corrupt => "refused-corrupt",
    }
}

fn refusal_name(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Syntax => "refused-syntax",
        Refusal::Corrupt => "refused-corrupt",
        Refusal::SnapshotsOfVersion2 => "refused-snapshots-of-version-2",
        Refusal::BitmapInUse => "refused-bitmap-in-use",
        Refusal::ZeroClusters => "refused-zero-clusters",
        Refusal::NotPositive => "refused-not-positive",
        Refusal::PreallocationWithoutGrowth => "refused-preallocation-without-growth",
        Refusal::ShrinkWithoutFlag => "refused-shrink-without-flag",
        Refusal::Unaligned => "refused-unaligned",
        Refusal::TooLarge => "refused-too-large",
        Refusal::PreallocationMode => "refused-preallocation-mode",
        Refusal::NeverShrinks => "refused-to-shrink",
        Refusal::WrittenOnce => "refused-written-once",
    }
}

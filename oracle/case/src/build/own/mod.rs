//! qcow2 images of our own, written from the specification: layouts that qemu-img never makes.
//!
//! Tables anywhere, clusters in any order, free clusters full of garbage between them, refcount tables with holes, zero
//! clusters over stale data. The choices follow from the fixture alone.

mod clusters;
mod compress;
mod layout;

use std::path::Path;

use sha2::{Digest, Sha256};

use super::BuildError;
use super::file::ImageFile;
use super::header::{
    CLUSTER_BITS, COMPATIBLE, COMPRESSION_TYPE, HEADER_LENGTH, INCOMPATIBLE, L1_OFFSET, L1_SIZE, LENGTH_V2,
    MAGIC, REFCOUNT_ORDER, REFCOUNT_TABLE_CLUSTERS, REFCOUNT_TABLE_OFFSET, SIZE, VERSION,
};
use crate::seed::SplitMix64;
use crate::{Content, Fixture, Qcow2, Without, expected_content};
use clusters::{Cluster, Clusters, clusters};
use layout::{Layout, width};

/// L1 and L2: the cluster's refcount is exactly one. Bit 63.
const COPIED: u64 = 1 << 63;
/// L2: the cluster is compressed. Bit 62.
const COMPRESSED: u64 = 1 << 62;
/// L2, not extended: the cluster reads as zeros. Bit 0.
const ZERO: u64 = 1;
/// Incompatible feature: the header names a compression type. Bit 3.
const FEATURE_COMPRESSION: u64 = 1 << 3;
/// Incompatible feature: extended L2 entries. Bit 4.
const FEATURE_EXTENDED_L2: u64 = 1 << 4;
/// Compatible feature: lazy refcounts. Bit 0.
const FEATURE_LAZY: u64 = 1;
/// Subclusters of a cluster with extended L2 entries.
const SUBCLUSTERS: u64 = 32;
/// What fills bytes that nobody may see.
const GARBAGE: u8 = 0xd3;
/// Garbage bytes per cluster, so that files with large clusters stay sparse.
const GARBAGE_LEN: u64 = 512;

/// Makes the image.
pub fn make(fixture: &Fixture, options: &Qcow2, path: &Path) -> Result<(), BuildError> {
    if options.preallocated && options.extended_l2 {
        return Err(BuildError::Illegal("our own builder does not preallocate extended L2 images"));
    }
    let rng = &mut choices(fixture);
    let clusters = clusters(fixture, options);
    let layout = Layout::new(fixture, options, &clusters, rng);
    let image = Image {
        options,
        layout,
        clusters,
        content: expected_content(fixture),
        file: ImageFile::create(path)?,
    };
    let long_header = options.zstd || rng.below(2) == 0;
    image.write_header(fixture.size, long_header)?;
    image.write_refcounts()?;
    image.write_tables()?;
    image.write_garbage()?;
    image.write_data()
}

/// The choices of a fixture: always the same for the same one.
pub(super) fn choices(fixture: &Fixture) -> SplitMix64 {
    // What is left out leaves the rest as it would be.
    let fixture = Fixture { without: Without::new(), ..fixture.clone() };
    let text = serde_json::to_string(&fixture).unwrap_or_default();
    let digest = Sha256::digest(text);
    SplitMix64::new(digest.iter().take(8).fold(0, |seed, byte| (seed << 8) | u64::from(*byte)))
}

struct Image<'a> {
    options: &'a Qcow2,
    layout: Layout,
    clusters: Clusters,
    content: Content,
    file: ImageFile,
}

impl Image<'_> {
    fn write_header(&self, size: u64, long_header: bool) -> Result<(), BuildError> {
        let Self { options, layout, file, .. } = self;
        file.set_len(layout.end() * self.cluster())?;
        file.write(0, &MAGIC.to_be_bytes())?;
        self.put32(VERSION, options.version.into())?;
        self.put32(CLUSTER_BITS, options.cluster_bits.into())?;
        self.put64(SIZE, size)?;
        self.put32(L1_SIZE, layout.l1_entries)?;
        self.put64(L1_OFFSET, layout.l1 * self.cluster())?;
        self.put64(REFCOUNT_TABLE_OFFSET, layout.table.0 * self.cluster())?;
        self.put32(REFCOUNT_TABLE_CLUSTERS, layout.table.1)?;
        if options.version > 2 { self.write_version_3(long_header) } else { Ok(()) }
    }

    fn write_version_3(&self, long_header: bool) -> Result<(), BuildError> {
        let options = self.options;
        let incompatible =
            flag(options.zstd, FEATURE_COMPRESSION) | flag(options.extended_l2, FEATURE_EXTENDED_L2);
        self.put64(INCOMPATIBLE, incompatible)?;
        self.put64(COMPATIBLE, flag(options.lazy_refcounts, FEATURE_LAZY))?;
        self.put32(REFCOUNT_ORDER, width(options).order().into())?;
        let length = LENGTH_V2 + if long_header { 40 } else { 32 };
        self.put32(HEADER_LENGTH, length.into())?;
        self.file.write(COMPRESSION_TYPE, &[u8::from(options.zstd)])
    }

    fn write_refcounts(&self) -> Result<(), BuildError> {
        let (width, coverage) = (width(self.options), self.options.refcount_coverage());
        let table = self.layout.table.0 * self.cluster();
        for (&place, &host) in &self.layout.blocks {
            self.put64(table + 8 * place, host * self.cluster())?;
            let mut block = vec![0; usize::try_from(self.cluster()).unwrap_or(0)];
            for (&cluster, &count) in self.layout.counts.range(place * coverage..(place + 1) * coverage) {
                width.set(&mut block, cluster % coverage, count);
            }
            self.file.write(host * self.cluster(), &block)?;
        }
        Ok(())
    }

    fn write_tables(&self) -> Result<(), BuildError> {
        for (&index, &host) in &self.layout.l2 {
            self.put64(self.layout.l1 * self.cluster() + 8 * index, (host * self.cluster()) | COPIED)?;
        }
        for (&guest, stored) in &self.clusters {
            let host = self.layout.data.get(&guest).map_or(0, |host| (host * self.cluster()) | COPIED);
            match stored {
                Cluster::Data => self.put_entry(guest, host, self.subclusters(guest))?,
                Cluster::ZeroPlain | Cluster::ZeroAllocated => self.put_zero_entry(guest, host)?,
                Cluster::Compressed(_) => {}
            }
        }
        self.layout.blobs.iter().try_for_each(|blob| {
            // The offset takes the low bits, then come the sectors beyond the first.
            let shift = 62 - (u32::from(self.options.cluster_bits) - 8);
            let last = (blob.offset + blob.bytes.len() as u64 - 1) / 512;
            let sectors = last - blob.offset / 512;
            self.put_entry(blob.guest, COMPRESSED | sectors << shift | blob.offset, 0)
        })
    }

    fn put_zero_entry(&self, guest: u64, host: u64) -> Result<(), BuildError> {
        match self.options.extended_l2 {
            true => self.put_entry(guest, host, u64::from(u32::MAX) << SUBCLUSTERS),
            false => self.put_entry(guest, host | ZERO, 0),
        }
    }

    fn put_entry(&self, guest: u64, entry: u64, bitmap: u64) -> Result<(), BuildError> {
        let (index, place) = (guest / self.options.l2_entries(), guest % self.options.l2_entries());
        let Some(table) = self.layout.l2.get(&index) else { return Ok(()) };
        let at = table * self.cluster();
        if !self.options.extended_l2 {
            return self.put64(at + 8 * place, entry);
        }
        self.put64(at + 16 * place, entry)?;
        self.put64(at + 16 * place + 8, bitmap)
    }

    /// The bitmap of a data cluster: subclusters with data are allocated (low half), the rest alternates between
    /// reading as zeros (high half) and not being there at all.
    fn subclusters(&self, guest: u64) -> u64 {
        let len = self.cluster() / SUBCLUSTERS;
        (0..SUBCLUSTERS).fold(0, |bitmap, place| {
            let data = self.content.has_data(guest * self.cluster() + place * len, len);
            bitmap | flag(data, 1 << place) | flag(!data && place % 2 == 0, 1 << (place + SUBCLUSTERS))
        })
    }

    /// Garbage in free clusters and under zero flags, where no reader may look.
    fn write_garbage(&self) -> Result<(), BuildError> {
        let end = self.layout.end();
        let free = self.layout.gaps.iter().filter(|host| **host < end);
        let hidden = self.clusters.iter().filter(|(_, stored)| **stored == Cluster::ZeroAllocated);
        let hidden = hidden.filter_map(|(guest, _)| self.layout.data.get(guest));
        free.chain(hidden).try_for_each(|host| {
            self.file.fill(host * self.cluster(), GARBAGE_LEN.min(self.cluster()), GARBAGE)
        })
    }

    fn write_data(&self) -> Result<(), BuildError> {
        let cluster = self.cluster();
        for extent in self.content.extents() {
            let end = extent.offset + extent.len;
            for guest in extent.offset / cluster..end.div_ceil(cluster) {
                let Some(host) = self.layout.data.get(&guest) else { continue };
                let from = extent.offset.max(guest * cluster);
                let to = end.min((guest + 1) * cluster);
                self.file.fill(host * cluster + from % cluster, to - from, extent.byte)?;
            }
        }
        self.layout.blobs.iter().try_for_each(|blob| self.file.write(blob.offset, &blob.bytes))
    }

    fn cluster(&self) -> u64 {
        self.options.cluster_size()
    }

    fn put32(&self, offset: u64, value: u64) -> Result<(), BuildError> {
        let value = u32::try_from(value).map_err(|_| BuildError::Illegal("a header field overflows"))?;
        self.file.write(offset, &value.to_be_bytes())
    }

    fn put64(&self, offset: u64, value: u64) -> Result<(), BuildError> {
        self.file.write(offset, &value.to_be_bytes())
    }
}

/// `bit` if `on`.
fn flag(on: bool, bit: u64) -> u64 {
    if on { bit } else { 0 }
}

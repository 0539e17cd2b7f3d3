//! Creating: an image of no size whose header, refcount table and one refcount block fill the first
//! three clusters, then grown to the size asked.

use super::{fill::Goal, plan, refcounts::Run};
use crate::longer::Longer;
use crate::{Patch, PlanError, Preallocation, Surroundings, Target};
use instar_formats::ImageError;
use instar_formats::bytes::{index, put, put_be32, put_be64};
use instar_formats::qcow2::extension::{BACKING_FORMAT, DATA_FILE, FEATURE_NAMES};
use instar_formats::qcow2::header::{
    AUTOCLEAR_RAW, COMPATIBLE_LAZY, Incompatible, LEN_V2, MAGIC, PARSE_LEN, at,
};
use instar_formats::qcow2::{Geometry, Header, refcount};

/// Length of the version 3 header that is written: up to and with the compression type, padded.
const HEADER_LEN: u32 = 112;
/// Type and length of an extension; the extension that ends them is nothing else.
const EXTENSION_HEAD: usize = 8;
/// Data of extensions is padded to a multiple of this many bytes.
const EXTENSION_ALIGN: usize = 8;
/// Bytes of one entry of the feature name table: type, bit number, name.
const FEATURE_ENTRY: usize = 48;
/// The smallest cluster, in bits, that the feature name table is written to; smaller ones have no
/// room to spare.
const FEATURE_NAMES_MIN_BITS: u32 = 13;
/// Kind of feature (0 incompatible, 1 compatible, 2 autoclear), bit and name.
const FEATURES: [(u8, u8, &[u8]); 8] = [
    (0, 0, b"dirty bit"),
    (0, 1, b"corrupt bit"),
    (0, 2, b"external data file"),
    (0, 3, b"compression type"),
    (0, 4, b"extended L2 entries"),
    (1, 0, b"lazy refcounts"),
    (2, 0, b"bitmaps"),
    (2, 1, b"raw external data"),
];
/// Header, refcount table and refcount block: one cluster each, in this order.
const FIXED: Run = Run { first: 0, count: 3 };
/// The cluster of the refcount table.
const TABLE: u64 = 1;
/// The cluster of the refcount block.
const BLOCK: u64 = 2;

/// The other files that an image names. A name of no bytes is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Links<'a> {
    /// Backing file name.
    pub backing_file: &'a [u8],
    /// Backing format name.
    pub backing_format: &'a [u8],
    /// External data file name, version 3 only.
    pub data_file: &'a [u8],
    /// Whether the data file is to be a raw image of its own.
    pub data_file_raw: bool,
}

/// What kind of image to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options<'a> {
    /// 2 or 3.
    pub version: u32,
    /// Cluster size, refcount width, L2 entry size.
    pub geometry: Geometry,
    /// Lazy refcounts, version 3 only.
    pub lazy_refcounts: bool,
    /// zstd for compressed clusters, version 3 only.
    pub zstd: bool,
    /// What to allocate for the disk.
    pub preallocation: Preallocation,
    /// The files that it names.
    pub links: Links<'a>,
}

/// Lays out an image of `size` bytes (whole sectors) on an empty target and returns the length in
/// bytes that its file must be given.
///
/// # Errors
/// [`PlanError`]: the size is beyond the format, or the device failed.
///
/// The names must fit ([`names_fit`]). Nothing is written to the data file: the clusters of one that is
/// empty hold zeros, and giving it its length and space is left to whoever holds it.
pub fn run<T: Target>(
    image: &mut T,
    options: &Options<'_>,
    size: u64,
    scratch: &mut [u8],
) -> Result<u64, PlanError> {
    let g = options.geometry;
    let minimal = g.offset(FIXED.end());
    let head = write_minimal(image, options, scratch)?;
    let header = Header::parse(&head, minimal)?;
    if size == 0 {
        return Ok(minimal);
    }
    let mut image = Longer { image, len: minimal };
    let mut alone = Surroundings::default();
    let goal = Goal::new(&header, size, options.preallocation, &alone);
    let plan = plan(&mut image, &header, &goal, &mut alone, scratch)?;
    plan.run(&mut image, &mut alone, scratch)
}

/// Whether a disk of `size` bytes needs no more L1 than there can be.
///
/// # Errors
/// [`ImageError::TooBig`].
pub fn check_size(geometry: Geometry, size: u64) -> Result<(), ImageError> {
    let fits = geometry.l1_entries(size) <= instar_formats::qcow2::geometry::MAX_L1_ENTRIES;
    if fits { Ok(()) } else { Err(ImageError::TooBig) }
}

/// Whether the header with all names fits in the first cluster.
#[must_use]
pub fn names_fit(options: &Options<'_>) -> bool {
    let g = options.geometry;
    let padded = |name: &[u8]| match name.len() {
        0 => 0,
        len => EXTENSION_HEAD.saturating_add(len.next_multiple_of(EXTENSION_ALIGN)),
    };
    let links = &options.links;
    let names = padded(links.backing_format).saturating_add(padded(links.data_file));
    let features = if has_feature_names(options) {
        EXTENSION_HEAD.saturating_add(FEATURES.len().saturating_mul(FEATURE_ENTRY))
    } else {
        0
    };
    let len = extensions_at(options).saturating_add(names).saturating_add(features);
    let len = len.saturating_add(EXTENSION_HEAD).saturating_add(links.backing_file.len());
    len as u64 <= g.cluster_size()
}

/// Where the extensions begin.
fn extensions_at(options: &Options<'_>) -> usize {
    index(if options.version < 3 { LEN_V2 } else { u64::from(HEADER_LEN) })
}

const fn has_feature_names(options: &Options<'_>) -> bool {
    options.version >= 3 && options.geometry.cluster_bits() >= FEATURE_NAMES_MIN_BITS
}

/// Writes the image of no size and returns the first bytes of its header.
fn write_minimal<T: Target>(
    image: &mut T,
    options: &Options<'_>,
    scratch: &mut [u8],
) -> Result<[u8; PARSE_LEN], PlanError> {
    let g = options.geometry;
    let cluster = scratch.get_mut(..index(g.cluster_size())).unwrap_or_default();
    cluster.fill(0);
    header(cluster, options);
    image.apply(Patch::Write { offset: 0, data: cluster })?;
    let head = cluster.first_chunk().copied().unwrap_or([0; PARSE_LEN]);
    cluster.fill(0);
    put_be64(cluster, 0, g.offset(BLOCK));
    image.apply(Patch::Write { offset: g.offset(TABLE), data: cluster })?;
    cluster.fill(0);
    for i in FIXED.first..FIXED.end() {
        refcount::set(cluster, g.refcount_order(), i, 1);
    }
    image.apply(Patch::Write { offset: g.offset(BLOCK), data: cluster })?;
    image.apply(Patch::Barrier)?;
    Ok(head)
}

fn header(buf: &mut [u8], options: &Options<'_>) {
    let (g, links) = (options.geometry, &options.links);
    put_be32(buf, 0, MAGIC);
    put_be32(buf, 4, options.version);
    put_be32(buf, 20, g.cluster_bits());
    put_be64(buf, at::REFCOUNT_TABLE_OFFSET, g.offset(TABLE));
    put_be32(buf, at::REFCOUNT_TABLE_CLUSTERS, 1);
    if options.version >= 3 {
        version_3(buf, options);
    }
    let end = extensions(buf, options);
    if let Ok(len @ 1..) = u32::try_from(links.backing_file.len()) {
        put_be64(buf, 8, end as u64);
        put_be32(buf, 16, len);
        put(buf, end, links.backing_file);
    }
}

/// The fields that version 2 does not have.
fn version_3(buf: &mut [u8], options: &Options<'_>) {
    let (g, links) = (options.geometry, &options.links);
    let bit = |set: bool, bit: u64| if set { bit } else { 0 };
    let extended = bit(g.extended_l2(), Incompatible::EXTENDED_L2);
    let data_file = bit(!links.data_file.is_empty(), Incompatible::DATA_FILE);
    put_be64(buf, 72, bit(options.zstd, Incompatible::COMPRESSION) | extended | data_file);
    put_be64(buf, 80, bit(options.lazy_refcounts, COMPATIBLE_LAZY));
    put_be64(buf, at::AUTOCLEAR, bit(links.data_file_raw, AUTOCLEAR_RAW));
    put_be32(buf, 96, g.refcount_order());
    put_be32(buf, 100, HEADER_LEN);
    put(buf, 104, &[u8::from(options.zstd)]);
}

/// Writes the extensions and returns where they end, with the one that says so.
fn extensions(buf: &mut [u8], options: &Options<'_>) -> usize {
    let links = &options.links;
    let mut end = extensions_at(options);
    for (kind, name) in [(BACKING_FORMAT, links.backing_format), (DATA_FILE, links.data_file)] {
        if let Ok(len @ 1..) = u32::try_from(name.len()) {
            put_be32(buf, end, kind);
            put_be32(buf, end.saturating_add(4), len);
            put(buf, end.saturating_add(EXTENSION_HEAD), name);
            let len = name.len().next_multiple_of(EXTENSION_ALIGN);
            end = end.saturating_add(EXTENSION_HEAD).saturating_add(len);
        }
    }
    if has_feature_names(options) {
        end = end.saturating_add(feature_names(buf.get_mut(end..).unwrap_or_default()));
    }
    end.saturating_add(EXTENSION_HEAD)
}

/// Writes the feature name table and returns how long it is.
fn feature_names(buf: &mut [u8]) -> usize {
    let len = FEATURES.len().saturating_mul(FEATURE_ENTRY);
    put_be32(buf, 0, FEATURE_NAMES);
    put_be32(buf, 4, u32::try_from(len).unwrap_or(0));
    let entries = buf.get_mut(EXTENSION_HEAD..).unwrap_or_default();
    for (entry, (kind, bit, name)) in entries.chunks_mut(FEATURE_ENTRY).zip(FEATURES) {
        put(entry, 0, &[kind, bit]);
        put(entry, 2, name);
    }
    len.saturating_add(EXTENSION_HEAD)
}

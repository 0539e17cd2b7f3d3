//! Creating: an image of no size whose header, refcount table and one refcount block fill the first
//! three clusters, then grown to the size asked.

use super::longer::Longer;
use super::{fill::Goal, plan, refcounts::Run};
use crate::{Patch, PlanError, Preallocation, Surroundings, Target};
use instar_formats::ImageError;
use instar_formats::bytes::{index, put, put_be32, put_be64};
use instar_formats::qcow2::extension::FEATURE_NAMES;
use instar_formats::qcow2::header::{COMPATIBLE_LAZY, Incompatible, MAGIC, PARSE_LEN, at};
use instar_formats::qcow2::{Geometry, Header, refcount};

/// Length of the version 3 header that is written: up to and with the compression type, padded.
const HEADER_LEN: u32 = 112;
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

/// What kind of image to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
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
}

/// Lays out an image of `size` bytes (whole sectors) on an empty target and returns the length in
/// bytes that its file must be given.
///
/// # Errors
/// [`PlanError`]: the size is beyond the format, or the device failed.
pub fn run<T: Target>(
    image: &mut T,
    options: &Options,
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
    let goal = Goal::new(&header, size, options.preallocation, &Surroundings::default());
    let plan = plan(&mut image, &header, &goal, scratch)?;
    plan.run(&mut image, &mut Surroundings::default(), scratch)
}

/// Whether a disk of `size` bytes needs no more L1 than there can be.
///
/// # Errors
/// [`ImageError::TooBig`].
pub fn check_size(geometry: Geometry, size: u64) -> Result<(), ImageError> {
    let fits = geometry.l1_entries(size) <= instar_formats::qcow2::geometry::MAX_L1_ENTRIES;
    if fits { Ok(()) } else { Err(ImageError::TooBig) }
}

/// Writes the image of no size and returns the first bytes of its header.
fn write_minimal<T: Target>(
    image: &mut T,
    options: &Options,
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

fn header(buf: &mut [u8], options: &Options) {
    let g = options.geometry;
    put_be32(buf, 0, MAGIC);
    put_be32(buf, 4, options.version);
    put_be32(buf, 20, g.cluster_bits());
    put_be64(buf, at::REFCOUNT_TABLE_OFFSET, g.offset(TABLE));
    put_be32(buf, at::REFCOUNT_TABLE_CLUSTERS, 1);
    if options.version < 3 {
        return;
    }
    let bit = |set: bool, bit: u64| if set { bit } else { 0 };
    let extended = bit(g.extended_l2(), Incompatible::EXTENDED_L2);
    put_be64(buf, 72, bit(options.zstd, Incompatible::COMPRESSION) | extended);
    put_be64(buf, 80, bit(options.lazy_refcounts, COMPATIBLE_LAZY));
    put_be32(buf, 96, g.refcount_order());
    put_be32(buf, 100, HEADER_LEN);
    put(buf, 104, &[u8::from(options.zstd)]);
    if g.cluster_bits() >= FEATURE_NAMES_MIN_BITS {
        feature_names(buf.get_mut(index(u64::from(HEADER_LEN))..).unwrap_or_default());
    }
}

fn feature_names(buf: &mut [u8]) {
    let len = FEATURES.len().saturating_mul(FEATURE_ENTRY);
    put_be32(buf, 0, FEATURE_NAMES);
    put_be32(buf, 4, u32::try_from(len).unwrap_or(0));
    let entries = buf.get_mut(8..).unwrap_or_default();
    for (entry, (kind, bit, name)) in entries.chunks_mut(FEATURE_ENTRY).zip(FEATURES) {
        put(entry, 0, &[kind, bit]);
        put(entry, 2, name);
    }
}

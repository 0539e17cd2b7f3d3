//! Compressed clusters: deflate without a header, or Zstandard ("Compressed Clusters Descriptor").

use super::layer::Clusters;
use super::zstd;
use crate::{LayerError, ReadAt, Refusal};
use instar_formats::bytes::index;
use instar_formats::io::IoError;
use instar_planner::{Compressed, Unpack};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// Bytes of the largest cluster.
const CLUSTER: usize = 2 << 20;
/// Most bytes that an entry can name for one: twice as many.
const PACKED: usize = 2 * CLUSTER;

/// A compressed cluster in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Which layer's.
    pub layer: usize,
    /// First byte.
    pub host: u64,
    /// Length in bytes, up to the end of a sector.
    pub len: u64,
    /// What it unpacks to.
    pub of: Clusters,
}

/// Unpacks clusters and keeps the last one.
pub struct Unpacker<'c> {
    cluster: &'c mut [u8],
    packed: &'c mut [u8],
    literals: &'c mut [u8],
    last: Option<Packed>,
}

impl<'c> Unpacker<'c> {
    /// What it needs, in bytes.
    pub const SCRATCH_LEN: usize = CLUSTER + PACKED + zstd::BLOCK_LEN;

    /// One that works in `scratch`.
    pub fn new(scratch: &'c mut [u8]) -> Self {
        let (cluster, rest) = scratch.split_at_mut_checked(CLUSTER).unwrap_or_default();
        let (packed, literals) = rest.split_at_mut_checked(PACKED).unwrap_or_default();
        Self { cluster, packed, literals, last: None }
    }

    /// The content of a cluster of a layer, which is `file`.
    ///
    /// # Errors
    /// It cannot be unpacked, or the device failed.
    pub fn get(&mut self, file: &mut dyn ReadAt, packed: Packed) -> Result<&[u8], LayerError> {
        let size = index(packed.of.size);
        if self.last != Some(packed) {
            self.last = None;
            let broken = Refusal::CompressedCluster { offset: packed.host };
            let from = self.packed.get_mut(..index(packed.len)).ok_or(broken)?;
            let to = self.cluster.get_mut(..size).ok_or(broken)?;
            file.read_at(packed.host, from)?;
            fill(from, packed.of.zstd, to, self.literals).ok_or(broken)?;
            self.last = Some(packed);
        }
        Ok(self.cluster.get(..size).unwrap_or_default())
    }
}

impl Unpack for Unpacker<'_> {
    fn unpack(
        &mut self,
        file: &mut dyn ReadAt,
        packed: &Compressed,
        cluster: &mut [u8],
    ) -> Result<bool, IoError> {
        let Some(from) = self.packed.get_mut(..index(packed.len)) else { return Ok(false) };
        file.read_at(packed.offset, from)?;
        Ok(fill(from, packed.zstd, cluster, self.literals).is_some())
    }
}

/// Fills `out` with what is packed.
fn fill(packed: &[u8], zstd: bool, out: &mut [u8], literals: &mut [u8]) -> Option<()> {
    if zstd { zstd::unpack(packed, out, literals) } else { inflate(packed, out) }
}

/// Fills `out`. What would come after it is nobody's concern: the packed bytes end with a sector.
fn inflate(packed: &[u8], out: &mut [u8]) -> Option<()> {
    let mut state = DecompressorOxide::new();
    let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, _, written) = decompress(&mut state, packed, out, 0, flags);
    let ended = matches!(status, TINFLStatus::Done | TINFLStatus::HasMoreOutput);
    (ended && written == out.len()).then_some(())
}

//! The disk behind an overlay: a chain of backing files, read as one.
//!
//! A byte comes from the first layer that has it. A layer that is shorter than the one above it reads
//! as zeros past its end, and whatever lies below it there stays hidden. Every layer may be hostile:
//! each entry that is followed is checked, one read looks at every layer once at most for each piece
//! of a cluster, memory is the caller's and constant, and an error says which layer it came from.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod layer;
mod mapping;
mod qed;
mod unpack;
mod vhd;
mod vhdx;
mod zstd;

use crate::{Layer, LayerError, MAX_LAYERS, OpError, Refusal};
use instar_formats::ImageError;
use instar_formats::bytes::index;
use instar_formats::io::{Direction, IoError};
use instar_planner::{Backing, PlanError, Unpack};
use layer::Reader;
use mapping::Source;
pub(crate) use unpack::Unpacker;

/// Bytes of scratch for pieces of L2 tables, shared by all layers.
const TABLES: usize = 1 << 20;
/// Most bytes of an L2 table that a layer keeps.
const MOST: usize = 64 << 10;

/// The layers, opened.
pub(crate) struct Chain<'c, 'a> {
    layers: &'c mut [Layer<'a>],
    readers: heapless::Vec<Reader<'c>, MAX_LAYERS>,
    unpacker: Unpacker<'c>,
    failure: Option<(u32, LayerError)>,
}

/// What a layer's number is in an error.
fn number(layer: usize) -> u32 {
    u32::try_from(layer).unwrap_or(u32::MAX)
}

impl<'c, 'a> Chain<'c, 'a> {
    /// What `scratch` must hold at least, in bytes.
    pub const SCRATCH_LEN: usize = TABLES + Unpacker::SCRATCH_LEN;

    /// Opens every layer. There must be one.
    ///
    /// # Errors
    /// [`OpError::Layer`]: one makes no sense, or its device failed.
    pub fn open(layers: &'c mut [Layer<'a>], scratch: &'c mut [u8]) -> Result<Self, OpError> {
        let too_long = Refusal::ChainTooLong { most: MAX_LAYERS as u64 };
        let (mut tables, rest) = scratch.split_at_mut_checked(TABLES).unwrap_or_default();
        let each = TABLES.checked_div(layers.len()).unwrap_or(MOST).min(MOST) & !511;
        let mut readers = heapless::Vec::new();
        for (at, layer) in layers.iter_mut().enumerate() {
            let (table, later) = tables.split_at_mut_checked(each).unwrap_or_default();
            tables = later;
            let failed = |error| OpError::Layer { layer: number(at), error };
            let reader = Reader::open(layer, table).map_err(failed)?;
            readers.push(reader).map_err(|_| too_long)?;
        }
        Ok(Self { layers, readers, unpacker: Unpacker::new(rest), failure: None })
    }

    /// Whether some of the disk cannot be read: a layer is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.readers.iter().any(Reader::is_encrypted)
    }

    /// What went wrong in which layer, if anything did; else `error`.
    pub fn blame(&self, error: PlanError) -> OpError {
        match self.failure {
            Some((layer, error)) => OpError::Layer { layer, error },
            None => error.into(),
        }
    }

    /// Reads a piece from the start of `buf`, and says how long it is: not 0 unless `buf` is empty.
    fn piece(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, (usize, LayerError)> {
        let mut len = buf.len() as u64;
        for (at, (layer, reader)) in self.layers.iter_mut().zip(&mut self.readers).enumerate() {
            let Some(there) = reader.size().checked_sub(offset).filter(|there| *there > 0) else {
                break;
            };
            let failed = |error| (at, error);
            let found = reader.find(layer, offset, len.min(there)).map_err(failed)?;
            len = found.len;
            let part = buf.get_mut(..index(len)).unwrap_or_default();
            match found.source {
                Source::Below => continue,
                Source::Zeros => part.fill(0),
                Source::At(host) => reader.read(layer, host, part).map_err(failed)?,
                Source::Packed { host, packed, skip } => {
                    let packed = unpack::Packed { layer: at, host, len: packed, of: reader.clusters() };
                    let cluster = self.unpacker.get(layer.file, packed).map_err(failed)?;
                    let from = cluster.get(index(skip)..).unwrap_or_default();
                    part.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
                }
            }
            return Ok(part.len());
        }
        let part = buf.get_mut(..index(len)).unwrap_or_default();
        part.fill(0);
        Ok(part.len())
    }
}

impl Backing for Chain<'_, '_> {
    fn virtual_size(&self) -> u64 {
        self.readers.first().map_or(0, Reader::size)
    }

    fn read(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), PlanError> {
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let done = match self.piece(at, rest) {
                Ok(done) => done.max(1),
                Err((layer, error)) => {
                    self.failure = self.failure.or(Some((number(layer), error)));
                    return Err(as_plan_error(error, at, rest.len()));
                }
            };
            at = at.saturating_add(done as u64);
            rest = rest.get_mut(done..).unwrap_or_default();
        }
        Ok(())
    }

    fn unpacker(&mut self) -> Option<&mut dyn Unpack> {
        Some(&mut self.unpacker)
    }
}

/// What a planner is told; [`Chain::blame`] knows better.
fn as_plan_error(error: LayerError, offset: u64, len: usize) -> PlanError {
    match error {
        LayerError::Image(e) => e.into(),
        LayerError::Io(e) => e.into(),
        LayerError::Refused(_) => {
            IoError { direction: Direction::Read, offset, len: len as u64, errno: 0 }.into()
        }
    }
}

/// Fills `buf` from `offset` of the disk that `layers` are, and says how large that disk is: what a resize does for its
/// planner, for whoever compares it with another reader. `scratch` as for an operation.
///
/// # Errors
/// [`OpError`]: the image or one of its layers makes no sense; [`OpError::Layer`] of one that cannot be read.
pub fn read_layers(
    layers: &mut [Layer<'_>],
    offset: u64,
    buf: &mut [u8],
    scratch: &mut [u8],
) -> Result<u64, OpError> {
    let mut chain = Chain::open(layers, scratch)?;
    chain.read(offset, buf).map_err(|error| chain.blame(error))?;
    Ok(chain.virtual_size())
}

/// What is said of an entry that cannot be right.
const fn bad_entry(entry: u64, offset: u64) -> LayerError {
    LayerError::Image(ImageError::L2Entry { entry, offset })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests;

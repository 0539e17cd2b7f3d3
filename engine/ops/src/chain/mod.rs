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
mod sealed;
mod unpack;
mod vhd;
mod vhdx;
mod zstd;

use crate::{Layer, LayerError, MAX_LAYERS, OpError, Refusal};
use core::ops::Range;
use instar_formats::ImageError;
use instar_formats::bytes::index;
use instar_formats::io::{Direction, IoError};
use instar_planner::{Backing, PlanError, Unpack};
use layer::Reader;
use mapping::{Found, Source};
pub(crate) use sealed::{NoKey, Unseal};
pub(crate) use unpack::Unpacker;

/// Bytes of scratch for pieces of L2 tables, shared by all layers.
const TABLES: usize = 1 << 20;
/// Most bytes of an L2 table that a layer keeps.
const MOST: usize = 64 << 10;

/// The layers, opened, with the key of the first one perhaps.
pub(crate) struct Chain<'c, 'a, K = NoKey> {
    layers: &'c mut [Layer<'a>],
    readers: heapless::Vec<Reader<'c, K>, MAX_LAYERS>,
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
        Self::open_with(layers, None, scratch)
    }
}

impl<'c, 'a, K: Unseal> Chain<'c, 'a, K> {
    /// As [`Chain::open`], with the key of the first layer, if that is encrypted and there is one.
    ///
    /// # Errors
    /// As [`Chain::open`].
    pub fn open_with(
        layers: &'c mut [Layer<'a>],
        key: Option<&'c K>,
        scratch: &'c mut [u8],
    ) -> Result<Self, OpError> {
        let too_long = Refusal::ChainTooLong { most: MAX_LAYERS as u64 };
        let (mut tables, rest) = scratch.split_at_mut_checked(TABLES).unwrap_or_default();
        let each = TABLES.checked_div(layers.len()).unwrap_or(MOST).min(MOST) & !511;
        let mut readers = heapless::Vec::new();
        for (at, layer) in layers.iter_mut().enumerate() {
            let (table, later) = tables.split_at_mut_checked(each).unwrap_or_default();
            tables = later;
            let failed = |error| OpError::Layer { layer: number(at), error };
            let reader = Reader::open(layer, key.filter(|_| at == 0), table).map_err(failed)?;
            readers.push(reader).map_err(|_| too_long)?;
        }
        Ok(Self { layers, readers, unpacker: Unpacker::new(rest), failure: None })
    }

    /// What went wrong in which layer, if anything did; else `error`.
    pub fn blame(&self, error: PlanError) -> OpError {
        match self.failure {
            Some((layer, error)) => OpError::Layer { layer, error },
            None => error.into(),
        }
    }

    /// Which layer has the bytes from `offset` on, and where; `None` for zeros that none has. It is for `most` bytes at
    /// most, and for more than 0 of them.
    fn find(&mut self, offset: u64, most: u64) -> Result<(Option<usize>, Found), (usize, LayerError)> {
        let mut len = most;
        for (at, (layer, reader)) in self.layers.iter_mut().zip(&mut self.readers).enumerate() {
            let Some(there) = reader.size().checked_sub(offset).filter(|there| *there > 0) else {
                break;
            };
            let found = reader.find(layer, offset, len.min(there)).map_err(|error| (at, error))?;
            if found.source != Source::Below {
                return Ok((Some(at), found));
            }
            len = found.len;
        }
        Ok((None, Found { source: Source::Zeros, len }))
    }

    /// Reads a piece from the start of `buf`, and says how long it is: not 0 unless `buf` is empty.
    fn piece(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize, (usize, LayerError)> {
        let (at, Found { source, len }) = self.find(offset, buf.len() as u64)?;
        let part = buf.get_mut(..index(len)).unwrap_or_default();
        let of = at.and_then(|at| Some((at, self.layers.get_mut(at)?, self.readers.get(at)?)));
        let Some((at, layer, reader)) = of else {
            part.fill(0);
            return Ok(part.len());
        };
        let failed = |error| (at, error);
        match source {
            Source::Below | Source::Zeros => part.fill(0),
            Source::At(host) => reader.read(layer, (offset, host), part).map_err(failed)?,
            Source::Packed { host, packed, skip } => {
                let packed = unpack::Packed { layer: at, host, len: packed, of: reader.clusters() };
                let cluster = self.unpacker.get(layer.file, packed).map_err(failed)?;
                let from = cluster.get(index(skip)..).unwrap_or_default();
                part.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
        }
        Ok(part.len())
    }

    /// Refuses `bytes` of the disk if any of them is in an encrypted layer whose key is not here.
    fn sealed(&mut self, bytes: &Range<u64>) -> Result<(), (usize, LayerError)> {
        let len = bytes.end.saturating_sub(bytes.start);
        let sealed = Refusal::EncryptedLayer { offset: bytes.start, len };
        let mut at = bytes.start;
        while at < bytes.end {
            let (layer, found) = self.find(at, bytes.end.saturating_sub(at))?;
            let shut = |at: usize| self.readers.get(at).is_some_and(Reader::is_sealed);
            match (layer, found.source) {
                (Some(layer), Source::At(_)) if shut(layer) => return Err((layer, sealed.into())),
                _ => at = at.saturating_add(found.len.max(1)),
            }
        }
        Ok(())
    }

    /// Keeps what went wrong for [`Self::blame`].
    fn failed(&mut self, (layer, error): (usize, LayerError), offset: u64, len: u64) -> PlanError {
        self.failure = self.failure.or(Some((number(layer), error)));
        as_plan_error(error, offset, len)
    }
}

impl<K: Unseal> Backing for Chain<'_, '_, K> {
    fn virtual_size(&self) -> u64 {
        self.readers.first().map_or(0, Reader::size)
    }

    fn read(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), PlanError> {
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let done = match self.piece(at, rest) {
                Ok(done) => done.max(1),
                Err(why) => return Err(self.failed(why, at, rest.len() as u64)),
            };
            at = at.saturating_add(done as u64);
            rest = rest.get_mut(done..).unwrap_or_default();
        }
        Ok(())
    }

    fn admit(&mut self, bytes: Range<u64>) -> Result<(), PlanError> {
        let len = bytes.end.saturating_sub(bytes.start);
        self.sealed(&bytes).map_err(|why| self.failed(why, bytes.start, len))
    }

    fn unpacker(&mut self) -> Option<&mut dyn Unpack> {
        Some(&mut self.unpacker)
    }
}

/// What a planner is told; [`Chain::blame`] knows better.
fn as_plan_error(error: LayerError, offset: u64, len: u64) -> PlanError {
    match error {
        LayerError::Image(e) => e.into(),
        LayerError::Io(e) => e.into(),
        LayerError::Refused(_) => IoError { direction: Direction::Read, offset, len, errno: 0 }.into(),
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

//! Reading a part of an encrypted disk for an overlay that must keep it.

use super::{DataKey, key_of};
use crate::chain::Chain;
use crate::{Disk, Encryption, Layer, OpError, Refusal, UnlockRequest};
use core::ops::Range;
use instar_formats::bytes::index;
use instar_planner::Backing as _;
use zeroize::Zeroize as _;

/// Bytes that are copied at once.
const PIECE: usize = 64 << 10;

/// Writes `bytes` of the disk that `layers` are to the same place of `plain`, which nothing else is written to. The first
/// layer is the one that the passphrase is for. What `scratch` held is wiped.
///
/// # Errors
/// As [`super::unlock`]; [`OpError::Layer`] of a layer that cannot be read, [`Refusal::EncryptedLayer`] of one that is
/// encrypted, too. Nothing was written then.
pub fn reveal(
    layers: &mut [Layer<'_>],
    bytes: &Range<u64>,
    plain: &mut dyn Disk,
    passphrase: &[u8],
    scratch: &mut [u8],
) -> Result<Encryption, OpError> {
    let first = layers.first_mut().ok_or(Refusal::BackingClosed)?;
    let request = UnlockRequest { format: Some(first.format), expected: None };
    let (encryption, key) = key_of(&mut first.file, &request, Some(passphrase), scratch)?;
    let (piece, rest) = scratch.split_at_mut_checked(PIECE).unwrap_or_default();
    let mut chain = Chain::open_with(layers, key.as_ref(), rest)?;
    chain.admit(bytes.clone()).map_err(|error| chain.blame(error))?;
    let copied = copy(&mut chain, bytes, plain, piece);
    drop(chain);
    scratch.zeroize();
    copied.map(|()| encryption)
}

fn copy(
    chain: &mut Chain<'_, '_, DataKey>,
    bytes: &Range<u64>,
    plain: &mut dyn Disk,
    buf: &mut [u8],
) -> Result<(), OpError> {
    let mut at = bytes.start;
    while at < bytes.end && !buf.is_empty() {
        let len = index(bytes.end.saturating_sub(at)).min(buf.len());
        let part = buf.get_mut(..len).unwrap_or_default();
        chain.read(at, part).map_err(|error| chain.blame(error))?;
        plain.write_at(at, part)?;
        at = at.saturating_add(len as u64);
    }
    Ok(())
}

//! Key slots (specification, section "Key slot layout").

use super::header::{FIRST_MATERIAL, HEADER_LEN, SECTOR, SLOTS, array};
use crate::ImageError;
use crate::bytes::be32;

/// Where the first slot begins.
const FIRST: usize = 208;
/// Bytes of a slot.
const LEN: usize = 48;
/// A slot in use.
const ENABLED: u32 = 0x00ac_71f3;
/// A slot that is free.
const DISABLED: u32 = 0x0000_dead;
/// Into how many pieces a key is split; every tool uses this many, and QEMU wants it so.
const STRIPES: u32 = 4000;

/// A key slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot {
    /// Whether it is in use.
    pub active: bool,
    /// Rounds of PBKDF2.
    pub rounds: u32,
    /// Salt of that.
    pub salt: [u8; 32],
    /// Where its key material lies, in bytes from the header.
    pub material: u64,
    /// Into how many pieces the key is split.
    pub stripes: u32,
}

/// Where a slot lies in a header.
const fn place(index: usize) -> usize {
    FIRST.saturating_add(index.saturating_mul(LEN))
}

/// All slots.
pub fn parse(head: &[u8; HEADER_LEN]) -> [Slot; SLOTS] {
    core::array::from_fn(|index| {
        let at = place(index);
        Slot {
            active: be32(head, at) == ENABLED,
            rounds: be32(head, at.saturating_add(4)),
            salt: array(head, at.saturating_add(8)),
            material: u64::from(be32(head, at.saturating_add(40))).saturating_mul(SECTOR),
            stripes: be32(head, at.saturating_add(44)),
        }
    })
}

/// That every slot keeps to itself, in use or not, for keys of `key_len` bytes. Key material ends where the next could
/// begin: as it begins, aligned.
pub fn check(
    slots: &[Slot; SLOTS],
    head: &[u8; HEADER_LEN],
    key_len: u64,
    payload: u64,
) -> Result<(), ImageError> {
    let len = |slot: &Slot| {
        let bytes = key_len.saturating_mul(u64::from(slot.stripes));
        bytes.checked_next_multiple_of(FIRST_MATERIAL).unwrap_or(u64::MAX)
    };
    for (index, slot) in slots.iter().enumerate() {
        let number = index as u64;
        if slot.stripes != STRIPES {
            return Err(ImageError::LuksStripes { slot: number, stripes: u64::from(slot.stripes) });
        }
        if slot.material < FIRST_MATERIAL {
            return Err(ImageError::LuksSlotOverHeader { slot: number });
        }
        if !matches!(be32(head, place(index)), ENABLED | DISABLED) {
            return Err(ImageError::LuksSlotState { slot: number });
        }
        if slot.active && slot.rounds == 0 {
            return Err(ImageError::LuksSlotRounds { slot: number });
        }
        let end = slot.material.saturating_add(len(slot));
        if end > payload {
            return Err(ImageError::LuksSlotOverPayload { slot: number });
        }
        for (other, second) in slots.iter().enumerate().skip(index.saturating_add(1)) {
            if second.material < end && slot.material < second.material.saturating_add(len(second)) {
                return Err(ImageError::LuksSlotsOverlap { first: number, second: other as u64 });
            }
        }
    }
    Ok(())
}

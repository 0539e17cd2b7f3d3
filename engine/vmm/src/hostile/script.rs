//! A guest's part of a job, as bytes.

use crate::binaries::Binary;
use crate::error::VmmError;
use crate::files::Files;
use crate::image::{Buffer, Seen};
use crate::kvm::Stats;
use crate::mailbox;
use crate::operations::Runner;
use instar_abi::message::GuestMessage_::Payload;
use std::cell::Cell;

/// Most bytes that one step moves.
const MOST: usize = 8192;

/// What a guest says to the device and through the mailbox, step by step. A step is a byte for its kind and what belongs to it,
/// numbers little-endian; what ends in the middle of one does not do it.
pub struct Script<'d> {
    pub steps: &'d [u8],
    /// What the host saw in the end.
    pub seen: Cell<Seen>,
}

/// Kinds of steps.
pub mod kind {
    /// Two bytes of length, so many bytes of messages.
    pub const MESSAGES: u8 = 0;
    /// Eight bytes for the sector, one for how many sectors.
    pub const WRITE: u8 = 1;
    /// The same.
    pub const READ: u8 = 2;
    /// Eight bytes for the sector, four for how many sectors, one for whether space is given back.
    pub const ZERO: u8 = 3;
    /// Nothing.
    pub const FLUSH: u8 = 4;
}

/// Bytes as they are read.
pub struct Bytes<'d>(pub &'d [u8]);

impl<'d> Bytes<'d> {
    /// The next ones.
    pub fn take(&mut self, len: usize) -> Option<&'d [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next number of `len` bytes, eight at most.
    pub fn number(&mut self, len: usize) -> Option<u64> {
        Some(self.take(len)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The next four bytes.
    pub fn word(&mut self) -> Option<u32> {
        self.number(4).and_then(|number| u32::try_from(number).ok())
    }

    /// The next number of one or two bytes.
    pub fn small(&mut self, len: usize) -> Option<usize> {
        self.number(len).and_then(|number| usize::try_from(number).ok())
    }
}

impl Script<'_> {
    fn step(
        bytes: &mut Bytes<'_>,
        files: &mut Files<'_>,
        sink: &mut dyn FnMut(Payload) -> Result<(), VmmError>,
    ) -> Option<Result<(), VmmError>> {
        let mut memory = [9; MOST];
        let mut buffer = |sectors: usize| {
            let len = (sectors * 512).min(MOST);
            Buffer { at: memory.as_mut_ptr(), len }
        };
        match *bytes.take(1)?.first()? {
            kind::MESSAGES => {
                let len = bytes.small(2)?;
                return Some(mailbox::decode(bytes.take(len)?, sink));
            }
            kind::WRITE => {
                let (sector, buffer) = (bytes.number(8)?, buffer(bytes.small(1)?));
                // SAFETY: the buffer is a part of `memory`.
                unsafe { files.write(sector, buffer) };
            }
            kind::READ => {
                let (sector, buffer) = (bytes.number(8)?, buffer(bytes.small(1)?));
                // SAFETY: as above.
                unsafe { files.read(sector, buffer) };
            }
            kind::ZERO => {
                let (sector, count, unmap) = (bytes.number(8)?, bytes.number(4)?, bytes.number(1)? & 1 == 1);
                files.zero(sector, count * 512, unmap);
            }
            kind::FLUSH => drop(files.flush()),
            _ => return None,
        }
        Some(Ok(()))
    }
}

impl Runner for Script<'_> {
    fn run(
        &self,
        _: Binary,
        _: &[u8],
        mut files: Files<'_>,
        sink: &mut dyn FnMut(Payload) -> Result<(), VmmError>,
    ) -> Result<(Stats, Seen), VmmError> {
        let mut bytes = Bytes(self.steps);
        while let Some(done) = Self::step(&mut bytes, &mut files, sink) {
            done?;
        }
        self.seen.set(files.seen());
        Ok((Stats::default(), files.seen()))
    }
}

//! How the caller's one buffer is divided. Every part is constant in size.

use crate::{ResizeError, SCRATCH_LEN};

/// A window on a refcount table or L1 table, in bytes.
const WINDOW: usize = 64 << 10;
/// Whole refcount blocks, and the L2 table that straddles the new end: the largest cluster.
const CLUSTER: usize = 2 << 20;
/// Bytes copied or scanned at a time.
const COPY: usize = 1 << 20;
/// Freed clusters collected before their refcounts go down, 8 bytes each.
const BATCH: usize = 1 << 20;
/// L2 tables whose entries in L1 are cleared behind one barrier, 8 bytes each.
const TABLES: usize = 512 << 10;
/// One bit for each block that a refcount table of 8 MiB can name.
const TOUCHED: usize = (1 << 20) / 8;

const _: () = assert!(2 * WINDOW + CLUSTER * 2 + COPY + BATCH + TABLES + TOUCHED <= SCRATCH_LEN);

/// The parts of a scratch buffer.
pub struct Scratch<'s> {
    pub table: &'s mut [u8],
    pub l1: &'s mut [u8],
    pub block: &'s mut [u8],
    pub l2: &'s mut [u8],
    pub copy: &'s mut [u8],
    pub batch: &'s mut [u8],
    pub tables: &'s mut [u8],
    pub touched: &'s mut [u8],
}

impl<'s> Scratch<'s> {
    /// Divides `buf`.
    pub fn split(buf: &'s mut [u8]) -> Result<Self, ResizeError> {
        let have = u64::try_from(buf.len()).unwrap_or(u64::MAX);
        let short = ResizeError::Scratch { need: SCRATCH_LEN as u64, have };
        let mut rest = buf;
        let mut take = |len: usize| -> Result<&'s mut [u8], ResizeError> {
            let (part, tail) = core::mem::take(&mut rest).split_at_mut_checked(len).ok_or(short)?;
            rest = tail;
            Ok(part)
        };
        Ok(Self {
            table: take(WINDOW)?,
            l1: take(WINDOW)?,
            block: take(CLUSTER)?,
            l2: take(CLUSTER)?,
            copy: take(COPY)?,
            batch: take(BATCH)?,
            tables: take(TABLES)?,
            touched: take(TOUCHED)?,
        })
    }
}

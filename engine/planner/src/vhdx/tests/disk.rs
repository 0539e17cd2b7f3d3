//! A sparse disk in memory that remembers what it was told.

extern crate std;

use crate::{IoError, Patch, ReadAt, Target};
use instar_formats::bytes::is_zero;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

const PAGE: u64 = PAGE_LEN as u64;
const PAGE_LEN: usize = 4096;
/// Tears happen between these.
const SECTOR: usize = 512;

/// A change on its way to the disk.
#[derive(Clone, Debug)]
pub enum Change {
    Write(u64, Rc<[u8]>),
    Zeros(u64, u64),
}

impl Change {
    /// Where it ends.
    pub fn end(&self) -> u64 {
        match self {
            Self::Write(offset, data) => offset + data.len() as u64,
            Self::Zeros(offset, len) => offset + len,
        }
    }

    /// The parts of a write that may arrive without the rest: cut after its first sector, in its middle, and before
    /// its last.
    pub fn torn(&self) -> Vec<Self> {
        let Self::Write(offset, data) = self else {
            return Vec::new();
        };
        let last = (data.len() - 1) / SECTOR * SECTOR;
        let mut cuts = vec![SECTOR, data.len() / 2 / SECTOR * SECTOR, last];
        cuts.retain(|cut| *cut > 0 && *cut < data.len());
        cuts.dedup();
        let parts = |cut: usize| {
            [Self::Write(*offset, data[..cut].into()), Self::Write(offset + cut as u64, data[cut..].into())]
        };
        cuts.into_iter().flat_map(parts).collect()
    }
}

/// Pages that are not there are zeros. Copies share what they have in common.
#[derive(Clone, Default)]
pub struct Disk {
    pages: BTreeMap<u64, Rc<[u8; PAGE_LEN]>>,
    /// How long the file is.
    pub end: u64,
    /// What was told since the last barrier, and before that, and so on.
    pub intervals: Vec<Vec<Change>>,
    /// Whether barriers count.
    pub barriers: bool,
    /// Whether nothing is to be remembered.
    pub forgets: bool,
}

impl Disk {
    pub fn new() -> Self {
        Self { intervals: vec![Vec::new()], barriers: true, ..Self::default() }
    }

    /// The same without memories.
    pub fn forgetful(&self) -> Self {
        Self { pages: self.pages.clone(), end: self.end, ..Self::new() }
    }

    pub fn apply_change(&mut self, change: &Change) {
        match change {
            Change::Write(offset, data) => self.put(*offset, data),
            Change::Zeros(offset, len) => self.zero(*offset, *len),
        }
    }

    pub fn put(&mut self, offset: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let (page, within) = (at / PAGE, usize::try_from(at % PAGE).unwrap());
            let len = (PAGE_LEN - within).min(data.len() - done);
            let piece = &data[done..done + len];
            done += len;
            if !self.pages.contains_key(&page) && is_zero(piece) {
                continue;
            }
            let page = self.pages.entry(page).or_insert_with(|| Rc::new([0; PAGE_LEN]));
            Rc::make_mut(page)[within..within + len].copy_from_slice(piece);
        }
        self.end = self.end.max(offset + data.len() as u64);
    }

    fn zero(&mut self, offset: u64, len: u64) {
        let (first, end) = (offset.div_ceil(PAGE), (offset + len) / PAGE);
        if first > end {
            return self.put(offset, &vec![0; usize::try_from(len).unwrap()]);
        }
        for page in self.pages.range(first..end).map(|(page, _)| *page).collect::<Vec<_>>() {
            self.pages.remove(&page);
        }
        self.put(offset, &vec![0; usize::try_from(first * PAGE - offset).unwrap()]);
        self.put(end * PAGE, &vec![0; usize::try_from(offset + len - end * PAGE).unwrap()]);
        self.end = self.end.max(offset + len);
    }

    pub fn set_len(&mut self, len: u64) {
        let end = self.end;
        if len < end {
            self.zero(len, end - len);
        }
        self.end = len;
    }

    pub fn byte(&mut self, offset: u64) -> u8 {
        let mut byte = [0];
        self.read_at(offset, &mut byte).unwrap();
        byte[0]
    }
}

impl ReadAt for Disk {
    fn len(&self) -> u64 {
        self.end
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            let (page, within) = (at / PAGE, usize::try_from(at % PAGE).unwrap());
            let len = (PAGE_LEN - within).min(buf.len() - done);
            match self.pages.get(&page) {
                Some(page) => buf[done..done + len].copy_from_slice(&page[within..within + len]),
                None => buf[done..done + len].fill(0),
            }
            done += len;
        }
        Ok(())
    }
}

impl Target for Disk {
    fn apply(&mut self, patch: Patch<'_>) -> Result<(), IoError> {
        let change = match patch {
            Patch::Write { offset, data } => Change::Write(offset, data.into()),
            Patch::ZeroFill { offset, len, .. } => Change::Zeros(offset, len),
            Patch::Barrier => {
                if self.barriers {
                    self.intervals.push(Vec::new());
                }
                return Ok(());
            }
        };
        self.apply_change(&change);
        if !self.forgets {
            self.intervals.last_mut().unwrap().push(change);
        }
        Ok(())
    }
}

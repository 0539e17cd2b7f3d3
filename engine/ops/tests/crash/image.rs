//! Small populated qcow2 images, laid out and read by hand: standard clusters and 8-byte L2 entries
//! only, every number straight from the specification.

use super::disk::Disk512;
use instar_ops::{CreateRequest, Format, Qcow2Options, SCRATCH_LEN, create};

const COPIED: u64 = 1 << 63;
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// An image with data in some of its guest clusters.
pub struct Image {
    pub bytes: Vec<u8>,
    pub size: u64,
    cluster: u64,
    data: Vec<u64>,
}

impl Image {
    /// An image of `size` bytes with a pattern in each of the guest clusters `data` that it has.
    pub fn new(cluster_bits: u32, refcount_bits: u32, version: u32, size: u64, data: &[u64]) -> Self {
        let qcow2 = Qcow2Options { version, cluster_bits, refcount_bits, ..Qcow2Options::default() };
        let request = CreateRequest { format: Format::Qcow2, size, qcow2 };
        let mut disk = Disk512::new(Vec::new());
        let outcome = create(&mut disk, &request, &mut vec![0; SCRATCH_LEN]).unwrap();
        let cluster = 1_u64 << cluster_bits;
        disk.bytes.resize(usize::try_from(outcome.file_size_after.next_multiple_of(cluster)).unwrap(), 0);
        let data: Vec<u64> = data.iter().copied().filter(|guest| guest * cluster < size).collect();
        let mut image = Self { bytes: disk.bytes, size, cluster, data: data.clone() };
        data.iter().for_each(|guest| image.write(*guest, refcount_bits));
        image
    }

    fn write(&mut self, guest: u64, refcount_bits: u32) {
        let entries = self.cluster / 8;
        let slot = be64(&self.bytes, 40) + guest / entries * 8;
        if be64(&self.bytes, slot) == 0 {
            let table = self.allocate(refcount_bits);
            self.put64(slot, COPIED | table);
        }
        let entry = (be64(&self.bytes, slot) & OFFSET) + guest % entries * 8;
        let place = self.allocate(refcount_bits);
        self.put64(entry, COPIED | place);
        let start = usize::try_from(place).unwrap();
        self.bytes[start..start + usize::try_from(self.cluster).unwrap()].fill(pattern(guest));
    }

    /// Appends a cluster with a refcount of one, and first the refcount block that counts it if there
    /// is none.
    fn allocate(&mut self, refcount_bits: u32) -> u64 {
        let per_block = self.cluster * 8 / u64::from(refcount_bits);
        let index = self.bytes.len() as u64 / self.cluster;
        let entry = be64(&self.bytes, 48) + index / per_block * 8;
        let fresh = be64(&self.bytes, entry) == 0;
        if fresh {
            self.put64(entry, index * self.cluster);
        }
        let block = be64(&self.bytes, entry);
        self.bytes.resize(self.bytes.len() + usize::try_from(self.cluster).unwrap(), 0);
        self.count(block, index % per_block, refcount_bits);
        if fresh { self.allocate(refcount_bits) } else { index * self.cluster }
    }

    fn count(&mut self, block: u64, index: u64, refcount_bits: u32) {
        let bit = index * u64::from(refcount_bits);
        let last = block + (bit + u64::from(refcount_bits) - 1) / 8;
        let shift = if refcount_bits < 8 { bit % 8 } else { 0 };
        self.bytes[usize::try_from(last).unwrap()] |= 1 << shift;
    }

    fn put64(&mut self, at: u64, value: u64) {
        let at = usize::try_from(at).unwrap();
        self.bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }

    /// Every cluster with data below both sizes still holds it, and any other reads as zeros.
    pub fn check_data(&self, state: &[u8], new_size: u64) -> Result<(), String> {
        let kept = self.size.min(new_size);
        let edge = [0, kept.saturating_sub(1) / self.cluster];
        for guest in self.data.iter().flat_map(|guest| [*guest, guest + 1]).chain(edge) {
            let len = self.cluster.min(kept.saturating_sub(guest * self.cluster));
            let expected = if self.data.contains(&guest) { pattern(guest) } else { 0 };
            if read(state, guest, len).iter().any(|b| *b != expected) {
                return Err(format!("guest cluster {guest} has changed"));
            }
        }
        Ok(())
    }
}

fn pattern(guest: u64) -> u8 {
    u8::try_from(guest % 250 + 1).unwrap()
}

/// The virtual size in an image's header.
pub fn size_of(state: &[u8]) -> u64 {
    be64(state, 24)
}

/// The first `len` bytes of guest cluster `guest`.
fn read(state: &[u8], guest: u64, len: u64) -> Vec<u8> {
    let entries = (1_u64 << be32(state, 20)) / 8;
    let table = be64(state, be64(state, 40) + guest / entries * 8) & OFFSET;
    let place = if table == 0 { 0 } else { be64(state, table + guest % entries * 8) & OFFSET };
    let mut buf = vec![0; usize::try_from(len).unwrap()];
    if place != 0 {
        let start = usize::try_from(place).unwrap().min(state.len());
        let n = buf.len().min(state.len() - start);
        buf[..n].copy_from_slice(&state[start..start + n]);
    }
    buf
}

/// Whether no table entry beyond the end of the disk is in use.
pub fn is_empty_beyond(state: &[u8], size: u64) -> bool {
    let cluster = 1_u64 << be32(state, 20);
    let entries = cluster / 8;
    let (first, l1) = (size.div_ceil(cluster), be64(state, 40));
    (0..u64::from(be32(state, 36))).all(|slot| {
        let table = be64(state, l1 + slot * 8) & OFFSET;
        let in_use = |i: u64| slot * entries + i >= first && be64(state, table + i * 8) != 0;
        table == 0 || (slot < first.div_ceil(entries) && !(0..entries).any(in_use))
    })
}

fn be32(bytes: &[u8], at: u64) -> u32 {
    let at = usize::try_from(at).unwrap();
    bytes.get(at..at + 4).map_or(0, |b| u32::from_be_bytes(b.try_into().unwrap()))
}

fn be64(bytes: &[u8], at: u64) -> u64 {
    let at = usize::try_from(at).unwrap();
    bytes.get(at..at + 8).map_or(0, |b| u64::from_be_bytes(b.try_into().unwrap()))
}

//! Small populated qcow2 images, laid out and read by hand: standard clusters and 8-byte L2 entries
//! only, every number straight from the specification.

use super::bitmaps::Bitmap;
use super::disk::Disk512;
use instar_ops::{CreateRequest, Format, Qcow2Options, SCRATCH_LEN, create};

const COPIED: u64 = 1 << 63;
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// An image with data in some of its guest clusters.
pub struct Image {
    pub bytes: Vec<u8>,
    pub size: u64,
    pub cluster: u64,
    refcount_bits: u32,
    data: Vec<(u64, u8)>,
    snapshots: Vec<Snapshot>,
    pub bitmaps: Vec<Bitmap>,
}

/// What the disk was.
#[derive(Clone)]
struct Snapshot {
    l1: u64,
    size: u64,
    data: Vec<(u64, u8)>,
}

impl Image {
    /// An image of `size` bytes with a pattern in each of the guest clusters `data` that it has.
    pub fn new(cluster_bits: u32, refcount_bits: u32, version: u32, size: u64, data: &[u64]) -> Self {
        let qcow2 = Qcow2Options { version, cluster_bits, refcount_bits, ..Qcow2Options::default() };
        let request = CreateRequest { qcow2, ..CreateRequest::new(Format::Qcow2, size) };
        let mut disk = Disk512::new(Vec::new());
        let outcome = create(&mut disk, &request, &mut vec![0; SCRATCH_LEN]).unwrap();
        let cluster = 1_u64 << cluster_bits;
        disk.bytes.resize(usize::try_from(outcome.file_size_after.next_multiple_of(cluster)).unwrap(), 0);
        let data: Vec<u64> = data.iter().copied().filter(|guest| guest * cluster < size).collect();
        let mut image = Self {
            bytes: disk.bytes,
            size,
            cluster,
            refcount_bits,
            data: vec![],
            snapshots: vec![],
            bitmaps: vec![],
        };
        data.iter().for_each(|guest| image.write(*guest, pattern(*guest)));
        image
    }

    /// Fills a guest cluster, in a new place, with copies of what a snapshot has, too.
    pub fn write(&mut self, guest: u64, value: u8) {
        let entries = self.cluster / 8;
        let slot = be64(&self.bytes, 40) + guest / entries * 8;
        let old = be64(&self.bytes, slot);
        if old & COPIED == 0 {
            let table = self.allocate();
            self.put64(slot, COPIED | table);
            if old != 0 {
                let at = usize::try_from(old).unwrap();
                let copy = self.bytes[at..at + usize::try_from(self.cluster).unwrap()].to_vec();
                self.put(table, &copy);
                self.count(old, -1);
            }
        }
        let entry = (be64(&self.bytes, slot) & OFFSET) + guest % entries * 8;
        let old = be64(&self.bytes, entry) & OFFSET;
        let place = self.allocate();
        self.put64(entry, COPIED | place);
        if old != 0 {
            self.count(old, -1);
        }
        self.put(place, &vec![value; usize::try_from(self.cluster).unwrap()]);
        self.data.retain(|(other, _)| *other != guest);
        self.data.push((guest, value));
    }

    /// Takes a snapshot. The L1 table must fit a cluster, and so must the snapshot table.
    pub fn snapshot(&mut self) {
        let (l1, entries) = (be64(&self.bytes, 40), u64::from(be32(&self.bytes, 36)));
        assert!(entries * 8 <= self.cluster, "a small L1 table");
        for slot in 0..entries {
            let table = be64(&self.bytes, l1 + slot * 8) & OFFSET;
            self.put64(l1 + slot * 8, table);
            for at in (table..table + self.cluster).step_by(8).filter(|_| table != 0) {
                let place = be64(&self.bytes, at) & OFFSET;
                self.put64(at, place);
                if place != 0 {
                    self.count(place, 1);
                }
            }
            if table != 0 {
                self.count(table, 1);
            }
        }
        let copy = self.allocate();
        let at = usize::try_from(l1).unwrap();
        let bytes = self.bytes[at..at + usize::try_from(entries * 8).unwrap()].to_vec();
        self.put(copy, &bytes);
        self.snapshots.push(Snapshot { l1: copy, size: self.size, data: self.data.clone() });
        self.write_snapshot_table(entries);
    }

    fn write_snapshot_table(&mut self, l1_entries: u64) {
        let old = be64(&self.bytes, 64);
        let table = if old == 0 { self.allocate() } else { old };
        let mut bytes = Vec::new();
        for (i, snapshot) in self.snapshots.iter().enumerate() {
            bytes.extend(snapshot.l1.to_be_bytes());
            bytes.extend(u32::try_from(l1_entries).unwrap().to_be_bytes());
            bytes.extend([0, 1, 0, 1]); // lengths of id and name
            bytes.extend([0; 20]); // date, clock, short size of the machine state
            bytes.extend(16_u32.to_be_bytes()); // extra data: machine state, disk size
            bytes.extend(0_u64.to_be_bytes());
            bytes.extend(snapshot.size.to_be_bytes());
            bytes.extend([b'1' + u8::try_from(i).unwrap(), b's', 0, 0, 0, 0, 0, 0]);
        }
        assert!(bytes.len() as u64 <= self.cluster, "few snapshots");
        self.put(table, &bytes);
        self.put64(64, table);
        let count = u32::try_from(self.snapshots.len()).unwrap();
        self.put(60, &count.to_be_bytes());
    }

    /// Makes the disk smaller or larger as some programs do: by its size alone, within its L1 table.
    pub fn set_size(&mut self, size: u64) {
        let entries = self.cluster / 8;
        assert!(size.div_ceil(self.cluster * entries) <= u64::from(be32(&self.bytes, 36)));
        self.put64(24, size);
        self.size = size;
    }

    /// Appends a cluster with a refcount of one, and first the refcount block that counts it if there
    /// is none.
    pub fn allocate(&mut self) -> u64 {
        let per_block = self.cluster * 8 / u64::from(self.refcount_bits);
        let index = self.bytes.len() as u64 / self.cluster;
        let entry = be64(&self.bytes, 48) + index / per_block * 8;
        let fresh = be64(&self.bytes, entry) == 0;
        if fresh {
            self.put64(entry, index * self.cluster);
        }
        self.bytes.resize(self.bytes.len() + usize::try_from(self.cluster).unwrap(), 0);
        self.count(index * self.cluster, 1);
        if fresh { self.allocate() } else { index * self.cluster }
    }

    /// Adds to the refcount of the cluster at byte `offset`.
    pub fn count(&mut self, offset: u64, change: i64) {
        let bits = u64::from(self.refcount_bits);
        let index = offset / self.cluster;
        let per_block = self.cluster * 8 / bits;
        let block = be64(&self.bytes, be64(&self.bytes, 48) + index / per_block * 8);
        let bit = index % per_block * bits;
        let last = usize::try_from(block + (bit + bits - 1) / 8).unwrap();
        let shift = if bits < 8 { bit % 8 } else { 0 };
        let mask = if bits < 8 { (1_u8 << bits) - 1 } else { 0xff };
        let value = i64::from(self.bytes[last] >> shift & mask) + change;
        let value = u8::try_from(value).unwrap();
        assert!(value <= mask, "the refcount fits");
        self.bytes[last] = self.bytes[last] & !(mask << shift) | value << shift;
    }

    pub fn put64(&mut self, at: u64, value: u64) {
        self.put(at, &value.to_be_bytes());
    }

    pub fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = usize::try_from(at).unwrap();
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Every cluster with data below both sizes still holds it, and any other reads as zeros; and every
    /// snapshot is what it was.
    pub fn check_data(&self, state: &[u8], new_size: u64) -> Result<(), String> {
        let kept = self.size.min(new_size);
        check_disk(state, be64(state, 40), self.cluster, kept, &self.data)?;
        self.check_new_area(state)?;
        self.check_bitmaps(state, new_size)?;
        for s in &self.snapshots {
            check_disk(state, s.l1, self.cluster, s.size, &s.data).map_err(|e| format!("snapshot: {e}"))?;
        }
        Ok(())
    }
}

impl Image {
    /// What the disk had beyond its old end does not come back with a larger size.
    fn check_new_area(&self, state: &[u8]) -> Result<(), String> {
        let size = size_of(state);
        for (guest, _) in
            self.data.iter().filter(|(guest, _)| size > self.size && guest * self.cluster < size)
        {
            let old = self.size.saturating_sub(guest * self.cluster).min(self.cluster);
            let new = read(state, be64(state, 40), *guest, self.cluster.min(size - guest * self.cluster));
            if new[usize::try_from(old).unwrap()..].iter().any(|b| *b != 0) {
                return Err(format!("guest cluster {guest} is not empty"));
            }
        }
        Ok(())
    }
}

fn check_disk(state: &[u8], l1: u64, cluster: u64, size: u64, data: &[(u64, u8)]) -> Result<(), String> {
    let edge = [0, size.saturating_sub(1) / cluster];
    for guest in data.iter().flat_map(|(guest, _)| [*guest, guest + 1]).chain(edge) {
        let len = cluster.min(size.saturating_sub(guest * cluster));
        let expected = data.iter().find(|(other, _)| *other == guest).map_or(0, |(_, value)| *value);
        if read(state, l1, guest, len).iter().any(|b| *b != expected) {
            return Err(format!("guest cluster {guest} has changed"));
        }
    }
    Ok(())
}

fn pattern(guest: u64) -> u8 {
    u8::try_from(guest % 250 + 1).unwrap()
}

/// The virtual size in an image's header.
pub fn size_of(state: &[u8]) -> u64 {
    be64(state, 24)
}

/// The first `len` bytes of guest cluster `guest` of the disk with that L1 table.
fn read(state: &[u8], l1: u64, guest: u64, len: u64) -> Vec<u8> {
    let entries = (1_u64 << be32(state, 20)) / 8;
    let table = be64(state, l1 + guest / entries * 8) & OFFSET;
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

pub fn be32(bytes: &[u8], at: u64) -> u32 {
    let at = usize::try_from(at).unwrap();
    bytes.get(at..at + 4).map_or(0, |b| u32::from_be_bytes(b.try_into().unwrap()))
}

pub fn be64(bytes: &[u8], at: u64) -> u64 {
    let at = usize::try_from(at).unwrap();
    bytes.get(at..at + 8).map_or(0, |b| u64::from_be_bytes(b.try_into().unwrap()))
}

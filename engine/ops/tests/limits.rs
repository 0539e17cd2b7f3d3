//! The largest disk of each cluster size: it is reached exactly, and one sector more is refused in the
//! words of `qemu-img`.

#![allow(clippy::unwrap_used)]

use instar_ops::disk::IoError;
use instar_ops::{
    CreateRequest, Disk, Format, OpError, Preallocation, Qcow2Options, ReadAt, ResizeRequest, SCRATCH_LEN,
    SizeRequest, create, resize,
};
use std::collections::BTreeMap;

/// Bytes of a block of a sparse disk.
const BLOCK: usize = 64 << 10;

/// A disk in memory that keeps no block of zeros.
#[derive(Default)]
struct Sparse {
    blocks: BTreeMap<u64, Vec<u8>>,
    len: u64,
}

impl Sparse {
    /// Calls `each` with every block from `offset` on, and where in it and in the range a part lies.
    fn parts(offset: u64, len: usize, mut each: impl FnMut(u64, usize, std::ops::Range<usize>)) {
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let inside = usize::try_from(at % BLOCK as u64).unwrap();
            let now = (BLOCK - inside).min(len - done);
            each(at / BLOCK as u64, inside, done..done + now);
            done += now;
        }
    }
}

impl ReadAt for Sparse {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        Self::parts(offset, buf.len(), |block, inside, part| match self.blocks.get(&block) {
            Some(bytes) => buf[part.clone()].copy_from_slice(&bytes[inside..inside + part.len()]),
            None => buf[part].fill(0),
        });
        Ok(())
    }
}

impl Disk for Sparse {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        Self::parts(offset, data.len(), |block, inside, part| {
            if data[part.clone()].iter().any(|b| *b != 0) || self.blocks.contains_key(&block) {
                let bytes = self.blocks.entry(block).or_insert_with(|| vec![0; BLOCK]);
                bytes[inside..inside + part.len()].copy_from_slice(&data[part]);
            }
        });
        Ok(())
    }

    fn zero_at(&mut self, offset: u64, len: u64, _unmap: bool) -> Result<(), IoError> {
        let len = usize::try_from(len).unwrap();
        Self::parts(offset, len, |block, inside, part| {
            if let Some(bytes) = self.blocks.get_mut(&block) {
                bytes[inside..inside + part.len()].fill(0);
            }
        });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }
}

fn grow(disk: &mut Sparse, size: u64, scratch: &mut [u8]) -> Result<u64, OpError> {
    let size = SizeRequest::Absolute(size);
    let request = ResizeRequest {
        format: None,
        size,
        shrink: false,
        preallocation: Preallocation::Off,
        identity: Default::default(),
    };
    let outcome = resize(disk, &request, scratch)?;
    disk.len = outcome.file_size_after;
    Ok(outcome.new_virtual_size)
}

/// 32 MiB of L1 table, each entry a table of L2 entries.
fn limit(cluster_bits: u32, extended_l2: bool) -> u64 {
    let entry_bits = if extended_l2 { 4 } else { 3 };
    (32 << 20) / 8 * (1 << cluster_bits) * (1 << (cluster_bits - entry_bits))
}

#[test]
fn the_limit_of_each_cluster_size_is_reached_exactly() {
    let mut scratch = vec![0; SCRATCH_LEN];
    assert_eq!(limit(9, false), 128 << 30);
    assert_eq!(limit(16, false), 2 << 50);
    assert_eq!(limit(21, true), 1 << 60);
    for (cluster_bits, extended_l2) in (9..=21).map(|b| (b, false)).chain((14..=21).map(|b| (b, true))) {
        let limit = limit(cluster_bits, extended_l2);
        let qcow2 = Qcow2Options { cluster_bits, extended_l2, ..Qcow2Options::default() };
        let request = CreateRequest { qcow2, ..CreateRequest::new(Format::Qcow2, 1 << 20) };
        let mut disk = Sparse::default();
        disk.len = create(&mut disk, &request, &mut scratch).unwrap().file_size_after;
        let more = grow(&mut disk, limit + 512, &mut scratch).unwrap_err();
        assert_eq!(more.to_string(), "Failed to grow the L1 table: File too large", "{cluster_bits} bits");
        assert_eq!(grow(&mut disk, limit, &mut scratch), Ok(limit), "{cluster_bits} bits");
        assert!(grow(&mut disk, limit + 512, &mut scratch).is_err(), "{cluster_bits} bits");
        let request = CreateRequest { size: limit, ..request };
        assert!(create(&mut Sparse::default(), &request, &mut scratch).is_ok(), "{cluster_bits} bits");
        let request = CreateRequest { size: limit + 512, ..request };
        let refused = create(&mut Sparse::default(), &request, &mut scratch).unwrap_err();
        let text = "The image size is too large for file format 'qcow2' (try using a larger cluster size)";
        assert_eq!(refused.to_string(), text, "{cluster_bits} bits");
    }
}

/// Growing a thousand times by turns a little and a lot leaves the file about as long as growing once.
#[test]
fn a_thousand_growths_do_not_add_up() {
    let mut scratch = vec![0; SCRATCH_LEN];
    for (cluster_bits, step) in [(9, 1 << 20), (12, 64 << 20), (16, 8 << 30)] {
        let qcow2 = Qcow2Options { cluster_bits, ..Qcow2Options::default() };
        let request = CreateRequest { qcow2, ..CreateRequest::new(Format::Qcow2, 1 << 20) };
        let mut disk = Sparse::default();
        disk.len = create(&mut disk, &request, &mut scratch).unwrap().file_size_after;
        let mut size = 1 << 20;
        for i in 0..1000 {
            size += if i % 2 == 0 { 512 } else { step };
            assert_eq!(grow(&mut disk, size, &mut scratch), Ok(size));
        }
        let request = CreateRequest { size, ..request };
        let once = create(&mut Sparse::default(), &request, &mut scratch).unwrap().file_size_after;
        assert!(disk.len <= 3 * once, "{cluster_bits} bits: {} bytes, {once} at once", disk.len);
    }
}

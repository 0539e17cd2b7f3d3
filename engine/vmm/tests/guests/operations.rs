//! The operations in a guest do what they do in this process, byte for byte.

use crate::Body;
use instar_ops::disk::{Direction, IoError};
use instar_ops::{
    CheckRequest, CreateRequest, Disk, Format, InfoRequest, OpError, Preallocation, Qcow2Options, ReadAt,
    ResizeError, ResizeOutcome, ResizeRequest, SCRATCH_LEN, SizeRequest,
};
use instar_vmm::{Kvm, Stats};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

pub const TRIALS: &[(&str, Body)] = &[
    ("a_life_of_a_qcow2_image", life_of_qcow2),
    ("a_life_of_a_raw_image", life_of_raw),
    ("cluster_sizes_and_refcount_widths", many_shapes),
    ("a_check_finds_what_it_finds_in_process", check),
    ("a_refusal_writes_nothing", refusal),
    ("a_resize_takes_few_exits", few_exits),
    ("machines_run_side_by_side", side_by_side),
];

/// An image in memory, for the same operations in this process.
struct Memory {
    bytes: Vec<u8>,
    /// Its length when the job began.
    len: u64,
}

impl Memory {
    fn new(bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self { bytes, len }
    }

    /// The bytes of a range, which the image is made long enough for.
    fn range(&mut self, offset: u64, len: usize) -> &mut [u8] {
        let from = usize::try_from(offset).unwrap();
        if self.bytes.len() < from + len {
            self.bytes.resize(from + len, 0);
        }
        &mut self.bytes[from..from + len]
    }

    /// The image with the length that it is to have.
    fn finish(mut self, outcome: &ResizeOutcome) -> Vec<u8> {
        self.bytes.resize(usize::try_from(outcome.file_size_after).unwrap(), 0);
        self.bytes
    }
}

impl ReadAt for Memory {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let error = IoError { direction: Direction::Read, offset, len: buf.len() as u64, errno: 0 };
        let from = usize::try_from(offset).map_err(|_| error)?;
        buf.fill(0);
        let there = self.bytes.get(from..).unwrap_or_default();
        let len = there.len().min(buf.len());
        buf[..len].copy_from_slice(&there[..len]);
        Ok(())
    }
}

impl Disk for Memory {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.range(offset, data.len()).copy_from_slice(data);
        Ok(())
    }

    fn zero_at(&mut self, offset: u64, len: u64, _: bool) -> Result<(), IoError> {
        self.range(offset, usize::try_from(len).unwrap()).fill(0);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }
}

/// One image twice: in a file for the guest, in memory for this process.
struct Twins {
    kvm: Kvm,
    path: tempfile::NamedTempFile,
    bytes: Vec<u8>,
    scratch: Vec<u8>,
}

impl Twins {
    fn create(kvm: Kvm, request: &CreateRequest) -> Self {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut twins = Self { kvm, path, bytes: Vec::new(), scratch: vec![0; SCRATCH_LEN] };
        let there = twins.kvm.create(twins.path.as_file(), request).unwrap().result.unwrap();
        let mut memory = Memory::new(Vec::new());
        let here = instar_ops::create(&mut memory, request, &mut twins.scratch).unwrap();
        twins.agree(there, here, memory);
        twins
    }

    /// Resizes both; they are to agree. What the guest took.
    fn resize(&mut self, size: SizeRequest) -> Stats {
        let request = ResizeRequest {
            format: None,
            size,
            shrink: true,
            preallocation: Preallocation::Off,
            identity: Default::default(),
        };
        let finished = self.kvm.resize(self.path.as_file(), &request).unwrap();
        let mut memory = Memory::new(std::mem::take(&mut self.bytes));
        let here = instar_ops::resize(&mut memory, &request, &mut self.scratch).unwrap();
        self.agree(finished.result.unwrap(), here, memory);
        finished.stats
    }

    fn agree(&mut self, there: ResizeOutcome, here: ResizeOutcome, memory: Memory) {
        assert_eq!(there, here);
        self.path.as_file().set_len(there.file_size_after).unwrap();
        self.bytes = memory.finish(&here);
        assert!(content(self.path.path()) == self.bytes, "the images differ: {here:?}");
    }

    fn virtual_size(&self) -> u64 {
        let request = InfoRequest { format: None };
        let info = self.kvm.info(self.path.as_file(), &request).unwrap();
        info.result.unwrap().0.virtual_size
    }
}

fn content(path: &std::path::Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn qcow2(size: u64) -> CreateRequest {
    CreateRequest::new(Format::Qcow2, size)
}

fn life_of_qcow2(kvm: Kvm) {
    let mut twins = Twins::create(kvm, &qcow2(1 << 20));
    for (size, expected) in [
        (SizeRequest::Grow(1 << 30), (1 << 30) + (1 << 20)),
        (SizeRequest::Absolute(1 << 40), 1 << 40),
        (SizeRequest::Absolute(1 << 40), 1 << 40),
        (SizeRequest::Shrink(1 << 39), 1 << 39),
        (SizeRequest::Absolute(1 << 20), 1 << 20),
    ] {
        twins.resize(size);
        assert_eq!(twins.virtual_size(), expected);
    }
}

fn life_of_raw(kvm: Kvm) {
    let request = CreateRequest { format: Format::Raw, ..qcow2(1000) };
    let mut twins = Twins::create(kvm, &request);
    let start = twins.virtual_size();
    twins.resize(SizeRequest::Grow(777));
    assert_eq!(twins.bytes.len() as u64, start + 777);
    twins.resize(SizeRequest::Absolute(1));
    assert_eq!(twins.bytes, [0]);
}

fn many_shapes(kvm: Kvm) {
    drop(kvm);
    // Large clusters with narrow refcounts take this process, unoptimised, seconds.
    for (cluster_bits, refcount_bits) in
        [(9, 1), (9, 64), (10, 2), (12, 8), (16, 4), (16, 64), (18, 32), (21, 64)]
    {
        let qcow2 = Qcow2Options { cluster_bits, refcount_bits, ..Qcow2Options::default() };
        let request = CreateRequest { qcow2, ..CreateRequest::new(Format::Qcow2, 1 << 22) };
        let mut twins = Twins::create(Kvm::open().unwrap(), &request);
        twins.resize(SizeRequest::Absolute(1 << 28));
        twins.resize(SizeRequest::Absolute(1 << 22));
    }
}

/// Spoils the refcounts of the first clusters: two that are too high, then two that are too low.
fn spoil(twins: &mut Twins) {
    let at = |offset: usize| {
        let bytes = twins.bytes[offset..offset + 8].try_into().unwrap();
        usize::try_from(u64::from_be_bytes(bytes)).unwrap()
    };
    // The refcount table's offset is at byte 48 of the header; its first entry is a block's offset.
    let block = at(at(48));
    let entries = [0, 2, 0, 9, 0, 0, 0, 0];
    twins.bytes[block..block + 8].copy_from_slice(&entries);
    twins.path.as_file().write_all_at(&entries, block as u64).unwrap();
}

fn check(kvm: Kvm) {
    let mut twins = Twins::create(kvm, &qcow2(1 << 30));
    for spoilt in [false, true] {
        let request = CheckRequest::default();
        let (mut there, mut here) = (Vec::new(), Vec::new());
        let finished =
            twins.kvm.check(twins.path.as_file(), &request, &mut |finding| there.push(finding)).unwrap();
        let mut memory = Memory::new(twins.bytes.clone());
        let report = instar_ops::check(&mut memory, &request, &mut twins.scratch, &mut |finding| {
            here.push(finding);
        });
        assert_eq!((finished.result, &there), (report, &here));
        assert_eq!(there.is_empty(), !spoilt, "{there:?}");
        assert_eq!(finished.stats.bytes_written, 0);
        spoil(&mut twins);
    }
}

fn refusal(kvm: Kvm) {
    let mut twins = Twins::create(kvm, &qcow2(1 << 20));
    let request = ResizeRequest {
        format: None,
        size: SizeRequest::Shrink(1 << 20),
        shrink: true,
        preallocation: Preallocation::Off,
        identity: Default::default(),
    };
    let finished = twins.kvm.resize(twins.path.as_file(), &request).unwrap();
    assert_eq!(finished.result, Err(OpError::Resize(ResizeError::NewSizeNotPositive)));
    assert_eq!(finished.stats.bytes_written, 0);
    assert!(content(twins.path.path()) == twins.bytes);
    twins.resize(SizeRequest::Grow(512));
}

fn few_exits(kvm: Kvm) {
    let mut twins = Twins::create(kvm, &qcow2(1 << 40));
    let stats = twins.resize(SizeRequest::Absolute(2 << 40));
    assert!(stats.exits < 64, "{stats:?}");
    assert_eq!(stats.guest_memory, 18 << 20);
    assert!(stats.block_requests > 0 && stats.guest_time <= stats.total_time, "{stats:?}");
}

fn side_by_side(kvm: Kvm) {
    drop(kvm);
    let job = || {
        let mut twins = Twins::create(Kvm::open().unwrap(), &qcow2(1 << 30));
        let stats = twins.resize(SizeRequest::Grow(1 << 30));
        assert_eq!(twins.virtual_size(), 2 << 30);
        stats.exits
    };
    let exits: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(job)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(exits.iter().all(|count| *count == exits[0]), "{exits:?}");
}

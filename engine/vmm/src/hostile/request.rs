//! Forged requests to the block device.

use super::script::Bytes;
use super::{Files, LEN, with_files};
use crate::block::{Block, Misuse};
use crate::files;
use crate::image::Image;
use instar_abi::layout::DMA;
use std::cell::RefCell;
use vm_memory::{Bytes as _, GuestAddress, GuestMemoryMmap};

/// Bytes of device memory: room for a queue and a few requests.
const MEMORY: usize = 1 << 16;
/// The first byte that the image may not have.
const LIMIT: u64 = 1 << 20;
/// Most steps of one run.
const MOST_STEPS: usize = 64;

/// Where a step that lays out a request puts it, from the beginning of device memory.
mod at {
    pub const DESCRIPTORS: u64 = 0;
    pub const AVAILABLE: u64 = 0x1000;
    pub const USED: u64 = 0x2000;
    pub const HEADER: u64 = 0x3000;
    pub const STATUS: u64 = 0x3100;
    pub const DATA: u64 = 0x4000;
}

/// Kinds of steps.
mod kind {
    /// Two bytes for a register, four for what is written to it.
    pub const REGISTER: u8 = 0;
    /// Two bytes for a place in memory, one for a length, the bytes.
    pub const MEMORY: u8 = 1;
    /// Two bytes for a register that is read.
    pub const ASK: u8 = 2;
    /// Sets the queue up as the driver does.
    pub const SET_UP: u8 = 3;
    /// Four bytes for the type, eight for the sector, four for the length of the data, one for flags (1: the device writes the
    /// data; 2: no data): one more request.
    pub const REQUEST: u8 = 4;
}

/// virtio-mmio registers (virtio 1.2, section 4.2.2) and what the driver writes to them, low halves of addresses first.
const SETTING_UP: [(u64, u64); 12] = [
    (0x24, 1),
    (0x20, 1),
    (0x70, 11),
    (0x38, 16),
    (0x80, DMA.base + at::DESCRIPTORS),
    (0x84, 0),
    (0x90, DMA.base + at::AVAILABLE),
    (0x94, 0),
    (0xa0, DMA.base + at::USED),
    (0xa4, 0),
    (0x44, 1),
    (0x70, 15),
];
/// The register that announces a request.
const NOTIFY: u64 = 0x50;
/// Flags of a descriptor (virtio 1.2, section 2.7.5).
const NEXT: u64 = 1;
const WRITE: u64 = 2;

thread_local! {
    static DEVICE_MEMORY: RefCell<Option<GuestMemoryMmap>> = const { RefCell::new(None) };
}

/// Drives the block device by what `data` spells out, step by step, until the device calls it misuse. Files stay in their
/// limits, and the file that may only be read as it is.
pub fn request(data: &[u8]) {
    let mut bytes = Bytes(data);
    DEVICE_MEMORY.with_borrow_mut(|memory| {
        let memory = memory.get_or_insert_with(|| {
            GuestMemoryMmap::from_ranges(&[(GuestAddress(DMA.base), MEMORY)]).expect("memory for a device")
        });
        memory.write_slice(&[0; MEMORY], GuestAddress(DMA.base)).expect("memory for a device");
        with_files(|open| drive(&mut bytes, memory, open));
    });
}

fn drive(bytes: &mut Bytes<'_>, memory: &GuestMemoryMmap, open: &Files) {
    let mut files = files::Files::only(Image::new(&open.image, LEN as u64, LIMIT, false));
    files.push(Image::new(&open.behind, LEN as u64, LEN as u64, true));
    let mut device = Device { block: Block::new(files, memory).expect("a queue"), memory, offered: 0 };
    for _ in 0..MOST_STEPS {
        if !matches!(device.step(bytes), Some(Ok(()))) {
            break;
        }
    }
    let len = open.image.metadata().expect("a file in memory").len();
    assert!(len <= LIMIT, "the image has {len} bytes");
    let seen = device.block.files.seen();
    assert!(seen.written_end <= LIMIT, "{seen:?}");
}

struct Device<'a> {
    block: Block<'a>,
    memory: &'a GuestMemoryMmap,
    /// Requests that were laid out.
    offered: u16,
}

impl Device<'_> {
    fn step(&mut self, bytes: &mut Bytes<'_>) -> Option<Result<(), Misuse>> {
        match *bytes.take(1)?.first()? {
            kind::REGISTER => {
                let (register, value) = (bytes.number(2)?, bytes.word()?);
                return Some(self.block.write(register, value));
            }
            kind::MEMORY => {
                let (place, len) = (bytes.number(2)?, bytes.small(1)?);
                self.put(place, bytes.take(len)?);
            }
            kind::ASK => drop(self.block.read(bytes.number(2)?)),
            kind::SET_UP => {
                let write = |(register, value)| self.block.write(register, u32::try_from(value).unwrap_or(0));
                return Some(SETTING_UP.into_iter().try_for_each(write));
            }
            kind::REQUEST => {
                let (kind, sector) = (bytes.word()?, bytes.number(8)?);
                let (len, flags) = (bytes.word()?, bytes.number(1)?);
                self.lay_out(kind, sector, len, flags);
                return Some(self.block.write(NOTIFY, 0));
            }
            _ => return None,
        }
        Some(Ok(()))
    }

    fn put(&self, place: u64, bytes: &[u8]) {
        // What does not fit is not written.
        drop(self.memory.write_slice(bytes, GuestAddress(DMA.base + place)));
    }

    /// Lays out a request as the driver does.
    fn lay_out(&mut self, kind: u32, sector: u64, len: u32, flags: u64) {
        self.put(at::HEADER, &[kind.to_le_bytes(), [0; 4]].concat());
        self.put(at::HEADER + 8, &sector.to_le_bytes());
        let data = (at::DATA, u64::from(len), if flags & 1 == 1 { NEXT | WRITE } else { NEXT }, 2);
        let last = if flags & 2 == 0 { 2 } else { 1 };
        let (head, status) = ((at::HEADER, 16, NEXT, 1), (at::STATUS, 1, WRITE, 0));
        let chain = if last == 2 { [head, data, status] } else { [head, status, status] };
        for (index, (address, len, flags, next)) in (0..).zip(chain) {
            self.put(at::DESCRIPTORS + 16 * index, &(DMA.base + address).to_le_bytes());
            self.put(at::DESCRIPTORS + 16 * index + 8, &(len | flags << 32 | next << 48).to_le_bytes());
        }
        self.offered = self.offered.wrapping_add(1);
        self.put(at::AVAILABLE + 2, &self.offered.to_le_bytes());
    }
}

/// Requests that are good, and some of those that are not.
#[must_use]
pub fn requests() -> Vec<Vec<u8>> {
    let ask = |kind: u32, sector: u64, len: u32, flags: u8| {
        [&[kind::REQUEST][..], &kind.to_le_bytes(), &sector.to_le_bytes(), &len.to_le_bytes(), &[flags]]
            .concat()
    };
    let range = |sector: u64, count: u32| {
        let place = u16::try_from(at::DATA).unwrap_or(0);
        [
            &[kind::MEMORY][..],
            &place.to_le_bytes(),
            &[16],
            &sector.to_le_bytes(),
            &count.to_le_bytes(),
            &[0; 4],
        ]
        .concat()
    };
    let (read, write, flush, zero) = (0, 1, 4, 13);
    let all = |steps: &[Vec<u8>]| [&[kind::SET_UP][..], &steps.concat()].concat();
    vec![
        all(&[ask(read, 0, 4096, 1), ask(write, 4, 512, 0), ask(flush, 0, 0, 2)]),
        all(&[range(2, 8), ask(zero, 0, 16, 0)]),
        all(&[range(0, u32::MAX), ask(zero, 0, 16, 0)]),
        all(&[ask(write, 1 << 54, 512, 0), ask(read, 1 << 54, 512, 1)]),
        all(&[ask(read, (1 << 54) - 1, 1024, 1), ask(write, 2047, 1024, 0)]),
        all(&[ask(read, 0, 1 << 20, 1), ask(read, 0, 100, 1)]),
        [&[kind::ASK, 0, 0, kind::REGISTER, 0x50, 0, 0, 0, 0, 0][..]].concat(),
        all(&[vec![kind::REGISTER, 0x80, 0, 0, 0, 1, 0]]),
    ]
}

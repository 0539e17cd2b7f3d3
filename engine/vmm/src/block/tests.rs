//! The device driven by hand: as its driver does, and as no driver may.

use super::*;
use crate::image::Image;
use instar_abi::layout::DMA;
use std::fs::File;
use std::os::unix::fs::FileExt;
use virtio_bindings::virtio_blk as blk;
use vm_memory::{Bytes, GuestAddress};

/// Where the parts of the queue and of a request lie.
const DESCRIPTORS: u64 = DMA.base;
const AVAILABLE: u64 = DMA.base + 0x1000;
const USED: u64 = DMA.base + 0x2000;
const HEADER: u64 = DMA.base + 0x3000;
const STATUS: u64 = DMA.base + 0x3100;
const DATA: u64 = DMA.base + 0x4000;
/// Descriptor flags (virtio 1.2, section 2.7.5).
const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// Address, length, flags and next of a descriptor.
type Descriptor = (u64, u32, u16, u16);

const HEAD: Descriptor = (HEADER, 16, NEXT, 1);
const TAIL: Descriptor = (STATUS, 1, WRITE, 0);

fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(DMA.base), 1 << 16)]).unwrap()
}

fn file() -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&[7; 1024], 0).unwrap();
    file
}

fn device<'a>(file: &'a File, memory: &'a GuestMemoryMmap) -> Block<'a> {
    Block::new(Files::only(Image::new(file, 1024, 1 << 20, false)), memory).unwrap()
}

fn set(block: &mut Block<'_>, register: u32, value: u32) -> Result<(), Misuse> {
    block.write(u64::from(register), value)
}

/// Writes to registers up to a queue of `size` at these addresses that is ready.
fn set_up(block: &mut Block<'_>, size: u32, [descriptors, available, used]: [u64; 3]) -> Result<(), Misuse> {
    set(block, mmio::VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1)?;
    set(block, mmio::VIRTIO_MMIO_DRIVER_FEATURES, 1)?;
    set(block, mmio::VIRTIO_MMIO_STATUS, 3 | FEATURES_OK)?;
    set(block, mmio::VIRTIO_MMIO_QUEUE_NUM, size)?;
    for (low, address) in [
        (mmio::VIRTIO_MMIO_QUEUE_DESC_LOW, descriptors),
        (mmio::VIRTIO_MMIO_QUEUE_AVAIL_LOW, available),
        (mmio::VIRTIO_MMIO_QUEUE_USED_LOW, used),
    ] {
        set(block, low, half(address, 0))?;
        set(block, low + 4, half(address, 1))?;
    }
    set(block, mmio::VIRTIO_MMIO_QUEUE_READY, 1)?;
    set(block, mmio::VIRTIO_MMIO_STATUS, 3 | FEATURES_OK | DRIVER_OK)
}

fn ready<'a>(file: &'a File, memory: &'a GuestMemoryMmap) -> Block<'a> {
    let mut block = device(file, memory);
    set_up(&mut block, 16, [DESCRIPTORS, AVAILABLE, USED]).unwrap();
    block
}

/// Offers `chain` with `header` as the first request; the status that the device wrote.
fn request(block: &mut Block<'_>, header: (u32, u64), chain: &[Descriptor]) -> Result<u8, Misuse> {
    let memory = block.memory;
    memory.write_obj(header.0, GuestAddress(HEADER)).unwrap();
    memory.write_obj(header.1, GuestAddress(HEADER + 8)).unwrap();
    for (index, (address, len, flags, next)) in (0..).zip(chain) {
        let at = GuestAddress(DESCRIPTORS + 16 * index);
        memory.write_obj(*address, at).unwrap();
        let rest = u64::from(*len) | u64::from(*flags) << 32 | u64::from(*next) << 48;
        memory.write_obj(rest, GuestAddress(at.0 + 8)).unwrap();
    }
    memory.write_obj(1u16, GuestAddress(AVAILABLE + 2)).unwrap();
    memory.write_obj(0xffu8, GuestAddress(STATUS)).unwrap();
    set(block, mmio::VIRTIO_MMIO_QUEUE_NOTIFY, 0)?;
    assert_eq!(memory.read_obj::<u16>(GuestAddress(USED + 2)).unwrap(), 1);
    Ok(memory.read_obj(GuestAddress(STATUS)).unwrap())
}

#[test]
fn reads_writes_zeroes_and_flushes() {
    let (file, memory) = (file(), memory());
    let data = (DATA, 512, NEXT | WRITE, 2);
    assert_eq!(request(&mut ready(&file, &memory), (blk::VIRTIO_BLK_T_IN, 1), &[HEAD, data, TAIL]), Ok(0));
    assert_eq!(memory.read_obj::<[u8; 8]>(GuestAddress(DATA)).unwrap(), [7; 8]);

    memory.write_slice(&[9; 512], GuestAddress(DATA)).unwrap();
    let memory = self::memory();
    let data = (DATA, 512, NEXT, 2);
    assert_eq!(request(&mut ready(&file, &memory), (blk::VIRTIO_BLK_T_OUT, 4), &[HEAD, data, TAIL]), Ok(0));
    assert_eq!(file.metadata().unwrap().len(), 5 * 512);

    let memory = self::memory();
    memory.write_obj(1u64, GuestAddress(DATA + 8)).unwrap();
    let range = (DATA, 16, NEXT, 2);
    let zeroes = (blk::VIRTIO_BLK_T_WRITE_ZEROES, 0);
    assert_eq!(request(&mut ready(&file, &memory), zeroes, &[HEAD, range, TAIL]), Ok(0));
    let mut bytes = [1; 1024];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!((&bytes[..512], &bytes[512..]), (&[0; 512][..], &[7; 512][..]));

    let memory = self::memory();
    let mut block = ready(&file, &memory);
    assert_eq!(request(&mut block, (blk::VIRTIO_BLK_T_FLUSH, 0), &[HEAD, TAIL]), Ok(0));
    assert_eq!((block.requests, block.files.seen().flushes), (1, 1));
}

#[test]
fn a_failure_is_a_status_and_is_remembered() {
    let (file, memory) = (file(), memory());
    let mut block = ready(&file, &memory);
    let chain = [HEAD, (DATA, 512, NEXT, 2), TAIL];
    assert_eq!(request(&mut block, (blk::VIRTIO_BLK_T_OUT, 1 << 20), &chain), Ok(1));
    assert_eq!(block.files.seen().failure.unwrap().errno, libc::EFBIG.unsigned_abs());
}

#[test]
fn requests_of_another_shape_end_the_job() {
    let data: Descriptor = (DATA, 512, NEXT | WRITE, 2);
    let out: Descriptor = (DATA, 512, NEXT, 2);
    let read = blk::VIRTIO_BLK_T_IN;
    let wrong: [(u32, u64, &[Descriptor]); 13] = [
        (read, 0, &[HEAD]),
        (read, 0, &[HEAD, TAIL]),
        (read, 0, &[HEAD, out, TAIL]),
        (read, 0, &[HEAD, data, (DATA, 512, NEXT | WRITE, 3), TAIL]),
        (read, 0, &[(HEADER, 15, NEXT, 1), data, TAIL]),
        (read, 0, &[(HEADER, 16, NEXT | WRITE, 1), data, TAIL]),
        (read, 0, &[HEAD, data, (STATUS, 2, WRITE, 0)]),
        (read, 0, &[HEAD, data, (STATUS, 1, 0, 0)]),
        (read, 0, &[HEAD, (DATA, 511, NEXT | WRITE, 2), TAIL]),
        (read, 0, &[HEAD, (DATA, 512, NEXT | WRITE, 0)]),
        (blk::VIRTIO_BLK_T_OUT, 0, &[HEAD, data, TAIL]),
        (blk::VIRTIO_BLK_T_WRITE_ZEROES, 0, &[HEAD, out, TAIL]),
        (blk::VIRTIO_BLK_T_GET_ID, 0, &[HEAD, data, TAIL]),
    ];
    for (kind, sector, chain) in wrong {
        let (file, memory) = (file(), memory());
        let done = request(&mut ready(&file, &memory), (kind, sector), chain);
        assert!(done.is_err(), "{kind} {sector} {chain:x?} gave {done:?}");
    }
}

#[test]
fn requests_outside_device_memory_end_the_job() {
    let end = DMA.base + (1 << 16);
    for (address, len) in [(0x1000, 512), (DMA.base - 512, 1024), (end - 512, 1024), (u64::MAX - 511, 512)] {
        let (file, memory) = (file(), memory());
        let data = (address, len, NEXT | WRITE, 2);
        let done = request(&mut ready(&file, &memory), (blk::VIRTIO_BLK_T_IN, 0), &[HEAD, data, TAIL]);
        assert!(done.is_err(), "{address:#x} gave {done:?}");
    }
}

#[test]
fn queues_that_cannot_be_end_the_job() {
    let good = [DESCRIPTORS, AVAILABLE, USED];
    let wrong = [
        (16, [0x1000, AVAILABLE, USED]),
        (16, [DESCRIPTORS, 0x2000, USED]),
        (16, [DESCRIPTORS, AVAILABLE, 0x3000]),
        (16, [DESCRIPTORS, AVAILABLE, DMA.base + (1 << 16) - 4]),
        (16, [DESCRIPTORS, AVAILABLE, u64::MAX - 3]),
        (1 << 16, good),
    ];
    for (size, addresses) in wrong {
        let (file, memory) = (file(), memory());
        let done = set_up(&mut device(&file, &memory), size, addresses);
        assert!(done.is_err(), "{size} {addresses:x?}");
    }
}

#[test]
fn an_index_beyond_the_queue_ends_the_job() {
    let (file, memory) = (file(), memory());
    let mut block = ready(&file, &memory);
    memory.write_obj(17u16, GuestAddress(AVAILABLE + 2)).unwrap();
    assert_eq!(set(&mut block, mmio::VIRTIO_MMIO_QUEUE_NOTIFY, 0), Err("a broken queue"));
}

#[test]
fn a_device_that_is_not_set_up_serves_nothing() {
    let (file, memory) = (file(), memory());
    let mut block = device(&file, &memory);
    assert!(set(&mut block, mmio::VIRTIO_MMIO_QUEUE_NOTIFY, 0).is_err());
    assert!(set(&mut block, mmio::VIRTIO_MMIO_STATUS, FEATURES_OK).is_err(), "without VERSION_1");
    assert!(set(&mut block, mmio::VIRTIO_MMIO_QUEUE_SEL, 1).is_err());
    assert!(set(&mut block, 0xfff, 0).is_err());
    assert_eq!(block.read(0xfff), None);
}

#[test]
fn what_is_set_up_stays() {
    let (file, memory) = (file(), memory());
    let mut block = ready(&file, &memory);
    for register in [mmio::VIRTIO_MMIO_QUEUE_NUM, mmio::VIRTIO_MMIO_QUEUE_READY] {
        assert!(set(&mut block, register, 0).is_err());
    }
    assert!(set(&mut block, mmio::VIRTIO_MMIO_STATUS, 0).is_err());
}

#[test]
fn features_say_what_there_is() {
    let (file, memory) = (file(), memory());
    let mut block = Block::new(Files::only(Image::new(&file, 1024, 1 << 42, true)), &memory).unwrap();
    assert_eq!(block.read(0x10), Some(1 << 5 | 1 << 9 | 1 << 14));
    set(&mut block, mmio::VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1).unwrap();
    assert_eq!(block.read(0x10), Some(1));
    set(&mut block, mmio::VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2).unwrap();
    assert_eq!(block.read(0x10), Some(0));
    assert_eq!((block.read(0x100), block.read(0x104)), (Some(0), Some(2)));
}

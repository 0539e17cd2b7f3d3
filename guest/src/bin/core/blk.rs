//! A driver for one virtio block device: one request at a time, each one exit.
//!
//! Section numbers are those of the virtio 1.2 specification.

use core::ptr::with_exposed_provenance_mut as at;
use core::sync::atomic::{AtomicU16, Ordering, fence};
use instar_abi::boot::BootInfo;
use instar_abi::layout::{BLOCK, BOOT_INFO, QUEUE};
use instar_guest::mmio;

/// Registers (4.2.2).
mod register {
    pub const MAGIC: u64 = 0x00;
    pub const VERSION: u64 = 0x04;
    pub const DEVICE_FEATURES: u64 = 0x10;
    pub const DEVICE_FEATURES_SEL: u64 = 0x14;
    pub const DRIVER_FEATURES: u64 = 0x20;
    pub const DRIVER_FEATURES_SEL: u64 = 0x24;
    pub const QUEUE_SEL: u64 = 0x30;
    pub const QUEUE_NUM: u64 = 0x38;
    pub const QUEUE_READY: u64 = 0x44;
    pub const QUEUE_NOTIFY: u64 = 0x50;
    pub const STATUS: u64 = 0x70;
    pub const QUEUE_DESC_LOW: u64 = 0x80;
    pub const QUEUE_DRIVER_LOW: u64 = 0x90;
    pub const QUEUE_DEVICE_LOW: u64 = 0xa0;
}

/// "virt", little-endian (4.2.2).
const MAGIC: u32 = 0x7472_6976;
/// Device status bits (2.1).
const ACKNOWLEDGE: u32 = 1;
const DRIVER: u32 = 2;
const DRIVER_OK: u32 = 4;
const FEATURES_OK: u32 = 8;

/// Feature bits 0 to 31 (5.2.3): FLUSH and WRITE_ZEROES; bits 32 to 63 (6): VERSION_1.
const FEATURES: [u32; 2] = [1 << 9 | 1 << 14, 1];

/// Request types (5.2.6).
const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const WRITE_ZEROES: u32 = 13;

/// Entries of the queue: a request takes three.
const ENTRIES: u16 = 4;
/// Descriptor flags (2.7.5).
const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// A descriptor (2.7.5).
#[repr(C)]
struct Descriptor {
    address: u64,
    len: u32,
    flags: u16,
    next: u16,
}

/// What a request begins with (5.2.6).
#[repr(C)]
struct Header {
    kind: u32,
    reserved: u32,
    sector: u64,
}

/// What WRITE_ZEROES is about (5.2.6).
#[repr(C)]
struct Zeroes {
    sector: u64,
    count: u32,
    flags: u32,
}

/// Where in the queue page the parts lie.
const DESCRIPTORS: usize = QUEUE.address();
const AVAILABLE: usize = QUEUE.address() + 0x100;
const USED: usize = QUEUE.address() + 0x200;
const HEADER: usize = QUEUE.address() + 0x300;
const ZEROES: usize = QUEUE.address() + 0x320;
const STATUS: usize = QUEUE.address() + 0x340;

/// Requests made so far, modulo 2^16, as the rings count them.
static MADE: AtomicU16 = AtomicU16::new(0);

fn set(register: u64, value: u32) {
    // SAFETY: a register of the block device; the queue page is the device's.
    unsafe { mmio::write32(BLOCK.base + register, value) };
}

fn get(register: u64) -> u32 {
    // SAFETY: a register of the block device.
    unsafe { mmio::read32(BLOCK.base + register) }
}

/// Brings the device up (3.1.1) and returns what the host said of it.
pub fn start() -> BootInfo {
    assert!(get(register::MAGIC) == MAGIC && get(register::VERSION) == 2, "no block device");
    set(register::STATUS, ACKNOWLEDGE | DRIVER);
    for (half, wanted) in (0..).zip(FEATURES) {
        set(register::DEVICE_FEATURES_SEL, half);
        assert!(get(register::DEVICE_FEATURES) & wanted == wanted, "features are missing");
        set(register::DRIVER_FEATURES_SEL, half);
        set(register::DRIVER_FEATURES, wanted);
    }
    set(register::STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    assert!(get(register::STATUS) & FEATURES_OK != 0, "features are refused");
    set(register::QUEUE_SEL, 0);
    set(register::QUEUE_NUM, u32::from(ENTRIES));
    for (low, address) in [
        (register::QUEUE_DESC_LOW, DESCRIPTORS),
        (register::QUEUE_DRIVER_LOW, AVAILABLE),
        (register::QUEUE_DEVICE_LOW, USED),
    ] {
        let [lower, upper] = halves(address);
        set(low, lower);
        set(low + 4, upper);
    }
    set(register::QUEUE_READY, 1);
    set(register::STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    boot_info()
}

/// What the host said of the device.
pub fn boot_info() -> BootInfo {
    let page = at::<u8>(BOOT_INFO.address());
    // SAFETY: the page is mapped for reading, and nothing changes it.
    let page = unsafe { core::slice::from_raw_parts(page, BOOT_INFO.size()) };
    BootInfo::parse(page).expect("boot information of another version")
}

/// The lower and the upper 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "each takes its half")]
const fn halves(address: usize) -> [u32; 2] {
    [address as u32, (address >> 32) as u32]
}

/// Bytes of a `T`, one of the small structures here.
#[expect(clippy::cast_possible_truncation, reason = "16 at most")]
const fn bytes<T>() -> u32 {
    size_of::<T>() as u32
}

/// Writes `value` where the device will see it.
fn put<T>(address: usize, value: T) {
    // SAFETY: the callers' addresses lie in the queue page, aligned, each for one type.
    unsafe { at::<T>(address).write_volatile(value) };
}

/// Reads what the device wrote.
fn see<T>(address: usize) -> T {
    // SAFETY: as for `put`; every T used is valid for any bytes.
    unsafe { at::<T>(address).read_volatile() }
}

/// One part of a request.
struct Part {
    address: usize,
    len: u32,
    flags: u16,
}

/// Makes a request of a header, `data` if any, and a status; whether the device did it.
fn request(kind: u32, sector: u64, data: Option<Part>) -> bool {
    put(HEADER, Header { kind, reserved: 0, sector });
    put(STATUS, u8::MAX);
    let header = Part { address: HEADER, len: bytes::<Header>(), flags: 0 };
    let status = Part { address: STATUS, len: 1, flags: WRITE };
    let last = 1 + u16::from(data.is_some());
    for (index, part) in (0..).zip([Some(header), data, Some(status)].into_iter().flatten()) {
        let (flags, next) = if index == last { (part.flags, 0) } else { (part.flags | NEXT, index + 1) };
        let descriptor = Descriptor { address: part.address as u64, len: part.len, flags, next };
        put(DESCRIPTORS + usize::from(index) * size_of::<Descriptor>(), descriptor);
    }
    submit();
    see::<u8>(STATUS) == 0
}

/// Offers the chain from descriptor 0 and waits until the device has used it.
fn submit() {
    let made = MADE.load(Ordering::Relaxed);
    put::<u16>(AVAILABLE + 4 + 2 * usize::from(made % ENTRIES), 0);
    fence(Ordering::SeqCst);
    let made = made.wrapping_add(1);
    MADE.store(made, Ordering::Relaxed);
    put::<u16>(AVAILABLE + 2, made);
    fence(Ordering::SeqCst);
    set(register::QUEUE_NOTIFY, 0);
    while see::<u16>(USED + 2) != made {
        core::hint::spin_loop();
    }
    fence(Ordering::SeqCst);
}

/// Reads `len` bytes from `sector` to `address`.
pub fn read(sector: u64, address: usize, len: u32) -> bool {
    request(IN, sector, Some(Part { address, len, flags: WRITE }))
}

/// Writes `len` bytes at `address` to `sector`.
pub fn write(sector: u64, address: usize, len: u32) -> bool {
    request(OUT, sector, Some(Part { address, len, flags: 0 }))
}

/// Zeroes `count` sectors from `sector`.
pub fn zero(sector: u64, count: u64, unmap: bool) -> bool {
    let (mut sector, mut left) = (sector, count);
    while left != 0 {
        let now = u32::try_from(left).unwrap_or(u32::MAX);
        put(ZEROES, Zeroes { sector, count: now, flags: u32::from(unmap) });
        let part = Part { address: ZEROES, len: bytes::<Zeroes>(), flags: 0 };
        if !request(WRITE_ZEROES, 0, Some(part)) {
            return false;
        }
        (sector, left) = (sector + u64::from(now), left - u64::from(now));
    }
    true
}

/// Makes everything before it durable.
pub fn flush() -> bool {
    request(FLUSH, 0, None)
}

//! A resize that misbehaves as it is asked to: see [`instar_guest::Misdeed`].
#![cfg_attr(target_os = "none", no_std, no_main)]

use core::arch::asm;
use core::hint::black_box;
use core::ptr::with_exposed_provenance_mut as at;
use instar_abi::layout::{BLOCK, CONTROL, CORE, MEMORY_END, OPERATION, QUEUE, SECTOR, Windows, control};
use instar_abi::message::GuestMessage_::Payload;
use instar_guest::{Guest, Misdeed, mmio, operation};
use instar_ops::disk::{Direction, IoError};
use instar_ops::{
    CheckFinding, Disk, Format, OpError, ReadAt, Refusal, ResizeAction, ResizeOutcome, ResizeRequest,
    SizeRequest, wire,
};

/// virtio-mmio registers (virtio 1.2, section 4.2.2).
const QUEUE_NOTIFY: u64 = 0x50;
const QUEUE_DESC_LOW: u64 = 0x80;

fn run(guest: Guest) {
    let request = guest.request(ResizeRequest::from_config);
    let SizeRequest::Absolute(number) = request.size else {
        panic!("not a misdeed");
    };
    let misdeed = Misdeed::from_number(number).expect("a misdeed");
    let (host, files, scratch) = guest.into_files();
    let mut disk = files.disk(0);
    let len = disk.len();
    let honest = ResizeOutcome {
        format: Format::Raw,
        action: if len < number { ResizeAction::Grow } else { ResizeAction::Shrink },
        old_virtual_size: len,
        new_virtual_size: number.next_multiple_of(SECTOR),
        file_size_before: len,
        file_size_after: number,
        preallocate: None,
        data_file_size_after: None,
        extents_after: None,
    };
    let reply = |result: Result<ResizeOutcome, OpError>| {
        host.send_result(Payload::ResizeResult(wire::resize_to_wire(&result)));
    };
    match misdeed {
        Misdeed::Panic => panic!("misbehaving with number {number}"),
        Misdeed::Hang => loop {
            core::hint::spin_loop();
        },
        Misdeed::Chatter => loop {
            host.debug("still here");
        },
        Misdeed::Flood => loop {
            let leak = CheckFinding::Leak { cluster: 1, refcount: 2, references: 1, fixed: false };
            host.send_item(Payload::CheckFinding(wire::finding_to_wire(leak)));
        },
        Misdeed::MalformedResult => host.send_raw(&[0xff; 9]),
        Misdeed::EmptyResult => host.send_raw(&[]),
        Misdeed::ForeignResult => host.send_result(Payload::CheckResult(Default::default())),
        Misdeed::NoResult => {}
        Misdeed::TwoResults => {
            reply(Ok(honest));
            reply(Ok(honest));
        }
        Misdeed::ForeignItem => {
            host.send_item(Payload::Snapshot(Default::default()));
            reply(Ok(honest));
        }
        Misdeed::WriteBeyondCapacity => {
            let _ = disk.write_at(1 << 62, &[1; 512]);
            reply(Ok(honest));
        }
        Misdeed::IgnoreFailedWrite => {
            let _ = disk.write_at(0, &scratch[..1 << 20]);
            reply(Ok(honest));
        }
        Misdeed::ReportFailedWrite => {
            reply(disk.write_at(0, &scratch[..1 << 20]).map(|()| honest).map_err(OpError::Io));
        }
        Misdeed::InventFailure => {
            let error = IoError { direction: Direction::Flush, offset: 0, len: 0, errno: 5 };
            reply(Err(OpError::Io(error)));
        }
        Misdeed::WrongFileSize => reply(Ok(ResizeOutcome { file_size_before: len + 1, ..honest })),
        Misdeed::WrongSize => reply(Ok(ResizeOutcome { file_size_after: number + 1, ..honest })),
        Misdeed::RefuseAfterWrite => {
            let _ = disk.write_at(0, &[1; 512]);
            reply(Err(OpError::Refused(Refusal::NoChecks)));
        }
        Misdeed::ForgetWrite => {
            let _ = disk.write_at(0, &[1; 512]);
            let (format, action) = (Format::Qcow2, ResizeAction::NoOp);
            let (old_virtual_size, new_virtual_size) = (number, number);
            reply(Ok(ResizeOutcome { format, action, old_virtual_size, new_virtual_size, ..honest }));
        }
        Misdeed::WriteBehind => {
            let last = files.count() - 1;
            reply(files.disk(last).write_at(0, &[1; 512]).map(|()| honest).map_err(OpError::Io));
        }
        Misdeed::ReadMissing => {
            let mut bytes = [0; 512];
            let missing = files.disk(files.count()).read_at(0, &mut bytes);
            reply(missing.map(|()| honest).map_err(OpError::Io));
        }
        Misdeed::CrossWindows => {
            ask_device(
                Windows::of(files.count()).sectors() - 1,
                (scratch.as_ptr().addr() as u64, 2 * SECTOR),
            );
            reply(Ok(honest));
        }
        Misdeed::WrongDataFile => {
            reply(Ok(ResizeOutcome { data_file_size_after: Some(number), ..honest }));
        }
        Misdeed::Behave => {
            host.debug("behaving");
            reply(Ok(honest));
        }
        crime => commit(crime, scratch),
    }
}

/// What needs `unsafe`: each is stopped by the processor or by the host.
fn commit(crime: Misdeed, scratch: &mut [u8]) {
    match crime {
        Misdeed::StackOverflow => {
            black_box(deeper(black_box(0)));
        }
        Misdeed::InvalidOpcode => {
            // SAFETY: faults.
            unsafe { asm!("ud2") }
        }
        Misdeed::Privileged => {
            // SAFETY: faults in ring 3.
            unsafe { asm!("cli") }
        }
        Misdeed::NullPointer => {
            // SAFETY: faults: the page is not mapped.
            unsafe { asm!("mov {v:e}, [{a}]", a = in(reg) 8u64, v = out(reg) _) }
        }
        Misdeed::WriteToText => poke(OPERATION.base),
        Misdeed::StrayWrite => poke(MEMORY_END + 0x1000),
        Misdeed::ExecuteData => {
            /// `ret` (Intel SDM volume 2).
            const RET: u8 = 0xc3;
            scratch[0] = RET;
            // SAFETY: faults: the page is not executable.
            unsafe { asm!("call {a}", a = in(reg) scratch.as_ptr()) }
        }
        // SAFETY: stopped by the host, which is what these are for.
        _ => unsafe { abuse(crime) },
    }
}

/// Abuses the devices.
///
/// # Safety
/// The host must not do what is asked of it.
unsafe fn abuse(crime: Misdeed) {
    let write = |register, value| {
        // SAFETY: the caller vouches for the host.
        unsafe { mmio::write32(register, value) }
    };
    match crime {
        Misdeed::StrayRegister => write(CONTROL.base + 0x800, 1),
        Misdeed::LongMessage => write(CONTROL.base + control::SEND, u32::MAX),
        Misdeed::QueueInCode => {
            write(BLOCK.base + QUEUE_DESC_LOW, u32::try_from(CORE.base).unwrap_or(0));
            write(BLOCK.base + QUEUE_NOTIFY, 0);
        }
        // The page tables.
        _ => ask_device(0, (0x1000, SECTOR)),
    }
}

/// Asks the device, as core's driver would as its first request, to read from `sector` to `memory`, an
/// address and a length.
fn ask_device(sector: u64, memory: (u64, u64)) {
    const NEXT_AND_WRITE: u64 = 3 << 32;
    let put = |offset: usize, value: u64| {
        // SAFETY: the queue page is mapped for writing, and only core's driver uses it.
        unsafe { at::<u64>(QUEUE.address() + offset).write_volatile(value) };
    };
    // Header at 0x300 (read), data, status at 0x340: descriptors of address, then length, flags and
    // next.
    put(0x300, 0);
    put(0x308, sector);
    for (index, address, len_flags_next) in [
        (0, QUEUE.base + 0x300, 16 | 1 << 32 | 1 << 48),
        (1, memory.0, memory.1 | NEXT_AND_WRITE | 2 << 48),
        (2, QUEUE.base + 0x340, 1 | 2 << 32),
    ] {
        put(index * 16, address);
        put(index * 16 + 8, len_flags_next);
    }
    // Available ring: flags 0, index 1, ring[0] = descriptor 0.
    put(0x100, 1 << 16);
    // SAFETY: the host does with it what it does with any request.
    unsafe { mmio::write32(BLOCK.base + QUEUE_NOTIFY, 0) };
}

fn poke(address: u64) {
    // SAFETY: faults, or is refused by the host.
    unsafe { asm!("mov dword ptr [{a}], 1", a = in(reg) address) }
}

/// Recurses deeper than any stack is, with a frame that the compiler cannot drop.
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if black_box(depth) == u64::MAX {
        return 0;
    }
    black_box(deeper(black_box(depth + 1)) + frame[1])
}

operation!(run);

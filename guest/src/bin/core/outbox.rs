//! Everything that goes to the host: messages in the mailbox, text, and the end of the job.

use core::ptr::{copy_nonoverlapping, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use instar_abi::layout::{Area, CONTROL, MAILBOX, TEXT, control};
use instar_guest::mmio;

/// Bytes of messages that wait in the mailbox.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Longest length prefix of a message: a varint of 32 bits.
const PREFIX: usize = 5;

/// Tells the host that `len` bytes wait, or to end.
fn tell(register: u64, len: usize) {
    // SAFETY: a control register; what the host reads is in the text area or the mailbox.
    unsafe { mmio::write32(CONTROL.base + register, u32::try_from(len).unwrap_or(u32::MAX)) };
}

/// Copies as much of `bytes` to `area`, `skip` bytes into it, as there is room; says how much.
fn put(area: Area, skip: usize, bytes: &[u8]) -> usize {
    let room = area.size().saturating_sub(skip);
    let len = bytes.len().min(room);
    let to = with_exposed_provenance_mut::<u8>(area.address() + skip);
    // SAFETY: the area is mapped and nothing refers to it; `len` fits.
    unsafe { copy_nonoverlapping(bytes.as_ptr(), to, len) };
    len
}

/// Puts a message behind those that wait.
pub fn add(message: &[u8]) {
    if WAITING.load(Relaxed) + PREFIX + message.len() > MAILBOX.size() {
        flush();
    }
    let (mut at, mut len) = (WAITING.load(Relaxed), message.len());
    loop {
        let more = if len >= 0x80 { 0x80 } else { 0 };
        let [low, ..] = len.to_le_bytes();
        at += put(MAILBOX, at, &[low & 0x7f | more]);
        len >>= 7;
        if more == 0 {
            break;
        }
    }
    at += put(MAILBOX, at, message);
    WAITING.store(at, Relaxed);
}

/// Hands over what waits.
pub fn flush() {
    let len = WAITING.swap(0, Relaxed);
    if len != 0 {
        tell(control::SEND, len);
    }
}

/// Writes to the host's log.
pub fn debug(text: &[u8]) {
    tell(control::DEBUG, put(TEXT, 0, text));
}

/// Ends the job with last words.
pub fn panic(text: &[u8]) -> ! {
    tell(control::PANIC, put(TEXT, 0, text));
    exit()
}

/// Ends the job.
pub fn exit() -> ! {
    loop {
        tell(control::EXIT, 0);
    }
}

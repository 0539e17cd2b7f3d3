//! What the guest says: messages and text, every byte of it hostile.

use crate::error::VmmError;
use crate::memory::Memory;
use instar_abi::layout::{Area, MAILBOX, TEXT};
use instar_abi::message::{GuestMessage, GuestMessage_::Payload};
use instar_abi::micropb::{MessageDecode, PbDecoder};

/// Longest text that is shown, in characters.
const TEXT_SHOWN: usize = 1024;

/// Reads `len` bytes of `area`; refuses more than it has.
fn read(memory: &Memory, area: Area, len: u32) -> Result<Vec<u8>, VmmError> {
    if u64::from(len) > area.len {
        return Err(VmmError::MalformedResult("it is longer than its place in memory"));
    }
    memory.read(area.base, usize::try_from(len).unwrap_or(0))
}

/// Reads `len` bytes of length-delimited messages and hands each to `sink`.
pub fn messages(
    memory: &Memory,
    len: u32,
    sink: &mut dyn FnMut(Payload) -> Result<(), VmmError>,
) -> Result<(), VmmError> {
    let bytes = read(memory, MAILBOX, len)?;
    let mut decoder = PbDecoder::new(bytes.as_slice());
    while decoder.bytes_read() < bytes.len() {
        let mut message = GuestMessage::default();
        let decoded = message.decode_len_delimited(&mut decoder);
        decoded.map_err(|_| VmmError::MalformedResult("it cannot be decoded"))?;
        sink(message.payload.ok_or(VmmError::MalformedResult("it says nothing"))?)?;
    }
    Ok(())
}

/// Reads `len` bytes of text and makes them fit to be shown: one line, no control characters.
pub fn text(memory: &Memory, len: u32) -> Result<String, VmmError> {
    let bytes = read(memory, TEXT, len)?;
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    Ok(String::from_utf8_lossy(&bytes).chars().take(TEXT_SHOWN).map(shown).collect())
}

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

/// Copies `len` bytes of messages out of the mailbox.
pub fn bytes(memory: &Memory, len: u32) -> Result<Vec<u8>, VmmError> {
    read(memory, MAILBOX, len)
}

/// Takes length-delimited messages apart and hands each to `sink`.
pub fn decode(bytes: &[u8], sink: &mut dyn FnMut(Payload) -> Result<(), VmmError>) -> Result<(), VmmError> {
    let mut decoder = PbDecoder::new(bytes);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What `bytes` in the mailbox come to.
    fn read_messages(memory: &Memory, bytes: &[u8]) -> Result<Vec<Payload>, VmmError> {
        memory.write(MAILBOX.base, bytes).unwrap();
        let mut found = Vec::new();
        let sink = &mut |payload| {
            found.push(payload);
            Ok(())
        };
        let copied = super::bytes(memory, u32::try_from(bytes.len()).unwrap())?;
        decode(&copied, sink).map(|()| found)
    }

    /// A finding with its length before it: kind 4, table 3, a 1, b 2, c 3.
    const FINDING: [u8; 14] = [13, 0xb2, 1, 10, 8, 4, 16, 3, 24, 1, 32, 2, 40, 3];

    #[test]
    fn messages_come_one_after_the_other() {
        let memory = Memory::new().unwrap();
        let found = read_messages(&memory, &FINDING.repeat(3)).unwrap();
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|payload| matches!(payload, Payload::CheckFinding(f) if f.c == 3)));
        assert_eq!(read_messages(&memory, &[]).unwrap(), []);
    }

    #[test]
    fn what_is_cut_or_empty_or_too_long_is_refused() {
        let memory = Memory::new().unwrap();
        for len in 1..FINDING.len() {
            assert!(read_messages(&memory, &FINDING[..len]).is_err(), "{len} bytes");
        }
        assert!(read_messages(&memory, &[0]).is_err(), "no payload");
        let too_long = u32::try_from(MAILBOX.len + 1).unwrap();
        assert!(super::bytes(&memory, too_long).is_err() && super::bytes(&memory, u32::MAX).is_err());
    }

    #[test]
    fn any_bytes_come_to_an_end() {
        let memory = Memory::new().unwrap();
        let mut state = 1u64;
        for _ in 0..20_000 {
            let mut bytes = FINDING.repeat(2);
            for _ in 0..3 {
                // Knuth's multiplier: any full-period generator would do.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let [at, value, ..] = state.to_be_bytes();
                let at = usize::from(at) % bytes.len();
                bytes[at] = value;
            }
            let _ = read_messages(&memory, &bytes);
        }
    }

    #[test]
    fn text_is_one_printable_line() {
        let memory = Memory::new().unwrap();
        memory.write(TEXT.base, b"a\x1b[31m\nb\xff").unwrap();
        assert_eq!(text(&memory, 9).unwrap(), "a [31m b\u{fffd}");
        assert!(text(&memory, 4097).is_err());
        memory.write(TEXT.base, &[b'x'; 4096]).unwrap();
        assert_eq!(text(&memory, 4096).unwrap().len(), TEXT_SHOWN);
    }
}

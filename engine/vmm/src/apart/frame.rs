//! What goes through the pipe: a byte for the kind, the length in four bytes (little-endian), the content.

use instar_abi::layout::MAILBOX;
use std::io::{self, Read};

/// Bytes before the content.
const HEAD: usize = 5;

/// One thing that a guest's process says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Messages as they lay in the mailbox.
    Messages(Vec<u8>),
    /// A line for the log.
    Log(Vec<u8>),
    /// The job ended: what it took.
    Ended(Vec<u8>),
    /// It did not: why.
    Failed(Vec<u8>),
}

impl Frame {
    /// It on its way.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, content) = match self {
            Self::Messages(content) => (1, content),
            Self::Log(content) => (2, content),
            Self::Ended(content) => (3, content),
            Self::Failed(content) => (4, content),
        };
        let mut bytes = vec![kind];
        bytes.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(content);
        bytes
    }

    /// The next one; none at the end.
    ///
    /// # Errors
    /// There is no such frame, or the end is in the middle of one.
    pub fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; HEAD];
        if from.read(&mut head[..1])? == 0 {
            return Ok(None);
        }
        from.read_exact(&mut head[1..])?;
        let [kind, len @ ..] = head;
        let len = u32::from_le_bytes(len);
        if u64::from(len) > MAILBOX.len {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut content = vec![0; usize::try_from(len).unwrap_or(0)];
        from.read_exact(&mut content)?;
        match kind {
            1 => Ok(Some(Self::Messages(content))),
            2 => Ok(Some(Self::Log(content))),
            3 => Ok(Some(Self::Ended(content))),
            4 => Ok(Some(Self::Failed(content))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_nothing_else_does() {
        let frames = [Frame::Messages(vec![1, 2]), Frame::Log(Vec::new()), Frame::Failed(vec![9; 300])];
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::to_bytes).collect();
        let mut from = &bytes[..];
        for frame in frames {
            assert_eq!(Frame::read(&mut from).unwrap(), Some(frame));
        }
        assert_eq!(Frame::read(&mut from).unwrap(), None);
        for hostile in
            [&[0, 0, 0, 0, 0][..], &[5, 0, 0, 0, 0], &[1, 0, 0, 0, 0xff], &[1, 2, 0, 0, 0, 7], &[3, 1]]
        {
            assert!(Frame::read(&mut &*hostile).is_err(), "{hostile:?}");
        }
    }
}

//! The two headers ("Headers"): which log is to be replayed. The valid one with the greater sequence
//! number counts, and the other one is what is written next.

use super::{Guid, crc32c, guid};
use crate::ImageError;
use crate::bytes::{le32, le64, put, put_le32, put_le64};
use crate::io::{IoError, ReadAt};

/// The signature that begins the file ("File Type Identifier").
pub const FILE_ID: &[u8; 8] = b"vhdxfile";
/// Where the headers are, in bytes.
pub const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
/// How long a header is, in bytes.
pub const HEADER_LEN: usize = 4096;
/// "head"
const SIGNATURE: u32 = 0x6461_6568;

/// Where the fields stand, in bytes.
mod at {
    pub const CHECKSUM: usize = 4;
    pub const SEQUENCE: usize = 8;
    pub const FILE_WRITE_GUID: usize = 16;
    pub const DATA_WRITE_GUID: usize = 32;
    pub const LOG_GUID: usize = 48;
    pub const VERSIONS: usize = 64;
    pub const LOG_LEN: usize = 68;
    pub const LOG_OFFSET: usize = 72;
}

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// The greater one is the newer one.
    pub sequence: u64,
    /// Changes whenever the file does.
    pub file_write_guid: Guid,
    /// Changes whenever the disk does.
    pub data_write_guid: Guid,
    /// Which entries of the log are to be replayed; zeros for none.
    pub log_guid: Guid,
    /// 0 is the only one there is.
    pub log_version: u16,
    /// Length of the log in bytes.
    pub log_len: u64,
    /// Where the log is, in bytes.
    pub log_offset: u64,
}

impl FileHeader {
    /// The header in these [`HEADER_LEN`] bytes, if it is a valid one of version 1.
    #[must_use]
    pub fn parse(buf: &[u8]) -> Option<Self> {
        let versions = le32(buf, at::VERSIONS);
        let valid = buf.len() == HEADER_LEN
            && le32(buf, 0) == SIGNATURE
            && le32(buf, at::CHECKSUM) == crc32c(buf)
            && versions >> 16 == 1;
        valid.then(|| Self {
            sequence: le64(buf, at::SEQUENCE),
            file_write_guid: guid(buf, at::FILE_WRITE_GUID),
            data_write_guid: guid(buf, at::DATA_WRITE_GUID),
            log_guid: guid(buf, at::LOG_GUID),
            log_version: u16::try_from(versions & 0xffff).unwrap_or(u16::MAX),
            log_len: u64::from(le32(buf, at::LOG_LEN)),
            log_offset: le64(buf, at::LOG_OFFSET),
        })
    }

    /// The header as it stands in the file.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut buf = [0; HEADER_LEN];
        put_le32(&mut buf, 0, SIGNATURE);
        put_le64(&mut buf, at::SEQUENCE, self.sequence);
        put(&mut buf, at::FILE_WRITE_GUID, &self.file_write_guid);
        put(&mut buf, at::DATA_WRITE_GUID, &self.data_write_guid);
        put(&mut buf, at::LOG_GUID, &self.log_guid);
        put_le32(&mut buf, at::VERSIONS, u32::from(self.log_version) | 1 << 16);
        put_le32(&mut buf, at::LOG_LEN, u32::try_from(self.log_len).unwrap_or(u32::MAX));
        put_le64(&mut buf, at::LOG_OFFSET, self.log_offset);
        let crc = crc32c(&buf);
        put_le32(&mut buf, at::CHECKSUM, crc);
        buf
    }
}

/// Reads both headers; `None` for one that is not valid.
///
/// # Errors
/// The device's.
pub fn both_headers<R: ReadAt>(disk: &mut R) -> Result<[Option<FileHeader>; 2], IoError> {
    let mut headers = [None; 2];
    for (header, offset) in headers.iter_mut().zip(HEADERS) {
        let mut buf = [0; HEADER_LEN];
        disk.read_at(offset, &mut buf)?;
        *header = FileHeader::parse(&buf);
    }
    Ok(headers)
}

/// The header that counts, and which of the two it is.
///
/// # Errors
/// [`ImageError::VhdxHeaders`]: none is valid, or two that differ are as new as each other.
pub fn current(headers: &[Option<FileHeader>; 2]) -> Result<(FileHeader, usize), ImageError> {
    match *headers {
        [Some(first), Some(second)] if first.sequence > second.sequence || first == second => Ok((first, 0)),
        [Some(first), Some(second)] if first.sequence == second.sequence => Err(ImageError::VhdxHeaders),
        [_, Some(second)] => Ok((second, 1)),
        [Some(first), None] => Ok((first, 0)),
        [None, None] => Err(ImageError::VhdxHeaders),
    }
}

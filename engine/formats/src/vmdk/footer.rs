//! The end of a stream-optimized extent whose header is at its end, too ("Footer", "Markers").

use super::SparseHeader;
use super::header::{GD_AT_END, HEADER_LEN, MAGIC};
use crate::ImageError;
use crate::bytes::{le32, le64};

/// Bytes at the end of the file: the footer's marker, the footer, the end-of-stream marker.
pub const FOOTER_LEN: usize = 3 * HEADER_LEN;
/// Kinds of markers: the end of the stream.
pub const END_OF_STREAM: u32 = 0;
/// A grain table follows.
pub const GRAIN_TABLE: u32 = 1;
/// A grain directory follows.
pub const GRAIN_DIRECTORY: u32 = 2;
/// The footer follows.
pub const FOOTER: u32 = 3;

/// Reads the header that counts from the last [`FOOTER_LEN`] bytes of a file of `file_len` bytes.
///
/// # Errors
/// [`ImageError::VmdkFooter`]: it is not there; what [`SparseHeader::parse`] finds.
pub fn parse(tail: &[u8], file_len: u64) -> Result<SparseHeader, ImageError> {
    let (marker, rest) = tail.split_at_checked(HEADER_LEN).unwrap_or_default();
    let (footer, end) = rest.split_at_checked(HEADER_LEN).unwrap_or_default();
    let is = |sector: &[u8], kind| le32(sector, 8) == 0 && le32(sector, 12) == kind;
    let good = is(marker, FOOTER) && footer.starts_with(MAGIC) && is(end, END_OF_STREAM) && le64(end, 0) == 0;
    let header = SparseHeader::parse(footer, file_len).map_err(|error| match error {
        ImageError::NotVmdk => ImageError::VmdkFooter,
        other => other,
    })?;
    if good && header.directory != GD_AT_END { Ok(header) } else { Err(ImageError::VmdkFooter) }
}

/// Writes a marker of this kind, for `sectors` that follow it, to a sector of zeros.
pub fn put_marker(sector: &mut [u8], kind: u32, sectors: u64) {
    crate::bytes::put_le64(sector, 0, sectors);
    crate::bytes::put_le32(sector, 12, kind);
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use crate::vmdk::Layout;

    #[test]
    fn the_footer_counts_with_both_markers_only() {
        let header = Layout::new(131_072).header(0x3_0001);
        let mut tail = [0; FOOTER_LEN];
        assert_eq!(parse(&tail, 1 << 20), Err(ImageError::VmdkFooter));
        put_marker(&mut tail, FOOTER, 1);
        header.encode(&mut tail[512..1024]);
        assert_eq!(parse(&tail, 1 << 20), Ok(header));
        for at in [8, 12, 512, 512 + 56, 1024, 1032, 1036] {
            let mut bad = tail;
            bad[at..at + 4].copy_from_slice(&[0xff; 4]);
            bad[at + 4..at + 8].copy_from_slice(if at == 512 + 56 {
                &[0xff; 4]
            } else {
                &tail[at + 4..at + 8]
            });
            assert_eq!(parse(&bad, 1 << 20), Err(ImageError::VmdkFooter), "{at}");
        }
        assert_eq!(parse(&tail[..1000], 1 << 20), Err(ImageError::VmdkFooter));
    }
}

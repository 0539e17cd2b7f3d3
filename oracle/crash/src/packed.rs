//! Compressed clusters as a guest reads them (qcow2.txt, "Compressed Clusters Descriptor"): raw deflate streams, RFC 1951.

use flate2::{Decompress, FlushDecompress};

/// What a compressed cluster of `cluster` bytes holds, whose stream begins the bytes `packed`; none if it is not that.
#[must_use]
pub fn unpack(packed: &[u8], cluster: usize) -> Option<Vec<u8>> {
    let mut plain = vec![0; cluster];
    let mut stream = Decompress::new(false);
    stream.decompress(packed, &mut plain, FlushDecompress::Finish).ok()?;
    (stream.total_out() == cluster as u64).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of one block that is not compressed (RFC 1951, 3.2.4).
    fn stored(bytes: &[u8]) -> Vec<u8> {
        let len = u16::try_from(bytes.len()).expect("short");
        [&[1][..], &len.to_le_bytes(), &(!len).to_le_bytes(), bytes].concat()
    }

    #[test]
    fn whole_clusters_and_nothing_else() {
        let plain: Vec<u8> = (0..=255).cycle().take(4096).collect();
        let mut packed = stored(&plain);
        packed.extend([0xee; 300]);
        assert_eq!(unpack(&packed, 4096), Some(plain), "what is behind the stream is somebody else's");
        assert_eq!(unpack(&packed, 8192), None, "half a cluster");
        assert_eq!(unpack(&packed[..2000], 4096), None, "half a stream");
        assert_eq!(unpack(&[0xff; 600], 4096), None);
    }
}

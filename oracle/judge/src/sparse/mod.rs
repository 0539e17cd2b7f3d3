//! Files with holes: images are often terabytes long and kilobytes large.

mod copy;
mod diff;
mod hash;
mod segments;

pub use copy::copy;
pub use diff::{Range, diff};
pub use hash::fingerprint;
pub use segments::segments;

#[cfg(test)]
mod tests;

/// How many bytes are looked at in one go.
const CHUNK: usize = 64 << 10;

/// Fills `buf` from `offset`, with zeros for what is past the end of the file.
pub(crate) fn read_padded(file: &std::fs::File, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], offset + done as u64)? {
            0 => break,
            n => done += n,
        }
    }
    buf[done..].fill(0);
    Ok(())
}

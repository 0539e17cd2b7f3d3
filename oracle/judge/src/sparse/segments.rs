//! Where a file has data.

use super::Range;
use rustix::fs::{SeekFrom, seek};
use std::fs::File;
use std::io;

/// The ranges of `file` that may hold something other than zeros, in order. A file system that
/// knows no holes answers with one range.
///
/// # Errors
/// What the system says of the seeks.
pub fn segments(file: &File) -> io::Result<Vec<Range>> {
    let len = file.metadata()?.len();
    let mut found = Vec::new();
    let mut at = 0;
    while at < len {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(rustix::io::Errno::NXIO) => break,
            Err(e) => return Err(e.into()),
        };
        let end = seek(file, SeekFrom::Hole(start))?;
        found.push(Range { start, end });
        at = end;
    }
    Ok(found)
}

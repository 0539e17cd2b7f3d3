//! The snapshot table (qcow2.txt, "Snapshots").

use super::header::{Header, be};
use crate::sparse::{Range, read_padded};
use std::fs::File;
use std::io;

/// Bytes of a table entry before its extra data, id and name.
const ENTRY: usize = 40;

/// One internal snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Where its L1 table lies.
    pub l1: Range,
}

/// The snapshots of an image, and where their table lies.
///
/// # Errors
/// The file cannot be read.
pub fn snapshots(file: &File, header: &Header) -> io::Result<(Vec<Snapshot>, Range)> {
    let start = header.get("snapshots_offset");
    let (mut at, mut found) = (start, Vec::new());
    for _ in 0..header.get("nb_snapshots") {
        let mut entry = [0; ENTRY];
        read_padded(file, at, &mut entry)?;
        let number = |from: usize, len: usize| entry.get(from..from + len).map_or(0, be);
        let (id, name, extra) = (number(12, 2), number(14, 2), number(36, 4));
        let mut text = vec![0; usize::try_from(name).unwrap_or(0)];
        read_padded(file, at + ENTRY as u64 + extra + id, &mut text)?;
        let (offset, entries) = (number(0, 8), number(8, 4));
        let l1 = Range { start: offset, end: offset.saturating_add(8 * entries) };
        found.push(Snapshot { name: String::from_utf8_lossy(&text).into_owned(), l1 });
        let len = ENTRY as u64 + extra + id + name;
        at = at.saturating_add(len.next_multiple_of(8));
    }
    Ok((found, Range { start, end: at }))
}

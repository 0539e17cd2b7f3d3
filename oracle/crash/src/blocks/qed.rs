//! QED, after QEMU's `docs/interop/qed_spec.txt`. All integers are little-endian.

use super::{Claims, Piece, Reading, bytes, le};
use crate::image::Image;

/// Bytes of the header's fields.
const HEADER: u64 = 64;
/// Feature bit 1: the image has to be checked before it is used.
const NEED_CHECK: u64 = 1 << 1;
/// Features that are known: a backing file, a check, a backing file that is raw.
const FEATURES: u64 = 7;
/// The cluster of an entry that reads as zeros; 0 is one that has no place.
const ZEROS: u64 = 1;

/// The header, as far as it matters here.
struct Header {
    cluster: u64,
    /// Entries of a table.
    per: u64,
    /// Bytes of a table, and of the header.
    table: u64,
    header: u64,
    l1: u64,
    size: u64,
    asks: bool,
}

impl Header {
    fn read(image: &Image) -> Result<Self, String> {
        let head = bytes(image, 0, HEADER);
        let (cluster, tables) = (le(&head, 4, 4), le(&head, 8, 4));
        let features = le(&head, 16, 8);
        let sane = head.starts_with(b"QED\0")
            && cluster.is_power_of_two()
            && (1 << 12..=1 << 26).contains(&cluster)
            && tables.is_power_of_two()
            && tables <= 16
            && features & !FEATURES == 0;
        if !sane {
            return Err("the header makes no sense".into());
        }
        let table = tables * cluster;
        let header = Self {
            cluster,
            per: table / 8,
            table,
            header: le(&head, 12, 4) * cluster,
            l1: le(&head, 40, 8),
            size: le(&head, 48, 8),
            asks: features & NEED_CHECK != 0,
        };
        let most = u128::from(header.per) * u128::from(header.per) * u128::from(cluster);
        if !header.size.is_multiple_of(512) || u128::from(header.size) > most {
            return Err(format!("a size of {} bytes", header.size));
        }
        Ok(header)
    }

    /// Entries of the table at byte `at` that name a place, by their number.
    fn entries(&self, image: &Image, at: u64) -> Result<Vec<(u64, u64)>, String> {
        let mut found = Vec::new();
        image.words(at, self.table, |number, word| found.push((number, word.swap_bytes())));
        found.retain(|(_, place)| *place != ZEROS);
        match found.iter().find(|(_, place)| !place.is_multiple_of(self.cluster)) {
            Some((number, place)) => Err(format!("entry {number} of a table names byte {place:#x}")),
            None => Ok(found),
        }
    }
}

/// Reads it.
pub fn read(image: &Image) -> Result<Reading, String> {
    let header = Header::read(image)?;
    let mut claims = Claims::default();
    claims.claim(0, header.header, "header");
    claims.claim(header.l1, header.table, "L1 table");
    let mut pieces = Vec::new();
    for (table, at) in header.entries(image, header.l1)? {
        claims.claim(at, header.table, "L2 table");
        for (number, at) in header.entries(image, at)? {
            claims.claim(at, header.cluster, "cluster");
            let guest = (table * header.per + number) * header.cluster;
            if guest < header.size {
                pieces.push(Piece { guest, len: header.cluster.min(header.size - guest), file: 0, at });
            }
        }
    }
    claims.check(image.len().next_multiple_of(header.cluster))?;
    let unfinished = header.asks.then_some("it asks to be checked");
    Ok(Reading { size: header.size, pieces, unfinished, ..Reading::default() })
}

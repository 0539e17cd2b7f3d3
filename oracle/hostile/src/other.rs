//! The fields of QED and LUKS images.

use crate::code::Code;
use crate::field::Field;

/// Fields of a QED image's header: name, first byte, bytes.
const QED: &[(&str, usize, usize)] = &[
    ("qed-magic", 0, 4),
    ("qed-cluster-size", 4, 4),
    ("qed-table-size", 8, 4),
    ("qed-header-size", 12, 4),
    ("qed-features", 16, 8),
    ("qed-compatible", 24, 8),
    ("qed-autoclear", 32, 8),
    ("qed-l1-offset", QED_L1, 8),
    ("qed-size", 48, 8),
    ("qed-backing-offset", 56, 4),
    ("qed-backing-length", 60, 4),
];
/// Where the header says where the L1 table is.
const QED_L1: usize = 40;
/// Entries of a QED table that are looked at.
const QED_ENTRIES: usize = 5;

/// Fields of a LUKS header. The counts of rounds are left as they are: a larger one only takes both programs longer.
const LUKS: &[(&str, usize, usize)] = &[
    ("luks-magic", 0, 4),
    ("luks-version", 6, 2),
    ("luks-cipher", 8, 1),
    ("luks-mode", 40, 1),
    ("luks-hash", 72, 1),
    ("luks-payload", 104, 4),
    ("luks-key-bytes", 108, 4),
    ("luks-digest", 112, 1),
];
/// Fields of a key slot, from its start.
const SLOT: &[(&str, usize, usize)] =
    &[("luks-slot-state", 0, 4), ("luks-slot-offset", 40, 4), ("luks-slot-stripes", 44, 4)];
/// Where the key slots begin, how long each is, and the ones that are looked at: the one in use, the next and the last.
const SLOTS: (usize, usize, [usize; 3]) = (208, 48, [0, 1, 7]);

/// The fields of a QED image.
pub fn qed(bytes: &[u8]) -> Vec<Field> {
    let follow = |at| Code::Little.get(bytes, (at, 8)).and_then(|place| usize::try_from(place).ok());
    let mut fields = all(QED, 0, Code::Little);
    let mut table = |name: &str, start: Option<usize>| {
        let entries = (0..QED_ENTRIES).filter_map(|i| start?.checked_add(8 * i));
        fields.extend(entries.map(|at| Field { name: name.into(), at, width: 8, code: Code::Little }));
    };
    table("qed-l1-entry", follow(QED_L1));
    table("qed-l2-entry", follow(QED_L1).and_then(follow));
    fields
}

/// The fields of a LUKS file.
pub fn luks() -> Vec<Field> {
    let (start, len, looked_at) = SLOTS;
    let slots = looked_at.into_iter().flat_map(|slot| all(SLOT, start + len * slot, Code::Big));
    all(LUKS, 0, Code::Big).into_iter().chain(slots).collect()
}

fn all(list: &[(&str, usize, usize)], base: usize, code: Code) -> Vec<Field> {
    list.iter()
        .map(|(name, at, width)| Field { name: (*name).into(), at: base + at, width: *width, code })
        .collect()
}

//! What may become of an image.

/// A change of an image's bytes.
#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    pub apply: fn(&mut Vec<u8>),
    /// Both sides agree that it is wrong, and count what is wrong differently.
    pub exit_code_only: bool,
}

const COPIED: u64 = 1 << 63;

fn be(b: &[u8], at: usize) -> u64 {
    b[at..at + 8].iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Changes the word at an offset that may depend on the image.
macro_rules! change {
    ($b:ident, $at:expr, |$old:ident| $new:expr) => {{
        let at = $at;
        let $old = be($b, at);
        let new: u64 = $new;
        $b[at..at + 8].copy_from_slice(&new.to_be_bytes());
    }};
}

macro_rules! put {
    ($b:ident, $at:expr, $value:expr) => {
        change!($b, $at, |_old| $value)
    };
}

macro_rules! or {
    ($b:ident, $at:expr, $bits:expr) => {
        change!($b, $at, |old| old | $bits)
    };
}

macro_rules! and {
    ($b:ident, $at:expr, $bits:expr) => {
        change!($b, $at, |old| old & $bits)
    };
}

/// A byte offset as an index; what does not fit is past the end of any image.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// Follows the entry at `at`.
fn follow(b: &[u8], at: usize) -> usize {
    index(be(b, at) & 0x00ff_ffff_ffff_fe00)
}

fn l1(b: &[u8]) -> usize {
    index(be(b, 40))
}

fn l2(b: &[u8]) -> usize {
    follow(b, l1(b))
}

fn reftable(b: &[u8]) -> usize {
    index(be(b, 48))
}

fn refblock(b: &[u8]) -> usize {
    follow(b, reftable(b))
}

fn snapshots(b: &[u8]) -> usize {
    index(be(b, 64))
}

/// The data of the bitmaps extension.
fn bitmaps(b: &[u8]) -> usize {
    b.windows(4).position(|w| w == [0x23, 0x85, 0x28, 0x75]).expect("an image with bitmaps") + 8
}

fn directory(b: &[u8]) -> usize {
    index(be(b, bitmaps(b) + 16))
}

fn bitmap_table(b: &[u8]) -> usize {
    follow(b, directory(b))
}

/// The first compressed entry of the first L2 table.
fn compressed(b: &[u8]) -> usize {
    (l2(b)..).step_by(8).find(|at| be(b, *at) >> 62 == 1).expect("a compressed cluster")
}

fn refcount16(b: &mut [u8], cluster: usize, value: u16) {
    let at = refblock(b) + 2 * cluster;
    b[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

const fn fault(name: &'static str, apply: fn(&mut Vec<u8>)) -> Fault {
    Fault { name, apply, exit_code_only: false }
}

const fn exit(name: &'static str, apply: fn(&mut Vec<u8>)) -> Fault {
    Fault { name, apply, exit_code_only: true }
}

const PLAIN: &[Fault] = &[
    fault("leak", |b| refcount16(b, 20, 2)),
    fault("leak_past_end", |b| refcount16(b, 100, 1)),
    fault("refcount_zero", |b| refcount16(b, 6, 0)),
    fault("refcount_two", |b| refcount16(b, 6, 2)),
    fault("header_refcount_zero", |b| refcount16(b, 0, 0)),
    fault("l2_refcount_zero", |b| refcount16(b, 4, 0)),
    fault("cross_link", |b| put!(b, l2(b), be(b, l2(b) + 8))),
    fault("cross_link_refblock", |b| put!(b, l2(b), COPIED | refblock(b) as u64)),
    fault("cross_link_header", |b| put!(b, l2(b), COPIED | 0x10000)),
    fault("l1_not_copied", |b| and!(b, l1(b), !COPIED)),
    fault("l2_not_copied", |b| and!(b, l2(b), !COPIED)),
    fault("l1_past_end", |b| or!(b, l1(b), 1 << 40)),
    fault("l2_past_end", |b| or!(b, l2(b), 1 << 40)),
    fault("l1_reserved", |b| or!(b, l1(b), 1)),
    fault("l1_reserved_high", |b| or!(b, l1(b), 1 << 60)),
    fault("l2_reserved", |b| or!(b, l2(b), 2)),
    fault("l2_reserved_high", |b| or!(b, l2(b), 1 << 61)),
    fault("l1_unaligned", |b| or!(b, l1(b), 0x200)),
    fault("l2_unaligned", |b| or!(b, l2(b), 0x200)),
    fault("l2_made_compressed", |b| or!(b, l2(b), 1 << 62)),
    fault("l2_zero_flag", |b| or!(b, l2(b), 1)),
    fault("l2_zero_only", |b| put!(b, l2(b), 1)),
    fault("l2_copied_only", |b| put!(b, l2(b), COPIED)),
    fault("l2_gone", |b| put!(b, l1(b), 0)),
    fault("l1_repeats", |b| put!(b, l1(b), COPIED | l1(b) as u64)),
    fault("block_gone", |b| put!(b, reftable(b), 0)),
    fault("block_past_end", |b| put!(b, reftable(b), 1 << 32)),
    exit("block_unaligned", |b| or!(b, reftable(b), 0x200)),
    fault("block_reserved", |b| or!(b, reftable(b), 1)),
    fault("block_twice", |b| put!(b, reftable(b) + 8, be(b, reftable(b)))),
    fault("second_block_past_end", |b| put!(b, reftable(b) + 8, 1 << 32)),
    fault("second_block_unaligned", |b| put!(b, reftable(b) + 8, 0x10200)),
    fault("reftable_past_end", |b| put!(b, 48, 1 << 40)),
    fault("reftable_unaligned", |b| or!(b, 48, 8)),
    fault("l1_table_past_end", |b| put!(b, 40, 1 << 40)),
    fault("truncated", |b| b.truncate(300_000)),
    fault("truncated_on_cluster", |b| b.truncate(0x80000)),
    fault("truncated_before_l1", |b| b.truncate(0x30000)),
    fault("truncated_in_reftable", |b| b.truncate(100_000)),
    fault("truncated_in_header", |b| b.truncate(80)),
    fault("longer", |b| b.resize(b.len() + 3 * 65536 + 100, 0)),
    fault("longer_and_leaking", |b| {
        b.resize(b.len() + 3 * 65536 + 100, 0);
        let last = b.len() / 65536;
        refcount16(b, last, 1);
    }),
    fault("dirty_and_corrupt", |b| or!(b, 72, 3)),
    fault("unknown_feature", |b| or!(b, 72, 1 << 20)),
    fault("encrypted_refcounts", |b| {
        let at = refblock(b);
        b[at..at + 4096].fill(0x5a);
    }),
];

const V2: &[Fault] = &[
    fault("zero_flag", |b| or!(b, l2(b), 1)),
    fault("zero_only", |b| put!(b, l2(b), 1)),
    fault("leak", |b| refcount16(b, 20, 2)),
];

const ONE_BIT: &[Fault] = &[
    fault("cross_link", |b| put!(b, l2(b), be(b, l2(b) + 8))),
    fault("cross_link_thrice", |b| {
        for i in 0..3 {
            put!(b, l2(b) + 8 * i, be(b, l2(b) + 24));
        }
    }),
    fault("leak", |b| {
        let at = refblock(b);
        b[at + 3] |= 0x80;
    }),
    fault("refcount_zero", |b| {
        let at = refblock(b);
        b[at] &= !0x40;
    }),
];

const WIDE: &[Fault] = &[
    fault("leak", |b| {
        let at = refblock(b);
        put!(b, at + 8 * 10, 2);
    }),
    fault("enormous", |b| {
        let at = refblock(b);
        put!(b, at + 8 * 10, u64::MAX);
    }),
    fault("refcount_zero", |b| {
        let at = refblock(b);
        put!(b, at + 8 * 10, 0);
    }),
];

const SMALL: &[Fault] = &[
    fault("l1_past_end", |b| or!(b, l1(b), 1 << 40)),
    fault("second_block_gone", |b| put!(b, reftable(b) + 8, 0)),
    fault("truncated", |b| b.truncate(9000)),
    fault("l2_cross_linked", |b| put!(b, l1(b), be(b, l1(b) + 8))),
];

const COMPRESSED: &[Fault] = &[
    fault("copied", |b| or!(b, compressed(b), COPIED)),
    fault("past_end", |b| or!(b, compressed(b), 1 << 40)),
    fault("longer", |b| or!(b, compressed(b), 0x3f << 56)),
    fault("truncated", |b| b.truncate(0x50400)),
];

const EXTENDED: &[Fault] = &[
    fault("both_bits", |b| or!(b, l2(b) + 8, 1 << 32 | 1)),
    fault("zero_flag", |b| or!(b, l2(b), 1)),
    fault("no_place", |b| put!(b, l2(b), 0)),
    fault("no_bits", |b| put!(b, l2(b) + 8, 0)),
    fault("unaligned", |b| or!(b, l2(b), 0x200)),
    fault("compressed", |b| or!(b, l2(b), 1 << 62)),
    fault("l2_not_copied", |b| and!(b, l2(b), !COPIED)),
];

const SNAPSHOTS: &[Fault] = &[
    fault("l1_unaligned", |b| or!(b, snapshots(b), 0x200)),
    fault("l1_past_end", |b| or!(b, snapshots(b), 1 << 40)),
    fault("l1_too_large", |b| or!(b, snapshots(b) + 8, 0x0100_0000 << 32)),
    fault("extra_too_large", |b| or!(b, snapshots(b) + 32, 0x10000)),
    fault("table_unaligned", |b| or!(b, 64, 8)),
    fault("table_past_end", |b| or!(b, 64, 1 << 40)),
    fault("one_more", |b| b[63] += 1),
    fault("one_less", |b| b[63] -= 1),
    fault("far_too_many", |b| b[61] = 2),
    fault("none", |b| b[63] = 0),
    fault("none_unaligned", |b| {
        b[63] = 0;
        or!(b, 64, 8);
    }),
    fault("extra_missing", |b| {
        // Its id and name are then what was the size of the machine state.
        let at = snapshots(b);
        b[at + 36..at + 40].fill(0);
    }),
    fault("extra_short", |b| {
        let at = snapshots(b);
        b[at + 39] = 8;
    }),
    fault("extra_missing_and_a_leak", |b| {
        let at = snapshots(b);
        b[at + 36..at + 40].fill(0);
        refcount16(b, 7, 9);
    }),
    fault("snapshot_l2_reserved", |b| {
        let l1 = follow(b, snapshots(b));
        or!(b, follow(b, l1), 4);
    }),
    fault("snapshot_l1_reserved", |b| {
        let l1 = follow(b, snapshots(b));
        or!(b, l1, 4);
    }),
];

const BITMAPS: &[Fault] = &[
    fault("directory_past_end", |b| or!(b, bitmaps(b) + 16, 1 << 40)),
    fault("directory_unaligned", |b| or!(b, bitmaps(b) + 16, 0x200)),
    fault("no_bitmaps", |b| {
        let at = bitmaps(b);
        b[at + 3] = 0;
    }),
    fault("one_less", |b| {
        let at = bitmaps(b);
        b[at + 3] = 1;
    }),
    fault("one_more", |b| {
        let at = bitmaps(b);
        b[at + 3] = 3;
    }),
    fault("table_past_end", |b| or!(b, directory(b), 1 << 40)),
    fault("table_unaligned", |b| or!(b, directory(b), 0x200)),
    fault("table_too_large", |b| {
        let at = directory(b);
        b[at + 8] = 1;
    }),
    fault("table_too_long", |b| {
        let at = directory(b);
        b[at + 11] = 2;
    }),
    fault("in_use", |b| {
        let at = directory(b);
        b[at + 15] |= 1;
    }),
    fault("in_use_too_long", |b| {
        let at = directory(b);
        b[at + 15] |= 1;
        b[at + 11] = 2;
    }),
    fault("flags", |b| {
        let at = directory(b);
        b[at + 12] = 1;
    }),
    fault("compatible_flag", |b| {
        let at = directory(b);
        b[at + 15] |= 4;
    }),
    fault("type", |b| {
        let at = directory(b);
        b[at + 16] = 2;
    }),
    fault("granularity", |b| {
        let at = directory(b);
        b[at + 17] = 32;
    }),
    fault("extra_data", |b| {
        let at = directory(b);
        b[at + 23] = 8;
    }),
    fault("entry_unaligned", |b| or!(b, bitmap_table(b), 0x200)),
    fault("entry_reserved", |b| or!(b, bitmap_table(b), 1 << 60)),
    fault("entry_reserved_in_use", |b| {
        or!(b, bitmap_table(b), 1 << 60);
        let at = directory(b);
        b[at + 15] |= 1;
    }),
    fault("entry_ones", |b| put!(b, bitmap_table(b), 1)),
    fault("entry_ones_and_offset", |b| or!(b, bitmap_table(b), 1)),
    fault("entry_past_end", |b| or!(b, bitmap_table(b), 1 << 40)),
    fault("forgotten", |b| b[95] = 0),
];

const DATA_FILE: &[Fault] = &[
    fault("not_copied", |b| and!(b, l2(b) + 8, !COPIED)),
    fault("unaligned", |b| or!(b, l2(b), 0x200)),
    fault("compressed", |b| or!(b, l2(b) + 8, 1 << 62)),
    fault("past_end", |b| or!(b, l2(b), 1 << 40)),
    fault("leak", |b| refcount16(b, 4, 2)),
];

/// The faults that are tried on the image of that name.
pub fn of(image: &str) -> Vec<Fault> {
    match image {
        "plain" => PLAIN,
        "v2" => V2,
        "r1" => ONE_BIT,
        "r64" => WIDE,
        "c512" | "r64_c512" => SMALL,
        "compressed" | "zstd" => COMPRESSED,
        "extended" => EXTENDED,
        "snapshots" | "snapshots_v2" => SNAPSHOTS,
        "bitmaps" => BITMAPS,
        "data_file" => DATA_FILE,
        _ => &[],
    }
    .to_vec()
}

//! Sizes and structures that `qemu-img` 10.0.2 was seen to write.

use super::*;

/// Bytes asked for, and bytes, cylinders, heads and sectors of `qemu-img create -f vpc`.
const CREATED: [(u64, u64, [u32; 3]); 8] = [
    (1 << 20, 1_079_296, [31, 4, 17]),
    (3 << 20, 3_168_256, [91, 4, 17]),
    (64 << 20, 67_125_248, [964, 8, 17]),
    (100 << 20, 104_865_792, [1004, 12, 17]),
    (500 << 20, 524_353_536, [1016, 16, 63]),
    (1 << 30, 1_073_995_776, [2081, 16, 63]),
    (32 << 30, 34_361_303_040, [16449, 16, 255]),
    (127 << 30, 136_365_219_840, [65279, 16, 255]),
];

#[test]
fn geometries_are_those_of_qemu() {
    for (asked, size, [cylinders, heads, sectors]) in CREATED {
        let (geometry, total) = Geometry::at_least(asked / 512);
        assert_eq!(geometry, Geometry { cylinders, heads, sectors }, "{asked}");
        assert_eq!(total * 512, size, "{asked}");
    }
    for exact in [128_u64 << 30, 200 << 30, 2040 << 30] {
        assert_eq!(Geometry::at_least(exact / 512), (Geometry::MAX, exact / 512));
    }
    assert_eq!(Geometry::at_least(1), (Geometry { cylinders: 1, heads: 4, sectors: 17 }, 68));
    assert_eq!(Geometry::at_least(0), (Geometry::default(), 0));
}

#[test]
fn rounding_up_stays_below_a_cylinder_of_the_largest_kind() {
    for step in 0..40_000_u64 {
        let total = step * 6689 + step % 17;
        let (_, got) = Geometry::at_least(total);
        assert!(got >= total && got - total < 16 * 255, "{total} {got}");
    }
}

fn footer(fixed: bool, size: u64) -> Footer {
    Footer::new(fixed, true, [7; 16], 946_684_800 + 5).with_size(size, Geometry::MAX)
}

#[test]
fn which_size_counts() {
    let (geometry, total) = Geometry::at_least(131_072);
    let by_geometry = Footer::new(false, false, [0; 16], 0).with_size(5 << 20, geometry);
    assert_eq!(by_geometry.virtual_size(), total * 512);
    assert_eq!(footer(false, (5 << 20) + 100).virtual_size(), 5 << 20);
    let largest = Footer::new(false, false, [0; 16], 0).with_size(5 << 20, Geometry::MAX);
    assert_eq!(largest.virtual_size(), 5 << 20);
    let small = footer(true, 512);
    assert_eq!(small.current_size(), 512);
    // "Original Size", at byte 40, which libvhdi takes for the size.
    assert_eq!(small.bytes()[40..48], 512_u64.to_be_bytes());
}

#[test]
fn a_bit_anywhere_breaks_the_seal() {
    for at in 0..512 {
        let mut bytes = *footer(false, 1 << 20).bytes();
        assert!(Footer::from(bytes).is_sealed());
        bytes[at] ^= 4;
        assert!(!Footer::from(bytes).is_sealed(), "{at}");
    }
    let mut bytes = *Header::new(1536, 7, BLOCK_SIZE).bytes();
    assert!(Header::from(bytes).is_sealed());
    bytes[1000] = 1;
    assert!(!Header::from(bytes).is_sealed());
}

#[test]
fn the_footer_at_the_end_decides_about_fixed_disks_only() {
    let (dynamic, fixed) = (footer(false, 1 << 20), footer(true, 1 << 20));
    let find = |head: &Footer, tail: &Footer, len| Opening::find(head.bytes(), tail.bytes(), len);
    let nothing = Footer::from([0; 512]);
    assert_eq!(find(&dynamic, &dynamic, 4096), Ok(Opening::Dynamic(dynamic)));
    assert_eq!(find(&dynamic, &nothing, 4096), Ok(Opening::Dynamic(dynamic)), "the copy in front is enough");
    assert_eq!(find(&nothing, &fixed, (1 << 20) + 512), Ok(Opening::Fixed(fixed)));
    assert_eq!(find(&dynamic, &fixed, (1 << 20) + 512), Ok(Opening::Fixed(fixed)), "data like a footer");
    assert_eq!(find(&dynamic, &fixed, 1 << 20), Ok(Opening::Dynamic(dynamic)), "too short for that");
    assert_eq!(find(&nothing, &dynamic, 4096), Err(ImageError::VhdNone));
    assert_eq!(find(&nothing, &nothing, 4096), Err(ImageError::VhdNone));
    let mut bytes = *dynamic.bytes();
    bytes[100] = 1;
    assert_eq!(find(&Footer::from(bytes), &dynamic, 4096), Err(ImageError::VhdChecksum));
    assert_eq!(find(&footer(false, MAX_SIZE + 512), &nothing, 4096), Err(ImageError::VhdTooLarge));
}

#[test]
fn headers_that_qemu_refuses() {
    let open = |table, entries, block_size, len| {
        let header = Header::new(table, entries, block_size);
        Image::dynamic(footer(false, 64 << 20), footer(false, 0), header.bytes(), len)
            .map(|image| image.virtual_size())
    };
    assert_eq!(open(1536, 32, BLOCK_SIZE, 4096), Ok(64 << 20));
    assert_eq!(open(1536, 31, BLOCK_SIZE, 4096), Err(ImageError::VhdTableTooSmall));
    for bytes in [0, 256, 3 << 20] {
        assert_eq!(open(1536, 32, bytes, 4096), Err(ImageError::VhdBlockSize { bytes: u64::from(bytes) }));
    }
    assert_eq!(open(1536, 1 << 30, BLOCK_SIZE, 4096), Err(ImageError::VhdEntries { count: 1 << 30 }));
    assert_eq!(open(1 << 63, 32, BLOCK_SIZE, 4096), Err(ImageError::VhdTable));
    assert_eq!(open(4096, 32, BLOCK_SIZE, 4096), Err(ImageError::VhdPastEnd));
    let none = Image::dynamic(footer(false, 512), footer(false, 0), &[0; 1024], 4096);
    assert_eq!(none, Err(ImageError::VhdHeaderMagic));
    assert_eq!(Header::new(0, 1, 4096).bitmap_len(), 512);
    assert_eq!(Header::new(0, 1, 256 << 20).bitmap_len(), 65536);
}

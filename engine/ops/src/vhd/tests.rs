//! Every damage is found, and what can be repaired is.

extern crate std;

use crate::testing::MemDisk;
use crate::{
    CheckFinding, CheckReport, CheckRequest, CreateRequest, Damage, Disk, Format, Identity, ImageError,
    InfoRequest, OpError, Preallocation, Repair, ResizeAction, ResizeError, ResizeRequest, SCRATCH_LEN,
    SizeRequest, VhdOptions,
};
use instar_formats::vhd::Footer;
use std::vec;
use std::vec::Vec;

/// Bytes of a dynamic image of 10 MiB without its blocks, and of a block.
const EMPTY: usize = 1536 + 512 + 512;
const STRIDE: usize = 512 + (2 << 20);
const TABLE: usize = 1536;

/// Damages an image.
type Spoil<'s> = &'s dyn Fn(&mut MemDisk);

fn created(size: u64, vhd: VhdOptions) -> MemDisk {
    let mut disk = MemDisk::new(0);
    let identity = Identity { random: [0xab; 64], unix_time: 1_000_000_000 };
    let request = CreateRequest { vhd, identity, ..CreateRequest::new(Format::Vhd, size) };
    let outcome = crate::create(&mut disk, &request, &mut vec![0; SCRATCH_LEN]).unwrap();
    disk.bytes.resize(usize::try_from(outcome.file_size_after).unwrap(), 0);
    MemDisk::from(disk.bytes)
}

/// 10 MiB, two blocks of which have a place; the last one is the third.
fn image() -> MemDisk {
    let exact = VhdOptions { fixed: false, force_size: true };
    let mut bytes = created(10 << 20, exact).bytes;
    let trailer = bytes.split_off(EMPTY - 512);
    for block in [0, 2] {
        let sector = u32::try_from(bytes.len() / 512).unwrap();
        bytes[TABLE + 4 * block..TABLE + 4 * block + 4].copy_from_slice(&sector.to_be_bytes());
        bytes.extend([0xff; 512]);
        bytes.extend(vec![7; 2 << 20]);
    }
    bytes.extend(trailer);
    MemDisk::from(bytes)
}

fn check(disk: &mut MemDisk, repair: Repair) -> Result<(CheckReport, Vec<(Damage, bool)>), OpError> {
    let mut found = Vec::new();
    let request = CheckRequest { format: Some(Format::Vhd), repair, ..CheckRequest::default() };
    let report = crate::check(disk, &request, &mut vec![0; SCRATCH_LEN], &mut |finding| match finding {
        CheckFinding::Damage { what, fixed } => found.push((what, fixed)),
        other => panic!("{other:?}"),
    })?;
    Ok((report, found))
}

/// Without the length that it was opened with.
fn again(disk: MemDisk) -> MemDisk {
    MemDisk::from(disk.bytes)
}

fn virtual_size(disk: &mut MemDisk) -> Result<u64, OpError> {
    let request = InfoRequest { format: Some(Format::Vhd) };
    crate::info(disk, &request, &mut vec![0; SCRATCH_LEN], &mut |_| {}).map(|info| info.virtual_size)
}

#[test]
fn a_good_image_is_clean() {
    let (report, found) = check(&mut image(), Repair::Nothing).unwrap();
    assert_eq!(found, []);
    assert_eq!((report.total_clusters, report.allocated_clusters, report.fragmented_clusters), (5, 2, 0));
    assert_eq!(report.image_end_offset, (EMPTY + 2 * STRIDE) as u64);
    for vhd in [VhdOptions::default(), VhdOptions { fixed: true, force_size: false }] {
        let (report, found) = check(&mut created(3 << 20, vhd), Repair::Nothing).unwrap();
        assert_eq!((found, report.corruptions), (Vec::new(), 0));
    }
}

#[test]
fn what_a_repair_repairs() {
    let end = EMPTY + 2 * STRIDE;
    let smaller = {
        let footer = Footer::from(<[u8; 512]>::try_from(&image().bytes[..512]).unwrap());
        *footer.with_size(4 << 20, footer.geometry()).bytes()
    };
    let table: [(Damage, Spoil<'_>); 7] = [
        (Damage::VhdHeadDamaged, &|disk| disk.put(100, &[1])),
        (Damage::VhdHeadDamaged, &|disk| disk.put(0, &[0; 512])),
        (Damage::VhdTrailerChecksum, &|disk| disk.put(end - 400, &[1])),
        (Damage::VhdFootersDiffer, &|disk| disk.put(end - 512, &smaller)),
        (Damage::VhdNoTrailer, &|disk| disk.put(end - 512, &[0; 512])),
        (Damage::VhdHeaderChecksum, &|disk| disk.put(512 + 800, &[1])),
        (Damage::VhdLeftover { offset: end as u64 - 512 }, &|disk| {
            let trailer = disk.bytes.split_off(end - 512);
            disk.bytes.extend([9; 4096]);
            disk.bytes.extend(trailer);
        }),
    ];
    for (damage, spoil) in table {
        let mut disk = image();
        spoil(&mut disk);
        let mut disk = again(disk);
        let before = disk.bytes.clone();
        let (report, found) = check(&mut disk, Repair::Nothing).unwrap();
        assert_eq!(found, [(damage, false)]);
        assert_eq!((report.corruptions, report.leaks), if damage.is_leak() { (0, 1) } else { (1, 0) });
        assert_eq!(disk.bytes, before, "nothing is written");
        let (_, found) = check(&mut disk, Repair::All).unwrap();
        assert_eq!(found, [(damage, true)]);
        let mut disk = again(disk);
        assert_eq!(check(&mut disk, Repair::Nothing).unwrap().1, [], "{damage:?}");
        assert_eq!(virtual_size(&mut disk), Ok(10 << 20));
    }
}

#[test]
fn more_entries_than_blocks() {
    let mut disk = image();
    let header = instar_formats::vhd::Header::new(1536, 9, 2 << 20);
    disk.put(512, header.bytes());
    let (_, found) = check(&mut disk, Repair::All).unwrap();
    assert_eq!(found, [(Damage::VhdEntries { entries: 9, needed: 5 }, true)]);
    assert_eq!(check(&mut disk, Repair::Nothing).unwrap().1, []);
}

#[test]
fn what_nobody_can_repair() {
    let first = u32::try_from((EMPTY - 512) / 512).unwrap();
    let table: [(Damage, Spoil<'_>); 5] = [
        (Damage::VhdPastEnd { block: 4, sector: 9000 }, &|disk| disk.put32(TABLE + 16, 9000)),
        (Damage::VhdOverMetadata { block: 4, sector: 1 }, &|disk| disk.put32(TABLE + 16, 1)),
        (Damage::VhdOverlap { sector: u64::from(first) }, &|disk| disk.put32(TABLE + 16, first)),
        (Damage::VhdOverlap { sector: u64::from(first) + 8 }, &|disk| {
            disk.put32(TABLE + 16, first + 8);
        }),
        (Damage::VhdBitmap { block: 0 }, &|disk| disk.put(EMPTY - 512 + 100, &[0xfe])),
    ];
    for (damage, spoil) in table {
        let mut disk = image();
        spoil(&mut disk);
        let before = disk.bytes.clone();
        for repair in [Repair::Nothing, Repair::All] {
            let (report, found) = check(&mut disk, repair).unwrap();
            assert_eq!(found[0], (damage, false));
            // What reaches over metadata reaches over the first block too.
            let more = usize::from(matches!(damage, Damage::VhdOverMetadata { .. }));
            assert_eq!((found.len(), report.corruptions), (1 + more, 1 + more as u64));
            assert_eq!(disk.bytes, before, "{damage:?}");
        }
    }
}

#[test]
fn sectors_that_a_bitmap_hides_may_be_zero() {
    let mut disk = image();
    disk.put(EMPTY - 512 + 100, &[0xfe]);
    let sector = EMPTY + (100 * 8 + 7) * 512;
    disk.put(sector, &[0; 512]);
    assert_eq!(check(&mut disk, Repair::Nothing).unwrap().1, []);
}

#[test]
fn a_fixed_disk_in_a_longer_file() {
    let mut disk = created(1 << 20, VhdOptions { fixed: true, force_size: true });
    let footer = disk.bytes[1 << 20..].to_vec();
    disk.bytes.resize(3 << 20, 0);
    disk.bytes.extend(footer);
    let mut disk = again(disk);
    let damage = Damage::VhdFixedLength { size: 1 << 20, room: 3 << 20 };
    assert_eq!(check(&mut disk, Repair::Nothing).unwrap().1, [(damage, false)]);
    assert_eq!(check(&mut disk, Repair::All).unwrap().1, [(damage, true)]);
    assert_eq!(check(&mut disk, Repair::Nothing).unwrap().1, []);
    assert_eq!(virtual_size(&mut disk), Ok(3 << 20));
    assert!(disk.bytes[1 << 20..3 << 20].iter().all(|byte| *byte == 0), "the old footer is gone");
}

#[test]
fn a_differencing_image_is_named_and_left_alone() {
    let mut disk = image();
    for at in [0, disk.bytes.len() - 512] {
        let mut footer = <[u8; 512]>::try_from(&disk.bytes[at..at + 512]).unwrap();
        footer[63] = 4;
        let sealed = Footer::from(footer);
        disk.put(at, sealed.with_size(10 << 20, sealed.geometry()).bytes());
    }
    let name: Vec<u8> = "pärent.vhd".encode_utf16().flat_map(u16::to_be_bytes).collect();
    disk.put(512 + 64, &name);
    let request = InfoRequest::default();
    let info = crate::info(&mut disk, &request, &mut vec![0; SCRATCH_LEN], &mut |_| {}).unwrap();
    assert_eq!(core::str::from_utf8(&info.backing_file), Ok("pärent.vhd"));
    assert_eq!(info.backing_format.as_slice(), b"vpc");
    let request = ResizeRequest {
        format: None,
        size: SizeRequest::Grow(1 << 20),
        shrink: false,
        preallocation: Preallocation::Off,
        identity: Identity::default(),
    };
    let refused = crate::resize(&mut disk, &request, &mut vec![0; SCRATCH_LEN]);
    assert_eq!(refused, Err(ResizeError::VhdDifferencing.into()));
}

#[test]
fn sizes_of_new_images() {
    let mut disk = MemDisk::new(0);
    let mut create = |size| {
        let request = CreateRequest::new(Format::Vhd, size);
        crate::create(&mut disk, &request, &mut vec![0; SCRATCH_LEN])
    };
    let outcome = create(1).unwrap();
    assert_eq!((outcome.new_virtual_size, outcome.file_size_after), (34816, 2560));
    assert_eq!(outcome.action, ResizeAction::Grow);
    assert!(create(2040 << 30).is_ok());
    let refused = create((2040 << 30) + 1).unwrap_err();
    assert_eq!(std::format!("{refused}"), "The image size is too large for file format 'vpc'");
    disk.flush().unwrap();
}

#[test]
fn nothing_is_no_image() {
    for len in [0, 100, 511, 512, 4096] {
        let mut disk = MemDisk::new(len);
        assert_eq!(check(&mut disk, Repair::All), Err(ImageError::VhdNone.into()), "{len}");
        assert_eq!(virtual_size(&mut disk), Err(ImageError::VhdNone.into()));
    }
}

//! Plans for images built by hand, and every crash of them.

extern crate std;

mod disk;

use super::*;
use crate::{ReadAt, SCRATCH_LEN, SizeRequest};
use disk::{BLOCK, Disk, Layout, SECTOR, STRIDE, assert_settled, dynamic, footer, read, sector, write};
use instar_formats::vhd::Opening;
use std::vec;
use std::vec::Vec;

/// Bytes of the footer and the header in front.
const FRONT: usize = 1536;

fn open(disk: &mut Disk) -> Image {
    let (mut head, mut tail, len) = ([0; 512], [0; 512], disk.len());
    disk.read_at(0, &mut head).unwrap();
    disk.read_at(len - 512, &mut tail).unwrap();
    match Opening::find(&head, &tail, len).unwrap() {
        Opening::Fixed(footer) => Image::fixed(footer, Footer::from(tail), len),
        Opening::Dynamic(footer) => {
            let mut header = [0; 1024];
            disk.read_at(footer.header_offset(), &mut header).unwrap();
            Image::dynamic(footer, Footer::from(tail), &header, len).unwrap()
        }
    }
}

fn resize(disk: &mut Disk, size: usize, preallocation: Preallocation) -> Result<Plan, PlanError> {
    let request = Request { size: SizeRequest::Absolute(size as u64), shrink: true, preallocation };
    let (image, mut scratch) = (open(disk), vec![0; SCRATCH_LEN]);
    let plan = plan_resize(disk, &image, &request, &mut scratch)?;
    plan.run(disk, &mut scratch)?;
    disk.bytes.resize(usize::try_from(plan.file_size_after).unwrap(), 0);
    disk.len = plan.file_size_after;
    Ok(plan)
}

/// Every state that a crash can leave: of the sectors between two barriers any, in any order.
fn each_crash(before: &Disk, after: &Disk, mut judge: impl FnMut(&[u8])) -> usize {
    let (mut durable, mut states, mut seed) = (before.bytes.clone(), 0, 0x9e37_79b9_7f4a_7c15_u64);
    for epoch in after.log.split(|sector| sector.is_none()) {
        let writes: Vec<_> = epoch.iter().flatten().collect();
        let all = writes.len() <= 6;
        let prefixes = if all { 0 } else { writes.len().min(30) + 1 };
        let subsets = if all { 1 << writes.len() } else { prefixes + 15 };
        for subset in 0..subsets {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let is_in = |i: usize| match subset {
                _ if all => subset & 1 << i != 0,
                prefix if prefix < prefixes => i < prefix * writes.len() / (prefixes - 1),
                _ => seed.rotate_left(u32::try_from(i % 64).unwrap()) & 1 != 0,
            };
            let mut crashed = durable.clone();
            for (_, (at, data)) in writes.iter().enumerate().filter(|(i, _)| is_in(*i)) {
                write(&mut crashed, *at, data);
            }
            judge(&crashed);
            states += 1;
        }
        for (at, data) in writes {
            write(&mut durable, *at, data);
        }
    }
    judge(&after.bytes);
    states + 1
}

/// Resizes, and looks at every crash: the disk has the old or the new size, what is kept is there, what is
/// new is zero; and a resize or a repair after the crash leaves nothing undone.
fn trial(before: &Disk, new: usize, mode: Preallocation) -> (Disk, Plan) {
    let (old_content, mut after) = (read(&before.bytes), before.clone());
    after.log.clear();
    let plan = resize(&mut after, new, mode).unwrap();
    let size = usize::try_from(plan.new_virtual_size).unwrap();
    let kept = old_content.len().min(size);
    let mut again = 0;
    let states = each_crash(before, &after, |bytes| {
        let content = read(bytes);
        assert!(content.len() == old_content.len() || content.len() == size, "{}", content.len());
        assert!(content[..kept] == old_content[..kept], "kept");
        assert!(content.len() <= old_content.len() || content[kept..].iter().all(|b| *b == 0), "new");
        again += 1;
        if again % 5 == 0 {
            let mut retried = Disk::from(bytes.to_vec());
            resize(&mut retried, new, Preallocation::Off).unwrap();
            let content = read(&retried.bytes);
            assert!(content.len() == size && content[..kept] == old_content[..kept], "done again");
            assert!(content[kept..].iter().all(|b| *b == 0) || old_content.len() > size, "zero then");
            // A fixed disk that has the size already stays in the file that it is in.
            if disk::is_dynamic(bytes) || bytes.len() == size + SECTOR {
                assert_settled(&retried.bytes);
            }
        }
    });
    assert!(states > 4, "{states}");
    assert_settled(&after.bytes);
    (after, plan)
}

/// 60 blocks and a part of one, some of them with a place.
fn scattered() -> Disk {
    dynamic(&Layout { size: 60 * BLOCK + 1536, table: FRONT, first: FRONT + 512, order: &[60, 3, 59, 17, 0] })
}

#[test]
fn a_table_grows_in_its_slack() {
    let before = scattered();
    let (after, plan) = trial(&before, 128 * BLOCK, Preallocation::Off);
    assert_eq!(plan.file_size_after, before.len);
    assert_eq!(after.bytes.len(), before.bytes.len());
}

#[test]
fn a_table_moves_to_the_end() {
    let before = scattered();
    let (after, plan) = trial(&before, 129 * BLOCK, Preallocation::Off);
    assert_eq!(plan.file_size_after, before.len + 1024);
    assert_eq!(open(&mut after.clone()).header.unwrap().table_offset(), before.len - 512);
    let (_, plan) = trial(&after, 128 * 500 * BLOCK - 512, Preallocation::Off);
    assert_eq!(plan.file_size_after, after.len + 498 * 512);
}

#[test]
fn a_table_grows_over_the_footer_if_nothing_has_a_place() {
    let before = dynamic(&Layout { size: 60 * BLOCK, table: FRONT, first: 0, order: &[] });
    let (after, plan) = trial(&before, 1000 * BLOCK, Preallocation::Off);
    assert_eq!(open(&mut after.clone()).header.unwrap().table_offset(), FRONT as u64);
    assert_eq!(plan.file_size_after, FRONT as u64 + 4096 + 512);
}

#[test]
fn a_table_grows_into_a_gap_and_behind_the_blocks() {
    let gap = Layout { size: 60 * BLOCK, table: FRONT, first: 8192, order: &[1, 0] };
    let (after, _) = trial(&dynamic(&gap), 1000 * BLOCK, Preallocation::Off);
    assert_eq!(open(&mut after.clone()).header.unwrap().table_offset(), FRONT as u64);
    let behind = Layout { size: 60 * BLOCK, table: 8192 + 2 * STRIDE, first: 8192, order: &[1, 0] };
    let (after, _) = trial(&dynamic(&behind), 1000 * BLOCK, Preallocation::Off);
    assert_eq!(open(&mut after.clone()).header.unwrap().table_offset(), 8192 + 2 * STRIDE as u64);
}

#[test]
fn new_blocks_are_there_and_zero() {
    for (size, blocks) in [(64 * BLOCK, 3), (140 * BLOCK - 512, 79)] {
        for mode in [Preallocation::Metadata, Preallocation::Falloc, Preallocation::Full] {
            let (after, plan) = trial(&scattered(), size, mode);
            let table = table_end(&after) - if size > 128 * BLOCK { 1024 } else { 512 };
            let entries = after.bytes[table..].chunks(4).take(size.div_ceil(BLOCK));
            let placed = entries.filter(|entry| *entry != [0xff; 4]).count();
            assert_eq!((placed, plan.preallocate), (5 + blocks, None), "{mode:?}");
        }
    }
    // A block with the old end in it that had no place.
    let before = dynamic(&Layout { size: 10 * BLOCK + 512, table: FRONT, first: 2048, order: &[1] });
    let (after, _) = trial(&before, 12 * BLOCK, Preallocation::Full);
    assert_eq!(after.bytes.len(), before.bytes.len() + 2 * STRIDE);
}

fn table_end(disk: &Disk) -> usize {
    usize::try_from(open(&mut disk.clone()).header.unwrap().table_end()).unwrap()
}

#[test]
fn blocks_move_together() {
    let order = [60, 3, 59, 17, 0, 44, 9, 58, 1];
    let layout = Layout { size: 60 * BLOCK + 1536, table: FRONT, first: 2048, order: &order };
    let (after, plan) = trial(&dynamic(&layout), 31 * BLOCK + 512, Preallocation::Off);
    assert_eq!(plan.file_size_after, 2048 + 5 * STRIDE as u64 + 512, "five blocks are left, without holes");
    let (grown, _) = trial(&after, 60 * BLOCK, Preallocation::Off);
    assert!(read(&grown.bytes)[31 * BLOCK + 512..].iter().all(|b| *b == 0), "nothing comes back");
}

#[test]
fn a_table_behind_the_blocks_comes_forward() {
    let order = [60, 3, 59, 17, 0];
    let mut layout = Layout { size: 60 * BLOCK + 1536, table: 8192 + 6 * STRIDE, first: 8192, order: &order };
    let (after, plan) = trial(&dynamic(&layout), 31 * BLOCK + 512, Preallocation::Off);
    assert_eq!(open(&mut after.clone()).header.unwrap().table_offset(), FRONT as u64);
    assert_eq!(plan.file_size_after, 8192 + 3 * STRIDE as u64 + 512);
    // No room in front: it lies behind the blocks that are left.
    layout.first = FRONT;
    let (after, plan) = trial(&dynamic(&layout), 31 * BLOCK + 512, Preallocation::Off);
    let blocks_end = (FRONT + 3 * STRIDE) as u64;
    assert_eq!(open(&mut after.clone()).header.unwrap().table_offset(), blocks_end);
    assert_eq!(plan.file_size_after, blocks_end + 512 + 512);
    // Nothing is left of the disk but its table.
    let (_, plan) = trial(&after, 512, Preallocation::Off);
    assert!(plan.file_size_after <= (FRONT + STRIDE + 1024) as u64);
}

#[test]
fn shrinking_takes_what_it_finds() {
    for order in [&[] as &[usize], &[0], &[59], &[99, 0, 99, 99, 1, 2, 40, 99], &[40, 41, 42, 43]] {
        for new in [512, 20 * BLOCK, 41 * BLOCK + 512, 59 * BLOCK] {
            let layout = Layout { size: 60 * BLOCK, table: FRONT, first: 2048, order };
            let (after, _) = trial(&dynamic(&layout), new, Preallocation::Off);
            assert!(after.bytes.len() <= 2048 + order.len() * STRIDE + 512);
        }
    }
}

/// What the trials above are worth: without barriers they fail.
#[test]
fn a_plan_without_barriers_is_caught() {
    let layout = Layout { size: 60 * BLOCK, table: FRONT, first: 2048, order: &[59, 3, 58, 17, 0] };
    for (before, new) in [(scattered(), 129 * BLOCK), (dynamic(&layout), 31 * BLOCK), (fixed(8), 12 * SECTOR)]
    {
        let mut after = before.clone();
        resize(&mut after, new, Preallocation::Off).unwrap();
        after.log.retain(Option::is_some);
        let (old, kept) = (read(&before.bytes), new.min(read(&before.bytes).len()));
        let caught = std::panic::catch_unwind(|| {
            each_crash(&before, &after, |bytes| {
                let content = read(bytes);
                assert!(
                    content[..kept] == old[..kept] && content[kept..].iter().all(|b| *b == 0) || new < kept
                );
            })
        });
        assert!(caught.is_err(), "{new}");
    }
}

fn fixed(sectors: usize) -> Disk {
    let mut bytes: Vec<u8> = (0..sectors).flat_map(sector).collect();
    let end = bytes.len();
    write(&mut bytes, end, &footer(2, sectors * SECTOR));
    Disk::from(bytes)
}

#[test]
fn fixed_disks() {
    for new in [1, 4, 7, 9, 10, 200] {
        let (after, plan) = trial(&fixed(8), new * SECTOR, Preallocation::Off);
        assert_eq!((after.bytes.len(), plan.preallocate), (new * SECTOR + 512, None));
    }
    let (_, plan) = trial(&fixed(8), 20 * SECTOR, Preallocation::Full);
    assert_eq!(plan.preallocate, Some((8 * 512, 12 * 512)));
    let refused = resize(&mut fixed(8), 20 * SECTOR, Preallocation::Metadata);
    assert_eq!(refused, Err(ResizeError::RawPreallocationMetadata.into()));
}

#[test]
fn an_interrupted_resize_of_a_fixed_disk_is_finished() {
    let before = fixed(8);
    let mut after = before.clone();
    resize(&mut after, 20 * SECTOR, Preallocation::Off).unwrap();
    each_crash(&before, &after, |bytes| {
        let mut mended = Disk::from(bytes.to_vec());
        let image = open(&mut mended);
        mend(&mut mended, &image, image.virtual_size()).unwrap();
        assert_settled(&mended.bytes);
        let content = read(&mended.bytes);
        assert_eq!(content[..8 * SECTOR], before.bytes[..8 * SECTOR]);
        assert!(content[8 * SECTOR..].iter().all(|b| *b == 0));
    });
}

#[test]
fn refusals_leave_the_image_alone() {
    use ResizeError as E;
    let refused = |spoil: &dyn Fn(&mut Vec<u8>), size: usize| {
        let mut disk = scattered();
        spoil(&mut disk.bytes);
        let before = disk.bytes.clone();
        let error = resize(&mut disk, size, Preallocation::Off).unwrap_err();
        assert!(before == disk.bytes && disk.log.is_empty());
        error
    };
    let footers = |at: usize, value: u8| {
        move |bytes: &mut Vec<u8>| {
            let mut changed = bytes[..512].to_vec();
            changed[at] = value;
            let sum = !changed
                .iter()
                .enumerate()
                .filter(|(i, _)| !(64..68).contains(i))
                .map(|(_, b)| u32::from(*b))
                .sum::<u32>();
            changed[64..68].copy_from_slice(&sum.to_be_bytes());
            bytes[..512].copy_from_slice(&changed);
        }
    };
    let entry = |block: usize, value: u32| {
        move |bytes: &mut Vec<u8>| write(bytes, FRONT + 4 * block, &value.to_be_bytes())
    };
    assert_eq!(refused(&footers(63, 4), 1 << 20), E::VhdDifferencing.into());
    assert_eq!(refused(&footers(63, 5), 1 << 20), E::VhdDiskType { kind: 5 }.into());
    assert_eq!(refused(&footers(84, 1), 1 << 20), E::VhdSavedState.into());
    assert_eq!(refused(&|_| {}, (2040 << 30) + 512), E::VhdTooLarge.into());
    let image = instar_formats::ImageError::VhdPastEnd;
    assert_eq!(refused(&entry(5, 1000), 1 << 20), image.into());
    for sector in [0, 1, 3] {
        let error = instar_formats::ImageError::VhdBlockOverMetadata { block: 5, sector: u64::from(sector) };
        assert_eq!(refused(&entry(5, sector), 1 << 20), error.into());
    }
    // Where no block is moved, blocks that lie over each other are as they were.
    let double = u32::try_from((FRONT + 512) / 512).unwrap();
    for sector in [double, double + 8, double + 9] {
        let error = refused(&entry(5, sector), BLOCK);
        assert!(matches!(error, PlanError::Image(instar_formats::ImageError::VhdBlocksOverlap { .. })));
    }
    let mut disk = scattered();
    let third = instar_formats::bytes::be32(&disk.bytes, FRONT + 4 * 3);
    entry(5, third)(&mut disk.bytes);
    assert!(resize(&mut disk, 1 << 20, Preallocation::Off).is_ok());
    // But not on the one that the old end is in: its rest is cleared.
    let error = refused(&entry(5, double), 1 << 20);
    assert_eq!(error, instar_formats::ImageError::VhdBlocksOverlap { sector: u64::from(double) }.into());
}

#[test]
fn the_same_size_writes_nothing_unless_something_was_left_undone() {
    let mut disk = scattered();
    resize(&mut disk, 60 * BLOCK + 1536, Preallocation::Off).unwrap();
    assert!(disk.log.is_empty());
    let end = disk.bytes.len();
    write(&mut disk.bytes, end - 512, &footer(3, 7 * BLOCK));
    resize(&mut disk, 60 * BLOCK + 1536, Preallocation::Off).unwrap();
    assert_settled(&disk.bytes);
}

#[test]
fn what_a_guest_wrote_at_the_end_is_no_footer() {
    let mut disk = scattered();
    let end = disk.bytes.len();
    // The last sector of the last block, in a file without a footer behind it.
    disk.bytes.truncate(end - 512);
    write(&mut disk.bytes, end - 1024, &footer(3, 5 * BLOCK));
    disk.len = disk.bytes.len() as u64;
    for new in [61 * BLOCK, BLOCK, 60 * BLOCK + 1536] {
        let mut resized = disk.clone();
        resize(&mut resized, new, Preallocation::Off).unwrap();
        assert_settled(&resized.bytes);
        let data = read(&resized.bytes);
        assert_eq!(data[SECTOR * 7..SECTOR * 8], footer(3, 5 * BLOCK), "{new}");
    }
}

//! Every state that a crash during a repair can leave is no worse than the image was: the guest sees
//! the same, no more clusters in use look free, and another repair ends with a clean image.

use crate::disk::{Disk512, Recorder};
use crate::image::Image;
use crate::{SCRATCH, subsets};
use instar_ops::{CheckFinding, CheckReport, CheckRequest, Disk, ImageError, OpError, Repair, check};

/// What may become of an image of 512-byte clusters with 16-bit refcounts.
type Damage = (&'static str, fn(&mut Vec<u8>));

fn be64(bytes: &[u8], at: usize) -> usize {
    let word = bytes[at..at + 8].iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
    usize::try_from(word & 0x00ff_ffff_ffff_fe00).unwrap()
}

/// The first refcount block.
fn block(bytes: &[u8]) -> usize {
    be64(bytes, be64(bytes, 48))
}

/// The first L2 table.
fn l2(bytes: &[u8]) -> usize {
    be64(bytes, be64(bytes, 40))
}

/// Sets the refcount of the cluster of the first L2 entry.
fn data_refcount(bytes: &mut [u8], value: u8) {
    let (block, cluster) = (block(bytes), be64(bytes, l2(bytes)) / 512);
    bytes[block + 2 * cluster + 1] = value;
}

const DAMAGE: &[Damage] = &[
    ("a leak", |b| data_refcount(b, 5)),
    ("a used cluster that is free", |b| data_refcount(b, 0)),
    ("no block", |b| {
        let table = be64(b, 48);
        b[table..table + 8].fill(0);
    }),
    ("a block that is a table", |b| {
        let (table, l1) = (be64(b, 48), be64(b, 40) as u64);
        b[table..table + 8].copy_from_slice(&l1.to_be_bytes());
    }),
    ("flags", |b| {
        let at = l2(b);
        b[at] ^= 0x80;
    }),
    ("a dirty bit, leaks and a free cluster", |b| {
        data_refcount(b, 0);
        let block = block(b);
        b[block + 1] = 3;
        b[79] |= 1;
    }),
];

fn repair(disk: &mut impl Disk) -> Result<CheckReport, OpError> {
    let request = CheckRequest { repair: Repair::All, ..CheckRequest::default() };
    SCRATCH.with_borrow_mut(|scratch| check(disk, &request, scratch, &mut |_| {}))
}

fn clean(report: &CheckReport) -> bool {
    (report.check_errors, report.corruptions, report.leaks) == (0, 0, 0)
}

/// Clusters that are in use and whose refcount says less.
fn unprotected(state: &[u8]) -> usize {
    let mut count = 0;
    let mut disk = Disk512::new(state.to_vec());
    let mut keep =
        |finding| count += usize::from(matches!(finding, CheckFinding::Refcount { fixed: false, .. }));
    let plain =
        SCRATCH.with_borrow_mut(|scratch| check(&mut disk, &CheckRequest::default(), scratch, &mut keep));
    if plain == Err(OpError::Image(ImageError::SnapshotExtra { entry: 0 })) {
        // Nothing is counted then, but by a repair, which tells what it finds before it repairs that.
        let request = CheckRequest { repair: Repair::All, ..CheckRequest::default() };
        SCRATCH.with_borrow_mut(|scratch| check(&mut disk, &request, scratch, &mut keep)).unwrap();
    } else {
        plain.unwrap();
    }
    count
}

/// Judges the states of one repair: how many there were, or what is wrong with the first bad one.
fn crash(image: &Image, damage: &Damage, barriers: bool) -> Result<usize, String> {
    let mut bytes = image.bytes.clone();
    (damage.1)(&mut bytes);
    let before = unprotected(&bytes);
    let mut recorder = Recorder::new(bytes.clone(), barriers);
    let report = repair(&mut recorder).map_err(|e| e.to_string())?;
    assert!(clean(&report) && report.corruptions_fixed + report.leaks_fixed > 0, "{}: {report:?}", damage.0);
    let (mut states, mut durable) = (0, bytes);
    for interval in recorder.intervals() {
        for state in subsets(&durable, interval) {
            judge(image, &state).map_err(|e| format!("{}: {e}", damage.0))?;
            let now = unprotected(&state);
            if now > before {
                return Err(format!("{}: {now} clusters look free, {before} did", damage.0));
            }
            states += 1;
        }
        interval.iter().for_each(|change| change.apply(&mut durable));
    }
    judge(image, &durable)?;
    Ok(states)
}

fn judge(image: &Image, state: &[u8]) -> Result<(), String> {
    image.check_data(state, image.size)?;
    let mut again = Disk512::new(state.to_vec());
    let report = repair(&mut again).map_err(|e| e.to_string())?;
    if !clean(&report) {
        return Err(format!("another repair leaves {report:?}"));
    }
    image.check_data(&again.bytes, image.size)
}

fn images() -> [Image; 2] {
    let scattered: Vec<u64> = (0..40).map(|i| i * 5).collect();
    let dense: Vec<u64> = (0..200).collect();
    [Image::new(9, 16, 3, 100 << 10, &scattered), Image::new(9, 16, 3, 100 << 10, &dense)]
}

/// An image with two snapshots, the first of which has no extra data, and one whose first has too much of it.
fn broken_tables() -> [Image; 2] {
    [vec![], vec![0xee; 1032]].map(|extra| {
        let [mut image, _] = images();
        for _ in 0..2 {
            image.snapshot();
        }
        let from = usize::try_from(u64::from_be_bytes(image.bytes[64..72].try_into().unwrap())).unwrap();
        let (first, second) = image.bytes[from..from + 128].split_at(64);
        let mut table = first[..36].to_vec();
        table.extend(u32::try_from(extra.len()).unwrap().to_be_bytes());
        let mut with_size = extra.clone();
        if let Some(size) = with_size.get_mut(8..16) {
            size.copy_from_slice(&image.size.to_be_bytes());
        }
        table.extend([&with_size, &first[56..64], second].concat());
        let old = from as u64;
        let starts: Vec<u64> = table.chunks(512).map(|_| image.allocate()).collect();
        assert!(starts.windows(2).all(|pair| pair[1] == pair[0] + 512), "a table is one run");
        image.put(starts[0], &table);
        image.put64(64, starts[0]);
        image.count(old, -1);
        image
    })
}

#[test]
fn every_crash_state_of_a_repair_can_be_repaired() {
    let states: usize = images()
        .iter()
        .flat_map(|image| DAMAGE.iter().map(|damage| crash(image, damage, true).unwrap()))
        .sum();
    assert!(states > 100, "only {states} states were judged");
    let damage: Damage = ("a snapshot table", |_| {});
    let states = broken_tables().map(|image| crash(&image, &damage, true).unwrap());
    assert!(states.iter().all(|states| *states > 10), "only {states:?} states were judged");
}

/// The judge is no rubber stamp: with every barrier gone, the header may name new structures before they are
/// there.
#[test]
fn without_barriers_a_repair_goes_bad() {
    let bad = |image: &Image| DAMAGE.iter().filter(|damage| crash(image, damage, false).is_err()).count();
    assert!(images().iter().all(|image| bad(image) > 0));
    let damage: Damage = ("a snapshot table", |_| {});
    assert!(broken_tables().iter().all(|image| crash(image, &damage, false).is_err()));
}

#[test]
fn a_state_that_reads_other_data_is_bad() {
    let [image, _] = images();
    let mut bytes = image.bytes.clone();
    let at = be64(&bytes, l2(&bytes));
    bytes[at] ^= 1;
    assert!(judge(&image, &bytes).is_err());
}

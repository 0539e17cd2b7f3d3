//! Images in memory, resized, crashed and opened again.

extern crate std;

mod disk;
mod hostile;
mod image;

use super::create::Options;
use super::*;
use crate::SizeRequest;
use disk::{Change, Disk};
use image::Subject;
use instar_formats::vhdx::{BAT, METADATA, Region, crc32c, encode_region_table};
use std::cell::RefCell;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

std::thread_local! {
    /// One buffer for all: clearing it for each of thousands of states would be the whole test.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0xa5; SCRATCH_LEN]);
}

const fn request(size: u64, preallocation: Preallocation) -> Request {
    Request { size: SizeRequest::Absolute(size), shrink: true, preallocation }
}

const DYNAMIC: Options = Options { block_size: MIB, log_len: MIB, fixed: false, zero_blocks: true };
/// Preallocated as QEMU does it: the file ends with the disk.
const FIXED: Options = Options { block_size: 4 * MIB, log_len: 2 * MIB, fixed: true, zero_blocks: false };
/// The default of QEMU's: room that nothing names.
const HOLLOW: Options = Options { fixed: true, zero_blocks: true, ..FIXED };
const G: u64 = 1 << 30;

/// A resize, and what there was before.
struct Scenario {
    name: &'static str,
    subject: Subject,
    to: u64,
    preallocation: Preallocation,
}

fn scenario(
    name: &'static str,
    options: &Options,
    (from, to): (u64, u64),
    blocks: &[(u64, u64)],
) -> Scenario {
    let mut subject = Subject::new(from, options);
    blocks.iter().for_each(|(block, gap)| subject.write(*block, *gap));
    Scenario { name, subject, to, preallocation: Preallocation::Off }
}

fn scenarios() -> Vec<Scenario> {
    let few: &[(u64, u64)] = &[(3, 0), (0, 2), (9, 1)];
    let many: Vec<(u64, u64)> = (0..10).map(|block| ((block * 7) % 10, block % 2)).collect();
    let odd = 10 * MIB - 3 * 512;
    let mut all = vec![
        scenario("in slack", &DYNAMIC, (odd, 70 * MIB), few),
        scenario("in the last block", &DYNAMIC, (odd, 10 * MIB), few),
        scenario("relocated", &DYNAMIC, (odd, 130 * G), few),
        scenario("beyond a chunk", &DYNAMIC, (5 * G, 9 * G), &[(4095, 0), (4096, 0), (4097, 1)]),
        scenario("fixed", &FIXED, (odd, 50 * MIB + 512), &[(0, 0), (2, 0)]),
        scenario("fixed, relocated", &FIXED, (odd, 513 * G), &[(0, 0), (2, 0)]),
        scenario("hollow", &HOLLOW, (odd, 50 * MIB), &[(1, 0)]),
        scenario("shrunk", &DYNAMIC, (odd, 4 * MIB - 512), &many),
        scenario("shrunk to a sector", &DYNAMIC, (odd, 512), &many),
        scenario(
            "shrunk beyond a chunk",
            &DYNAMIC,
            (9 * G, 4 * G + 512),
            &[(5000, 0), (0, 0), (4096, 3), (4095, 0)],
        ),
        scenario("shrunk, fixed", &FIXED, (50 * MIB, odd), &[(0, 0), (2, 0), (12, 0)]),
        scenario("shrunk, hollow", &HOLLOW, (50 * MIB, odd), &[(12, 0), (0, 0)]),
        scenario("shrunk, hollow and empty", &HOLLOW, (50 * MIB, odd), &[]),
        scenario("the same", &DYNAMIC, (odd, odd), few),
    ];
    for s in &mut all[..3] {
        s.subject.litter();
    }
    for (preallocation, to) in [(Preallocation::Metadata, 40 * MIB), (Preallocation::Full, 129 * G)] {
        let mut preallocated = scenario("preallocated", &DYNAMIC, (odd, to), &[(0, 0)]);
        preallocated.preallocation = preallocation;
        all.push(preallocated);
    }
    // What was relocated comes back to where there is room.
    let mut back = scenario("and back", &DYNAMIC, (10 * MIB, 10 * MIB), few);
    back.subject.resize(130 * G, Preallocation::Off).unwrap();
    (back.subject.size, back.subject.disk) = (130 * G, back.subject.disk.forgetful());
    back.subject.write(11, 3);
    all.push(back);
    all
}

/// Judges what a crash of the resize can leave. Returns how many states there were.
fn crash(scenario: &Scenario, barriers: bool) -> Result<usize, String> {
    let mut before = scenario.subject.clone();
    before.judge(&[before.size]).expect("good to begin with");
    let mut run = scenario.subject.clone();
    run.disk.barriers = barriers;
    run.resize(scenario.to, scenario.preallocation)?;
    let sizes = [before.size, scenario.to];
    let (mut durable, mut states) = (before.disk.forgetful(), 0);
    for interval in &run.disk.intervals {
        for state in subsets(&durable, interval) {
            let mut subject = Subject { disk: state, ..before.clone() };
            subject.judge(&sizes)?;
            subject.resize(scenario.to, Preallocation::Off)?;
            subject.judge(&[scenario.to]).map_err(|e| std::format!("resized again: {e}"))?;
            states += 1;
        }
        interval.iter().for_each(|change| durable.apply_change(change));
    }
    run.judge(&[scenario.to]).map_err(|e| std::format!("in the end: {e}"))?;
    Ok(states)
}

/// What may be on the disk when an interval is on its way: any part of it, and any write of it in part.
fn subsets(durable: &Disk, interval: &[Change]) -> Vec<Disk> {
    let mut states = Vec::new();
    let n = interval.len();
    let masks: Vec<u64> = if n <= 5 {
        (0..1 << n).collect()
    } else {
        let all = (1 << n.min(63)) - 1;
        let prefixes = (0..=n.min(63)).map(|i| (1_u64 << i) - 1);
        prefixes.chain((0..n.min(63)).flat_map(|i| [1 << i, all & !(1 << i)])).collect()
    };
    for mask in masks {
        let mut state = durable.forgetful();
        let chosen = interval.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
        chosen.for_each(|(_, change)| state.apply_change(change));
        states.push(state);
    }
    for (at, change) in interval.iter().enumerate() {
        for part in change.torn() {
            let mut state = durable.forgetful();
            interval[..at].iter().for_each(|change| state.apply_change(change));
            state.apply_change(&part);
            states.push(state);
        }
    }
    states
}

#[test]
fn every_crash_state_is_the_old_or_the_new_disk() {
    let mut states = 0;
    for scenario in scenarios() {
        states += crash(&scenario, true).unwrap_or_else(|e| panic!("{}: {e}", scenario.name));
    }
    assert!(states > 300, "only {states} states were judged");
}

/// The judge is no rubber stamp.
#[test]
fn without_barriers_states_go_bad() {
    let all = scenarios();
    let bad = all.iter().filter(|scenario| crash(scenario, false).is_err()).count();
    assert!(bad > all.len() / 2, "only {bad} of {} resizes had a bad state", all.len());
}

#[test]
fn files_are_as_long_as_they_need_to_be() {
    for mut scenario in scenarios() {
        scenario.subject.resize(scenario.to, scenario.preallocation).unwrap();
        let mib = scenario.subject.disk.end.div_ceil(MIB);
        let wanted = match scenario.name {
            "shrunk" => 4 + 4,
            "shrunk to a sector" => 4 + 1,
            "shrunk, fixed" => 5 + 3 * 4,
            "and back" => 4 + 3,
            _ => continue,
        };
        assert_eq!(mib, wanted, "{}", scenario.name);
    }
}

#[test]
fn what_is_refused_is_not_touched() {
    use ResizeError as E;
    let plan = |spoil: &dyn Fn(&mut Subject), size| {
        let mut subject = Subject::new(10 * MIB, &DYNAMIC);
        (0..3).for_each(|block| subject.write(block, 0));
        spoil(&mut subject);
        let answer = subject.resize(size, Preallocation::Off);
        assert!(answer.is_ok() || subject.disk.intervals.iter().all(Vec::is_empty));
        answer
    };
    let refused = |e: E| Err(e.to_string());
    let entry = |number: usize, value: u64| {
        move |s: &mut Subject| {
            let at = s.image().entry_at(number as u64);
            s.disk.put(at, &value.to_le_bytes());
        }
    };
    assert_eq!(plan(&|_| {}, 20 * MIB), Ok(()));
    assert_eq!(plan(&|_| {}, (64 << 40) + 512), refused(E::VhdxTooLarge));
    assert_eq!(plan(&|_| {}, 20 * MIB + 1), refused(E::VhdxSectors { bytes: 512 }));
    let invalid = || refused(E::VhdxBlocks { count: 1 });
    for value in [4, 5, 7, 6, MIB + 6, (1 << 40) + 6, (u64::MAX << 20) + 6, 8, 8 * MIB + 6] {
        assert_eq!(plan(&entry(5, value), 20 * MIB), invalid(), "{value:#x}");
        assert_eq!(plan(&entry(5, value), 5 * MIB), invalid(), "{value:#x}");
    }
    let other = |s: &mut Subject| s.disk.put(REGION_TABLES[1] + 60_000, &[1]);
    assert_eq!(plan(&other, 20 * MIB), refused(E::VhdxRegionTables));
}

/// Chunks are eight times as long, and sizes are whole sectors.
#[test]
fn large_sectors() {
    let mut subject = Subject::new(10 * MIB, &DYNAMIC);
    let items = subject.image().metadata_region.offset + (64 << 10);
    // The logical sector size is the fourth item, behind 8, 8 and 16 bytes.
    subject.disk.put(items + 32, &4096_u32.to_le_bytes());
    subject.disk = subject.disk.forgetful();
    (0..10).for_each(|block| subject.write(block, block % 3));
    let refused = subject.resize(20 * MIB + 512, Preallocation::Off);
    assert_eq!(refused, Err(ResizeError::VhdxSectors { bytes: 4096 }.to_string()));
    for to in [100 * G, 200 * G, 3 * MIB + 4096] {
        subject.disk = subject.disk.forgetful();
        let scenario = Scenario { name: "", subject: subject.clone(), to, preallocation: Preallocation::Off };
        crash(&scenario, true).unwrap();
    }
    subject.resize(200 * G, Preallocation::Off).unwrap();
    subject.judge(&[200 * G]).unwrap();
    (subject.size, subject.disk) = (200 * G, subject.disk.forgetful());
    [32767, 32768, 32769].into_iter().for_each(|block| subject.write(block, 0));
    subject.resize(32 * G + MIB, Preallocation::Off).unwrap();
    subject.judge(&[32 * G + MIB]).unwrap();
    assert!(subject.data.contains_key(&(32 * G)));
}

/// A region that nobody knows stays where it is, among blocks that move.
#[test]
fn unknown_regions_stay() {
    let mut subject = Subject::new(10 * MIB, &DYNAMIC);
    (0..3).for_each(|block| subject.write(block, 4));
    let region = Region { offset: subject.disk.end, len: 2 * MIB };
    let image = subject.image();
    let mut table = vec![0; 64 << 10];
    let all = [(BAT, image.bat), (METADATA, image.metadata_region), ([9; 16], region)];
    encode_region_table(&all, &mut table);
    // Not required.
    table[16 + 2 * 32 + 28] = 0;
    let crc = crc32c(&table);
    table[4..8].copy_from_slice(&crc.to_le_bytes());
    REGION_TABLES.iter().for_each(|offset| subject.disk.put(*offset, &table));
    (0..2 * MIB).step_by(4096).for_each(|at| subject.disk.put(region.offset + at, &[0xc3]));
    (3..10).for_each(|block| subject.write(block, 0));
    for to in [5 * MIB, 200 * G, MIB] {
        subject.disk = subject.disk.forgetful();
        subject.resize(to, Preallocation::Off).unwrap();
        subject.judge(&[to]).unwrap();
        subject.size = to;
        subject.data.retain(|offset, _| *offset < to);
        assert_eq!(subject.image().table.regions()[2], ([9; 16], region));
        for at in (0..2 * MIB).step_by(4096) {
            assert_eq!(subject.disk.byte(region.offset + at), 0xc3, "{to}");
        }
    }
    assert_eq!(subject.disk.end, region.end());
}

/// More blocks move than the log takes at once, each with its entry in another sector of the BAT.
#[test]
fn many_blocks_move() {
    let mut subject = Subject::new(300 * G, &DYNAMIC);
    (0..600).for_each(|block| subject.write(block * 512, 1));
    let to = 599 * 512 * MIB + 512;
    subject.disk.forgets = true;
    subject.resize(to, Preallocation::Off).unwrap();
    // Log, a BAT of 3 MiB and metadata come first, and there is no gap.
    assert_eq!(subject.disk.end, (6 + 600) * MIB);
    subject.judge(&[to]).unwrap();
}

//! Every state that a crash during a resize can leave is a good image: it opens at the old or the
//! new size, its preserved data is intact, a check finds leaks at most, and resizing again works.
//!
//! States: between two flushes, any subset of the writes may have reached the disk, and any one of
//! them may be torn at a sector boundary. Small intervals are tried exhaustively, larger ones by a
//! seeded sample.

#![allow(clippy::unwrap_used)]

mod bitmaps;
mod data_file;
mod disk;
mod fill;
mod image;
mod repair;

use std::cell::RefCell;

use disk::{Change, Disk512, Recorder};
use image::Image;
use instar_ops::{
    CheckFinding, CheckRequest, OpError, Preallocation, ResizeError, ResizeRequest, SCRATCH_LEN, SizeRequest,
    check, resize,
};

/// Intervals of at most this many writes are tried exhaustively.
const EXHAUSTIVE: usize = 8;
/// Subsets sampled of a larger one.
const SAMPLES: usize = 96;

thread_local! {
    /// One buffer for all: clearing 16 MiB for each of thousands of states would be the whole test.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0xa5; SCRATCH_LEN]);
}

struct Scenario {
    image: Image,
    new_size: u64,
}

/// Small clusters, so that a few writes reach every structure: L1 growth, new refcount blocks, a new
/// refcount table, and shrinks that free blocks.
fn scenarios() -> Vec<Scenario> {
    let scattered: Vec<u64> = (0..40).map(|i| i * 5).collect();
    let dense: Vec<u64> = (0..200).collect();
    let far = vec![70_000, 5, 64, 128, 40_000];
    let mut all = Vec::new();
    for (refcount_bits, version) in [(16, 3), (64, 3), (32, 3), (8, 3), (1, 3), (16, 2)] {
        for cluster_bits in [9, 10] {
            for (size, data, new_size) in [
                (100 << 10, &scattered, 101 << 10),
                (100 << 10, &scattered, 40 << 20),
                (100 << 10, &dense, 300 << 20),
                (100 << 10, &dense, 1 << 30),
                (100 << 10, &dense, 10 << 10),
                (100 << 10, &dense, 512),
                (100 << 10, &scattered, 33 * 512),
                (100 << 10, &dense, 100 << 10),
                (80 << 20, &dense, 50 << 10),
                (80 << 20, &far, 64 << 10),
                (80 << 20, &far, 70_001 << 9),
            ] {
                let image = Image::new(cluster_bits, refcount_bits, version, size, data);
                all.push(Scenario { image, new_size });
            }
        }
    }
    all
}

/// Images with snapshots that share the straddling table, the last cluster, both or neither.
fn snapshots() -> Vec<Scenario> {
    let dense: Vec<u64> = (0..200).collect();
    let mut all = Vec::new();
    for refcount_bits in [2, 4, 16, 64] {
        for cluster_bits in [9, 10] {
            for new_size in [20 << 10, 33 << 9, 33 * 512 + 512, 512, 32 << 10, 100 << 10, 101 << 10, 40 << 20]
            {
                for after in [&[][..], &[3], &[33], &[34, 35, 20], &[16, 40, 100]] {
                    let mut image = Image::new(cluster_bits, refcount_bits, 3, 100 << 10, &dense);
                    image.snapshot();
                    after.iter().for_each(|guest| image.write(*guest, 0xee));
                    if new_size == 20 << 10 && refcount_bits > 2 {
                        image.snapshot();
                    }
                    if new_size > 100 << 10 {
                        // Cut short by a program that knows nothing of tails and tables.
                        image.set_size((100 << 10) - 34 * 512);
                    }
                    all.push(Scenario { image, new_size });
                }
            }
        }
    }
    all
}

#[test]
fn every_crash_state_is_a_good_image() {
    let states: usize = scenarios().iter().map(|scenario| crash(scenario, true).expect("a good image")).sum();
    assert!(states > 3_000, "only {states} states were judged");
}

#[test]
fn every_crash_state_with_snapshots_is_a_good_image() {
    let states: usize = snapshots().iter().map(|scenario| crash(scenario, true).expect("a good image")).sum();
    assert!(states > 3_000, "only {states} states were judged");
}

/// Bitmaps whose tables stay, change in length, move and become empty.
fn with_bitmaps() -> Vec<Scenario> {
    let mut all = Vec::new();
    let sizes = [512, 70 << 10, 1 << 20, 3 << 20, 4 << 20, 140 << 20];
    for (new_size, (cluster_bits, refcount_bits)) in
        sizes.into_iter().flat_map(|size| [(size, (9, 16)), (size, (10, 1))])
    {
        for kinds in [&[(9, false), (9, true), (16, false)][..], &[(12, true)]] {
            let size = if new_size == 1 << 20 { new_size } else { (3 << 20) - 512 * 13 };
            let mut image = Image::new(cluster_bits, refcount_bits, 3, size, &[0, 3, 100, 5000]);
            image.add_bitmaps(kinds);
            all.push(Scenario { image, new_size });
        }
    }
    all
}

#[test]
fn every_crash_state_with_bitmaps_is_a_good_image() {
    let all = with_bitmaps();
    let states: usize = all.iter().map(|scenario| crash(scenario, true).expect("a good image")).sum();
    assert!(states > 500, "only {states} states were judged");
}

/// The judge is no rubber stamp: with every barrier gone, it finds bad states.
#[test]
fn without_barriers_states_go_bad() {
    let bad = scenarios().iter().filter(|scenario| crash(scenario, false).is_err()).count();
    assert!(bad > 50, "only {bad} resizes had a bad state");
    let bad = snapshots().iter().filter(|scenario| crash(scenario, false).is_err()).count();
    assert!(bad > 80, "only {bad} resizes with snapshots had a bad state");
}

#[test]
fn without_barriers_bitmaps_go_bad() {
    let bad = with_bitmaps().iter().filter(|scenario| crash(scenario, false).is_err()).count();
    assert!(bad > 8, "only {bad} resizes with bitmaps had a bad state");
}

/// Judges the crash states of one resize and returns how many there were, or what is wrong with the
/// first bad one.
fn crash(scenario: &Scenario, barriers: bool) -> Result<usize, String> {
    let image = &scenario.image;
    assert_eq!(leaks(&image.bytes), Ok(0), "the image to begin with");
    let mut recorder = Recorder::new(image.bytes.clone(), barriers);
    let outcome = grow_or_shrink(&mut recorder, scenario.new_size).expect("the resize itself works");
    let (mut states, mut durable) = (0, image.bytes.clone());
    for interval in recorder.intervals() {
        for state in subsets(&durable, interval) {
            judge(&state, image, scenario.new_size)?;
            states += 1;
        }
        interval.iter().for_each(|change| change.apply(&mut durable));
    }
    durable.resize(usize::try_from(outcome).unwrap(), 0);
    judge(&durable, image, scenario.new_size)?;
    if bitmaps::any_in_use(&durable) {
        return Err("a bitmap is in use in the end".to_owned());
    }
    image.check_ends(&durable)?;
    match leaks(&durable)? {
        0 => Ok(states + 1),
        n => Err(format!("{} to {} bytes leaks {n} clusters in the end", image.size, scenario.new_size)),
    }
}

fn grow_or_shrink(disk: &mut impl instar_ops::Disk, size: u64) -> Result<u64, instar_ops::OpError> {
    let request = ResizeRequest {
        format: None,
        size: SizeRequest::Absolute(size),
        shrink: true,
        preallocation: Preallocation::Off,
        identity: Default::default(),
    };
    SCRATCH.with_borrow_mut(|scratch| resize(disk, &request, scratch)).map(|outcome| outcome.file_size_after)
}

/// What `durable` may look like when a crash hits while `interval` is on its way.
fn subsets(durable: &[u8], interval: &[Change]) -> Vec<Vec<u8>> {
    subsets_of(&durable.to_vec(), interval, &|state, change| change.apply(state), &Change::torn)
}

/// The same of whatever is durable and changes.
fn subsets_of<S: Clone, C>(
    durable: &S,
    interval: &[C],
    change: &dyn Fn(&mut S, &C),
    torn: &dyn Fn(&C) -> Vec<C>,
) -> Vec<S> {
    let apply = |chosen: &dyn Fn(usize) -> bool| {
        let mut state = durable.clone();
        interval.iter().enumerate().filter(|(i, _)| chosen(*i)).for_each(|(_, c)| change(&mut state, c));
        state
    };
    let n = interval.len();
    let mut states = Vec::new();
    if n <= EXHAUSTIVE {
        states.extend((0..1_usize << n).map(|mask| apply(&|i| mask >> i & 1 == 1)));
    } else {
        states.extend((0..=n).map(|prefix| apply(&|i| i < prefix)));
        states.extend((0..n).map(|missing| apply(&|i| i != missing)));
        states.extend((0..n).map(|alone| apply(&|i| i == alone)));
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        states.extend((0..SAMPLES).map(|_| {
            seed = seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let bits = seed >> 8;
            apply(&|i| (bits.rotate_left(u32::try_from(i % 61).unwrap()) ^ i as u64).count_ones() % 2 == 1)
        }));
    }
    for (at, whole) in interval.iter().enumerate() {
        for part in torn(whole) {
            let mut state = apply(&|i| i < at);
            change(&mut state, &part);
            states.push(state);
        }
    }
    states
}

/// The leaks that a check finds, if that is all that it finds.
fn leaks(state: &[u8]) -> Result<u64, String> {
    let mut first = None;
    let mut keep = |finding: CheckFinding| {
        if !matches!(finding, CheckFinding::Leak { .. }) {
            first.get_or_insert(finding);
        }
    };
    let mut disk = Disk512::new(state.to_vec());
    let report = SCRATCH
        .with_borrow_mut(|scratch| check(&mut disk, &CheckRequest::default(), scratch, &mut keep))
        .map_err(|e| e.to_string())?;
    if report.corruptions + report.check_errors > 0 {
        return Err(format!("{} corruptions, first {first:?}", report.corruptions));
    }
    Ok(report.leaks)
}

fn judge(state: &[u8], image: &Image, new_size: u64) -> Result<(), String> {
    let size = image::size_of(state);
    if size != image.size && size != new_size {
        return Err(format!("opens at {size}"));
    }
    leaks(state)?;
    image.check_data(state, new_size)?;
    let mut again = Disk512::new(state.to_vec());
    if bitmaps::any_in_use(state) {
        return match grow_or_shrink(&mut again, new_size) {
            Err(OpError::Resize(ResizeError::BitmapInUse { .. })) if again.bytes == state => Ok(()),
            other => Err(format!("a bitmap in use, and resizing again gives {other:?}")),
        };
    }
    let len = grow_or_shrink(&mut again, new_size).map_err(|e| e.to_string())?;
    again.bytes.resize(usize::try_from(len).unwrap(), 0);
    leaks(&again.bytes)?;
    image.check_data(&again.bytes, new_size)?;
    image.check_ends(&again.bytes)?;
    if image::size_of(&again.bytes) != new_size || !image::is_empty_beyond(&again.bytes, new_size) {
        return Err("resizing again did not end at the new size with nothing beyond".into());
    }
    Ok(())
}

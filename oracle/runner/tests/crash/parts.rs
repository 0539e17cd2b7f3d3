//! The crash states of images with internal snapshots and persistent bitmaps: those of resizes as they are are good, and faults
//! that are planted in resizes, snapshots and bitmaps are found.

use instar_ops::{Format, Preallocation, ResizeRequest, SizeRequest};
use libtest_mimic::{Failed, Trial};
use oracle_case::Content;
use oracle_crash::{Bad, Bounds, Engine, Image, InProcess, Judge, Step, Trace, Traced, for_each_state};
use std::path::Path;
use std::process::{Command, Stdio};

/// Virtual size of the images in bytes: no multiple of what an L2 table of 512-byte clusters maps.
const SIZE: u64 = (3 << 20) - 512 * 13;
/// Sizes that they get: within a cluster and a table, one more table, larger L1 and bitmap tables, nearly nothing.
const NEW: [u64; 5] = [(1 << 20) + 512, SIZE - 512 * 20, 4 << 20, 300 << 20, 512];
/// What they are filled with, before the first snapshot and behind the last: byte, offset, length. The last one ends at the
/// end of the disk.
const FIRST: [(u8, u64, u64); 3] =
    [(0x11, 0, 100 << 10), (0x22, 1 << 20, 64 << 10), (0x33, SIZE - 8192, 8192)];
const LATER: [(u8, u64, u64); 2] = [(0x44, 4096, 8192), (0x55, SIZE - 4096, 4096)];
/// Far fewer than a campaign tries.
const BOUNDS: Bounds = Bounds { exhaustive: 6, samples: 24, scattered: 6, cuts: 3, calls: 256 };
/// The name of every image, in a directory of its own.
const NAME: &str = "disk.img";

/// What an image has.
#[derive(Debug, Clone, Copy)]
struct Shape {
    cluster_size: u64,
    snapshots: usize,
    bitmaps: usize,
}

const SNAPSHOTS: [Shape; 2] = [
    Shape { cluster_size: 512, snapshots: 1, bitmaps: 0 },
    Shape { cluster_size: 4096, snapshots: 2, bitmaps: 0 },
];
const BITMAPS: [Shape; 2] = [
    Shape { cluster_size: 512, snapshots: 0, bitmaps: 2 },
    Shape { cluster_size: 4096, snapshots: 0, bitmaps: 1 },
];
const BOTH: [Shape; 1] = [Shape { cluster_size: 512, snapshots: 1, bitmaps: 1 }];

/// The trials, which need qemu-img and qemu-io to make the images.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("states-with-snapshots-are-good", || all_good(&SNAPSHOTS)),
        Trial::test("states-with-bitmaps-are-good", || all_good(&BITMAPS)),
        Trial::test("states-with-both-are-good", || all_good(&BOTH)),
        Trial::test("without-barriers-snapshots-go-bad", || go_bad(&SNAPSHOTS)),
        Trial::test("without-barriers-bitmaps-go-bad", || go_bad(&BITMAPS)),
        Trial::test("a-changed-snapshot-is-found", a_changed_snapshot),
        Trial::test("a-changed-bitmap-is-found", a_changed_bitmap),
        Trial::test("a-lost-snapshot-is-found", a_lost_snapshot),
    ]
}

fn run(dir: &Path, tool: &str, args: &[&str]) -> Result<(), Failed> {
    let output = Command::new(tool).args(args).current_dir(dir).stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{tool} {args:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

impl Shape {
    fn make(self) -> Result<(Image, Content), Failed> {
        let dir = tempfile::tempdir()?;
        let mut content = Content::zeros(SIZE);
        let options = format!("cluster_size={}", self.cluster_size);
        run(
            dir.path(),
            "qemu-img",
            &["create", "-q", "-f", "qcow2", "-o", &options, NAME, &SIZE.to_string()],
        )?;
        fill(dir.path(), &FIRST, &mut content)?;
        for i in 0..self.snapshots {
            run(dir.path(), "qemu-img", &["snapshot", "-c", &format!("s{i}"), NAME])?;
        }
        for (i, granularity) in ["512", "4096"].into_iter().enumerate().take(self.bitmaps) {
            run(dir.path(), "qemu-img", &["bitmap", "--add", "-g", granularity, NAME, &format!("b{i}")])?;
        }
        fill(dir.path(), &LATER, &mut content)?;
        Ok((Image::load(&dir.path().join(NAME))?, content))
    }
}

fn fill(dir: &Path, writes: &[(u8, u64, u64)], content: &mut Content) -> Result<(), Failed> {
    for (byte, offset, len) in writes {
        run(dir, "qemu-io", &["-f", "qcow2", "-c", &format!("write -P {byte} {offset} {len}"), NAME])?;
        content.fill(*offset, *len, *byte);
    }
    Ok(())
}

/// Resizes `image`, and says what that did and what it will be judged by.
fn resize(judge: &mut Judge, image: &Image, content: &Content, new: u64) -> Result<(Step, Traced), Failed> {
    let request = ResizeRequest {
        format: Some(Format::Qcow2),
        size: SizeRequest::Absolute(new),
        shrink: true,
        preallocation: Preallocation::Off,
        identity: Default::default(),
    };
    let traced = InProcess.resize(image, &request, Path::new("."))?;
    traced.outcome.as_ref()?;
    Ok((judge.step(image, Format::Qcow2, content, new, false).map_err(text)?, traced))
}

fn text(bad: Bad) -> Failed {
    bad.to_string().into()
}

/// Judges every state of a resize: how many there were, or what is wrong with the first bad one.
fn states(judge: &mut Judge, image: &Image, step: &Step, trace: &Trace) -> Result<usize, Bad> {
    let (mut image, mut count, mut bad) = (image.clone(), 0, None);
    for (interval, ops) in trace.intervals.iter().enumerate() {
        image.mark();
        for_each_state(trace, interval, &BOUNDS, 1, &mut |state| {
            state.apply(trace, &mut image);
            bad = judge.judge(&mut image, step, |_, _| ()).err();
            image.rewind();
            count += 1;
            bad.is_none()
        });
        if let Some(bad) = bad {
            return Err(bad);
        }
        ops.iter().for_each(|op| op.apply(&mut image));
    }
    judge.judge_end(&image, step).map(|_| count)
}

fn all_good(shapes: &[Shape]) -> Result<(), Failed> {
    let (mut judge, mut count) = (Judge::default(), 0);
    for shape in shapes {
        let (image, content) = shape.make()?;
        for new in NEW {
            let (step, traced) = resize(&mut judge, &image, &content, new)?;
            count += states(&mut judge, &image, &step, &traced.trace)
                .map_err(|bad| format!("{shape:?} to {new}: {bad}"))?;
        }
    }
    if count < 100 { Err(format!("only {count} states").into()) } else { Ok(()) }
}

fn go_bad(shapes: &[Shape]) -> Result<(), Failed> {
    let (mut judge, mut bad) = (Judge::default(), 0);
    for shape in shapes {
        let (image, content) = shape.make()?;
        for new in NEW {
            let (step, Traced { mut trace, .. }) = resize(&mut judge, &image, &content, new)?;
            trace.intervals = vec![trace.intervals.drain(..).flatten().collect()];
            bad += usize::from(states(&mut judge, &image, &step, &trace).is_err());
        }
    }
    if bad < 4 { Err(format!("only {bad} resizes have bad states").into()) } else { Ok(()) }
}

/// The image after a resize to 4 MiB, changed by `change`, must be bad in a way that is called `kind`.
fn is_found(shape: Shape, kind: &str, change: fn(&mut Image)) -> Result<(), Failed> {
    let mut judge = Judge::default();
    let (image, content) = shape.make()?;
    let (step, traced) = resize(&mut judge, &image, &content, 4 << 20)?;
    let mut end = image;
    traced.trace.intervals.iter().flatten().for_each(|op| op.apply(&mut end));
    judge.judge_end(&end, &step).map_err(text)?;
    change(&mut end);
    match judge.judge_end(&end, &step) {
        Err(bad) if bad.kind == kind => Ok(()),
        other => Err(format!("{other:?}").into()),
    }
}

/// The 8 bytes at `at`.
fn word(image: &Image, at: u64) -> u64 {
    let mut bytes = [0; 8];
    image.read(at, &mut bytes);
    u64::from_be_bytes(bytes)
}

/// Header fields: number of snapshots, their table; the word that has the length of the header.
const SNAPSHOT_COUNT: u64 = 60;
const SNAPSHOT_TABLE: u64 = 64;
const HEADER_LEN: u64 = 96;
/// An entry's offset without its flags.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// Follows the first snapshot's L1 and L2 table to what guest cluster `n` of its disk is in.
fn snapshot_cluster(image: &Image, n: u64) -> u64 {
    let l2 = word(image, word(image, word(image, SNAPSHOT_TABLE))) & OFFSET;
    word(image, l2 + 8 * n) & OFFSET
}

fn a_changed_snapshot() -> Result<(), Failed> {
    // Guest cluster 8 was written to after the snapshot: the disk has another one.
    is_found(SNAPSHOTS[0], "kept", |image| image.write(snapshot_cluster(image, 8), &[0x66]))
}

/// Its clusters are leaks then, which is no worse than what a crash may do; that it is gone is.
fn a_lost_snapshot() -> Result<(), Failed> {
    is_found(SNAPSHOTS[0], "kept", |image| image.write(SNAPSHOT_COUNT, &[0; 4]))
}

fn a_changed_bitmap() -> Result<(), Failed> {
    is_found(BITMAPS[0], "kept", |image| {
        // The bitmaps extension is the first or follows others, all of whose lengths are in their second word.
        let mut at = word(image, HEADER_LEN) & 0xffff_ffff;
        while word(image, at) >> 32 != 0x2385_2875 {
            at += 8 + (word(image, at) & 0xffff_ffff).next_multiple_of(8);
        }
        let table = word(image, word(image, at + 24));
        let entry = (0..).map(|i| table + 8 * i).find(|at| word(image, *at) & OFFSET != 0).unwrap_or(table);
        let data = word(image, entry) & OFFSET;
        let mut byte = [0];
        image.read(data, &mut byte);
        image.write(data, &[byte[0] ^ 1]);
    })
}

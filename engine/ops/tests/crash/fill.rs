//! Crash states of growths that fill the new area: preallocation, and zeros over a longer backing file.
//! In each of them the disk reads as before up to its old end and as zeros behind it.

use super::disk::{Disk512, Recorder};
use super::image::{Image, size_of};
use super::{SCRATCH, leaks, subsets};
use instar_formats::qcow2::header::PARSE_LEN;
use instar_formats::qcow2::{Geometry, Header};
use instar_ops::disk::IoError;
use instar_ops::{Disk, ReadAt};
use instar_planner::{
    Backing, Patch, PlanError, Preallocation, Request, SizeRequest, Surroundings, Target, qcow2,
};

const MODES: [Preallocation; 4] =
    [Preallocation::Off, Preallocation::Metadata, Preallocation::Falloc, Preallocation::Full];
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// A growth: the image, the length of the backing file, the new size and the mode.
struct Growth {
    name: String,
    bytes: Vec<u8>,
    backing: u64,
    new: u64,
    mode: Preallocation,
}

/// A disk behind an overlay: a pattern of sectors.
struct Pattern(u64);

impl Backing for Pattern {
    fn virtual_size(&self) -> u64 {
        self.0
    }

    fn read(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), PlanError> {
        for (byte, at) in buf.iter_mut().zip(offset..) {
            *byte = pattern(at, self.0);
        }
        Ok(())
    }
}

fn pattern(at: u64, len: u64) -> u8 {
    if at < len { u8::try_from(at / 512 % 251 + 3).unwrap() } else { 0 }
}

/// A disk as a plan sees it.
struct Plain<'d, D>(&'d mut D);

impl<D: Disk> ReadAt for Plain<'_, D> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        self.0.read_at(offset, buf)
    }
}

impl<D: Disk> Target for Plain<'_, D> {
    fn apply(&mut self, patch: Patch<'_>) -> Result<(), IoError> {
        match patch {
            Patch::Write { offset, data } => self.0.write_at(offset, data),
            // What lies behind the end of a file is not made by a hole.
            Patch::ZeroFill { offset, unmap: true, .. } if offset >= self.0.len() => Ok(()),
            Patch::ZeroFill { offset, len, unmap } => self.0.zero_at(offset, len, unmap),
            Patch::Barrier => self.0.flush(),
        }
    }
}

/// Grows as an operation would, and returns the length of the file.
fn grow<D: Disk>(disk: &mut D, growth: &Growth, mode: Preallocation) -> Result<u64, PlanError> {
    let mut head = [0; PARSE_LEN];
    disk.read_at(0, &mut head)?;
    let header = Header::parse(&head, disk.len())?;
    let mut base = Pattern(growth.backing);
    let mut around = Surroundings { backing: Some(&mut base), ..Surroundings::default() };
    let request = Request { size: SizeRequest::Absolute(growth.new), shrink: false, preallocation: mode };
    SCRATCH.with_borrow_mut(|scratch| {
        let mut disk = Plain(disk);
        let plan = qcow2::plan_resize(&mut disk, &header, &request, &mut around, scratch)?;
        plan.run(&mut disk, &mut around, scratch)
    })
}

/// Small images of every kind: where the old end lies, what is in its cluster, and which structures
/// the growth needs.
fn growths() -> Vec<Growth> {
    let mut all = Vec::new();
    for mode in MODES {
        for (cluster_bits, refcount_bits) in [(9, 64), (10, 16)] {
            for (size, data, new) in [
                (20 << 10, &[0, 5, 39][..], 24 << 10),
                (20 << 10, &[0], 70 << 10),
                ((20 << 10) + 512, &[0, 20], 33 << 10),
                (512, &[], 20 << 10),
            ] {
                let image = Image::new(cluster_bits, refcount_bits, 3, size, data);
                push(&mut all, &format!("{cluster_bits} bits, {size}"), &image.bytes, new, mode);
            }
        }
        for (size, first) in [(40_960, Preallocation::Off), (41_472, Preallocation::Off)]
            .into_iter()
            .chain([(41_472, Preallocation::Metadata), (49_152, Preallocation::Metadata)])
        {
            let bytes = extended(size, first);
            push(&mut all, &format!("extended, {size}, {first:?}"), &bytes, 100 << 10, mode);
        }
    }
    all
}

/// An image of 16 KiB clusters with extended L2 entries.
fn extended(size: u64, preallocation: Preallocation) -> Vec<u8> {
    let geometry = Geometry::new(14, 4, true).unwrap();
    let options = qcow2::create::Options {
        version: 3,
        geometry,
        lazy_refcounts: false,
        zstd: false,
        preallocation,
        links: Default::default(),
    };
    let mut disk = Disk512::new(Vec::new());
    let len = SCRATCH
        .with_borrow_mut(|scratch| qcow2::create::run(&mut Plain(&mut disk), &options, size, scratch))
        .unwrap();
    disk.bytes.resize(usize::try_from(len).unwrap(), 0);
    disk.bytes
}

fn push(all: &mut Vec<Growth>, name: &str, bytes: &[u8], new: u64, mode: Preallocation) {
    for backing in [0, size_of(bytes) + 3000] {
        let name = format!("{name} to {new} bytes, {mode:?}, {backing} bytes behind");
        all.push(Growth { name, bytes: bytes.to_vec(), backing, new, mode });
    }
}

#[test]
fn every_crash_state_of_a_filled_growth_is_a_good_image() {
    let states: usize = growths().iter().map(|growth| crash(growth, true).expect("a good image")).sum();
    assert!(states > 2_000, "only {states} states were judged");
}

/// The judge finds states that only barriers prevent.
#[test]
fn without_barriers_filled_growths_go_bad() {
    let bad = growths().iter().filter(|growth| crash(growth, false).is_err()).count();
    assert!(bad > 20, "only {bad} growths had a bad state");
}

/// Any device may fail at any write: what is left is the old disk, or the new one, and leaks at most.
#[test]
fn a_device_that_fails_leaves_a_good_image() {
    let mut failed = 0;
    for growth in growths() {
        let old = read(&growth.bytes, growth.backing);
        for fail_at in 0.. {
            let mut disk = Failing { disk: Disk512::new(growth.bytes.clone()), left: fail_at };
            let done = grow(&mut disk, &growth, growth.mode);
            judge(&disk.disk.bytes, &old, &growth).unwrap();
            if done.is_ok() {
                break;
            }
            failed += 1;
        }
    }
    assert!(failed > 200, "only {failed} failures");
}

fn crash(growth: &Growth, barriers: bool) -> Result<usize, String> {
    let old = read(&growth.bytes, growth.backing);
    let mut recorder = Recorder::new(growth.bytes.clone(), barriers);
    let len = grow(&mut recorder, growth, growth.mode).expect("the growth itself works");
    let (mut states, mut durable) = (0, growth.bytes.clone());
    for interval in recorder.intervals() {
        for state in subsets(&durable, interval) {
            judge(&state, &old, growth).map_err(|e| format!("{}: {e}", growth.name))?;
            states += 1;
        }
        interval.iter().for_each(|change| change.apply(&mut durable));
    }
    durable.resize(usize::try_from(len).unwrap(), 0);
    judge(&durable, &old, growth)?;
    match leaks(&durable)? {
        0 => Ok(states + 1),
        n => Err(format!("{}: {n} clusters are leaked in the end", growth.name)),
    }
}

/// The state opens at either size, and again after it was resized again.
fn judge(state: &[u8], old: &[u8], growth: &Growth) -> Result<(), String> {
    reads(state, old, growth)?;
    let mut again = Disk512::new(state.to_vec());
    let mode = if size_of(state) == growth.new { Preallocation::Off } else { growth.mode };
    let len = grow(&mut again, growth, mode).map_err(|e| format!("growing again: {e}"))?;
    again.bytes.resize(usize::try_from(len).unwrap(), 0);
    if size_of(&again.bytes) != growth.new {
        return Err("growing again did not".into());
    }
    reads(&again.bytes, old, growth).map_err(|e| format!("after growing again: {e}"))
}

fn reads(state: &[u8], old: &[u8], growth: &Growth) -> Result<(), String> {
    let size = size_of(state);
    if size != old.len() as u64 && size != growth.new {
        return Err(format!("opens at {size}"));
    }
    leaks(state)?;
    let now = read(state, growth.backing);
    let expected = old.iter().copied().chain(std::iter::repeat(0));
    match now.iter().zip(expected).position(|(now, then)| *now != then) {
        Some(at) => Err(format!("byte {at} of {size} has changed")),
        None => Ok(()),
    }
}

/// The whole disk, by the specification.
fn read(state: &[u8], backing: u64) -> Vec<u8> {
    let word = |at: u64| {
        let at = usize::try_from(at).unwrap();
        state.get(at..at + 8).map_or(0, |b| u64::from_be_bytes(b.try_into().unwrap()))
    };
    let bits = state[23];
    let extended = state[79] & 16 != 0;
    let (cluster, entry) = (1_u64 << bits, if extended { 16 } else { 8 });
    let (per_table, piece) = (cluster / entry, if extended { cluster / 32 } else { cluster });
    let mut all = Vec::new();
    for at in (0..size_of(state)).step_by(usize::try_from(piece.min(512)).unwrap()) {
        let guest = at / cluster;
        let table = word(word(40) + guest / per_table * 8) & OFFSET;
        let place = table + guest % per_table * entry;
        let value = if table == 0 { 0 } else { word(place) };
        let bitmap = if table == 0 || !extended { 0 } else { word(place + 8) };
        let nth = at % cluster / piece;
        let (zero, allocated) = if extended {
            (bitmap >> (32 + nth) & 1 == 1, bitmap >> nth & 1 == 1)
        } else {
            (value & 1 == 1, value & OFFSET != 0)
        };
        let host = usize::try_from((value & OFFSET) + at % cluster).unwrap();
        match (zero, allocated) {
            (true, _) => all.extend([0; 512]),
            (false, true) => all.extend((host..host + 512).map(|at| state.get(at).copied().unwrap_or(0))),
            (false, false) => all.extend((at..at + 512).map(|at| pattern(at, backing))),
        }
    }
    all.truncate(usize::try_from(size_of(state)).unwrap());
    all
}

/// A disk that fails for good after so many writes.
struct Failing {
    disk: Disk512,
    left: u32,
}

impl Failing {
    fn count(&mut self, offset: u64, len: u64) -> Result<(), IoError> {
        let direction = instar_ops::disk::Direction::Write;
        self.left = self.left.checked_sub(1).ok_or(IoError { direction, offset, len, errno: 28 })?;
        Ok(())
    }
}

impl ReadAt for Failing {
    fn len(&self) -> u64 {
        self.disk.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        self.disk.read_at(offset, buf)
    }
}

impl Disk for Failing {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.count(offset, data.len() as u64)?;
        self.disk.write_at(offset, data)
    }

    fn zero_at(&mut self, offset: u64, len: u64, unmap: bool) -> Result<(), IoError> {
        self.count(offset, len)?;
        self.disk.zero_at(offset, len, unmap)
    }

    fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }
}

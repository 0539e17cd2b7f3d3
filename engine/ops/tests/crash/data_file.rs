//! Crash states of images whose guest data lies in an external data file. Image and data file are two
//! devices, each with its own flushes: what one of them has made durable says nothing of the other.

use super::disk::{Change, Disk512};
use super::image::size_of;
use super::{SCRATCH, leaks, subsets_of};
use instar_ops::disk::IoError;
use instar_ops::{
    Companions, CreateRequest, Disk, Format, Preallocation, Qcow2Options, ReadAt, ResizeOutcome,
    ResizeRequest, SizeRequest, create, resize_with,
};
use std::cell::RefCell;

const CLUSTER: u64 = 512;
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The two devices.
const IMAGE: usize = 0;
const DATA: usize = 1;

/// Both files.
#[derive(Clone)]
struct Files {
    image: Vec<u8>,
    data: Vec<u8>,
}

/// What is done to a device.
enum Event {
    Write(usize, Change),
    Flush(usize),
}

/// One of two devices that write down what they are told.
struct Device<'l> {
    nth: usize,
    disk: Disk512,
    log: &'l RefCell<Vec<Event>>,
}

impl ReadAt for Device<'_> {
    fn len(&self) -> u64 {
        self.disk.len()
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        self.disk.read_at(offset, buf)
    }
}

impl Disk for Device<'_> {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.log.borrow_mut().push(Event::Write(self.nth, Change::new(offset, data)));
        self.disk.write_at(offset, data)
    }

    fn zero_at(&mut self, offset: u64, len: u64, _unmap: bool) -> Result<(), IoError> {
        self.write_at(offset, &vec![0; usize::try_from(len).unwrap()])
    }

    fn flush(&mut self) -> Result<(), IoError> {
        self.log.borrow_mut().push(Event::Flush(self.nth));
        Ok(())
    }
}

/// A resize of a disk whose data file has bytes behind its end, or none.
struct Resize {
    files: Files,
    old: u64,
    new: u64,
    raw: bool,
    mode: Preallocation,
}

fn resizes() -> Vec<Resize> {
    let mut all = Vec::new();
    for raw in [false, true] {
        for (old, new) in [(20 << 10, 24 << 10), (20 << 10, 90 << 10), (20 << 10, 7 << 10), (90 << 10, 512)] {
            let modes =
                [Preallocation::Off, Preallocation::Metadata, Preallocation::Falloc, Preallocation::Full];
            for mode in modes.into_iter().filter(|mode| new > old || *mode == Preallocation::Off) {
                for tail in [0, 3000] {
                    let files = files(old, raw, tail);
                    all.push(Resize { files, old, new, raw, mode });
                }
            }
        }
    }
    all
}

/// An image whose disk is full of a pattern, with `tail` more bytes in its data file.
fn files(size: u64, raw: bool, tail: usize) -> Files {
    let qcow2 = Qcow2Options { cluster_bits: 9, ..Qcow2Options::default() };
    let request = CreateRequest { qcow2, ..CreateRequest::new(Format::Qcow2, 0) };
    let mut disk = Disk512::new(Vec::new());
    SCRATCH.with_borrow_mut(|scratch| create(&mut disk, &request, scratch)).unwrap();
    // Incompatible bit 2, autoclear bit 1, and the extension with the name (specification, "Header").
    disk.bytes[79] |= 4;
    disk.bytes[95] |= if raw { 2 } else { 0 };
    disk.bytes[112..124].copy_from_slice(b"DATA\0\0\0\x04data");
    let (mut image, mut data) = (Disk512::new(disk.bytes), Disk512::new(Vec::new()));
    let nothing = Files { image: Vec::new(), data: Vec::new() };
    let fill = Resize { files: nothing, old: 0, new: size, raw, mode: Preallocation::Metadata };
    let outcome = run(&mut image, &mut data, &fill);
    image.bytes.resize(usize::try_from(outcome.file_size_after).unwrap(), 0);
    let data = (0..size).map(pattern).chain(std::iter::repeat_n(0xee, tail)).collect();
    Files { image: image.bytes, data }
}

fn pattern(at: u64) -> u8 {
    u8::try_from(at / 512 % 251 + 3).unwrap()
}

fn run<D: Disk>(image: &mut D, data: &mut dyn Disk, resize: &Resize) -> ResizeOutcome {
    let mut head = [0; 32];
    image.read_at(0, &mut head).unwrap();
    let grows = resize.new > size_of(&head);
    let request = ResizeRequest {
        format: None,
        size: SizeRequest::Absolute(resize.new),
        shrink: true,
        preallocation: if grows { resize.mode } else { Preallocation::Off },
        identity: Default::default(),
    };
    let mut companions = Companions { data_file: Some(data), ..Companions::default() };
    SCRATCH.with_borrow_mut(|scratch| resize_with(image, &mut companions, &request, scratch)).unwrap()
}

#[test]
fn every_crash_state_of_both_files_is_a_good_image() {
    let states: usize = resizes().iter().map(|resize| crash(resize, true).expect("a good image")).sum();
    assert!(states > 1_000, "only {states} states were judged");
}

/// The judge finds states that only flushes prevent.
#[test]
fn without_flushes_both_files_go_bad() {
    let bad = resizes().iter().filter(|resize| crash(resize, false).is_err()).count();
    assert!(bad > 5, "only {bad} resizes had a bad state");
}

fn crash(resize: &Resize, flushes: bool) -> Result<usize, String> {
    let log = RefCell::default();
    let device = |nth, bytes: &[u8]| Device { nth, disk: Disk512::new(bytes.to_vec()), log: &log };
    let mut image = device(IMAGE, &resize.files.image);
    let mut data = device(DATA, &resize.files.data);
    let outcome = run(&mut image, &mut data, resize);
    let (mut durable, mut pending, mut states) = (resize.files.clone(), Vec::new(), 0);
    for event in log.take().into_iter().chain([Event::Flush(IMAGE)]) {
        match event {
            Event::Write(nth, change) => pending.push((nth, change)),
            Event::Flush(_) if !flushes => {}
            Event::Flush(flushed) => {
                states += judge_all(&durable, &pending, resize)?;
                let (now, later): (Vec<_>, Vec<_>) =
                    pending.into_iter().partition(|(nth, _)| *nth == flushed);
                apply(&mut durable, &now);
                pending = later;
            }
        }
    }
    states += judge_all(&durable, &pending, resize)?;
    apply(&mut durable, &pending);
    finish(&mut durable, &outcome);
    judge(&durable, resize)?;
    Ok(states)
}

fn apply(files: &mut Files, changes: &[(usize, Change)]) {
    for (nth, change) in changes {
        change.apply(if *nth == IMAGE { &mut files.image } else { &mut files.data });
    }
}

/// What the host does in the end.
fn finish(files: &mut Files, outcome: &ResizeOutcome) {
    files.image.resize(usize::try_from(outcome.file_size_after).unwrap(), 0);
    if let Some(len) = outcome.data_file_size_after {
        files.data.resize(usize::try_from(len).unwrap(), 0);
    }
}

fn judge_all(durable: &Files, pending: &[(usize, Change)], resize: &Resize) -> Result<usize, String> {
    let torn = |(nth, change): &(usize, Change)| change.torn().into_iter().map(|part| (*nth, part)).collect();
    let states =
        subsets_of(durable, pending, &|files, change| apply(files, std::slice::from_ref(change)), &torn);
    for state in &states {
        let what = (resize.old, resize.new, resize.raw, resize.mode);
        judge(state, resize).map_err(|e| format!("{what:?}: {e}"))?;
    }
    Ok(states.len())
}

/// The state reads as it should, and again after it was resized again.
fn judge(state: &Files, resize: &Resize) -> Result<(), String> {
    reads(state, resize)?;
    let (mut image, mut data) = (Disk512::new(state.image.clone()), Disk512::new(state.data.clone()));
    let outcome = run(&mut image, &mut data, resize);
    let mut again = Files { image: image.bytes, data: data.bytes };
    finish(&mut again, &outcome);
    if size_of(&again.image) != resize.new {
        return Err("resizing again did not".into());
    }
    reads(&again, resize).map_err(|e| format!("after resizing again: {e}"))
}

fn reads(state: &Files, resize: &Resize) -> Result<(), String> {
    let size = size_of(&state.image);
    if size != resize.old && size != resize.new {
        return Err(format!("opens at {size}"));
    }
    leaks(&state.image)?;
    for at in (0..size).step_by(512) {
        let sector = read(state, at);
        // What was appended to a raw data file is the disk's when it grows.
        let appended = resize.raw && at >= resize.old;
        let kept = at < resize.old && at < resize.new;
        let lost = at < resize.old && at >= resize.new;
        let fine = |(byte, at): (&u8, u64)| match () {
            () if kept => *byte == pattern(at),
            () if lost => [0, pattern(at)].contains(byte),
            () if appended => [0, 0xee].contains(byte),
            () => *byte == 0,
        };
        if !sector.iter().zip(at..).all(fine) {
            return Err(format!("byte {at} of {size} has changed"));
        }
    }
    Ok(())
}

/// A sector of the disk, by the specification.
fn read(state: &Files, at: u64) -> [u8; 512] {
    let word = |at: u64| {
        let at = usize::try_from(at).unwrap();
        state.image.get(at..at + 8).map_or(0, |b| u64::from_be_bytes(b.try_into().unwrap()))
    };
    let (guest, per_table) = (at / CLUSTER, CLUSTER / 8);
    let table = word(word(40) + guest / per_table * 8) & OFFSET;
    let entry = if table == 0 { 0 } else { word(table + guest % per_table * 8) };
    let mut sector = [0; 512];
    if entry != 0 && entry & 1 == 0 {
        let start = usize::try_from((entry & OFFSET) + at % CLUSTER).unwrap();
        for (byte, there) in sector.iter_mut().zip(state.data.iter().skip(start)) {
            *byte = *there;
        }
    }
    sector
}

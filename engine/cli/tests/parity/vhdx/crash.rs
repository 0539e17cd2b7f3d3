//! Crash states of resizes, judged by qemu-img: it replays the log, and finds the old or the new disk.

use super::image::{done, io};
use crate::Verdict;
use crate::pair::qemu_img;
use instar_ops::disk::{IoError, ReadAt};
use instar_ops::{Disk, Identity, Preallocation, ResizeRequest, SizeRequest, resize};
use libtest_mimic::Trial;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const M: u64 = 1 << 20;
const G: u64 = 1 << 30;

/// Options, and the sizes before and after.
const CASES: &[(&str, u64, u64)] = &[
    ("block_size=1M", 64 * M, 100 * M),
    ("block_size=1M", 64 * M, 130 * G),
    ("block_size=1M", 64 * M, 21 * M + 512),
    ("subformat=fixed,block_state_zero=off", 65 * M, 100 * M),
    ("subformat=fixed,block_state_zero=off", 65 * M, 30 * M),
];

/// One trial a case.
pub fn trials() -> Vec<Trial> {
    let trial = |(options, from, to): &'static (&str, u64, u64)| {
        let name = format!("vhdx: qemu-img on crash states of {options} {from} to {to}");
        Trial::test(name, move || crash(options, *from, *to))
    };
    CASES.iter().map(trial).collect()
}

/// A change on its way.
enum Change {
    Write(u64, Vec<u8>),
    Zeros(u64, u64),
}

impl Change {
    fn apply(&self, file: &File) -> std::io::Result<()> {
        match self {
            Self::Write(offset, data) => file.write_all_at(data, *offset),
            Self::Zeros(offset, len) => {
                file.write_all_at(&vec![0; usize::try_from(*len).unwrap_or(0)], *offset)
            }
        }
    }
}

/// A file that remembers what it was told, a list for each interval between flushes.
struct Recorder {
    file: File,
    len: u64,
    intervals: Vec<Vec<Change>>,
}

impl Recorder {
    fn tell(&mut self, change: Change) -> Result<(), IoError> {
        change.apply(&self.file).expect("a file that can be written");
        self.intervals.last_mut().expect("an interval").push(change);
        Ok(())
    }
}

impl ReadAt for Recorder {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        let mut done = 0;
        while let Ok(n @ 1..) = self.file.read_at(&mut buf[done..], offset + done as u64) {
            done += n;
        }
        buf[done..].fill(0);
        Ok(())
    }
}

impl Disk for Recorder {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), IoError> {
        self.tell(Change::Write(offset, data.to_vec()))
    }

    fn zero_at(&mut self, offset: u64, len: u64, _unmap: bool) -> Result<(), IoError> {
        self.tell(Change::Zeros(offset, len))
    }

    fn flush(&mut self) -> Result<(), IoError> {
        self.intervals.push(Vec::new());
        Ok(())
    }
}

fn crash(options: &str, from: u64, to: u64) -> Verdict {
    let dir = tempfile::tempdir()?;
    let dir = dir.path();
    done(&qemu_img(dir, &["create", "-q", "-f", "vhdx", "-o", options, "x.vhdx", &from.to_string()])?)?;
    let writes = ["write -P 1 0 1M", "write -P 2 40M 2M", "write -P 3 20M 2M"];
    io(&dir.join("x.vhdx"), &writes)?;
    std::fs::copy(dir.join("x.vhdx"), dir.join("durable.vhdx"))?;
    let file = File::options().read(true).write(true).open(dir.join("x.vhdx"))?;
    let mut recorder = Recorder { len: file.metadata()?.len(), file, intervals: vec![Vec::new()] };
    let request = ResizeRequest {
        format: None,
        size: SizeRequest::Absolute(to),
        shrink: true,
        preallocation: Preallocation::Off,
        identity: Identity { random: [0x5a; 64], unix_time: 0 },
    };
    resize(&mut recorder, &request, &mut vec![0; instar_ops::SCRATCH_LEN]).map_err(|e| e.to_string())?;
    let durable = File::options().write(true).open(dir.join("durable.vhdx"))?;
    let mut found = Vec::new();
    for interval in &recorder.intervals {
        // Nothing of it, each of its writes alone, each prefix.
        let alone = (0..interval.len().min(8)).map(|i| i..i + 1);
        let prefixes = (0..=interval.len().min(8)).map(|i| 0..i);
        for chosen in prefixes.chain(alone) {
            std::fs::copy(dir.join("durable.vhdx"), dir.join("state.vhdx"))?;
            let state = File::options().write(true).open(dir.join("state.vhdx"))?;
            interval[chosen].iter().try_for_each(|change| change.apply(&state))?;
            found.push(judged(dir, (from, to))?);
        }
        interval.iter().try_for_each(|change| change.apply(&durable))?;
    }
    if found.first() == Some(&from) && found.last() == Some(&to) && found.len() > 20 {
        return Ok(());
    }
    Err(format!("{} states, sizes {found:?}", found.len()).into())
}

/// That qemu-img repairs a state, if it has to, and finds one of the two disks; which of them.
fn judged(dir: &Path, (from, to): (u64, u64)) -> Result<u64, libtest_mimic::Failed> {
    done(&qemu_img(dir, &["check", "-q", "-r", "all", "state.vhdx"])?)?;
    done(&qemu_img(dir, &["check", "-q", "state.vhdx"])?)?;
    let info = qemu_img(dir, &["info", "--output=json", "state.vhdx"])?;
    let info: serde_json::Value = serde_json::from_str(&info.out)?;
    let size = info["virtual-size"].as_u64().unwrap_or(0);
    if size != from && size != to {
        return Err(format!("{size} bytes").into());
    }
    // What a shrink cuts off may be gone before the disk is smaller, but for the disk that is left.
    let least = from.min(to);
    let kept = [(0, M, 1), (40 * M, 2 * M, 2), (20 * M, 2 * M, 3)].into_iter().filter(|(at, ..)| *at < least);
    let mut reads: Vec<String> =
        kept.map(|(at, len, byte)| format!("read -P {byte} {at} {}", len.min(least - at))).collect();
    if size > from {
        reads.push(format!("read -P 0 {from} {}", (size - from).min(32 * M)));
    }
    io(&dir.join("state.vhdx"), &reads.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(size)
}

//! instars with a fault: the real one, whose result is then changed as one wrong line in a planner
//! would have it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Result;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The argument that makes this test program be a faulty instar.
const AS_FAULTY: &str = "__faulty";

/// A fault, and the oracle that must name it.
pub struct Fault {
    /// What is wrong.
    pub name: &'static str,
    /// The case it is planted in.
    pub case: &'static str,
    /// The oracle that must catch it.
    pub oracle: &'static str,
    /// The field that it must name.
    pub field: &'static str,
    /// Makes an image be as if the fault had made it.
    plant: fn(&File) -> Result<()>,
}

const GROW: &str = r#"{"fixture": {"size": 8388608, "format": {"qcow2":
    {"version": 3, "cluster_bits": 16, "refcount_bits": 16, "lazy_refcounts": true}},
    "writes": [{"kind": "data", "pattern": 17, "offset": 0, "len": 65536}]},
    "resizes": [{"size": "3G"}]}"#;
const SHRINK: &str = r#"{"fixture": {"size": 8388608, "format": {"qcow2":
    {"version": 3, "cluster_bits": 16, "refcount_bits": 16}},
    "writes": [{"kind": "data", "pattern": 17, "offset": 0, "len": 65536}]},
    "resizes": [{"size": "4M", "shrink": true}]}"#;
const RAW: &str = r#"{"fixture": {"size": 1048576, "format": "raw"}, "resizes": [{"size": "2M"}]}"#;

/// The faults.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "an L1 table with one entry too many",
        case: GROW,
        oracle: "header",
        field: "header.l1_size",
        plant: |image| put(image, 36, &7u32.to_be_bytes()),
    },
    Fault {
        name: "an L1 table with one entry too few",
        case: GROW,
        oracle: "clean",
        field: "header.l1_size",
        plant: |image| put(image, 36, &5u32.to_be_bytes()),
    },
    Fault {
        name: "a refcount not incremented",
        case: GROW,
        oracle: "clean",
        field: "refcount.l1",
        plant: |image| set_refcount(image, number(image, 40)?, 0),
    },
    Fault {
        name: "a header field rebuilt as zero",
        case: GROW,
        oracle: "untouched",
        field: "header.compatible_features",
        plant: |image| put(image, 80, &[0; 8]),
    },
    Fault {
        name: "a header extension lost",
        case: GROW,
        oracle: "untouched",
        field: "header.extensions",
        plant: |image| put(image, 112, &[0; 8]),
    },
    Fault {
        name: "a shrink that frees cluster 0",
        case: SHRINK,
        oracle: "clean",
        field: "refcount.header",
        plant: |image| set_refcount(image, 0, 0),
    },
    Fault {
        name: "a raw file one sector too short",
        case: RAW,
        oracle: "outcome",
        field: "size",
        plant: |image| image.set_len((2 << 20) - 512),
    },
];

fn put(image: &File, at: u64, bytes: &[u8]) -> Result<()> {
    image.write_all_at(bytes, at)
}

fn number(image: &File, at: u64) -> Result<u64> {
    let mut bytes = [0; 8];
    image.read_exact_at(&mut bytes, at)?;
    Ok(u64::from_be_bytes(bytes))
}

/// Sets the 16-bit refcount of the 64 KiB cluster at `offset`, in the first refcount block.
fn set_refcount(image: &File, offset: u64, count: u16) -> Result<()> {
    let block = number(image, number(image, 48)?)?;
    put(image, block + offset / 65536 * 2, &count.to_be_bytes())
}

/// Makes a program in `dir` that is an instar with the fault of that name.
pub fn stand_in(name: &str, dir: &Path) -> Result<PathBuf> {
    let path = dir.join("instar");
    let own = std::env::current_exe()?;
    let script = format!("#!/bin/sh\nexec '{}' {AS_FAULTY} '{name}' \"$@\"\n", own.display());
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Is the faulty instar, if `words` ask for it.
pub fn run(words: &[OsString]) -> Option<ExitCode> {
    let (_, rest) = words.split_first()?;
    let (first, rest) = rest.split_first().filter(|(first, _)| *first == AS_FAULTY)?;
    debug_assert_eq!(first, AS_FAULTY);
    let (name, args) = rest.split_first()?;
    let fault = FAULTS.iter().find(|fault| name == fault.name)?;
    Some(match act(fault, args) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            eprintln!("faulty instar: {e}");
            ExitCode::from(99)
        }
    })
}

fn act(fault: &Fault, args: &[OsString]) -> Result<u8> {
    let status = Command::new(env!("CARGO_BIN_EXE_oracle")).arg("__instar").args(args).status()?;
    if status.success() && args.first().is_some_and(|verb| verb == "resize") {
        (fault.plant)(&OpenOptions::new().read(true).write(true).open("disk.img")?)?;
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(98))
}

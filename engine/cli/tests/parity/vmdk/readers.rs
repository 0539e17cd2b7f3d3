//! Resized images through 7-Zip and libvmdk: size and content, before and after QEMU writes into the new area.

use super::{RESIZABLE, populated, resized};
use crate::Verdict;
use crate::fixture::run;
use crate::pair::Engine;
use libtest_mimic::Trial;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Sizes that a disk of 64 MiB goes through, in bytes: with more tables, moved together, as before.
const SIZES: [u64; 3] = [100 << 20, (31 << 20) + 4096, 64 << 20];

/// Who looks at the image.
#[derive(Debug, Clone, Copy)]
enum Reader {
    SevenZip,
    Vmdkinfo,
}

impl Reader {
    fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::SevenZip => ("7zz", "no 7zz on PATH"),
            Self::Vmdkinfo => ("vmdkinfo", "no vmdkinfo on PATH"),
        }
    }
}

/// A trial for each subformat and reader.
pub fn trials(engine: Engine) -> Vec<Trial> {
    let mut trials = Vec::new();
    for reader in [Reader::SevenZip, Reader::Vmdkinfo] {
        let (program, reason) = reader.program();
        let mut probe = Command::new(program);
        let missing = probe.stdout(Stdio::null()).stderr(Stdio::null()).status().err().map(|_| reason);
        for subformat in RESIZABLE {
            let name = format!("vmdk::{reader:?}::{subformat}::{}", engine.name());
            trials
                .push(crate::unless(missing, Trial::test(name, move || journey(engine, reader, subformat))));
        }
    }
    trials
}

fn journey(engine: Engine, reader: Reader, subformat: &str) -> Verdict {
    let dir = populated(subformat, "64M")?;
    let dir = dir.path();
    for size in SIZES {
        resized(dir, engine, &["--shrink", "d.vmdk", &size.to_string()])?;
        run(dir, &format!("qemu-img resize -q -f raw --shrink before.raw {size}"))?;
        agrees(dir, reader, size)?;
        let end = size - (64 << 10);
        for (format, image) in [("vmdk", "d.vmdk"), ("raw", "before.raw")] {
            let write = format!("write\u{a0}-P\u{a0}9\u{a0}{end}\u{a0}64k");
            run(dir, &format!("qemu-io -f {format} -c {write} {image}"))?;
        }
        agrees(dir, reader, size)?;
    }
    Ok(())
}

/// That the reader sees a disk of so many bytes, and those of `before.raw` if it unpacks them.
fn agrees(dir: &Path, reader: Reader, size: u64) -> Verdict {
    let mut look = Command::new(reader.program().0);
    match reader {
        Reader::SevenZip => look.args(["x", "-so", "-tvmdk", "d.vmdk"]),
        Reader::Vmdkinfo => look.arg("d.vmdk"),
    };
    let output = look.current_dir(dir).output()?;
    let fine = match reader {
        Reader::SevenZip => output.stdout == fs::read(dir.join("before.raw"))?,
        Reader::Vmdkinfo => {
            let text = String::from_utf8_lossy(&output.stdout);
            text.lines().any(|l| l.contains("Media size") && l.contains(&format!("{size} bytes")))
        }
    };
    if output.status.success() && fine {
        return Ok(());
    }
    let said = [output.stdout.get(..2000).unwrap_or(&output.stdout), &output.stderr];
    let said = if matches!(reader, Reader::SevenZip) { &said[1..] } else { &said[..] };
    Err(format!("{size} bytes: {}", said.iter().map(|s| String::from_utf8_lossy(s)).collect::<String>())
        .into())
}

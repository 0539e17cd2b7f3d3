//! Images of every shape that `qemu-img` and `qemu-io` can make.

use crate::made::Made;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How to make an image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipe {
    pub name: &'static str,
    /// `-o` of `qemu-img create`.
    pub options: &'static str,
    pub size: &'static str,
    /// What is done to it: commands of `qemu-io`, or of `qemu-img` after a `!`, `IMG` being the image.
    pub steps: &'static [&'static str],
}

const FILL: &[&str] = &["write 0 1M", "write 3M 64k", "write 2M 4k"];
const SMALL: &[&str] = &["write 0 40k", "write 100k 3k", "write 200k 512"];
const ZEROS: &[&str] = &["write 0 1M", "write -z 128k 128k", "write -z -u 512k 64k", "write -z 2M 1M"];
const COMPRESSED: &[&str] =
    &["write -c -P 1 0 64k", "write -c -P 2 64k 64k", "write -c -P 3 1M 64k", "write 2M 64k", "write 1M 64k"];
const SNAPSHOTS: &[&str] = &[
    "write 0 1M",
    "!snapshot -c one IMG",
    "write 0 128k",
    "!snapshot -c two IMG",
    "write 512k 1M",
    "!snapshot -c three IMG",
    "!snapshot -d two IMG",
];
const BITMAPS: &[&str] = &[
    "write 0 1M",
    "!bitmap --add IMG coarse",
    "!bitmap --add -g 4k IMG fine",
    "!bitmap --disable IMG fine",
    "write 10M 1M",
];

pub const fn image(
    name: &'static str,
    options: &'static str,
    size: &'static str,
    steps: &'static [&'static str],
) -> Recipe {
    Recipe { name, options, size, steps }
}

pub fn images() -> Vec<Recipe> {
    vec![
        image("plain", "cluster_size=64k", "64M", FILL),
        image("empty", "cluster_size=64k", "64M", &[]),
        image("none", "cluster_size=64k", "0", &[]),
        image("odd_size", "cluster_size=64k", "67109376", FILL),
        image("v2", "compat=0.10", "64M", FILL),
        image("c512", "cluster_size=512", "1M", SMALL),
        image("c1k", "cluster_size=1k", "1M", SMALL),
        image("c4k", "cluster_size=4k", "1G", FILL),
        image("c2m", "cluster_size=2M", "1G", FILL),
        image("r1", "refcount_bits=1", "64M", FILL),
        image("r2", "refcount_bits=2", "64M", FILL),
        image("r4", "refcount_bits=4", "64M", FILL),
        image("r8", "refcount_bits=8", "64M", FILL),
        image("r32", "refcount_bits=32", "64M", FILL),
        image("r64", "refcount_bits=64", "64M", FILL),
        image("r64_c512", "refcount_bits=64,cluster_size=512", "1M", SMALL),
        image("r1_c512", "refcount_bits=1,cluster_size=512", "1M", SMALL),
        image("lazy", "lazy_refcounts=on", "64M", FILL),
        image("zeros", "cluster_size=64k", "64M", ZEROS),
        image("metadata", "preallocation=metadata,cluster_size=4k", "8M", SMALL),
        image("falloc", "preallocation=falloc", "8M", SMALL),
        image("compressed", "cluster_size=64k", "64M", COMPRESSED),
        image("compressed_512", "cluster_size=512", "1M", &["write -c 0 64k", "write 1k 1k"]),
        image("zstd", "compression_type=zstd", "64M", COMPRESSED),
        image("extended", "extended_l2=on", "64M", ZEROS),
        image("extended_16k", "extended_l2=on,cluster_size=16k", "64M", FILL),
        image("extended_meta", "extended_l2=on,preallocation=metadata", "8M", &["write 0 3k"]),
        image("snapshots", "cluster_size=64k", "64M", SNAPSHOTS),
        image("snapshots_v2", "compat=0.10", "64M", SNAPSHOTS),
        image("snapshots_4k", "cluster_size=4k,refcount_bits=8", "64M", SNAPSHOTS),
        image("bitmaps", "cluster_size=64k", "64M", BITMAPS),
        image("bitmaps_512", "cluster_size=512", "1M", &["!bitmap --add -g 512 IMG b", "write 0 64k"]),
        image("data_file", "data_file=IMG.raw", "64M", FILL),
        image("data_file_raw", "data_file=IMG.raw,data_file_raw=on", "8M", SMALL),
        image("backed", "backing_file=base.raw,backing_fmt=raw", "64M", &[]),
        image("huge", "cluster_size=64k", "2P", &["write 0 64k", "write 1P 64k"]),
        image("huge_512", "cluster_size=512", "128G", &["write 100G 64k"]),
        image("grown", "cluster_size=4k", "1M", &["write 0 1M", "!resize -q IMG 10G", "write 9G 1M"]),
        image("shrunk", "cluster_size=4k", "64M", &["write 0 8M", "!resize -q --shrink IMG 3M"]),
        image(
            "random",
            "cluster_size=64k",
            "64M",
            &["write 3M 64k", "write 1M 64k", "write 2M 64k", "discard 1M 64k"],
        ),
    ]
}

/// Many trials begin with the same image.
static MADE: Made<Recipe> = Made::new();

impl Recipe {
    /// Puts the image into `dir`.
    pub fn build(&self, dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
        MADE.copy(*self, dir, |dir| self.make(dir))?;
        Ok(dir.join("image.qcow2"))
    }

    fn make(&self, dir: &Path) -> Result<(), Box<dyn Error>> {
        std::fs::write(dir.join("base.raw"), [0; 512])?;
        let options = self.options.replace("IMG", "image");
        let create = ["create", "-u", "-q", "-f", "qcow2", "-o", &options, "image.qcow2", self.size];
        // A data file keeps an image from being created without opening anything.
        let create: Vec<_> =
            create.into_iter().filter(|a| *a != "-u" || options.contains("backing")).collect();
        run(dir, "qemu-img", &create)?;
        for step in self.steps {
            match step.strip_prefix('!') {
                Some(command) => {
                    let words = command.split(' ').map(|w| if w == "IMG" { "image.qcow2" } else { w });
                    run(dir, "qemu-img", &words.collect::<Vec<_>>())?;
                }
                None => run(dir, "qemu-io", &["-f", "qcow2", "-c", step, "image.qcow2"])?,
            }
        }
        Ok(())
    }
}

pub fn run(dir: &Path, tool: &str, args: &[&str]) -> Result<(), Box<dyn Error>> {
    let out = Command::new(tool).args(args).current_dir(dir).output()?;
    let said = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() || said.contains("failed") {
        return Err(format!("{tool} {args:?}: {said}{}", String::from_utf8_lossy(&out.stderr)).into());
    }
    Ok(())
}

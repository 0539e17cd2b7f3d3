//! Images to work on, made by `qemu-img` and then spoilt where a trial wants that.

use libtest_mimic::Failed;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use tempfile::TempDir;

/// Offset of the incompatible features in a qcow2 header (specification, "Header").
const INCOMPATIBLE: u64 = 72;
/// Incompatible feature bit 0: refcounts may be stale.
const DIRTY: u64 = 1;
/// Incompatible feature bit 1: the image must not be written.
const CORRUPT: u64 = 2;

/// How to make the images with `qemu-img` and `qemu-io`, in order.
const RECIPES: &[&str] = &[
    "qemu-img create -q -f raw raw.img 1M",
    "qemu-img create -q -f qcow2 q.img 4M",
    "qemu-io -f qcow2 -c write\u{a0}0\u{a0}256k q.img",
    "qemu-io -f qcow2 -c write\u{a0}2M\u{a0}64k q.img",
    "qemu-img create -q -f qcow2 empty.qcow2 64M",
    "qemu-img create -q -f qcow2 -o compat=0.10 v2.img 4M",
    "qemu-img create -q -f qcow2 -o extended_l2=on,lazy_refcounts=on,compression_type=zstd,\
     cluster_size=128k,refcount_bits=32,preallocation=metadata ext.img 4M",
    "qemu-img create -q -f qcow2 -o cluster_size=512,refcount_bits=1 small.img 300k",
    "qemu-img create -q -f qcow2 -b ../raw.img -F raw sub/ov.img 8M",
    "qemu-img create -q -f qcow2 -b raw.img -F raw ov.img 8M",
    "qemu-img snapshot -c s1 ov.img",
    "qemu-img snapshot -c the-second-snapshot ov.img",
    "qemu-img bitmap --add ov.img b0",
    "qemu-img create -q -f qcow2 -o data_file=data.raw,data_file_raw=on df.img 4M",
    "mkfifo fifo",
];

/// A directory with images in it.
#[derive(Debug)]
pub struct Fixtures {
    dir: TempDir,
}

/// The images that every trial copies: making them takes a while.
static ORIGINALS: LazyLock<Result<Fixtures, String>> =
    LazyLock::new(|| Fixtures::make().map_err(|e| e.message().unwrap_or("?").to_owned()));

impl Fixtures {
    /// A trial's own copy of the images.
    pub fn new() -> Result<Self, Failed> {
        let originals = ORIGINALS.as_ref()?;
        let dir = originals.copy()?;
        Ok(Self { dir })
    }

    fn make() -> Result<Self, Failed> {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join("sub"))?;
        for recipe in RECIPES {
            run(dir.path(), recipe)?;
        }
        let fixtures = Self { dir };
        fixtures.spoil()?;
        Ok(fixtures)
    }

    /// Where the images are.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A copy of the directory's files, for a program that is going to change them.
    pub fn copy(&self) -> Result<TempDir, Failed> {
        let copy = tempfile::tempdir()?;
        for entry in fs::read_dir(self.path())? {
            let entry = entry?;
            let to = copy.path().join(entry.file_name());
            match entry.file_type()? {
                kind if kind.is_file() => drop(fs::copy(entry.path(), to)?),
                kind if kind.is_dir() => copy_files(&entry.path(), &to)?,
                _ => run(copy.path(), "mkfifo fifo")?,
            }
        }
        Ok(copy)
    }

    fn spoil(&self) -> Result<(), Failed> {
        fs::write(self.path().join("odd.raw"), vec![7; 1001])?;
        fs::write(self.path().join("nothing.raw"), [])?;
        fs::write(self.path().join("short.qcow2"), b"QFI\xfb\0\0\0\x03")?;
        self.spoil_copy("dirty.img", |f| f.write_all_at(&DIRTY.to_be_bytes(), INCOMPATIBLE))?;
        self.spoil_copy("corrupt.img", |f| f.write_all_at(&CORRUPT.to_be_bytes(), INCOMPATIBLE))?;
        self.spoil_copy("unknown.img", |f| f.write_all_at(&[0x40], INCOMPATIBLE + 1))?;
        // Cluster 5 holds guest data, cluster 12 lies past the end: refcount block 2, 16 bits each.
        self.spoil_copy("unref.img", |f| f.write_all_at(&[0, 0], 2 * 65536 + 2 * 5))?;
        self.spoil_copy("leak.img", |f| {
            f.set_len(13 * 65536)?;
            f.write_all_at(&[0, 1], 2 * 65536 + 2 * 12)
        })
    }

    /// Copies `q.img` and changes the copy.
    fn spoil_copy(
        &self,
        name: &str,
        change: impl FnOnce(&File) -> std::io::Result<()>,
    ) -> Result<(), Failed> {
        let path: PathBuf = self.path().join(name);
        fs::copy(self.path().join("q.img"), &path)?;
        change(&File::options().write(true).open(path)?)?;
        Ok(())
    }
}

/// Copies a directory that holds files only.
fn copy_files(from: &Path, to: &Path) -> Result<(), Failed> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Runs a line of words; a no-break space is a space within a word.
pub fn run(dir: &Path, line: &str) -> Result<(), Failed> {
    let mut words = line.split(' ').map(|w| w.replace('\u{a0}', " "));
    let program = words.next().unwrap_or_default();
    let status = Command::new(&program).args(words).current_dir(dir).stdout(Stdio::null()).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{line}: {status}").into()),
    }
}

//! Growing as `qemu-img resize` does: a copy of each image goes to either side, and what came out
//! must have the same content, the same map, a clean check, and a file that is about as long.

use super::recipe::{Recipe, image, run};
use super::subject;
use instar_formats::io::{Direction, IoError};
use instar_formats::qcow2::Header;
use instar_formats::qcow2::header::PARSE_LEN;
use instar_ops::{ReadAt, SCRATCH_LEN};
use instar_planner::{
    Backing, Patch, PlanError, Preallocation, Request, SizeRequest, Surroundings, Target, qcow2,
};
use libtest_mimic::Failed;
use rustix::fs::{FallocateFlags, fallocate};
use serde_json::Value;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A growth to compare.
#[derive(Clone, Copy)]
pub struct Growth {
    pub image: Recipe,
    /// Length in bytes of the backing file, if the image has one.
    backing: Option<u64>,
    pub size: u64,
    pub mode: Preallocation,
    /// Whether `qemu-img` shows what was there before, where we show zeros.
    exposed: bool,
}

pub const MODES: [(Preallocation, &str); 4] = [
    (Preallocation::Off, "off"),
    (Preallocation::Metadata, "metadata"),
    (Preallocation::Falloc, "falloc"),
    (Preallocation::Full, "full"),
];

const K: u64 = 1 << 10;
const M: u64 = 1 << 20;
const BACKED: &str = "cluster_size=64k,backing_file=base.raw,backing_fmt=raw";
const BACKED_V2: &str = "compat=0.10,backing_file=base.raw,backing_fmt=raw";
const BACKED_EXT: &str = "extended_l2=on,backing_file=base.raw,backing_fmt=raw";
const BACKED_4K: &str = "cluster_size=4k,backing_file=base.raw,backing_fmt=raw";
const BACKED_DATA: &str = "data_file=IMG.raw,backing_file=base.raw,backing_fmt=raw";
const BACKED_DATA_EXT: &str = "extended_l2=on,data_file=IMG.raw,backing_file=base.raw,backing_fmt=raw";
/// How many clusters longer than theirs a file may be.
const CLUSTERS_MORE: u64 = 4;
/// An L1 table of four clusters, in use, and left behind.
const FREED: &[&str] = &["write 0 4k", "write 1G 4k", "write 2G 4k", "write 3G 4k", "!resize -q IMG 64G"];
/// Inside the fifth cluster of 64 KiB, and inside a subcluster of it.
const ODD: u64 = 301_568;
const ODD_TEXT: &str = "301568";
/// The same, at the end of a subcluster.
const SUB_TEXT: &str = "301056";

/// Every image in every mode.
pub fn growths() -> Vec<Growth> {
    let plain = [
        (image("c64k", "cluster_size=64k", "1M", &["write 0 1M"]), 3 * M + 512),
        (image("c64k_l1", "cluster_size=64k", "1M", &["write 0 64k"]), 1100 * M),
        (image("odd", "cluster_size=64k", ODD_TEXT, &[]), 700 * K),
        (image("odd_written", "cluster_size=64k", ODD_TEXT, &["write 262144 4k"]), 700 * K),
        (image("odd_zero", "cluster_size=64k", ODD_TEXT, &["write -z -u 262144 39424"]), 700 * K),
        (image("v2", "compat=0.10", ODD_TEXT, &["write 0 64k"]), 9 * M),
        (image("c512", "cluster_size=512", "1M", &["write 0 200k"]), 3 * M + 512),
        (image("c512_r64", "cluster_size=512,refcount_bits=64", "100k", &["write 0 20k"]), 5 * M),
        (image("c512_r1", "cluster_size=512,refcount_bits=1", "100k", &["write 0 20k"]), 5 * M),
        (image("c1k", "cluster_size=1k", "100k", &["write 5k 20k"]), 5 * M + 512),
        (image("c4k", "cluster_size=4k", "1M", &["write 5k 20k"]), 64 * M + 512),
        (image("c2m", "cluster_size=2M", "1M", &["write 5k 20k"]), 13 * M),
        (image("extended", "extended_l2=on", ODD_TEXT, &["write 262144 2k"]), 9 * M),
        (image("extended_16k", "extended_l2=on,cluster_size=16k", "1M", &["write 0 3k"]), 40 * M),
        (image("lazy", "lazy_refcounts=on", "1M", &["write 0 64k"]), 9 * M),
        (image("within", "cluster_size=64k", ODD_TEXT, &[]), ODD + 1024),
        (image("shrunk", "cluster_size=64k", "9M", &["write 0 9M", "!resize -q --shrink IMG 1M"]), 9 * M),
        (image("freed", "cluster_size=4k", "4G", FREED), 64 * K * M + 12 * K),
    ];
    let with_data_file = [
        (image("data", "data_file=IMG.raw", "1M", &["write 0 64k"]), 9 * M),
        (image("data_odd", "data_file=IMG.raw", ODD_TEXT, &[]), 700 * K),
        (image("data_written", "data_file=IMG.raw", ODD_TEXT, &["write 262144 4k"]), 700 * K),
        (image("data_l1", "data_file=IMG.raw,cluster_size=4k", "1M", &["write 0 64k"]), 9 * M + 512),
        (image("data_raw", "data_file=IMG.raw,data_file_raw=on", "1M", &["write 0 64k"]), 9 * M),
        (image("data_raw_odd", "data_file=IMG.raw,data_file_raw=on", ODD_TEXT, &[]), 700 * K + 512),
        (image("data_extended", "data_file=IMG.raw,extended_l2=on", ODD_TEXT, &["write 262144 2k"]), 9 * M),
    ];
    let with_data_and_backing = [
        (image("backed_data", BACKED_DATA, ODD_TEXT, &["write 0 4k"]), 2 * M),
        (image("backed_data_ext", BACKED_DATA_EXT, ODD_TEXT, &["write 262144 2k"]), 2 * M),
    ];
    let backed = [
        (image("backed", BACKED, ODD_TEXT, &[]), 2 * M),
        (image("backed_l1", BACKED, ODD_TEXT, &[]), 1100 * M),
        (image("backed_aligned", BACKED, "256k", &["write 0 64k"]), 2 * M),
        (image("backed_written", BACKED, ODD_TEXT, &["write 262144 4k"]), 2 * M),
        (image("backed_zero", BACKED, ODD_TEXT, &["write -z -u 262144 39424"]), 2 * M),
        (image("backed_within", BACKED, ODD_TEXT, &[]), ODD + 1024),
        (image("backed_v2", BACKED_V2, ODD_TEXT, &[]), 2 * M),
        (image("backed_v2_within", BACKED_V2, ODD_TEXT, &[]), ODD + 1024),
        (image("backed_4k", BACKED_4K, ODD_TEXT, &["write 8k 4k"]), 9 * M),
        (image("backed_ext", BACKED_EXT, ODD_TEXT, &[]), 2 * M),
        (image("backed_ext_sub", BACKED_EXT, SUB_TEXT, &[]), 2 * M),
        (image("backed_ext_some", BACKED_EXT, ODD_TEXT, &["write 262144 2k", "write -z 266240 2k"]), 2 * M),
        (image("backed_ext_head", BACKED_EXT, ODD_TEXT, &["write -z 266240 2k"]), 2 * M),
        (image("backed_shrunk", BACKED, "9M", &["write 0 9M", "!resize -q --shrink IMG 301568"]), 9 * M),
    ];
    let mut all = Vec::new();
    for (mode, _) in MODES {
        for (image, size) in plain.into_iter().chain(with_data_file) {
            // The old L1 table, which is free.
            let exposed = image.name == "freed" && mode == Preallocation::Metadata;
            all.push(Growth { image, backing: None, size, mode, exposed });
        }
        for (image, size) in backed.into_iter().chain(with_data_and_backing) {
            for backing in [600 * K, 200 * K, ODD] {
                // The tail that a shrink left.
                let kept = matches!(mode, Preallocation::Off | Preallocation::Metadata) && backing < 600 * K;
                let exposed = image.name == "backed_shrunk" && kept;
                all.push(Growth { image, backing: Some(backing), size, mode, exposed });
            }
        }
    }
    all
}

impl Growth {
    pub fn name(&self) -> String {
        let mode = MODES.iter().find(|(mode, _)| *mode == self.mode).map_or("", |(_, name)| name);
        match self.backing {
            Some(len) => format!("{}_{}::{mode}", self.image.name, len / K),
            None => format!("{}::{mode}", self.image.name),
        }
    }

    fn mode_name(&self) -> &'static str {
        MODES.iter().find(|(mode, _)| *mode == self.mode).map_or("", |(_, name)| name)
    }

    /// Grows a copy each way and compares.
    pub fn compare(&self) -> Result<(), Failed> {
        let (dir, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let ours = self.image.build(dir.path())?;
        if let Some(len) = self.backing {
            let bytes: Vec<u8> = (0..len).map(|i| u8::try_from(i / 512 % 255 + 1).unwrap_or(1)).collect();
            std::fs::write(dir.path().join("base.raw"), bytes)?;
        }
        for file in std::fs::read_dir(dir.path())? {
            let file = file?;
            std::fs::copy(file.path(), other.path().join(file.file_name()))?;
        }
        let old = header(&File::open(&ours)?)?.virtual_size();
        let size = self.size.to_string();
        let mode = format!("--preallocation={}", self.mode_name());
        let args = ["resize", "-q", "-f", "qcow2", &mode, "image.qcow2", &size];
        let out = Command::new("qemu-img").args(args).current_dir(other.path()).output()?;
        let before = std::fs::read(&ours)?;
        match (self.grow(&ours), out.status.success()) {
            (Ok(()), true) => self.same(dir.path(), other.path(), old),
            (Err(e), false) => {
                let said = String::from_utf8_lossy(&out.stderr);
                same(&format!("qemu-img: {e}"), &said.lines().next().unwrap_or_default().to_owned())?;
                same(&(std::fs::read(&ours)? == before), &true)
            }
            (Ok(()), false) => {
                Err(format!("qemu-img refuses: {}", String::from_utf8_lossy(&out.stderr)).into())
            }
            (Err(e), true) => Err(format!("qemu-img does it, we do not: {e}").into()),
        }
    }

    /// Compares the images in two directories, which were `old` bytes long.
    fn same(&self, dir: &Path, other: &Path, old: u64) -> Result<(), Failed> {
        run(dir, "qemu-img", &["check", "-q", "-f", "qcow2", "image.qcow2"])?;
        same(&alike(dir, other)?, &!self.exposed)?;
        let zeros = format!("read -P 0 {old} {}", self.size - old);
        run(dir, "qemu-io", &["-f", "qcow2", "-c", &zeros, "image.qcow2"])?;
        let hollow = self.mode == Preallocation::Metadata || self.image.options.contains("data_file_raw");
        same(&map(dir, hollow)?, &map(other, hollow)?)?;
        let [ours, theirs] = [dir, other].map(|dir| dir.join("image.qcow2"));
        same(&subject::qemu_info(&ours)?, &subject::qemu_info(&theirs)?)?;
        let (mine, other) = (std::fs::metadata(&ours)?.len(), std::fs::metadata(&theirs)?.len());
        let bound = self.bound(&ours)?;
        if mine > other.next_multiple_of(bound / CLUSTERS_MORE) + bound {
            return Err(format!("the file has {mine} bytes, theirs {other}").into());
        }
        Ok(())
    }

    /// How much longer than theirs, to the end of its last cluster, a file may be: a refcount table with room to grow, and
    /// what they put into holes.
    fn bound(&self, ours: &Path) -> Result<u64, Box<dyn Error>> {
        Ok(CLUSTERS_MORE * header(&File::open(ours)?)?.geometry.cluster_size())
    }

    /// Grows `file` as an operation would.
    fn grow(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let len = file.metadata()?.len();
        let header = header(&file)?;
        let mut image = Image { file, len };
        let mut base = self.backing.map(|len| Base { file: path.with_file_name("base.raw"), len });
        let mut around = Surroundings::default();
        if let Some(base) = &mut base {
            around.backing = Some(base);
        }
        let size = SizeRequest::Absolute(self.size);
        let request = Request { size, shrink: false, preallocation: self.mode };
        let mut scratch = vec![0x5a; SCRATCH_LEN];
        let mut data = Image::beside(path)?;
        if let Some(data) = data.as_mut().filter(|_| self.image.options.contains("data_file")) {
            around.data_file = Some(data);
        }
        let plan = qcow2::plan_resize(&mut image, &header, &request, &mut around, &mut scratch)?;
        let len = plan.run(&mut image, &mut around, &mut scratch)?;
        if let (true, Some(data)) = (around.data_file.is_some(), &data) {
            data.file.set_len(plan.new_virtual_size)?;
        }
        Ok(image.file.set_len(len)?)
    }
}

fn header(file: &File) -> Result<Header, Box<dyn Error>> {
    let mut head = [0; PARSE_LEN];
    file.read_exact_at(&mut head, 0)?;
    Ok(Header::parse(&head, file.metadata()?.len())?)
}

/// Whether the images in two directories have the same content. A data file is found beside the image
/// only from its directory.
fn alike(dir: &Path, other: &Path) -> Result<bool, Box<dyn Error>> {
    if !dir.join("image.raw").exists() {
        let theirs = other.join("image.qcow2").display().to_string();
        let compare = ["compare", "-q", "-f", "qcow2", "-F", "qcow2", "image.qcow2", &theirs];
        return Ok(run(dir, "qemu-img", &compare).is_ok());
    }
    let flat = |dir: &Path| {
        run(dir, "qemu-img", &["convert", "-f", "qcow2", "-O", "raw", "image.qcow2", "flat"])?;
        Ok::<_, Box<dyn Error>>(std::fs::read(dir.join("flat"))?)
    };
    Ok(flat(dir)? == flat(other)?)
}

/// What a guest sees where, without host offsets. In a `hollow` file some clusters are holes, and which
/// parts of them are is the file system's business.
fn map(dir: &Path, hollow: bool) -> Result<Vec<Value>, Box<dyn Error>> {
    let args = ["map", "-f", "qcow2", "--output=json", "image.qcow2"];
    let out = Command::new("qemu-img").args(args).current_dir(dir).output()?;
    let mut all: Vec<Value> = serde_json::from_slice(&out.stdout)?;
    let mut merged: Vec<Value> = Vec::new();
    for extent in &mut all {
        let fields = extent.as_object_mut().ok_or("no object")?;
        fields.remove("offset");
        if hollow && fields["data"] == true {
            fields.insert("zero".into(), Value::Null);
        }
        let mut key = fields.clone();
        key.remove("start");
        key.remove("length");
        let alike = |last: &Value| key.iter().all(|(name, value)| last.get(name) == Some(value));
        match merged.last_mut().filter(|last| alike(last)) {
            Some(last) => {
                let sum = last["length"].as_u64().unwrap_or(0) + extent["length"].as_u64().unwrap_or(0);
                last["length"] = sum.into();
            }
            None => merged.push(extent.clone()),
        }
    }
    Ok(merged)
}

fn same<T: PartialEq + std::fmt::Debug>(ours: &T, theirs: &T) -> Result<(), Failed> {
    if ours == theirs { Ok(()) } else { Err(format!("ours:   {ours:?}\ntheirs: {theirs:?}").into()) }
}

/// An image file that a plan runs on.
struct Image {
    file: File,
    len: u64,
}

impl Image {
    /// The data file of the image at `path`, if there is one.
    fn beside(path: &Path) -> std::io::Result<Option<Self>> {
        let path = path.with_extension("raw");
        if !path.exists() {
            return Ok(None);
        }
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Some(Self { len: file.metadata()?.len(), file }))
    }
}

impl ReadAt for Image {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
        read(&self.file, offset, buf)
    }
}

impl Target for Image {
    fn apply(&mut self, patch: Patch<'_>) -> Result<(), IoError> {
        match patch {
            Patch::Write { offset, data } => {
                let failed =
                    IoError { direction: Direction::Write, offset, len: data.len() as u64, errno: 0 };
                self.file.write_all_at(data, offset).map_err(|_| failed)
            }
            Patch::ZeroFill { offset, len, unmap } => {
                let failed = IoError { direction: Direction::Write, offset, len, errno: 0 };
                let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                let how = if unmap { punch } else { FallocateFlags::ZERO_RANGE };
                fallocate(&self.file, how, offset, len).map_err(|_| failed)
            }
            Patch::Barrier => Ok(()),
        }
    }
}

fn read(file: &File, offset: u64, buf: &mut [u8]) -> Result<(), IoError> {
    let mut done = 0;
    while let Ok(n @ 1..) = file.read_at(&mut buf[done..], offset + done as u64) {
        done += n;
    }
    buf[done..].fill(0);
    Ok(())
}

/// A raw backing file.
struct Base {
    file: PathBuf,
    len: u64,
}

impl Backing for Base {
    fn virtual_size(&self) -> u64 {
        self.len.next_multiple_of(512)
    }

    fn read(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), PlanError> {
        let file = File::open(&self.file).expect("the backing file opens");
        Ok(read(&file, offset, buf)?)
    }
}

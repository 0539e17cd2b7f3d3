//! Real resizes that a signal ends at some moment: what is left of the files is judged as a crash state is, by qemu-img, and by
//! the same command once more.

use libtest_mimic::{Failed, Trial};
use oracle_case::child::Tool;
use oracle_case::seed::SplitMix64;
use oracle_case::{Case, Content, FormatOptions, Tools, build, expected_content};
use oracle_crash::{Expected, Good, Image, Judge, Step, second_opinion};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Resizes that are ended, of each kind.
const KILLS: u64 = 10;
/// The same at most, if none has changed anything before.
const MOST_KILLS: u64 = 100;
/// How long the processes of a resize may stay once it is over.
const PATIENCE: Duration = Duration::from_secs(20);
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;

/// Images and the sizes that they get. Small clusters and blocks make for many writes, with flushes in between.
const SHAPES: [(&str, &str); 7] = [
    (
        "a-qcow2-grow",
        r#"{"fixture": {"size": 8388608, "maker": "own", "format": {"qcow2": {"version": 3, "cluster_bits": 9, "refcount_bits": 16}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 1048576}]}, "resizes": [{"size": "4G"}]}"#,
    ),
    (
        "a-qcow2-shrink",
        r#"{"fixture": {"size": 8388608, "maker": "own", "format": {"qcow2": {"version": 3, "cluster_bits": 9, "refcount_bits": 16}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 4194304}]}, "resizes": [{"size": "64K", "shrink": true}]}"#,
    ),
    (
        "a-vhd-grow",
        r#"{"fixture": {"size": 8388608, "maker": "own", "format": {"vpc": {"creator": "qem2", "block_bits": 12}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 262144}]}, "resizes": [{"size": "256M"}]}"#,
    ),
    (
        "a-vhdx-grow",
        r#"{"fixture": {"size": 8388608, "maker": "own", "format": {"vhdx": {"block_bits": 20}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 262144}]}, "resizes": [{"size": "200G"}]}"#,
    ),
    (
        "a-vmdk-grow",
        r#"{"fixture": {"size": 8388608, "maker": "own", "format": {"vmdk": {"subformat": "monolithicSparse"}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 262144}]}, "resizes": [{"size": "60G"}]}"#,
    ),
    (
        "a-grow-by-files",
        r#"{"fixture": {"size": 8388608, "maker": "own", "format": {"vmdk": {"subformat": "twoGbMaxExtentSparse", "extent_sectors": 8192}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 262144}]}, "resizes": [{"size": "20G"}]}"#,
    ),
    (
        "a-cut-of-files",
        r#"{"fixture": {"size": 16777216, "maker": "own", "format": {"vmdk": {"subformat": "twoGbMaxExtentSparse", "extent_sectors": 8192}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 262144}]}, "resizes": [{"size": "5M", "shrink": true}]}"#,
    ),
];

/// The trials of one engine; `qemu_img` says whether there is one to be asked.
pub fn trials(engine: &'static str, qemu_img: bool) -> impl Iterator<Item = Trial> {
    SHAPES.iter().flat_map(move |(name, case)| {
        [(SIGKILL, "killed"), (SIGINT, "interrupted")].map(|(signal, word)| {
            let name = format!("{name}-that-is-{word}-in-{engine}-leaves-a-good-image");
            Trial::test(name, move || Killed::new(engine, signal, case, qemu_img)?.run())
        })
    })
}

/// Resizes of an image that do not come to their end.
struct Killed {
    engine: &'static str,
    signal: i32,
    case: Case,
    start: Image,
    content: Content,
    step: Step,
    judge: Judge,
    qemu_img: Option<Tool>,
}

impl Killed {
    fn new(engine: &'static str, signal: i32, case: &str, qemu_img: bool) -> Result<Self, Failed> {
        let (dir, none) = (tempfile::tempdir()?, Tool::new("none"));
        let mut case = Case::from_json(case)?;
        case.legalize();
        let path = build(&case.fixture, dir.path(), &Tools { qemu_img: none.clone(), qemu_io: none })?;
        let (start, mut judge) = (Image::load_disk(&path)?, Judge::default());
        let content = expected_content(&case.fixture);
        let format = match case.fixture.format {
            FormatOptions::Vpc(_) => instar_ops::Format::Vhd,
            FormatOptions::Vhdx(_) => instar_ops::Format::Vhdx,
            FormatOptions::Vmdk(_) => instar_ops::Format::Vmdk,
            _ => instar_ops::Format::Qcow2,
        };
        let wanted = case.resizes.first().ok_or("no resize")?;
        let new = oracle_case::target(&case.fixture.format, content.size(), wanted)
            .map_err(|why| format!("{why:?}"))?;
        let step = judge.step(&start, format, &content, new, false).map_err(|bad| bad.to_string())?;
        let qemu_img = qemu_img.then(|| Tool::new("qemu-img"));
        Ok(Self { engine, signal, case, start, content, step, judge, qemu_img })
    }

    fn resize(&self, path: &Path) -> std::io::Result<Child> {
        let mut instar = Command::new(env!("CARGO_BIN_EXE_oracle"));
        instar.args(["__instar", "resize", "--engine", self.engine, "-q", "--shrink", "-f"]);
        instar.arg(self.case.fixture.format.name()).arg(path).arg(self.step.new.to_string());
        // A terminal sends an interrupt to all processes of a group.
        instar.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    fn run(mut self) -> Result<(), Failed> {
        let whole = self.whole()?;
        let mut rng = SplitMix64::new(self.step.new ^ u64::from(self.signal.unsigned_abs()));
        let mut changed = 0;
        for kill in 0..MOST_KILLS {
            let touched = self.kill(kill, Duration::from_micros(rng.below(whole)));
            let touched =
                touched.map_err(|why| format!("kill {kill}: {}", why.message().unwrap_or_default()))?;
            changed += u64::from(touched);
            if kill + 1 >= KILLS && changed > 0 {
                return Ok(());
            }
        }
        Err("every one came too early".into())
    }

    /// How long a whole one takes, in microseconds. What it leaves must be good.
    fn whole(&mut self) -> Result<u64, Failed> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("disk.img");
        self.start.store(&path)?;
        let begun = Instant::now();
        if !self.resize(&path)?.wait()?.success() {
            return Err("the resize itself fails".into());
        }
        let whole = u64::try_from(begun.elapsed().as_micros())?;
        self.judge.judge_end(&Image::load_disk(&path)?, &self.step)?;
        Ok(whole)
    }

    /// Ends one at a moment counted from its beginning or, every other time, from its first change if that comes before.
    /// Whether any file was changed or made, extents that nothing names yet among them.
    fn kill(&mut self, number: u64, moment: Duration) -> Result<bool, Failed> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("disk.img");
        self.start.store(&path)?;
        let (begun, before) = (Instant::now(), listed(dir.path())?);
        let mut child = self.resize(&path)?;
        while number % 2 == 1 && begun.elapsed() < moment && listed(dir.path())? == before {
            std::thread::sleep(Duration::from_micros(50));
        }
        let rest = if number % 2 == 1 { moment / 4 } else { moment };
        std::thread::sleep(rest);
        if self.signal == SIGKILL {
            child.kill()?;
        } else {
            let group = format!("-{}", child.id());
            Command::new("kill").args(["-INT", "--", &group]).stderr(Stdio::null()).status()?;
        }
        let status = child.wait()?;
        if !status.success() && status.signal() != Some(self.signal) {
            return Err(format!("it ends with {status}").into());
        }
        nobody_is_left(child.id())?;
        let touched = listed(dir.path())? != before;
        let left = Image::load_disk(&path)?;
        let good = self.judge.judge(&mut left.clone(), &self.step, |_, _| ())?;
        self.ask(&left, &good)?;
        self.again(&left)?;
        Ok(touched)
    }

    fn ask(&self, left: &Image, good: &Good) -> Result<(), Failed> {
        let Some(qemu_img) = &self.qemu_img else { return Ok(()) };
        let dir = tempfile::tempdir()?;
        let mut content = self.content.clone();
        if good.size == self.step.new || self.step.format == instar_ops::Format::Qcow2 {
            content.resize(self.step.new);
        }
        // Of a disk whose parts have grown in part, only the size is known.
        let content = [self.step.old, self.step.new].contains(&good.size).then_some(content);
        let expected = Expected::of(&self.step, good);
        Ok(second_opinion(qemu_img, dir.path(), left, &expected, content.as_ref())?)
    }

    /// The same command completes it, once files that nothing names were removed.
    fn again(&mut self, left: &Image) -> Result<(), Failed> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("disk.img");
        left.store(&path)?;
        if !self.resize(&path)?.wait()?.success() {
            return Err("the same resize fails once more".into());
        }
        // What an interrupted one has lost is for a check.
        let format = self.step.format;
        let judged = self.judge.judge(&mut Image::load_disk(&path)?, &self.step, |_, _| ())?;
        if judged.is_new { Ok(()) } else { Err(format!("a {format:?} image of the old size").into()) }
    }
}

/// The files of a directory: name, length, and when each was changed.
fn listed(dir: &Path) -> std::io::Result<Vec<(std::ffi::OsString, u64, std::time::SystemTime)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // It may be gone already.
        if let Ok(metadata) = entry.metadata() {
            files.push((entry.file_name(), metadata.len(), metadata.modified()?));
        }
    }
    files.sort();
    Ok(files)
}

/// Waits until the last process of a group is gone: that of a guest goes when its parent has gone.
fn nobody_is_left(group: u32) -> Result<(), Failed> {
    let begun = Instant::now();
    while has_processes(group)? {
        if begun.elapsed() > PATIENCE {
            return Err("a process is left".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Whether a process of the group runs; one that only waits to be waited for does not (proc(5), `/proc/pid/stat`).
fn has_processes(group: u32) -> std::io::Result<bool> {
    let of_group = |entry: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let mut fields = stat.rsplit(')').next()?.split_ascii_whitespace();
        let state = fields.next()?;
        (state != "Z" && fields.nth(1)?.parse() == Ok(group)).then_some(())
    };
    Ok(std::fs::read_dir("/proc")?.find_map(of_group).is_some())
}

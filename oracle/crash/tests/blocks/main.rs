//! The crash states of VHD, VHDX and VMDK images that qemu-img made, which it does not resize: those of instar's resizes are
//! good, and those of resizes with a planted fault are not.

use instar_ops::{Format, Identity, Preallocation, ResizeRequest, SizeRequest};
use libtest_mimic::{Arguments, Failed, Trial};
use oracle_case::child::Tool;
use oracle_case::{Case, Content, Maker, Tools};
use oracle_crash::{
    Bad, Bounds, Engine, Image, InProcess, Judge, Op, Options, Step, Trace, Traced, for_each_state, run_case,
    unreadable,
};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

const M: u64 = 1 << 20;
const G: u64 = 1 << 30;
const NAME: &str = "disk.img";
/// Seeded cases of each format.
const CASES: usize = 6;
/// Far fewer states than a campaign tries.
const BOUNDS: Bounds = Bounds { exhaustive: 4, samples: 6, scattered: 2, cuts: 1, calls: 256 };

/// An image and the sizes that it gets, each from the beginning.
#[derive(Debug)]
struct Shape {
    format: Format,
    name: &'static str,
    options: &'static str,
    size: u64,
    /// Byte, offset, length; in this order, so that blocks lie in another one in the file.
    writes: &'static [(u8, u64, u64)],
    new: &'static [u64],
}

/// Blocks at the end of the disk first, one across the smallest size, one with a part of the last block.
const WRITES: &[(u8, u64, u64)] =
    &[(1, 60 * M, 64 << 10), (2, 0, 4096), (3, 21 * M - 512, 1024), (4, 30 * M, 4 * M)];
const FEW: &[(u8, u64, u64)] = &[(1, 7 * M, M), (2, 0, 4096), (3, 3 * M, M + 512)];
const WIDE: &[(u8, u64, u64)] = &[(1, 2048 * M - 4096, 8192), (2, 0, 4096), (3, 1023 * M, 2 * M)];
/// A little beyond a block, a grain or a sector of any of them.
const ODD: u64 = 31 * M + 4096;

const SHAPES: &[Shape] = &[
    // In the table's slack, behind all blocks, and compacted.
    shape(Format::Vhd, "vpc", "force_size=on", 64 * M, WRITES, &[100 * M, 600 * M, ODD, M]),
    shape(Format::Vhd, "vpc", "subformat=dynamic", 64 * M, WRITES, &[300 * M, 20 * M]),
    shape(Format::Vhd, "vpc", "subformat=fixed,force_size=on", 8 * M, FEW, &[9 * M + 512, 3 * M + 1024]),
    shape(Format::Vhdx, "vhdx", "block_size=1M", 64 * M, WRITES, &[100 * M, 200 * G, ODD, M]),
    shape(
        Format::Vhdx,
        "vhdx",
        "subformat=fixed,block_state_zero=off,block_size=2M",
        9 * M,
        FEW,
        &[20 * M, 4 * M],
    ),
    // In the gap, behind all grains, and with other directories.
    shape(Format::Vmdk, "vmdk", "subformat=monolithicSparse", 64 * M, WRITES, &[200 * M, G, 5 * G, ODD, M]),
    shape(Format::Vmdk, "vmdk", "subformat=monolithicFlat", 8 * M, FEW, &[9 * M + 512, 3 * M + 1024]),
    shape(Format::Vmdk, "vmdk", "subformat=twoGbMaxExtentFlat", 2049 * M, WIDE, &[5 * G, 2048 * M, G]),
    shape(
        Format::Vmdk,
        "vmdk",
        "subformat=twoGbMaxExtentSparse",
        2049 * M,
        WIDE,
        &[5 * G, 2050 * M, 2048 * M, G],
    ),
];

const fn shape(
    format: Format,
    name: &'static str,
    options: &'static str,
    size: u64,
    writes: &'static [(u8, u64, u64)],
    new: &'static [u64],
) -> Shape {
    Shape { format, name, options, size, writes, new }
}

fn main() -> ExitCode {
    let mut trials: Vec<Trial> = SHAPES
        .iter()
        .map(|shape| {
            let name = format!("states-of-{}-{}-are-good", shape.name, shape.options);
            Trial::test(name, move || all_good(shape))
        })
        .collect();
    trials.push(Trial::test("states-of-vmdk-with-a-shortened-text-are-good", shortened));
    trials.push(Trial::test("a-vmdk-text-that-goes-on-behind-its-end-is-bad", goes_on));
    for (name, format, fault) in FAULTS {
        trials.push(Trial::test(*name, move || is_caught(*format, *fault)));
    }
    if ["qemu-img", "qemu-io"].iter().any(|tool| Command::new(tool).arg("--version").output().is_err()) {
        let ignored =
            |trial: Trial| trial.with_ignored_flag(true).with_kind("no qemu-img and qemu-io in PATH");
        trials = trials.into_iter().map(ignored).collect();
    }
    for format in ["vpc", "vhdx", "vmdk"] {
        trials.push(Trial::test(format!("seeded-cases-of-{format}-are-good"), move || seeded(format)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Runs a tool, which must do what it is asked to.
fn run(dir: &Path, tool: &str, args: &[&str]) -> Result<(), Failed> {
    let output = Command::new(tool).args(args).current_dir(dir).stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{tool} {args:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
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

impl Shape {
    fn make(&self) -> Result<(Image, Content), Failed> {
        let dir = tempfile::tempdir()?;
        let size = self.size.to_string();
        run(dir.path(), "qemu-img", &["create", "-q", "-f", self.name, "-o", self.options, NAME, &size])?;
        for (byte, offset, len) in self.writes {
            run(
                dir.path(),
                "qemu-io",
                &["-f", self.name, "-c", &format!("write -P {byte} {offset} {len}"), NAME],
            )?;
        }
        let mut info = Command::new("qemu-img");
        info.args(["info", "-f", self.name, "--output=json", NAME]).current_dir(dir.path());
        let info: serde_json::Value = serde_json::from_slice(&info.output()?.stdout)?;
        let mut content = Content::zeros(info["virtual-size"].as_u64().ok_or("no size")?);
        self.writes.iter().for_each(|(byte, offset, len)| content.fill(*offset, *len, *byte));
        Ok((Image::load_disk(&dir.path().join(NAME))?, content))
    }

    /// Resizes `image`, and says what that did and what it will be judged by.
    fn resize(
        &self,
        judge: &mut Judge,
        image: &Image,
        content: &Content,
        new: u64,
    ) -> Result<(Step, Traced), Failed> {
        let request = ResizeRequest {
            format: Some(self.format),
            size: SizeRequest::Absolute(new),
            shrink: true,
            preallocation: Preallocation::Off,
            identity: Identity { random: [0xc3; 64], unix_time: 0 },
        };
        let traced = InProcess.resize(image, &request, Path::new("."))?;
        let new = traced.outcome.as_ref()?.new_virtual_size;
        Ok((judge.step(image, self.format, content, new, false).map_err(|bad| bad.to_string())?, traced))
    }
}

fn all_good(shape: &Shape) -> Result<(), Failed> {
    let (mut judge, mut count) = (Judge::default(), 0);
    let (image, content) = shape.make()?;
    for new in shape.new {
        let (step, traced) = shape.resize(&mut judge, &image, &content, *new)?;
        count +=
            states(&mut judge, &image, &step, &traced.trace).map_err(|bad| format!("to {new}: {bad}"))?;
    }
    if count < 8 { Err(format!("only {count} states").into()) } else { Ok(()) }
}

/// The first VMDK image, with as much of its text as `cut` says missing from its content identifier, as QEMU leaves it: the rest of the
/// text is where the shorter one ends, and behind the zero that ends it stands what stood there.
fn with_short_cid(cut: usize) -> Result<(&'static Shape, Image, Content), Failed> {
    const TEXT: u64 = 512;
    let shape = SHAPES.iter().find(|shape| shape.format == Format::Vmdk).ok_or("no shape")?;
    let (mut image, content) = shape.make()?;
    let mut text = vec![0; 4096];
    image.read(TEXT, &mut text);
    let end = text.iter().position(|b| *b == 0).ok_or("no end")?;
    let cid = text.windows(4).position(|w| w == b"CID=").ok_or("no identifier")? + 4;
    let line = text[cid..].iter().position(|b| *b == b'\n').ok_or("no line")?;
    let short = [&text[..cid], b"f", &text[cid + line..end], &[0][..]].concat();
    image.write(TEXT, &[short.as_slice(), &vec![b'\n'; cut]].concat());
    image.mark();
    Ok((shape, image, content))
}

/// An identifier of eight digits became one of one digit.
fn shortened() -> Result<(), Failed> {
    let (shape, image, content) = with_short_cid(6)?;
    let mut judge = Judge::default();
    for new in shape.new {
        let (step, traced) = shape.resize(&mut judge, &image, &content, *new)?;
        states(&mut judge, &image, &step, &traced.trace).map_err(|bad| format!("to {new}: {bad}"))?;
    }
    Ok(())
}

fn goes_on() -> Result<(), Failed> {
    let (shape, image, content) = with_short_cid(40)?;
    match shape.resize(&mut Judge::default(), &image, &content, shape.new[0]) {
        Err(_) => Ok(()),
        Ok(_) => Err("nobody minds".into()),
    }
}

/// What changes a trace.
type Fault = fn(&mut Trace);

/// The first seeds with an image of the oracle's own, in full; `CRASH_CASES` says how many.
fn seeded(format: &str) -> Result<(), Failed> {
    let wanted = std::env::var("CRASH_CASES").map_or(Ok(CASES), |n| n.parse())?;
    let own = |(seed, mut case): (u64, Case)| {
        case.fixture.maker = Maker::Own;
        case.legalize();
        (seed, case)
    };
    let cases = Case::sequence_of(1, &[format]).map(own);
    let cases = cases.filter(|(_, case)| case.fixture.maker == Maker::Own && unreadable(case).is_none());
    let none = || Tool::new("none");
    let tools = Tools { qemu_img: none(), qemu_io: none() };
    let engine = &InProcess;
    let options = Options {
        bounds: BOUNDS,
        seed: 1,
        engine,
        engine_faults: 0,
        tools: &tools,
        opinion_every: 0,
        only: None,
    };
    let (mut judge, mut bad, mut states) = (Judge::default(), Vec::new(), 0);
    for (seed, case) in cases.take(wanted) {
        let dir = tempfile::tempdir()?;
        let report = run_case(&case, dir.path(), &options, &mut judge);
        let report = report.map_err(|why| format!("seed {seed}: {}: {why}", case.describe()))?;
        states += report.distinct;
        bad.extend(
            report.bad.into_iter().take(2).map(|b| format!("seed {seed}: {}: {b:?}", case.describe())),
        );
    }
    match bad.is_empty() && states > 0 {
        true => Ok(()),
        false => Err(format!("{states} states\n{}", bad.join("\n")).into()),
    }
}

/// What is done to the traces of all images of a format, some of which must have a bad state then.
const FAULTS: &[(&str, Format, Fault)] = &[
    ("without-barriers-vhd-goes-bad", Format::Vhd, no_barriers),
    ("without-barriers-vhdx-goes-bad", Format::Vhdx, no_barriers),
    ("without-barriers-vmdk-goes-bad", Format::Vmdk, no_barriers),
    ("vhdx-metadata-outside-the-log-goes-bad", Format::Vhdx, outside_the_log),
    ("a-vhd-footer-before-its-table-goes-bad", Format::Vhd, footer_first),
    ("a-vmdk-header-before-its-tables-goes-bad", Format::Vmdk, |trace| first(trace, is_header)),
    ("a-vmdk-descriptor-before-its-extents-goes-bad", Format::Vmdk, |trace| first(trace, is_descriptor)),
];

fn is_caught(format: Format, fault: Fault) -> Result<(), Failed> {
    let mut judge = Judge::default();
    for shape in SHAPES.iter().filter(|shape| shape.format == format) {
        let (image, content) = shape.make()?;
        for new in shape.new {
            let (step, Traced { mut trace, .. }) = shape.resize(&mut judge, &image, &content, *new)?;
            fault(&mut trace);
            if states(&mut judge, &image, &step, &trace).is_err() {
                return Ok(());
            }
        }
    }
    Err("no state of any resize is bad".into())
}

fn no_barriers(trace: &mut Trace) {
    trace.intervals = vec![trace.intervals.drain(..).flatten().collect()];
}

/// Moves the first interval with an operation that `is_it` to the beginning.
fn first(trace: &mut Trace, is_it: fn(&Op) -> bool) {
    if let Some(at) = trace.intervals.iter().position(|ops| ops.iter().any(is_it)) {
        let ops = trace.intervals.remove(at);
        trace.intervals.insert(0, ops);
    }
}

fn is_header(op: &Op) -> bool {
    match op {
        Op::In { op, .. } => is_header(op),
        Op::Write { offset, .. } => *offset == 0,
        _ => false,
    }
}

fn is_descriptor(op: &Op) -> bool {
    matches!(op, Op::Replace { .. })
}

fn footer_first(trace: &mut Trace) {
    first(trace, is_header);
}

/// Without the log's entries and the headers that name them, only what is written in place is left.
fn outside_the_log(trace: &mut Trace) {
    const LOG: std::ops::Range<u64> = M..2 * M;
    const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
    for ops in &mut trace.intervals {
        ops.retain(|op| match op {
            Op::Write { offset, data } if HEADERS.contains(offset) => data[48..64] == [0; 16],
            Op::Write { offset, .. } => !LOG.contains(offset),
            _ => true,
        });
    }
}

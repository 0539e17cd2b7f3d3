//! The crash states of overlays, of images in several files and of images that are repaired first: good ones of instar's resizes,
//! bad ones where what it did is put into another order, or not all of it is done.
//!
//! qemu-img makes the images; without it the trials show as ignored.

use instar_ops::ResizeRequest;
use libtest_mimic::{Arguments, Failed, Trial};
use oracle_case::child::Tool;
use oracle_case::{Case, Tools};
use oracle_crash::{
    Bounds, CaseReport, Engine, Failure, Image, InMemory, InProcess, Judge, Op, Options, Trace, Traced, job,
    run_case,
};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// Far fewer states than a campaign tries.
const BOUNDS: Bounds = Bounds { exhaustive: 6, samples: 16, scattered: 4, cuts: 2, calls: 256 };
/// Byte of a qcow2 header where its feature bits are.
const FEATURES: u64 = 72;

/// A case, and what must not become of its changes.
struct Shape {
    name: &'static str,
    case: &'static str,
    fault: fn(&mut Trace),
    /// What must not be left of its files when a call fails; of an image in one file, nothing is tried.
    damage: Option<fn(&mut Image)>,
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "an overlay that grows over a longer disk, its size written first",
        case: r#"{"fixture": {"size": 66048, "format": {"qcow2": {"version": 3, "cluster_bits": 12, "refcount_bits": 16}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 4096, "len": 5000}],
            "backing": {"format": "qcow2", "size": 262144,
                "writes": [{"kind": "data", "pattern": 7, "offset": 0, "len": 262144}]}},
            "resizes": [{"size": "256K"}]}"#,
        fault: size_first,
        damage: None,
    },
    Shape {
        name: "a data file that keeps its length",
        case: r#"{"fixture": {"size": 262144, "format": {"qcow2": {"version": 3, "cluster_bits": 12, "refcount_bits": 16}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 262144}], "data_file": {}},
            "resizes": [{"size": "100K", "shrink": true}]}"#,
        fault: data_file_uncut,
        damage: Some(|image| image.file_mut(1).expect("there").set_len(50 << 10)),
    },
    Shape {
        name: "a disk that gets an extent more",
        case: r#"{"fixture": {"size": 4194304, "maker": "own", "format": {"vmdk": {"subformat": "twoGbMaxExtentSparse",
            "extent_sectors": 4096}}, "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 131072},
            {"kind": "data", "pattern": 5, "offset": 3145728, "len": 65536}]}, "resizes": [{"size": "10G"}]}"#,
        fault: descriptor_first,
        damage: Some(|image| image.file_mut(2).expect("there").write(0, &[0; 512])),
    },
    Shape {
        name: "a disk that is cut",
        case: r#"{"fixture": {"size": 6291456, "maker": "own", "format": {"vmdk": {"subformat": "twoGbMaxExtentFlat",
            "extent_sectors": 4096}}, "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 131072},
            {"kind": "data", "pattern": 5, "offset": 3145728, "len": 65536}]}, "resizes": [{"size": "3M", "shrink": true}]}"#,
        fault: removed_first,
        damage: Some(|image| image.file_mut(1).expect("there").set_len(512)),
    },
    Shape {
        name: "a QED image",
        case: r#"{"fixture": {"size": 3145728, "format": {"qed": {"cluster_bits": 12, "table_size": 1}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 65536},
            {"kind": "data", "pattern": 5, "offset": 3000000, "len": 4096}]}, "resizes": [{"size": "1G"}, {"size": "8G"}]}"#,
        fault: size_elsewhere,
        damage: None,
    },
    Shape {
        name: "a LUKS file that grows",
        case: r#"{"fixture": {"size": 65536, "format": "luks", "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 65536}]},
            "resizes": [{"size": "1M"}, {"size": "2M", "preallocation": "full"}]}"#,
        fault: into_the_header,
        damage: None,
    },
    Shape {
        name: "a LUKS file that is cut",
        case: r#"{"fixture": {"size": 65536, "format": "luks", "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 65536}]},
            "resizes": [{"size": "32K", "shrink": true}]}"#,
        fault: cut_too_far,
        damage: None,
    },
    Shape {
        name: "an image that is called clean before it is",
        case: r#"{"fixture": {"size": 262144, "format": {"qcow2": {"version": 3, "cluster_bits": 12, "refcount_bits": 16,
            "lazy_refcounts": true}}, "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 65536}],
            "tweaks": [{"dirty": {"lost": 3}}]}, "resizes": [{"size": "1M"}]}"#,
        fault: clean_first,
        damage: None,
    },
];

/// Resizes as instar does, and tells what is not quite that.
struct Planted(fn(&mut Trace));

impl Engine for Planted {
    fn name(&self) -> &'static str {
        // The same as that of the engine it is compared with: it is the states that must show the fault.
        InProcess.name()
    }

    fn resize(&self, image: &Image, request: &ResizeRequest, dir: &Path) -> Result<Traced, String> {
        let mut traced = InProcess.resize(image, request, dir)?;
        (self.0)(&mut traced.trace);
        Ok(traced)
    }
}

/// Lets calls fail as the disks in memory do, and then does `damage` to what is left, or says that nothing failed.
struct Failing {
    damage: fn(&mut Image),
    answers: bool,
}

impl Engine for Failing {
    fn name(&self) -> &'static str {
        InProcess.name()
    }

    fn resize(&self, image: &Image, request: &ResizeRequest, dir: &Path) -> Result<Traced, String> {
        let mut traced = InProcess.resize(image, request, dir)?;
        // Reads count here, so that there are as many at least.
        traced.calls = vec![false; 4];
        Ok(traced)
    }

    fn fail(
        &self,
        image: &Image,
        request: &ResizeRequest,
        _: &Path,
        call: usize,
        failure: Failure,
    ) -> Result<Option<oracle_crash::Failed>, String> {
        let mut image = image.clone();
        let result = job(&mut image, request, &mut InMemory::failing(call, failure)).map(|_| ());
        (self.damage)(&mut image);
        Ok(Some(oracle_crash::Failed { image, result: if self.answers { result } else { Ok(()) } }))
    }
}

fn size_first(trace: &mut Trace) {
    to_the_front(trace, |op| matches!(op, Op::Write { offset, .. } if *offset < 512));
}

fn data_file_uncut(trace: &mut Trace) {
    let is_cut = |op: &Op| matches!(op, Op::In { op, .. } if matches!(**op, Op::SetLen { .. }));
    trace.intervals.iter_mut().for_each(|ops| ops.retain(|op| !is_cut(op)));
}

fn descriptor_first(trace: &mut Trace) {
    to_the_front(trace, |op| matches!(op, Op::Replace { .. }));
}

fn removed_first(trace: &mut Trace) {
    to_the_front(trace, |op| matches!(op, Op::Remove { .. }));
}

/// A disk is longer than its tables can be: what is written to the header, or to another place in it.
fn size_elsewhere(trace: &mut Trace) {
    trace.intervals.insert(0, vec![Op::Write { offset: 40, data: vec![0; 8] }]);
}

fn into_the_header(trace: &mut Trace) {
    trace.intervals.insert(0, vec![Op::Write { offset: 600, data: vec![0xee; 8] }]);
}

fn cut_too_far(trace: &mut Trace) {
    trace.intervals.iter_mut().flatten().for_each(|op| {
        if let Op::SetLen { len } = op {
            *len -= 512;
        }
    });
}

fn clean_first(trace: &mut Trace) {
    to_the_front(trace, |op| matches!(op, Op::Write { offset: FEATURES, .. }));
}

/// Puts the first change of a kind before all others.
fn to_the_front(trace: &mut Trace, is_it: fn(&Op) -> bool) {
    let found = trace.intervals.iter().flatten().find(|op| is_it(op)).cloned();
    trace.intervals.insert(0, found.into_iter().collect());
}

fn main() -> ExitCode {
    let has_tools = ["qemu-img", "qemu-io"].iter().all(|tool| {
        let mut command = Command::new(tool);
        command.arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    });
    let trials = SHAPES.iter().flat_map(|shape| {
        let good = Trial::test(format!("good: {}", shape.name), || good(shape));
        let caught = Trial::test(format!("caught: {}", shape.name), || caught(shape));
        let failing = shape.damage.map(|damage| {
            Trial::test(format!("failing calls: {}", shape.name), move || failing(shape, damage))
        });
        [good, caught].into_iter().chain(failing)
    });
    let ignored = |trial: Trial| match has_tools {
        true => trial,
        false => Trial::test(format!("{} [qemu-img is not in PATH]", trial.name()), || Ok(()))
            .with_ignored_flag(true),
    };
    libtest_mimic::run(&Arguments::from_args(), trials.map(ignored).collect()).exit_code()
}

fn run(shape: &Shape, engine: &dyn Engine) -> Result<CaseReport, Failed> {
    let tools = Tools { qemu_img: Tool::new("qemu-img"), qemu_io: Tool::new("qemu-io") };
    let options = Options {
        bounds: BOUNDS,
        seed: 1,
        engine,
        engine_faults: 4,
        tools: &tools,
        opinion_every: 0,
        only: None,
    };
    let mut case = Case::from_json(shape.case)?;
    case.legalize();
    let dir = tempfile::tempdir()?;
    let report = run_case(&case, dir.path(), &options, &mut Judge::default())?;
    match &report.skipped {
        Some(why) => Err(why.clone().into()),
        None => Ok(report),
    }
}

fn good(shape: &Shape) -> Result<(), Failed> {
    let report = run(shape, &InProcess)?;
    if report.bad.is_empty() && report.resizes > 0 && report.distinct > 1 && report.faults > 1 {
        return Ok(());
    }
    Err(format!("{} states, {} failing calls, {:?}", report.distinct, report.faults, report.bad).into())
}

fn caught(shape: &Shape) -> Result<(), Failed> {
    let report = run(shape, &Planted(shape.fault))?;
    if report.bad.is_empty() { Err("nothing is bad".into()) } else { Ok(()) }
}

/// What a failing call leaves in any file is looked at, and so is what is said of it.
fn failing(shape: &Shape, damage: fn(&mut Image)) -> Result<(), Failed> {
    let good = run(shape, &Failing { damage: |_| (), answers: true })?;
    if !good.bad.is_empty() || good.engine_faults != 4 {
        return Err(format!("{} failing calls, {:?}", good.engine_faults, good.bad).into());
    }
    for (engine, what) in [
        (Failing { damage, answers: true }, "/content /corrupt /again /size /end"),
        (Failing { damage: |_| (), answers: false }, "/error"),
    ] {
        let bad = run(shape, &engine)?.bad;
        if !bad.iter().any(|bad| what.split(' ').any(|kind| bad.class.ends_with(kind))) {
            return Err(format!("none of {what}: {bad:?}").into());
        }
    }
    Ok(())
}

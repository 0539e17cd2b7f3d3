//! The crash states of overlays, of images with a data file and of images that are repaired first: good ones of instar's resizes,
//! bad ones where what it did is put into another order, or not all of it is done.
//!
//! qemu-img makes the images; without it the trials show as ignored.

use instar_ops::ResizeRequest;
use libtest_mimic::{Arguments, Failed, Trial};
use oracle_case::child::Tool;
use oracle_case::{Case, Tools};
use oracle_crash::{
    Bounds, CaseReport, Engine, Image, InProcess, Judge, Op, Options, Trace, Traced, run_case,
};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// Far fewer states than a campaign tries.
const BOUNDS: Bounds = Bounds { exhaustive: 6, samples: 16, scattered: 4, cuts: 2 };
/// Byte of a qcow2 header where its feature bits are.
const FEATURES: u64 = 72;

/// A case, and what must not become of its changes.
struct Shape {
    name: &'static str,
    case: &'static str,
    fault: fn(&mut Trace),
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
    },
    Shape {
        name: "a data file that keeps its length",
        case: r#"{"fixture": {"size": 262144, "format": {"qcow2": {"version": 3, "cluster_bits": 12, "refcount_bits": 16}},
            "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 262144}], "data_file": {}},
            "resizes": [{"size": "100K", "shrink": true}]}"#,
        fault: data_file_uncut,
    },
    Shape {
        name: "an image that is called clean before it is",
        case: r#"{"fixture": {"size": 262144, "format": {"qcow2": {"version": 3, "cluster_bits": 12, "refcount_bits": 16,
            "lazy_refcounts": true}}, "writes": [{"kind": "data", "pattern": 9, "offset": 0, "len": 65536}],
            "tweaks": [{"dirty": {"lost": 3}}]}, "resizes": [{"size": "1M"}]}"#,
        fault: clean_first,
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

fn size_first(trace: &mut Trace) {
    to_the_front(trace, |op| matches!(op, Op::Write { offset, .. } if *offset < 512));
}

fn data_file_uncut(trace: &mut Trace) {
    let is_cut = |op: &Op| matches!(op, Op::In { op, .. } if matches!(**op, Op::SetLen { .. }));
    trace.intervals.iter_mut().for_each(|ops| ops.retain(|op| !is_cut(op)));
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
        [good, caught]
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
        engine_faults: 0,
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
    if report.bad.is_empty() && report.resizes == 1 && report.distinct > 2 {
        return Ok(());
    }
    Err(format!("{} states, {:?}", report.distinct, report.bad).into())
}

fn caught(shape: &Shape) -> Result<(), Failed> {
    let report = run(shape, &Planted(shape.fault))?;
    if report.bad.is_empty() { Err("nothing is bad".into()) } else { Ok(()) }
}

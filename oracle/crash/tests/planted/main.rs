//! The crash states of good resizes are good, and those of resizes with a planted fault are not: each fault is a change of
//! what the resize did, in its order or in its barriers, that leads to the same file in the end.

#![allow(clippy::unwrap_used)]

use instar_ops::ResizeRequest;
use oracle_case::child::Tool;
use oracle_case::{Case, Maker, Tools};
use oracle_crash::{
    Bounds, Engine, Image, InProcess, Judge, Op, Options, Trace, Traced, run_case, unreadable,
};
use std::collections::BTreeMap;
use std::path::Path;

/// A shrink that cuts refcount blocks off, which a preallocating grow has put at the end of the file.
const SHRINK: &str = r#"{"fixture": {"size": 1048576, "maker": "own", "format": {"qcow2": {"version": 3, "cluster_bits": 9,
    "refcount_bits": 64}}, "writes": [{"kind": "data", "pattern": 9, "offset": 4096, "len": 4096}]},
    "resizes": [{"size": "+256K", "preallocation": "metadata"}, {"size": "512K", "shrink": true}]}"#;
/// A shrink that ends in a compressed cluster, which a snapshot has, too.
const COMPRESSED: &str = r#"{"fixture": {"size": 65536, "maker": "own", "format": {"qcow2": {"version": 3, "cluster_bits": 12,
    "refcount_bits": 16}}, "snapshots": [{"after": 1}],
    "writes": [{"kind": "compressed", "pattern": 9, "offset": 4096, "len": 8192}]},
    "resizes": [{"size": "10K", "shrink": true}]}"#;
/// Cases that each fault is looked for in.
const CASES: usize = 40;

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

/// Small qcow2 cases with an image that needs no tool to be made.
fn cases() -> Vec<Case> {
    let small = |case: &Case| case.fixture.format.qcow2().is_some_and(|q| q.cluster_bits <= 11);
    let own = |(_, mut case): (u64, Case)| {
        case.fixture.maker = Maker::Own;
        case.legalize();
        case
    };
    let buildable = |case: &Case| case.fixture.maker == Maker::Own && unreadable(case).is_none();
    let more = [SHRINK, COMPRESSED].map(|case| Case::from_json(case).unwrap());
    Case::sequence(1, small).map(own).filter(buildable).take(CASES).chain(more).collect()
}

/// Judges all states of all cases: how many there were, and how many bad ones of each class.
fn judge(engine: &dyn Engine) -> (u64, BTreeMap<String, usize>) {
    let none = || Tool::new("none");
    let tools = Tools { qemu_img: none(), qemu_io: none() };
    let bounds = Bounds { exhaustive: 8, samples: 64, scattered: 16, cuts: 4, calls: 256 };
    let options =
        Options { bounds, seed: 1, engine, engine_faults: 0, tools: &tools, opinion_every: 0, only: None };
    let mut judge = Judge::default();
    let (mut states, mut bad) = (0, BTreeMap::new());
    for case in cases() {
        let dir = tempfile::tempdir().unwrap();
        let report = run_case(&case, dir.path(), &options, &mut judge);
        let report = report.unwrap_or_else(|why| panic!("{}: {why}", case.describe()));
        states += report.distinct;
        report.bad.into_iter().for_each(|b| *bad.entry(b.class).or_default() += 1);
    }
    (states, bad)
}

fn is_header(op: &Op) -> bool {
    matches!(op, Op::Write { offset, .. } if *offset < 512)
}

/// The interval in which the header is written.
fn commit(trace: &Trace) -> Option<usize> {
    trace.intervals.iter().position(|ops| ops.iter().any(is_header))
}

fn no_barriers(trace: &mut Trace) {
    trace.intervals = vec![trace.intervals.drain(..).flatten().collect()];
}

fn no_barrier_before_header(trace: &mut Trace) {
    if let Some(at) = commit(trace).filter(|at| *at > 0) {
        let later = trace.intervals.remove(at);
        trace.intervals[at - 1].extend(later);
    }
}

fn no_barrier_after_header(trace: &mut Trace) {
    if let Some(at) = commit(trace).filter(|at| at + 1 < trace.intervals.len()) {
        let later = trace.intervals.remove(at + 1);
        trace.intervals[at].extend(later);
    }
}

fn header_first(trace: &mut Trace) {
    if let Some(at) = commit(trace) {
        let header = trace.intervals.remove(at);
        trace.intervals.insert(0, header);
    }
}

/// What goes down after the header goes down before it.
fn freed_before_header(trace: &mut Trace) {
    if let Some(at) = commit(trace).filter(|at| at + 1 < trace.intervals.len()) {
        trace.intervals.swap(at, at + 1);
    }
}

/// Of the compressed cluster that the disk ends in, all of it is copied.
fn tail_copied(trace: &mut Trace) {
    for op in trace.intervals.iter_mut().flatten() {
        if let Op::Write { data, .. } = op
            && data.len() == 4096
            && data.first() == Some(&9)
        {
            data.fill(9);
        }
    }
}

fn cut_before_the_end(trace: &mut Trace) {
    let is_cut = |op: &Op| matches!(op, Op::SetLen { .. });
    if let Some(cut) = trace.intervals.iter().flatten().find(|op| is_cut(op)).cloned() {
        trace.intervals.insert(0, vec![cut]);
    }
}

#[test]
fn good_resizes_have_good_states() {
    let (states, bad) = judge(&InProcess);
    assert_eq!(bad, BTreeMap::new());
    assert!(states > 400, "only {states} states");
}

fn caught(fault: fn(&mut Trace)) {
    let (states, bad) = judge(&Planted(fault));
    assert!(!bad.is_empty(), "{states} states, none of them bad");
}

#[test]
fn all_barriers_removed_is_caught() {
    caught(no_barriers);
}

#[test]
fn the_barrier_before_the_header_removed_is_caught() {
    caught(no_barrier_before_header);
}

#[test]
fn the_barrier_after_the_header_removed_is_caught() {
    caught(no_barrier_after_header);
}

#[test]
fn the_header_before_the_new_l1_is_caught() {
    caught(header_first);
}

#[test]
fn the_old_l1_freed_before_the_header_is_caught() {
    caught(freed_before_header);
}

#[test]
fn the_tail_of_a_compressed_cluster_is_caught() {
    caught(tail_copied);
}

#[test]
fn the_file_cut_before_its_clusters_are_free_is_caught() {
    caught(cut_before_the_end);
}

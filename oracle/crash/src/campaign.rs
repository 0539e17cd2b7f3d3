//! The resizes of one case, each with all of its crash states and failing devices.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;

use instar_ops::{Format, ResizeRequest, SizeRequest};
use oracle_case::{
    Case, Content, FormatOptions, Outcome, Preallocation, Resize, Tools, build, expected_content,
    expected_steps, target,
};
use serde::Serialize;

use crate::disk::Failure;
use crate::engine::{Engine, InProcess};
use crate::faults::for_each_fault;
use crate::image::Image;
use crate::judge::{Bad, Good, Judge, Step};
use crate::opinion::second_opinion;
use crate::states::{Bounds, Part, State, for_each_state};
use crate::trace::Trace;

/// log2 of the largest cluster: beyond it, the same plans only move more bytes.
const MOST_CLUSTER_BITS: u8 = 16;
/// Bytes of an image that are not holes, at most.
const MOST_BYTES: u64 = 16 << 20;
/// Bad states of one resize after which there is no point in looking for more.
const MOST_BAD: usize = 16;

/// How a case is gone through.
#[derive(Debug)]
pub struct Options<'a> {
    /// How far each interval is gone through.
    pub bounds: Bounds,
    /// What random choices begin with.
    pub seed: u64,
    /// What is resized with.
    pub engine: &'a dyn Engine,
    /// What makes the fixtures, and is asked for second opinions.
    pub tools: &'a Tools,
    /// A second opinion is asked for on one state of so many, and on the first of each kind; 0 for none at all.
    pub opinion_every: u64,
    /// Kinds of states on which there was a second opinion.
    pub kinds: Mutex<HashSet<String>>,
    /// Only this state of this resize, counted from 0.
    pub only: Option<(usize, State)>,
}

impl std::fmt::Debug for dyn Engine + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What was done to the image before it was found bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// A crash.
    State(State),
    /// This call failed like that.
    Fault {
        /// Its number.
        call: usize,
        /// How.
        failure: Failure,
    },
    /// Nothing: the resize came to its end.
    End,
    /// The resize was refused.
    Refused,
    /// The engines took different ways.
    Engines,
}

/// A state that is no good image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadState {
    /// The resize of the case, counted from 0.
    pub resize: usize,
    /// What was done.
    pub cause: Cause,
    /// `format/direction/kind`, for grouping.
    pub class: String,
    /// What is wrong, in words.
    pub detail: String,
}

/// What came of a case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseReport {
    /// Resizes that changed the image.
    pub resizes: u64,
    /// States that were built.
    pub states: u64,
    /// Different ones among those of one resize: these were judged.
    pub distinct: u64,
    /// Calls that were made to fail.
    pub faults: u64,
    /// States that a real qemu-img was asked about.
    pub opinions: u64,
    /// What is no good.
    pub bad: Vec<BadState>,
    /// Why (the rest of) the case was not run.
    pub skipped: Option<String>,
}

/// Runs `case` in `dir`, which is empty.
///
/// # Errors
/// It could not be run.
pub fn run_case(case: &Case, dir: &Path, options: &Options, judge: &mut Judge) -> Result<CaseReport, String> {
    let mut report = CaseReport::default();
    if case.fixture.format.qcow2().is_some_and(|q| q.cluster_bits > MOST_CLUSTER_BITS) {
        report.skipped = Some("clusters of more than 64 KiB".into());
        return Ok(report);
    }
    let path = build(&case.fixture, dir, options.tools).map_err(|e| format!("building the fixture: {e}"))?;
    let image = Image::load(&path).map_err(|e| e.to_string())?;
    if image.allocated() > MOST_BYTES {
        report.skipped = Some("images of more than 16 MiB".into());
        return Ok(report);
    }
    let mut run = Run { case, dir, options, report, image, opinion: 0 };
    let mut content = expected_content(&case.fixture);
    let mut stale = false;
    for (number, (resize, after)) in case.resizes.iter().zip(expected_steps(case)).enumerate() {
        stale |= !after.stale.is_empty();
        if after.outcome == Outcome::Resized {
            if !run.resize(judge, number, resize, &content, stale)? {
                break;
            }
            content = after.content;
        }
        stale = !after.stale.is_empty();
    }
    Ok(run.report)
}

struct Run<'r> {
    case: &'r Case,
    dir: &'r Path,
    options: &'r Options<'r>,
    report: CaseReport,
    image: Image,
    opinion: u64,
}

/// One resize under judgement.
struct Trying<'t> {
    number: usize,
    step: Step,
    /// What a guest sees in the end, unless something of an earlier shrink may show.
    content: Option<Content>,
    trace: &'t Trace,
}

impl Run<'_> {
    /// Whether the case can go on after this resize.
    fn resize(
        &mut self,
        judge: &mut Judge,
        number: usize,
        resize: &Resize,
        content: &Content,
        stale: bool,
    ) -> Result<bool, String> {
        let format = match self.case.fixture.format {
            FormatOptions::Raw => Format::Raw,
            FormatOptions::Qcow2(_) => Format::Qcow2,
        };
        let Ok(new) = target(&self.case.fixture.format, content.size(), resize) else {
            return Ok(true);
        };
        let request = request(resize, format, new);
        let traced = self.options.engine.resize(&self.image, &request, self.dir)?;
        if let Err(why) = &traced.outcome {
            self.report.skipped = Some(format!("instar refuses: {why}"));
            if !traced.trace.is_empty() {
                self.bad(
                    number,
                    "refused",
                    Cause::Refused,
                    Bad::new("refused", "a refusal that wrote something"),
                );
            }
            return Ok(false);
        }
        if self.options.engine.name() != InProcess.name() {
            self.compare(number, &request, &traced.trace)?;
        }
        let before = judge.step(&self.image, format, content, new, stale);
        let step = before.map_err(|bad| format!("the image before resize {number}: {bad}"))?;
        self.report.resizes += u64::from(!traced.trace.is_empty());
        let mut after = content.clone();
        after.resize(new);
        let trying = Trying { number, step, content: (!stale).then_some(after), trace: &traced.trace };
        self.crashes(judge, &trying, &request);
        Ok(true)
    }

    /// Every engine must do between two flushes what instar's code does in this process.
    fn compare(&mut self, number: usize, request: &ResizeRequest, trace: &Trace) -> Result<(), String> {
        let own = InProcess.resize(&self.image, request, self.dir)?;
        if let Some(interval) = trace.first_difference(&own.trace, &self.image) {
            let what = format!("after interval {interval}, {} has another file", self.options.engine.name());
            self.bad(number, "engines", Cause::Engines, Bad::new("interval", what));
        }
        Ok(())
    }

    /// Judges all states, and leaves the image as the resize leaves it.
    fn crashes(&mut self, judge: &mut Judge, trying: &Trying, request: &ResizeRequest) {
        let mut seen = HashSet::new();
        let mut image = std::mem::take(&mut self.image);
        image.mark();
        if self.options.only.is_none() {
            for_each_fault(&mut image, request, &mut |call, failure, image, answer| {
                self.report.faults += 1;
                let cause = || Cause::Fault { call, failure };
                if let Err(bad) = answer {
                    self.bad(trying.number, trying.direction(), cause(), bad);
                }
                self.state(judge, trying, image, &mut seen, &cause);
            });
        }
        for (interval, ops) in trying.trace.intervals.iter().enumerate() {
            image.mark();
            let (bounds, seed) = (&self.options.bounds, self.options.seed);
            for_each_state(trying.trace, interval, bounds, seed, &mut |state| {
                if self.options.only.as_ref().is_none_or(|only| *only == (trying.number, state.clone())) {
                    state.apply(trying.trace, &mut image);
                    self.state(judge, trying, &mut image, &mut seen, &|| Cause::State(state.clone()));
                    image.rewind();
                }
                self.report.bad.len() < MOST_BAD
            });
            ops.iter().for_each(|op| op.apply(&mut image));
        }
        image.mark();
        match judge.judge_end(&image, &trying.step) {
            Ok(good) => self.ask(trying, &image, &good, true, &|| Cause::End),
            Err(bad) => self.bad(trying.number, trying.direction(), Cause::End, bad),
        }
        self.image = image;
    }

    /// Judges one state, unless the same bytes were judged before. The image is left changed.
    fn state(
        &mut self,
        judge: &mut Judge,
        trying: &Trying,
        image: &mut Image,
        seen: &mut HashSet<u128>,
        cause: &dyn Fn() -> Cause,
    ) {
        self.report.states += 1;
        let hash = image.hash();
        if !seen.insert(hash) {
            return;
        }
        self.report.distinct += 1;
        let sampled = hash.is_multiple_of(u128::from(self.options.opinion_every.max(1)));
        let judged =
            judge.judge(image, &trying.step, |image, good| self.ask(trying, image, good, sampled, cause));
        if let Err(bad) = judged {
            self.bad(trying.number, trying.direction(), cause(), bad);
        }
    }

    /// Asks qemu-img, if the state was chosen or is the first of its kind.
    fn ask(&mut self, trying: &Trying, image: &Image, good: &Good, sampled: bool, cause: &dyn Fn() -> Cause) {
        let fresh = || {
            let kind = trying.kind(good, &cause());
            self.options.kinds.lock().is_ok_and(|mut kinds| kinds.insert(kind))
        };
        if self.options.opinion_every == 0 || !(sampled || fresh()) {
            return;
        }
        self.opinion += 1;
        self.report.opinions += 1;
        let dir = self.dir.join(format!("opinion{}", self.opinion));
        let content = trying.content.as_ref();
        let said = second_opinion(&self.options.tools.qemu_img, &dir, image, &trying.step, good, content);
        drop(std::fs::remove_dir_all(&dir));
        if let Err(bad) = said {
            self.bad(trying.number, trying.direction(), cause(), bad);
        }
    }

    fn bad(&mut self, resize: usize, direction: &str, cause: Cause, bad: Bad) {
        let class = format!("{}/{direction}/{}", self.case.fixture.format.name(), bad.kind);
        self.report.bad.push(BadState { resize, cause, class, detail: bad.detail });
    }
}

impl Trying<'_> {
    fn direction(&self) -> &'static str {
        match self.step.new.cmp(&self.step.old) {
            std::cmp::Ordering::Less => "shrink",
            std::cmp::Ordering::Equal => "same",
            std::cmp::Ordering::Greater => "grow",
        }
    }

    /// What kind of state it is: a second opinion is asked for on the first of each.
    fn kind(&self, good: &Good, cause: &Cause) -> String {
        let what = match cause {
            Cause::State(state) => {
                let torn = state.arrived.iter().any(|(_, part)| *part != Part::All);
                format!("interval {} of {}, torn {torn}", state.interval, self.trace.intervals.len())
            }
            Cause::Fault { failure, .. } => format!("{failure:?}"),
            Cause::End | Cause::Refused | Cause::Engines => "end".into(),
        };
        format!(
            "{:?} {} {what} new {} leaks {}",
            self.step.format,
            self.direction(),
            good.is_new,
            good.leaks > 0
        )
    }
}

fn request(resize: &Resize, format: Format, new: u64) -> ResizeRequest {
    ResizeRequest {
        format: resize.name_format.then_some(format),
        size: SizeRequest::Absolute(new),
        shrink: resize.shrink,
        preallocation: match resize.preallocation {
            Preallocation::Off => instar_ops::Preallocation::Off,
            Preallocation::Metadata => instar_ops::Preallocation::Metadata,
            Preallocation::Falloc => instar_ops::Preallocation::Falloc,
            Preallocation::Full => instar_ops::Preallocation::Full,
        },
    }
}

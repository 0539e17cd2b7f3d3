//! The resizes of one case, each with all of its crash states and failing devices.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use instar_ops::{Format, ResizeRequest};
use oracle_case::{
    Case, Content, FormatOptions, Outcome, Resize, Tools, build, expected_content, expected_steps, target,
};

use crate::beside::Beside;
use crate::blocks::knows;
use crate::engine::{Engine, InProcess, request};
use crate::faults::{answer, for_each_fault, in_turn};
use crate::image::Image;
use crate::judge::{Bad, Good, Judge, Step};
use crate::opinion::Expected;
use crate::question::{Kind, Question};
use crate::report::{BadState, CaseReport, Cause};
use crate::states::{Bounds, State, for_each_state};
use crate::trace::Trace;
use oracle_case::parts::DATA_FILE;

/// Bytes of an image that are not holes, at most: what else is in memory is of this size, too.
const MOST_BYTES: u64 = 256 << 20;
/// log2 of the largest cluster, and bytes of an image that are not holes, of which as many states are tried as there are: of what is
/// larger, each takes ten times as long.
const QUICK: (u8, u64) = (16, 16 << 20);
/// Blocks of a VHD or VHDX disk, whose entries are looked at several times in every state, up to which all states are
/// judged. Of more blocks one state in as many as there are of these is.
const ALL_JUDGED: u64 = 1 << 18;
/// Bad states of one resize after which there is no point in looking for more.
const MOST_BAD: usize = 16;

/// How a case is gone through.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// How far each interval is gone through.
    pub bounds: Bounds,
    /// What random choices begin with.
    pub seed: u64,
    /// What is resized with.
    pub engine: &'a dyn Engine,
    /// Calls of each resize that the engine's own device lets fail, at most, if it is not the one in this process; of
    /// more, an even choice.
    pub engine_faults: usize,
    /// What makes the fixtures.
    pub tools: &'a Tools,
    /// One state of so many is drawn for a second opinion; 0 for none, and none of any kind.
    pub opinion_every: u64,
    /// Only this state of this resize, counted from 0.
    pub only: Option<(usize, State)>,
}

impl std::fmt::Debug for dyn Engine + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Runs `case` in `dir`, which is empty.
///
/// # Errors
/// It could not be run.
pub fn run_case(case: &Case, dir: &Path, options: &Options, judge: &mut Judge) -> Result<CaseReport, String> {
    let mut report = CaseReport::default();
    if let Some(why) = unreadable(case) {
        report.skipped = Some(why.into());
        return Ok(report);
    }
    let path = build(&case.fixture, dir, options.tools).map_err(|e| format!("building the fixture: {e}"))?;
    let beside = Beside::load(&case.fixture, dir).map_err(|e| e.to_string())?;
    let mut image = Image::load_disk(&path).map_err(|e| e.to_string())?.with_beside(beside);
    if case.fixture.data_file.is_some() {
        image.add_file(&path.with_file_name(DATA_FILE)).map_err(|e| e.to_string())?;
    }
    if image.allocated() > MOST_BYTES {
        report.skipped = Some("images of more than 256 MiB".into());
        return Ok(report);
    }
    let wide = case.fixture.format.qcow2().is_some_and(|q| q.cluster_bits > QUICK.0);
    let is_quick = !wide && image.allocated() <= QUICK.1;
    let fewer = Options { bounds: options.bounds.fewer(), ..options.clone() };
    let options = if is_quick { options } else { &fewer };
    let mut run = Run { case, dir, options, report, image, kinds: HashSet::new() };
    let mut content = expected_content(&case.fixture);
    // Nobody but who has the key can make zeros of what a shrink leaves of its last cluster.
    let noise = case.fixture.format.is_encrypted();
    let mut stale = false;
    for (number, (resize, after)) in case.resizes.iter().zip(expected_steps(case)).enumerate() {
        let unread = noise && !(after.stale.is_empty() && after.reused.is_empty());
        stale |= unread;
        if after.outcome == Outcome::Resized {
            if !run.resize(judge, number, resize, &content, stale)? {
                break;
            }
            content = after.content;
        } else {
            run.refused(number, resize, content.size())?;
        }
        stale = unread;
    }
    Ok(run.report)
}

/// What a case has that the walk through crash states does not read, if it has any.
#[must_use]
pub fn unreadable(case: &Case) -> Option<&'static str> {
    let fixture = &case.fixture;
    match fixture.format {
        _ if fixture.format.qed().is_some() && fixture.backing.is_some() => Some("overlays in QED"),
        _ if fixture.format.is_unresized() && fixture.backing.is_some() => {
            Some("overlays that are not resized")
        }
        _ if fixture.backing.as_ref().is_some_and(|backing| backing.absolute) => {
            Some("overlays that name what is behind them from the root")
        }
        _ => None,
    }
}

struct Run<'r> {
    case: &'r Case,
    dir: &'r Path,
    options: &'r Options<'r>,
    report: CaseReport,
    image: Image,
    /// Kinds of states that there is a question about.
    kinds: HashSet<Kind>,
}

/// One resize under judgement.
struct Trying<'t> {
    number: usize,
    step: Step,
    /// What a guest sees before.
    before: Arc<Content>,
    /// What a guest sees in the end, unless something of an earlier shrink may show.
    content: Option<Arc<Content>>,
    trace: &'t Trace,
    calls: &'t [bool],
    /// One state in so many is judged.
    one_in: u128,
}

impl<'r> Run<'r> {
    /// Whether the case can go on after this resize.
    fn resize(
        &mut self,
        judge: &mut Judge,
        number: usize,
        resize: &Resize,
        content: &Content,
        stale: bool,
    ) -> Result<bool, String> {
        let format = self.format();
        let Ok(new) = target(&self.case.fixture.format, content.size(), resize) else {
            return Ok(true);
        };
        let has_table = matches!(format, Format::Vhd | Format::Vhdx);
        let blocks = content.size().max(new).div_ceil(self.case.fixture.format.unit());
        let one_in = if has_table { blocks.div_ceil(ALL_JUDGED).max(1) } else { 1 };
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
            self.report.compared += u64::from(!traced.trace.is_empty());
        }
        let before = judge.step(&self.image, format, content, new, stale);
        let mut step = before.map_err(|bad| format!("the image before resize {number}: {bad}"))?;
        step.preallocation = request.preallocation;
        self.report.resizes += u64::from(!traced.trace.is_empty());
        let mut after = content.clone();
        after.resize(new);
        let trying = Trying {
            number,
            step,
            before: Arc::new(content.clone()),
            content: (!stale).then(|| Arc::new(after)),
            trace: &traced.trace,
            calls: &traced.calls,
            one_in: one_in.into(),
        };
        let mut seen = HashSet::new();
        self.engine_faults(judge, &trying, &request, &mut seen)?;
        self.crashes(judge, &trying, &request, &mut seen);
        Ok(true)
    }

    /// A resize that its image does not bear writes nothing.
    fn refused(&mut self, number: usize, resize: &Resize, current: u64) -> Result<(), String> {
        let Ok(new) = target(&self.case.fixture.format, current, resize) else { return Ok(()) };
        let request = request(resize, self.format(), new);
        let traced = self.options.engine.resize(&self.image, &request, self.dir)?;
        if traced.outcome.is_ok() || !traced.trace.is_empty() {
            let bad = Bad::new("refused", "a resize that must be refused, and that changes something");
            self.bad(number, "refused", Cause::Refused, bad);
        }
        Ok(())
    }

    fn format(&self) -> Format {
        match self.case.fixture.format {
            FormatOptions::Raw => Format::Raw,
            FormatOptions::Qcow2(_) => Format::Qcow2,
            FormatOptions::Qed(_) => Format::Qed,
            FormatOptions::Luks => Format::Luks,
            FormatOptions::Vpc(_) => Format::Vhd,
            FormatOptions::Vhdx(_) => Format::Vhdx,
            FormatOptions::Vmdk(_) => Format::Vmdk,
        }
    }

    /// Every engine must do between two flushes what instar's code does in this process.
    fn compare(&mut self, number: usize, request: &ResizeRequest, trace: &Trace) -> Result<(), String> {
        let own = InProcess::as_a_guest(&self.image, request)?;
        if let Some(interval) = trace.first_difference(&own.trace, &self.image) {
            let what = format!("after interval {interval}, {} has another file", self.options.engine.name());
            self.bad(number, "engines", Cause::Engines, Bad::new("interval", what));
        }
        Ok(())
    }

    /// Lets calls of the engine's own device fail, and judges what that leaves.
    fn engine_faults(
        &mut self,
        judge: &mut Judge,
        trying: &Trying,
        request: &ResizeRequest,
        seen: &mut HashSet<u128>,
    ) -> Result<(), String> {
        if self.options.only.is_some() {
            return Ok(());
        }
        let (all, most) = (trying.calls.len(), self.options.engine_faults.max(1));
        for (turn, call) in (0..all).step_by(all.div_ceil(most).max(1)).enumerate() {
            let failure = in_turn(turn, trying.calls[call]);
            let engine = self.options.engine;
            let Some(mut failed) = engine.fail(&self.image, request, self.dir, call, failure)? else {
                break;
            };
            self.report.engine_faults += 1;
            let cause = || Cause::GuestFault { call, failure };
            if let Err(bad) = answer(failure, &failed.result) {
                self.bad(trying.number, trying.direction(), cause(), bad);
            }
            self.state(judge, trying, &mut failed.image, seen, &cause);
        }
        Ok(())
    }

    /// Judges all states, and leaves the image as the resize leaves it.
    fn crashes(
        &mut self,
        judge: &mut Judge,
        trying: &Trying,
        request: &ResizeRequest,
        seen: &mut HashSet<u128>,
    ) {
        let mut image = std::mem::take(&mut self.image);
        image.mark();
        if self.options.only.is_none() {
            for_each_fault(
                &mut image,
                request,
                self.options.bounds.calls,
                &mut |call, failure, image, answer| {
                    self.report.faults += 1;
                    let cause = || Cause::Fault { call, failure };
                    if let Err(bad) = answer {
                        self.bad(trying.number, trying.direction(), cause(), bad);
                    }
                    self.state(judge, trying, image, seen, &cause);
                },
            );
        }
        for (interval, ops) in trying.trace.intervals.iter().enumerate() {
            image.mark();
            let (bounds, seed) = (&self.options.bounds, self.options.seed);
            for_each_state(trying.trace, interval, bounds, seed, &mut |state| {
                if self.options.only.as_ref().is_none_or(|only| *only == (trying.number, state.clone())) {
                    state.apply(trying.trace, &mut image);
                    self.state(judge, trying, &mut image, seen, &|| Cause::State(state.clone()));
                    image.rewind();
                }
                self.report.bad.len() < MOST_BAD
            });
            ops.iter().for_each(|op| op.apply(&mut image));
        }
        image.mark();
        match judge.judge_end(&image, &trying.step) {
            Ok(good) => self.ask(trying, &image, &good, self.is_drawn(image.hash()), &Cause::End),
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
        let chosen = self.options.only.is_some() || self.is_one_in(trying.one_in, hash);
        if !chosen {
            self.report.spared += 1;
            return;
        }
        self.report.distinct += 1;
        let (drawn, cause) = (self.is_drawn(hash), cause());
        let judged =
            judge.judge(image, &trying.step, |image, good| self.ask(trying, image, good, drawn, &cause));
        if let Err(bad) = judged {
            self.bad(trying.number, trying.direction(), cause, bad);
        }
    }

    /// The bytes of a state decide whether it is drawn, and the seed which bytes do.
    fn is_drawn(&self, hash: u128) -> bool {
        let every = u128::from(self.options.opinion_every);
        every > 0 && self.is_one_in(every, hash)
    }

    fn is_one_in(&self, every: u128, hash: u128) -> bool {
        (hash ^ u128::from(self.options.seed)).is_multiple_of(every)
    }

    /// Keeps the state for qemu-img, if it was drawn or is the first of its kind.
    fn ask(&mut self, trying: &Trying, image: &Image, good: &Good, drawn: bool, cause: &Cause) {
        // No qemu-img opens disks with such sectors.
        let unread = self.case.fixture.format.vhdx().is_some_and(|options| options.large_sectors);
        if self.options.opinion_every == 0 || unread {
            return;
        }
        let kind = Kind::of(&trying.step, good, cause, trying.trace.intervals.len());
        if self.kinds.insert(kind) || drawn {
            self.report.questions.push(Question {
                kind,
                drawn,
                resize: trying.number,
                cause: cause.clone(),
                stem: format!("{}/{}", self.case.fixture.format.name(), trying.direction()),
                image: image.clone(),
                expected: Expected::of(&trying.step, good),
                content: trying.shown(good),
            });
        }
    }

    fn bad(&mut self, resize: usize, direction: &str, cause: Cause, bad: Bad) {
        let class = format!("{}/{direction}/{}", self.case.fixture.format.name(), bad.kind);
        self.report.bad.push(BadState { resize, cause, class, detail: bad.detail });
    }
}

impl Trying<'_> {
    /// What qemu-img is to find in a state: what is there in the end, when it has resized it; of what it does not resize, what
    /// is there now.
    fn shown(&self, good: &Good) -> Option<Arc<Content>> {
        match good.size {
            size if !knows(self.step.format) || size == self.step.new => self.content.clone(),
            size if size == self.step.old => Some(Arc::clone(&self.before)),
            _ => None,
        }
    }

    fn direction(&self) -> &'static str {
        match self.step.new.cmp(&self.step.old) {
            std::cmp::Ordering::Less => "shrink",
            std::cmp::Ordering::Equal => "same",
            std::cmp::Ordering::Greater => "grow",
        }
    }
}

//! The work of a campaign of crash states, on every processor: cases are gone through and qemu-img is asked at the same
//! time. What counts is decided in the order of the cases, so that a seed comes to the same states and the same questions
//! however many processors there are.

use super::{Campaign, Plan};
use indicatif::ProgressBar;
use oracle_case::Case;
use oracle_crash::{BadState, CaseReport, Judge, Kind, Options, Question, run_case};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How far the workers may be ahead of the first case that is not done: what they did beyond the last case that was
/// needed is thrown away.
const AHEAD: usize = 64;

/// A case with what it is called.
pub type Labelled = (String, Case);

/// What there is to do.
enum Job {
    Case(usize, Box<Labelled>),
    Question(usize, Box<Question>),
}

/// What was done.
enum Done {
    Case(usize, Box<Labelled>, Result<CaseReport, String>),
    /// Of this case.
    Opinion(usize, Result<(), BadState>),
    /// There are no more cases.
    Exhausted,
}

/// What the workers share.
struct Desk<'c> {
    cases: Box<dyn Iterator<Item = Labelled> + Send + 'c>,
    /// Cases given out.
    begun: usize,
    /// Cases taken back in order.
    settled: usize,
    questions: VecDeque<(usize, Box<Question>)>,
    /// No case is to be begun any more.
    enough: bool,
    /// There is nothing left to do.
    closed: bool,
}

/// The desk, and how to wait for it to change.
struct Office<'c>(Mutex<Desk<'c>>, Condvar);

impl<'c> Office<'c> {
    fn desk(&self) -> MutexGuard<'_, Desk<'c>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job, as soon as there is one; `None` at the end.
    fn job(&self, done: &Sender<Done>) -> Option<Job> {
        let mut desk = self.desk();
        loop {
            if let Some((case, question)) = desk.questions.pop_front() {
                return Some(Job::Question(case, question));
            }
            if desk.closed {
                return None;
            }
            if !desk.enough && desk.begun < desk.settled + AHEAD {
                if let Some(case) = desk.cases.next() {
                    desk.begun += 1;
                    return Some(Job::Case(desk.begun - 1, Box::new(case)));
                }
                desk.enough = true;
                // Nobody listens only when everything has ended.
                let _ = done.send(Done::Exhausted);
            }
            desk = self.1.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self, plan: &Plan, options: &Options, dir: &Path, done: &Sender<Done>) {
        let mut judge = Judge::default();
        while let Some(job) = self.job(done) {
            let did = match job {
                Job::Case(number, case) => {
                    let dir = dir.join(format!("case{number}"));
                    let options = plan.options_of(number, options);
                    let report = guarded(&dir, || run_case(&case.1, &dir, &options, &mut judge));
                    Done::Case(number, case, report)
                }
                Job::Question(case, question) => {
                    let dir = dir.join(format!("opinion{case}-{:?}", std::thread::current().id()));
                    let said = guarded(&dir, || Ok(question.ask(&options.tools.qemu_img, &dir)));
                    Done::Opinion(case, said.unwrap_or_else(|why| Err(question.unanswered(why))))
                }
            };
            if done.send(did).is_err() {
                return;
            }
        }
    }
}

/// Runs `work` with the empty directory `dir`; a panic is a failure like another.
fn guarded<T>(dir: &Path, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("panicked".into()));
    // It goes with the directory around it at the latest.
    drop(std::fs::remove_dir_all(dir));
    result
}

/// Goes through `cases` until `states` different states were judged, with `jobs` workers.
pub fn run<'c>(
    cases: Box<dyn Iterator<Item = Labelled> + Send + 'c>,
    plan: &Plan,
    options: &Options,
    dir: &Path,
    bar: &ProgressBar,
) -> Campaign {
    let desk = Desk { cases, begun: 0, settled: 0, questions: VecDeque::new(), enough: false, closed: false };
    let office = Office(Mutex::new(desk), Condvar::new());
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs {
            let sender = sender.clone();
            let office = &office;
            scope.spawn(move || office.work(plan, options, dir, &sender));
        }
        let campaign = Collector::new(plan.states, bar).collect(&office, &receiver);
        office.desk().closed = true;
        office.1.notify_all();
        campaign
    })
}

/// Takes back what was done.
struct Collector<'b> {
    campaign: Campaign,
    states: u64,
    bar: &'b ProgressBar,
    early: BTreeMap<usize, (Labelled, Result<CaseReport, String>)>,
    kinds: HashSet<Kind>,
    /// Questions that are not answered yet.
    open: usize,
    /// Cases that came back.
    back: usize,
    judged: u64,
}

impl<'b> Collector<'b> {
    fn new(states: u64, bar: &'b ProgressBar) -> Self {
        Self {
            campaign: Campaign::default(),
            states,
            bar,
            early: BTreeMap::new(),
            kinds: HashSet::new(),
            open: 0,
            back: 0,
            judged: 0,
        }
    }

    fn collect(mut self, office: &Office, done: &Receiver<Done>) -> Campaign {
        while let Ok(did) = done.recv() {
            match did {
                Done::Case(number, case, report) => {
                    self.back += 1;
                    self.early.insert(number, (*case, report));
                    self.settle(office);
                }
                Done::Opinion(case, said) => {
                    self.open -= 1;
                    self.campaign.opinions += 1;
                    if let (Err(bad), Some(Ok(report))) = (said, self.campaign.reports.get_mut(case)) {
                        report.bad.push(bad);
                    }
                }
                Done::Exhausted => {}
            }
            let desk = office.desk();
            if desk.enough && desk.begun == self.back && self.open == 0 {
                break;
            }
        }
        self.campaign
    }

    /// Takes all cases whose turn it is.
    fn settle(&mut self, office: &Office) {
        while let Some((case, mut report)) = self.early.remove(&self.campaign.cases.len()) {
            if self.judged >= self.states && !self.campaign.cases.is_empty() {
                office.desk().enough = true;
                return;
            }
            let number = self.campaign.cases.len();
            if let Ok(report) = &mut report {
                self.judged += report.distinct;
                self.bar.set_position(self.judged);
                self.put(office, number, std::mem::take(&mut report.questions));
            }
            self.campaign.cases.push(case);
            self.campaign.reports.push(report);
            let mut desk = office.desk();
            desk.settled = number + 1;
            desk.enough |= self.judged >= self.states;
            office.1.notify_all();
        }
    }

    /// Has the questions asked that were drawn or are the first of their kind.
    fn put(&mut self, office: &Office, case: usize, questions: Vec<Question>) {
        for question in questions {
            if self.kinds.insert(question.kind) || question.drawn {
                self.open += 1;
                office.desk().questions.push_back((case, Box::new(question)));
            }
        }
    }
}

//! How fast cases went, and how much of the time went into child processes.

use oracle_case::effort::Effort;
use serde::Serialize;
use std::fmt;
use std::num::NonZero;
use std::time::Instant;

/// How fast cases went.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Pace {
    /// How many.
    pub cases: usize,
    /// Wall-clock time from the first to the last.
    pub seconds: f64,
    /// How many ran at a time.
    pub workers: usize,
    /// Child processes that were run.
    pub children: u64,
    /// Time in which workers waited for children, all workers together.
    pub child_seconds: f64,
    /// Processor time of the children.
    pub child_cpu_seconds: f64,
    /// Processor time of the oracle itself.
    pub own_cpu_seconds: f64,
}

impl Pace {
    /// Cases a second.
    pub fn rate(&self) -> f64 {
        self.cases as f64 / self.seconds.max(0.001)
    }

    /// Of the workers' time, the share in which they waited for a child: 0 to 1.
    pub fn child_share(&self) -> f64 {
        let all = self.seconds * self.workers.max(1) as f64;
        (self.child_seconds / all.max(0.001)).min(1.0)
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, seconds, children, child_cpu_seconds, own_cpu_seconds, .. } = self;
        let (rate, share) = (self.rate(), self.child_share() * 100.0);
        write!(f, "{cases} cases in {seconds:.1} s ({rate:.1} cases/s)")?;
        write!(f, ", {share:.0}% of it in {children} child processes")?;
        write!(f, " (CPU: {child_cpu_seconds:.1} s theirs, {own_cpu_seconds:.1} s the oracle's own)")
    }
}

/// Measures a [`Pace`].
pub struct Stopwatch {
    start: Instant,
    before: Effort,
    workers: usize,
}

impl Stopwatch {
    /// Starts measuring cases that run `jobs` at a time; 0 for one per processor.
    pub fn start(jobs: usize) -> Self {
        let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers = if jobs == 0 { processors() } else { jobs };
        Self { start: Instant::now(), before: Effort::so_far(), workers }
    }

    /// What `cases` cases took since then.
    pub fn stop(&self, cases: usize) -> Pace {
        let spent = Effort::so_far().since(&self.before);
        Pace {
            cases,
            seconds: self.start.elapsed().as_secs_f64(),
            workers: self.workers,
            children: spent.children,
            child_seconds: spent.waited.as_secs_f64(),
            child_cpu_seconds: spent.children_cpu.as_secs_f64(),
            own_cpu_seconds: spent.own_cpu.as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_of_all_workers() {
        let pace = Pace { cases: 20, seconds: 10.0, workers: 2, child_seconds: 15.0, ..Pace::default() };
        assert!((pace.rate() - 2.0).abs() < 1e-9 && (pace.child_share() - 0.75).abs() < 1e-9);
        assert!(pace.to_string().starts_with("20 cases in 10.0 s (2.0 cases/s), 75% of it in 0 child"));
    }
}

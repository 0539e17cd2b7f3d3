//! How much time went into child processes, and how much into this one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Clock ticks a second in what `/proc` tells programs (proc(5)): 100 on Linux, whatever the kernel's own clock.
const TICKS: u64 = 100;
/// Position of `utime` in `/proc/self/stat` behind the name's closing parenthesis (proc_pid_stat(5): field 14, the
/// state being field 3); `stime`, `cutime` and `cstime` follow.
const UTIME: usize = 11;

static CHILDREN: AtomicU64 = AtomicU64::new(0);
static NANOSECONDS: AtomicU64 = AtomicU64::new(0);

/// What was spent, by all threads together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// Child processes that ended.
    pub children: u64,
    /// Wall-clock time in which a thread waited for a child, from its start to the end of its output.
    pub waited: Duration,
    /// Processor time of the children.
    pub children_cpu: Duration,
    /// Processor time of this process itself.
    pub own_cpu: Duration,
}

impl Effort {
    /// What this process has spent since it began. Processor times are in steps of 10 ms, and zero without `/proc`.
    #[must_use]
    pub fn so_far() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let [user, system, children_user, children_system] = times(&stat);
        Self {
            children: CHILDREN.load(Ordering::Relaxed),
            waited: Duration::from_nanos(NANOSECONDS.load(Ordering::Relaxed)),
            children_cpu: children_user + children_system,
            own_cpu: user + system,
        }
    }

    /// What was spent since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            children: self.children.saturating_sub(earlier.children),
            waited: self.waited.saturating_sub(earlier.waited),
            children_cpu: self.children_cpu.saturating_sub(earlier.children_cpu),
            own_cpu: self.own_cpu.saturating_sub(earlier.own_cpu),
        }
    }
}

/// Counts a child that was waited for so long.
pub(crate) fn note(waited: Duration) {
    CHILDREN.fetch_add(1, Ordering::Relaxed);
    NANOSECONDS.fetch_add(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Own user and system time and that of children, of a line of `/proc/PID/stat`.
fn times(stat: &str) -> [Duration; 4] {
    // The second field is the program's name, in which there may be blanks and parentheses.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = |i| fields.split_whitespace().nth(UTIME + i).and_then(|word| word.parse().ok()).unwrap_or(0);
    [0, 1, 2, 3].map(|i| Duration::from_millis(ticks(i) * 1000 / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::Tool;

    #[test]
    fn a_name_with_a_parenthesis_hides_no_field() {
        let stat = "7 (a) b) R 1 2 3 4 5 6 7 8 9 10 101 202 303 404 20 0\n";
        assert_eq!(times(stat), [1010, 2020, 3030, 4040].map(Duration::from_millis));
        assert_eq!(times(""), [Duration::ZERO; 4]);
    }

    #[test]
    fn a_child_is_counted_with_its_times() {
        let before = Effort::so_far();
        let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 0.2";
        let output = Tool::new("/bin/sh").run(["-c", busy], Duration::from_secs(60)).unwrap();
        let spent = Effort::so_far().since(&before);
        assert!(output.success() && spent.children >= 1);
        assert!(spent.waited >= Duration::from_millis(200), "{spent:?}");
        assert!(spent.children_cpu >= Duration::from_millis(10), "{spent:?}");
    }
}

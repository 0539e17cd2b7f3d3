//! A line that grows on a terminal while a long job runs.

use std::io::{self, IsTerminal as _, Write as _};

/// How far a job is. On anything but a terminal it says nothing.
#[derive(Debug)]
pub struct Progress {
    total: u64,
    shown: bool,
}

impl Progress {
    /// Of a job of `total` bytes.
    #[must_use]
    pub fn of(total: u64) -> Self {
        Self { total, shown: io::stderr().is_terminal() }
    }

    /// `done` bytes are done.
    pub fn show(&self, done: u64) {
        if self.shown {
            let end = if done >= self.total { "\n" } else { "" };
            let mut err = io::stderr().lock();
            drop(write!(err, "\r{}{end}", line(done, self.total)).and_then(|()| err.flush()));
        }
    }
}

/// The share in hundredths of a percent, as `qemu-img -p` prints it.
fn line(done: u64, total: u64) -> String {
    let share = u128::from(done) * 10_000 / u128::from(total.max(1));
    format!("    ({}.{:02}/100%)", share / 100, share % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_do_not_overflow() {
        assert_eq!(line(0, 0), "    (0.00/100%)");
        assert_eq!(line(1, 3), "    (33.33/100%)");
        assert_eq!(line(u64::MAX, u64::MAX), "    (100.00/100%)");
    }
}

//! A line that grows on a terminal while a long job runs.

use instar_vmm::{Change, Observer};
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

/// A range of fewer bytes is filled before anybody wonders.
const LONG: u64 = 64 << 20;

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

/// Shows how far the filling of an image is, on a terminal.
#[must_use]
pub fn of_filling() -> Observer {
    if !io::stderr().is_terminal() {
        return Observer::none();
    }
    let filling = Mutex::new(Filling::default());
    Observer::new(move |change| {
        let seen = filling.lock().unwrap_or_else(PoisonError::into_inner).see(change);
        if let Some((done, total)) = seen {
            // A confined process cannot ask what its standard error is.
            Progress { total, shown: true }.show(done);
        }
        None
    })
}

/// A range that is filled: reserved first, as a whole or piece by piece, then written from its start to its end.
#[derive(Debug, Default)]
struct Filling {
    start: u64,
    len: u64,
    done: u64,
}

impl Filling {
    /// Bytes done, and in all, if `change` is part of it.
    fn see(&mut self, change: Change<'_>) -> Option<(u64, u64)> {
        match change {
            Change::Zero { offset, len, unmap: false } => {
                let goes_on = self.done == 0 && self.len > 0 && offset == self.start + self.len;
                *self = if goes_on {
                    Self { len: self.len + len, ..*self }
                } else {
                    Self { start: offset, len, done: 0 }
                };
                None
            }
            // What comes behind the range is another matter.
            Change::Write { offset, data } if self.goes_on_at(offset) => {
                self.done += data.len() as u64;
                Some((self.done.min(self.len), self.len))
            }
            _ => None,
        }
    }

    const fn goes_on_at(&self, offset: u64) -> bool {
        self.len >= LONG && self.done < self.len && offset == self.start + self.done
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
    fn only_a_long_range_that_is_written_in_order_is_followed() {
        let mut filling = Filling::default();
        let zero = |offset, len| Change::Zero { offset, len, unmap: false };
        let data = [0; 512];
        let write = |offset| Change::Write { offset, data: &data };
        assert_eq!(filling.see(write(0)), None);
        assert_eq!(filling.see(zero(1000, LONG)), None);
        assert_eq!(filling.see(zero(1000 + LONG, LONG)), None);
        assert_eq!(filling.see(write(1000)), Some((512, 2 * LONG)));
        assert_eq!(filling.see(write(5)), None);
        assert_eq!(filling.see(write(1512)), Some((1024, 2 * LONG)));
        filling.done = 2 * LONG - 512;
        assert_eq!(filling.see(write(1000 + filling.done)), Some((2 * LONG, 2 * LONG)));
        assert_eq!(filling.see(write(1000 + filling.done)), None, "behind the end");
        assert_eq!(filling.see(zero(0, 512)), None);
        assert_eq!(filling.see(write(0)), None, "nothing worth a line");
    }

    #[test]
    fn shares_do_not_overflow() {
        assert_eq!(line(0, 0), "    (0.00/100%)");
        assert_eq!(line(1, 3), "    (33.33/100%)");
        assert_eq!(line(u64::MAX, u64::MAX), "    (100.00/100%)");
    }
}

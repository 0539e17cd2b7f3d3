//! Ends a guest that does not come back.
//!
//! A timer sends this thread a signal now and then, and a signal makes `KVM_RUN` return. Whether time
//! is up is decided there. A signal that comes just before `KVM_RUN` is lost, but not the next one.

use crate::error::VmmError;
use crate::kvm::Limits;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler, unblock_signal};

/// Of the real-time signals, the one that is ours.
const SIGNAL_OFFSET: i32 = 6;
/// The timer goes off so many times in the shorter limit.
const TICKS: u32 = 4;

extern "C" fn ignore(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

/// The clock of one guest. Belongs to the thread that made it and that runs the guest.
#[derive(Debug)]
pub struct Watchdog {
    timer: libc::timer_t,
    limits: Limits,
    entered: Instant,
    /// Time in the guest, entries that ended in an exit only.
    spent: Duration,
}

impl Watchdog {
    /// Starts the clock.
    pub fn start(limits: Limits) -> Result<Self, VmmError> {
        let signal = handled_signal()?;
        // A caller that blocks it would have no watchdog. If it cannot be unblocked, it was not blocked.
        let _ = unblock_signal(signal);
        let timer =
            create_timer(signal).map_err(|source| VmmError::Host { what: "creating a timer", source })?;
        let dog = Self { timer, limits, entered: Instant::now(), spent: Duration::ZERO };
        let tick = limits.silence.min(limits.total) / TICKS;
        dog.arm(tick.max(Duration::from_millis(1)))?;
        Ok(dog)
    }

    fn arm(&self, tick: Duration) -> Result<(), VmmError> {
        let every = libc::timespec {
            tv_sec: i64::try_from(tick.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(tick.subsec_nanos()),
        };
        let setting = libc::itimerspec { it_interval: every, it_value: every };
        // SAFETY: the timer exists as long as `self`; the setting is read only during the call.
        match unsafe { libc::timer_settime(self.timer, 0, &raw const setting, ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(VmmError::Host { what: "starting a timer", source: io::Error::last_os_error() }),
        }
    }

    /// The guest is about to run, after an exit was served.
    pub fn enter(&mut self) {
        self.entered = Instant::now();
    }

    /// The guest came back with an exit.
    pub fn leave(&mut self) -> Result<(), VmmError> {
        self.spent += self.entered.elapsed();
        within(self.spent, self.limits.total, "it ran")
    }

    /// The guest was interrupted and is to go on, if there is time.
    pub fn interrupted(&self) -> Result<(), VmmError> {
        let now = self.entered.elapsed();
        within(now, self.limits.silence, "no sign of life")?;
        within(self.spent + now, self.limits.total, "it ran")
    }

    /// Time in the guest.
    pub const fn spent(&self) -> Duration {
        self.spent
    }
}

fn within(time: Duration, limit: Duration, why: &'static str) -> Result<(), VmmError> {
    if time < limit { Ok(()) } else { Err(VmmError::TimedOut { why, limit }) }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // SAFETY: the timer exists and is not used again. A signal on its way finds its handler.
        unsafe { libc::timer_delete(self.timer) };
    }
}

/// Makes the signal harmless, once in the process, and returns its number. The handler is not
/// installed with `SA_RESTART`, so that the signal ends `KVM_RUN`.
fn handled_signal() -> Result<i32, VmmError> {
    static SIGNAL: OnceLock<Result<i32, i32>> = OnceLock::new();
    let signal = SIGNAL.get_or_init(|| {
        let signal = SIGRTMIN() + SIGNAL_OFFSET;
        register_signal_handler(signal, ignore).map(|()| signal).map_err(|e| e.errno())
    });
    let failed =
        |errno| VmmError::Host { what: "handling a signal", source: io::Error::from_raw_os_error(errno) };
    (*signal).map_err(failed)
}

/// A timer that sends `signal` to this thread.
fn create_timer(signal: i32) -> io::Result<libc::timer_t> {
    // SAFETY: a `sigevent` is valid when it is all zeros.
    let mut event: libc::sigevent = unsafe { MaybeUninit::zeroed().assume_init() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = signal;
    // SAFETY: no arguments, cannot fail.
    event.sigev_notify_thread_id = unsafe { libc::gettid() };
    let mut timer = ptr::null_mut();
    // SAFETY: both are valid during the call.
    match unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) } {
        0 => Ok(timer),
        _ => Err(io::Error::last_os_error()),
    }
}

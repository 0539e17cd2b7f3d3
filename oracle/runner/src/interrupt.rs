//! Whether a person wants the run to end.

use anyhow::{Context, Result};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static WATCHED: OnceLock<Result<(), String>> = OnceLock::new();

/// From here on, an interrupt does not end the program: whoever works looks at [`happened`].
///
/// # Errors
/// There is no handler for the signal.
pub fn watch() -> Result<()> {
    let set = || ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst)).map_err(|e| e.to_string());
    WATCHED.get_or_init(set).clone().map_err(anyhow::Error::msg).context("signal handler")
}

/// Whether there was an interrupt since. A signal to this program ends its children too: what they then said means nothing.
pub fn happened() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
